r"""What was chosen, and what the sweep is."""

import dataclasses
from typing import Any

import numpy as np

from funcnet.layers.chain import Chain
from funcnet.metrics import lower_is_better
from funcnet.records import children, is_record
from funcnet.results.cells import interval
from funcnet.results.report.view import View, alike_first, escaped, words
from funcnet.results.varying import architecture, compact, plain
from funcnet.text import clipped

# The parts of an experiment that are named though they are as by default.
_ALWAYS = ("network", "loss", "optimizer", "regularizer", "stopping", "batch_size", "epochs")


def chosen(view: View) -> str:
    """Return which setting was chosen by which metric, and what it reaches on the test set."""
    summary = view.summary
    if summary is None:
        return "<p>No row has a finite metric that means the same in all trials.</p>"
    setting = summary.setting(0)
    told = ", ".join(
        f"{escaped(name)} <b>{escaped(words(setting[name]))}</b>" for name in view.fields() if name in setting
    )
    runs = int(summary.count[0] - summary.failures[0])
    mean, _, half_width = (float(column[0]) for column in summary.values[summary.select])
    of = f", mean of {runs} runs ± 95 % half width" if runs > 1 else ", of one run"
    better = "least" if lower_is_better(summary.select) else "largest"
    lines = [("setting", told or "the only one"), (summary.select, f"<b>{interval(mean, half_width)}</b>{of}")]
    held_out = summary.best_held_out
    for name, pair in ((name, held_out[name]) for name in alike_first(summary.select, list(held_out))):
        lines.append((name, f"<b>{interval(*pair)}</b>, which had no part in the choice"))
    notes = [line for line in summary.conclusion() if not line.startswith(("chosen by", "held out"))]
    return (
        f'<section class="chosen" aria-labelledby="chosen"><h2 id="chosen">Chosen by the {better} '
        f"{escaped(summary.select)}</h2>{_list(lines)}"
        f"{''.join(f'<p>{escaped(note[0].upper() + note[1:])}.</p>' for note in notes)}</section>"
    )


def about(view: View) -> str:
    """Return what varies, what the experiments are made of, and where the rows come from."""
    results, table = view.results, view.results.table()
    varies = [(name, escaped(_values(table[name]))) for name in results.telling_fields()]
    origin = [(name, f"<code>{escaped(told)}</code>") for name, told in results.origin.items()]
    parts = [
        ("What varies", varies),
        ("The experiments", _shared(results.experiments)),
        ("Where it comes from", origin),
    ]
    inside = "".join(f"<div><h3>{title}</h3>{_list(lines)}</div>" for title, lines in parts if lines)
    return f'<details open><summary><h2>What the sweep is</h2></summary><div class="about">{inside}</div></details>'


def _list(lines: list[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escaped(name)}</dt><dd>{told}</dd>' for name, told in lines)}</dl>"


def _values(column: np.ndarray) -> str:
    """Name the values of a column: all of few, the ends of many numbers."""
    values = list(dict.fromkeys(column.tolist()))
    if column.dtype.kind in "if":
        numbers = sorted(value for value in values if value == value)
        if len(numbers) > 12:
            return f"{len(numbers):,} values from {words(numbers[0])} to {words(numbers[-1])}"
        return ", ".join(map(words, numbers))
    named = ", ".join(value or "(none)" for value in values[:12])
    return named + (f", and {len(values) - 12:,} more" if len(values) > 12 else "")


def _shared(experiments: list[Any]) -> list[tuple[str, str]]:
    """Describe each part of the experiments; of one that varies, its kinds and that its numbers do."""
    if not experiments or not is_record(experiments[0]):
        return []
    usual = {item.name: item.default for item in dataclasses.fields(experiments[0])}
    lines = []
    for name, first in children(experiments[0]).items():
        nodes = list({id(node): node for node in (vars(e).get(name) for e in experiments)}.values())
        told = list(dict.fromkeys(map(_told, nodes)))
        if len(told) > 1:
            kinds = list(dict.fromkeys(map(_kind, nodes)))
            if all(kinds):
                more = f", and {len(kinds) - 6} more" if len(kinds) > 6 else ""
                lines.append((name, escaped(", ".join(kinds[:6]) + more)))
        elif name in _ALWAYS or told[0] != _told(usual[name]):
            code = f"<code>{escaped(clipped(told[0], 300))}</code>"
            lines.append((name, f"{escaped(architecture(first))}: {code}" if isinstance(first, Chain) else code))
    return lines


def _told(node: Any) -> str:
    return compact(node) if children(node) else ("none" if node in (None, ()) else str(plain(node)))


def _kind(node: Any) -> str:
    if isinstance(node, Chain):
        return architecture(node)
    return type(node).__name__ if children(node) and not isinstance(node, tuple) else ""
