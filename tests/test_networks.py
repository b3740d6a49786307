"""Whole networks: hand-derived back-propagation against `jax.grad` of the same objective, in float64."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_rules import apart, cotangent, floats, gather

import funcnet as fn
from funcnet import activations, layers, losses, regularizers
from funcnet.layers.activate import as_layer
from funcnet.trees import FOLLOWING, leaf_name
from tests.helpers import one_in, quick, sampled

SAMPLES, FEATURES, OUTPUTS = 5, 4, 3

# The rule of each concept's first case, and for a loss all of its batches: variants, labels and distributions.
ACTIVATIONS = {type(module.CASES[0].rule).__name__: module.CASES[0].rule for module in activations.REGISTRY}
REGULARIZERS = {"none": None} | {type(m.CASES[0].rule).__name__: m.CASES[0].rule for m in regularizers.REGISTRY}
LOSSES = {}
for case in [case for module in losses.REGISTRY for case in module.CASES if case.kind == "batch"]:
    if np.ndim(case.arguments[0]) == 2:
        LOSSES.setdefault(type(case.rule).__name__, []).append(case)


def combinations(activation_name, loss_name):
    """List three or four of regularizers × {dropout on, off} × {depth 1, 2, 3}, rotating through all pairs."""
    shift = list(ACTIVATIONS).index(activation_name) + 3 * list(LOSSES).index(loss_name)
    everything = list(itertools.product(REGULARIZERS, (False, True), (1, 2, 3)))
    step = next(n for n in itertools.count(7) if math.gcd(n, len(everything)) == 1)
    return [everything[(shift + step * i) % len(everything)] for i in range(3 + (shift % 5 == 0))]


def diagonal(pair):
    """Return whether a pair runs in each run: every activation and every loss does, with a twelfth of the others."""
    return (list(ACTIVATIONS).index(pair[0]) + list(LOSSES).index(pair[1])) % 12 == 0


def suits(prediction):
    """Return the activation whose outputs are like those that a loss is shown in its case, or None for any number."""
    p = np.asarray(prediction, np.float64)
    if np.all(p >= 0) and np.allclose(p.sum(axis=1), 1):
        return fn.softmax
    if np.allclose(np.exp(p).sum(axis=1), 1):
        return fn.log_softmax
    return fn.sigmoid if np.all((p >= 0) & (p <= 1)) else None


def build(activation, last, depth, dropout, outputs=OUTPUTS):
    """Return a network of `depth` dense layers, with the last activation that its loss wants."""
    layers = list(fn.mlp(*[6] * (depth - 1), outputs, activation=activation, dropout=0.3 if dropout else None).layers)
    return fn.Chain(*layers, *([last] if last is not None else []))


@functools.cache
def numbers(last, depth, dropout, outputs, number):
    """Return the parameters of such networks, biases included: a dead layer's bias of 0 puts every unit on its kink."""
    network, rng = build(fn.tanh, last, depth, dropout, outputs), np.random.default_rng(number)
    params = network.init(jax.random.key(number), (FEATURES,), jnp.float64)
    return jax.tree.map(lambda w: jnp.asarray(w + 0.1 * rng.normal(size=w.shape)), params)


@pytest.mark.parametrize(
    ("activation_name", "loss_name"), sampled([(a, b) for a in ACTIVATIONS for b in LOSSES], diagonal)
)
def test_backprop_against_automatic_differentiation(activation_name, loss_name):
    """Three or four combinations a test, 1e-10 relative."""
    for number, (name, dropout, depth) in enumerate(combinations(activation_name, loss_name)):
        case = LOSSES[loss_name][number % len(LOSSES[loss_name])]
        # As many samples for all, so that one operation of one layer is compiled once.
        loss, (shown, target) = case.rule, (np.resize(a, (SAMPLES, *np.shape(a)[1:])) for a in case.arguments[:2])
        last, outputs = suits(shown), np.shape(shown)[1]
        network = build(ACTIVATIONS[activation_name], last, depth, dropout, outputs)
        regularizer, rng = REGULARIZERS[name], np.random.default_rng(number)
        x, y = jnp.asarray(rng.normal(size=(SAMPLES, FEATURES))), floats(target, np.float64)
        weight = jnp.asarray(rng.uniform(0.2, 2.0, SAMPLES))
        params = numbers(last, depth, dropout, outputs, number)
        key = jax.random.key(100 + number) if dropout else None

        def objective(params, network=network, loss=loss, x=x, y=y, weight=weight, key=key):
            prediction, _ = network.forward(params, x, key)
            return loss(prediction, y, weight)

        def penalty(params, regularizer=regularizer):
            # A proximal one adds its value and no gradient.
            penalized = jax.lax.stop_gradient(params) if regularizer is not None and regularizer.proximal else params
            return 0 if regularizer is None else regularizer(penalized)

        value, gradient = fn.backprop(network, loss, params, x, y, regularizer=regularizer, weight=weight, key=key)
        wanted_value, wanted = jax.value_and_grad(lambda p: objective(p) + penalty(p))(params)
        assert abs(value - wanted_value) <= 1e-14 * max(1, abs(wanted_value))
        assert distance(gradient, wanted) < 1e-10, (name, dropout, depth)


def distance(found, wanted):
    """Return the distance of two gradients relative to the larger one's norm (0 for two zeros)."""
    a, b = (np.concatenate([[0.0], *(np.ravel(w) for w in jax.tree.leaves(tree))]) for tree in (found, wanted))
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300) if np.any(a != b) else 0.0


def test_there_are_at_least_500_combinations():
    """The combinations tried are as many as promised, and every pair of choices is among them."""
    tried = {(a, loss, *c) for a in ACTIVATIONS for loss in LOSSES for c in combinations(a, loss)}
    assert len(tried) >= 500
    for i, j in itertools.combinations(range(5), 2):
        pairs = {(t[i], t[j]) for t in tried}
        assert len(pairs) == len({t[i] for t in tried}) * len({t[j] for t in tried})


def test_the_comparison_rejects_a_missing_regularizer_and_a_lost_mean():
    """The comparison of networks can fail."""
    network, loss = fn.mlp(6, OUTPUTS), losses.SoftmaxCrossEntropy()
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(SAMPLES, FEATURES))), jnp.asarray(rng.integers(0, OUTPUTS, SAMPLES))
    params = network.init(jax.random.key(0), (FEATURES,), jnp.float64)
    wanted = jax.grad(lambda p: loss(network.apply(p, x), y) + fn.L2(0.02)(p))(params)
    right = fn.backprop(network, loss, params, x, y, regularizer=fn.L2(0.02))[1]
    assert distance(right, wanted) < 1e-12
    assert distance(fn.backprop(network, loss, params, x, y)[1], wanted) > 1e-3
    assert distance(jax.tree.map(lambda g: g * SAMPLES, right), wanted) > 1
    assert distance((right[0], (), jax.tree.map(lambda g: g[..., ::-1], right[2])), wanted) > 1e-2


def gives_numbers(case):
    """Return whether a loss can follow: attention over lengths gives these on, too."""
    return not (isinstance(case.rule, layers.Attention) and isinstance(case.arguments[1], tuple))


_LAYERS = [p for p in gather(layers.REGISTRY) if p.values[0].kind == "batch" and gives_numbers(p.values[0])]


@pytest.mark.parametrize("case", one_in(5, _LAYERS))
def test_every_layer_is_a_network(case):
    """Each layer of the registry between an objective and its data, with a penalty on its parameters."""
    (params, x), seed = (floats(argument, np.float64) for argument in case.arguments[:2]), case.arguments[2:]
    key = jax.random.key(seed[0]) if seed else None
    loss, regularizer = losses.MeanSquaredError(), fn.L2(0.02)

    def objective(p, x, y):
        # Numbers that follow the data have gradient 0 by declaration.
        p = jax.tree_util.tree_map_with_path(
            lambda path, leaf: jax.lax.stop_gradient(leaf) if leaf_name(path) in FOLLOWING else leaf, p
        )
        return loss(case.rule.forward(p, x, key)[0], y) + regularizer(p)

    @quick
    def each(params, x):
        y = cotangent(case.rule.forward(params, x, key)[0], 5)
        found = fn.backprop(case.rule, loss, params, x, y, regularizer=regularizer, key=key)
        return found, jax.value_and_grad(objective)(params, x, y)

    (value, gradient), wanted = each(params, x)
    assert abs(value - wanted[0]) <= 1e-14 * max(1, abs(wanted[0]))
    assert distance(gradient, wanted[1]) < 1e-10


def test_against_a_network_in_plain_python():
    """Forward and gradient of a 2-3-2 sigmoid network with loops and no arrays: nothing shared with the package."""
    import math

    rng = np.random.default_rng(5)
    w1, b1, w2, b2 = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=(3, 2)), rng.normal(size=2)
    xs, ts = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))

    def objective(w1, b1, w2, b2):
        total = 0.0
        for x, t in zip(xs, ts, strict=True):
            h = [1 / (1 + math.exp(-sum(x[i] * w1[i][j] for i in range(2)) - b1[j])) for j in range(3)]
            p = [sum(h[i] * w2[i][j] for i in range(3)) + b2[j] for j in range(2)]
            total += sum((p[j] - t[j]) ** 2 for j in range(2)) / 2
        return total / 4

    def slope(which, index):
        def at(step):
            arrays = [a.copy() for a in (w1, b1, w2, b2)]
            arrays[which][index] += step
            return objective(*arrays)

        h = 1e-3
        return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)

    network = fn.Chain(fn.Dense(3), fn.sigmoid, fn.Dense(2))
    params = (
        {"kernel": jnp.asarray(w1), "bias": jnp.asarray(b1)},
        (),
        {"kernel": jnp.asarray(w2), "bias": jnp.asarray(b2)},
    )
    value, gradient = fn.backprop(network, fn.MeanSquaredError(), params, jnp.asarray(xs), jnp.asarray(ts))
    assert abs(value - objective(w1, b1, w2, b2)) < 1e-15
    found = (gradient[0]["kernel"], gradient[0]["bias"], gradient[2]["kernel"], gradient[2]["bias"])
    for which, array in enumerate(found):
        for index in np.ndindex(array.shape):
            assert abs(array[index] - slope(which, index)) < 1e-10


def test_logistic_regression_with_a_column_of_ones():
    """σ(W′[1 x]) = σ(W x + b): a bias is the weight of a feature that is always 1 (ledger N3)."""
    rng = np.random.default_rng(1)
    x, w, b = jnp.asarray(rng.normal(size=(6, 3))), jnp.asarray(rng.normal(size=(3, 1))), jnp.asarray([0.4])
    with_bias = fn.sigmoid(fn.Dense(1).apply({"kernel": w, "bias": b}, x))
    ones = jnp.concatenate([jnp.ones((6, 1)), x], axis=1)
    without = fn.sigmoid(fn.Dense(1, bias=False).apply({"kernel": jnp.concatenate([b[None], w])}, ones))
    np.testing.assert_allclose(with_bias, without, rtol=1e-15)


def test_rows_are_the_articles_columns_transposed():
    """X W + b = (Wᵀ Xᵀ + b)ᵀ: the articles' Z = W A + B (ledger N2)."""
    rng = np.random.default_rng(2)
    x, w, b = rng.normal(size=(6, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
    rows = fn.Dense(2).apply({"kernel": jnp.asarray(w), "bias": jnp.asarray(b)}, jnp.asarray(x))
    np.testing.assert_allclose(rows, (w.T @ x.T + b[:, None]).T, rtol=1e-14)


@pytest.mark.parametrize("shape", [(FEATURES,), (2, FEATURES), (2, 3, FEATURES), (0, FEATURES)])
def test_any_number_of_batch_dimensions(shape):
    """A network maps (…, features) to (…, outputs), and so does its backward."""
    network = fn.mlp(6, OUTPUTS, activation=fn.tanh)
    params = network.init(jax.random.key(0), (FEATURES,), jnp.float64)
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape))

    @quick
    def each(params, x):
        y, saved = network.forward(params, x)
        flat = network.apply(params, x.reshape(-1, FEATURES))
        return y, flat, *network.backward(params, saved, jnp.ones_like(y))

    y, flat, dparams, dx = each(params, x)
    assert y.shape == (*shape[:-1], OUTPUTS)
    assert dx.shape == shape
    if len(shape) > 1:
        np.testing.assert_allclose(flat, y.reshape(-1, OUTPUTS), rtol=1e-14)
    assert jax.tree.structure(dparams) == jax.tree.structure(params)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_dtypes_are_kept(dtype):
    """Parameters, predictions and gradients have the dtype that was asked for; the loss of 16-bit ones is float32."""
    network, loss = fn.mlp(6, OUTPUTS, activation=fn.gelu, dropout=0.2), fn.SoftmaxCrossEntropy()

    @quick
    def each(x, y, key):
        params = network.init(key, (FEATURES,), dtype)
        return params, *fn.backprop(network, loss, params, x, y, regularizer=fn.L2(0.1), key=key)

    x, y = jnp.ones((SAMPLES, FEATURES), dtype), jnp.zeros(SAMPLES, int)
    params, value, gradient = each(x, y, jax.random.key(1))
    assert {leaf.dtype for leaf in jax.tree.leaves((params, gradient))} == {jnp.dtype(dtype)}
    assert value.dtype == (jnp.float32 if dtype == jnp.bfloat16 else dtype)


def test_a_layer_and_an_activation_are_networks_too():
    """Backprop takes a single layer, and an activation without parameters."""
    x = jnp.asarray([[0.5, -1.0]])
    value, gradient = fn.backprop(fn.relu, fn.MeanSquaredError(), (), x, jnp.zeros((1, 2)))
    assert value == 0.125
    assert gradient == ()
    assert as_layer(fn.relu).out_shape((2,)) == (2,)


def test_default_initializers_follow_the_activation():
    """The deviation of each kernel is that of the initializer which the next activation names."""
    for activation, variance in ((fn.relu, 2 / 400), (fn.tanh, 2 / 900), (fn.selu, 1 / 400)):
        params = fn.Chain(fn.Dense(500), fn.Dropout(0.1), activation, fn.Dense(300)).init(jax.random.key(0), (400,))
        assert abs(float(params[0]["kernel"].var()) / variance - 1) < 0.02
        assert abs(float(params[3]["kernel"].var()) / (2 / 800) - 1) < 0.02
        assert apart(params[0]["bias"], jnp.zeros(500)) == 0
