"""Stopping rules against loops in plain Python, inside training and alone, and what a diverged run gives back."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.training.steps import batches


def python_early_stopping(values, patience, min_delta, accuracy):
    """Return, epoch for epoch, the best so far, the epochs waited and whether to stop."""
    best, waited, told = float(np.finfo(np.float64).max), 0, []
    for value in values:
        value = -value if accuracy else value
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited += 1
        told.append((best, waited, waited >= patience))
    return told


@jax.jit
def judged(rule, values):
    """Return what a rule says epoch for epoch, compiled."""
    name = rule.metric

    def onward(state, value):
        state, stop = rule.judge(state, {name: value})
        return state, (*state, stop)

    return jax.lax.scan(onward, rule.start(), values)[1]


@pytest.mark.parametrize("metric", ["validation_loss", "train_loss", "validation_accuracy"])
def test_early_stopping_is_the_python_loop(metric):
    """Epoch for epoch over 300 random sequences: walks, plateaus, ties, NaN and infinity among them."""
    rng = np.random.default_rng(8)
    stops = set()
    for trial in range(300):
        values = np.round(np.cumsum(rng.normal(size=30)) * 0.3 + rng.normal(size=30), int(rng.integers(0, 4)))
        if trial % 5 == 0:
            values[rng.integers(30, size=3)] = rng.choice([np.nan, np.inf, -np.inf])
        patience, min_delta = int(rng.integers(1, 7)), float(rng.choice([0.0, 0.0, 0.1, 0.5]))
        wanted = python_early_stopping(values.tolist(), patience, min_delta, metric.endswith("accuracy"))
        rule = fn.EarlyStopping(np.int32(patience), min_delta, metric)
        best, waited, stop = (np.asarray(a) for a in judged(rule, jnp.asarray(values)))
        assert list(zip(best.tolist(), waited.tolist(), stop.tolist(), strict=True)) == wanted
        stops.add(int(np.argmax(stop)) if stop.any() else None)
    assert len(stops) > 5
    off = python_early_stopping(values.tolist(), patience + 1, min_delta, metric.endswith("accuracy"))
    assert off != wanted


def samples(count=40, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 5))
    return x, (x[:, :1] - 0.5 * x[:, 1:2] ** 2 + noise * rng.normal(size=(count, 1)))


def network_run(stopping, epochs=60, **changes):
    base = fn.Experiment(
        fn.mlp(12, 1, activation=fn.tanh),
        fn.MeanSquaredError(),
        fn.Adam(0.02),
        stopping=stopping,
        batch_size=8,
        epochs=epochs,
    )
    return fn.train(fn.replace(base, changes), samples(), samples(seed=1))


@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (4, 0.0), (4, 0.05), (1000, 0.0)])
def test_training_stops_where_the_loop_would(patience, min_delta):
    """The whole history of the same run without the rule, fed to the loop, says when; best parameters come back
    anyway."""
    free = network_run(fn.EarlyStopping(10**6))
    told = python_early_stopping(free.history["validation_loss"].tolist(), patience, min_delta, False)
    stop = next((i for i, (_, _, stop) in enumerate(told) if stop), None)
    run = network_run(fn.EarlyStopping(patience, min_delta))
    assert run.stopped == ("epochs" if stop is None else "patience")
    assert run.epochs - 1 == (59 if stop is None else stop)
    assert len(run.history["validation_loss"]) == run.epochs - 1 + 1
    np.testing.assert_array_equal(run.history["validation_loss"], free.history["validation_loss"][: run.epochs - 1 + 1])
    losses = run.history["validation_loss"]
    assert run.best_epoch == np.argmin(losses) < len(losses) - 1
    found = fn.evaluate(fn.mlp(12, 1, activation=fn.tanh), fn.MeanSquaredError(), run.best_params, *samples(seed=1))[
        "loss"
    ]
    assert abs(float(found) - losses.min()) < 1e-12
    assert np.any(np.asarray(run.params[0]["kernel"]) != np.asarray(run.best_params[0]["kernel"]))


def line(stopping, rate=0.1, epochs=500, batch_size=None, regularizer=None, loss=None):
    x, y = samples(noise=0.1)
    experiment = fn.Experiment(
        fn.Dense(1),
        loss or fn.MeanSquaredError(),
        fn.SGD(rate),
        regularizer,
        stopping,
        batch_size=batch_size,
        epochs=epochs,
    )
    return fn.train(experiment, (x, y))


def test_convergence_of_the_objective():
    """The first epoch whose objective is within the tolerance of the one before."""
    for tolerance in (1e-3, 1e-6, 0.0):
        run = line(fn.Convergence(tolerance), regularizer=fn.L2(0.1))
        objective = run.history["objective"]
        change = np.abs(np.diff(objective)) <= tolerance * np.maximum(1, np.abs(objective[1:]))
        assert run.stopped == "tolerance"
        assert run.epochs - 1 == np.argmax(change) + 1 == len(objective) - 1


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_norm_is_that_of_the_gradient_of_the_objective(batch_size, reduction):
    """At a rate of 0 the epoch's mean gradient is that of the whole set, an incomplete last batch and a penalty
    included."""
    loss = fn.MeanSquaredError(reduction=reduction)
    penalty = fn.L2(0.1) if reduction == "mean" else None
    run = line(fn.Convergence(0.0, of="gradient_norm"), 0.0, 2, batch_size, penalty, loss)
    _, gradient = fn.backprop(fn.Dense(1), loss, run.params, *samples(noise=0.1), regularizer=penalty)
    wanted = math.sqrt(sum(float(np.sum(np.square(g))) for g in jax.tree.leaves(gradient)))
    np.testing.assert_allclose(run.history["gradient_norm"], wanted, rtol=1e-12)


@pytest.mark.parametrize(("batch_size", "tolerance"), [(None, 1e-5), (16, 5e-2)])
def test_convergence_of_the_gradient(batch_size, tolerance):
    """The first epoch whose norm is within the tolerance ends the run."""
    run = line(fn.Convergence(tolerance, of="gradient_norm"), batch_size=batch_size)
    norms = run.history["gradient_norm"]
    assert run.stopped == "tolerance"
    assert np.all(norms[:-1] > tolerance)
    assert norms[-1] <= tolerance


def test_no_rule_no_gradient_norm():
    """The norm costs nothing unless it is asked for."""
    assert "gradient_norm" not in line(fn.Convergence(1e-3)).history


def test_the_first_rule_that_fires_is_named():
    """Of several rules; a rule that fires in the same epoch as an earlier one in the tuple is not."""
    both = line((fn.Convergence(1e-3), fn.EarlyStopping(3, metric="train_loss")))
    assert both.stopped == "tolerance"
    eager = line((fn.EarlyStopping(1, 1e9, "train_loss"), fn.Convergence(0.0)))
    assert eager.stopped == "patience"
    assert eager.epochs == 2
    tied = line((fn.EarlyStopping(1, 1e9, "train_loss"), fn.Convergence(1e9)))
    assert tied.stopped == "patience"


def python_descent(rate, batches):
    """Descend a parabola far too fast, batch by batch, until a loss is not finite; return the number of that batch and
    the mean loss and weight at the end of each epoch before."""
    w, seen = 0.5, []
    for index, (x, y) in enumerate(batches):
        with np.errstate(over="ignore", invalid="ignore"):
            residual = x * w - y
            loss = np.mean(np.square(residual))
            if not np.isfinite(loss):
                return index, seen
            w = w - rate * 2 * np.mean(residual * x)
            seen.append((loss, w))
    raise AssertionError("it did not diverge")


@pytest.mark.parametrize("batch_size", [4, None])
def test_a_diverged_run_keeps_the_best_parameters(batch_size):
    """The update that broke is named; the parameters are those of the best epoch, the last ones being of no use."""
    x = np.linspace(1, 2, 32)[:, None]
    y = 3 * x
    network = fn.Dense(1, bias=False, kernel_init=fn.layers.Filled(0.5))
    experiment = fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(13.0), batch_size=batch_size, epochs=250)
    run = fn.train(experiment, (x, y))
    assert run.stopped == "diverged"
    size = 1 if batch_size is None else 8
    order = [batches(experiment, jnp.int32(e), 32)[0] for e in range(250)]
    feed = [(x, y)] * 250
    if batch_size is not None:
        feed = [(x[np.asarray(r)], y[np.asarray(r)]) for rows in order for r in rows]
    bad, seen = python_descent(13.0, feed)
    assert run.first_bad_step == bad
    assert run.epochs == bad // size + 1
    assert batch_size is None or bad % size > 1  # inside an epoch
    means = [np.mean([loss for loss, _ in seen[e * size : (e + 1) * size]]) for e in range(bad // size)]
    assert run.best_epoch == np.argmin(means) == 0
    np.testing.assert_allclose(run.best_params["kernel"], seen[size - 1][1], rtol=1e-9)
    assert run.params is run.best_params


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: fn.EarlyStopping(0), ValueError, ("EarlyStopping.patience must be at least 1", "0")),
        (lambda: fn.EarlyStopping(2.5), TypeError, ("EarlyStopping.patience must be a whole number",)),
        (lambda: fn.EarlyStopping(3, -0.1), ValueError, ("EarlyStopping.min_delta must be at least 0",)),
        (lambda: line(fn.EarlyStopping(3, metric="val_loss")), ValueError, ("val_loss", "train_loss")),
        (lambda: line(fn.EarlyStopping(3)), ValueError, ("validation_loss", "validation=(x, y)")),
        (lambda: fn.Convergence(-1.0), ValueError, ("Convergence.tolerance must be at least 0",)),
        (lambda: fn.Convergence(of="gradient"), ValueError, ("'gradient'", "gradient_norm")),
        (
            lambda: line(fn.Convergence(of="gradient_norm"), regularizer=fn.L1(0.1, proximal=True)),
            ValueError,
            ("without a proximal regularizer", "L1", 'Convergence(of="objective")'),
        ),
    ],
)
def test_errors(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in (*parts, "Try: ")), caught.value
