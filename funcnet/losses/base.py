r"""What a loss is: a mean over weighted samples of what each sample costs, with its gradient by hand.

A concept file says what one sample costs, l, and how dl flows back into its prediction. This file does what all
losses share: the checks at the door, the weights and the reduction, once.

Forward    value = Σᵢ wᵢ lᵢ / Σᵢ wᵢ cᵢ        (`reduction="mean"`, the default)
           value = Σᵢ wᵢ lᵢ                   (`reduction="sum"`)
           value = (wᵢ lᵢ)ᵢ                   (`reduction="none"`, one value a sample)
Backward   dlᵢ = wᵢ dvalue / Σⱼ wⱼ cⱼ,  wᵢ dvalue,  or  wᵢ dvalueᵢ

Without weights wᵢ = 1, so that the mean is (1/n) Σ lᵢ. cᵢ is 1 except under class weights, where it is the weight
of the sample's class. A sample of weight 0 takes no part, even if its loss is infinite or NaN; if all weights are 0,
value and gradient are 0.

Sixteen-bit predictions are computed in float32; the value is then float32 and dprediction has the prediction's dtype.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import check_floating, describe, is_concrete, raise_error
from funcnet.records import choice, record


@record
class Loss:
    r"""Base of all losses.

    `FORMULA` states what one sample costs, for the tests to evaluate in arbitrary precision: of a loss over classes
    as a Python expression over the lists p and t (a distribution), their length K and the fields; of an `OutputLoss`
    see there.
    """

    FORMULA: ClassVar[str]
    # Whether predictions are classes, so that an accuracy can be reported.
    CLASSIFIES: ClassVar[bool] = False

    reduction: str = choice(default="mean", options=("mean", "sum", "none"), kw_only=True)

    def __call__(self, prediction: jax.Array, target: Any, weight: Any = None) -> jax.Array:
        """Evaluate the loss."""
        return self.forward(prediction, target, weight)[0]

    def forward(self, prediction: jax.Array, target: Any, weight: Any = None) -> tuple[jax.Array, Any]:
        """Return the value and what `backward` needs."""
        check_floating(prediction, "the prediction")
        prediction = jnp.asarray(prediction)
        # An array without elements carries the dtype that dprediction must have.
        like = jnp.zeros((0,), prediction.dtype)
        if jnp.finfo(prediction.dtype).bits <= 16:
            prediction = prediction.astype(jnp.float32)
        target = self.check_target(prediction, target)
        losses, inner = self.sample_losses(prediction, target)
        mass = self.class_mass(prediction, target)
        weight = _check_weight(weight, losses)
        if weight is None and mass is None:
            scale = jnp.asarray(1 / max(losses.size, 1) if self.reduction == "mean" else 1.0, losses.dtype)
            parts = losses * scale if self.reduction == "none" else losses
            value = parts if self.reduction == "none" else jnp.sum(losses) * scale
            return value, (inner, jnp.broadcast_to(scale, losses.shape), like)
        scale = jnp.ones_like(losses) if weight is None else weight
        if self.reduction == "mean":
            total = jnp.sum(scale if mass is None else scale * mass)
            scale = jnp.where(total > 0, scale / jnp.where(total > 0, total, 1), 0)
        parts = jnp.where(scale == 0, 0, scale * jnp.where(scale == 0, 0, losses))
        value = parts if self.reduction == "none" else jnp.sum(parts)
        return value, (inner, scale, like)

    def backward(self, saved: Any, dvalue: Any = 1.0) -> jax.Array:
        """Return dprediction."""
        inner, scale, like = saved
        dvalue = jnp.asarray(dvalue, scale.dtype)
        if dvalue.shape != (scale.shape if self.reduction == "none" else ()):
            raise_error("dvalue must have the shape of the value", f"got {describe(dvalue)}", "one number a value")
        return self.sample_losses_backward(inner, scale * dvalue).astype(like.dtype)

    def count(self, prediction: jax.Array, target: Any, weight: Any = None) -> jax.Array:
        """Return Σ wᵢ cᵢ, by which the mean divides: with it, means over batches combine into the mean over all."""
        mass = self.class_mass(prediction, jnp.asarray(target))
        if mass is None:
            mass = jnp.ones(prediction.shape[:-1] if prediction.ndim > 1 or self.CLASSIFIES else prediction.shape)
        mass = mass.astype(prediction.dtype)
        return jnp.sum(mass if weight is None else mass * jnp.asarray(weight, mass.dtype))

    def sample_losses(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
        """Return what each sample costs, and what the backward needs."""
        raise NotImplementedError

    def sample_losses_backward(self, saved: Any, dl: jax.Array) -> jax.Array:
        """Return dprediction from dl, one number a sample."""
        raise NotImplementedError

    def class_mass(self, prediction: jax.Array, target: jax.Array) -> jax.Array | None:
        """Return cᵢ, the class weight of each sample, where the loss has such weights."""
        return None

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Check the target against the prediction and return it as an array."""
        raise NotImplementedError

    def correct(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return the share of right decisions in each sample, for losses that classify."""
        raise NotImplementedError


@record
class OutputLoss(Loss):
    r"""A loss that compares each output with its own target and averages over the outputs of a sample.

    l = (1/k) Σⱼ e(predictionⱼ, targetⱼ) over the last axis of length k. A prediction of rank 1 is n samples of one
    output. Prediction and target have equal shapes: nothing is broadcast.

    `FORMULA` and `DERIVATIVE` state e and ∂e/∂p over `p`, `t` and the fields, in SymPy's syntax, for the tests.
    """

    DERIVATIVE: ClassVar[str]

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
        """Return e for each output and what the backward needs."""
        raise NotImplementedError

    def element_backward(self, saved: Any) -> jax.Array:
        """Return ∂e/∂prediction for each output."""
        raise NotImplementedError

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
        if np.shape(target) != prediction.shape:
            _raise_shape(prediction, target)
        check_floating(target if np.ndim(target) else jnp.asarray(target), "the target")
        return jnp.asarray(target).astype(prediction.dtype)


def _raise_shape(prediction: jax.Array, target: Any) -> None:
    n = np.shape(target)
    if len(n) == prediction.ndim - 1 and prediction.shape[:-1] == n and prediction.shape[-1] > 1:
        attempt = "SoftmaxCrossEntropy for labels, or one target for each output"
    elif sorted((*prediction.shape, 1)) == sorted((*n, 1)) or prediction.size == np.size(target):
        attempt = f"target.reshape({prediction.shape}) if its numbers stand in that order"
    else:
        attempt = "a network whose last width is the number of outputs, and one target row a sample"
    raise_error(
        "prediction and target must have the same shape",
        f"got prediction {describe(prediction)} and target {describe(jnp.asarray(target))}",
        attempt,
    )


def _check_weight(weight: Any, losses: jax.Array) -> jax.Array | None:
    if weight is None:
        return None
    if np.shape(weight) != losses.shape:
        raise_error(
            f"weight must hold one number a sample, shape {losses.shape}",
            f"got {describe(jnp.asarray(weight))}",
            "a weight for each sample, or None",
        )
    check_floating(weight, "weight")
    if is_concrete(weight):
        numbers = np.asarray(weight)
        if not (np.all(np.isfinite(numbers)) and np.all(numbers >= 0)):
            raise_error("weight must be finite and at least 0", f"got {numbers}", "0 to leave a sample out")
    return jnp.asarray(weight).astype(losses.dtype)
