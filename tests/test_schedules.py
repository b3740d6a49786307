"""Schedules against their cases, against formulas in plain Python at many steps, and constant against traced
numbers."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import schedules
from funcnet.records import canonical
from funcnet.schedules import (
    Constant,
    Cosine,
    ExponentialDecay,
    InverseTime,
    Linear,
    OneCycle,
    Piecewise,
    Product,
    Sequence,
    StepDecay,
    Warmup,
)
from tests.helpers import one_in, renumbered

CASES = [
    pytest.param(c, id=f"{m.__name__.split('.')[-1]}-{i}") for m in schedules.REGISTRY for i, c in enumerate(m.CASES)
]


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    """What is known by hand comes out, in both precisions."""
    assert abs(float(case.rule(*case.arguments)) - case.value) <= 1e-14
    with jax.enable_x64(False):
        rate = case.rule(*case.arguments)
        assert rate.dtype == np.float32
        assert rate.shape == ()
        assert abs(float(rate) - case.value) <= 2e-7


def restarted(t, rate, steps, final, growth):
    length = steps
    while t >= length:
        t, length = t - length, length * growth
    return final + (rate - final) * (1 + math.cos(math.pi * t / length)) / 2


def formula(schedule):
    """The `FORMULA` of a schedule as a function of a Python int; a number is a constant."""
    if not isinstance(schedule, schedules.Schedule):
        return lambda t: schedule
    fields = {}
    for field in dataclasses.fields(schedule):
        value, bounds = getattr(schedule, field.name), field.metadata["bounds"]
        if isinstance(value, tuple):
            value = [formula(inner) for inner in value]
        elif bounds.schedule is not None:
            value = formula(value)
        fields[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return lambda t: eval(schedule.FORMULA, vars(math) | fields | {"t": t})


# Each schedule of the cases with awkward numbers, and some that are made of others.
SCHEDULES = {
    f"{module.__name__.split('.')[-1]}-{index}": renumbered(case.rule)
    for module in schedules.REGISTRY
    for index, case in enumerate(module.CASES)
}
SCHEDULES |= {
    "growing restarts": Cosine(0.3, 5, 0.01, restarts=True, growth=3),
    "one cycle": OneCycle(0.7, 50, final=0.001),
    "one cycle, linear": OneCycle(0.7, 50, final=0.001, shape="linear"),
    "warm-up of a product": Warmup(3, Product(0.5, Linear(1.0, 10))),
}
STEPS = np.arange(200, dtype=np.int32)


@jax.jit
def rates(schedule):
    """Return the rate of every step, each computed alone, as an optimizer does."""
    return jax.lax.scan(lambda none, t: (none, schedule(t)), None, jnp.asarray(STEPS))[1]


@pytest.mark.parametrize("name", SCHEDULES)
def test_formulas(name):
    """Every step from 0 to 199, boundaries and what follows the end included; and the comparison can fail by one
    step."""
    schedule = SCHEDULES[name]
    wanted = np.asarray([formula(schedule)(int(t)) for t in STEPS])
    np.testing.assert_allclose(rates(schedule), wanted, rtol=1e-13, atol=1e-16)
    if np.ptp(wanted) > 1e-2:
        late = np.asarray([formula(schedule)(max(0, int(t) - 1)) for t in STEPS])
        assert np.max(np.abs(rates(schedule) - late)) > 1e-4


def test_every_schedule_has_a_formula():
    given = {value for value in vars(schedules).values() if isinstance(value, type)}
    assert {type(schedule) for schedule in SCHEDULES.values()} == given - {schedules.Schedule}


@pytest.mark.parametrize("name", one_in(3, SCHEDULES))
def test_constant_traced_and_lane_give_the_same_bits(name):
    """In float32: numbers closed over, passed as an argument, and as one of three lanes."""
    schedule = SCHEDULES[name]
    with jax.enable_x64(False):
        leaves = canonical(schedule)
        constant = jax.jit(lambda: rates.__wrapped__(schedule))()
        traced = rates(leaves)
        lanes = jax.tree.map(lambda a: jnp.stack([jnp.asarray(a)] * 3), leaves)
        lane = jax.jit(jax.vmap(rates.__wrapped__))(lanes)[1]
        assert constant.dtype == np.float32
        np.testing.assert_array_equal(constant.view(np.int32), traced.view(np.int32))
        np.testing.assert_array_equal(traced.view(np.int32), lane.view(np.int32))


def test_the_comparison_of_bits_can_fail(monkeypatch):
    """Without the barrier that `cast` puts before its numbers the compiler folds constants, in other roundings."""
    schedule = Warmup(3, Product(0.5, Linear(1.0, 10)))
    monkeypatch.setattr(jax.lax, "optimization_barrier", lambda value: value)
    with jax.enable_x64(False):
        constant = jax.jit(lambda: rates.__wrapped__(schedule))()
        traced = jax.jit(lambda schedule: rates.__wrapped__(schedule))(canonical(schedule))
    assert np.any(constant != traced)


@pytest.mark.parametrize("name", SCHEDULES)
def test_far_steps_and_whole_steps(name):
    """The last int32 step gives a finite rate, unless it grows, and a Python int is as good as an array."""
    schedule = SCHEDULES[name]
    grows = isinstance(schedule, ExponentialDecay) and schedule.factor > 1
    for step in (2**31 - 1, 2**30 + 1):
        assert np.isinf(schedule(step)) if grows else np.isfinite(schedule(step))
    assert schedule(7) == schedule(jnp.asarray(7, jnp.int32))


def test_growing_restarts_beyond_int32():
    """Cycles whose length or end exceeds int32 stay right."""
    schedule = Cosine(1.0, 3, restarts=True, growth=2)
    for step in (2**31 - 1, 2**31 - 2, 3 * (2**29 - 1), 3 * (2**29 - 1) - 1):
        assert abs(float(schedule(step)) - restarted(step, 1.0, 3, 0.0, 2)) < 1e-12
    assert (
        abs(float(Cosine(1.0, 2**30, restarts=True, growth=5)(2**31 - 1)) - restarted(2**31 - 1, 1.0, 2**30, 0.0, 5))
        < 1e-12
    )


@pytest.mark.parametrize("name", ["constant-0", "cosine-0", "piecewise-0", "composition-0", "warm-up of a product"])
def test_an_optimizer_takes_any_schedule(name):
    """The rate of update t is s(t), and a sweep's leaves lie inside the optimizer."""
    schedule = SCHEDULES[name]
    optimizer = fn.SGD(schedule)
    params = jnp.zeros(())
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for t in range(20):
        assert abs(float(optimizer.rate(state)) - formula(schedule)(t)) < 1e-13
        updates, state = update(jnp.ones(()), state, params)
        assert abs(float(updates) + formula(schedule)(t)) < 1e-13
    assert len(jax.tree.leaves(optimizer)) == len(jax.tree.leaves(schedule))


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (
            lambda: Piecewise((1.0, 0.5, 0.1), (200, 100)),
            ValueError,
            ("Piecewise.boundaries must increase", "[200, 100]", "(100, 200)"),
        ),
        (lambda: Piecewise((1.0, 0.5, 0.1), (100, 100)), ValueError, ("must increase", "[100, 100]")),
        (lambda: Piecewise((1.0, 0.5), (100, 200)), ValueError, ("2 pieces by 1", "[100, 200]")),
        (lambda: Piecewise((1.0, 0.5), (10.5,)), ValueError, ("whole numbers", "10.5")),
        (lambda: Piecewise((1.0, -0.5), (10,)), ValueError, ("Piecewise.rates must be at least 0",)),
        (lambda: Sequence((Constant(1.0), Constant(0.5)), (0,)), ValueError, ("Sequence.boundaries must be above 0",)),
        (
            lambda: Sequence((Constant(1.0), Constant(0.5), 0.1), (20, 10)),
            ValueError,
            ("Sequence.boundaries must increase", "[20, 10]"),
        ),
        (lambda: Sequence((Constant(1.0), "fast"), (10,)), TypeError, ("Sequence.schedules[1]", "'fast'")),
        (lambda: Sequence((), ()), TypeError, ("must be a tuple of schedules",)),
        (lambda: Product(), ValueError, ("at least one factor",)),
        (lambda: Product(0.1, None), TypeError, ("Product.schedules[1]", "None")),
        (lambda: StepDecay(1.0, 0.5, 0), ValueError, ("StepDecay.every must be at least 1", "0")),
        (lambda: StepDecay(1.0, 0.5, 2.5), TypeError, ("StepDecay.every must be a whole number",)),
        (lambda: ExponentialDecay(1.0, 0.0), ValueError, ("ExponentialDecay.factor must be above 0",)),
        (lambda: InverseTime(1.0, -1.0), ValueError, ("InverseTime.decay must be at least 0",)),
        (lambda: Cosine(1.0, 0), ValueError, ("Cosine.steps must be at least 1",)),
        (lambda: Cosine(1.0, 10, growth=0), ValueError, ("Cosine.growth must be at least 1",)),
        (lambda: Warmup(-1, 0.1), ValueError, ("Warmup.steps must be at least 0",)),
        (lambda: Warmup(10, "cosine"), TypeError, ("Warmup.then must be a number or a schedule",)),
        (lambda: OneCycle(1.0, 10, warm=1.0), ValueError, ("OneCycle.warm must be above 0 and below 1",)),
        (lambda: Constant(math.nan), ValueError, ("Constant.rate must be at least 0", "nan")),
        (lambda: fn.SGD("fast"), TypeError, ("SGD.learning_rate must be a number or a schedule",)),
    ],
)
def test_errors(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in parts), caught.value
