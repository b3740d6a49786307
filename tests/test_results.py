"""What a sweep returns: columns, choices, statistics and files, from rows made by hand."""

import csv
import json
import math
import pathlib
import sys

import mpmath
import numpy as np
import pytest

import funcnet as fn
from funcnet.results.rows import Row
from funcnet.results.summary import mean_deviation_half_width, t_quantile
from funcnet.results.table import Results
from funcnet.results.varying import varying_fields

BASE = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), epochs=4)
NAN = float("nan")


def row(name, loss=NAN, stopped="epochs", test=None, **metrics):
    """Return a row of a trial with a validation loss."""
    if stopped == "waiting":
        return Row(str(name), "waiting", 0, -1, None, 0.0, {})
    found = {"train_loss": loss / 2, "validation_loss": loss} | metrics
    if test is not None:
        found["test_loss"] = test
    return Row(str(name), stopped, 4, 3, 7 if stopped == "diverged" else None, 0.5, found)


def sweep(changes, rows):
    """Return results of experiments that differ in the given paths; curves and parameters know their row."""
    trials = [fn.replace(BASE, change) for change in changes]
    return Results(trials, rows, lambda i: {"validation_loss": np.arange(4.0) + i}, lambda i: {"row": i})


def columns(*changes):
    """Return the columns of experiments that differ in the given paths, as lists."""
    found = varying_fields([fn.replace(BASE, change) for change in changes])
    return {name: column.tolist() for name, column in found.items()}


# -- columns ----------------------------------------------------------------------------------------------


def test_columns_come_in_order_and_have_plain_types():
    """Varying fields, metrics, endings; numbers are numbers, a step that is missing is −1."""
    results = sweep(
        [{"optimizer.learning_rate": 0.1, "seed": 1}, {"optimizer.learning_rate": 0.2, "seed": 2}],
        [row("a", 0.5, validation_accuracy=0.9, test=0.6), row("b", 0.7, "diverged", extra=1.0)],
    )
    table = results.table()
    fields, metrics = ["optimizer.learning_rate", "seed"], ["train_loss", "validation_loss", "validation_accuracy"]
    endings = ["stopped", "epochs", "best_epoch", "first_bad_step", "seconds"]
    assert list(table) == [*fields, *metrics, "test_loss", "extra", *endings]
    assert results.fields() == fields
    assert {len(column) for column in table.values()} == {len(results)} == {2}
    kinds = {name: table[name].dtype.kind for name in ("optimizer.learning_rate", "seed", "extra", "stopped", "epochs")}
    assert kinds == {"optimizer.learning_rate": "f", "seed": "i", "extra": "f", "stopped": "O", "epochs": "i"}
    assert table["first_bad_step"].tolist() == [-1, 7]
    np.testing.assert_array_equal(table["test_loss"], [0.6, NAN])
    assert results.table()["seed"] is table["seed"]
    table["seed"] = None
    assert results.table()["seed"] is not None
    with pytest.raises(ValueError, match="read-only"):
        results.table()["seed"][0] = 5


def test_nothing_varies():
    """Equal experiments have no column of their own, however they were made."""
    assert columns({}, {"optimizer": fn.Adam(0.01)}, {"network": fn.mlp(8, 3)}) == {}
    assert varying_fields([fn.SGD(np.float32(0.1)), fn.SGD(float(np.float32(0.1)))]) == {}


def test_the_limit_of_epochs_does_not_hide_those_that_were_run():
    """Where `epochs` varies its column has another name."""
    table = sweep([{"epochs": 9}, {"epochs": 4}], [row("a", 1.0), row("b", 1.0)]).table()
    assert table["experiment.epochs"].tolist() == [9, 4]
    assert table["epochs"].tolist() == [4, 4]


def test_parts_of_other_kinds():
    """A part that varies in kind has a column of class names; fields that only some have are NaN elsewhere."""
    found = columns(
        {}, {"optimizer": fn.SGD(0.2)}, {"optimizer": fn.SGD(0.3, momentum=0.9)}, {"regularizer": fn.L2(0.1)}
    )
    assert found["optimizer"] == ["Adam", "SGD", "SGD", "Adam"]
    assert found["optimizer.learning_rate"] == [0.01, 0.2, 0.3, 0.01]
    np.testing.assert_array_equal(found["optimizer.momentum"], [NAN, NAN, 0.9, NAN])
    assert found["regularizer"] == ["None", "None", "None", "L2"]
    # What all that have it share is no column.
    assert set(found) == {"optimizer", "optimizer.learning_rate", "optimizer.momentum", "regularizer"}
    assert columns({"loss.reduction": "sum"}, {}) == {"loss.reduction": ["sum", "mean"]}
    np.testing.assert_array_equal(columns({"batch_size": None}, {})["batch_size"], [NAN, 32])


def test_networks_are_named_by_their_architecture():
    """Chains of other lengths are named by widths and activations, chains of one length by what differs in them."""
    found = columns(
        {},
        {"network": fn.mlp(16, 16, 3, activation=fn.tanh)},
        {"network": fn.mlp(8, 3, dropout=0.5)},
        {"network": fn.Dense(3)},
    )
    assert found["network"] == ["8-relu-3", "16-tanh-16-tanh-3", "8-relu-dropout-3", "3"]
    np.testing.assert_array_equal(found["network.layers.0.width"], [8, 16, 8, NAN])
    assert found["network.layers.1"] == ["ReLU", "Tanh", "ReLU", ""]
    assert "network.layers" not in found
    assert columns({}, {"network.layers.0.width": 16}) == {"network.layers.0.width": [8, 16]}
    assert columns({}, {"network.layers.1": fn.tanh}) == {"network.layers.1": ["ReLU", "Tanh"]}


def test_labels_tell_apart_what_differs():
    """Schedules beside numbers, tuples of rules, vectors, and functions whose names are all alike."""
    rate = "optimizer.learning_rate"
    assert columns({rate: fn.Cosine(0.1, 100)}, {rate: 0.1}, {rate: 0.2})[rate] == ["Cosine", "0.1", "0.2"]
    rules = [{"stopping": None}, {"stopping": fn.EarlyStopping(3)}]
    rules.append({"stopping": (fn.EarlyStopping(3), fn.Convergence())})
    assert columns(*rules)["stopping"] == ["None", "EarlyStopping", "EarlyStopping, Convergence"]
    weights = columns({"loss.class_weight": np.ones(3)}, {"loss.class_weight": np.asarray([1.0, 2.0, 3.0])})
    assert weights == {"loss.class_weight": ["[1, 1, 1]", "[1, 2, 3]"]}
    long = [{"loss.class_weight": np.arange(1.0, 99.0)}, {"loss.class_weight": np.arange(1.0, 100.0)}]
    assert len(set(columns(*long)["loss.class_weight"])) == 2

    class Pair:
        def __init__(self, rate):
            self.init, self.update = (lambda params: rate), (lambda gradient, state, params: (gradient, state))

        def __repr__(self):
            return "Pair"

    foreign = columns({"optimizer": Pair(1)}, {"optimizer": Pair(2)})
    assert foreign == {"optimizer.optimizer": ["Pair 1", "Pair 2"]}


@pytest.mark.every
def test_many_experiments_that_share_nothing():
    """Sixteen thousand rows: a column each, a group each."""
    trials = [fn.Experiment(BASE.network, BASE.loss, fn.SGD(0.1 + i), seed=i) for i in range(16384)]
    results = Results(trials, [row(i, 1.0 + i) for i in range(16384)], lambda i: {}, lambda i: None)
    assert results.table()["seed"].tolist() == list(range(16384))
    assert len(results.summary()) == 16384
    assert results.best() == 0


# -- choosing ---------------------------------------------------------------------------------------------


def test_best_ignores_nan_infinity_and_divergence():
    """The least loss, the largest accuracy, the first of equal ones."""
    changes = [{"seed": i} for i in range(7)]
    losses = [NAN, 0.1, 0.5, 0.3, 0.3, -math.inf, NAN]
    rows = [row(i, loss, validation_accuracy=loss) for i, loss in enumerate(losses)]
    rows[1] = rows[1]._replace(stopped="diverged")
    rows[6] = row(6, stopped="waiting")
    results = sweep(changes, rows)
    assert results.best() == 3
    assert results.best("validation_accuracy") == 2
    assert results.ranked("validation_loss").tolist() == [3, 4, 2]


def test_best_errors():
    """A metric that is not there is answered with those that are, nearest first; no winner is said so."""
    results = sweep([{"seed": 1}, {"seed": 2}], [row("a"), row("b", 0.1, "diverged")])
    with pytest.raises(ValueError, match=r"got 'validation_los'\. Try: one of validation_loss, train_loss"):
        results.best("validation_los")
    with pytest.raises(ValueError, match="the rows are 1 epochs, 1 diverged"):
        results.best()
    with pytest.raises(ValueError, match="a sweep whose trials have run"):
        sweep([{}], [row("a", stopped="waiting")]).best()


@pytest.mark.parametrize(
    ("changes", "part", "apart", "common"),
    [
        ([{"loss": fn.MeanSquaredError()}, {"loss": fn.Huber(0.5)}], "loss", ("validation_loss", "objective"), ()),
        ([{"loss.label_smoothing": 0.0}, {"loss.label_smoothing": 0.1}], "loss", ("train_loss", "validation_loss"), ()),
        ([{}, {"loss.class_weight": np.asarray([1.0, 2.0, 3.0])}], "loss", ("validation_loss",), ()),
        ([{}, {"loss.reduction": "sum"}], "loss", ("validation_loss",), ()),
        (
            [{"regularizer": fn.L2(0.1)}, {"regularizer": fn.L2(0.2)}],
            "regularizer",
            ("objective",),
            ("validation_loss",),
        ),
        ([{"seed": 1}, {"seed": 2, "optimizer": fn.SGD(0.1)}], "", (), ("validation_loss", "objective")),
    ],
)
def test_a_loss_is_no_common_measure_of_different_losses(changes, part, apart, common):
    """To choose by it is refused in a sentence that names a metric which is one; texts pass it over."""
    rows = [row(i, loss, objective=loss, validation_accuracy=loss) for i, loss in enumerate((0.21, 0.07))]
    results = sweep(changes, rows)
    for name in apart:
        with pytest.raises(ValueError, match=f"differ in {part}.*Try:.*'validation_accuracy'") as caught:
            results.best(name)
        assert len(str(caught.value)) <= 300
        with pytest.raises(ValueError, match=f"differ in {part}"):
            results.summary(select=name)
        assert f"best {name}" not in repr(results)
    for name in (*common, "validation_accuracy"):
        assert results.best(name) == (0 if name == "validation_accuracy" else 1)
        assert results.summary(select=name).count.sum() == 2
    assert "best validation_accuracy 0.21 in row 0" in repr(results)


def test_rows_lead_to_their_experiment_parameters_and_curves():
    """By number, from either end; a row that has not run has no parameters."""
    results = sweep(
        [{"seed": 1}, {"seed": 2}, {"seed": 3}], [row("a", 0.2), row("b", 0.1), row("c", stopped="waiting")]
    )
    assert results.experiment(results.best()).seed == 2
    assert results.experiment(-1).seed == 3
    assert results.params(np.int64(1)) == {"row": 1}
    assert results.params(-2) == {"row": 1}
    assert results.curves(1)["validation_loss"].tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="row 2 is waiting"):
        results.params(2)
    with pytest.raises(IndexError, match="below 3, but got 3"):
        results.experiment(3)
    with pytest.raises(TypeError):
        results.params("a")
    with pytest.raises(ValueError, match="got 1 rows and 2 experiments"):
        Results([BASE, BASE], [row("a")], lambda i: {}, lambda i: None)


# -- statistics -------------------------------------------------------------------------------------------


def test_quantiles_of_students_distribution():
    """Against the incomplete beta function in many digits: P(|T| < t) = 1 − I(ν/(ν + t²); ν/2, 1/2)."""
    for freedom in (1, 2, 3, 4, 5, 8, 29, 30, 101, 1000):
        for probability in (0.6, 0.95, 0.975, 0.995):
            t = mpmath.mpf(t_quantile(probability, freedom))
            beyond = mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t**2), regularized=True)
            assert abs(float(1 - beyond / 2) - probability) < 1e-12, (freedom, probability)
    assert t_quantile(0.975, 1) == pytest.approx(12.7062047364, abs=1e-9)


def test_interval_by_hand():
    """Of 1, 2, 4, 5: mean 3, deviation √(10/3), half width 3.1824 · 0.9129."""
    mean, deviation, half_width = mean_deviation_half_width(np.asarray([1.0, 2.0, 4.0, 5.0]))
    assert (mean, deviation) == (3.0, pytest.approx(math.sqrt(10 / 3)))
    assert half_width == pytest.approx(3.182446 * math.sqrt(10 / 3) / 2, rel=1e-6)
    assert np.isnan(mean_deviation_half_width(np.asarray([1.0]))[1:]).all()
    assert np.isnan(mean_deviation_half_width(np.asarray([NAN]))).all()


def statistics():
    """Return three rates with three seeds: the second is best, and has one run that diverged."""
    changes = [{"optimizer.learning_rate": rate, "seed": seed} for rate in (0.1, 0.2, 0.3) for seed in range(3)]
    losses = [0.4, 0.5, 0.6, 0.1, 9.0, 0.3, NAN, 0.8, 0.9]
    rows = [row(i, loss, test=loss + 1) for i, loss in enumerate(losses)]
    rows[4] = rows[4]._replace(stopped="diverged")
    return changes, rows


def test_summary_by_hand():
    """Means over the seeds without runs that failed, the best group first, its test loss apart."""
    summary = sweep(*statistics()).summary()
    table = summary.table()
    assert table["optimizer.learning_rate"].tolist() == [0.2, 0.1, 0.3]
    assert table["count"].tolist() == [3, 3, 3]
    assert table["failures"].tolist() == [1, 0, 1]
    np.testing.assert_allclose(table["validation_loss_mean"], [0.2, 0.5, 0.85])
    np.testing.assert_allclose(table["validation_loss_std"], [0.1 * math.sqrt(2), 0.1, 0.05 * math.sqrt(2)])
    np.testing.assert_allclose(table["validation_loss_half_width"][:2], [1.2706205, 0.2484138], rtol=1e-6)
    assert summary.best == {"optimizer.learning_rate": 0.2}
    mean, half_width = summary.best_held_out["test_loss"]
    assert (mean, half_width) == (pytest.approx(1.2), pytest.approx(1.2706205))
    text = str(summary)
    assert "chosen by validation_loss: optimizer.learning_rate=0.2" in text
    assert "not in its means: 1 of its 3 runs, which failed" in text
    assert "held out, without part in the choice: test_loss 1.2 ± 1.3" in text
    assert "0.5 ± 0.25" in text


def test_summary_counts_a_duplicate_once():
    """The same run reported twice says nothing more about the mean."""
    changes, rows = statistics()
    assert str(sweep(changes + changes[:4], rows + rows[:4]).summary()) == str(sweep(changes, rows).summary())


def test_summary_of_what_has_not_run_or_was_halved():
    """Waiting trials count nowhere, halved ones are named."""
    changes, rows = statistics()
    rows[0], rows[1] = row(0, stopped="waiting"), rows[1]._replace(stopped="halved")
    summary = sweep(changes, rows).summary()
    assert summary.table()["count"].tolist() == [3, 2, 3]
    assert "not run, and counted nowhere: 1 trial" in str(summary)
    assert "ended by halving, with metrics of fewer epochs: 1 run" in str(summary)


def test_summary_over_other_fields():
    """Over several fields, over a part with all below it, over nothing that varies."""
    changes = [{"optimizer": o, "seed": s, "data_seed": s} for o in (fn.SGD(0.1), fn.Adam(0.1)) for s in range(2)]
    results = sweep(changes, [row(i, 1.0 + i) for i in range(4)])
    assert results.summary(over=("seed", "data_seed")).table()["count"].tolist() == [2, 2]
    alone = results.summary()
    assert alone.count.tolist() == [1, 1, 1, 1]
    assert "every group has one run" in str(alone)
    assert results.summary(over=("optimizer", "seed", "data_seed")).best == {}
    assert results.summary(over="batch_size").count.tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"got 'sede'\. Try: one of seed, data_seed"):
        results.summary(over="sede")


def test_summary_without_a_test_set_says_so():
    """Without a held-out metric the text warns; accuracies are ranked from above; `report` must be another metric."""
    rows = [row(i, 0.5, validation_accuracy=a) for i, a in enumerate((0.5, 0.9))]
    summary = sweep([{"batch_size": 8}, {"batch_size": 16}], rows).summary(select="validation_accuracy")
    assert summary.best == {"batch_size": 16}
    assert summary.best_held_out == {}
    assert "no held-out metric" in str(summary)
    with pytest.raises(ValueError, match="report must be a metric other than"):
        sweep(*statistics()).summary(report="validation_loss")
    with pytest.raises(ValueError, match="select must be a metric"):
        sweep(*statistics()).summary(select="loss")
    assert list(sweep(*statistics()).summary(report="train_loss").best_held_out) == ["train_loss"]


def test_summary_where_all_failed():
    """The text says that there is no choice, and asking for it is an error."""
    summary = sweep([{"seed": 1}, {"seed": 2}], [row("a"), row("b", 1.0, "diverged")]).summary()
    assert "no group has a finite validation_loss" in str(summary)
    with pytest.raises(ValueError, match="2 of 2 runs failed"):
        assert summary.best


def test_results_of_several_sweeps_are_joined():
    """Equal experiments on two folds are two runs, told apart by a column; rows lead to their own part."""
    folds = {label: sweep([{"seed": 1}, {"seed": 2}], [row("a", loss), row("b", loss + 1)]) for label, loss in FOLDS}
    results = fn.Results.joined(folds)
    assert results.table()["fold"].tolist() == [1, 1, 2, 2]
    assert results.fields() == ["fold", "seed"]
    summary = results.summary(over=("seed", "fold"))
    assert summary.count.tolist() == [4]
    np.testing.assert_allclose(summary.values["validation_loss"][0], [1.0])
    assert results.best() == 2
    assert results.params(3) == {"row": 1}
    assert results.curves(2)["validation_loss"].tolist() == [0, 1, 2, 3]
    named = fn.Results.joined({"one": folds[1], "two": folds[2]}, "part")
    assert named.table()["part"].tolist() == ["one", "one", "two", "two"]
    assert fn.Results.joined({"x": results, "y": results}, "again").table()["fold"].tolist() == [1, 1, 2, 2] * 2


FOLDS = ((1, 0.6), (2, 0.4))


def test_what_cannot_be_joined():
    """No parts, other things, a name that is taken."""
    one = sweep([{"seed": 1}, {"seed": 2}], [row("a", 1.0), row("b", 2.0)])
    for parts, match in (({}, "results by label"), ([one], "results by label"), ({0: 5}, "every part must be results")):
        with pytest.raises(TypeError, match=match):
            fn.Results.joined(parts)
    with pytest.raises(ValueError, match="seed must be the name of no column"):
        fn.Results.joined({0: one}, "seed")


# -- two settings -----------------------------------------------------------------------------------------

RATE = "optimizer.learning_rate"


def paired(losses=((0.30, 0.50, 0.40, 0.60), (0.35, 0.52, 0.47, 0.61)), **kinds):
    """Return two rates with four seeds."""
    changes = [{RATE: rate, "seed": seed} for rate in (0.1, 0.2) for seed in (5, 6, 7, 8)]
    rows = [row(i, loss, validation_accuracy=1 - loss) for i, loss in enumerate(np.ravel(losses))]
    return sweep(changes, [kinds.get(f"row{i}", found) for i, found in enumerate(rows)])


def test_two_settings_by_hand():
    """Differences −0.05, −0.02, −0.07, −0.01: mean −0.0375, deviation √(0.002275/3), t 3.182446 of three degrees."""
    found = paired().compare({RATE: 0.1}, {RATE: 0.2})
    half_width = 3.182446305 * math.sqrt(0.002275 / 3) / 2
    assert found.difference == pytest.approx(-0.0375)
    assert found.half_width == pytest.approx(half_width, rel=1e-8)
    assert found.interval == (pytest.approx(-0.0375 - half_width), pytest.approx(-0.0375 + half_width))
    assert found.better == ""
    np.testing.assert_allclose(found.values[:, 0], [0.3, 0.5, 0.4, 0.6])
    assert "validation_loss, 4 pairs by seed" in str(found)
    assert "a − b: -0.0375 ± 0.044 (95 % half width); no difference shown" in str(found)
    # Pairs tell what means alone do not: shifted by one number each, however far the seeds lie apart.
    losses = np.asarray([0.1, 0.5, 0.9, 0.3])
    shifted = paired((losses, losses + [0.1, 0.11, 0.1, 0.09]))
    assert shifted.compare({RATE: 0.1}, {RATE: np.float32(0.2)}).better == "a"
    assert shifted.compare({RATE: 0.2}, {RATE: 0.1}).better == "b"
    assert shifted.compare({RATE: 0.2}, {RATE: 0.1}, "validation_accuracy").better == "b"
    summary = shifted.summary()
    assert shifted.compare(summary.best, summary.setting(1)).a == {RATE: 0.1}
    twice = Results(shifted.experiments * 2, shifted.rows * 2, shifted.curves, shifted.params)
    assert len(twice.compare({RATE: 0.2}, {RATE: 0.1}).values) == 4


def test_settings_that_cannot_be_compared():
    """Each in a sentence that says which column, value or pair; none is left out in silence."""
    results = paired()
    lost = paired(row6=row(6, stopped="waiting"))
    bad = paired(row1=row(1, 9.0, "diverged"))
    alone = sweep([{RATE: 0.1}, {RATE: 0.2}, {RATE: 0.3, "seed": 1}], [row(i, 1.0) for i in range(3)])
    cases = (
        (lost, {RATE: 0.1}, {RATE: 0.2}, r"run of a and one of b.*b has no run with seed 7"),
        (bad, {RATE: 0.1}, {RATE: 0.2}, r"a has no finite validation_loss with seed 6"),
        (results, {RATE: 0.1}, {RATE: 0.3}, r"b must be a setting of the sweep.*Try: one of 0\.1, 0\.2"),
        (results, {}, {RATE: 0.2}, r"a must be one setting.*differ in optimizer\.learning_rate: 0\.1, 0\.2"),
        (results, {RATE: 0.1}, {RATE: 0.1}, r"a and b must be two settings"),
        (results, {"rate": 0.1}, {RATE: 0.1}, r"a must name fields that vary.*learning_rate"),
        (alone, {RATE: 0.1}, {RATE: 0.2}, r"at least two pairs"),
        (results, {RATE: "0.1"}, {RATE: 0.2}, r"no row has optimizer"),
    )
    for found, a, b, match in cases:
        with pytest.raises(ValueError, match=match) as caught:
            found.compare(a, b)
        assert len(str(caught.value)) <= 300
    with pytest.raises(TypeError, match=r"values by column.*summary\.best"):
        results.compare(0, 1)
    with pytest.raises(ValueError, match="over must be a field that varies"):
        results.compare({RATE: 0.1}, {RATE: 0.2}, over="data_seed")


# -- names ------------------------------------------------------------------------------------------------


def test_columns_have_the_names_that_are_given():
    """In tables, summaries, comparisons, by either name; what a network's name gives away stays hidden."""
    changes = [{"network": fn.mlp(*[8] * depth, 3), "seed": s} for depth in (1, 2) for s in range(2)]
    results = sweep(changes, [row(i, 1.0 / (i + 1)) for i in range(4)])
    named = results.named({"network": "net", "seed": "start", "optimizer.learning_rate": "does not vary"})
    assert named.telling_fields() == ["net", "start"]
    assert named.repeats() == ["start"]
    assert named.path_of("net") == "network"
    assert named.summary("start").best["net"] == "8-relu-8-relu-3"
    assert "net=8-relu-3" in str(named.compare({"net": "8-relu-3"}, {"net": "8-relu-8-relu-3"}, over="start"))
    assert named.named({"net": "n"}).path_of("n") == "network"
    assert results.telling_fields() == ["network", "seed"]
    hidden = next(name for name in results.fields() if name not in ("network", "seed"))
    assert results.named({hidden: "shown"}).telling_fields() == ["network", "shown", "seed"]
    with pytest.raises(ValueError, match=r"got 'sed'\. Try: one of seed"):
        results.named({"sed": "start"})
    for name in ("network", "train_loss", "epochs"):
        with pytest.raises(ValueError, match="a name of its own"):
            results.named({"seed": name})
    with pytest.raises(TypeError, match="text by dotted path"):
        results.named({"seed": 3})


# -- words and files --------------------------------------------------------------------------------------

NASTY = ["<script>alert(1)</script>", "=1+1", "-2", "@sum", "+3", "\tx", 'a "b" & c', "$x$"]


def nasty():
    """Return results whose names a page or a spreadsheet would run."""
    rows = [row(name, 0.1 * (k + 1))._replace(stopped=name) for k, name in enumerate(NASTY)]
    return sweep([{"seed": k} for k in range(len(NASTY))], rows)


def test_text_shows_counts_the_best_and_the_first_rows():
    """Few lines, whatever the size; widths that the network's name gives away are left out."""
    changes = [{"network": fn.mlp(*[8] * depth, 3), "seed": s} for depth in (1, 2) for s in range(10)]
    results = sweep(changes, [row(i, 1.0 / (i + 1)) for i in range(20)])
    text = repr(results)
    assert str(results) == text
    assert text.startswith("20 trials: 20 ran all epochs; 10 s of training\nbest validation_loss 0.05 in row 19")
    assert "8-relu-3" in text
    assert "layers" not in text
    assert results.telling_fields() == ["network", "seed"]
    assert len(text.splitlines()) == 13
    assert "… and 12 more rows" in text
    assert "0 trials: none" in repr(Results([], [], lambda i: {}, lambda i: None))


def test_html_for_notebooks_is_escaped():
    """A name cannot become a tag."""
    text = nasty()._repr_html_()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_summaries_in_notebooks_are_escaped():
    """A table of the groups; a name cannot become a tag."""
    summary = sweep([{"loss.reduction": "sum"}, {}], [row(i, 0.5, validation_accuracy=0.5) for i in range(2)])
    text = summary.summary(select="validation_accuracy")._repr_html_()
    assert text.count("<tr>") == 3
    assert "chosen by validation_accuracy: loss.reduction=sum" in text
    rows = [row(0, 0.5, **{"<script>": 0.5})]
    assert "<script>" not in sweep([{}], rows).summary()._repr_html_()


def test_names_that_no_file_can_hold(tmp_path):
    """A lone surrogate is spelled out."""
    results = sweep([{}], [row("a", 0.5, **{"name\udc80": 1.0})])
    results.to_csv(tmp_path / "table.csv")
    results.report(tmp_path / "report.html")
    for name in ("table.csv", "report.html"):
        assert "name\\udc80" in (tmp_path / name).read_text(encoding="utf-8")


def test_csv(tmp_path):
    """Everything is there in full digits; texts that a spreadsheet would compute are led by an apostrophe."""
    nasty().to_csv(tmp_path / "nasty.csv")
    with open(tmp_path / "nasty.csv", newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    stopped = [line["stopped"] for line in found]
    assert stopped == [NASTY[0], "'=1+1", "'-2", "'@sum", "'+3", "'\tx", NASTY[6], NASTY[7]]
    assert [float(line["validation_loss"]) for line in found] == nasty().table()["validation_loss"].tolist()
    sweep([{}], [row("a", -0.1, objective=NAN)]).to_csv(str(tmp_path / "plain.csv"))
    header, line = (tmp_path / "plain.csv").read_text().splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True)) == {
        **{"train_loss": "-0.05", "objective": "", "validation_loss": "-0.1", "stopped": "epochs", "epochs": "4"},
        **{"best_epoch": "3", "first_bad_step": "-1", "seconds": "0.5"},
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["nasty.csv", "plain.csv"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    """A failure on the way changes nothing."""
    target = tmp_path / "table.csv"
    target.write_text("old")
    monkeypatch.setattr(csv, "writer", lambda file: json.loads("no"))
    with pytest.raises(json.JSONDecodeError):
        nasty().to_csv(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_pandas():
    """The frame has the table's columns, and may be written to."""
    pytest.importorskip("pandas")
    results = sweep(*statistics())
    frame = results.to_pandas()
    assert list(frame.columns) == list(results.table())
    assert frame["validation_loss"].isna().sum() == 1
    frame.loc[0, "validation_loss"] = 7.0
    assert results.table()["validation_loss"][0] == 0.4


def test_parquet(tmp_path):
    """A round trip through a Parquet file."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    sweep(*statistics()).to_parquet(tmp_path / "table.parquet")
    assert len(pandas.read_parquet(tmp_path / "table.parquet")) == 9


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("pandas", lambda results: results.to_pandas()),
        ("pandas", lambda results: results.to_parquet("never.parquet")),
        ("matplotlib", lambda results: results.plot_learning_curves()),
        ("matplotlib", lambda results: results.plot_heat_map("validation_loss", "optimizer.learning_rate", "seed")),
    ],
)
def test_what_is_not_installed_is_named(module, use, monkeypatch):
    """The error says which extra brings it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module} must be installed.*extra \"experiments\""):
        use(sweep(*statistics()))
    assert not pathlib.Path("never.parquet").exists()
