r"""Tanh, the hyperbolic tangent.

Forward    y = tanh(z) = (e^(2z) − 1) / (e^(2z) + 1)
Backward   dz = (1 + y) (1 − y) dy

Derivation. With s = sinh z and c = cosh z, y = s/c; s′ = c and c′ = s give dy/dz = (c² − s²)/c² = 1 − y², which is
(1 + y)(1 − y): in this form y² is not rounded before it is subtracted.

Shapes     z, y, dz: any, equal.
Extremes   Far out y rounds to ±1, and the derivative to 0 with it: from |z| = 9 in float32.
Source     Article A2.2; LeCun, Bottou, Orr & Müller 1998, section 4.4, for the use.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class Tanh(Elementwise):
    r"""The hyperbolic tangent, from ℝ to (−1, 1).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Tanh()(jnp.asarray([-1e4, 0.0, 1e4])))
    [-1.  0.  1.]
    """

    FORMULA: ClassVar[str] = "tanh(z)"
    DERIVATIVE: ClassVar[str] = "1 - tanh(z)**2"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return tanh(z) twice: the next layer keeps y anyway, and the slope follows from it."""
        y = jnp.tanh(z)
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (1 + y) (1 − y) dy."""
        y = saved
        return (1 + y) * (1 - y) * dy


CASES = (
    Case("ordinary", Tanh(), ([0.7],)),
    Case("batch", Tanh(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", Tanh(), ([-1e30, -1e4, 1e4, 1e30],), [-1.0, -1.0, 1.0, 1.0], [0.0] * 4, "limits"),
    Case("known", Tanh(), ([0.0, 0.5493061443340549],), [0.0, 0.5], [1.0, 0.75], "tanh(½ log 3) = ½; 1 − ¼ = ¾"),
)
