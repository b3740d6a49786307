r"""The one form into which everything that can be checked is brought.

    forward(point, constants) -> (y, saved)
    backward(point, saved, dy) -> gradient, a tree like the point

The point holds the inputs that are differentiated, by name; the constants those that are not: targets, sample
weights, labels, keys.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple


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


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's positional parameters, as far as they can be known."""
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
