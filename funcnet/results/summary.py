r"""Means over independent repetitions, with Student's intervals, and a choice that does not flatter itself.

The best of many means is too good to be true on the metric that chose it, so held-out metrics are given apart.
Intervals are mean ± t s/√n over n independent runs.

Source     Student's distribution for whole degrees of freedom: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
"""

import dataclasses
import functools
import html
import math
from typing import Any

import numpy as np

from funcnet.errors import raise_error
from funcnet.metrics import lower_is_better
from funcnet.records import paths
from funcnet.results.cells import cell, interval
from funcnet.results.checks import best_first, require_name
from funcnet.results.rows import WAITING, Table
from funcnet.results.trials import Trials
from funcnet.text import counted, html_table, text_table


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """Means over independent repetitions, best group first.

    Attributes:
        over: the fields that were averaged over.
        select: the metric that ranks the groups.
        report: the metrics given for the chosen group, which had no part in the choice.
        settings: the columns of what varies between the groups.
        telling: those of them that the text shows.
        count: the runs of each group, duplicates once.
        failures: those of them that diverged or have no finite `select`.
        waiting: the trials that have not run, which count nowhere.
        halved: the runs that halving ended, whose metrics are of fewer epochs.
        values: for each metric: mean, sample standard deviation and 95 % half width, over runs that did not fail.
        members: the row numbers of each group's runs.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.01, 0.5], "seed": range(3)})
    >>> results = fn.sweep(trials, (x, 3 * x + 1), progress=False)
    >>> summary = results.summary(over="seed", select="train_loss")
    >>> print(summary.count, float(summary.setting(0)["optimizer.learning_rate"]))  # runs of each setting; the best
    [3 3] 0.5

    """

    over: tuple[str, ...]
    select: str
    report: tuple[str, ...]
    settings: Table
    telling: tuple[str, ...]
    count: np.ndarray
    failures: np.ndarray
    waiting: int
    halved: int
    values: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    members: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.count)

    def table(self) -> Table:
        """Return the columns: settings, count, failures, and three for each metric."""
        columns = self.settings | {"count": self.count, "failures": self.failures}
        for name, (mean, deviation, half_width) in self.values.items():
            columns |= {f"{name}_mean": mean, f"{name}_std": deviation, f"{name}_half_width": half_width}
        return columns

    @property
    def best(self) -> dict[str, Any]:
        """The settings of the group that is best by `select`."""
        if not len(self) or math.isnan(self.values[self.select][0][0]):
            raise_error(
                f"{self.select} must be finite in a run of some group",
                f"{int(self.failures.sum())} of {int(self.count.sum())} runs failed and {self.waiting} have not run",
                "a smaller learning rate, or the same sweep again with its store",
            )
        return self.setting(0)

    def setting(self, number: int) -> dict[str, Any]:
        """Return the settings of a group, 0 for the best; `results.compare` takes two of them."""
        return {name: column[number : number + 1].tolist()[0] for name, column in self.settings.items()}

    @property
    def best_held_out(self) -> dict[str, tuple[float, float]]:
        """The mean and 95 % half width of every reported metric, for the best group; empty if there is none."""
        assert self.best is not None
        return {name: (float(self.values[name][0][0]), float(self.values[name][2][0])) for name in self.report}

    def __repr__(self) -> str:
        lines = [self._headline(), *text_table(*self._cells(), width=200)]
        if len(self) > 20:
            lines.append(f"… and {len(self) - 20} more groups: summary.table()")
        return "\n".join(lines + self.conclusion())

    def _repr_html_(self) -> str:
        words = "<br>".join(html.escape(line) for line in self.conclusion())
        return f"<p>{html.escape(self._headline())}</p>{html_table(*self._cells())}<p>{words}</p>"

    def _headline(self) -> str:
        better = "least" if lower_is_better(self.select) else "largest"
        return f"mean ± 95 % half width over {', '.join(self.over)}; {better} {self.select} first"

    def _cells(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """Return the head and the cells of the first groups."""
        shown = slice(0, 20)
        columns = {name: [cell(v) for v in self.settings[name][shown].tolist()] for name in self.telling}
        columns |= {"runs": list(map(str, self.count[shown])), "failures": list(map(str, self.failures[shown]))}
        for name, (mean, _, half_width) in self.values.items():
            columns[name] = [interval(*pair) for pair in zip(mean[shown], half_width[shown], strict=True)]
        return list(columns), list(zip(*columns.values(), strict=True))

    def conclusion(self) -> list[str]:
        """Say which group was chosen, what it reaches on held-out data, and what to beware of."""
        lines = []
        if self.waiting:
            lines.append(f"not run, and counted nowhere: {counted(self.waiting, 'trial')}")
        if self.halved:
            lines.append(f"ended by halving, with metrics of fewer epochs: {counted(self.halved, 'run')}")
        if len(self) > 1 and self.count.max(initial=0) == 1:
            lines.append("every group has one run, so there are no intervals: is what repeats a run in `over`?")
        if not len(self) or math.isnan(self.values[self.select][0][0]):
            return [*lines, f"no group has a finite {self.select}"]
        setting = ", ".join(f"{name}={cell(self.best[name])}" for name in self.telling) or "the only group"
        lines.append(f"chosen by {self.select}: {setting}")
        if self.failures[0]:
            lines.append(
                f"not in its means: {self.failures[0]} of its {counted(int(self.count[0]), 'run')}, which failed"
            )
        held_out = [f"{name} {interval(*pair)}" for name, pair in self.best_held_out.items()]
        if held_out:
            lines.append(f"held out, without part in the choice: {', '.join(held_out)}")
        else:
            lines.append(f"no held-out metric: {self.select} flatters the chosen group; give the sweep a test set")
        return lines


def summarise(results: Trials, over: tuple[str, ...], select: str, report: str | tuple[str, ...] | None) -> Summary:
    """Group the rows of a sweep and average; see `Results.summary`."""
    metrics, table, fields = results.metrics(), results.table(), results.fields()
    require_name(select, metrics, "select must be a metric that was measured")
    results.require_common(select)
    reported = tuple(n for n in metrics if n.startswith("test_")) if report is None else report
    reported = (reported,) if isinstance(reported, str) else tuple(reported)
    for name in reported:
        require_name(
            name, [metric for metric in metrics if metric != select], "report must be a metric other than `select`"
        )
    for name in over:
        if not any(_at_or_below(field, name) for field in fields):
            require_name(name, [*fields, *paths(results.experiments[0])], "over must be a field of the experiments")
    kept = [field for field in fields if not any(_at_or_below(field, name) for name in over)]

    # A duplicate is the same run reported twice: it adds no information about the mean.
    first = {row.hash: number for number, row in reversed(list(enumerate(results.rows)))}
    ran = [number for number in sorted(first.values()) if results.rows[number].stopped != WAITING]
    groups: dict[Any, list[int]] = {}
    lists = [[None if v != v else v for v in table[field].tolist()] for field in kept]
    for number in ran:
        groups.setdefault(tuple(column[number] for column in lists), []).append(number)

    sound = results.eligible(select)
    members = [np.asarray(numbers, np.int64) for numbers in groups.values()]
    values = {}
    for name in metrics:
        found = [mean_deviation_half_width(table[name][numbers[sound[numbers]]]) for numbers in members]
        values[name] = np.asarray(found, np.float64).reshape(-1, 3)
    order = best_first(select, values[select][:, 0])
    leaders = np.asarray([numbers[0] for numbers in members], np.int64)[order]
    return Summary(
        over=over,
        select=select,
        report=reported,
        settings={field: table[field][leaders] for field in kept},
        telling=tuple(field for field in results.telling_fields() if field in kept),
        count=np.asarray([len(numbers) for numbers in members], np.int64)[order],
        failures=np.asarray([int((~sound[numbers]).sum()) for numbers in members], np.int64)[order],
        waiting=len(first) - len(ran),
        halved=sum(results.rows[number].stopped == "halved" for number in ran),
        values={name: (v[order, 0], v[order, 1], v[order, 2]) for name, v in values.items()},
        members=tuple(members[place] for place in order),
    )


def _at_or_below(field: str, name: str) -> bool:
    field, name = field.removeprefix("experiment."), name.removeprefix("experiment.")
    return field == name or field.startswith(name + ".")


def mean_deviation_half_width(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean, the sample standard deviation and t s/√n; NaN where there are too few finite values.

    >>> import numpy as np
    >>> print(*(f"{x:.4f}" for x in mean_deviation_half_width(np.asarray([1.0, 2.0, 3.0]))))
    2.0000 1.0000 2.4841
    """
    values = values[np.isfinite(values)]
    count = len(values)
    if count < 2:
        return (float(values[0]) if count else math.nan), math.nan, math.nan
    deviation = float(np.std(values, ddof=1))
    return float(np.mean(values)), deviation, t_quantile(0.975, count - 1) * deviation / math.sqrt(count)


@functools.cache
def t_quantile(probability: float, freedom: int) -> float:
    r"""Return the quantile of Student's distribution, for a probability above a half and whole degrees of freedom.

    With θ = arctan(t/√ν), P(|T| < t) is a finite sum in sin θ and cos θ, which grows with θ: bisection inverts it.

    >>> print(f"{t_quantile(0.975, 4):.4f}")
    2.7764
    """
    odd = freedom % 2
    # The terms after the first are 2/3, 2·4/(3·5), … for odd ν, and 1/2, 1·3/(2·4), … for even ν.
    k = np.arange(1, (freedom - odd) // 2, dtype=np.float64)
    factors = np.concatenate([[1.0], np.cumprod((2 * k - 1 + odd) / (2 * k + odd))])
    powers = 2.0 * np.arange(len(factors))

    def two_sided(angle: float) -> float:
        series = math.sin(angle) * float(np.sum(factors * math.cos(angle) ** powers))
        if not odd:
            return series
        return 2 / math.pi * (angle + (series * math.cos(angle) if freedom > 1 else 0.0))

    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if two_sided(middle) < 2 * probability - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)
