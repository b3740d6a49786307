"""Estimators of scikit-learn: its own checks, its pipelines and searches, tables, and what users get wrong."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import funcnet as fn
from funcnet.sklearn import LinearClassifier, LinearRegressor, NetworkClassifier, NetworkRegressor, SweepSearchCV, jobs
from funcnet.sklearn.settings import class_weights
from funcnet.sklearn.tables import padded
from tests.helpers import compiled


@pytest.fixture(scope="module")
def points():
    """Three classes by name, 61 samples of 4 features in single precision, which networks keep."""
    rng = np.random.default_rng(5)
    y = np.resize([0, 1, 2], 61)
    x = rng.normal(size=(61, 4)) + 2.5 * np.eye(3, 4)[y]
    return x.astype(np.float32), np.asarray(["ant", "bee", "cat"])[y]


def small(**changes):
    """A network that trains in little time."""
    return NetworkClassifier(**{"hidden": (8,), "learning_rate": 0.05, "epochs": 20, "random_state": 2} | changes)


@pytest.mark.every
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor, LinearClassifier, LinearRegressor])
def test_scikit_learns_own_checks(kind, as_users_run_it):
    found = check_estimator(kind(), on_skip=None)
    skipped = {result["check_name"] for result in found if result["status"] != "passed"}
    assert skipped <= {"check_array_api_input"}  # it asks for a mode of SciPy's
    assert len(found) > 50


def test_the_checks_can_fail(points, as_users_run_it):
    """An estimator that takes weights and does not use them is told from one that does."""
    x, y = points
    weight = np.where(y == "bee", 0.0, 1.0)
    left_out = small().fit(x, y, sample_weight=weight)
    without = small().fit(x[y != "bee"], y[y != "bee"])
    assert left_out.classes_.tolist() == ["ant", "cat"]
    np.testing.assert_allclose(left_out.predict_proba(x), without.predict_proba(x), rtol=1e-5)
    assert not np.array_equal(small().fit(x, y).predict(x), without.predict(x))


def test_a_fit_is_that_of_train(points, as_users_run_it):
    """What the parameters say is the experiment that one would write, scaled weights and order included."""
    x, y = points
    weight = np.linspace(0.5, 2, 61, dtype=np.float32)
    model = small(
        batch_size=16, penalty=1e-3, dropout=0.1, epochs=4, optimizer=fn.SGD(0.1, momentum=0.5), class_weight={"bee": 3}
    )
    model.set_params(learning_rate=None).fit(x, y, sample_weight=weight)
    labels = np.searchsorted(["ant", "bee", "cat"], y).astype(np.int32)
    experiment = fn.Experiment(
        fn.mlp(8, 3, dropout=0.1),
        fn.SoftmaxCrossEntropy(),
        fn.SGD(0.1, momentum=0.5),
        fn.L2(1e-3),
        batch_size=16,
        epochs=4,
        seed=2,
        data_seed=2,
    )
    run = fn.train(experiment, (x, labels, weight * np.where(labels == 1, 3, 1).astype(np.float32)), progress=False)
    np.testing.assert_allclose(model.history_["train_loss"], run.history["train_loss"], rtol=1e-5)
    np.testing.assert_allclose(model.predict_proba(x), run.probabilities(x), rtol=1e-4, atol=1e-6)
    whole = NetworkClassifier(experiment=experiment).fit(x, y)
    np.testing.assert_array_equal(whole.params_[0]["kernel"].shape, (4, 8))
    assert whole.n_iter_ == 4
    assert whole.experiment_.seed == 2


def test_numbers_compile_nothing_and_folds_share_programs(points, as_users_run_it):
    x, y = points
    small(penalty=0.1).fit(x, y).predict(x)
    with compiled() as names:
        model = small(learning_rate=0.01, penalty=0.0, epochs=7, random_state=9).fit(x[:50], y[:50])
        model.predict(x)
        small().fit(x, y, sample_weight=np.arange(61))
    assert names == []


def test_pipelines_clones_and_pickles(points, as_users_run_it):
    x, y = points
    pipeline = make_pipeline(StandardScaler(), small())
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.8
    model = pickle.loads(pickle.dumps(pipeline.fit(x, y)))
    np.testing.assert_array_equal(model.predict(x), pipeline.predict(x))
    again = clone(pipeline[-1])
    assert again.get_params() == pipeline[-1].get_params()
    assert "params_" not in vars(again)


def test_regression_in_any_unit_and_of_several_targets(as_users_run_it):
    """Targets are scaled inside: in other units the same fit comes out, in those units."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    y = np.stack([x @ [1.0, -2.0, 0.5], np.sin(x[:, 0])], axis=1)
    model = NetworkRegressor((16,), learning_rate=0.03, epochs=80, random_state=0)
    found = clone(model).fit(x, y).predict(x)
    other = clone(model).fit(x, [1e6, 0.25] * y + [3e7, 0]).predict(x)
    np.testing.assert_allclose(other, [1e6, 0.25] * found + [3e7, 0], rtol=1e-6)
    assert found.dtype == np.float64
    assert clone(model).fit(x, y).score(x, y) > 0.9
    raw = clone(model).set_params(scale_targets=False, epochs=2).fit(x, 1e3 * y[:, :1])
    assert raw.predict(x).shape == (40, 1)
    assert raw.target_scale_.tolist() == [1.0]


def test_stopping_early_and_going_on(points, as_users_run_it):
    x, y = points
    model = small(early_stopping=True, validation_fraction=0.2, patience=3, epochs=300).fit(x, y)
    assert model.stopped_ == "patience"
    assert model.n_iter_ < 300
    assert np.argmin(model.history_["validation_loss"]) == model.n_iter_ - 4
    whole = fn.Experiment(
        fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.Adam(0.05), stopping=fn.EarlyStopping(2), dtype="float64"
    )
    given = NetworkClassifier(experiment=whole).fit(x, y)  # what its rule watches is held out
    assert "validation_loss" in given.history_
    assert given.predict_proba(x).dtype == np.float64
    warm = small(warm_start=True, epochs=5).fit(x, y)
    first = warm.history_["train_loss"]
    assert warm.fit(x, y).history_["train_loss"][0] < first[0] - 0.1
    with pytest.raises(
        ValueError, match=r"y must hold the classes of the first fit, but 'dog' is none of 'ant', 'bee'"
    ):
        warm.fit(x, np.where(y == "cat", "dog", y))


def test_partial_fit_is_fit_in_parts(points, as_users_run_it):
    """Epochs by hand are those of `fit`, the optimizer's state and the order of the samples included."""
    x, y = points
    whole, parts = small(epochs=3), small()
    whole.fit(x, y)
    for _ in range(3):
        parts.partial_fit(x, y, classes=["ant", "bee", "cat"])
    np.testing.assert_allclose(parts.history_["train_loss"], whole.history_["train_loss"], rtol=1e-5)
    np.testing.assert_allclose(parts.predict_proba(x), whole.predict_proba(x), rtol=1e-4, atol=1e-6)
    parts.partial_fit(x[:20], y[:20])
    assert parts.n_iter_ == 4
    number = NetworkRegressor((4,), epochs=1).partial_fit(x, x[:, 0]).partial_fit(x, x[:, 0])
    assert number.history_["train_loss"].shape == (2,)


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda x, y: small().partial_fit(x, y), "must name all classes"),
        (lambda x, y: small().partial_fit(x, y, classes=["ant", "bee"]), "'cat' is none of 'ant', 'bee'"),
        (lambda x, y: small().partial_fit(x, y, np.unique(y)).partial_fit(x, y, ["ant"]), "those of the first call"),
        (lambda x, y: small().fit(x, np.full(61, "ant")), "two classes or more to learn from, but .* 'ant'"),
        (lambda x, y: small(activation="rely").fit(x, y), "'rely'. Try: one of relu"),
        (lambda x, y: small(optimizer="adm").fit(x, y), "'adm'. Try: one of adam"),
        (lambda x, y: small(class_weight={"bea": 2}).fit(x, y), "'bea'. Try: one of bee"),
        (lambda x, y: small(network=fn.mlp(4, 7)).fit(x, y), "must have 3 outputs"),
        (lambda x, y: small(optimizer="sgd", learning_rate=1e30).fit(x, y), "diverged at update"),
        (lambda x, y: small().fit(x, y, sample_weight=-np.ones(61)), "at least 0"),
        (lambda x, y: small().fit(x, y).predict(x[:, :2]), "X has 2 features"),
        (lambda x, y: SweepSearchCV(LogisticRegression(), {"C": [1.0]}).fit(x, y), "must train a network"),
        (lambda x, y: SweepSearchCV(small(), {"rate": [0.1]}).fit(x, y), "ended in ValueError: Invalid parameter"),
        (lambda x, y: SweepSearchCV(small(), {"epochs": Draws()}).fit(x, y), "epochs is a distribution"),
        (lambda x, y: small(experiment=fn.SGD(0.1)).fit(x, y), "experiment must be an Experiment"),
    ],
)
def test_what_does_not_fit_is_told(attempt, words, points, as_users_run_it):
    with pytest.raises((ValueError, TypeError), match=words) as error:
        attempt(*points)
    assert len(str(error.value)) <= 300


class Draws:
    """A distribution."""

    def rvs(self, *args, **kwargs):
        return 3


def test_sets_are_filled_up_to_few_sizes():
    sizes = [len(padded(np.zeros((n, 1)), np.zeros(n), None)[0]) for n in range(1, 5000)]
    assert all(n <= size <= max(n + 63, 9 * n / 8) for n, size in enumerate(sizes, start=1))
    assert len(set(sizes)) < 60


def test_balanced_classes_count_weights():
    labels, weight = np.asarray([0, 0, 0, 1]), np.asarray([1.0, 1.0, 2.0, 1.0])
    found = class_weights("balanced", np.asarray(["a", "b"]), labels, weight)
    assert found.tolist() == [5 / 8, 5 / 2]  # by hand: each class weighs 5/2 in all
    assert class_weights({"b": 3}, np.asarray(["a", "b"]), labels, weight).tolist() == [1.0, 3.0]


def test_linear_models_are_those_of_scikit_learn(points, as_users_run_it):
    x, names = points
    x = x.astype(np.float64)
    y, weight = x @ [1.0, 0.0, -2.0, 0.3] + 1, np.linspace(0, 2, 61)
    ours = LinearRegressor(0.1, l1_ratio=0.5).fit(x, y, sample_weight=weight)
    theirs = ElasticNet(alpha=0.1, l1_ratio=0.5, tol=1e-12).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-4, atol=1e-5)
    ours = LinearClassifier(0.1).fit(x, names)
    theirs = LogisticRegression(C=1 / (0.1 * 61), tol=1e-10, max_iter=10_000).fit(x, names)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-5)
    assert ours.coef_.shape == (3, 4)


# -- the search ------------------------------------------------------------------------------------------------


def same(ours, theirs):
    """Compare two searches, but for times."""
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    for name, column in theirs.cv_results_.items():
        found = ours.cv_results_[name]
        if "_time" in name:
            assert (found >= 0).all()
        elif "score" in name:
            np.testing.assert_allclose(found, column, rtol=1e-5, atol=1e-7, err_msg=name)
        else:
            assert list(found) == list(column), name
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-5)


def test_a_sweep_finds_what_the_grid_search_finds(points, as_users_run_it):
    """Structures and numbers, weights, scores of training, all epochs: in lanes, and one by one."""
    x, y = points
    grid = [
        {"hidden": [(6,)], "learning_rate": [0.003, 0.05], "penalty": [0.0, 0.1]},
        {"hidden": [(4, 5)], "dropout": [0.3]},
    ]
    weight = np.random.default_rng(0).uniform(0.5, 2, 61)
    options = {"cv": 3, "scoring": "neg_log_loss", "return_train_score": True}
    ours = SweepSearchCV(small(epochs=6), grid, **options).fit(x, y, sample_weight=weight)
    theirs = GridSearchCV(small(epochs=6), grid, **options).fit(x, y, sample_weight=weight)
    same(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-4, atol=1e-6)
    assert ours.n_splits_ == 3
    assert ours.classes_.tolist() == ["ant", "bee", "cat"]


def test_a_sweep_of_a_pipeline_trains_all_in_lanes(points, monkeypatch, as_users_run_it):
    """Early stopping, groups, steps before the network; no fit but the last one trains by itself, seeds or no seeds."""
    # Without `random_state` the seed is drawn from here, as everywhere in scikit-learn.
    np.random.seed(0)  # noqa: NPY002
    x, y = points
    trained, train = [], jobs._train
    monkeypatch.setattr(jobs, "_train", lambda job: trained.append(job) or train(job))
    pipeline = make_pipeline(StandardScaler(), small(early_stopping=True, random_state=None))
    grid = {"standardscaler__with_mean": [True, False], "networkclassifier__learning_rate": [1e-5, 0.05]}
    groups = np.arange(61) % 6
    search = SweepSearchCV(pipeline, grid, cv=GroupKFold(2), refit=True).fit(x, y, groups=groups)
    assert len(trained) == 1
    assert search.best_params_["networkclassifier__learning_rate"] == 0.05
    assert (search.cv_results_["mean_fit_time"] > 0).all()
    drawn = SweepSearchCV(small(), {"epochs": Draws(), "learning_rate": [0.05]}, n_iter=1, cv=2, refit=False).fit(x, y)
    assert drawn.cv_results_["params"] == [{"epochs": 3, "learning_rate": 0.05}]
    assert len(trained) == 1


def test_a_sweep_stops_early_by_the_part_held_out(points, as_users_run_it):
    x, y = points
    model, grid = small(early_stopping=True, patience=2, epochs=60), {"learning_rate": [0.02, 0.3]}
    ours = SweepSearchCV(model, grid, cv=2, scoring="neg_log_loss", refit=False).fit(x, y)
    same(ours, GridSearchCV(model, grid, cv=2, scoring="neg_log_loss", refit=False).fit(x, y))
    alone = clone(model).set_params(learning_rate=0.3).fit(x, y)
    assert alone.n_iter_ < 60, "no candidate stops early"
    assert len(set(ours.cv_results_["mean_test_score"])) == 2


def test_candidates_that_fail_are_scored_as_such(points, as_users_run_it):
    x, y = points
    grid = {"learning_rate": [0.05, 1e30], "optimizer": ["sgd"]}
    search = SweepSearchCV(small(), grid, cv=2, error_score=-1.0)
    with pytest.warns(Warning, match="diverged"):
        search.fit(x, y)
    assert search.cv_results_["mean_test_score"][1] == -1
    assert search.best_index_ == 0


# -- tables and new processes ----------------------------------------------------------------------------------


def tables():
    pandas = pytest.importorskip("pandas")
    columns = {"size": [1.0, 2.0, 3.0, 4.0] * 4, "age": [4, 3, 2, 1] * 4}
    yield pandas.DataFrame(columns)
    yield pytest.importorskip("pyarrow").table(columns)
    yield pytest.importorskip("polars").DataFrame(columns)


@pytest.mark.parametrize("number", range(3), ids=["pandas", "pyarrow", "polars"])
def test_tables_by_column(number, as_users_run_it):
    made = tables()
    table = [next(made) for _ in range(number + 1)][-1]
    y = ["low", "high"] * 8
    model = small(epochs=2).fit(table, y)
    assert model.feature_names_in_.tolist() == ["size", "age"]
    assert model.predict(table).shape == (16,)
    turned = table.select(["age", "size"]) if number else table[["age", "size"]]
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(turned)
    found = fn.data.frame(table, "age")
    np.testing.assert_array_equal(found.x[:4, 0], [1, 2, 3, 4])
    np.testing.assert_array_equal(found.y[:4, 0], [4, 3, 2, 1])
    assert found.features == ("size",)


def test_tables_with_words_or_gaps_are_refused_by_column():
    pandas = pytest.importorskip("pandas")
    y = [0, 1, 0, 1]
    words = pandas.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "colour": ["red", "blue", "red", "red"]})
    with pytest.raises(ValueError, match=r"column 'colour' must hold numbers alone, but .*ColumnTransformer"):
        small().fit(words, y)
    gaps = pandas.DataFrame({"size": [1.0, np.nan, 3.0, 4.0]})
    with pytest.raises(ValueError, match=r"column 'size' must hold numbers alone, but 1 are missing"):
        LinearClassifier().fit(gaps, y)


def test_a_new_process_predicts_from_what_was_saved(points, tmp_path, as_users_run_it):
    """A pickled pipeline over words and numbers, and a run that was saved: both give names, without this script."""
    pandas = pytest.importorskip("pandas")
    x, y = points
    table = pandas.DataFrame({"size": x[:, 0], "colour": np.resize(["red", "blue"], 61), "height": x[:, 1]})
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["size", "height"]), ("words", OneHotEncoder(), ["colour"])]
    )
    pipeline = make_pipeline(columns, small(epochs=4)).fit(table, y)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(pipeline))
    table.to_csv(tmp_path / "table.csv", index=False)
    network = pipeline[-1]
    labels = np.searchsorted(network.classes_, y).astype(np.int32)
    run = fn.train(fn.replace(network.experiment_, {"epochs": 2}), (x, labels), progress=False)
    run.save(tmp_path / "net.run", classes=network.classes_.tolist())
    np.save(tmp_path / "x.npy", x)
    code = (
        "import pickle, numpy as np, pandas, funcnet as fn\n"
        "model = pickle.load(open('model.pickle', 'rb'))\n"
        "print(*model.predict(pandas.read_csv('table.csv')))\n"
        "print(*fn.load('net.run').labels(np.load('x.npy')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.split() == pipeline.predict(table).tolist()
    assert second.split() == network.classes_[run.labels(x)].tolist()
