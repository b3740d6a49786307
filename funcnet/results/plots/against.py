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
    not_run,
    positions,
    title,
    wide,
)
from funcnet.results.trials import Trials
from funcnet.text import counted


def metric_against(results: Trials, metric: str, path: str) -> Any:
    """Draw a metric against a field: a point for each run, and the mean with the standard deviation over the rest."""
    column, values, sound, failed = columns_of(results, metric, path)
    with style():
        figure, axes = figure_of()
        x, ticks = positions(column)
        there = np.isfinite(x)
        shown = sound & there
        axes.plot(x[shown], values[shown], "o", color=COLOURS[0], alpha=0.35, markersize=4, label="a run")
        means = [(p, values[shown & (x == p)]) for p in np.unique(x[shown])]
        if means:
            centres = [float(np.mean(group)) for _, group in means]
            spreads = [float(np.std(group, ddof=1)) if len(group) > 1 else 0.0 for _, group in means]
            places = [place for place, _ in means]
            line = {"color": COLOURS[1], "capsize": 3, "linewidth": 1.6, "markersize": 5}
            mark = "o-" if ticks is None else "o"
            axes.errorbar(places, centres, yerr=spreads, fmt=mark, label="mean ± standard deviation", **line)
        if ticks is None and wide(x[there]):
            axes.set_xscale("log")
        elif ticks is not None:
            name_ticks(axes, ticks)
        if wide(values[shown]):
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
