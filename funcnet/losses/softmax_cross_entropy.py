r"""Softmax with cross-entropy, fused, from logits.

Forward    q = softmax(z),   t′ = (1 − α) t + α/K,   l = −Σₖ cₖ t′ₖ log qₖ
Backward   dz = (q Σₖ cₖ t′ₖ − c ∘ t′) dl;   without class weights, and with t a distribution: dz = (q − t′) dl

Derivation. log qₖ = zₖ − log Σⱼ e^{zⱼ}, so ∂ log qₖ/∂zⱼ = [j = k] − qⱼ. Hence
∂l/∂zⱼ = −Σₖ cₖ t′ₖ ([j = k] − qⱼ) = qⱼ Σₖ cₖ t′ₖ − cⱼ t′ⱼ. Dividing by q never happens: that is why it is fused.

Class weights c enter each sample's l, and the mean is divided by Σᵢ wᵢ cᵢ with cᵢ = Σₖ cₖ tᵢₖ, the weight of its own
class (as PyTorch does for labels); with c = 1 that is the plain mean. A sample whose label is to be ignored has
weight 0, smoothing included: its logits are not looked at.

Shapes     z: (…, K); t: labels (…,) or distributions (…, K); l: (…,).
Extremes   log q is taken after subtracting the largest logit: finite at ±1e4. A logit of −inf is a class ruled out:
           finite while its target is 0.
Source     Article B3.4 (which swaps p and q, and calls it a likelihood ratio: see the errata);
           label smoothing: Szegedy et al. 2016, section 7.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.activations.softmax import Softmax
from funcnet.arrays import as_array
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.losses.base import Loss
from funcnet.losses.logarithms import times_log
from funcnet.metrics import Accuracy, Metric
from funcnet.records import Number, Vector, cast, choice, number, record
from funcnet.targets import check_classes, distribution, relative_weight


@record
class SoftmaxCrossEntropy(Loss):
    r"""−Σ t log softmax(z), from logits z.

    Args:
        label_smoothing: the share α of each target that is spread over all classes; 0 for none, 0.1 is usual.
        class_weight: a positive number for each class, by which its samples count; None for equal ones.
        ignore: a label that is no class but says that a sample does not count, as weight 0 does: −100 is PyTorch's,
            a padding token's number another; None for none. Metrics beside this loss leave such samples out too.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.SoftmaxCrossEntropy()(jnp.zeros((2, 4)), jnp.asarray([0, 3])))  # log 4
    1.3862944
    >>> print(fn.SoftmaxCrossEntropy(ignore=-100)(jnp.zeros((2, 4)), jnp.asarray([0, -100])))  # the first alone
    1.3862944

    """

    label_smoothing: Number = number(default=0.0, at_least=0, below=1)
    class_weight: Vector | None = number(default=None, at_least=0, vector=True)
    ignore: int | None = choice(default=None, kw_only=True)

    FORMULA: ClassVar[str] = (
        "-sum(class_weight[k] * ((1 - label_smoothing) * t[k] + label_smoothing / K)"
        " * log(exp(p[k]) / sum(exp(p[j]) for j in range(K))) for k in range(K) if p[k] > -inf)"
    )

    def check_target(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Require labels in range or distributions, and one class weight a class."""
        check_class_weight(self.class_weight, prediction.shape[-1:])
        return check_classes(prediction, target)

    def __post_init__(self) -> None:
        if self.ignore is not None and not isinstance(self.ignore, int | np.integer):
            must, attempt = "ignore must be a label, a whole number", "ignore=-100"
            raise_error(must, f"got {describe(self.ignore)}", attempt, TypeError)

    def counted(self, target: Any, weight: Any) -> Any:
        """Return the weight, 0 where the label is to be ignored."""
        target = as_array(target, "the target")
        lead = np.shape(weight)
        if self.ignore is None or not jnp.issubdtype(target.dtype, jnp.integer) or lead != target.shape[: len(lead)]:
            return weight
        if not jnp.iinfo(target.dtype).min <= self.ignore <= jnp.iinfo(target.dtype).max:  # no label can be it
            return weight
        weight = np.float32(1) if weight is None else as_array(weight, "weight")
        there = (target != self.ignore).astype(weight.dtype)
        return weight.reshape(lead + (1,) * (there.ndim - len(lead))) * there

    def class_mass(self, prediction: jax.Array, target: jax.Array) -> jax.Array | None:
        """Return Σₖ cₖ tₖ: the class weight of each sample."""
        if self.class_weight is None:
            return None
        return distribution(prediction, target) @ self._class_weight(prediction)

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return l, and q and c ∘ t′: all that the backward needs, and no logits."""
        shifted = prediction - jnp.max(prediction, axis=-1, keepdims=True)
        exponential = jnp.exp(shifted)
        total = jnp.sum(exponential, axis=-1, keepdims=True)
        alpha = cast(self.label_smoothing, prediction)
        aim = (1 - alpha) * distribution(prediction, target) + alpha / prediction.shape[-1]
        if self.class_weight is not None:
            aim = aim * jnp.broadcast_to(self._class_weight(prediction), aim.shape)
        return -jnp.sum(times_log(aim, shifted - jnp.log(total)), axis=-1), (exponential / total, aim)

    def sample_losses_backward(self, saved: tuple[jax.Array, jax.Array], dl: jax.Array) -> jax.Array:
        """Return dz = (q Σₖ cₖ t′ₖ − c ∘ t′) dl."""
        q, aim = saved
        return (times_log(jnp.sum(aim, axis=-1, keepdims=True), q) - aim) * dl[..., None]

    def probabilities(self, prediction: jax.Array) -> jax.Array:
        """Return the softmax of the logits."""
        return Softmax()(prediction)

    def _class_weight(self, prediction: jax.Array) -> jax.Array:
        """Return c, in a mean divided by a number near the largest, so that no sum of them leaves the range."""
        relative = self.reduction == "mean"
        return cast(relative_weight(self.class_weight) if relative else self.class_weight, prediction)

    def metrics(self) -> tuple[Metric, ...]:
        """Return the accuracy."""
        return (Accuracy(),)


def check_class_weight(class_weight: Vector | None, classes: tuple[int, ...]) -> None:
    """Require one class weight for each class."""
    if class_weight is not None and np.shape(class_weight)[-1:] != classes:
        raise_error(
            f"class_weight must hold one number a class, shape {classes}",
            f"got shape {np.shape(class_weight)}",
            "a list of as many weights as the network has outputs",
        )


_LOGITS = [[0.2, -1.3, 0.9], [2.1, 0.4, -0.6], [-0.7, 0.1, 1.4], [0.0, 0.5, -2.0]]
_SOFT = [[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]]
CASES = (
    Case("ordinary", SoftmaxCrossEntropy(), ([[0.2, -1.3, 0.9]], [2])),
    Case("batch", SoftmaxCrossEntropy(), (_LOGITS, [2, 0, 1, 2])),
    Case("batch", SoftmaxCrossEntropy(), (_LOGITS, _SOFT)),
    Case("batch", SoftmaxCrossEntropy(0.1), (_LOGITS, [2, 0, 1, 2], [1.0, 0.5, 0.0, 2.0])),
    Case("batch", SoftmaxCrossEntropy(0.1, (0.5, 1.0, 2.0)), (_LOGITS, [2, 0, 1, 2])),
    Case("batch", SoftmaxCrossEntropy(0.0, (0.5, 1.0, 2.0)), (_LOGITS, _SOFT, [1.0, 0.5, 0.0, 2.0])),
    Case("batch", SoftmaxCrossEntropy(0.1, ignore=-100), (_LOGITS, [2, -100, 1, -100])),
    Case("extreme", SoftmaxCrossEntropy(ignore=1), ([[0.5, np.inf]], [1]), 0.0, [[0.0, 0.0]], "all ignored"),
    Case("extreme", SoftmaxCrossEntropy(), ([[1e4, -1e4]], [0]), 0.0, [[0.0, 0.0]], "limit"),
    Case("extreme", SoftmaxCrossEntropy(), ([[1e4, -1e4]], [1]), 2e4, [[1.0, -1.0]], "l = z₀ − z₁; q − t"),
    Case(
        "extreme",
        SoftmaxCrossEntropy(),
        ([[0.0, 0.0, -np.inf]], [0]),
        float(np.log(2)),
        [[-0.5, 0.5, 0.0]],
        "a class ruled out",
    ),
    Case("extreme", SoftmaxCrossEntropy(), ([[1.0, 2.0]], [0], [0.0]), 0.0, [[0.0, 0.0]], "all weights 0"),
    Case(
        "known",
        SoftmaxCrossEntropy(),
        ([[0.0, 0.0], [0.0, 0.0]], [0, 1]),
        float(np.log(2)),
        [[-0.25, 0.25], [0.25, -0.25]],
        "(½ − 1)/2",
    ),
    Case(
        "known",
        SoftmaxCrossEntropy(),
        ([[float(np.log(3)), 0.0]], [0]),
        float(np.log(4 / 3)),
        [[-0.25, 0.25]],
        "q = (¾, ¼)",
    ),
)
