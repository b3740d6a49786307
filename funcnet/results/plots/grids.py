r"""A metric by two fields."""

import math
from typing import Any

import numpy as np

from funcnet.extras import import_extra
from funcnet.figures import BAD, figure_of, style
from funcnet.metrics import lower_is_better
from funcnet.results.checks import require_name
from funcnet.results.plots.axes import by_value, columns_of, literal, name_ticks, not_run, steep, title, value_text
from funcnet.results.trials import Trials
from funcnet.text import counted


def heat_map(results: Trials, metric: str, x: str, y: str) -> Any:
    """Draw the mean of a metric over the rest, by two fields; hatched where runs diverged, empty without any.

    Args:
        results: of a sweep.
        metric: a column that was measured.
        x: the field across.
        y: the field upwards.

    >>> import matplotlib
    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.01, 0.5], "seed": range(3)})
    >>> results = fn.sweep(trials, (x, 3 * x + 1), progress=False)
    >>> results.plot_heat_map("train_loss", "optimizer.learning_rate", "seed").axes[0].get_ylabel()
    'seed'

    """
    across, values, sound, failed = columns_of(results, metric, x)
    upward = columns_of(results, metric, y)[0]
    if x == y:
        require_name(y, [name for name in results.fields() if name != x], "x and y must be two different fields")
    ran = np.flatnonzero(sound | failed).tolist()
    columns, rows = by_value(across, ran), by_value(upward, ran)
    means = np.full((len(rows), len(columns)), np.nan)
    counts = np.zeros((*means.shape, 2), np.int64)
    column_of = {number: j for j, numbers in enumerate(columns.values()) for number in numbers}
    cells: dict[tuple[int, int], list[int]] = {}
    for i, numbers in enumerate(rows.values()):
        for number in numbers:
            cells.setdefault((i, column_of[number]), []).append(number)
    for place, numbers in cells.items():
        found = values[[number for number in numbers if sound[number]]]
        counts[place] = len(numbers) - len(found), len(numbers)
        means[place] = np.mean(found) if found.size else np.nan
    with style():
        size = (min(max(4.2 + 0.55 * len(columns), 6.0), 14.0), min(max(2.4 + 0.36 * len(rows), 3.8), 12.0))
        figure, axes = figure_of(*size)
        axes.grid(False)
        finite = means[np.isfinite(means)]
        colors = import_extra("matplotlib.colors")
        logarithmic = steep(finite, metric)
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        high = high if high > low else low + (abs(low) or 1.0) * 1e-6
        norm = (colors.LogNorm if logarithmic else colors.Normalize)(low, high)
        # Dark is good, whichever way the metric goes.
        name = "viridis" if lower_is_better(metric) else "viridis_r"
        mesh = axes.pcolormesh(np.ma.masked_invalid(means), cmap=name, norm=norm, edgecolors="none", linewidth=0)
        _annotate(axes, means, counts, mesh, annotated=means.size <= 150)
        figure.colorbar(mesh, ax=axes, label=literal(f"mean {metric}"))
        name_ticks(axes, {j + 0.5: value_text(value) for j, value in enumerate(columns)})
        name_ticks(axes, {i + 0.5: value_text(value) for i, value in enumerate(rows)}, vertical=True)
        axes.set_xlabel(literal(x))
        axes.set_ylabel(literal(y))
        bad = f"{int(failed.sum())} diverged or not finite (hatched)" if failed.any() else ""
        title(axes, f"{metric} by {x} and {y}", [counted(int(sound.sum()), "run"), bad, not_run(results)])
    return figure


def _annotate(axes: Any, means: np.ndarray, counts: np.ndarray, mesh: Any, annotated: bool) -> None:
    """Write the mean into each cell, and hatch those in which runs failed."""
    patches = import_extra("matplotlib.patches")
    for (i, j), mean in np.ndenumerate(means):
        failed, total = counts[i, j]
        if failed:
            axes.add_patch(patches.Rectangle((j, i), 1, 1, fill=False, hatch="///", edgecolor=BAD, linewidth=0.0))
        if not annotated or not total:
            continue
        text = "" if math.isnan(mean) else f"{mean:.3g}"
        text += (("\n" if text else "") + f"{failed}/{total} bad") if failed else ""
        red, green, blue, _ = mesh.cmap(mesh.norm(mean)) if not math.isnan(mean) else (1.0, 1.0, 1.0, 1.0)
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        box = {"facecolor": (red, green, blue), "edgecolor": "none", "pad": 1.0} if failed else None
        colour = "#000000" if light else "#ffffff"
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color=colour, bbox=box)
