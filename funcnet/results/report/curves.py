r"""The learning curves that a page keeps: those of the rows it shows, thinned so that the file stays small."""

import json
import math
from typing import Any

import numpy as np

from funcnet.results.report.tables import shown_rows
from funcnet.results.report.view import View

MOST_NUMBERS = 300_000  # of all curves together: about two megabytes
MOST_POINTS, LEAST_POINTS = 120, 12


def curves(view: View) -> str:
    """Return the curves as JSON that can stand in a page: names, and by row the epochs, the best one and the values."""
    results, numbers = view.results, [n for n in shown_rows(view).tolist() if view.results.rows[n].epochs]
    histories = {number: results.curves(number) for number in numbers}
    names = _names(view.metric, [name for name in next(iter(histories.values()), {})])
    points = MOST_NUMBERS // max(len(histories) * len(names), 1)
    points = min(max(points, LEAST_POINTS), MOST_POINTS)
    rows = {
        str(number): {
            "epochs": max((len(history[name]) for name in names if name in history), default=0),
            "best": results.rows[number].best_epoch,
            "values": [_thinned(history[name], points) if name in history else None for name in names],
        }
        for number, history in histories.items()
    }
    text = json.dumps({"names": names, "rows": rows}, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c")


def _names(metric: str | None, there: list[str]) -> list[str]:
    """Choose the metrics to keep: losses, and the one that settings are ranked by, of training and validation."""
    stem = (metric or "train_loss").split("_", 1)[-1]
    wanted = [
        f"{kind}_{what}" for what in dict.fromkeys(["loss", stem, "accuracy"]) for kind in ("train", "validation")
    ]
    return [name for name in wanted if name in there][:6] or there[:1]


def _thinned(values: Any, points: int) -> list[float | None]:
    """Return at most so many values, at equal distances, in four digits; None for what is not finite."""
    line = np.asarray(values, np.float64)
    if len(line) > points:
        # As the page does: rounded halves upwards, which np.round would do to even numbers.
        line = line[np.floor(np.arange(points) * (len(line) - 1) / (points - 1) + 0.5).astype(int)]
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in line.tolist()]
