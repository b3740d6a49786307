r"""What a sweep returns: a row for each experiment, in the order given, as columns, summaries, files and a report.

A summary chooses on one metric and reports another: the best of many means is too good to be true on the metric that
chose it, so the test set's is given apart. Its intervals are Student's, mean ± t s/√n over n independent runs.

Source     Student's distribution for whole degrees of freedom: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
"""

import html
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.extras import import_extra
from funcnet.results.cells import cells, write_csv
from funcnet.results.compare import PairedDifference, compared
from funcnet.results.plots import heat_map, learning_curves, metric_against, parallel_coordinates
from funcnet.results.report import write_report
from funcnet.results.rows import LEADING
from funcnet.results.summary import Summary, summarise
from funcnet.results.trials import Trials
from funcnet.text import html_table, text_table


class Results(Trials):
    r"""The rows of a sweep.

    Args:
        experiments: in the order given to the sweep.
        rows: one for each.
        curves: a function from a row number to arrays by epoch.
        params: a function from a row number to the parameters of the best epoch.
        labels: further columns of what the experiments do not say, such as the fold that a row was trained on.
        origin: lines of text by name about what the sweep was: data, devices, versions, date, command.

    >>> import funcnet as fn
    >>> from funcnet.results.rows import Row
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1))
    >>> trials = [fn.replace(line, {"optimizer.learning_rate": rate}) for rate in (0.1, 0.2)]
    >>> rows = [Row(str(i), "epochs", 20, 19, None, 0.1, {"train_loss": loss}) for i, loss in enumerate((0.5, 0.25))]
    >>> results = fn.Results(trials, rows, curves=lambda i: {}, params=lambda i: None)
    >>> results.best("train_loss"), results.table()["optimizer.learning_rate"].tolist()
    (1, [0.1, 0.2])
    >>> print(results)
    2 trials: 2 ran all epochs; 0.2 s of training
    best train_loss 0.25 in row 1
    row  optimizer.learning_rate  train_loss  stopped  epochs  best_epoch  first_bad_step  seconds
      0                      0.1         0.5   epochs      20          19              -1      0.1
      1                      0.2        0.25   epochs      20          19              -1      0.1

    """

    @classmethod
    def joined(cls, parts: Mapping[Any, "Results"], name: str = "fold") -> "Results":
        """Join the results of several sweeps, such as one for each fold of the data; a column tells them apart.

        Rows of two parts count as independent runs, though their experiments be equal: `summary(over=("seed", "fold"))`
        averages over both.

        Args:
            parts: results by label.
            name: of the column of labels.

        Raises:
            TypeError, ValueError: unless there are parts, all of them results, without a column of that name.

        >>> import funcnet as fn, numpy as np
        >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
        >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
        >>> def fold(k):
        ...     held_out = np.arange(20) % 2 == k
        ...     return fn.sweep([line], (x[~held_out], x[~held_out]), (x[held_out], x[held_out]), progress=False)
        >>> fn.Results.joined({k: fold(k) for k in range(2)}).table()["fold"].tolist()
        [0, 1]

        """
        if not isinstance(parts, Mapping) or not parts:
            raise_error("parts must be results by label", f"got {describe(parts)}", "{0: first, 1: second}", TypeError)
        for label, part in parts.items():
            if not isinstance(part, Results):
                raise_error("every part must be results", f"{label!r} is {describe(part)}", "fn.sweep(…)", TypeError)
            if name in part.table():
                raise_error(f"{name} must be the name of no column", f"part {label!r} has one", 'name="part"')
        places = [(label, part, i) for label, part in parts.items() for i in range(len(part))]
        source = _Joined([(part, i) for _, part, i in places])
        rows = [part.rows[i]._replace(hash=f"{label}: {part.rows[i].hash}") for label, part, i in places]
        labels: dict[str, list[Any]] = {name: [label for label, _, _ in places]}
        for older in dict.fromkeys(older for part in parts.values() for older in part.labels):
            labels[older] = [part.labels[older][i] if older in part.labels else "" for _, part, i in places]
        origin = {}
        for line in dict.fromkeys(line for part in parts.values() for line in part.origin):
            told = list(dict.fromkeys(part.origin[line] for part in parts.values() if line in part.origin))
            origin[line] = "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")
        return cls([part.experiments[i] for _, part, i in places], rows, source.curves, source.params, labels, origin)

    def summary(
        self,
        over: str | tuple[str, ...] = "seed",
        select: str = "validation_loss",
        report: str | tuple[str, ...] | None = None,
    ) -> Summary:
        """Average over some fields, and group by all others that vary.

        Args:
            over: the fields of independent repetitions, such as ("seed", "data_seed"); a part stands for all below it.
            select: the metric by which groups are ranked and the best is chosen.
            report: the metrics that are reported for the chosen group; None is every test_* there is.

        Raises:
            ValueError: for a field or metric that is not there, or a metric that means something else in each trial,
                as `best` does.

        """
        return summarise(self, (over,) if isinstance(over, str) else tuple(over), select, report)

    def compare(
        self,
        a: Mapping[str, Any],
        b: Mapping[str, Any],
        metric: str = "validation_loss",
        over: str | tuple[str, ...] = "seed",
    ) -> PairedDifference:
        """Compare two settings by pairs of runs, such as those of one seed: the mean of a − b and its 95 % interval.

        What is compared was better chosen before it was looked at: of two settings picked out of many for their means,
        the difference flatters the first; compare those by a metric that had no part in the choice.

        Args:
            a: a setting, values by column: `summary.best`, `summary.setting(1)`, or {"optimizer": "Adam"}; together
                with `over` it must leave nothing open that varies.
            b: another one.
            metric: a column that was measured.
            over: the fields that pair the runs.

        Raises:
            ValueError, TypeError: for a column or value that is not there, a setting whose rows differ in more than
                `over`, fewer than two pairs, and pairs of which a run is missing or failed: to leave them out would
                flatter the setting that failed.

        >>> import funcnet as fn
        >>> from funcnet.results.rows import Row
        >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1))
        >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.1, 0.2], "seed": [0, 1]})
        >>> losses = (0.5, 0.75, 0.25, 0.625)
        >>> rows = [Row(str(i), "epochs", 20, 19, None, 0.1, {"train_loss": loss}) for i, loss in enumerate(losses)]
        >>> results = fn.Results(trials, rows, curves=lambda i: {}, params=lambda i: None)
        >>> print(results.compare({"optimizer.learning_rate": 0.1}, {"optimizer.learning_rate": 0.2}, "train_loss"))
        train_loss, 2 pairs by seed
        a: optimizer.learning_rate=0.1; mean 0.625
        b: optimizer.learning_rate=0.2; mean 0.4375
        a − b: 0.1875 ± 0.79 (95 % half width); no difference shown, 0 is in the interval

        """
        return compared(self, a, b, metric, (over,) if isinstance(over, str) else tuple(over))

    # -- figures and files ----------------------------------------------------------------------------------

    def plot_learning_curves(self, metric: str | None = None, by: str | None = None) -> Any:
        """Return a figure; see `funcnet.results.plots.learning_curves`."""
        return learning_curves(self, metric, by)

    def plot_metric_against(self, metric: str, path: str, by: str | None = None) -> Any:
        """Return a figure; see `funcnet.results.plots.metric_against`."""
        return metric_against(self, metric, path, by)

    def plot_heat_map(self, metric: str, x: str, y: str) -> Any:
        """Return a figure; see `funcnet.results.plots.heat_map`."""
        return heat_map(self, metric, x, y)

    def plot_parallel_coordinates(self, metric: str) -> Any:
        """Return a figure; see `funcnet.results.plots.parallel_coordinates`."""
        return parallel_coordinates(self, metric)

    def report(
        self,
        path: str | os.PathLike[str],
        names: Mapping[str, str] | None = None,
        *,
        select: str | None = None,
        over: str | tuple[str, ...] | None = None,
        title: str = "Sweep",
    ) -> None:
        """Write one HTML file for any browser, which needs no network.

        First what was chosen and what the sweep is; the settings, averaged over what repeats them; figures; all rows,
        which sort and filter. A click on a setting or a row shows its learning curves.

        Args:
            path: of the file.
            names: names of columns, as `named` takes them.
            select: the metric by which settings are ranked and chosen; None is validation loss, else validation
                accuracy, else training loss, whichever is there first.
            over: the fields of repetitions; None is the seeds and folds that vary.
            title: of the page.

        Raises:
            ValueError, TypeError: as `named` and `summary` do.

        """
        write_report(self if names is None else self.named(names), path, select=select, over=over, title=title)

    def to_pandas(self) -> Any:
        """Return the table as a `pandas.DataFrame`."""
        return import_extra("pandas").DataFrame(self.table())

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a Parquet file."""
        pandas, _ = import_extra("pandas"), import_extra("pyarrow")
        pandas.DataFrame(self.table()).to_parquet(path, engine="pyarrow")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table as CSV, NaN as nothing; a text that a spreadsheet would compute is led by an apostrophe."""
        write_csv(self.table(), path)

    # -- as text --------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        rows = np.arange(min(len(self), 8))
        lines = [self.headline(), *self._best_lines(), *text_table(*cells(self.telling_table(), rows), width=160)]
        if len(self) > len(rows):
            lines.append(f"… and {len(self) - len(rows)} more rows: results.table(), results.report(path)")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = np.arange(min(len(self), 20))
        words = "<br>".join(html.escape(line) for line in [self.headline(), *self._best_lines()])
        more = f"<p>… and {len(self) - len(rows)} more rows</p>" if len(self) > len(rows) else ""
        return f"<p>{words}</p>{html_table(*cells(self.telling_table(), rows))}{more}"

    def _best_lines(self) -> list[str]:
        found = list(self.leaders(LEADING).items())[:2]
        return [f"best {name} {self.rows[row].metrics[name]:.4g} in row {row}" for name, row in found]


class _Joined:
    """Leads from a row of joined results to its part's; a class, so that it can be pickled."""

    def __init__(self, places: list[tuple[Results, int]]) -> None:
        self._places = places

    def curves(self, number: int) -> dict[str, np.ndarray]:
        part, own = self._places[number]
        return part.curves(own)

    def params(self, number: int) -> Any:
        part, own = self._places[number]
        return part.params(own)
