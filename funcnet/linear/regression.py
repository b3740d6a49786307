r"""Lasso, ridge and elastic net, for one penalty or a path of them.

    minimise over w and w₀   1/(2 Σsᵢ) Σᵢ sᵢ (yᵢ − w₀ − xᵢᵀw)² + λ (ratio ‖w‖₁ + (1 − ratio)/2 ‖w‖²)

scikit-learn's objective: λ is the `alpha` of its Lasso (ratio 1) and ElasticNet, and α = n λ for its Ridge
(ratio 0), which does not divide by n. The intercept w₀ is not penalised. With `standardize`, xᵢ stands for
the features divided by their standard deviations, and coefficients are given for the features as they came.

Elimination of w₀. For given w the best intercept is ȳ − x̄ᵀw (weighted means); put in, it leaves the same
problem with centred features and targets. `least_squares` solves that one, `descent` derives its steps, `gap`
its stopping rule.

Limits. A constant column gets coefficient 0 beside an intercept. A single sample, or a constant y, gives
coefficients 0 and the intercept y. float32 resolves a gap of about 1e-6 ‖y‖²: a tolerance below is tried, and
`converged` says that it failed.

Source   Article A3.3; Tibshirani 1996; Zou & Hastie 2005; Friedman, Hastie & Tibshirani 2010.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.linear.data import (
    Prepared,
    check_count,
    check_number,
    check_penalties,
    check_samples,
    check_target,
    grid,
    precision,
    prepare,
)
from funcnet.linear.least_squares import Limits, Solutions, growing, ridge, whole

WHOLE = 2048  # features: up to here the whole Gram matrix is computed, if samples are as many
APPROACH = 12  # penalties on the way to a single one, itself included


@dataclasses.dataclass(frozen=True)
class Path:
    """Solutions along a path of penalties; all arrays are NumPy's, in the dtype of x.

    penalties     (penalties,), falling
    coefficients  (penalties, features); of several classes (penalties, classes, features)
    intercepts    (penalties,); of several classes (penalties, classes); 0 without an intercept
    gaps          (penalties,): how far the objective is above its minimum at most, in the units of the
                  objective
    converged     (penalties,): whether the gap met the tolerance
    sweeps        (penalties,): how often all coordinates (of the working set) were visited
    """

    penalties: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    gaps: np.ndarray
    converged: np.ndarray
    sweeps: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return w₀ + xᵀw: (penalties, samples), of several classes (penalties, classes, samples)."""
        return self.coefficients @ np.asarray(x).T + self.intercepts[..., None]


@dataclasses.dataclass(frozen=True)
class Fit:
    """One solution: a row of a `Path`."""

    coefficient: np.ndarray  # (features,), or (classes, features)
    intercept: np.ndarray  # (), or (classes,)
    gap: float
    converged: bool
    sweeps: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return w₀ + xᵀw: (samples,), of several classes (classes, samples)."""
        return self.coefficient @ np.asarray(x).T + self.intercept[..., None]


def row(path: Path, i: int) -> Fit:
    """Return the solution at penalty i of a path, with the sweeps of the way to it."""
    return Fit(
        path.coefficients[i],
        path.intercepts[i],
        float(path.gaps[i]),
        bool(path.converged[i]),
        int(path.sweeps[: i + 1].sum()),
    )


class Settings(NamedTuple):
    """What a program is compiled for."""

    intercept: bool
    standardize: bool
    capacity: int  # of the working set; 0 stands for the whole Gram matrix
    wide: bool  # which form of `descent`
    closed: bool = False  # ridge, in closed form


def first_capacity(samples: int, features: int) -> int:
    """Return 0 where the whole Gram matrix pays, else a first guess, to be doubled if it does not suffice."""
    if features <= min(samples, WHOLE) or features <= 64:
        return 0
    return min(features, max(512, min(5 * samples // 2, 4096)))


class Reduced(NamedTuple):
    """What a path is solved from, the same for all penalties and mixing ratios."""

    a: jax.Array  # (samples, features), rows multiplied by √s
    b: jax.Array  # (samples,)
    energy: jax.Array  # (), ‖b‖²
    gram: jax.Array | None  # (features, features), AᵀA
    correlation: jax.Array  # (features,), Aᵀb


def reduce(data: Prepared, settings: Settings) -> Reduced:
    """Weigh the rows of prepared data, and multiply out what the method needs."""
    root = jnp.sqrt(data.weight)
    a, b = data.features * root[:, None], data.target * root
    gram = None if settings.capacity or settings.closed else a.T @ a
    return Reduced(a, b, b @ b, gram, b @ a)


def solve(
    reduced: Reduced,
    l1: jax.Array,
    l2: jax.Array,
    tolerance: jax.Array,
    most: jax.Array,
    settings: Settings,
) -> tuple[Solutions, jax.Array]:
    """Solve along a path of penalties; return the solutions and the gap that was asked for."""
    a, b, energy, gram, correlation = reduced
    limits = Limits(tolerance * energy, most)
    if settings.closed:
        return ridge(a, b, l2), limits.gap
    if gram is None:
        return growing(a.T, b, l1, l2, limits, settings.capacity, settings.wide), limits.gap
    return whole(gram, correlation, energy, l1, l2, limits, settings.wide), limits.gap


def restored(data: Prepared, w: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return coefficients and intercepts in the units of the features as they came."""
    coefficients = w / data.scale[None]
    return coefficients, data.offset - coefficients @ data.mean


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
    data = prepare(x, y, weight, settings.intercept, settings.standardize)
    found, goal = solve(reduce(data, settings), l1, l2, tolerance, most, settings)
    return (found, *restored(data, found.w), found.gap <= goal)


@functools.partial(jax.jit, static_argnames=("intercept", "standardize"))
def largest_correlation(
    x: jax.Array, y: jax.Array, weight: jax.Array, *, intercept: bool, standardize: bool
) -> jax.Array:
    """Return max |aⱼᵀb|: for λ ratio above it all coefficients are 0."""
    data = prepare(x, y, weight, intercept, standardize)
    return jnp.max(jnp.abs((data.weight * data.target) @ data.features))


def elastic_net_path(
    x: Any,
    y: Any,
    *,
    l1_ratio: float = 1.0,
    penalties: Any = None,
    count: int = 100,
    smallest: float = 1e-3,
    weight: Any = None,
    intercept: bool = True,
    standardize: bool = False,
    tolerance: float = 1e-6,
    max_sweeps: int = 10_000,
) -> Path:
    r"""Solve the elastic net for many penalties, from the largest down, each from the last solution.

    x : (samples, features), float32 or float64, which is the dtype of the result
    y : (samples,)
    l1_ratio : from 0 (ridge) to 1 (lasso)
    penalties : falling numbers above 0; None for `count` of them, evenly spaced in the logarithm, from the
        least that makes all coefficients 0 to `smallest` times it (they cannot be chosen for ridge)
    weight : (samples,), one number of at least 0 for each sample: weight 2 is the sample twice
    intercept : whether to fit one, unpenalised
    standardize : whether the penalty is on the coefficients of features divided by their standard deviations
    tolerance : the duality gap to reach, relative to the mean square of y (about its mean, with an
        intercept); scikit-learn's `tol` is the same
    max_sweeps : how many for a penalty at most

    Raises
    ------
    ValueError, TypeError
        For shapes that do not match, numbers out of range, NaN or infinity; before anything is compiled.

    >>> import numpy as np
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])  # y = 1 + 2x
    >>> path = elastic_net_path(x, y, penalties=[2.0, 0.5])  # by hand: w = S(2, λ) / 1
    >>> print(path.coefficients.round(6).tolist(), path.intercepts.round(6).tolist())
    [[0.0], [1.5]] [1.0, 1.0]

    """
    x, y, weight = check_samples(x, y, weight)
    y = check_target(y, x.dtype)
    l1_ratio = check_number(l1_ratio, "l1_ratio", high=1)
    tolerance = check_number(tolerance, "tolerance", above=0)
    max_sweeps = check_count(max_sweeps, "max_sweeps")
    given = None if penalties is None else check_penalties(penalties)
    with precision(x.dtype):
        if given is None:
            count, smallest = check_count(count, "count"), check_number(smallest, "smallest", above=0)
            given = grid(
                float(largest_correlation(x, y, weight, intercept=intercept, standardize=standardize)),
                l1_ratio,
                count,
                smallest,
            )
        l1, l2 = (given * l1_ratio).astype(x.dtype), (given * (1 - l1_ratio)).astype(x.dtype)
        limits = (np.asarray(tolerance, x.dtype), np.int32(min(max_sweeps, 2**31 - 1)))
        capacity = first_capacity(*x.shape)
        while True:
            settings = Settings(
                bool(intercept), bool(standardize), capacity, jax.default_backend() != "cpu", l1_ratio == 0
            )
            found, coefficients, intercepts, converged = path_program(x, y, weight, l1, l2, *limits, settings=settings)
            if not bool(found.full):
                break
            capacity = min(2 * capacity, x.shape[1])
        parts = (given.astype(x.dtype), coefficients, intercepts, found.gap, converged, found.sweeps)
        return Path(*(np.asarray(part) for part in parts))


def elastic_net(x: Any, y: Any, penalty: float, *, l1_ratio: float, **options: Any) -> Fit:
    r"""Solve the elastic net for one penalty λ; the options are those of `elastic_net_path`.

    The lasso is `l1_ratio=1`. It is reached along a few larger penalties. Ridge is `l1_ratio=0`;
    scikit-learn's Ridge(α) is λ = α/n, as it does not divide its squares by n.

    >>> import numpy as np
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])
    >>> print(elastic_net(x, y, 1.0, l1_ratio=0.0).coefficient.round(6))  # 2 / (1 + λ)
    [1.]
    """
    penalty = check_number(penalty, "penalty", above=0)
    l1_ratio = check_number(l1_ratio, "l1_ratio", high=1)
    ladder = np.asarray([penalty])
    if l1_ratio > 0:
        x, y, weight = check_samples(x, y, options.get("weight"))
        flags = {
            name: bool(options.get(name, default)) for name, default in (("intercept", True), ("standardize", False))
        }
        with precision(x.dtype):
            top = float(largest_correlation(x, check_target(y, x.dtype), weight, **flags)) / l1_ratio
        if top > penalty:
            ladder = np.geomspace(top, penalty, APPROACH)
            ladder[-1] = penalty
    path = elastic_net_path(x, y, l1_ratio=l1_ratio, penalties=ladder, **options)
    return row(path, len(ladder) - 1)
