r"""Values as people read them, and tables as files that are whole or absent."""

import csv
import math
import os
from typing import Any, TextIO

import numpy as np

from funcnet.files import write_whole
from funcnet.results.rows import Table
from funcnet.text import clipped


def cell(value: Any) -> str:
    """Write one value for a table that is read by people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return clipped(" ".join(str(value).split()), 32)


def interval(mean: float, half_width: float) -> str:
    """Return mean ± half width in as many digits as they deserve."""
    if math.isnan(half_width):
        return f"{mean:.4g}"
    # Two digits, but not 1.2e+02 for 123.
    return f"{mean:.4g} ± {half_width:.0f}" if 100 <= half_width < 1e5 else f"{mean:.4g} ± {half_width:.2g}"


def cells(table: Table, rows: np.ndarray) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the head and the cells of some rows of a table, under their numbers."""
    columns = [[cell(value) for value in column[rows].tolist()] for column in table.values()]
    return ["row", *table], list(zip(map(str, rows.tolist()), *columns, strict=True))


def write_csv(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV, NaN as nothing; a text that a spreadsheet would compute is led by an apostrophe."""
    columns = [["" if v != v else _harmless(v) for v in column.tolist()] for column in table.values()]

    def write(file: TextIO) -> None:
        writer = csv.writer(file)
        writer.writerow([_harmless(name) for name in table])
        writer.writerows(zip(*columns, strict=True))

    write_whole(path, write)


def _harmless(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
