"""Studies of Optuna whose trials run in lanes: values, states, pruning, and what is refused."""

import warnings

import jax
import numpy as np
import pytest

import funcnet as fn
from tests.helpers import compiled

optuna = pytest.importorskip("optuna")

from funcnet.optuna import from_space, optimize  # noqa: E402

STATE = optuna.trial.TrialState
X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
TRAIN, VALIDATION = (X, 3 * X + 1), (X[::3] / 2, 1.5 * X[::3] + 1)
LINE = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1), batch_size=None, epochs=4, dtype="float32")
SPACE = {"optimizer.learning_rate": fn.LogUniform(1e-2, 0.5), "seed": fn.Integers(0, 3)}
QUIET = {"progress": False, "devices": jax.devices()[:1]}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_of(direction="minimize", **options):
    sampler = options.pop("sampler", None) or optuna.samplers.TPESampler(seed=0, n_startup_trials=4)
    return optuna.create_study(direction=direction, sampler=sampler, **options)


def states(study):
    return [trial.state for trial in study.trials]


def test_trials_are_rows_of_sweeps():
    """Values, intermediate values and metrics are those of a sweep of the same experiments; one program serves all."""
    study, build = study_of(), from_space(LINE, SPACE)
    with compiled() as names:
        optimize(study, build, TRAIN, VALIDATION, TRAIN, n_trials=10, lanes=4, **QUIET)
    assert sum("advance" in name for name in names) <= 1
    assert states(study) == [STATE.COMPLETE] * 10
    rows = fn.sweep([build(trial) for trial in study.trials], TRAIN, VALIDATION, TRAIN, lanes=4, **QUIET)
    for number, trial in enumerate(study.trials):
        metrics = rows.rows[number].metrics
        assert trial.value == metrics["validation_loss"]
        assert trial.params.keys() == SPACE.keys()
        assert list(trial.intermediate_values) == [1, 2, 3, 4]
        assert list(trial.intermediate_values.values()) == rows.curves(number)["validation_loss"].tolist()
        assert (trial.user_attrs["stopped"], trial.user_attrs["test_loss"]) == ("epochs", metrics["test_loss"])
    best = build(study.best_trial)
    assert best.optimizer.learning_rate == study.best_params["optimizer.learning_rate"]
    # The sampler has learned: what it asked for after the first batches is nearer to the best rate.
    rates = [trial.params["optimizer.learning_rate"] for trial in study.trials]
    assert np.median(rates[4:]) > np.median(rates[:4])


def test_halving_prunes():
    """The worse half of a batch is PRUNED, with intermediate values as far as it came."""
    study = study_of(sampler=optuna.samplers.GridSampler({"optimizer.learning_rate": [0.01, 0.02, 0.1, 0.3]}, seed=0))
    build = from_space(LINE, {"optimizer.learning_rate": fn.Uniform(0.001, 1.0)})
    halving = fn.Halving("validation_loss", factor=2, first=2)
    optimize(study, build, TRAIN, VALIDATION, n_trials=12, lanes=4, halving=halving, **QUIET)
    assert len(study.trials) == 4  # the sampler had no more
    ended = {t.params["optimizer.learning_rate"]: (t.state, len(t.intermediate_values)) for t in study.trials}
    pruned, complete = (STATE.PRUNED, 2), (STATE.COMPLETE, 4)
    assert ended == {0.01: pruned, 0.02: pruned, 0.1: complete, 0.3: complete}


def test_the_pruner_of_the_study_is_asked():
    """Of what it sees at the epochs given; trials that are alike end together, and earlier batches count."""
    study = study_of(pruner=optuna.pruners.ThresholdPruner(upper=1.0, n_warmup_steps=2))
    for rate in (0.01, 0.3, 0.01, 0.4, 0.02):
        study.enqueue_trial({"optimizer.learning_rate": rate, "seed": 1})
    optimize(study, from_space(LINE, SPACE), TRAIN, VALIDATION, n_trials=5, lanes=3, pruner_at=(1, 3), **QUIET)
    assert states(study) == [STATE.PRUNED, STATE.COMPLETE, STATE.PRUNED, STATE.COMPLETE, STATE.PRUNED]
    assert [len(trial.intermediate_values) for trial in study.trials] == [3, 4, 3, 4, 3]
    assert study.trials[0].user_attrs["stopped"] == "halved"


def test_trials_that_diverge_fail_alone():
    study = study_of()
    for rate in (1e30, 0.1):
        study.enqueue_trial({"optimizer.learning_rate": rate})
    build = from_space(LINE, {"optimizer.learning_rate": fn.LogUniform(1e-3, 1e31)})
    optimize(study, build, TRAIN, n_trials=2, **QUIET)
    assert states(study) == [STATE.FAIL, STATE.COMPLETE]
    assert study.trials[0].user_attrs["stopped"] == "diverged"
    assert study.best_trial.number == 1


def test_choices_of_anything():
    """Networks and pairs of paths have names in the study; a function may build what it likes."""
    space = {
        "network": [fn.mlp(2, 1), fn.mlp(3, 1)],
        "loss": [fn.MeanSquaredError(), fn.MeanAbsoluteError()],
        ("optimizer.learning_rate", "batch_size"): fn.Choice([(0.1, 5), (0.2, 10)]),
        "seed": optuna.distributions.IntDistribution(0, 4, step=2),
        "epochs": range(1, 3),
    }
    build = from_space(LINE, space)
    trial = optuna.trial.FixedTrial(
        {"network": "layers.0.width=3", "optimizer.learning_rate, batch_size": "(0.2, 10)", "seed": 2, "epochs": 2}
        | {"loss": "MeanAbsoluteError"}
    )
    made = build(trial)
    assert made.loss == fn.MeanAbsoluteError()
    assert made.network.layers[0].width == 3
    assert (made.optimizer.learning_rate, made.batch_size, made.seed, made.epochs) == (0.2, 10, 2, 2)
    assert trial.distributions["network"].choices == ("layers.0.width=2", "layers.0.width=3")
    with pytest.raises(ValueError, match="no weights, but seed has some"):
        from_space(LINE, {"seed": fn.Choice([1, 2], weights=[1, 3])})
    with pytest.raises(ValueError, match="learning_rat"):
        from_space(LINE, {"optimizer.learning_rat": fn.Uniform(0.1, 0.2)})


def test_what_is_refused():
    """Before anything runs: a study that does not fit is not asked; the trials of a batch that fails are FAIL."""
    build = from_space(LINE, SPACE)
    refused = [
        ("a study must minimize it, but this one has the direction maximize", study_of("maximize"), {}),
        ("accuracy is best where it is largest", study_of(), {"metric": "validation_accuracy"}),
        ("one direction, but it has 2", optuna.create_study(directions=["minimize"] * 2), {}),
        ("one of halving and pruner_at", study_of(), {"halving": fn.Halving(), "pruner_at": (1,)}),
    ]
    for match, study, options in refused:
        with pytest.raises(ValueError, match=match):
            optimize(study, build, TRAIN, VALIDATION, n_trials=2, **QUIET, **options)
        assert study.trials == []
    with pytest.raises(TypeError, match="study must be an"):
        optimize(None, build, TRAIN, n_trials=2)
    cases = [
        (ValueError, "must be measured, but got 'validation_r2'", build, {"metric": "validation_r2"}),
        (TypeError, "build must return an experiment", lambda trial: 1.0, {}),
        (ZeroDivisionError, "division", lambda trial: 1 / 0, {}),
    ]
    for kind, match, wrong, options in cases:
        study = study_of("maximize" if options else "minimize")
        with pytest.raises(kind, match=match):
            optimize(study, wrong, TRAIN, VALIDATION, n_trials=2, **QUIET, **options)
        assert set(states(study)) == {STATE.FAIL}
    losses = [fn.MeanSquaredError(), fn.MeanAbsoluteError()]
    with pytest.raises(ValueError, match="differ in loss"):
        optimize(
            study_of(), lambda t: fn.replace(LINE, {"loss": losses[t.number]}), TRAIN, n_trials=2, lanes=1, **QUIET
        )


def test_an_interrupted_batch(monkeypatch):
    """What had ended is told; the rest fails, and a later call goes on."""
    study, build = study_of(), from_space(LINE, SPACE)

    def stopped(experiments, *sets, **options):
        whole = fn.sweep(experiments, *sets, **options)
        whole.rows[1] = whole.rows[1]._replace(stopped="waiting", epochs=0, metrics={})
        raise fn.SweepInterrupted("stopped", whole)

    monkeypatch.setattr("funcnet.optuna.studies.sweep", stopped)
    with pytest.raises(fn.SweepInterrupted):
        optimize(study, build, TRAIN, VALIDATION, n_trials=3, **QUIET)
    assert states(study) == [STATE.COMPLETE, STATE.FAIL, STATE.COMPLETE]
    monkeypatch.undo()
    optimize(study, build, TRAIN, VALIDATION, n_trials=1, timeout=600, **QUIET)
    optimize(study, build, TRAIN, VALIDATION, n_trials=1, timeout=-1, **QUIET)
    assert len(study.trials) == 4


def test_what_optuna_stores_and_draws(tmp_path):
    """A journal on the disk gives the study back, and Optuna's own importances and figures read it."""
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log")))
    study = study_of(storage=journal, study_name="line")
    optimize(study, from_space(LINE, SPACE), TRAIN, VALIDATION, n_trials=8, lanes=8, **QUIET)
    again = optuna.load_study(study_name="line", storage=journal)
    assert [trial.intermediate_values for trial in again.trials] == [t.intermediate_values for t in study.trials]
    assert again.best_params == study.best_params
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        assert set(optuna.importance.get_param_importances(again, evaluator=evaluator)) == set(SPACE)
        pytest.importorskip("matplotlib").use("Agg")
        optuna.visualization.matplotlib.plot_intermediate_values(again)
