r"""The batches of a study: asked for, trained by one sweep, told back; and its pruner, asked between epochs."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcnet.errors import describe, near_misses, raise_error, shown, whole_number
from funcnet.extras import import_extra
from funcnet.metrics import lower_is_better
from funcnet.records import canonical, choice, record
from funcnet.results.table import Results
from funcnet.results.varying import judged_apart
from funcnet.sweeps.devices import checked_devices
from funcnet.sweeps.halving import Halving
from funcnet.sweeps.run import SweepInterrupted, sweep
from funcnet.training.describe import describe_experiment, hashes
from funcnet.training.experiment import Experiment
from funcnet.training.state import columns

Build = Callable[[Any], Experiment]
ENDS = ("stopped", "epochs", "best_epoch", "seconds")  # of a row, kept with its trial


def optimize(
    study: Any,
    build: Build,
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    *,
    n_trials: int,
    lanes: int = 16,
    metric: str | None = None,
    halving: Halving | None = None,
    pruner_at: Sequence[int] = (),
    timeout: float | None = None,
    keep: str = "metrics",
    devices: Any = None,
    **options: Any,
) -> None:
    r"""Run trials of a study in batches, side by side.

    Args:
        study: an `optuna.Study` with one direction, that of the metric.
        build: from a trial, by its `suggest_…` methods, to an experiment; `from_space` makes one from paths.
        train: features and targets.
        validation: a held-out set, measured after every epoch, or None.
        test: a set that decides nothing: its metrics stand in each trial's `user_attrs`.
        n_trials: how many.
        lanes: how many are asked for at once, and run side by side.
        metric: a column of the history; the trial's value is its value at the best epoch. None: the validation loss, or
            the train loss without a validation set.
        halving: when to compare the trials of a batch with one another, and let the best go on.
        pruner_at: the epochs at which the study's own pruner is asked instead, which compares with all earlier trials.
        timeout: seconds after which no further batch begins.
        keep: as in `fn.sweep`.
        devices: as in `fn.sweep`.
        options: further arguments of `fn.sweep`, such as `progress` and `store`.

    Raises:
        ValueError, TypeError: before a trial runs: for a study of another direction, a metric that is not measured.
        Exception: what `build` or the sweep raises; the trials of its batch are told as FAIL.
        SweepInterrupted: after Ctrl-C; trials that had ended are told, the others are FAIL.

    >>> import optuna, numpy as np, funcnet as fn, funcnet.optuna
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> def build(trial):
    ...     return fn.replace(line, {"optimizer.learning_rate": trial.suggest_float("rate", 0.01, 1.0, log=True)})
    >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    >>> funcnet.optuna.optimize(study, build, (x, 3 * x + 1), n_trials=8, lanes=4, progress=False)
    >>> len(study.trials), study.best_value < 0.01
    (8, True)

    """
    optuna = import_extra("optuna", "optuna")
    n_trials, lanes = whole_number(n_trials, "n_trials", 1), whole_number(lanes, "lanes", 1)
    metric = metric or ("train_loss" if validation is None else "validation_loss")
    _check_study(study, metric, optuna)
    epochs = sorted({whole_number(epoch, "pruner_at", 1) for epoch in pruner_at})
    if epochs and halving is not None:
        raise_error("one of halving and pruner_at must decide", "got both", "halving=None")
    width = -(-min(lanes, n_trials) // len(checked_devices(devices)))
    given = {"keep": keep, "devices": devices, "lanes": width, **options}
    stopped, first = False, None
    end = time.monotonic() + (np.inf if timeout is None else timeout)
    for start in range(0, n_trials, lanes):
        if stopped or time.monotonic() > end:
            break
        batch = _Batch(study, metric, optuna.trial.TrialState)
        try:
            experiments = [build(batch.ask()) for _ in range(min(lanes, n_trials - start))]
            _check_experiments(experiments, metric, validation is not None, first)
            first = first or experiments[0]
            rungs = _Rungs(metric, pruner=_Pruner(batch, experiments, epochs)) if epochs else halving
            batch.tell(sweep(experiments, train, validation, test, halving=rungs, **given))
        except SweepInterrupted as interrupted:
            batch.tell(interrupted.results)
            raise
        finally:
            batch.give_up()
        stopped = batch.stopped


class _Batch:
    """The trials of one batch that are still running, and what is told of them."""

    def __init__(self, study: Any, metric: str, states: Any) -> None:
        self.study, self.metric, self.states = study, metric, states
        self.trials: list[Any] = []
        self.stopped = False
        self._told: set[int] = set()
        self._reported: dict[int, set[int]] = {}

    def ask(self) -> Any:
        """Return a new trial."""
        self.trials.append(self.study.ask())
        return self.trials[-1]

    def report(self, trial: Any, value: float, epoch: int) -> None:
        """Store a trial's metric after so many epochs, once."""
        known = self._reported.setdefault(trial.number, set())
        if epoch not in known:
            known.add(epoch)
            trial.report(float(value), epoch)

    def tell(self, results: Results) -> None:
        """Tell how each trial ended, but for those that have not run."""
        for number, (trial, row) in enumerate(zip(self.trials, results.rows, strict=True)):
            if not row.metrics and row.stopped != "diverged":
                continue  # waiting
            curve = results.curves(number).get(self.metric, ()) if row.epochs else ()
            for epoch, value in enumerate(curve, 1):
                self.report(trial, value, epoch)
            for name in ENDS:
                trial.set_user_attr(name, row._asdict()[name])
            for name, value in row.metrics.items():
                trial.set_user_attr(name, float(value))
            value = float(row.metrics.get(self.metric, np.nan))
            if row.stopped == "diverged" or not np.isfinite(value):
                self._end(trial, state=self.states.FAIL)
            elif row.stopped == "halved":
                self._end(trial, state=self.states.PRUNED)
            else:
                self._end(trial, values=value)

    def give_up(self) -> None:
        """Tell the trials that nothing was told of as failed."""
        for trial in self.trials:
            if trial.number not in self._told:
                self._end(trial, state=self.states.FAIL)

    def _end(self, trial: Any, **words: Any) -> None:
        self._told.add(trial.number)
        try:
            self.study.tell(trial, **words)
        except RuntimeError as error:
            # A sampler with nothing left to suggest stops the study, which Optuna has for its own loop alone; the trial
            # is told by then.
            if "Study.stop" not in str(error):
                raise
            self.stopped = True


class _Pruner:
    """The study's pruner, asked about all trials of a batch at some epochs."""

    def __init__(self, batch: _Batch, experiments: Sequence[Experiment], epochs: Sequence[int]) -> None:
        self.batch, self.epochs, self.ahead = batch, list(epochs), list(epochs)
        self.trials: dict[str, list[Any]] = {}
        for experiment, trial in zip(experiments, batch.trials, strict=True):
            self.trials.setdefault(hashes(describe_experiment(experiment))[0], []).append(trial)

    def goes_on(self, key: str, value: Any, epoch: int) -> bool:
        """Report a value, and tell whether the trial goes on; of trials that are alike, whether one of them does."""
        for trial in self.trials[key]:
            self.batch.report(trial, value, epoch)
        return any(not trial.should_prune() for trial in self.trials[key])


@record
class _Rungs(Halving):
    """Epochs at which trials end, not because others of their batch are better, but because the pruner says so."""

    pruner: Any = choice(default=None)

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs at which the pruner is asked."""
        self.pruner.ahead = [epoch for epoch in self.pruner.epochs if epoch < epochs]
        return list(self.pruner.ahead)

    def survivors(self, keys: Sequence[str], values: Sequence[Any]) -> set[str]:
        """Return the keys that go on from the next of the rungs."""
        epoch = self.pruner.ahead.pop(0)
        return {key for key, value in zip(keys, values, strict=True) if self.pruner.goes_on(key, value, epoch)}


def _check_study(study: Any, metric: str, optuna: Any) -> None:
    if not isinstance(study, optuna.Study):
        raise_error("study must be an optuna.Study", f"got {describe(study)}", "optuna.create_study()", TypeError)
    if len(study.directions) != 1:
        must, arrived = "a study must have one direction", f"it has {len(study.directions)}"
        raise_error(must, arrived, "optuna.create_study(), and the other metrics in user_attrs")
    wanted = "minimize" if lower_is_better(metric) else "maximize"
    if (direction := study.direction.name.lower()) != wanted:
        must = (
            f"{metric} is best where it is {'least' if wanted == 'minimize' else 'largest'}: a study must {wanted} it"
        )
        raise_error(must, f"this one has the direction {direction}", f'optuna.create_study(direction="{wanted}")')


def _check_experiments(experiments: Any, metric: str, validated: bool, first: Experiment | None) -> None:
    """Require experiments whose values of the metric can be compared, those of earlier batches included."""
    for experiment in experiments:
        if not isinstance(experiment, Experiment):
            arrived = f"it returned {describe(experiment)}"
            raise_error("build must return an experiment", arrived, "fn.replace(base, {…})", TypeError)
        known = columns(canonical(experiment), validated)
        if metric not in known:
            raise_error("a study's metric must be measured", f"got {shown(metric)}", near_misses(metric, known))
    if part := judged_apart(metric, [first or experiments[0], *experiments]):
        must, arrived = f"{metric} must mean the same in all trials", f"their experiments differ in {part}"
        raise_error(must, arrived, 'metric="validation_accuracy", or another that is not the loss')
