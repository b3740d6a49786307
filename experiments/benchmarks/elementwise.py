"""Elementwise rules alone, forward and backward, over ten million elements, against jax.nn and PyTorch.

A rule is raced alone, without a gradient, and as in training: a forward pass that keeps what the backward pass needs,
and the backward pass, each a program of its own, as a network's other layers lie between them.
"""

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.benchmarks.machine import cores
from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import prose
from experiments.study import Table

SHAPE, TOY_SHAPE, TURNS = (100_000, 100), (10, 10), 21
# Parameters of glibc's mallopt: the value that keeps all memory, for all threads alike, and the default.
MALLOPT = {-1: (2**30, 128 * 1024), -3: (2**30, 128 * 1024), -8: (1, 0)}  # TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX
RULES = {
    "ReLU": (fn.relu, jax.nn.relu, "relu"),
    "LeakyReLU": (fn.leaky_relu, jax.nn.leaky_relu, "leaky_relu"),
    "ELU": (fn.elu, jax.nn.elu, "elu"),
    "SELU": (fn.selu, jax.nn.selu, "selu"),
    "GELU": (fn.gelu, lambda z: jax.nn.gelu(z, approximate=False), "gelu"),
    "GELU, approximate": (fn.GELU(approximate=True), jax.nn.gelu, "gelu_tanh"),
    "SiLU": (fn.silu, jax.nn.silu, "silu"),
    "Mish": (fn.mish, jax.nn.mish, "mish"),
    "Softplus": (fn.softplus, jax.nn.softplus, "softplus"),
    "Sigmoid": (fn.sigmoid, jax.nn.sigmoid, "sigmoid"),
    "Tanh": (fn.tanh, jnp.tanh, "tanh"),
    "HardSigmoid": (fn.hard_sigmoid, jax.nn.hard_sigmoid, "hardsigmoid"),
    "HardTanh": (fn.hard_tanh, jax.nn.hard_tanh, "hardtanh"),
    "Softmax": (fn.softmax, jax.nn.softmax, "softmax"),
    "LogSoftmax": (fn.log_softmax, jax.nn.log_softmax, "log_softmax"),
}


def measure(toy: bool) -> dict[str, Any]:
    """Race each rule, alone and with its gradient."""
    rng = np.random.default_rng(0)
    shape, names, turns = (TOY_SHAPE, list(RULES)[::7], 1) if toy else (SHAPE, list(RULES), TURNS)
    z, dy = (rng.standard_normal(shape, np.float32) for _ in range(2))
    # At a kink two libraries may state different slopes.
    z[np.isin(np.abs(z), (0, 1, 3))] = 0.5
    with memory_kept():
        return {"shape": shape, "rules": {n: _rule(*RULES[n], z, dy, turns) for n in names}}


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Let the C library keep freed memory for the next array.

    A new array of 40 MB is else mapped page by page, which takes several times as long as most rules.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", lambda parameter, value: None)  # glibc alone has it
    for parameter, (keep, _) in MALLOPT.items():
        adjust(parameter, keep)
    try:
        yield
    finally:
        for parameter, (_, default) in MALLOPT.items():
            adjust(parameter, default)


def _rule(ours: Any, theirs: Any, in_torch: str, z: np.ndarray, dy: np.ndarray, turns: int) -> dict[str, Any]:
    x, cotangent = jnp.asarray(z), jnp.asarray(dy)
    forward, backward = jax.jit(ours), jax.jit(ours.backward)
    keeping = _without_copies(ours.forward)
    reference = jax.jit(theirs)
    pair = _without_copies(lambda x: jax.vjp(theirs, x))
    pull = jax.jit(lambda pullback, dy: pullback(dy)[0])
    (y, saved), (y_theirs, pullback) = keeping(x), pair(x)
    np.testing.assert_allclose(y, y_theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(backward(saved, cotangent), pull(pullback, cotangent), rtol=1e-3, atol=1e-4)
    # What is kept beside z and y, which the layers before and after keep anyway.
    kept = {"funcnet": _bytes(saved, z, y), "jax": _bytes(pullback, z, y_theirs)}
    error = {name: _error(rule, theirs, z) for name, rule in (("funcnet", ours), ("jax", theirs))}
    del y, y_theirs, saved, pullback

    def train_ours() -> None:
        _, saved = keeping(x)
        backward(saved, cotangent).block_until_ready()

    def train_theirs() -> None:
        _, pullback = pair(x)
        pull(pullback, cotangent).block_until_ready()

    alone = {
        "funcnet": _timed(lambda: forward(x).block_until_ready()),
        "jax": _timed(lambda: reference(x).block_until_ready()),
    }
    training = {"funcnet": _timed(train_ours), "jax": _timed(train_theirs)}
    try:
        import torch
    except ImportError:
        torch = None
    if torch is not None:
        rule = _torch(torch, in_torch)
        leaf, there = torch.from_numpy(z).requires_grad_(), torch.from_numpy(dy)
        plain = leaf.detach()
        torch.set_num_threads(cores())
        alone["torch"] = _timed(lambda: rule(plain))
        training["torch"] = _timed(lambda: torch.autograd.grad(rule(leaf), leaf, there))
    raced = {"forward": race(alone, turns, "funcnet"), "training": race(training, turns, "funcnet")}
    return {**raced, "kept": kept, "error": error}


def _without_copies(forward: Any) -> Any:
    """Compile x -> (y, what is kept); where that is x or y, the program does not write it again."""
    place = None

    @jax.jit
    def program(x: jax.Array) -> tuple[jax.Array, list[Any]]:
        nonlocal place
        y, kept = forward(x)
        leaves, tree = jax.tree.flatten(kept)
        place = tree, ["y" if leaf is y else "x" if leaf is x else "" for leaf in leaves]
        return y, [leaf for leaf in leaves if leaf is not y and leaf is not x]

    def run(x: jax.Array) -> tuple[jax.Array, Any]:
        y, others = program(x)
        tree, names = place
        rest = iter(others)
        return y, tree.unflatten({"x": x, "y": y}[name] if name else next(rest) for name in names)

    return run


# After a rest, of two threads one may still be asleep when the other is done.
_timed = functools.partial(timed, rest=0.0)


def _bytes(kept: Any, *held: Any) -> float:
    """Return the bytes a number that are kept and are not among what is held already."""
    there = [np.asarray(leaf) for leaf in held]
    new = [
        leaf.nbytes
        for leaf in map(np.asarray, jax.tree.leaves(kept))
        if not any(leaf.shape == other.shape and np.array_equal(leaf, other) for other in there)
    ]
    return sum(new) / there[0].size


def _error(rule: Any, reference: Any, z: np.ndarray) -> float:
    """Return the largest distance from the reference in float64, in units in the last place of its float32.

    Beyond ±5 the reference itself, where it is 1 + tanh, has no digits to spare.
    """
    z = np.clip(z[:10_000], -5, 5)
    found = np.asarray(jax.jit(rule)(jnp.asarray(z)), np.float64)
    with jax.enable_x64(True):
        exact = np.asarray(jax.jit(reference)(jnp.asarray(z, np.float64)))
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))))


def _torch(torch: Any, name: str) -> Any:
    functional = torch.nn.functional
    if name == "gelu_tanh":
        return lambda z: functional.gelu(z, approximate="tanh")
    if name in ("softmax", "log_softmax"):
        return lambda z: getattr(functional, name)(z, dim=-1)
    return getattr(torch, name) if name in ("tanh", "sigmoid") else getattr(functional, name)


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """No rule should be slower than jax.nn's; times that differ by less than 5 % are not told apart."""
    return [
        Aim(f"{name}, {part}: time of `jax.nn` / ours", rule[part]["jax"]["ratio"], at_least=0.95)
        for name, rule in numbers["rules"].items()
        for part in ("forward", "training")
    ]


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, rule in numbers["rules"].items():
        row: list[Any] = [name]
        for part in ("forward", "training"):
            found = rule[part]
            row.append(f"{1e3 * found['funcnet']['seconds']:.1f}")
            for peer in ("jax", "torch"):
                row.append(f"{found[peer]['ratio']:.2f}" if peer in found else "")
        rows.append([*row, *(f"{rule[what][side]:.2g}" for what in ("kept", "error") for side in ("funcnet", "jax"))])
    times = ["forward, ms", "`jax.nn`", "PyTorch", "forward and backward, ms", "`jax.nn`", "PyTorch"]
    head = ["rule", *times, "kept, bytes", "`jax.nn`", "error, ulp", "`jax.nn`"]
    rows_, columns = numbers["shape"]
    caption = prose(f"""
        ## Elementwise rules

        Each rule alone over {rows_ * columns:,} float32 numbers ({rows_:,} rows of {columns}): the function, and as in
        training the forward pass that keeps what the backward pass needs with the backward pass of a random cotangent,
        two programs (for `jax.nn` those of `jax.vjp`). Values and gradients agree. Times are ours, ratios those of
        their time to ours; the aim is at least 0.95 for `jax.nn`, as ratios within 5 % of 1 are not told apart. Kept
        are the bytes a number beside input and output, which the layers before and after keep anyway. Errors are the
        largest among a million of these numbers, in units in the last place of float32, against `jax.nn` in float64.
        Freed memory is kept for the next array (`mallopt`), for all alike: else mapping the pages of a new one takes
        several times as long as most rules.
    """)
    return Table(caption, head, rows).markdown()
