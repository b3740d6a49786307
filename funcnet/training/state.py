r"""What a run carries and what it leaves: the data, the state between updates, and the columns of the history."""

from typing import Any, NamedTuple

import jax
import numpy as np

from funcnet.training.experiment import Experiment, stopping_rules, watches_gradient

NEVER = np.iinfo(np.int32).max
WINDOW = 64  # epochs of history that a state holds, hence the longest segment
DIVERGED = 1  # the code of that ending; 0 is a run that goes on, or has used up its epochs


class Data(NamedTuple):
    """What a run reads: arrays, or trees of arrays, whose leading axis is the sample."""

    x: Any
    y: Any
    validation: tuple[Any, Any, Any] | None = None  # x, y, weight
    weight: Any = None  # one a sample, or a sample and step


class Sums(NamedTuple):
    """What an epoch gathers over its batches, set to 0 when it opens."""

    loss: jax.Array
    penalty: jax.Array
    weight: jax.Array  # by which means divide
    gradient: Any  # a tree like the parameters, or () where no rule watches it
    metrics: tuple[Any, ...]  # the sums of each metric


class Moving(NamedTuple):
    """What one update changes."""

    params: Any
    slots: Any  # of the optimizer
    step: jax.Array  # int32: updates made so far
    first_bad_step: jax.Array  # int32: the first update whose loss was not finite, NEVER without one
    sums: Sums


class State(NamedTuple):
    """Everything that a run carries between updates; a pytree of arrays, which can be saved and mapped."""

    params: Any
    slots: Any
    epoch: jax.Array  # int32: epochs finished
    batch: jax.Array  # int32: batches of the epoch that is open
    step: jax.Array
    best_params: Any
    best_value: jax.Array  # turned so that less is better
    best_epoch: jax.Array  # int32, −1 before there is one
    stopping: tuple[Any, ...]  # what each rule remembers
    reason: jax.Array  # int32: the position in `endings(experiment)`
    first_bad_step: jax.Array
    sums: Sums
    history: dict[str, jax.Array]  # by column; epoch e at place e % WINDOW

    @property
    def moving(self) -> Moving:
        """Return what an update changes."""
        return Moving(self.params, self.slots, self.step, self.first_bad_step, self.sums)

    def moved(self, moving: Moving) -> "State":
        """Return the state after updates."""
        return self._replace(**moving._asdict())


def columns(experiment: Experiment, validated: bool) -> tuple[str, ...]:
    """Return the names of the history's columns."""
    names = ["train_loss"]
    rules = stopping_rules(experiment)
    if experiment.regularizer is not None or any("objective" in rule.watches for rule in rules):
        names.append("objective")
    if watches_gradient(rules):
        names.append("gradient_norm")
    names += [f"train_{metric.name}" for metric in experiment.metrics]
    if validated:
        names.append("validation_loss")
        names += dict.fromkeys(f"validation_{m.name}" for m in (*experiment.loss.metrics(), *experiment.metrics))
    return tuple(names)


def monitored(experiment: Experiment, validated: bool) -> str:
    """Return the column by which the best epoch is chosen."""
    if experiment.best_by is not None:
        return experiment.best_by
    said = [rule.best_by for rule in stopping_rules(experiment) if rule.best_by is not None]
    return said[0] if said else "validation_loss" if validated else "train_loss"


def gather_history(history: dict[str, np.ndarray], window: Any, start: int, stop: int) -> dict[str, np.ndarray]:
    """Return a history with the epochs start … stop − 1 of a state's window behind it."""
    places = np.arange(start, stop) % WINDOW
    return {
        name: np.concatenate([history.get(name, np.zeros(0, column.dtype)), np.asarray(column)[places]])
        for name, column in window.items()
    }
