r"""Figures of a sweep, by matplotlib: every function takes results and returns a `matplotlib.figure.Figure`.

Runs that diverged are drawn, as crosses or dashed lines, or counted in words; none is left out in silence, and neither
are runs of which there are too many to draw. An axis of positive numbers over two decades or more is logarithmic.
Figures belong to no window: save them with `figure.savefig(path)`.
"""

import math
from typing import Any

import numpy as np

from funcnet.results.figures import BAD, COLOURS, INK, figure_of, style
from funcnet.results.rows import WAITING
from funcnet.results.table import Results
from funcnet.results.words import extra, known
from funcnet.text import counted

MOST_CURVES, MOST_LINES, MOST_GROUPS, MOST_AXES = 300, 500, 8, 9


def learning_curves(results: Results, metric: str | None = None, by: str | None = None) -> Any:
    """Draw a metric by epoch: a line for each run, or mean and range of the runs with one value of the field `by`.

    Args:
        results: of a sweep.
        metric: a column of the history; None for validation loss if there is one, else train loss.
        by: a column of the table that varies.

    """
    if by is not None:
        known(by, results.fields(), "by must be a field that varies")
    with style():
        figure, axes = figure_of()
        ran = [number for number, row in enumerate(results.rows) if row.stopped not in WAITING]
        # Curves are read from the store one by one: of many, evenly spaced ones stand for all.
        chosen = _spaced(ran, MOST_CURVES)
        curves = {number: results.curves(number) for number in chosen}
        names = list(dict.fromkeys(name for history in curves.values() for name in history))
        name = metric or next((n for n in ("validation_loss", "train_loss") if n in names), "train_loss")
        if names or metric is not None:
            known(name, names, "metric must be a column of the history")
        lines = {number: np.asarray(history[name], np.float64) for number, history in curves.items() if name in history}
        bad = {number for number in lines if results.rows[number].stopped == "diverged"}
        if by is None:
            _draw_runs(axes, lines, bad)
        else:
            _draw_groups(axes, lines, bad, by, results.table()[by])
        finite = np.concatenate([np.zeros(0), *(line[np.isfinite(line)] for n, line in lines.items() if n not in bad)])
        if _wide(finite):
            axes.set_yscale("log")
        _limit(axes, finite)
        _cross_ends(axes, lines, bad)
        axes.set_xlabel("epoch")
        axes.set_ylabel(_text(name))
        axes.xaxis.get_major_locator().set_params(integer=True)
        _legend(axes)
        drawn = f"{len(lines)} of {len(ran)} runs" if len(lines) < len(ran) else counted(len(ran), "run")
        notes = [drawn, f"{len(bad)} diverged" if bad else "", _waiting(results)]
        _title(axes, f"{name} by epoch", notes)
    return figure


def _draw_runs(axes: Any, lines: dict[int, np.ndarray], bad: set[int]) -> None:
    alpha = max(0.25, min(0.9, 8 / max(len(lines), 1)))
    for place, (number, line) in enumerate(lines.items()):
        colour = BAD if number in bad else COLOURS[place % 7] if len(lines) <= 7 else COLOURS[0]
        label = f"row {number}" if len(lines) <= 7 else None
        axes.plot(np.arange(1, len(line) + 1), line, color=colour, alpha=alpha, linewidth=1.3, label=label)


def _draw_groups(axes: Any, lines: dict[int, np.ndarray], bad: set[int], by: str, column: np.ndarray) -> None:
    groups = [(value, rows) for value, rows in _groups(column, list(lines)).items() if rows]
    for place, (value, rows) in enumerate(groups[:MOST_GROUPS]):
        sound = [lines[number] for number in rows if number not in bad]
        failed = len(rows) - len(sound)
        count = f"{len(rows)} runs, {failed} diverged" if failed else counted(len(rows), "run")
        label, colour = f"{_value(value)} ({count})", COLOURS[place % len(COLOURS)]
        if not sound:
            axes.plot([], [], color=colour, linestyle="--", label=_text(label))
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
        axes.plot(epochs, np.nanmean(grid, axis=0), color=colour, linewidth=1.8, label=_text(label))
        low, high = np.nanmin(grid, axis=0), np.nanmax(grid, axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    if len(groups) > MOST_GROUPS:
        axes.plot([], [], color="none", label=f"and {len(groups) - MOST_GROUPS} more values")
    axes.plot([], [], color="none", label=_text(f"by {by}: mean and range"))


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


def metric_against(results: Results, metric: str, path: str) -> Any:
    """Draw a metric against a field: a point for each run, and the mean with the standard deviation over the rest."""
    column, values, sound, failed = _columns(results, metric, path)
    with style():
        figure, axes = figure_of()
        x, ticks = _positions(column)
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
        if ticks is None and _wide(x[there]):
            axes.set_xscale("log")
        elif ticks is not None:
            _named_ticks(axes, ticks)
        if _wide(values[shown]):
            axes.set_yscale("log")
        _limit(axes, values[shown])
        if (failed & there).any():
            _at_top(axes, x[failed & there], f"diverged or not finite ({int((failed & there).sum())})")
        axes.set_xlabel(_text(path))
        axes.set_ylabel(_text(metric))
        _legend(axes)
        without = int((~there & (sound | failed)).sum())
        notes = [
            counted(int(shown.sum()), "run"),
            f"{int(failed.sum())} diverged or not finite" if failed.any() else "",
        ]
        notes += [f"{without} without this field" if without else "", _waiting(results)]
        _title(axes, f"{metric} against {path}", notes)
    return figure


def heat_map(results: Results, metric: str, x: str, y: str) -> Any:
    """Draw the mean of a metric over the rest, by two fields; hatched where runs diverged, empty without any."""
    across, values, sound, failed = _columns(results, metric, x)
    upward = _columns(results, metric, y)[0]
    if x == y:
        known(y, [name for name in results.fields() if name != x], "x and y must be two different fields")
    ran = np.flatnonzero(sound | failed).tolist()
    columns, rows = _groups(across, ran), _groups(upward, ran)
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
        colors = extra("matplotlib.colors")
        logarithmic = _wide(finite)
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        high = high if high > low else low + (abs(low) or 1.0) * 1e-6
        norm = (colors.LogNorm if logarithmic else colors.Normalize)(low, high)
        # Dark is good, whichever way the metric goes.
        name = "viridis_r" if metric.endswith("accuracy") else "viridis"
        mesh = axes.pcolormesh(np.ma.masked_invalid(means), cmap=name, norm=norm, edgecolors="none", linewidth=0)
        _annotate(axes, means, counts, mesh, annotated=means.size <= 150)
        figure.colorbar(mesh, ax=axes, label=_text(f"mean {metric}"))
        _named_ticks(axes, {j + 0.5: _value(value) for j, value in enumerate(columns)})
        _named_ticks(axes, {i + 0.5: _value(value) for i, value in enumerate(rows)}, vertical=True)
        axes.set_xlabel(_text(x))
        axes.set_ylabel(_text(y))
        bad = f"{int(failed.sum())} diverged or not finite (hatched)" if failed.any() else ""
        _title(axes, f"{metric} by {x} and {y}", [counted(int(sound.sum()), "run"), bad, _waiting(results)])
    return figure


def _annotate(axes: Any, means: np.ndarray, counts: np.ndarray, mesh: Any, annotated: bool) -> None:
    """Write the mean into each cell, and hatch those in which runs failed."""
    patches = extra("matplotlib.patches")
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


def parallel_coordinates(results: Results, metric: str) -> Any:
    """Draw each run as a line across an axis for every field that varies, seeds apart, and one for the metric."""
    varying = results.telling_fields()
    fields = [name for name in varying if name.rsplit(".", 1)[-1] not in ("seed", "data_seed")]
    fields = (fields or varying)[: MOST_AXES - 1]
    _, values, sound, failed = _columns(results, metric, None)
    ranked = results.ranked(metric)
    chosen = np.asarray(_spaced(ranked.tolist(), MOST_LINES), np.int64)
    bad = np.asarray(_spaced(np.flatnonzero(failed).tolist(), MOST_LINES // 4), np.int64)
    with style():
        figure, axes = figure_of(max(7.2, 1.5 * len(fields) + 2.5), 4.4)
        axes.grid(False)
        heights = [_unit_axis(axes, place, name, results.table()[name]) for place, name in enumerate(fields)]
        last = np.where(sound, values, np.nan)
        heights.append(_unit_axis(axes, len(fields), metric, last))
        heights[-1] = np.where(failed, 1.08, heights[-1])
        points = np.stack(heights, axis=1)
        normal = extra("matplotlib.colors").Normalize(0, max(len(chosen) - 1, 1))
        colours = extra("matplotlib").colormaps["viridis"]
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
        axes.set_xticks(range(len(fields) + 1), [_text(_short(name)) for name in [*fields, metric]])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="x", length=0, pad=10)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
        drawn = f"{len(chosen)} of {ranked.size} runs" if len(chosen) < ranked.size else counted(ranked.size, "run")
        hidden = [name for name in varying if name not in fields]
        notes = [drawn, "dark is good", f"without {', '.join(hidden)}" if hidden else "", _waiting(results)]
        _title(axes, f"{metric} and what varies", notes)
    return figure


def _unit_axis(axes: Any, place: int, name: str, column: np.ndarray) -> np.ndarray:
    """Draw one vertical axis with its ticks, and return the heights of the values on it, from 0 to 1."""
    x, ticks = _positions(column)
    finite = x[np.isfinite(x)]
    logarithmic = ticks is None and _wide(finite)
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
        # Black on white, not in the ink of the page: lines run below the text.
        look: dict[str, Any] = {"color": "#000000", "fontsize": 8, "va": "center", "ha": "left", "zorder": 5}
        box = {"facecolor": "#ffffff", "alpha": 0.8, "edgecolor": "none", "pad": 0.8}
        axes.text(place + 0.03, height, _text(_short(label)), bbox=box, **look)
    heights = (scaled - low) / span if high > low else np.where(np.isfinite(scaled), 0.5, np.nan)
    # A run without the field passes below the axis.
    return np.where(np.isfinite(heights), heights, -0.03)


# -- shared ---------------------------------------------------------------------------------------------------


def _columns(results: Results, metric: str, path: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a field's column, the metric's, which rows have a sound value, and which of those that ran have none."""
    sound = results.eligible(metric)
    if path is not None:
        known(path, results.fields(), "a path must be a field that varies")
    table = results.table()
    failed = ~sound & ~np.isin(table["stopped"].astype(str), WAITING)
    return table[path or metric], table[metric], sound, failed


def _groups(column: np.ndarray, rows: list[int]) -> dict[Any, list[int]]:
    """Return row numbers by value, values in order, NaN (as None) last."""
    found: dict[Any, list[int]] = {}
    for number in rows:
        value = column[number]
        found.setdefault(None if value != value else value, []).append(number)
    return dict(sorted(found.items(), key=lambda pair: (pair[0] is None, "" if pair[0] is None else pair[0])))


def _positions(column: np.ndarray) -> tuple[np.ndarray, dict[float, str] | None]:
    """Return numbers to draw a column at, and the names of those that stand for text."""
    if column.dtype.kind in "if":
        return column.astype(np.float64), None
    names = sorted(set(column))
    places = {name: float(place) for place, name in enumerate(names)}
    ticks = {place: name or "(none)" for name, place in places.items()}
    return np.asarray([places[name] for name in column], np.float64), ticks


def _wide(values: np.ndarray) -> bool:
    """Tell whether an axis should be logarithmic: all positive, over two decades or more."""
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() >= 99.9 * values.min())


def _limit(axes: Any, values: np.ndarray) -> None:
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


def _at_top(axes: Any, x: Any, label: str) -> None:
    """Mark runs without a value at the top edge of the axes."""
    axes.plot(x, np.ones(len(x)), "x", color=BAD, transform=axes.get_xaxis_transform(), clip_on=False, label=label)


def _named_ticks(axes: Any, ticks: dict[float, str], vertical: bool = False) -> None:
    places = [list(ticks)[k] for k in _spaced(list(range(len(ticks))), 40)]
    names = [_text(_short(ticks[place], 24)) for place in places]
    if vertical:
        axes.set_yticks(places, names)
    else:
        long = max(map(len, names), default=0) * len(names) > 70
        axes.set_xticks(places, names, rotation=40 if long else 0, ha="right" if long else "center")


def _spaced(items: list[int], most: int) -> list[int]:
    """Return all items, or `most` of them at equal distances, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def _title(axes: Any, text: str, notes: list[str]) -> None:
    words = ", ".join(note for note in notes if note)
    axes.set_title(_text(text if not words else f"{text}\n{words}"))


def _waiting(results: Results) -> str:
    count = sum(row.stopped in WAITING for row in results.rows)
    return f"{count} not run" if count else ""


def _value(value: Any) -> str:
    return "(none)" if value is None or value == "" else f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(text: str, length: int = 20) -> str:
    """Keep the end of a long path, which says most."""
    return text if len(text) <= length else "…" + text[1 - length :]


def _text(text: str) -> str:
    """Let a text stand as it is: matplotlib would read what is between two dollars as mathematics."""
    return text.replace("$", r"\$")
