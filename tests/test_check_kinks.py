"""docs/kinks.md: what four libraries take for a derivative where there is none.

The columns of funcnet and JAX are computed here. Those of PyTorch and TensorFlow were recorded by running these
functions at these points in the versions named (tests/recorded/kinks.json); the page is held to both.
"""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.checking import check
from funcnet.losses import PerceptronCriterion

_ROOT = pathlib.Path(__file__).parent
_PAGE = (_ROOT.parent / "docs" / "kinks.md").read_text(encoding="utf-8")
_RECORDED = json.loads((_ROOT / "recorded" / "kinks.json").read_text(encoding="utf-8"))


def _jax(function, *at):
    return [float(v) for v in jax.grad(lambda x: jnp.sum(function(x)))(jnp.asarray(at))]


def _own(rule, *at, target=None):
    x = jnp.asarray(at)
    arguments = (x,) if target is None else (x, jnp.asarray(target))
    y, saved = rule.forward(*arguments)
    return [float(v) for v in rule.backward(saved, jnp.ones_like(y))]


def _penalty(rule, *at):
    return [float(v) for v in rule.gradient(jnp.asarray(at))]


_NN = jax.nn
# function, point, slopes on either side, funcnet, JAX, the name in the recording
_ROWS = [
    ("ReLU", "0", "0 and 1", _own(fn.relu, 0.0), _jax(_NN.relu, 0.0), "relu"),
    ("maximum(x, 0)", "0", "0 and 1", None, _jax(lambda x: jnp.maximum(x, 0), 0.0), "maximum(x,0)"),
    ("where(x > 0, x, 0)", "0", "0 and 1", None, _jax(lambda x: jnp.where(x > 0, x, 0), 0.0), "where(x>0)"),
    ("clip from below at 0", "0", "0 and 1", None, _jax(lambda x: jnp.clip(x, 0), 0.0), "clamp(min=0)"),
    (
        "leaky ReLU, slope 0.1",
        "0",
        "0.1 and 1",
        _own(fn.LeakyReLU(0.1), 0.0),
        _jax(lambda x: _NN.leaky_relu(x, 0.1), 0.0),
        "leaky_relu 0.1",
    ),
    ("ELU, α = 0.5", "0", "0.5 and 1", _own(fn.ELU(0.5), 0.0), _jax(lambda x: _NN.elu(x, 0.5), 0.0), "elu alpha 0.5"),
    ("SELU", "0", "1.7581 and 1.0507", _own(fn.SELU(), 0.0), _jax(_NN.selu, 0.0), "selu"),
    ("hard tanh", "−1, 1", "0 and 1", _own(fn.HardTanh(), -1.0, 1.0), _jax(_NN.hard_tanh, -1.0, 1.0), "hardtanh"),
    (
        "hard sigmoid",
        "−3, 3",
        "0 and 1/6",
        _own(fn.HardSigmoid(), -3.0, 3.0),
        _jax(_NN.hard_sigmoid, -3.0, 3.0),
        "hardsigmoid",
    ),
    ("ReLU6", "0, 6", "0 and 1", None, _jax(_NN.relu6, 0.0, 6.0), "relu6"),
    ("clip to [−1, 1]", "−1, 1", "0 and 1", None, _jax(lambda x: jnp.clip(x, -1, 1), -1.0, 1.0), "clip"),
    ("step", "0", "a jump", _own(fn.Step(), 0.0), _jax(lambda x: jnp.heaviside(x, 1.0), 0.0), None),
    ("abs", "0", "−1 and 1", None, _jax(jnp.abs, 0.0), "abs"),
    (
        "mean absolute error",
        "p = t",
        "−1 and 1",
        _own(fn.MeanAbsoluteError(), 0.0, target=[0.0]),
        _jax(jnp.abs, 0.0),
        "l1_loss",
    ),
    ("Huber, δ = 1", "r = 1", "1 and 1: no kink", _own(fn.Huber(1.0), 1.0, target=[0.0]), None, "huber at delta"),
    ("perceptron criterion", "z = 0, t = 0", "0 and 1", _own(PerceptronCriterion(), 0.0, target=[0]), None, None),
    ("perceptron criterion", "z = 0, t = 1", "−1 and 0", _own(PerceptronCriterion(), 0.0, target=[1]), None, None),
    ("L1, λ = 1", "0", "−1 and 1", _penalty(fn.L1(1.0), 0.0), _jax(jnp.abs, 0.0), "abs"),
    (
        "binary cross-entropy",
        "q = 1, t = 1",
        "−1 on the left",
        _own(fn.BinaryCrossEntropy(), 1.0, target=[1.0]),
        None,
        "bce q=1,t=1",
    ),
    ("max of two equal numbers", "(1, 1)", "0 and 1 each", None, _jax(jnp.max, 1.0, 1.0), "max tie"),
    (
        "maximum(a, b)",
        "a = b",
        "0 and 1 each",
        None,
        _jax(lambda x: jnp.maximum(x[:1], x[1:]), 1.0, 1.0),
        "maximum tie",
    ),
    (
        "minimum(a, b)",
        "a = b",
        "0 and 1 each",
        None,
        _jax(lambda x: jnp.minimum(x[:1], x[1:]), 1.0, 1.0),
        "minimum tie",
    ),
    ("median of three equal numbers", "(1, 1, 1)", "0 and 1 each", None, _jax(jnp.median, 1.0, 1.0, 1.0), "median tie"),
    ("square root", "0", "∞ on the right", None, _jax(jnp.sqrt, 0.0), "sqrt"),
    ("norm", "(0, 0)", "−1 and 1 in each direction", None, _jax(jnp.linalg.norm, 0.0, 0.0), "norm"),
    ("x log x, as xlogy", "0", "−∞ on the right", None, _jax(lambda x: jax.scipy.special.xlogy(x, x), 0.0), "xlogx"),
]


def _cell(values):
    if values is None:
        return "–"

    def one(value):
        value = float(value)
        if math.isnan(value):
            return "NaN"
        return "∞" if math.isinf(value) else f"{round(value, 4) + 0.0:g}".replace("-", "−")

    return ", ".join(map(one, values))


def _lines():
    yield "| function | at | slopes on either side | funcnet | JAX | PyTorch | TensorFlow |"
    yield "|---|---|---|---|---|---|---|"
    for function, at, slopes, own, other, name in _ROWS:
        torch, tensorflow = (_RECORDED[library].get(name) if name else None for library in ("pytorch", "tensorflow"))
        yield f"| {function} | {at} | {slopes} | {' | '.join(map(_cell, (own, other, torch, tensorflow)))} |"


def test_the_page_states_what_was_computed_and_recorded():
    for line in _lines():
        assert line in _PAGE, line
    assert f"PyTorch {_RECORDED['pytorch']['version'].split('+')[0]}" in _PAGE
    assert f"TensorFlow {_RECORDED['tensorflow']['version']}" in _PAGE


def test_a_line_that_is_not_true_would_be_seen():
    assert "| ReLU | 0 | 0 and 1 | 1 | 0 | 0 | 0 |" not in _PAGE


@pytest.mark.parametrize(
    ("slope", "accepted"), [(0.0, True), (0.5, True), (1.0, True), (-0.01, False), (1.01, False), (2.0, False)]
)
def test_every_slope_between_the_one_sided_ones_is_accepted_and_no_other(slope, accepted):
    """A stranger's ReLU, which states nothing, may take any subgradient at 0."""

    def backward(z, dy):
        return jnp.where(z == 0, slope, jnp.where(z > 0, 1.0, 0.0)) * dy

    report = check((lambda z: (jnp.maximum(z, 0), z), backward), np.asarray([-1.0, 0.0, 2.0]))
    assert bool(report) is accepted
    assert [name for name, _ in report.kinks] == ["z[1]"]
    if not accepted:
        assert "is not between" in str(report)


def test_a_stated_slope_must_come_out():
    @fn.record
    class Stated(fn.ReLU):
        def backward(self, saved, dy):
            return jnp.where(saved > 0, dy, 0.5 * dy)

    report = check(Stated(), np.asarray([0.0, 1.0]))
    assert not report
    assert "at the kink z[0] the rule states 0 and gives" in str(report)


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9, 1e-12])
def test_beside_a_kink_the_slope_is_that_of_its_side(distance):
    """The ladder follows the size of each input, so that a point next to the kink is not taken for the kink."""
    assert check(fn.relu, np.asarray([distance, -distance]))

    def wrong(z, dy):
        return jnp.where(z > 1e-2, dy, 0.0)

    assert not check((lambda z: (jnp.maximum(z, 0), z), wrong), np.asarray([distance, -distance]))


def test_a_jump_and_a_vertical_tangent_are_reported():
    jump = check((lambda z: ((z > 0) * 1.0 + z, z), lambda z, dy: dy), np.asarray([0.0, 1.0]))
    (_, kink) = jump.kinks[0]
    assert jump
    assert math.isinf(kink.high) or math.isinf(kink.low)

    def forward(z):
        return jnp.sqrt(jnp.abs(z)), z

    def backward(z, dy):
        away = jnp.where(z == 0, 1.0, jnp.abs(z))
        return jnp.where(z == 0, 0.0, 0.5 * jnp.sign(z) / jnp.sqrt(away)) * dy

    root = check((forward, backward), np.asarray([0.0, 1.0]))
    assert root
    assert [name for name, _ in root.kinks] == ["z[0]"]
    assert math.isinf(root.kinks[0][1].high)


def test_a_kink_deep_inside_a_network_is_listed_and_not_held_against_it():
    network = fn.Chain(fn.Dense(2), fn.relu, fn.Dense(1))
    params = (
        {"kernel": np.asarray([[1.0, -1.0]]), "bias": np.zeros(2)},
        (),
        {"kernel": np.asarray([[1.0], [-0.5]]), "bias": np.zeros(1)},
    )
    report = check(network, params, np.asarray([[0.0], [1.0]]))
    assert report
    assert report.kinks
