r"""What lives in memory during a step, from traced programs: what each layer keeps for its backward, and the peak.

An array that lives between the passes goes by a token, and two rules that keep the same array name the same token: ReLU
keeps its output, which is the next layer's input. The network's input is the caller's, parameters are there anyway, and
what the key alone decides (a dropout mask) is drawn again: these cost nothing.
"""

import bisect
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from funcnet.errors import raise_error
from funcnet.operations import Operations, dependencies, is_literal, operations

Token: TypeAlias = tuple[Any, Any]  # who made the array, and which of theirs it is
INPUT = "input"  # the maker of what the network takes


@dataclasses.dataclass(frozen=True)
class Passed:
    """The two passes of one layer, as traced."""

    y: Any  # a tree of abstract arrays
    out: list[Token]  # of y's leaves
    saved: dict[Token, int]  # bytes
    for_dx: frozenset[Token]  # what dx needs, besides dy
    forward: Operations
    backward: Operations
    refresh: Operations
    weights: list[int]  # the bytes of each parameter
    dx_bytes: int  # 0 if no layer before has parameters


def sizes(tree: Any) -> list[int]:
    """Return the bytes of each array of a tree; keys and the like have none."""
    return [
        0 if jnp.issubdtype(leaf.dtype, jax.dtypes.extended) else math.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    ]


def traced(name: str, function: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    """Return the program of a function and the shapes of its results, by abstract arguments."""
    try:
        return jax.make_jaxpr(function, return_shape=True)(*arguments)
    except jax.errors.JAXTypeError:
        raise_error(f"{name} must compute with JAX alone", "it reads the numbers of an array", "jnp for np", TypeError)


def passed(
    name: str, layer: Any, params: Any, x: Any, key: Any, tokens_of_x: Sequence[Token], needs_dx: bool
) -> Passed:
    """Trace a layer's two passes, count them, and find out what is kept."""
    ahead, (y, saved) = traced(name, lambda params, x, key: layer.forward(params, x, key), params, x, key)
    back, (dparams, dx) = traced(name, layer.backward, params, saved, y)
    own, given = len(jax.tree.leaves(params)), len(jax.tree.leaves(x))
    invars, outvars = ahead.jaxpr.invars, ahead.jaxpr.outvars
    results = len(jax.tree.leaves(y))
    tokens = dict(zip(invars[own : own + given], tokens_of_x, strict=True))
    unique = object()

    def token(atom: Any, otherwise: Any) -> Token:
        return (unique, otherwise) if is_literal(atom) else tokens.setdefault(atom, (unique, otherwise))

    out = [token(atom, f"y{place}") for place, atom in enumerate(outvars[:results])]
    kept: dict[Token, int] = {}
    names: list[Token | None] = []
    for atom, size, inputs in zip(outvars[results:], sizes(saved), dependencies(ahead)[results:], strict=True):
        free = is_literal(atom) or atom in invars[:own] or not any(i < own + given for i in inputs)
        names.append(None if free else token(atom, atom))
        if names[-1] is not None:
            kept[names[-1]] = size
    gradients = len(jax.tree.leaves(dparams))
    wanted = [i < gradients or needs_dx for i in range(len(back.jaxpr.outvars))]
    read = frozenset[int]().union(*dependencies(back)[gradients:])
    for_dx = frozenset(t for i, t in enumerate(names) if t is not None and i + own in read)
    counted = operations(back, wanted) if any(wanted) else Operations()
    refresh = operations(traced(name, layer.refresh, params, saved)[0])
    dx_bytes = sum(sizes(dx)) if needs_dx else 0
    return Passed(y, out, kept, for_dx, operations(ahead), counted, refresh, sizes(params), dx_bytes)


def peak(steps: Sequence[Passed], residue: int, gradients: str) -> int:
    """Return the most bytes that live at one moment beside arguments and results.

    Gradients are "results" of the program, "held" until all are there, or "updated", each as soon as it is there.
    """
    below: list[dict[Token, int]] = [{}]
    for step in steps:
        below.append(below[-1] | {t: size for t, size in step.saved.items() if t[0] != INPUT})
    own = [step.weights for step in steps]
    kept, last = list(below[-1].values()), sum(sizes(steps[-1].y))
    prediction = 0 if all(token in below[-1] for token in steps[-1].out) else last
    moments = [(len(steps), [*kept, last if residue == 0 else prediction, residue])]
    for index in reversed(range(len(steps))):
        step, held = steps[index], below[index + 1]
        dy = sum(sizes(step.y))
        # An elementwise backward writes dx over dy; a product cannot, but what only dW reads is gone by then.
        moments.append((index, [*held.values(), dy]))
        if own[index] and step.dx_bytes:
            read = below[index] | {t: size for t, size in held.items() if t in step.for_dx}
            moments.append((index, [*read.values(), dy, step.dx_bytes]))
    if gradients == "results":
        return max(_beside(live, [size for sizes in own[:index] for size in sizes]) for index, live in moments)
    first = {"held": None, "updated": 1}[gradients]
    return max(sum(live) + sum(map(sum, own[index:][:first])) for index, live in moments)


def _beside(live: Sequence[int], unwritten: Sequence[int]) -> int:
    """Return the bytes of arrays that find no room in the buffers of results that are not written yet."""
    free, rest = sorted(unwritten), 0
    for size in sorted(live, reverse=True):
        place = bisect.bisect_left(free, size)
        if place < len(free):
            del free[place]
        else:
            rest += size
    return rest
