"""Our side: the compiled program of an experiment, and the whole call of `fn.train`."""

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.benchmarks.networks import Contestant, Job, walked


def contestant(job: Job) -> Contestant:
    """Return the program that trains from a state, as `fn.train` compiles it: shuffling, updates, history."""
    experiment, data = job.prepared
    until = jnp.asarray(job.network.epochs, jnp.int32)
    state = None

    def reset():
        nonlocal state
        # The program reuses the buffers of its state, so each run is given a copy.
        state = jax.block_until_ready(jax.tree.map(jnp.copy, job.start))

    def run():
        nonlocal state
        state = jax.block_until_ready(walked(experiment, state, data, until))

    def accuracy():
        x, y = job.data[1]
        return float(fn.evaluate(experiment.network, experiment.loss, state.params, x, y)["accuracy"])

    return Contestant(reset, run, None, accuracy)


def history(job: Job) -> dict[str, list[float]]:
    """Return the losses by epoch of the public call, without and with the penalty."""
    found = fn.train(job.experiment, job.data[0]).history
    losses = np.asarray(found["train_loss"]).tolist()
    return {"loss": losses, "objective": np.asarray(found.get("objective", losses)).tolist()}


def whole_call(job: Job) -> Contestant:
    """Return the public call: checks, initial parameters, training, and reading the history."""
    result = None

    def run():
        nonlocal result
        result = fn.train(job.experiment, job.data[0])
        jax.block_until_ready(result.params)

    def accuracy():
        return float(fn.evaluate(job.experiment.network, job.experiment.loss, result.params, *job.data[1])["accuracy"])

    return Contestant(lambda: None, run, None, accuracy)
