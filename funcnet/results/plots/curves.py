r"""Learning curves: a metric by epoch."""

from typing import Any

import numpy as np

from funcnet.figures import BAD, COLOURS, figure_of, style
from funcnet.results.checks import require_name
from funcnet.results.plots.axes import by_value, legend, limit, literal, not_run, spaced, steep, title, value_text
from funcnet.results.rows import WAITING
from funcnet.results.trials import Trials
from funcnet.text import counted

MOST_CURVES, MOST_GROUPS = 300, 8


def learning_curves(results: Trials, metric: str | None = None, by: str | None = None) -> Any:
    """Draw a metric by epoch: a line for each run, or mean and range of the runs with one value of the field `by`.

    Args:
        results: of a sweep.
        metric: a column of the history; None for validation loss if there is one, else train loss.
        by: a column of the table that varies.

    >>> import matplotlib
    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.01, 0.5], "seed": range(3)})
    >>> results = fn.sweep(trials, (x, 3 * x + 1), progress=False)
    >>> results.plot_learning_curves("train_loss", by="optimizer.learning_rate").axes[0].get_xlabel()
    'epoch'

    """
    if by is not None:
        require_name(by, results.fields(), "by must be a field that varies")
    with style():
        figure, axes = figure_of()
        ran = [number for number, row in enumerate(results.rows) if row.stopped != WAITING]
        # Curves are read from the store one by one: of many, evenly spaced ones stand for all.
        chosen = spaced(ran, MOST_CURVES)
        curves = {number: results.curves(number) for number in chosen}
        names = list(dict.fromkeys(name for history in curves.values() for name in history))
        name = metric or next((n for n in ("validation_loss", "train_loss") if n in names), "train_loss")
        if names or metric is not None:
            require_name(name, names, "metric must be a column of the history")
        lines = {number: np.asarray(history[name], np.float64) for number, history in curves.items() if name in history}
        bad = {number for number in lines if results.rows[number].stopped == "diverged"}
        if by is None:
            _draw_runs(axes, lines, bad)
        else:
            _draw_groups(axes, lines, bad, by, results.table()[by])
        finite = np.concatenate([np.zeros(0), *(line[np.isfinite(line)] for n, line in lines.items() if n not in bad)])
        if steep(finite, name):
            axes.set_yscale("log")
        limit(axes, finite)
        _cross_ends(axes, lines, bad)
        axes.set_xlabel("epoch")
        axes.set_ylabel(literal(name))
        axes.xaxis.get_major_locator().set_params(integer=True)
        legend(axes)
        drawn = f"{len(lines)} of {len(ran)} runs" if len(lines) < len(ran) else counted(len(ran), "run")
        notes = [drawn, f"{len(bad)} diverged" if bad else "", not_run(results)]
        title(axes, f"{name} by epoch", notes)
    return figure


def _draw_runs(axes: Any, lines: dict[int, np.ndarray], bad: set[int]) -> None:
    alpha = max(0.25, min(0.9, 8 / max(len(lines), 1)))
    for place, (number, line) in enumerate(lines.items()):
        colour = BAD if number in bad else COLOURS[place % 7] if len(lines) <= 7 else COLOURS[0]
        label = f"row {number}" if len(lines) <= 7 else None
        axes.plot(np.arange(1, len(line) + 1), line, color=colour, alpha=alpha, linewidth=1.3, label=label)


def _draw_groups(axes: Any, lines: dict[int, np.ndarray], bad: set[int], by: str, column: np.ndarray) -> None:
    groups = [(value, rows) for value, rows in by_value(column, list(lines)).items() if rows]
    for place, (value, rows) in enumerate(groups[:MOST_GROUPS]):
        sound = [lines[number] for number in rows if number not in bad]
        failed = len(rows) - len(sound)
        count = f"{len(rows)} runs, {failed} diverged" if failed else counted(len(rows), "run")
        label, colour = f"{value_text(value)} ({count})", COLOURS[place % len(COLOURS)]
        if not sound:
            axes.plot([], [], color=colour, linestyle="--", label=literal(label))
            continue
        grid = np.full((len(sound), max(map(len, sound))), np.nan)
        for row, line in zip(grid, sound, strict=True):
            row[: len(line)] = line
        # Runs that stopped early leave the mean: it ends where fewer than half of them are left.
        left = np.isfinite(grid).sum(axis=0)
        grid = grid[:, (left > 0) & (2 * left >= len(sound))]
        epochs = np.flatnonzero((left > 0) & (2 * left >= len(sound))) + 1
        if not epochs.size:
            continue
        axes.plot(epochs, np.nanmean(grid, axis=0), color=colour, linewidth=1.8, label=literal(label))
        low, high = np.nanmin(grid, axis=0), np.nanmax(grid, axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    if len(groups) > MOST_GROUPS:
        axes.plot([], [], color="none", label=f"and {len(groups) - MOST_GROUPS} more values")
    axes.plot([], [], color="none", label=literal(f"by {by}: mean and range"))


def _cross_ends(axes: Any, lines: dict[int, np.ndarray], bad: set[int]) -> None:
    """Mark the last finite value of every run that diverged, at the edge of the axes if it is beyond."""
    if not bad:
        return
    low, high = axes.get_ylim()
    ends = []
    for line in (lines[number] for number in sorted(bad)):
        finite = np.flatnonzero(np.isfinite(line))
        ends.append((finite[-1] + 1, min(max(line[finite[-1]], low), high)) if finite.size else (1, high))
    x, y = zip(*ends, strict=True)
    axes.plot(x, y, "x", color=BAD, clip_on=False, zorder=4, label=f"diverged ({len(bad)})")
