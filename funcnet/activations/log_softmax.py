r"""Log-softmax, the logarithm of softmax computed as one.

Forward    y_k = z_k − log Σ_j e^(z_j), over the last axis
Backward   dz = dy − e^y Σ_k dy_k

Derivation. ∂y_k/∂z_i = [k = i] − e^(z_i)/Σ_j e^(z_j) = [k = i] − e^(y_i); summing dy_k ∂y_k/∂z_i over k gives
dz_i = dy_i − e^(y_i) Σ_k dy_k.

Forms      y = (z − m) − log Σ_j e^(z_j − m) with m the largest logit: no exponential overflows.
Shapes     z, y, dz: (…, classes).
Extremes   Finite where the differences of the logits are, and ∞ counts as the largest number.
Source     Article B3.3; the logarithm of Bridle's 1990 softmax.
"""

import jax
import jax.numpy as jnp

from funcnet.activations.base import Activation, shifted
from funcnet.cases import Case
from funcnet.records import record


@record
class LogSoftmax(Activation):
    r"""The logarithm of `Softmax()`.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.LogSoftmax()(jnp.asarray([0.0, 1e4, -1e4])))
    [-10000.      0. -20000.]
    """

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y twice: the derivative is a function of y alone."""
        d = shifted(z, "LogSoftmax")
        y = d - jnp.log(jnp.sum(jnp.exp(d), axis=-1, keepdims=True))
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = dy − e^y Σ dy."""
        y = saved
        return dy - jnp.exp(y) * jnp.sum(dy, axis=-1, keepdims=True)


CASES = (
    Case("ordinary", LogSoftmax(), ([0.7, -0.2, 0.1],)),
    Case("batch", LogSoftmax(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", LogSoftmax(), ([-1e4, 1e4, 0.0],), [-2e4, 0.0, -1e4], [1.0, -2.0, 1.0], "limits"),
    Case("known", LogSoftmax(), ([0.0, 0.0, 0.0],), [-1.0986122886681098] * 3, [0.0] * 3, "log ⅓"),
)
