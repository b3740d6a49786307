"""Spaces: grids in order, draws that depend on seed and path alone, and bad values named by their place."""

import itertools

import jax
import numpy as np
import pytest

import funcnet as fn
from funcnet.sweeps.distributions import Choice, Integers, LogUniform, Uniform
from funcnet.sweeps.space import grid, sample

RATE, STRENGTH = "optimizer.learning_rate", "regularizer.strength"
NAN, INF = float("nan"), float("inf")


def base(**changes):
    """Return an experiment with a regularizer."""
    settings = {"regularizer": fn.L2(0.1)} | changes
    return fn.Experiment(fn.mlp(8, 3, dropout=0.2), fn.SoftmaxCrossEntropy(), fn.SGD(0.1), **settings)


# -- grids -----------------------------------------------------------------------------------------------------------


def test_a_grid_is_the_product_with_the_last_path_fastest():
    """Every combination once, in the order of nested loops, equal to the experiments that `replace` makes."""
    rates, sizes, seeds = [0.1, 0.2], (16, None), range(3)
    trials = grid(base(), {RATE: rates, "batch_size": sizes, "seed": seeds})
    expected = [
        fn.replace(base(), {RATE: rate, "batch_size": size, "seed": seed})
        for rate, size, seed in itertools.product(rates, sizes, seeds)
    ]
    assert trials == expected
    assert len(trials) == 12


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        (1, 2, 3),
        range(1, 4),
        np.arange(1, 4),
        jax.numpy.arange(1, 4, dtype=np.int32),
        (i for i in (1, 2, 3)),
        iter([1, 2, 3]),
    ],
    ids=["list", "tuple", "range", "numpy", "jax", "generator", "iterator"],
)
def test_values_may_be_any_iterable(values):
    """A generator is used up once; arrays give plain numbers."""
    trials = grid(base(), {"seed": values, "data_seed": [0, 1]})
    assert [trial.seed for trial in trials] == [1, 1, 2, 2, 3, 3]
    assert all(type(trial.seed) is int for trial in trials)


def test_parts_may_vary_and_what_lies_below_comes_after_them():
    """An optimizer is replaced before its rate, whichever of the two is given first; nesting keeps the order given."""
    optimizers, rates = [fn.SGD(1.0), fn.Adam(1.0)], [0.1, 0.2]
    first = grid(base(), {"optimizer": optimizers, RATE: rates})
    assert [(type(t.optimizer), t.optimizer.learning_rate) for t in first] == [
        (fn.SGD, 0.1),
        (fn.SGD, 0.2),
        (fn.Adam, 0.1),
        (fn.Adam, 0.2),
    ]
    second = grid(base(), {RATE: rates, "optimizer": optimizers})
    assert [(type(t.optimizer), t.optimizer.learning_rate) for t in second] == [
        (fn.SGD, 0.1),
        (fn.Adam, 0.1),
        (fn.SGD, 0.2),
        (fn.Adam, 0.2),
    ]


def test_paths_go_through_tuples_and_new_parts():
    """A layer of a network, and a field that only the new part has."""
    trials = grid(base(), {"network.layers.0.width": [4, 16], "network.layers.2.rate": [0.0, 0.5]})
    assert [(t.network.layers[0].width, t.network.layers[2].rate) for t in trials] == [
        (4, 0.0),
        (4, 0.5),
        (16, 0.0),
        (16, 0.5),
    ]
    trials = grid(base(regularizer=None), {STRENGTH: [0.1, 0.2], "regularizer": [fn.L1(1.0), fn.L2(1.0)]})
    assert [(type(t.regularizer), t.regularizer.strength) for t in trials] == [
        (fn.L1, 0.1),
        (fn.L2, 0.1),
        (fn.L1, 0.2),
        (fn.L2, 0.2),
    ]


def test_a_tuple_of_paths_varies_together():
    """Zipped values count once; a key of one path in a tuple takes tuples of one."""
    trials = grid(base(), {(RATE, STRENGTH): [(0.1, 1), (0.2, 2)], "seed": [0, 1]})
    assert [(t.optimizer.learning_rate, t.regularizer.strength, t.seed) for t in trials] == [
        (0.1, 1, 0),
        (0.1, 1, 1),
        (0.2, 2, 0),
        (0.2, 2, 1),
    ]
    assert [t.seed for t in grid(base(), {("seed",): [(4,), (5,)]})] == [4, 5]
    pairs = grid(base(), {("optimizer", RATE): [(fn.Adam(), 0.5), (fn.Lion(), 0.25)]})
    assert [(type(t.optimizer), t.optimizer.learning_rate) for t in pairs] == [(fn.Adam, 0.5), (fn.Lion, 0.25)]


def test_only_the_finished_experiment_must_be_valid():
    """Two changes that fit each other, though each alone does not fit what is there."""
    odd = fn.replace(base(), {"optimizer": fn.Adam(epsilon_root=1e-8)})
    trials = grid(odd, {"optimizer.epsilon_hat": [True], "optimizer.epsilon_root": [None]})
    assert trials[0].optimizer == fn.Adam(epsilon_hat=True)


def test_the_experiment_given_stays_as_it_is():
    """Trials are copies; parts without changes are shared, those with are not."""
    start = base()
    trials = grid(start, {RATE: [0.3, 0.4]})
    assert start == base()
    assert trials[0].network is start.network
    assert trials[0].optimizer is not trials[1].optimizer


@pytest.mark.every
def test_large_spaces():
    """Sixteen thousand experiments, all different."""
    trials = grid(base(), {RATE: np.geomspace(1e-4, 1, 128), "seed": range(128)})
    draws = sample(base(), {RATE: LogUniform(1e-4, 1), "seed": Integers(0, 2**31)}, 16_384)
    for found in (trials, draws):
        assert len({(t.optimizer.learning_rate, t.seed) for t in found}) == len(found) == 16_384


# -- draws -----------------------------------------------------------------------------------------------------------

SPACE = {
    RATE: LogUniform(1e-4, 1.0),
    STRENGTH: Uniform(0.0, 0.5),
    "batch_size": Choice([16, 32, None], weights=[1, 2, 1]),
    "seed": Integers(0, 2**31),
    ("epochs", "data_seed"): [(5, 0), (10, 1)],
}


def test_draws_are_reproducible():
    """Equal seeds give equal draws, other seeds others."""
    assert sample(base(), SPACE, 20, seed=3) == sample(base(), SPACE, 20, seed=3)
    assert sample(base(), SPACE, 20, seed=3) != sample(base(), SPACE, 20, seed=4)


def test_draws_are_those_of_every_machine():
    """Recorded values: raw numbers of PCG64, which NumPy keeps fixed."""
    trials = sample(base(), {"seed": Integers(0, 1000), STRENGTH: Uniform(0, 1)}, 4)
    assert [trial.seed for trial in trials] == [81, 120, 666, 226]
    np.testing.assert_allclose(
        [trial.regularizer.strength for trial in trials],
        [0.12567509602340565, 0.26418514642884805, 0.5105384596312922, 0.48667180827310697],
        rtol=1e-12,
    )


def test_the_first_draws_do_not_depend_on_how_many_follow():
    """The prefix property, for every kind of distribution."""
    assert sample(base(), SPACE, 50)[:7] == sample(base(), SPACE, 7)


def test_a_path_does_not_depend_on_the_others():
    """Another path, or another order of paths, changes no draw; two paths do not share their draws."""
    alone = [t.optimizer.learning_rate for t in sample(base(), {RATE: SPACE[RATE]}, 30)]
    assert alone == [t.optimizer.learning_rate for t in sample(base(), SPACE, 30)]
    turned = dict(reversed(SPACE.items()))
    assert sample(base(), SPACE, 30) == sample(base(), turned, 30)
    both = sample(base(), {"seed": Integers(0, 10**6), "data_seed": Integers(0, 10**6)}, 30)
    assert not {t.seed for t in both} & {t.data_seed for t in both}


def test_seeds_of_different_size_do_not_collide():
    """Seed and path are hashed together, so that 1 and 11 and large seeds have streams of their own."""
    drawn = [sample(base(), {"seed": Integers(0, 2**31)}, 1, seed)[0].seed for seed in (0, 1, 11, 2**32, 2**64 + 1)]
    assert len(set(drawn)) == 5


def test_distributions_have_their_bounds_and_shapes():
    """Bounds hold, and means or medians are where they belong, 4,000 draws."""
    trials = sample(base(), SPACE, 4000)
    rates = np.asarray([t.optimizer.learning_rate for t in trials])
    assert rates.min() >= 1e-4
    assert rates.max() <= 1
    assert 0.007 < np.median(rates) < 0.014
    np.testing.assert_allclose(np.mean(rates < 1e-3), 0.25, atol=0.03)
    strengths = np.asarray([t.regularizer.strength for t in trials])
    assert strengths.min() >= 0
    assert strengths.max() <= 0.5
    np.testing.assert_allclose([strengths.mean(), strengths.std()], [0.25, 0.5 / 12**0.5], atol=0.01)
    sizes = [t.batch_size for t in trials]
    np.testing.assert_allclose([sizes.count(s) / 4000 for s in (16, 32, None)], [0.25, 0.5, 0.25], atol=0.03)
    assert {(t.epochs, t.data_seed) for t in trials} == {(5, 0), (10, 1)}
    assert abs(np.corrcoef(rates, strengths)[0, 1]) < 0.05


def test_integers_leave_the_upper_bound_out():
    """Every number from low to high − 1 comes, and high does not."""
    seeds = [t.seed for t in sample(base(), {"seed": Integers(3, 7)}, 400)]
    assert set(seeds) == {3, 4, 5, 6}
    assert all(type(seed) is int for seed in seeds)
    assert [t.seed for t in sample(base(), {"seed": Integers(5, 6)}, 3)] == [5, 5, 5]


def test_choices():
    """A plain list is a choice; a value of weight 0 never comes; parts may be chosen, and varied below."""
    plain = sample(base(), {"batch_size": [16, 32]}, 50)
    assert plain == sample(base(), {"batch_size": Choice((16, 32))}, 50)
    assert {t.batch_size for t in sample(base(), {"batch_size": Choice([16, 32], [0, 1])}, 50)} == {32}
    trials = sample(base(), {"optimizer": [fn.SGD(1.0), fn.Adam(1.0)], RATE: Uniform(0.1, 0.2)}, 50)
    assert {type(t.optimizer) for t in trials} == {fn.SGD, fn.Adam}
    assert all(0.1 <= t.optimizer.learning_rate <= 0.2 for t in trials)


def test_the_ends_of_the_fractions():
    """The smallest and the largest fraction stay inside, for wide and for narrow intervals."""
    ends = np.asarray([0.0, 1 - 2.0**-53])
    assert Uniform(-1.7e308, 1.7e308).draw(ends)[0] == -1.7e308
    for distribution in (Uniform(0.1, 0.3), LogUniform(0.1, 0.3), LogUniform(1e-300, 1e300), Uniform(1, 1 + 2.0**-52)):
        low, high = distribution.draw(ends)
        assert distribution.low <= low <= high <= distribution.high
    assert Integers(0, 2**31).draw(ends) == [0, 2**31 - 1]
    assert Choice(["a", "b", "c"]).draw(ends) == ["a", "c"]
    assert Choice(["a", "b"], [0.1, 0.0]).draw(ends) == ["a", "a"]


# -- bad input -------------------------------------------------------------------------------------------------------

BAD = {
    "no experiment": (lambda: grid(fn.SGD(0.1), {"seed": [1]}), TypeError, "experiment must be an Experiment"),
    "no experiment to sample": (lambda: sample("x", {"seed": [1]}, 1), TypeError, "experiment must be an Experiment"),
    "no mapping": (lambda: grid(base(), [("seed", [1])]), TypeError, "a dict from paths to values"),
    "empty": (lambda: grid(base(), {}), ValueError, "at least one path, but it is empty"),
    "empty sample": (lambda: sample(base(), {}, 3), ValueError, "at least one path, but it is empty"),
    "key of another type": (lambda: grid(base(), {3: [1]}), TypeError, "a dotted path, or a tuple of them, but got 3"),
    "empty key": (lambda: grid(base(), {(): [()]}), TypeError, "a dotted path, or a tuple"),
    "unknown path": (
        lambda: grid(base(), {"optimizer.learning_rat": [0.1]}),
        ValueError,
        "'optimizer.learning_rat' leads nowhere. Try: one of optimizer.learning_rate",
    ),
    "unknown path below a leaf": (lambda: grid(base(), {"seed.x": [1]}), ValueError, "'seed.x' leads nowhere"),
    "unknown path in a tuple": (lambda: grid(base(), {("seed", "sed"): [(1, 2)]}), ValueError, "'sed' leads nowhere"),
    "unknown path to sample": (lambda: sample(base(), {"sed": [1]}, 2), ValueError, "'sed' leads nowhere"),
    "path that one of the parts lacks": (
        lambda: grid(base(), {"optimizer": [fn.SGD(0.1), fn.Adam()], "optimizer.momentum": [0.5]}),
        ValueError,
        r"value 0.5 at position 0 of 'optimizer.momentum' with value Adam.* at position 1 of 'optimizer': "
        r"a path must name a field of Adam, but 'momentum' leads nowhere",
    ),
    "path twice": (
        lambda: grid(base(), {"seed": [1], ("seed", "data_seed"): [(1, 2)]}),
        ValueError,
        "'seed' is there 2 times",
    ),
    "no values": (lambda: grid(base(), {"seed": []}), ValueError, "values of 'seed' must be at least one"),
    "no values to choose from": (lambda: sample(base(), {"seed": []}, 3), ValueError, "of 'seed' must be at least one"),
    "used generator": (lambda: grid(base(), {"seed": iter(())}), ValueError, "values of 'seed' must be at least one"),
    "text": (lambda: grid(base(), {"loss.reduction": "mean"}), TypeError, "'loss.reduction' must be a list"),
    "text to choose from": (lambda: sample(base(), {"loss.reduction": "mean"}, 1), TypeError, "must be a list"),
    "a single number": (lambda: grid(base(), {RATE: 0.1}), TypeError, "must be a list or the like, but got 0.1"),
    "an array of one": (lambda: grid(base(), {RATE: np.asarray(0.1)}), TypeError, "must be a list or the like"),
    "a single part": (lambda: grid(base(), {"optimizer": fn.SGD(0.1)}), TypeError, "must be a list or the like"),
    "dict": (lambda: grid(base(), {"seed": {1: 2}}), TypeError, "must be a list or the like"),
    "set, which has no order": (lambda: grid(base(), {"seed": {1, 2}}), TypeError, "must be a list or the like"),
    "distribution in a grid": (
        lambda: grid(base(), {RATE: Uniform(0, 1)}),
        TypeError,
        "'optimizer.learning_rate' must be listed for a grid",
    ),
    "value out of range": (
        lambda: grid(base(), {"seed": [1, 2], RATE: [0.1, 0.2, -1.0]}),
        ValueError,
        "value -1.0 at position 2 of 'optimizer.learning_rate': SGD.learning_rate must be at least 0",
    ),
    "value of another type": (
        lambda: grid(base(), {RATE: [0.1, "0.2"]}),
        TypeError,
        "value '0.2' at position 1 of 'optimizer.learning_rate': SGD.learning_rate must be a number",
    ),
    "part of another type": (
        lambda: grid(base(), {"optimizer": [fn.SGD(0.1), fn.relu]}),
        TypeError,
        r"value ReLU at position 1 of 'optimizer': optimizer must have init and update",
    ),
    "network of another type": (
        lambda: grid(base(), {"network": [3]}),
        TypeError,
        "value 3 at position 0 of 'network'",
    ),
    "NaN": (lambda: grid(base(), {RATE: [NAN]}), ValueError, "value nan at position 0"),
    "infinity": (lambda: grid(base(), {RATE: [0.1, INF]}), ValueError, "value inf at position 1"),
    "dict as a value": (lambda: grid(base(), {RATE: [{"a": 1}]}), TypeError, "value a dict of 1 at position 0"),
    "list as a value": (lambda: grid(base(), {"seed": [[1, 2]]}), TypeError, r"value a list of 2 at position 0"),
    "real number for a whole one": (
        lambda: sample(base(), {"seed": Uniform(0, 9)}, 2),
        TypeError,
        "position 0 of 'seed'",
    ),
    "draw out of range": (
        lambda: sample(base(), {"seed": [1], RATE: Uniform(-2, -1)}, 3),
        ValueError,
        r"value -1\..* at position 0 of 'optimizer.learning_rate': SGD.learning_rate must be at least 0",
    ),
    "tuple too short": (
        lambda: grid(base(), {("seed", "data_seed"): [(1, 2), (3,)]}),
        ValueError,
        r"each value of \('seed', 'data_seed'\) must be a tuple of 2, but got a tuple of 1 at position 1",
    ),
    "text in place of a tuple": (
        lambda: grid(base(), {("seed", "data_seed"): ["ab"]}),
        ValueError,
        "must be a tuple of 2, but got 'ab' at position 0",
    ),
    "one number for two paths": (
        lambda: sample(base(), {("seed", "data_seed"): Integers(0, 9)}, 2),
        ValueError,
        "must be a tuple of 2",
    ),
    "a grid beyond all bounds": (
        lambda: grid(base(), {p: range(1000) for p in ("seed", "data_seed", "batch_size")}),
        ValueError,
        "1000 × 1000 × 1000 = 1000000000",
    ),
    "n of 0": (lambda: sample(base(), SPACE, 0), ValueError, "n must be at least 1, but got 0"),
    "n a fraction": (lambda: sample(base(), SPACE, 2.5), TypeError, "n must be a whole number"),
    "n a flag": (lambda: sample(base(), SPACE, True), TypeError, "n must be a whole number"),
    "seed a fraction": (lambda: sample(base(), SPACE, 2, seed=0.5), TypeError, "seed must be a whole number"),
    "seed negative": (lambda: sample(base(), SPACE, 2, seed=-1), ValueError, "seed must be at least 0"),
    "interval turned round": (
        lambda: Uniform(1, 0),
        ValueError,
        r"low must be below Uniform.high.*Uniform\(0.0, 1.0\)",
    ),
    "interval of one point": (lambda: Integers(3, 3), ValueError, "Integers.low must be below Integers.high"),
    "log interval turned round": (lambda: LogUniform(1, 0.1), ValueError, "LogUniform.low must be below"),
    "logarithm of 0": (lambda: LogUniform(0, 1), ValueError, "LogUniform.low must be above 0"),
    "logarithm of less": (lambda: LogUniform(-1, 1), ValueError, "LogUniform.low must be above 0"),
    "bound NaN": (lambda: Uniform(NAN, 1), ValueError, "Uniform.low must be finite"),
    "bound infinite": (lambda: Uniform(0, INF), ValueError, "Uniform.high must be finite"),
    "bound text": (lambda: Uniform("0", 1), TypeError, "Uniform.low must be a number"),
    "bounds in a list": (lambda: Uniform(np.zeros(2), 1), TypeError, "Uniform.low must be one number"),
    "integer bound a fraction": (lambda: Integers(0, 2.5), TypeError, "Integers.high must be a whole number"),
    "choice of none": (lambda: Choice([]), ValueError, "Choice.values must be at least one"),
    "choice of letters": (lambda: Choice("abc"), TypeError, "Choice.values must be a list"),
    "too few weights": (lambda: Choice([1, 2], [1]), ValueError, "2 numbers, one for each value"),
    "weights of text": (lambda: Choice([1, 2], ["a", "b"]), ValueError, "2 numbers, one for each value"),
    "weight negative": (lambda: Choice([1, 2], [2, -1]), ValueError, "at least 0"),
    "weights of 0": (lambda: Choice([1, 2], [0, 0]), ValueError, "not all 0"),
    "weight NaN": (lambda: Choice([1, 2], [1, NAN]), ValueError, "finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    """Every slip raises at the door, says what is wrong, where, and what to try."""
    call, kind, words = BAD[name]
    with pytest.raises(kind, match=words) as caught:
        call()
    assert ". Try: " in str(caught.value)


def test_values_at_fault_together_are_named_together():
    """An experiment that no value spoils by itself names those that do not fit each other, and no more."""
    adam = fn.replace(base(), {"optimizer": fn.Adam()})
    space = {"seed": [7], "optimizer.epsilon_hat": [False, True], "optimizer.epsilon_root": [None, 1e-8]}
    with pytest.raises(ValueError, match="epsilon_root stands under") as caught:
        grid(adam, space)
    for words in ("True at position 1 of 'optimizer.epsilon_hat'", "1e-08 at position 1 of 'optimizer.epsilon_root'"):
        assert words in str(caught.value)
    assert "seed" not in str(caught.value)


def test_long_values_are_cut_in_messages():
    """A record in an error message is its name, in a message of one line."""
    with pytest.raises(ValueError, match=r"at position 0 of 'optimizer\.momentum' with value") as caught:
        grid(base(), {"optimizer": [fn.Adam()], "optimizer.momentum": [0.5]})
    assert "with value Adam at position 0" in str(caught.value)
    assert len(str(caught.value)) <= 300
