r"""Hard sigmoid, a sigmoid made of three straight lines.

Forward    y = min(max(z + 3, 0), 6) / 6
Backward   dz = dy / 6 where −3 < z < 3, else 0

Derivation. y is (z + 3)/6 inside and constant outside.

Convention This is PyTorch's relu6(z + 3)/6. Keras up to version 2 and the first papers cut 0.2 z + ½ off
           instead.
Shapes     z, y, dz: any, equal.
Kink       At z = ±3 the subdifferential is [0, 1/6]; the stated subgradient is 0 (as in PyTorch).
Extremes   Within two roundings for every finite input.
Source     Howard et al. 2019 (MobileNetV3), section 5.2; the idea from Courbariaux, Bengio & David 2015.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class HardSigmoid(Elementwise):
    r"""(z + 3)/6, cut off at 0 and 1.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.HardSigmoid()(jnp.asarray([-4.0, 0.0, 1.5, 4.0])))
    [0.   0.5  0.75 1.  ]
    """

    FORMULA: ClassVar[str] = "Piecewise((0, z <= -3), (1, z >= 3), ((z + 3) / 6, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((0, z <= -3), (0, z >= 3), (Rational(1, 6), True))"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y, and z: just below 3, y rounds to 1 while the slope is still 1/6."""
        return jnp.clip(z + 3, 0, 6) / 6, z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = [|z| < 3] dy / 6."""
        z = saved
        return jnp.where(jnp.abs(z) < 3, dy / 6, 0)

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the slope at ±3: 0."""
        return ((-3.0, 0.0), (3.0, 0.0))


CASES = (
    Case("ordinary", HardSigmoid(), ([0.7],)),
    Case("batch", HardSigmoid(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("kink", HardSigmoid(), ([-3.0, 3.0],), [0.0, 1.0], [0.0, 0.0], "stated"),
    Case("extreme", HardSigmoid(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1.0, 1.0], [0.0] * 4, "definition"),
    Case("known", HardSigmoid(), ([0.0, -1.5],), [0.5, 0.25], [1 / 6, 1 / 6], "(0 + 3)/6 and 1.5/6"),
)
