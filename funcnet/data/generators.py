r"""Generators: small problems whose answer is known, made on the spot and fixed by their seed.

Every generator draws the clean points first and the noise after them, so two calls that differ only in
`noise` share their clean points and their labels. Sample i of a classification problem belongs to class i mod
classes: every leading part is balanced, and class counts differ by at most one. Computations run in float64
and are rounded to `dtype` (float32 unless told otherwise) at the end.

The same seed gives the same data with the same version of NumPy; NumPy keeps the right to improve its
samplers from one release to the next (NEP 19). Counts that are no whole numbers and numbers of another type
raise `TypeError`, values out of range raise `ValueError`.
"""

from typing import Any

import numpy as np

from funcnet.data.checks import floating_dtype, real_number
from funcnet.errors import raise_error, whole_number

Pair = tuple[np.ndarray, np.ndarray]

MOST = 2**40  # samples or features; more is taken for a slip


def xor(samples: int = 200, noise: float = 0.1, seed: int = 0, *, dtype: Any = np.float32) -> Pair:
    r"""Exclusive or: x uniform on [−1, 1]², y = 1 where its two signs differ; then x += noise · N(0, I).

    Returns x of shape (samples, 2) and y, int32 of shape (samples,). The quadrants take turns, in the order
    of their angle, and no clean point lies on an axis. After Minsky and Papert, Perceptrons (1969).

    Args:
        samples: how many.
        noise: the standard deviation of what is added to x, beside a square of side 2.
        seed: a whole number of at least 0; the same seed gives the same data.
        dtype: the floating dtype of x.

    >>> import funcnet as fn
    >>> x, y = fn.data.xor(4, noise=0.0)
    >>> y.tolist(), (x[:, 0] * x[:, 1] < 0).tolist()
    ([0, 1, 0, 1], [False, True, False, True])

    """
    count, generator = whole_number(samples, "samples", at_least=1, at_most=MOST), _generator(seed)
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])[np.arange(count) % 4]
    # One minus a number in [0, 1) is never zero, so every clean point has two signs.
    clean = signs * (1.0 - generator.random((count, 2)))
    return _noisy(clean, noise, generator, dtype), (np.arange(count) % 2).astype(np.int32)


def spirals(
    samples: int = 300,
    classes: int = 3,
    turns: float = 1.0,
    noise: float = 0.02,
    seed: int = 0,
    *,
    dtype: Any = np.float32,
) -> Pair:
    r"""Spiral arms, one a class: x = r (cos θ, sin θ) + noise · N(0, I), θ = 2π (turns · r + y / classes).

    The radius r is uniform on [0, 1), hence the arms are denser near the middle, where they all meet. Returns
    x of shape (samples, 2) and y, int32 of shape (samples,), in 0 … classes − 1. The two-spirals problem of
    Lang and Witbrock (1988), with any number of arms.

    Args:
        samples: how many.
        classes: how many arms.
        turns: how often an arm goes round.
        noise: the standard deviation of what is added to x, beside a radius of 1.
        seed: a whole number of at least 0; the same seed gives the same data.
        dtype: the floating dtype of x.

    >>> import funcnet as fn
    >>> x, y = fn.data.spirals(7, classes=3)
    >>> x.shape, y.tolist()
    ((7, 2), [0, 1, 2, 0, 1, 2, 0])

    """
    count, arms = (
        whole_number(samples, "samples", at_least=1, at_most=MOST),
        whole_number(classes, "classes", at_least=2, at_most=MOST),
    )
    winding, generator = real_number(turns, "turns"), _generator(seed)
    label = np.arange(count) % arms
    radius = generator.random(count)
    angle = 2 * np.pi * (winding * radius + label / arms)
    clean = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return _noisy(clean, noise, generator, dtype), label.astype(np.int32)


def moons(samples: int = 200, noise: float = 0.1, seed: int = 0, *, dtype: Any = np.float32) -> Pair:
    r"""Two interleaved half circles of radius 1, with t uniform on [0, π); then x += noise · N(0, I).

    Class 0 is (cos t, sin t), the upper half around (0, 0); class 1 is (1 − cos t, ½ − sin t), the lower half
    around (1, ½). Returns x of shape (samples, 2) and y, int32 of shape (samples,). The same two curves as
    `sklearn.datasets.make_moons`, with random angles in place of evenly spaced ones.

    Args:
        samples: how many.
        noise: the standard deviation of what is added to x, beside a radius of 1.
        seed: a whole number of at least 0; the same seed gives the same data.
        dtype: the floating dtype of x.

    >>> import numpy as np, funcnet as fn
    >>> x, y = fn.data.moons(2, noise=0.0)
    >>> [round(float(np.hypot(*(point - centre))), 6) for point, centre in zip(x, [(0, 0), (1, 0.5)])]
    [1.0, 1.0]

    """
    count, generator = whole_number(samples, "samples", at_least=1, at_most=MOST), _generator(seed)
    label = np.arange(count) % 2
    angle = np.pi * generator.random(count)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    clean = np.where(label[:, None] == 0, upper, [1.0, 0.5] - upper)
    return _noisy(clean, noise, generator, dtype), label.astype(np.int32)


def regression(
    samples: int = 200,
    features: int = 10,
    noise: float = 0.1,
    seed: int = 0,
    *,
    informative: int | None = None,
    shape: str = "linear",
    dtype: Any = np.float32,
) -> Pair:
    r"""Noisy targets y = g(x · w) + noise · N(0, 1), with x ~ N(0, I) and w = `regression_coefficients(…)`.

    `shape` is "linear", g(z) = z, or "sine", g(z) = sin 2z. There is no intercept, and since ‖w‖ = 1 the
    signal z has variance 1, so `noise` is the ratio of noise to signal for the linear shape. `informative`
    features out of `features` count (all of them when None). Returns x of shape (samples, features) and y of
    shape (samples, 1), both of dtype `dtype`.

    Args:
        samples: how many.
        features: how many numbers a sample has.
        noise: the standard deviation of what is added to y.
        seed: a whole number of at least 0; the same seed gives the same data.
        informative: how many features count; None for all.
        shape: "linear" or "sine".
        dtype: the floating dtype of x and y.

    >>> import numpy as np, funcnet as fn
    >>> x, y = fn.data.regression(50, features=3, noise=0.0, seed=4, dtype=np.float64)
    >>> y.shape, bool(np.allclose(x @ fn.data.regression_coefficients(3, seed=4), y[:, 0]))
    ((50, 1), True)

    """
    if shape not in ("linear", "sine"):
        raise_error("shape must be 'linear' or 'sine'", f"got {shape!r}", "shape='linear'")
    count, generator = whole_number(samples, "samples", at_least=1, at_most=MOST), _generator(seed)
    coefficients = regression_coefficients(features, seed, informative=informative)
    x = generator.standard_normal((count, len(coefficients)))
    signal = x @ coefficients
    clean = (signal if shape == "linear" else np.sin(2 * signal))[:, None]
    return x.astype(floating_dtype(dtype)), _noisy(clean, noise, generator, dtype)


def regression_coefficients(features: int = 10, seed: int = 0, *, informative: int | None = None) -> np.ndarray:
    r"""Return the w behind `regression` with the same arguments: float64 of shape (features,), ‖w‖ = 1.

    `informative` entries at random places differ from zero; before scaling, their sizes are uniform on [½,
    3⁄2) with random signs, so none is too small to be found. They depend on neither `samples` nor `noise`.

    Args:
        features: how many there are.
        seed: a whole number of at least 0; the same seed gives the same data.
        informative: how many differ from 0; None for all.

    >>> import numpy as np, funcnet as fn
    >>> int(np.count_nonzero(fn.data.regression_coefficients(10, informative=4)))
    4

    """
    width = whole_number(features, "features", at_least=1, at_most=MOST)
    count = width if informative is None else whole_number(informative, "informative", at_least=1, at_most=width)
    # A stream of its own, so that more samples leave the truth as it is.
    generator = np.random.default_rng([whole_number(seed, "seed"), 1])
    places = generator.permutation(width)[:count]
    coefficients = np.zeros(width)
    coefficients[places] = generator.uniform(0.5, 1.5, count) * generator.choice([-1.0, 1.0], count)
    return coefficients / np.linalg.norm(coefficients)


def _generator(seed: int) -> np.random.Generator:
    # Not the stream of `split`, which by the same seed would sort the samples by the numbers that made them.
    return np.random.default_rng([whole_number(seed, "seed"), 2])


def _noisy(clean: np.ndarray, noise: float, generator: np.random.Generator, dtype: Any) -> np.ndarray:
    """Add the noise to the clean values, then round to the dtype asked for."""
    spread = real_number(noise, "noise")
    return (clean + spread * generator.standard_normal(clean.shape)).astype(floating_dtype(dtype))
