"""Transformers: their gradient as a whole, one table in two places, initial sizes, one program for any depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from tests.helpers import quick, sampled

KEY = jax.random.key(3)


def drawn(network, time, rng):
    """Return parameters of a size at which no part of the network is nearly linear."""
    params = quick(lambda: network.init(KEY, (time,), jnp.float64))()
    return jax.tree.map(lambda a: a + 0.3 * rng.normal(size=a.shape), params)


@pytest.mark.parametrize("tied", sampled([True, False], lambda tied: not tied))
def test_gradients_of_the_whole_network(tied, rng):
    """All gradients as automatic differentiation of the same forward, with dropout and without; later tokens unseen."""
    options = {"dropout": 0.2} if tied else {"groups": 2, "rotary": True, "hidden": 5, "tied": False}
    network, key = fn.transformer(7, 8, 2, 4, 8, **options), KEY if tied else None
    tokens, dy = rng.integers(0, 7, (3, 5)), rng.normal(size=(3, 5, 7))
    tokens[1] = np.where(np.arange(5) < 3, tokens[0], (tokens[0] + 1) % 7)
    params = drawn(network, 5, rng)

    def both(params, tokens, dy):
        dparams, dx = network.backward(params, network.forward(params, tokens, key)[1], dy)
        assert dx is None
        y, back = jax.vjp(lambda params: network.forward(params, tokens, key)[0], params)
        return y, dparams, back(dy)[0]

    y, found, wanted = quick(both)(params, tokens, dy)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(wanted), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-12 * np.max(np.abs(b)) + 1e-12, path
    if not tied:
        np.testing.assert_allclose(y[1, :3], y[0, :3], rtol=1e-12, atol=1e-13)
        assert np.all(np.max(np.abs(y[1] - y[0]), axis=-1)[3:] > 1e-3)


@pytest.mark.every
def test_initial_deviations_and_one_program_for_any_depth():
    """0.02, by √(2 depth) less at the end of each residual; as many operations to compile."""
    network = fn.transformer(50, 32, 8, 4, 16)
    params = quick(lambda: network.init(KEY, (16,)))()
    blocks = params["body"][1]
    for leaf, deviation in (
        (params["embedding"]["table"], 0.02),
        (params["body"][0]["table"], 0.02),
        (blocks[0][1]["query"]["kernel"], 0.02),
        (blocks[0][1]["output"]["kernel"], 0.005),
        (blocks[1][1]["kernel"], 0.02),
        (blocks[1][3]["kernel"], 0.005),
    ):
        assert abs(np.std(leaf) / deviation - 1) < 0.07

    def length(depth):
        network = fn.transformer(50, 32, depth, 4, 16)
        shapes = jax.eval_shape(lambda: network.init(KEY, (16,)))
        loss, tokens = fn.SoftmaxCrossEntropy(), jax.ShapeDtypeStruct((2, 16), jnp.int32)
        step = jax.make_jaxpr(lambda p, x: fn.backprop(network, loss, p, x, x))(shapes, tokens)
        return str(step).count("=")

    assert length(12) == length(2)


def test_what_does_not_fit_is_refused():
    """Tokens that are floats, sequences longer than the context, a body of another width, heads that do not divide."""
    network = fn.transformer(7, 8, 1, 2, 5)
    with pytest.raises(TypeError, match="whole numbers"):
        network.check_input(jax.ShapeDtypeStruct((5,), jnp.float32))
    network.check_input(jax.ShapeDtypeStruct((5,), jnp.int32))
    for wrong, words in (
        (lambda: network.out_shape((6,)), "5 steps"),
        (lambda: fn.Tied(fn.Embedding(7, 8), fn.Dense(6)).out_shape((5,)), "embedding's width 8"),
        (lambda: fn.transformer(7, 8, 1, 3, 5).init(KEY, (5,)), "3 heads"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    with pytest.raises(TypeError, match="must be an Embedding"):
        fn.Tied(fn.Dense(3), fn.Dense(3))
