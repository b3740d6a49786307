r"""The one form into which everything that can be checked is brought.

    forward(point, constants) -> (y, saved)
    backward(point, saved, dy) -> gradient, a tree like the point

The point holds the inputs that are differentiated, by name; the constants those that are not: targets, sample weights,
labels, keys. Some leaves of differentiated inputs are held fixed all the same: whole numbers (tokens, masks), and a
layer's numbers that follow the data (running means), whose gradient is 0 by declaration. They are moved to the
constants, and leave None in the point, which is no leaf.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from funcnet.checking.layout import is_floating, is_symmetric, leaf_path
from funcnet.trees import FOLLOWING, leaf_name


class Subject(NamedTuple):
    """What is checked, and where."""

    name: str
    kind: str  # activation, layer, loss, regularizer, pair, gradient, function
    forward: Callable[[Any, Any], tuple[Any, Any]]
    backward: Callable[[Any, Any, Any], Any]
    point: dict[str, Any]
    constants: tuple[Any, ...]
    rule: Any
    # (value of the input, stated slope) pairs; see kinks.py
    stated: tuple[tuple[Any, Any], ...] = ()
    # Composites contain other rules, so that a kink inside them need not give an interval of slopes.
    composite: bool = False
    # Whether JAX's own rule is what is under test, so that the reference must look beneath it.
    opaque: bool = False
    held: tuple[tuple[tuple[Any, ...], Any], ...] = ()  # the leaves that are held fixed, by path
    notes: tuple[str, ...] = ()

    def moving(self, gradient: Any) -> Any:
        """Return a gradient without the leaves that are held fixed, whose entries may be None or missing."""
        if not self.held:
            return gradient
        leaves, structure = jax.tree_util.tree_flatten_with_path(self.point)
        held = dict(self.held)
        kept = {path: leaf for path, leaf in leaves_by_path(gradient).items() if path not in held}
        if list(kept) == [path for path, _ in leaves]:
            return jax.tree.unflatten(structure, list(kept.values()))
        return jax.tree_util.tree_map_with_path(lambda path, leaf: kept.get(path), gradient)


def follows_data(kind: str, path: tuple[Any, ...]) -> bool:
    """Tell whether a leaf is a parameter that a layer refreshes from the data instead of training it."""
    return kind == "layer" and path[0].key == "params" and leaf_name(path) in FOLLOWING


def hold(subject: Subject) -> Subject:
    """Move the leaves that are held fixed from a subject's point to its constants."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(subject.point)
    held = {path: leaf for path, leaf in leaves if not is_floating(leaf) or follows_data(subject.kind, path)}
    if not held:
        return subject

    def whole(point: Any, fixed: Any) -> Any:
        moving, fixed = iter(jax.tree.leaves(point)), iter(fixed)
        return jax.tree.unflatten(structure, [next(fixed if path in held else moving) for path, _ in leaves])

    def forward(point: Any, constants: Any) -> Any:
        y, saved = subject.forward(whole(point, constants[0]), constants[1:])
        return y, (constants[0], saved)

    def backward(point: Any, saved: Any, dy: Any) -> Any:
        return subject.backward(whole(point, saved[0]), saved[1], dy)

    point = jax.tree_util.tree_map_with_path(lambda path, leaf: None if path in held else leaf, subject.point)
    constants = (list(held.values()), *subject.constants)
    return subject._replace(
        forward=forward, backward=backward, point=point, constants=constants, held=tuple(held.items())
    )


def symmetrised(subject: Subject) -> Subject | None:
    """Return a subject whose symmetric matrices stay symmetric when they move, or None if there are none.

    Its gradient by A is that of forward((A + Aᵀ) / 2): the symmetric part of the gradient entry by entry.
    """
    matrices = {path: leaf for path, leaf in jax.tree_util.tree_leaves_with_path(subject.point) if is_symmetric(leaf)}
    if not matrices:
        return None

    def half(path: Any, leaf: Any) -> Any:
        return (leaf + leaf.swapaxes(-1, -2)) / 2 if path in matrices else leaf

    def forward(point: Any, constants: Any) -> Any:
        return subject.forward(jax.tree_util.tree_map_with_path(half, point), constants)

    words = f"{', '.join(map(leaf_path, matrices))} taken as symmetric: entries (i, j) and (j, i) move together"
    return subject._replace(forward=forward, notes=(*subject.notes, words))


def leaves_by_path(tree: Any) -> dict[tuple[Any, ...], Any]:
    """Return the leaves of a tree by their path."""
    return dict(jax.tree_util.tree_leaves_with_path(tree))


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


def first_line(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says, cut to a line of a report."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= 150 else text[:147] + "…"
