"""Every activation of the registry, at each of its cases and over the whole range of float32."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import funcnet as fn
from funcnet import activations
from funcnet.activations import REGISTRY, Elementwise
from funcnet.records import record
from tests.helpers import (
    cotangent,
    mpmath_reference,
    relative_error,
    symbolic,
    ulp_error,
    vjp_reference,
)

MODES = ("eager", "jit", "vmap")
TOLERANCE = {np.float64: 2e-15, np.float32: 5e-7}


def identify(module, index, case):
    return f"{module.__name__.split('.')[-1]}-{index}-{case.kind}"


ALL = [pytest.param(c, id=identify(m, i, c)) for m in REGISTRY for i, c in enumerate(m.CASES)]
SMOOTH = [p for p in ALL if p.values[0].kind != "kink"]
CENTRAL = [p for p in ALL if p.values[0].kind in ("ordinary", "batch", "known")]
KINKS = [p for p in ALL if p.values[0].kind == "kink"]
BATCHES = [p for p in ALL if p.values[0].kind == "batch"]
# One rule of each structure: the forms of an activation that a choice tells apart are swept apart.
RULES = {(m.__name__.split(".")[-1], str(jax.tree.structure(c.rule))): c.rule for m in REGISTRY for c in m.CASES}
ELEMENTWISE = [
    pytest.param(r, id=f"{name}-{i}") for i, ((name, _), r) in enumerate(RULES.items()) if isinstance(r, Elementwise)
]


def fill(case, numbers):
    """Repeat the numbers of a case to one shape for all, so that one compilation serves many."""
    numbers = np.asarray(numbers, np.float64)
    if isinstance(case.rule, Elementwise):
        return np.resize(numbers, (2, 6))
    return np.broadcast_to(numbers, (2, numbers.shape[-1]))


def argument(case, dtype):
    return jnp.asarray(fill(case, case.arguments[0]), dtype)


def both(rule, z, dy):
    y, saved = rule.forward(z)
    return y, rule.backward(saved, dy)


COMPILED = jax.jit(both)
LANES = jax.jit(jax.vmap(both, in_axes=(None, 0, 0)))


def in_mode(mode, rule, z, dy):
    """Evaluate forward and backward eagerly, compiled, or as the middle of three under vmap."""
    if mode == "eager":
        return both(rule, z, dy)
    if mode == "jit":
        return COMPILED(rule, z, dy)
    batch = [jnp.stack([a * 0.5, a, a * 0.25]) for a in (z, dy)]
    return tuple(a[1] for a in LANES(rule, *batch))


def agrees(found, wanted, tolerance=1e-12):
    """Tell whether two gradients agree within `tolerance`: the comparison that planted bugs must fail."""
    scale = np.max(np.abs(wanted), initial=0.0)
    near = np.max(np.abs(np.asarray(found) - np.asarray(wanted)), initial=0.0) <= tolerance * scale
    return bool(near) and np.shape(found) == np.shape(wanted)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", ALL)
def test_forward(case, dtype, mode):
    """Stated values and stated gradients come out, the formula agrees, and the dtype stays."""
    z = argument(case, dtype)
    y, dz = in_mode(mode, case.rule, z, jnp.ones_like(z))
    assert y.dtype == dz.dtype == dtype
    if case.value is not None:
        assert agrees(y, fill(case, case.value), TOLERANCE[dtype])
    if case.gradient is not None:
        np.testing.assert_allclose(dz, fill(case, case.gradient), rtol=4 * TOLERANCE[dtype], atol=TOLERANCE[dtype])
    if isinstance(case.rule, Elementwise):
        assert np.max(ulp_error(y, mpmath_reference(case.rule.FORMULA, case.rule, np.asarray(z)))) <= 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", SMOOTH)
def test_backward_is_the_vector_jacobian_product(case, mode):
    """Hand-written against automatic differentiation in float64, with a random cotangent."""
    z = argument(case, np.float64)
    dy = cotangent(z)
    assert agrees(in_mode(mode, case.rule, z, dy)[1], vjp_reference(case.rule, z, dy))


@pytest.mark.parametrize("case", CENTRAL)
def test_backward_agrees_with_central_differences(case):
    """A second opinion that differentiates nothing, along a random direction."""
    z = argument(case, np.float64)
    dy, direction = cotangent(z), cotangent(z, 3)
    h = 1e-3

    def along(step):
        return float(jnp.sum(dy * case.rule(z + step * direction)))

    slope = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    products = both(case.rule, z, dy)[1] * direction
    assert abs(slope - float(jnp.sum(products))) <= 1e-9 * float(jnp.sum(jnp.abs(products))) + 1e-11


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", KINKS)
def test_kinks_have_the_stated_subgradient(case, mode):
    """At every listed kink the cotangent is multiplied by the stated number."""
    for place, stated in case.rule.kinks():
        z = jnp.full((5,), place, np.float64)
        dy = cotangent(z)
        assert np.array_equal(in_mode(mode, case.rule, z, dy)[1], stated * dy)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, jnp.bfloat16])
@pytest.mark.parametrize("rule", [pytest.param(r, id="-".join(k)[:30]) for k, r in RULES.items()])
def test_finite_input_gives_finite_output(rule, dtype):
    """No NaN and no infinity, forward or backward, up to ±3e38 (or what the dtype holds); the dtype stays."""
    top = min(float(jnp.finfo(dtype).max), 3e38) / 4
    tiny = float(jnp.finfo(dtype).tiny)
    places = [0.0, -0.0, tiny, -tiny, 1e-3, -1e-3, 89.0, -89.0, 104.0, -104.0, 1e4, -1e4, top, -top]
    z = jnp.asarray(places, dtype)
    if not isinstance(rule, Elementwise):
        z = jnp.stack([jnp.roll(z, i) for i in range(3)], axis=-1)
    for mode in ("eager", "jit") if dtype == np.float32 else ("jit",):
        y, dz = in_mode(mode, rule, z, jnp.ones_like(z))
        assert y.dtype == dz.dtype == dtype
        assert np.isfinite(np.asarray(y, np.float64)).all()
        assert np.isfinite(np.asarray(dz, np.float64)).all()


def sweep(rule, rng, count=500):
    """Return float32 numbers over the whole range, dense where activations bend and at the kinks."""
    sizes = 10.0 ** rng.uniform(-44, 38, count)
    near = [np.asarray(place) + rng.normal(size=60) * 1e-3 for place, _ in rule.kinks()]
    z = np.concatenate(
        [
            [0.0, -0.0, 3.4e38, -3.4e38, 1e-45, -1e-45, 1.2e-38, -1.2e-38, 88.7, -88.7],
            *near,
            sizes * rng.choice([-1, 1], count),
            rng.uniform(-110, 110, count),
            rng.uniform(-15, 15, count),
            rng.uniform(-2, 2, 2 * count),
        ]
    ).astype(np.float32)
    # The true slope jumps at a kink, and the two sides of the jump are both right.
    for place, _ in rule.kinks():
        z[z == np.float32(place)] = np.nextafter(np.float32(place), np.float32(9))
    # One length for all, so that one compilation serves many.
    return np.sort(z[: 5 * count])


def away_from_zeros(z, slope):
    """Tell where a derivative is neither zero nor within a fifth of a change of its sign."""
    sign = np.asarray([int(s > 0) - int(s < 0) for s in slope])
    changes = [0.5 * (z[i] + z[i + 1]) for i in np.flatnonzero(sign[1:] * sign[:-1] < 0)]
    far = np.ones(len(z), bool)
    for place in changes:
        far &= np.abs(z - place) > 0.2 * abs(place)
    return far


@pytest.mark.parametrize("rule", ELEMENTWISE)
def test_units_in_the_last_place(rule, rng, capsys):
    """Float32 over its whole range: forward within 2 units, derivative within 8 away from its zeros."""
    z = sweep(rule, rng)
    # Subnormal inputs count as 0, since XLA on the CPU flushes them.
    flushed = np.where(np.abs(z) < np.finfo(np.float32).tiny, np.float32(0), z)
    value = mpmath_reference(rule.FORMULA, rule, flushed)
    slope = mpmath_reference(rule.DERIVATIVE, rule, flushed)
    far = away_from_zeros(z, slope)
    worst = []
    for mode in ("eager", "jit"):
        y, dz = in_mode(mode, rule, jnp.asarray(z), jnp.ones(len(z), np.float32))
        forward, backward = ulp_error(y, value), ulp_error(dz, slope)[far]
        worst += [
            (np.max(forward), z[np.argmax(forward)]),
            (np.max(backward), z[far][np.argmax(backward)]),
        ]
    with capsys.disabled():
        cells = "  ".join(f"{error:5.2f} at {place:<10.4g}" for error, place in worst)
        print(f"\n{rule!r:40} forward, backward (eager, jit): {cells}", end="")
    assert all(error <= limit for (error, _), limit in zip(worst, (2, 8, 2, 8), strict=True))


@pytest.mark.parametrize("rule", ELEMENTWISE)
def test_units_in_the_last_place_of_millions(rule, rng):
    """Float32 within 2 units (SiLU 2.04) where 2,000 numbers would miss the worst; float64 has 9 digits more."""
    count = 1_000_000
    z = np.concatenate([rng.uniform(-6, 6, 2 * count), rng.choice([-1, 1], count) * 10.0 ** rng.uniform(-30, 2, count)])
    z = z.astype(np.float32)
    found, exact = (np.asarray(jax.jit(rule)(jnp.asarray(z, dtype)), np.float64) for dtype in (np.float32, np.float64))
    unit = np.spacing(np.abs(exact).astype(np.float32))
    normal = np.abs(exact) > np.finfo(np.float32).tiny
    worst = np.max(np.abs(found - exact)[normal] / unit[normal], initial=0.0)
    assert worst <= (2.04 if isinstance(rule, activations.SiLU) else 2)


@pytest.mark.parametrize("rule", ELEMENTWISE)
def test_float64_to_fifteen_digits(rule, rng):
    """The same accuracy in proportion in float64, where the special functions take longer series."""
    z = np.concatenate([rng.uniform(-3, 3, 200), rng.uniform(-15, 15, 150), rng.uniform(-90, 90, 50)])
    value = mpmath_reference(rule.FORMULA, rule, z)
    known = np.abs(np.asarray(value, float)) > 1e-60
    y = rule(jnp.asarray(z))
    assert np.max(ulp_error(y, value)[known]) <= 4


@pytest.mark.parametrize("rule", ELEMENTWISE)
def test_derivative_is_the_derivative_of_the_formula(rule):
    """SymPy differentiates FORMULA; the difference to DERIVATIVE vanishes at random points to 60 digits."""
    z = sympy.Symbol("z", real=True)
    formula, derivative = (symbolic(text, rule, symbols=True) for text in (rule.FORMULA, rule.DERIVATIVE))
    difference = sympy.diff(formula, z) - derivative
    numbers = {s: sympy.Rational(3, 7) for s in difference.free_symbols - {z}}
    rng = np.random.default_rng(zlib.crc32(repr(rule).encode()))
    for point in rng.uniform(-5, 5, 25):
        assert abs(sympy.N(difference.subs({**numbers, z: sympy.Rational(float(point))}), 70)) < 1e-60


def mutants(rule, z, dy):
    """Yield (name, wrong gradient) for the bugs planted in the backward of a rule."""
    _, saved = rule.forward(z)
    right = np.asarray(rule.backward(saved, dy))
    # A zero gradient has neither sign nor size: only a bug that makes it another number differs.
    if np.any(right):
        yield "sign", -right
        yield "factor 2", 2 * right
        one = right.copy()
        one.flat[np.argmax(np.abs(one))] *= 1.03
        yield "3 % in one element", one
    else:
        yield "straight through", np.asarray(dy)
    # A rule that saves nothing cannot save the wrong thing.
    if jax.tree.leaves(saved):
        stale = rule.forward(jnp.flip(z) * -0.7)[1]
        yield "stale saved", np.asarray(rule.backward(stale, dy))
    yield (
        "lost cotangent",
        np.asarray(rule.backward(saved, jnp.ones_like(dy))) if np.any(right) else 1 + right,
    )


@pytest.mark.parametrize("case", BATCHES)
def test_planted_bugs_are_rejected(case):
    """The comparison of the gradient test accepts the rule and rejects every mutant of it."""
    z = argument(case, np.float64)
    dy = cotangent(z)
    reference = vjp_reference(case.rule, z, dy)
    assert agrees(both(case.rule, z, dy)[1], reference)
    names = []
    for name, wrong in mutants(case.rule, z, dy):
        assert not agrees(wrong, reference, 1e-3), name
        names.append(name)
    assert len(names) >= 2


def test_planted_bugs_in_a_forward_are_rejected():
    """The unit count sees one part in a million, and an activation that forgets its tail."""
    z = np.linspace(-3, 3, 50).astype(np.float32)
    rule = fn.tanh
    value = mpmath_reference(rule.FORMULA, rule, z)
    assert np.max(ulp_error(rule(jnp.asarray(z)) * np.float32(1.000001), value)) > 4
    assert np.max(ulp_error(jnp.zeros(50, np.float32), value)) > 4


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", BATCHES)
def test_a_constant_and_a_traced_number_give_the_same_bits(case, dtype):
    """Compiled into the program or passed to it, a hyper-parameter is the same number."""
    z = argument(case, dtype)
    dy = cotangent(z)
    constant = jax.jit(lambda z, dy: both(case.rule, z, dy))(z, dy)
    traced = COMPILED(case.rule, z, dy)
    assert all(np.array_equal(a, b) for a, b in zip(constant, traced, strict=True))


@pytest.mark.parametrize("rule", [pytest.param(r, id="-".join(k)[:30]) for k, r in RULES.items()])
def test_integers_stop_at_the_door(rule):
    with pytest.raises(TypeError, match="floating-point"):
        rule(jnp.asarray([1, 2, 3]))


def test_bad_numbers_stop_at_the_door():
    cases = [
        lambda: activations.LeakyReLU(-0.1),
        lambda: activations.LeakyReLU(float("nan")),
        lambda: activations.ELU(-1.0),
        lambda: activations.Step(float("inf")),
        lambda: activations.GELU("tanh"),
        lambda: activations.Softmax(np.asarray([1.0, 0.0])),
        lambda: activations.Softmax(np.asarray([1.0, 2.0]))(jnp.zeros((4, 3))),
        lambda: activations.Softmax()(jnp.zeros(())),
        lambda: activations.LogSoftmax()(jnp.zeros((3, 0))),
    ]
    for construct in cases:
        with pytest.raises(ValueError, match=r"must .*, but .*\. Try: "):
            construct()


def test_sigmoid_limits():
    """0, ½ and 1 exactly."""
    y = fn.sigmoid(jnp.asarray([-1e4, 0.0, 1e4], np.float32))
    assert y.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_softmax_is_a_shift_invariant_distribution(rng, dtype):
    """Rows sum to 1, a shift that is exact changes no bit, and log-softmax is the logarithm."""
    z = jnp.asarray(np.round(rng.normal(size=(50, 7)) * 20 * 8) / 8, dtype)
    y = fn.softmax(z)
    epsilon = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(jnp.sum(y, axis=-1), 1, rtol=4 * epsilon)
    for shift in (-1e4, 64.0, 1e4):
        assert np.array_equal(fn.softmax(z + shift), y)
        assert np.array_equal(fn.log_softmax(z + shift), fn.log_softmax(z))
    np.testing.assert_allclose(jnp.exp(fn.log_softmax(z)), y, rtol=300 * epsilon)
    assert np.array_equal(fn.softmax(jnp.asarray([1e4, -1e4, 1e4], dtype)), [0.5, 0, 0.5])


def test_class_weights_add_their_logarithm(rng):
    """Weights w give softmax(z + log w) = w e^z over its sum; equal weights change nothing."""
    z, w = jnp.asarray(rng.normal(size=(20, 5))), jnp.asarray(rng.uniform(0.1, 9, 5))
    dy = cotangent(z)
    weighted = both(activations.Softmax(w), z, dy)
    added = both(fn.softmax, z + jnp.broadcast_to(jnp.log(w), z.shape), dy)
    assert relative_error(weighted[0], added[0]) < 1e-14
    assert agrees(weighted[1], added[1])
    mass = np.asarray(w) * np.exp(np.asarray(z))
    assert relative_error(weighted[0], mass / mass.sum(axis=-1, keepdims=True)) < 1e-14
    even = activations.Softmax(jnp.full(5, 3.0))(z)
    assert relative_error(even, fn.softmax(z)) < 1e-14


def test_softmax_units_in_the_last_place(rng, capsys):
    """Float32 against extended precision: small probabilities keep their digits."""
    z = (rng.normal(size=(400, 6)) * rng.choice([0.1, 3, 30], (400, 1))).astype(np.float32)
    exact = z.astype(np.longdouble) - z.max(axis=-1, keepdims=True)
    mass = np.exp(exact)
    probability = mass / mass.sum(axis=-1, keepdims=True)
    top = np.argmax(z, axis=-1)[:, None]
    others = np.sum(np.where(np.arange(6) == top, 0, mass), axis=-1, keepdims=True)
    for rule, wanted in (
        (fn.softmax, probability),
        (fn.log_softmax, exact - np.log1p(others)),
    ):
        # Below the smallest normal number anything down to 0 is right.
        unit = np.where(np.abs(wanted) < 1.2e-38, 1.2e-38, np.spacing(np.abs(wanted).astype(np.float32)))
        # A small probability, also where it is all that −log p of the largest class consists of, is as uncertain
        # as rounding its difference of logits makes it.
        runner_up = np.sort(-exact, axis=-1)[:, 1:2]
        gap = -exact if rule == fn.softmax else np.where(exact == 0, runner_up, 0)
        unit = unit * (1 + gap / 4)
        errors = [np.max(np.abs(np.asarray(f(jnp.asarray(z))) - wanted) / unit) for f in (rule, jax.jit(rule))]
        with capsys.disabled():
            print(f"\n{rule!r:40} forward (eager, jit): {errors[0]:.2f} {errors[1]:.2f}", end="")
        assert max(errors) <= 4


def test_registry_is_complete_and_in_order():
    """Modules in alphabetical order; every rule has a lower-case instance named like its module."""
    names = [module.__name__.split(".")[-1] for module in REGISTRY]
    assert names == sorted(names)
    for module, name in zip(REGISTRY, names, strict=True):
        instance = getattr(fn, name)
        assert type(instance).__module__ == module.__name__
        assert instance == type(instance)()
        assert type(instance).INITIALIZER in ("he", "glorot", "lecun")
        assert {"ordinary", "batch", "extreme", "known"} <= {case.kind for case in module.CASES}
        if isinstance(instance, Elementwise) and instance.kinks():
            assert any(case.kind == "kink" for case in module.CASES)


def test_kinks_are_where_the_sides_differ():
    """Outside the listed kinks the formula is continuous in its derivative: no kink is forgotten."""

    @record
    class Bent(Elementwise):
        FORMULA = "Piecewise((z, z > 0), (2*z, True))"
        DERIVATIVE = "Piecewise((1, z > 0), (2, True))"

    def jumps(rule):
        grid = np.arange(-8, 8.01, 0.25)
        before, after = (mpmath_reference(rule.DERIVATIVE, rule, grid + h) for h in (-1e-9, 1e-9))
        return {float(g) for g, a, b in zip(grid, before, after, strict=True) if abs(a - b) > 1e-6}

    assert jumps(Bent()) == {0.0}
    for instance in (getattr(fn, m.__name__.split(".")[-1]) for m in REGISTRY):
        if isinstance(instance, Elementwise):
            assert jumps(instance) <= {float(place) for place, _ in instance.kinks()}
