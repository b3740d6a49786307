r"""Traced programs, run one primitive after another in another arithmetic.

Complex numbers    f(x + i h v) = f(x) + i h J v + O(h²), so Im f / h is J v to the last digits, h being 2⁻¹⁰⁰: no
                   difference is taken, so nothing cancels (Squire & Trapp 1998). Rules refuse complex numbers, rightly;
                   so their traced program is run over them here. Primitives that are analytic run as they are. Those
                   that are pieced together (max, abs, select, comparisons, sign, rounding) are decided by the real
                   part, which is the branch that the rule takes at x. Anything else, and loops, are not applicable.
Random rounding    each number is moved by a unit in the last place at random: how far the outcome moves is what is lost
                   to rounding, cancellation and ill condition included (La Porte & Vignes 1974).
Opened             with every `custom_vjp` opened it is the function that JAX would have differentiated by itself.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANALYTIC = _names(
    "add sub mul div neg exp exp2 log sin cos tan sinh cosh sqrt rsqrt integer_pow pow square dot_general "
    "conv_general_dilated reduce_sum cumsum add_any reduce_prod"
)
_STRUCTURAL = _names(
    "broadcast_in_dim reshape transpose squeeze expand_dims concatenate slice dynamic_slice dynamic_update_slice "
    "gather scatter scatter-add rev pad select_n copy copy_p stop_gradient split"
)
_COMPARING = _names("gt lt ge le eq ne")
_REAL_PART = _names("floor ceil round sign is_finite reduce_precision bitcast_convert_type argmax argmin")
_CALLS = _names(
    "jit pjit closed_call core_call custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr remat2 checkpoint"
)
_EXACT = _STRUCTURAL | _COMPARING | _REAL_PART | _names("neg abs max min clamp reduce_max reduce_min")


@functools.cache
def _core() -> Any:
    """Return the module of traced programs; it is imported late, since a tenth of a second comes with it."""
    return importlib.import_module("jax.extend.core")


def _is_literal(atom: Any) -> bool:
    return isinstance(atom, _core().Literal)


class NotApplicable(Exception):
    """A witness cannot judge this rule; the message says why."""


def complexified(closed: Any) -> Callable[..., Any]:
    """Return a traced function with its first argument complex, or raise NotApplicable."""
    _check(closed.jaxpr, [i == 0 for i, _ in enumerate(closed.jaxpr.invars)])

    def run(vector: Any, *rest: Any) -> Any:
        (out,) = walk(closed.jaxpr, closed.consts, jax.tree.leaves((vector, *rest)), _complex_equation)
        return out if jnp.iscomplexobj(out) else out.astype(vector.dtype)

    return run


def without_custom_vjp(closed: Any) -> Callable[..., Any]:
    """Return what a traced function computes as a function with every custom_vjp opened."""

    def run(*arguments: Any) -> Any:
        (out,) = walk(closed.jaxpr, closed.consts, jax.tree.leaves(arguments), _opened_equation)
        return out

    return run


def randomly_rounded(closed: Any, arguments: list[Any], rng: np.random.Generator, runs: int) -> np.ndarray:
    """Run a traced function so often on each of `arguments`, each number on the way rounded at random.

    That is every result, argument and array that it carries along; what comes back is (runs, arguments, …).
    """
    taken = 0

    def run(signs: Any, given: Any, consts: Any) -> Any:
        nonlocal taken
        taken = 0

        def shake(value: Any) -> Any:
            nonlocal taken
            if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
                return value
            value = jnp.asarray(value)
            first, taken = taken, taken + value.size
            if signs is None:
                return value
            sign = signs[first:taken].reshape(value.shape).astype(jnp.float64)
            return (value.astype(jnp.float64) * (1 + float(jnp.finfo(value.dtype).eps) * sign)).astype(value.dtype)

        def equation(eqn: Any, values: list[Any]) -> list[Any]:
            if eqn.primitive.name in _CALLS:
                inner, within = inner_program(eqn)
                return walk(inner, within, values, equation)
            found = bind(eqn, values)
            return found if eqn.primitive.name in _EXACT else [shake(value) for value in found]

        given, consts = [shake(value) for value in given], [shake(value) for value in consts]
        (out,) = walk(closed.jaxpr, consts, given, equation)
        return out.astype(jnp.float64)

    given = [jax.tree.leaves(one) for one in arguments]
    jax.eval_shape(functools.partial(run, None), given[0], closed.consts)  # counts how many numbers are rounded
    program, size = quickly(run), taken
    signs = rng.choice(np.asarray([-1, 1], np.int8), (runs, len(given), size))
    found = [
        [np.asarray(program(row, one, closed.consts)) for row, one in zip(rows, given, strict=True)] for rows in signs
    ]
    return np.asarray(found)


def quickly(function: Callable[..., Any]) -> Any:
    """Compile a witness quickly: it is run a few times only, so optimizing it would cost more than it saves."""
    if jax.default_backend() != "cpu":
        return jax.jit(function)
    return jax.jit(
        function, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    )


def walk(jaxpr: Any, consts: Any, arguments: Any, equation: Callable[..., Any]) -> list[Any]:
    """Evaluate a traced program, handing each of its equations to `equation(eqn, values)`."""
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if _is_literal(atom) else values[atom]

    for eqn in jaxpr.eqns:
        found = equation(eqn, [read(atom) for atom in eqn.invars])
        values.update(zip(eqn.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def primitives_of(jaxpr: Any) -> set[str]:
    """Return the names of all primitives of a traced program, those of the programs within it too."""
    found = set()
    for eqn in jaxpr.eqns:
        found.add(eqn.primitive.name)
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found |= primitives_of(inner)
    return found


def inner_program(eqn: Any) -> tuple[Any, Any]:
    """Return the program that a call runs, and its constants."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if inner is not None:
            return (inner.jaxpr, inner.consts) if isinstance(inner, _core().ClosedJaxpr) else (inner, ())
    raise NotApplicable(f"{eqn.primitive.name} hides its program")


def bind(eqn: Any, values: list[Any]) -> list[Any]:
    """Run one equation as it stands."""
    given = eqn.primitive.get_bind_params(eqn.params)
    subfuns, params = ((), given) if isinstance(given, dict) else given  # a pair before jax 0.8
    found = eqn.primitive.bind(*subfuns, *values, **params)
    return list(found) if eqn.primitive.multiple_results else [found]


def _opened_equation(eqn: Any, values: list[Any]) -> list[Any]:
    name = eqn.primitive.name
    if name in ("jit", "pjit", "closed_call", "core_call") or name.startswith("custom_vjp_call"):
        inner, consts = inner_program(eqn)
        return walk(inner, consts, values, _opened_equation)
    return bind(eqn, values)


def _complex_equation(eqn: Any, values: list[Any]) -> list[Any]:
    name = eqn.primitive.name
    if name in _CALLS:
        inner, consts = inner_program(eqn)
        return walk(inner, consts, values, _complex_equation)
    if not any(jnp.iscomplexobj(value) for value in values):
        return bind(eqn, values)
    if name in _COMPARING or name in _REAL_PART:
        found = bind(eqn, [jnp.real(v) if jnp.iscomplexobj(v) else v for v in values])
        return [f.astype(jnp.complex128) if jnp.issubdtype(f.dtype, jnp.floating) else f for f in found]
    if name == "convert_element_type":
        (value,) = values
        new = eqn.params["new_dtype"]
        return [value if jnp.issubdtype(new, jnp.inexact) else jnp.real(value).astype(new)]
    if name in _PIECED:
        return [_PIECED[name](eqn, *(_complex(v) for v in values))]
    if name == "select_n":
        return bind(
            eqn, [jnp.real(values[0]) if jnp.iscomplexobj(values[0]) else values[0], *map(_complex, values[1:])]
        )
    params = dict(eqn.params)
    if params.get("preferred_element_type") is not None:
        params["preferred_element_type"] = np.dtype(np.complex128)
    return bind(eqn.replace(params=params), [_complex(v) for v in values])


def _complex(value: Any) -> Any:
    value = jnp.asarray(value)
    return value.astype(jnp.complex128) if jnp.issubdtype(value.dtype, jnp.floating) else value


def _reduce_by_real(best: Callable[..., Any]) -> Callable[..., Any]:
    def run(eqn: Any, z: Any) -> Any:
        axes = eqn.params["axes"]
        top = best(jnp.real(z), axis=axes, keepdims=True)
        chosen = (jnp.real(z) == top).astype(jnp.float64)
        imag = jnp.sum(jnp.imag(z) * chosen, axis=axes) / jnp.sum(chosen, axis=axes)
        return jax.lax.complex(jnp.squeeze(top, axes), imag)

    return run


def _near_real(function: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Any]:
    # f(a + i b) = f(a) + i b f′(a) + O(b²), and b is 2⁻¹⁰⁰ of a: for functions whose complex form loses digits near
    # the axis.
    return lambda eqn, z: jax.lax.complex(function(jnp.real(z)), jnp.imag(z) * slope(jnp.real(z)))


_PIECED: dict[str, Callable[..., Any]] = {
    "abs": lambda eqn, z: jnp.where(jnp.real(z) < 0, -z, z),
    "max": lambda eqn, a, b: jnp.where(jnp.real(a) >= jnp.real(b), a, b),
    "min": lambda eqn, a, b: jnp.where(jnp.real(a) <= jnp.real(b), a, b),
    "clamp": lambda eqn, low, z, high: jnp.where(
        jnp.real(z) < jnp.real(low),
        jnp.broadcast_to(low, z.shape),
        jnp.where(jnp.real(z) > jnp.real(high), jnp.broadcast_to(high, z.shape), z),
    ),
    "reduce_max": _reduce_by_real(jnp.max),
    "reduce_min": _reduce_by_real(jnp.min),
    "logistic": lambda eqn, z: _logistic(z),
    "log1p": _near_real(jnp.log1p, lambda a: 1 / (1 + a)),
    "expm1": _near_real(jnp.expm1, jnp.exp),
    "tanh": _near_real(jnp.tanh, lambda a: 1 / jnp.square(jnp.cosh(a))),
    "erf": _near_real(jax.lax.erf, lambda a: 2 / np.sqrt(np.pi) * jnp.exp(-a * a)),
    "erfc": _near_real(jax.lax.erfc, lambda a: -2 / np.sqrt(np.pi) * jnp.exp(-a * a)),
}


def _logistic(z: Any) -> Any:
    # e^{−|Re z|} does not overflow, and the two halves are one analytic function.
    e = jnp.exp(jnp.where(jnp.real(z) < 0, z, -z))
    return jnp.where(jnp.real(z) < 0, e, jnp.ones_like(e)) / (1 + e)


_KNOWN = _ANALYTIC | _STRUCTURAL | _COMPARING | _REAL_PART | {"convert_element_type"} | set(_PIECED)


def _check(jaxpr: Any, dependent: list[bool]) -> list[bool]:
    """Raise NotApplicable for the first equation on the way from the input that has no complex form."""
    known = dict(zip(jaxpr.invars, dependent, strict=True))
    for eqn in jaxpr.eqns:
        taints = [not _is_literal(atom) and known.get(atom, False) for atom in eqn.invars]
        name = eqn.primitive.name
        if name in _CALLS:
            outs = _check(inner_program(eqn)[0], taints)
        else:
            if any(taints) and name not in _KNOWN:
                raise NotApplicable(f"{name} has no complex form here")
            integral = all(not jnp.issubdtype(getattr(v.aval, "dtype", np.int32), jnp.inexact) for v in eqn.outvars)
            outs = [any(taints) and not integral] * len(eqn.outvars)
        known.update(zip(eqn.outvars, outs, strict=True))
    return [not _is_literal(atom) and known.get(atom, False) for atom in jaxpr.outvars]


def narrowest(jaxpr: Any, dependent: list[bool]) -> Any:
    """Return the dtype of least precision through which the input's values pass inside a program, or None."""
    known = dict(zip(jaxpr.invars, dependent, strict=True))
    found: list[Any] = []
    for eqn in jaxpr.eqns:
        taints = [not _is_literal(atom) and known.get(atom, False) for atom in eqn.invars]
        if eqn.primitive.name in _CALLS:
            inner = inner_program(eqn)[0]
            deeper = narrowest(inner, taints)
            found += [] if deeper is None else [deeper]
        for out in eqn.outvars:
            dtype = getattr(out.aval, "dtype", None)
            passes = any(taints) and dtype is not None and jnp.issubdtype(dtype, jnp.floating)
            known[out] = passes
            found += [dtype] if passes else []
    return max(found, key=lambda dtype: float(jnp.finfo(dtype).eps)) if found else None
