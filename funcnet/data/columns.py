r"""The records of a CSV file with the names of their columns, and the way from a name to its column."""

from collections import Counter
from collections.abc import Sequence
from csv import Error as FormError
from csv import reader
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from funcnet.errors import describe, near_misses, raise_error, shown

Column = str | int


class Records(NamedTuple):
    """The content of a table as text; a row is the line on which the record begins, and its fields."""

    path: Path
    names: tuple[str, ...]
    header: bool
    rows: list[tuple[int, list[str]]]

    def label(self, column: int) -> str:
        """Name a column in a message."""
        return f"column {column} ({self.names[column]!r})" if self.header else f"column {column}"


def read_records(path: Path, delimiter: str, header: bool) -> Records:
    """Read the text of a table into records; `ValueError` unless it is well formed and has a record."""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n" ':
        raise_error(
            "delimiter must be one character, no blank, quote or line end",
            f"got {delimiter!r}",
            "delimiter=','",
        )
    rows = _rows(path, delimiter)
    if len(rows) <= header:
        arrived = "only its header is there" if rows else "it is empty"
        raise_error(f"{path} must hold at least one record", arrived, "a file with data, or header=False")
    first = rows[0][1]
    if len(first) < 2:
        others = [repr(mark) for mark in ";\t|," if mark != delimiter and mark in first[0]]
        raise_error(
            f"{path} must have at least two columns, a feature and a target",
            f"line {rows[0][0]} is one field, {first[0]!r}",
            f"delimiter={others[0]}" if others else "the delimiter that the file uses",
        )
    if not header:
        return Records(path, tuple(map(str, range(len(first)))), False, rows)
    names = tuple(name.strip() for name in first)
    twice = [(name, times) for name, times in Counter(names).items() if times > 1]
    if twice:
        raise_error(
            f"{path} must name its columns apart",
            f"{twice[0][0]!r} occurs {twice[0][1]} times",
            f"other names in line {rows[0][0]}, or header=False if it holds data",
        )
    if all(map(_is_number, names)):
        raise_error(
            f"{path} must begin with the names of its columns",
            f"line {rows[0][0]} holds numbers only",
            "header=False, after deleting that line if the numbers are names",
        )
    return Records(path, names, True, rows[1:])


def _rows(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """Decode and take apart a file; blank lines are left out."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise_error(
            f"{path} must be text in UTF-8",
            f"byte {error.start}, in line {line}, is {data[error.start]:#04x} ({error.reason})",
            "saving it as UTF-8, or converting it with iconv -f LATIN1 -t UTF-8",
        )
    source = reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for fields in source:
            if len(fields) > 1 or "".join(fields).strip():
                rows.append((line, fields))
            line = source.line_num + 1
    except FormError as error:
        raise_error(
            f"{path} must be well-formed CSV",
            f"the record that begins in line {line} is not ({error})",
            "closing each quotation mark, and doubling those inside quoted text",
        )
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def find_columns(wanted: Column | Sequence[Column], source: Records, role: str) -> list[int]:
    """Turn names and indices into indices from 0 up; `ValueError`, with near misses, for unknown ones."""
    if isinstance(wanted, (str, int)) or not isinstance(wanted, Sequence):
        wanted = [wanted]
    found = [_find(one, source, role) for one in wanted]
    if not found or len(set(found)) != len(found):
        raise_error(
            f"{role} must name at least one column, and each once",
            f"got {wanted!r}",
            f"{role}={source.names[-1]!r}",
        )
    return found


def _find(wanted: Any, source: Records, role: str) -> int:
    count, names = len(source.names), source.names
    if isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool):
        if not -count <= wanted < count:
            raise_error(
                f"{role} must be a column of {source.path} from {-count} to {count - 1}",
                f"got {wanted}",
                f"{role}=-1",
            )
        return int(wanted) % count
    if not isinstance(wanted, str):
        raise_error(
            f"{role} must be the name or index of a column",
            f"got {describe(wanted)}",
            f"{role}=-1",
            TypeError,
        )
    if not source.header:
        raise_error(
            f"{role} must be an index where there is no header",
            f"got {wanted!r}",
            f"{role}=-1, or header=True",
        )
    if wanted not in names:
        offered = near_misses(wanted, names, quoted=True)
        raise_error(f"{role} must be a column of {source.path}", f"{shown(wanted)} is none", offered)
    return names.index(wanted)
