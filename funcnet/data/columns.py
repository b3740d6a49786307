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

_WIDE = "saving it as UTF-8, or converting it with iconv -f UTF-16 -t UTF-8"
# How files begin that are often taken for tables of text, what they are, and what to try.
_BEGINNINGS = {
    b"\xff\xfe": ("UTF-16", _WIDE),
    b"\xfe\xff": ("UTF-16", _WIDE),
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpacking it, or saving the sheet as CSV"),
    b"PAR1": ("a Parquet file", "pandas.read_parquet, and .to_numpy() of its columns"),
}


class Records(NamedTuple):
    """The content of a table as text: the line on which each record begins, and what stands there.

    A record without quotation marks is kept as its line, and taken apart when it is asked for.
    """

    path: Path
    names: tuple[str, ...]
    header: bool
    delimiter: str
    places: list[int]
    raw: list[str | list[str]]

    def fields(self, row: int) -> list[str]:
        """Return the fields of a record."""
        return _fields(self.raw[row], self.delimiter)

    def column(self, number: int) -> list[str]:
        """Return one field of each record."""
        return [_fields(record, self.delimiter)[number] for record in self.raw]

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
    places, raw = _records(path, delimiter)
    if len(raw) <= header:
        arrived = "only its header is there" if raw else "it is empty"
        raise_error(f"{path} must hold at least one record", arrived, "a file with data, or header=False")
    line, first = places[0], _fields(raw[0], delimiter)
    if len(first) < 2:
        others = [repr(mark) for mark in ";\t|," if mark != delimiter and mark in first[0]]
        raise_error(
            f"{path} must have at least two columns, a feature and a target",
            f"line {line} is one field, {shown(first[0])}",
            f"delimiter={others[0]}" if others else "the delimiter that the file uses",
        )
    if not header:
        return Records(path, tuple(map(str, range(len(first)))), False, delimiter, places, raw)
    names = tuple(name.strip() for name in first)
    twice = [(name, times) for name, times in Counter(names).items() if times > 1]
    if twice:
        raise_error(
            f"{path} must name its columns apart",
            f"{shown(twice[0][0])} occurs {twice[0][1]} times",
            f"other names in line {line}, or header=False if it holds data",
        )
    if all(map(_is_number, names)):
        raise_error(
            f"{path} must begin with the names of its columns",
            f"line {line} holds numbers only",
            "header=False, after deleting that line if the numbers are names",
        )
    return Records(path, names, True, delimiter, places[1:], raw[1:])


def _fields(record: str | list[str], delimiter: str) -> list[str]:
    return record.split(delimiter) if isinstance(record, str) else record


def _records(path: Path, delimiter: str) -> tuple[list[int], list[Any]]:
    """Decode a file; return the line on which each record begins, and the record. Blank lines are left out."""
    text = _text(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if any('"' in line for line in lines[1:]) or lines[0].count('"') % 2:
        return _quoted(path, text, delimiter)
    # Quotation marks in the first line alone: names. A record is then a line.
    found = [(place, line) for place, line in enumerate(lines, 1) if line.strip() or delimiter in line]
    raw: list[Any] = [line for _, line in found]
    if '"' in lines[0]:
        raw[0] = _quoted(path, lines[0], delimiter)[1][0]
    return [place for place, _ in found], raw


def _quoted(path: Path, text: str, delimiter: str) -> tuple[list[int], list[Any]]:
    """Take text with quotation marks apart."""
    source = reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    places, rows, line = [], [], 1
    try:
        for fields in source:
            if len(fields) > 1 or "".join(fields).strip():
                places.append(line)
                rows.append(fields)
            line = source.line_num + 1
    except FormError as error:
        raise_error(
            f"{path} must be well-formed CSV",
            f"the record that begins in line {line} is not ({error})",
            "closing each quotation mark, and doubling those inside quoted text",
        )
    return places, rows


def _text(path: Path) -> str:
    """Decode a file; `ValueError`, with what the file seems to be, unless it is text in UTF-8."""
    data = path.read_bytes()
    for start, (kind, attempt) in _BEGINNINGS.items():
        if data.startswith(start):
            raise_error(f"{path} must be text in UTF-8", f"it begins as {kind} does", attempt)
    must, place = f"{path} must be text in UTF-8", data.find(b"\0")
    if place >= 0:
        line = data.count(b"\n", 0, place) + 1
        raise_error(must, f"byte {place}, in line {line}, is NUL", "iconv -f UTF-16LE -t UTF-8 if it is UTF-16")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        arrived = f"byte {error.start}, in line {line}, is {data[error.start]:#04x} ({error.reason})"
        raise_error(must, arrived, "saving it as UTF-8, or converting it with iconv -f LATIN1 -t UTF-8")


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
