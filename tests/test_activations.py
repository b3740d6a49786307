"""Every activation of the registry, at each of its cases and over the whole range of float32."""

import dataclasses
import itertools
import re
import sys
import types
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import funcnet as fn
from funcnet import activations
from funcnet.activations import REGISTRY, Elementwise
from funcnet.checking import cases, check
from funcnet.records import record
from funcnet.registry import registry
from tests.helpers import (
    cotangent,
    mpmath_reference,
    one_in,
    relative_error,
    sampled,
    symbolic,
    ulp_error,
)

MODES = ("eager", "jit", "vmap")
TOLERANCE = {np.float64: 2e-15, np.float32: 5e-7}


def gather(modules):
    """Return the cases of concepts, each with a name."""
    return [
        pytest.param(c, id=f"{m.__name__.split('.')[-1]}-{i}-{c.kind}") for m in modules for i, c in enumerate(m.CASES)
    ]


def rules_of(modules):
    """Return one rule of each structure: the forms of an activation that a choice tells apart are tried apart."""
    found = {(m.__name__.split(".")[-1], str(jax.tree.structure(c.rule))): c.rule for m in modules for c in m.CASES}
    return [pytest.param(rule, id=f"{name}-{i}") for i, ((name, _), rule) in enumerate(found.items())]


ALL = gather(REGISTRY)
KINKS = [p for p in ALL if p.values[0].kind == "kink"]
BATCHES = [p for p in ALL if p.values[0].kind == "batch"]
RULES = rules_of(REGISTRY)
ELEMENTWISE = [p for p in RULES if isinstance(p.values[0], Elementwise)]


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


@pytest.mark.parametrize("mode", sampled(MODES, lambda mode: mode == "jit"))
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
        # Rounding z² in the tail of a Gaussian costs some tens of units, as in `jax.nn`.
        assert np.max(ulp_error(y, mpmath_reference(case.rule.FORMULA, case.rule, np.asarray(z)))) <= 50


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", KINKS)
def test_kinks_have_the_stated_subgradient(case, mode):
    """At every listed kink the cotangent is multiplied by the stated number."""
    for place, stated in case.rule.kinks():
        z = jnp.full((5,), place, np.float64)
        dy = cotangent(z)
        assert np.array_equal(in_mode(mode, case.rule, z, dy)[1], stated * dy)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, jnp.bfloat16])
@pytest.mark.parametrize("rule", one_in(3, RULES))
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


def slopes_at_nan(rule):
    """Return what backward may multiply dy by at NaN: NaN, or, where a rule is made of lines, a slope of its own."""
    if isinstance(rule, Elementwise) and symbolic(rule.DERIVATIVE, rule).diff(sympy.Symbol("z", real=True)) == 0:
        return [float(stated) for _, stated in rule.kinks()] or [1.0]
    return [np.nan]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, jnp.bfloat16, np.float16])
@pytest.mark.parametrize("rule", one_in(3, ELEMENTWISE))
def test_infinities_give_the_limits_and_nan_is_passed_on(rule, dtype):
    """At ±∞ value and derivative are their limits; the value of NaN is NaN, its derivative as docs/kinks.md says."""
    y, dz = COMPILED(rule, *jnp.asarray([[-np.inf, np.inf, np.nan], [1, 1, 1]], dtype))
    value, slope = (mpmath_reference(text, rule, np.asarray([-1e30, 1e30])) for text in (rule.FORMULA, rule.DERIVATIVE))
    limits = [float(v) if abs(v) < 1e3 else float(np.copysign(np.inf, float(v))) for v in value]
    tolerance = 2 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(y[:2], np.float64), limits, rtol=tolerance, atol=1e-38)
    np.testing.assert_allclose(np.asarray(dz[:2], np.float64), slope.astype(float), rtol=tolerance, atol=1e-38)
    assert np.isnan(y[2])
    assert any(np.array_equal(dz[2], jnp.asarray(s, dtype), equal_nan=True) for s in slopes_at_nan(rule))


def test_an_infinite_logit_takes_all():
    """∞ counts as the largest number, −∞ is probability 0; a NaN leaves no distribution."""
    for dtype in (np.float64, np.float32, jnp.bfloat16, np.float16):
        z = jnp.asarray([[1, np.inf, 2], [np.inf, np.inf, 0], [-np.inf, 3, 3], [np.nan, 0, 1]], dtype)
        y = np.asarray(fn.softmax(z), np.float64)
        assert y[:3].tolist() == [[0, 1, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]]
        assert np.isnan(y[3]).all()
        logarithm = np.asarray(fn.log_softmax(z), np.float64)
        assert logarithm[0, 1] == 0
        assert logarithm[0, 0] < -6e4
        assert logarithm[2, 0] == -np.inf
        assert np.isnan(logarithm[3]).all()


STRETCHES = (-np.inf, -20, -5, -1, 0, 1, 5, 20, np.inf)


def everywhere(rule, rng, count=150):
    """Return float32 numbers over the whole range, as many between neighbours of `STRETCHES`, and beside the kinks."""
    ends = np.clip(STRETCHES, -110, 110)
    sizes = 10.0 ** rng.uniform(-37, 38, count)
    near = [np.asarray(place) + rng.choice([-1, 1], 20) * 10.0 ** rng.uniform(-6, -1, 20) for place, _ in rule.kinks()]
    inner = [rng.uniform(a, b, count) for a, b in itertools.pairwise(ends)]
    z = np.concatenate([[3.4e38, -3.4e38, 88.7, -88.7], *near, sizes * rng.choice([-1, 1], count), *inner])
    # One length for all, so that one compilation serves many.
    return z[: 9 * count].astype(np.float32)


def peer(rule):
    """Return the function of `jax.nn` that is called like the rule's file, with the rule's numbers in their order."""
    function = getattr(jax.nn, type(rule).__module__.split(".")[-1], None)
    numbers = [getattr(rule, field.name) for field in dataclasses.fields(rule)]
    return function and (lambda z: function(z, *numbers))


@pytest.mark.parametrize("rule", ELEMENTWISE)
def test_no_rule_is_more_wrong_than_that_of_jax_nn(rule, rng, capsys):
    """Float32, stretch by stretch: within 2 units in the last place (derivatives 4), or twice what `jax.nn` is off."""
    z = everywhere(rule, rng)
    dy = jnp.ones(len(z), np.float32)
    exact = [mpmath_reference(text, rule, z) for text in (rule.FORMULA, rule.DERIVATIVE)]
    ours = COMPILED(rule, jnp.asarray(z), dy)
    errors = [ulp_error(a, b) for a, b in zip(ours, exact, strict=True)]
    theirs = np.zeros((2, len(z)))
    if peer(rule):
        y, pull = jax.vjp(jax.jit(peer(rule)), jnp.asarray(z))
        theirs = [ulp_error(a, b) for a, b in zip((y, *pull(dy)), exact, strict=True)]
    for what, least, mine, other in zip(("forward", "derivative"), (2, 4), errors, theirs, strict=True):
        inside = [(z > a) & (z <= b) for a, b in itertools.pairwise(STRETCHES)]
        pairs = [(np.max(mine[i]), np.max(other[i])) for i in inside]
        with capsys.disabled():
            cells = "  ".join(f"{a:.2g}/{b:.2g}" for a, b in pairs)
            print(f"\n{rule!r:40} {what:10} ours/jax.nn by stretch: {cells}", end="")
        assert all(a <= max(least, 2 * b) for a, b in pairs), pairs


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rule", one_in(3, ELEMENTWISE))
def test_no_stretch_loses_its_digits(rule, rng, dtype):
    """Forward, tails included, as far as the reference of 90 digits goes and all factors are numbers."""
    z = everywhere(rule, rng, 40).astype(dtype)
    value = mpmath_reference(rule.FORMULA, rule, z)
    y = np.asarray(COMPILED(rule, jnp.asarray(z), jnp.ones(len(z), dtype))[0])
    held = np.asarray([abs(v) > max(1e3 * float(np.finfo(dtype).tiny), 1e-70) for v in value])
    assert np.max(ulp_error(y, value)[held], initial=0) <= (100 if dtype == np.float32 else 1000)


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


@pytest.mark.parametrize("rule", RULES)
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


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_softmaxes_are_as_exact_as_those_of_jax_nn(name, rng):
    """Float32 against extended precision, logits near each other and far apart."""
    z = (rng.normal(size=(400, 6)) * rng.choice([0.1, 3, 30], (400, 1))).astype(np.float32)
    gap = z.astype(np.longdouble) - z.max(axis=-1, keepdims=True)
    logarithm = gap - np.log(np.sum(np.exp(gap), axis=-1, keepdims=True))
    wanted = np.exp(logarithm) if name == "softmax" else logarithm
    unit = np.spacing(np.maximum(np.abs(wanted).astype(np.float32), np.finfo(np.float32).tiny))
    ours, theirs = (
        np.max(np.abs(np.asarray(jax.jit(f)(jnp.asarray(z))) - wanted) / unit)
        for f in (getattr(fn, name), getattr(jax.nn, name))
    )
    assert ours <= max(2, theirs)


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


def softsign():
    """Return the file that docs/guides/concept.md writes: its last class, and its cases."""
    page = (Path(__file__).parent.parent / "docs/guides/concept.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    imports = blocks[0].split("@fn.record")[0]
    (cases_,) = [block for block in blocks if "CASES" in block]
    module = types.ModuleType("funcnet.activations.softsign")
    last = [block for block in blocks if "class Softsign" in block][-1]
    sys.modules[module.__name__] = module
    exec(
        compile("\n".join([imports, "@fn.record" + last.split("@fn.record")[1], cases_]), "softsign.py", "exec"),
        vars(module),
    )
    return module


@pytest.mark.every
def test_a_new_concept_is_its_file_and_one_line(monkeypatch, rng, capsys):
    """The guide's example, registered on the fly, passes the loops; taken out again, it is gone."""
    before = activations.REGISTRY
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "funcnet.activations.softsign", None)
        module = softsign()
        patch.setattr(activations, "Softsign", module.Softsign, raising=False)  # the line of the folder's __init__
        patch.setattr(activations, "REGISTRY", registry("funcnet.activations"))
        assert [m for m in activations.REGISTRY if m not in before] == [module]
        assert [m.__name__ for m in activations.REGISTRY] == sorted(m.__name__ for m in activations.REGISTRY)
        for case in (p.values[0] for p in gather([module])):
            for dtype in TOLERANCE:
                test_forward(case, dtype, "jit")
            assert check(case.rule, *case.arguments, known=case.gradient)
        for rule in (p.values[0] for p in rules_of([module])):
            for dtype in (np.float32, jnp.bfloat16):
                test_finite_input_gives_finite_output(rule, dtype)
                test_infinities_give_the_limits_and_nan_is_passed_on(rule, dtype)
            test_no_rule_is_more_wrong_than_that_of_jax_nn(rule, rng, capsys)
            test_no_stretch_loses_its_digits(rule, rng, np.float32)
            test_derivative_is_the_derivative_of_the_formula(rule)
            test_integers_stop_at_the_door(rule)
        assert [e.group for e in cases("activations")].count("softsign") == len(module.CASES)
    assert activations.REGISTRY is before
    assert "softsign" not in [e.group for e in cases("activations")]
