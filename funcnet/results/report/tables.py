r"""The two tables of a report: settings averaged over repetitions, and rows."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcnet.metrics import lower_is_better
from funcnet.results.cells import interval
from funcnet.results.report.view import View, alike_first, escaped, words
from funcnet.results.rows import ENDINGS

MOST_ROWS, MOST_SETTINGS = 2000, 500


class Column(NamedTuple):
    """A column as it is read, and as it is sorted."""

    name: str
    texts: Sequence[str]
    exact: Sequence[Any] | None  # numbers; None for text
    sticky: bool = False


def settings(view: View) -> tuple[str, str]:
    """Return the heading and the table of settings, best first, and its style; nothing where each ran once."""
    summary = view.summary
    if summary is None or summary.count.max() == 1:
        return "", ""
    shown = min(len(summary), MOST_SETTINGS)
    columns = [Column("setting", [str(k + 1) for k in range(shown)], range(1, shown + 1), sticky=True)]
    columns += [_column(name, summary.settings[name][:shown], sticky=True) for name in view.fields()]
    ordered = [summary.select, *alike_first(summary.select, list(summary.report))]
    for name in dict.fromkeys([*ordered, *summary.values]):
        mean, _, half_width = (column[:shown] for column in summary.values[name])
        pairs = zip(mean.tolist(), half_width.tolist(), strict=True)
        columns.append(Column(name, [_mean(*pair) for pair in pairs], mean.tolist()))
    columns[len(view.fields()) + 2 : len(view.fields()) + 2] = [
        _column("runs", summary.count[:shown]),
        _column("failed", summary.failures[:shown]),
    ]
    better = "least" if lower_is_better(summary.select) else "largest"
    over = ", ".join(view.over)
    words_ = f"Mean ± 95 % half width over {over}; {better} {summary.select} first."
    if summary.report:
        words_ += f" Chosen on {summary.select}; {', '.join(summary.report)} had no part in the choice."
    if shown < len(summary):
        words_ += f" These are the best {shown:,} of {len(summary):,}; results.summary().table() has all."
    marks = [' class="best"' if k == 0 else "" for k in range(shown)]
    rows = [f' data-rows="{" ".join(map(str, summary.members[k]))}"' for k in range(shown)]
    lines = [mark + own for mark, own in zip(marks, rows, strict=True)]
    return _section("settings", "Settings", "setting", words_, columns, lines, summary.select)


def shown_rows(view: View) -> np.ndarray:
    """Return the numbers of the rows that the page shows: all of them in order, or the best."""
    total = len(view.results)
    if total <= MOST_ROWS:
        return np.arange(total)
    ranked = np.zeros(0, np.int64) if view.metric is None else view.results.ranked(view.metric)
    return np.concatenate([ranked, np.setdiff1d(np.arange(total), ranked)])[:MOST_ROWS]


def rows(view: View) -> tuple[str, str]:
    """Return the heading and the table of rows, and its style."""
    results, numbers = view.results, shown_rows(view)
    table, total, metrics = results.table(), len(results), results.metrics()
    text = "A row is one run; its metrics are those of its best epoch."
    if total > len(numbers):
        best = f"best {len(numbers):,} of {total:,} rows by {view.metric}" if view.metric else "first rows"
        text += f' These are the {best}; results.to_csv("results.csv") writes all of them.'
    telling = results.telling_fields()
    first = [view.metric] if view.metric else []
    held_out = alike_first(view.metric or "", [name for name in metrics if name.startswith("test_")])
    order = dict.fromkeys([*telling, *first, *held_out, *metrics, *ENDINGS])
    columns = [Column("row", list(map(str, numbers)), numbers.tolist(), sticky=True)]
    columns += [_column(name, table[name][numbers], sticky=name in telling) for name in order]
    chosen = set() if view.summary is None else set(view.summary.members[0].tolist())
    lines = [
        f'{" class=best" if number in chosen else ""} data-stopped="{escaped(results.rows[number].stopped)}"'
        for number in numbers.tolist()
    ]
    return _section("rows", "Rows", "row", text, columns, lines, view.metric or "")


def _mean(mean: float, half_width: float) -> str:
    return "–" if math.isnan(mean) else interval(mean, half_width)


def _column(name: str, values: np.ndarray, sticky: bool = False) -> Column:
    if values.dtype.kind not in "if":
        return Column(name, list(map(str, values)), None, sticky)
    exact = values.tolist()
    if name == "first_bad_step":  # −1 stands for none
        exact = [math.nan if value < 0 else value for value in exact]
    return Column(name, [words(value) for value in exact], exact, sticky)


def _section(
    mark: str, title: str, noun: str, text: str, columns: list[Column], lines: list[str], metric: str
) -> tuple[str, str]:
    """Return a section with a filter and a table, and a rule of style that aligns its numbers."""
    heads = "".join(
        f'<th scope="col" data-kind="{"text" if column.exact is None else "number"}"{" data-sticky" * column.sticky}>'
        f'<button type="button">{escaped(column.name)}</button></th>'
        for column in columns
    )
    cells = [[_head(text) for text in columns[0].texts]]
    for column in columns[1:]:
        exact = column.exact if column.exact is not None else [None] * len(column.texts)
        cells.append([_cell(text, value) for text, value in zip(column.texts, exact, strict=True)])
    body = "\n".join(
        f"<tr{line}>{''.join(own)}</tr>" for line, own in zip(lines, zip(*cells, strict=True), strict=True)
    )
    help_ = _help(columns, metric)
    html = (
        f'<section aria-labelledby="{mark}-title"><h2 id="{mark}-title">{title}</h2><p>{escaped(text)}</p>'
        f'<div class="bar"><label for="{mark}-filter">Filter</label>'
        f'<input id="{mark}-filter" type="search" autocomplete="off" spellcheck="false" aria-describedby="{mark}-help">'
        f'<span id="{mark}-shown" class="faint" role="status" aria-live="polite">{len(lines)} {noun}s</span></div>'
        f'<p id="{mark}-help" class="faint help">{help_} A click on a {noun} shows its learning curves.</p>'
        f'<div class="frame" tabindex="0" role="region" aria-labelledby="{mark}-title">'
        f'<table id="{mark}" data-noun="{noun}" data-metric="{escaped(metric)}"><caption>{title}: {escaped(text)}'
        f"</caption><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div></section>"
    )
    numeric = [
        f"#{mark} tr:not(.detail) > :nth-child({k + 1})" for k, column in enumerate(columns) if column.exact is not None
    ]
    return html, f"{', '.join(numeric)} {{ text-align: right; }}\n"


def _head(text: str) -> str:
    return f'<th scope="row"><button type="button" aria-expanded="false">{text}</button></th>'


def _cell(text: str, value: Any) -> str:
    """Return a cell; a number keeps all its digits for sorting, where the text has not all."""
    if value is None or text == "–":
        return f"<td>{escaped(text)}</td>"
    exact = repr(value).replace("inf", "Infinity")
    return f"<td>{text}</td>" if exact == text else f'<td data-v="{exact}">{escaped(text)}</td>'


def _help(columns: list[Column], metric: str) -> str:
    """Show how to filter, by the columns that there are."""
    examples = []
    for column in columns:
        if column.name == metric and column.exact is not None:
            finite = [value for value in column.exact if isinstance(value, float) and math.isfinite(value)]
            sign = "<" if lower_is_better(metric) else ">"
            examples += [f"{metric} {sign} {float(np.median(finite)):.3g}"] if finite else []
    named = next((column for column in columns if column.exact is None and column.sticky and any(column.texts)), None)
    if named is not None:
        examples.append(f"{named.name} = {next(text for text in named.texts if text)}")
    shown = " or ".join(f"<code>{escaped(example)}</code>" for example in examples)
    return f"Words, or comparisons such as {shown}; commas join several." if shown else "Words, joined by blanks."
