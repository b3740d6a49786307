"""Every number in docs/errata.md is computed here, and stands in its section of the page."""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn

_PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "errata.md").read_text(encoding="utf-8")


def _section(number: str) -> str:
    (found,) = [part for part in _PAGE.split("\n## ") if part.startswith(number + " ")]
    return found


def _states(number: str, *values: str) -> None:
    """Require that the section of an erratum states each of these numbers, in code marks."""
    text = _section(number)
    for value in values:
        assert f"`{value}`" in text, f"{number} should state {value}"


def test_the_page_is_held_to_its_numbers():
    """A number that is not on the page is seen."""
    with pytest.raises(AssertionError, match=r"F5 should state 9\.9999"):
        _states("F5", "9.9999")


def test_every_misprint_of_the_ledger_has_its_section():
    numbers = [part.split()[0] for part in _PAGE.split("\n## ")[1:]]
    assert numbers == ["N3", "F1", "F5", "L2", "B1", "R2", "R3", "O3", "O6", "C1"]
    for number in numbers:
        text = _section(number)
        for word in ("**The article**", "**Why it fails.**", "**Right", "**Source.**"):
            assert word in text, f"{number} lacks {word}"


def _logistic_fit(x, y, steps=2000):
    """Minimise the mean binary cross-entropy by gradient descent; return the loss."""
    loss, layer = fn.SigmoidCrossEntropy(), fn.Dense(1)

    def step(params, _):
        _, gradient = fn.backprop(layer, loss, params, x, y)
        return jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient), None

    params = {"kernel": jnp.zeros((x.shape[1], 1)), "bias": jnp.zeros(1)}
    params, _ = jax.lax.scan(step, params, None, length=steps)
    return float(loss(layer.apply(params, x), y))


def test_n3_labels_among_the_features(rng):
    x = jnp.asarray(rng.normal(size=(200, 3)))
    y = jnp.asarray(rng.integers(0, 2, size=(200, 1)).astype(float))
    honest, leaked = _logistic_fit(x, y), _logistic_fit(jnp.concatenate([x, y], axis=1), y)
    assert honest > 0.65
    assert leaked < 0.03
    _states("N3", f"{honest:.4f}", f"{leaked:.4f}")
    # What is right about it: a column of ones is a bias.
    w, b = jnp.asarray([[0.3], [-1.2], [0.7]]), jnp.asarray([0.4])
    ones = jnp.concatenate([jnp.ones((200, 1)), x], axis=1)
    joined = fn.sigmoid(ones @ jnp.concatenate([b[:, None], w]))
    np.testing.assert_allclose(joined, fn.sigmoid(x @ w + b[None]), rtol=1e-13)


def test_f1_e_and_the_range_of_the_sigmoid():
    exact = float(np.e)
    wrong = 1 / (1 + 2.71**-1.0)
    right = float(fn.sigmoid(jnp.asarray(1.0)))
    assert abs(wrong - right) > 5e-4
    smallest = float(fn.sigmoid(jnp.asarray(-700.0)))
    assert smallest > 0
    _states("F1", f"{exact:.5f}", f"{np.euler_gamma:.5f}", f"{wrong:.5f}", f"{right:.5f}", f"{smallest:.2e}")


def test_f5_weights_times_probabilities():
    z, w = jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([1.0, 2.0, 3.0])
    p = fn.softmax(z)
    total = float(jnp.sum(w * p))
    assert abs(total - 1) > 1
    weighted = fn.Softmax(class_weight=w)(z)
    np.testing.assert_allclose(weighted, w * p / total, rtol=1e-13)
    np.testing.assert_allclose(weighted, fn.softmax(z + jnp.log(w)), rtol=1e-13)
    _states("F5", f"{total:.4f}", *(f"{float(v):.4f}" for v in weighted))


def test_l2_estimate_and_truth_are_swapped():
    estimate, truth = np.asarray([0.7, 0.3]), np.asarray([1.0, 0.0])
    with np.errstate(divide="ignore"):
        literal = -np.sum(estimate * np.log(truth))
    right = float(fn.CrossEntropy()(jnp.asarray(estimate[None]), jnp.asarray([0])))
    assert literal == np.inf
    t, q = jnp.asarray([[0.25, 0.75]]), jnp.asarray([[0.5, 0.5]])
    entropy = float(fn.CrossEntropy()(q, t))
    ratio = float(fn.KLDivergence()(q, t))
    own = float(-jnp.sum(t * jnp.log(t)))
    assert ratio == pytest.approx(entropy - own, abs=1e-14)
    _states("L2", "∞", f"{right:.4f}", f"{entropy:.4f}", f"{ratio:.4f}", f"{own:.4f}")


def test_b1_the_lines_of_back_propagation():
    a, slope = np.ones((4, 3)), np.ones((4, 3))
    assert (a.T @ slope).shape == (3, 3)
    z = 0.5
    y = float(fn.sigmoid(jnp.asarray(z)))
    _states("B1", "3 × 3", "4 × 3", f"{y:.4f}", f"{y * (1 - y):.4f}")
    # A network of 2-2-1 sigmoid units, one sample, target 1, cross-entropy: the setting that suits the article best.
    network = fn.Chain(fn.Dense(2), fn.sigmoid, fn.Dense(1))
    params = (
        {"kernel": jnp.asarray([[0.5, -1.0], [1.5, 0.25]]), "bias": jnp.asarray([0.1, -0.2])},
        (),
        {"kernel": jnp.asarray([[0.7], [-0.3]]), "bias": jnp.asarray([0.05])},
    )
    x, target = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[1.0]])
    loss = fn.SigmoidCrossEntropy()
    _, gradient = fn.backprop(network, loss, params, x, target)
    h = float(fn.sigmoid(network.apply(params, x))[0, 0])
    article = (h - 1) * 1.0  # [h(x) − y] .* A[0], at the weight from the first input to the first hidden unit
    right = float(gradient[0]["kernel"][0, 0])
    step = 1e-6
    moved = [
        float(
            loss(network.apply(({**params[0], "kernel": params[0]["kernel"].at[0, 0].add(s)}, *params[1:]), x), target)
        )
        for s in (step, -step)
    ]
    assert right == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-7)
    assert abs(article / right) > 10
    _states("B1", f"{article:.4f}", f"{right:.4f}", f"{article / right:.1f}")
    # Where it does hold: the last layer, with sigmoid and cross-entropy.
    hidden = fn.sigmoid(network.layers[0].apply(params[0], x))
    np.testing.assert_allclose(gradient[2]["kernel"][:, 0], (h - 1) * np.asarray(hidden)[0], rtol=1e-12)


def test_r2_the_square_and_the_strength():
    w, strength = np.asarray([3.0, -4.0]), 0.1
    first, second = strength * float(np.linalg.norm(w)), 0.5 * float(np.sum(w * w))
    right = float(fn.L2(strength)(jnp.asarray(w)))
    assert len({round(v, 6) for v in (first, second, right)}) == 3
    _states("R2", f"{first:g}", f"{second:g}", f"{right:g}")
    np.testing.assert_allclose(fn.L2(strength).gradient(jnp.asarray(w)), strength * w)


def test_r3_dropout_without_a_factor():
    h = jnp.ones(200_000)
    plain, _ = fn.Dropout(0.4, inverted=False).forward((), h, jax.random.key(0))
    inverted, _ = fn.Dropout(0.4).forward((), h, jax.random.key(0))
    assert float(jnp.mean(plain)) == pytest.approx(0.6, abs=0.005)
    assert float(jnp.mean(inverted)) == pytest.approx(1.0, abs=0.01)
    _states("R3", f"{float(jnp.mean(plain)):.3f}", f"{float(jnp.mean(inverted)):.3f}")


def test_o3_ascent_for_descent():
    def f(w):
        return (w - 1) ** 2

    w, rate = 0.0, 0.25
    slope = 2 * (w - 1)
    down, up = f(w - rate * slope), f(w + rate * slope)
    assert down < f(w) < up
    _states("O3", f"{f(w):g}", f"{down:g}", f"{up:g}")


def test_o6_adam_as_printed():
    beta1, beta2, gradient, theta = 0.9, 0.999, 5.0, 1.0
    new1 = beta1 + (1 - beta1) * (gradient - gradient**2)
    v = (new1 * 0.0 + (1 - new1) * gradient) / theta
    new2 = beta2 + (1 - beta2) * v**2 - beta2 * (v / (1 - beta2)) ** 2
    assert not 0 <= new1 < 1
    assert new2 < -1e7
    params = jnp.asarray([theta])
    optimizer = fn.Adam(0.001)
    updates, _ = optimizer.update(jnp.asarray([gradient]), optimizer.init(params), params)
    assert float(updates[0]) == pytest.approx(-0.001, rel=1e-6)
    with np.errstate(divide="ignore"):
        at_zero = np.float64((1 - new1) * gradient) / 0.0
    assert np.isinf(at_zero)
    _states("O6", f"{new1:.1f}", f"{new2:.2e}", f"{float(updates[0]):.4f}")


def test_c1_the_cost_of_both_passes():
    def products(widths):
        return sum(a * b for a, b in itertools.pairwise(widths))

    small, large = [784, 512, 512, 10], [784, 1024, 1024, 10]
    claimed = 10 * 784
    forward = products(small)
    backward = 2 * forward - small[0] * small[1]
    assert forward / claimed > 80
    _states(
        "C1",
        f"{claimed:,}",
        f"{forward:,}",
        f"{products(large):,}",
        f"{backward:,}",
        f"{backward / forward:.2f}",
        f"{2 * 784 * 10 * 784:,}",
    )
    # Counted by the compiler: two floating-point operations a product, and nothing else in these layers but biases.
    network = fn.Chain(fn.Dense(512, bias=False), fn.Dense(512, bias=False), fn.Dense(10, bias=False))
    params = jax.eval_shape(lambda: network.init(jax.random.key(0), (784,), jnp.float32))
    x = jax.ShapeDtypeStruct((1, 784), jnp.float32)
    found = jax.jit(network.apply).lower(params, x).compile().cost_analysis()
    assert float(found["flops"]) == pytest.approx(2 * forward, rel=0.01)
    # The cost model: for a batch of 2 it is two operations a product in both passes.
    cost = fn.cost(network, (784,), 2)
    assert (cost.forward.products, cost.backward.products) == (2 * 2 * forward, 2 * 2 * backward)
