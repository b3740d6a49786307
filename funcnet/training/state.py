r"""What a run works on, what it carries from epoch to epoch, and what it comes to.

The history's columns, the metric that is monitored and the shape of the state all follow from the experiment.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnet.training.experiment import Experiment, stopping_rules
from funcnet.training.stopping import watches_gradient

NEVER = np.iinfo(np.int32).max


class Data(NamedTuple):
    """What an experiment trains on."""

    x: jax.Array  # (samples, features)
    y: jax.Array  # (samples, …)
    validation: tuple[jax.Array, jax.Array] | None = None


class State(NamedTuple):
    """Everything that a run carries from epoch to epoch."""

    params: Any
    slots: Any  # the optimizer's state
    epoch: jax.Array  # int32 (): epochs finished
    step: jax.Array  # int32 (): updates made
    best_params: Any
    best_value: jax.Array  # (): the monitored metric, to be minimised
    best_epoch: jax.Array  # int32 (), −1 before the first
    stopping: tuple[Any, ...]  # the state of each stopping rule
    reason: jax.Array  # int32 (): an index of REASONS
    first_bad_step: jax.Array  # int32 (): NEVER unless diverged
    history: dict[str, jax.Array]  # (epochs,) each, NaN where not reached


@dataclasses.dataclass(frozen=True)
class Run:
    """The outcome of a run, on the host.

    params          the parameters after the last epoch; if diverged, the last ones whose loss was finite (the initial
                    ones, if none was)
    best_params     the parameters after the best epoch by the monitored metric: that of the early stopping, else
                    validation loss, else train loss
    history         arrays by epoch: train_loss (mean over the epoch's batches as they were trained, dropout included),
                    objective (with the penalty, if any), validation_loss, validation_accuracy; gradient_norm (of the
                    epoch's mean gradient), if a stopping rule asks for it
    best_epoch      the index of the best epoch in the history, −1 if there is none
    stopped         why the run ended: epochs, patience, tolerance or diverged
    stopped_epoch   the index of the last epoch in the history
    first_bad_step  the update (from 0) that diverged, or None
    state           the state from which `advance` goes on
    """

    params: Any
    best_params: Any
    history: dict[str, np.ndarray]
    best_epoch: int
    stopped: str
    stopped_epoch: int
    first_bad_step: int | None
    state: State


def columns(experiment: Experiment, validated: bool) -> tuple[str, ...]:
    """Return the names of the history's columns."""
    names = ["train_loss"]
    if experiment.regularizer is not None:
        names.append("objective")
    if watches_gradient(stopping_rules(experiment)):
        names.append("gradient_norm")
    if validated:
        names += ["validation_loss", *(f"validation_{metric.name}" for metric in experiment.loss.metrics())]
    return tuple(names)


def monitored(experiment: Experiment, validated: bool) -> str:
    """Return the metric by which the best epoch is chosen."""
    for rule in stopping_rules(experiment):
        if hasattr(rule, "metric"):
            return rule.metric
    return "validation_loss" if validated else "train_loss"
