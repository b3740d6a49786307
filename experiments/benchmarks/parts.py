"""Where the time of an update goes: its matrix products alone and its optimizer alone, beside the whole of it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.benchmarks import ours
from experiments.benchmarks.networks import Job
from experiments.benchmarks.timing import Probe, race, timed
from experiments.benchmarks.words import digits, prose
from experiments.study import Table


def measure(job: Job, turns: int, probe: Probe | None = None) -> dict[str, Any]:
    """Race the program of an experiment against programs of its parts, each with as many updates."""
    whole = ours.contestant(job)
    parts = {"products": _products(job), "optimizer": _optimizer(job)}
    contestants = {"update": timed(whole.run, whole.reset)}
    contestants |= {name: timed(part) for name, part in parts.items()}
    found = race(contestants, turns, probe=probe)
    return {name: row["seconds"] / job.updates for name, row in found.items()}


def _products(job: Job) -> Any:
    """Return what computes the products of an update, through the layers' own rules, again and again."""
    layers = [fn.Dense(width, bias=False) for width in job.widths[1:]]
    kernels = [{"kernel": jnp.asarray(kernel)} for kernel, _ in job.parameters]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((job.network.batch, job.widths[0]), np.float32))

    def update(carry: Any, _: None) -> tuple[Any, None]:
        x, _ = carry
        saved, h = [], x
        for layer, kernel in zip(layers, kernels, strict=True):
            h, kept = layer.forward(kernel, h)
            saved.append(kept)
        dy, found = h, []
        for layer, kernel, kept in reversed(list(zip(layers, kernels, saved, strict=True))):
            gradient, dy = layer.backward(kernel, kept, dy)
            found.append(gradient["kernel"])
        # The next round waits for this one, and no product can be left out.
        x, found = jax.lax.optimization_barrier((x, found[::-1]))
        return (x + 0 * found[0][0, 0], found), None

    program = jax.jit(lambda *carry: jax.lax.scan(update, carry, None, job.updates)[0])
    start = [jnp.zeros_like(kernel["kernel"]) for kernel in kernels]
    jax.block_until_ready(program(x, start))
    return lambda: jax.block_until_ready(program(x, start))


def _optimizer(job: Job) -> Any:
    """Return what applies the optimizer to a gradient that stays the same, again and again."""
    optimizer = job.experiment.optimizer
    params = job.start.params
    gradient = jax.tree.map(lambda leaf: 1e-3 * jnp.ones_like(leaf), params)

    @jax.jit
    def program(carry: Any, gradient: Any) -> Any:
        def update(carry: Any, _: None) -> tuple[Any, None]:
            params, slots = carry
            updates, slots = optimizer.update(gradient, slots, params)
            return (jax.tree.map(jnp.add, params, updates), slots), None

        return jax.lax.scan(update, carry, None, job.updates)[0]

    carry = (params, optimizer.init(params))
    jax.block_until_ready(program(carry, gradient))
    return lambda: jax.block_until_ready(program(carry, gradient))


def show(networks: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, network in sorted(networks.items()):
        parts, floor = network["parts"], network["variants"]["Adam"]["floor"]
        rest = parts["update"] - parts["products"] - parts["optimizer"]
        cells = [parts["update"], parts["products"], floor["products"], parts["optimizer"], floor["optimizer"], rest]
        rows.append([f"({name})", *(digits(1e6 * cell) for cell in cells), f"{rest / parts['update']:.0%}"])
    caption = prose("""
        ### Where the time of an update goes

        µs an update with Adam, in one race: our program, the matrix products of the same shapes alone, through the
        rules of `fn.Dense` without bias, and Adam alone on the same parameters; beside each part its floor. The rest
        is what is left: bias, activation, loss, gathering the batch, bookkeeping, and the end of an epoch. Products
        and loops of a whole update partly run at the same time, so the rest may be less than the sum of its parts.
    """)
    head = ["network", "update", "products", "floor", "Adam", "floor", "rest", "of the update"]
    return Table(caption, head, rows).markdown()
