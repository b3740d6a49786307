r"""Two settings of a sweep compared seed by seed.

Runs of one seed share their initial values and the order of their samples, so what a seed does to both cancels in the
difference. Of n pairs with differences dᵢ = aᵢ − bᵢ, mean d̄ and sample standard deviation s, the 95 % interval is
d̄ ± t s/√n with t the 97.5 % quantile of Student's distribution with n − 1 degrees of freedom.

Source     Student 1908, The Probable Error of a Mean, Biometrika 6: the paired comparison of two treatments.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from funcnet.errors import describe, raise_error, shown
from funcnet.metrics import lower_is_better
from funcnet.results.cells import cell, interval
from funcnet.results.checks import require_name
from funcnet.results.rows import WAITING
from funcnet.results.summary import mean_deviation_half_width
from funcnet.results.trials import Trials


@dataclasses.dataclass(frozen=True, repr=False)
class PairedDifference:
    """The difference of two settings, a − b, with its 95 % interval over pairs.

    Attributes:
        metric: what was compared.
        over: the fields by which runs are paired.
        a, b: the two settings.
        values: the metric of each pair, (pairs, 2): of a and of b.
        difference: the mean of a − b.
        half_width: of its interval.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.01, 0.5], "seed": range(3)})
    >>> results = fn.sweep(trials, (x, 3 * x + 1), progress=False)
    >>> rate = "optimizer.learning_rate"
    >>> found = results.compare({rate: 0.5}, {rate: 0.01}, "train_loss")
    >>> found.values.shape, found.difference < 0, found.better
    ((3, 2), True, 'a')

    """

    metric: str
    over: tuple[str, ...]
    a: dict[str, Any]
    b: dict[str, Any]
    values: np.ndarray
    difference: float
    half_width: float

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval of a − b."""
        return self.difference - self.half_width, self.difference + self.half_width

    @property
    def better(self) -> str:
        """Which is better, "a" or "b", or "" where the interval holds 0."""
        low, high = self.interval
        if low <= 0 <= high:
            return ""
        return "a" if (high < 0) == lower_is_better(self.metric) else "b"

    def __repr__(self) -> str:
        means = np.mean(self.values, axis=0)
        lines = [
            f"{name}: {', '.join(f'{path}={cell(value)}' for path, value in setting.items())}; mean {mean:.4g}"
            for name, setting, mean in (("a", self.a, means[0]), ("b", self.b, means[1]))
        ]
        head = f"{self.metric}, {len(self.values)} pairs by {', '.join(self.over)}"
        found = f"{self.better} is better" if self.better else "no difference shown, 0 is in the interval"
        return "\n".join(
            [head, *lines, f"a − b: {interval(self.difference, self.half_width)} (95 % half width); {found}"]
        )


def compared(results: Trials, a: Any, b: Any, metric: str, over: tuple[str, ...]) -> PairedDifference:
    """Compare two settings; see `Results.compare`."""
    results.require_common(metric)
    fields = results.fields()
    for name in over:
        require_name(name, fields, "over must be a field that varies")
    first, second = (_runs(results, name, setting, over) for name, setting in (("a", a), ("b", b)))
    if first == second:
        raise_error("a and b must be two settings", "they lead to the same runs", "summary.setting(0) and setting(1)")
    sound, column = results.eligible(metric), results.table()[metric]
    for mark in dict.fromkeys([*first, *second]):
        for name, runs in (("a", first), ("b", second)):
            if mark not in runs or not sound[runs[mark]]:
                words = ", ".join(f"{path} {cell(value)}" for path, value in zip(over, mark, strict=True))
                ended = "has no run" if mark not in runs else f"has no finite {metric}"
                must = "every pair must have a run of a and one of b that did not fail"
                attempt = f"the missing trials in the sweep, or results.summary({list(over)}), which counts failures"
                raise_error(must, f"{name} {ended} with {words}", attempt)
    if len(first) < 2:
        raise_error("there must be at least two pairs", "got one", "more seeds in the sweep")
    values = np.stack([column[[first[mark], second[mark]]] for mark in first])
    difference, _, half_width = mean_deviation_half_width(values[:, 0] - values[:, 1])
    return PairedDifference(metric, over, dict(a), dict(b), values, difference, half_width)


def _runs(results: Trials, name: str, setting: Any, over: tuple[str, ...]) -> dict[Any, int]:
    """Return a setting's rows by what pairs them; a duplicate counts once."""
    table, fields = results.table(), results.fields()
    if not isinstance(setting, Mapping):
        must = f"{name} must be a setting, values by column"
        raise_error(must, f"got {describe(setting)}", "summary.best, or {'optimizer': 'Adam'}", TypeError)
    rows = table["stopped"] != WAITING
    for path, value in setting.items():
        require_name(path, [field for field in fields if field not in over], f"{name} must name fields that vary")
        same = _same(table[path], value)
        if not same.any():
            there = ", ".join(cell(v) for v in dict.fromkeys(table[path].tolist()))
            must, arrived = f"{name} must be a setting of the sweep", f"no row has {path} {shown(value)}"
            raise_error(must, arrived, f"one of {there}")
        rows = rows & same
    numbers = np.flatnonzero(rows)
    for path in fields:
        found = dict.fromkeys(cell(value) for value in table[path][numbers].tolist())
        if path not in over and len(found) > 1:
            must = f"{name} must be one setting"
            raise_error(must, f"its rows differ in {path}: {', '.join(found)}", f"{{…, {path!r}: {next(iter(found))}}}")
    columns = [table[path].tolist() for path in over]
    runs: dict[Any, int] = {}
    for number in numbers.tolist():
        runs.setdefault(tuple(column[number] for column in columns), number)
    if not runs:
        raise_error(f"{name} must have runs", "no row of this setting has run", "the same sweep again, with its store")
    return runs


def _same(column: np.ndarray, value: Any) -> np.ndarray:
    """Tell which entries of a column are a value; numbers as far as single precision tells them apart."""
    if column.dtype.kind in "if":
        if np.asarray(value).dtype.kind not in "biuf" or np.ndim(value):
            return np.zeros(len(column), bool)
        return np.isclose(column.astype(np.float64), np.float64(value), rtol=1e-6, atol=0.0, equal_nan=True)
    return column == str(value)
