"""A sweep's store: opened by itself, sent elsewhere, moved, damaged, in places where nothing can be written."""

import os
import pathlib
import pickle
import sqlite3
import subprocess
import sys

import jax
import numpy as np
import pytest
from test_sweep import BASE, TEST, TRAIN, VALIDATION, fingerprints, sweep

import funcnet as fn
from funcnet.sweeps.store import Store
from funcnet.training.describe import describe_experiment, experiment_of, experiments_of, hashes, hashes_of

TRIALS = [fn.replace(BASE, {"seed": i, "optimizer.learning_rate": 0.25 * (i + 1)}) for i in range(3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with three trials and their states, and its results."""
    path = tmp_path_factory.mktemp("made") / "sweep.sqlite"
    return path, sweep(TRIALS, store=path, keep="state")


@pytest.fixture
def path(made, tmp_path):
    """A copy of that store."""
    found = tmp_path / "sweep.sqlite"
    with sqlite3.connect(made[0]) as old, sqlite3.connect(found) as new:
        old.backup(new)
    return found


def refused(call, match, kind=(OSError, ValueError)):
    with pytest.raises(kind, match=match) as caught:
        call()
    assert len(str(caught.value)) <= 300


# -- opened without data -----------------------------------------------------------------------------------


def test_a_store_opens_as_results(made):
    """Experiments, metrics, curves and parameters, without data and without training."""
    path, results = made
    opened = fn.open_results(path)
    assert opened.origin == results.origin
    assert set(opened.origin) >= {"data", "devices", "versions", "finished"}
    order = np.argsort([experiment.seed for experiment in opened.experiments])
    assert [fingerprints(opened)[i] for i in order] == fingerprints(results)
    assert [opened.experiment(int(i)) for i in order] == TRIALS
    assert opened.best() == opened.rows.index(results.rows[results.best()])
    assert opened.table()["optimizer.learning_rate"][order].tolist() == [0.25, 0.5, 0.75]


def test_descriptions_lead_back_to_experiments():
    """Chains, schedules, tuples, class weights, initializers and None: all but the last bits that training drops."""
    trial = fn.replace(
        BASE,
        {
            "network": fn.Chain(fn.Dense(5), fn.LeakyReLU(0.1), fn.Dropout(0.3), fn.Dense(3)),
            "loss.class_weight": np.asarray([1.0, 2.0, 3.0]),
            "optimizer": fn.ClipByNorm(fn.SGD(fn.Cosine(0.5, 10), momentum=0.9), 1.0),
            "stopping": (fn.EarlyStopping(2), fn.Convergence()),
            "regularizer": fn.ElasticNet(0.5, 0.25),
        },
    )
    again = experiment_of(describe_experiment(trial))
    assert jax.tree.structure(again) == jax.tree.structure(trial)
    for mine, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(trial), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    constant = fn.replace(BASE, {"optimizer.learning_rate": fn.Constant(0.25)})
    assert experiment_of(describe_experiment(constant)) == constant


def test_hashes_do_not_change():
    """By them a store of an earlier version knows its trials; many at once have the same as one."""
    trial = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.1), epochs=7)
    noted = ("23acbf8143e8cb55ae1ac4c8c57975c3", "e12202323d1302337060a48bbd7b7c44")
    with jax.enable_x64(False):
        assert hashes(describe_experiment(trial)) == noted
    choices = {"optimizer.learning_rate": [0.1, 0.2], "seed": range(3), "epochs": [7, 9]}
    trials = fn.grid(trial, choices | {"loss.label_smoothing": [0.0, 0.5]})
    together = [trial, *trials]
    assert list(hashes_of(together)) == [hashes(describe_experiment(one)) for one in together]


def test_equal_parts_are_made_once_and_others_apart():
    """1, 1.0, True and "1" are four values, 0 is not −0."""
    given = [{"a": value} for value in (1, 1.0, True, "1", 0.0, -0.0, [1], [1.0])]
    found = experiments_of(given)
    assert list(map(repr, found)) == [repr(one) for one in given[:6]] + ["{'a': (1,)}", "{'a': (1.0,)}"]
    trials = fn.grid(BASE, {"seed": range(2)})
    one, other = experiments_of(map(describe_experiment, trials))
    assert one.network is other.network


def test_fields_that_are_younger_than_a_store_have_their_defaults():
    description = describe_experiment(BASE)
    del description["regularizer"], description["optimizer"]["beta1"]
    assert experiment_of(description) == BASE


def test_descriptions_of_what_is_not_imported():
    """No module is imported, and no class called that has other fields."""
    refused(lambda: experiment_of({"kind": "os.path.Thing", "x": 1}), "records that are imported")
    refused(lambda: experiment_of({"kind": "SGD", "rate": 1}), "no SGD with the fields rate")
    refused(lambda: experiment_of({"kind": "never.imported.Layer"}), "import never.imported before")
    assert "never" not in sys.modules


def test_only_what_is_there_and_a_store_opens(tmp_path):
    """Nothing is made or changed by looking."""
    refused(lambda: fn.open_results(tmp_path / "none.sqlite"), "must be there", FileNotFoundError)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    before = other.read_bytes()
    refused(lambda: fn.open_results(other), "no store of funcnet", OSError)
    assert other.read_bytes() == before
    assert not (tmp_path / "none.sqlite").exists()


# -- places ------------------------------------------------------------------------------------------------


def test_the_home_folder(tmp_path, monkeypatch):
    """~ is a folder of the user's, not one of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Store("~/sweeps/x.sqlite")
    assert (tmp_path / "sweeps" / "x.sqlite").exists()
    assert not pathlib.Path("~").exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs the rights of Unix")
def test_a_folder_that_cannot_be_written(made, path, tmp_path, monkeypatch):
    """A store in it is read, a new one is refused in words, and nothing appears in the folder."""
    folder = tmp_path
    before = sorted(folder.iterdir())
    access = os.access
    denied = {str(folder), str(path)}
    # The suite may run as root, who has every right: the answer is what another user would get.
    monkeypatch.setattr(os, "access", lambda place, mode: str(place) not in denied and access(place, mode))
    assert fingerprints(sweep(TRIALS, store=path)) == fingerprints(made[1])
    refused(lambda: sweep([*TRIALS, BASE], store=path), "may be written", OSError)
    refused(lambda: sweep(TRIALS, store=folder / "new.sqlite"), "may be written", OSError)
    assert sorted(folder.iterdir()) == before


def test_a_store_that_is_gone_or_moved(made, path):
    """It is said, where SQLite would go on in a file without a name; the new path opens."""
    results = sweep(TRIALS, store=path)
    moved = path.with_name("moved.sqlite")
    path.rename(moved)
    refused(lambda: results.curves(0), "not there any more.*fn.open_results", OSError)
    path.write_bytes(moved.read_bytes())
    refused(lambda: results.params(0), "not there any more", OSError)
    assert len(fn.open_results(moved).curves(0)) == len(made[1].curves(0))


# -- sent to another process -------------------------------------------------------------------------------


def test_results_are_pickled(made):
    """With a store they lead to it, without one they take all along, and lead back to the same bits."""
    for results in (made[1], sweep(TRIALS)):
        sent = pickle.dumps(results)
        wanted = fingerprints(results)
        del results
        assert fingerprints(pickle.loads(sent)) == wanted
        assert fingerprints(pickle.loads(pickle.dumps(pickle.loads(sent)))) == wanted


UNPICKLE = """
import sys, pickle
results = pickle.load(sys.stdin.buffer)
print([float(results.curves(i)["train_loss"][-1]) for i in range(len(results))])
"""


@pytest.mark.every
def test_results_arrive_in_another_process():
    """The temporary store of the first process need not be there."""
    results = sweep(TRIALS)
    wanted = str([float(results.curves(i)["train_loss"][-1]) for i in range(len(results))])
    sent = pickle.dumps(results)
    del results
    done = subprocess.run([sys.executable, "-c", UNPICKLE], input=sent, capture_output=True)
    assert done.stdout.decode().strip() == wanted, done.stderr.decode()


# -- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "bit", "other", "empty"])
@pytest.mark.parametrize("column", ["state", "curves", "params"])
def test_damaged_cells_are_refused(made, path, damage, column):
    """Cut, overwritten, or another trial's: a sentence at resume and on reading, never other numbers."""
    keys = [row.hash for row in made[1].rows]
    with sqlite3.connect(path) as database:
        cells = dict(database.execute(f"SELECT hash, {column} FROM trials"))
        cell = cells[keys[0]]
        bad = {
            "cut": cell[:-5],
            "bit": cell[:-1] + bytes([cell[-1] ^ 1]),
            "other": cells[keys[1]],
            "empty": b"",
        }[damage]
        database.execute(f"UPDATE trials SET {column} = ? WHERE hash = ?", (bad, keys[0]))
    store = Store(path)
    refused(lambda: getattr(store, column)(keys[0]), "checksum does not fit", ValueError)
    assert len(getattr(store, column)(keys[1]))
    if column == "state":
        longer = [fn.replace(trial, {"epochs": 9}) for trial in TRIALS]
        refused(lambda: fn.sweep(longer, TRAIN, VALIDATION, TEST, path, False), "checksum does not fit", ValueError)


def test_names_that_no_text_can_hold(tmp_path):
    """A metric's name with a lone surrogate is written, and read back as it was."""
    from funcnet.sweeps.store import Finished

    store = Store(tmp_path / "x.sqlite")
    curve = {"train_loss": np.ones(2)}
    store.write([Finished("a", "t", "", BASE, "epochs", 2, 1, None, 0.5, {"odd\udc80": 1.0}, curve, None, None)])
    assert store.rows(["a"])["a"].metrics == {"odd\udc80": 1.0}
    refused(lambda: store.params("a"), "params must have been kept", ValueError)
