r"""The fields of a table as numbers, and a word on the first that is none."""

import math
from typing import Any, NoReturn

import numpy as np

from funcnet.data.columns import Records
from funcnet.errors import raise_error, shown


def number(field: str) -> float:
    """Read a finite number; `ValueError` for anything else, Python's 1_000 included."""
    value = float(field)
    if "_" in field or not math.isfinite(value):
        raise ValueError
    return value


def numbers(source: Records, numeric: list[int], targets: list[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Read the numeric columns; of several faults the first in the file is reported."""
    values = _at_once(source, numeric, targets)
    if values is None:
        values = _one_by_one(source, numeric, targets)
    with np.errstate(over="ignore"):
        array = values.astype(dtype)
    for row, position in np.argwhere(~np.isfinite(array)):
        field = source.fields(row)[numeric[position]]
        raise_error(
            f"{source.path} must hold numbers within the range of {dtype}",
            f"line {source.places[row]}, {source.label(numeric[position])}, holds {shown(field)}",
            "dtype=np.float64, or another unit",
        )
    return array


def _at_once(source: Records, numeric: list[int], targets: list[int]) -> np.ndarray | None:
    """Let NumPy read records that are lines, which is fast; None where one of them may be at fault."""
    lines: Any = source.raw
    if not all(type(line) is str and "_" not in line for line in lines):
        return None
    if {line.count(source.delimiter) for line in lines} != {len(source.names) - 1}:
        return None
    if not all(field.strip() for column in targets if column not in numeric for field in source.column(column)):
        return None
    try:
        found = np.loadtxt(lines, delimiter=source.delimiter, comments=None, usecols=numeric, ndmin=2)
    except ValueError:
        return None
    return found if len(found) == len(lines) and np.isfinite(found).all() else None


def _one_by_one(source: Records, numeric: list[int], targets: list[int]) -> np.ndarray:
    """Read record by record, so that the first fault is the one reported."""
    values = []
    for row, line in enumerate(source.places):
        fields = source.fields(row)
        if len(fields) != len(source.names):
            raise_error(
                f"{source.path} must have {len(source.names)} fields in every record",
                f"line {line} has {len(fields)}",
                "one delimiter between fields, and quotation marks around text that contains one",
            )
        try:
            values.append([number(fields[column]) for column in numeric])
        except ValueError:
            _explain(source, line, fields, numeric, targets)
        if not all(fields[column].strip() for column in targets):
            _explain(source, line, fields, numeric, targets)
    return np.array(values, np.float64)


def _explain(source: Records, line: int, fields: list[str], numeric: list[int], targets: list[int]) -> NoReturn:
    """Say which field of a record is the first that is no finite number, and what may be done about it."""
    for column in sorted({*numeric, *targets}):
        field, place = fields[column].strip(), f"line {line}, {source.label(column)}"
        if not field:
            raise_error(
                f"{source.path} must have no missing field",
                f"{place}, is empty",
                "filling it in, or deleting that line",
            )
        if column not in numeric:
            continue
        try:
            number(field)
        except ValueError:
            remedy = "features=[…] to leave that column out, or scikit-learn's OneHotEncoder if it holds categories"
            if column in targets:
                remedy = "classes=True if the column names classes, or a number in its place"
            if field.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                remedy = "deleting that line, or a finite number in its place"
            raise_error(f"{source.path} must hold finite numbers", f"{place}, holds {shown(field)}", remedy)
    raise AssertionError("a record without a fault was sent here")
