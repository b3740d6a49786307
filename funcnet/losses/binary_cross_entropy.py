r"""Binary cross-entropy from probabilities.

Forward    e = −(t log q + (1 − t) log(1 − q));   l = (1/k) Σⱼ eⱼ
Backward   dq = ((1 − t)/(1 − q) − t/q) dl / k

Derivation. d(−log q)/dq = −1/q, d(−log(1 − q))/dq = 1/(1 − q). A term whose factor is 0 costs nothing: 0 · log 0 = 0.

Shapes     q, t: (…, k), equal; t is 0 or 1 or a probability; a rank-1 q is n samples of one output.
Extremes   q is read as at least the smallest normal number and 1 − q as at least the distance from 1 to the number
           below it (6e−8 in float32), so that value and gradient are finite, and stay so behind a saturated sigmoid,
           whose derivative is q (1 − q). Networks should end in logits and use `SigmoidCrossEntropy`, which loses no
           digits where q is close to 1.
Source     Article B3.4; the two-class case of cross-entropy.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.losses.logarithms import check_probabilities, floor_probability, times_log
from funcnet.metrics import Accuracy, Metric
from funcnet.records import record
from funcnet.targets import check_binary


@record
class BinaryCrossEntropy(OutputLoss):
    r"""−(t log q + (1 − t) log(1 − q)), from probabilities q.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.BinaryCrossEntropy()(jnp.asarray([0.5, 0.5]), jnp.asarray([0, 1])))  # log 2
    0.6931472
    """

    PROBABILITIES: ClassVar[bool] = True
    FORMULA: ClassVar[str] = "-(t * log(p) + (1 - t) * log(1 - p))"
    DERIVATIVE: ClassVar[str] = "(1 - t) / (1 - p) - t / p"

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require probabilities, and targets in [0, 1] of their shape."""
        check_probabilities(prediction)
        return super().check_target(prediction, check_binary(prediction, target))

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Return the loss of each output, and t with the floored q and 1 − q."""
        q, rest = floor_probability(prediction), jnp.maximum(1 - prediction, jnp.finfo(prediction.dtype).epsneg)
        # log1p(−q) keeps the digits of a small q that 1 − q would round away.
        log_rest = jnp.where(prediction < 0.5, jnp.log1p(-jnp.minimum(prediction, 0.5)), jnp.log(rest))
        return -(times_log(target, jnp.log(q)) + times_log(1 - target, log_rest)), (target, q, rest)

    def element_backward(self, saved: tuple[jax.Array, ...]) -> jax.Array:
        """Return (1 − t)/(1 − q) − t/q."""
        t, q, rest = saved
        return (1 - t) / rest - t / q

    def probabilities(self, prediction: jax.Array) -> jax.Array:
        """Return the prediction itself."""
        return prediction

    def metrics(self) -> tuple[Metric, ...]:
        """Return the accuracy by probabilities on their side of ½."""
        return (Accuracy(threshold=0.5),)


CASES = (
    Case("ordinary", BinaryCrossEntropy(), ([[0.3, 0.8]], [[1.0, 0.25]])),
    Case("batch", BinaryCrossEntropy(), ([[0.3, 0.8], [0.5, 0.9], [0.1, 0.2]], [[1.0, 0.0], [0.0, 1.0], [0.3, 1.0]])),
    Case("batch", BinaryCrossEntropy(), ([0.3, 0.6, 0.2], [1, 0, 1], [1.0, 0.0, 3.0])),
    Case("extreme", BinaryCrossEntropy(), ([1.0, 0.0], [1.0, 0.0]), 0.0, [-0.5, 0.5], "0 · log 0 = 0"),
    Case("extreme", BinaryCrossEntropy(), ([1.0, 0.0], [0.0, 1.0]), None, None, "finite where the truth is infinite"),
    Case("known", BinaryCrossEntropy(), ([0.5, 0.5], [0, 1]), float(np.log(2)), [1.0, -1.0], "(±1/½)/2"),
)
