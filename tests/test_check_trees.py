"""What layers take beside arrays of floats: tokens, several inputs, numbers that follow the data, kept flags."""

import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.checking import check
from funcnet.layers.base import Layer

_TOKENS = np.asarray([[0, 2, 2], [3, 1, 2]])
_TABLE = {"table": np.asarray([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1], [0.2, 0.9]])}


class Lookup(Layer):
    """A table's rows by token; a right backward sums repeated tokens."""

    def forward(self, params, x, key=None):
        return params["table"][x], (x, x > 0)

    def backward(self, params, saved, dy):
        return {"table": jnp.zeros_like(params["table"]).at[saved[0]].add(dy)}, self.input_gradient(dy)

    def input_gradient(self, dy):
        return None


def test_tokens_are_constants_and_have_no_gradient():
    report = check(Lookup(), _TABLE, _TOKENS)
    assert report
    assert [leaf.path for leaf in report.leaves] == ["params['table']"]
    assert "x held fixed" in str(report)

    class Overwriting(Lookup):
        def backward(self, params, saved, dy):
            return {"table": jnp.zeros_like(params["table"]).at[saved[0]].set(dy)}, None

    assert not check(Overwriting(), _TABLE, _TOKENS)

    class Differentiating(Lookup):
        def input_gradient(self, dy):
            return jnp.ones(dy.shape[:-1])

    assert "x holds whole numbers: its gradient must be None" in str(check(Differentiating(), _TABLE, _TOKENS))


def test_the_known_gradient_of_a_table_has_no_part_for_the_tokens():
    known = np.asarray([[1.0, 1.0], [1.0, 1.0], [3.0, 3.0], [1.0, 1.0]])
    assert check(Lookup(), _TABLE, _TOKENS, known=({"table": known}, None))
    assert not check(Lookup(), _TABLE, _TOKENS, known=({"table": 2 * known}, None))


class Gated(Layer):
    """Several inputs in a tree: values · gain, where a whole-number mask says so, beside a second array."""

    def __init__(self, form):
        self.form = form

    def forward(self, params, x, key=None):
        on = x["mask"] > 0
        return {"gated": jnp.where(on, x["values"] * params["gain"][None], 0.0), "other": 3 * x["other"][0]}, (x, on)

    def backward(self, params, saved, dy):
        x, on = saved
        through = jnp.where(on, dy["gated"], 0.0)
        dx = {"values": through * params["gain"][None], "other": (3 * dy["other"],), "mask": None}
        return {"gain": jnp.sum(through * x["values"], axis=0)}, self.form(dx)


_GAIN = {"gain": np.asarray([0.5, -2.0, 1.5])}
_TREE = {
    "values": np.asarray([[0.1, 0.4, -0.3], [1.0, 2.0, 0.7]]),
    "mask": np.asarray([[0, 1, 1], [1, 0, 1]]),
    "other": (np.asarray([0.3, 0.2, 0.1, 0.9]),),
}


@pytest.mark.parametrize("form", [lambda dx: dx, lambda dx: {k: v for k, v in dx.items() if k != "mask"}])
def test_x_may_be_a_tree_with_whole_numbers_in_it(form):
    """The gradient of whole numbers is None, or absent; all else is judged number by number."""
    report = check(Gated(form), _GAIN, _TREE)
    assert report
    assert {leaf.path for leaf in report.leaves} == {"params['gain']", "x['values']", "x['other'][0]"}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda dx: {**dx, "other": (2 * dx["other"][0],)}, "x['other'][0]"),
        (lambda dx: {**dx, "other": ()}, "forgets x['other'][0]"),
        (lambda dx: {**dx, "values": None}, "forgets x['values']"),
        (lambda dx: {**dx, "values": dx["values"].T}, "gradient of x['values'] has shape (3, 2)"),
    ],
)
def test_a_wrong_leaf_of_a_tree_is_named(form, words):
    report = check(Gated(form), _GAIN, _TREE)
    assert not report
    assert words in str(report)


class Centred(Layer):
    """x minus a mean: of the batch with a key, running without one; gradient of the running mean as given."""

    def __init__(self, dmean=jnp.zeros_like):
        self.dmean = dmean

    def forward(self, params, x, key=None):
        mean = params["mean"] if key is None else jnp.mean(x, axis=0)
        return (x - mean[None]) * params["scale"][None], (x, mean, key is None)

    def backward(self, params, saved, dy):
        x, mean, evaluating = saved
        dx = dy * params["scale"][None]
        dx = jnp.where(evaluating, dx, dx - jnp.mean(dx, axis=0)[None])
        dscale = jnp.sum(dy * (x - mean[None]), axis=0)
        return {"scale": dscale, "mean": self.dmean(jnp.sum(dy, axis=0))}, dx


_RUNNING = {"scale": np.asarray([1.5, -0.5]), "mean": np.asarray([0.2, 0.1])}
_ROWS = np.asarray([[0.3, 1.0], [-1.2, 0.4], [0.8, 2.0]])


@pytest.mark.parametrize("key", [(), (7,)])
def test_what_follows_the_data_has_gradient_zero_whatever_y_depends_on(key):
    report = check(Centred(), _RUNNING, _ROWS, *key)
    assert report
    assert {leaf.path for leaf in report.leaves} == {"params['scale']", "x"}
    for wrong in (lambda dmean: -dmean, lambda dmean: None, lambda dmean: jnp.zeros(())):
        report = check(Centred(wrong), _RUNNING, _ROWS, *key)
        assert "params['mean'] follows the data: its gradient must be zeros of its shape" in str(report)


class Both(Layer):
    """A stranger's composite: two layers side by side on one input, their outputs added."""

    def __init__(self, *layers):
        self.layers = layers

    def out_shape(self, in_shape):
        return self.layers[0].out_shape(in_shape)

    def forward(self, params, x, key=None):
        found = [layer.forward(own, x, key) for layer, own in zip(self.layers, params, strict=True)]
        return found[0][0] + found[1][0], [kept for _, kept in found]

    def backward(self, params, saved, dy):
        found = [layer.backward(p, s, dy) for layer, p, s in zip(self.layers, params, saved, strict=True)]
        return tuple(dparams for dparams, _ in found), found[0][1] + found[1][1]


def test_a_stranger_s_composite_is_checked_as_what_it_computes():
    network = Both(fn.Chain(fn.Dense(2), fn.relu), fn.Dense(2))
    params = (
        ({"kernel": np.asarray([[1.0, -1.0]]), "bias": np.zeros(2)}, ()),
        {"kernel": np.asarray([[0.5, -0.3]]), "bias": np.asarray([0.1, 0.2])},
    )
    assert check(network, params, np.asarray([[0.7], [-0.4]]))

    class Sequential(Both):
        def backward(self, params, saved, dy):
            dsecond, dy = self.layers[1].backward(params[1], saved[1], dy)
            dfirst, dx = self.layers[0].backward(params[0], saved[0], dy[..., [0, 0]])
            return (dfirst, dsecond), dx

    assert not check(Sequential(*network.layers), params, np.asarray([[0.7], [-0.4]]))


def test_functions_and_pairs_hold_whole_numbers_of_a_tree_fixed():
    tree = {"w": np.asarray([1.0, 2.0]), "n": 3, "flags": np.asarray([True, False])}
    assert check(lambda t: jnp.sum(t["w"] ** t["n"]), tree)
    assert check(lambda t: jnp.sum(t["w"] ** 2), tree, gradient=lambda t: {"w": 2 * t["w"]})
    assert not check(lambda t: jnp.sum(t["w"] ** 2), tree, gradient=lambda t: {"w": 3 * t["w"]})


def test_parameters_of_whole_numbers_are_named():
    params = {"kernel": np.asarray([[1, 2]]), "bias": np.asarray([0.5, 1.0])}
    with pytest.raises(TypeError, match=r"params\['kernel'\] must be a floating-point array .* but got int64\[1, 2\]"):
        check(fn.Dense(2), params, np.asarray([[0.3]]))
