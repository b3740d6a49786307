"""Sequences step by step in NumPy: tokens, positions, recurrence, lengths with 0 among them, streams; refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from tests.helpers import quick

KEY = jax.random.key(0)


def close(found, wanted, tolerance=1e-12):
    """Compare trees leaf by leaf, relative to the largest number of each leaf."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1e-300, np.abs(b).max(initial=0.0)))


def test_tokens_look_up_rows_and_send_their_sums_back(rng):
    """A loop over samples and steps, with lengths and without; what stands behind a length may be anything."""
    layer, lengths = fn.Embedding(7, 3), np.asarray([4, 0, 2, 1, 3])
    tokens = rng.integers(0, 7, size=(5, 4))
    padded = np.where(np.arange(4) < lengths[:, None], tokens, -1)
    params = layer.init(KEY, (4,), jnp.float64)
    dy = rng.normal(size=(5, 4, 3))

    def both(params, tokens, lengths):
        alone, kept = layer.forward(params, tokens)
        pair, saved = layer.forward(params, (tokens, lengths))
        return alone, pair, layer.backward(params, kept, dy), layer.backward(params, saved, (dy, None))

    _, pair, _, short = quick(both)(params, jnp.asarray(padded), jnp.asarray(lengths))
    whole, full = layer.forward(params, tokens)
    table, wanted, cut = np.asarray(params["table"]), np.zeros((7, 3)), np.zeros((7, 3))
    for n, t in np.ndindex(5, 4):
        wanted[tokens[n, t]] += dy[n, t]
        np.testing.assert_array_equal(whole[n, t], table[tokens[n, t]])
        if t < lengths[n]:
            cut[tokens[n, t]] += dy[n, t]
            np.testing.assert_array_equal(pair[0][n, t], table[tokens[n, t]])
        else:
            assert not np.any(pair[0][n, t])
    close(layer.backward(params, full, dy), ({"table": wanted}, None))
    close(short, ({"table": cut}, None))
    np.testing.assert_array_equal(pair[1], lengths)


def test_unknown_tokens_spoil_their_own_sample_and_no_other():
    layer = fn.Embedding(3, 2)
    params = layer.init(KEY, (4,))
    tokens = jnp.asarray([[0, 1, 2, 0], [0, 3, 1, 1], [2, 2, -1, 0], [1, 1, 1, 1]])
    y, saved = jax.jit(layer.forward)(params, tokens)
    np.testing.assert_array_equal(np.isnan(y).all(axis=(1, 2)), [False, True, True, False])
    assert np.isfinite(y[::3]).all()
    (dparams, _) = layer.backward(params, saved, jnp.ones_like(y))
    assert float(dparams["table"].sum()) == 2 * 14
    with pytest.raises(ValueError, match=r"tokens must lie in 0 … 2, but got 3 at \(1, 1\) \(2 of 16 outside\)"):
        layer.apply(params, tokens)
    # Behind the lengths anything may stand; a length that is none spoils its sample under jit.
    good = layer.apply(params, (tokens, np.asarray([4, 1, 2, 0])))[0]
    assert np.isfinite(good).all()
    y, _ = jax.jit(layer.apply)(params, (tokens, jnp.asarray([4, 1, 5, -1])))
    np.testing.assert_array_equal(np.isnan(y).all(axis=(1, 2)), [False, False, True, True])


def test_positions_are_added_step_by_step(rng):
    x, dy, lengths = rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 4, 3)), np.asarray([4, 0, 2, 1, 3])
    learned, fixed = fn.Positions(6), fn.Sinusoids()
    params = learned.init(KEY, (4, 3), jnp.float64)
    there = (np.arange(4) < lengths[:, None])[..., None]
    angle = np.arange(4)[:, None] / 10000 ** (np.asarray([0, 0, 2]) / 3)
    waves = np.where([True, False, True], np.sin(angle), np.cos(angle))
    for layer, own, table in ((learned, params, np.asarray(params["table"])[:4]), (fixed, (), waves)):
        y, saved = layer.forward(own, x)
        close(y, x + table)
        dparams, dx = layer.backward(own, saved, jnp.asarray(dy))
        close(dx, dy)
        (short, kept), saved = layer.forward(own, (x, lengths))
        close(short, (x + table) * there)
        np.testing.assert_array_equal(kept, lengths)
        less, dx = layer.backward(own, saved, (jnp.asarray(dy), None))
        close(dx, (dy * there, None))
        if own:
            close(dparams["table"], np.concatenate([dy.sum(0), np.zeros((2, 3))]))
            close(less["table"], np.concatenate([(dy * there).sum(0), np.zeros((2, 3))]))
    assert fn.Embedding(9, 3).out_shape(((4,), ())) == ((4, 3), ())


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: fn.Embedding(3, 2).apply({"table": jnp.zeros((3, 2))}, jnp.zeros((4, 5))), TypeError, "whole numbers"),
        (lambda: fn.Embedding(3, 2).check_input(jax.ShapeDtypeStruct((4,), np.float32)), TypeError, "fn.Dense"),
        (lambda: fn.Positions(3).out_shape((4, 2)), ValueError, "Positions has 3 steps: a sequence must not be longer"),
        (lambda: fn.Positions(3).out_shape((4,)), ValueError, r"samples \(time, features\)"),
        (
            lambda: fn.Sinusoids().apply((), (np.zeros((2, 3, 1)), np.asarray([1, 4]))),
            ValueError,
            "got 4 at position 1",
        ),
        (lambda: fn.Sinusoids().apply((), (np.zeros((2, 3, 1)), np.asarray([1.0, 2]))), TypeError, "whole numbers"),
        (lambda: fn.Sinusoids().apply((), (np.zeros((2, 3, 1)), np.asarray([1]))), ValueError, "the samples' shape"),
        (lambda: fn.Sinusoids().apply((), (np.zeros((2, 3, 1)),) * 3), TypeError, r"the pair \(x, lengths\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make()
    assert len(str(caught.value)) <= 300


def test_a_chain_of_a_pair_is_checked_at_the_door():
    samples = (jax.ShapeDtypeStruct((4,), np.int32), jax.ShapeDtypeStruct((), np.int32))
    network = fn.Chain(fn.Embedding(5, 3), fn.Positions(4))
    network.check_input(samples)
    assert network.out_shape(((4,), ())) == ((4, 3), ())
    params = network.init(KEY, ((4,), ()))
    assert params[1]["table"].shape == (4, 3)
