"""Bad input stops at the door: before anything compiles, with what must hold, what arrived and what to try."""

import importlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import funcnet as fn
from funcnet.training import runners as RUNNERS

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8, dtype=np.int32) % 4
NAN, INF = float("nan"), float("inf")


def classifier(**changes):
    """Return a small experiment whose data below is right."""
    settings = {"loss": fn.SoftmaxCrossEntropy(), "batch_size": 4, "epochs": 2}
    return fn.Experiment(fn.mlp(5, 4), optimizer=fn.SGD(0.1), **(settings | changes))


def regression():
    """Return a small regression with one output."""
    return fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1), batch_size=None, epochs=2)


def with_bad(x, value):
    """Return a copy of the features with one bad number in row 2."""
    x = x.copy()
    x[2, 1] = value
    return x


PARAMS = fn.mlp(5, 4).init(jax.random.key(0), (3,), jnp.float32)
LOGITS = jnp.zeros((8, 4), jnp.float32)
Q = jnp.full((8, 4), 0.25, jnp.float32)
COLUMN = np.ones((8, 1), np.float32)

# name: (what to call, the error, words that the message must have)
CASES = {
    "lengths differ": (lambda: fn.train(classifier(), (X, Y[:7])), ValueError, "same length"),
    "validation lengths differ": (lambda: fn.train(classifier(), (X, Y), (X, Y[:7])), ValueError, "validation"),
    "validation of another width": (lambda: fn.train(classifier(), (X, Y), (X[:, :2], Y)), ValueError, "same width"),
    "validation of another dtype": (
        lambda: fn.train(classifier(), (X, Y), (X.astype(np.float64), Y)),
        ValueError,
        "dtype",
    ),
    "features of the wrong width": (
        lambda: fn.mlp(5, 4).apply(PARAMS, jnp.ones((2, 7), jnp.float32)),
        ValueError,
        "3 features",
    ),
    "label too large": (lambda: fn.train(classifier(), (X, Y + 1)), ValueError, r"0 … 3, but got 4 at position 3"),
    "label negative": (lambda: fn.train(classifier(), (X, Y - 1)), ValueError, "got -1 at position 0"),
    "validation label too large": (
        lambda: fn.train(classifier(), (X, Y), (X, Y + 1)),
        ValueError,
        "validation: labels must lie",
    ),
    "labels of a float type": (lambda: fn.train(classifier(), (X, Y.astype(np.float32))), TypeError, "whole numbers"),
    "labels in a column": (lambda: fn.train(classifier(), (X, Y[:, None])), ValueError, r"squeeze\(-1\)"),
    "one-hot labels of whole numbers": (
        lambda: fn.SoftmaxCrossEntropy()(LOGITS, np.eye(4, dtype=int)[Y]),
        TypeError,
        "floating",
    ),
    "distributions that do not sum to 1": (
        lambda: fn.SoftmaxCrossEntropy()(LOGITS, np.ones((8, 4), np.float32)),
        ValueError,
        "sum to 1",
    ),
    "distributions below 0": (
        lambda: fn.KLDivergence()(Q, Q.at[0, :2].set(jnp.asarray([-0.1, 0.6], Q.dtype))),
        ValueError,
        "non-negative",
    ),
    "(N, 1) against (N,)": (lambda: fn.train(regression(), (X, X[:, 0])), ValueError, r"reshape\(\(8, 1\)\)"),
    "(N,) against (N, 1)": (lambda: fn.MeanSquaredError()(jnp.ones(8), COLUMN), ValueError, r"reshape\(\(8,\)\)"),
    "labels given to a regression": (
        lambda: fn.MeanSquaredError()(LOGITS, Y),
        ValueError,
        "SoftmaxCrossEntropy for labels",
    ),
    "whole-number regression targets": (lambda: fn.train(regression(), (X, Y[:, None])), TypeError, "floating"),
    "NaN feature": (
        lambda: fn.train(classifier(), (with_bad(X, NAN), Y)),
        ValueError,
        r"got nan at \[2, 1\]",
    ),
    "infinite feature": (lambda: fn.train(classifier(), (with_bad(X, INF), Y)), ValueError, "finite"),
    "NaN in validation": (
        lambda: fn.train(classifier(), (X, Y), (with_bad(X, NAN), Y)),
        ValueError,
        "features of validation",
    ),
    "NaN target": (lambda: fn.train(regression(), (X, COLUMN * NAN)), ValueError, "targets of train must be finite"),
    "empty set": (lambda: fn.train(classifier(), (X[:0], Y[:0])), ValueError, "at least one sample"),
    "empty validation set": (lambda: fn.train(classifier(), (X, Y), (X[:0], Y[:0])), ValueError, "at least one sample"),
    "whole-number features": (lambda: fn.train(classifier(), (X.astype(int), Y)), TypeError, "floating-point"),
    "features of rank 1": (lambda: fn.train(classifier(), (X[:, 0], Y)), ValueError, r"reshape\(-1, 1\)"),
    "features in rows of two lengths": (
        lambda: fn.train(classifier(), ([[1.0, 2.0]] * 7 + [[1.0]], Y)),
        TypeError,
        "rows of one length",
    ),
    "features without targets": (lambda: fn.train(classifier(), X), TypeError, r"pair \(x, y\)"),
    "batch size 0": (lambda: classifier(batch_size=0), ValueError, "at least 1, but got 0"),
    "batch size 2.5": (lambda: classifier(batch_size=2.5), TypeError, "whole number"),
    "no epochs": (lambda: classifier(epochs=0), ValueError, "at least 1"),
    "negative rate": (lambda: fn.SGD(-0.1), ValueError, "at least 0, but got -0.1"),
    "NaN rate": (lambda: fn.SGD(NAN), ValueError, "but got nan"),
    "infinite rate": (lambda: fn.Adam(INF), ValueError, "but got inf"),
    "rate as text": (lambda: fn.SGD("0.1"), TypeError, "a number or a schedule"),
    "rate as a truth value": (lambda: fn.SGD(True), TypeError, "must be a number"),
    "rate as a function of nothing": (lambda: fn.SGD(lambda: 0.1), TypeError, "a function of the step"),
    "momentum above 1": (lambda: fn.SGD(0.1, momentum=1.1), ValueError, "at most 1"),
    "Nesterov without momentum": (lambda: fn.SGD(0.1, nesterov=True), ValueError, "momentum=0.9"),
    "beta above 1": (lambda: fn.Adam(beta2=1.5), ValueError, "Adam.beta2"),
    "negative epsilon": (lambda: fn.Adam(epsilon=-1e-8), ValueError, "Adam.epsilon"),
    "dropout rate 1": (lambda: fn.Dropout(1.0), ValueError, "below 1"),
    "dropout rate in mlp": (lambda: fn.mlp(5, 4, dropout=-0.5), ValueError, "Dropout.rate"),
    "Huber delta 0": (lambda: fn.Huber(0.0), ValueError, "above 0"),
    "negative strength": (lambda: fn.L2(-1.0), ValueError, "L2.strength"),
    "NaN strength": (lambda: fn.L1(NAN), ValueError, "L1.strength"),
    "radius 0": (lambda: fn.MaxNorm(0.0), ValueError, "above 0"),
    "label smoothing 1": (lambda: fn.SoftmaxCrossEntropy(label_smoothing=1.0), ValueError, "below 1"),
    "class weights too few": (
        lambda: fn.SoftmaxCrossEntropy(class_weight=[1.0, 2.0])(LOGITS, Y),
        ValueError,
        "one number a class",
    ),
    "negative class weight": (lambda: fn.SoftmaxCrossEntropy(class_weight=[1.0, -2.0]), ValueError, "class_weight"),
    "negative seed": (lambda: classifier(seed=-1), ValueError, "Experiment.seed"),
    "seed 0.5": (lambda: classifier(seed=0.5), TypeError, "whole number"),
    "patience 0": (lambda: fn.EarlyStopping(0), ValueError, "at least 1"),
    "unknown metric": (
        lambda: fn.train(classifier(stopping=fn.EarlyStopping(3, metric="train_los")), (X, Y)),
        ValueError,
        "no such column. Try: one of train_loss",
    ),
    "early stopping without validation": (
        lambda: fn.train(classifier(stopping=fn.EarlyStopping(3)), (X, Y)),
        ValueError,
        r"validation=\(x, y\)",
    ),
    "accuracy of a regression": (
        lambda: fn.train(
            fn.replace(regression(), {"stopping": fn.EarlyStopping(3, metric="validation_accuracy")}),
            (X, COLUMN),
            (X, COLUMN),
        ),
        ValueError,
        "no such column",
    ),
    "unknown reduction": (lambda: fn.Huber(reduction="avg"), ValueError, "'mean', 'sum', 'none'"),
    "training on a loss of many numbers": (
        lambda: fn.replace(classifier(), {"loss.reduction": "none"}),
        ValueError,
        "one number",
    ),
    "unknown path": (
        lambda: fn.replace(classifier(), {"optimizer.learning_rat": 0.1}),
        ValueError,
        "one of optimizer.learning_rate",
    ),
    "unknown first step of a path": (
        lambda: fn.replace(classifier(), {"optimiser.momentum": 0.1}),
        ValueError,
        "leads nowhere",
    ),
    "path below a number": (lambda: fn.replace(classifier(), {"seed.low": 1}), ValueError, "leads nowhere"),
    "unknown argument": (
        lambda: fn.Experiment(fn.Dense(1), fn.Huber(), fn.SGD(0.1), batchsize=3),
        TypeError,
        "batchsize",
    ),
    "width 0": (lambda: fn.Dense(0), ValueError, "at least 1"),
    "width 2.0": (lambda: fn.Dense(2.0), TypeError, "whole number"),
    "no widths": (lambda: fn.mlp(), ValueError, "at least one width"),
    "widths as a list": (lambda: fn.mlp([5, 4]), TypeError, "separate arguments"),
    "an empty chain": (lambda: fn.Chain(), ValueError, "at least one layer"),
    "a class instead of an activation": (lambda: fn.mlp(5, 4, activation=fn.ReLU), TypeError, r"ReLU\(…\)"),
    "a function instead of an activation": (
        lambda: fn.Chain(fn.Dense(2), jnp.tanh),
        TypeError,
        "a layer or an activation",
    ),
    "a class instead of a loss": (
        lambda: fn.Experiment(fn.Dense(1), fn.Huber, fn.SGD(0.1)),
        TypeError,
        "the class Huber",
    ),
    "an optimizer that is none": (lambda: fn.Experiment(fn.Dense(1), fn.Huber(), 0.1), TypeError, "init and update"),
    "parts in the wrong order": (
        lambda: fn.Experiment(fn.Dense(1), fn.SGD(0.1), fn.Huber()),
        TypeError,
        "loss must have",
    ),
    "parameters of another network": (
        lambda: fn.mlp(5, 5, 4).apply(PARAMS, jnp.asarray(X)),
        ValueError,
        "one entry for each",
    ),
    "features of another dtype": (
        lambda: fn.mlp(5, 4).apply(PARAMS, jnp.asarray(X, jnp.float64)),
        TypeError,
        "same dtype",
    ),
    "whole numbers into an activation": (lambda: fn.relu(jnp.arange(3)), TypeError, "floating"),
    "weights of the wrong shape": (
        lambda: fn.SoftmaxCrossEntropy()(LOGITS, Y, COLUMN),
        ValueError,
        "one number a sample",
    ),
    "negative sample weight": (
        lambda: fn.SoftmaxCrossEntropy()(LOGITS, Y, jnp.full(8, -1.0)),
        ValueError,
        "at least 0",
    ),
    "logits trained as probabilities": (
        lambda: fn.train(classifier(loss=fn.CrossEntropy()), (X, Y)),
        ValueError,
        "takes probabilities, but the network ends in Dense",
    ),
    "logits swept as probabilities": (
        lambda: fn.sweep(fn.grid(classifier(loss=fn.CrossEntropy()), {"seed": [0, 1]}), (X, Y), (X, Y)),
        ValueError,
        "takes probabilities, but the network ends in Dense",
    ),
    "logits given as probabilities": (lambda: fn.CrossEntropy()(LOGITS - 3, Y), ValueError, "loss that takes logits"),
    "probabilities given as their logarithms": (lambda: fn.LogKLDivergence()(Q, Q), ValueError, "log-probabilities"),
    "binary target 2": (lambda: fn.SigmoidCrossEntropy()(LOGITS[:, 0], Y), ValueError, r"\[0, 1\]"),
    "a cotangent of the wrong shape": (
        lambda: fn.Huber().backward(fn.Huber().forward(LOGITS, LOGITS)[1], jnp.ones(8)),
        ValueError,
        "shape of the value",
    ),
    "gradient of another tree": (
        lambda: fn.SGD(0.1).update({"kernel": COLUMN}, fn.SGD(0.1).init({"bias": COLUMN}), {"bias": COLUMN}),
        ValueError,
        r"\['bias'\] is in the parameters alone",
    ),
    "gradient of another shape": (
        lambda: fn.SGD(0.1).update({"w": COLUMN}, fn.SGD(0.1).init({"w": X}), {"w": X}),
        ValueError,
        r"\['w'\] has \(8, 1\) against \(8, 3\)",
    ),
    "an experiment that is none": (lambda: fn.train(fn.mlp(5, 4), (X, Y)), TypeError, "must be an Experiment"),
    "saving a function": (lambda: fn.save("never.npz", {"f": len}), TypeError, "dicts, tuples, lists and records"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_stops_at_the_door(name, monkeypatch):
    """The error has the kind and the words, and nothing has been compiled for it by then."""
    call, kind, words = CASES[name]

    def compiled(*_, **__):
        raise AssertionError("training compiled before the input was checked")

    for name_of in ("begin_program", "walk_program"):
        monkeypatch.setattr(RUNNERS, name_of, compiled)
    with pytest.raises(kind, match=words) as caught:
        call()
    if name != "unknown argument":
        assert re.fullmatch(r"(?s).+, but .+\. Try: .+\.", str(caught.value))
        assert len(str(caught.value)) <= 300


def test_good_input_reaches_the_compiler(monkeypatch):
    """The guard of the test above can fail: the same experiment with right data does compile."""

    def compiled(*_, **__):
        raise AssertionError("reached")

    for name_of in ("begin_program", "walk_program"):
        monkeypatch.setattr(RUNNERS, name_of, compiled)
    with pytest.raises(AssertionError, match="reached"):
        fn.train(classifier(), (X, Y), (X, Y))


# What no message may repeat: numbers that stand nowhere else.
MARK = 7.0625310917
WIDE = np.full((2000, 3), MARK)


class Hostile:
    """An object whose every word is too long, and that answers questions with errors."""

    def __repr__(self):
        return f"{MARK} " * 10_000

    @property
    def shape(self):
        raise RuntimeError("no shape")

    def __len__(self):
        raise RuntimeError("no length")


class Broken:
    """An object that answers every question with an error; the answers' order must not matter."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"no {name}")


MONSTERS = {
    "nested lists": WIDE.tolist(),
    "an array": WIDE,
    "an array of JAX": jnp.asarray(WIDE),
    "text": f"{MARK}" * 10_000,
    "a dict": {f"key {i}": MARK for i in range(2000)},
    "a set": {MARK + i for i in range(2000)},
    "objects": np.array([MARK, "a", None] * 500, object),
    "digits": 10**5000 + int(MARK * 1e10),
    "bytes": f"{MARK}".encode() * 1000,
    "a sparse matrix": scipy.sparse.csr_matrix(WIDE),
    "an object": Hostile(),
    "a broken object": Broken(),
    "a class": type("A" * 1000, (), {}),
    "a deep tuple": tuple((MARK,) * 3 for _ in range(2000)),
    "a run's parts": (PARAMS, {"kernel": WIDE}),
    "lone surrogates": "\ud800" * 1000,
    "NUL and lines": "\0\n" * 1000,
}
DOORS = {
    "train x": lambda v: fn.train(classifier(), (v, Y)),
    "train y": lambda v: fn.train(classifier(), (X, v)),
    "train weight": lambda v: fn.train(classifier(), (X, Y, v)),
    "train": lambda v: fn.train(classifier(), v),
    "validation": lambda v: fn.train(classifier(), (X, Y), v),
    "experiment": lambda v: fn.train(v, (X, Y)),
    "a regression's y": lambda v: fn.train(regression(), (X, v)),
    "network": lambda v: fn.Experiment(v, fn.Huber(), fn.SGD(0.1)),
    "loss": lambda v: fn.Experiment(fn.Dense(1), v, fn.SGD(0.1)),
    "optimizer": lambda v: fn.Experiment(fn.Dense(1), fn.Huber(), v),
    "stopping": lambda v: classifier(stopping=v),
    "batch_size": lambda v: classifier(batch_size=v),
    "epochs": lambda v: classifier(epochs=v),
    "seed": lambda v: classifier(seed=v),
    "width": lambda v: fn.Dense(v),
    "widths": lambda v: fn.mlp(v),
    "activation": lambda v: fn.mlp(3, 2, activation=v),
    "chain": lambda v: fn.Chain(v),
    "rate": lambda v: fn.SGD(v),
    "beta": lambda v: fn.Adam(beta1=v),
    "strength": lambda v: fn.L2(v),
    "reduction": lambda v: fn.Huber(reduction=v),
    "class weights": lambda v: fn.SoftmaxCrossEntropy(class_weight=v),
    "prediction": lambda v: fn.Huber()(v, LOGITS),
    "target": lambda v: fn.Huber()(LOGITS, v),
    "labels": lambda v: fn.SoftmaxCrossEntropy()(LOGITS, v),
    "loss weight": lambda v: fn.Huber()(LOGITS, LOGITS, v),
    "activation's input": lambda v: fn.relu(v),
    "changes": lambda v: fn.replace(classifier(), v),
    "path": lambda v: fn.replace(classifier(), {v if isinstance(v, str) else "seed": v}),
    "record": lambda v: fn.replace(v, {"seed": 1}),
    "preset": lambda v: fn.preset("torch", v),
    "library": lambda v: fn.preset(v, "adam"),
    "saved path": lambda v: fn.load(v),
    "saved tree": lambda v: fn.save("/nowhere/at/all", {"f": len, "v": v}),
    "grid": lambda v: fn.grid(classifier(), v),
    "grid's values": lambda v: fn.grid(classifier(), {"optimizer.learning_rate": v}),
    "sweep": lambda v: fn.sweep(v, (X, Y)),
    "parameters": lambda v: fn.mlp(5, 4).apply(v, X),
    "csv": lambda v: fn.data.csv(v, target=-1),
    "idx": lambda v: fn.data.idx(v),
    "split": lambda v: fn.data.split(X, v),
    "samples": lambda v: fn.data.moons(v),
    "linear x": lambda v: fn.linear.elastic_net(v, X[:, 0], 0.1, l1_ratio=0.5),
    "evaluate": lambda v: fn.evaluate(fn.mlp(5, 4), fn.SoftmaxCrossEntropy(), PARAMS, v, Y),
    "in_shape": lambda v: fn.mlp(5, 4).init(jax.random.key(0), v),
    "key": lambda v: fn.mlp(5, 4).init(v, (3,)),
}


@pytest.mark.parametrize("door", DOORS)
def test_messages_are_short_and_hold_no_data(door, monkeypatch):
    """Whatever arrives is taken or refused in at most 300 characters, none of them data, JAX's or unprintable."""

    def compiled(*_, **__):
        raise InterruptedError

    for name_of in ("begin_program", "walk_program"):
        monkeypatch.setattr(RUNNERS, name_of, compiled)
    for name, monster in MONSTERS.items():
        try:
            DOORS[door](monster)
        except InterruptedError:
            continue
        except (TypeError, ValueError, OSError) as error:
            words = str(error)
            assert len(words) <= 300, f"{name}: {len(words)} characters: {words[:200]}"
            assert re.fullmatch(r"(?s).+, but .+\. Try: .+\.", words), f"{name}: {words}"
            if not isinstance(monster, str):
                assert words.count(str(MARK)) <= 1, f"{name}: {words}"
            assert words.isprintable(), f"{name}: {words!r}"


def test_a_long_path_leaves_the_reason_whole(tmp_path):
    """What is wrong with a file stands in the message, however deep the file lies."""
    deep = tmp_path / ("folder" * 20) / ("folder" * 20)
    deep.mkdir(parents=True)
    experiment = fn.Experiment(fn.mlp(2), fn.MeanSquaredError(), fn.SGD(0.1), batch_size=None, epochs=1)
    fn.sweep([experiment], (X, X[:, :2]), store=deep / "sweep.sqlite")
    with pytest.raises(ValueError, match=r"holds trials on other data \(data .*, now .*\)\. Try: another file, or"):
        fn.sweep([experiment], (X + 1, X[:, :2]), store=deep / "sweep.sqlite")


def test_a_missing_extra_is_named(monkeypatch):
    """Where scikit-learn is not there, importing the estimators says which extra brings it."""
    for name in list(sys.modules):
        if name.split(".")[0] == "sklearn" or name.startswith("funcnet.sklearn"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r'sklearn must.*pip install scikit-learn, or .* extra "sklearn"'):
        importlib.import_module("funcnet.sklearn")


@fn.record
class Widened(fn.Layer):
    """A layer whose width is a number that a sweep may vary, and which has no backward."""

    width: int = fn.integer(default=4)

    def out_shape(self, in_shape):
        return (*in_shape[:-1], self.width)


def test_a_layer_of_one_s_own_says_what_it_lacks():
    init = jax.jit(lambda layer: fn.Chain(layer, fn.Dense(2)).init(jax.random.key(0), (3,)))
    with pytest.raises(TypeError, match=r"shape that Widened gives .*Try: fn\.choice\(at_least=1\)"):
        init(Widened())
    with pytest.raises(NotImplementedError, match="a layer must have backward, but Widened has none"):
        Widened().backward((), (), X)
    with pytest.raises(NotImplementedError, match="a layer must have out_shape, but Layer has none"):
        fn.Layer().out_shape((3,))
