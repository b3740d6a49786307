r"""Cross-validation of the elastic net: folds × mixing ratios × penalties in one compiled program.

For each fold f, mixing ratio r and penalty λ the model is fitted to the samples outside f, and its error is
the weighted mean of (yᵢ − w₀ − xᵢᵀw)² over the samples in f. The best pair (r, λ) has the least mean error
over folds, as in scikit-learn's ElasticNetCV; ties go to the larger penalty.

A fold is a change of weights: all lanes share x, and samples of the fold weigh 0. Means, scales and the Gram
matrix are of the samples outside alone, so nothing leaks. The Gram matrix of a fold serves all its mixing
ratios.

Lanes. The program maps over folds and, inside, over ratios. On accelerators both are `vmap`ped: all lanes
move together. On a CPU they run one after another inside the same program, which is faster there (0.2 s against
0.5 s for 50 lanes of 100 penalties, 1,000 × 200), as a lane that has converged stops and a coordinate that stays is
skipped; lanes in step do neither.
With several CPU devices (`jax.config.update("jax_num_cpu_devices", 2)` before JAX starts) folds are spread over them.
On a CPU Python can act on Ctrl-C after each fold (after as many as there are devices).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnet.errors import describe, raise_error, whole_number
from funcnet.linear.checks import Entries, SolverOptions, check_options, check_samples, check_target
from funcnet.linear.least_squares import Solutions
from funcnet.linear.paths import RESOLVED, doubled, precision, report
from funcnet.linear.regression import (
    Limits,
    SquaresSettings,
    closed,
    first,
    first_capacity,
    further,
    reduce,
    slopes,
    solve,
)
from funcnet.linear.results import Fit, Path, row
from funcnet.linear.units import Penalties, Scaled, grid, in_units, prepare, scaled


@dataclasses.dataclass(frozen=True, repr=False)
class CrossValidation:
    """Errors by mixing ratio, penalty and fold, and the model fitted to all samples at the best pair.

    Attributes:
        l1_ratios: (ratios,).
        penalties: (ratios, penalties), falling.
        errors: (ratios, penalties, folds): mean squared error on the samples left out.
        converged: (ratios, penalties, folds): whether the gap met the tolerance.
        best_ratio: the mixing ratio of the least mean error.
        best_penalty: its penalty.
        best_error: its mean error.
        fit: of all samples, at the best pair.
        path: of all samples, at the best ratio.

    >>> import numpy as np, funcnet as fn
    >>> x = np.random.default_rng(0).standard_normal((60, 5))
    >>> found = fn.linear.cross_validate(x, 2 * x[:, 1], penalties=[1.0, 0.1, 0.01], folds=3)
    >>> print(found.best_penalty, found.fit.predict(x).shape)
    0.01 (60,)

    """

    l1_ratios: np.ndarray
    penalties: np.ndarray
    errors: np.ndarray
    converged: np.ndarray
    best_ratio: float
    best_penalty: float
    best_error: float
    fit: Fit
    path: Path

    def __repr__(self) -> str:
        ratios, penalties, folds = self.errors.shape
        return (
            f"CrossValidation({ratios} ratios × {penalties} penalties × {folds} folds, best: ratio "
            f"{self.best_ratio:.3g}, penalty {self.best_penalty:.3g}, error {self.best_error:.3g})"
        )


@functools.partial(jax.jit, static_argnames=("settings", "together", "devices"))
def cross_validation_program(
    x: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    left_out: jax.Array,
    penalties: Penalties,
    limits: Limits,
    *,
    settings: SquaresSettings,
    together: bool,
    devices: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return errors and convergence (folds, ratios, penalties), and where capacity failed (folds, ratios).

    Args:
        x: (samples, features).
        y: (samples,).
        weight: (samples,).
        left_out: int32 (folds, places): the samples of each fold, filled up with the number of samples.
        penalties: by mixing ratio.
        limits: when to stop.
        settings: as of a path.
        together: whether lanes are vmapped.
        devices: over how many folds are spread.

    """
    samples = len(x)

    def each(function: Any, values: Any) -> Any:
        return jax.vmap(function)(values) if together else lax.map(function, values)

    def fold(out: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        data = prepare(x, y, weight.at[out].set(0, mode="drop"), settings.intercept, settings.standardize)
        rows = jnp.minimum(out, samples - 1)
        share = jnp.where(out < samples, weight[rows], 0)
        share = share / jnp.sum(share)
        reduced = reduce(data, settings)

        def ratio(part: tuple) -> tuple[jax.Array, jax.Array, jax.Array]:
            along = penalties._replace(l1=part[0], l2=part[1], level=part[2])
            if settings.closed:
                found: Solutions = closed(reduced, along, limits.tolerance)
            else:
                start = first(reduced, along.l1.shape, settings)
                found = further(reduced, start, along, limits, jnp.int32(2**30), settings).found
            coefficients, intercepts = data.restored(found.w)
            wrong = coefficients @ x[rows].T + intercepts[:, None] - y[rows][None]
            enough = jnp.maximum(limits.tolerance, RESOLVED) * reduced.energy
            return (wrong * wrong) @ share, found.gap <= enough, found.full

        return each(ratio, (penalties.l1, penalties.l2, penalties.level))

    if devices == 1:
        return each(fold, left_out)
    mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[:devices]), ("folds",))
    spec = jax.sharding.PartitionSpec("folds")
    return jax.shard_map(lambda part: each(fold, part), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(
        left_out
    )


def check_folds(folds: Any, weight: np.ndarray) -> np.ndarray:
    """Return the samples of each fold, filled up with the number of samples: (folds, places)."""
    samples = len(weight)
    if np.ndim(folds) == 0:
        count = whole_number(folds, "folds", 2)
        if count > samples:
            raise_error(
                "there must be a sample for each fold",
                f"got {count} folds and {samples} samples",
                f"folds={samples} or fewer",
            )
        parts = np.array_split(np.arange(samples), count)
    else:
        labels = np.asarray(folds)
        if labels.shape != weight.shape or labels.dtype.kind not in "iu":
            raise_error(
                "folds must be a number of folds, or a whole number for each sample",
                f"got {describe(labels)}",
                "folds=10",
            )
        parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if len(parts) < 2:
        raise_error("there must be two folds or more", f"got {len(parts)}", "folds=10")
    for i, part in enumerate(parts):
        inside = weight[part].any()
        if not inside or not np.delete(weight, part).any():
            raise_error(
                "samples of positive weight must lie in each fold and outside it",
                f"fold {i} has {'all of them' if inside else 'none'}",
                "fewer folds",
            )
    table = np.full((len(parts), max(map(len, parts))), samples, np.int32)
    for places, part in zip(table, parts, strict=True):
        places[: len(part)] = part
    return table


def cross_validate(
    x: Any,
    y: Any,
    *,
    l1_ratios: Any = (0.1, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0),
    penalties: Any = None,
    count: int = 100,
    smallest: float = 1e-3,
    folds: Any = 10,
    weight: Any = None,
    intercept: bool = True,
    standardize: bool = False,
    tolerance: float = 1e-4,
    max_sweeps: int = 10_000,
    together: bool | None = None,
) -> CrossValidation:
    r"""Choose the mixing ratio and penalty of an elastic net by cross-validation, and fit all samples.

    Args:
        x: (samples, features), not sparse; what is not said here is as in `elastic_net_path`.
        y: (samples,).
        l1_ratios: numbers from 0 to 1; 0 (ridge) asks for penalties.
        penalties: falling numbers above 0 for all ratios; None for `count` of them for each ratio, from the least that
            makes all coefficients of all samples 0 to `smallest` times it.
        count: how many penalties to choose.
        smallest: the last penalty chosen, as a share of the first.
        folds: how many, of consecutive samples and sizes that differ by 1 at most; or a whole number for each sample,
            which says to what fold it belongs (shuffle there, if the order of samples means anything).
        weight: (samples,).
        intercept: whether to fit one.
        standardize: whether features are divided by their standard deviations.
        tolerance: the duality gap to reach.
        max_sweeps: how many for a penalty at most.
        together: whether lanes are vmapped; None for yes on accelerators and no on a CPU.

    Returns:
        CrossValidation.

    >>> import numpy as np, funcnet as fn
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 5))
    >>> y = x[:, 0] - 2 * x[:, 1] + 0.1 * rng.standard_normal(60)
    >>> result = fn.linear.cross_validate(x, y, l1_ratios=[0.5, 1.0], penalties=np.geomspace(1, 0.01, 30), folds=5)
    >>> print(result.errors.shape, result.best_ratio, result.fit.coefficients[:2].round(1))
    (2, 30, 5) 1.0 [ 1. -2.]

    """
    options = check_options(
        np.atleast_1d(l1_ratios),
        penalties,
        count=count,
        smallest=smallest,
        intercept=intercept,
        standardize=standardize,
        tolerance=tolerance,
        max_sweeps=max_sweeps,
    )
    features, target, weight = check_samples(x, y, weight)
    if isinstance(features, Entries):
        raise_error("x must not be sparse in cross-validation", "it is", "x.toarray()", TypeError)
    if options.penalties is not None and options.penalties[-1] == 0:
        raise_error("penalties must be above 0 in cross-validation", "got 0", "a small one such as 1e-8")
    return _chosen(scaled(features, check_target(target), weight), check_folds(folds, weight), options, together)


def _chosen(data: Scaled, table: np.ndarray, options: SolverOptions, together: bool | None) -> CrossValidation:
    """Validate, choose, and fit all samples."""
    with precision():
        lams = grid(slopes(data, options), data.units, options)
        side = jax.default_backend() != "cpu" if together is None else bool(together)
        errors, converged = _validate(data, table, lams, options, side)
        mean = errors.mean(axis=2)
        ratio, at = np.unravel_index(int(np.argmin(mean)), mean.shape)
        path = report(solve(data, lams[ratio], options._replace(ratios=options.ratios[ratio:])))
    with np.errstate(over="ignore", under="ignore"):
        errors, mean = (np.ldexp(a, 2 * data.units.target) for a in (errors, mean))
    best = (float(options.ratios[ratio]), float(lams[ratio, at]), float(mean[ratio, at]))
    return CrossValidation(options.ratios, lams, errors, converged, *best, row(path, int(at)), path)


def _validate(
    data: Scaled, table: np.ndarray, lams: np.ndarray, options: SolverOptions, together: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return errors in the solver's units and convergence, (ratios, penalties, folds)."""
    devices = max(d for d in range(1, len(jax.local_devices()) + 1) if len(table) % d == 0)
    penalties = in_units(lams, options.ratios, data.units, options.standardize)
    limits = Limits(np.float64(options.tolerance), np.int32(0), np.int32(options.max_sweeps))
    x, y, weight = map(jnp.asarray, data[:3])
    groups = [table] if together else table.reshape(-1, devices, table.shape[1])

    def attempt(capacity: int) -> tuple[list, bool]:
        settings = SquaresSettings(
            options.intercept, options.standardize, capacity, together, bool((options.ratios == 0).all())
        )
        found = []
        for group in groups:
            part = cross_validation_program(
                x, y, weight, group, penalties, limits, settings=settings, together=together, devices=devices
            )
            found.append([np.asarray(a) for a in part])
            if found[-1][2].any():
                return found, True
        return found, False

    found = doubled(attempt, first_capacity(*x.shape), x.shape[1])
    errors, converged = (np.moveaxis(np.concatenate([part[i] for part in found]), 0, 2) for i in (0, 1))
    return errors, converged
