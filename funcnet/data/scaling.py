r"""Scaling every feature by its mean and spread, measured on the training part alone."""

from typing import Any, NamedTuple

import numpy as np

from funcnet.errors import check_floating, describe, raise_error


class Standardized(NamedTuple):
    """The scaled arrays in the order given, and the means and scales of shape (features,).

    Attributes:
        arrays: the scaled arrays in the order given.
        means: (features,), taken off.
        scales: (features,), divided by.

    >>> import numpy as np, funcnet as fn
    >>> scaled = fn.data.standardize(np.array([[1.0], [3.0]]), np.array([[5.0]]))
    >>> train, test = scaled.arrays
    >>> new = (np.array([[4.0]]) - scaled.means) / scaled.scales  # data of another day, by the same rule
    >>> train.tolist(), test.tolist(), new.tolist()
    ([[-1.0], [1.0]], [[3.0]], [[2.0]])

    """

    arrays: tuple[np.ndarray, ...]
    means: np.ndarray
    scales: np.ndarray


def standardize(train: Any, *others: Any) -> Standardized:
    r"""Scale every column to mean 0 and variance 1 on `train`, and the others by the same numbers.

    x ↦ (x − m) / s, with m the mean and s the standard deviation (divided by n) of the column in `train`. A
    column that is constant in `train` has s = 1, so it becomes zero there and is never divided by rounding
    noise. The numbers are worked out in float64; each array returns in its own dtype, the means and scales in
    that of `train`.

    Raises `TypeError` unless every array is floating, `ValueError` unless all have shape (rows, features)
    with the same features, and finite numbers in at least one row.

    Args:
        train: (rows, features), which decides the numbers.
        *others: further arrays with the same features: validation, test.

    >>> import numpy as np, funcnet as fn
    >>> (train, test), means, scales = fn.data.standardize(np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[5.0, 8.0]]))
    >>> train.tolist(), test.tolist(), scales.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[3.0, 1.0]], [1.0, 1.0])

    """
    arrays = [np.asarray(array) for array in (train, *others)]
    for number, array in enumerate(arrays):
        name = f"others[{number - 1}]" if number else "train"
        check_floating(array, name)
        if array.ndim != 2 or not array.size or array.shape[1] != arrays[0].shape[1]:
            raise_error(
                f"{name} must have shape (rows, features) like train, and none of the two 0",
                f"got {describe(array)}" + (f" beside {describe(arrays[0])}" if number else ""),
                "x.reshape(len(x), -1)",
            )
        bad = np.argwhere(~np.isfinite(array))
        if bad.size:
            place = tuple(int(index) for index in bad[0])
            raise_error(
                f"{name} must be finite",
                f"{name}[{place[0]}, {place[1]}] is {array[place]}",
                "dropping that row",
            )
    wide = [array.astype(np.promote_types(array.dtype, np.float64)) for array in arrays]
    # Columns are divided by powers of two first, which is exact, so that no square leaves the range.
    _, powers = np.frexp(np.max(np.abs(wide[0]), axis=0))
    base = np.ldexp(wide[0], -powers)
    deviations = base.std(axis=0)
    constant = (base.max(axis=0) == base.min(axis=0)) | (deviations == 0)
    powers = np.where(constant, 0, powers)
    means = np.where(constant, wide[0][0], base.mean(axis=0))
    scales = np.where(constant, 1.0, deviations)
    scaled = tuple(
        ((np.ldexp(array, -powers) - means) / scales).astype(given.dtype)
        for array, given in zip(wide, arrays, strict=True)
    )
    means, scales = (np.ldexp(a, powers).astype(arrays[0].dtype) for a in (means, scales))
    return Standardized(scaled, means, scales)
