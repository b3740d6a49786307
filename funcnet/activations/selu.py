r"""SELU, the ELU whose constants keep mean 0 and variance 1 from layer to layer.

Forward    y = λ z where z > 0, else λ α (e^z − 1)
Backward   dz = λ dy where z > 0, else λ α e^z dy

Derivation. As for ELU, times λ. The two constants are the solution of E[y] = 0 and E[y²] = 1 for a standard
           normal z: α = −√(2/π) / (erfc(1/√2) e^(1/2) − 1), and λ from the second equation with that α.

Shapes     z, y, dz: any, equal.
Kink       At z = 0 the slopes are λα on the left and λ on the right; the stated subgradient is λα (as in
           PyTorch).
Extremes   Far out on the left y rounds to −λα, and the derivative underflows to 0.
Source     Klambauer, Unterthiner, Mayr & Hochreiter 2017, equations 2 and 14.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record

LAMBDA = 1.0507009873554804934193349852946
ALPHA = 1.6732632423543772848170429916717


@record
class SELU(Elementwise):
    r"""λ z where z > 0, else λ α (e^z − 1), with λ ≈ 1.0507 and α ≈ 1.6733.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.SELU()(jnp.asarray([-1e4, 0.0, 1.0], jnp.float32)))
    [-1.7580993  0.         1.050701 ]
    """

    FORMULA: ClassVar[str] = (
        "1.0507009873554804934193349852946 * "
        "Piecewise((z, z > 0), (1.6732632423543772848170429916717 * (exp(z) - 1), True))"
    )
    DERIVATIVE: ClassVar[str] = (
        "1.0507009873554804934193349852946 * Piecewise((1, z > 0), (1.6732632423543772848170429916717 * exp(z), True))"
    )
    # Its constants are derived for weights of variance 1/fan_in (Klambauer et al., section 2).
    INITIALIZER: ClassVar[str] = "lecun"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y, and z: λα e^z from y, y + λα, would cancel far out."""
        return LAMBDA * jnp.where(z > 0, z, ALPHA * jnp.expm1(jnp.where(z > 0, 0, z))), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = λ dy where z > 0, else λα e^z dy."""
        z = saved
        return jnp.where(z > 0, LAMBDA, LAMBDA * ALPHA * jnp.exp(z)) * dy

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the slope at 0: that of the left side."""
        return ((0.0, LAMBDA * ALPHA),)


CASES = (
    Case("ordinary", SELU(), ([0.7, -0.7],)),
    Case("batch", SELU(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("kink", SELU(), ([0.0, -0.0],), [0.0, 0.0], [LAMBDA * ALPHA] * 2, "stated"),
    Case(
        "extreme",
        SELU(),
        ([-1e30, -1e4, 1e4, 1e30],),
        [-LAMBDA * ALPHA] * 2 + [1e4 * LAMBDA, 1e30 * LAMBDA],
        [0.0, 0.0, LAMBDA, LAMBDA],
        "limits",
    ),
    Case("known", SELU(), ([1.0],), [1.0507009873554805], [1.0507009873554805], "Klambauer et al. 2017: λ"),
)
