r"""The fields of a table as numbers, and a word on the first that is none."""

import math
from typing import Any, NoReturn

import numpy as np

from funcnet.data.columns import Records
from funcnet.errors import raise_error


def number(field: str) -> float:
    """Read a finite number; `ValueError` for anything else, Python's 1_000 included."""
    value = float(field)
    if "_" in field or not math.isfinite(value):
        raise ValueError
    return value


def numbers(source: Records, numeric: list[int], targets: list[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Read the numeric columns record by record, so that the first fault is the one reported."""
    values = []
    for line, fields in source.rows:
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
    with np.errstate(over="ignore"):
        array = np.array(values, np.float64).astype(dtype)
    for row, position in np.argwhere(~np.isfinite(array)):
        line, fields = source.rows[row]
        raise_error(
            f"{source.path} must hold numbers within the range of {dtype}",
            f"line {line}, {source.label(numeric[position])}, holds {fields[numeric[position]]!r}",
            "dtype=np.float64, or another unit",
        )
    return array


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
            remedy = "features=[…] to leave that column out, or a number in its place"
            if column in targets:
                remedy = "classes=True if the column names classes, or a number in its place"
            if field.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                remedy = "deleting that line, or a finite number in its place"
            raise_error(f"{source.path} must hold finite numbers", f"{place}, holds {field!r}", remedy)
    raise AssertionError("a record without a fault was sent here")
