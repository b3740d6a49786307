r"""The logarithm of the hyperbolic cosine: quadratic near, linear far, and smooth everywhere.

Forward    e = log cosh r,   with r = p − t;        l = (1/k) Σⱼ eⱼ
Backward   dp = tanh(r) dl / k

Derivation. d(log cosh r)/dr = sinh r / cosh r.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.records import record


@record
class LogCosh(OutputLoss):
    r"""The logarithm of the hyperbolic cosine of the residual, log cosh(p − t).

    >>> import jax.numpy as jnp
    >>> print(LogCosh()(jnp.asarray([0.0, 0.0]), jnp.asarray([0.0, 0.0])))
    0.0
    """

    FORMULA: ClassVar[str] = "log(cosh(p - t))"
    DERIVATIVE: ClassVar[str] = "tanh(p - t)"

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return |r| + log(1 + exp(−2|r|)) − log 2, and tanh r."""
        r = prediction - target
        size = jnp.abs(r)
        return size + jnp.log1p(jnp.exp(-2 * size)) - np.log(2).astype(r.dtype), jnp.tanh(r)

    def element_backward(self, saved: jax.Array) -> jax.Array:
        """Return tanh r."""
        return saved


CASES = (
    Case("ordinary", LogCosh(), ([[0.3, -1.2]], [[0.5, 0.1]])),
    Case("batch", LogCosh(), ([[0.3, -1.2], [2.5, 0.7], [-0.4, 1.1]], [[0.5, 0.1], [1.0, 1.0], [0.0, -2.0]])),
    Case("extreme", LogCosh(), ([1e30, -1e30], [0.0, 0.0]), 1e30, [0.5, -0.5], "|r|"),
    Case("known", LogCosh(), ([np.log(2), 0.0], [0.0, 0.0]), np.log(1.25) / 2, [0.3, 0.0], "cosh log 2 = 5/4"),
)
