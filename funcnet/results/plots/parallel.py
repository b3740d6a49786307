r"""Parallel coordinates: a line for each run across all that varies."""

from typing import Any

import numpy as np

from funcnet.extras import import_extra
from funcnet.figures import BAD, COLOURS, INK, PAPER, figure_of, style
from funcnet.results.plots.axes import columns_of, literal, not_run, positions, short, spaced, steep, title, wide
from funcnet.results.trials import Trials
from funcnet.text import counted

MOST_LINES, MOST_AXES = 500, 9


def parallel_coordinates(results: Trials, metric: str) -> Any:
    """Draw each run as a line across an axis for every field that varies, seeds apart, and one for the metric.

    Args:
        results: of a sweep.
        metric: a column that was measured.

    >>> import matplotlib
    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.01, 0.5], "seed": range(3)})
    >>> results = fn.sweep(trials, (x, 3 * x + 1), progress=False)
    >>> len(results.plot_parallel_coordinates("train_loss").axes)
    1

    """
    varying = results.telling_fields()
    fields = [name for name in varying if name.rsplit(".", 1)[-1] not in ("seed", "data_seed")]
    fields = (fields or varying)[: MOST_AXES - 1]
    _, values, sound, failed = columns_of(results, metric, None)
    ranked = results.ranked(metric)
    chosen = np.asarray(spaced(ranked.tolist(), MOST_LINES), np.int64)
    bad = np.asarray(spaced(np.flatnonzero(failed).tolist(), MOST_LINES // 4), np.int64)
    with style():
        figure, axes = figure_of(max(7.2, 1.5 * len(fields) + 2.5), 4.4)
        axes.grid(False)
        heights = [_unit_axis(axes, place, name, results.table()[name]) for place, name in enumerate(fields)]
        last = np.where(sound, values, np.nan)
        heights.append(_unit_axis(axes, len(fields), metric, last, steep(last, metric)))
        heights[-1] = np.where(failed, 1.08, heights[-1])
        points = np.stack(heights, axis=1)
        normal = import_extra("matplotlib.colors").Normalize(0, max(len(chosen) - 1, 1))
        colours = import_extra("matplotlib").colormaps["viridis"]
        for number in bad:
            axes.plot(points[number], color=BAD, linewidth=0.9, alpha=0.6, linestyle="--")
        for rank in range(len(chosen))[::-1]:
            first = rank == 0
            axes.plot(
                points[chosen[rank]],
                color=COLOURS[1] if first else colours(0.25 + 0.6 * float(normal(rank))),
                linewidth=2.4 if first else 0.9,
                alpha=1.0 if first else max(0.25, min(0.8, 60 / len(chosen))),
                label=f"best: row {chosen[0]}" if first else None,
            )
        if bad.size:
            axes.plot([], [], color=BAD, linestyle="--", label=f"diverged or not finite ({int(failed.sum())})")
        axes.set_xlim(-0.15, len(fields) + 0.15)
        axes.set_ylim(-0.04, 1.12)
        axes.set_yticks([])
        axes.set_xticks(range(len(fields) + 1), [literal(short(name)) for name in [*fields, metric]])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="x", length=0, pad=10)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
        drawn = f"{len(chosen)} of {ranked.size} runs" if len(chosen) < ranked.size else counted(ranked.size, "run")
        hidden = [name for name in varying if name not in fields]
        notes = [drawn, "dark is good", f"without {', '.join(hidden)}" if hidden else "", not_run(results)]
        title(axes, f"{metric} and what varies", notes)
    return figure


def _unit_axis(axes: Any, place: int, name: str, column: np.ndarray, logarithmic: bool = False) -> np.ndarray:
    """Draw one vertical axis with its ticks, and return the heights of the values on it, from 0 to 1."""
    x, ticks = positions(column)
    finite = x[np.isfinite(x)]
    logarithmic = ticks is None and (logarithmic or wide(finite))
    scaled = np.log10(np.where(x > 0, x, np.nan)) if logarithmic else x
    low, high = (float(np.nanmin(scaled)), float(np.nanmax(scaled))) if finite.size else (0.0, 1.0)
    span = high - low or 1.0
    marks = np.unique(scaled[np.isfinite(scaled)])
    if len(marks) > 8:
        marks = np.linspace(low, high, 6)
    axes.plot([place, place], [0, 1], color=INK, linewidth=1.0, alpha=0.6)
    for mark in marks:
        number = 10.0**mark if logarithmic else float(mark)
        label = f"{number:.3g}" if ticks is None else ticks.get(number, "")
        height = (mark - low) / span if high > low else 0.5
        # On a ground of its own: lines run below the text.
        look: dict[str, Any] = {"fontsize": 8, "va": "center", "ha": "left", "zorder": 5}
        box = {"facecolor": PAPER, "alpha": 0.8, "edgecolor": "none", "pad": 0.8}
        axes.text(place + 0.03, height, literal(short(label)), bbox=box, **look)
    heights = (scaled - low) / span if high > low else np.where(np.isfinite(scaled), 0.5, np.nan)
    # A run without the field passes below the axis.
    return np.where(np.isfinite(heights), heights, -0.03)
