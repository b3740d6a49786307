r"""Units: every column and the target divided by powers of two, penalties to match, and back.

Inside, everything is float64, whatever the dtype of x: float32 cannot bring a gap below some 1e-6 of the objective, and
on a CPU it saves a third of the time at most. (Solvers run inside a local `jax.enable_x64(True)`; the mode of the
caller's program is not touched, and results are NumPy arrays in the dtype of x.)

Squares of 1e-200 are 0 in float64, and then any model looks like the best. So column j is divided by 2^eⱼ and y by
2^f, such that the largest number of each is between ½ and 1. That is exact, and so is the way back:

Formula    xᵢⱼ = 2^(eⱼ) x′ᵢⱼ,   yᵢ = 2^f y′ᵢ,   wⱼ = 2^(f − eⱼ) w′ⱼ
           P/2^(2 f) = ½ Σᵢ sᵢ (y′ᵢ − x′ᵢᵀ w′)² + Σⱼ (tⱼ |w′ⱼ| + ½ uⱼ w′ⱼ²)
           tⱼ = λ₁ 2^(−f − eⱼ),   uⱼ = λ₂ 2^(−2 eⱼ)

Results do not depend on units: x times 2^k gives the coefficients times 2^−k, bit for bit, if penalties follow. When
standardising, the penalty is on σⱼwⱼ, which knows no eⱼ: t = λ₁ 2^−f, u = λ₂. Classes have f = 0.

Preparation. With weights of sum 1, means x̄ = Σ sᵢ xᵢ and scale σⱼ (1, or the weighted standard deviation when
standardising; about 0, not the mean, if there is no intercept):

    aᵢⱼ = (x'ᵢⱼ − x̄'ⱼ)/σ'ⱼ,   bᵢ = y'ᵢ − ȳ'     and back:   coefficient w'ⱼ/σ'ⱼ,   intercept ȳ' − Σⱼ x̄'ⱼ w'ⱼ/σ'ⱼ

A column that is constant up to rounding over samples of positive weight carries nothing beside an intercept.
It becomes exactly zero, and so does its coefficient; likewise targets.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import raise_error
from funcnet.linear.checks import Entries, SolverOptions
from funcnet.linear.sparse import SparseColumns

LARGEST = 1e300  # that penalties may be in the units of a feature: with more, a coefficient is 0 just as well


class Units(NamedTuple):
    """The powers of two that were divided by, and the dtype to go back to."""

    columns: np.ndarray  # int (features,), e
    target: int  # f
    dtype: np.dtype

    def back(self, coefficients: np.ndarray, intercepts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (…, features) and intercepts in the units and dtype of what came."""
        with np.errstate(over="ignore", under="ignore"):
            w = np.ldexp(coefficients, self.target - self.columns).astype(self.dtype)
            b = np.ldexp(intercepts, self.target).astype(self.dtype)
            lost = np.abs(np.ldexp(w.astype(np.float64), self.columns - self.target) - coefficients)
        # Features and target are of size 1 here: what is lost below 1e-12 moves no prediction.
        held = lost <= np.maximum(1e-5 * np.max(np.abs(coefficients), axis=-1, keepdims=True), 1e-12)
        if not held.all() or not np.isfinite(b).all():
            raise_error(
                f"coefficients must be numbers that {self.dtype} can hold",
                "the scales of x and y are too far apart",
                "other units for x or y, or float64",
            )
        return w, b


class Scaled(NamedTuple):
    """What solvers get: numbers of ordinary size in float64, weights of sum 1."""

    x: np.ndarray | SparseColumns  # (samples, features)
    y: np.ndarray  # (samples,), targets or labels
    weight: np.ndarray  # (samples,)
    units: Units


class Penalties(NamedTuple):
    """λ₁ and λ₂ in the units of each feature; by penalty, for cross-validation by mixing ratio before."""

    l1: Any  # (…, penalties, features), t
    l2: Any  # (…, penalties, features), u
    level: Any  # (…, penalties), λ₂ in the units of the largest feature: u = level spread
    spread: Any  # (features,)


def exponent(largest: np.ndarray) -> np.ndarray:
    """Return e with largest / 2^e in [½, 1), and 0 of 0."""
    return np.where(largest > 0, np.frexp(largest)[1], 0)


def scaled(x: np.ndarray | Entries, y: np.ndarray, weight: np.ndarray, classes: bool = False) -> Scaled:
    """Divide columns and targets by powers of two; samples of weight 0 become 0."""
    dtype, present = np.dtype(x.dtype.type), weight > 0
    if isinstance(x, Entries):
        values = np.where(present[x.rows], x.values, 0).astype(np.float64)
        largest = np.zeros(x.shape[1])
        np.maximum.at(largest, x.columns, np.abs(values))
        powers = exponent(largest)
        starts = np.searchsorted(x.columns, np.arange(x.shape[1] + 1)).astype(np.int32)
        values = np.ldexp(values, -powers[x.columns])
        features: Any = SparseColumns(x.rows, x.columns, values, starts, np.ones(x.shape[0]))
    else:
        features = x.astype(np.float64)
        features = features if present.all() else np.where(present[:, None], features, 0)
        powers = exponent(np.max(np.abs(features), axis=0))
        half = powers // 2  # in two steps, as 2^1074 is no float64
        features = features * np.ldexp(1.0, -half) * np.ldexp(1.0, half - powers)
    if classes:
        return Scaled(features, y, weight, Units(powers, 0, dtype))
    y = np.where(present, y, 0)
    power = int(exponent(np.max(np.abs(y))))
    return Scaled(features, np.ldexp(y, -power), weight, Units(powers, power, dtype))


def in_units(penalties: np.ndarray, ratios: np.ndarray, units: Units, standardize: bool) -> Penalties:
    """Return penalties (…, penalties) of mixing ratios (…,) in the units of each feature."""
    powers = np.zeros_like(units.columns) if standardize else units.columns
    top = int(powers.max())

    def times(values: np.ndarray, power: Any) -> np.ndarray:
        return np.minimum(np.ldexp(values, power), LARGEST)

    with np.errstate(over="ignore", under="ignore"):
        first, second = penalties * ratios[..., None], penalties * (1 - ratios[..., None])
        return Penalties(
            times(first[..., None], -units.target - powers),
            times(second[..., None], -2 * powers),
            times(second, -2 * top),
            times(np.ones(len(powers)), 2 * (top - powers)),
        )


def largest_penalty(slopes: np.ndarray, units: Units, options: SolverOptions) -> np.ndarray:
    """Return the least penalties that make all coefficients 0, (ratios,): max |aⱼᵀb| / ratio.

    Args:
        slopes: (features,), |aⱼᵀb| of the model without coefficients, in the solver's units.
        units: of the samples.
        options: the mixing ratios; 0 has no such penalty, and gives infinity.

    """
    powers = np.zeros_like(units.columns) if options.standardize else units.columns
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        return np.max(np.ldexp(slopes, units.target + powers)) / options.ratios


def grid(slopes: np.ndarray, units: Units, options: SolverOptions) -> np.ndarray:
    """Return penalties (ratios, penalties): as given, or from the largest of each ratio to `smallest` times it."""
    if options.penalties is not None:
        return np.broadcast_to(options.penalties, (len(options.ratios), len(options.penalties)))
    if (options.ratios == 0).any():
        raise_error(
            "penalties must be given where l1_ratio is 0, as no finite one makes all coefficients 0",
            "got penalties=None",
            "penalties=np.geomspace(10, 1e-4, 100)",
        )
    largest = largest_penalty(slopes, units, options)
    if not (np.finfo(np.float64).tiny <= largest * options.smallest).all() or not np.isfinite(largest).all():
        raise_error(
            "the penalties must be given if no feature varies with y, or if x times y leaves the range of float64",
            f"the largest would be {largest.max():g} (is y constant, or is there a single sample?)",
            "penalties=[1.0], or other units for x",
        )
    return largest[:, None] * np.geomspace(1, options.smallest, options.chosen)


class Prepared(NamedTuple):
    """Centred and scaled features and targets, and the way back."""

    features: Any  # (samples, features), a
    target: Any  # (samples,), b
    weight: jax.Array  # (samples,), s, of sum 1
    mean: jax.Array  # (features,)
    scale: jax.Array  # (features,)
    offset: jax.Array  # (), ȳ

    def restored(self, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return coefficients (penalties, features) and intercepts before centring and scaling."""
        coefficients = w / self.scale[None]
        return coefficients, self.offset - coefficients @ self.mean


def prepare(x: Any, y: jax.Array, weight: jax.Array, intercept: bool, standardize: bool) -> Prepared:
    """Centre and scale, as the module says; sparse features are scaled alone."""
    weight = weight / jnp.sum(weight)
    rounding = 10 * jnp.finfo(y.dtype).eps
    offset = weight @ y if intercept else jnp.zeros((), y.dtype)
    if intercept:
        largest = jnp.max(jnp.where(weight > 0, jnp.abs(y), 0))
        y = y - offset
        y = jnp.where(weight @ (y * y) <= (rounding * largest) ** 2, 0, y)
    if isinstance(x, SparseColumns):
        mean, variance = x.centres(weight, intercept)
        constant = variance <= 0
    else:
        size = jnp.max(jnp.where(weight[:, None] > 0, jnp.abs(x), 0), axis=0)
        mean = weight @ x if intercept else jnp.zeros_like(size)
        x = x - mean[None] if intercept else x
        variance = weight @ (x * x)
        constant = variance <= (rounding * size) ** 2 if intercept else variance <= 0
    scale = jnp.sqrt(jnp.where(constant, 1, variance)) if standardize else jnp.ones_like(variance)
    if isinstance(x, SparseColumns):
        features: Any = x._replace(values=jnp.where(constant, 0, 1 / scale)[x.columns] * x.values)
    else:
        features = jnp.where(constant[None], 0, x) / scale[None]
    return Prepared(features, y, weight, mean, scale, offset)
