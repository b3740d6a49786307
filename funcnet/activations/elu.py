r"""ELU, the exponential linear unit.

Forward    y = z where z > 0, else α (e^z − 1)
Backward   dz = dy where z > 0, else α e^z dy

Derivation. The slope of z is 1, that of α (e^z − 1) is α e^z.

Shapes     z, y, dz: any, equal.
Kink       At z = 0 the slopes meet if α = 1. Otherwise the stated subgradient is α, that of the left side (as
           in PyTorch).
Extremes   Far out on the left y rounds to −α, and the derivative underflows to 0.
Source     Clevert, Unterthiner & Hochreiter 2016, equation 15.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import Number, cast, number, record


@record
class ELU(Elementwise):
    r"""z where z > 0, else α (e^z − 1); alpha is a number that can be swept.

    Args:
        alpha: the limit far out on the left is −alpha; 1 in the paper, where the slopes at 0 meet.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.ELU(alpha=2.0)(jnp.asarray([-1e4, 0.0, 3.0])))
    [-2.  0.  3.]

    """

    alpha: Number = number(default=1.0, at_least=0)

    FORMULA: ClassVar[str] = "Piecewise((z, z > 0), (alpha * (exp(z) - 1), True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((1, z > 0), (alpha * exp(z), True))"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y, and z: α e^z from y, y + α, would cancel far out."""
        return jnp.where(z > 0, z, cast(self.alpha, z) * jnp.expm1(jnp.where(z > 0, 0, z))), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = dy where z > 0, else α e^z dy."""
        z = saved
        return jnp.where(z > 0, 1, cast(self.alpha, z) * jnp.exp(z)) * dy

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the slope at 0: that of the left side, α (no kink if α = 1)."""
        return ((0.0, self.alpha),)


CASES = (
    Case("ordinary", ELU(), ([0.7, -0.7],)),
    Case("batch", ELU(0.5), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("kink", ELU(0.25), ([0.0, -0.0],), [0.0, 0.0], [0.25, 0.25], "stated"),
    Case(
        "extreme",
        ELU(2.0),
        ([-1e30, -1e4, 1e4, 1e30],),
        [-2.0, -2.0, 1e4, 1e30],
        [0.0, 0.0, 1.0, 1.0],
        "limits",
    ),
    Case("known", ELU(2.0), ([-0.6931471805599453, 3.0],), [-1.0, 3.0], [1.0, 1.0], "e^(−log 2) = ½"),
)
