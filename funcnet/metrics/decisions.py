r"""From scores to decisions, for the metrics that count them: the largest score, or each output against a threshold."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.targets import check_binary, check_classes, in_range, is_label, nan_unless, whole


def check_decisions(prediction: Any, target: Any, threshold: Any) -> None:
    """Require labels or distributions; with a threshold, a target in [0, 1] for each output."""
    if threshold is not None:
        if np.shape(target) != prediction.shape:
            raise_error(
                "with a threshold there must be one target, 0 or 1, for each output",
                f"got prediction {describe(prediction)} and target {describe(jnp.asarray(target))}",
                "threshold=None for labels of several classes",
            )
        check_binary(prediction, target)
        return
    if prediction.shape[-1:] == (1,) or (np.shape(target) == prediction.shape and prediction.ndim < 2):
        raise_error(
            "without a threshold there must be a score for each of several classes",
            f"got prediction {describe(prediction)}",
            "threshold=0.0 for logits, threshold=0.5 for probabilities",
        )
    check_classes(prediction, target)


def classes(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return the labels, which of a distribution is its largest entry."""
    return whole(target) if is_label(prediction, target) else jnp.argmax(target, axis=-1)


def right_class(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return 1 where the largest score stands at the label, else 0; NaN where a score is NaN or the label unknown."""
    label, top = classes(prediction, target), jnp.max(prediction, axis=-1)
    found = jnp.argmax(prediction, axis=-1)
    right = (found == label.astype(found.dtype)).astype(prediction.dtype)
    return right + nan_unless(in_range(label, prediction.shape[-1]) & (top == top), right.dtype)
