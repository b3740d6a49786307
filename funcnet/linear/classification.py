r"""Logistic regression at the door: labels, penalties, compiled programs; `multinomial` has the mathematics."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import raise_error
from funcnet.linear.checks import Entries, SolverOptions, check_labels, check_number, check_options, check_samples
from funcnet.linear.dense import DenseRows
from funcnet.linear.least_squares import Walk, set_out, walk
from funcnet.linear.multinomial import Samples, loss, null_model, outset, residual, turns
from funcnet.linear.paths import APPROACH, RESOLVED, approach, doubled, is_wide, last, precision, report, travel
from funcnet.linear.results import Fit, Path
from funcnet.linear.sparse import SparseColumns
from funcnet.linear.units import Penalties, Prepared, Scaled, grid, in_units, largest_penalty, prepare, scaled

SEGMENT = 1e9  # products that the turns of a segment may take
SPARSE = 0.1  # share of numbers other than 0 below which features are kept by columns


class ClassesSettings(NamedTuple):
    """What a program is compiled for."""

    classes: int
    intercept: bool
    standardize: bool
    capacity: int
    wide: bool

    @property
    def rows(self) -> int:
        """Return how many classes have coefficients."""
        return self.classes if self.classes > 2 else 1


def arranged(data: Prepared, y: jax.Array, settings: ClassesSettings) -> Samples:
    """Turn prepared features, and spread the labels."""
    labels = (jnp.arange(settings.classes, dtype=y.dtype)[:, None] == y[None]).astype(data.weight.dtype)
    x = data.features
    features = x if isinstance(x, SparseColumns) else DenseRows(x.T, settings.capacity, settings.wide)
    return Samples(features, labels, data.weight)


@functools.partial(jax.jit, static_argnames="settings")
def slopes_program(x: Any, y: jax.Array, weight: jax.Array, *, settings: ClassesSettings) -> jax.Array:
    """Return max |xⱼᵀρ| over the classes of the model without coefficients, (features,)."""
    samples = arranged(
        prepare(x, jnp.zeros_like(weight), weight, settings.intercept, settings.standardize), y, settings
    )
    model = null_model(samples, settings.rows, settings.intercept)
    return jnp.max(jnp.abs(samples.features.onto(residual(model.z, samples))), axis=0)


@functools.partial(jax.jit, static_argnames=("penalties", "settings"))
def prepare_program(
    x: Any, y: jax.Array, weight: jax.Array, tolerance: jax.Array, *, penalties: int, settings: ClassesSettings
) -> tuple[Prepared, jax.Array, Walk]:
    """Prepare; return the gap to reach, and stand before the first penalty."""
    data = prepare(x, jnp.zeros_like(weight), weight, settings.intercept, settings.standardize)
    samples = arranged(data, y, settings)
    model = null_model(samples, settings.rows, settings.intercept)
    goal = tolerance * loss(model.z, samples)
    return data, goal, set_out(outset(model, samples), penalties, (model.w, model.b), goal)


@functools.partial(jax.jit, static_argnames="settings", donate_argnames="state")
def path_program(
    data: Prepared,
    y: jax.Array,
    goal: jax.Array,
    state: Walk,
    penalties: Penalties,
    most: jax.Array,
    quota: jax.Array,
    *,
    settings: ClassesSettings,
) -> Walk:
    """Walk on for `quota` sweeps."""
    samples = arranged(data, y, settings)
    one = turns(samples, settings.rows, settings.capacity, goal, settings.intercept)
    return walk(state, one, penalties.l1, penalties.l2, most, quota)


def solve(data: Scaled, classes: int, penalties: np.ndarray, options: SolverOptions) -> Path:
    """Solve along checked penalties."""
    sparse = isinstance(data.x, SparseColumns)
    samples, features = len(data.y), len(data.units.columns)
    part = in_units(penalties, options.ratios[0], data.units, options.standardize)
    tolerance, most = np.float64(options.tolerance), np.int32(options.max_sweeps)

    def attempt(capacity: int) -> tuple[Any, bool]:
        settings = ClassesSettings(classes, options.intercept, options.standardize, capacity, is_wide(sparse))
        prepared, goal, state = prepare_program(*data[:3], tolerance, penalties=len(penalties), settings=settings)
        touched = len(data.x.values) if isinstance(data.x, SparseColumns) else samples * (features + capacity**2)
        limits = (part, most, np.int32(max(1, SEGMENT / touched)))
        onwards = settings._replace(standardize=False)  # which matters to the preparation alone
        state, full = travel(
            state, lambda state: path_program(prepared, data.y, goal, state, *limits, settings=onwards), len(penalties)
        )
        return (prepared, goal, state.found), full

    prepared, goal, found = doubled(attempt, features if sparse else min(features, 512), features)
    w = np.asarray(found.w[0]) / np.asarray(prepared.scale)
    b = np.asarray(found.w[1]) - (0 if sparse else w @ np.asarray(prepared.mean))
    b = b if classes == 2 else b - b.mean(axis=1, keepdims=True)
    if penalties[-1] == 0:
        check_overlap(data, w[-1], b[-1])
    if classes == 2:
        w, b = w[:, 0], b[:, 0]
    gaps, enough = np.asarray(found.gap), np.asarray(goal) * max(1, RESOLVED / options.tolerance)
    return Path(penalties, *data.units.back(w, b), gaps, gaps <= enough, np.asarray(found.sweeps))


def check_populated(y: np.ndarray, weight: np.ndarray, classes: int) -> None:
    """Require weight in every class, without which an intercept has no optimum."""
    empty = np.flatnonzero(np.bincount(y, weight, classes) == 0)
    if len(empty):
        raise_error(
            "every class must have a sample of positive weight",
            f"class {empty[0]} has none",
            "fewer classes, or intercept=False",
        )


def check_overlap(data: Scaled, w: np.ndarray, b: np.ndarray) -> None:
    """Refuse a model without penalty that makes no error: its coefficients would grow without end."""
    z = np.asarray(data.x.times(jnp.asarray(w))) if isinstance(data.x, SparseColumns) else w @ data.x.T
    z = z + b[:, None]
    z = np.concatenate([np.zeros_like(z), z]) if len(z) == 1 else z
    own = np.arange(len(z))[:, None] == data.y[None]
    margin = np.sum(z, axis=0, where=own) - np.max(z, axis=0, where=~own, initial=-np.inf)
    if (margin[data.weight > 0] > 0).all():
        raise_error(
            "classes must overlap for a model without penalty",
            "they can be told apart without error, and then larger coefficients are always better",
            "a small penalty such as 1e-6",
        )


def check(x: Any, y: Any, weight: Any, classes: int | None, options: SolverOptions) -> tuple[Scaled, int]:
    """Check samples and labels, and scale them; features that are mostly 0 are kept by columns on a CPU."""
    x, y, weight = check_samples(x, y, weight)
    y, classes = check_labels(y, classes)
    if options.intercept:
        check_populated(y, weight, classes)
    if isinstance(x, np.ndarray) and not is_wide() and np.count_nonzero(x) < SPARSE * x.size:
        columns, rows = np.nonzero(x.T)
        x = Entries(rows.astype(np.int32), columns.astype(np.int32), x[rows, columns], x.shape)
    return scaled(x, y, weight, classes=True), classes


def slopes(data: Scaled, classes: int, options: SolverOptions) -> np.ndarray:
    """Return max |xⱼᵀρ| in the solver's units."""
    settings = ClassesSettings(classes, options.intercept, options.standardize, 1, is_wide())
    return np.asarray(slopes_program(*data[:3], settings=settings))


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

    Args:
        x: (samples, features), or sparse; as in `elastic_net_path`, like all that is not said here.
        y: (samples,), whole numbers from 0 to classes − 1.
        l1_ratio: from 0 to 1.
        penalties: falling numbers of at least 0. Without penalty classes must overlap.
        count: how many penalties to choose.
        smallest: the last penalty chosen, as a share of the first.
        classes: their number; None for one more than the largest label. Two classes have one row of coefficients,
            that of class 1; more have a row each.
        weight: (samples,).
        intercept: whether to fit one.
        standardize: whether features are divided by their standard deviations.
        tolerance: the duality gap to reach, relative to the loss of the model without coefficients.
        max_sweeps: how many for a penalty at most.

    Returns:
        Path.

    Raises:
        ValueError, TypeError: as `elastic_net_path`.

    >>> import numpy as np, funcnet as fn
    >>> x, y = np.asarray([[-1.0], [1.0], [-1.0], [1.0]]), np.asarray([0, 1, 1, 1])
    >>> path = fn.linear.logistic_path(x, y, penalties=[0.3, 0.05], tolerance=1e-12)
    >>> w, b = path.coefficients[1, 0], path.intercepts[1]
    >>> print(float(path.coefficients[0, 0]), np.exp(path.intercepts[0]).round(6))  # 3 of class 1 to 1 of class 0
    0.0 3.0
    >>> p = 1 / (1 + np.exp(-(b + w * x[:, 0])))
    >>> print((x[:, 0] @ (y - p) / 4).round(6))  # the slope is λ where the coefficient is not 0
    0.05

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
    data, classes = check(x, y, weight, classes, options)
    with precision(isinstance(data.x, SparseColumns)):
        given = options.penalties
        if given is None:
            given = grid(slopes(data, classes, options), data.units, options)[0]
        return report(solve(data, classes, given, options))


def logistic(
    x: Any,
    y: Any,
    penalty: float,
    *,
    l1_ratio: float = 1.0,
    classes: int | None = None,
    weight: Any = None,
    **options: Any,
) -> Fit:
    r"""Solve logistic regression for one penalty λ = 1/(C Σ weights), which is reached along a few larger ones.

    Args:
        x: (samples, features), or sparse.
        y: (samples,), whole numbers from 0 to classes − 1.
        penalty: λ, at least 0. Without penalty classes must overlap.
        l1_ratio: 1 is L1 alone, 0 is L2.
        classes: as in `logistic_path`.
        weight: (samples,).
        **options: those of `logistic_path`: intercept, standardize, tolerance, max_sweeps.

    Returns:
        Fit: with a warning if it ended above the tolerance.

    >>> import numpy as np, funcnet as fn
    >>> x, y = np.asarray([[-1.0], [1.0], [-1.0], [1.0]]), np.asarray([0, 1, 0, 1])
    >>> fit = fn.linear.logistic(x, y, 0.2, tolerance=1e-12)
    >>> print((1 / (1 + np.exp(-fit.coefficients))).round(6))  # 1 − p = λ
    [0.8]

    """
    penalty = check_number(penalty, "penalty")
    checked = check_options(l1_ratio, [penalty], **options)
    data, classes = check(x, y, weight, classes, checked)
    with precision(isinstance(data.x, SparseColumns)):
        top = penalty * 2.0**APPROACH
        if checked.ratios[0] > 0:
            top = largest_penalty(slopes(data, classes, checked), data.units, checked)[0]
        return last(solve(data, classes, approach(top, penalty), checked))
