r"""Mean absolute percentage error, as a share: 0.1 is 10 %.

Value      Σᵢ wᵢ aᵢ / Σᵢ wᵢ,   aᵢ = (1/k) Σⱼ |pᵢⱼ − tᵢⱼ| / max(|tᵢⱼ|, ε)

ε is the distance from 1 to the next number of the dtype in which it is computed (1.2e−7 in float32), so that a target
of 0 counts, very much. (scikit-learn has the same with float64's ε; Keras multiplies by 100 and takes ε = 1e−7.)

Shapes     p, t: (…, k), equal; a rank-1 p is n samples of one output.
Source     By definition; Hyndman & Koehler 2006, section 2, on what it measures well and badly.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.metrics.base import MeanMetric
from funcnet.records import record
from funcnet.targets import check_outputs


@record
class MeanAbsolutePercentageError(MeanMetric):
    r"""The mean of |p − t| / |t|.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.MeanAbsolutePercentageError()(jnp.asarray([1.5, 3.0]), jnp.asarray([1.0, 4.0])))
    0.375
    """

    LOWER_IS_BETTER = True

    def check(self, prediction: Any, target: Any) -> None:
        """Require one target for each output."""
        check_outputs(prediction, target)

    def samples(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return the mean over the outputs of each sample."""
        target = target.astype(prediction.dtype)
        error = jnp.abs(prediction - target) / jnp.maximum(jnp.abs(target), jnp.finfo(prediction.dtype).eps)
        return jnp.mean(error, axis=-1) if error.ndim > 1 else error


CASES = (
    Case("known", MeanAbsolutePercentageError(), ([1.5, 3.0], [1.0, 4.0]), 0.375, None, "(1/2 + 1/4)/2"),
    Case("known", MeanAbsolutePercentageError(), ([1.5, 3.0], [1.0, -4.0], [3.0, 1.0]), 0.8125, None, "(3/2 + 7/4)/4"),
    Case("known", MeanAbsolutePercentageError(), ([[1.5, 3.0]], [[1.0, 4.0]]), 0.375, None, "one sample, two outputs"),
)
