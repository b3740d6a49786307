"""Weights of samples and classes: 0 is not there, quotients alone count; labels of every dtype; healthy programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import fused, losses
from funcnet.losses import as_loss
from tests.helpers import one_in, quick, sampled

REDUCTIONS = ("mean", "sum", "none")
CLASSES = 4
# Every kind of loss: the rule, and whether its targets are labels, distributions, yes or no, or numbers.
RULES = {
    "MeanSquaredError": (fn.MeanSquaredError(), "numbers"),
    "MeanAbsoluteError": (fn.MeanAbsoluteError(), "numbers"),
    "Huber": (fn.Huber(0.5), "numbers"),
    "SoftmaxCrossEntropy": (fn.SoftmaxCrossEntropy(), "labels"),
    "SoftmaxCrossEntropy of distributions": (fn.SoftmaxCrossEntropy(), "distributions"),
    "SoftmaxCrossEntropy by class": (fn.SoftmaxCrossEntropy(0.1, (0.5, 1.0, 0.0, 4.0)), "labels"),
    "SigmoidCrossEntropy": (fn.SigmoidCrossEntropy(0.1, 3.0), "yes"),
    "PerceptronCriterion": (fn.PerceptronCriterion(), "yes"),
    "CrossEntropy": (fn.CrossEntropy(), "labels"),
    "BinaryCrossEntropy": (fn.BinaryCrossEntropy(), "yes"),
    "KLDivergence": (fn.KLDivergence(), "distributions"),
    "KLDivergence of labels": (fn.KLDivergence(), "labels"),
    "KLDivergence, reverse": (fn.KLDivergence(reverse=True), "distributions"),
    "LogKLDivergence": (fn.LogKLDivergence(), "distributions"),
    "LogKLDivergence, reverse": (fn.LogKLDivergence(reverse=True), "distributions"),
}


def draw(rng, name, samples, dtype=np.float64):
    """Return a rule, and a prediction and target that suit it."""
    rule, kind = RULES[name]
    shape = (*samples, CLASSES)
    prediction = rng.normal(size=shape)
    if "LogKL" in name:
        prediction = np.log(rng.dirichlet(np.ones(CLASSES), samples))
    elif "KL" in name or name in ("CrossEntropy", "BinaryCrossEntropy"):
        prediction = rng.dirichlet(np.ones(CLASSES), samples)
    target = {
        "numbers": lambda: rng.normal(size=shape),
        "labels": lambda: rng.integers(0, CLASSES, samples),
        "distributions": lambda: rng.dirichlet(np.ones(CLASSES), samples),
        "yes": lambda: rng.integers(0, 2, shape).astype(float),
    }[kind]()
    return rule, prediction.astype(dtype), target if kind == "labels" else target.astype(dtype)


def both(rule, prediction, target, weight=None):
    """Return value and gradient."""
    value, saved = rule.forward(prediction, target, weight)
    return value, rule.backward(saved, jnp.ones_like(value))


@jax.jit
def jitted(rule, prediction, target, weight=None):
    """Return value and gradient from one compiled program."""
    return both(rule, prediction, target, weight)


def test_every_loss_is_here():
    """A loss that is added is tried below."""
    assert {type(rule) for rule, _ in RULES.values()} == {type(c.rule) for m in losses.REGISTRY for c in m.CASES}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", one_in(3, RULES))
def test_weight_0_is_not_there(rng, name, reduction):
    """Value and gradient are those of the batch without the samples, whatever stands in them, and exactly 0 there."""
    rule, prediction, target = draw(rng, name, (6,))
    rule = fn.replace(rule, {"reduction": reduction})
    weight = np.asarray([0.5, 0.0, 2.0, 1.0, 0.0, 3.0])
    kept = weight > 0
    left = [jnp.asarray(a[kept]) for a in (prediction, target, weight)]

    @quick
    def each(*given):
        return [(both(rule, *arguments), rule.total_weight(*arguments)) for arguments in given]

    spoilers = [np.nan, np.inf, -np.inf, 0.0]
    bad = [-1, CLASSES, 10**6, -100] if target.dtype.kind == "i" else [np.nan, np.inf, -np.inf, -1.0]
    for spoiler, wrong in zip(spoilers, bad, strict=True):
        p, t = prediction.copy(), target.copy()
        for where in (p[1:2], p[4:5]):
            if np.isnan(spoiler) or (name not in ("CrossEntropy", "BinaryCrossEntropy") and "KL" not in name):
                where[:] = spoiler
        t[1], t[4] = wrong, wrong
        arguments = [jnp.asarray(a) for a in (p, t, weight)]
        ((value, gradient), wanted), (compiled, total) = each(left, arguments)
        np.testing.assert_allclose(total, wanted, rtol=1e-14)
        eager = [both(rule, *arguments)] if np.isnan(spoiler) and reduction == "mean" else []
        for found, slope in (map(np.asarray, result) for result in (compiled, *eager)):
            np.testing.assert_allclose(found[kept] if reduction == "none" else found, value, rtol=1e-14, atol=1e-15)
            np.testing.assert_allclose(slope[kept], gradient, rtol=1e-14, atol=1e-16)
            assert np.all(slope[~kept] == 0)
            assert reduction != "none" or np.all(found[~kept] == 0)


def test_weight_0_is_not_there_for_the_parameters(rng):
    """Through a network, of which a missing target would make every parameter NaN."""
    network, x = fn.mlp(4, 2), jnp.asarray(rng.normal(size=(5, 3)))
    params = network.init(jax.random.key(0), (3,), jnp.float64)
    y = jnp.asarray(rng.normal(size=(5, 2))).at[3].set(jnp.nan)
    weight = jnp.asarray([1.0, 2.0, 1.0, 0.0, 1.0])
    rows = np.asarray([0, 1, 2, 4])

    @quick
    def each(params, x, y, weight):
        all_rows = fn.backprop(network, fn.Huber(), params, x, y, weight=weight)
        return all_rows, fn.backprop(network, fn.Huber(), params, x[rows], y[rows], weight=weight[rows])

    found, wanted = each(params, x, y, weight)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), found, wanted)


@pytest.mark.parametrize("name", RULES)
def test_all_weights_0(rng, name):
    """Value and gradient are 0, even of NaN."""
    rule, prediction, target = draw(rng, name, (3,))
    arguments = jnp.asarray(prediction).at[0].set(jnp.nan), jnp.asarray(target), jnp.zeros(3)
    for run in (both, jitted):
        value, gradient = run(rule, *arguments)
        assert value == 0
        assert np.all(gradient == 0)


def test_a_class_of_weight_0_is_not_there(rng):
    """Without smoothing, a sample of that class may hold anything; with it, only its own class is left out."""
    rule = fn.SoftmaxCrossEntropy(class_weight=(1.0, 0.0, 2.0))
    z, labels = rng.normal(size=(4, 3)), np.asarray([0, 1, 2, 1])
    rows = np.asarray([0, 2])
    value, gradient = jitted(rule, jnp.asarray(z[rows]), jnp.asarray(labels[rows]))
    z[1], z[3] = np.nan, np.inf
    for run in (both, jitted):
        found, slope = map(np.asarray, run(rule, jnp.asarray(z), jnp.asarray(labels)))
        np.testing.assert_allclose(found, value, rtol=1e-15)
        np.testing.assert_allclose(slope[rows], gradient, rtol=1e-15)
        assert np.all(slope[[1, 3]] == 0)


def test_a_label_out_of_range_shows_under_class_weights():
    """NaN under jit, where a sum of weights that is NaN must not pass for one of 0."""
    for weight in (None, jnp.ones(2)):
        rule = fn.SoftmaxCrossEntropy(class_weight=(1.0, 2.0, 1.0))
        assert np.isnan(jax.jit(rule)(jnp.zeros((2, 3)), jnp.asarray([0, 3]), weight))


@pytest.mark.parametrize("name", one_in(3, RULES))
def test_a_weight_may_stop_at_any_axis(rng, name):
    """Samples (batch, time): a weight (batch,) counts at every time, and the mean is over all that have weight."""
    rule, prediction, target = draw(rng, name, (3, 5))
    narrow, wide = rng.uniform(0.5, 2, 3), rng.uniform(0.5, 2, (3, 5))
    flat = prediction.reshape(15, CLASSES), target.reshape(15, *target.shape[2:])
    weights = {"narrow": narrow, "wide": wide, "none": None}
    each = {k: w if w is None else np.broadcast_to(w.reshape(3, -1), (3, 5)).reshape(15) for k, w in weights.items()}

    @quick
    def measured(prediction, target, weights):
        return [(both(rule, prediction, target, w), rule.total_weight(prediction, target, w)) for w in weights.values()]

    found, wanted = measured(prediction, target, weights), measured(*flat, each)
    for ((own, gradient), weight), ((value, slope), total) in zip(found, wanted, strict=True):
        np.testing.assert_allclose(own, value, rtol=1e-14)
        np.testing.assert_allclose(gradient.reshape(15, CLASSES), slope, rtol=1e-14)
        np.testing.assert_allclose(weight, total, rtol=1e-14)
    for bad in ((5,), (3, 5, CLASSES), (1, 5), ()):
        with pytest.raises(ValueError, match=r"begin the samples' shape \(3, 5\)"):
            rule(jnp.asarray(prediction), jnp.asarray(target), np.ones(bad))


@pytest.mark.parametrize("scale", sampled([2.0**-120, 2.0**60, 2.0**124, 1e-300, 1e300], lambda scale: scale < 1e-100))
def test_weights_are_relative(rng, scale):
    """Sums of weights that leave float32's range: the mean is the same to the bit where the scale is a power of two."""
    prediction, target = (jnp.asarray(rng.normal(size=(7, 2)), jnp.float32) for _ in range(2))
    weight = np.asarray([1.0, 0.0, 3.0, 8.0, 5.0, 7.9, 6.0])
    wanted = both(fn.Huber(), prediction, target, weight)
    found = [both(fn.Huber(), prediction, target, weight * scale)]
    if 1e-38 < scale < 1e38:
        found.append(jitted(fn.Huber(), prediction, target, jnp.asarray(weight * scale, jnp.float32)))
    for value, gradient in found:
        np.testing.assert_allclose(value, wanted[0], rtol=3e-7)
        np.testing.assert_allclose(gradient, wanted[1], rtol=3e-7)
        if scale < 1e300 and scale > 1e-300:
            np.testing.assert_array_equal(value, wanted[0])


@pytest.mark.parametrize("scale", sampled([1e-37, 1e38], lambda scale: scale > 1))
def test_class_weights_are_relative(rng, scale):
    """Likewise the classes' weights, eager and jitted, and over batches."""
    prediction = jnp.asarray(rng.normal(size=(7, 3)), jnp.float32)
    target = jnp.asarray(rng.integers(0, 3, 7))
    weights = np.asarray([1.0, 2.0, 3.0])
    wanted = both(fn.SoftmaxCrossEntropy(0.1, weights), prediction, target)
    rule = fn.SoftmaxCrossEntropy(0.1, weights * scale)
    for run in (both, jitted):
        value, gradient = run(rule, prediction, target)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, wanted[1], rtol=1e-5, atol=1e-8)
    total = rule.total_weight(prediction, target)
    assert 0.1 < total < 100


@pytest.mark.parametrize("classes", sampled([2, 256, 300], lambda classes: classes == 256))
def test_labels_of_any_dtype(classes):
    """Labels keep their value however few bits they have; log K at equal logits, and the gradient at the label."""
    dtypes = (np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
    largest = [1 if dtype == np.bool_ else min(int(np.iinfo(dtype).max), classes - 1) for dtype in dtypes]
    labels = [np.asarray([0, most], dtype) for most, dtype in zip(largest, dtypes, strict=True)]
    z = jnp.zeros((2, classes))

    def every(labels):
        return [both(fn.SoftmaxCrossEntropy(), z, given) for given in labels]

    for run in (every, quick(every)):
        for most, (value, gradient) in zip(largest, run([jnp.asarray(given) for given in labels]), strict=True):
            assert value == pytest.approx(np.log(classes), rel=1e-15)
            wanted = np.full((2, classes), 0.5 / classes)
            wanted[[0, 1], [0, most]] -= 0.5
            np.testing.assert_allclose(gradient, wanted, atol=1e-16)


def test_labels_out_of_range_in_any_dtype():
    """Refused in words where they can be read, in 64 bits too; NaN where not."""
    for labels in (np.asarray([2**32 + 1]), np.asarray([-1], np.int8), np.asarray([200], np.uint8), [7]):
        with pytest.raises(ValueError, match="labels must lie in 0 … 2"):
            fn.SoftmaxCrossEntropy()(jnp.zeros((1, 3)), labels)
        assert np.isnan(jax.jit(fn.SoftmaxCrossEntropy())(jnp.zeros((1, 3)), jnp.asarray(labels)))


def test_truth_values_are_labels():
    """For losses of one output, as NumPy array and as list."""
    for rule in (fn.SigmoidCrossEntropy(), fn.BinaryCrossEntropy(), fn.PerceptronCriterion()):
        z = jnp.asarray([0.3, 0.6])
        wanted = both(rule, z, jnp.asarray([1.0, 0.0]))
        for target in (np.asarray([True, False]), [True, False], jnp.asarray([True, False])):
            jax.tree.map(np.testing.assert_array_equal, both(rule, z, target), wanted)


@pytest.mark.parametrize("name", one_in(3, RULES))
def test_a_healthy_program_makes_no_nan_and_no_infinity(rng, name):
    """Eager and jitted, without weights, with weights, and with missing targets at weight 0."""
    rule, prediction, target = draw(rng, name, (4,), np.float32)
    missing = target.copy()
    missing[1] = -100 if target.dtype.kind == "i" else np.nan
    weight = np.asarray([1.0, 0.0, 2.0, 0.5], np.float32)
    with jax.debug_nans(True), jax.debug_infs(True):
        for arguments in ((prediction, target), (prediction, target, weight), (prediction, missing, weight)):
            for run in (both, jitted):
                run(rule, *(jnp.asarray(a) if a.dtype.kind == "i" else a for a in map(np.asarray, arguments)))
            for metric in rule.metrics():
                assert np.isfinite(metric(*arguments))


def test_infinite_logits_that_are_right():
    """A term whose factor is 0 costs nothing: σ(∞) = 1, log σ(−∞) is never asked for."""
    z, t = jnp.asarray([jnp.inf, -jnp.inf]), jnp.asarray([1.0, 0.0])
    for rule in (fn.SigmoidCrossEntropy(), fn.SigmoidCrossEntropy(positive_weight=2.0)):
        for run in (both, jitted):
            value, gradient = run(rule, z, t)
            assert value == 0
            np.testing.assert_array_equal(gradient, [0.0, 0.0])
    assert fn.SigmoidCrossEntropy()(z, 1 - t) == np.inf


@pytest.mark.parametrize(
    ("q", "target", "value", "slope"),
    [
        (0.0, 1.0, 87.33655, -8.507059e37),
        (1e-9, 1.0, 20.723267, -1e9),
        (1.0, 1.0, 0.0, -1.0),
        (1.0, 0.0, 16.635532, 2**24),
    ],
)
def test_probabilities_at_the_ends(q, target, value, slope):
    """The column of funcnet in docs/conventions.md."""
    found, gradient = both(fn.BinaryCrossEntropy(), jnp.asarray([q], jnp.float32), jnp.asarray([target], jnp.float32))
    np.testing.assert_allclose(found, value, rtol=1e-6)
    np.testing.assert_allclose(gradient, [slope], rtol=1e-6)


class Plain:
    """A loss from elsewhere, with nothing but the two methods."""

    def forward(self, prediction, target, weight=None):
        weight = jnp.ones(prediction.shape[:1]) if weight is None else weight
        share = (weight / jnp.sum(weight))[:, None]
        return jnp.sum(share * jnp.abs(prediction - target)), share * jnp.sign(prediction - target)

    def backward(self, saved, dvalue=1.0):
        return saved * dvalue


class Weightless:
    """One that knows no weights."""

    def forward(self, prediction, target):
        return jnp.mean(jnp.abs(prediction - target)), jnp.sign(prediction - target) / prediction.size

    def backward(self, saved, dvalue=1.0):
        return saved * dvalue


def test_a_loss_from_elsewhere_has_the_whole_protocol(rng):
    """Its total weight, its metrics and its check are filled in; as a metric it adds up."""
    x, y = jnp.asarray(rng.normal(size=(6, 2))), jnp.asarray(rng.normal(size=(6, 2)))
    weight = jnp.asarray(rng.uniform(size=6))
    loss = as_loss(Plain())
    assert as_loss(loss) is loss
    assert loss.metrics() == ()
    assert loss.scalar
    assert loss.total_weight(x, y) == 6
    assert float(loss.total_weight(x, y, weight)) == pytest.approx(float(jnp.sum(weight)))
    assert loss.check_target(jax.ShapeDtypeStruct((6, 2), np.float64), y) is y
    assert float(loss(x, y, weight)) == pytest.approx(2 * float(fn.MeanAbsoluteError()(x, y, weight)), rel=1e-14)
    parts = [loss.sums(x[rows], y[rows], weight[rows]) for rows in (slice(0, 2), slice(2, 6))]
    total = jax.tree.map(jnp.add, *parts)
    assert float(loss.value(total)) == pytest.approx(float(loss(x, y, weight)), rel=1e-14)
    assert jax.tree.leaves(loss) == []
    assert fn.backprop(fn.Dense(2), Plain(), {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}, x, y)[0] == loss(x, y)


def test_numbers_of_a_loss_from_elsewhere_are_leaves():
    """A pytree of numbers becomes part of the experiment."""

    @fn.record
    class Scaled:
        factor: float = fn.number()

        def forward(self, prediction, target, weight=None):
            return self.factor * jnp.mean(prediction), prediction

        def backward(self, saved, dvalue=1.0):
            return jnp.full_like(saved, self.factor / saved.size) * dvalue

    experiment = fn.Experiment(fn.Dense(1), Scaled(2.0), fn.SGD(0.1))
    assert 2.0 in jax.tree.leaves(experiment.loss)
    assert fn.replace(experiment, {"loss.loss.factor": 3.0}).loss(jnp.ones((2, 1)), None) == 3.0


def test_a_loss_that_takes_no_weight():
    """Called without while there is none; a weight is refused in words."""
    loss = as_loss(Weightless())
    assert loss(jnp.ones((2, 1)), jnp.zeros((2, 1))) == 1
    with pytest.raises(TypeError, match=r"must take a weight.*divides the number of samples"):
        loss(jnp.ones((2, 1)), jnp.zeros((2, 1)), jnp.ones(2))


@pytest.mark.parametrize("loss", [fn.MeanSquaredError, Plain, 3.0, fn.tanh.forward], ids=str)
def test_what_is_no_loss_is_refused(loss):
    """Classes, numbers, functions."""
    with pytest.raises(TypeError, match="loss must have forward and backward"):
        as_loss(loss)


# -- labels to be ignored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ignore", [-100, 0], ids=str)
def test_a_label_to_be_ignored_is_weight_0(rng, ignore):
    """Per step, with a weight a sample, smoothing and class weights; an infinite logit there leaves no trace."""
    logits, target = rng.normal(size=(3, 5, 4)), rng.integers(1, 4, (3, 5))
    target[1, 2:] = target[2, 0] = ignore
    logits[1, 3] = np.inf
    weight, there = rng.uniform(0.5, 2, 3), target != ignore
    for given in (None, weight):
        spread = there * (np.ones((3, 1)) if given is None else given[:, None])
        plain = fn.SoftmaxCrossEntropy(0.1, (0.5, 1.0, 2.0, 3.0))
        wanted = both(plain, jnp.asarray(logits), jnp.asarray(np.where(there, target, 1)), spread)
        ours = fn.replace(plain, {"ignore": ignore})
        for found in (both(ours, jnp.asarray(logits), jnp.asarray(target), given),):
            np.testing.assert_allclose(found[0], wanted[0], rtol=1e-14)
            np.testing.assert_allclose(found[1], wanted[1], rtol=1e-13, atol=1e-16)
            assert not np.any(found[1][~there])
    byte = jnp.asarray(np.where(there, target, 1), jnp.uint8)  # no label of theirs is −100
    assert fn.SoftmaxCrossEntropy(ignore=-100).counted(byte, None) is None
    with pytest.raises(TypeError, match="ignore must be a label"):
        fn.SoftmaxCrossEntropy(ignore=0.5)


@pytest.mark.every
def test_runs_and_their_metrics_leave_ignored_labels_out(monkeypatch):
    """As the same run with weights: losses, accuracies, parameters; also where logits go by blocks of rows."""
    rng = np.random.default_rng(4)
    x, target = rng.normal(size=(12, 5, 3)).astype(np.float32), rng.integers(0, 4, (12, 5))
    target[3:6, 2:] = -100
    weight = (target != -100).astype(np.float32)
    by_weight = fn.Experiment(fn.mlp(6, 4), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), batch_size=5, epochs=3)
    by_label = fn.replace(by_weight, {"loss": fn.SoftmaxCrossEntropy(ignore=-100)})
    known = np.where(target == -100, 1, target)
    for least in (fused.LEAST, 0):
        monkeypatch.setattr(fused, "LEAST", least)
        jax.clear_caches()
        wanted = fn.train(by_weight, (x, known, weight), (x, known, weight), progress=False)
        found = fn.train(by_label, (x, target), (x, target), progress=False)
        assert set(found.history) == set(wanted.history)
        for name, column in wanted.history.items():
            np.testing.assert_allclose(found.history[name], column, rtol=1e-5, err_msg=name)
    whole = fn.replace(by_label, {"metrics": (fn.metrics.Perplexity(),)})
    swept = fn.sweep([whole], (x, target), (x, target), progress=False)
    np.testing.assert_allclose(swept.curves(0)["validation_accuracy"], wanted.history["validation_accuracy"], rtol=1e-5)
