"""The sweep engine: a row is a row, one program a structure, one bad trial harms itself alone, nothing is lost."""

import importlib
import math
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

import funcnet as fn
from funcnet.sweeps import engine as engine_module
from funcnet.sweeps.lanes import programs_for
from funcnet.sweeps.progress import SweepProgress
from funcnet.sweeps.store import Store
from funcnet.training.loop import prepare
from tests.helpers import compiled, sampled

RNG = np.random.default_rng(3)
X = RNG.standard_normal((50, 6)).astype(np.float32)
Y = np.argmax(X[:, :3] + 0.3 * RNG.standard_normal((50, 3)), axis=1).astype(np.int32)
TRAIN, VALIDATION, TEST = (X[:30], Y[:30]), (X[30:40], Y[30:40]), (X[40:], Y[40:])
BASE = fn.Experiment(fn.mlp(5, 3), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), batch_size=8, epochs=6)
KILLS = int(os.environ.get("FUNCNET_KILLS", "2"))
QUIET = {"progress": False, "lanes": 4}


def sweep(experiments, train=TRAIN, validation=VALIDATION, test=TEST, **options):
    return fn.sweep(experiments, train, validation, test, **{**QUIET, **options})


def fingerprint(results, i):
    """Everything about a row but its seconds, to the bit."""
    row = results.rows[i]
    arrays = {name: column.tobytes() for name, column in results.curves(i).items()}
    params = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(results.params(i))]
    metrics = {name: np.float64(value).tobytes() for name, value in row.metrics.items()}
    return row.hash, row.stopped, row.epochs, row.best_epoch, row.first_bad_step, metrics, arrays, params


def fingerprints(results):
    return [fingerprint(results, i) for i in range(len(results))]


@pytest.fixture(scope="module")
def trials():
    """Eleven trials, which fill neither the lanes nor the chunks."""
    return [
        fn.replace(BASE, {"seed": i, "optimizer.learning_rate": 0.003 * (i + 1), "epochs": 4 + i % 3})
        for i in range(11)
    ]


@pytest.fixture(scope="module")
def reference(trials):
    return sweep(trials)


def test_rows_equal_train(trials, reference):
    """A trial of a sweep is the run that `train` makes of it, to rounding."""
    for i, trial in enumerate(trials):
        run = fn.train(trial, TRAIN, VALIDATION)
        assert reference.rows[i].stopped == run.stopped
        assert reference.rows[i].epochs == run.epochs
        assert reference.rows[i].best_epoch == run.best_epoch
        for name, column in run.history.items():
            np.testing.assert_allclose(reference.curves(i)[name], column, rtol=2e-5, atol=1e-6, err_msg=name)
        for mine, theirs in zip(jax.tree.leaves(reference.params(i)), jax.tree.leaves(run.best_params), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
        first, last = (jax.tree.map(np.asarray, run.best_params[k]) for k in (0, 2))
        hidden = np.maximum(TEST[0].astype(np.float64) @ first["kernel"] + first["bias"], 0)
        scores = hidden @ last["kernel"] + last["bias"]
        loss = np.mean(np.log(np.sum(np.exp(scores), axis=1)) - scores[np.arange(len(scores)), TEST[1]])
        np.testing.assert_allclose(reference.rows[i].metrics["test_loss"], loss, rtol=2e-5)


def test_a_row_is_a_row(trials, reference):
    """The same bits in any order, any sweep size, alone, with any segment, on one device or two."""
    wanted = fingerprints(reference)
    order = np.random.default_rng(0).permutation(len(trials))
    shuffled = sweep([trials[i] for i in order])
    assert [fingerprint(shuffled, int(np.flatnonzero(order == i)[0])) for i in range(len(trials))] == wanted
    assert fingerprints(sweep(trials[4:7])) == wanted[4:7]
    assert fingerprints(sweep(trials[9:10])) == wanted[9:10]
    assert fingerprints(sweep(trials, segment=2)) == wanted
    assert fingerprints(sweep(trials, devices=jax.local_devices()[:1])) == wanted
    assert len(jax.local_devices()) == 2, "the suite gives JAX two devices, or this proves nothing"


def test_a_fingerprint_sees_one_bit(trials, reference):
    """Had a number moved by one unit in the last place, the comparison above would fail."""
    other = sweep([fn.replace(trials[0], {"optimizer.beta1": float(np.nextafter(np.float32(0.9), np.float32(1)))})])
    assert fingerprint(other, 0)[6] != fingerprint(reference, 0)[6]


def test_one_program_per_structure():
    """However many experiments, seeds, rates and epochs: one training program a structure."""
    base = fn.replace(BASE, {"network": fn.mlp(9, 3)})  # a structure that no other test has
    few = fn.grid(base, {"seed": range(3), "optimizer.beta2": [0.9, 0.99]})
    many = fn.grid(base, {"seed": range(20), "epochs": [2, 3]})
    with compiled() as names:
        for experiments in (few, many):
            sweep(experiments)
        assert names.count("jit(advance)") == 1
        sweep([fn.replace(few[0], {"network": fn.mlp(4, 3)})])
        assert names.count("jit(advance)") == 2


@pytest.mark.parametrize(
    ("changes", "columns"),
    sampled(
        [
            ({}, True),
            ({"network": fn.Chain(fn.Dense(5), fn.tanh, fn.Dropout(0.3), fn.Dense(3))}, True),
            ({"regularizer": fn.L1(0.01)}, True),
            ({"regularizer": fn.MaxNorm(1.0)}, False),
            ({"optimizer": fn.CoordinateDescent(0.1, order="greedy")}, False),
            ({"optimizer": fn.ClipByNorm(fn.SGD(0.1, momentum=0.9), 1.0)}, True),
            ({"optimizer": fn.AdamW(0.01), "stopping": fn.EarlyStopping(2)}, True),
        ],
        lambda row: not row[1] or not row[0],
    ),
)
def test_lanes_equal_train(changes, columns):
    """In columns or in rows, with dropout, penalties and wrappers, a lane computes what `train` does."""
    trials = [fn.replace(BASE, {**changes, "seed": i}) for i in range(3)]
    data = prepare(trials[0], TRAIN, VALIDATION)[1]
    from funcnet.sweeps.lanes import in_columns

    assert in_columns(trials[0], data) == columns
    results = sweep(trials, test=None)
    for i, trial in enumerate(trials):
        run = fn.train(trial, TRAIN, VALIDATION)
        assert (results.rows[i].stopped, results.rows[i].epochs) == (run.stopped, run.epochs)
        for name, column in run.history.items():
            np.testing.assert_allclose(results.curves(i)[name], column, rtol=1e-4, atol=1e-5, err_msg=name)


def test_one_bad_trial_harms_itself_alone():
    """A rate of 1e6 ends 'diverged' with its first bad step; its neighbours keep their bits."""
    pair, held_out = (X[:30], X[:30, :1] - X[:30, 1:2]), (X[30:40], X[30:40, :1] - X[30:40, 1:2])
    base = fn.replace(
        BASE, {"network": fn.mlp(5, 1), "loss": fn.MeanSquaredError(), "optimizer": fn.SGD(0.1), "epochs": 12}
    )
    good = [fn.replace(base, {"seed": i}) for i in range(6)]
    bad = fn.replace(base, {"optimizer.learning_rate": 1e6})
    alone = sweep(good, pair, held_out, None)
    mixed = sweep([*good[:3], bad, *good[3:]], pair, held_out, None)
    run, row = fn.train(bad, pair, held_out), mixed.rows[3]
    assert row.stopped == run.stopped == "diverged"
    assert row.first_bad_step == run.first_bad_step
    others = fingerprints(mixed)
    assert others[:3] + others[4:] == fingerprints(alone)
    assert all(r.stopped == "epochs" for r in alone.rows)


def test_an_order_of_its_own(trials):
    """With own_order each trial follows its own data_seed, as `train` does."""
    own = [fn.replace(BASE, {"seed": 1, "data_seed": i}) for i in range(5)]
    together, apart = sweep(own, own_order=True), sweep(own)
    for i, trial in enumerate(own):
        run = fn.train(trial, TRAIN, VALIDATION)
        for results in (together, apart):
            np.testing.assert_allclose(results.curves(i)["train_loss"], run.history["train_loss"], rtol=2e-5)
    assert len({together.rows[i].metrics["train_loss"] for i in range(5)}) == 5


@pytest.mark.every
def test_stopped_trials_give_back_their_lanes(monkeypatch):
    """Early stopping: every trial ends when `train` ends it, and lanes walk fewer epochs than trials would."""
    base = fn.replace(BASE, {"stopping": fn.EarlyStopping(2), "epochs": 40, "optimizer.learning_rate": 0.3})
    trials = [fn.replace(base, {"seed": i, "stopping.patience": 1 + i % 4}) for i in range(24)]
    walked = []
    original = engine_module.Engine._note

    def note(self, chunk, going, state, ran, seconds):
        walked.append(int(np.max(ran)) * self.programs.width)
        original(self, chunk, going, state, ran, seconds)

    monkeypatch.setattr(engine_module.Engine, "_note", note)
    results = sweep(trials, segment=2)
    ends = [fn.train(trial, TRAIN, VALIDATION).epochs for trial in trials]
    assert [row.epochs for row in results.rows] == ends
    assert {row.stopped for row in results.rows} == {"patience"}
    needed = sum(ends)
    assert min(ends) < max(ends), "all stopped at once: nothing to give back"
    assert sum(walked) < 1.5 * needed + 8 * 2 * 8
    assert sum(walked) < len(trials) * max(ends)


def test_halving_keeps_the_best_and_trains_none_twice():
    """At each rung the best third by the metric goes on; what a plain sweep shows of them is the same."""
    trials = fn.grid(BASE, {"seed": range(6), "optimizer.learning_rate": [0.001, 0.01, 0.1]})
    trials = [fn.replace(trial, {"epochs": 9}) for trial in trials]
    full = sweep(trials)
    halved = sweep(trials, halving=fn.Halving("validation_loss", factor=3, first=1))
    losses = np.stack([full.curves(i)["validation_loss"] for i in range(len(trials))])
    first = set(np.argsort(losses[:, 0], kind="stable")[:6].tolist())
    second = set(sorted(first, key=lambda i: (losses[i, 2], i))[:2])
    epochs = [9 if i in second else 3 if i in first else 1 for i in range(len(trials))]
    assert [row.epochs for row in halved.rows] == epochs
    assert [row.stopped for row in halved.rows] == ["epochs" if e == 9 else "halved" for e in epochs]
    wanted, found = fingerprints(full), fingerprints(halved)
    assert [found[i] for i in sorted(second)] == [wanted[i] for i in sorted(second)]
    for i in range(len(trials)):
        assert halved.curves(i)["train_loss"].tobytes() == full.curves(i)["train_loss"][: epochs[i]].tobytes()


def test_duplicates_run_once_and_are_reported_twice(trials, reference):
    results = sweep([trials[2], trials[5], trials[2]])
    assert fingerprint(results, 0) == fingerprint(results, 2) == fingerprint(reference, 2)
    assert results.rows[0].seconds == results.rows[2].seconds


def test_a_healthy_sweep_makes_no_nan_and_no_infinity():
    """JAX's own watch for them finds none, with halving and segments, in lanes without a trial."""
    trials = fn.grid(BASE, {"seed": range(3), "epochs": [2, 3]})
    with jax.debug_nans(True), jax.debug_infs(True):
        results = sweep(trials, halving=fn.Halving(factor=2))
    assert results.counts() == {"epochs": 3, "halved": 3}


# -- the store ----------------------------------------------------------------------------------------


def finished_at(path):
    with sqlite3.connect(path) as database:
        return dict(database.execute("SELECT hash, finished FROM trials"))


def test_a_store_skips_what_is_done(tmp_path, trials, reference):
    path = tmp_path / "sweep.sqlite"
    sweep(trials[:5], store=path)
    before = finished_at(path)
    assert fingerprints(sweep(trials, store=path)) == fingerprints(reference)
    after = finished_at(path)
    assert len(before) == 5
    assert {key: after[key] for key in before} == before


def count_epochs(monkeypatch):
    """A list to which the epochs of trials that sweeps walk are added."""
    walked, original = [], SweepProgress.update

    def update(self, finished, epochs):
        walked.append(epochs)
        original(self, finished, epochs)

    monkeypatch.setattr(SweepProgress, "update", update)
    return walked


def test_raising_epochs_continues(tmp_path, monkeypatch):
    """With the final state kept, more epochs and more seeds extend a finished sweep, to the bit."""
    path = tmp_path / "sweep.sqlite"
    short = fn.grid(BASE, {"seed": range(3)})
    long = [fn.replace(trial, {"epochs": 11}) for trial in fn.grid(BASE, {"seed": range(5)})]
    sweep(short, store=path, keep="state")
    walked = count_epochs(monkeypatch)
    extended = sweep(long, store=path, keep="state")
    assert sum(walked) == 3 * 5 + 2 * 11
    assert fingerprints(extended) == fingerprints(sweep(long, keep="state"))
    # None is new, and nobody has said how many lanes.
    longer = [fn.replace(trial, {"epochs": 12}) for trial in long]
    rows = sweep(longer, store=path, keep="state", lanes=None).rows
    assert [row.epochs for row in rows] == [12] * 5
    assert sum(walked) == 3 * 5 + 2 * 11 + 5 * 11 + 5


def test_raising_epochs_of_a_halved_sweep(tmp_path):
    """Trials that stand past a rung are compared at it too: all goes on as if the sweep had been this long."""
    given = fn.grid(fn.replace(BASE, {"epochs": 6}), {"seed": range(4), "optimizer.learning_rate": [1e-3, 0.1]})
    longer = [fn.replace(trial, {"epochs": 9}) for trial in given]
    options = {"halving": fn.Halving("train_loss", factor=2, first=2), "keep": "state"}
    path = tmp_path / "sweep.sqlite"
    sweep(given, store=path, **options)
    extended, fresh = sweep(longer, store=path, **options), sweep(longer, **options)
    assert sorted(row.epochs for row in fresh.rows) == [2, 2, 2, 2, 4, 4, 8, 9]
    assert fingerprints(extended) == fingerprints(fresh)


def test_raising_epochs_takes_over_what_had_stopped(tmp_path, monkeypatch):
    base = fn.replace(BASE, {"stopping": fn.EarlyStopping(1), "epochs": 30, "optimizer.learning_rate": 0.5})
    path = tmp_path / "sweep.sqlite"
    first = sweep([base], store=path)
    assert first.rows[0].stopped == "patience"
    walked = count_epochs(monkeypatch)
    longer = sweep([fn.replace(base, {"epochs": 60})], store=path)
    assert sum(walked) == 0, "it was run again"
    assert fingerprint(longer, 0)[1:] == fingerprint(first, 0)[1:]


def test_a_store_of_other_data_is_refused(tmp_path, trials):
    path = tmp_path / "sweep.sqlite"
    sweep(trials[:1], store=path)
    with pytest.raises(ValueError, match="other data"):
        sweep(trials[:1], (X[:30] + 1, Y[:30]), store=path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE about SET value = 'funcnet-sweep-0' WHERE name = 'format'")
    with pytest.raises(ValueError, match="incompatible version"):
        sweep(trials[:1], store=path)
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but a text that is long enough to be one" * 100)
    with pytest.raises(OSError, match="no store of funcnet"):
        sweep(trials[:1], store=other)


def test_two_writers_of_one_store(tmp_path, trials):
    path = tmp_path / "sweep.sqlite"
    with Store(path).locked(), pytest.raises(RuntimeError, match="another one is writing"):
        sweep(trials[:1], store=path)
    assert len(sweep(trials[:1], store=path)) == 1


def test_a_full_disk_is_named_and_the_store_still_opens(tmp_path, trials, reference, monkeypatch):
    path, connect = tmp_path / "sweep.sqlite", sqlite3.connect
    sweep(trials[:4], store=path)

    def full(*arguments, **options):
        """A connection that may not make its file larger."""
        database = connect(*arguments, **options)
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        return database

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        with pytest.raises(OSError, match="room on the disk"):
            sweep(trials, store=path)
    assert set(finished_at(path)) == {row.hash for row in reference.rows[:4]}
    assert fingerprints(sweep(trials, store=path)) == fingerprints(reference)


def test_a_store_made_read_only(tmp_path, trials, reference, monkeypatch):
    path = tmp_path / "sweep.sqlite"
    sweep(trials[:4], store=path)
    before = path.read_bytes()
    # What a user without the right to write meets; the suite may run as root, who has every right.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert fingerprints(sweep(trials[:4], store=path)) == fingerprints(reference)[:4]
    with pytest.raises(OSError, match="may be written"):
        sweep(trials, store=path)
    assert path.read_bytes() == before


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import conftest
import jax
import test_sweep as t
t.sweep(t.killed_trials(), store={path!r}, segment=1)
"""


def killed_trials():
    base = fn.replace(BASE, {"epochs": 60, "stopping": fn.EarlyStopping(40)})
    return fn.grid(base, {"seed": range(14 * KILLS + 14), "optimizer.learning_rate": [0.01, 0.1]})


@pytest.mark.every
def test_kill_9_loses_nothing(tmp_path):
    """Killed at random moments and started again each time, the table is that of an uninterrupted sweep.

    FUNCNET_KILLS sets the number of moments; 25 takes two minutes.
    """
    path = tmp_path / "sweep.sqlite"
    script = SCRIPT.format(tests=os.path.dirname(__file__), path=str(path))
    seen, random = {}, np.random.default_rng(7)
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
        # Wait for its first row, then a random moment longer.
        for _ in range(600):
            if process.poll() is not None or rows_of(path) > len(seen):
                break
            signal.sigtimedwait([], 0.05)
        signal.sigtimedwait([], float(random.uniform(0, 0.15)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = finished_at(path)
        assert {key: now[key] for key in seen} == seen, "a row that was committed has been computed again"
        seen = now
    results = sweep(killed_trials(), store=path, segment=1)
    after = finished_at(path)
    assert {key: after[key] for key in seen} == seen
    assert fingerprints(results) == fingerprints(sweep(killed_trials(), segment=1))
    assert 0 < len(seen) < len(results), "the kills came before the first row or after the last"


def rows_of(path):
    """The number of rows, 0 while the file or its tables are being made."""
    try:
        return len(finished_at(path)) if path.exists() else 0
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_at_the_next_segment(number, tmp_path, monkeypatch):
    path, trials, sent = tmp_path / "sweep.sqlite", fn.grid(BASE, {"seed": range(80)}), []
    original = Store.write

    def write(self, finished):
        original(self, finished)
        if not sent:  # the second one would act at once
            sent.append(number)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Store, "write", write)
    with pytest.raises(KeyboardInterrupt, match="the same call with this store goes on") as caught:
        sweep(trials, store=path)
    monkeypatch.undo()
    stopped = [row.stopped for row in caught.value.results.rows]
    assert "waiting" in stopped
    assert "epochs" in stopped
    assert fingerprints(sweep(trials, store=path)) == fingerprints(sweep(trials))


# -- executors ------------------------------------------------------------------------------------------


def test_an_executor_gives_the_same_rows(trials, reference):
    with ThreadPoolExecutor(1) as executor:
        assert fingerprints(sweep(trials, executor=executor)) == fingerprints(reference)


def test_halving_does_not_go_with_an_executor(trials):
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="must run in one process"):
        sweep(trials, executor=executor, halving=fn.Halving())


# -- the plan ---------------------------------------------------------------------------------------------


@pytest.mark.every
def test_the_plan_counts_programs_exactly():
    trials = fn.grid(BASE, {"network": [fn.mlp(6, 3)], "optimizer": [fn.SGD(0.1)], "seed": range(5)})
    trials += fn.grid(BASE, {"network": [fn.mlp(7, 3)], "seed": range(5)})
    trials += [fn.replace(trials[0], {"data_seed": 4}), trials[0]]
    with compiled() as names:
        ahead = fn.plan(trials, TRAIN, VALIDATION, lanes=4)
        sweep(trials, test=None)
    assert len(ahead.programs) == names.count("jit(advance)") == 2
    assert (ahead.trials, ahead.duplicates, ahead.devices) == (11, 1, 2)
    assert sum(program.chunks for program in ahead.programs) == 3
    text = str(ahead)
    assert "11 trials (and 1 duplicate) in 2 compiled programs on 2 devices" in text
    assert ahead.seconds > 0


@pytest.mark.every
def test_idle_lanes_are_said(capsys):
    """Where most lanes stay idle, the plan and the sweep say how many would do; not where the user chose."""
    few = fn.grid(BASE, {"seed": range(3)})
    hint = "lanes leave most of them idle; lanes=2 would be faster"
    ahead = fn.plan(few, TRAIN, calibrate=False)
    assert hint in str(ahead)
    assert f"5-relu-3, SoftmaxCrossEntropy, Adam: 3 trials in {ahead.programs[0].lanes} {hint}" in ahead._repr_html_()
    fn.sweep(few, TRAIN)
    assert hint in capsys.readouterr().err
    fn.sweep(few, TRAIN, lanes=8)
    assert "idle" not in capsys.readouterr().err


def test_the_plan_counts_operations():
    """Dense products of one update: 2 · batch · (in · out) forward, as much for dW, and for dx but in the first."""
    wide = fn.replace(BASE, {"network": fn.mlp(128, 128, 3), "batch_size": 16, "optimizer": fn.SGD(0.1)})
    x = np.ones((64, 256), np.float32)
    ahead = fn.plan([wide], (x, np.zeros(64, np.int32)), calibrate=False)
    products = 2 * 16 * (2 * 256 * 128 + 3 * 128 * 128 + 3 * 128 * 3)
    assert products * 4 * 6 <= ahead.flops <= 1.15 * products * 4 * 6


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((BASE,), {}, "experiments must be a list"),
        ((5,), {}, "experiments must be a list"),
        (([],), {}, "at least one experiment"),
        (([BASE, fn.SGD(0.1)],), {}, "trial 1 is"),
        (([BASE],), {"keep": "all"}, "keep must be one of"),
        (([BASE],), {"halving": 3}, "halving must be a Halving"),
        (([BASE],), {"halving": fn.Halving("accuracy")}, "trial 0: halving compares accuracy"),
        (([BASE, fn.replace(BASE, {"network": fn.mlp(5, 2)})],), {}, "trial 1: train: labels must lie"),
        (([BASE],), {"test": (X[:3, :2], Y[:3])}, "test features must be like"),
        (([BASE],), {"test": (X[:3], Y[:2])}, "test"),
        (([BASE],), {"lanes": 0}, "lanes must be"),
        (([BASE],), {"segment": 0}, "segment must be"),
        (([BASE],), {"progress": np.ones(2)}, "progress must be True or False"),
        (([BASE],), {"own_order": None}, "own_order must be True or False"),
        (([BASE],), {"devices": []}, "the list is empty"),
        (([BASE],), {"devices": "cpu"}, "devices must be a list"),
        (([BASE],), {"devices": 1}, "devices must be a list"),
        (([BASE],), {"devices": [1]}, "something else is among them"),
        (([BASE],), {"devices": jax.local_devices()[:1] * 2}, "one is there twice"),
        (([BASE],), {"executor": 4}, "executor must be"),
        (([BASE],), {"timeout": 0}, "timeout must be"),
        (([BASE],), {"store": 5}, "store must be the path of a file"),
        (([BASE],), {"store": "a\0b"}, "is NUL"),
        (([BASE],), {"store": b"a"}, "store must be the path of a file"),
        (([BASE],), {"store": "~nobody-of-this-name/x"}, "must be a user's folder"),
        (([BASE, fn.replace(BASE, {"loss.label_smoothing": 0.1})],), {"halving": fn.Halving()}, "differ in loss"),
    ],
)
def test_bad_input_stops_at_the_door(arguments, options, match, monkeypatch):
    monkeypatch.setattr(engine_module, "programs_for", lambda *_: pytest.fail("it went on to compile"))
    with pytest.raises((ValueError, TypeError), match=match):
        sweep(*arguments, **options)


@pytest.mark.every
def test_lists_of_all_kinds(reference, trials):
    """A generator or an array of experiments, and one device by itself, are taken as they are meant."""
    one = jax.local_devices()[0]
    assert fingerprints(sweep((trial for trial in trials[:2]), devices=one)) == fingerprints(reference)[:2]
    array = np.empty(2, object)
    array[:] = trials[:2]
    assert len(fn.plan(array, TRAIN, VALIDATION, calibrate=False).programs) == 1


def test_stopping_needs_what_it_watches():
    trial = fn.replace(BASE, {"stopping": fn.EarlyStopping(2)})
    with pytest.raises(ValueError, match="trial 0: EarlyStopping watches validation_loss"):
        sweep([trial], validation=None)


def test_an_optimizer_from_elsewhere_is_refused_in_words():
    class Theirs:
        def init(self, params):
            return ()

        def update(self, gradient, state, params):
            return gradient, state

    with pytest.raises(TypeError, match="made of records, numbers and names"):
        sweep([fn.replace(BASE, {"optimizer": Theirs()})])


def test_the_plan_of_one_run_is_what_train_then_does():
    """It says which devices are chosen; the run finds its program compiled."""
    alone = fn.replace(BASE, {"network": fn.mlp(11, 3), "epochs": 3})
    plan = fn.plan(alone, TRAIN, VALIDATION)
    assert (plan.trials, plan.devices, len(plan.programs), plan.programs[0].epochs) == (1, 1, 1, 3)
    assert min(plan.flops, plan.bytes, plan.seconds) > 0
    assert plan.hint == ""
    with compiled() as names:
        fn.train(alone, TRAIN, VALIDATION, progress=False)
    assert "jit(walk)" not in names
    assert math.isnan(fn.plan(alone, TRAIN, calibrate=False).seconds)
    loops = fn.Chain(fn.Reshape((6, 1)), fn.GRU(3, sequence=False), fn.Dense(3))
    spread = fn.replace(BASE, {"network": loops, "batch_size": 4})
    assert fn.plan(spread, TRAIN, calibrate=False).devices == 1, "a CPU's device uses all cores by itself"
    assert fn.plan(spread, TRAIN, calibrate=False, devices=jax.local_devices()).devices == len(jax.local_devices())


MEMORY = """
import re, sys
import numpy as np
import funcnet as fn

fn.use_cores(2)


def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024


rng = np.random.default_rng(0)
train = rng.standard_normal((256, 784)).astype(np.float32), rng.integers(0, 10, 256).astype(np.int32)
base = fn.Experiment(fn.mlp(768, 10), fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=64, epochs=3)
fn.sweep([fn.replace(base, {"network": fn.mlp(8, 10)})], train, progress=False)
trials = fn.grid(base, {"seed": range(int(sys.argv[1]))})
before = memory("VmRSS")
fn.sweep(trials, train, lanes=16, progress=False, keep="metrics")
print(memory("VmHWM") - before, fn.plan(trials, train, lanes=16).bytes)
"""


@pytest.mark.every
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="measures memory as Linux reports it")
@pytest.mark.parametrize("trials", [32, 96])
def test_the_plan_predicts_memory(trials):
    """The bytes that a plan predicts are within 25 % of what a sweep then takes, of one chunk and of several."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XLA_", "JAX_"))}
    # With an arena for each thread, what is freed in one of them stays there, a fifth more or less by chance.
    environment["MALLOC_ARENA_MAX"] = "1"
    words = [sys.executable, "-c", MEMORY, str(trials)]
    measured, predicted = map(int, subprocess.check_output(words, env=environment).split()[-2:])
    assert 0.75 <= predicted / measured <= 1.25, (predicted, measured)


@pytest.mark.parametrize("columns", [False, True])
def test_lanes_lower_for_cpu_gpu_and_tpu(columns):
    """The program of a sweep is tied to no platform."""
    lanes = importlib.import_module("funcnet.sweeps.lanes")
    data = prepare(BASE, TRAIN, VALIDATION)[1]
    programs = programs_for(jax.tree.structure(BASE), 4, tuple(jax.local_devices()[:1]), columns, False)
    experiment = lanes.stack([BASE] * 4)
    arguments = (experiment, programs.begin(experiment, data, None), data, np.int32(1))
    exported = jax.export.export(programs.advance, platforms=["cpu", "cuda", "tpu"])(*arguments)
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}


def test_trials_begin_from_given_parameters(tmp_path):
    """As `fn.train` does with the same `start`, also in an executor's worker; the store knows where trials began."""
    rng = np.random.default_rng(2)
    drawn = jax.eval_shape(lambda: BASE.network.init(jax.random.key(0), X.shape[1:]))
    start = {"0": jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), drawn[0])}
    given = [fn.replace(BASE, {"seed": seed, "epochs": 2}) for seed in (0, 1)]
    found = sweep(given, start=start, store=tmp_path / "a.sqlite")
    with ThreadPoolExecutor(1) as pool:
        assert fingerprints(sweep(given, start=start, executor=pool)) == fingerprints(found)
    alone = fn.train(given[1], TRAIN, start=start, progress=False)
    np.testing.assert_allclose(found.curves(1)["train_loss"], alone.history["train_loss"], rtol=1e-6)
    assert not np.allclose(sweep(given).curves(1)["train_loss"], found.curves(1)["train_loss"], rtol=1e-3)
    with pytest.raises(ValueError, match="other data"):
        sweep(given, store=tmp_path / "a.sqlite")
    with pytest.raises(ValueError, match="leads nowhere"):
        sweep(given, start=start | {"9": 0})


@pytest.mark.every
def test_a_sweep_on_every_fold(tmp_path):
    """Each row is that of a sweep on its fold; an interval over folds; rows of files are not run again."""
    given = [fn.replace(BASE, {"optimizer.learning_rate": rate, "epochs": 2}) for rate in (0.01, 0.1)]
    found = fn.sweep_folds(given, X, Y, 3, seed=1, store=tmp_path / "folds", progress=False)
    train, held = fn.data.folds(X, Y, 3, seed=1)[2]
    alone = fn.sweep(given, train, held, progress=False)
    assert [row.metrics for row in found.rows[4:]] == [row.metrics for row in alone.rows]
    summary = found.summary(over="fold")
    loss = found.table()["validation_loss"][found.table()["optimizer.learning_rate"] == 0.1]
    assert f"{loss.mean():.4g}" in str(summary)
    again = fn.sweep_folds(iter(given), X, Y, 3, seed=1, store=tmp_path / "folds", progress=False)
    assert [row.seconds for row in again.rows] == [row.seconds for row in found.rows]


@pytest.mark.parametrize("kind", ["early stopping", "halving"])
def test_parked_trials_compile_nothing(kind):
    """What leaves the lanes and comes back lies as what was drawn there: each program is compiled once."""
    network = fn.mlp(11 if kind == "halving" else 13, 3)  # of which no other test has compiled programs
    base = fn.replace(BASE, {"network": network, "epochs": 9, "stopping": None})
    rule = fn.EarlyStopping(1, min_delta=0.1, metric="train_loss")
    base = base if kind == "halving" else fn.replace(base, {"stopping": rule})
    given = fn.grid(base, {"seed": range(12), "optimizer.learning_rate": [1e-4, 0.02]})
    halving = fn.Halving("train_loss", factor=2, first=2) if kind == "halving" else None
    with compiled() as names:
        found = sweep(given, lanes=4, segment=1, halving=halving)
    assert len({row.epochs for row in found.rows}) > 1
    assert [names.count(f"jit({name})") for name in ("begin", "advance", "measure")] == [1, 1, 1], names
