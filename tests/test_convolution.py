"""Convolutions against sums over taps written out in NumPy: every option, both passes, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import convolving

# window, stride, padding, dilation, groups, (samples, *space, in), features: sizes all different, ends never read.
OPTIONS = [
    ((3,), (2,), "causal", (2,), 1, (2, 9, 3), 4),
    ((2,), (3,), "valid", (1,), 2, (3, 9, 4), 6),
    ((4,), (1,), "same", (1,), 1, (2, 7, 1), 3),
    ((3, 2), (2, 3), ((0, 2), (1, 0)), (1, 2), 1, (2, 7, 8, 3), 4),
    ((2, 3), (2, 1), "same", (2, 1), 3, (2, 5, 6, 3), 6),
    ((3, 2), (1, 2), "valid", (1, 1), 2, (3, 5, 4, 4), 2),
    ((2, 3), (2, 3), ((1, 0), (3, 2)), (2, 1), 5, (2, 6, 5, 5), 5),
    ((2, 1, 3), (1, 2, 2), "same", (1, 1, 2), 2, (2, 3, 4, 5, 4), 2),
]


def pads_of(window, stride, padding, dilation, space):
    """Return the padding by the rules as they are stated, written a second time."""
    found = padding
    if padding == "valid":
        found = [(0, 0)] * len(space)
    if padding == "causal":
        found = [((window[0] - 1) * dilation[0], 0)]
    if padding == "same":
        found = []
        for k, s, d, n in zip(window, stride, dilation, space, strict=True):
            total = max((int(np.ceil(n / s)) - 1) * s + (k - 1) * d + 1 - n, 0)
            found.append((total // 2, (total + 1) // 2))
    return list(found)


def by_taps(x, kernel, dy, stride, pads, dilation, groups):
    """Return y, dx and dW, place by place and tap by tap."""
    window, space = kernel.shape[:-2], x.shape[1:-1]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    places = [(n - r) // s + 1 for n, r, s in zip(padded.shape[1:-1], reach, stride, strict=True)]
    own, out = kernel.shape[-2], kernel.shape[-1] // groups
    y = np.zeros((len(x), *places, kernel.shape[-1]))
    dpadded, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
    dy = np.zeros_like(y) if dy is None else dy
    for place in np.ndindex(*places):
        for tap in np.ndindex(*window):
            q = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
            for g in range(groups):
                i, o = slice(g * own, (g + 1) * own), slice(g * out, (g + 1) * out)
                y[(slice(None), *place, o)] += padded[(slice(None), *q, i)] @ kernel[(*tap, slice(None), o)]
                dkernel[(*tap, slice(None), o)] += padded[(slice(None), *q, i)].T @ dy[(slice(None), *place, o)]
                dpadded[(slice(None), *q, i)] += dy[(slice(None), *place, o)] @ kernel[(*tap, slice(None), o)].T
    inner = tuple(slice(lo, lo + n) for (lo, _), n in zip(pads, space, strict=True))
    return y, dpadded[(slice(None), *inner)], dkernel


def close(found, wanted):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_convolution_is_its_sum_over_taps(options, rng):
    window, stride, padding, dilation, groups, shape, features = options
    layer = fn.Conv(features, window, stride=stride, padding=padding, dilation=dilation, groups=groups)
    x, kernel = rng.normal(size=shape), rng.normal(size=(*window, shape[-1] // groups, features))
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(rng.normal(size=features))}
    pads = pads_of(window, stride, padding, dilation, shape[1:-1])
    y, saved = layer.forward(params, jnp.asarray(x))
    assert y.shape[1:] == layer.out_shape(shape[1:])
    dy = rng.normal(size=y.shape)
    dparams, dx = layer.backward(params, saved, jnp.asarray(dy))
    wanted, wanted_dx, wanted_kernel = by_taps(x, kernel, dy, stride, pads, dilation, groups)
    close(np.asarray(y), wanted + np.asarray(params["bias"]))
    close(np.asarray(dx), wanted_dx)
    close(np.asarray(dparams["kernel"]), wanted_kernel)
    close(np.asarray(dparams["bias"]), dy.sum(axis=tuple(range(dy.ndim - 1))))
    # The adjoint: ⟨dy, conv(v)⟩ = ⟨dx, v⟩, for the part that is linear in x.
    v = rng.normal(size=shape)
    linear = by_taps(v, kernel, None, stride, pads, dilation, groups)[0]
    assert np.vdot(dy, linear) == pytest.approx(np.vdot(np.asarray(dx), v), rel=1e-11, abs=1e-11)


def test_a_group_for_each_channel_is_the_same_written_out_as_a_grouped_convolution(rng, monkeypatch):
    layer = fn.Conv(3, (3, 2), stride=(2, 1), dilation=(1, 2), groups=3)
    x = jnp.asarray(rng.normal(size=(2, 6, 5, 3)))
    params = layer.init(jax.random.key(0), x.shape[1:], jnp.float64)
    y, saved = layer.forward(params, x)
    dy = jnp.asarray(rng.normal(size=y.shape))
    shifted = (y, *layer.backward(params, saved, dy))
    assert "conv_general_dilated" not in str(jax.make_jaxpr(lambda p: layer.forward(p, x)[0])(params))
    monkeypatch.setattr(convolving, "MOST_TAPS", 0)
    assert "conv_general_dilated" in str(jax.make_jaxpr(lambda p: layer.forward(p, x)[0])(params))
    grouped = (layer.forward(params, x)[0], *layer.backward(params, saved, dy))
    jax.tree.map(lambda a, b: close(np.asarray(a), np.asarray(b)), shifted, grouped)


def test_the_way_back_to_the_input_stays_fast_in_a_loop():
    """In a loop too, a CPU is given the axes of the kernel in the order that its fast convolution takes."""
    layer, kernel, dy = fn.Conv(5, 3), jnp.ones((3, 3, 4, 5)), jnp.ones((2, 6, 7, 5))

    def train(kernel, dy):
        def back(_, k):
            return k + jnp.sum(convolving.to_input(dy, k, layer.frame((6, 7)), 1))

        return jax.lax.fori_loop(0, 2, back, kernel)

    text = jax.jit(train).lower(kernel, dy).compile().as_text()
    found = [line for line in text.splitlines() if " convolution(" in line]
    assert found
    assert all("dim_labels=b01f_01io->b01f" in line for line in found if jax.default_backend() == "cpu"), found


def test_lanes_with_kernels_of_their_own_get_their_own_gradients(rng):
    layer = fn.Conv(4, (2, 3), stride=2, groups=2)
    x = jnp.asarray(rng.normal(size=(3, 2, 5, 6, 4)))
    kernels = {"kernel": jnp.asarray(rng.normal(size=(3, 2, 3, 2, 4))), "bias": jnp.asarray(rng.normal(size=(3, 4)))}
    dy = jnp.asarray(rng.normal(size=(3, 2, 3, 3, 4)))

    def both(params, x, dy):
        y, saved = layer.forward(params, x)
        return y, layer.backward(params, saved, dy)

    lanes = jax.vmap(both)(kernels, x, dy)
    for lane in range(3):
        alone = both(jax.tree.map(lambda a, lane=lane: a[lane], kernels), x[lane], dy[lane])
        jax.tree.map(lambda a, b, lane=lane: close(np.asarray(a[lane]), np.asarray(b)), lanes, alone)
    found = np.asarray(lanes[1][0]["kernel"])
    assert all(np.abs(found[a] - found[b]).max() > 0.1 for a, b in ((0, 1), (1, 2), (0, 2))), "lanes share a gradient"


def test_no_samples_give_no_outputs_and_zero_gradients():
    layer = fn.Conv(3, 2)
    params = layer.init(jax.random.key(0), (5, 2), jnp.float64)
    y, saved = layer.forward(params, jnp.zeros((0, 5, 2)))
    dparams, dx = layer.backward(params, saved, y)
    assert (y.shape, dx.shape) == ((0, 5, 3), (0, 5, 2))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(dparams))


def test_a_kernel_suits_the_activation_behind_it():
    chain = fn.Chain(fn.Conv(300, 3), fn.relu)
    kernel = chain.init(jax.random.key(0), (5, 5, 20))[0]["kernel"]
    assert kernel.shape == (3, 3, 20, 300)
    assert float(kernel.std()) == pytest.approx((2 / (9 * 20)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fn.Conv(4, 3).check_input(jax.ShapeDtypeStruct((1, 28, 28), np.float32)), "the last axis has 28"),
        (lambda: fn.Conv(4, 5, padding="valid").out_shape((3, 8, 1)), r"must fit into the padded input.*\(5, 5\)"),
        (lambda: fn.Conv(4, 3, groups=3), "multiple of its groups"),
        (lambda: fn.Conv(4, 3, groups=2).out_shape((8, 3)), "the last axis has 3, channels come last"),
        (lambda: fn.Conv(4, 3, padding=((-1, 0),)), "padding must be at least 0"),
        (lambda: fn.Conv(4, 3, padding="full"), "'same', 'valid', 'causal', or a pair"),
        (lambda: fn.Conv(4, 3, padding=(1, 1)), "a pair for each axis"),
        (lambda: fn.Conv(4, 3, padding=((1, 1),)).out_shape((8, 8, 1)), "a pair for each of the 2 axes"),
        (lambda: fn.Conv(4, 3, padding="causal").out_shape((8, 8, 1)), "for one axis"),
        (lambda: fn.Conv(4, (3, 3)).out_shape((8, 1)), "a number for each axis"),
        (lambda: fn.Conv(4, 3, stride=0), "stride must be at least 1"),
        (lambda: fn.Conv(4, 3).out_shape((8,)), "1 to 3 axes and channels"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert len(str(caught.value)) <= 300


def test_inputs_of_other_channels_and_dtypes_are_refused_before_anything_compiles():
    layer = fn.Conv(4, 3)
    params = layer.init(jax.random.key(0), (8, 8, 2), jnp.float32)
    with pytest.raises(ValueError, match="the last axis has 8, channels come last"):
        layer.forward(params, np.zeros((5, 2, 8, 8), np.float32))
    with pytest.raises(ValueError, match=r"must have 4 axes.*x\[None\] for a single"):
        layer.forward(params, np.zeros((8, 8, 2), np.float32))
    with pytest.raises(TypeError, match="same dtype"):
        layer.forward(params, np.zeros((5, 8, 8, 2), np.float64))
    with pytest.raises(TypeError, match="floating-point"):
        layer.forward(params, np.zeros((5, 8, 8, 2), np.int32))


@pytest.mark.every
def test_a_convolution_is_costed_trained_swept_and_saved(rng, tmp_path):
    cost = fn.cost(fn.Conv(5, (2, 3), padding="valid", bias=False), (4, 6, 3), 7)
    assert cost.rows[0].forward.products == 2 * 7 * (3 * 4) * 5 * (2 * 3 * 3)
    x, y = rng.normal(size=(12, 4, 2)).astype(np.float32), rng.normal(size=(12, 4, 3)).astype(np.float32)
    network = fn.Chain(fn.Conv(4, 3), fn.tanh, fn.Conv(3, 2, padding="causal"))
    experiment = fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.05), batch_size=4, epochs=3)
    trials = fn.grid(experiment, {"optimizer.learning_rate": [0.01, 0.05, 0.1]})
    rows = fn.sweep(trials, (x, y), lanes=3).rows
    for trial, row in zip(trials, rows, strict=True):
        run = fn.train(trial, (x, y))
        assert row.metrics["train_loss"] == pytest.approx(float(run.history["train_loss"][run.best_epoch]), rel=1e-5)
    fn.save(tmp_path / "params.npz", run.params)
    jax.tree.map(np.testing.assert_array_equal, fn.load(tmp_path / "params.npz"), run.params)


def test_the_comparison_notices_a_kernel_that_is_not_turned_round(rng):
    x, kernel, dy = rng.normal(size=(2, 5, 3)), rng.normal(size=(3, 3, 2)), rng.normal(size=(2, 5, 2))
    right = by_taps(x, kernel, dy, (1,), [(1, 1)], (1,), 1)[1]
    wrong = by_taps(x, kernel[::-1], dy, (1,), [(1, 1)], (1,), 1)[1]
    with pytest.raises(AssertionError):
        close(wrong, right)


TRANSPOSED = [
    # window, stride, padding, (samples, *places, in), features
    ((4,), (3,), "same", (2, 5, 3), 2),
    ((2, 3), (3, 2), "same", (2, 3, 4, 2), 3),
    ((3, 2), (2, 1), "valid", (3, 2, 3, 4), 2),
    ((3, 4), (2, 2), ((1, 0), (0, 2)), (2, 3, 2, 3), 4),
]


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
def test_a_transposed_convolution_is_the_adjoint_of_the_convolution(options, rng):
    window, stride, padding, shape, features = options
    layer = fn.ConvTranspose(features, window, stride=stride, padding=padding)
    kernel, bias = rng.normal(size=(*window, features, shape[-1])), rng.normal(size=features)
    x, params = rng.normal(size=shape), {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    assert {name: leaf.shape for name, leaf in params.items()} == {
        name: leaf.shape for name, leaf in layer.init(jax.random.key(0), shape[1:]).items()
    }
    y, saved = layer.forward(params, jnp.asarray(x))
    assert y.shape[1:] == layer.out_shape(shape[1:])
    if padding == "same":
        assert y.shape[1:-1] == tuple(n * s for n, s in zip(shape[1:-1], stride, strict=True))
    pads = padding
    if padding == "valid":
        pads = [(0, 0)] * len(window)
    if padding == "same":
        pads = [((b := max(k - s, 0)) // 2, b - b // 2) for k, s in zip(window, stride, strict=True)]
    ones = (1,) * len(window)
    v = rng.normal(size=y.shape)
    there, back, dkernel = by_taps(v, kernel, x, stride, list(pads), ones, 1)
    close(np.asarray(y), back + bias)
    # ⟨C v, x⟩ = ⟨v, Cᵀ x⟩
    assert np.vdot(there, x) == pytest.approx(np.vdot(v, np.asarray(y) - bias), rel=1e-11)
    dparams, dx = layer.backward(params, saved, jnp.asarray(v))
    close(np.asarray(dx), there)
    close(np.asarray(dparams["kernel"]), dkernel)
    close(np.asarray(dparams["bias"]), v.sum(axis=tuple(range(v.ndim - 1))))


def test_a_transposed_convolution_refuses_what_it_cannot_give():
    with pytest.raises(ValueError, match="numbers to read and to give"):
        fn.ConvTranspose(2, 2, padding=((2, 2),)).out_shape((2, 3))
    with pytest.raises(ValueError, match="the last axis has 28"):
        fn.ConvTranspose(2, 2).check_input(jax.ShapeDtypeStruct((3, 28, 28), np.float32))
    layer = fn.ConvTranspose(2, 2)
    params = layer.init(jax.random.key(0), (4, 3))
    with pytest.raises(ValueError, match="the last axis has 5, channels come last"):
        layer.forward(params, np.zeros((2, 4, 5)))
