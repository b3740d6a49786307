r"""Mish, a smooth activation with a bounded negative side.

Forward    y = z T,  T = tanh(log(1 + e^z)) = n / (n + 2) with e = e^z, n = e (e + 2)
Backward   dz = (T + z T′) dy,  T′ = 4 e (1 + e) / (n + 2)²

Derivation. With u = 1 + e^z, tanh(log u) = (u² − 1)/(u² + 1), which is T, as u² − 1 = n. Its slope is
(4u/(u² + 1)²) u′ with u′ = e, and the product rule gives T + z T′.

Shapes     z, y, dz: any, equal.
Extremes   Far out y is z on the right, where T is 1 to the last bit from z = 20, and 0 on the left.
Source     Misra 2019.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class Mish(Elementwise):
    r"""z tanh(log(1 + e^z)).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Mish()(jnp.asarray([-1e4, 0.0, 1e4])))
    [   -0.     0. 10000.]
    """

    FORMULA: ClassVar[str] = "z * tanh(log(1 + exp(z)))"
    DERIVATIVE: ClassVar[str] = (
        "(exp(2*z) + 2*exp(z)) / (exp(2*z) + 2*exp(z) + 2)"
        " + 4 * z * exp(z) * (1 + exp(z)) / (exp(2*z) + 2*exp(z) + 2)**2"
    )
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return z T, and z: y takes some values twice, so z does not follow from it."""
        e = jnp.exp(jnp.minimum(z, 40))  # the square of a larger e overflows
        n = e * (e + 2)
        return jnp.maximum(z, -1000) * (n / (n + 2)), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (T + z T′) dy."""
        z = jnp.clip(saved, -1000, 40)
        e = jnp.exp(z)
        n = e * (e + 2)
        return (n + 4 * z * e * (1 + e) / (n + 2)) / (n + 2) * dy


CASES = (
    Case("ordinary", Mish(), ([0.7],)),
    Case("batch", Mish(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", Mish(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1e4, 1e30], [0.0, 0.0, 1.0, 1.0], "limits"),
    Case("known", Mish(), ([0.0],), [0.0], [0.6], "tanh(log 2) = (4 − 1)/(4 + 1) = ⅗"),
)
