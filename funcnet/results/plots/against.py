r"""A metric against one field: a point for each run, and means."""

from typing import Any

import numpy as np

from funcnet.figures import COLOURS, figure_of, style
from funcnet.results.plots.axes import (
    columns_of,
    cross_at_top,
    legend,
    limit,
    literal,
    name_ticks,
    name_values,
    not_run,
    positions,
    steep,
    title,
    wide,
)
from funcnet.results.plots.best import best_settings
from funcnet.results.trials import Trials
from funcnet.text import counted

MOST_SHAPES = 3000


def metric_against(results: Trials, metric: str, path: str, by: str | None = None) -> Any:
    """Draw a metric against a field: a point for each run, the median and the middle half of them.

    Args:
        results: of a sweep.
        metric: a column that was measured.
        path: the column of a field that varies.
        by: another one: a line for each of its values, through the best of all else, each point a mean over seeds.

    >>> import matplotlib
    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.01, 0.5], "seed": range(3)})
    >>> results = fn.sweep(trials, (x, 3 * x + 1), progress=False)
    >>> results.plot_metric_against("train_loss", "optimizer.learning_rate").axes[0].get_xlabel()
    'optimizer.learning_rate'

    """
    if by is not None:
        return best_settings(results, metric, path, by)
    column, values, sound, failed = columns_of(results, metric, path)
    with style():
        figure, axes = figure_of()
        x, ticks = positions(column)
        there = np.isfinite(x)
        shown = sound & there
        logarithmic = ticks is None and wide(x[there])
        apart = _apart(x[shown], logarithmic)
        # Thousands of shapes would make a file of megabytes.
        look: dict[str, Any] = {"alpha": 0.35, "markersize": 3.5, "mew": 0, "rasterized": len(apart) > MOST_SHAPES}
        axes.plot(apart, values[shown], "o", color=COLOURS[0], label="a run", **look)
        middles = [(p, np.quantile(values[shown & (x == p)], (0.25, 0.5, 0.75))) for p in np.unique(x[shown])]
        if middles:
            places = [place for place, _ in middles]
            low, middle, high = np.stack([quartiles for _, quartiles in middles]).T
            line = {"color": COLOURS[1], "capsize": 3, "linewidth": 1.6, "markersize": 5}
            mark = "o-" if ticks is None else "o"
            axes.errorbar(
                places, middle, yerr=(middle - low, high - middle), fmt=mark, label="median and middle half", **line
            )
        if logarithmic:
            axes.set_xscale("log")
        if ticks is not None:
            name_ticks(axes, ticks)
        else:
            name_values(axes, x[there])
        if steep(values[shown], metric):
            axes.set_yscale("log")
        limit(axes, values[shown])
        if (failed & there).any():
            cross_at_top(axes, x[failed & there], f"diverged or not finite ({int((failed & there).sum())})")
        axes.set_xlabel(literal(path))
        axes.set_ylabel(literal(metric))
        legend(axes)
        without = int((~there & (sound | failed)).sum())
        notes = [
            counted(int(shown.sum()), "run"),
            f"{int(failed.sum())} diverged or not finite" if failed.any() else "",
        ]
        notes += [f"{without} without this field" if without else "", not_run(results)]
        title(axes, f"{metric} against {path}", notes)
    return figure


def _apart(x: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Spread the points of one place a little, so that few lie on one another; where places are few."""
    scaled = np.log(x) if logarithmic else x.copy()
    places, group, counts = np.unique(scaled, return_inverse=True, return_counts=True)
    if len(places) > 40 or counts.max(initial=0) < 2:
        return x
    room = 0.24 * (np.diff(places).min() if len(places) > 1 else 1.0)
    # The golden ratio's multiples fill an interval evenly, whatever the number of points.
    order = np.argsort(group, kind="stable")
    rank = np.empty(len(x))
    rank[order] = np.arange(len(x)) - np.repeat(np.r_[0, np.cumsum(counts)[:-1]], counts)
    scaled += room * (np.mod((rank + 1) * 0.6180339887, 1.0) - 0.5) * (counts[group] > 1)
    return np.exp(scaled) if logarithmic else scaled
