r"""Targets and weights: what losses and metrics take beside a prediction.

Against predictions of shape (…, K) a target of shape (…,) holds labels 0 … K−1 of an integer dtype (or bool), and a
target of shape (…, K) holds distributions of a floating dtype. Labels are looked up by comparing with 0 … K−1: on every
platform faster than a gather or scatter.

Labels that are known when they arrive are checked; under `jit` a label out of range makes its sample NaN.

The shape of a weight is a prefix of the samples' shape: for samples (batch, time) a weight is (batch,) or
(batch, time). What has weight 0 is not there: its target is never looked at.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.arrays import as_array
from funcnet.errors import check_floating, describe, is_concrete, raise_error


def is_label(prediction: jax.Array, target: Any) -> bool:
    """Tell whether the target holds labels, going by its rank."""
    return bool(np.ndim(target) == prediction.ndim - 1)


def check_classes(prediction: jax.Array, target: Any) -> jax.Array:
    """Require labels of an integer dtype in range, or distributions; return the target as an array."""
    target = as_array(target, "the target")
    shape, wanted = np.shape(target), f"labels {prediction.shape[:-1]} or distributions {prediction.shape}"
    if prediction.ndim == 0:
        raise_error("the prediction must hold a score for each class", "got a scalar", "shape (samples, classes)")
    if shape not in (prediction.shape, prediction.shape[:-1]):
        raise_error(
            f"the target must be {wanted}",
            f"got {describe(target)}",
            "target.squeeze(-1) for labels in a column"
            if shape == (*prediction.shape[:-1], 1)
            else "one label a sample",
        )
    # NumPy's labels are read as they are: JAX would cut 64 bits to 32 where its 64-bit mode is off.
    numbers, target = target, jnp.asarray(target)
    if is_label(prediction, target):
        if not (jnp.issubdtype(target.dtype, jnp.integer) or target.dtype == jnp.bool_):
            raise_error("labels must be whole numbers", f"got {describe(target)}", "target.astype(int)", TypeError)
        check_label_range(numbers, prediction.shape[-1])
        return target
    if not jnp.issubdtype(target.dtype, jnp.floating):
        raise_error(
            "distributions must be of a floating dtype",
            f"got {describe(target)}",
            "labels, or target.astype(float)",
            TypeError,
        )
    if is_concrete(target):
        rows = np.asarray(target, np.float64)
        tolerance = 8 * float(jnp.finfo(target.dtype).eps) * max(shape[-1], 8)
        if not (np.all(rows >= 0) and np.allclose(rows.sum(-1), 1, rtol=0, atol=tolerance)):
            raise_error(
                "each distribution must be non-negative and sum to 1",
                f"got sums from {rows.sum(-1).min():g} to {rows.sum(-1).max():g}, smallest entry {rows.min():g}",
                "divide each row by its sum",
            )
    return target.astype(prediction.dtype)


def check_label_range(labels: Any, classes: int) -> None:
    """Require that known labels lie in 0 … classes − 1."""
    if not is_concrete(labels) or np.size(labels) == 0:
        return
    numbers = np.asarray(labels)
    bad = np.flatnonzero((numbers.ravel() < 0) | (numbers.ravel() >= classes))
    if bad.size:
        raise_error(
            f"labels must lie in 0 … {classes - 1}",
            f"got {numbers.ravel()[bad[0]]} at position {bad[0]} ({bad.size} of {numbers.size} out of range)",
            f"a network with {int(numbers.max()) + 1} outputs, or labels counted from 0"
            if numbers.min() >= 0
            else "weight 0 for samples to be left out",
        )


def check_binary(prediction: jax.Array, target: Any) -> jax.Array:
    """Require a target in [0, 1]; whole numbers 0 and 1 and booleans are labels and become floats."""
    target = jnp.asarray(as_array(target, "the target"))
    if is_concrete(target) and target.size:
        numbers = np.asarray(target, np.float64)
        if not (np.all(numbers >= 0) and np.all(numbers <= 1)):
            raise_error(
                "binary targets must lie in [0, 1]",
                f"got {describe(target)} from {numbers.min():g} to {numbers.max():g}",
                "labels 0 and 1 (for more classes: SoftmaxCrossEntropy)",
            )
    return target if jnp.issubdtype(target.dtype, jnp.floating) else target.astype(prediction.dtype)


def nan_unless(condition: jax.Array, dtype: Any) -> jax.Array:
    """Return 0 where the condition holds, else NaN; a program in which it holds makes none that `debug_nans` could see.

    It is no 0/0: LLVM, given the quotient of 0 and a truth value, drops the NaN in some products.
    """
    return jnp.where(condition, jnp.zeros((), dtype), jnp.nan)


def check_outputs(prediction: Any, target: Any) -> jax.Array:
    """Require one number of a floating dtype for each output; return the target as an array."""
    target = as_array(target, "the target")
    shape = np.shape(target)
    if shape != prediction.shape:
        if len(shape) == prediction.ndim - 1 and prediction.shape[:-1] == shape and prediction.shape[-1] > 1:
            attempt = "SoftmaxCrossEntropy for labels, or one target for each output"
        elif sorted((*prediction.shape, 1)) == sorted((*shape, 1)) or prediction.size == np.size(target):
            attempt = f"target.reshape({prediction.shape}) if its numbers stand in that order"
        else:
            attempt = "a network whose last width is the number of outputs, and one target row a sample"
        raise_error(
            "prediction and target must have the same shape",
            f"got prediction {describe(prediction)} and target {describe(target)}",
            attempt,
        )
    check_floating(target, "the target")
    return jnp.asarray(target).astype(prediction.dtype)


def whole(labels: jax.Array) -> jax.Array:
    """Return labels in at least 32 bits: in 8 bits class 256 would be class 0."""
    narrow = labels.dtype == jnp.bool_ or jnp.iinfo(labels.dtype).bits < 32
    return labels.astype(jnp.int32) if narrow else labels


def in_range(labels: jax.Array, classes: int) -> jax.Array:
    """Tell which labels lie in 0 … classes − 1."""
    return (labels >= 0) & (labels < classes)


def distribution(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return the target as distributions: labels become one-hot rows, NaN where out of range."""
    if not is_label(prediction, target):
        return target
    labels, classes = whole(target), prediction.shape[-1]
    row = labels[..., None] == jnp.arange(classes, dtype=labels.dtype)[(None,) * labels.ndim]
    return row.astype(prediction.dtype) + nan_unless(in_range(labels, classes), prediction.dtype)[..., None]


def blank(target: Any, weight: Any) -> Any:
    """Put a harmless target (label 0, even odds) wherever the weight is 0; what stood there is not looked at."""
    shape, lead = np.shape(target), np.shape(weight)
    if weight is None or lead != shape[: len(lead)]:
        return target
    absent = np.asarray(weight) == 0 if is_concrete(weight) else weight == 0
    if is_concrete(weight) and not absent.any():
        return target
    numpy = jnp if isinstance(target, jax.Array) or not is_concrete(weight) else np
    target = numpy.asarray(target)
    odds = 1 / shape[-1] if len(shape) > len(lead) and jnp.issubdtype(target.dtype, jnp.floating) else 0
    absent = absent.reshape(lead + (1,) * (len(shape) - len(lead)))
    return numpy.where(absent, numpy.asarray(odds, target.dtype), target)


def wide(dtype: Any) -> Any:
    """Return the dtype for sums over predictions of a floating dtype: itself, or float32 for 16 bits."""
    return dtype if jnp.finfo(dtype).bits > 16 else jnp.dtype(jnp.float32)


def relative_weight(weight: Any) -> Any:
    """Divide weights by a power of two near the largest: nothing is rounded, and sums of them stay in range."""
    if is_concrete(weight):
        numbers = np.asarray(weight, np.float64)
        return np.ldexp(numbers, -np.frexp(np.max(numbers, initial=0))[1])
    weight = weight.astype(wide(weight.dtype))
    bits = jnp.finfo(weight.dtype).nexp
    unit = jax.lax.reduce_precision(jnp.max(weight, initial=0) / 2, exponent_bits=bits, mantissa_bits=0)
    return weight / jnp.where(unit > 0, unit, 1)


def spread_weight(weight: Any, samples: tuple[int, ...], dtype: Any, relative: bool = False) -> jax.Array:
    """Return one weight for each sample from a weight for each of their leading axes.

    `relative` weights count by their quotients alone.
    """
    shape = np.shape(weight)
    if shape != samples[: len(shape)] or (samples and not shape):
        raise_error(
            f"weight must hold one number a sample: its shape must begin the samples' shape {samples}",
            f"got {describe(jnp.asarray(weight))}",
            "a weight for each sample, or None",
        )
    if is_concrete(weight) or not isinstance(weight, jax.Array):
        numbers = np.asarray(weight).astype(np.float64)
        if not (np.all(np.isfinite(numbers)) and np.all(numbers >= 0)):
            low, high = np.min(numbers), np.max(numbers)
            raise_error("weight must be finite and at least 0", f"got {low:g} to {high:g}", "0 to leave a sample out")
        weight = numbers
    # Truth values have no sums that leave the range.
    if relative and jnp.issubdtype(weight.dtype, jnp.floating):
        weight = relative_weight(weight)
    weight = jnp.asarray(weight, dtype).reshape(shape + (1,) * (len(samples) - len(shape)))
    return jnp.broadcast_to(weight, samples)
