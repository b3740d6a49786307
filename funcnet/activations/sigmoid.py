r"""Sigmoid, the logistic function.

Forward    y = σ(z) = 1 / (1 + e^(−z))
Backward   dz = y (1 − y) dy

Derivation. With u = 1 + e^(−z), y = 1/u and dy/dz = −u′/u² = e^(−z)/u² = (1/u)(1 − 1/u) = y (1 − y).

Forms      Forward: with e = e^(−|z|) ≤ 1 and w = e/(1 + e) ≤ ½, y = 1 − w on the right and e − e w on the
           left, so that the quotient, which carries most of the rounding, has the smaller part. Backward:
           e/(1 + e)², the same function, since 1 − y cancels where y is close to 1.
Shapes     z, y, dz: any, equal.
Extremes   Finite for all finite z: y rounds to 0 or 1 far out, where the derivative underflows to 0.
Source     Article A2.2 and B3.1; Verhulst 1845 for the curve, Rumelhart, Hinton & Williams 1986 for the use.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class Sigmoid(Elementwise):
    r"""σ(z) = 1 / (1 + e^(−z)), from ℝ to (0, 1).

    >>> import jax.numpy as jnp
    >>> print(Sigmoid()(jnp.asarray([-1e4, 0.0, 1e4])))
    [0.  0.5 1. ]
    """

    FORMULA: ClassVar[str] = "1 / (1 + exp(-z))"
    DERIVATIVE: ClassVar[str] = "exp(-z) / (1 + exp(-z))**2"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return σ(z), and z: from y alone 1 − y would cancel where y is close to 1."""
        # A comparison, not the absolute value, whose slope at 0 automatic differentiation takes to be 0.
        e = jnp.exp(jnp.where(z < 0, z, -z))
        c = jnp.where(z < 0, e, 1)
        return c - c * (e / (1 + e)), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = y (1 − y) dy, written with e = e^(−|z|)."""
        z = saved
        e = jnp.exp(-jnp.abs(z))
        return e / ((1 + e) * (1 + e)) * dy


CASES = (
    Case("ordinary", Sigmoid(), ([0.7],)),
    Case("batch", Sigmoid(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case(
        "extreme",
        Sigmoid(),
        ([-1e30, -1e4, 1e4, 1e30],),
        [0.0, 0.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
        "limits",
    ),
    Case("known", Sigmoid(), ([0.0],), [0.5], [0.25], "article B3.1: σ(0) = ½; σ′(0) = ½ · ½"),
)
