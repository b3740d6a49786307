r"""From an estimator's parameters to an experiment: numbers become leaves, so that candidates share their programs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from funcnet.activations import REGISTRY as ACTIVATIONS
from funcnet.activations import Activation
from funcnet.errors import describe, near_misses, raise_error, shown
from funcnet.layers.activate import as_layer
from funcnet.layers.networks import mlp
from funcnet.optimizers import SGD, Adadelta, Adagrad, Adam, AdaMax, AdamW, AMSGrad, Lion, NAdam, RMSprop
from funcnet.records import is_record, paths, replace
from funcnet.regularizers.l2 import L2
from funcnet.sklearn.jobs import random_seed
from funcnet.training.experiment import Experiment, stopping_rules
from funcnet.training.stopping import EarlyStopping

OPTIMIZERS = {
    kind.__name__.lower(): kind for kind in (SGD, Adadelta, Adagrad, Adam, AdaMax, AdamW, AMSGrad, Lion, NAdam, RMSprop)
}
BATCH = 200  # samples an update, as scikit-learn's networks have it
RATE = 1e-3


class Settings(NamedTuple):
    """The parameters of an estimator that decide its experiment, as the user gave them."""

    hidden: Any
    activation: Any
    optimizer: Any
    learning_rate: Any
    epochs: Any
    batch_size: Any
    penalty: Any
    dropout: Any
    patience: Any
    loss: Any
    network: Any
    experiment: Any


def activation_of(activation: Any) -> Any:
    """Return an activation by the name of its file, or as it is."""
    if not isinstance(activation, str):
        return activation
    kinds = {module.__name__.rpartition(".")[2]: module for module in ACTIVATIONS}
    if activation not in kinds:
        must, attempt = "activation must be the name of one, or a record", near_misses(activation, kinds)
        raise_error(must, f"got {shown(activation)}", f"one of {attempt}")
    found = (value for value in vars(kinds[activation]).values() if _is_own(value, kinds[activation].__name__))
    return next(found)()


def _is_own(value: Any, home: str) -> bool:
    return isinstance(value, type) and issubclass(value, Activation) and value.__module__ == home


def optimizer_of(optimizer: Any, rate: Any) -> Any:
    """Return an optimizer by its name, or as it is, at a learning rate if there is one."""
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            must, attempt = "optimizer must be the name of one, or a record", near_misses(optimizer, OPTIMIZERS)
            raise_error(must, f"got {shown(optimizer)}", f"one of {attempt}")
        return OPTIMIZERS[optimizer](RATE if rate is None else rate)
    if rate is None:
        return optimizer
    if not is_record(optimizer) or "learning_rate" not in paths(optimizer):
        must, attempt = "learning_rate needs an optimizer by name, or one with that field", "learning_rate=None"
        raise_error(must, f"got {describe(optimizer)}", attempt)
    return replace(optimizer, {"learning_rate": rate})


def experiment_of(
    given: Settings, outputs: int, loss: Any, samples: int, held_out: bool, seed: int | None
) -> Experiment:
    """Return the experiment that an estimator's parameters say.

    Args:
        given: the parameters.
        outputs: how many outputs the network has, unless one is given.
        loss: what to minimise, unless one is given.
        samples: how many there are to train on.
        held_out: whether a part is held out, to stop early by.
        seed: of parameters, dropout and order; None leaves those of an experiment that is given.

    """
    if given.experiment is not None:
        return _as_given(given, samples, held_out, seed)
    network = given.network
    if network is None:
        hidden = (given.hidden,) if isinstance(given.hidden, int | np.integer) else tuple(given.hidden)
        rate = None if not is_record(given.dropout) and given.dropout == 0 else given.dropout
        network = mlp(*hidden, outputs, activation=activation_of(given.activation), dropout=rate)
    size = min(BATCH, samples) if given.batch_size == "auto" else given.batch_size
    return Experiment(
        network=network,
        loss=loss if given.loss is None else given.loss,
        optimizer=optimizer_of(given.optimizer, given.learning_rate),
        # A penalty of 0 is one too: its number is a leaf, and all penalties share a program.
        regularizer=given.penalty if given.penalty is None or is_record(given.penalty) else L2(given.penalty),
        stopping=EarlyStopping(given.patience) if held_out else None,
        batch_size=None if size is None else min(size, samples),
        epochs=given.epochs,
        seed=seed or 0,
        data_seed=seed or 0,
    )


def _as_given(given: Settings, samples: int, held_out: bool, seed: int | None) -> Experiment:
    """Return the experiment that was given, its seed and rule for stopping filled in."""
    experiment = given.experiment
    if not isinstance(experiment, Experiment):
        raise_error("experiment must be an Experiment", f"got {describe(experiment)}", "fn.Experiment(…)", TypeError)
    changes: dict[str, Any] = {} if seed is None else {"seed": seed, "data_seed": seed}
    if held_out and not stopping_rules(experiment):
        changes["stopping"] = EarlyStopping(given.patience)
    if experiment.batch_size is not None and experiment.batch_size > samples:
        changes["batch_size"] = None
    return replace(experiment, changes)


def needs_validation(experiment: Any) -> bool:
    """Tell whether an experiment that was given reads a column that needs a part held out."""
    if not isinstance(experiment, Experiment):
        return False
    watched = [name for rule in stopping_rules(experiment) for name in rule.watches]
    watched += [*experiment.optimizer.watches, experiment.best_by or ""]
    return any(name.startswith("validation_") for name in watched)


def seed_of(random_state: Any, experiment: Any) -> int | None:
    """Return the seed of a fit: a whole number as it is; None for those of an experiment that was given."""
    if random_state is None:
        return random_seed() if experiment is None else None
    if isinstance(random_state, int | np.integer) and 0 <= random_state < 2**31:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def class_weights(class_weight: Any, classes: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weight of each class; balanced ones give all classes one weight in all, sample weights counted."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        mass = np.bincount(labels, weight, len(classes))
        return np.divide(weight.sum(), len(classes) * mass, out=np.ones(len(classes)), where=mass > 0)
    if not isinstance(class_weight, Mapping):
        attempt = '"balanced" or {label: weight}'
        raise_error("class_weight must be a dictionary", f"got {describe(class_weight)}", attempt, TypeError)
    names, found = classes.tolist(), np.ones(len(classes))
    for label, number in class_weight.items():
        if label not in names:
            must, attempt = "class_weight must have labels that occur in y", f"one of {near_misses(label, names)}"
            raise_error(must, f"got {shown(label)}", attempt)
        found[names.index(label)] = number
    return found


def outputs_of(experiment: Experiment, features: int) -> tuple[int, ...]:
    """Return the shape of a prediction for one sample."""
    shape = as_layer(experiment.network).out_shape((features,))
    return shape if isinstance(shape, tuple) else ()
