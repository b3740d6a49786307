r"""Weights of samples by their classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from funcnet.arrays import as_array
from funcnet.errors import describe, near_misses, raise_error, shown


def sample_weight(y: Any, class_weight: Any = "balanced") -> np.ndarray:
    r"""Weigh each sample by its class, for `fn.train(experiment, (x, y, weight))`, sweeps and `fn.evaluate`.

    "balanced" gives a class with m of n samples, one of K classes, the weight n/(K m): all classes weigh alike in all,
    and the mean weight is 1.

    Args:
        y: class labels (samples,): whole numbers, bools or text.
        class_weight: "balanced", or a dictionary from labels to weights of at least 0; a class not in it weighs 1.

    Returns:
        float32 (samples,).

    Raises:
        ValueError, TypeError: for labels that are none, a label that no sample has, or a weight below 0.

    >>> import funcnet as fn
    >>> print(fn.data.sample_weight([0, 0, 0, 1]), fn.data.sample_weight(["no", "yes"], {"yes": 5.0}))
    [0.6666667 0.6666667 0.6666667 2.       ] [1. 5.]

    """
    labels = np.asarray(as_array(y, "y", text=True))
    if labels.ndim != 1 or labels.dtype.kind not in "iubU" or not len(labels):
        must = "y must hold class labels of shape (n,), whole numbers or text"
        raise_error(must, f"got {describe(labels)}", "y.astype(np.int32).ravel()")
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if isinstance(class_weight, str) and class_weight == "balanced":
        return (len(labels) / (len(classes) * counts))[place].astype(np.float32)
    if not isinstance(class_weight, Mapping):
        attempt = '"balanced" or {label: weight}'
        raise_error("class_weight must be a dictionary", f"got {describe(class_weight)}", attempt, TypeError)
    names, weights = classes.tolist(), np.ones(len(classes), np.float32)
    for label, weight in class_weight.items():
        plain = label.item() if isinstance(label, np.generic) else label
        if plain not in names:
            must, attempt = "class_weight must have labels that occur in y", f"one of {near_misses(plain, names)}"
            raise_error(must, f"got {shown(plain)}", attempt)
        if isinstance(weight, bool) or not isinstance(weight, (int, float, np.number)) or not 0 <= weight < np.inf:
            raise_error("weights must be finite numbers of at least 0", f"got {describe(weight)}", "1.0")
        weights[names.index(plain)] = weight
    return weights[place]
