r"""Identity, the activation of a linear output.

Forward    y = z
Backward   dz = dy

Derivation. The slope of y = z is 1 everywhere.

Shapes     z, y, dz: any, equal.
Extremes   Exact for every input.
Source     By definition; the output of a network for regression.
"""

from typing import ClassVar

import jax

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class Identity(Elementwise):
    r"""The function that returns its argument.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Identity()(jnp.asarray([-2.0, 3.0])))
    [-2.  3.]
    """

    FORMULA: ClassVar[str] = "z"
    DERIVATIVE: ClassVar[str] = "1"

    def forward(self, z: jax.Array) -> tuple[jax.Array, tuple[()]]:
        """Return z, and nothing: the slope does not depend on it."""
        return z, ()

    def backward(self, saved: tuple[()], dy: jax.Array) -> jax.Array:
        """Return dz = dy."""
        return dy


CASES = (
    Case("ordinary", Identity(), ([0.7],), [0.7]),
    Case("batch", Identity(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", Identity(), ([-1e30, -1e4, 0.0, 1e30],), [-1e30, -1e4, 0.0, 1e30], [1.0] * 4, "definition"),
    Case("known", Identity(), ([-3.0, 2.5],), [-3.0, 2.5], [1.0, 1.0], "definition"),
)
