r"""A run as a figure, and as a table for notebooks; epochs are counted from 1, as sweeps and progress do."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from funcnet.figures import COLOURS, figure_of, style

ROWS = 8  # epochs that a table shows


def curves(history: Mapping[str, np.ndarray], best_epoch: int, heading: str) -> Any:
    """Draw each quantity by epoch, training and validation in one panel, the best epoch marked."""
    panels: dict[str, list[str]] = {}
    for name, column in history.items():
        if len(column) and np.ndim(column) == 1:
            quantity = name.removeprefix("train_").removeprefix("validation_")
            panels.setdefault("loss" if quantity == "objective" else quantity, []).append(name)
    with style():
        figure, first = figure_of(7.2, 1.0 + 2.6 * max(len(panels), 1))
        figure.delaxes(first)
        for place, (quantity, names) in enumerate(panels.items()):
            axes = figure.add_subplot(len(panels), 1, place + 1)
            for number, name in enumerate(names):
                epochs, mark = np.arange(len(history[name])) + 1, "." if len(history[name]) < 3 else ""
                axes.plot(epochs, history[name], color=COLOURS[number], label=name, marker=mark)
            if best_epoch >= 0:
                best = best_epoch + 1
                axes.axvline(best, color=COLOURS[-1], linestyle=":", label=f"best epoch ({best})")
            axes.set_ylabel(quantity)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
            if place == 0:
                axes.set_title(heading)
        for axes in figure.axes[-1:]:
            axes.set_xlabel("epoch")
    return figure


def table(history: Mapping[str, np.ndarray], best_epoch: int, heading: str) -> str:
    """Return the history as a table of HTML: the last epochs and the best one, which is set in bold."""
    flat = {name: column for name, column in history.items() if np.ndim(column) == 1}
    epochs = max((len(column) for column in flat.values()), default=0)
    shown = sorted({*range(max(0, epochs - ROWS), epochs), *([best_epoch] if best_epoch >= 0 else [])})
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("epoch", *flat))
    rows = []
    for epoch in shown:
        mark = "b" if epoch == best_epoch else "span"
        cells = [str(epoch + 1), *(f"{column[epoch]:.4g}" if epoch < len(column) else "" for column in flat.values())]
        rows.append("<tr>" + "".join(f"<td><{mark}>{cell}</{mark}></td>" for cell in cells) + "</tr>")
    return f"<p>{html.escape(heading)}</p><table><tr>{head}</tr>{''.join(rows)}</table>"
