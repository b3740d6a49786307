"""Training: against a plain Python loop, resumed bit for bit, compiled once, with every sample of every epoch."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import keys
from funcnet.training.preparing import prepare
from funcnet.training.run import finish
from funcnet.training.runners import Memory
from funcnet.training.state import Data
from funcnet.training.steps import advance, batches, begin
from tests.helpers import quick, sampled


def data(samples=50, features=4, classes=3, seed=0):
    """Draw three clouds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    x = rng.normal(size=(samples, features)) + 1.5 * np.eye(classes, features)[y]
    return x, y.astype(np.int32)


def experiment(**changes):
    """Return a small classifier."""
    settings = {"batch_size": 16, "epochs": 6, "seed": 3}
    return fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), **(settings | changes))


def same(a, b):
    """Tell whether two trees are equal, bit for bit (NaN equal to NaN)."""
    chex.assert_trees_all_equal_structs(a, b)
    return all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("batch_size", sampled([1, 16, 25, None], lambda size: size == 16))
@pytest.mark.parametrize("dropout", [None, 0.3])
def test_training_is_the_plain_loop(batch_size, dropout):
    """Batches of 1, of a size that leaves a rest, of one that does not, and the whole set: parameters and history."""
    x, y = data()
    network = fn.mlp(8, 3, dropout=dropout)
    trial = fn.Experiment(
        network,
        fn.SoftmaxCrossEntropy(),
        fn.SGD(0.05, momentum=0.9),
        fn.L2(0.01),
        batch_size=batch_size,
        epochs=3,
        seed=3,
    )
    run = fn.train(trial, (x, y), (x[:10], y[:10]))

    params = network.init(keys.fold(jax.random.key(3), 0), (4,), jnp.float64)
    velocity, step, size = jax.tree.map(np.zeros_like, params), 0, batch_size or 50

    @quick
    def onward(params, velocity, x, y, weight, step):
        key = keys.fold(keys.fold(jax.random.key(3), 1), step)
        value, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, y, weight=weight, key=key)
        gradient = jax.tree.map(jnp.add, gradient, fn.L2(0.01).gradient(params))
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradient)
        return value, jax.tree.map(lambda w, v: w - 0.05 * v, params, velocity), velocity

    for epoch in range(3):
        order = np.arange(50)
        if batch_size is not None:
            order = np.asarray(keys.order(keys.fold(jax.random.key(0), epoch), 50))
        total = 0.0
        for start in range(0, 50, size):
            rows = order[start : start + size]
            if len(rows) < size:
                # Filled up by the first samples of the order, which weigh nothing.
                rows = np.concatenate([rows, order[: size - len(rows)]])
                weight = jnp.asarray(np.arange(size) < 50 - start, jnp.float64)
            else:
                weight = None
            value, params, velocity = onward(params, velocity, x[rows], y[rows], weight, step)
            total += float(value) * min(size, 50 - start)
            step += 1
        assert abs(run.history["train_loss"][epoch] - total / 50) < 1e-10
        checked = fn.evaluate(network, fn.SoftmaxCrossEntropy(), params, x[:10], y[:10])
        assert abs(run.history["validation_loss"][epoch] - float(checked["loss"])) < 1e-10
        assert abs(run.history["validation_accuracy"][epoch] - float(checked["accuracy"])) < 1e-6
    for found, wanted in zip(jax.tree.leaves(run.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)
    assert int(run.state.step) == step


def test_every_sample_takes_part_once_an_epoch():
    """Each epoch's batches hold every sample once, padding has weight 0, and epochs differ in order."""
    trial = experiment()
    seen = []
    for epoch in range(3):
        order, weight = batches(trial, jnp.asarray(epoch), 50)
        assert order.shape == weight.shape == (4, 16)
        assert sorted(np.asarray(order)[np.asarray(weight)]) == list(range(50))
        np.testing.assert_array_equal(np.ravel(order)[50:], np.ravel(order)[:14])  # true samples, at weight 0
        seen.append(np.asarray(order)[np.asarray(weight)])
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])
    assert batches(experiment(batch_size=25), jnp.asarray(0), 50)[1] is None


def test_a_run_resumed_is_the_run_that_was_not_stopped():
    """Segments of 1, 2 and 3 epochs end in the bits of one segment of 6, dropout and early stopping included."""
    trial, content = prepare(
        fn.Experiment(
            fn.mlp(8, 3, dropout=0.2),
            fn.SoftmaxCrossEntropy(),
            fn.Adam(0.01),
            stopping=fn.EarlyStopping(4),
            batch_size=16,
            epochs=6,
        ),
        data(),
        data(20, seed=1),
    )
    runner = Memory(trial, content, tuple(jax.devices()[:1]))
    whole = runner.advance(runner.begin(None), 6, 10**6)
    state = runner.begin(None)
    for until in (1, 3, 6):
        state = runner.advance(state, until, 10**6)
        assert int(state.epoch) == until
    assert same(state, whole)
    parts = runner.begin(None)
    for updates in (1, 2, 3, 9, 1, 10**6):  # segments that end inside epochs of four updates
        parts = runner.advance(parts, 6, updates)
    assert same(parts, whole)
    pure = jax.jit(advance)(trial, begin(trial, content), content, 6)
    chex.assert_trees_all_close(pure, whole, rtol=1e-9, atol=1e-12)
    again = finish(trial, state)
    chex.assert_trees_all_close(again.params, fn.train(trial, data(), data(20, seed=1)).params, rtol=1e-5)


def test_state_buffers_are_donated():
    """A segment reuses the memory of the state that it is given."""
    runner = Memory(*prepare(experiment(), data()), tuple(jax.devices()[:1]))
    state = runner.begin(None)
    kernel = state.params[0]["kernel"]
    runner.advance(state, 1, 10**6)
    assert kernel.is_deleted()


def test_one_program_for_every_number():
    """Ten experiments that differ in numbers compile one program; one that differs in a choice compiles another."""
    traces = []

    @fn.record
    class Counted(fn.Dense):  # its forward is called while a program is traced, and only then
        def forward(self, params, x, key=None):
            traces.append(key is not None)
            return fn.Dense.forward(self, params, x, key)

    network = fn.Chain(Counted(8), fn.relu, fn.Dense(3))

    def traced(trial):
        traces.clear()
        fn.train(fn.replace(trial, {"network": network}), data())
        return sum(traces)

    counts = []
    for i in range(10):
        changes = {
            "optimizer.learning_rate": 0.001 * (i + 1),
            "seed": i,
            "regularizer.strength": 0.1 * i,
            "optimizer.beta2": 0.9 + i / 100,
            "epochs": i + 1,
        }
        counts.append(traced(fn.replace(experiment(regularizer=fn.L2(0.0)), changes)))
    assert counts[0] > 0
    assert counts[1:] == [0] * 9
    assert traced(experiment(regularizer=fn.L1(0.1))) > 0


def test_a_run_is_reproducible_and_seeds_differ():
    """Equal seeds give equal bits; another seed, or another order of the data, gives another run."""
    a, b = (fn.train(experiment(), data()) for _ in range(2))
    assert same(a.params, b.params)
    assert not same(a.params, fn.train(experiment(seed=4), data()).params)
    assert not same(a.params, fn.train(experiment(data_seed=1), data()).params)


def test_a_vmap_over_experiments_is_a_sweep():
    """Rates and seeds as lanes of one program agree with one run each."""
    trials = [
        fn.replace(experiment(), {"seed": s, "optimizer.learning_rate": r})
        for s, r in ((1, 0.01), (2, 0.03), (3, 0.001))
    ]
    prepared = [prepare(t, data()) for t in trials]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *(p[0] for p in prepared))
    content = prepared[0][1]
    states = jax.vmap(lambda e: advance(e, begin(e, content), content, 6))(stacked)
    for i, trial in enumerate(trials):
        alone = fn.train(trial, data())
        np.testing.assert_allclose(states.history["train_loss"][i, :6], alone.history["train_loss"], rtol=1e-4)


def test_a_diverging_run_says_where_and_keeps_good_parameters():
    """A rate of 1e200 breaks at a named step; the parameters are the best ones, here those it began with."""
    run = fn.train(fn.replace(experiment(), {"optimizer": fn.SGD(1e200)}), data())
    assert run.stopped == "diverged"
    assert 0 <= run.first_bad_step < 4
    assert len(run.history["train_loss"]) == 1
    assert run.best_epoch == -1
    begun = fn.mlp(8, 3).init(keys.fold(jax.random.key(3), 0), (4,))
    assert same(run.params, begun)
    assert same(run.best_params, begun)
    fine = fn.train(experiment(), data())
    assert fine.stopped == "epochs"
    assert fine.first_bad_step is None


def test_best_parameters_are_those_of_the_best_epoch():
    """best_params reproduce the lowest validation loss of the history, not the last."""
    x, y = data(30)
    trial = fn.replace(experiment(epochs=60, batch_size=None), {"optimizer.learning_rate": 0.05})
    run = fn.train(trial, (x, y), data(40, seed=9))
    assert run.best_epoch == int(np.argmin(run.history["validation_loss"])) < 59
    found = fn.evaluate(trial.network, trial.loss, run.best_params, *data(40, seed=9))
    np.testing.assert_allclose(found["loss"], run.history["validation_loss"].min(), rtol=1e-5)


@pytest.mark.every
def test_proximal_l1_makes_exact_zeros():
    """The proximal form ends in exact zeros where the subgradient form has none; biases are left alone."""
    zeros = {}
    for proximal in (False, True):
        trial = experiment(regularizer=fn.L1(0.05, proximal=proximal), epochs=40)
        params = fn.train(fn.replace(trial, {"optimizer": fn.SGD(0.1)}), data()).params
        zeros[proximal] = int(np.sum(np.asarray(params[0]["kernel"]) == 0))
        assert np.all(np.asarray(params[0]["bias"]) != 0)
    assert zeros[False] == 0
    assert zeros[True] >= 4


@pytest.mark.every
def test_max_norm_holds_after_every_run():
    """No unit's incoming weights are longer than the radius."""
    params = fn.train(experiment(regularizer=fn.MaxNorm(0.5), epochs=20), data()).params
    for layer in (0, 2):
        assert np.all(np.linalg.norm(params[layer]["kernel"], axis=0) <= 0.5 * (1 + 1e-6))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_train_loss_is_the_loss_of_the_epoch(reduction):
    """At rate 0 the epoch's train loss is the loss of the whole set, class weights and uneven batches included."""
    loss = fn.SoftmaxCrossEntropy(class_weight=[0.5, 1.0, 3.0], reduction=reduction)
    trial = fn.Experiment(fn.mlp(8, 3), loss, fn.SGD(0.0), fn.L2(0.1), batch_size=16, epochs=1)
    run = fn.train(trial, data())
    np.testing.assert_allclose(
        run.history["train_loss"][0], loss(trial.network.apply(run.params, data()[0]), data()[1]), rtol=1e-5
    )
    if reduction == "mean":
        wanted = run.history["train_loss"][0] + float(fn.L2(0.1)(run.params))
        np.testing.assert_allclose(run.history["objective"][0], wanted, rtol=1e-5)


def test_float64_and_regression():
    """In 64-bit mode float64 features train in float64, and least squares finds the least-squares solution."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = x @ [[1.0], [-2.0], [0.5]] + 0.3 + 0.1 * rng.normal(size=(40, 1))
    run = fn.train(fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.2), batch_size=None, epochs=300), (x, y))
    wanted = np.linalg.lstsq(np.c_[x, np.ones(40)], y, rcond=None)[0]
    assert run.params["kernel"].dtype == np.float64
    np.testing.assert_allclose(np.r_[run.params["kernel"], run.params["bias"][None]], wanted, rtol=1e-9)


@pytest.mark.every
def test_a_perceptron_learns_and_but_a_step_network_learns_nothing():
    """Rosenblatt's rule learns AND exactly; behind a step the gradient is zero and nothing moves (ledger N1)."""
    x = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.asarray([[0], [0], [0], [1]], np.int32)
    rule = fn.Experiment(fn.Dense(1), fn.PerceptronCriterion(), fn.SGD(1.0), batch_size=1, epochs=30)
    run = fn.train(rule, (x, y), (x, y))
    assert run.history["validation_accuracy"][-1] == 1.0
    still = fn.Experiment(
        fn.Chain(fn.Dense(1), fn.step), fn.MeanSquaredError(), fn.SGD(1.0), batch_size=1, epochs=3, seed=1
    )
    before = begin(still, Data(jnp.asarray(x), jnp.asarray(y, jnp.float64))).params
    assert same(fn.train(still, (x, y.astype(np.float32))).params, before)


def test_a_loss_and_optimizer_from_outside():
    """Anything with the methods of a part will do: a loss without extras, an optimizer of two functions."""

    @fn.record
    class Halving:
        def init(self, params):
            return ()

        def update(self, gradient, state, params):
            return jax.tree.map(lambda w: -w / 2, params), state

    @fn.record
    class Total:
        def forward(self, prediction, target, weight=None):
            return jnp.sum(prediction - target), prediction

        def backward(self, saved, dvalue=1.0):
            return jnp.ones_like(saved) * dvalue

    x = np.ones((4, 2), np.float32)
    run = fn.train(
        fn.Experiment(fn.Dense(1), Total(), Halving(), batch_size=None, epochs=2), (x, np.zeros((4, 1), np.float32))
    )
    start = fn.Dense(1).init(keys.fold(jax.random.key(0), 0), (2,))
    np.testing.assert_allclose(run.params["kernel"], start["kernel"] / 4, rtol=1e-6)
