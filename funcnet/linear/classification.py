r"""Logistic regression at the door: labels, penalties, compiled program; `multinomial` has the mathematics."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.linear.data import (
    Prepared,
    check_count,
    check_number,
    check_penalties,
    check_samples,
    grid,
    precision,
    prepare,
)
from funcnet.linear.least_squares import Solutions
from funcnet.linear.multinomial import Samples, descend_path, null_model, residual
from funcnet.linear.regression import APPROACH, Fit, Path, row


class Settings(NamedTuple):
    """What a program is compiled for."""

    classes: int
    intercept: bool
    standardize: bool
    capacity: int
    wide: bool


def check_labels(y: np.ndarray, classes: int | None) -> tuple[np.ndarray, int]:
    """Check labels 0 … classes−1; return them and the number of classes (None: one more than the largest)."""
    if y.dtype.kind not in "iu":
        raise_error(
            "labels must be whole numbers",
            f"got {describe(y)}",
            "y.astype(np.int32), or np.unique(y, return_inverse=True)[1]",
            TypeError,
        )
    if classes is None:
        classes = max(int(y.max()) + 1, 2)
    classes = check_count(classes, "classes", 2)
    if y.min() < 0 or y.max() >= classes:
        bad = y[(y < 0) | (y >= classes)][0]
        raise_error(f"labels must lie in 0 … {classes - 1}", f"got {bad}", "np.unique(y, return_inverse=True)[1]")
    return y.astype(np.int32), classes


def check_populated(y: np.ndarray, weight: np.ndarray, classes: int) -> None:
    """Require weight in every class, without which an intercept has no optimum."""
    empty = np.flatnonzero(np.bincount(y, weight, classes) == 0)
    if len(empty):
        raise_error(
            "every class must have a sample of positive weight",
            f"class {empty[0]} has none",
            "fewer classes, or intercept=False",
        )


def arranged(x: jax.Array, y: jax.Array, weight: jax.Array, settings: Settings) -> tuple[Prepared, Samples]:
    """Prepare the features and spread the labels."""
    data = prepare(x, jnp.zeros_like(weight), weight, settings.intercept, settings.standardize)
    labels = (jnp.arange(settings.classes, dtype=y.dtype)[:, None] == y[None]).astype(x.dtype)
    return data, Samples(data.features.T, labels, data.weight)


def free(settings: Settings) -> int:
    """Return how many classes have coefficients."""
    return settings.classes if settings.classes > 2 else 1


@functools.partial(jax.jit, static_argnames="settings")
def largest_slope(x: jax.Array, y: jax.Array, weight: jax.Array, *, settings: Settings) -> jax.Array:
    """Return max |xⱼᵀρ| of the model without coefficients: for λ ratio above it all coefficients are 0."""
    _, samples = arranged(x, y, weight, settings)
    model = null_model(samples, free(settings), settings.intercept)
    return jnp.max(jnp.abs(residual(model.z, samples) @ samples.features.T))


@functools.partial(jax.jit, static_argnames="settings")
def path_program(
    x: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
    tolerance: jax.Array,
    most: jax.Array,
    *,
    settings: Settings,
) -> tuple[Solutions, jax.Array, jax.Array, jax.Array]:
    """Prepare, solve, restore."""
    data, samples = arranged(x, y, weight, settings)
    found, b, goal = descend_path(
        samples, l1, l2, tolerance, most, free(settings), settings.capacity, settings.intercept, settings.wide
    )
    coefficients = found.w / data.scale[None, None]
    intercepts = b - coefficients @ data.mean
    if settings.classes > 2:
        intercepts = intercepts - jnp.mean(intercepts, axis=1, keepdims=True)
    return found, coefficients, intercepts, found.gap <= goal


def logistic_path(
    x: Any,
    y: Any,
    *,
    l1_ratio: float = 1.0,
    penalties: Any = None,
    count: int = 100,
    smallest: float = 1e-3,
    classes: int | None = None,
    weight: Any = None,
    intercept: bool = True,
    standardize: bool = False,
    tolerance: float = 1e-6,
    max_sweeps: int = 10_000,
) -> Path:
    r"""Solve logistic regression for many penalties, from the largest down, each from the last solution.

    Parameters are those of `elastic_net_path`, but for

    y : (samples,), whole numbers from 0 to classes − 1
    classes : their number; None for one more than the largest label. Two classes have one row of
        coefficients, that of class 1; more have a row each
    tolerance : the duality gap to reach, relative to the loss of the model without coefficients

    >>> import numpy as np
    >>> x, y = np.asarray([[-1.0], [1.0], [-1.0], [1.0]]), np.asarray([0, 1, 1, 1])
    >>> path = logistic_path(x, y, penalties=[0.3, 0.05], tolerance=1e-12)
    >>> w, b = path.coefficients[1, 0], path.intercepts[1]
    >>> print(float(path.coefficients[0, 0]), np.exp(path.intercepts[0]).round(6))  # 3 of class 1 to 1 of class 0
    0.0 3.0
    >>> p = 1 / (1 + np.exp(-(b + w * x[:, 0])))
    >>> print((x[:, 0] @ (y - p) / 4).round(6))  # the slope is λ where the coefficient is not 0
    0.05

    """
    x, y, weight = check_samples(x, y, weight)
    y, classes = check_labels(y, classes)
    l1_ratio = check_number(l1_ratio, "l1_ratio", high=1)
    tolerance = check_number(tolerance, "tolerance", above=0)
    max_sweeps = check_count(max_sweeps, "max_sweeps")
    given = None if penalties is None else check_penalties(penalties)
    if intercept:
        check_populated(y, weight, classes)
    capacity = min(x.shape[1], 512)
    with precision(x.dtype):
        wide = jax.default_backend() != "cpu"
        settings = Settings(classes, bool(intercept), bool(standardize), capacity, wide)
        if given is None:
            count, smallest = check_count(count, "count"), check_number(smallest, "smallest", above=0)
            given = grid(float(largest_slope(x, y, weight, settings=settings)), l1_ratio, count, smallest)
        l1, l2 = (given * l1_ratio).astype(x.dtype), (given * (1 - l1_ratio)).astype(x.dtype)
        limits = (np.asarray(tolerance, x.dtype), np.int32(min(max_sweeps, 2**31 - 1)))
        while True:
            found, coefficients, intercepts, converged = path_program(x, y, weight, l1, l2, *limits, settings=settings)
            if not bool(found.full):
                break
            settings = settings._replace(capacity=min(2 * settings.capacity, x.shape[1]))
        if classes == 2:
            coefficients, intercepts = coefficients[:, 0], intercepts[:, 0]
        parts = (given.astype(x.dtype), coefficients, intercepts, found.gap, converged, found.sweeps)
        return Path(*(np.asarray(part) for part in parts))


def logistic(x: Any, y: Any, penalty: float, *, l1_ratio: float, **options: Any) -> Fit:
    r"""Solve logistic regression for one penalty λ = 1/(C Σ weights); options are those of `logistic_path`.

    >>> import numpy as np
    >>> x, y = np.asarray([[-1.0], [1.0], [-1.0], [1.0]]), np.asarray([0, 1, 0, 1])
    >>> fit = logistic(x, y, 0.2, l1_ratio=1.0, tolerance=1e-12)
    >>> print((1 / (1 + np.exp(-fit.coefficient))).round(6))  # 1 − p = λ
    [0.8]
    """
    penalty = check_number(penalty, "penalty", above=0)
    ladder = penalty * np.geomspace(2.0**APPROACH, 1, APPROACH)
    return row(logistic_path(x, y, l1_ratio=l1_ratio, penalties=ladder, **options), APPROACH - 1)
