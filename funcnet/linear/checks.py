r"""What may enter a linear model, checked before anything is compiled: samples, targets, labels, weights, options.

x is an array of float32 or float64 (NumPy's, JAX's, or whatever turns into one, in either byte order), or sparse: rows
or columns with `indptr`, `indices` and `data` (SciPy's CSR and CSC), or coordinates with `indices` and `data` (JAX's
BCOO). SciPy is not imported.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from funcnet.errors import describe, raise_error, whole_number
from funcnet.protocols import fits


@runtime_checkable
class Compressed(Protocol):
    """SciPy's CSR or CSC: `indices` and `data` of row (column) i stand from indptr[i] to indptr[i + 1]."""

    shape: Any
    indptr: Any
    indices: Any
    data: Any


@runtime_checkable
class Coordinates(Protocol):
    """JAX's BCOO: `data`, and `indices` of shape (numbers, 2); `nse` of them."""

    shape: Any
    indices: Any
    data: Any
    nse: Any


@runtime_checkable
class Named(Protocol):
    """A sparse matrix that says how it is kept."""

    format: str


class Entries(NamedTuple):
    """A sparse matrix on the host, its numbers sorted by column, no place twice."""

    rows: np.ndarray  # int32 (numbers,)
    columns: np.ndarray  # int32 (numbers,)
    values: np.ndarray  # (numbers,)
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype:
        """Return the dtype of the values."""
        return self.values.dtype


class SolverOptions(NamedTuple):
    """How to solve, checked."""

    ratios: np.ndarray  # (ratios,)
    penalties: np.ndarray | None  # (penalties,), falling
    chosen: int  # how many penalties, if they are not given
    smallest: float
    tolerance: float
    max_sweeps: int
    intercept: bool
    standardize: bool


def is_sparse(x: Any) -> bool:
    """Tell whether x is a sparse matrix of a kind that is understood."""
    return fits(x, Compressed, Coordinates)


def entries(x: Any) -> Entries:
    """Return the numbers of a sparse matrix, sorted by column; those of one place are added up."""
    rows_count, columns_count = (int(size) for size in x.shape)
    indices, values = np.asarray(x.indices), np.asarray(x.data)
    if isinstance(x, Compressed):
        pointers = np.asarray(x.indptr)
        by_row = x.format == "csr" if isinstance(x, Named) else len(pointers) == rows_count + 1
        major = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
        major, indices, values = major[: pointers[-1]], indices[: pointers[-1]], values[: pointers[-1]]
        rows, columns = (major, indices) if by_row else (indices, major)
    else:
        rows, columns = indices[:, 0], indices[:, 1]
        real = (rows < rows_count) & (columns < columns_count)  # JAX fills up with places outside
        rows, columns, values = rows[real], columns[real], values[real]
    place = columns.astype(np.int64) * rows_count + rows
    place, where = np.unique(place, return_inverse=True)
    total = np.zeros(len(place), values.dtype)
    np.add.at(total, where, values)
    columns, rows = np.divmod(place, max(rows_count, 1))
    return Entries(rows.astype(np.int32), columns.astype(np.int32), total, (rows_count, columns_count))


def check_features(x: Any) -> np.ndarray | Entries:
    """Check features: float32 or float64, samples × features, finite."""
    if is_sparse(x):
        if len(x.shape) != 2 or np.asarray(x.indices).ndim != (1 if isinstance(x, Compressed) else 2):
            raise_error("sparse x must be rows, columns or coordinates of a matrix", "got another form", "x.tocsr()")
        numbers = np.asarray(x.data)
    elif isinstance(x, (list, tuple, str)) or np.asarray(x).dtype == object:
        attempt = "x.tocsr()" if fits(x, Named) else "np.asarray(x, np.float64)"
        raise_error("x must be an array", f"got a {type(x).__name__}", attempt, TypeError)
    else:
        x = numbers = np.asarray(x)
    dtype = numbers.dtype
    size = f"{dtype}{list(x.shape)}"
    if dtype.kind != "f" and dtype.name != "bfloat16":
        raise_error("x must be a floating-point array", f"got {size}", "x.astype(np.float32)", TypeError)
    if dtype.type not in (np.float32, np.float64):
        raise_error("x must be float32 or float64", f"got {size}", "x.astype(np.float64)", TypeError)
    if len(x.shape) != 2 or x.shape[1] == 0:
        raise_error(
            "x must have shape (samples, features), one feature or more", f"got {size}", "x.reshape(len(x), -1)"
        )
    if x.shape[0] == 0:
        raise_error("x must hold at least one sample", f"got {size}", "a set that is not empty")
    if not np.isfinite(numbers).all():
        bad = numbers[~np.isfinite(numbers)]
        raise_error("x must be finite", f"got {bad[0]} ({bad.size} not finite)", "remove or impute these samples")
    return entries(x) if is_sparse(x) else x


def check_samples(x: Any, y: Any, weight: Any) -> tuple[np.ndarray | Entries, np.ndarray, np.ndarray]:
    """Check features, that one target stands for each sample, and weights, which come back with a sum of 1."""
    if isinstance(x, jax.core.Tracer) or isinstance(y, jax.core.Tracer):
        raise_error(
            "x and y must be arrays whose numbers can be read",
            f"got {describe(x)} and {describe(y)} while tracing",
            "call it outside jit, vmap and their kin; it compiles what is inside",
            TypeError,
        )
    x, y = check_features(x), np.asarray(y)
    samples = x.shape[0]
    if y.shape != (samples,):
        attempt = "y.ravel()" if y.size == samples else "one target for each sample; several targets one by one"
        raise_error("y must have shape (samples,)", f"got {describe(y)} beside {samples} samples", attempt)
    weight = np.ones(samples) if weight is None else np.asarray(weight)
    if weight.shape != y.shape or weight.dtype.kind not in "iuf":
        raise_error(
            "weight must be a number for each sample",
            f"got {describe(weight)} beside {samples} samples",
            "weight=None",
        )
    if not np.isfinite(weight).all() or (weight < 0).any():
        bad = weight[~np.isfinite(weight) | (weight < 0)][0]
        raise_error("weights must be finite and at least 0", f"got {bad}", "0 for samples that shall not count")
    if not weight.any():
        raise_error("at least one weight must be above 0", "all are 0", "weight=None for equal weights")
    # Weights are relative: the largest becomes 1 first, so that no sum leaves the range.
    share = (weight / weight.max()).astype(np.float64)
    return x, y, share / share.sum()


def check_target(y: np.ndarray) -> np.ndarray:
    """Check real targets; return them in float64."""
    if y.dtype.kind not in "iuf":
        raise_error("y must hold real numbers", f"got {describe(y)}", "y.astype(np.float64)", TypeError)
    with np.errstate(over="ignore"):
        y = y.astype(np.float64)
    if not np.isfinite(y).all():
        raise_error("y must be finite", f"got {y[~np.isfinite(y)][0]}", "remove these samples")
    return y


def check_labels(y: np.ndarray, classes: int | None) -> tuple[np.ndarray, int]:
    """Check labels 0 … classes−1; return them and the number of classes (None: one more than the largest)."""
    if y.dtype.kind not in "iub":
        raise_error(
            "labels must be whole numbers",
            f"got {describe(y)}",
            "y.astype(np.int32), or np.unique(y, return_inverse=True)[1]",
            TypeError,
        )
    if classes is None:
        classes = max(int(y.max()) + 1, 2)
    classes = whole_number(classes, "classes", 2)
    if y.min() < 0 or y.max() >= classes:
        bad = y[(y < 0) | (y >= classes)][0]
        raise_error(f"labels must lie in 0 … {classes - 1}", f"got {bad}", "np.unique(y, return_inverse=True)[1]")
    return y.astype(np.int32), classes


def check_number(value: Any, name: str, *, above: float | None = None, low: float = 0, high: float = np.inf) -> float:
    """Check a number: above `above`, or between `low` and `high`."""
    words = f"above {above:g}" if above is not None else f"between {low:g} and {high:g}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise_error(f"{name} must be a number {words}", f"got {describe(value)}", f"a number {words}", TypeError)
    if not np.isfinite(value) or (value <= above if above is not None else not low <= value <= high):
        raise_error(f"{name} must be {words}", f"got {value}", f"a number {words}")
    return float(value)


def check_penalties(penalties: Any) -> np.ndarray:
    """Check penalties: finite, at least 0, falling. They are not sorted: row i of a result is penalty i."""
    values = np.atleast_1d(np.asarray(penalties))
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iuf":
        raise_error(
            "penalties must be a list of numbers",
            f"got {describe(penalties)}",
            "penalties=np.geomspace(1, 1e-3, 100)",
            TypeError,
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        bad = values[~(np.isfinite(values) & (values >= 0))][0]
        raise_error("penalties must be finite and at least 0", f"got {bad}", "0 for no penalty")
    if (np.diff(values) >= 0).any():
        i = int(np.argmax(np.diff(values) >= 0))
        raise_error(
            "penalties must fall, as each solution starts from the last",
            f"got {values[i]:g} before {values[i + 1]:g}",
            "np.unique(penalties)[::-1]",
        )
    return values


def check_options(
    l1_ratio: Any,
    penalties: Any = None,
    *,
    count: Any = 100,
    smallest: Any = 1e-3,
    intercept: Any = True,
    standardize: Any = False,
    tolerance: Any = 1e-6,
    max_sweeps: Any = 10_000,
) -> SolverOptions:
    """Check what all linear models take; several mixing ratios come as a list."""
    given = list(l1_ratio) if isinstance(l1_ratio, (list, tuple, np.ndarray)) else [l1_ratio]
    if not given:
        raise_error("l1_ratios must not be empty", "got none", "l1_ratios=[0.5, 1.0]")
    return SolverOptions(
        np.asarray([check_number(ratio, "l1_ratio", high=1) for ratio in given]),
        None if penalties is None else check_penalties(penalties),
        whole_number(count, "count", 1),
        check_number(smallest, "smallest", above=0),
        check_number(tolerance, "tolerance", above=0),
        min(whole_number(max_sweeps, "max_sweeps", 1), 10**9),
        bool(intercept),
        bool(standardize),
    )
