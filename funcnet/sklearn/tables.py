r"""What arrives as X and sample_weight: arrays, or tables of pandas, Polars and Arrow, whose column names are kept."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from sklearn.utils.validation import check_array

from funcnet.errors import describe, raise_error, shown
from funcnet.protocols import fits

NUMBERS = "biuf"
HINT = "sklearn.compose.ColumnTransformer, with OneHotEncoder for categories and SimpleImputer for what is missing"


@runtime_checkable
class Frame(Protocol):
    """A table of pandas or Polars: a column by its name."""

    columns: Any
    dtypes: Any

    def __getitem__(self, name: Any) -> Any: ...


@runtime_checkable
class ArrowTable(Protocol):
    """A table of Arrow."""

    column_names: Any

    def column(self, name: Any) -> Any:
        """Return a column."""
        ...


def columns_of(table: Any) -> Iterable[tuple[Any, Any]]:
    """Yield the columns of a table by name; nothing for what is no table."""
    if fits(table, ArrowTable):
        yield from ((name, table.column(name)) for name in table.column_names)
    elif fits(table, Frame):
        yield from ((name, table[name]) for name in table.columns if not fits(table[name], Frame))


def check_table(table: Any) -> None:
    """Require that the columns of a table are numbers without gaps; the message names the first that is not."""
    for name, column in columns_of(table):
        values = np.asarray(column)
        if values.dtype.kind not in NUMBERS and not _are_numbers(values):
            raise_error(f"column {shown(name)} must hold numbers alone", f"got {values.dtype}", HINT)
        if values.dtype.kind == "f" and np.isnan(values).any():
            gaps = int(np.isnan(values).sum())
            raise_error(f"column {shown(name)} must hold numbers alone", f"{gaps} are missing (NaN)", HINT)


def _are_numbers(values: np.ndarray) -> bool:
    """Tell whether objects are numbers, none of them missing."""
    return values.dtype == object and all(isinstance(v, int | float | np.number) and v == v for v in values.tolist())


def padded(x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Fill a set up at weight 0 to one of few sizes, so that folds share programs: by 63 rows or an eighth at most.

    >>> import numpy as np
    >>> x, y, weight = padded(np.ones((70, 2)), np.ones(70), None)
    >>> len(x), int(weight.sum())
    (128, 70)
    """
    room = _rounded(len(x)) - len(x)
    if room == 0:
        return x, y, weight
    weight = np.ones(len(x), x.dtype) if weight is None else weight
    return _filled(x, room), _filled(y, room), _filled(weight, room)


def _rounded(samples: int) -> int:
    """Return the next multiple of 64, or of the last of the first four binary digits if that is more."""
    step = 1 << max(samples.bit_length() - 4, 6)
    return -(-samples // step) * step


def _filled(array: np.ndarray, room: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((room, *array.shape[1:]), array.dtype)])


def as_weight(weight: Any, samples: int) -> np.ndarray:
    """Check the weights of samples, or return ones."""
    if weight is None:
        return np.ones(samples)
    weight = check_array(weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weight.ndim == 0:
        weight = np.full(samples, weight)
    if weight.shape != (samples,):
        must, attempt = f"sample_weight must have shape ({samples},)", "one weight for each sample"
        raise_error(must, f"got {describe(weight)}", attempt)
    if (weight < 0).any():
        raise_error("sample_weight must be at least 0", f"got {weight.min()}", "0 for samples that shall not count")
    if not weight.any():
        raise_error("sample_weight must not be zero throughout", "all are 0", "sample_weight=None for equal weights")
    return weight
