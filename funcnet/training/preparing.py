r"""What a run requires of an experiment and its data, before anything compiles."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.arrays import check_set
from funcnet.errors import describe, raise_error
from funcnet.keys import from_seed
from funcnet.layers import Chain, Conv, ConvTranspose, Dense, Tied
from funcnet.layers.activate import as_layer
from funcnet.layers.base import is_shape, samples_of, shapes_of
from funcnet.records import canonical
from funcnet.targets import blank
from funcnet.training import updates
from funcnet.training.experiment import Experiment, stopping_rules
from funcnet.training.state import Data, columns, monitored


def prepare(
    experiment: Any, train: Any, validation: Any = None, name: str = "train", samples: int | None = None
) -> tuple[Experiment, Data]:
    """Check experiment and data against each other, before anything compiles, and return both as arrays.

    Raises:
        ValueError, TypeError: when something does not fit; the message says what must hold, what arrived and what to
            try.

    """
    if not isinstance(experiment, Experiment):
        raise_error("experiment must be an Experiment", f"got {describe(experiment)}", "fn.Experiment(…)", TypeError)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((experiment, train, validation))):
        attempt = "fn.begin and fn.advance, which are pure"
        raise_error("fn.train runs programs on the host", "it was called inside jit, vmap or grad", attempt, TypeError)
    x, y, weight = check_set(train, name)
    samples = samples or jax.tree.leaves(x)[0].shape[0]
    if experiment.batch_size is not None and experiment.batch_size > samples:
        warnings.warn(f"batch_size {experiment.batch_size} is more than {samples} samples: all of them", stacklevel=4)
    _check_fit(experiment, x, y, weight, name)
    held = None
    if validation is not None:
        held = check_set(validation, "validation")
        _check_like(x, held[0])
        _check_fit(experiment, *held, "validation")
    known = columns(experiment, held is not None)
    for owner, column in _watched(experiment, held is not None):
        if column not in (*known, "objective"):
            missing = held is None and column.startswith("validation_")
            attempt = ("validation=(x, y), or " if missing else "") + f"one of {', '.join(known)}"
            raise_error(f"{owner} watches {column}, which must be measured", "this run has no such column", attempt)
    experiment.optimizer.check(lambda: _shapes_of_params(experiment, x))
    experiment, data = canonical(experiment), jax.tree.map(jnp.asarray, Data(x, y, held, weight))
    return experiment, data


def _shapes_of_params(experiment: Experiment, x: Any) -> Any:
    """Return the shapes and dtypes of the parameters that the network would draw for such features."""
    shapes, real = shapes_of(updates.features(experiment, x)), updates.real_dtype(experiment)
    return jax.eval_shape(lambda key: as_layer(experiment.network).init(key, shapes, real), from_seed(0))


def _watched(experiment: Experiment, validated: bool) -> list[tuple[str, str]]:
    """List who reads which column."""
    found = [(type(rule).__name__, name) for rule in stopping_rules(experiment) for name in rule.watches]
    found += [("the optimizer", name) for name in experiment.optimizer.watches]
    return [*found, ("the best epoch", monitored(experiment, validated))]


def _check_like(x: Any, other: Any) -> None:
    """Require that two sets of features have the same columns."""
    if samples_of(x) != samples_of(other):
        raise_error(
            "training and validation features must have the same width and dtype",
            f"got {kinds(x)} and {kinds(other)}",
            "the same columns, in the same order, for both",
        )


def kinds(x: Any) -> str:
    """Describe features in an error: dtypes and shapes of the first few arrays."""
    return ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(x)[:4])


def _check_fit(experiment: Experiment, x: Any, y: Any, weight: Any, name: str) -> None:
    """Check features against the network, and targets against what it would predict for them."""
    network, real = as_layer(experiment.network), updates.real_dtype(experiment)
    try:
        samples = updates.features(experiment, x)
        network.check_input(samples)
        if experiment.transform is None:
            network.check_values(x)
        shape = network.out_shape(shapes_of(samples))
        if isinstance(shape, tuple) and len(shape) == 2 and is_shape(shape[0]) and shape[1] == ():
            must, attempt = "the network must end in an array", "fn.Stepwise(fn.Dense(…), lengths=False) at the end"
            raise_error(must, "its output is a pair: an array and lengths", attempt)
        if isinstance(shape, tuple):
            count = jax.tree.leaves(x)[0].shape[0]
            prediction = jax.ShapeDtypeStruct((count, *shape), real)
            if len(shape) > 1 and isinstance(x, np.ndarray | jax.Array) and np.ndim(y) == 1:
                arrived = f"a sample of shape {x.shape[1:]} gives an output of shape {shape}"
                raise_error("targets are one a sample", arrived, "x.reshape(len(x), -1), or fn.Flatten() first")
            _check_output(experiment)
            counted = blank(y, experiment.loss.counted(y, weight))  # what weighs nothing may be anything
            experiment.loss.check_target(prediction, counted)
            for metric in experiment.metrics:
                metric.check(prediction, counted)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None


def _check_output(experiment: Experiment) -> None:
    """Refuse logits where probabilities are due: in a compiled program nobody looks at the numbers."""
    last: Any = as_layer(experiment.network)
    while isinstance(last, Chain) and last.layers:
        last = last.layers[-1]
    if experiment.loss.PROBABILITIES and type(last) in (Conv, ConvTranspose, Dense, Tied):
        loss, attempt = type(experiment.loss).__name__, "fn.SoftmaxCrossEntropy or fn.SigmoidCrossEntropy, or a last"
        raise_error(
            f"{loss} takes probabilities", f"the network ends in {type(last).__name__}", f"{attempt} fn.Softmax()"
        )
