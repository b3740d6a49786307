"""Records: numbers are leaves, choices are structure, plain numbers are checked and nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.records import Number, canonical, choice, integer, number, part, record


def trial(**changes):
    """Return an experiment with every kind of part."""
    return fn.replace(
        fn.Experiment(
            fn.mlp(8, 3, activation=fn.LeakyReLU(0.1), dropout=0.2),
            fn.SoftmaxCrossEntropy(),
            fn.Adam(0.01),
            fn.L2(0.1),
            fn.EarlyStopping(3),
        ),
        changes,
    )


def test_numbers_are_leaves_and_choices_are_structure():
    """Changing any number leaves the structure equal; changing any choice does not."""
    base = jax.tree.structure(trial())
    numbers = {
        "optimizer.learning_rate": 0.5,
        "optimizer.beta2": 0.9,
        "regularizer.strength": 0.0,
        "network.layers.1.slope": 0.3,
        "network.layers.2.rate": 0.0,
        "loss.label_smoothing": 0.1,
        "stopping.patience": 9,
        "stopping.min_delta": 0.1,
        "seed": 4,
        "data_seed": 5,
    }
    for path, value in numbers.items():
        changed = trial(**{path: value})
        assert jax.tree.structure(changed) == base, path
        assert jax.tree.leaves(changed) != jax.tree.leaves(trial()), path
    choices = {
        "network.layers.0.width": 9,
        "network.layers.2.inverted": False,
        "network.layers.1": fn.relu,
        "optimizer": fn.SGD(0.1),
        "regularizer": None,
        "batch_size": None,
        "epochs": 7,
        "stopping.metric": "train_loss",
    }
    for path, value in choices.items():
        assert jax.tree.structure(trial(**{path: value})) != base, path


def test_records_under_transformations():
    """A record goes through jit, vmap and tree maps; a number may be a tracer or a lane; nothing is validated there."""
    rates = jnp.asarray([-1.0, 0.5, jnp.nan])
    made = jax.vmap(lambda r: fn.SGD(r))(rates)
    assert np.array_equal(made.learning_rate, rates, equal_nan=True)
    doubled = jax.jit(lambda o: jax.tree.map(lambda v: 2 * v, o))(fn.SGD(0.5, 0.25))
    assert (float(doubled.learning_rate), float(doubled.momentum)) == (1.0, 0.5)
    shapes = jax.eval_shape(lambda: trial(**{"optimizer.learning_rate": jnp.ones(())}))
    assert isinstance(shapes, fn.Experiment)
    assert jax.tree.map(lambda _: None, fn.SGD(0.5)).learning_rate is None


def test_a_number_is_kept_in_its_plain_form():
    """Whole numbers become floats, NumPy scalars become Python floats, arrays stay."""
    assert isinstance(fn.SGD(1).learning_rate, float)
    assert isinstance(fn.SGD(np.float32(0.5)).learning_rate, float)
    assert fn.SoftmaxCrossEntropy(class_weight=[1, 2]).class_weight.shape == (2,)
    assert isinstance(fn.SGD(jnp.asarray(0.5)).learning_rate, jax.Array)
    made = canonical(trial())
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {np.dtype(np.float64), np.dtype(np.int32)}


def test_paths_name_leaves_as_jax_does():
    """The dotted paths of the leaves are JAX's key paths."""
    leaves = jax.tree_util.tree_leaves_with_path(trial())
    dotted = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    assert "optimizer.beta1" in dotted
    assert set(dotted) <= set(fn.paths(trial()))
    for path, leaf in zip(dotted, jax.tree.leaves(trial()), strict=True):
        assert trial(**{path: leaf}) == trial()


def test_replace_leaves_the_original_alone_and_checks_the_new():
    """Replacing copies; several changes act in order; values are checked where they land."""
    base = trial()
    changed = fn.replace(base, {"optimizer": fn.SGD(0.1), "optimizer.momentum": 0.9, "network.layers.2.rate": 0.5})
    assert (changed.optimizer.momentum, changed.network.layers[2].rate) == (0.9, 0.5)
    assert (base.optimizer.beta1, base.network.layers[2].rate) == (0.9, 0.2)
    with pytest.raises(ValueError, match=r"Dropout\.rate must be at least 0 and below 1, but got 1\.5"):
        fn.replace(base, {"network.layers.2.rate": 1.5})
    with pytest.raises(TypeError, match="a layer or an activation is due"):
        fn.replace(base, {"network.layers.2": "dropout"})


def test_a_user_can_make_records():
    """All four kinds of field, a relation between two, and a field that was declared with none."""

    @record
    class Range:
        low: Number = number(0.0)
        high: Number = number(1.0)
        count: int = choice(2, at_least=1)
        seed: int = integer(0)
        inner: object = part(None)

        def __post_init__(self):
            if self.low > self.high:
                raise ValueError("low must be at most high")

    assert jax.tree.leaves(Range(inner=fn.relu)) == [0.0, 1.0, 0]
    with pytest.raises(ValueError, match="low must be at most high"):
        Range(2.0)
    with pytest.raises(TypeError, match=r"Wrong\.loose must be declared"):

        @record
        class Wrong:
            loose: float = 1.0


def test_equal_records_are_equal_and_frozen():
    """Records compare by value and cannot be changed in place."""
    assert trial() == trial()
    assert trial() != trial(seed=1)
    assert fn.relu == fn.ReLU()
    with pytest.raises(AttributeError):
        fn.SGD(0.1).learning_rate = 0.2
