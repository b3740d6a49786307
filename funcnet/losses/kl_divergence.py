r"""Kullback–Leibler divergence, in both directions, from probabilities or from log-probabilities.

Forward    KL(t‖q) = Σₖ tₖ (log tₖ − log qₖ)                       `reverse=False`, the default
           KL(q‖t) = Σₖ qₖ (log qₖ − log tₖ)                       `reverse=True`
Backward   from probabilities q:           dq = −(t/q) dl          and   dq = (log q − log t + 1) dl
           from log-probabilities a = log q: da = −t dl            and   da = q (a − log t + 1) dl

Derivation. Only −tₖ log qₖ depends on qₖ in the first; its slope is −tₖ/qₖ. In the second, d(q log q)/dq = log q + 1
and d(−q log t)/dq = −log t. With a = log q, dq/da = q multiplies both: −(t/q) q = −t, and q (a − log t + 1).

KL(t‖q) = CE(t, q) − H(t): the same gradient as cross-entropy, shifted by the entropy of the targets.

Shapes     q or a: (…, K); t: labels (…,) or distributions (…, K); l: (…,), summed over the classes.
Extremes   0 · log 0 = 0, and a term with factor 0 has gradient 0, never NaN. q and t under a logarithm are read as at
           least the smallest normal number of the dtype, so that value and gradient are finite; a from −inf up.
Source     Article B3.4; Kullback & Leibler 1951.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.errors import is_concrete, raise_error
from funcnet.losses.base import Loss
from funcnet.losses.logarithms import check_probabilities, floor_probability, times_log
from funcnet.metrics import Accuracy, Metric
from funcnet.records import choice, record
from funcnet.targets import check_classes, distribution


@record
class KLDivergence(Loss):
    r"""KL(target‖prediction), or KL(prediction‖target) with `reverse=True`, from probabilities.

    Args:
        reverse: whether the divergence is of the target from the prediction, KL(q‖t), in the place of KL(t‖q).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> q, t = jnp.asarray([[0.5, 0.5]]), jnp.asarray([[0.25, 0.75]])
    >>> print(f"{fn.KLDivergence()(q, t):.6f} {fn.KLDivergence(reverse=True)(q, t):.6f}")
    0.130812 0.143841

    """

    reverse: bool = choice(default=False, options=(False, True))

    PROBABILITIES: ClassVar[bool] = True
    FORMULA: ClassVar[str] = (
        "sum(p[k] * log(p[k] / t[k]) for k in range(K) if p[k])"
        " if reverse else sum(t[k] * log(t[k] / p[k]) for k in range(K) if t[k])"
    )

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require probabilities, and labels in range or distributions."""
        check_probabilities(prediction)
        return check_classes(prediction, target)

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Return the divergence, and t with the floored q."""
        t, q = distribution(prediction, target), floor_probability(prediction)
        ratio = jnp.log(q) - jnp.log(floor_probability(t))
        terms = times_log(prediction, ratio) if self.reverse else -times_log(t, ratio)
        return jnp.sum(terms, axis=-1), (t, q)

    def sample_losses_backward(self, saved: tuple[jax.Array, ...], dl: jax.Array) -> jax.Array:
        """Return dq = −(t/q) dl, or (log q − log t + 1) dl."""
        t, q = saved
        slope = jnp.log(q) - jnp.log(floor_probability(t)) + 1 if self.reverse else -(t / q)
        return slope * dl[..., None]

    def metrics(self) -> tuple[Metric, ...]:
        """Return the accuracy."""
        return (Accuracy(),)


@record
class LogKLDivergence(KLDivergence):
    r"""The same divergences of predictions that are log-probabilities, as `LogSoftmax` gives them.

    Args:
        reverse: whether the divergence is of the target from the prediction, KL(q‖t), in the place of KL(t‖q).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(f"{fn.LogKLDivergence()(jnp.log(jnp.asarray([[0.5, 0.5]])), jnp.asarray([[0.25, 0.75]])):.6f}")
    0.130812

    """

    FORMULA: ClassVar[str] = (
        "sum(exp(p[k]) * (p[k] - log(t[k])) for k in range(K) if p[k] > -inf)"
        " if reverse else sum(t[k] * (log(t[k]) - p[k]) for k in range(K) if t[k])"
    )

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require log-probabilities, and labels in range or distributions."""
        if is_concrete(prediction) and prediction.size and np.any(np.asarray(prediction, np.float64) > 1e-2):
            raise_error(
                "predictions must be log-probabilities, at most 0",
                f"got a largest number of {np.max(np.asarray(prediction, np.float64)):g}",
                "a log-softmax at the end of the network, or KLDivergence for probabilities",
            )
        return check_classes(prediction, target)

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Return the divergence, and t with the log-probabilities."""
        t = distribution(prediction, target)
        ratio = prediction - jnp.log(floor_probability(t))
        terms = times_log(jnp.exp(prediction), ratio) if self.reverse else -times_log(t, ratio)
        return jnp.sum(terms, axis=-1), (t, prediction)

    def sample_losses_backward(self, saved: tuple[jax.Array, ...], dl: jax.Array) -> jax.Array:
        """Return da = −t dl, or q (a − log t + 1) dl."""
        t, a = saved
        if not self.reverse:
            return -t * dl[..., None]
        return times_log(jnp.exp(a), a - jnp.log(floor_probability(t)) + 1) * dl[..., None]


_Q = [[0.2, 0.5, 0.3], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]
_T = [[0.2, 0.3, 0.5], [0.25, 0.25, 0.5], [0.6, 0.1, 0.3]]
_A = np.log(np.asarray(_Q)).tolist()
CASES = (
    Case("ordinary", KLDivergence(), ([[0.2, 0.5, 0.3]], [[0.1, 0.1, 0.8]])),
    Case("batch", KLDivergence(), (_Q, _T)),
    Case("batch", KLDivergence(reverse=True), (_Q, _T, [1.0, 0.0, 2.5])),
    Case("batch", LogKLDivergence(), (_A, _T, [1.0, 0.0, 2.5])),
    Case("batch", LogKLDivergence(reverse=True), (_A, _T)),
    Case("extreme", KLDivergence(), ([[1.0, 0.0]], [[1.0, 0.0]]), 0.0, [[-1.0, 0.0]], "0 · log 0 = 0"),
    Case("extreme", KLDivergence(reverse=True), ([[1.0, 0.0]], [[0.5, 0.5]]), float(np.log(2)), None, "q = 0 costs 0"),
    Case("extreme", LogKLDivergence(), ([[0.0, -1e4]], [[1.0, 0.0]]), 0.0, [[-1.0, 0.0]], "a class ruled out"),
    Case(
        "extreme",
        LogKLDivergence(reverse=True),
        ([[0.0, -np.inf]], [[0.5, 0.5]]),
        float(np.log(2)),
        None,
        "q = 0 costs 0",
    ),
    Case(
        "known",
        KLDivergence(),
        ([[0.5, 0.5]], [[0.25, 0.75]]),
        0.75 * float(np.log(3)) - float(np.log(2)),
        [[-0.5, -1.5]],
        "¼ log ½ + ¾ log 3/2",
    ),
    Case(
        "known",
        KLDivergence(reverse=True),
        ([[0.5, 0.5]], [[0.25, 0.75]]),
        float(np.log(2)) - 0.5 * float(np.log(3)),
        [[float(np.log(2)) + 1, float(np.log(2 / 3)) + 1]],
        "½ log 2 + ½ log 2/3",
    ),
)
