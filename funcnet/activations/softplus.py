r"""Softplus, a smooth ReLU.

Forward    y = log(1 + e^z)
Backward   dz = σ(z) dy,  σ(z) = 1 / (1 + e^(−z))

Derivation. dy/dz = e^z/(1 + e^z) = 1/(1 + e^(−z)).

Forms      y = max(z, 0) + log(1 + e) with e = e^(−|z|) ≤ 1, since log(1 + e^z) − z = log(e^(−z) + 1); no
           exponential overflows, and σ(z) is 1/(1 + e) or e/(1 + e). Within ±¼, where both terms round,
           y = log 2 + z/2 + log cosh(z/2), the last by its Taylor series, whose n-th term is
           (4ⁿ − 1) B₂ₙ / (2n (2n)!) z²ⁿ with the Bernoulli numbers B.
Shapes     z, y, dz: any, equal.
Extremes   Finite for all finite z: y is z far out on the right and underflows to 0 on the left.
Source     Dugas, Bengio, Bélisle, Nadeau & Garcia 2001.
"""

from fractions import Fraction
from math import factorial
from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.activations.special import LOG_2, exp, log1p, parts, polynomial
from funcnet.cases import Case
from funcnet.records import record

_BERNOULLI = [Fraction(a, b) for a, b in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6))]
# Of log cosh(z/2) / z² in powers of z².
_LOG_COSH = [float((4**n - 1) * b / (2 * n * factorial(2 * n))) for n, b in enumerate(_BERNOULLI, 1)]


@record
class Softplus(Elementwise):
    r"""log(1 + e^z), from ℝ to (0, ∞).

    >>> import jax.numpy as jnp
    >>> print(Softplus()(jnp.asarray([-1e4, 1e4])))
    [    0. 10000.]
    """

    FORMULA: ClassVar[str] = "log(1 + exp(z))"
    DERIVATIVE: ClassVar[str] = "1 / (1 + exp(-z))"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return log(1 + e^z), and z: σ(z) from y, 1 − e^(−y), would cancel for small y."""
        e = exp(jnp.where(z < 0, z, -z))
        high, low = parts(LOG_2, z)
        square = jnp.minimum(z * z, 1)
        near = high + (0.5 * z + (low + square * polynomial(square, _LOG_COSH)))
        return jnp.where(jnp.abs(z) < 0.25, near, jnp.where(z < 0, 0, z) + log1p(e)), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = σ(z) dy, written with e = e^(−|z|)."""
        z = saved
        e = jnp.exp(-jnp.abs(z))
        return jnp.where(z < 0, e, 1) / (1 + e) * dy


CASES = (
    Case("ordinary", Softplus(), ([0.7],)),
    Case("batch", Softplus(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case(
        "extreme",
        Softplus(),
        ([-1e30, -1e4, 1e4, 1e30],),
        [0.0, 0.0, 1e4, 1e30],
        [0.0, 0.0, 1.0, 1.0],
        "limits",
    ),
    Case("known", Softplus(), ([0.0],), [0.6931471805599453], [0.5], "log 2; σ(0) = ½"),
)
