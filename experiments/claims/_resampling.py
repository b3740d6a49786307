r"""Training on many training sets at once.

Training is a pure function of an experiment and its data, so that a training set is one more thing to map over. A
sweep maps over experiments alone, and shares its data among them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcnet as fn

TOGETHER = 8  # runs side by side on a core: more would leave its cache


@functools.cache
def program(outcome: Callable[..., Any]) -> Any:
    """Return one compiled function that trains many experiments, each on its own data, on all devices."""
    import jax
    from jax.sharding import Mesh
    from jax.sharding import PartitionSpec as Spec

    from funcnet.training.steps import advance, begin

    def run(pair: Any, x: Any) -> Any:
        experiment, data = pair
        return outcome(experiment, data, advance(experiment, begin(experiment, data), data, experiment.epochs), x)

    def several(pairs: Any, x: Any) -> Any:
        return jax.lax.map(lambda pair: run(pair, x), pairs, batch_size=TOGETHER)

    mesh, lanes = Mesh(np.asarray(jax.local_devices()), ("lanes",)), Spec("lanes")
    return jax.jit(jax.shard_map(several, mesh=mesh, in_specs=(lanes, Spec()), out_specs=lanes, check_vma=False))


def train_all(
    settings: Sequence[fn.Experiment],
    drawn: Sequence[tuple[Any, Any]],
    outcome: Callable[..., Any],
    x: np.ndarray,
    watched: Sequence[tuple[Any, Any]] | None = None,
) -> list[Any]:
    """Train each setting on each training set, the i-th with seed i.

    Args:
        settings: experiments that differ in numbers alone.
        drawn: training sets of equal shape.
        outcome: what to keep of a run, outcome(experiment, data, state, x).
        x: what all outcomes may look at.
        watched: a validation set for each training set, or None.

    Returns:
        for each setting, the outcome with an axis of training sets in front.

    """
    import jax

    from funcnet.training.preparing import prepare

    pairs = [
        prepare(fn.replace(setting, {"seed": seed}), own, watched and watched[seed])
        for setting in settings
        for seed, own in enumerate(drawn)
    ]
    count = len(pairs)
    pairs += pairs[:1] * (-count % (TOGETHER * jax.local_device_count()))
    found = program(outcome)(jax.tree.map(lambda *leaves: np.stack(leaves), *pairs), x)
    shaped = jax.tree.map(lambda y: np.asarray(y)[:count].reshape(len(settings), len(drawn), *y.shape[1:]), found)
    return [jax.tree.map(lambda y, i=i: y[i], shaped) for i in range(len(settings))]


def mean_and_half_width(values: Any) -> tuple[float, float]:
    """Return the mean, and the half width of Student's 95 % interval."""
    from funcnet.results.summary import mean_deviation_half_width

    mean, _, half_width = mean_deviation_half_width(np.asarray(values, np.float64))
    return mean, half_width
