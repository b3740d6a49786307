r"""What every part of a report looks at: the results, and their settings averaged over what repeats them."""

import html
import math
from typing import Any, NamedTuple

import numpy as np

from funcnet.errors import raise_error
from funcnet.results.rows import LEADING
from funcnet.results.summary import Summary, summarise
from funcnet.results.trials import Trials


class View(NamedTuple):
    """Results, and how a reader looks at them."""

    results: Trials
    metric: str | None  # by which settings are ranked; None if there is none
    over: tuple[str, ...]  # fields of repetitions
    summary: Summary | None

    def fields(self) -> list[str]:
        """List the fields that a setting is told by."""
        telling = self.results.telling_fields()
        return [name for name in telling if name not in self.over]

    def best_by(self, field: str) -> dict[Any, int]:
        """Return the number of the best setting for each value of a field, best value first."""
        assert self.summary is not None
        means, found = self.summary.values[self.summary.select][0], dict[Any, int]()
        for number, value in enumerate(self.summary.settings[field].tolist()):
            if np.isfinite(means[number]):
                found.setdefault(None if value != value else value, number)
        return found

    def effect(self, field: str) -> float:
        """Return how far the best settings lie apart that the values of a field can have."""
        assert self.summary is not None
        means = self.summary.values[self.summary.select][0][list(self.best_by(field).values())]
        return float(np.ptp(means)) if means.size else 0.0


def view_of(results: Trials, select: str | None, over: str | tuple[str, ...] | None) -> View:
    """Return what is to be seen; `ValueError` for a metric or field that is not there."""
    metric = select or next(iter(results.leaders([*LEADING, *results.metrics()])), None)
    if select is not None and not len(results):
        raise_error("select needs rows", "there are none", "a sweep that has run")
    repeats = tuple(results.repeats()) if over is None else (over,) if isinstance(over, str) else tuple(over)
    summary = None if metric is None else summarise(results, repeats, metric, None)
    if summary is not None and not np.isfinite(summary.values[summary.select][0]).any():
        metric, summary = None, None
    return View(results, metric, repeats, summary)


def escaped(value: Any) -> str:
    """Return a text as HTML."""
    return html.escape(str(value), quote=True)


def words(value: Any) -> str:
    """Return a value as it is read: five digits, a dash for none."""
    return ("–" if math.isnan(value) else f"{value:.5g}") if isinstance(value, float) else str(value)


def alike_first(metric: str, names: list[str]) -> list[str]:
    """Return names of metrics, first that which measures what `metric` does, as test_accuracy validation_accuracy."""
    stem = metric.split("_", 1)[-1]
    return sorted(names, key=lambda name: name.split("_", 1)[-1] != stem)
