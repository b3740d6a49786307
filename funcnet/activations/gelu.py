r"""GELU, the Gaussian error linear unit, in its two forms.

Forward    exact         y = z Φ(z),  Φ(z) = ½ erfc(−z/√2) the normal distribution function
           approximate   y = z σ(x) = ½ z (1 + tanh(x/2)),  x = 2 √(2/π) (z + 0.044715 z³)
Backward   exact         dz = (Φ(z) + z φ(z)) dy,  φ(z) = e^(−z²/2)/√(2π)
           approximate   dz = (σ(x) + z σ(x) (1 − σ(x)) x′) dy,  x′ = 2 √(2/π) (1 + 3 · 0.044715 z²)

Derivation. The product rule, with Φ′ = φ and σ′ = σ (1 − σ) x′.

Forms      In the left tail 1 + erf(z/√2) and 1 + tanh(x/2) cancel, erfc and σ do not.
Shapes     z, y, dz: any, equal.
Extremes   Far out y is z on the right and 0 on the left.
Source     Hendrycks & Gimpel 2016, section 2.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise, bounded
from funcnet.cases import Case
from funcnet.records import choice, record

SQRT_HALF = math.sqrt(1 / 2)
SQRT_2_PI = math.sqrt(2 / math.pi)


def _inner(z: jax.Array) -> jax.Array:
    return 2 * SQRT_2_PI * (z + 0.044715 * z**3)


@record
class GELU(Elementwise):
    r"""z Φ(z), or the approximation by tanh; which of the two is structure, not a number.

    Args:
        approximate: whether the form with tanh is computed, as in GPT-2, or the exact one.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.GELU()(jnp.asarray([-1.0, 0.0, 1.0], jnp.float32)))
    [-0.15865527  0.          0.8413447 ]
    >>> print(fn.GELU(approximate=True)(jnp.asarray([1.0], jnp.float32)))
    [0.841192]

    """

    approximate: bool = choice(default=False, options=(False, True))

    FORMULA: ClassVar[str] = (
        "Piecewise((z / 2 * (1 + tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))), approximate),"
        " (z / 2 * (1 + erf(z / sqrt(2))), True))"
    )
    DERIVATIVE: ClassVar[str] = (
        "Piecewise(((1 + tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))) / 2"
        " + z / 2 * (1 - tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))**2)"
        " * sqrt(2 / pi) * (1 + 3 * Rational(44715, 1000000) * z**2), approximate),"
        " ((1 + erf(z / sqrt(2))) / 2 + z * exp(-z**2 / 2) / sqrt(2 * pi), True))"
    )
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return z Φ(z), and z: y takes some values twice, so z does not follow from it."""
        left = jnp.maximum(z, -1000)
        if self.approximate:
            return left * jax.lax.logistic(_inner(left)), z
        return 0.5 * left * jax.lax.erfc(-SQRT_HALF * z), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (Φ + z φ) dy, or (σ + z σ (1 − σ) x′) dy."""
        z = bounded(saved)
        if self.approximate:
            s = jax.lax.logistic(_inner(z))
            slope = 2 * SQRT_2_PI * (1 + 3 * 0.044715 * z**2)
            return (s + z * (s * (1 - s)) * slope) * dy
        x = -SQRT_HALF * z
        # In this form the exponential is that within erfc, and the compiler computes it once.
        density = SQRT_2_PI / 2 * jnp.exp(-(x * x))
        return (0.5 * jax.lax.erfc(x) + z * density) * dy


CASES = (
    Case("ordinary", GELU(), ([0.7],)),
    Case("ordinary", GELU(approximate=True), ([0.7],)),
    Case("batch", GELU(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("batch", GELU(approximate=True), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", GELU(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1e4, 1e30], [0.0, 0.0, 1.0, 1.0], "limits"),
    Case(
        "extreme",
        GELU(approximate=True),
        ([-1e30, -1e4, 1e4, 1e30],),
        [0.0, 0.0, 1e4, 1e30],
        [0.0, 0.0, 1.0, 1.0],
        "limits",
    ),
    Case(
        "known",
        GELU(),
        ([0.0, 1.0],),
        [0.0, 0.8413447460685429],
        None,
        "Φ(0) = ½; Φ(1), tables of the normal law",
    ),
    Case("known", GELU(approximate=True), ([0.0],), [0.0], [0.5], "σ(0) = ½"),
)
