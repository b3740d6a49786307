r"""Spaces of paths as suggestions of a study's trials."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from funcnet.errors import abridged, describe, raise_error
from funcnet.extras import import_extra
from funcnet.results.varying import varying_fields
from funcnet.sweeps.distributions import Choice, Integers, LogUniform, Uniform, listed
from funcnet.sweeps.space import grid
from funcnet.training.experiment import Experiment

PLAIN = (type(None), bool, int, float, str)  # what Optuna stores as a choice


def from_space(experiment: Experiment, space: Mapping[Any, Any]) -> Callable[[Any], Experiment]:
    r"""Return a function that builds a trial's experiment: what all have in common, with suggestions at some paths.

    `build(study.best_trial)` gives the best experiment, to be trained once more.

    Args:
        experiment: what all trials have in common.
        space: dotted paths as for `fn.sample`, each with `Uniform`, `LogUniform`, `Integers`, `Choice` without weights,
            a list, or a distribution of Optuna. Choices that Optuna cannot store, such as networks, have names there.

    Raises:
        ValueError, TypeError: when a path leads nowhere, or a value does not fit.

    >>> import optuna, funcnet as fn, funcnet.optuna
    >>> base = fn.Experiment(fn.mlp(8, 2), fn.SoftmaxCrossEntropy(), fn.Adam(0.01))
    >>> build = funcnet.optuna.from_space(base, {"optimizer.learning_rate": fn.LogUniform(1e-3, 0.1)})
    >>> build(optuna.trial.FixedTrial({"optimizer.learning_rate": 0.05})).optimizer.learning_rate
    0.05

    """
    optuna = import_extra("optuna", "optuna")
    if not isinstance(space, Mapping):
        must, attempt = "a space must be a dict from paths to values", '{"seed": range(4)}'
        raise_error(must, f"got {describe(space)}", attempt, TypeError)
    suggesters = {key: _suggester(experiment, key, own, optuna.distributions) for key, own in space.items()}
    grid(experiment, {key: [example] for key, (example, _) in suggesters.items()})

    def build(trial: Any) -> Experiment:
        return grid(experiment, {key: [suggest(trial)] for key, (_, suggest) in suggesters.items()})[0]

    return build


def _suggester(experiment: Experiment, key: Any, given: Any, kinds: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return a value of a path, and the function that has a trial suggest one."""
    name = ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
    if isinstance(given, (Uniform, LogUniform)):
        log = isinstance(given, LogUniform)
        return given.low, lambda trial: trial.suggest_float(name, given.low, given.high, log=log)
    if isinstance(given, Integers):
        return given.low, lambda trial: trial.suggest_int(name, given.low, given.high - 1)
    if isinstance(given, kinds.FloatDistribution):
        return given.low, lambda trial: trial.suggest_float(name, given.low, given.high, step=given.step, log=given.log)
    if isinstance(given, kinds.IntDistribution):
        return given.low, lambda trial: trial.suggest_int(name, given.low, given.high, step=given.step, log=given.log)
    if isinstance(given, Choice) and given.weights is not None:
        attempt = "fn.Choice without weights, from which the sampler learns"
        raise_error("choices of a study have no weights", f"{name} has some", attempt)
    if isinstance(given, (Choice, kinds.CategoricalDistribution)):
        values = list(given.values if isinstance(given, Choice) else given.choices)
    else:
        values = listed(given, f"the values of {name}")
    names = _names(experiment, key, values)
    return values[0], lambda trial: values[names.index(trial.suggest_categorical(name, names))]


def _names(experiment: Experiment, key: Any, values: Sequence[Any]) -> list[Any]:
    """Return what Optuna stores for each choice: itself, or the name that tables of results give it."""
    if all(isinstance(value, PLAIN) for value in values) and len(set(values)) == len(values):
        return list(values)
    table = varying_fields(grid(experiment, {key: values})) if isinstance(key, str) else {}
    whole = table.pop(key, None)
    if whole is not None and len(set(whole.tolist())) == len(values):
        return list(map(str, whole.tolist()))
    apart = {path.removeprefix(f"{key}."): column for path, column in table.items()}
    names = [", ".join(f"{path}={column[i]}" for path, column in apart.items()) for i in range(len(values))]
    names = names if apart else [abridged(str(value)) for value in values]
    return names if len(set(names)) == len(names) else [f"{i}: {name}" for i, name in enumerate(names)]
