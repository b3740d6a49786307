r"""Sigmoid with binary cross-entropy, fused, from logits.

Forward    e = −(b t′ log σ(z) + (1 − t′) log σ(−z)),   t′ = (1 − α) t + α/2;   l = (1/k) Σⱼ eⱼ
Backward   dz = ((1 − t′) σ(z) − b t′ σ(−z)) dl / k;   with b = 1: dz = (σ(z) − t′) dl / k

Derivation. log σ(z) = −softplus(−z) with derivative σ(−z), and log σ(−z) = −softplus(z) with derivative −σ(z). So
de/dz = −b t′ σ(−z) + (1 − t′) σ(z), and with b = 1 and σ(−z) = 1 − σ(z) that is σ(z) − t′.

b is `positive_weight`, the cost of a missed positive against that of a false alarm.

Shapes     z, t: (…, k), equal; t is 0 or 1 (of any integer dtype) or a probability; a rank-1 z is n samples.
Extremes   softplus(z) = max(z, 0) + log1p(e^{−|z|}): finite at any finite logit.
Source     Article B3.1 and B3.4; Cox 1958; for α: Szegedy et al. 2016, section 7, with two classes.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.activations.sigmoid import Sigmoid
from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.losses.logarithms import times_log
from funcnet.metrics import Accuracy, Metric
from funcnet.records import Number, cast, number, record
from funcnet.targets import check_binary


@record
class SigmoidCrossEntropy(OutputLoss):
    r"""−(t log σ(z) + (1 − t) log(1 − σ(z))), from logits z.

    Args:
        label_smoothing: the share α of each target that is moved to ½; 0 for none, 0.1 is usual.
        positive_weight: what a missed positive costs beside a false alarm; 1 for equal costs, negatives over
            positives to balance rare ones.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.SigmoidCrossEntropy()(jnp.zeros(2), jnp.asarray([0, 1])))  # log 2
    0.6931472

    """

    label_smoothing: Number = number(default=0.0, at_least=0, below=1)
    positive_weight: Number | None = number(default=None, at_least=0)

    FORMULA: ClassVar[str] = (
        "(positive_weight * ((1 - label_smoothing) * t + label_smoothing / 2)) * log(1 + exp(-p))"
        " + (1 - (1 - label_smoothing) * t - label_smoothing / 2) * log(1 + exp(p))"
    )
    DERIVATIVE: ClassVar[str] = (
        "(1 - (1 - label_smoothing) * t - label_smoothing / 2) / (1 + exp(-p))"
        " - positive_weight * ((1 - label_smoothing) * t + label_smoothing / 2) / (1 + exp(p))"
    )

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require labels 0 and 1, or probabilities, of the shape of the logits."""
        return super().check_target(prediction, check_binary(prediction, target))

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return the loss of each output, and the logits and smoothed targets."""
        alpha = cast(self.label_smoothing, prediction)
        aim = (1 - alpha) * target + alpha / 2
        tail = jnp.log1p(jnp.exp(-jnp.abs(prediction)))
        miss, alarm = jnp.maximum(-prediction, 0) + tail, jnp.maximum(prediction, 0) + tail
        return times_log(self._positive(aim), miss) + times_log(1 - aim, alarm), (prediction, aim)

    def element_backward(self, saved: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Return (1 − t′) σ(z) − b t′ σ(−z)."""
        z, aim = saved
        if self.positive_weight is None:
            return jax.lax.logistic(z) - aim
        return (1 - aim) * jax.lax.logistic(z) - self._positive(aim) * jax.lax.logistic(-z)

    def _positive(self, aim: jax.Array) -> jax.Array:
        return aim if self.positive_weight is None else cast(self.positive_weight, aim) * aim

    def probabilities(self, prediction: jax.Array) -> jax.Array:
        """Return the sigmoid of the logits."""
        return Sigmoid()(prediction)

    def metrics(self) -> tuple[Metric, ...]:
        """Return the accuracy by logits on their side of 0."""
        return (Accuracy(threshold=0.0),)


CASES = (
    Case("ordinary", SigmoidCrossEntropy(), ([[0.3, -1.2]], [[1.0, 0.25]])),
    Case(
        "batch", SigmoidCrossEntropy(), ([[0.3, -1.2], [2.0, 0.7], [-0.4, 1.1]], [[1.0, 0.0], [0.0, 1.0], [0.3, 1.0]])
    ),
    Case("batch", SigmoidCrossEntropy(0.2, 3.0), ([0.3, -1.2, 2.0], [1, 0, 1], [1.0, 0.0, 3.0])),
    Case("extreme", SigmoidCrossEntropy(), ([1e4, -1e4], [1.0, 0.0]), 0.0, [0.0, 0.0], "limit"),
    Case("extreme", SigmoidCrossEntropy(), ([1e4, -1e4], [0.0, 1.0]), 1e4, [0.5, -0.5], "|z|; (σ(z) − t)/2"),
    # Smooth at 0, but automatic differentiation through max(z, 0) and |z| is wrong there: a kink of the program.
    Case("kink", SigmoidCrossEntropy(), ([0.0, 0.0], [0, 1]), float(np.log(2)), [0.25, -0.25], "(½ − t)/2"),
    Case("known", SigmoidCrossEntropy(), ([float(np.log(3))], [1.0]), float(np.log(4 / 3)), [-0.25], "σ(log 3) = ¾"),
)
