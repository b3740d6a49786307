"""Whole networks of layers: a small convolutional network, a small GPT, an LSTM; a step of training of each.

Contestants compute the same network from random data of the right shape, with Adam and the usual loss: ours, on one
device and with the batch spread over a device a core; JAX with `jax.grad` and Optax, as Flax compiles it; PyTorch,
eager, with its fused Adam on all threads. Each runs in a process of its own, and the processes take turns.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import funcnet as fn
from experiments.benchmarks.layer_cases import plain_attention, plain_lstm, plain_norm
from experiments.benchmarks.machine import cores
from experiments.benchmarks.processes import Process, serve, surroundings
from experiments.benchmarks.timing import Aim, race
from experiments.benchmarks.words import digits, prose
from experiments.study import Table

STEPS, TURNS = 10, 5
BATCH = {"convolutions": 128, "GPT": 12, "LSTM": 64}
TITLES = {"optax": "Optax", "torch": "PyTorch"}
WHAT = {
    "convolutions": "Conv(32, 3), MaxPool(2), Conv(64, 3), MaxPool(2), Dense(10) on 28 × 28, batch 128",
    "GPT": "4 blocks, 4 heads, width 128, context 64, 65 characters, tied, batch 12",
    "LSTM": "LSTM(128) over 100 steps of 64 numbers, Dense(10) behind the last, batch 64",
}


def data(name: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels of so many batches."""
    rng, samples = np.random.default_rng(0), steps * BATCH[name]
    if name == "GPT":
        tokens = rng.integers(0, 65, (samples, 65)).astype(np.int32)
        return tokens[:, :-1], tokens[:, 1:]
    shape = (28, 28, 1) if name == "convolutions" else (100, 64)
    return rng.standard_normal((samples, *shape), np.float32), rng.integers(0, 10, samples).astype(np.int32)


def network(name: str) -> Any:
    """Return our network."""
    if name == "GPT":
        return fn.transformer(65, 128, 4, 4, 64)
    if name == "LSTM":
        return fn.Chain(fn.LSTM(128, sequence=False), fn.Dense(10))
    parts = fn.Conv(32, 3), fn.relu, fn.MaxPool(2), fn.Conv(64, 3), fn.relu, fn.MaxPool(2), fn.Flatten(), fn.Dense(10)
    return fn.Chain(*parts)


def ours(options: tuple[str, int, int]) -> tuple[float, Callable[[], float]]:
    """Train by `fn.train` on so many devices; the first epoch, which compiles, is not counted."""
    name, devices, steps = options
    experiment = fn.Experiment(network(name), fn.SoftmaxCrossEntropy(), fn.Adam(1e-3), batch_size=BATCH[name], epochs=2)
    both = data(name, steps)

    def run(epochs: int = 2) -> float:
        start = time.perf_counter()
        again = fn.replace(experiment, {"epochs": epochs})
        fn.train(again, both, progress=False, devices=jax.local_devices()[:devices])
        return (time.perf_counter() - start) / (epochs * steps)

    compiling = run() * 2 * steps
    return compiling, run


def automatic(options: tuple[str, int, int]) -> tuple[float, Callable[[], float]]:
    """Train by `jax.grad` and Optax: one compiled step, a loop in Python, as Flax's manual has it."""
    import optax

    name, _, steps = options
    x, y = data(name, steps)
    batches = [(jnp.asarray(a), jnp.asarray(b)) for a, b in zip(np.split(x, steps), np.split(y, steps), strict=True)]
    shapes = x.shape[1:]
    params = network(name).init(jax.random.key(0), shapes)
    optimizer = optax.adam(1e-3)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(PLAIN[name](params, x), y).mean()

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    state = optimizer.init(params)

    def run() -> float:
        nonlocal params, state
        start = time.perf_counter()
        for x, y in batches:
            params, state, _ = step(params, state, x, y)
        jax.block_until_ready(params)
        return (time.perf_counter() - start) / steps

    return run() * steps, run


def _convolutions(params: Any, x: Any) -> Any:
    for index in (0, 3):
        own = params[index]
        numbers = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, own["kernel"], (1, 1), "SAME", dimension_numbers=numbers) + own["bias"]
        x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.reshape(len(x), -1) @ params[7]["kernel"] + params[7]["bias"]


def _lstm(params: Any, x: Any) -> Any:
    return plain_lstm(params[0], x)[:, -1] @ params[1]["kernel"] + params[1]["bias"]


def _gpt(params: Any, tokens: Any) -> Any:
    table, (positions, stacked, last) = params["embedding"]["table"], params["body"]
    h = table[tokens] + positions["table"][None]
    for block in range(4):
        (before, look), (between, wide, _, back) = jax.tree.map(lambda leaf, block=block: leaf[block], stacked)
        h = h + plain_attention(4)(look, plain_norm(before, h))
        inner = jax.nn.gelu(plain_norm(between, h) @ wide["kernel"] + wide["bias"])
        h = h + inner @ back["kernel"] + back["bias"]
    return plain_norm(last, h) @ table.T


PLAIN: dict[str, Callable[[Any, Any], Any]] = {"convolutions": _convolutions, "GPT": _gpt, "LSTM": _lstm}


def in_torch(options: tuple[str, int, int]) -> tuple[float, Callable[[], float]]:
    """Train in PyTorch on all threads."""
    import torch

    from experiments.benchmarks.peers.torch_layers import module

    name, threads, steps = options
    torch.set_num_threads(threads)
    x, y = (torch.from_numpy(a) for a in data(name, steps))
    if name == "convolutions":
        x = x.permute(0, 3, 1, 2).contiguous()
    model = module(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    criterion, size = torch.nn.CrossEntropyLoss(), BATCH[name]

    def run() -> float:
        start = time.perf_counter()
        for i in range(0, len(x), size):
            optimizer.zero_grad(set_to_none=True)
            found = model(x[i : i + size].long() if name == "GPT" else x[i : i + size])
            criterion(found.flatten(0, -2), y[i : i + size].long().flatten()).backward()
            optimizer.step()
        return (time.perf_counter() - start) / steps

    return run() * steps, run


def measure(toy: bool) -> dict[str, Any]:
    """Race the contestants of each network."""
    found, steps = {}, 1 if toy else STEPS
    for name in list(BATCH)[:1] if toy else BATCH:
        sides = {
            "funcnet": (ours, (name, 1, steps)),
            f"funcnet, {cores()} devices": (ours, (name, cores(), steps)),
            "optax": (automatic, (name, 1, steps)),
            "torch": (in_torch, (name, cores(), steps)),
        }
        with surroundings({"JAX_NUM_CPU_DEVICES": str(cores())}):
            running = {side: Process(serve, make, options) for side, (make, options) in sides.items()}
        ready = {side: process.hear() for side, process in running.items()}
        there = {side: process for side, process in running.items() if "missing" not in ready[side]}
        turns = {side: process.ask for side, process in there.items()}
        found[name] = {
            "times": race(turns, 1 if toy else TURNS, "funcnet"),
            "compile": {side: ready[side]["compile"] for side in there},
        }
        for process in there.values():
            process.end()
    return found


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """No slower than Optax and PyTorch, on the devices that `fn.train` chooses by itself."""
    found = []
    bounds = {
        "convolutions": {"optax": 1.25, "torch": 1.0},
        "GPT": {"optax": 1.0, "torch": 1 / 1.3},
        "LSTM": {"torch": 1.0},
    }
    for name, model in numbers.items():
        times = model["times"]
        spread = next(side for side in times if side.endswith("devices"))
        chosen = "funcnet"
        for peer, bound in bounds[name].items():
            if peer in times:
                ratio = times[peer]["seconds"] / times[chosen]["seconds"]
                found.append(Aim(f"{name}: time of {peer} / ours", ratio, at_least=bound))
        if name != "GPT":
            gain = 1 / times[spread]["ratio"]
            found.append(Aim(f"{name}: time on one device / on {cores()}", gain, at_least=1.5))
    return found


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, model in numbers.items():
        for side, time_ in model["times"].items():
            cells = [
                f"{name}: {WHAT[name]}" if side == "funcnet" else "",
                TITLES.get(side, side),
            ]
            rows.append(
                [*cells, digits(1e3 * time_["seconds"]), f"{time_['ratio']:.2f}", digits(model["compile"][side])]
            )
    caption = prose(f"""
        ## Networks of layers

        A step of training on random data, float32, Adam, in milliseconds: medians of {TURNS} turns of {STEPS} steps
        (two epochs of as many for `fn.train`, whole calls). Optax is `jax.grad` of the plain network with Optax in
        one compiled step; PyTorch is eager, on all threads. One device uses all cores, as `fn.train` takes it by
        itself; of two each has one. The last column is the first turn, in seconds, in which all contestants compile
        at once.
    """)
    head = ["network", "who", "a step, ms", "time / ours on one device", "first turn, s"]
    return Table(caption, head, rows).markdown()
