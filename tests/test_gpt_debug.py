"""A GPT beside PyTorch's, as llm.c's debug state: logits, loss, every gradient and ten steps of AdamW, recorded."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import fused
from funcnet.objective import terms
from funcnet.trees import is_weight, leaves_by_path
from tests.helpers import quick, sampled

RECORDED = np.load(pathlib.Path(__file__).parent / "recorded" / "gpt.npz")
ABOUT = json.loads(str(RECORDED["about"]))
SIZES = ABOUT["sizes"]
NETWORK = fn.transformer(**SIZES)
# Where a layer of a block stands: in which residual, and at which place of it.
PLACES = {"ln_1": (0, 0), "attn": (0, 1), "ln_2": (1, 0), "mlp.c_fc": (1, 1), "mlp.c_proj": (1, 3)}
TOLERANCE = 1e-10


def ours(kind):
    """Return recorded weights or gradients as this package lays them out: by hand, layer by layer."""

    def of(name):
        return np.asarray(RECORDED[f"{kind}/{name}"])

    def norm(name):
        return {"scale": of(f"{name}.weight"), "offset": of(f"{name}.bias")}

    def dense(name, rows=slice(None)):
        return {"kernel": of(f"{name}.weight")[rows].T, "bias": of(f"{name}.bias")[rows]}

    def block(i):
        width, name = SIZES["width"], f"h.{i}"
        thirds = {part: slice(k * width, (k + 1) * width) for k, part in enumerate(("query", "key", "value"))}
        attention = {part: dense(f"{name}.attn.c_attn", rows) for part, rows in thirds.items()}
        attention["output"] = dense(f"{name}.attn.c_proj")
        first = (norm(f"{name}.ln_1"), attention)
        return first, (norm(f"{name}.ln_2"), dense(f"{name}.mlp.c_fc"), (), dense(f"{name}.mlp.c_proj"))

    blocks = jax.tree.map(lambda *turns: np.stack(turns), *map(block, range(SIZES["depth"])))
    body = ({"table": of("wpe.weight")}, blocks, norm("ln_f"))
    return jax.tree.map(jnp.asarray, {"embedding": {"table": of("wte.weight")}, "body": body})


def relative(found, wanted):
    """Return the largest difference, relative to the largest number wanted."""
    return np.max(np.abs(found - wanted)) / np.max(np.abs(wanted))


def blocks(monkeypatch):
    """Let the loss go by blocks of rows, the last of which is not full."""
    monkeypatch.setattr(fused, "LEAST", 0)
    monkeypatch.setattr(fused, "BLOCK", 0)
    monkeypatch.setattr(fused, "FEWEST", 8)


@pytest.mark.parametrize("way", sampled(["logits", "blocks"], lambda way: way == "logits"))
def test_logits_loss_gradients_and_ten_steps(way, monkeypatch):
    """To 1e-10, with all logits at hand and by blocks of rows."""
    if way == "blocks":
        blocks(monkeypatch)
    params, wanted = ours("weights"), ours("gradient")
    tokens, labels = jnp.asarray(RECORDED["tokens"]), jnp.asarray(RECORDED["labels"])
    loss, numbers = fn.SoftmaxCrossEntropy(), dict(ABOUT["adamw"])
    optimizer = fn.AdamW(numbers.pop("learning_rate"), **numbers)
    assert fused.pays(NETWORK, loss, params, tokens, labels) == (way == "blocks")

    def step(carry, _):
        params, state = carry
        found = terms(NETWORK, loss, params, tokens, labels, predicts=way == "logits")
        updates, state = optimizer.update(found.gradient, state, params)
        return (jax.tree.map(jnp.add, params, updates), state), found.loss

    def whole(params):
        found = terms(NETWORK, loss, params, tokens, labels, predicts=way == "logits")
        (last, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), None, length=10)
        after = loss(NETWORK.apply(last, tokens), labels)
        assert (found.prediction is None) == (way == "blocks")
        return NETWORK.apply(params, tokens), found.loss, found.gradient, jnp.append(losses, after)

    z, value, gradient, losses = quick(whole)(params)
    assert relative(z, RECORDED["logits"]) < TOLERANCE
    assert abs(value - RECORDED["loss"]) < TOLERANCE
    assert jax.tree.structure(gradient) == jax.tree.structure(wanted)
    for (path, found), right in zip(leaves_by_path(gradient).items(), jax.tree.leaves(wanted), strict=True):
        if path.endswith("key.bias"):  # rounding there, 0 by declaration here
            assert np.all(found == 0)
            assert np.max(np.abs(right)) < 1e-15
        else:
            assert relative(found, right) < TOLERANCE, path
    assert np.max(np.abs(losses - RECORDED["losses"])) < TOLERANCE


def test_the_record_is_of_a_network_that_tells_bugs_apart():
    """Far from linear, positions that are never read, what decays is what this package's decay reaches."""
    params = ours("weights")
    assert RECORDED["tokens"].shape[1] < SIZES["context"]
    assert np.all(ours("gradient")["body"][0]["table"][RECORDED["tokens"].shape[1] :] == 0)
    assert np.ptp(RECORDED["losses"]) > 0.1
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        in_a_block = "[1]" in jax.tree_util.keystr(path[:2])
        assert is_weight(path) == (leaf.ndim - in_a_block > 1)
