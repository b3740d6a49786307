"""A batch spread over two devices: each works on its own samples, and only sums of gradients travel."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import funcnet as fn
from funcnet import fused, spreading
from funcnet.layers import unfolding
from funcnet.layers.base import Layer
from funcnet.objective import terms
from funcnet.records import record
from tests.helpers import sampled

SAMPLES, STEPS, WORDS = 8, 6, 12
rng = np.random.default_rng(0)
IMAGES, SIGNALS = rng.normal(size=(SAMPLES, 9, 9, 4)), rng.normal(size=(SAMPLES, STEPS, 5))
TOKENS = rng.integers(0, WORDS, (SAMPLES, STEPS))
LENGTHS = np.array([6, 0, 3, 5, 1, 6, 2, 4])
HEAD = fn.Flatten(), fn.Dense(3)

NETWORKS = {
    "dense": (fn.mlp(5, 3), SIGNALS[:, 0]),
    "narrow": (fn.mlp(2, 3), SIGNALS[:, 0]),
    "convolution": (fn.Chain(fn.Conv(3, 3), fn.relu, fn.MaxPool(2), fn.Conv(2, 5), *HEAD), IMAGES),
    "groups": (fn.Chain(fn.Conv(6, 3, groups=2), *HEAD), IMAGES),
    "depthwise": (fn.Chain(fn.Conv(4, 3, groups=4), fn.MaxPool(3, stride=2), *HEAD), IMAGES),
    "transposed": (fn.Chain(fn.ConvTranspose(3, 4, stride=2), fn.relu, *HEAD), IMAGES),
    "causal": (fn.Chain(fn.Conv(3, 3, padding="causal"), fn.AveragePool(2), *HEAD), SIGNALS),
    "batch norm": (fn.Chain(fn.Conv(3, 3), fn.BatchNorm(), fn.GlobalAveragePool(), fn.Dense(3)), IMAGES),
    "norms": (fn.Chain(fn.GroupNorm(2), fn.LayerNorm(), fn.RMSNorm(), fn.GlobalMaxPool(), fn.Dense(3)), IMAGES),
    "composites": (
        fn.Chain(fn.Residual(fn.Conv(4, 3)), fn.Repeat(fn.Dense(4), 2), fn.Recompute(fn.Conv(2, 3)), *HEAD),
        IMAGES,
    ),
    "draws": (fn.Chain(fn.RandomShift(2), fn.RandomFlip(1), fn.Noise(0.1), fn.Dropout(0.2), *HEAD), IMAGES),
    "LSTM": (fn.Chain(fn.LSTM(3), *HEAD), SIGNALS),
    "lengths": (fn.Chain(fn.LSTM(3, sequence=False), fn.Dense(3)), (SIGNALS, LENGTHS)),
    "GRU": (fn.Chain(fn.GRU(3), fn.GRU(2, reset_after=False, sequence=False), fn.Dense(3)), SIGNALS),
    "both ways": (fn.Chain(fn.Bidirectional(fn.RNN(3)), fn.Stepwise(fn.Dense(2)), *HEAD), SIGNALS),
    "attention": (fn.Chain(fn.Embedding(WORDS, 4), fn.Sinusoids(), fn.Attention(2, causal=True), *HEAD), TOKENS),
    "transformer": (fn.transformer(WORDS, context=STEPS, width=4, heads=2, depth=2), TOKENS),
}


@record
class Merged(Layer):
    """y = x W with steps before samples, merged: its kernel's gradient makes each device gather the batch."""

    def init(self, key, in_shape, dtype=None):
        return {"kernel": jax.random.normal(key, (in_shape[-1], 3), dtype)}

    def out_shape(self, in_shape):
        return (*in_shape[:-1], 3)

    def forward(self, params, x, key=None):
        return x @ params["kernel"], x

    def backward(self, params, x, dy):
        rows, sent = (jnp.moveaxis(a, 1, 0).reshape(-1, a.shape[-1]) for a in (x, dy))
        return {"kernel": rows.T @ sent}, dy @ params["kernel"].T


def passes(network, x, devices):
    """Return the program of both passes over a batch on so many devices, and what it is called with."""
    y = x if network.out_shape(jax.tree.map(lambda a: a.shape[1:], x))[-1:] == (WORDS,) else np.arange(SAMPLES) % 3
    params = network.init(jax.random.key(1), jax.tree.map(lambda a: a.shape[1:], x))
    weight = jnp.linspace(0.0, 2.0, SAMPLES)
    mesh = Mesh(np.array(jax.local_devices()[:devices]), (spreading.AXIS,)) if devices > 1 else None

    def both(params, batch):
        with spreading.spread_over(mesh):
            x, y, weight = spreading.spread(batch)
            key, loss = jax.random.key(2), fn.SoftmaxCrossEntropy()
            found = terms(network, loss, params, x, y, weight=weight, key=key, predicts=False)
            return found.loss, found.gradient

    given = params, jax.tree.map(jnp.asarray, (x, y, weight))
    return jax.jit(both).lower(*given).compile(), given


def gathered(program):
    """List what travels between devices other than to be added up."""
    kinds = "all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
    return re.findall(rf"= \S+ (?:{kinds})(?:-start)?\(.*", program.as_text())


@pytest.mark.parametrize("name", sampled(NETWORKS, {"convolution", "depthwise", "LSTM"}.__contains__))
def test_devices_work_on_their_own_samples(name, monkeypatch):
    monkeypatch.setattr(unfolding, "CACHE", 1 << 12)  # convolutions go through the batch some samples at a time
    network, x = NETWORKS[name]
    program, given = passes(network, x, 2)
    assert gathered(program) == []
    alone, _ = passes(network, x, 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), program(*given), alone(*given))


@pytest.mark.parametrize("tied", [False, pytest.param(True, marks=pytest.mark.every)])
def test_blocks_of_rows_are_of_own_samples(tied, monkeypatch):
    """A loss that never holds its logits sums what each device finds."""
    monkeypatch.setattr(fused, "LEAST", 0)
    monkeypatch.setattr(fused, "FEWEST", 5)  # the last block is filled up
    monkeypatch.setattr(fused, "BLOCK", 1)
    network = NETWORKS["transformer"][0] if tied else fn.Chain(fn.Embedding(WORDS, 4), fn.Dense(WORDS))
    program, given = passes(network, TOKENS, 2)
    assert gathered(program) == []
    monkeypatch.setattr(fused, "LEAST", 1 << 40)
    whole, _ = passes(network, TOKENS, 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), program(*given), whole(*given))


def test_a_batch_that_each_device_gathers_is_found():
    program, _ = passes(fn.Chain(Merged(), *HEAD), SIGNALS, 2)
    assert any("all-gather" in found for found in gathered(program))


def test_a_batch_that_does_not_divide_is_whole_everywhere():
    mesh = Mesh(np.array(jax.local_devices()[:2]), (spreading.AXIS,))

    def count(samples, whole):
        return samples[0] * whole, jnp.sum(samples[0])

    with spreading.spread_over(mesh):
        for size in (4, 5):
            x = jnp.arange(1.0, size + 1)
            each, total = spreading.shared(count, (x,), jnp.asarray(2.0))
            np.testing.assert_array_equal(each, 2 * x)
            assert total == size * (size + 1) / 2
