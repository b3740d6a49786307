"""Generation: with a memory as in a window, prompts kept, draws as their probabilities say, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import generation, stepping
from tests.helpers import quick, sampled

KEY = jax.random.key(3)


@pytest.mark.parametrize(
    "options",
    sampled([{"dropout": 0.1}, {"tied": False, "rotary": True, "groups": 2}], lambda options: "groups" in options),
    ids=str,
)
def test_with_a_memory_as_in_a_window(options, rng):
    """The same tokens and, place by place and for a whole prompt, the same logits; the window goes on beyond."""
    network = fn.transformer(9, 8, 2, 4, 8, **options)
    params = quick(lambda: network.init(KEY, (8,), jnp.float64))()
    params = jax.tree.map(lambda a: a + 0.4 * rng.normal(size=a.shape), params)
    prompt = rng.integers(0, 9, (3, 4)).astype(np.int32)

    def draw(z, place):
        return generation.drawn(z, jax.random.fold_in(KEY, place), jnp.float32(0.9), 5)

    def both(params, prompt):
        empty = stepping.begin(network, params, 3, 7)
        tokens = generation.with_memory(network, params, prompt, 4, draw)

        def turn(memory, own):
            y, memory = stepping.step(network, params, memory, own[0][:, None], own[1])
            return memory, y[:, 0]

        full, logits = jax.lax.scan(turn, empty, (tokens[:, :7].T, jnp.arange(7, dtype=jnp.int32)))
        at_once, memory = stepping.step(network, params, empty, tokens[:, :7], jnp.int32(0))
        window = generation.in_window(network, params, prompt, 4, draw, 7)
        return tokens, window, (jnp.moveaxis(logits, 0, 1), at_once, memory), network.apply(params, tokens[:, :7]), full

    tokens, window, (logits, at_once, memory), wanted, full = quick(both)(params, prompt)
    assert np.array_equal(tokens, window)
    assert np.array_equal(tokens[:, :4], prompt)
    assert len(np.unique(tokens[:, 4:])) > 2
    for found in (logits, at_once):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)
    for found, held in zip(jax.tree.leaves(memory), jax.tree.leaves(full), strict=True):
        np.testing.assert_allclose(found, held, rtol=1e-11, atol=1e-12)
    assert stepping.remembers(network)
    assert stepping.context_of(network) == (None if "rotary" in options else 8)


def test_the_likeliest_token_is_that_of_the_whole_pass(rng):
    """At temperature 0 each token is the argmax over the last context tokens, beyond the context too."""
    network = fn.transformer(9, 8, 1, 2, 4)
    params = jax.tree.map(
        lambda a: a + 0.5 * rng.normal(size=a.shape).astype(a.dtype), quick(lambda: network.init(KEY, (4,)))()
    )
    found = fn.generate(network, params, np.asarray([2, 7]), 6, KEY, temperature=0)
    assert found.shape == (8,)
    apply, tokens = quick(network.apply), [2, 7]
    for _ in range(6):
        seen = tokens[-4:]
        z = apply(params, jnp.asarray([seen + [0] * (4 - len(seen))]))[0, len(seen) - 1]
        tokens.append(int(np.argmax(z)))
    assert found.tolist() == tokens


def test_draws_have_the_probabilities_of_the_logits():
    """Counts of 40,000 draws by temperature and among the likeliest two; one key, one draw."""
    z = jnp.asarray([0.3, 1.2, -0.5, 0.9])
    draw = quick(
        lambda z, key: [
            generation.drawn(jnp.broadcast_to(z, (40_000, 4)), key, jnp.float32(t), k)
            for t, k in ((1, None), (0.5, None), (1, 2), (0, None))
        ]
    )
    for tokens, t, kept in zip(draw(z, KEY), (1, 0.5, 1, 0), (range(4), range(4), (1, 3), (1,)), strict=True):
        share = np.bincount(tokens, minlength=4) / len(tokens)
        wanted = np.where(np.isin(np.arange(4), kept), np.exp(np.asarray(z) / (t or 1)), 0)
        assert np.max(np.abs(share - wanted / wanted.sum())) < 0.012


def test_what_does_not_fit_is_refused():
    network = fn.transformer(9, 8, 1, 2, 4)
    params = quick(lambda: network.init(KEY, (4,)))()
    blind = fn.Chain(fn.Embedding(9, 8), fn.Attention(2), fn.Dense(9))
    for wrong, kind, words in (
        (lambda: fn.generate(network, params, [0.5], 3, KEY), TypeError, "whole numbers"),
        (lambda: fn.generate(network, params, np.zeros((2, 0), int), 3, KEY), ValueError, "at least one token"),
        (lambda: fn.generate(network, params, [9], 3, KEY), ValueError, "0 … 8"),
        (lambda: fn.generate(network, params, [1], 0, KEY), ValueError, "at least 1"),
        (lambda: fn.generate(network, params, [1], 3, KEY, -1.0), ValueError, "temperature"),
        (lambda: fn.generate(network, params, [1], 3, KEY, top_k=10), ValueError, "at most 9"),
        (lambda: fn.generate(network, params, [1], 3, 5), TypeError, "key"),
        (lambda: fn.generate(blind, None, [1], 3, KEY), ValueError, "causal"),
        (lambda: fn.generate(fn.Embedding(9, 8), None, [[[1]]], 3, KEY), ValueError, "samples, time"),
    ):
        with pytest.raises(kind, match=words):
            wrong()
