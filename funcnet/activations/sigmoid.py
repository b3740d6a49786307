r"""Sigmoid, the logistic function.

Forward    y = σ(z) = 1 / (1 + e^(−z))
Backward   dz = y (1 − y) dy

Derivation. With u = 1 + e^(−z), y = 1/u and dy/dz = −u′/u² = e^(−z)/u² = (1/u)(1 − 1/u) = y (1 − y).

Shapes     z, y, dz: any, equal.
Extremes   Far out y rounds to 0 or 1, and the derivative to 0 with it: on the right from z = 17 in float32.
Source     Article A2.2 and B3.1; Verhulst 1845 for the curve, Rumelhart, Hinton & Williams 1986 for the use.
"""

from typing import ClassVar

import jax

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class Sigmoid(Elementwise):
    r"""σ(z) = 1 / (1 + e^(−z)), from ℝ to (0, 1).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Sigmoid()(jnp.asarray([-1e4, 0.0, 1e4])))
    [0.  0.5 1. ]
    """

    FORMULA: ClassVar[str] = "1 / (1 + exp(-z))"
    DERIVATIVE: ClassVar[str] = "exp(-z) / (1 + exp(-z))**2"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return σ(z) twice: the next layer keeps y anyway, and the slope follows from it."""
        y = jax.lax.logistic(z)
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = y (1 − y) dy."""
        y = saved
        return y * (1 - y) * dy


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
