r"""The figures of a report, as SVG elements with names for those who do not see them."""

import importlib.util
import io
import re
from typing import Any

import numpy as np

from funcnet.figures import COLOURS, INK, PAPER, style
from funcnet.results import plots
from funcnet.results.report.view import View, escaped


def figures(view: View) -> str:
    """Return the figures that the sweep has something to show in."""
    if importlib.util.find_spec("matplotlib") is None:
        return "<p>Figures need matplotlib: <code>pip install matplotlib</code></p>"
    if view.metric is None:
        return "<p>There is nothing to draw: no row has a finite metric.</p>"
    inline = []
    for number, (words, figure) in enumerate(_drawn(view)):
        said = " ".join(figure.axes[0].get_title(loc="left").replace(r"\$", "$").split())
        inline.append(
            f'<figure><div class="pan" tabindex="0" role="group" aria-label="{escaped(said)}">'
            f"{svg(figure, f'f{number}', f'{said}. {words}')}</div><figcaption>{escaped(words)}</figcaption></figure>"
        )
    return f'<div class="figures">{"".join(inline)}</div>'


def _drawn(view: View) -> list[tuple[str, Any]]:
    """Return figures with what they show in words."""
    results, metric, fields = view.results, view.metric, view.fields()
    assert metric is not None
    table, drawn = results.table(), []
    variety = {name: len(set(map(str, table[name].tolist()))) for name in fields}
    few = [name for name in fields if variety[name] <= plots.MOST_GROUPS]
    rate = _rate(view)
    by = max((name for name in few if name != rate), key=view.effect, default=None)
    if rate is not None and by is not None:
        words = f"Each point is the best setting with that {rate} and {by}, all else chosen freely."
        drawn.append((words, plots.metric_against(results, metric, rate, by)))
    ran = next((number for number, row in enumerate(results.rows) if row.epochs), None)
    shown = metric if ran is not None and metric in results.curves(ran) else None
    groups = by or (rate if rate in few else None)
    if groups is None:
        drawn.append(("Every run.", plots.learning_curves(results, shown, None)))
    else:
        part = results.part(_best_runs(view, [groups]))
        drawn.append((f"The best setting of each {groups}.", plots.learning_curves(part, shown, groups)))
    for name in (fields or list(view.over))[:6]:
        words = "All runs, badly chosen ones too: the median says what is usual, not what is possible."
        drawn.append((words, plots.metric_against(results, metric, name)))
    square = sorted((name for name in fields if variety[name] <= 40), key=lambda name: -variety[name])[:2]
    if len(square) == 2:
        part = results.part(_best_runs(view, square))
        words = f"The best setting of each {square[0]} and {square[1]}."
        drawn.append((words, plots.heat_map(part, metric, *square)))
    if len(fields) > 1:
        drawn.append(("A line is a run; where it ends, its metric.", plots.parallel_coordinates(results, metric)))
    return drawn


def _rate(view: View) -> str | None:
    """Return the field that most deserves an axis: a learning rate, else the numbers that matter most."""
    table = view.results.table()
    numbers = [name for name in view.fields() if table[name].dtype.kind in "if"]
    rates = [name for name in numbers if view.results.path_of(name).endswith("learning_rate")]
    return max(rates or numbers, key=view.effect, default=None)


def _best_runs(view: View, fields: list[str]) -> np.ndarray:
    """Return the rows of the best setting for every combination of values of the fields."""
    assert view.summary is not None
    columns = [map(str, view.summary.settings[name].tolist()) for name in fields]
    best: dict[Any, int] = {}
    for number, values in enumerate(zip(*columns, strict=True)):
        best.setdefault(values, number)  # the groups of a summary come best first
    return np.sort(np.concatenate([view.summary.members[number] for number in best.values()]))


def svg(figure: Any, mark: str, words: str = "") -> str:
    """Return a figure as an SVG element for a page: its identifiers led by `mark`, its ink the colour of the text."""
    stream = io.StringIO()
    with style() as matplotlib:
        # Text stays text, which is small, sharp and can be searched; the salt makes the file reproducible.
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "funcnet"})
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.S)

    def adapt(tag: re.Match[str]) -> str:
        found = re.sub(r'\s+xmlns(?::\w+)?="[^"]*"', "", tag[0])
        if found.startswith("<svg"):
            found = re.sub(r'\s+(?:version|width|height)="[^"]*"', "", found)
            found = f'<svg role="img" aria-labelledby="{mark}-title"{found.removeprefix("<svg")}'
            found += f'<title id="{mark}-title">{escaped(words)}</title>'
            return found
        found = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{mark}-", found)
        return found.replace(INK, "currentColor").replace(PAPER, "var(--paper)").replace(COLOURS[0], "var(--held)")

    # Only inside of tags: what a label says stays as it is.
    return re.sub(r"<[a-zA-Z][^>]*>", adapt, text)
