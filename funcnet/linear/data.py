r"""What enters a linear model: checks at the door, precision, standardisation, the grid of penalties.

Precision. The dtype of x decides. float32 is solved in float32. A float64 array is solved in float64 even
where JAX's 64-bit mode is off: the solver then runs inside a local `jax.enable_x64(True)`, and results are
NumPy arrays, so that nothing is lost on the way in or out. The mode of the caller's program is not touched.

Preparation. With weights s scaled to Σ sᵢ = 1, means x̄ = Σ sᵢ xᵢ and scale σⱼ (1, or the weighted standard
deviation when standardising; about 0, not the mean, if there is no intercept):

    aᵢⱼ = (xᵢⱼ − x̄ⱼ)/σⱼ,   bᵢ = yᵢ − ȳ     and back:   coefficient wⱼ/σⱼ,   intercept ȳ − Σⱼ x̄ⱼ wⱼ/σⱼ

A column that is constant up to rounding over samples of positive weight carries nothing beside an intercept.
It becomes exactly zero, and so does its coefficient; likewise targets.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

try:
    from jax import enable_x64
except ImportError:  # before jax 0.8
    from jax.experimental import enable_x64  # type: ignore[attr-defined, no-redef]

from funcnet.arrays import check_features
from funcnet.errors import describe, raise_error


@contextlib.contextmanager
def precision(dtype: Any) -> Iterator[None]:
    """Run the body in 64-bit mode if the data are float64; leave the mode alone otherwise."""
    with enable_x64(True) if np.dtype(dtype) == np.float64 else contextlib.nullcontext():
        yield


class Prepared(NamedTuple):
    """Centred and scaled features and targets, and the way back."""

    features: jax.Array  # (samples, features), a
    target: jax.Array  # (samples,), b
    weight: jax.Array  # (samples,), s, of sum 1
    mean: jax.Array  # (features,)
    scale: jax.Array  # (features,)
    offset: jax.Array  # (), ȳ


def prepare(x: jax.Array, y: jax.Array, weight: jax.Array, intercept: bool, standardize: bool) -> Prepared:
    """Centre and scale, as the module says."""
    weight = weight / jnp.sum(weight)
    size = jnp.max(jnp.where(weight[:, None] > 0, jnp.abs(x), 0), axis=0)
    mean, offset = jnp.zeros_like(size), jnp.zeros((), x.dtype)
    rounding = 10 * jnp.finfo(x.dtype).eps
    if intercept:
        mean, offset = weight @ x, weight @ y
        x = x - mean[None]
        largest = jnp.max(jnp.where(weight > 0, jnp.abs(y), 0))
        y = y - offset
        y = jnp.where(weight @ (y * y) <= (rounding * largest) ** 2, 0, y)
    variance = weight @ (x * x)
    if intercept:
        constant = variance <= (rounding * size) ** 2
        x, variance = jnp.where(constant[None], 0, x), jnp.where(constant, 0, variance)
    scale = (
        jnp.sqrt(jnp.where(variance > 0, variance, jnp.ones_like(variance))) if standardize else jnp.ones_like(variance)
    )
    return Prepared(x / scale[None], y, weight, mean, scale, offset)


def check_samples(x: Any, y: Any, weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check features, that one target stands for each sample, and weights; return them as NumPy arrays."""
    if isinstance(x, jax.core.Tracer) or isinstance(y, jax.core.Tracer):
        raise_error(
            "x and y must be arrays whose numbers can be read",
            f"got {describe(x)} and {describe(y)} while tracing",
            "call it outside jit, vmap and their kin; it compiles what is inside",
            TypeError,
        )
    check_features(x, "x")
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype not in (np.float32, np.float64):
        raise_error("x must be float32 or float64", f"got {describe(x)}", "x.astype(np.float32)", TypeError)
    if x.ndim != 2 or x.shape[1] == 0:
        raise_error(
            "x must have shape (samples, features), one feature or more",
            f"got {describe(x)}",
            "x.reshape(len(x), -1)",
        )
    if y.shape != x.shape[:1]:
        attempt = "y.ravel()" if y.size == x.shape[0] else "one target for each sample"
        raise_error("y must have shape (samples,)", f"got {describe(y)} beside {describe(x)}", attempt)
    if weight is None:
        return x, y, np.ones(len(x), x.dtype)
    weight = np.asarray(weight)
    if weight.shape != y.shape or weight.dtype.kind not in "iuf":
        raise_error(
            "weight must be a number for each sample",
            f"got {describe(weight)} beside {describe(x)}",
            "weight=None",
        )
    if not np.isfinite(weight).all() or (weight < 0).any():
        bad = weight[~np.isfinite(weight) | (weight < 0)][0]
        raise_error("weights must be finite and at least 0", f"got {bad}", "0 for samples that shall not count")
    if weight.sum() == 0:
        raise_error("at least one weight must be above 0", "all are 0", "weight=None for equal weights")
    return x, y, weight.astype(x.dtype)


def check_target(y: np.ndarray, dtype: Any) -> np.ndarray:
    """Check real targets."""
    if y.dtype.kind not in "iuf":
        raise_error("y must hold real numbers", f"got {describe(y)}", "y.astype(np.float64)", TypeError)
    y = y.astype(dtype)
    if not np.isfinite(y).all():
        raise_error("y must be finite", f"got {y[~np.isfinite(y)][0]}", "remove these samples")
    return y


def check_number(value: Any, name: str, *, above: float | None = None, low: float = 0, high: float = np.inf) -> float:
    """Check a number: above `above`, or between `low` and `high`."""
    words = f"above {above:g}" if above is not None else f"between {low:g} and {high:g}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise_error(f"{name} must be a number {words}", f"got {describe(value)}", f"a number {words}", TypeError)
    if not np.isfinite(value) or (value <= above if above is not None else not low <= value <= high):
        raise_error(f"{name} must be {words}", f"got {value}", f"a number {words}")
    return float(value)


def check_count(value: Any, name: str, least: int = 1) -> int:
    """Check a whole number of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise_error(
            f"{name} must be a whole number",
            f"got {describe(value)}",
            f"an int of at least {least}",
            TypeError,
        )
    if value < least:
        raise_error(f"{name} must be at least {least}", f"got {value}", f"{name}={least} or more")
    return int(value)


def check_penalties(penalties: Any) -> np.ndarray:
    """Check penalties: finite, above 0, falling. They are not sorted: row i of a result is penalty i."""
    values = np.asarray(penalties)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iuf":
        raise_error(
            "penalties must be a list of numbers",
            f"got {describe(penalties)}",
            "penalties=np.geomspace(1, 1e-3, 100)",
            TypeError,
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or (values <= 0).any():
        bad = values[~(np.isfinite(values) & (values > 0))][0]
        raise_error("penalties must be finite and above 0", f"got {bad}", "a small one such as 1e-8 in the place of 0")
    if (np.diff(values) >= 0).any():
        i = int(np.argmax(np.diff(values) >= 0))
        raise_error(
            "penalties must fall, as each solution starts from the last",
            f"got {values[i]:g} before {values[i + 1]:g}",
            "np.unique(penalties)[::-1]",
        )
    return values


def grid(largest: float, l1_ratio: float, count: int, smallest: float) -> np.ndarray:
    """Return `count` penalties from the least that makes all coefficients 0 to `smallest` times it."""
    if l1_ratio == 0:
        raise_error(
            "penalties must be given where l1_ratio is 0, as no finite one makes all coefficients 0",
            "got penalties=None",
            "penalties=np.geomspace(10, 1e-4, 100)",
        )
    if not largest > 0:
        raise_error(
            "the penalties must be given if no feature varies with y",
            "all correlations are 0 (is y constant, or is there a single sample?)",
            "penalties=[1.0], for which all coefficients are 0",
        )
    return np.geomspace(largest / l1_ratio, smallest * largest / l1_ratio, count)
