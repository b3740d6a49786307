r"""Lasso, ridge and elastic net, for one penalty or a path of them.

Minimised  1/(2 Σᵢ sᵢ) Σᵢ sᵢ (yᵢ − w₀ − xᵢᵀ w)² + λ (r ‖w‖₁ + (1 − r)/2 ‖w‖²)
Over       w and w₀; r is the ratio, `l1_ratio`.

scikit-learn's objective: λ is the `alpha` of its Lasso (ratio 1) and ElasticNet, and α = n λ for its Ridge
(ratio 0), which does not divide by n. The intercept w₀ is not penalised. With `standardize`, xᵢ stands for
the features divided by their standard deviations, and coefficients are given for the features as they came.

Elimination of w₀. For given w the best intercept is ȳ − x̄ᵀw (weighted means); put in, it leaves the same
problem with centred features and targets. `linear/least_squares.py` solves that one, `linear/descent.py` derives its
steps, `linear/gap.py` its stopping rule; `linear/ridge.py` is the closed form for ratio 0 and for penalty 0.

Tolerance. A solution is done when its duality gap is at most `tolerance` times the mean square of y (about its mean,
with an intercept). scikit-learn's `tol` is that, and waits until a sweep changes no coefficient by more than `tol`
times the largest besides. So at equal numbers their objective is often closer to the minimum than it says, where ours
may use the tolerance up; a smaller one costs a few sweeps. Below some 1e-12 float64 tells nothing: what has come that
far counts as converged.

Limits. A constant column gets coefficient 0 beside an intercept. A single sample, or a constant y, gives
coefficients 0 and the intercept y. Penalty 0 is least squares: where features repeat each other many solutions are
equally good, and one of them is returned (with fewer samples than features, the shortest). Sparse x takes every penalty
but 0, for ratio 0 too. Not offered: several targets at once (solve one by one), signs of coefficients, starts of one's
own (a path is a chain of warm starts).

Source   Article A3.3; Tibshirani 1996; Zou & Hastie 2005; Friedman, Hastie & Tibshirani 2010.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import raise_error
from funcnet.linear.checks import SolverOptions, check_number, check_options, check_samples, check_target
from funcnet.linear.least_squares import Gathered, Solutions, Walk, growing, padded_rows, set_out, walk, whole
from funcnet.linear.paths import RESOLVED, approach, doubled, is_wide, last, precision, report, travel
from funcnet.linear.results import Fit, Path
from funcnet.linear.ridge import ridge
from funcnet.linear.sparse import Scattered, SparseColumns
from funcnet.linear.units import Penalties, Prepared, Scaled, grid, in_units, largest_penalty, prepare, scaled

WHOLE = 2048  # features: up to here the whole Gram matrix is computed, if samples are as many
SEGMENT = 1e9  # numbers that the sweeps of a segment may touch


class SquaresSettings(NamedTuple):
    """What a program is compiled for."""

    intercept: bool
    standardize: bool
    capacity: int  # of the working set; 0 stands for the whole Gram matrix
    wide: bool  # which form of `descent`
    closed: bool = False  # no L1: in closed form


def first_capacity(samples: int, features: int) -> int:
    """Return 0 where the whole Gram matrix pays, else a first guess, to be doubled if it does not suffice."""
    if features <= min(samples, WHOLE) or features <= 64:
        return 0
    return min(features, max(512, min(5 * samples // 2, 4096)))


class Reduced(NamedTuple):
    """What a path is solved from, the same for all penalties and mixing ratios."""

    energy: jax.Array  # (), Σ sᵢbᵢ²
    a: Any = None  # (samples, features), rows multiplied by √s; for a working set turned and padded; sparse as it is
    b: Any = None  # (samples,), likewise
    weight: Any = None  # (samples,), of sparse features
    gram: Any = None  # (features, features), AᵀA, in the place of a and b
    correlation: Any = None  # (features,), Aᵀb


def reduce(data: Prepared, settings: SquaresSettings) -> Reduced:
    """Weigh the rows of prepared data, and multiply out what the method needs."""
    energy = data.weight @ (data.target * data.target)
    if isinstance(data.features, SparseColumns):
        return Reduced(energy, data.features, data.target, data.weight)
    root = jnp.sqrt(data.weight)
    a, b = data.features * root[:, None], data.target * root
    if settings.closed:
        return Reduced(energy, a, b)
    if settings.capacity:
        return Reduced(energy, *padded_rows(a, b), correlation=b @ a)
    return Reduced(energy, gram=a.T @ a, correlation=b @ a)


def course(reduced: Reduced, goal: jax.Array, least: jax.Array, settings: SquaresSettings) -> tuple[tuple, Any]:
    """Return the start and the step of the walk that suits."""
    if isinstance(reduced.a, SparseColumns):
        return growing(Scattered(reduced.a, reduced.weight, reduced.b, settings.intercept), goal, least)
    if reduced.gram is None:
        source = Gathered(reduced.a, reduced.b, reduced.correlation, settings.capacity, settings.wide)
        return growing(source, goal, least)
    return whole(reduced.gram, reduced.correlation, reduced.energy, goal, least, settings.wide)


def first(reduced: Reduced, shape: tuple[int, int], settings: SquaresSettings) -> Walk:
    """Stand before the first of (penalties, features)."""
    carry, _ = course(reduced, reduced.energy, jnp.int32(0), settings)
    return set_out(carry, shape[0], jnp.zeros(shape[1], reduced.energy.dtype), reduced.energy)


class Limits(NamedTuple):
    """When to stop."""

    tolerance: Any  # the gap that is small enough, as a share of Σ sᵢbᵢ²
    least: Any  # int32, sweeps of each penalty at least
    most: Any  # int32, at most


def further(
    reduced: Reduced, state: Walk, penalties: Penalties, limits: Limits, quota: jax.Array, settings: SquaresSettings
) -> Walk:
    """Walk on for `quota` sweeps."""
    _, one = course(reduced, limits.tolerance * reduced.energy, limits.least, settings)
    return walk(state, one, penalties.l1, penalties.l2, limits.most, quota)


def closed(reduced: Reduced, penalties: Penalties, tolerance: jax.Array) -> Solutions:
    """Solve without L1."""
    goal = tolerance * reduced.energy
    w, gap = ridge(reduced.a, reduced.b, penalties.l2, penalties.level, penalties.spread, goal)
    return Solutions(w, gap, jnp.zeros(len(gap), jnp.int32), jnp.asarray(False))


@functools.partial(jax.jit, static_argnames="settings")
def prepare_program(
    x: Any, y: jax.Array, weight: jax.Array, penalties: Penalties, tolerance: jax.Array, *, settings: SquaresSettings
) -> tuple[Prepared, Reduced, Walk | Solutions]:
    """Prepare, and stand before the first penalty, or solve at once if there is a closed form."""
    data = prepare(x, y, weight, settings.intercept, settings.standardize)
    reduced, way = reduce(data, settings), data._replace(features=None, target=None)
    if settings.closed:
        return way, reduced, closed(reduced, penalties, tolerance)
    return way, reduced, first(reduced, penalties.l1.shape, settings)


path_program = jax.jit(further, static_argnames="settings", donate_argnames="state")


@functools.partial(jax.jit, static_argnames=("intercept", "standardize"))
def correlations(x: Any, y: jax.Array, weight: jax.Array, *, intercept: bool, standardize: bool) -> jax.Array:
    """Return |aⱼᵀb|, (features,)."""
    data = prepare(x, y, weight, intercept, standardize)
    rho = data.weight * data.target
    return jnp.abs(data.features.onto(rho) if isinstance(data.features, SparseColumns) else rho @ data.features)


def solve(data: Scaled, penalties: np.ndarray, options: SolverOptions, least: int = 0) -> Path:
    """Solve along checked penalties for the first of the mixing ratios, with `least` sweeps at least."""
    sparse = isinstance(data.x, SparseColumns)
    shape = (len(data.y), len(data.units.columns))
    no_l1 = not sparse and bool((penalties * options.ratios[0] == 0).all())
    if penalties[-1] == 0 and not no_l1:
        parts = (vars(solve(data, some, options, least)).values() for some in (penalties[:-1], penalties[-1:]))
        return Path(*(np.concatenate(pair) for pair in zip(*parts, strict=True)))
    part = in_units(penalties, options.ratios[0], data.units, options.standardize)
    limits = Limits(np.float64(options.tolerance), np.int32(least), np.int32(options.max_sweeps))

    def attempt(capacity: int) -> tuple[Any, bool]:
        settings = SquaresSettings(options.intercept, options.standardize, capacity, is_wide(sparse), no_l1)
        prepared, reduced, state = prepare_program(*data[:3], part, limits.tolerance, settings=settings)
        if isinstance(state, Solutions):
            return (prepared, reduced, state), False
        touched = len(data.x.values) if isinstance(data.x, SparseColumns) else (capacity or shape[1]) ** 2
        quota = np.int32(max(64, SEGMENT / touched))
        # What matters to the preparation alone is not what the path is compiled for.
        onwards = settings._replace(standardize=False, intercept=settings.intercept and sparse)
        state, full = travel(
            state, lambda state: path_program(reduced, state, part, limits, quota, settings=onwards), len(penalties)
        )
        return (prepared, reduced, state.found), full

    prepared, reduced, found = doubled(attempt, 0 if sparse else first_capacity(*shape), shape[1])
    coefficients, intercepts = data.units.back(*map(np.asarray, prepared.restored(found.w)))
    with np.errstate(over="ignore", under="ignore"):
        gaps = np.ldexp(np.asarray(found.gap), 2 * data.units.target)
    converged = np.asarray(found.gap <= max(options.tolerance, RESOLVED) * reduced.energy)
    return Path(penalties, coefficients, intercepts, gaps, converged, np.asarray(found.sweeps))


def check(x: Any, y: Any, weight: Any, options: SolverOptions) -> Scaled:
    """Check samples and targets, and scale them."""
    x, y, weight = check_samples(x, y, weight)
    data = scaled(x, check_target(y), weight)
    if isinstance(data.x, SparseColumns) and options.penalties is not None and options.penalties[-1] == 0:
        raise_error("sparse x must have penalties above 0", "got 0", "a small one such as 1e-8, or x.toarray()")
    return data


def slopes(data: Scaled, options: SolverOptions) -> np.ndarray:
    """Return |aⱼᵀb| in the solver's units."""
    return np.asarray(correlations(*data[:3], intercept=options.intercept, standardize=options.standardize))


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

    Args:
        x: (samples, features), float32 or float64, which is the dtype of the result; or sparse (SciPy's CSR or CSC,
            JAX's BCOO).
        y: (samples,).
        l1_ratio: from 0 (ridge) to 1 (lasso).
        penalties: falling numbers of at least 0; None for `count` of them, evenly spaced in the logarithm, from the
            least that makes all coefficients 0 to `smallest` times it (they cannot be chosen for ridge).
        count: how many penalties to choose.
        smallest: the last penalty chosen, as a share of the first.
        weight: (samples,), one number of at least 0 for each sample: weight 2 is the sample twice.
        intercept: whether to fit one, unpenalised.
        standardize: whether the penalty is on the coefficients of features divided by their standard deviations.
        tolerance: the duality gap to reach, relative to the mean square of y (about its mean, with an intercept).
        max_sweeps: how many for a penalty at most.

    Returns:
        Path: a penalty that ended above the tolerance has `converged` False, and a warning says so.

    Raises:
        ValueError, TypeError: for shapes that do not match, numbers out of range, NaN or infinity; before anything is
            compiled.

    >>> import numpy as np, funcnet as fn
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])  # y = 1 + 2x
    >>> path = fn.linear.elastic_net_path(x, y, penalties=[2.0, 0.5])  # by hand: w = S(2, λ) / 1
    >>> print(path.coefficients.round(6).tolist(), path.intercepts.round(6).tolist())
    [[0.0], [1.5]] [1.0, 1.0]

    """
    options = check_options(
        l1_ratio,
        penalties,
        count=count,
        smallest=smallest,
        intercept=intercept,
        standardize=standardize,
        tolerance=tolerance,
        max_sweeps=max_sweeps,
    )
    data = check(x, y, weight, options)
    with precision(isinstance(data.x, SparseColumns)):
        given = options.penalties
        if given is None:
            given = grid(slopes(data, options), data.units, options)[0]
        return report(solve(data, given, options))


def elastic_net(x: Any, y: Any, penalty: float, *, l1_ratio: float = 1.0, weight: Any = None, **options: Any) -> Fit:
    r"""Solve the elastic net for one penalty λ, which is reached along a few larger ones.

    Args:
        x: (samples, features), or sparse.
        y: (samples,).
        penalty: λ, at least 0; 0 is least squares.
        l1_ratio: 1 is the lasso, 0 is ridge (scikit-learn's Ridge does not divide squares by n: its α is n λ).
        weight: (samples,).
        **options: those of `elastic_net_path`: intercept, standardize, tolerance, max_sweeps.

    Returns:
        Fit: with a warning if it ended above the tolerance.

    >>> import numpy as np, funcnet as fn
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])
    >>> print(fn.linear.elastic_net(x, y, 1.0, l1_ratio=0.0).coefficients.round(6))  # 2 / (1 + λ)
    [1.]

    """
    penalty = check_number(penalty, "penalty")
    checked = check_options(l1_ratio, [penalty], **options)
    data = check(x, y, weight, checked)
    with precision(isinstance(data.x, SparseColumns)):
        ladder = np.asarray([penalty])
        if checked.ratios[0] > 0:
            ladder = approach(largest_penalty(slopes(data, checked), data.units, checked)[0], penalty)
        return last(solve(data, ladder, checked, least=1))
