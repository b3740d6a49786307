r"""Leaky ReLU, which keeps a small slope on the negative side.

Forward    y = z where z > 0, else slope · z
Backward   dz = dy where z > 0, else slope · dy

Derivation. y is linear on both sides of 0, with slopes 1 and `slope`.

Shapes     z, y, dz: any, equal.
Kink       At z = 0 every number between `slope` and 1 is a subgradient; the stated one is `slope` (as in
           PyTorch). A slope above 1 is allowed; then y is not max(z, slope · z), and the definition by cases
           holds.
Extremes   Exact up to one rounding for every finite input; −∞ times a slope of 0 is NaN.
Source     Article A2.2; Maas, Hannun & Ng 2013, whose slope is 0.01.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import Number, cast, number, record


@record
class LeakyReLU(Elementwise):
    r"""z where z > 0, else slope · z; the slope is a number that can be swept.

    Args:
        slope: the slope on the left; 0.01 in the paper, 0.1 to 0.3 are common too.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.LeakyReLU(slope=0.5)(jnp.asarray([-2.0, 0.0, 3.0])))
    [-1.  0.  3.]

    """

    slope: Number = number(default=0.01, at_least=0)

    FORMULA: ClassVar[str] = "Piecewise((z, z > 0), (slope * z, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((1, z > 0), (slope, True))"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y twice: the next layer keeps it anyway, and y > 0 just where z > 0 since slope ≥ 0."""
        y = jnp.where(z > 0, z, cast(self.slope, z) * z)
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = dy where y > 0, else slope · dy."""
        y = saved
        return jnp.where(y > 0, dy, cast(self.slope, dy) * dy)

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the slope at 0: that of the negative side."""
        return ((0.0, self.slope),)


CASES = (
    Case("ordinary", LeakyReLU(), ([0.7, -0.7],)),
    Case("batch", LeakyReLU(0.2), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("ordinary", LeakyReLU(1.5), ([0.7, -0.7],)),
    Case("kink", LeakyReLU(0.25), ([0.0, -0.0],), [0.0, 0.0], [0.25, 0.25], "stated"),
    Case(
        "extreme",
        LeakyReLU(0.5),
        ([-1e30, -1e4, 1e4, 1e30],),
        [-5e29, -5e3, 1e4, 1e30],
        [0.5, 0.5, 1.0, 1.0],
        "definition",
    ),
    Case("known", LeakyReLU(0.125), ([-8.0, 2.5],), [-1.0, 2.5], [0.125, 1.0], "worked by hand"),
)
