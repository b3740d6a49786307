r"""Classification targets: whole-number labels or distributions over the classes, told apart by their shape.

Against predictions of shape (…, K) a target of shape (…,) holds labels 0 … K−1 of an integer dtype, and a target of
shape (…, K) holds distributions of a floating dtype. Labels are looked up by comparing with 0 … K−1: on every
platform faster than a gather or scatter.

Labels that are known when the loss is called are checked; under `jit` a label out of range makes its loss NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, is_concrete, raise_error


def is_label(prediction: jax.Array, target: Any) -> bool:
    """Tell whether the target holds labels, going by its rank."""
    return bool(np.ndim(target) == prediction.ndim - 1)


def check_classes(prediction: jax.Array, target: Any) -> jax.Array:
    """Require labels of an integer dtype in range, or distributions; return the target as an array."""
    shape, wanted = np.shape(target), f"labels {prediction.shape[:-1]} or distributions {prediction.shape}"
    if prediction.ndim == 0:
        raise_error("the prediction must hold a score for each class", "got a scalar", "shape (samples, classes)")
    if shape not in (prediction.shape, prediction.shape[:-1]):
        raise_error(
            f"the target must be {wanted}",
            f"got {describe(jnp.asarray(target))}",
            "target.squeeze(-1) for labels in a column"
            if shape == (*prediction.shape[:-1], 1)
            else "one label a sample",
        )
    target = jnp.asarray(target)
    whole = jnp.issubdtype(target.dtype, jnp.integer)
    if is_label(prediction, target):
        if not whole:
            raise_error("labels must be whole numbers", f"got {describe(target)}", "target.astype(int)", TypeError)
        check_label_range(target, prediction.shape[-1])
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
            else "weight 0 for samples to be left out, and any label in range",
        )


def distribution(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return the target as distributions: labels become one-hot rows, NaN where out of range."""
    if not is_label(prediction, target):
        return target
    classes = prediction.shape[-1]
    known = (target >= 0) & (target < classes)
    row = (target[..., None] == jnp.arange(classes, dtype=target.dtype)[(None,) * target.ndim]).astype(prediction.dtype)
    return jnp.where(known[..., None], row, jnp.asarray(jnp.nan, prediction.dtype))


def times_log(t: jax.Array, logarithm: jax.Array) -> jax.Array:
    """Return t · log q with 0 · log 0 = 0."""
    return jnp.where(t == 0, 0, t * jnp.where(t == 0, 0, logarithm))


def correct_class(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return 1 where the largest prediction stands at the label (or at the largest target), else 0."""
    label = target if is_label(prediction, target) else jnp.argmax(target, axis=-1)
    found = jnp.argmax(prediction, axis=-1)
    return (found == label.astype(found.dtype)).astype(prediction.dtype)


def floor_probability(q: jax.Array) -> jax.Array:
    """Read a probability as at least the smallest normal number, so that its logarithm and reciprocal are finite."""
    return jnp.maximum(q, jnp.finfo(q.dtype).tiny)
