"""Pools against loops over windows in NumPy: every option, ties, NaN, infinities, padding, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from tests.helpers import quick

# window, stride, pads, shape (samples, *space, channels): side by side, overlapping, with gaps, with ends never read.
OPTIONS = [
    ((2,), (2,), ((0, 0),), (3, 5, 2)),
    ((3,), (1,), ((2, 1),), (2, 4, 3)),
    ((2, 2), (2, 2), ((0, 0), (0, 0)), (2, 4, 6, 3)),
    ((3, 2), (2, 1), ((1, 1), (0, 1)), (2, 5, 4, 3)),
    ((2, 3), (3, 4), ((1, 0), (2, 0)), (2, 7, 8, 2)),
    ((2, 1, 2), (2, 1, 1), ((1, 0), (0, 0), (0, 1)), (2, 3, 2, 4, 3)),
]


def by_windows(x, dy, window, stride, pads, kind, count_padding=False):
    """Return y and dx, window by window; the first of the largest numbers of x itself takes the gradient."""
    space = x.shape[1:-1]
    padded = np.array([n + lo + hi for n, (lo, hi) in zip(space, pads, strict=True)])
    places = [(n - k) // s + 1 for n, k, s in zip(padded, window, stride, strict=True)]
    y, dx = np.zeros((len(x), *places, x.shape[-1])), np.zeros_like(x)
    for p in np.ndindex(*places):
        reads = []
        for t in np.ndindex(*window):
            q = tuple(a * s + b - lo for a, s, b, (lo, _) in zip(p, stride, t, pads, strict=True))
            if all(0 <= a < n for a, n in zip(q, space, strict=True)):
                reads.append(q)
        for n in range(len(x)):
            for c in range(x.shape[-1]):
                seen = [x[(n, *q, c)] for q in reads]
                at = (n, *p, c)
                if kind == "max":
                    y[at] = np.max(seen, initial=-np.inf)
                    if seen:
                        dx[(n, *reads[int(np.argmax(seen))], c)] += 0 if dy is None else dy[at]
                else:
                    count = np.prod(window) if count_padding else max(len(seen), 1)
                    y[at] = sum(seen) / count
                    for q in reads:
                        dx[(n, *q, c)] += 0 if dy is None else dy[at] / count
    return y, dx


@quick
def passes(layer, x, dy):
    """Return what a layer makes of x forward, and of dy backward, in one program."""
    y, saved = layer.forward((), x)
    return y, *layer.backward((), saved, dy)


def compared(layer, x, rng, *reference):
    dy = rng.normal(size=(len(x), *layer.out_shape(x.shape[1:])))
    y, nothing, dx = passes(layer, x, dy)
    wanted, wanted_dx = by_windows(x, dy, *reference)
    assert nothing == ()
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-12, atol=1e-13)
    return np.asarray(y), np.asarray(dx)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_largest_numbers_and_means_window_by_window(options, rng):
    window, stride, pads, shape = options
    x = rng.normal(size=shape)
    largest, routed = compared(fn.MaxPool(window, stride=stride, padding=pads), x, rng, window, stride, pads, "max")
    assert np.count_nonzero(routed) <= largest.size, "a window sends its gradient to more than one place"
    # Few values, so that most windows have ties.
    tied = rng.integers(0, 2, shape).astype(np.float64)
    compared(fn.MaxPool(window, stride=stride, padding=pads), tied, rng, window, stride, pads, "max")
    for count in (False, True):
        layer = fn.AveragePool(window, stride=stride, padding=pads, count_padding=count)
        means, _ = compared(layer, x, rng, window, stride, pads, "mean", count)
        assert np.all(means <= np.maximum(largest, 0))


def test_the_comparison_notices_a_gradient_that_is_shared_by_ties(rng):
    x = np.ones((1, 2, 1))
    y, _ = by_windows(x, None, (2,), (2,), ((0, 0),), "max")
    _, first = by_windows(x, np.ones_like(y), (2,), (2,), ((0, 0),), "max")
    shared = jax.vjp(lambda x: jnp.max(x, axis=1, keepdims=True), jnp.asarray(x))[1](jnp.ones((1, 1, 1)))[0]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(shared, first)


@pytest.mark.parametrize("stride", [2, 1])
def test_a_nan_is_the_largest_and_takes_the_gradient(stride):
    x = jnp.asarray([1.0, np.nan, 2.0, 0.0, np.nan, np.nan]).reshape(1, 6, 1)
    layer = fn.MaxPool(2, stride=stride)
    size = 6 // stride - (stride == 1)
    y, _, dx = passes(layer, x, jnp.arange(1.0, size + 1).reshape(1, size, 1))
    wanted = [0, 1, 2, 0, 3, 0] if stride == 2 else [0, 3, 3, 0, 9, 0]
    assert np.isnan(y.ravel()).tolist() == ([True, False, True] if stride == 2 else [True, True, False, True, True])
    np.testing.assert_array_equal(dx.ravel(), wanted)


@pytest.mark.parametrize("layer", [fn.MaxPool(2), fn.MaxPool(8), fn.MaxPool(3, padding="same"), fn.GlobalMaxPool()])
def test_a_nan_in_a_large_array_is_the_largest(layer):
    """In many more numbers than a small test has a compiler's own maximum may work otherwise."""
    x = np.zeros((4, 32, 32, 3), np.float32)
    x[1, 17, 9, 2] = np.nan

    def both(x):
        y, saved = layer.forward((), x)
        return y, layer.backward((), saved, jnp.ones_like(y))[1]

    y, dx = (np.asarray(a) for a in jax.jit(both)(x))
    assert np.isnan(y).sum() == np.isnan(y[1, ..., 2]).sum() == 1
    assert dx[1, 17, 9, 2] == 1


def test_infinities_inside_take_gradients_and_padding_takes_none():
    x = jnp.full((1, 2, 1), -jnp.inf)
    layer = fn.MaxPool(3, stride=2, padding=((3, 1),))
    y, saved = layer.forward((), x)
    dx = layer.backward((), saved, jnp.asarray([[[5.0], [7.0]]]))[1]
    np.testing.assert_array_equal(y.ravel(), [-np.inf, -np.inf])  # the first window is padding alone
    np.testing.assert_array_equal(dx.ravel(), [7.0, 0.0])
    alone = fn.AveragePool(3, stride=2, padding=((3, 1),))
    mean, saved = alone.forward((), jnp.asarray([[[3.0], [4.0]]]))
    np.testing.assert_array_equal(mean.ravel(), [0.0, 3.5])
    np.testing.assert_array_equal(alone.backward((), saved, mean)[1].ravel(), [1.75, 1.75])


def test_zeros_of_both_signs_are_equal_and_the_first_takes_all():
    for values in ([-0.0, 0.0], [0.0, -0.0]):
        x = jnp.asarray(values).reshape(1, 2, 1)
        for layer in (fn.MaxPool(2), fn.GlobalMaxPool()):
            dx = passes(layer, x, np.full((1, *layer.out_shape((2, 1))), 3.0))[2]
            np.testing.assert_array_equal(dx.ravel(), [3.0, 0.0])


def test_global_pools_are_pools_with_one_window(rng):
    x, dy = rng.integers(0, 4, (3, 4, 5, 2)).astype(np.float64), rng.normal(size=(3, 2))
    x[1, 2, 3, 1] = np.nan
    for whole, windowed in (
        (fn.GlobalMaxPool(), fn.MaxPool((4, 5))),
        (fn.GlobalAveragePool(), fn.AveragePool((4, 5))),
    ):
        (y, _, dx), (other, _, wanted) = passes(whole, x, dy), passes(windowed, x, dy[:, None, None])
        np.testing.assert_allclose(y, other[:, 0, 0], rtol=1e-14)
        np.testing.assert_allclose(dx, wanted, rtol=1e-14)


LAYERS = (
    fn.MaxPool(2),
    fn.MaxPool(2, stride=1),
    fn.AveragePool((2, 1), padding="same"),
    fn.GlobalAveragePool(),
    fn.GlobalMaxPool(),
    fn.Flatten(),
    fn.Reshape((-1, 3)),
)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_no_samples_and_lanes(layer, rng):
    def both(x):
        y, saved = layer.forward((), x)
        return y, layer.backward((), saved, jnp.cos(y))[1]

    each = quick(lambda x: (jax.vmap(both)(x), both(x[0]), both(x[1]), both(x[0, :0])))
    (y, dx), *alone, (none, no_dx) = each(rng.normal(size=(2, 3, 4, 5, 3)))
    for lane, (own, own_dx) in enumerate(alone):
        np.testing.assert_allclose(y[lane], own, rtol=1e-14)
        np.testing.assert_allclose(dx[lane], own_dx, rtol=1e-13)
    assert (none.shape, no_dx.shape) == ((0, *layer.out_shape((4, 5, 3))), (0, 4, 5, 3))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: fn.MaxPool(3).out_shape((2, 8, 1)), ValueError, "must fit into the padded input"),
        (lambda: fn.MaxPool(0), ValueError, "window must be at least 1"),
        (lambda: fn.MaxPool(2, padding="causal"), ValueError, "'valid', 'same', or a pair"),
        (lambda: fn.AveragePool(2, padding=((0, -1),)), ValueError, "at least 0"),
        (lambda: fn.MaxPool(2).forward((), np.zeros((2, 4, 4, 1), np.int32)), TypeError, "floating-point"),
        (lambda: fn.MaxPool(2).check_input(jax.ShapeDtypeStruct((4, 4, 1), np.uint8)), TypeError, "floating-point"),
        (lambda: fn.GlobalMaxPool().out_shape((7,)), ValueError, "channels in the last"),
        (lambda: fn.GlobalMaxPool().out_shape((0, 3)), ValueError, "at least one place"),
        (lambda: fn.Reshape((3, 5)).out_shape((4, 4)), ValueError, "fill the shape"),
        (lambda: fn.Reshape((-1, -1)), ValueError, "one −1"),
        (lambda: fn.Reshape(12), TypeError, "must be a tuple"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make()
    assert len(str(caught.value)) <= 300


@pytest.mark.every
def test_a_network_of_them_is_costed_traced_trained_and_swept(rng):
    network = fn.Chain(fn.Conv(3, 3), fn.MaxPool(2), fn.relu, fn.AveragePool(2), fn.Flatten(), fn.Dense(4))
    cost = fn.cost(network, (8, 4, 2), 5)
    assert cost.rows[1].forward.elementwise == 5 * (4 * 2 * 3) * 3  # three maxima for each window of four
    x, y = rng.normal(size=(10, 8, 4, 2)), rng.integers(0, 4, 10)
    params = network.init(jax.random.key(0), (8, 4, 2))
    found = fn.trace(network, fn.SoftmaxCrossEntropy(), params, x, y)
    value, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, y)
    assert found.loss == value
    jax.tree.map(np.testing.assert_array_equal, found.gradient, gradient)
    experiment = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.SGD(0.05), batch_size=4, epochs=2)
    trials = fn.grid(experiment, {"optimizer.learning_rate": [0.01, 0.05, 0.1]})
    for trial, row in zip(trials, fn.sweep(trials, (x, y), lanes=3).rows, strict=True):
        run = fn.train(trial, (x, y))
        assert row.metrics["train_loss"] == pytest.approx(float(run.history["train_loss"][run.best_epoch]), rel=1e-5)


def test_what_comes_before_a_pool_suits_the_activation_behind_it():
    network = fn.Chain(fn.Conv(300, 3), fn.MaxPool(2), fn.relu)
    kernel = network.init(jax.random.key(0), (6, 6, 20))[0]["kernel"]
    assert float(kernel.std()) == pytest.approx((2 / (9 * 20)) ** 0.5, rel=0.02)
