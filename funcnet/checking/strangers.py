r"""A stranger's functions as subjects: a pair, a function with a claimed gradient, one that JAX differentiates."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from funcnet.checking.form import Subject, parameter_names, rule_name
from funcnet.checking.layout import is_floating
from funcnet.errors import describe, raise_error


def pair(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: tuple[Any, ...],
    argnums: Any,
    rule: Any,
) -> Subject:
    """Check two functions: forward(*arguments) -> (y, saved), backward(saved, dy) -> gradients."""
    names, chosen, join = _split(forward, arguments, argnums)

    def run(point: Any, constants: Any) -> Any:
        found = forward(*join(point, constants))
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"forward must return the pair (y, saved), but returned {describe(found)}")
        return found

    def pull(point: Any, saved: Any, dy: Any) -> Any:
        return _by_name(backward(saved, dy), names, chosen, len(arguments))

    return Subject(name, "pair", run, pull, {names[i]: arguments[i] for i in chosen}, _rest(arguments, chosen), rule)


def claimed_gradient(
    f: Callable[..., Any], arguments: tuple[Any, ...], gradient: Callable[..., Any], argnums: Any
) -> Subject:
    """Check a function against a claimed gradient (or, for a function of one array, its elementwise derivative)."""
    names, chosen, join = _split(f, arguments, argnums)

    def pull(point: Any, saved: Any, dy: Any) -> Any:
        claimed = _by_name(gradient(*join(point, saved)), names, chosen, len(arguments))
        return jax.tree.map(lambda g: _times(g, dy), claimed)

    def run(point: Any, constants: Any) -> Any:
        return f(*join(point, constants)), constants

    return Subject(
        rule_name(f), "gradient", run, pull, {names[i]: arguments[i] for i in chosen}, _rest(arguments, chosen), f
    )


def _times(gradient: Any, dy: Any) -> Any:
    """Multiply a claimed gradient by the cotangent of a scalar, or a derivative by one of its own shape."""
    if np.shape(dy) not in ((), np.shape(gradient)):
        raise TypeError(
            "gradient= is for a function that returns one number, or acts on each element alone; here y has shape "
            f"{np.shape(dy)} and the claimed gradient {np.shape(gradient)}: use a pair (forward, backward)"
        )
    return gradient * dy


def differentiated(f: Callable[..., Any], arguments: tuple[Any, ...], argnums: Any) -> Subject:
    """Check the derivative that JAX has for a function, custom or not, against the numbers."""
    names, chosen, join = _split(f, arguments, argnums)

    def run(point: Any, constants: Any) -> Any:
        return f(*join(point, constants)), (point, constants)

    def pull(point: Any, saved: Any, dy: Any) -> Any:
        y, back = jax.vjp(lambda p: f(*join(p, saved[1])), saved[0])
        return back(jax.tree.map(lambda d, like: d.astype(like.dtype), dy, y))[0]

    return Subject(
        rule_name(f),
        "function",
        run,
        pull,
        {names[i]: arguments[i] for i in chosen},
        _rest(arguments, chosen),
        f,
        opaque=True,
    )


def _split(f: Callable[..., Any], arguments: tuple[Any, ...], argnums: Any) -> tuple[list[str], tuple[int, ...], Any]:
    """Name the arguments, choose those to differentiate, and return how to put them together again."""
    if not arguments:
        raise_error("check needs example arguments", "got none", "fn.check(rule, jnp.asarray([0.3, -1.2]))")
    given = parameter_names(f)
    names = [given[i] if i < len(given) else f"argument {i}" for i in range(len(arguments))]
    if argnums is None:
        chosen = tuple(i for i, argument in enumerate(arguments) if _differentiable(argument))
    else:
        chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not chosen:
        raise_error(
            "at least one example argument must be a floating-point array",
            f"got {', '.join(describe(a) for a in arguments)}",
            "jnp.asarray(x, jnp.float32)",
            TypeError,
        )

    def join(point: Any, constants: Any) -> list[Any]:
        rest = iter(constants)
        return [point[names[i]] if i in chosen else next(rest) for i in range(len(arguments))]

    return names, chosen, join


def _by_name(found: Any, names: list[str], chosen: tuple[int, ...], count: int) -> dict[str, Any]:
    """Give each differentiated argument its gradient; an entry for each argument may come with None for the rest."""
    if len(chosen) == 1 and not (isinstance(found, (tuple, list)) and len(found) in (1, count) and count > 1):
        single = isinstance(found, tuple) and len(found) == 1
        return {names[chosen[0]]: found[0] if single else found}
    if isinstance(found, (tuple, list)) and len(found) == count:
        return {names[i]: found[i] for i in chosen}
    if isinstance(found, (tuple, list)) and len(found) == len(chosen):
        return {names[i]: g for i, g in zip(chosen, found, strict=True)}
    wanted = ", ".join(names[i] for i in chosen)
    number = len(found) if isinstance(found, (tuple, list)) else "one"
    raise TypeError(
        f"backward must return one gradient for each of {wanted}, but returned {number}; "
        "argnums= says which arguments are differentiated"
    )


def _rest(arguments: tuple[Any, ...], chosen: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(argument for i, argument in enumerate(arguments) if i not in chosen)


def _differentiable(argument: Any) -> bool:
    return any(is_floating(leaf) for leaf in jax.tree.leaves(argument))
