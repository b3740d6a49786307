r"""Planted bugs for optimizers: wrappers that break the protocol or the recurrence of a true one."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.checking.layout import as_arrays
from funcnet.checking.optimizers import check_optimizer
from funcnet.checking.registry import Example
from mutations.planted import Trial


class Mutant:
    """An optimizer whose update is changed on its way out; it remembers outside the state, as it should not."""

    def __init__(self, rule: Any, change: Callable[..., tuple[Any, Any]]) -> None:
        self.rule, self.change, self.calls = rule, change, 0

    def init(self, params: Any) -> Any:
        """Return the true first state."""
        return self.rule.init(params)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the true update, changed."""
        self.calls += 1
        return self.change(self, gradient, state, params)


def _outcome(change: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Make a mutation of a function of the updates alone."""

    def run(self: Mutant, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        updates, new = self.rule.update(gradient, state, params)
        return change(self, updates), new

    return run


def _stale(self: Mutant, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
    return self.rule.update(gradient, state, params)[0], state


def _ignored(self: Mutant, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
    return self.rule.update(jax.tree.map(jnp.ones_like, gradient), state, params)


def _in_place(self: Mutant, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
    for leaf in jax.tree.leaves(gradient):
        if isinstance(leaf, np.ndarray):
            leaf *= 0.5
    return self.rule.update(gradient, state, params)


def _last_dropped(self: Mutant, updates: Any) -> Any:
    leaves, tree = jax.tree.flatten(updates)
    return jax.tree.unflatten(tree, [*leaves[:-1], jnp.zeros_like(leaves[-1])])


def _one_element(self: Mutant, updates: Any) -> Any:
    leaves, tree = jax.tree.flatten(updates)
    scale = np.ones(leaves[0].shape)
    scale.flat[0] = 1.03
    return jax.tree.unflatten(tree, [leaves[0] * jnp.asarray(scale, leaves[0].dtype), *leaves[1:]])


MUTATIONS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "sign": _outcome(lambda self, u: jax.tree.map(jnp.negative, u)),
    "factor 2": _outcome(lambda self, u: jax.tree.map(lambda leaf: 2 * leaf, u)),
    "zero": _outcome(lambda self, u: jax.tree.map(jnp.zeros_like, u)),
    "dtype": _outcome(lambda self, u: jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), u)),
    "not a number": _outcome(lambda self, u: jax.tree.map(lambda leaf: leaf / leaf * leaf, u)),
    "dropped leaf": _outcome(_last_dropped),
    "three per cent": _outcome(_one_element),
    "hidden memory": _outcome(lambda self, u: jax.tree.map(lambda leaf: leaf / self.calls, u)),
    "stale state": _stale,
    "gradient ignored": _ignored,
    "in place": _in_place,
}


def protocol_trials(example: Example, seeds: Iterable[int] = (0,)) -> Iterator[Trial]:
    """Judge an optimizer and its mutants on one example."""
    rule = f"{example.group}.{type(example.rule).__name__}"
    params, gradients = as_arrays(example.arguments)
    known = as_arrays(example.known)
    for seed in seeds:
        for name, change in {"": None, **MUTATIONS}.items():
            judged = example.rule if change is None else Mutant(example.rule, change)
            breaches, _ = check_optimizer(judged, params, gradients, known, seed, brief=change is not None)
            outcome = "rejected" if breaches else "accepted"
            if (
                change is not None
                and not breaches
                and _same(example.rule, Mutant(example.rule, change), params, gradients)
            ):
                outcome = "equal"
            yield Trial(rule, str(example), name, seed, outcome, tuple(breach.promise for breach in breaches))


def _same(rule: Any, mutant: Any, params: Any, gradients: Any) -> bool:
    """Tell whether two optimizers lead to the same parameters on the example's own gradients."""
    ends = []
    for one in (rule, mutant):
        place, state = jax.tree.map(jnp.asarray, params), one.init(params)
        for gradient in gradients:
            updates, state = one.update(jax.tree.map(jnp.asarray, gradient), state, place)
            place = jax.tree.map(jnp.add, place, updates)
        ends.append([np.asarray(leaf) for leaf in jax.tree.leaves(place)])
    return all(np.allclose(a, b, rtol=1e-6, atol=0) for a, b in zip(*ends, strict=True))
