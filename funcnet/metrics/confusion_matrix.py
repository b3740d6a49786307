r"""The confusion matrix: how many samples of each class were taken for each.

Value      Cₜₖ = Σᵢ wᵢ [cᵢ = t] [dᵢ = k]   with the class cᵢ of sample i, and the class dᵢ that it was taken for

Rows are what is true, columns what was decided.

Shapes     scores (…, K) with labels (…,) or distributions (…, K): (K, K). With a threshold one output a sample, (n,) or
           (…, 1), and targets 0 or 1 of that shape: (2, 2).
Extremes   a NaN among the scores makes all of it NaN. An array is no column of a history: `run.evaluate` gives it.
Source     By definition; a table of contingency, Pearson 1904.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.metrics.base import Metric, arrays
from funcnet.metrics.decisions import check_decisions, decisions
from funcnet.records import Number, number, record
from funcnet.targets import spread_weight


@record
class ConfusionMatrix(Metric):
    r"""How many samples of each class (rows) were taken for each (columns).

    Args:
        threshold: None for one class of several by the largest score; else each output is a decision of its
            own, yes above the threshold: 0 for logits, 0.5 for probabilities.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.ConfusionMatrix()(jnp.asarray([[0.2, 1.5], [0.3, -1.0], [-0.4, 0.1]]), jnp.asarray([1, 1, 0])))
    [[0. 1.]
     [1. 1.]]

    """

    threshold: Number | None = number(default=None)

    @property
    def scalar(self) -> bool:
        """Tell that it is an array."""
        return False

    def check(self, prediction: Any, target: Any) -> None:
        """Require labels or distributions, or with a threshold one output a sample."""
        check_decisions(prediction, target, self.threshold)
        if self.threshold is not None and prediction.ndim > 1 and prediction.shape[-1] != 1:
            attempt = "threshold=None, or one output at a time"
            raise_error("with a threshold there must be one output", f"got {describe(prediction)}", attempt)

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> jax.Array:
        """Return the matrix."""
        found, wanted = decisions(*arrays(prediction, target, weight), self.threshold)
        if self.threshold is not None:
            found, wanted = (jnp.concatenate([1 - mask, mask], axis=-1) for mask in (found, wanted))
        if weight is not None:
            mass = spread_weight(weight, found.shape[:-1], found.dtype)[..., None]
            found, wanted = (jnp.where(mass == 0, 0, mask) for mask in (found, mass * wanted))
        found, wanted = (mask.reshape(-1, mask.shape[-1]) for mask in (found, wanted))
        return jnp.matmul(wanted.T, found, precision=jax.lax.Precision.HIGHEST)

    def value(self, sums: jax.Array) -> jax.Array:
        """Return the matrix itself."""
        return sums


_SCORES = [[0.2, -1.3, 0.9], [2.1, 0.4, -0.6], [-0.7, 0.1, 1.4], [0.0, 0.5, -2.0]]
CASES = (
    Case("known", ConfusionMatrix(), (_SCORES, [2, 0, 1, 1]), [[1, 0, 0], [0, 1, 1], [0, 0, 1]], None, "by hand"),
    Case("known", ConfusionMatrix(0.0), ([0.5, -1.0, 2.0], [1, 1, 0], [1.0, 2.0, 0.0]), [[0, 0], [2, 1]], None, "hand"),
)
