r"""Subjects: every kind of rule, and a stranger's functions, brought into one form.

    forward(point, constants) -> (y, saved)
    backward(point, saved, dy) -> gradient, a tree like the point

The point holds the inputs that are differentiated, by name; the constants those that are not: targets, sample
weights, labels, keys. Everything else in the checker knows subjects only.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnet.check.layout import as_arrays, is_floating
from funcnet.errors import describe, raise_error


class Subject(NamedTuple):
    """What is checked, and where."""

    name: str
    kind: str  # activation, layer, loss, regularizer, pair, gradient, function
    forward: Callable[[Any, Any], tuple[Any, Any]]
    backward: Callable[[Any, Any, Any], Any]
    point: dict[str, Any]
    constants: tuple[Any, ...]
    rule: Any
    # (position in the layout's leaf, stated slope) pairs come from here; see kinks.py
    stated: tuple[tuple[Any, Any], ...] = ()
    # Composites contain other rules, so that a kink inside them need not give an interval of slopes.
    composite: bool = False
    # Whether JAX's own rule is what is under test, so that the reference must look beneath it.
    opaque: bool = False
    notes: tuple[str, ...] = ()


def is_optimizer(rule: Any) -> bool:
    """Tell whether `rule` speaks the optimizer protocol rather than having a forward and a backward."""
    return hasattr(rule, "init") and hasattr(rule, "update") and not hasattr(rule, "forward")


def subject_of(rule: Any, arguments: tuple[Any, ...], gradient: Any = None, argnums: Any = None) -> Subject:
    """Recognise what was handed over and bring it into the one form; raise where nothing can be checked."""
    arguments = tuple(as_arrays(argument) for argument in arguments)
    if isinstance(rule, type):
        raise_error("a rule must be an instance", f"got the class {rule.__name__}", f"{rule.__name__}(…)", TypeError)
    if gradient is not None:
        subject = _claimed(rule, arguments, gradient, argnums)
    elif isinstance(rule, (tuple, list)) and len(rule) == 2 and all(map(callable, rule)):
        subject = _pair(rule_name(rule[0]), rule[0], rule[1], arguments, argnums, rule)
    elif hasattr(rule, "forward") and hasattr(rule, "backward"):
        subject = _record(rule, arguments, argnums)
    elif callable(rule):
        subject = _function(rule, arguments, argnums)
    else:
        raise_error(
            "a rule must have forward and backward, or init and update, or be a function",
            f"got {describe(rule)}",
            "fn.check((forward, backward), x) for two functions, fn.check(f, x, gradient=df) for a claimed gradient",
            TypeError,
        )
    _check_point(subject.point)
    return subject


def _record(rule: Any, arguments: tuple[Any, ...], argnums: Any) -> Subject:
    """Recognise funcnet's kinds by the names of the parameters of forward and backward."""
    name = rule_name(rule)
    names = _parameters(rule.forward)
    before = _parameters(rule.backward)
    stated = tuple(rule.kinks()) if hasattr(rule, "kinks") else ()
    if len(before) >= 3:
        arguments = _with_key(arguments)
        _require(arguments, 2, name, "params and x", names)
        return Subject(
            name,
            "layer",
            lambda point, constants: rule.forward(point["params"], point["x"], *constants),
            lambda point, saved, dy: dict(
                zip(("params", "x"), _two(rule.backward(point["params"], saved, dy)), strict=True)
            ),
            {"params": arguments[0], "x": arguments[1]},
            arguments[2:],
            rule,
            composite=_is_composite(rule),
        )
    if len(names) >= 2 and names[1] in ("target", "targets", "label", "labels", "y_true"):
        _require(arguments, 2, name, "a prediction and a target", names)
        return Subject(
            name,
            "loss",
            lambda point, constants: rule.forward(point["prediction"], *constants),
            lambda point, saved, dy: {"prediction": rule.backward(saved, dy)},
            {"prediction": arguments[0]},
            arguments[1:],
            rule,
            stated,
        )
    if len(names) == 1:
        _require(arguments, 1, name, f"one argument, {names[0]}", names)
        kind = "regularizer" if names[0] == "params" else "activation"
        return Subject(
            name,
            kind,
            lambda point, constants: rule.forward(point[names[0]]),
            lambda point, saved, dy: {names[0]: rule.backward(saved, dy)},
            {names[0]: arguments[0]},
            (),
            rule,
            stated,
        )
    return _pair(name, rule.forward, rule.backward, arguments, argnums, rule)


def _pair(
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


def _claimed(f: Callable[..., Any], arguments: tuple[Any, ...], gradient: Callable[..., Any], argnums: Any) -> Subject:
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


def _function(f: Callable[..., Any], arguments: tuple[Any, ...], argnums: Any) -> Subject:
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
    given = _parameters(f)
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
    leaves = jax.tree.leaves(argument)
    return bool(leaves) and all(is_floating(leaf) for leaf in leaves)


def _check_point(point: dict[str, Any]) -> None:
    """Require floating leaves, and at least one number."""
    leaves = jax.tree_util.tree_leaves_with_path(point)
    for path, leaf in leaves:
        if not is_floating(leaf):
            name = str(path[0].key) + jax.tree_util.keystr(path[1:])
            raise_error(
                f"{name} must be a floating-point array to be differentiated",
                f"got {describe(leaf)}",
                "jnp.asarray(x, jnp.float32), or another argument",
                TypeError,
            )
    if not sum(np.size(leaf) for _, leaf in leaves):
        shapes = ", ".join(str(np.shape(leaf)) for _, leaf in leaves) or "no arrays"
        raise_error(
            "there must be at least one number to differentiate", f"got {shapes}", "an example that is not empty"
        )


def _with_key(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make a key of a layer's third argument where it is a seed."""
    if (
        len(arguments) >= 3
        and np.shape(arguments[2]) == ()
        and np.issubdtype(np.asarray(arguments[2]).dtype, np.integer)
    ):
        return (*arguments[:2], jax.random.key(int(arguments[2])), *arguments[3:])
    return arguments


def _is_composite(rule: Any) -> bool:
    return bool(getattr(rule, "layers", ()))


def _require(arguments: tuple[Any, ...], count: int, name: str, what: str, names: list[str]) -> None:
    if len(arguments) < count or len(arguments) > max(count, len(names)):
        raise_error(
            f"{name} must be checked with {what}", f"got {len(arguments)} arguments", f"({', '.join(names)})", TypeError
        )


def _two(found: Any) -> Any:
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"backward of a layer must return (dparams, dx), but returned {describe(found)}")
    return found


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in signature.parameters.values() if p.kind in plain]


def rule_name(rule: Any) -> str:
    """Return the name of a function, or a record as it is written, cut to a line."""
    plain = type(rule).__repr__ is object.__repr__
    name = getattr(rule, "__name__", None) or (type(rule).__name__ if plain else repr(rule))
    return name if len(name) <= 70 else name[:67] + "…"
