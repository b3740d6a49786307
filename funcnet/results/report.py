r"""The report: one HTML file with figures and a table that sorts and filters, and that needs no network.

Everything that comes from a sweep is escaped, the page's policy forbids it to load anything, and figures are inline
SVG whose text takes the colour of the page, light or dark. Without matplotlib the page has no figures and says so.
"""

import html
import importlib.util
import io
import math
import os
import re
from typing import Any

import numpy as np

from funcnet.figures import INK, style
from funcnet.files import write_whole
from funcnet.results import plots
from funcnet.results.rows import LEADING
from funcnet.results.trials import Trials

MOST_ROWS = 2000

_STYLE = """
:root { color-scheme: light dark; --ink: #23272d; --paper: #ffffff; --faint: #5b6470; --line: #d8dce1; --mark: #fff3c4;
  --head: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --paper: #16191d; --faint: #a2abb6; --line: #363c44;
  --mark: #4a3f14; --head: #20252b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1500px; padding: 1.2rem 1.5rem 3rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
.faint { color: var(--faint); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 1.2rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: .6rem; overflow-x: auto; }
figure svg { width: 100%; height: auto; display: block; }
.frame { overflow: auto; max-height: 75vh; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .22rem .6rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
td.number { text-align: right; }
.frame thead th { position: sticky; top: 0; background: var(--head); }
#rows thead th { padding: 0; }
th button { all: unset; cursor: pointer; padding: .4rem .6rem; font-weight: 600; display: block; white-space: nowrap; }
button:focus-visible, input:focus-visible, .frame:focus-visible { outline: 2px solid #0072b2; outline-offset: -2px; }
th button::after { content: " ↕"; opacity: .35; }
th[aria-sort=ascending] button::after { content: " ↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: " ↓"; opacity: 1; }
tr.best td { background: var(--mark); }
tr[data-stopped=diverged] td { color: #d62728; }
@media (prefers-color-scheme: dark) { tr[data-stopped=diverged] td { color: #ff8f8f; } }
input { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--faint); border-radius: 4px;
  padding: .25rem .5rem; width: 22rem; max-width: 100%; }
.bar { display: flex; gap: 1rem; align-items: center; flex-wrap: wrap; margin-bottom: .6rem; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .92em; }
@media print { .frame { max-height: none; overflow: visible; } .bar { display: none; } }
"""

_SCRIPT = """
"use strict";
const body = document.querySelector("#rows tbody"), heads = [...document.querySelectorAll("#rows thead th")];
const given = [...body.rows], filter = document.getElementById("filter"), shown = document.getElementById("shown");
const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
  const down = head.getAttribute("aria-sort") === "ascending", numeric = head.dataset.kind === "number";
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = given.map(row => [numeric ? Number(key(row, column) || NaN) : key(row, column), row]);
  // What has no value stays last, in both directions; equal rows keep the order of the sweep.
  const none = value => numeric ? Number.isNaN(value) : value === "";
  rows.sort(([a], [b]) => none(a) || none(b) ? none(a) - none(b)
    : (numeric ? (a > b) - (a < b) : a.localeCompare(b, undefined, {numeric: true})) * (down ? -1 : 1));
  body.append(...rows.map(([, row]) => row));
}));
const search = () => {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0;
  for (const row of given) {
    const text = [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${given.length} rows`;
};
filter.addEventListener("input", search);
search();
"""


def write_report(results: Trials, path: str | os.PathLike[str]) -> None:
    """Write the report of a sweep; the file is there in full or not at all.

    Args:
        results: of a sweep.
        path: of the file, which opens in any browser.

    """
    page = render(results)
    write_whole(path, lambda file: print(page, end="", file=file))


def render(results: Trials) -> str:
    """Return the page."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{_escaped(results.headline())}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f'<header><h1>Sweep</h1><p class="faint">{_escaped(results.headline())}</p>'
        f"{_leaders(results)}</header>\n<main>\n"
        f"<h2>Figures</h2>\n{_figures(results)}\n{_rows(results)}\n</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _escaped(value: Any) -> str:
    return html.escape(str(value), quote=True)


def leading(results: Trials) -> str | None:
    """Return the metric by which the rows are judged: the first that some row can be best by."""
    return next(iter(results.leaders([*LEADING, *results.metrics()])), None)


def _leaders(results: Trials) -> str:
    """Return a small table of the best rows."""
    table, fields = results.table(), results.telling_fields()
    best = results.leaders(LEADING)
    if not best:
        return "<p>No row has a finite metric that means the same in all trials.</p>"
    held_out = [name for name in results.metrics() if name.startswith("test_")]
    head = "".join(f'<th scope="col">{_escaped(name)}</th>' for name in ["best by", "value", "row", *fields, *held_out])
    lines = []
    for name, number in best.items():
        cells = [name, _words(table[name][number]), number, *(_words(table[c][number]) for c in [*fields, *held_out])]
        lines.append(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in cells)}</tr>")
    return (
        f'<div class="frame" tabindex="0" role="region" aria-label="Best rows"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="faint">The best of many rows is too good to be true on the metric that chose it; '
        "a test metric has no part in the choice.</p>"
    )


def _figures(results: Trials) -> str:
    """Return the figures that the sweep has something to show in."""
    if importlib.util.find_spec("matplotlib") is None:
        return '<p>Figures need matplotlib: <code>pip install "funcnet[experiments]"</code></p>'
    metric, table = leading(results), results.table()
    if metric is None:
        return "<p>There is nothing to draw: no row has a finite metric.</p>"
    telling = results.telling_fields()
    seeds = [name for name in telling if name.rsplit(".", 1)[-1] in ("seed", "data_seed")]
    fields = [name for name in telling if name not in seeds]
    variety = {name: len(set(map(str, table[name].tolist()))) for name in fields}
    few = [name for name in fields if variety[name] <= plots.MOST_GROUPS]
    by = max(few, key=lambda name: _effect(results, metric, name), default=None)
    drawn = [("Learning curves", plots.learning_curves(results, None, by))]
    for name in (fields or seeds)[:6]:
        drawn.append((f"{metric} against {name}", plots.metric_against(results, metric, name)))
    square = sorted((name for name in fields if variety[name] <= 40), key=lambda name: -variety[name])[:2]
    if len(square) == 2:
        drawn.append((f"{metric} by {' and '.join(square)}", plots.heat_map(results, metric, *square)))
    if len(fields) > 1:
        drawn.append(("Parallel coordinates", plots.parallel_coordinates(results, metric)))
    inline = [
        f'<figure role="img" aria-label="{_escaped(name)}">{svg(figure, f"f{k}")}</figure>'
        for k, (name, figure) in enumerate(drawn)
    ]
    return f'<div class="figures">{"".join(inline)}</div>'


def _effect(results: Trials, metric: str, field: str) -> float:
    """Return how far the means of a metric lie apart that the values of a field have."""
    ranked = results.ranked(metric)
    _, group = np.unique(results.table()[field][ranked].astype(str), return_inverse=True)
    means = np.bincount(group, results.table()[metric][ranked]) / np.bincount(group)
    return float(np.ptp(means))


def svg(figure: Any, mark: str) -> str:
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
        found = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{mark}-", found)
        return found.replace(INK, "currentColor")

    # Only inside of tags: what a label says stays as it is.
    return re.sub(r"<[a-zA-Z][^>]*>", adapt, text)


def _rows(results: Trials) -> str:
    """Return the heading and the table of rows: all of them, or the best."""
    table, metric, total = results.table(), leading(results), len(results)
    numbers, note = np.arange(total), ""
    if total > MOST_ROWS:
        ranked = np.zeros(0, np.int64) if metric is None else results.ranked(metric)
        rest = np.setdiff1d(numbers, ranked)
        numbers = np.concatenate([ranked, rest])[:MOST_ROWS]
        best = f"best {MOST_ROWS:,} of {total:,} rows by {_escaped(metric)}" if metric else f"first {MOST_ROWS:,} rows"
        note = f'<p>These are the {best}. <code>results.to_csv("results.csv")</code> writes all of them.</p>'
    columns = {"row": np.arange(total)} | table
    heads = "".join(
        f'<th scope="col" data-kind="{"number" if column.dtype.kind in "if" else "text"}">'
        f'<button type="button">{_escaped(name)}</button></th>'
        for name, column in columns.items()
    )
    best_row = results.best(metric) if metric else -1
    cells = {name: [_cell(value) for value in column[numbers].tolist()] for name, column in columns.items()}
    lines = []
    for number, line in zip(numbers.tolist(), zip(*cells.values(), strict=True), strict=True):
        mark = ' class="best"' if number == best_row else ""
        lines.append(f'<tr{mark} data-stopped="{_escaped(results.rows[number].stopped)}">{"".join(line)}</tr>')
    return (
        f'<h2 id="all">Rows</h2>{note}<div class="bar"><label for="filter">Filter</label>'
        '<input id="filter" type="search" placeholder="words that a row must contain" autocomplete="off">'
        f'<span id="shown" class="faint" role="status" aria-live="polite">{len(lines)} rows</span></div>\n'
        '<div class="frame" tabindex="0" role="region" aria-labelledby="all"><table id="rows">'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    """Return a cell; a number keeps all its digits for sorting, and has none where there is no value."""
    if isinstance(value, (int, float)):
        exact = "" if math.isnan(value) else repr(value).replace("inf", "Infinity")
        return f'<td class="number" data-value="{exact}">{_words(value)}</td>'
    return f"<td>{_escaped(value)}</td>"


def _words(value: Any) -> str:
    return ("–" if math.isnan(value) else f"{value:.5g}") if isinstance(value, float) else str(value)
