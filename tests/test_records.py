"""Records: numbers are leaves, choices are structure, plain numbers are checked and nothing else is."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.records import Number, canonical, choice, integer, number, part, rebuilt, record


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
        "epochs": 7,
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


@record
class Spring:
    """A record of this module, which pickle finds by its name."""

    stiffness: Number = number(2.0, above=0, at_most=9)
    weights: object = number(None, vector=True)
    inner: object = part(None)

    def __post_init__(self):
        if self.stiffness == 7:
            raise ValueError("7 is taken")


@record
class Coil(Spring):
    """Of a base with a relation, with one of its own."""

    turns: int = choice(3, at_least=1)

    def __post_init__(self):
        if self.turns == 5:
            raise ValueError("5 is taken")


@record
class MyChain(fn.Chain):
    """A subclass without fields keeps the constructor."""


@record
class MyAdam(fn.Adam):
    """A subclass without anything of its own."""


def test_a_subclass_keeps_what_its_bases_ask_for():
    """Relations run through all bases, each once; constructors are inherited where no field is added."""
    with pytest.raises(ValueError, match="7 is taken"):
        Coil(7)
    with pytest.raises(ValueError, match="5 is taken"):
        Coil(turns=5)
    for options in ({"epsilon_hat": True, "epsilon_root": 1.0},):
        messages = []
        for kind in (fn.Adam, MyAdam):
            with pytest.raises(ValueError, match="epsilon_root") as caught:
                kind(**options)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    asked = []

    @record
    class Base:
        def __post_init__(self):
            asked.append("base")

    @record
    class Middle(Base):
        pass

    @record
    class Top(Middle):
        def __post_init__(self):
            asked.append("top")

    Top()
    assert asked == ["base", "top"]
    assert MyChain(fn.Dense(2), fn.tanh).out_shape((3,)) == (2,)
    assert jax.tree.structure(MyChain(fn.Dense(2))) != jax.tree.structure(fn.Chain(fn.Dense(2)))


def test_a_subclass_that_is_no_record_is_told():
    """It would be no pytree: the constructor says so, not JAX."""

    class Plain(fn.SGD):
        pass

    with pytest.raises(TypeError, match=r"Plain inherits from a record.*Try: @fn\.record"):
        Plain(0.1)


def test_making_a_record_twice_is_harmless():
    """The second time nothing happens."""
    assert record(record(Coil)) is Coil
    assert jax.tree.leaves(Coil(4)) == [4.0]
    with pytest.raises(ValueError, match="7 is taken"):
        Coil(7)


def test_equality_and_hash_by_value():
    """Arrays count by their numbers, whatever holds them; equal records have one hash."""
    chance = np.array([1.0, 2.0])
    alike = [
        (fn.SoftmaxCrossEntropy(class_weight=(1, 2)), fn.SoftmaxCrossEntropy(class_weight=chance)),
        (fn.SoftmaxCrossEntropy(class_weight=chance), fn.SoftmaxCrossEntropy(class_weight=jnp.asarray(chance))),
        (fn.SGD(0.5), fn.SGD(np.float32(0.5))),
        (fn.SGD(0.5), fn.SGD(jnp.asarray(0.5, jnp.bfloat16))),
        (fn.schedules.Piecewise((0.1, 0.2, 0.3), (3, 5)), fn.schedules.Piecewise([0.1, 0.2, 0.3], [3, 5])),
        (
            fn.schedules.Sequence((fn.Constant(0.1), fn.Constant(0.2)), (3,)),
            fn.schedules.Sequence((fn.Constant(0.1), fn.Constant(0.2)), [3]),
        ),
        (fn.Chain(fn.Dense(2), fn.LeakyReLU(chance)), fn.Chain(fn.Dense(2), fn.LeakyReLU(chance.copy()))),
        (trial(**{"loss.class_weight": chance}), trial(**{"loss.class_weight": chance.copy()})),
        (canonical(trial()), canonical(trial())),
        (Spring(inner={"a": chance}), Spring(inner={"a": chance.copy()})),
    ]
    for one, other in alike:
        assert (one == other) is True
        assert (one != other) is False
        assert hash(one) == hash(other)
        assert len({one, other}) == 1
    unlike = [
        (fn.SoftmaxCrossEntropy(class_weight=(1, 2)), fn.SoftmaxCrossEntropy(class_weight=(1, 3))),
        (fn.SoftmaxCrossEntropy(class_weight=(1, 2)), fn.SoftmaxCrossEntropy(class_weight=(1, 2, 1))),
        (fn.SoftmaxCrossEntropy(class_weight=(1, 2)), fn.SoftmaxCrossEntropy(class_weight=1)),
        (fn.SGD(np.float32(0.1)), fn.SGD(0.1)),
        (Spring(3), Coil(3)),
        (fn.Chain(fn.relu), (fn.relu,)),
    ]
    for one, other in unlike:
        assert (one == other) is False
        assert (one != other) is True
    inside = jax.jit(lambda r: r if fn.SGD(r) == fn.SGD(r) and fn.SGD(r) != fn.SGD(r + 1) else -r)
    assert inside(2.0) == 2


def test_copies_of_records():
    """Pickle, deepcopy and `dataclasses.replace` work for every kind, Chain(*layers) included."""
    for one in (Coil(3, weights=[1.0, 2.0], inner=fn.relu), trial(), fn.Chain(fn.Dense(2), fn.tanh), MyAdam(0.3)):
        assert pickle.loads(pickle.dumps(one)) == one
        assert copy.deepcopy(one) == one
        assert dataclasses.replace(one) == one
    chain = dataclasses.replace(fn.Chain(fn.Dense(2)), layers=(fn.Dense(3), fn.tanh))
    assert chain == fn.Chain(fn.Dense(3), fn.tanh)
    assert fn.Chain(layers=(fn.Dense(2),)) == fn.Chain(fn.Dense(2))
    product = dataclasses.replace(fn.schedules.Product(0.1, fn.Constant(2.0)))
    assert product == fn.schedules.Product(0.1, fn.Constant(2.0))
    with pytest.raises(ValueError, match="at least one layer"):
        dataclasses.replace(fn.Chain(fn.Dense(2)), layers=())
    with pytest.raises(TypeError, match="width"):
        fn.Chain(width=3)


def test_rebuilt_replaces_several_fields_at_once():
    """What must hold between fields is asked of the outcome, or not at all."""
    assert rebuilt(fn.SGD(0.1), {"momentum": 0.9, "nesterov": True}).nesterov
    assert rebuilt(fn.SGD(0.1), {"learning_rate": -1.0}, check=False).learning_rate == -1.0
    with pytest.raises(ValueError, match="at least 0"):
        rebuilt(fn.SGD(0.1), {"learning_rate": -1.0})


WRONG = {
    "changes in a list": (lambda: fn.replace(trial(), [("seed", 1)]), TypeError, "must be a dict from dotted paths"),
    "a path that is a number": (lambda: fn.replace(trial(), {0: 1}), TypeError, "must be a dict from dotted paths"),
    "no record to replace in": (lambda: fn.replace(0.1, {"seed": 1}), TypeError, "takes a record, but got 0.1"),
    "an array as a choice": (lambda: fn.Huber(reduction=np.ones(3)), TypeError, "hashable"),
    "a list as a choice": (lambda: fn.Huber(reduction=["mean"]), TypeError, "hashable"),
    "rows of two lengths": (lambda: Spring(weights=[1, [2]]), TypeError, "rows of one length"),
    "class weights in a dict": (
        lambda: fn.SoftmaxCrossEntropy(class_weight={9: 5.0}),
        TypeError,
        "a list of numbers.*got a dict of 1",
    ),
    "class weights by a word": (lambda: fn.SoftmaxCrossEntropy(class_weight="balanced"), TypeError, "list of numbers"),
    "a width beyond int32": (lambda: fn.Dense(3 * 10**9), ValueError, "at most 2147483647"),
    "a number of many digits": (lambda: fn.SGD(10**5000), TypeError, "must be a number"),
    "a count of many digits": (lambda: fn.Dense(10**5000), ValueError, "a whole number of 16610 bits"),
    "a vector out of range": (lambda: Spring(np.arange(1.0, 2000)), ValueError, r"at most 9, but got float64\[1999\]"),
    "a field by another name": (lambda: fn.SGD(0.1, momentun=0.9), TypeError, "momentun"),
}


@pytest.mark.parametrize("name", WRONG)
def test_odd_arguments_are_refused_in_words(name):
    """Whatever arrives, the message is short, names the field and prints no data."""
    call, kind, words = WRONG[name]
    with pytest.raises(kind, match=words) as caught:
        call()
    assert len(str(caught.value)) <= 300
