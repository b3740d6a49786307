r"""The area under the receiver operating characteristic: how often a positive scores above a negative.

Value      Σ_{i positive} Σ_{j negative} wᵢ wⱼ ([sᵢ > sⱼ] + ½ [sᵢ = sⱼ]) / (Σ_{i positive} wᵢ · Σ_{j negative} wⱼ)

Ranks do not add up over batches, histograms do: scores are rounded to 16 bits (float16, 11 binary digits), of which
there are 65,536, and the weights of positives and of negatives are counted at each. The value is exact for the rounded
scores, whatever the batches; scores that round to one number count as equal.

Shapes     one score a sample, (n,) or (…, 1), and targets 0 or 1 of that shape; or scores (…, 2) and labels (…,), of
           which the difference counts. Logits resolve more than probabilities close to 1.
Extremes   Scores beyond ±65,504 count as that. A NaN score, or a set without positives or without negatives: NaN.
Source     Hanley & McNeil 1982.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.metrics.base import Metric, arrays
from funcnet.metrics.decisions import yes
from funcnet.records import record
from funcnet.targets import check_binary, check_classes, in_range, is_label, nan_unless, spread_weight, whole

_LARGEST = 65504.0  # of float16


@record
class AUC(Metric):
    r"""The area under the ROC curve, of two classes.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.AUC()(jnp.asarray([0.1, 0.4, 0.35, 0.8]), jnp.asarray([0, 0, 1, 1])))
    0.75
    """

    def check(self, prediction: Any, target: Any) -> None:
        """Require one score a sample and targets of 0 and 1, or scores of two classes and labels."""
        if prediction.shape[-1:] == (2,) and is_label(prediction, target):
            check_classes(prediction, target)
        elif np.shape(target) == prediction.shape and (prediction.ndim == 1 or prediction.shape[-1:] == (1,)):
            check_binary(prediction, target)
        else:
            raise_error(
                "AUC takes one score a sample and a target of its shape, or scores of two classes and labels",
                f"got prediction {describe(prediction)} and target {describe(jnp.asarray(target))}",
                "one class against the rest: a column of the scores",
            )

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> jax.Array:
        """Return the weights of negatives and positives at each score, (2, 65536)."""
        score, target = arrays(prediction, target, weight)
        if is_label(score, target):
            score, label = score[..., 1] - score[..., 0], whole(target)
        else:
            score, label = (a if a.ndim == 1 else a[..., 0] for a in (score, yes(score, target)))
        known = in_range(label, 2) & (score == score)
        mass = jnp.ones_like(score) if weight is None else spread_weight(weight, score.shape, score.dtype)
        mass = jnp.where(mass == 0, 0, mass + nan_unless(known, mass.dtype))
        return jnp.zeros((2, 2**16), mass.dtype).at[(label == 1).astype(jnp.int32), _place(score)].add(mass)

    def value(self, sums: jax.Array) -> jax.Array:
        """Return the share of pairs in the right order."""
        negative, positive = sums / jnp.sum(sums, axis=-1, keepdims=True)
        return jnp.sum(positive * (jnp.cumsum(negative) - negative / 2))


def _place(score: jax.Array) -> jax.Array:
    """Round to float16 and number the numbers of that type from the least to the largest."""
    short = jnp.clip(score, -_LARGEST, _LARGEST).astype(jnp.float16)
    bits = jax.lax.bitcast_convert_type(jnp.where(short == 0, 0, short), jnp.uint16).astype(jnp.int32)
    return jnp.where(bits < 2**15, bits + 2**15, 2**16 - 1 - bits)


CASES = (
    Case("known", AUC(), ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 0.75, None, "three of four pairs"),
    Case("known", AUC(), ([0.5, 0.5, -0.5], [0, 1, 0], [1.0, 1.0, 3.0]), 0.875, None, "(1/2 + 3)/4"),
    Case("known", AUC(), ([[0.0, 1.0], [2.0, 2.5], [1.0, -3.0]], [1, 0, 0]), 1.0, None, "1 against 0.5 and −4"),
    Case("extreme", AUC(), ([[-np.inf], [np.inf], [-0.0], [0.0]], [[0], [1], [0], [1]]), 0.875, None, "(3 + 1/2)/4"),
)
