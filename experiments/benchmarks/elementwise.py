"""Elementwise rules alone, forward and backward, over ten million elements, against jax.nn and PyTorch.

Backward passes start from what the forward pass kept: our saved arrays, the residuals of `jax.vjp`, PyTorch's graph.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.benchmarks.machine import cores
from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import prose
from experiments.study import Table

SHAPE, TOY_SHAPE, TURNS = (100_000, 100), (10, 10), 5
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
    """Race each rule's forward and backward."""
    rng = np.random.default_rng(0)
    shape, names, turns = (TOY_SHAPE, list(RULES)[::7], 1) if toy else (SHAPE, list(RULES), TURNS)
    z, dy = (rng.standard_normal(shape, np.float32) for _ in range(2))
    # At a kink two libraries may state different slopes.
    z[np.isin(np.abs(z), (0, 1, 3))] = 0.5
    return {"shape": shape, "rules": {n: _rule(*RULES[n], z, dy, turns) for n in names}}


def _rule(ours: Any, theirs: Any, in_torch: str, z: np.ndarray, dy: np.ndarray, turns: int) -> dict[str, Any]:
    x, cotangent = jnp.asarray(z), jnp.asarray(dy)
    forward, backward = jax.jit(ours), jax.jit(ours.backward)
    saved = jax.jit(ours.forward)(x)[1]
    reference = jax.jit(theirs)
    pullback = jax.jit(lambda x: jax.vjp(theirs, x)[1])(x)
    pull = jax.jit(lambda pullback, dy: pullback(dy)[0])
    np.testing.assert_allclose(forward(x), reference(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(backward(saved, cotangent), pull(pullback, cotangent), rtol=1e-3, atol=1e-4)
    ahead = {
        "funcnet": timed(lambda: forward(x).block_until_ready()),
        "jax": timed(lambda: reference(x).block_until_ready()),
    }
    back = {
        "funcnet": timed(lambda: backward(saved, cotangent).block_until_ready()),
        "jax": timed(lambda: pull(pullback, cotangent).block_until_ready()),
    }
    try:
        import torch
    except ImportError:
        torch = None
    if torch is not None:
        rule = _torch(torch, in_torch)
        leaf, there = torch.from_numpy(z).requires_grad_(), torch.from_numpy(dy)
        y = rule(leaf)
        plain = leaf.detach()
        torch.set_num_threads(cores())
        ahead["torch"] = timed(lambda: rule(plain))
        back["torch"] = timed(lambda: torch.autograd.grad(y, leaf, there, retain_graph=True))
    return {"forward": race(ahead, turns, "funcnet"), "backward": race(back, turns, "funcnet")}


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
        for part in ("forward", "backward")
    ]


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, rule in numbers["rules"].items():
        row: list[Any] = [name]
        for part in ("forward", "backward"):
            found = rule[part]
            row.append(f"{1e3 * found['funcnet']['seconds']:.1f}")
            for peer in ("jax", "torch"):
                row.append(f"{found[peer]['ratio']:.2f}" if peer in found else "")
        rows.append([*row, "≥ 0.95"])
    head = ["rule", "forward, ms", "`jax.nn`", "PyTorch", "backward, ms", "`jax.nn`", "PyTorch", "aim for `jax.nn`"]
    rows_, columns = numbers["shape"]
    caption = prose(f"""
        ## Elementwise rules

        Forward and backward of each rule alone over {rows_ * columns:,} float32 numbers ({rows_:,} rows of {columns}),
        with a random cotangent; values and gradients agree. A backward pass starts from what the forward pass kept (for
        `jax.nn` the residuals of `jax.vjp`). Times are ours, the other columns ratios of theirs to ours; ratios within
        5 % of 1 are not told apart.
    """)
    return Table(caption, head, rows).markdown()
