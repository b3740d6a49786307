r"""Tanh, the hyperbolic tangent.

Forward    y = tanh(z) = (e^(2z) − 1) / (e^(2z) + 1)
Backward   dz = (1 − y²) dy

Derivation. With s = sinh z and c = cosh z, y = s/c; s′ = c and c′ = s give dy/dz = (c² − s²)/c² = 1/c² = 1 −
           y².

Forms      Forward: with m = e^(2|z|) − 1, |y| = m/(2 + m). Near 0 it is computed as m/2 − m/2 · m/(2 + m),
           far out as 1 − 2/(2 + m): either way the quotient, which carries the rounding, has the smaller
           part.
           Backward: 1/cosh² z = (2r/(1 + r²))² with r = e^(−|z|) ≤ 1, since 1 − y² cancels where y is close
           to ±1.
Shapes     z, y, dz: any, equal.
Extremes   Finite for all finite z: y rounds to ±1 far out, where the derivative underflows to 0.
Source     Article A2.2; LeCun, Bottou, Orr & Müller 1998, section 4.4, for the use.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.activations.special import expm1
from funcnet.cases import Case
from funcnet.records import record


@record
class Tanh(Elementwise):
    r"""The hyperbolic tangent, from ℝ to (−1, 1).

    >>> import jax.numpy as jnp
    >>> print(Tanh()(jnp.asarray([-1e4, 0.0, 1e4])))
    [-1.  0.  1.]
    """

    FORMULA: ClassVar[str] = "tanh(z)"
    DERIVATIVE: ClassVar[str] = "1 - tanh(z)**2"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return tanh(z), and z: from y alone 1 − y² would cancel where y is close to ±1."""
        # A comparison, not the absolute value, whose slope at 0 automatic differentiation takes to be 0.
        magnitude = jnp.minimum(jnp.where(z < 0, -z, z), 40)
        m = expm1(2 * magnitude)
        far = magnitude > 0.55
        quotient = jnp.where(far, 2, m) / (2 + m)
        c = jnp.where(far, 1, 0.5 * m)
        y = c - c * quotient
        return jnp.where(z < 0, -y, y), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (1 − y²) dy = dy/cosh² z, written with e^(−|z|)."""
        z = saved
        root = jnp.exp(-jnp.abs(z))
        sech = 2 * root / (1 + root * root)
        return sech * sech * dy


CASES = (
    Case("ordinary", Tanh(), ([0.7],)),
    Case("batch", Tanh(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", Tanh(), ([-1e30, -1e4, 1e4, 1e30],), [-1.0, -1.0, 1.0, 1.0], [0.0] * 4, "limits"),
    Case("known", Tanh(), ([0.0, 0.5493061443340549],), [0.0, 0.5], [1.0, 0.75], "tanh(½ log 3) = ½; 1 − ¼ = ¾"),
)
