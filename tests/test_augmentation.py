"""Noise, shifts and flips: only with a key, each sample by its own draw, gradients along the same way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn

KEY = jax.random.key(3)


@pytest.mark.parametrize("layer", [fn.Noise(0.5), fn.RandomShift(2), fn.RandomFlip(1)], ids=str)
def test_without_a_key_nothing_happens_and_no_samples_are_no_samples(layer, rng):
    x, dy = (jnp.asarray(rng.normal(size=(3, 4, 5, 2))) for _ in range(2))
    y, saved = layer.forward((), x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(layer.backward((), saved, dy)[1], dy)
    y, saved = layer.forward((), x[:0], KEY)
    assert layer.backward((), saved, y)[1].shape == (0, 4, 5, 2)


def test_noise_has_the_deviation_and_is_another_for_each_key():
    x = jnp.zeros((200, 300))
    y, saved = fn.Noise(0.5).forward((), x, KEY)
    assert float(y.std()) == pytest.approx(0.5, rel=0.01)
    assert abs(float(y.mean())) < 0.01
    assert not np.any(np.asarray(y) == np.asarray(fn.Noise(0.5).forward((), x, jax.random.key(4))[0]))
    np.testing.assert_array_equal(fn.Noise(0.5).backward((), saved, y)[1], y)


def test_samples_are_shifted_by_all_amounts_and_zeros_move_in(rng):
    x = rng.normal(size=(400, 3, 4, 2))
    y, saved = fn.RandomShift(1).forward((), jnp.asarray(x), KEY)
    dy = rng.normal(size=x.shape)
    dx = fn.RandomShift(1).backward((), saved, jnp.asarray(dy))[1]
    met = set()
    for n in range(len(x)):
        padded, dpadded = (np.pad(a[n], [(1, 1), (1, 1), (0, 0)]) for a in (x, dy))
        (found,) = [s for s in np.ndindex(3, 3) if np.array_equal(padded[s[0] : s[0] + 3, s[1] : s[1] + 4], y[n])]
        met.add(found)
        back = dpadded[2 - found[0] : 5 - found[0], 2 - found[1] : 6 - found[1]]
        np.testing.assert_array_equal(dx[n], back)
    assert met == set(np.ndindex(3, 3))


@pytest.mark.parametrize("axis", [0, 1])
def test_half_of_the_samples_are_mirrored(axis, rng):
    x = rng.normal(size=(400, 3, 4, 2))
    layer = fn.RandomFlip(axis)
    y, saved = layer.forward((), jnp.asarray(x), KEY)
    mirrored = np.array([np.array_equal(y[n], np.flip(x[n], axis)) for n in range(400)])
    same = np.array([np.array_equal(y[n], x[n]) for n in range(400)])
    assert np.all(mirrored ^ same)
    assert 160 < mirrored.sum() < 240
    # A flip undoes itself.
    np.testing.assert_array_equal(layer.backward((), saved, y)[1], x)


def test_what_does_not_fit_is_refused_in_words():
    for make, words in (
        (lambda: fn.Noise(-0.1), "at least 0"),
        (lambda: fn.RandomShift(-1), "at least 0"),
        (lambda: fn.RandomShift(1).out_shape((7,)), "channels in the last"),
        (lambda: fn.RandomFlip(2).out_shape((4, 3)), "axes of a sample"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.every
def test_a_sweep_over_the_deviation_gives_each_trial_its_own(rng):
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 2))
    network = fn.Chain(fn.Noise(0.1), fn.Dense(2))
    experiment = fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.05), batch_size=4, epochs=2)
    trials = fn.grid(experiment, {"network.layers.0.deviation": [0.0, 0.5, 1.0]})
    losses = [row.metrics["train_loss"] for row in fn.sweep(trials, (x, y), lanes=3).rows]
    assert len(set(losses)) == 3
    for trial, loss in zip(trials, losses, strict=True):
        run = fn.train(trial, (x, y))
        assert loss == pytest.approx(float(run.history["train_loss"][run.best_epoch]), rel=1e-5)
