"""What comes from elsewhere is adopted with the protocol filled in, or refused; three new needs of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import Activate, as_layer
from funcnet.layers.activate import ForeignLayer, HeldLayer


def data(samples=14, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 3))
    return x, (x[:, :1] - 0.5 * x[:, 1:2] ** 2)


@fn.record
class Side:
    """Somebody's two layers side by side, added up, in a field called layers: no chain, and no funcnet.Layer."""

    layers: tuple = fn.part()

    def out_shape(self, in_shape):
        return self.layers[0].out_shape(in_shape)

    def init(self, key, in_shape, dtype=None):
        return tuple(layer.init(jax.random.fold_in(key, i), in_shape, dtype) for i, layer in enumerate(self.layers))

    def forward(self, params, x, key=None):
        outputs, saved = zip(*(layer.forward(p, x) for layer, p in zip(self.layers, params, strict=True)), strict=True)
        return outputs[0] + outputs[1], saved

    def backward(self, params, saved, dy):
        each = zip(self.layers, params, saved, strict=True)
        dparams, dx = zip(*(layer.backward(p, s, dy) for layer, p, s in each), strict=True)
        return dparams, dx[0] + dx[1]


@pytest.mark.every
def test_a_parallel_layer_from_elsewhere_is_what_it_is():
    """Trained, traced, costed and checked by its own passes: `.layers` makes no chain of it."""
    network = fn.Chain(Side((fn.Dense(4), fn.Dense(4))), fn.tanh, fn.Dense(1))
    params = network.init(jax.random.key(0), (3,))
    x, y = map(jnp.asarray, data())
    value, gradient = fn.backprop(network, fn.MeanSquaredError(), params, x, y)
    traced = fn.trace(network, fn.MeanSquaredError(), params, x, y)
    assert float(traced.loss) == float(value)
    for a, b in zip(jax.tree.leaves(traced.gradient), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_array_equal(a, b)
    hidden = np.tanh(sum(np.asarray(x) @ np.asarray(p["kernel"]) + np.asarray(p["bias"]) for p in params[0]))
    predicted = hidden @ np.asarray(params[2]["kernel"]) + np.asarray(params[2]["bias"])
    np.testing.assert_allclose(value, np.mean((predicted - np.asarray(y)) ** 2), rtol=1e-12)
    assert fn.cost(network, (3,), 14).forward.products == 2 * 14 * (2 * 3 * 4 + 4)
    assert fn.check(as_layer(Side((fn.Dense(4), fn.Dense(4)))), params[0], x)
    run = fn.train(fn.Experiment(network, fn.MeanSquaredError(), fn.Adam(0.01), batch_size=5, epochs=3), data())
    assert run.history["train_loss"][-1] < run.history["train_loss"][0]
    results = fn.sweep(
        fn.grid(run.experiment, {"seed": range(2), "optimizer.learning_rate": [0.01, 0.02]}), data(), progress=False
    )
    np.testing.assert_allclose(results.curves(0)["train_loss"], run.history["train_loss"], rtol=1e-6)


class Doubled:
    """A layer that is no pytree: held as structure."""

    def out_shape(self, in_shape):
        return in_shape

    def init(self, key, in_shape, dtype=None):
        return ()

    def forward(self, params, x, key=None):
        return 2 * x, ()

    def backward(self, params, saved, dy):
        return (), 2 * dy


def test_a_layer_that_is_no_pytree_is_held_as_structure():
    assert isinstance(as_layer(Doubled()), HeldLayer)
    assert isinstance(as_layer(Side((fn.Dense(4), fn.Dense(4)))), ForeignLayer)
    assert isinstance(as_layer(fn.relu), Activate)
    network = fn.Chain(Doubled(), fn.Dense(1))
    assert jax.tree.leaves(network.layers[0]) == []
    run = fn.train(fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.05), batch_size=None, epochs=2), data())
    halved = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.05), batch_size=None, epochs=2)
    x, y = data()
    start = {"kernel": run.params[1]["kernel"] * 0, "bias": run.params[1]["bias"] * 0}
    a = fn.train(run.experiment, data(), start={"1": start}).params[1]["kernel"]
    b = fn.train(halved, (2 * x, y), start=start).params["kernel"]
    np.testing.assert_allclose(a, b, rtol=1e-12)


class NoBackward:
    def out_shape(self, in_shape):
        return in_shape

    def init(self, key, in_shape, dtype=None):
        return ()

    def forward(self, params, x, key=None):
        return x, ()


class NoKey(Doubled):
    def forward(self, params, x):
        return x, ()


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (NoBackward(), "has no backward"),
        (NoKey(), r"forward of a layer must take \(params, x, key\)"),
        (fn.Dense, "got the class Dense"),
        (3, "a layer or an activation is due"),
        (None, "a layer or an activation is due"),
    ],
)
def test_what_is_no_layer_is_refused_at_the_door(layer, words):
    for build in (fn.Chain, lambda network: fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.1))):
        with pytest.raises(TypeError, match=words) as caught:
            build(layer)
        assert len(str(caught.value)) <= 300


@fn.record
class Once:
    """Somebody's stopping rule, which knows start and judge alone."""

    after: int = fn.integer(default=1)

    def start(self):
        return jnp.zeros((), jnp.int32)

    def judge(self, state, metrics):
        return state + 1, state + 1 >= self.after


class Plain:
    """A loss that is a plain class: structure."""

    def forward(self, prediction, target, weight=None):
        return jnp.mean((prediction - target) ** 2), (prediction, target)

    def backward(self, saved, dvalue=1.0):
        prediction, target = saved
        return 2 * (prediction - target) / prediction.size * dvalue


def test_a_rule_and_a_loss_from_elsewhere():
    """The rule ends the run in its own name; the loss trains as ours does."""
    trial = fn.Experiment(fn.Dense(1), Plain(), fn.SGD(0.1), stopping=Once(3), batch_size=None, epochs=9)
    run = fn.train(trial, data())
    assert (run.stopped, run.epochs) == ("Once", 3)
    ours = fn.train(fn.replace(trial, {"loss": fn.MeanSquaredError()}), data())
    np.testing.assert_allclose(run.params["kernel"], ours.params["kernel"], rtol=1e-12)
    both = fn.replace(trial, {"stopping": (fn.Convergence(0.0), Once(2))})
    assert fn.train(both, data()).stopped == "Once"
    with pytest.raises(TypeError, match="stopping must be records with start and judge"):
        fn.Experiment(fn.Dense(1), Plain(), fn.SGD(0.1), stopping=Plain())


@fn.record
class Centre(fn.Layer):
    """Subtract a running mean, which follows the data."""

    momentum: float = fn.number(default=0.5)

    def out_shape(self, in_shape):
        return in_shape

    def init(self, key, in_shape, dtype=None):
        return {"mean": jnp.zeros(in_shape, dtype)}

    def forward(self, params, x, key=None):
        return x - jnp.broadcast_to(params["mean"], x.shape), x

    def backward(self, params, saved, dy):
        return {"mean": jnp.zeros_like(params["mean"])}, dy

    def refresh(self, params, saved):
        return {"mean": self.momentum * params["mean"] + (1 - self.momentum) * jnp.mean(saved, axis=0)}


@fn.record
class Look(fn.Layer):
    """Look whole numbers up in a table."""

    rows: int = fn.choice()
    width: int = fn.choice()

    def out_shape(self, in_shape):
        return (*in_shape, self.width)

    def check_input(self, samples):
        if not jnp.issubdtype(samples.dtype, jnp.integer):
            raise TypeError("whole numbers are due, but got floats. Try: x.astype(int).")

    def init(self, key, in_shape, dtype=None):
        return {"table": jax.random.normal(key, (self.rows, self.width), dtype or jnp.zeros(()).dtype)}

    def forward(self, params, x, key=None):
        return params["table"][x], x

    def backward(self, params, saved, dy):
        return {"table": jnp.zeros_like(params["table"]).at[saved].add(dy)}, None


@fn.record
class Join(fn.Layer):
    """Tokens and numbers, each by its own layers, side by side."""

    left: fn.Layer = fn.part()
    right: fn.Layer = fn.part()

    def out_shape(self, in_shape):
        return (self.left.out_shape(in_shape["left"])[-1] + self.right.out_shape(in_shape["right"])[-1],)

    def check_input(self, samples):
        self.left.check_input(samples["left"])
        self.right.check_input(samples["right"])

    def init(self, key, in_shape, dtype=None):
        return {
            "left": self.left.init(key, in_shape["left"], dtype),
            "right": self.right.init(jax.random.fold_in(key, 1), in_shape["right"], dtype),
        }

    def forward(self, params, x, key=None):
        a, left = self.left.forward(params["left"], x["left"], key)
        b, right = self.right.forward(params["right"], x["right"], key)
        return jnp.concatenate([a, b], axis=-1), (left, right, jnp.zeros((0, a.shape[-1])))

    def backward(self, params, saved, dy):
        left, right, width = saved
        cut = width.shape[-1]
        dleft, dx_left = self.left.backward(params["left"], left, dy[..., :cut])
        dright, dx_right = self.right.backward(params["right"], right, dy[..., cut:])
        return {"left": dleft, "right": dright}, {"left": dx_left, "right": dx_right}


def test_numbers_that_follow_the_data():
    """They move with every update, by the samples of the batch, and nothing else moves them."""
    network = fn.Chain(Centre(), fn.Dense(1))
    x, y = data(12)
    trial = fn.Experiment(network, fn.MeanSquaredError(), fn.AdamW(0.01, weight_decay=0.1), fn.L2(0.1), epochs=3)
    run = fn.train(fn.replace(trial, {"batch_size": None}), (x, y))
    np.testing.assert_allclose(run.params[0]["mean"], (1 - 0.5**3) * x.mean(axis=0), rtol=1e-12)
    results = fn.sweep([fn.replace(trial, {"batch_size": 6, "seed": i}) for i in range(2)], (x, y), progress=False)
    single = fn.train(fn.replace(trial, {"batch_size": 6}), (x, y))
    np.testing.assert_allclose(results.params(0)[0]["mean"], single.best_params[0]["mean"], rtol=1e-9)


@pytest.mark.every
def test_tokens_and_two_inputs():
    """A tree of whole numbers and floats goes through training, evaluation, prediction, sources and sweeps."""
    rng = np.random.default_rng(2)
    x = {"left": rng.integers(0, 5, 20).astype(np.uint8), "right": rng.normal(size=(20, 3))}
    y = rng.normal(size=5)[x["left"]][:, None] + x["right"][:, :1]
    network = fn.Chain(Join(Look(5, 2), fn.Dense(2)), fn.Dense(1))
    trial = fn.Experiment(network, fn.MeanSquaredError(), fn.Adam(0.05), batch_size=8, epochs=60)
    run = fn.train(trial, (x, y), (x, y))
    assert run.history["train_loss"][-1] < 0.1 * run.history["train_loss"][0]
    held = fn.evaluate(network, fn.MeanSquaredError(), run.params, jax.tree.map(jnp.asarray, x), jnp.asarray(y))
    np.testing.assert_allclose(held["loss"], run.history["validation_loss"][-1], rtol=1e-9)
    assert run.predict(x).shape == (20, 1)

    class Rows:
        def __len__(self):
            return 20

        def __getitem__(self, rows):
            return jax.tree.map(lambda a: a[rows], x), y[rows]

    np.testing.assert_allclose(fn.train(trial, Rows()).history["train_loss"], run.history["train_loss"], rtol=1e-8)
    results = fn.sweep(fn.grid(trial, {"seed": range(3)}), (x, y), progress=False)
    np.testing.assert_allclose(results.curves(0)["train_loss"], run.history["train_loss"], rtol=1e-6)
    params = network.init(jax.random.key(0), {"left": (), "right": (3,)})
    assert fn.check(network.layers[0], params[0], jax.tree.map(jnp.asarray, x))
    with pytest.raises(TypeError, match="train: whole numbers are due"):
        fn.train(trial, ({"left": x["right"], "right": x["right"]}, y))


def test_targets_and_weights_with_a_time_axis():
    """A batch that does not divide the samples fills up whole samples; a weight a step leaves steps out."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(10, 4, 3)), rng.integers(0, 2, (10, 4))
    weight = (np.arange(4) < rng.integers(1, 5, (10, 1))).astype(float)
    still = fn.Experiment(fn.Dense(2), fn.SoftmaxCrossEntropy(), fn.SGD(0.0), batch_size=4, epochs=1)
    run = fn.train(still, (x, y, weight))
    logits = run.experiment.network.apply(run.params, jnp.asarray(x))
    losses = fn.SoftmaxCrossEntropy(reduction="none")(logits, jnp.asarray(y))
    np.testing.assert_allclose(run.history["train_loss"][0], np.sum(losses * weight) / weight.sum(), rtol=1e-9)
    plain = fn.train(still, (x, y))
    np.testing.assert_allclose(plain.history["train_loss"][0], np.mean(losses), rtol=1e-9)


def test_kernels_of_any_rank_have_their_fans():
    """He's normal draw of a 3 × 3 window from 64 channels has the deviation √(2/576)."""
    kernel = fn.layers.He()(jax.random.key(0), (3, 3, 64, 128))
    np.testing.assert_allclose(kernel.std(), (2 / 576) ** 0.5, rtol=0.01)
    kernel = fn.layers.Glorot()(jax.random.key(0), (5, 16, 32))
    np.testing.assert_allclose(kernel.std(), (2 / (5 * 16 + 5 * 32)) ** 0.5, rtol=0.02)
