r"""What the figures of a sweep share: positions, ticks, limits, words."""

from typing import Any

import numpy as np

from funcnet.figures import BAD
from funcnet.metrics import lower_is_better
from funcnet.results.checks import require_name
from funcnet.results.rows import WAITING
from funcnet.results.trials import Trials


def columns_of(results: Trials, metric: str, path: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a field's column, the metric's, which rows have a sound value, and which of those that ran have none."""
    sound = results.eligible(metric)
    if path is not None:
        require_name(path, results.fields(), "a path must be a field that varies")
    table = results.table()
    failed = ~sound & (table["stopped"] != WAITING)
    return table[path or metric], table[metric], sound, failed


def by_value(column: np.ndarray, rows: list[int]) -> dict[Any, list[int]]:
    """Return row numbers by value, values in order, NaN (as None) last."""
    found: dict[Any, list[int]] = {}
    for number in rows:
        value = column[number]
        found.setdefault(None if value != value else value, []).append(number)
    return dict(sorted(found.items(), key=lambda pair: (pair[0] is None, "" if pair[0] is None else pair[0])))


def positions(column: np.ndarray) -> tuple[np.ndarray, dict[float, str] | None]:
    """Return numbers to draw a column at, and the names of those that stand for text."""
    if column.dtype.kind in "if":
        return column.astype(np.float64), None
    names = sorted(set(column))
    places = {name: float(place) for place, name in enumerate(names)}
    ticks = {place: name or "(none)" for name, place in places.items()}
    return np.asarray([places[name] for name in column], np.float64), ticks


def wide(values: np.ndarray) -> bool:
    """Tell whether an axis should be logarithmic: all positive, over two decades or more."""
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() >= 99.9 * values.min())


def steep(values: np.ndarray, metric: str) -> bool:
    """Tell whether a metric's axis should be logarithmic: a loss over a factor of five, lest good runs are one blob."""
    values = values[np.isfinite(values)]
    return bool(lower_is_better(metric) and values.size and values.min() > 0 and values.max() >= 5 * values.min())


def limit(axes: Any, values: np.ndarray) -> None:
    """Fit the vertical axis to the sound runs, so that one that blew up does not flatten them."""
    if not values.size:
        axes.set_ylim(0, 1)
        return
    low, high = float(values.min()), float(values.max())
    if axes.get_yscale() == "log":
        margin = (high / low) ** 0.06
        axes.set_ylim(low / margin, high * margin)
    else:
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
        axes.set_ylim(low - margin, high + margin)


def cross_at_top(axes: Any, x: Any, label: str) -> None:
    """Mark runs without a value at the top edge of the axes."""
    axes.plot(x, np.ones(len(x)), "x", color=BAD, transform=axes.get_xaxis_transform(), clip_on=False, label=label)


def name_ticks(axes: Any, ticks: dict[float, str], vertical: bool = False) -> None:
    """Name places on an axis, at most forty of them."""
    places = [list(ticks)[k] for k in spaced(list(range(len(ticks))), 40)]
    names = [literal(short(ticks[place], 24)) for place in places]
    if vertical:
        axes.set_yticks(places, names)
    else:
        long = max(map(len, names), default=0) * len(names) > 70
        axes.set_xticks(places, names, rotation=40 if long else 0, ha="right" if long else "center")


def name_values(axes: Any, x: np.ndarray) -> None:
    """Mark the values of a numeric axis themselves where they are few."""
    places = np.unique(x[np.isfinite(x)])
    if 0 < len(places) <= 8:
        axes.set_xticks(places, [f"{place:.4g}" for place in places])
        axes.minorticks_off()


def spaced(items: list[int], most: int) -> list[int]:
    """Return all items, or `most` of them at equal distances, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int)]


def legend(axes: Any) -> None:
    """Put a legend beside the axes, if there is anything to say."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def title(axes: Any, text: str, notes: list[str]) -> None:
    """Title a figure, with notes below."""
    words = ", ".join(note for note in notes if note)
    axes.set_title(literal(text if not words else f"{text}\n{words}"))


def not_run(results: Trials) -> str:
    """Say how many trials have not run; nothing if all have."""
    count = sum(row.stopped == WAITING for row in results.rows)
    return f"{count} not run" if count else ""


def value_text(value: Any) -> str:
    """Write a value of a field."""
    return "(none)" if value is None or value == "" else f"{value:.4g}" if isinstance(value, float) else str(value)


def short(text: str, length: int = 20) -> str:
    """Keep the end of a long path, which says most."""
    return text if len(text) <= length else "…" + text[1 - length :]


def literal(text: str) -> str:
    """Let a text stand as it is: matplotlib would read what is between two dollars as mathematics."""
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")
