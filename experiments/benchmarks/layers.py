"""By hand pays: every layer forward and backward, against `jax.vjp` of a plain forward pass and against PyTorch.

Forward and backward are one program, as they are in a step of training; the backward pass of what was kept is raced
alone as well, for pools and depthwise convolutions, where it is what differs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import layer_cases
from experiments.benchmarks.layer_cases import Contest
from experiments.benchmarks.machine import cores
from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import digits, prose
from experiments.study import Table

MIB, STEPS = 2**20, 10


def measure(toy: bool) -> dict[str, Any]:
    """Race each layer."""
    return {contest.name: _contest(contest, toy) for contest in layer_cases.contests(toy)}


def _contest(contest: Contest, toy: bool) -> dict[str, Any]:
    layer, x, turns = contest.layer, contest.x, 1 if toy else 15
    params = layer.init(jax.random.key(0), jax.tree.map(lambda leaf: leaf.shape[1:], x))
    key = jax.random.key(1) if contest.key else None
    y = jax.eval_shape(lambda params, x: layer.forward(params, x, key)[0], params, x)
    dy = jnp.asarray(np.random.default_rng(1).standard_normal(y.shape, np.float32))
    whole = not contest.whole_numbers  # no gradient by tokens

    def by_hand(params: Any, x: Any, dy: Any) -> Any:
        y, saved = layer.forward(params, x, key)
        dparams, dx = layer.backward(params, saved, dy)
        return y, dparams, dx if whole else None

    def automatic(params: Any, x: Any, dy: Any) -> Any:
        if not whole:
            y, pull = jax.vjp(lambda params: contest.plain(params, x), params)
            return y, pull(dy)[0], None
        y, pull = jax.vjp(contest.plain, params, x)
        return y, *pull(dy)

    ours, theirs = (jax.jit(side).lower(params, x, dy).compile() for side in (by_hand, automatic))
    apart = _apart(ours(params, x, dy), theirs(params, x, dy))
    if not apart < 2e-3:
        raise SystemExit(f"{contest.name}: {apart:.1e} apart")
    sides = {
        "funcnet": timed(lambda: jax.block_until_ready(ours(params, x, dy)), rest=0.0),
        "jax": timed(lambda: jax.block_until_ready(theirs(params, x, dy)), rest=0.0),
    }
    memory = {name: side.memory_analysis().temp_size_in_bytes for name, side in (("funcnet", ours), ("jax", theirs))}
    found = {
        "apart": apart,
        "memory": memory,
        "what": contest.what,
        "times": race(sides | _torch(contest), turns, "funcnet"),
    }
    if contest.backward:
        found["backward"] = race(_backward(contest, params, x, dy, key), turns, "funcnet")
    if contest.loop:
        both = {"funcnet": by_hand, "jax": automatic}
        found["loop"] = race({who: _in_a_loop(side, params, x, dy) for who, side in both.items()}, turns, "funcnet")
    return found


def _in_a_loop(side: Any, params: Any, x: Any, dy: Any) -> Any:
    """Return a contestant that makes some steps down its gradient in one program."""

    def steps(params: Any, x: Any, dy: Any) -> Any:
        def step(_: Any, params: Any) -> Any:
            return jax.tree.map(lambda w, g: w - 1e-6 * g, params, side(params, x, dy)[1])

        return jax.lax.fori_loop(0, STEPS, step, params)

    program = jax.jit(steps).lower(params, x, dy).compile()
    return timed(lambda: jax.block_until_ready(program(params, x, dy)), rest=0.0)


def _backward(contest: Contest, params: Any, x: Any, dy: Any, key: Any) -> dict[str, Any]:
    """Return the contestants of the backward pass alone, from what each forward pass kept."""
    layer = contest.layer
    saved = jax.jit(lambda params, x: layer.forward(params, x, key)[1])(params, x)
    pull = jax.jit(lambda params, x: jax.vjp(contest.plain, params, x)[1])(params, x)
    ours, theirs = jax.jit(layer.backward), jax.jit(lambda pull, dy: pull(dy))
    return {
        "funcnet": timed(lambda: jax.block_until_ready(ours(params, saved, dy)), rest=0.0),
        "jax": timed(lambda: jax.block_until_ready(theirs(pull, dy)), rest=0.0),
    }


def _apart(found: Any, wanted: Any) -> float:
    """Return the largest difference relative to the largest number of its leaf, or a thousandth of the largest of all.

    A gradient that is exactly 0, as that of the bias of attention's keys, is rounding to automatic differentiation.
    """
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True))
    least = 1e-3 * max(float(jnp.abs(b).max()) for _, b in pairs)
    return max(float(jnp.abs(a - b).max()) / max(float(jnp.abs(b).max()), least) for a, b in pairs)


def _torch(contest: Contest) -> dict[str, Any]:
    """Return PyTorch's contestants, on one thread and on all, where it is installed and has the layer."""
    try:
        import torch
    except ImportError:
        return {}
    if contest.torch is None:
        return {}
    module, inputs = contest.torch(torch)
    wanted = [p for p in [*inputs, *module.parameters()] if p.requires_grad]
    cotangent = torch.randn_like(_first(module(*inputs)))

    def run(threads: int) -> Any:
        def once() -> None:
            torch.autograd.grad(_first(module(*inputs)), wanted, cotangent)

        return timed(once, before=lambda: torch.set_num_threads(threads), rest=0.0)

    return {"torch, one thread": run(1), f"torch, {cores()} threads": run(cores())}


def _first(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """No layer slower than 0.95 of automatic differentiation or above it in memory, and what was promised of some."""
    found = []
    for name, layer in numbers.items():
        memory = layer["memory"]
        found.append(Aim(f"{name}: time of `jax.vjp` / ours", layer["times"]["jax"]["ratio"], at_least=0.95))
        found.append(Aim(f"{name}: memory, ours / `jax.vjp`", _share(memory), at_most=1.0))
        if "backward" in layer and name in layer_cases.BACKWARD_AIMS:
            ratio = layer["backward"]["jax"]["ratio"]
            found.append(
                Aim(f"{name}, backward: time of `jax.vjp` / ours", ratio, at_least=layer_cases.BACKWARD_AIMS[name])
            )
    return found


def _share(memory: dict[str, int]) -> float:
    """Return our share of the other's memory; a few kilobytes are nothing."""
    return max(memory["funcnet"], 2**16) / max(memory["jax"], 2**16)


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, layer in numbers.items():
        times, memory = layer["times"], layer["memory"]
        others = [f"{times[side]['ratio']:.2f}" for side in times if side != "funcnet"]
        backward = layer.get("backward")
        row = [f"{name}: {layer['what']}", digits(1e3 * times["funcnet"]["seconds"]), *(others + ["", "", ""])[:3]]
        row += [f"{backward['jax']['ratio']:.1f}" if backward else ""]
        rows.append(row + [f"{memory[side] / MIB:.1f}" for side in ("funcnet", "jax")])
    inside = [
        f"{name}, `jax.vjp` takes {layer['loop']['jax']['ratio']:.1f} times ours"
        for name, layer in numbers.items()
        if "loop" in layer
    ]
    looped = ""
    if inside:
        looped = (
            f" Inside a loop of {STEPS} steps in one program, which is how a network is trained: {'; '.join(inside)}."
        )
    caption = prose(f"""
        ## By hand pays

        Each layer forward and backward in one program, float32, for random cotangents: our rules against `jax.vjp` of
        the plain forward pass that one would write in JAX (the layer's own formula, no tricks), and PyTorch's eager
        layer and autograd on one thread and on all. Values and gradients of the two in JAX agree within 0.2 % of the
        largest. Ratios are their time to ours. `Backward` is the backward pass alone, from what each forward pass kept.
        Memory is what the compiler sets aside for temporaries, in MiB.{looped}

        ![Bars for each layer: time of automatic differentiation divided by the time by hand.](images/by-hand-pays.png)
    """)
    head = ["layer", "ours, ms", "`jax.vjp`", "PyTorch, one thread", "PyTorch, all", "`jax.vjp`, backward"]
    return Table(caption, [*head, "memory, ours", "memory, `jax.vjp`"], rows).markdown()


def draw(numbers: dict[str, Any], path: Any) -> None:
    """Draw the ratios of time and of memory for every layer."""
    import matplotlib.pyplot as plt

    names = list(numbers)
    times = [numbers[name]["times"]["jax"]["ratio"] for name in names]
    memories = [1 / _share(numbers[name]["memory"]) for name in names]
    figure, axes = plt.subplots(figsize=(7, 0.36 * len(names) + 1.2), layout="constrained")
    places = np.arange(len(names))
    # From 1, where both are alike, to either side.
    for shift, ratios, label, colour in ((-0.2, times, "time", "#0072B2"), (0.2, memories, "memory", "#E69F00")):
        axes.barh(places + shift, np.asarray(ratios) - 1, 0.38, left=1, label=label, color=colour)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(yticks=places, yticklabels=names, xscale="log", xlabel="automatic differentiation / by hand")
    axes.set_title("right of 1: by hand is faster, or takes less memory", fontsize=10)
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)
