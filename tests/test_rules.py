"""Every rule of the registries of losses, regularizers and layers, at every one of its cases.

That the backward is the derivative of the forward, the checker says in `test_mutations.py`, at each case. Here is what
it takes for granted: that the forward is the function that is meant, by numbers worked by hand and by arbitrary
precision, and what is promised of dtypes and extremes.
"""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import sympy

from funcnet import activations, layers, losses, regularizers
from funcnet.losses.base import OutputLoss
from funcnet.records import replace
from tests.helpers import cotangent, one_in, quick

DTYPES = (np.float64, np.float32)
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}
FLOORED = "finite where the truth is infinite"
mpmath.mp.dps = 40


def gather(registry):
    """List (name, case) for every case of a registry."""
    return [
        pytest.param(case, id=f"{module.__name__.split('.')[-1]}-{index}-{case.kind}")
        for module in registry
        for index, case in enumerate(module.CASES)
    ]


def floats(tree: Any, dtype: Any) -> Any:
    """Turn nested lists into arrays: whole-number lists into labels, others into the dtype."""
    if isinstance(tree, dict):
        return {name: floats(value, dtype) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(floats(value, dtype) for value in tree)
    if tree is None:  # the gradient of whole numbers
        return None
    array = np.asarray(tree)
    return jnp.asarray(array if array.dtype.kind == "i" else array.astype(dtype))


def split(case: Any, dtype: Any) -> tuple[Any, Any]:
    """Return (f, x) with f(x) -> (value, backward), x being the part of the arguments to differentiate by."""
    rule = case.rule
    if isinstance(rule, losses.Loss):
        prediction, *rest = (floats(a, dtype) for a in case.arguments)

        def run(x):
            value, saved = rule.forward(x, *rest)
            return value, lambda dy: rule.backward(saved, dy)

        return run, prediction
    if isinstance(rule, regularizers.Regularizer):

        def run(x):
            value, saved = rule.forward(x)
            return value, lambda dy: rule.backward(saved, dy)

        return run, floats(case.arguments[0], dtype)
    params, x, *seed = case.arguments
    key = jax.random.key(seed[0]) if seed else None

    def run(pair):
        value, saved = rule.forward(*pair, key)
        return value, lambda dy: rule.backward(pair[0], saved, dy)

    return run, (floats(params, dtype), floats(x, dtype))


def apart(found: Any, wanted: Any) -> float:
    """Return the largest difference between two trees, relative to the largest entry of each leaf."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    worst = 0.0
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape
        if a.size:
            difference = np.max(np.abs(a - b))
            worst = max(worst, float(difference / max(np.max(np.abs(b)), 1e-300)) if difference else 0.0)
    return worst


def known_first(parameters):
    """Leave the cases without a known number to `pytest -m every`: that gradients agree, the checker says."""
    rest = pytest.mark.every
    return [p if p.values[0].value is not None else p._replace(marks=(*p.marks, rest)) for p in parameters]


_EACH = gather(losses.REGISTRY) + gather(regularizers.REGISTRY) + known_first(gather(layers.REGISTRY))


@pytest.mark.parametrize("case", _EACH)
def test_forward_and_backward(case):
    """What is known by hand comes out; the dtype is kept; nothing is NaN, and of finite inputs all is finite."""

    def both(run, x):
        value, back = run(x)
        return value, back(jax.tree.map(jnp.ones_like, value))

    runs = {dtype: split(case, dtype) for dtype in DTYPES}
    # One program for both dtypes: compiling is nearly all of the work.
    found = quick(lambda points: [both(run, x) for (run, _), x in zip(runs.values(), points, strict=True)])
    for dtype, outcome in zip(DTYPES, found([x for _, x in runs.values()]), strict=True):
        lengths = int(isinstance(outcome[0], tuple) and outcome[0][1].dtype.kind == "i")  # they go on beside y
        assert sum(leaf.dtype == dtype for leaf in jax.tree.leaves(outcome)) == len(jax.tree.leaves(outcome)) - lengths
        assert not any(np.isnan(leaf).any() for leaf in jax.tree.leaves(outcome))
        if not np.any([np.isinf(leaf).any() for leaf in jax.tree.leaves(runs[dtype][1])]):
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(outcome))
        for own, known in zip(outcome, (case.value, case.gradient), strict=True):
            assert known is None or apart(own, floats(known, np.float64)) < TOLERANCE[dtype]


def fields(rule: Any) -> dict[str, Any]:
    """Return the fields of a rule as exact numbers, 1 for a weight that is not given."""
    found = {item.name: getattr(rule, item.name) for item in dataclasses.fields(rule)}
    return {
        name: mpmath.mpf(1) if v is None else mpmath.mpf(v) if isinstance(v, float) else v for name, v in found.items()
    }


def exact_sample_losses(rule: losses.Loss, prediction: np.ndarray, target: np.ndarray) -> tuple[list, list]:
    """Evaluate FORMULA in 40 digits: what each sample costs, and its class weight."""
    known = fields(rule)
    if isinstance(rule, OutputLoss):
        known["half"] = sympy.true if known.get("half") else sympy.false
        names = sympy.symbols(["p", "t", *[n for n in known if n != "reduction"]])
        half = {names[i]: known["half"] for i, s in enumerate(names) if s.name == "half"}
        expression = sympy.sympify(rule.FORMULA, locals={s.name: s for s in names}).subs(half)
        # 0 · log 0 = 0: any finite stand-in for log 0 will do.
        finite_log = {"log": lambda v: mpmath.log(v) if v else mpmath.mpf(-1)}
        function = sympy.lambdify(names, expression, [finite_log, "mpmath"])
        extra = [known[s.name] for s in names[2:]]
        element = [
            function(mpmath.mpf(float(p)), mpmath.mpf(float(t)), *extra)
            for p, t in zip(prediction.ravel(), target.ravel(), strict=True)
        ]
        width = prediction.shape[-1] if prediction.ndim > 1 else 1
        return [sum(element[i : i + width]) / width for i in range(0, len(element), width)], [1] * (
            len(element) // width
        )
    classes = prediction.shape[-1]
    weights = getattr(rule, "class_weight", None)
    known["class_weight"] = [mpmath.mpf(float(c)) for c in weights] if weights is not None else [1] * classes
    words = {"log": mpmath.log, "exp": mpmath.exp, "inf": mpmath.inf, "K": classes, "sum": sum, "range": range}
    costs, mass = [], []
    for p, t in zip(
        prediction.reshape(-1, classes), target.reshape(-1) if target.ndim < prediction.ndim else target, strict=True
    ):
        row = [mpmath.mpf(float(v)) for v in (t if np.ndim(t) else np.eye(classes)[t])]
        scope = {**known, **words, "p": [mpmath.mpf(float(v)) for v in p], "t": row}
        costs.append(eval(rule.FORMULA, {"__builtins__": {}, **scope}))
        mass.append(sum(c * v for c, v in zip(known["class_weight"], row, strict=True)))
    return costs, mass


@pytest.mark.parametrize("case", one_in(2, gather(losses.REGISTRY)))
def test_losses_against_arbitrary_precision(case):
    """Σ wᵢ lᵢ / Σ wᵢ cᵢ and the other reductions, from the formula in 40 digits."""
    prediction, target, *weight = (np.asarray(floats(a, np.float64)) for a in case.arguments)
    rules = {reduction: replace(case.rule, {"reduction": reduction}) for reduction in ("mean", "sum", "none")}
    each = quick(lambda *given: {reduction: rule(*given) for reduction, rule in rules.items()})
    found = each(*(floats(a, np.float64) for a in case.arguments))
    if case.source == FLOORED:
        assert all(np.all(np.isfinite(value)) for value in found.values())
        return
    if getattr(case.rule, "ignore", None) is not None:  # as weight 0
        there = target != case.rule.ignore
        target, weight = np.where(there, target, 0), [there.astype(float)]
    costs, mass = exact_sample_losses(case.rule, prediction, target)
    w = [mpmath.mpf(float(v)) for v in weight[0].ravel()] if weight else [mpmath.mpf(1)] * len(costs)
    alone = [a * b if a else mpmath.mpf(0) for a, b in zip(w, costs, strict=True)]
    total = sum(a * b for a, b in zip(w, mass, strict=True))
    for reduction, value in found.items():
        wanted = alone if reduction == "none" else [sum(alone) / (total if reduction == "mean" and total else 1)]
        value = np.ravel(value)
        assert len(value) == len(wanted)
        scale = max(max(abs(v) for v in wanted), mpmath.mpf(10) ** -3)
        assert max(abs(mpmath.mpf(float(a)) - b) for a, b in zip(value, wanted, strict=True)) <= 2e-15 * scale


def exact_penalty(rule, params):
    """Evaluate the formula of a regularizer, or those of a sum's terms, over every leaf that it reaches."""
    if isinstance(rule, regularizers.Sum):
        return sum(exact_penalty(term, params) for term in rule.terms)
    total = mpmath.mpf(0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if rule.biases or not (path and getattr(path[-1], "key", None) == "bias"):
            words = {"sum": sum, "abs": abs, "log": mpmath.log, "exp": mpmath.exp, "sqrt": mpmath.sqrt}
            scope = {**fields(rule), **words, "w": [mpmath.mpf(float(v)) for v in np.ravel(leaf)]}
            total += eval(rule.FORMULA, {"__builtins__": {}, **scope})
    return total


@pytest.mark.parametrize("case", gather(regularizers.REGISTRY))
def test_regularizers_against_arbitrary_precision(case):
    """The formula over every leaf that is not a bias, in 40 digits."""
    params = floats(case.arguments[0], np.float64)
    total = exact_penalty(case.rule, params)
    assert abs(mpmath.mpf(float(case.rule(params))) - total) <= 1e-15 * abs(total)


@pytest.mark.parametrize("case", one_in(2, gather(losses.REGISTRY)))
def test_sixteen_bit_predictions(case):
    """Bfloat16 predictions give a float32 value near the exact one, and a bfloat16 gradient."""
    (run, x), (precise, _) = split(case, jnp.bfloat16), split(case, np.float64)

    def each(x):
        value, back = run(x)
        return value, back(jnp.ones((), jnp.float32)), precise(x.astype(np.float64))[0]

    value, gradient, exact = quick(each)(x)
    assert value.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    if case.source == FLOORED:  # the floor depends on the dtype
        return
    rest_moves = 0.02  # targets and weights are rounded to bfloat16 too
    assert abs(float(value) - float(exact)) <= rest_moves * max(abs(float(exact)), 0.1)


def test_soft_threshold_minimises_its_objective(rng):
    """The proximal point of each regularizer beats every neighbour, and is exactly zero inside the threshold."""
    for rule, step in itertools.product(
        (regularizers.L1(0.7), regularizers.L2(0.7), regularizers.ElasticNet(0.4, 0.9)), (0.1, 2.0)
    ):
        w = rng.normal(size=40) * 2
        v = np.asarray(rule.prox(jnp.asarray(w), step))
        near = v + rng.normal(size=(200, 40)) * 10.0 ** rng.uniform(-6, 0, (200, 1))
        penalties = np.asarray(jax.vmap(rule)(jnp.asarray(np.concatenate([v[None], near]))))
        costs = 0.5 * np.sum((np.concatenate([v[None], near]) - w) ** 2, axis=1) + step * penalties
        assert np.all(costs[0] <= costs[1:] + 1e-14)
    assert np.all(np.asarray(regularizers.L1(1.0).prox(jnp.asarray([0.3, -0.5, 1.5]), 1.0)) == [0.0, 0.0, 0.5])


def test_max_norm_projects_each_unit(rng):
    """Columns outside the ball end on its surface in their direction, others stay, bit for bit."""
    kernel = jnp.asarray(rng.normal(size=(5, 4)) * np.asarray([[0.1, 3.0, 1e30, 1e-30]]))
    after = regularizers.MaxNorm(1.5).prox({"kernel": kernel, "bias": jnp.full(4, 9.0)}, 1.0)
    lengths = np.sqrt(np.sum(np.square(np.asarray(after["kernel"]) / [1, 1, 1, 1e-30]), axis=0)) * [1, 1, 1, 1e-30]
    assert np.array_equal(after["kernel"][:, 0], kernel[:, 0])
    assert np.array_equal(after["kernel"][:, 3], kernel[:, 3])
    np.testing.assert_allclose(lengths[1:3], 1.5, rtol=1e-15)
    np.testing.assert_allclose(after["kernel"][:, 1] / 1.5, kernel[:, 1] / jnp.linalg.norm(kernel[:, 1]), rtol=1e-14)
    assert np.array_equal(after["bias"], np.full(4, 9.0))


def test_max_norm_of_other_shapes(rng):
    """A convolution's unit is its whole window, a table's a row, a vector and a number are one unit each."""
    rule = regularizers.MaxNorm(0.5)
    tree = {"kernel": rng.normal(size=(3, 2, 4, 5)), "table": rng.normal(size=(6, 7)), "w": rng.normal(size=8)}
    after = rule.prox(tree | {"rate": jnp.asarray(-3.0)}, 1.0)
    for name, axes in {"kernel": (0, 1, 2), "table": 1, "w": 0}.items():
        length = np.sqrt(np.sum(tree[name] ** 2, axis=axes, keepdims=True))
        wanted = tree[name] * np.minimum(1, 0.5 / length)
        np.testing.assert_allclose(after[name], wanted, rtol=1e-14)
        assert np.any(wanted != tree[name])
    assert float(after["rate"]) == -0.5


def test_kl_is_cross_entropy_less_entropy(rng):
    """KL(t‖q) = CE(t, q) − H(t), and weights are as good as duplicates."""
    t, q = (jnp.asarray(rng.dirichlet(np.ones(5), 7)) for _ in range(2))
    entropy = -jnp.mean(jnp.sum(t * jnp.log(t), axis=-1))
    assert abs(float(losses.KLDivergence()(q, t) - losses.CrossEntropy()(q, t) + entropy)) < 1e-15
    twice = losses.CrossEntropy()(q[jnp.asarray([0, 0, 3])], t[jnp.asarray([0, 0, 3])])
    weight = jnp.asarray([2.0, 0, 0, 1, 0, 0, 0])
    assert abs(float(losses.CrossEntropy()(q, t, weight) - twice)) < 1e-15


def test_fused_and_plain_cross_entropy_agree(rng):
    """From logits and from probabilities, multi-class and binary, labels and one-hot rows: the same number."""
    z = jnp.asarray(rng.normal(size=(6, 4)) * 3)
    labels = jnp.asarray(rng.integers(0, 4, 6))
    q = jnp.exp(z) / jnp.sum(jnp.exp(z), axis=-1, keepdims=True)
    fused = losses.SoftmaxCrossEntropy()(z, labels)
    for other in (losses.CrossEntropy()(q, labels), losses.SoftmaxCrossEntropy()(z, jnp.eye(4)[labels])):
        assert abs(float(fused - other)) < 1e-14
    t = jnp.asarray(rng.uniform(size=(6, 4)))
    two = losses.SigmoidCrossEntropy()(z, t) - losses.BinaryCrossEntropy()(1 / (1 + jnp.exp(-z)), t)
    assert abs(float(two)) < 1e-14


def test_saturated_probabilities_do_not_explode_behind_a_sigmoid():
    """The gradient of binary cross-entropy through a saturated sigmoid is at most that of the fused loss, doubled."""
    sigmoid, loss = activations.Sigmoid(), losses.BinaryCrossEntropy()
    for dtype in (jnp.float32, jnp.float64):
        z = jnp.asarray([[-800.0, -90.0, -20.0, 0.0, 20.0, 40.0, 90.0, 800.0]], dtype)
        for t in (0.0, 1.0):
            q, kept = sigmoid.forward(z)
            _, saved = loss.forward(q, jnp.full_like(q, t))
            dz = sigmoid.backward(kept, loss.backward(saved)) * z.size
            assert np.all(np.abs(dz) <= 2)


def test_label_out_of_range_under_jit_is_nan_not_zero():
    """What cannot be checked at the door is loud."""
    loss = jax.jit(losses.SoftmaxCrossEntropy())
    assert np.isnan(loss(jnp.zeros((2, 3)), jnp.asarray([0, 3])))
    assert np.isfinite(loss(jnp.zeros((2, 3)), jnp.asarray([0, 3]), jnp.asarray([1.0, 0.0])))


def test_dropout_keeps_the_expectation(rng):
    """Inverted and standard form: E[training] = evaluation; the same mask backwards; rate 0 is the identity."""
    x = jnp.asarray(rng.uniform(0.5, 1.5, size=(4000, 50)))
    for inverted in (True, False):
        layer = layers.Dropout(0.3, inverted=inverted)
        y, saved = layer.forward((), x, jax.random.key(5))
        kept = float(jnp.mean(y != 0))
        assert abs(kept - 0.7) < 5 * np.sqrt(0.21 / x.size)
        assert abs(float(jnp.mean(y) / jnp.mean(layer.apply((), x))) - 1) < 0.01
        dy = cotangent(y)
        _, dx = layer.backward((), saved, dy)
        np.testing.assert_allclose(dx, dy * (y / x), rtol=1e-12)
    still, _ = layers.Dropout(0.0).forward((), x, jax.random.key(5))
    assert np.array_equal(still, x)
