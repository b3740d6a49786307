r"""What a sweep returns: a row for each experiment, in the order given, as columns, summaries, files and a report.

A table has a column for every field that varies between the experiments, under its dotted path; then the metrics of
each trial's best epoch; then how it ended. A field that an experiment lacks, being built otherwise, is NaN or "" there.
A part that varies in kind (Adam or SGD, ReLU or tanh, two layers or three) has a column of names, a network's being its
widths and activations, as in 64-relu-10. The limit `epochs`, where it varies, is the column `experiment.epochs`, since
`epochs` are those that were run.

A summary chooses on one metric and reports another: the best of many means is too good to be true on the metric that
chose it, so the test set's is given apart. Its intervals are Student's, mean ± t s/√n over n independent runs.

Source     Student's distribution for whole degrees of freedom: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
"""

import csv
import html
import importlib
import math
import operator
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import numpy as np

from funcnet.errors import raise_error
from funcnet.results.rows import ENDINGS, METRICS, Row, Table
from funcnet.results.summary import Summary, summarise
from funcnet.results.varying import varying_fields
from funcnet.results.words import (
    _plots,
    extra,
    harmless,
    known,
    losses,
    shown_columns,
    write_whole,
)
from funcnet.text import counted, html_table, text_table

_ENDED = {"epochs": "ran all epochs", "patience": "ran out of patience", "tolerance": "came to rest"}


class Results:
    r"""The rows of a sweep.

    Args:
        experiments: in the order given to the sweep.
        rows: one for each.
        curves: a function from a row number to arrays by epoch.
        params: a function from a row number to the parameters of the best epoch.

    >>> import funcnet as fn
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1))
    >>> trials = [fn.replace(line, {"optimizer.learning_rate": rate}) for rate in (0.1, 0.2)]
    >>> rows = [Row(str(i), "epochs", 20, 19, None, 0.1, {"train_loss": loss}) for i, loss in enumerate((0.5, 0.25))]
    >>> results = Results(trials, rows, curves=lambda i: {}, params=lambda i: None)
    >>> results.best("train_loss"), results.table()["optimizer.learning_rate"].tolist()
    (1, [0.1, 0.2])
    >>> print(results)
    2 trials: 2 ran all epochs; 0.2 s of training
    best train_loss 0.25 in row 1
    row  optimizer.learning_rate  train_loss  stopped  epochs  best_epoch  first_bad_step  seconds
      0                      0.1         0.5   epochs      20          19              -1      0.1
      1                      0.2        0.25   epochs      20          19              -1      0.1

    """

    def __init__(
        self,
        experiments: Sequence[Any],
        rows: Sequence[Row],
        curves: Callable[[int], dict[str, np.ndarray]],
        params: Callable[[int], Any],
    ) -> None:
        if len(experiments) != len(rows):
            raise_error(
                "there must be one row for each experiment",
                f"got {len(rows)} rows and {len(experiments)} experiments",
                "a row for a duplicate, too",
            )
        self.experiments, self.rows = list(experiments), list(rows)
        self._curves, self._params = curves, params
        self._columns: Table | None = None

    def __len__(self) -> int:
        return len(self.rows)

    # -- looking things up ----------------------------------------------------------------------------------

    def table(self) -> Table:
        """Return the columns: varying fields, metrics, and how each row ended; the arrays are read-only."""
        if self._columns is None:
            columns = varying_fields(self.experiments) if self.experiments else {}
            columns = {f"experiment.{path}" if path in ENDINGS else path: column for path, column in columns.items()}
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

    def telling_fields(self) -> list[str]:
        """List the fields without those that the name of a part above gives away, as 64-relu-10 gives its widths."""
        table, fields = self.table(), self.fields()

        def given_away(field: str) -> bool:
            steps = field.split(".")
            above = [".".join(steps[:k]) for k in range(1, len(steps))]
            for part in (table[name] for name in above if name in fields):
                pairs = set(zip(part.tolist(), map(str, table[field].tolist()), strict=True))
                if len(pairs) == len(set(part.tolist())):
                    return True
            return False

        return [field for field in fields if not given_away(field)]

    def eligible(self, metric: str) -> np.ndarray:
        """Tell of each row whether it has a value of the metric that can win: finite, of a run that did not diverge."""
        known(metric, self.metrics(), "a metric must be one that was measured")
        return np.isfinite(self.table()[metric]) & (self.table()["stopped"] != "diverged")

    def ranked(self, metric: str) -> np.ndarray:
        """Return the numbers of all eligible rows, best first; equal ones in the order given."""
        numbers = np.flatnonzero(self.eligible(metric))
        return numbers[np.argsort(losses(metric, self.table()[metric][numbers]), kind="stable")]

    def best(self, metric: str = "validation_loss") -> int:
        """Return the number of the row with the least value, or the largest for an accuracy.

        Raises
        ------
        ValueError
            When the metric was not measured, or is NaN in every row that did not diverge.

        """
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

    # -- statistics, figures and files ----------------------------------------------------------------------

    def summary(
        self,
        over: str | tuple[str, ...] = "seed",
        select: str = "validation_loss",
        report: str | tuple[str, ...] | None = None,
    ) -> "Summary":
        """Average over some fields, and group by all others that vary.

        Args:
            over: the fields of independent repetitions, such as ("seed", "data_seed"); a part stands for all below it.
            select: the metric by which groups are ranked and the best is chosen.
            report: the metrics that are reported for the chosen group; None is every test_* there is.

        Raises:
            ValueError: for a field or metric that is not there.

        """
        return summarise(self, (over,) if isinstance(over, str) else tuple(over), select, report)

    def plot_learning_curves(self, metric: str | None = None, by: str | None = None) -> Any:
        """Return a figure; see `funcnet.results.plots.learning_curves`."""
        return _plots().learning_curves(self, metric, by)

    def plot_metric_against(self, metric: str, path: str) -> Any:
        """Return a figure; see `funcnet.results.plots.metric_against`."""
        return _plots().metric_against(self, metric, path)

    def plot_heat_map(self, metric: str, x: str, y: str) -> Any:
        """Return a figure; see `funcnet.results.plots.heat_map`."""
        return _plots().heat_map(self, metric, x, y)

    def plot_parallel_coordinates(self, metric: str) -> Any:
        """Return a figure; see `funcnet.results.plots.parallel_coordinates`."""
        return _plots().parallel_coordinates(self, metric)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML file with figures and a table, which needs no network."""
        importlib.import_module("funcnet.results.report").write_report(self, path)

    def to_pandas(self) -> Any:
        """Return the table as a `pandas.DataFrame`."""
        return extra("pandas").DataFrame(self.table())

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a Parquet file."""
        pandas, _ = extra("pandas"), extra("pyarrow")
        pandas.DataFrame(self.table()).to_parquet(path, engine="pyarrow")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table as CSV, NaN as nothing; a text that a spreadsheet would compute is led by an apostrophe."""
        table = self.table()
        columns = [["" if v != v else harmless(v) for v in column.tolist()] for column in table.values()]

        def write(file: TextIO) -> None:
            writer = csv.writer(file)
            writer.writerow([harmless(name) for name in table])
            writer.writerows(zip(*columns, strict=True))

        write_whole(path, write)

    def __repr__(self) -> str:
        rows = np.arange(min(len(self), 8))
        lines = [self.headline(), *self._best_lines(), *text_table(*self._shown(rows), width=160)]
        if len(self) > len(rows):
            lines.append(f"… and {len(self) - len(rows)} more rows: results.table(), results.report(path)")
        return "\n".join(lines)

    def _shown(self, rows: np.ndarray) -> tuple[list[str], list[tuple[str, ...]]]:
        """Return the head and the cells of some rows, without fields that others give away."""
        shown = shown_columns(self._telling_table(), rows)
        return list(shown), list(zip(*shown.values(), strict=True))

    def _telling_table(self) -> Table:
        hidden = set(self.fields()) - set(self.telling_fields())
        return {name: column for name, column in self.table().items() if name not in hidden}

    def headline(self) -> str:
        """Say how many trials there are, how they ended, and how long they took."""
        ends = ", ".join(f"{count} {_ENDED.get(stopped, stopped)}" for stopped, count in self.counts().items())
        alone = {row.hash: row.seconds for row in self.rows}
        return f"{counted(len(self), 'trial')}: {ends or 'none'}; {sum(alone.values()):.3g} s of training"

    def _best_lines(self) -> list[str]:
        there = [name for name in ("validation_loss", "validation_accuracy", "train_loss") if name in self.metrics()]
        found = [(name, self.ranked(name)) for name in there]
        return [
            f"best {name} {self.rows[order[0]].metrics[name]:.4g} in row {order[0]}"
            for name, order in found
            if order.size
        ][:2]

    def _repr_html_(self) -> str:
        rows = np.arange(min(len(self), 20))
        head, cells = self._shown(rows)
        words = "<br>".join(html.escape(line) for line in [self.headline(), *self._best_lines()])
        more = f"<p>… and {len(self) - len(rows)} more rows</p>" if len(self) > len(rows) else ""
        return f"<p>{words}</p>{html_table(head, cells)}{more}"
