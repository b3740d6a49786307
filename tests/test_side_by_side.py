"""Convolutions in lanes: what the layer computes, in a loop over the lanes where they have kernels of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.sweeps.side_by_side import side_by_side
from tests.helpers import quick, sampled

LANES, SAMPLES = 3, 2
LAYERS = {
    "signals": (fn.Conv(4, 3, stride=2, dilation=2, padding=((3, 1),)), (9, 2)),
    "causal": (fn.Conv(3, 4, padding="causal", bias=False), (6, 5)),
    "images": (fn.Conv(3, (2, 3), stride=(1, 2)), (5, 7, 2)),
    "groups": (fn.Conv(4, 3, groups=2), (5, 2)),
    "transposed": (fn.ConvTranspose(3, (2, 3), stride=(1, 2)), (3, 4, 2)),
    "volumes": (fn.Conv(2, 2, padding="valid"), (3, 4, 5, 3)),
}


@pytest.mark.parametrize("name", sampled(LAYERS, lambda name: name in ("images", "transposed")))
def test_lanes_equal_the_layer(name):
    """Values and gradients of each lane, where x is its own and where all share it, against the layer by itself."""
    layer, shape = LAYERS[name]
    rng = np.random.default_rng(3)
    params = jax.vmap(lambda key: layer.init(key, shape, jnp.float64))(jax.random.split(jax.random.key(1), LANES))
    x = jnp.asarray(rng.normal(size=(LANES, SAMPLES, *shape)))
    dy = jnp.asarray(rng.normal(size=(LANES, SAMPLES, *layer.out_shape(shape))))

    def both(layer, params, x, dy):
        y, saved = layer.forward(params, x)
        return y, *layer.backward(params, saved, dy)

    lanes = side_by_side(layer)
    for shared in (False, True):
        one, axis = (x[0], None) if shared else (x, 0)
        found = quick(jax.vmap(lambda p, x, dy: both(lanes, p, x, dy), in_axes=(0, axis, 0)))(params, one, dy)
        for lane in range(LANES):
            own = {name: leaf[lane] for name, leaf in params.items()}
            wanted = both(layer, own, one if shared else x[lane], dy[lane])
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
                np.testing.assert_allclose(a[lane], b, rtol=1e-12, atol=1e-13)


def test_lanes_are_a_loop_and_no_convolution_with_groups():
    """On a CPU; on other platforms the mapped convolution stays."""
    layer = side_by_side(fn.Conv(4, 3))
    params = {"kernel": jnp.ones((LANES, 3, 2, 4)), "bias": jnp.ones((LANES, 4))}
    lanes = jax.jit(jax.vmap(layer.apply))
    x = jnp.ones((LANES, SAMPLES, 9, 2))
    texts = {name: jax.export.export(lanes, platforms=[name])(params, x).mlir_module() for name in ("cpu", "cuda")}
    assert "stablehlo.while" in texts["cpu"]
    assert "stablehlo.convolution" not in texts["cpu"]
    assert f"feature_group_count = {LANES}" in texts["cuda"]


def test_every_convolution_of_a_network_is_replaced():
    """However deep; the tree of numbers stays."""
    one, other = fn.Conv(4, 3), fn.ConvTranspose(4, 3)
    network = fn.Chain(one, fn.Residual(one, fn.Dropout(0.1)), fn.Repeat(one, 2), fn.Parallel(one, other))
    found = side_by_side(network)
    assert str(found).count("InLanes") == 5
    assert jax.tree.leaves(found) == jax.tree.leaves(network)
    assert side_by_side(fn.mlp(4, 3)) == fn.mlp(4, 3)


@pytest.mark.every
def test_a_sweep_of_convolutions_is_train():
    """Lanes end where each run by itself ends, to rounding."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 8, 2)), rng.integers(0, 3, 24)
    network = fn.Chain(fn.Conv(4, 3, stride=2), fn.relu, fn.Residual(fn.Conv(4, 3)), fn.Flatten(), fn.Dense(3))
    base = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.Adam(0.01), epochs=2, batch_size=8)
    results = fn.sweep(fn.grid(base, {"seed": range(3)}), (x, y), (x, y), progress=False)
    for seed in range(3):
        alone = fn.train(fn.replace(base, {"seed": seed}), (x, y), (x, y), progress=False)
        for name, column in alone.history.items():
            np.testing.assert_allclose(results.curves(seed)[name], column, rtol=1e-4, err_msg=name)
