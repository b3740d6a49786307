"""A new concept of any kind is its file and one line: every loop of the suite, the checker and the pages then know it.

One test runs the suite's own loops in a process of its own, with the concepts registered before anything is collected,
and is the only one here that takes longer than a few seconds.
"""

import importlib
import os
import pathlib
import subprocess
import sys
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from new_concepts import register, sources

import funcnet as fn
from funcnet.checking import cases
from funcnet.registry import concepts

ROOT = pathlib.Path(__file__).parent.parent
KINDS = ("activations", "losses", "metrics", "regularizers", "layers", "optimizers", "schedules")
# The files whose loops must have met a concept of each kind.
LOOPS = {
    "activations": {"test_activations", "test_networks", "test_check", "test_mutations", "test_cost"},
    "losses": {"test_rules", "test_networks", "test_check", "test_mutations"},
    "metrics": set(),
    # test_networks rotates through all penalties within its tests, whose names are those of the other kinds.
    "regularizers": {"test_rules", "test_check", "test_mutations"},
    "layers": {"test_rules", "test_networks", "test_check", "test_mutations"},
    "optimizers": {"test_optimizers", "test_check", "test_mutations", "test_cost", "test_purity"},
    "schedules": {"test_schedules"},
}


@pytest.fixture
def new(monkeypatch):
    """The new concepts' modules by kind, registered until the test ends."""
    with monkeypatch.context() as patch:
        yield {kind: register(kind, name, text, patch) for (kind, name), text in sources().items()}


def made(module):
    """Return the rule of a module's first case."""
    return module.CASES[0].rule


def test_a_registry_knows_a_new_concept_and_forgets_it(new, monkeypatch):
    for kind, module in new.items():
        package = importlib.import_module(f"funcnet.{kind}")
        assert module in package.REGISTRY
        assert type(made(module)).__name__ in concepts(package.__name__)
    monkeypatch.undo()


def test_nothing_is_left_behind():
    for (kind, name), text in sources().items():
        with pytest.MonkeyPatch.context() as patch:
            module = register(kind, name, text, patch)
        package = importlib.import_module(f"funcnet.{kind}")
        assert module not in package.REGISTRY
        assert not hasattr(package, type(made(module)).__name__)
        assert not hasattr(package, name)
        assert module.__name__ not in sys.modules


@pytest.mark.every
def test_the_loops_of_the_suite_meet_every_new_concept(tmp_path):
    files = sorted(set.union(*LOOPS.values()))
    words = {kind: {name, name.replace("_", "")} for kind, name in sources()}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "tests.new_concepts"]
    command += [f"--junitxml={tmp_path / 'found.xml'}"]
    # Of the networks, which try each activation with each loss, the new activation with the new loss.
    pair = " and ".join(f"({' or '.join(sorted(words[kind]))})" for kind in ("activations", "losses"))
    chosen = f"({' or '.join(sorted(set.union(*words.values())))}) and (not test_backprop_against or {pair})"
    command += ["-k", chosen, *(f"tests/{file}.py" for file in files)]
    environment = {name: value for name, value in os.environ.items() if name != "FUNCNET_AGAIN"}  # all, not a rest
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    met = [(test.get("classname").split(".")[-1], test.get("name").lower()) for test in _tests(tmp_path / "found.xml")]
    for kind, files in LOOPS.items():
        if kind in words:
            found = {file for file, name in met if any(word in name for word in words[kind])}
            assert files <= found, (kind, files - found)


def _tests(path):
    return ElementTree.parse(path).getroot().iter("testcase")


@pytest.mark.every
def test_the_checker_knows_every_new_rule(new):
    for kind in ("activations", "losses", "regularizers", "layers"):
        group = new[kind].__name__.split(".")[-1]
        assert [e.group for e in cases(kind)].count(group) >= len(new[kind].CASES)
        for example in (e for e in cases(kind) if e.group == group and e.kind in ("ordinary", "known")):
            assert example.check(dtypes=())


def test_the_page_of_a_kind_shows_a_new_concept(new, monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "extensions"))
    from concepts import entries

    for kind, module in new.items():
        assert f".. autoclass:: funcnet.{kind}.{type(made(module)).__name__}" in entries(f"funcnet.{kind}")
        assert f".. concepts:: funcnet.{kind}" in (ROOT / "docs" / "reference" / f"{kind}.md").read_text()


@pytest.fixture
def experiment(new):
    """An experiment that is made of new concepts where there are some."""
    network = fn.Chain(fn.Dense(4), made(new["activations"]), made(new["layers"]), fn.Dense(2))
    return fn.Experiment(
        network,
        made(new["losses"]),
        type(made(new["optimizers"]))(type(made(new["schedules"]))(0.02, steps=50)),
        made(new["regularizers"]),
        metrics=(made(new["metrics"]),),
        batch_size=5,
        epochs=3,
        seed=1,
    )


@pytest.mark.every
def test_new_concepts_train_sweep_and_are_saved(experiment, rng, tmp_path):
    x, y = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(20, 2)).astype(np.float32)
    run = fn.train(experiment, (x, y), (x[:7], y[:7]))
    history = np.asarray(run.history["train_loss"])
    assert history.shape == (3,)
    assert history[-1] < history[0]
    assert np.all(np.isfinite(run.history["validation_drift"]))
    trials = fn.grid(experiment, {"network.layers.2.gain": [0.5, 1.0], "regularizer.strength": [0.0, 0.1]})
    rows = fn.sweep(trials, (x, y), (x[:7], y[:7]), lanes=2).rows
    assert len(rows) == 4
    for trial, row in zip(trials, rows, strict=True):
        alone = fn.train(trial, (x, y), (x[:7], y[:7]))
        assert row.metrics["train_loss"] == pytest.approx(
            float(alone.history["train_loss"][alone.best_epoch]), rel=1e-5
        )
    fn.save(tmp_path / "params.npz", run.params)
    jax.tree.map(np.testing.assert_array_equal, fn.load(tmp_path / "params.npz"), run.params)


def test_new_concepts_are_costed_and_traced(experiment, rng):
    network, loss = experiment.network, experiment.loss
    cost = fn.cost(network, (3,), 7, loss=loss, optimizer=experiment.optimizer)
    assert [row.name for row in cost.rows] == ["Dense", "Softsign", "Affine", "Dense", "LogCosh"]
    assert cost.rows[2].forward.elementwise >= 2 * 7 * 4
    params = network.init(jax.random.key(0), (3,), jnp.float64)
    x, y = jnp.asarray(rng.normal(size=(7, 3))), jnp.asarray(rng.normal(size=(7, 2)))
    found = fn.trace(network, loss, params, x, y)
    value, gradient = fn.backprop(network, loss, params, x, y)
    assert found.loss == value
    jax.tree.map(np.testing.assert_array_equal, found.gradient, gradient)
