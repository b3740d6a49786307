"""Metrics against numbers worked by hand and those of scikit-learn; weights as copies; sums that add up; directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics
from funcnet.metrics import as_metric, lower_is_better
from tests.helpers import quick


@jax.jit
def jitted(rule, *arguments):
    """Measure in one compiled program, the rule's numbers traced."""
    return rule(*arguments)


@jax.jit
def twice(rule, *givens):
    """Measure several times in one compiled program."""
    return [rule(*given) for given in givens]


def eager(rule, *arguments):
    """Measure step by step."""
    return rule(*arguments)


CASES = [pytest.param(case, id=f"{case.rule.name}-{i}") for m in metrics.REGISTRY for i, case in enumerate(m.CASES)]
KINDS = {type(case.rule): case.rule for m in metrics.REGISTRY for case in reversed(m.CASES)}


def arrays(arguments, dtype=np.float64):
    """Return lists as arrays, floats in one dtype."""
    found = [np.asarray(argument) for argument in arguments]
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in found]


@pytest.mark.parametrize("case", CASES)
def test_numbers_worked_by_hand(case):
    """Jitted in both precisions, and eager in the short one, without a NaN or an infinity on the way."""
    infinite = np.isinf(arrays(case.arguments)[0]).any()
    both = {dtype: [jnp.asarray(a) for a in arrays(case.arguments, dtype)] for dtype in (np.float32, np.float64)}
    with jax.debug_nans(True), jax.debug_infs(not infinite):
        found = list(zip(both, twice(case.rule, *both.values()), strict=True))
        for dtype, value in [*found, (np.float32, eager(case.rule, *both[np.float32]))]:
            assert value.dtype == dtype
            np.testing.assert_allclose(value, case.value, rtol=4 * np.finfo(dtype).eps)


def data(rng, samples):
    """Return a rule, a prediction and a target for every kind of metric, and a loss, for samples of a shape."""
    width = 4
    scores, labels = rng.normal(size=(*samples, width)), rng.integers(0, width, samples)
    one, yes = rng.normal(size=(*samples, 1)), rng.integers(0, 2, (*samples, 1))
    yes[0, 0], yes[-1, -1] = 0, 1
    outputs, numbers = rng.normal(size=(*samples, width)), rng.normal(size=(*samples, width))
    found = [(rule, scores, labels) for rule in (metrics.Accuracy(), metrics.TopK(2), metrics.ConfusionMatrix())]
    for kind in (metrics.Precision, metrics.Recall, metrics.F1):
        found += [(kind(), scores, labels), (kind("binary", 0.1), one, yes)]
    found += [(metrics.Perplexity(), scores, labels), (metrics.AUC(), one, yes)]
    found += [(metrics.R2(), outputs, numbers), (metrics.MeanAbsolutePercentageError(), outputs, numbers)]
    found += [(losses.SoftmaxCrossEntropy(), scores, labels), (losses.Huber(0.5), outputs, numbers)]
    found += [(losses.SoftmaxCrossEntropy(0.1, (0.5, 1.0, 2.0, 4.0)), scores, labels)]
    return found + [(losses.MeanSquaredError(reduction="sum"), outputs, numbers)]


@pytest.mark.parametrize("samples", [pytest.param((7,), marks=pytest.mark.every), (2, 3, 4)], ids=str)
def test_a_weight_is_so_many_copies_and_none_at_0(rng, samples):
    """Samples of any rank: weight 3 is the sample thrice; what stands at weight 0 does not matter, NaN included."""
    weight = rng.integers(1, 4, samples)
    weight[(0,) * len(samples)], weight[(-1,) * len(samples)] = 1, 2
    absent = (1,) * len(samples)
    weight[absent] = 0
    times = weight.reshape(-1)
    kinds = set()
    for rule, prediction, target in data(rng, samples):
        kinds.add(type(rule))
        width = prediction.shape[-1]
        flat_target = target.reshape(-1, *target.shape[len(samples) :])
        copies = np.repeat(prediction.reshape(-1, width), times, 0), np.repeat(flat_target, times, 0)
        wanted = jitted(rule, *map(jnp.asarray, copies))
        spoiled, unknown = prediction.copy(), target.copy()
        spoiled[absent] = np.nan
        unknown[absent] = -100 if target.dtype.kind == "i" else np.nan
        for p, t in ((prediction, target), (spoiled, unknown)):
            # Operation by operation where it could matter, and where few of them are compiled anew.
            for run in (eager, jitted) if p is spoiled and len(samples) == 1 else (jitted,):
                found = run(rule, jnp.asarray(p), jnp.asarray(t), jnp.asarray(weight, jnp.float64))
                np.testing.assert_allclose(found, wanted, rtol=1e-12, err_msg=rule.name)
    assert set(KINDS) <= kinds


@pytest.mark.every
def test_a_weight_for_each_leading_axis_is_one_for_all_below(rng):
    """Samples (batch, time): a weight (batch,) is that weight at every time."""
    weight = rng.uniform(size=5)
    wide = np.repeat(weight[:, None], 3, 1)
    for rule, prediction, target in data(rng, (5, 3)):
        found, wanted = twice(rule, (prediction, target, weight), (prediction, target, wide))
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_sums_add_up_over_batches(rng):
    """The sums of three batches, the last filled up at weight 0, add up to those of the set, and so does the value."""
    for rule, prediction, target in data(rng, (11,)):
        weight = rng.uniform(size=11)
        filled = [np.concatenate([a, a[:1]]) for a in (prediction, target, weight)]
        filled[-1][-1] = 0

        @quick
        def each(whole, filled, rule=rule):
            parts = [rule.sums(*(a[first : first + 4] for a in filled)) for first in (0, 4, 8)]
            return rule(*whole), rule.value(jax.tree.map(lambda *parts: parts[0] + parts[1] + parts[2], *parts))

        whole, total = each((prediction, target, weight), filled)
        np.testing.assert_allclose(total, whole, rtol=1e-12, err_msg=rule.name)


@pytest.mark.every
def test_a_prediction_that_is_nan_makes_nan(rng):
    """The share of class 0 would be a lie."""
    for rule, prediction, target in data(rng, (6,)):
        spoiled = prediction.copy()
        spoiled[2, 0] = np.nan
        assert np.all(np.isnan(jitted(rule, jnp.asarray(spoiled), jnp.asarray(target)))), rule.name
    everything = jnp.full((4, 3), jnp.nan)
    assert np.isnan(metrics.Accuracy()(everything, jnp.zeros(4, jnp.int32)))
    found = fn.evaluate(fn.Dense(2, bias=False), losses.SoftmaxCrossEntropy(), {"kernel": everything[:3, :2]}, *_SET)
    assert np.isnan(found["accuracy"])


_SET = (jnp.ones((5, 3)), jnp.asarray([0, 1, 0, 1, 1]))


def test_a_label_out_of_range_is_nan_under_jit(rng):
    """What cannot be checked at the door is loud."""
    for rule, prediction, target in data(rng, (6,)):
        if target.shape == (6,):
            found = jitted(rule, jnp.asarray(prediction), jnp.asarray(target).at[2].set(prediction.shape[-1]))
            assert np.all(np.isnan(found)), rule.name


def test_labels_of_few_bits_and_predictions_of_few():
    """Labels of 8 bits with 300 classes, truth values as labels; 16-bit predictions are summed up in float32."""
    scores = np.zeros((2, 300), np.float32)
    scores[0, 255], scores[1, 299] = 1, 1
    for rule in (metrics.Accuracy(), metrics.TopK(1)):
        assert rule(jnp.asarray(scores), np.asarray([255, 43], np.uint8)) == 0.5
    yes = np.asarray([True, False])
    assert metrics.Accuracy()(jnp.asarray([[0.0, 1.0], [0.0, 1.0]]), yes) == 0.5
    assert metrics.Accuracy(0.0)(jnp.asarray([1.0, 1.0]), yes) == 0.5
    many = jnp.zeros((1000, 2), jnp.bfloat16).at[:333, 1].set(1)
    found = metrics.Accuracy()(many, np.ones(1000, np.int8))
    assert found.dtype == np.float32
    assert found == np.float32(0.333)


# Numbers of scikit-learn 1.9.1 for the data below, without weights and with; AUC of the scores as float16.
SCIKIT = {
    "precision": (0.39469696969696966, 0.4246103896103896),
    "recall": (0.3833333333333333, 0.4),
    "f1": (0.37595029239766076, 0.3886294261294261),
    "precision_micro": (0.43478260869565216, 0.46296296296296297),
    "recall_micro": (0.43478260869565216, 0.46296296296296297),
    "f1_micro": (0.43478260869565216, 0.46296296296296297),
    "precision_binary": (0.75, 0.7727272727272727),
    "recall_binary": (0.8181818181818182, 0.68),
    "f1_binary": (0.782608695652174, 0.723404255319149),
    "accuracy": (0.43478260869565216, 0.46296296296296297),
    "top_2": (0.7391304347826086, 0.8148148148148148),
    "top_3": (0.9565217391304348, 0.9444444444444444),
    "auc": (0.8446969696969697, 0.7820689655172414),
    "confusion_matrix": (
        [[1, 1, 2, 1], [0, 1, 2, 1], [1, 1, 6, 0], [1, 2, 1, 2]],
        [[2, 4, 2, 4], [0, 4, 4, 4], [1, 3, 16, 0], [1, 3, 3, 3]],
    ),
    "r2": (0.8143923899614154, 0.8528199825806013),
    "mean_absolute_percentage_error": (0.08708453510713617, 0.08171515417663971),
    "perplexity": (3.1732906565023264, 2.7780190436814176),
}


def test_against_numbers_of_scikit_learn():
    """Same name, same number."""
    rng = np.random.default_rng(11)
    scores = np.round(rng.normal(size=(23, 4)) * 2, 2).astype(np.float32)
    labels = rng.integers(0, 4, 23)
    scores[np.arange(23), labels] += np.float32(1.5)
    weight = rng.integers(1, 5, 23).astype(np.float64)
    one = np.round(rng.normal(size=23) * 2, 1).astype(np.float32)
    yes = (one + rng.normal(size=23) * 2 > 0).astype(int)
    target = np.round(rng.normal(size=(23, 2)) * 3 + 10, 2)
    output = np.round(target + rng.normal(size=(23, 2)), 2)
    classifying = [kind(average) for kind in (fn.Precision, fn.Recall, fn.F1) for average in ("macro", "micro")]
    classifying += [fn.Accuracy(), fn.TopK(2), fn.TopK(3), fn.ConfusionMatrix(), fn.Perplexity()]
    jobs = [(rule, scores.astype(np.float64), labels) for rule in classifying]
    jobs += [(kind("binary", 0.0), one, yes) for kind in (fn.Precision, fn.Recall, fn.F1)] + [(fn.AUC(), one, yes)]
    jobs += [(fn.R2(), output, target), (fn.MeanAbsolutePercentageError(), output, target)]
    assert {rule.name for rule, *_ in jobs} == set(SCIKIT)
    for rule, prediction, wanted in jobs:
        found = [rule(jnp.asarray(prediction), jnp.asarray(wanted), w) for w in (None, jnp.asarray(weight))]
        for a, b in zip(found, SCIKIT[rule.name], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12 if a.dtype == np.float64 else 1e-6, err_msg=rule.name)


def test_auc_is_exact_for_scores_of_16_bits(rng):
    """All pairs counted one by one, of rounded scores at every scale; near the truth of unrounded ones."""
    score = np.sort(rng.normal(size=400)) * 10.0 ** rng.integers(-6, 5, 400)
    yes = (score + rng.normal(size=400) > 0).astype(int)
    weight = rng.uniform(size=400)

    def pairs(score):
        below = (score[None, yes == 0] < score[yes == 1, None]) + 0.5 * (score[None, yes == 0] == score[yes == 1, None])
        pair = weight[yes == 1, None] * weight[None, yes == 0]
        return np.sum(pair * below) / np.sum(pair)

    found = float(metrics.AUC()(jnp.asarray(score), jnp.asarray(yes), jnp.asarray(weight)))
    assert abs(found - pairs(score.astype(np.float16))) < 1e-13
    assert abs(found - pairs(score)) < 1e-3
    assert np.isnan(metrics.AUC()(jnp.asarray([1.0, 2.0]), jnp.asarray([1, 1])))


def test_a_center_gives_back_the_digits_of_r2(rng):
    """Years around 2000 in float32."""
    target = 2000 + 5 * rng.normal(size=(3000, 1))
    output = (target + rng.normal(size=(3000, 1))).astype(np.float32)
    target = target.astype(np.float32)
    residual, spread = output.astype(float) - target, target - np.mean(target, dtype=float)
    wanted = 1 - np.sum(residual**2) / np.sum(spread**2)
    assert abs(float(fn.R2(2000.0)(jnp.asarray(output), jnp.asarray(target))) - wanted) < 1e-6
    assert abs(float(fn.R2()(jnp.asarray(output), jnp.asarray(target))) - wanted) < 1e-2


@pytest.mark.parametrize(
    ("column", "lower"),
    [
        ("validation_loss", True),
        ("train_loss", True),
        ("objective", True),
        ("gradient_norm", True),
        ("test_accuracy", False),
        ("validation_balanced_accuracy", False),
        ("validation_top_5", False),
        ("validation_f1_micro", False),
        ("precision_binary", False),
        ("test_r2", False),
        ("validation_auc", False),
        ("validation_perplexity", True),
        ("validation_mean_absolute_percentage_error", True),
        ("validation_mean_squared_error", True),
        ("validation_log_kl_divergence", True),
    ],
)
def test_which_way_is_better(column, lower):
    """By the metric's name; losses and what is not known are better low."""
    assert lower_is_better(column) is lower


def test_a_metric_of_ones_own_has_a_direction():
    """A record that inherits from Metric; its columns are known as soon as it is defined."""

    @fn.record
    class LargestMiss(fn.metrics.MeanMetric):
        LOWER_IS_BETTER = True

        def samples(self, prediction, target):
            return jnp.max(jnp.abs(prediction - target), axis=-1)

    rule = as_metric(LargestMiss())
    assert rule(jnp.asarray([[1.0, 3.0], [0.0, 0.0]]), jnp.asarray([[1.0, 1.0], [1.0, 0.0]])) == 1.5
    assert lower_is_better(f"validation_{rule.name}")


def test_every_loss_is_a_metric_under_its_name():
    """A loss that classifies reports the accuracy that fits its predictions."""
    assert as_metric(fn.MeanSquaredError(), column=True).name == "mean_squared_error"
    assert [rule.name for m in losses.REGISTRY for rule in m.CASES[0].rule.metrics()] == ["accuracy"] * 6
    yes = jnp.asarray([[1], [0], [0]])
    for loss, scores in (
        (fn.SigmoidCrossEntropy(), [0.2, -0.1, 0.3]),
        (fn.BinaryCrossEntropy(), [0.6, 0.4, 0.7]),
        (fn.PerceptronCriterion(), [0.0, -0.1, 0.0]),
    ):
        (rule,) = loss.metrics()
        assert float(rule(jnp.asarray(scores)[:, None], yes)) == pytest.approx(2 / 3, rel=1e-15)


BAD = {
    "a class": (lambda: as_metric(fn.Accuracy), TypeError, "got the class Accuracy"),
    "a function": (lambda: as_metric(lambda p, t: 0), TypeError, "inherits from fn.metrics.Metric"),
    "an array as a column": (lambda: as_metric(fn.ConfusionMatrix(), column=True), ValueError, "run.evaluate"),
    "a loss of many numbers as a column": (
        lambda: as_metric(fn.Huber(reduction="none"), column=True),
        ValueError,
        "one number an epoch",
    ),
    "one output without a threshold": (
        lambda: fn.F1()(jnp.zeros((3, 1)), jnp.zeros((3, 1), jnp.int32)),
        ValueError,
        "threshold=0.0 for logits",
    ),
    "labels with a threshold": (
        lambda: fn.Accuracy(0.0)(jnp.zeros((3, 4)), jnp.zeros(3, jnp.int32)),
        ValueError,
        "threshold=None for labels",
    ),
    "binary of three": (
        lambda: fn.Recall("binary")(jnp.zeros((3, 3)), jnp.zeros(3, jnp.int32)),
        ValueError,
        "two classes",
    ),
    "k too large": (lambda: fn.TopK(5)(jnp.zeros((3, 4)), jnp.zeros(3, jnp.int32)), ValueError, "5 classes or more"),
    "AUC of three": (
        lambda: fn.AUC()(jnp.zeros((3, 3)), jnp.zeros(3, jnp.int32)),
        ValueError,
        "a column of the scores",
    ),
    "a matrix of outputs": (
        lambda: fn.ConfusionMatrix(0.5)(jnp.zeros((3, 3)), jnp.zeros((3, 3))),
        ValueError,
        "must be one output",
    ),
    "another shape": (lambda: fn.R2()(jnp.zeros((3, 1)), jnp.zeros(3)), ValueError, "same shape"),
    "a weight of another shape": (
        lambda: fn.R2()(jnp.zeros((3, 2)), jnp.zeros((3, 2)), jnp.ones((3, 2))),
        ValueError,
        "begin the samples' shape",
    ),
    "a label out of range": (lambda: fn.Accuracy()(jnp.zeros((2, 3)), np.asarray([0, 3])), ValueError, "0 … 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_in_words(name):
    """Before anything is computed, by shapes alone where they tell."""
    call, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        call()


def test_the_check_needs_shapes_alone():
    """Training checks a metric against what the network would predict."""
    shape = jax.ShapeDtypeStruct((5, 3), np.float32)
    fn.Accuracy().check(shape, np.asarray([0, 1, 2, 0, 1]))
    with pytest.raises(ValueError, match="0 … 2"):
        fn.F1().check(shape, np.asarray([0, 1, 3, 0, 1]))
    with pytest.raises(ValueError, match="same shape"):
        fn.R2().check(shape, np.zeros(5))
