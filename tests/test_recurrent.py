"""Sequences step by step in NumPy: tokens, positions, recurrence, lengths with 0 among them, streams; refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.layers.draws import orthonormal
from tests.helpers import one_in, quick

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


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def rnn_cell(p, x, h, c):
    return np.tanh(x @ p["input"] + h @ p["recurrent"] + p["bias"]), c


def lstm_cell(p, x, h, c):
    i, f, g, o = np.split(x @ p["input"] + h @ p["recurrent"] + p["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_after_cell(p, x, h, c):
    (r, z, n), (u, v, q) = (
        np.split(x @ p["input"] + p["bias"], 3),
        np.split(h @ p["recurrent"] + p["recurrent_bias"], 3),
    )
    r, z = sigmoid(r + u), sigmoid(z + v)
    return (1 - z) * np.tanh(n + r * q) + z * h, c


def gru_before_cell(p, x, h, c):
    width = h.size
    r, z, n = np.split(x @ p["input"] + p["bias"], 3)
    u, v = np.split(h @ p["recurrent"][:, : 2 * width], 2)
    r, z = sigmoid(r + u), sigmoid(z + v)
    return (1 - z) * np.tanh(n + (r * h) @ p["recurrent"][:, 2 * width :]) + z * h, c


CELLS = {
    "RNN": (fn.RNN, {}, rnn_cell),
    "LSTM": (fn.LSTM, {}, lstm_cell),
    "GRU after": (fn.GRU, {}, gru_after_cell),
    "GRU before": (fn.GRU, {"reset_after": False}, gru_before_cell),
}
LENGTHS = np.asarray([3, 0, 5, 1])


def by_steps(cell, params, x, lengths, width, reverse):
    """Return every output and the last state, sample by sample and step by step."""
    p = {name: np.asarray(leaf) for name, leaf in params.items()}
    y, last = np.zeros((*x.shape[:2], width)), np.zeros((len(x), width))
    for n, length in enumerate(lengths):
        h = c = np.zeros(width)
        for t in reversed(range(length)) if reverse else range(length):
            h, c = cell(p, x[n, t], h, c)
            y[n, t] = h
        last[n] = h
    return y, last


def drawn(layer, rng, features):
    """Return parameters of the layer's shapes, with biases that are not 0."""
    shapes = jax.eval_shape(lambda: layer.init(KEY, (5, features), jnp.float64))
    return {name: jnp.asarray(0.6 * rng.normal(size=leaf.shape)) for name, leaf in shapes.items()}


@pytest.mark.parametrize(
    ("name", "reverse"),
    one_in(
        2,
        [("RNN", False), ("RNN", True), ("LSTM", True), ("LSTM", False), ("GRU after", True), ("GRU before", False)],
    ),
)
def test_a_cell_is_its_loop(name, reverse, rng):
    """Forward against NumPy, and both passes against `jax.vjp`; with lengths and without, all steps and the last."""
    kind, options, cell = CELLS[name]
    every = kind(3, reverse=reverse, **options)
    last = kind(3, reverse=reverse, sequence=False, **options)
    x, dy, dlast = rng.normal(size=(4, 5, 2)), rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 3))
    params, lengths = drawn(every, rng, 2), jnp.asarray(LENGTHS)

    def passes(params, x, lengths):
        found = []
        for layer, down in ((every, dy), (last, dlast)):
            for given in (x, (x, lengths)):
                y, saved = layer.forward(params, given)
                pair = isinstance(y, tuple)
                dparams, dx = layer.backward(params, saved, (down, None) if pair else jnp.asarray(down))
                found.append((y[0] if pair else y, dparams, dx[0] if isinstance(given, tuple) else dx))

            def apply(params, x, layer=layer):
                return jax.tree.leaves(layer.apply(params, (x, lengths)))[0]

            y, back = jax.vjp(apply, params, x)
            found.append((y, *back(jnp.asarray(down))))
        return found

    whole, short, automatic, end, short_end, automatic_end = quick(passes)(params, jnp.asarray(x), lengths)
    full, cut = (by_steps(cell, params, x, lengths, 3, reverse) for lengths in ([5] * 4, LENGTHS))
    for found, wanted in ((whole, full[0]), (short, cut[0]), (end, full[1]), (short_end, cut[1])):
        close(found[0], wanted, 1e-14)
    close(short, automatic)
    close(short_end, automatic_end)
    assert whole[2].shape == end[2].shape == x.shape


@pytest.mark.parametrize("name", CELLS)
def test_a_stream_in_pieces_is_the_whole(name, rng):
    kind, options, _ = CELLS[name]
    layer = kind(3, **options)
    params, x = drawn(layer, rng, 2), jnp.asarray(rng.normal(size=(4, 5, 2)))

    def pieces(params, x):
        state, first = layer.run(params, x[:, :2], layer.initial(params, 4))
        state, second = layer.step(params, state, x[:, 2])
        state, (third, _) = layer.run(params, (x[:, 3:], jnp.asarray([2, 0, 1, 2])), state)
        return layer.apply(params, x), jnp.concatenate([first, second[:, None], third], axis=1), state[0]

    whole, parts, end = (np.asarray(a) for a in quick(pieces)(params, x))
    there = np.asarray([[1] * 5, [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1] * 5])[..., None]
    close(parts, whole * there, 1e-14)
    close(end, whole[np.arange(4), [4, 2, 3, 4]], 1e-14)
    with pytest.raises(ValueError, match="must read forward to go step by step"):
        kind(3, reverse=True).step(params, layer.initial(params, 4), x[:, 0])


def test_lengths_that_the_steps_do_not_have_spoil_their_sample_alone(rng):
    for layer in (fn.GRU(3), fn.LSTM(3, sequence=False)):
        params, x = drawn(layer, rng, 2), jnp.asarray(rng.normal(size=(4, 5, 2)))
        lengths = jnp.asarray([2, 6, 0, -1])
        y = jax.jit(layer.apply)(params, (x, lengths))
        y = (y[0] if layer.sequence else y).reshape(4, -1)
        np.testing.assert_array_equal(np.isnan(y).all(axis=1), [False, True, False, True])
        assert np.isfinite(y[::2]).all()
        with pytest.raises(ValueError, match="must lie in 0 … 5, the number of steps, but got 6 at position 1"):
            layer.apply(params, (x, lengths))


@pytest.mark.parametrize(
    "layer",
    one_in(
        4, [fn.Stepwise(fn.LayerNorm(), fn.Dense(3)), fn.LSTM(3, reverse=True), fn.GRU(3, reset_after=False), fn.RNN(3)]
    ),
    ids=str,
)
def test_what_stands_behind_a_length_is_never_looked_at(rng, layer):
    lengths = jnp.asarray([2, 0, 5, 1])
    params = layer.init(jax.random.key(0), ((5, 2), ()), jnp.float64)
    params, x = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params), rng.normal(size=(4, 5, 2))
    behind = (np.arange(5) >= np.asarray(lengths)[:, None])[..., None]

    def both(x):
        (y, _), saved = layer.forward(params, (x, lengths))
        dparams, (dx, _) = layer.backward(params, saved, (jnp.where(behind, jnp.nan, 1.0) + 0 * y, None))
        return y, dparams, dx

    run = quick(both)
    plain = run(jnp.asarray(x))
    for spoiler in (1e300, np.nan):
        jax.tree.map(np.testing.assert_array_equal, plain, run(jnp.asarray(np.where(behind, spoiler, x))))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(plain))
    assert not np.any(np.where(behind, plain[2], 0))


def test_saturated_gates_still_learn():
    """σ′ and tanh′ at their arguments: in float32 y (1 − y) is 0 from 17 on, 1 − y² from 9."""
    layer = fn.LSTM(1, sequence=False)
    params = {"input": jnp.zeros((1, 4), jnp.float32), "recurrent": jnp.zeros((1, 4), jnp.float32)}
    params["bias"] = jnp.asarray([25.0, -30.0, 12.0, 40.0], jnp.float32)
    _, saved = layer.forward(params, jnp.zeros((1, 2, 1), jnp.float32))
    dparams, _ = layer.backward(params, saved, jnp.ones((1, 1), jnp.float32))
    slope = 1 - np.tanh(1) ** 2
    # c = 1 twice, but for e⁻³⁰; h = tanh 1; only the last step's i, g and o, and the c before f, reach the loss.
    wanted = np.asarray([slope * np.exp(-25), slope * np.exp(-30), slope * 4 * np.exp(-24), np.tanh(1) * np.exp(-40)])
    np.testing.assert_allclose(dparams["bias"], wanted, rtol=1e-5)


def test_initial_values_are_drawn_gate_by_gate():
    params = fn.LSTM(20).init(KEY, (5, 30), jnp.float64)
    for block in np.split(np.asarray(params["recurrent"]), 4, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(20), atol=1e-12)
    bound = np.sqrt(6 / (30 + 20))
    assert 0.95 * bound < np.abs(params["input"]).max() <= bound
    np.testing.assert_array_equal(params["bias"], np.repeat([0.0, 1.0, 0.0, 0.0], 20))
    assert not np.any(fn.LSTM(20, forget_bias=0.0).init(KEY, (5, 30))["bias"])
    wide = np.asarray(fn.layers.Orthogonal(2.0)(KEY, (3, 7), jnp.float64))
    np.testing.assert_allclose(wide @ wide.T, 4 * np.eye(3), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 9, 4), (70, 64), (90, 75)], ids=str)
def test_orthonormal_columns_are_those_of_householder(shape, rng):
    """Of fewer columns than a panel, of whole panels, and of a rest; NumPy's factors with R's diagonal positive."""
    a = rng.normal(size=shape)
    wanted, r = np.linalg.qr(a)
    wanted = wanted * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    np.testing.assert_allclose(quick(orthonormal)(jnp.asarray(a)), wanted, atol=1e-13)
    nearly = np.asarray(quick(orthonormal)(jnp.asarray(a[..., :1] + 1e-6 * a)))  # columns that are nearly one
    assert np.max(np.abs(np.swapaxes(nearly, -1, -2) @ nearly - np.eye(shape[-1]))) < 1e-14 * shape[-1]


@pytest.mark.parametrize("steps", [0, 1])
def test_few_steps_and_no_samples(steps, rng):
    layer = fn.GRU(3, sequence=False, reverse=True)
    params = drawn(layer, rng, 2)

    def both(x):
        y, saved = layer.forward(params, x)
        return y, layer.backward(params, saved, jnp.ones_like(y))

    for x in (jnp.zeros((4, steps, 2)), jnp.zeros((0, steps, 2))):
        y, (dparams, dx) = quick(both)(x)
        assert (y.shape, dx.shape) == ((len(x), 3), x.shape)
        assert np.isfinite(dparams["bias"]).all()


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: fn.LSTM(3).out_shape((4,)), ValueError, r"LSTM takes samples \(time, features\)"),
        (lambda: fn.LSTM(3).check_input(jax.ShapeDtypeStruct((4, 2), np.int32)), TypeError, "floating-point numbers"),
        (lambda: fn.RNN(3, fn.Dense(3)), TypeError, "the activation of RNN must be one"),
        (lambda: fn.GRU(3).apply(fn.GRU(3).init(KEY, (4, 2)), np.zeros((2, 4, 5), np.float32)), ValueError, "have 2 f"),
        (lambda: fn.RNN(3).apply(fn.RNN(3).init(KEY, (4, 2)), np.zeros((2, 4, 2), np.float16)), TypeError, "dtype"),
    ],
)
def test_recurrence_refuses_in_words(make, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make()
    assert len(str(caught.value)) <= 300


def test_both_directions_stand_side_by_side(rng):
    """Against NumPy's two loops, and `jax.vjp`, with lengths; without them and at the ends the shapes agree."""
    layer, lengths = fn.Bidirectional(fn.LSTM(3)), jnp.asarray(LENGTHS)
    x, dy = rng.normal(size=(4, 5, 2)), jnp.asarray(rng.normal(size=(4, 5, 6)))
    params = tuple(drawn(fn.LSTM(3), rng, 2) for _ in range(2))

    def passes(params, x, lengths):
        (y, kept), saved = layer.forward(params, (x, lengths))
        dparams, (dx, nothing) = layer.backward(params, saved, (dy, None))
        assert nothing is None
        return (y, dparams, dx), jax.vjp(lambda params, x: layer.apply(params, (x, lengths))[0], params, x)[1](dy), kept

    hand, automatic, kept = quick(passes)(params, jnp.asarray(x), lengths)
    ways = [by_steps(lstm_cell, own, x, LENGTHS, 3, back)[0] for own, back in zip(params, (False, True), strict=True)]
    close(hand[0], np.concatenate(ways, axis=-1), 1e-14)
    close(hand[1:], automatic)
    np.testing.assert_array_equal(kept, LENGTHS)
    ends = fn.Bidirectional(fn.LSTM(3, sequence=False))
    assert layer.out_shape((5, 2)) == (5, 6)
    assert layer.out_shape(((5, 2), ())) == ((5, 6), ())
    assert ends.out_shape((5, 2)) == ends.out_shape(((5, 2), ())) == (6,)
    with pytest.raises(TypeError, match="Bidirectional takes a recurrent layer, but got Dense"):
        fn.Bidirectional(fn.Dense(3))


def test_a_sample_of_a_padded_batch_is_the_sample_alone(rng):
    """A tagger over tokens: what it makes of a sample, and its gradients, are those of the sample cut to its length."""
    tagger = fn.Chain(
        fn.Embedding(6, 4),
        fn.Positions(5),
        fn.Stepwise(fn.Dense(3), fn.tanh),
        fn.Bidirectional(fn.GRU(2)),
        fn.Stepwise(fn.Dense(2), lengths=False),
    )
    params = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)),
        jax.eval_shape(lambda: tagger.init(KEY, ((5,), ()), jnp.float64)),
    )
    tokens, dy = np.where(np.arange(5) < LENGTHS[:, None], rng.integers(0, 6, (4, 5)), 99), rng.normal(size=(4, 5, 2))
    dy[1:] = 0

    def both(params, x, dy):
        y, saved = tagger.forward(params, x)
        return y, tagger.backward(params, saved, dy)[0]

    y, dparams = quick(both)(params, (jnp.asarray(tokens), jnp.asarray(LENGTHS)), jnp.asarray(dy))
    cut = LENGTHS[0]
    alone = quick(both)(params, jnp.asarray(tokens[:1, :cut]), jnp.asarray(dy[:1, :cut]))
    close((y[:1, :cut], dparams), alone)
    assert not np.any(np.where(np.arange(5) < LENGTHS[:, None], 0, np.abs(y).sum(-1)))


def test_stepwise_keeps_steps_and_hands_lengths_on():
    layer = fn.Stepwise(fn.Dense(3), fn.relu)
    assert layer.out_shape(((5, 2), ())) == ((5, 3), ())
    assert layer.out_shape((5, 2)) == (5, 3)
    assert fn.Stepwise(fn.Dense(3), lengths=False).out_shape(((5, 2), ())) == (5, 3)
    with pytest.raises(ValueError, match=r"must keep the number of steps, but \(5, 2\) becomes \(10,\)"):
        fn.Stepwise(fn.Flatten()).out_shape(((5, 2), ()))
    with pytest.raises(ValueError, match="lengths must be one of"):
        fn.Stepwise(fn.relu, lengths=3)


@pytest.mark.every
def test_pairs_train():
    """Whether token 3 comes among those there are: lengths and tokens go through the loop."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 5, 64)
    there = np.arange(4) < lengths[:, None]
    tokens = np.where(there, rng.integers(2, 4, (64, 4)), -1)
    labels = np.any(tokens == 3, axis=1).astype(int)
    network = fn.Chain(fn.Embedding(4, 5), fn.RNN(4, sequence=False), fn.Dense(2))
    experiment = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.Adam(0.05), epochs=40, batch_size=32)
    run = fn.train(experiment, ((tokens, lengths), labels), progress=False)
    assert run.history["train_loss"][-1] < 0.2
    # What is at hand is checked at the door, in training and in prediction; the stopgap -1 behind the lengths is not.
    with pytest.raises(ValueError, match=r"train: tokens must lie in 0 … 3, but got 4 at \(0, 0\)"):
        fn.train(experiment, ((np.full((64, 4), 4), np.maximum(lengths, 1)), labels), progress=False)
    with pytest.raises(ValueError, match="lengths of Embedding must lie in 0 … 4"):
        run.predict((tokens, lengths + 1))


def test_residuals_hand_lengths_on(rng):
    """x + f(x) of a pair, alone and repeated, as of the array where all steps count."""
    block = fn.Residual(fn.Stepwise(fn.LayerNorm()), fn.GRU(3))
    deep = fn.Repeat(block, 2)
    assert deep.out_shape(((5, 3), ())) == ((5, 3), ())
    shapes = jax.eval_shape(lambda: deep.init(KEY, ((5, 3), ()), jnp.float64))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), shapes)
    x, dy = jnp.asarray(rng.normal(size=(4, 5, 3))), jnp.asarray(rng.normal(size=(4, 5, 3)))

    def both(params, x, lengths):
        y, saved = deep.forward(params, x)
        (z, _), kept = deep.forward(params, (x, lengths))
        return (y, *deep.backward(params, saved, dy)), (z, *deep.backward(params, kept, (dy, None)))

    (y, dparams, dx), (z, also, (dz, _)) = quick(both)(params, x, jnp.full(4, 5))
    close((z, also, dz), (y, dparams, dx))


def test_a_step_of_an_lstm_costs_its_products():
    """Forward one product with the input and one in the loop; backward as many for the kernels, and one in the loop."""
    samples, time, features, width = 7, 5, 3, 4
    network = fn.Chain(fn.Embedding(9, features), fn.LSTM(width, sequence=False), fn.Dense(2))
    cost = fn.cost(network, ((time,), ()), samples, input_dtype=jnp.int32)
    first, lstm, _ = cost.rows
    gates = 2 * samples * time * 4 * width
    assert lstm.forward.products == gates * (features + width)
    assert lstm.backward.products == gates * (features + width) + gates * (width + features)
    assert first.backward.elementwise <= samples * time * (features + 4)
    assert first.parameter_bytes == 9 * features * jnp.zeros(()).dtype.itemsize
    # What is kept: h and c, four arguments of gates, the embedding's output, and which steps there are.
    numbers = samples * time * (6 * width + features) + samples * time
    assert lstm.activation_bytes <= numbers * jnp.zeros(()).dtype.itemsize


def test_lengths_do_not_go_into_a_loss(rng):
    network = fn.Chain(fn.Embedding(6, 4), fn.Stepwise(fn.Dense(2)))
    experiment = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.SGD(0.1), batch_size=2)
    data = (rng.integers(0, 6, (4, 5)), LENGTHS), rng.integers(0, 2, (4, 5))
    with pytest.raises(ValueError, match=r"must end in an array, but its output is a pair.*lengths=False"):
        fn.train(experiment, data)


@pytest.mark.every
def test_a_trace_of_a_tagger_is_what_backprop_gives(rng):
    network = fn.Chain(fn.Embedding(6, 4), fn.Stepwise(fn.Dense(3)), fn.Stepwise(fn.Dense(2), lengths=False))
    params = network.init(KEY, ((5,), ()), jnp.float64)
    x, labels = (rng.integers(0, 6, (4, 5)), LENGTHS), rng.integers(0, 2, (4, 5))
    weight = (np.arange(5) < LENGTHS[:, None]).astype(float)
    found = fn.trace(network, fn.SoftmaxCrossEntropy(), params, x, labels, weight=weight)
    value, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, labels, weight=weight)
    close((found.loss, found.gradient), (value, gradient))
    assert [step.name for step in found.steps] == ["Embedding", "Stepwise", "Stepwise"]
    assert found["Z2.0"].shape == (4, 5, 3)
    assert not np.any(np.asarray(found["δ2.0"])[weight == 0])
