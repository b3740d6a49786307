r"""Splitting into three parts, stratified by class.

How the split is drawn. The samples of each class stand in a random order; the first of them go to the test
part, the next to the validation part, the others to the training part. How many go is settled by largest
remainders: with m samples in a class and s places for n samples, the class gets ⌊m s / n⌋ places, and the
places left over go one each to the classes that were rounded down most. The test part is filled first, then
the validation part from what remains. The sizes are exact, and no class is two samples or more away from its
proportion. Without stratification all samples count as one class.

The random order sorts the raw 64-bit numbers of PCG64, whose stream NumPy fixes for good, so that a seed
means the same split with every version of NumPy and on every machine.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcnet.arrays import as_array
from funcnet.data.checks import flag, real_number
from funcnet.errors import describe, raise_error, whole_number


class Splits(NamedTuple):
    """Three pairs (x, y) of equally many rows and labels: to learn from, to choose by, and to judge by.

    Attributes:
        train: (x, y), to learn from.
        validation: (x, y), to choose by.
        test: (x, y), to judge by, once.

    >>> import funcnet as fn
    >>> parts = fn.data.split(*fn.data.moons(samples=100))
    >>> x, y = parts.train
    >>> x.shape, y.shape, len(parts.validation[0]), len(parts.test[0])
    ((60, 2), (60,), 20, 20)

    """

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def split(
    x: Any, y: Any, fractions: Sequence[float] = (0.6, 0.2, 0.2), seed: int = 0, *, stratify: bool = True
) -> Splits:
    r"""Split samples into training, validation and test parts that are disjoint and together are everything.

    Args:
        x: an array with n rows, one a sample; its dtype stays, and the rows of a part keep the order they came in.
        y: the same of labels or targets.
        fractions: three positive numbers with sum 1; the parts end at n times their running sum, rounded.
        seed: a whole number of at least 0.
        stratify: share out every class in proportion; needs class labels y of shape (n,).

    Raises `ValueError` when the rows do not match, when a part would be empty, when a class would have no
    sample to learn from, or when y holds no class labels and `stratify` is true; `TypeError` for a seed of
    another type.

    >>> import numpy as np, funcnet as fn
    >>> parts = fn.data.split(np.arange(10.0)[:, None], np.arange(10) % 2, (0.6, 0.2, 0.2), seed=0)
    >>> [sorted(labels.tolist()) for rows, labels in parts]
    [[0, 0, 0, 1, 1, 1], [0, 1], [0, 1]]

    """
    x, y, group = _grouped(x, y, stratify)
    sizes, seed = _sizes(len(x), fractions), whole_number(seed, "seed")
    counts = np.bincount(group)
    test = _share(counts, sizes[2])
    held_out = test + _share(counts - test, sizes[1])
    order, row, rank = _drawn(group, seed)
    part = np.empty(len(x), np.int8)
    part[order] = np.where(rank < test[row], 2, np.where(rank < held_out[row], 1, 0))
    if stratify:
        lost = np.setdiff1d(y, y[part == 0])
        if lost.size:
            raise_error(
                "every class must have a sample to learn from",
                f"class {lost[0]} with {np.count_nonzero(y == lost[0])} in all has none",
                "a larger training fraction, or more samples of that class",
            )
    return Splits(*((x[part == number], y[part == number]) for number in range(3)))


def folds(
    x: Any, y: Any, count: int = 5, seed: int = 0, *, stratify: bool = True
) -> list[tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    r"""Split samples into folds for cross-validation.

    The samples of each class, one after the other in a random order, are dealt out in turn: the sizes of two folds
    differ by one at most, and so do their numbers of samples of a class.

    Args:
        x: features (samples, …).
        y: targets (samples, …).
        count: the number of folds, at least 2 and at most the number of samples.
        seed: a whole number of at least 0.
        stratify: deal out every class by itself; needs class labels y of shape (samples,).

    Returns:
        For each fold ((x, y) of all others, (x, y) of its own); rows keep the order they came in.

    Raises:
        ValueError: when the rows do not match, or y holds no class labels and `stratify` is true.
        TypeError: for a count or a seed that is no whole number.

    >>> import numpy as np, funcnet as fn
    >>> for train, held_out in fn.data.folds(np.arange(7.0)[:, None], np.arange(7) % 2, 3):
    ...     print(len(train[0]), sorted(held_out[1].tolist()))
    4 [0, 0, 1]
    5 [0, 1]
    5 [0, 1]

    """
    x, y, group = _grouped(x, y, stratify)
    count = whole_number(count, "count", 2, max(len(x), 2))
    if len(x) < 2:
        raise_error("folds need at least two samples", f"got {len(x)}", "more samples")
    order, _, _ = _drawn(group, whole_number(seed, "seed"))
    fold = np.empty(len(x), np.int64)
    fold[order] = np.arange(len(x)) % count
    return [((x[fold != k], y[fold != k]), (x[fold == k], y[fold == k])) for k in range(count)]


def _grouped(x: Any, y: Any, stratify: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both as arrays, and the number of each sample's class; one class without stratification."""
    x, y = (np.asarray(as_array(part, name, text=True)) for name, part in (("x", x), ("y", y)))
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise_error("x and y must have equally many rows", f"got {describe(x)} and {describe(y)}", "len(x) == len(y)")
    if flag(stratify, "stratify") and (y.ndim != 1 or y.dtype.kind not in "iubU"):
        raise_error(
            "y must hold class labels of shape (n,), whole numbers or text, when stratify=True",
            f"got {describe(y)}",
            "stratify=False, or labels such as y.astype(np.int32).ravel()",
        )
    return x, y, np.unique(y, return_inverse=True)[1] if stratify else np.zeros(len(x), np.int64)


def _drawn(group: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a random order of the samples, class by class; with it the class, and the place within the class."""
    order = np.argsort(np.random.PCG64(seed).random_raw(len(group)), kind="stable")
    order = order[np.argsort(group[order], kind="stable")]
    row, counts = group[order], np.bincount(group)
    return order, row, np.arange(len(group)) - (np.cumsum(counts) - counts)[row]


def _share(counts: np.ndarray, places: int) -> np.ndarray:
    """Share out places in proportion to `counts` by largest remainders; none exceeds its count."""
    quota = counts * places / counts.sum()
    shares = np.floor(quota).astype(np.int64)
    shares[np.argsort(shares - quota, kind="stable")[: places - shares.sum()]] += 1
    return shares


def _sizes(count: int, fractions: Sequence[float]) -> list[int]:
    """Return the three sizes, whose sum is `count`; raise unless each is at least 1."""
    shares = [real_number(fraction, "each of fractions") for fraction in np.atleast_1d(fractions).tolist()]
    if len(shares) != 3 or not all(shares) or abs(sum(shares) - 1) > 1e-6:
        raise_error("fractions must be three positive numbers with sum 1", f"got {tuple(shares)}", "(0.6, 0.2, 0.2)")
    ends = [0, int(shares[0] * count + 0.5), int((shares[0] + shares[1]) * count + 0.5), count]
    sizes = [stop - start for start, stop in itertools.pairwise(ends)]
    if min(sizes) < 1:
        raise_error(
            "every part must have at least one sample",
            f"{count} samples by {tuple(shares)} give {sizes[0]}, {sizes[1]} and {sizes[2]}",
            "more samples, or more even fractions",
        )
    return sizes
