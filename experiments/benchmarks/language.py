"""What a large vocabulary and a deep network cost: a loss over tens of thousands of classes, and compiling many blocks.

The loss stands behind a network of two dense layers, value and gradient of all parameters in one program: ours by
`fn.backprop`, which goes by blocks of rows, against `jax.value_and_grad` of the plain formula. Compiling is that of a
step of training a transformer, each in a fresh process.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.benchmarks.processes import fresh
from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import digits, prose
from experiments.study import Table

MIB = 2**20
ROWS, WIDTH, CLASSES, TURNS = 4096, 128, 32_768, 5
BLOCKS, COMPILED = (2, 12), 3


def measure(toy: bool) -> dict[str, Any]:
    """Race the two losses, and compile transformers of two depths."""
    rows, width, classes = (8, 4, 16) if toy else (ROWS, WIDTH, CLASSES)
    seconds = {depth: [fresh(compiling, depth) for _ in range(1 if toy else COMPILED)] for depth in BLOCKS[: 2 - toy]}
    return {
        "loss": _loss(rows, width, classes, 1 if toy else TURNS),
        "compile": {str(depth): float(np.median(found)) for depth, found in seconds.items()},
    }


def _loss(rows: int, width: int, classes: int, turns: int) -> dict[str, Any]:
    network, loss = fn.mlp(width, classes, activation=fn.tanh), fn.SoftmaxCrossEntropy()
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((rows, width), np.float32))
    y = jnp.asarray(rng.integers(0, classes, rows).astype(np.int32))
    params = network.init(jax.random.key(0), (width,))

    def by_hand(params: Any, x: Any, y: Any) -> Any:
        return fn.backprop(network, loss, params, x, y)

    def plain(params: Any, x: Any, y: Any) -> Any:
        hidden = jnp.tanh(x @ params[0]["kernel"] + params[0]["bias"][None])
        logits = hidden @ params[2]["kernel"] + params[2]["bias"][None]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -jnp.mean(chosen)

    sides = {"funcnet": by_hand, "jax": jax.value_and_grad(plain)}
    programs = {name: jax.jit(side).lower(params, x, y).compile() for name, side in sides.items()}
    found = [jax.tree.leaves(program(params, x, y)) for program in programs.values()]
    apart = max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in zip(*found, strict=True))
    if not apart < 2e-3:
        raise SystemExit(f"the losses or their gradients are {apart:.1e} apart")

    def runner(program: Any) -> Any:
        return timed(lambda: jax.block_until_ready(program(params, x, y)))

    return {
        "sizes": (rows, width, classes),
        "times": race({name: runner(program) for name, program in programs.items()}, turns, "funcnet"),
        "memory": {name: program.memory_analysis().temp_size_in_bytes for name, program in programs.items()},
    }


def compiling(blocks: int) -> float:
    """Return the seconds from a traced step of a transformer with so many blocks to its program, tracing included."""
    network, loss, adam = fn.transformer(65, 64, blocks, 4, 32), fn.SoftmaxCrossEntropy(), fn.Adam(1e-3)
    tokens = jnp.zeros((4, 32), jnp.int32)
    params = jax.eval_shape(lambda: network.init(jax.random.key(0), (32,)))
    state = jax.eval_shape(adam.init, params)

    def step(params: Any, state: Any, tokens: Any) -> Any:
        value, gradient = fn.backprop(network, loss, params, tokens, tokens)
        updates, state = adam.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state, value

    start = time.perf_counter()
    jax.jit(step).lower(params, state, tokens).compile()
    return time.perf_counter() - start


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """Ask for a tenth of the memory and no more time; twelve blocks compile in at most 1.5 times the time of two."""
    loss, seconds = numbers["loss"], numbers["compile"]
    memory = loss["memory"]["funcnet"] / loss["memory"]["jax"]
    found = [
        Aim("the loss over many classes: time of `jax.grad` / ours", loss["times"]["jax"]["ratio"], at_least=1.0),
        Aim("the loss over many classes: memory, ours / `jax.grad`", memory, at_most=0.1),
    ]
    if len(seconds) == len(BLOCKS):
        few, many = (seconds[str(depth)] for depth in BLOCKS)
        found.append(Aim("compiling twelve blocks / two", many / few, at_most=1.5))
    return found


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    loss, seconds = numbers["loss"], numbers["compile"]
    rows, width, classes = loss["sizes"]
    compiled = ", ".join(f"{depth} blocks in {digits(found)} s" for depth, found in seconds.items())
    caption = prose(f"""
        ## Many classes, many blocks

        A network with a hidden layer of {width} and {classes:,} classes, {rows:,} rows, softmax cross-entropy: value
        and all gradients in one program, by blocks of rows and by `jax.value_and_grad`. Memory is that of temporaries.
        A step of training a transformer (width 64, context 32), which repeats one block, is traced and compiled with
        {compiled}: medians of fresh processes.
    """)
    lines = [
        [
            "`fn.backprop`" if name == "funcnet" else "`jax.value_and_grad`",
            digits(1e3 * times["seconds"]),
            f"{times['ratio']:.2f}",
            f"{loss['memory'][name] / MIB:.0f}",
        ]
        for name, times in loss["times"].items()
    ]
    return Table(caption, ["who", "ms", "time / ours", "memory, MiB"], lines).markdown()
