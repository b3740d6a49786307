r"""The mean of prediction minus target: how much too high predictions lie.

Value      Σᵢ wᵢ (1/k) Σⱼ (pᵢⱼ − tᵢⱼ) / Σᵢ wᵢ
"""

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.metrics.base import MeanMetric
from funcnet.records import record


@record
class Drift(MeanMetric):
    r"""The mean of p − t.

    >>> import jax.numpy as jnp
    >>> print(Drift()(jnp.asarray([[1.0], [3.0]]), jnp.asarray([[0.0], [1.0]])))
    1.5
    """

    def samples(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return each sample's mean of p − t."""
        return jnp.mean(prediction - target.astype(prediction.dtype), axis=-1)


CASES = (
    Case("known", Drift(), ([[1.0, 2.0], [3.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]), 1.0, None, "(1 + 2 + 2 − 1)/4"),
    Case("known", Drift(), ([[1.0], [3.0]], [[0.0], [1.0]], [3.0, 1.0]), 1.25, None, "(3·1 + 1·2)/4"),
)
