r"""Hard tanh, the identity cut off at −1 and 1.

Forward    y = min(max(z, −1), 1)
Backward   dz = dy where −1 < z < 1, else 0

Derivation. y is z inside and constant outside.

Shapes     z, y, dz: any, equal.
Kink       At z = ±1 the subdifferential is [0, 1]; the stated subgradient is 0 (as in PyTorch).
Extremes   Exact for every finite input.
Source     Collobert 2004.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class HardTanh(Elementwise):
    r"""z between −1 and 1, and the nearer of the two outside.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.HardTanh()(jnp.asarray([-2.0, 0.5, 3.0])))
    [-1.   0.5  1. ]
    """

    FORMULA: ClassVar[str] = "Piecewise((-1, z <= -1), (1, z >= 1), (z, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((0, z <= -1), (0, z >= 1), (1, True))"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y twice: the next layer keeps it anyway, and |y| < 1 just where |z| < 1."""
        # Comparisons: the compiler would clip again in the backward, and keep z for it beside y.
        y = jnp.where(z < -1, -1, jnp.where(z > 1, 1, z))
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = [|y| < 1] dy."""
        y = saved
        return jnp.where(jnp.abs(y) < 1, dy, 0)

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the slope at ±1: 0."""
        return ((-1.0, 0.0), (1.0, 0.0))


CASES = (
    Case("ordinary", HardTanh(), ([0.7],)),
    Case("batch", HardTanh(), ([[-2.0, -0.1, 0.3], [1.5, 0.4, -6.0]],)),
    Case("kink", HardTanh(), ([-1.0, 1.0],), [-1.0, 1.0], [0.0, 0.0], "stated"),
    Case("extreme", HardTanh(), ([-1e30, -1e4, 1e4, 1e30],), [-1.0, -1.0, 1.0, 1.0], [0.0] * 4, "definition"),
    Case("known", HardTanh(), ([-3.0, 0.25],), [-1.0, 0.25], [0.0, 1.0], "definition"),
)
