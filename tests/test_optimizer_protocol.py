"""What an optimizer owes its callers beyond its numbers: no parameters where none are needed, the dtype of the
parameters, a clock that stops, derivatives that are finite, no NaN on the way, and doors for what others wrote."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import optimizers, schedules
from funcnet.optimizers import (
    SGD,
    Accumulate,
    Adam,
    Averaged,
    ClipByNorm,
    ClipByValue,
    CoordinateDescent,
    NAdam,
    WeightDecay,
)
from funcnet.optimizers.foreign import ForeignOptimizer, HeldOptimizer
from funcnet.records import Number, number
from tests.helpers import one_in, quick, sampled

RULES = {
    f"{m.__name__.split('.')[-1]}-{i}": c.rule
    for m in optimizers.REGISTRY
    for i, c in enumerate({jax.tree.structure(c.rule): c for c in m.CASES}.values())
}
EACH = pytest.mark.parametrize("name", RULES)
SOME = pytest.mark.parametrize("name", sampled(RULES, lambda name: name.endswith("-0")))
PARAMS = {"kernel": jnp.asarray([[0.5, -0.25, 2.0]]), "bias": jnp.asarray([1.0])}
SLOPE = {"kernel": jnp.asarray([[3.0, -0.5, 0.125]]), "bias": jnp.asarray([0.75])}


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def needs_params(rule: Any) -> bool:
    """Tell whether a rule decays, or measures a curvature between two points."""
    decays = any(path.split(".")[-1] in ("weight_decay", "strength") for path in fn.paths(rule))
    decays = decays and any(getattr(rule, name, 0) != 0 for name in ("weight_decay", "strength"))
    return decays or getattr(rule, "step", None) == "secant" or isinstance(rule, Averaged)


@EACH
def test_parameters_are_asked_for_where_they_are_needed(name):
    """`update(gradient, state)`, as in Optax: the same bits as with parameters, or a sentence."""
    rule = RULES[name]
    state = rule.init(PARAMS)
    if needs_params(rule):
        with pytest.raises(ValueError, match=r"needs the parameters.*Try: update\(gradient, state, params\)"):
            rule.update(SLOPE, state)
        return
    for _ in range(3):
        (with_params, state), (without, other) = rule.update(SLOPE, state, PARAMS), rule.update(SLOPE, state)
        assert same((with_params, state), (without, other))


def test_some_rules_need_parameters_and_most_do_not():
    needing = {type(rule).__name__ for rule in RULES.values() if needs_params(rule)}
    assert needing == {"AdamW", "Averaged", "Lion", "WeightDecay", "CoordinateDescent"}


def test_a_decay_that_may_be_zero_needs_parameters():
    """Of a traced strength nothing is known; one that is plainly 0 asks for nothing."""
    state = WeightDecay(SGD(0.1), 0.0).init(PARAMS)
    assert same(WeightDecay(SGD(0.1), 0.0).update(SLOPE, state)[0], SGD(0.1).update(SLOPE, state)[0])
    with pytest.raises(ValueError, match="WeightDecay needs the parameters that it decays"):
        jax.jit(lambda rule: rule.update(SLOPE, state))(WeightDecay(SGD(0.1), 0.0))


@pytest.mark.parametrize("dtype", [np.complex64, np.int32])
def test_parameters_are_real_numbers(dtype):
    with pytest.raises(TypeError, match="parameters must be floating-point arrays"):
        Adam().init(jnp.ones(2, dtype))


# The clock.


@SOME
def test_the_clock_stops(name):
    """Around 2³¹ updates the count stays at its end, and updates and state are finite."""
    rule = RULES[name]
    state = jax.tree.map(jnp.asarray, rule.init(PARAMS))
    last = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(2**31 - 3, jnp.int32) if "step" in jax.tree_util.keystr(path[-1:]) else leaf,
        state,
    )

    @quick
    def walk(state):
        def onward(state, _):
            updates, state = rule.update(SLOPE, state, PARAMS)
            return state, (updates, state)

        return jax.lax.scan(onward, state, None, length=4)[1]

    updates, states = walk(last)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((updates, states)))
    counts = [v for p, v in jax.tree_util.tree_leaves_with_path(states) if "step" in jax.tree_util.keystr(p)]
    assert np.all(np.asarray(counts[0])[2:] == 2**31 - 1) or isinstance(rule, Accumulate)
    assert all(np.all(np.asarray(count) >= 0) for count in counts)


def test_schedules_keep_their_end():
    """The rate of the last step that an int32 can tell goes on; a larger step of another caller's is the last one."""
    schedule = schedules.Piecewise((0.5, 0.25), (2**31 - 2,))
    rule = SGD(schedule)
    state = rule.init(PARAMS)._replace(step=jnp.asarray(2**31 - 3, jnp.int32))
    rates = []
    for _ in range(5):
        updates, state = rule.update(SLOPE, state)
        rates.append(float(-updates["bias"][0] / SLOPE["bias"][0]))
    assert rates == [0.5, 0.25, 0.25, 0.25, 0.25]
    assert float(schedule(2**31 + 5)) == 0.25


def test_coordinate_descent_goes_round_where_the_clock_stops():
    """The turn goes on through the negative numbers, so that no coordinate has the last word."""
    rule = CoordinateDescent(1.0)
    params = {"w": jnp.zeros(4)}
    state = rule.init(params)._replace(step=jnp.asarray(2**31 - 1, jnp.int32), turn=jnp.asarray(2**31 - 2, jnp.int32))
    moved = []
    for _ in range(6):
        updates, state = rule.update({"w": jnp.ones(4)}, state, params)
        moved.append(int(np.flatnonzero(updates["w"])[0]))
    assert moved == [2, 3, 0, 1, 2, 3]


# Derivatives of updates.


def along(rule: Any, rate: Any, slope: Any) -> Any:
    """Return the parameters after three updates, as a function of the rate and of the size of a gradient."""
    rule = fn.replace(rule, {next(p for p in fn.paths(rule) if p.endswith("learning_rate")): rate})
    # One array, whose last number never has a gradient.
    start, gradient = (
        {"kernel": jnp.asarray([[0.5, -0.25, 2.0, 1.0]])},
        {"kernel": slope * jnp.asarray([[3.0, -0.5, 0.125, 0.0]])},
    )

    def onward(carry, _):
        updates, state = rule.update(gradient, carry[1], carry[0])
        return (jax.tree.map(jnp.add, carry[0], updates), state), None

    (params, _), _ = jax.lax.scan(onward, (start, rule.init(start)), None, length=3)
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", one_in(5, RULES))
def test_hypergradients_are_finite(name):
    """Whoever differentiates updates by a rate or a gradient gets numbers, also where the gradient is exactly 0."""
    ends = functools.partial(along, RULES[name])

    @quick
    def each(size):
        ahead = jax.jvp(ends, (0.1, size), (1.0, 0.0))[1]
        near = jax.vmap(ends, (0, None))(jnp.asarray([0.1 + 1e-6, 0.1 - 1e-6]), size)
        return jax.grad(ends, argnums=(0, 1))(0.1, size), ahead, (near[0] - near[1]) / 2e-6

    for size in (0.0, 1.0):
        slopes, ahead, quotient = each(size)
        assert all(np.isfinite(slope) for slope in slopes)
        np.testing.assert_allclose(ahead, slopes[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(slopes[0], quotient, rtol=1e-5, atol=1e-7)


def test_the_hypergradient_at_zero_is_that_of_the_recurrence():
    """Adam's first step is −η g / (|g| + ε): its slope at g = 0 is −η/ε. So is RMSprop's, but for √(1 − ρ)."""

    def first(rule, g):
        return rule.update(g, rule.init(g))[0]

    zero = jnp.zeros(())
    assert abs(float(jax.grad(functools.partial(first, Adam(0.1, epsilon=0.25)))(zero)) + 0.4) < 1e-15
    assert abs(float(jax.grad(functools.partial(first, optimizers.Adagrad(0.1, epsilon=0.25)))(zero)) + 0.4) < 1e-15
    assert abs(float(jax.grad(functools.partial(first, optimizers.RMSprop(0.1, epsilon=0.25)))(zero)) + 0.4) < 1e-15


@EACH
def test_healthy_updates_make_no_nan_and_no_infinity(name):
    """Not even on the way: with gradients of 0 and others, under `jax_debug_nans` and `jax_debug_infs`."""
    rule = RULES[name]
    with jax.debug_nans(True), jax.debug_infs(True):
        state, params = rule.init(PARAMS), PARAMS
        for size in (0.0, 1.0, 0.0, 2.0):
            updates, state = rule.update(jax.tree.map(lambda g, size=size: size * g, SLOPE), state, params)
            params = jax.tree.map(jnp.add, params, updates)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((params, state)))


# Sixteen bits.


def wrappers(inside: Any) -> dict[str, Any]:
    return {
        "value": ClipByValue(inside, 0.5),
        "norm": ClipByNorm(inside, 0.5),
        "accumulate": Accumulate(inside, 2),
        "averaged": Averaged(inside, 0.5),
        "plateau": optimizers.ReduceOnPlateau(inside, metric="train_loss"),
        "by path": optimizers.RatesByPath(inside, ("kernel",), (0.5,)),
        "coupled": WeightDecay(inside, 0.5, coupled=True),
        "two": ClipByNorm(Accumulate(inside, 2), 0.5),
    }


def test_every_wrapper_is_among_these():
    given = {v for v in vars(optimizers).values() if isinstance(v, type) and issubclass(v, optimizers.Wrapper)}
    assert {type(w) for w in wrappers(SGD(0.1)).values()} == given - {optimizers.Wrapper}


class Pair(NamedTuple):
    init: Any
    update: Any


def theirs(rate: float = 0.125, dtype: Any = np.float32) -> Pair:
    """Somebody else's gradient descent with momentum in the parameters' dtype, whose updates are of another."""

    def update(gradient, state, params=None):
        state = jax.tree.map(lambda v, g: 0.5 * v + g, state, gradient)
        return jax.tree.map(lambda v: -rate * v.astype(dtype), state), state

    return Pair(lambda params: jax.tree.map(jnp.zeros_like, params), update)


@pytest.mark.parametrize("inside", [Adam(0.1), theirs()], ids=["ours", "theirs"])
@pytest.mark.parametrize("name", wrappers(SGD(0.1)))
def test_wrappers_return_the_dtype_of_the_parameters(name, inside):
    """Also around an optimizer that returns another, and without parameters that of the gradient."""
    rule = wrappers(inside)[name]
    params, slope = (jax.tree.map(lambda a: a.astype(jnp.bfloat16), tree) for tree in (PARAMS, SLOPE))
    state = rule.init(params)
    form = jax.tree.map(lambda a: a.dtype, state)
    for _ in range(3):
        updates, state = rule.update(slope, state, params)
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
        assert jax.tree.map(lambda a: a.dtype, state) == form
    if name not in ("averaged", "coupled") and isinstance(inside, Adam):
        updates, _ = rule.update(slope, state)
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("name", wrappers(SGD(0.1)))
def test_training_in_sixteen_bits_behind_a_wrapper(name):
    x = np.linspace(-1, 1, 12, dtype=np.float32)[:, None]
    rule = wrappers(theirs(0.1))[name]
    experiment = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), rule, batch_size=4, epochs=3, dtype="bfloat16")
    run = fn.train(experiment, (x, 2 * x), progress=False)
    assert run.params["kernel"].dtype == jnp.bfloat16
    assert run.history["train_loss"][-1] < run.history["train_loss"][0]


# What others wrote.


def test_the_door_knows_its_own():
    rule = ClipByNorm(theirs(), 0.5)
    assert optimizers.as_optimizer(rule) is rule
    assert isinstance(rule.optimizer, HeldOptimizer)
    assert isinstance(optimizers.as_optimizer(Adam()), Adam)


def test_a_pytree_of_numbers_keeps_its_leaves():
    """A stranger's pytree without our base: its rate stays a leaf, which a batch may vary."""

    @fn.record
    class Theirs:
        speed: Number = number(above=0)

        def init(self, params):
            return ()

        def update(self, gradient, state, params):
            return jax.tree.map(lambda g: -jnp.asarray(self.speed, g.dtype) * g, gradient), state

    rule = optimizers.as_optimizer(Theirs(0.25))
    assert isinstance(rule, ForeignOptimizer)
    assert jax.tree.leaves(rule) == [0.25]
    assert not rule.has_rate
    faster = fn.replace(rule, {"optimizer.speed": 0.5})
    assert same(faster.update(SLOPE, (), PARAMS)[0], jax.tree.map(lambda g: -0.5 * g, SLOPE))


class Needy:
    """Wants the loss's value, as line searches do."""

    def init(self, params):
        return ()

    def update(self, gradient, state, params=None, *, value):
        return gradient, state


class Chained:
    """Passes on what it gets, so that only a call shows that something inside wants the value."""

    def init(self, params):
        return ()

    def update(self, gradient, state, params=None, **extra):
        return Needy().update(gradient, state, params, **extra)


class FastAndSlow:
    """Wants parameters of a form of its own."""

    def init(self, params):
        return params.fast

    def update(self, gradient, state, params):
        return gradient, state


class Growing:
    """Changes the form of its state."""

    def init(self, params):
        return jnp.zeros((), jnp.int32)

    def update(self, gradient, state, params):
        return gradient, state.astype(jnp.float32)


def experiment(optimizer: Any) -> Any:
    return fn.Experiment(fn.mlp(3, 1), fn.MeanSquaredError(), optimizer, batch_size=4, epochs=1)


@pytest.mark.parametrize(
    ("optimizer", "kind", "parts"),
    [
        (Needy(), TypeError, ("update of optimizer must take (gradient, state, params)", "Needy", "value=")),
        (ClipByNorm, TypeError, ("optimizer must have init and update", "the class ClipByNorm")),
        (0.1, TypeError, ("optimizer must have init and update", "0.1")),
        (Pair(lambda params: (), None), TypeError, ("update of optimizer must take",)),
    ],
)
def test_what_is_refused_at_the_door(optimizer, kind, parts):
    with pytest.raises(kind) as caught:
        experiment(optimizer)
    assert all(part in str(caught.value) for part in (*parts, "Try: "))
    assert len(str(caught.value)) <= 300
    with pytest.raises(kind, match=r"ClipByNorm\.optimizer"):
        ClipByNorm(optimizer, 1.0)


@pytest.mark.parametrize(
    ("optimizer", "parts"),
    [
        (Chained(), ("gradient, state and parameters alone", "Chained raised TypeError")),
        (FastAndSlow(), ("must update these parameters", "FastAndSlow raised AttributeError")),
        (Growing(), ("state must keep its form", "Growing changes it")),
    ],
)
def test_what_a_trial_shows_is_refused_before_anything_compiles(optimizer, parts):
    """On the shapes of the network's own parameters; behind a wrapper too."""
    x = np.zeros((8, 2), np.float32)
    for wrapped in (optimizer, ClipByNorm(optimizer, 1.0)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            fn.train(experiment(wrapped), (x, x[:, :1]), progress=False)
        assert all(part in str(caught.value) for part in (*parts, "Try: ")), caught.value
        assert len(str(caught.value)) <= 300


def test_one_that_knows_the_network_is_tried_on_the_network():
    """An optimizer that is right for these parameters only, as those of label trees are, is not refused."""

    def update(gradient, state, params):
        return tuple(jax.tree.map(lambda g: -0.1 * g, layer) for layer in gradient), state

    def init(params):
        assert [sorted(layer) for layer in params if layer] == [["bias", "kernel"]] * 2
        return ()

    x = np.ones((8, 2), np.float32)
    fn.train(experiment(Pair(init, update)), (x, x[:, :1]), progress=False)


# Schedules of others, and momentum by schedule.


def halving(step):
    """A schedule as Optax writes them: a function of a count."""
    return 0.5 * 0.5 ** (step // 2)


def test_schedules_of_others_stand_wherever_a_rate_does():
    for schedule in (halving, functools.partial(halving), schedules.Product(1.0, halving)):
        rule = SGD(schedule)
        state, rates = rule.init(PARAMS), []
        for _ in range(4):
            updates, state = jax.jit(rule.update)(SLOPE, state)
            rates.append(float(-updates["bias"][0] / SLOPE["bias"][0]))
        assert rates == [0.5, 0.5, 0.25, 0.25]
    assert float(schedules.Warmup(2, halving)(1)) == 0.25
    assert float(schedules.Sequence((0.125, halving), (2,))(4)) == 0.25
    assert jax.tree.leaves(schedules.as_schedule(halving)) == []
    assert SGD(halving) == SGD(halving)


@pytest.mark.parametrize(
    ("schedule", "arrived"),
    [
        (lambda: 0.1, "function"),
        (lambda step: jnp.stack([step, step]), "does not"),
        (lambda step: 0.1 if step < 3 else 0.2, "TracerBoolConversionError"),
        (schedules.Cosine, "the class"),
    ],
)
def test_schedules_that_are_none(schedule, arrived):
    with pytest.raises(TypeError, match="a schedule must") as caught:
        SGD(schedule)
    assert arrived in str(caught.value) or "class" in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_momentum_by_schedule():
    """v ← μₜ v + g with μ of each update; a constant schedule is the number."""
    rule, v = SGD(1.0, schedules.Piecewise((0.5, 0.25), (2,))), 0.0
    params = jnp.zeros(())
    state = rule.init(params)
    for mu, g in zip((0.5, 0.5, 0.25, 0.25), (1.0, 2.0, -1.0, 4.0), strict=True):
        updates, state = rule.update(jnp.asarray(g), state)
        v = mu * v + g
        assert float(updates) == -v
    for kind in (SGD, optimizers.RMSprop):
        one, other = (kind(0.1, momentum=m) for m in (0.75, schedules.Constant(0.75)))
        assert same(one.update(SLOPE, one.init(PARAMS)), other.update(SLOPE, other.init(PARAMS)))


def test_momentum_of_one_forgets_nothing():
    rule, state = SGD(0.5, 1.0), SGD(0.5, 1.0).init(PARAMS)
    for count in (1, 2, 3):
        updates, state = rule.update(SLOPE, state)
        assert same(updates, jax.tree.map(lambda g, count=count: -0.5 * count * g, SLOPE))


def test_defaults_are_those_of_libraries():
    """NAdam and AMSGrad without further words are PyTorch's."""
    assert NAdam() == optimizers.preset("torch", "nadam")
    assert optimizers.AMSGrad() == optimizers.preset("torch", "amsgrad")


def test_options_of_presets_are_named():
    """What serves the presets alone cannot be given by position."""
    for call in (
        lambda: SGD(0.1, 0.9, False, 0.1),
        lambda: Adam(0.1, 0.9, 0.999, 1e-8, True),
        lambda: optimizers.AMSGrad(0.1, 0.9, 0.999, 1e-8, "none"),
        lambda: optimizers.RMSprop(0.1, 0.9, 1e-8, 0.9, True, 0.1),
        lambda: optimizers.AdamW(0.1, 0.9, 0.999, 1e-8, 0.1),
        lambda: optimizers.Lion(0.1, 0.9, 0.99, 0.1),
    ):
        with pytest.raises(TypeError, match="positional"):
            call()
