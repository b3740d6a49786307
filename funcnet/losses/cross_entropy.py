r"""Cross-entropy from probabilities.

Forward    l = −Σₖ tₖ log qₖ
Backward   dqₖ = −(tₖ/qₖ) dl

Derivation. ∂(−tₖ log qₖ)/∂qₖ = −tₖ/qₖ, and a class with tₖ = 0 costs nothing whatever its q: 0 · log 0 = 0.

Shapes     q: (…, K), non-negative; t: labels (…,) or distributions (…, K); l: (…,).
Extremes   q is read as at least the smallest normal number of its dtype (1.2e−38 in float32), so that a probability
           that has underflowed to 0 costs 87.3 instead of infinity and its gradient is finite. Networks should end in
           logits and use `SoftmaxCrossEntropy`, which never underflows.
Source     Article B3.4, with t and q in their right places (see the errata).
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.losses.base import Loss
from funcnet.losses.logarithms import check_probabilities, floor_probability, times_log
from funcnet.metrics import Accuracy, Metric
from funcnet.records import record
from funcnet.targets import check_classes, distribution


@record
class CrossEntropy(Loss):
    r"""−Σ t log q, from probabilities q.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.CrossEntropy()(jnp.asarray([[0.25, 0.75]]), jnp.asarray([0])))  # log 4
    1.3862944
    """

    PROBABILITIES: ClassVar[bool] = True
    FORMULA: ClassVar[str] = "-sum(t[k] * log(p[k]) for k in range(K) if t[k])"

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require probabilities, and labels in range or distributions."""
        check_probabilities(prediction)
        return check_classes(prediction, target)

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return l, and t and the floored q."""
        t, q = distribution(prediction, target), floor_probability(prediction)
        return -jnp.sum(times_log(t, jnp.log(q)), axis=-1), (t, q)

    def sample_losses_backward(self, saved: tuple[jax.Array, jax.Array], dl: jax.Array) -> jax.Array:
        """Return dq = −(t/q) dl."""
        t, q = saved
        return -(t / q) * dl[..., None]

    def probabilities(self, prediction: jax.Array) -> jax.Array:
        """Return the prediction itself."""
        return prediction

    def metrics(self) -> tuple[Metric, ...]:
        """Return the accuracy."""
        return (Accuracy(),)


_Q = [[0.2, 0.5, 0.3], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]
CASES = (
    Case("ordinary", CrossEntropy(), ([[0.2, 0.5, 0.3]], [2])),
    Case("batch", CrossEntropy(), (_Q, [2, 0, 1])),
    Case("batch", CrossEntropy(), (_Q, [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [1.0, 0.0, 2.5])),
    Case("extreme", CrossEntropy(), ([[1.0, 0.0]], [0]), 0.0, [[-1.0, 0.0]], "0 · log 0 = 0"),
    Case("known", CrossEntropy(), ([[0.25, 0.75]], [0]), float(np.log(4)), [[-4.0, 0.0]], "−1/q"),
)
