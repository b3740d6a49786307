r"""Experiments and their rows, as columns: what varies, what was measured, which row is best.

A table has a column for every field that varies between the experiments, under its dotted path; then the metrics of
each trial's best epoch; then how it ended. A field that an experiment lacks, being built otherwise, is NaN or "" there.
A part that varies in kind (Adam or SGD, ReLU or tanh, two layers or three) has a column of names, a network's being its
widths and activations, as in 64-relu-10. The limit `epochs`, where it varies, is the column `experiment.epochs`, since
`epochs` are those that were run.

A loss is no common measure of trials that were trained on different losses: each is judged by its own. Nor is the
objective of trials whose penalties differ. To choose by such a column is refused.
"""

import copy
import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.records import paths
from funcnet.results.checks import best_first, require_name
from funcnet.results.rows import ENDINGS, METRICS, Row, Table
from funcnet.results.varying import judged_apart, varying_fields
from funcnet.text import counted

_ENDED = {"epochs": "ran all epochs", "patience": "ran out of patience", "tolerance": "came to rest"}


class Trials:
    """Rows of a sweep by number, and as columns."""

    def __init__(
        self,
        experiments: Sequence[Any],
        rows: Sequence[Row],
        curves: Callable[[int], dict[str, np.ndarray]],
        params: Callable[[int], Any],
        labels: Mapping[str, Sequence[Any]] | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> None:
        if len(experiments) != len(rows):
            raise_error(
                "there must be one row for each experiment",
                f"got {len(rows)} rows and {len(experiments)} experiments",
                "a row for a duplicate, too",
            )
        self.experiments, self.rows = list(experiments), list(rows)
        self._curves, self._params = curves, params
        self.labels = {name: _column(values) for name, values in (labels or {}).items()}
        self.origin = dict(origin or {})
        self._columns: Table | None = None
        self._paths: dict[str, str] = {}  # of columns that have another name

    def __len__(self) -> int:
        return len(self.rows)

    # -- columns --------------------------------------------------------------------------------------------

    def table(self) -> Table:
        """Return the columns: varying fields, metrics, and how each row ended; the arrays are read-only."""
        if self._columns is None:
            columns = varying_fields(self.experiments) if self.experiments else {}
            columns = {f"experiment.{path}" if path in ENDINGS else path: column for path, column in columns.items()}
            given = {path: name for name, path in self._paths.items()}
            columns = {given.get(path, path): column for path, column in (self.labels | columns).items()}
            for name in self.metrics():
                values = [row.metrics.get(name, math.nan) for row in self.rows]
                columns[name] = np.asarray(values, np.float64)
            columns["stopped"] = np.asarray([row.stopped for row in self.rows], object)
            columns["epochs"] = np.asarray([row.epochs for row in self.rows], np.int64)
            columns["best_epoch"] = np.asarray([row.best_epoch for row in self.rows], np.int64)
            bad = [-1 if row.first_bad_step is None else row.first_bad_step for row in self.rows]
            columns["first_bad_step"] = np.asarray(bad, np.int64)
            columns["seconds"] = np.asarray([row.seconds for row in self.rows], np.float64)
            for column in columns.values():
                column.flags.writeable = False
            self._columns = columns
        return dict(self._columns)

    def metrics(self) -> list[str]:
        """List the names of the metrics."""
        seen = dict.fromkeys(name for row in self.rows for name in row.metrics)
        return [name for name in METRICS if name in seen] + [name for name in seen if name not in METRICS]

    def fields(self) -> list[str]:
        """List the columns that hold what varies between the experiments."""
        metrics = set(self.metrics())
        return [name for name in self.table() if name not in metrics and name not in ENDINGS]

    def path_of(self, name: str) -> str:
        """Return the dotted path of a column that may have another name."""
        return self._paths.get(name, name)

    def repeats(self) -> list[str]:
        """List the fields that tell repetitions of one setting apart: seeds and folds."""
        ends = {name: self.path_of(name).rsplit(".", 1)[-1] for name in self.fields()}
        return [name for name, end in ends.items() if end in ("seed", "data_seed", "fold")]

    def telling_fields(self) -> list[str]:
        """List the fields without those that the name of a part above gives away, as 64-relu-10 gives its widths."""
        shown = {self.path_of(name): name for name in self.fields()}
        table = {path: self.table()[name] for path, name in shown.items()}
        fields = list(table)

        def given_away(field: str) -> bool:
            steps = field.split(".")
            above = [".".join(steps[:k]) for k in range(1, len(steps))]
            for part in (table[name] for name in above if name in fields):
                pairs = set(zip(part.tolist(), map(str, table[field].tolist()), strict=True))
                if len(pairs) == len(set(part.tolist())):
                    return True
            return False

        return [name for path, name in shown.items() if name in self._paths or not given_away(path)]

    def telling_table(self) -> Table:
        """Return the columns without fields that others give away."""
        hidden = set(self.fields()) - set(self.telling_fields())
        return {name: column for name, column in self.table().items() if name not in hidden}

    def named(self, names: Mapping[str, str]) -> Self:
        """Return the same results with columns under other names, in tables, summaries, figures and files.

        Args:
            names: a name for each dotted path, as {"optimizer.learning_rate": "rate"}; of paths that do not vary there
                is no column, and their names wait for a sweep where they do.

        Raises:
            TypeError, ValueError: for a path that no experiment has, or a name that is taken.

        """
        if not isinstance(names, Mapping) or not all(isinstance(name, str) and name for name in names.values()):
            must = "names must be text by dotted path"
            raise_error(must, f"got {describe(names)}", '{"optimizer.learning_rate": "rate"}', TypeError)
        fields = self.fields()
        for path in names:
            if path not in fields:
                there = [*fields, *(paths(self.experiments[0]) if self.experiments else names)]
                require_name(path, there, "a path to be named must be a field of the experiments")
        new = {path: name for path, name in names.items() if path in fields}
        columns = self.table()
        every = [new.get(name, name) for name in columns]
        if twice := [name for name in new.values() if every.count(name) > 1]:
            raise_error("every column must have a name of its own", f"{twice[0]!r} names two", "another name")
        found = copy.copy(self)
        found._paths = {new.get(name, name): self.path_of(name) for name in fields}
        found._paths = {name: path for name, path in found._paths.items() if name != path}
        found._columns = dict(zip(every, columns.values(), strict=True))
        return found

    def part(self, numbers: np.ndarray) -> "Trials":
        """Return some of the rows, under the columns that all of them have."""
        chosen = [int(number) for number in numbers]
        found = Trials(
            [self.experiments[i] for i in chosen],
            [self.rows[i] for i in chosen],
            lambda number: self._curves(chosen[number]),
            lambda number: self._params(chosen[number]),
        )
        found._columns = {name: column[numbers] for name, column in self.table().items()}
        found._paths = dict(self._paths)
        return found

    # -- choosing -------------------------------------------------------------------------------------------

    def eligible(self, metric: str) -> np.ndarray:
        """Tell of each row whether it has a value of the metric that can win: finite, of a run that did not diverge."""
        require_name(metric, self.metrics(), "a metric must be one that was measured")
        return np.isfinite(self.table()[metric]) & (self.table()["stopped"] != "diverged")

    def ranked(self, metric: str) -> np.ndarray:
        """Return the numbers of all eligible rows, best first; equal ones in the order given."""
        numbers = np.flatnonzero(self.eligible(metric))
        return numbers[best_first(metric, self.table()[metric][numbers])]

    def leaders(self, metrics: Sequence[str]) -> dict[str, int]:
        """Return the best row by each of those metrics that has one and means the same in all rows."""
        there = [name for name in metrics if name in self.metrics() and not judged_apart(name, self.experiments)]
        orders = {name: self.ranked(name) for name in there}
        return {name: int(order[0]) for name, order in orders.items() if order.size}

    def require_common(self, metric: str) -> None:
        """Raise `ValueError` unless a metric was measured and means the same in all rows."""
        require_name(metric, self.metrics(), "a metric must be one that was measured")
        if part := judged_apart(metric, self.experiments):
            common = [name for name in self.metrics() if not judged_apart(name, self.experiments)]
            raise_error(
                f"{metric} must mean the same in all trials that are compared by it",
                f"their experiments differ in {part}, and each is judged by its own",
                " or ".join(map(repr, common[:3])) or "a metric beside the loss",
            )

    def best(self, metric: str = "validation_loss") -> int:
        """Return the number of the row with the least value, or the largest where more is better, as of an accuracy.

        Args:
            metric: a column that was measured.

        Raises:
            ValueError: when the metric was not measured, is NaN in every row that did not diverge, or means something
                else in each trial, as a loss does where the experiments differ in their loss.

        """
        self.require_common(metric)
        order = self.ranked(metric)
        if order.size == 0:
            stops = ", ".join(f"{count} {stopped}" for stopped, count in self.counts().items())
            raise_error(
                f"{metric} must be finite in a row that did not diverge",
                f"the rows are {stops or 'none'}",
                "a smaller learning rate, or results.table() to see where they stopped",
            )
        return int(order[0])

    def counts(self) -> dict[str, int]:
        """Count the rows by how they stopped, most frequent first."""
        return dict(Counter(row.stopped for row in self.rows).most_common())

    def headline(self) -> str:
        """Say how many trials there are, how they ended, and how long they took."""
        ends = ", ".join(f"{count} {_ENDED.get(stopped, stopped)}" for stopped, count in self.counts().items())
        alone = {row.hash: row.seconds for row in self.rows}
        return f"{counted(len(self), 'trial')}: {ends or 'none'}; {sum(alone.values()):.3g} s of training"

    # -- one row --------------------------------------------------------------------------------------------

    def experiment(self, number: int) -> Any:
        """Return the experiment of a row."""
        return self.experiments[self._number(number)]

    def params(self, number: int) -> Any:
        """Return the parameters of a row's best epoch."""
        return self._params(self._run(number))

    def curves(self, number: int) -> dict[str, np.ndarray]:
        """Return a row's history: arrays by epoch."""
        return self._curves(self._run(number))

    def _number(self, number: int) -> int:
        index = operator.index(number)
        if not -len(self) <= index < len(self):
            raise_error(
                f"a row number must be below {len(self)}", f"got {number}", "one that results.best() gives", IndexError
            )
        return index % len(self)

    def _run(self, number: int) -> int:
        index = self._number(number)
        if not self.rows[index].epochs:
            raise_error(
                "a row must have run to have curves and parameters",
                f"row {index} is {self.rows[index].stopped}",
                "the same sweep again, with the same store",
            )
        return index


def _column(values: Sequence[Any]) -> np.ndarray:
    column = np.asarray(values)
    return column if column.dtype.kind in "if" else np.asarray([str(value) for value in values], object)
