"""References and measures of error for the tests of elementwise functions."""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import sympy
from _pytest.mark.structures import ParameterSet

from funcnet.records import children, replace

# Enough digits for 1 + erf(z/√2) at the z where it underflows float32, and for 1 + e^z likewise.
DIGITS = 90


def sampled(values, always):
    """Return the parameters of a loop: those that `always` chooses run in each run, all others by `pytest -m every`."""
    rest = pytest.mark.every
    rows = [(value, value if type(value) is tuple else (value,)) for value in values]
    return [pytest.param(*row, marks=() if always(value) else rest) for value, row in rows]


def one_in(count, values):
    """Return the parameters of a loop: one in so many runs in each run, all others by `pytest -m every`."""
    rows = [
        value if isinstance(value, ParameterSet) else pytest.param(*(value if type(value) is tuple else (value,)))
        for value in values
    ]
    return [row._replace(marks=(*row.marks, pytest.mark.every)) if i % count else row for i, row in enumerate(rows)]


def quick(function):
    """Compile a function in little time, for what runs a few times only."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function, compiler_options=options)


@contextlib.contextmanager
def compiled():
    """Note the names of the programs that are compiled inside."""
    names = []

    def listen(event, seconds, **words):
        if event.endswith("backend_compile_duration"):
            names.append(words.get("fun_name", ""))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def symbolic(text: str, rule: Any, symbols: bool = False) -> sympy.Expr:
    """Parse a FORMULA or DERIVATIVE of a rule; its numbers are exact values, or positive symbols."""
    known: dict[str, Any] = {"z": sympy.Symbol("z", real=True)}
    for field in dataclasses.fields(rule):
        name, value = field.name, getattr(rule, field.name)
        if isinstance(value, bool):
            known[name] = sympy.true if value else sympy.false
        else:
            known[name] = sympy.Symbol(name, positive=True) if symbols else sympy.Rational(float(value))
    # Through Rational, so that a decimal in the text is exact however many digits it has.
    return sympy.sympify(text, locals=known, rational=True)


def mpmath_reference(text: str, rule: Any, z: np.ndarray) -> np.ndarray:
    """Evaluate a formula at every element of z in arbitrary precision; the result is an array of mpf."""
    function = sympy.lambdify(sympy.Symbol("z", real=True), symbolic(text, rule), "mpmath")
    with mpmath.workdps(DIGITS):
        values = [mpmath.mpf(function(mpmath.mpf(float(v)))) for v in np.ravel(z)]
    return np.asarray(values, dtype=object).reshape(np.shape(z))


def ulp_error(found: Any, wanted: np.ndarray) -> np.ndarray:
    """Return |found − wanted| in units in the last place of `wanted` in the dtype of `found`.

    Where `wanted` is below the smallest normal number, 0 and anything within that number count as right,
    since XLA on the CPU flushes subnormal numbers; where it overflows, infinity is right.
    """
    information = np.finfo(np.asarray(found).dtype)
    tiny, largest = mpmath.mpf(float(information.tiny)), mpmath.mpf(float(information.max))
    errors = []
    with mpmath.workdps(DIGITS):
        for a, b in zip(np.ravel(np.asarray(found, np.float64)), np.ravel(wanted), strict=True):
            if abs(b) > largest and np.isinf(a):
                errors.append(0.0)
            elif not np.isfinite(a):
                errors.append(np.inf)
            elif abs(b) < tiny:
                errors.append(0.0 if abs(mpmath.mpf(float(a)) - b) <= tiny else np.inf)
            else:
                unit = mpmath.ldexp(1, mpmath.mag(b) - 1 - information.nmant)
                errors.append(float(abs(mpmath.mpf(float(a)) - b) / unit))
    return np.reshape(errors, np.shape(found))


def relative_error(found: Any, wanted: Any) -> float:
    """Return the largest |found − wanted| relative to `wanted`; a NaN counts as infinite."""
    a, b = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert a.shape == b.shape
    difference = np.abs(a - b)
    quotient = difference / np.where(difference > 0, np.maximum(np.abs(b), np.finfo(np.float64).tiny), 1)
    return float(np.max(np.where(np.isnan(quotient), np.inf, quotient), initial=0.0))


def cotangent(like: jax.Array, seed: int = 0) -> jax.Array:
    """Draw numbers of both signs that are not all alike, in the shape and dtype of `like`."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(0.5, 2, like.shape) * rng.choice([-1.0, 1.0], like.shape), like.dtype)


def vjp_reference(function: Any, x: jax.Array, dy: jax.Array) -> jax.Array:
    """Return the vector-Jacobian product that automatic differentiation finds."""
    return jax.vjp(function, x)[1](dy)[0]


def renumbered(rule: Any, numbers: dict[str, float] | None = None) -> Any:
    """Return a rule with awkward numbers in place of those that a hand can compute with: given by name, or · 0.937."""
    given, changes = numbers or {}, {}

    def walk(node: Any, prefix: str) -> None:
        for name, value in children(node).items():
            if isinstance(value, float):
                changes[prefix + name] = given.get(name, 0.937 * value)
            walk(value, f"{prefix}{name}.")

    walk(rule, "")
    return replace(rule, changes)
