r"""Mish, a smooth activation with a bounded negative side.

Forward    y = z T,  T = tanh(log(1 + e^z)) = (e² + 2e) / (e² + 2e + 2) with e = e^z
Backward   dz = (T + 4 z e (1 + e) / (e² + 2e + 2)²) dy

Derivation. With u = 1 + e^z, tanh(log u) = (u² − 1)/(u² + 1), which is T. Its slope is (4u/(u² + 1)²) u′ with
u′ = e, and the product rule gives T + z T′.

Forms      Forward: about z = 0, with m = e − 1 and q = m (4 + m), T = ½ + (⅒ + ⅖ q/(5 + q)); on the right
           T = 1 − 2/(2 + e (2 + e)); on the left T = e (1 − w) with w = e (1 + e)/(2 + e (2 + e)). In all three
           the quotient, which carries the rounding, has the smaller part; the power of two is applied last.
           Backward: with D = e² + 2e + 2, for z < 0 e (4 (1 + z)(1 + e) + e (2 + 4e + e²))/D², and for z ≥ 0
           the same over powers of e, ((1 + 2v) E + 4 z v² (1 + v))/E² with v = e^(−z), E = 1 + 2v + 2v².
Shapes     z, y, dz: any, equal.
Extremes   Finite for all finite z: y is z far out on the right and underflows to 0 on the left.
Source     Misra 2019.
"""

from fractions import Fraction
from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.activations.special import exponential, parts, scale, two_product, vanishing
from funcnet.cases import Case
from funcnet.records import record


@record
class Mish(Elementwise):
    r"""z tanh(log(1 + e^z)).

    >>> import jax.numpy as jnp
    >>> print(Mish()(jnp.asarray([-1e4, 0.0, 1e4])))
    [   -0.     0. 10000.]
    """

    FORMULA: ClassVar[str] = "z * tanh(log(1 + exp(z)))"
    DERIVATIVE: ClassVar[str] = (
        "(exp(2*z) + 2*exp(z)) / (exp(2*z) + 2*exp(z) + 2)"
        " + 4 * z * exp(z) * (1 + exp(z)) / (exp(2*z) + 2*exp(z) + 2)**2"
    )
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return z T, and z: y takes some values twice, so z does not follow from it."""
        left, right = z < -0.7, z > 0.5
        # T is 1 to the last bit from 20 on (40 in float64), where e² is still far from overflow.
        high, low, k = exponential(jnp.minimum(z, 40))
        e = scale(high, k)
        m = (e - 1) + scale(low, k)
        w = jnp.where(left, -e * (1 + e), jnp.where(right, -2, m * (4 + m))) / (2 + e * (2 + e))
        bounded = jnp.maximum(z, -vanishing(z))
        product, rest = two_product(bounded, high)
        far = scale(product + (product * w + (rest + bounded * low)), k)
        tenth, remainder = parts(Fraction(1, 10), z)
        near = 0.5 * z + z * (tenth + (remainder + 0.4 * w))
        # The halves of the smallest normal numbers would be flushed to 0.
        near = jnp.where(jnp.abs(z) < jnp.finfo(z.dtype).eps ** 2, 0.6 * z, near)
        return jnp.where(left, far, jnp.where(right, z + z * w, near)), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (T + z T′) dy."""
        z = saved
        negative = z < 0
        high, _, k = exponential(-jnp.abs(z))
        e = scale(high, k)
        z = jnp.clip(z, -vanishing(z), vanishing(z))
        denominator = jnp.where(negative, e * e + 2 * e + 2, 1 + 2 * e + 2 * e * e)
        left = high * (4 * (1 + z) * (1 + e) + e * (2 + e * (4 + e)))
        right = (1 + 2 * e) * denominator + 4 * z * (e * e) * (1 + e)
        slope = jnp.where(negative, left, right) / (denominator * denominator)
        return scale(slope, jnp.where(negative, k, 0)) * dy


CASES = (
    Case("ordinary", Mish(), ([0.7],)),
    Case("batch", Mish(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", Mish(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1e4, 1e30], [0.0, 0.0, 1.0, 1.0], "limits"),
    Case("known", Mish(), ([0.0],), [0.0], [0.6], "tanh(log 2) = (4 − 1)/(4 + 1) = ⅗"),
)
