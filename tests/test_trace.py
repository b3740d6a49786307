"""The trace shows what back-propagation computes: its own recursion, the gradient of training, every array by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strange_layers import Centred, Sum, Table, Weighed

import funcnet as fn
from funcnet.tracing import trace


@pytest.fixture
def example(rng):
    network = fn.mlp(4, 3, 2, activation=fn.tanh)
    params = network.init(jax.random.key(0), (5,))
    return network, params, jnp.asarray(rng.normal(size=(6, 5))), jnp.asarray([0, 1, 1, 0, 1, 0])


def test_the_gradient_and_the_loss_are_those_of_backprop(example):
    network, params, x, y = example
    found = trace(network, fn.SoftmaxCrossEntropy(), params, x, y)
    value, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, y)
    assert found.loss == value
    assert jax.tree.structure(found.gradient) == jax.tree.structure(gradient)
    for mine, theirs in zip(jax.tree.leaves(found.gradient), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_recursion_of_the_textbook_holds_between_its_arrays(example):
    network, params, x, y = example
    t = trace(network, fn.SoftmaxCrossEntropy(), params, x, y)
    kernels = {1: params[0]["kernel"], 2: params[2]["kernel"], 3: params[4]["kernel"]}
    biases = {1: params[0]["bias"], 2: params[2]["bias"], 3: params[4]["bias"]}
    np.testing.assert_array_equal(t.A[0], x)
    for number in (1, 2, 3):
        np.testing.assert_allclose(
            t.Z[number], np.asarray(t.A[number - 1]) @ kernels[number] + np.asarray(biases[number])[None], rtol=1e-12
        )
        np.testing.assert_allclose(
            t.dW[number]["kernel"], np.asarray(t.A[number - 1]).T @ t.delta[number], rtol=1e-12, atol=1e-15
        )
        np.testing.assert_allclose(t.dW[number]["bias"], np.sum(t.delta[number], axis=0), rtol=1e-12, atol=1e-15)
    for number in (1, 2):
        np.testing.assert_allclose(t.A[number], np.tanh(t.Z[number]), rtol=1e-12)
        slope = 1 - np.tanh(np.asarray(t.Z[number])) ** 2
        np.testing.assert_allclose(
            t.delta[number], (np.asarray(t.delta[number + 1]) @ kernels[number + 1].T) * slope, rtol=1e-11, atol=1e-15
        )
    np.testing.assert_array_equal(t.A[3], t.Z[3])
    q = np.exp(np.asarray(t.Z[3])) / np.exp(np.asarray(t.Z[3])).sum(1, keepdims=True)
    np.testing.assert_allclose(t.delta[3], (q - np.eye(2)[np.asarray(y)]) / 6, rtol=1e-11)


def test_names_lead_to_arrays_and_an_unknown_one_says_which_there_are(example):
    network, params, x, y = example
    t = trace(network, fn.SoftmaxCrossEntropy(), params, x, y)
    assert list(t.arrays()) == [
        "A0",
        "Z1",
        "A1",
        "Z2",
        "A2",
        "Z3",
        "A3",
        "δ3",
        "db3",
        "dW3",
        "δ2",
        "db2",
        "dW2",
        "δ1",
        "db1",
        "dW1",
    ]
    np.testing.assert_array_equal(t["delta2"], t["δ2"])
    with pytest.raises(KeyError, match="'W9' is not in the trace, which has A0, Z1"):
        t["W9"]


def test_the_table_names_every_array_with_its_shape(example):
    network, params, x, y = example
    lines = str(trace(network, fn.SoftmaxCrossEntropy(), params, x, y)).splitlines()
    assert lines[0].startswith("Dense → Tanh → Dense → Tanh → Dense; loss ")
    shapes = {line.split()[0]: line.split()[1] for line in lines[2:]}
    assert shapes["Z1"] == "6×4"
    assert shapes["dW2"] == "4×3"
    assert shapes["db3"] == "2"
    assert len(lines) == 2 + 16


def test_dropout_and_nested_chains_are_walked_with_their_own_keys(example):
    _, _, x, y = example
    inner = fn.Chain(fn.Dense(4), fn.relu, fn.Dropout(0.5))
    network = fn.Chain(fn.Dropout(0.2), inner, fn.Dense(2))
    params = network.init(jax.random.key(1), (5,))
    key = jax.random.key(7)
    t = trace(network, fn.SoftmaxCrossEntropy(), params, x, y, key=key)
    value, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, y, key=key)
    assert t.loss == value
    for mine, theirs in zip(jax.tree.leaves(t.gradient), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [step.name for step in t.steps] == ["Dropout", "Dense", "ReLU", "Dropout", "Dense"]
    assert np.sum(np.asarray(t.A[1]) == 0) > np.sum(np.asarray(t.Z[1]) <= 0), "dropout has its part in A1"
    # A0 is what entered the first layer, after dropout.
    np.testing.assert_allclose(t.dW[1]["kernel"], np.asarray(t.A[0]).T @ t.delta[1], rtol=1e-12, atol=1e-15)


def test_a_wrong_backward_would_show(example):
    """The trace runs the layers' own backward: a layer that errs shows in it, and nowhere else."""
    network, params, x, y = example

    @fn.record
    class Wrong(fn.Dense):
        def backward(self, params, saved, dy):
            dparams, dx = super().backward(params, saved, dy)
            return {**dparams, "kernel": 2 * dparams["kernel"]}, dx

    t = trace(network, fn.SoftmaxCrossEntropy(), params, x, y)
    wrong = trace(fn.Chain(*network.layers[:-1], Wrong(2)), fn.SoftmaxCrossEntropy(), params, x, y)
    np.testing.assert_array_equal(wrong.dW[3]["kernel"], 2 * t.dW[3]["kernel"])
    np.testing.assert_array_equal(wrong.dW[1]["kernel"], t.dW[1]["kernel"])


def test_an_activation_alone_is_a_layer():
    t = trace(fn.sigmoid, fn.MeanSquaredError(), (), jnp.asarray([[0.0], [1.0]]), jnp.asarray([[0.0], [1.0]]))
    np.testing.assert_array_equal(t.Z[1], [[0.0], [1.0]])
    assert float(t.A[1][0, 0]) == 0.5
    assert float(t.delta[1][0, 0]) == pytest.approx(0.5 * 0.25)


def agree(found, network, params, x, y, key=None):
    """The trace's loss and gradient are those of training, to the bit."""
    value, gradient = fn.backprop(network, fn.MeanSquaredError(), params, x, y, key=key)
    assert found.loss == value
    assert jax.tree.structure(found.gradient) == jax.tree.structure(gradient)
    jax.tree.map(np.testing.assert_array_equal, found.gradient, gradient)


def test_layers_that_are_no_chain_are_one_step(rng):
    """A layer with `layers` whose parts lie side by side was taken for a chain: another loss, without a word."""
    side_by_side = Sum((fn.Dense(3), fn.Dense(3, bias=False)))
    network = fn.Chain(fn.Dense(4), fn.tanh, side_by_side)
    params = network.init(jax.random.key(0), (3,))
    x, y = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=(5, 3)))
    t = trace(network, fn.MeanSquaredError(), params, x, y)
    agree(t, network, params, x, y)
    assert [step.name for step in t.steps] == ["Dense", "Tanh", "Sum"]
    h = np.tanh(np.asarray(x) @ params[0]["kernel"] + np.asarray(params[0]["bias"])[None])
    left, right = params[2]
    found = h @ left["kernel"] + np.asarray(left["bias"])[None] + h @ right["kernel"]
    wanted = float(np.mean((np.asarray(found) - np.asarray(y)) ** 2))
    assert float(t.loss) == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_array_equal(t["d0.kernel 2"], t.gradient[2][0]["kernel"])
    np.testing.assert_array_equal(t["d1.kernel 2"], t.gradient[2][1]["kernel"])
    assert "∂L/∂1.kernel 2" in str(t)
    h = jnp.asarray(h)
    agree(trace(side_by_side, fn.MeanSquaredError(), params[2], h, y), side_by_side, params[2], h, y)


def test_whole_numbers_and_trees_are_traced(rng):
    network = fn.Chain(Table(7, 4), fn.Dense(2))
    params = network.init(jax.random.key(0), ())
    x, y = jnp.asarray([0, 3, 3, 6]), jnp.asarray(rng.normal(size=(4, 2)))
    t = trace(network, fn.MeanSquaredError(), params, x, y)
    agree(t, network, params, x, y)
    assert t.steps[0].dx is None
    np.testing.assert_array_equal(t["A0"], x)
    np.testing.assert_allclose(t["dtable 1"][3], t["δ1"][1] + t["δ1"][2], rtol=1e-14)
    network = fn.Chain(Weighed(), fn.tanh)
    params = network.init(jax.random.key(0), {"left": (3,), "right": (3,)})
    x = {"left": jnp.asarray(rng.normal(size=(5, 3))), "right": jnp.asarray(rng.normal(size=(5, 3)))}
    y = jnp.asarray(rng.normal(size=(5, 3)))
    t = trace(network, fn.MeanSquaredError(), params, x, y)
    agree(t, network, params, x, y)
    np.testing.assert_array_equal(t["A0.right"], x["right"])
    assert "\nA0.left   5×3 " in str(t)


def test_numbers_that_follow_the_data_are_traced(rng):
    """A running mean stands in the trace with gradient 0; with a key the batch's own is taken away."""
    network = fn.Chain(fn.Dense(4), Centred(), fn.tanh)
    dense, _, nothing = network.init(jax.random.key(0), (3,))
    params = (dense, {"mean": jnp.asarray(rng.normal(size=4))}, nothing)
    x, y = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=(5, 4)))
    h = np.asarray(x) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])[None]
    for key, mean in ((None, np.asarray(params[1]["mean"])), (jax.random.key(3), h.mean(axis=0))):
        t = trace(network, fn.MeanSquaredError(), params, x, y, key=key)
        agree(t, network, params, x, y, key)
        assert float(t.loss) == pytest.approx(np.mean((np.tanh(h - mean[None]) - np.asarray(y)) ** 2), rel=1e-12)
        np.testing.assert_array_equal(t["dmean 2"], np.zeros(4))


def test_a_notebook_shows_the_table(example):
    network, params, x, y = example
    t = trace(network, fn.SoftmaxCrossEntropy(), params, x, y)
    shown = t._repr_html_()
    assert shown.count("<tr>") == 1 + 16
    assert "<td>dW2</td><td>4×3</td>" in shown
