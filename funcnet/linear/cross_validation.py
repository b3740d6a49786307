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
skipped; lanes in step do neither. With several CPU devices (`jax.config.update("jax_num_cpu_devices", 2)`
before JAX starts) folds are spread over them.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnet.errors import describe, raise_error
from funcnet.linear.data import (
    check_count,
    check_number,
    check_penalties,
    check_samples,
    check_target,
    grid,
    precision,
    prepare,
)
from funcnet.linear.regression import (
    Fit,
    Path,
    Settings,
    elastic_net_path,
    first_capacity,
    largest_correlation,
    reduce,
    restored,
    row,
    solve,
)


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """Errors by mixing ratio, penalty and fold, and the model fitted to all samples at the best pair.

    l1_ratios     (ratios,)
    penalties     (ratios, penalties), falling
    errors        (ratios, penalties, folds): mean squared error on the samples left out
    converged     (ratios, penalties, folds): whether the gap met the tolerance
    best_ratio, best_penalty, best_error
    fit           of all samples, at the best pair
    path          of all samples, at the best ratio
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


@functools.partial(jax.jit, static_argnames=("settings", "together", "devices"))
def cross_validation_program(
    x: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    left_out: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
    tolerance: jax.Array,
    most: jax.Array,
    *,
    settings: Settings,
    together: bool,
    devices: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return errors and convergence (folds, ratios, penalties), and where capacity failed (folds, ratios).

    left_out  int32 (folds, places): the samples of each fold, filled up with the number of samples
    l1, l2    (ratios, penalties)
    """
    samples = x.shape[0]

    def each(function: Any, values: Any) -> Any:
        return jax.vmap(function)(values) if together else lax.map(function, values)

    def fold(out: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        data = prepare(x, y, weight.at[out].set(0, mode="drop"), settings.intercept, settings.standardize)
        rows = jnp.minimum(out, samples - 1)
        share = jnp.where(out < samples, weight[rows], 0)
        share = share / jnp.sum(share)

        reduced = reduce(data, settings)

        def ratio(penalties: tuple) -> tuple[jax.Array, jax.Array, jax.Array]:
            found, goal = solve(reduced, penalties[0], penalties[1], tolerance, most, settings)
            coefficients, intercepts = restored(data, found.w)
            wrong = coefficients @ x[rows].T + intercepts[:, None] - y[rows][None]
            return (wrong * wrong) @ share, found.gap <= goal, found.full

        return each(ratio, (l1, l2))

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
        count = check_count(folds, "folds", 2)
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
    total = weight.sum()
    for i, part in enumerate(parts):
        inside = weight[part].sum()
        if inside == 0 or inside >= total:
            raise_error(
                "samples of positive weight must lie in each fold and outside it",
                f"fold {i} has {inside:g} of {total:g}",
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

    Parameters are those of `elastic_net_path`, but for

    l1_ratios : numbers from 0 to 1; 0 (ridge) asks for penalties
    penalties : falling numbers above 0 for all ratios; None for `count` of them for each ratio, from the
        least that makes all coefficients of all samples 0 to `smallest` times it
    folds : how many, of consecutive samples and sizes that differ by 1 at most; or a whole number for each
        sample, which says to what fold it belongs (shuffle there, if the order of samples means anything)
    together : whether lanes are vmapped; None for yes on accelerators and no on a CPU

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 5))
    >>> y = x[:, 0] - 2 * x[:, 1] + 0.1 * rng.standard_normal(60)
    >>> result = cross_validate(x, y, l1_ratios=[0.5, 1.0], penalties=np.geomspace(1, 0.01, 30), folds=5)
    >>> print(result.errors.shape, result.best_ratio, result.fit.coefficient[:2].round(1))
    (2, 30, 5) 1.0 [ 1. -2.]

    """
    x, y, weight = check_samples(x, y, weight)
    y = check_target(y, x.dtype)
    ratios = np.asarray([check_number(r, "each of l1_ratios", high=1) for r in np.atleast_1d(l1_ratios)])
    if not len(ratios):
        raise_error("l1_ratios must not be empty", "got none", "l1_ratios=[0.5, 1.0]")
    tolerance, max_sweeps = (
        check_number(tolerance, "tolerance", above=0),
        check_count(max_sweeps, "max_sweeps"),
    )
    table = check_folds(folds, weight)
    flags = {"intercept": bool(intercept), "standardize": bool(standardize)}
    given = None if penalties is None else check_penalties(penalties)
    backend = jax.default_backend()
    with precision(x.dtype):
        if given is None:
            count, smallest = check_count(count, "count"), check_number(smallest, "smallest", above=0)
            top = float(largest_correlation(x, y, weight, **flags))
            lams = np.stack([grid(top, r, count, smallest) for r in ratios])
        else:
            lams = np.broadcast_to(given, (len(ratios), len(given)))
        l1, l2 = (lams * ratios[:, None]).astype(x.dtype), (lams * (1 - ratios[:, None])).astype(x.dtype)
        limits = (np.asarray(tolerance, x.dtype), np.int32(min(max_sweeps, 2**31 - 1)))
        side = backend != "cpu" if together is None else bool(together)
        devices = max(d for d in range(1, len(jax.local_devices()) + 1) if len(table) % d == 0)
        capacity = first_capacity(*x.shape)
        while True:
            settings = Settings(capacity=capacity, wide=side, closed=bool((ratios == 0).all()), **flags)
            errors, converged, full = cross_validation_program(
                x, y, weight, table, l1, l2, *limits, settings=settings, together=side, devices=devices
            )
            if not np.asarray(full).any():
                break
            capacity = min(2 * capacity, x.shape[1])
        errors, converged = (np.moveaxis(np.asarray(a), 0, 2) for a in (errors, converged))
    mean = errors.mean(axis=2)
    best = np.unravel_index(int(np.argmin(mean)), mean.shape)
    ratio, at = float(ratios[best[0]]), int(best[1])
    options: dict[str, Any] = {"tolerance": tolerance, "max_sweeps": max_sweeps, "weight": weight, **flags}
    path = elastic_net_path(x, y, l1_ratio=ratio, penalties=lams[best[0]], **options)
    return CrossValidation(
        ratios, lams, errors, converged, ratio, float(lams[best]), float(mean[best]), row(path, at), path
    )
