"""Backward passes of whole networks alone, against jax.vjp of the same forward pass."""

from typing import Any

import jax
import numpy as np

from experiments.benchmarks.networks import NETWORKS, TOY, Job
from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import digits, prose, spread
from experiments.study import Table


def measure(toy: bool) -> dict[str, Any]:
    """Race the backward pass of each network."""
    return {network.name: _network(Job(network, "Adam"), toy) for network in (TOY if toy else NETWORKS)}


def _network(job: Job, toy: bool) -> dict[str, Any]:
    experiment, data = job.prepared
    network, params, x = experiment.network, job.start.params, data.x[: job.network.batch]
    saved = jax.jit(network.forward)(params, x)[1]
    dy = np.random.default_rng(0).standard_normal((job.network.batch, job.classes), np.float32)
    ours = jax.jit(lambda params, saved, dy: network.backward(params, saved, dy)[0])
    pullback = jax.jit(lambda params, x: jax.vjp(lambda params: network.apply(params, x), params)[1])(params, x)
    theirs = jax.jit(lambda pullback, dy: pullback(dy)[0])
    pairs = zip(jax.tree.leaves(ours(params, saved, dy)), jax.tree.leaves(theirs(pullback, dy)), strict=True)
    apart = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
    if not apart < 1e-3:
        raise SystemExit(f"{job.network.name}: the gradients are {apart:.1e} apart")
    sides = {
        "funcnet": timed(lambda: jax.block_until_ready(ours(params, saved, dy))),
        "jax": timed(lambda: jax.block_until_ready(theirs(pullback, dy))),
    }
    turns = 1 if toy else {"a": 41, "b": 41, "c": 15, "d": 7}[job.network.name]
    return {"title": job.network.title, "apart": apart, "times": race(sides, turns, "funcnet")}


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """Return none: the aims are those of training."""
    return []


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, found in numbers.items():
        ours, theirs = found["times"]["funcnet"], found["times"]["jax"]
        each = [text for side in (ours, theirs) for text in (digits(1e3 * side["seconds"]), spread(side, 1e3))]
        rows.append([f"({name}) {found['title']}", *each, f"{theirs['ratio']:.2f}"])
    caption = prose("""
        ## Backward passes

        The gradient by all parameters for one batch and a random cotangent, from what the forward pass kept: our rules
        against the pullback of `jax.vjp` of our forward pass, both compiled. The gradients agree within 0.1 % of the
        largest number.
    """)
    head = ["network", "ours, ms", "quartiles", "`jax.vjp`, ms", "quartiles", "`jax.vjp` / ours"]
    return Table(caption, head, rows).markdown()
