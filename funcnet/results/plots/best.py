r"""A metric against one field at the best of all else: what a rate can reach, not what it does beside bad company."""

from typing import Any

import numpy as np

from funcnet.figures import COLOURS, figure_of, style
from funcnet.metrics import lower_is_better
from funcnet.results.checks import require_name
from funcnet.results.plots.axes import (
    by_value,
    columns_of,
    legend,
    limit,
    literal,
    name_ticks,
    name_values,
    not_run,
    positions,
    steep,
    title,
    value_text,
    wide,
)
from funcnet.results.summary import Summary, summarise
from funcnet.results.trials import Trials

MOST_LINES = 8


def best_settings(results: Trials, metric: str, path: str, by: str) -> Any:
    """Draw a metric against a field, a line for each value of another: the best setting of all else at each place.

    A point is a mean over seeds and folds, with its 95 % interval; the ring is the best point of its line.
    """
    require_name(by, [name for name in results.fields() if name != path], "by must be another field that varies")
    column = columns_of(results, metric, path)[0]
    summary = summarise(results, tuple(results.repeats()), metric, ())
    with style():
        figure, axes = figure_of()
        x, ticks = positions(column)
        groups = [(value, found) for value, found in _lines(summary, x, results.table()[by]).items() if found]
        for place, (value, found) in enumerate(groups[:MOST_LINES]):
            _draw(axes, found, ticks, COLOURS[place], value_text(value), lower_is_better(metric))
        if len(groups) > MOST_LINES:
            axes.plot([], [], color="none", label=f"and {len(groups) - MOST_LINES} more values")
        axes.plot([], [], color="none", label=literal(f"by {by}"))
        if ticks is not None:
            name_ticks(axes, ticks)
        else:
            if wide(x[np.isfinite(x)]):
                axes.set_xscale("log")
            name_values(axes, x)
        points = [point for _, found in groups[:MOST_LINES] for point in found]
        drawn = np.asarray([point[1] for point in points])
        if steep(drawn, metric):
            axes.set_yscale("log")
        ends = np.asarray([mean + sign * np.nan_to_num(half) for _, mean, half in points for sign in (-1, 1)])
        limit(axes, ends[ends > 0] if axes.get_yscale() == "log" else ends)
        axes.set_xlabel(literal(path))
        axes.set_ylabel(literal(metric))
        legend(axes)
        title(axes, f"{metric} against {path}", ["best of all else, mean and 95 % interval", not_run(results)])
    return figure


def _lines(summary: Summary, x: np.ndarray, by: np.ndarray) -> dict[Any, list[tuple[float, float, float]]]:
    """Return, for each value, the points of the best group at each place: place, mean, half width."""
    leaders = [int(rows[0]) for rows in summary.members]
    place = {row: number for number, row in enumerate(leaders)}
    means, _, half_widths = summary.values[summary.select]
    found: dict[Any, list[tuple[float, float, float]]] = {}
    for value, rows in by_value(by, leaders).items():
        best: dict[float, tuple[float, float, float]] = {}
        # The groups of a summary come best first.
        for group in sorted(place[row] for row in rows):
            where, mean = float(x[leaders[group]]), float(means[group])
            if np.isfinite(where) and np.isfinite(mean):
                best.setdefault(where, (where, mean, float(half_widths[group])))
        found[value] = [best[where] for where in sorted(best)]
    return found


def _draw(axes: Any, found: list[tuple[float, float, float]], ticks: Any, colour: str, name: str, less: bool) -> None:
    x, mean, half = (np.asarray(part) for part in zip(*found, strict=True))
    best = int(np.argmin(mean) if less else np.argmax(mean))
    at = f"{x[best]:.3g}" if ticks is None else ticks[x[best]]
    look = {"color": colour, "capsize": 3, "linewidth": 1.6, "markersize": 4, "elinewidth": 1.0}
    axes.errorbar(x, mean, yerr=np.nan_to_num(half), fmt="o-", label=literal(f"{name}: best at {at}"), **look)
    axes.plot(x[best], mean[best], "o", markersize=11, markerfacecolor="none", markeredgecolor=colour, clip_on=False)
