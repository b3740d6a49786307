"""Whatever is wrong with a rule or with the examples is named in words."""

import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.checking import check

_X = np.asarray([[0.5, -1.0], [2.0, 0.3]])
_RIGHT = {"kernel": np.asarray([[1.0, 2.0], [0.3, -0.4]]), "bias": np.asarray([0.1, 0.2])}


class Affine:
    """x W + b with a backward to be given."""

    def __init__(self, backward):
        self._backward = backward

    def forward(self, params, x, key=None):
        return x @ params["kernel"] + params["bias"][None], x

    def backward(self, params, saved, dy):
        return self._backward(params, saved, dy)


def _true(params, x, dy):
    return {"kernel": x.T @ dy, "bias": dy.sum(0)}, dy @ params["kernel"].T


def test_the_true_layer_passes():
    assert check(Affine(_true), _RIGHT, _X)


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda p, x, dy: ({"kernel": x.T @ dy}, dy @ p["kernel"].T), "forgets params['bias']"),
        (
            lambda p, x, dy: ({**_true(p, x, dy)[0], "gain": dy}, dy @ p["kernel"].T),
            "has params['gain'], which is no input",
        ),
        (
            lambda p, x, dy: ({"kernel": x.T @ dy, "bias": dy}, dy @ p["kernel"].T),
            "gradient of params['bias'] has shape (2, 2), and params['bias'] has (2,)",
        ),
        (lambda p, x, dy: _true(p, x, dy)[0], "must return (dparams, dx)"),
        (lambda p, x, dy: (_true(p, x, dy)[0], dy @ p["kernel"].T * jnp.nan), "backward returned nan at x[0, 0]"),
        (lambda p, x, dy: (_true(p, x, dy)[0], (dy @ p["kernel"].T).astype(int)), "the gradient of x is int"),
        (lambda p, x, dy: p["weights"], "backward raised KeyError: 'weights'"),
        (lambda p, x, dy: (_true(p, x, dy)[0], None), "forgets x"),
    ],
)
def test_a_wrong_tree_shape_or_number_is_named(backward, words):
    report = check(Affine(backward), _RIGHT, _X)
    assert not report
    assert words in str(report)
    assert "Traceback" not in str(report)


def test_an_out_shape_that_does_not_hold_is_named():
    """Whether or not the example has an axis of samples; a shape that the layer does not take says nothing."""
    rule = Affine(_true)
    rule.init = lambda key, in_shape, dtype=None: _RIGHT  # a layer has one
    for said in ((3,), (2, 2), ()):
        rule.out_shape = lambda in_shape, said=said: said
        report = check(rule, _RIGHT, _X)
        assert bool(report) is (said == (2, 2))  # as if the two rows were one sample
        assert report or f"out_shape((2,)) says {said}, but forward gives (2,) for such a sample" in str(report)
    rule.out_shape = lambda in_shape: in_shape[7:8] + (1 // 0,)
    assert check(rule, _RIGHT, _X)


def test_saved_values_changed_in_place_are_named():
    def forward(x):
        return x * x, {"x": np.array(x)}

    def backward(saved, dy):
        saved["x"] *= 2
        return saved["x"] * dy

    report = check((forward, backward), np.asarray([1.0, 2.0]))
    assert "backward changed its saved values in place" in str(report)

    def emptied(saved, dy):
        return 2 * saved.pop("x") * dy

    report = check((lambda x: (x * x, {"x": x}), emptied), np.asarray([1.0, 2.0]))
    assert "backward changed its saved values in place" in str(report)


def test_a_forward_that_is_not_deterministic_is_named():
    rng = np.random.default_rng(0)
    report = check((lambda x: (x * rng.random(), x), lambda x, dy: dy), np.asarray([1.0, 2.0]))
    assert not report
    assert "two calls of forward with equal arguments differ" in str(report)


def test_a_backward_that_is_not_deterministic_is_named():
    rng = np.random.default_rng(0)
    report = check((lambda x: (x, x), lambda x, dy: dy * rng.random()), np.asarray([1.0, 2.0]))
    assert "two calls of backward differ" in str(report)


def test_a_backward_that_reads_an_earlier_call_is_stale():
    class Leaky:
        kept = None

        def forward(self, z):
            if Leaky.kept is None or np.shape(Leaky.kept) == ():
                Leaky.kept = np.asarray([0.1, 0.2]) if not isinstance(z, np.ndarray) else z
            return z * z, ()

        def backward(self, saved, dy):
            return 2 * Leaky.kept * dy

    report = check(Leaky(), np.asarray([1.0, 2.0]))
    assert not report


def test_a_forward_without_numbers_is_named():
    assert "forward returned no numbers" in str(check((lambda x: ((), x), lambda x, dy: x), _X))
    assert "which has no derivative" in str(check((lambda x: (jnp.asarray([1, 2]), x), lambda x, dy: x), _X))
    assert "forward returned NaN at y[0, 1]" in str(check((lambda x: (jnp.sqrt(x), x), lambda x, dy: x), _X))
    assert "forward raised ValueError: no" in str(check((_raising, lambda x, dy: x), _X))
    assert "forward raised TypeError: forward must return the pair" in str(check((lambda x: x, lambda x, dy: x), _X))


def _raising(x):
    raise ValueError("no")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (
            (fn.relu, np.asarray([1, 2])),
            TypeError,
            "z must be a floating-point array to be differentiated, but got int64[2]",
        ),
        ((fn.relu, np.zeros((0, 3))), ValueError, "there must be at least one number to differentiate"),
        ((fn.relu,), TypeError, "must be checked with one argument, z"),
        ((fn.ReLU, np.ones(2)), TypeError, "a rule must be an instance, but got the class ReLU"),
        ((fn.MeanSquaredError(), np.ones(2)), TypeError, "must be checked with a prediction and a target"),
        ((jnp.sin, np.asarray([1, 2])), TypeError, "at least one example argument must be a floating-point array"),
        ((jnp.sin,), ValueError, "check needs example arguments"),
        ((3, np.ones(2)), TypeError, "a rule must have forward and backward"),
    ],
)
def test_examples_that_cannot_be_checked_stop_at_the_door(arguments, kind, words):
    with pytest.raises(kind) as error:
        check(*arguments)
    assert words in str(error.value)
    assert "Try: " in str(error.value)


def test_a_rule_that_only_works_eagerly_says_so():
    def backward(x, dy):
        return dy * 2 if float(dy[0]) > 1e9 else dy

    report = check((lambda x: (x + 0.0, x), backward), np.asarray([1.0, 2.0]))
    assert not report
    assert "backward fails under jit" in str(report)


class SignedDescent:
    """An optimizer to break: plain descent."""

    def __init__(self, update):
        self._update = update

    def init(self, params):
        return {"step": jnp.zeros((), jnp.int32)}

    def update(self, gradient, state, params):
        return self._update(gradient, state, params)


def _next(state):
    return {"step": state["step"] + 1}


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (lambda g, s, p: ({k: 0.1 * v for k, v in g.items()}, _next(s)), "go up the gradient"),
        (lambda g, s, p: ({"kernel": -g["kernel"]}, _next(s)), "updates forget ['bias']"),
        (
            lambda g, s, p: ({k: -v.astype(jnp.bfloat16) for k, v in g.items()}, _next(s)),
            "is bfloat16[3] in updates and float32[3] in parameters",
        ),
        (
            lambda g, s, p: ({k: -v / jnp.abs(v) for k, v in g.items()}, _next(s)),
            "gradients of size 0 give a non-finite update",
        ),
        (
            lambda g, s, p: ({k: -v for k, v in g.items()}, {"step": s["step"].astype(jnp.float32)}),
            "in the new state and int32[] in the old one",
        ),
        (lambda g, s, p: g["no"], "init or update raised KeyError"),
    ],
)
def test_an_optimizer_s_broken_promises_are_named(update, words):
    true = SignedDescent(lambda g, s, p: ({k: -v for k, v in g.items()}, _next(s)))
    assert check(true)
    report = check(SignedDescent(update))
    assert not report
    assert words in str(report)
