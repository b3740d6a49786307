r"""What a loss is: a mean over weighted samples of what each sample costs, with its gradient by hand.

A concept file says what one sample costs, l, and how dl flows back into its prediction. This file does what all
losses share: the checks at the door, the weights and the reduction, once.

Forward    value = Σᵢ wᵢ lᵢ / Σᵢ wᵢ cᵢ        (`reduction="mean"`, the default)
           value = Σᵢ wᵢ lᵢ                   (`reduction="sum"`)
           value = (wᵢ lᵢ)ᵢ                   (`reduction="none"`, one value a sample)
Backward   dlᵢ = wᵢ dvalue / Σⱼ wⱼ cⱼ,  wᵢ dvalue,  or  wᵢ dvalueᵢ

Without weights wᵢ = 1, so that the mean is (1/n) Σ lᵢ. cᵢ is 1 except under class weights, where it is the weight
of the sample's class. The shape of a weight is a prefix of the samples' shape: losses (batch, time) take weights
(batch,) or (batch, time), and the mean is over all of them.

A sample of weight 0 is not there: value and gradient are those of the batch without it, and its gradient is exactly 0,
even if its loss is infinite or NaN; its target may be NaN or a label out of range. If all weights are 0, value and
gradient are 0. Weights in a mean are relative: only their quotients count, so no sum of them leaves the range.

Sixteen-bit predictions are computed in float32; the value is then float32 and dprediction has the prediction's dtype.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.arrays import as_array
from funcnet.errors import check_floating, describe, raise_error
from funcnet.metrics.base import Metric
from funcnet.records import choice, record
from funcnet.targets import blank, check_outputs, spread_weight, wide


@record
class Loss(Metric):
    r"""Base of all losses. A loss is a metric too, one whose gradient is known.

    `FORMULA` states what one sample costs, for the tests to evaluate in arbitrary precision: of a loss over classes
    as a Python expression over the lists p and t (a distribution), their length K and the fields; of an `OutputLoss`
    see there.

    Args:
        reduction: "mean" over the samples, "sum", or "none" for each sample's own loss.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Brier(fn.Loss):
    ...     def sample_losses(self, prediction, target):
    ...         r = prediction - target
    ...         return jnp.sum(r * r, axis=-1), r
    ...     def sample_losses_backward(self, saved, dl):
    ...         return 2 * saved * dl[..., None]
    >>> p, t = jnp.float32([[0.5, 0.5], [0.75, 0.25]]), jnp.float32([[1.0, 0.0], [1.0, 0.0]])
    >>> print(Brier()(p, t), Brier(reduction="none")(p, t), bool(fn.check(Brier(), p, t)))
    0.3125 [0.5   0.125] True

    """

    FORMULA: ClassVar[str]
    LOWER_IS_BETTER: ClassVar[bool] = True
    PROBABILITIES: ClassVar[bool] = False  # whether predictions must be probabilities, and not logits

    reduction: str = choice(default="mean", options=("mean", "sum", "none"), kw_only=True)

    def __call__(self, prediction: jax.Array, target: Any, weight: Any = None) -> jax.Array:
        """Evaluate the loss."""
        return self.forward(prediction, target, weight)[0]

    def forward(self, prediction: jax.Array, target: Any, weight: Any = None) -> tuple[jax.Array, Any]:
        """Return the value and what `backward` needs."""
        check_floating(prediction, "the prediction")
        prediction, target = jnp.asarray(prediction), as_array(target, "the target")
        weight = self.counted(target, None if weight is None else as_array(weight, "weight"))
        # An array without elements carries the dtype that dprediction must have.
        like = jnp.zeros((0,), prediction.dtype)
        if jnp.finfo(prediction.dtype).bits <= 16:
            prediction = prediction.astype(jnp.float32)
        target = self.check_target(prediction, blank(target, weight))
        losses, inner = self.sample_losses(prediction, target)
        mass = self.class_mass(prediction, target)
        if weight is None and mass is None:
            scale = jnp.asarray(1 / max(losses.size, 1) if self.reduction == "mean" else 1.0, losses.dtype)
            parts = losses * scale if self.reduction == "none" else losses
            value = parts if self.reduction == "none" else jnp.sum(losses) * scale
            return value, (inner, jnp.broadcast_to(scale, losses.shape), like)
        mean = self.reduction == "mean"
        scale = jnp.ones_like(losses) if weight is None else spread_weight(weight, losses.shape, losses.dtype, mean)
        if mean:
            total = jnp.sum(scale if mass is None else scale * mass)
            # A total that is NaN is no total of 0: it shows.
            scale = jnp.where(total == 0, 0, scale / jnp.where(total == 0, 1, total))
        parts = jnp.where(scale == 0, 0, scale * jnp.where(scale == 0, 0, losses))
        value = parts if self.reduction == "none" else jnp.sum(parts)
        return value, (inner, scale, like)

    def backward(self, saved: Any, dvalue: Any = 1.0) -> jax.Array:
        """Return dprediction."""
        inner, scale, like = saved
        dvalue = jnp.asarray(dvalue, scale.dtype)
        if dvalue.shape != (scale.shape if self.reduction == "none" else ()):
            raise_error("dvalue must have the shape of the value", f"got {describe(dvalue)}", "one number a value")
        dprediction = self.sample_losses_backward(inner, scale * dvalue)
        # 0 · NaN is NaN: what has weight 0 is left out, not multiplied.
        there = (scale != 0).reshape(scale.shape + (1,) * (dprediction.ndim - scale.ndim))
        return jnp.where(there, dprediction, 0).astype(like.dtype)

    def total_weight(self, prediction: Any, target: Any, weight: Any = None) -> jax.Array:
        """Return Σ wᵢ cᵢ, by which the mean divides: with it, means over batches combine into the mean over all."""
        dtype, weight = wide(prediction.dtype), self.counted(target, weight)
        target = jnp.asarray(blank(target, weight))
        mass = self.class_mass(prediction, target)
        mass = jnp.ones(self.sample_shape(prediction), dtype) if mass is None else mass.astype(dtype)
        if weight is None:
            return jnp.sum(mass)
        scale = spread_weight(weight, mass.shape, dtype)
        return jnp.sum(jnp.where(scale == 0, 0, scale * mass))

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> tuple[jax.Array, jax.Array]:
        """Return Σ wᵢ lᵢ and Σ wᵢ cᵢ, as a metric does."""
        value, total = self(prediction, target, weight), self.total_weight(prediction, target, weight)
        return (value if self.reduction == "sum" else value * total.astype(value.dtype)), total

    def value(self, sums: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Return the loss that such sums amount to."""
        if self.reduction == "sum":
            return sums[0]
        return sums[0] / jnp.where(sums[1] == 0, 1, sums[1]).astype(sums[0].dtype)

    @property
    def scalar(self) -> bool:
        """Tell whether the loss is one number."""
        return self.reduction != "none"

    def metrics(self) -> tuple[Metric, ...]:
        """Return the metrics that are reported with this loss unless others are asked for."""
        return ()

    def probabilities(self, prediction: jax.Array) -> jax.Array:
        """Return the probabilities that a prediction stands for, for losses that know them."""
        raise_error(
            "probabilities need a loss of logits or probabilities",
            f"got {type(self).__name__}",
            "fn.SoftmaxCrossEntropy or fn.SigmoidCrossEntropy",
            TypeError,
        )

    def sample_shape(self, prediction: Any) -> tuple[int, ...]:
        """Return the shape of the losses: all axes of the prediction but the last."""
        return prediction.shape[:-1]

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
        """Return what each sample costs, and what the backward needs."""
        raise NotImplementedError

    def sample_losses_backward(self, saved: Any, dl: jax.Array) -> jax.Array:
        """Return dprediction from dl, one number a sample."""
        raise NotImplementedError

    def counted(self, target: Any, weight: Any) -> Any:
        """Return the weight of each sample, less those that the target itself leaves out."""
        return weight

    def class_mass(self, prediction: jax.Array, target: jax.Array) -> jax.Array | None:
        """Return cᵢ, the class weight of each sample, where the loss has such weights."""
        return None

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Check the target against the prediction, or its shape and dtype, and return it as an array."""
        return jnp.asarray(target)

    def check(self, prediction: Any, target: Any) -> None:
        """Check the target, as a metric does."""
        self.check_target(prediction, target)


@record
class OutputLoss(Loss):
    r"""A loss that compares each output with its own target and averages over the outputs of a sample.

    l = (1/k) Σⱼ e(predictionⱼ, targetⱼ) over the last axis of length k. A prediction of rank 1 is n samples of one
    output. Prediction and target have equal shapes: nothing is broadcast.

    `FORMULA` and `DERIVATIVE` state e and ∂e/∂p over `p`, `t` and the fields, in SymPy's syntax, for the tests.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Quartic(fn.OutputLoss):
    ...     def element(self, prediction, target):
    ...         r = prediction - target
    ...         return r**4, r
    ...     def element_backward(self, saved):
    ...         return 4 * saved**3
    >>> p, t = jnp.float32([[1.0], [3.0]]), jnp.float32([[0.0], [1.0]])
    >>> print(Quartic()(p, t), bool(fn.check(Quartic(), p, t)))
    8.5 True
    """

    DERIVATIVE: ClassVar[str]

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
        """Return e for each output and what the backward needs."""
        raise NotImplementedError

    def element_backward(self, saved: Any) -> jax.Array:
        """Return ∂e/∂prediction for each output."""
        raise NotImplementedError

    def sample_shape(self, prediction: Any) -> tuple[int, ...]:
        """Return the shape of the losses: all axes of the prediction but the last (at rank 2 or more)."""
        return prediction.shape[: max(len(prediction.shape) - 1, 1)]

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
        """Average e over the last axis (at rank 2 or more)."""
        elements, saved = self.element(prediction, target)
        return (jnp.mean(elements, axis=-1) if elements.ndim > 1 else elements), saved

    def sample_losses_backward(self, saved: Any, dl: jax.Array) -> jax.Array:
        """Return dl/k times the derivative of each output."""
        slope = self.element_backward(saved)
        return slope * (dl[..., None] / slope.shape[-1] if slope.ndim > 1 else dl)

    def kinks(self) -> tuple[tuple[float, float], ...]:
        """List (prediction − target, stated subgradient) for every residual at which e has no derivative."""
        return ()

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require equal shapes and a floating target."""
        return check_outputs(prediction, target)


def require_scalar(loss: Any) -> None:
    """Require a loss that is one number, as training does."""
    if not loss.scalar:
        raise_error("a loss to be trained on must give one number", 'got reduction="none"', 'reduction="mean"')
