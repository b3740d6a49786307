r"""Tables of text: features and targets out of a CSV file, read strictly.

The file is UTF-8 (with or without a byte-order mark), one record a line, quoted as in RFC 4180; blank lines
are skipped. The first fault ends the reading and is told by its line, counted from 1 as editors do, and its
column, counted from 0 as `target` does, with its name where there is a header.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcnet.data.checks import flag, floating_dtype
from funcnet.data.columns import Column, find_columns, read_records
from funcnet.data.fields import number, numbers
from funcnet.data.files import regular_file
from funcnet.errors import raise_error


class Table(NamedTuple):
    r"""What a CSV file holds: x of shape (n, features), y of (n, targets) or labels (n,), and their names.

    Attributes:
        x: (n, features), floating.
        y: (n, targets), or labels (n,) of int32.
        features: the names of the columns of x.
        targets: the names of the columns of y.
        classes: the text of each class, or nothing.

    >>> import pathlib, tempfile, funcnet as fn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "flowers.csv"
    ...     _ = path.write_text("length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n")
    ...     table = fn.data.csv(path, target="species", classes=True)
    >>> table.features, table.targets, table.classes
    (('length', 'width'), ('species',), ('setosa', 'versicolor'))

    """

    x: np.ndarray
    y: np.ndarray
    features: tuple[str, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...]


def csv(
    path: str | os.PathLike[str],
    target: Column | Sequence[Column],
    *,
    features: Sequence[Column] | None = None,
    header: bool = True,
    delimiter: str = ",",
    classes: bool = False,
    dtype: Any = np.float32,
) -> Table:
    r"""Read a table of numbers from a CSV file.

    Args:
        path: the file.
        target: the column to predict, by name or by index (negative ones count from the end), or several.
        features: the columns to predict from; None takes all others, in the order of the file.
        header: whether the first record holds the names; without one the names are "0", "1" and so on.
        delimiter: one character, a comma unless told.
        classes: take the one target for a class: y becomes int32 of shape (n,) and numbers the distinct texts of
            the column, which `Table.classes` lists sorted (by value if all are numbers).
        dtype: the floating dtype of x, and of y without `classes`.

    Raises `FileNotFoundError` or `IsADirectoryError` for such a path, `TypeError` for arguments of a wrong
    type, and `ValueError` for bytes that are no text, ragged, malformed, missing or infinite fields, unknown
    columns (near misses are named) and files without a record, each with the place and a remedy.

    >>> import pathlib, tempfile, funcnet as fn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "flowers.csv"
    ...     _ = path.write_text("length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n")
    ...     table = fn.data.csv(path, target="species", classes=True)
    >>> table.x.shape, table.y.tolist(), table.classes
    ((2, 2), [0, 1], ('setosa', 'versicolor'))

    """
    dtype = floating_dtype(dtype)
    source = read_records(regular_file(path), delimiter, flag(header, "header"))
    targets = find_columns(target, source, "target")
    rest = [column for column in range(len(source.names)) if column not in targets]
    inputs = rest if features is None else find_columns(features, source, "features")
    shared = [source.label(column) for column in inputs if column in targets]
    if shared:
        raise_error(
            "features and target must have no column in common",
            f"both have {shared[0]}",
            "dropping it from one",
        )
    if not inputs:
        raise_error(
            f"{source.path} must have a feature beside the target",
            f"all {len(targets)} columns are targets",
            "fewer columns as target",
        )
    if flag(classes, "classes") and len(targets) != 1:
        raise_error(
            "target must be exactly one column when classes=True",
            f"got {len(targets)}",
            "one name or index as target",
        )
    numeric = inputs if classes else inputs + targets
    values = numbers(source, numeric, targets, dtype)
    names = source.names
    x, y = values[:, : len(inputs)], values[:, len(inputs) :]
    found: tuple[str, ...] = ()
    if classes:
        y, found = _numbered([field.strip() for field in source.column(targets[0])])
    return Table(x, y, tuple(names[c] for c in inputs), tuple(names[c] for c in targets), found)


def _numbered(texts: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give the distinct texts numbers in their order: by value if all of them are numbers, else as text."""
    distinct = sorted(set(texts))
    with contextlib.suppress(ValueError):
        distinct.sort(key=number)
    position = {text: number for number, text in enumerate(distinct)}
    return np.array([position[text] for text in texts], np.int32), tuple(distinct)
