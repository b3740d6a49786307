"""Normalisations against NumPy and arbitrary precision: means of 1e5, zero variance, one sample, running numbers."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import funcnet as fn

KEY = jax.random.key(0)
SETS = {  # layer: the axes over which a reference of (samples, places, groups, channels of a group) takes its moments
    "BatchNorm": (fn.BatchNorm(), (0, 1), 1),
    "LayerNorm": (fn.LayerNorm(), (3,), 1),
    "GroupNorm": (fn.GroupNorm(3), (1, 3), 3),
    "RMSNorm": (fn.RMSNorm(), (3,), 1),
}


def reference(name, layer, axes, groups, x, params, dy):
    """Return y and dx by differentiating the formula in each direction: the whole Jacobian, in NumPy."""
    split = x.reshape(len(x), x.shape[1], groups, -1)

    def normal(split):
        # BatchNorm's set of a channel: all samples and places, each channel by itself.
        mean = 0.0 if name == "RMSNorm" else split.mean(axis=axes, keepdims=True)
        power = ((split - mean) ** 2).mean(axis=axes, keepdims=True)
        return (split - mean) / np.sqrt(power + layer.epsilon)

    def value(x):
        y = normal(x.reshape(split.shape)).reshape(x.shape) * params["scale"]
        return y + params["offset"] if "offset" in params else y

    dx, step = np.zeros_like(x), 1e-6
    for at in np.ndindex(*x.shape):
        moved = np.zeros_like(x)
        moved[at] = step
        dx[at] = np.sum(dy * (value(x + moved) - value(x - moved))) / (2 * step)
    return value(x), dx, np.sum(dy * normal(split).reshape(x.shape), axis=(0, 1)), dy.sum(axis=(0, 1))


@pytest.mark.parametrize("name", SETS)
def test_values_and_gradients_are_those_of_the_formula(name, rng):
    layer, axes, groups = SETS[name]
    x, dy = rng.normal(size=(2, 3, 6)) + 0.5, rng.normal(size=(2, 3, 6))
    params = layer.init(KEY, (3, 6), jnp.float64)
    params = {key: leaf + 0.3 * rng.random(leaf.shape) for key, leaf in params.items()}
    y, saved = layer.forward(params, jnp.asarray(x), KEY)
    dparams, dx = layer.backward(params, saved, jnp.asarray(dy))
    wanted, wanted_dx, dscale, doffset = reference(
        name, layer, axes, groups, x, {k: np.asarray(v) for k, v in params.items()}, dy
    )
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(dparams["scale"], dscale, rtol=1e-11, atol=1e-12)
    if "offset" in params:
        np.testing.assert_allclose(dparams["offset"], doffset, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm", "GroupNorm"])
def test_large_means_in_float32_keep_their_variance(name, mean, rng):
    """E[x²] − E[x]² would be 0, or negative, at 1e5: the error here is the rounding of the mean, and no more."""
    layer, axes, groups = SETS[name]
    x = (rng.normal(size=(64, 5, 12)) + mean).astype(np.float32)
    params = layer.init(KEY, (5, 12), jnp.float32)
    y, saved = layer.forward(params, jnp.asarray(x), KEY)
    split = x.astype(np.float64).reshape(64, 5, groups, -1)
    centered = split - split.mean(axis=axes, keepdims=True)
    wanted = centered / np.sqrt((centered**2).mean(axis=axes, keepdims=True) + layer.epsilon)
    assert y.dtype == np.float32
    # A sum in float32 is right to a few units in its last place, and so is the mean: 2⁻⁷ each at 1e5.
    np.testing.assert_allclose(y, wanted.reshape(x.shape), atol=1e-5 + mean * 2.0**-21, rtol=1e-4)
    dx = layer.backward(params, saved, jnp.asarray(rng.normal(size=x.shape), jnp.float32))[1]
    assert np.all(np.isfinite(dx))


def test_a_formula_that_subtracts_squares_would_fail_where_ours_does_not(rng):
    x = (rng.normal(size=4096) + 1e5).astype(np.float32)
    short = np.mean(x * x) - np.mean(x) ** 2
    assert abs(float(short) - 1) > 0.5
    _, saved = fn.BatchNorm().forward(fn.BatchNorm().init(KEY, (1,), jnp.float32), jnp.asarray(x)[:, None], KEY)
    assert float(saved[3][1].ravel()[0]) == pytest.approx(float(np.var(x.astype(np.float64))), rel=1e-3)


@pytest.mark.parametrize("name", SETS)
def test_zero_variance_gives_the_offset_and_finite_gradients(name):
    layer = SETS[name][0]
    value = 0.0 if name == "RMSNorm" else 7.0
    params = layer.init(KEY, (2, 6), jnp.float64)
    params = params | ({"offset": jnp.full(6, 0.5)} if "offset" in params else {})
    y, saved = layer.forward(params, jnp.full((3, 2, 6), value), KEY)
    np.testing.assert_array_equal(y, np.full((3, 2, 6), 0.5 if "offset" in params else 0.0))
    dparams, dx = layer.backward(params, saved, jnp.cos(jnp.arange(36.0)).reshape(3, 2, 6))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((dparams, dx)))


def test_no_samples_give_none_and_no_gradient():
    for layer in (fn.LayerNorm(), fn.RMSNorm(), fn.GroupNorm(3)):
        params, x = layer.init(KEY, (2, 6), jnp.float64), jnp.zeros((0, 2, 6))
        y, saved = layer.forward(params, x)
        dparams, dx = layer.backward(params, saved, y)
        assert y.shape == dx.shape == x.shape
        assert not any(np.any(leaf) for leaf in dparams.values())


def test_a_constant_moves_nothing_and_a_gradient_has_no_part_along_it(rng):
    """x̂ does not change when x is moved or stretched as a whole: Σ dx = 0 and, but for ε, Σ x̂ dx = 0."""
    x, dy = rng.normal(size=(7, 5)), rng.normal(size=(7, 5))
    for layer, axis in ((fn.BatchNorm(epsilon=1e-12), 0), (fn.LayerNorm(1e-12), 1)):
        params = layer.init(KEY, (5,), jnp.float64)
        y, saved = layer.forward(params, jnp.asarray(x), KEY)
        dx = np.asarray(layer.backward(params, saved, jnp.asarray(dy))[1])
        np.testing.assert_allclose(dx.sum(axis=axis), 0, atol=1e-13)
        np.testing.assert_allclose((np.asarray(y) * dx).sum(axis=axis), 0, atol=1e-10)


@pytest.mark.parametrize("unbiased", [False, True])
def test_running_numbers_follow_the_batches(unbiased):
    """Three batches by exact arithmetic: momentum weighs the old value."""
    layer = fn.BatchNorm(0.75, unbiased=unbiased)
    params = layer.init(KEY, (1,), jnp.float64)
    mean, variance = mpmath.mpf(0), mpmath.mpf(1)
    for batch in ([1.0, 3.0, 8.0], [2.0, -1.0, 5.0], [0.5, 0.25, 4.0]):
        _, saved = layer.forward(params, jnp.asarray(batch)[:, None], KEY)
        params = layer.refresh(params, saved)
        own = mpmath.fsum(batch) / 3
        spread = mpmath.fsum([(mpmath.mpf(v) - own) ** 2 for v in batch]) / (2 if unbiased else 3)
        mean, variance = 0.75 * mean + 0.25 * own, 0.75 * variance + 0.25 * spread
    assert float(params["mean"][0]) == pytest.approx(float(mean), rel=1e-14)
    assert float(params["variance"][0]) == pytest.approx(float(variance), rel=1e-14)
    y = layer.apply(params, jnp.asarray([[2.0]]))
    assert float(y[0, 0]) == pytest.approx(float((2 - mean) / mpmath.sqrt(variance + mpmath.mpf(1e-5))), rel=1e-12)
    # Evaluation moves nothing.
    assert layer.refresh(params, layer.forward(params, jnp.asarray([[2.0]]))[1]) is params


def test_one_number_a_channel_is_refused_in_training_alone():
    layer = fn.BatchNorm()
    params = layer.init(KEY, (3,), jnp.float64)
    with pytest.raises(ValueError, match="needs a batch"):
        layer.forward(params, jnp.ones((1, 3)), KEY)
    assert layer.apply(params, jnp.ones((1, 3))).shape == (1, 3)
    # One image has many numbers a channel.
    image = fn.BatchNorm().init(KEY, (2, 3), jnp.float64)
    assert layer.forward(image, jnp.ones((1, 2, 3)), KEY)[0].shape == (1, 2, 3)


def test_running_numbers_have_no_gradient_and_a_bias_before_has_none_either(rng):
    network = fn.Chain(fn.Dense(4), fn.BatchNorm())
    params = network.init(KEY, (3,), jnp.float64)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    _, gradient = fn.backprop(network, fn.MeanSquaredError(), params, jnp.asarray(x), jnp.asarray(y), key=KEY)
    np.testing.assert_array_equal(gradient[1]["mean"], np.zeros(4))
    np.testing.assert_array_equal(gradient[1]["variance"], np.zeros(4))
    np.testing.assert_allclose(gradient[0]["bias"], 0, atol=1e-15)


@pytest.mark.every
def test_training_moves_the_running_numbers_and_lanes_have_their_own(rng):
    x, y = rng.normal(size=(12, 3)) + 5, rng.normal(size=(12, 2))
    network = fn.Chain(fn.BatchNorm(0.5), fn.Dense(2))
    experiment = fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.01), batch_size=4, epochs=4)
    run = fn.train(experiment, (x, y))
    assert np.all(np.abs(np.asarray(run.params[0]["mean"]) - 5) < 1.5)
    trials = fn.grid(experiment, {"network.layers.0.momentum": [0.0, 0.5, 0.9]})
    losses = [row.metrics["train_loss"] for row in fn.sweep(trials, (x, y), (x, y), lanes=3).rows]
    for trial, loss in zip(trials, losses, strict=True):
        alone = fn.train(trial, (x, y), (x, y))
        assert loss == pytest.approx(float(alone.history["train_loss"][alone.best_epoch]), rel=1e-5)


def test_groups_of_one_channel_and_one_group(rng):
    x = jnp.asarray(rng.normal(size=(3, 4, 6)))
    params = fn.GroupNorm(1).init(KEY, (4, 6), jnp.float64)
    flat = fn.LayerNorm().apply({"scale": jnp.ones(24), "offset": jnp.zeros(24)}, x.reshape(3, 24))
    np.testing.assert_allclose(fn.GroupNorm(1).apply(params, x).reshape(3, 24), flat, rtol=1e-12)
    each = (x - x.mean(axis=1, keepdims=True)) / jnp.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(fn.GroupNorm(6).apply(params, x), each, rtol=1e-12)
    with pytest.raises(ValueError, match="group"):
        fn.GroupNorm(4).out_shape((4, 6))
