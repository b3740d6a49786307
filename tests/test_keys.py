"""The random numbers of training: uniform, normal, uncorrelated, and never infinite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import keys


def correlation(a, b):
    """Return the correlation of two samples in units of its standard deviation under independence."""
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1] * np.sqrt(np.size(a)))


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_uniform_numbers_fill_every_bin(seed):
    """A χ² test over 256 bins, of all numbers and of every eighth bit position's worth of low digits."""
    u = np.asarray(keys.uniform(jax.random.key(seed), (1 << 16,)), np.float64)
    for digits in (u, (u * 2**8) % 1, (u * 2**16) % 1):
        counts = np.histogram(digits, 256, (0, 1))[0]
        chi = np.sum((counts - 256) ** 2 / 256)
        assert abs(chi - 255) < 5 * np.sqrt(2 * 255)


def test_neighbours_steps_and_keys_are_uncorrelated():
    """Between neighbours in a row and a column, consecutive steps, layers, seeds, and keys that differ in one bit."""
    key = jax.random.key(7)
    u = np.asarray(keys.uniform(key, (256, 256)))
    pairs = [(u[:, 1:], u[:, :-1]), (u[1:], u[:-1]), (u[:, 64:], u[:, :-64])]
    for number in (0, 1, 2, 1000):
        pairs.append(
            (keys.uniform(keys.fold(key, number), (256, 256)), keys.uniform(keys.fold(key, number + 1), (256, 256)))
        )
    for bit in range(0, 32, 5):
        pairs.append((u, keys.uniform(jax.random.key(7 ^ (1 << bit) if bit < 31 else 0), (256, 256))))
    pairs.append((u, keys.uniform(keys.fold(key, 0), (256, 256))))
    scores = [correlation(a, b) for a, b in pairs]
    assert max(map(abs, scores)) < 4.5, scores
    assert abs(correlation(u, 0.05 * u + np.asarray(keys.uniform(jax.random.key(8), (256, 256))))) > 4.5


def test_every_bit_of_a_key_flips_half_of_the_bits():
    """Avalanche: changing one bit of the seed or of the folded number flips about half of the derived key's bits."""

    def word(seed, number):
        return np.asarray(jax.random.key_data(keys.fold(jax.random.key(seed), number)), np.uint32)

    flips = []
    for bit in range(30):
        for a, b in ((word(12345, 6), word(12345 ^ (1 << bit), 6)), (word(12345, 6), word(12345, 6 ^ (1 << bit)))):
            flips.append(np.unpackbits((a ^ b).view(np.uint8)).mean())
    assert abs(np.mean(flips) - 0.5) < 0.03
    assert min(flips) > 0.25


def test_normal_numbers():
    """Moments and tails of a million draws; the most extreme words give finite numbers."""
    z = np.asarray(keys.normal(jax.random.key(3), (1 << 20,)), np.float64)
    n = np.sqrt(z.size)
    assert abs(z.mean()) < 5 / n
    assert abs(z.var() - 1) < 5 * np.sqrt(2) / n
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96) / n
    assert abs((np.abs(z) > 3).mean() - 0.0026998) < 5 * np.sqrt(0.0027) / n
    ends = np.asarray(keys._normal_from_bits(jnp.asarray([0, 2**32 - 1, 2**31], jnp.uint32)))
    assert np.isfinite(ends).all()
    assert ends[0] == -ends[1]
    assert 5.2 < ends[1] < 5.35


def test_orders_are_permutations_without_a_favourite():
    """Each sample is as likely in each place; consecutive epochs differ."""
    epochs = jnp.arange(2000)
    orders = np.asarray(jax.vmap(lambda epoch: keys.order(keys.fold(jax.random.key(0), epoch), 8))(epochs))
    assert np.array_equal(np.sort(orders, axis=1), np.broadcast_to(np.arange(8), orders.shape))
    counts = np.stack([np.bincount(orders[:, place], minlength=8) for place in range(8)])
    assert np.sum((counts - 250) ** 2 / 250) < 49 + 5 * np.sqrt(2 * 49)


@pytest.mark.parametrize("wide", [False, True])
def test_an_order_sorts_the_words_and_ties_keep_theirs(wide, monkeypatch):
    """The packed sort is the stable sort of the words, in 32-bit mode and in 64-bit mode, eager and jitted."""
    words = np.random.default_rng(1).integers(0, 2**32, 500, dtype=np.uint32)
    words[[7, 90, 301]] = words[42]
    words[[0, 499]] = 2**32 - 1, 0
    monkeypatch.setattr(keys, "_bits", lambda key, shape: jnp.asarray(words))
    wanted = np.argsort(words, kind="stable")
    with jax.enable_x64(wide):
        for draw in (keys.order.__wrapped__, jax.jit(keys.order.__wrapped__, static_argnums=1)):
            found = draw(jax.random.key(0), 500)
            assert found.dtype == jnp.int32
            assert np.array_equal(found, wanted)


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_any_kind_of_key(implementation):
    """Typed keys of either length, and raw ones, derive distinct keys of their own kind."""
    typed = jax.random.key(5, impl=implementation)
    derived = [keys.fold(typed, i) for i in range(3)]
    assert all(d.dtype == typed.dtype for d in derived)
    assert len({tuple(np.asarray(jax.random.key_data(d)).tolist()) for d in derived}) == 3
    raw = jax.random.key_data(typed)
    assert np.array_equal(keys.fold(raw, 1), jax.random.key_data(derived[1]))
    assert np.array_equal(keys.uniform(raw, (4,)), keys.uniform(typed, (4,)))


@pytest.mark.parametrize("generator", ["rbg", "unsafe_rbg"])
def test_a_seed_means_the_same_under_another_default_generator(generator):
    """Initial parameters, orders, dropout and random coordinates follow the seed alone, not JAX's default."""
    x = np.linspace(-1, 1, 36, dtype=np.float32).reshape(12, 3)
    y = (np.arange(12) % 2).astype(np.int32)
    network = fn.mlp(4, 2, dropout=0.3)

    def runs():
        sgd = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.SGD(0.1), batch_size=5, epochs=2, seed=3)
        coordinate = fn.CoordinateDescent(0.1, order="random", seed=5)
        other = fn.Experiment(fn.Dense(2), fn.SoftmaxCrossEntropy(), coordinate, batch_size=None, epochs=2)
        return [fn.train(one, (x, y), progress=False).params for one in (sgd, other)]

    default = runs()
    with jax.default_prng_impl(generator):
        again = runs()
    for a, b in zip(jax.tree.leaves(default), jax.tree.leaves(again), strict=True):
        assert np.array_equal(a, b)
