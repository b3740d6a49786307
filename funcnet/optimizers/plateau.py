r"""Reduction on a plateau: another optimizer, whose rate shrinks when a metric has stopped to improve.

Recurrence    w ← w + s u,   u the update of the optimizer inside
              after every epoch without an improvement by more than δ:  n ← n + 1, else n ← 0 and the best is noted
              when n = p:  s ← max(s f, m),  n ← 0

Symbols       s scale, 1 at first; f factor; p patience in epochs; δ min_delta; m at_least; n epochs in a row without
              improvement

The epoch's metrics come through `judge`, which training calls when an epoch ends; in a plain loop, call it yourself.
Decoupled decay, which goes with the rate, shrinks with it.

State         scale and best, scalars; waited int32 (); inner, the optimizer's own
Source        By definition; ReduceLROnPlateau of Keras and PyTorch.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.metrics import lower_is_better
from funcnet.optimizers.base import Optimizer, narrow, scalar_zero, scaled
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.wrapper import Wrapper
from funcnet.records import Number, choice, integer, number, record
from funcnet.trees import widen


class PlateauState(NamedTuple):
    """How far the rate has shrunk, and what is known of the metric."""

    scale: jax.Array  # ()
    best: jax.Array  # (), turned so that less is better
    waited: jax.Array  # int32 ()
    inner: Any  # the optimizer's state


@record
class ReduceOnPlateau(Wrapper):
    r"""Multiply the rate by `factor` after `patience` epochs in a row without improvement.

    Args:
        optimizer: whose updates are scaled.
        factor: by which the rate shrinks, above 0 and below 1.
        patience: epochs in a row without improvement.
        min_delta: what an improvement must exceed, in units of the metric.
        at_least: below which the scale does not fall.
        metric: a column of the history; a loss is better the lower, an accuracy the higher.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.ReduceOnPlateau(fn.SGD(1.0), factor=0.5, patience=2)
    >>> state = optimizer.init(jnp.zeros(1))
    >>> for loss in (3.0, 2.0, 2.0, 2.5):
    ...     state = optimizer.judge(state, {"validation_loss": jnp.asarray(loss)})
    >>> print(optimizer.update(jnp.ones(1), state)[0])
    [-0.5]

    """

    factor: Number = number(default=0.1, above=0, below=1)
    patience: Any = integer(default=10, at_least=1)
    min_delta: Number = number(default=0.0, at_least=0)
    at_least: Number = number(default=0.0, at_least=0)
    metric: str = choice(default="validation_loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.metric, str):
            must, attempt = "ReduceOnPlateau.metric must be the name of a column", '"validation_loss"'
            raise_error(must, f"got {describe(self.metric)}", attempt, TypeError)

    @property
    def watches(self) -> tuple[str, ...]:
        """Return the metric, and what the optimizer inside watches."""
        return (self.metric, *super().watches)

    def init(self, params: Any) -> PlateauState:
        """Return a scale of 1, and the largest number as the best value so far."""
        zero = scalar_zero(params)
        return PlateauState(
            zero + 1, jnp.full_like(zero, jnp.finfo(zero.dtype).max), jnp.zeros((), jnp.int32), super().init(params)
        )

    def update(self, gradient: Any, state: PlateauState, params: Any = None) -> tuple[Any, PlateauState]:
        """Return s times the update of the optimizer inside."""
        updates, inner = super().update(gradient, state.inner, params)
        return narrow(scaled(state.scale, widen(updates)), updates), state._replace(inner=inner)

    def proximal_update(
        self, regularizer: Any, gradient: Any, state: PlateauState, params: Any
    ) -> tuple[Any, PlateauState]:
        """Return the proximal point of an update, with the rate as it has shrunk."""
        return Optimizer.proximal_update(self, regularizer, gradient, state, params)

    def judge(self, state: PlateauState, metrics: Mapping[str, jax.Array]) -> PlateauState:
        """Count an epoch, and shrink the rate if patience has run out."""
        value = metrics[self.metric].astype(state.best.dtype)
        value = value if lower_is_better(self.metric) else -value
        improved = value < state.best - jnp.asarray(self.min_delta, value.dtype)
        waited = jnp.where(improved, 0, state.waited + 1)
        out = waited >= jnp.asarray(self.patience, waited.dtype)
        least = jnp.asarray(self.at_least, state.scale.dtype)
        shrunk = jnp.maximum(state.scale * jnp.asarray(self.factor, state.scale.dtype), least)
        return PlateauState(
            jnp.where(out, jnp.minimum(shrunk, state.scale), state.scale),
            jnp.where(improved, value, state.best),
            jnp.where(out, 0, waited),
            super().judge(state.inner, metrics),
        )

    def rate(self, state: PlateauState) -> Any:
        """Return s times the rate of the optimizer inside."""
        return state.scale * jnp.asarray(super().rate(state.inner), state.scale.dtype)

    def settled(self, params: Any, state: PlateauState) -> Any:
        """Return what the optimizer inside would have measured."""
        return super().settled(params, state.inner)


CASES = (
    Case("ordinary", ReduceOnPlateau(SGD(1.0)), ([1.0], ([1.0], [3.0])), [-3.0], source="SGD until an epoch ends"),
    Case("known", ReduceOnPlateau(SGD(0.5)), ([1.0], ([2.0],)), [0.0], source="1 − 2/2"),
    Case("extreme", ReduceOnPlateau(SGD(1e-30)), ([1.0], ([1e30], [3e30])), [-3.0], source="huge gradients"),
)
