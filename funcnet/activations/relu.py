r"""ReLU, the rectified linear unit.

Forward    y = max(0, z)
Backward   dz = dy where z > 0, else 0

Derivation. y is z on one side of 0 and the constant 0 on the other; the slopes are 1 and 0.

Shapes     z, y, dz: any, equal.
Kink       At z = 0 the subdifferential is [0, 1]; the stated subgradient is 0 (as in PyTorch and
           `jax.nn.relu`).
Source     Article A2.2 and B3.2; Nair & Hinton 2010; Glorot, Bordes & Bengio 2011.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class ReLU(Elementwise):
    r"""max(0, z), with slope 0 at 0.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.ReLU()(jnp.asarray([-2.0, 0.0, 3.0])))
    [0. 0. 3.]
    """

    FORMULA: ClassVar[str] = "Piecewise((z, z > 0), (0, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((1, z > 0), (0, True))"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return max(0, z), and y itself: the next layer keeps it anyway, and y > 0 just where z > 0."""
        # A comparison: the compiler would compute a maximum again in the backward, and keep z for it beside y.
        y = jnp.where(z <= 0, 0, z)
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = [y > 0] dy."""
        y = saved
        return jnp.where(y > 0, dy, 0)

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the slope at 0: 0."""
        return ((0.0, 0.0),)


CASES = (
    Case("ordinary", ReLU(), ([0.7],)),
    Case("batch", ReLU(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("kink", ReLU(), ([0.0, -0.0],), [0.0, 0.0], [0.0, 0.0], "stated"),
    Case(
        "extreme",
        ReLU(),
        ([-1e4, 1e4, -1e30, 1e30],),
        [0.0, 1e4, 0.0, 1e30],
        [0.0, 1.0, 0.0, 1.0],
        "definition",
    ),
    Case("known", ReLU(), ([-3.0, 2.5],), [0.0, 2.5], [0.0, 1.0], "article B3.2: max(0, z)"),
)
