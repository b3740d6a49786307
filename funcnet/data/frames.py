r"""Tables in memory: features and targets out of a table of pandas, Polars or Arrow, by column.

None of these libraries is imported: a table is whatever has columns by name.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from funcnet.data.checks import flag, floating_dtype
from funcnet.data.tables import Table
from funcnet.errors import describe, near_misses, raise_error, shown
from funcnet.protocols import fits

HINT = "sklearn.compose.ColumnTransformer with OneHotEncoder, SimpleImputer"


@runtime_checkable
class _Arrow(Protocol):
    """A table of Arrow."""

    column_names: Any

    def column(self, name: Any) -> Any:
        """Return a column."""
        ...


@runtime_checkable
class _Frame(Protocol):
    """A table of pandas or Polars."""

    columns: Any

    def __getitem__(self, name: Any) -> Any: ...


def frame(
    table: Any,
    target: Any,
    *,
    features: Sequence[Any] | None = None,
    classes: bool = False,
    dtype: Any = np.float32,
) -> Table:
    r"""Take features and targets out of a table of pandas, Polars or Arrow, by the names of columns.

    Args:
        table: a DataFrame or a Table.
        target: the name of the column to predict, or a list of several.
        features: the names of the columns to predict from; None takes all others, in the order of the table.
        classes: take the one target for a class: y becomes int32 (n,) and numbers the distinct values of the column,
            which `Table.classes` lists sorted, as text.
        dtype: the floating dtype of x, and of y without `classes`.

    Returns:
        `Table`: x (n, features), y, and the names.

    Raises:
        TypeError: for what is no table.
        ValueError: for a column that is not there, or does not hold numbers alone: categories, dates and missing values
            are for scikit-learn's `ColumnTransformer`.

    >>> import funcnet as fn, numpy as np
    >>> class Flowers:  # whatever has columns by name
    ...     columns = ["length", "width", "species"]
    ...     def __getitem__(self, name):
    ...         return {"length": [5.1, 7.0], "width": [3, 2], "species": ["setosa", "lily"]}[name]
    >>> found = fn.data.frame(Flowers(), "species", classes=True)
    >>> print(found.x, found.y, found.features, found.classes)
    [[5.1 3. ]
     [7.  2. ]] [1 0] ('length', 'width') ('lily', 'setosa')

    """
    dtype, names = floating_dtype(dtype), _names(table)
    targets = list(target) if isinstance(target, list | tuple) else [target]
    inputs = [name for name in names if name not in targets] if features is None else list(features)
    for role, wanted in (("target", targets), ("features", inputs)):
        for name in wanted:
            if name not in names:
                offered = near_misses(name, names, quoted=True)
                raise_error(f"{role} must be columns of the table", f"{shown(name)} is none", offered)
        if not wanted or len(set(wanted)) != len(wanted):
            raise_error(f"{role} must name a column or more, each once", f"got {len(wanted)}", f"{role}=[…]")
    shared = [name for name in inputs if name in targets]
    if shared:
        must = "features and target must have no column in common"
        raise_error(must, f"both have {shown(shared[0])}", "dropping it from one")
    if flag(classes, "classes") and len(targets) != 1:
        raise_error("target must be one column when classes=True", f"got {len(targets)}", "one name as target")
    x = np.stack([_numbers(table, name, dtype) for name in inputs], axis=1)
    found: tuple[str, ...] = ()
    if classes:
        kinds, y = np.unique(_column(table, targets[0]).astype(str), return_inverse=True)
        y, found = y.astype(np.int32), tuple(kinds.tolist())
    else:
        y = np.stack([_numbers(table, name, dtype) for name in targets], axis=1)
    return Table(x, y, tuple(map(str, inputs)), tuple(map(str, targets)), found)


def _names(table: Any) -> list[Any]:
    if fits(table, _Arrow):
        return list(table.column_names)
    if fits(table, _Frame) and not isinstance(table, np.ndarray):
        return list(table.columns)
    must, attempt = "table must have columns by name", "a DataFrame of pandas or Polars, a Table of Arrow"
    raise_error(must, f"got {describe(table)}", attempt, TypeError)


def _column(table: Any, name: Any) -> np.ndarray:
    return np.asarray(table.column(name) if fits(table, _Arrow) else table[name])


def _numbers(table: Any, name: Any, dtype: Any) -> np.ndarray:
    """Return a column of numbers, none of them missing."""
    values, must = _column(table, name), f"column {shown(name)} must hold numbers alone"
    if values.dtype == object and all(isinstance(v, int | float | np.number) for v in values.tolist()):
        values = values.astype(np.float64)
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise_error(must, f"got {describe(values)}", HINT)
    if not np.isfinite(values).all():
        raise_error(must, f"{np.count_nonzero(~np.isfinite(values))} are missing or infinite", HINT)
    return values.astype(dtype)
