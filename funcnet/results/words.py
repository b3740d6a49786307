r"""Tables as text, files that are whole or absent, and the errors that results share."""

import importlib
import math
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import numpy as np

from funcnet.errors import near_misses, raise_error, shown
from funcnet.results.rows import Table
from funcnet.text import clipped


def losses(metric: str, values: np.ndarray) -> np.ndarray:
    """Return values such that less is better."""
    return -values if metric.endswith("accuracy") else values


def known(name: Any, names: Iterable[str], must: str) -> None:
    """Require that a name is one of those there are; the error lists them, near misses first."""
    there = list(names)
    if name not in there:
        near = near_misses(name, there)
        raise_error(must, f"got {shown(name)}", f"one of {near}" if near else "a sweep whose trials have run")


def extra(module: str) -> Any:
    """Import a module that funcnet does not depend on."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise_error(
            f"{module.split('.')[0]} must be installed for this",
            "importing it failed",
            'pip install "funcnet[experiments]"',
            ImportError,
        )


def _plots() -> Any:
    return importlib.import_module("funcnet.results.plots")


def write_whole(path: str | os.PathLike[str], write: Callable[[TextIO], None]) -> None:
    """Write a text file so that its name leads to the old one or to all of the new one, never to a part."""
    target = pathlib.Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(beside, "w", encoding="utf-8", newline="") as file:
            write(file)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def harmless(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


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


def shown_columns(table: Table, rows: np.ndarray) -> dict[str, list[str]]:
    """Return some rows of a table as text, under their numbers."""
    cells = {name: [cell(value) for value in column[rows].tolist()] for name, column in table.items()}
    return {"row": list(map(str, rows.tolist()))} | cells
