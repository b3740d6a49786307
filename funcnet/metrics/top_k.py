r"""Top-k accuracy: the share of samples whose label is among the k largest scores.

Value      Σᵢ wᵢ aᵢ / Σᵢ wᵢ,   aᵢ = 1 where fewer than k classes stand before the label, else 0

A class stands before the label if its score is larger, or equal with a smaller number: with k = 1 it is the accuracy.

Shapes     scores (…, K), K ≥ k, with labels (…,) or distributions (…, K), whose largest entry is the label.
Extremes   a sample with a NaN among its scores makes it NaN.
Source     Russakovsky et al. 2015, section 4 (the top-5 error of ImageNet is 1 less this).
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.metrics.base import MeanMetric
from funcnet.metrics.decisions import check_decisions, classes
from funcnet.records import choice, record
from funcnet.targets import in_range, nan_unless


@record
class TopK(MeanMetric):
    r"""The share of samples whose label is among the k largest scores; its name is top_k with the number, as top_5.

    Args:
        k: among how many of the largest scores the label must be; 5 is usual with a thousand classes.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> scores = jnp.asarray([[0.2, 1.5, 0.9], [0.3, -1.0, 0.5]])
    >>> print(fn.TopK(2)(scores, jnp.asarray([2, 1])), fn.TopK(2).name)
    0.5 top_2

    """

    NAME = "top"

    k: int = choice(at_least=1)

    @property
    def name(self) -> str:
        """Return top_5 for k = 5."""
        return f"top_{self.k}"

    def check(self, prediction: Any, target: Any) -> None:
        """Require labels or distributions, and at least k classes."""
        check_decisions(prediction, target, None)
        if prediction.shape[-1] < self.k:
            raise_error(f"TopK({self.k}) needs {self.k} classes or more", f"got {describe(prediction)}", "a smaller k")

    def samples(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return 1 where the label is among the k largest scores, else 0."""
        label, width = classes(prediction, target), prediction.shape[-1]
        row = label[..., None] == jnp.arange(width, dtype=label.dtype)[(None,) * label.ndim]
        own = jnp.sum(jnp.where(row, prediction, 0), axis=-1, keepdims=True)
        equal = (prediction == own) & (jnp.cumsum(row, axis=-1, dtype=jnp.int32) == 0)  # those that stand before it
        before = jnp.sum((prediction > own) | equal, axis=-1, dtype=jnp.int32)
        known = in_range(label, width) & jnp.all(prediction == prediction, axis=-1)
        return (before < self.k).astype(prediction.dtype) + nan_unless(known, prediction.dtype)


_SCORES = [[0.2, -1.3, 0.9], [2.1, 0.4, -0.6], [-0.7, 0.1, 1.4], [0.0, 0.5, -2.0]]
CASES = (
    Case("known", TopK(2), (_SCORES, [0, 2, 1, 1]), 0.75, None, "the second label is third"),
    Case("known", TopK(1), (_SCORES, [0, 0, 1, 1], [1.0, 3.0, 0.0, 1.0]), 0.8, None, "(3 + 1)/(1 + 3 + 1)"),
    Case("known", TopK(2), ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [1, 2]), 0.5, None, "of equal scores the first ones"),
)
