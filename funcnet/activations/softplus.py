r"""Softplus, a smooth ReLU.

Forward    y = log(1 + e^z)
Backward   dz = σ(z) dy,  σ(z) = 1 / (1 + e^(−z))

Derivation. dy/dz = e^z/(1 + e^z) = 1/(1 + e^(−z)).

Forms      y = log(e^z + e^0) by `logaddexp`, which is max(z, 0) + log(1 + e^(−|z|)): no exponential overflows.
Shapes     z, y, dz: any, equal.
Extremes   Far out y is z on the right and 0 on the left.
Source     Dugas, Bengio, Bélisle, Nadeau & Garcia 2001.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import record


@record
class Softplus(Elementwise):
    r"""log(1 + e^z), from ℝ to (0, ∞).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Softplus()(jnp.asarray([-1e4, 1e4])))
    [    0. 10000.]
    """

    FORMULA: ClassVar[str] = "log(1 + exp(z))"
    DERIVATIVE: ClassVar[str] = "1 / (1 + exp(-z))"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return log(1 + e^z), and z: σ(z) from y, 1 − e^(−y), would cancel for small y."""
        return jnp.logaddexp(z, 0.0), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = σ(z) dy."""
        z = saved
        return jax.lax.logistic(z) * dy


CASES = (
    Case("ordinary", Softplus(), ([0.7],)),
    Case("batch", Softplus(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case(
        "extreme",
        Softplus(),
        ([-1e30, -1e4, 1e4, 1e30],),
        [0.0, 0.0, 1e4, 1e30],
        [0.0, 0.0, 1.0, 1.0],
        "limits",
    ),
    Case("known", Softplus(), ([0.0],), [0.6931471805599453], [0.5], "log 2; σ(0) = ½"),
)
