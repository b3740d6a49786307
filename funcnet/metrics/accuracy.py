r"""Accuracy: the share of right decisions.

Value      Σᵢ wᵢ aᵢ / Σᵢ wᵢ
           without a threshold   aᵢ = 1 where the largest score stands at the label, else 0
           with a threshold θ    aᵢ = the share of a sample's outputs that lie on the target's side: z > θ where t > ½

Of equal scores the first is taken. θ is 0 for logits and ½ for probabilities. Losses that classify report the accuracy
that fits them by themselves.

Shapes     scores (…, K) with labels (…,) or distributions (…, K), whose largest entry is the label; with a threshold z
           and t are (…, k), equal, and a rank-1 z is n samples of one output.
Extremes   a sample with a NaN among its scores makes the accuracy NaN.
Source     By definition.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.metrics.base import MeanMetric
from funcnet.metrics.decisions import check_decisions, classes, yes
from funcnet.records import Number, cast, choice, number, record
from funcnet.targets import in_range, nan_unless


@record
class Accuracy(MeanMetric):
    r"""The share of right decisions.

    Args:
        threshold: None for one class of several by the largest score; else each output is a decision of its own, yes
            above the threshold.
        inclusive: whether an output at the threshold says yes.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Accuracy()(jnp.asarray([[0.2, 1.5], [0.3, -1.0]]), jnp.asarray([1, 1])))
    0.5

    """

    threshold: Number | None = number(default=None)
    inclusive: bool = choice(default=False, options=(False, True))

    def check(self, prediction: Any, target: Any) -> None:
        """Require labels or distributions; with a threshold, a target in [0, 1] for each output."""
        check_decisions(prediction, target, self.threshold)

    def samples(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return the share of right decisions in each sample."""
        if self.threshold is None:
            label, top = classes(prediction, target), jnp.max(prediction, axis=-1)
            found = jnp.argmax(prediction, axis=-1)
            known = in_range(label, prediction.shape[-1]) & (top == top)
            return (found == label.astype(found.dtype)).astype(top.dtype) + nan_unless(known, top.dtype)
        threshold = cast(self.threshold, prediction)
        fires = prediction >= threshold if self.inclusive else prediction > threshold
        right = 1 - jnp.abs(fires.astype(prediction.dtype) - yes(prediction, target))
        right = right + nan_unless(prediction == prediction, prediction.dtype)
        return jnp.mean(right, axis=-1) if right.ndim > 1 else right


_SCORES = [[0.2, -1.3, 0.9], [2.1, 0.4, -0.6], [-0.7, 0.1, 1.4], [0.0, 0.5, -2.0]]
CASES = (
    Case("known", Accuracy(), (_SCORES, [2, 0, 1, 1]), 0.75, None, "three of four"),
    Case("known", Accuracy(), (_SCORES, [2, 0, 1, 1], [1.0, 0.0, 3.0, 0.0]), 0.25, None, "1/(1 + 3)"),
    Case("known", Accuracy(0.0), ([[0.3, -1.2], [2.0, 0.7]], [[1, 1], [1, 0]]), 0.5, None, "a half of each"),
    Case("known", Accuracy(0.5), ([0.3, 0.6, 0.2], [1, 1, 0]), 2 / 3, None, "0.3 says no"),
    Case("extreme", Accuracy(0.0, inclusive=True), ([0.0, 0.0], [1, 0]), 0.5, None, "fires at 0"),
)
