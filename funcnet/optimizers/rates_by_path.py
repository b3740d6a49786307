r"""Rates by path: another optimizer, whose rate is multiplied for some of the parameters.

Recurrence    wᵢ ← wᵢ + fᵢ uᵢ,   u the update of the optimizer inside

Symbols       fᵢ the factor of the longest path at or above leaf i, 1 where there is none

Momentum, moments and clipping inside are those of all parameters together; only the steps differ. Where the optimizer
decays decoupled from the gradient, its decay is part of the step. A factor of 0 keeps parameters where they are; to
leave them out of the backward pass's sums too, freeze them (`Experiment(freeze=…)`).

State         that of the optimizer inside
Source        Howard & Ruder 2018, section 3.2 (a rate for each layer).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.errors import describe, near_misses, raise_error
from funcnet.optimizers.base import narrow, rounded
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.wrapper import Wrapper
from funcnet.records import Vector, choice, number, record
from funcnet.trees import leaves_by_path, map_leaves, widen


@record
class RatesByPath(Wrapper):
    r"""Multiply the rate of the parameters at and below some paths.

    Args:
        optimizer: whose updates are scaled; it cannot serve a proximal regularizer, which needs one rate.
        paths: dotted paths of parameters, such as ("0", "2.bias"); the longest that fits a leaf counts.
        factors: one number of at least 0 for each path.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.RatesByPath(fn.SGD(1.0), ("body", "body.bias"), (0.1, 2.0))
    >>> params = {"body": {"kernel": jnp.zeros(1), "bias": jnp.zeros(1)}, "head": jnp.zeros(1)}
    >>> gradient = {"body": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}, "head": jnp.ones(1)}
    >>> updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    >>> print(updates["body"]["kernel"], updates["body"]["bias"], updates["head"])
    [-0.1] [-2.] [-1.]

    """

    paths: tuple[str, ...] = choice()
    factors: Vector = number(at_least=0, vector=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.paths, tuple) or not all(isinstance(path, str) for path in self.paths):
            must = "RatesByPath.paths must be a tuple of dotted paths"
            raise_error(must, f"got {describe(self.paths)}", '("0.kernel",)', TypeError)
        if np.shape(self.factors) and np.shape(self.factors)[-1] != len(self.paths):
            arrived = f"{len(self.paths)} paths and {np.shape(self.factors)[-1]} factors"
            raise_error("RatesByPath must have one factor for each path", arrived, 'paths=("0",), factors=(0.1,)')

    def update(self, gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return the update of the optimizer inside, each leaf times its factor."""
        updates, state = super().update(gradient, state, params)
        factors = jnp.asarray(self.factors)

        def one(path: str, update: jax.Array) -> jax.Array:
            above = [i for i, known in enumerate(self.paths) if path == known or path.startswith(f"{known}.")]
            if not above:
                return update
            factor = factors[max(above, key=lambda i: len(self.paths[i]))]
            wide = widen(update)
            return narrow(wide * rounded(factor, wide).astype(wide.dtype), update)

        return map_leaves(one, updates), state

    @property
    def has_rate(self) -> bool:
        """Return False: there are several."""
        return False

    def check(self, shapes: Callable[[], Any]) -> None:
        """Raise unless every path leads to parameters."""
        super().check(shapes)
        leaves = leaves_by_path(shapes())
        for path in self.paths:
            if not any(leaf == path or leaf.startswith(f"{path}.") for leaf in leaves):
                must = "RatesByPath.paths must be paths of the network's parameters"
                raise_error(must, f"{path!r} leads nowhere", f"one of {near_misses(path, leaves)}")


_W, _G = {"a": [1.0, 1.0], "b": {"c": [1.0]}}, {"a": [1.0, 2.0], "b": {"c": [4.0]}}
CASES = (
    Case(
        "ordinary",
        RatesByPath(SGD(1.0), ("a", "b.c"), (0.5, 0.25)),
        (_W, (_G,)),
        {"a": [0.5, 0.0], "b": {"c": [0.0]}},
        source="1 − f g",
    ),
    Case("known", RatesByPath(SGD(1.0), (), ()), (_W, (_G,)), {"a": [0.0, -1.0], "b": {"c": [-3.0]}}, source="none"),
    Case(
        "extreme",
        RatesByPath(SGD(1.0), ("b",), (0.0,)),
        ({"a": [1.0], "b": [1.0]}, ({"a": [1e30], "b": [1e30]},)),
        {"a": [-1e30], "b": [1.0]},
        source="a factor of 0 keeps them",
    ),
)
