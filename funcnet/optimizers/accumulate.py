r"""Accumulation: one update of another optimizer for k batches.

Recurrence    a ← a + g
              every k-th time:  u = the optimizer's update with a / k,  a ← 0
              else:             u = 0

Symbols       k batches

k batches of m samples make the update of one batch of k m samples (for losses that are means). A group that an epoch
leaves incomplete goes on in the next one. Schedules count updates made, not batches.

State         gathered int32 (), the batches since the last update; total like the parameters; inner, the optimizer's
              own
Source        By definition: the mean of gradients is the gradient of the mean.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import checked, no_steps, rounded, scaled, zeros
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.wrapper import Wrapper
from funcnet.records import integer, record
from funcnet.trees import dtypes, select


class AccumulateState(NamedTuple):
    """What has been gathered since the last update."""

    gathered: jax.Array  # int32 ()
    total: Any  # like the parameters, at least float32
    inner: Any  # the optimizer's state


@record
class Accumulate(Wrapper):
    r"""Update once for every `batches` gradients, with their mean.

    Args:
        optimizer: the optimizer inside.
        batches: how many gradients make one update.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.Accumulate(fn.SGD(1.0), 2)
    >>> params = jnp.zeros(1)
    >>> state = optimizer.init(params)
    >>> for gradient in (1.0, 3.0):
    ...     updates, state = optimizer.update(jnp.asarray([gradient]), state, params)
    ...     print(updates)
    [0.]
    [-2.]

    """

    batches: Any = integer(at_least=1)

    def init(self, params: Any) -> AccumulateState:
        """Return nothing gathered."""
        return AccumulateState(no_steps(), zeros(params), super().init(params))

    def update(self, gradient: Any, state: AccumulateState, params: Any = None) -> tuple[Any, AccumulateState]:
        """Return zeros, or the update for the mean gradient."""
        ready, total, mean = self._gather(gradient, state, params)
        updates, inner = super().update(mean, state.inner, params)
        like = gradient if params is None else params
        updates = jax.tree.map(lambda u, w: jnp.where(ready, u, 0).astype(jnp.result_type(w)), updates, like)
        return updates, self._next(ready, total, inner, state)

    def proximal_update(
        self, regularizer: Any, gradient: Any, state: AccumulateState, params: Any
    ) -> tuple[Any, AccumulateState]:
        """Return the same parameters, or the proximal update for the mean gradient."""
        ready, total, mean = self._gather(gradient, state, params)
        moved, inner = super().proximal_update(regularizer, mean, state.inner, params)
        return select(ready, moved, params), self._next(ready, total, inner, state)

    def rate(self, state: AccumulateState) -> Any:
        """Return the rate of the optimizer inside."""
        return super().rate(state.inner)

    def judge(self, state: AccumulateState, metrics: Mapping[str, jax.Array]) -> AccumulateState:
        """Let the optimizer inside see an epoch's metrics."""
        return state._replace(inner=super().judge(state.inner, metrics))

    def settled(self, params: Any, state: AccumulateState) -> Any:
        """Return what the optimizer inside would have measured."""
        return super().settled(params, state.inner)

    def _gather(self, gradient: Any, state: AccumulateState, params: Any) -> tuple[jax.Array, Any, Any]:
        total = jax.tree.map(jnp.add, state.total, checked(gradient, params))
        share = 1 / rounded(jnp.asarray(self.batches).astype(dtypes(total)[1]), total)
        return state.gathered + 1 >= jnp.asarray(self.batches, jnp.int32), total, scaled(share, total)

    def _next(self, ready: jax.Array, total: Any, inner: Any, state: AccumulateState) -> AccumulateState:
        kept = jax.tree.map(lambda a: jnp.where(ready, 0, a), total)
        return AccumulateState(jnp.where(ready, 0, state.gathered + 1), kept, select(ready, inner, state.inner))


CASES = (
    Case("ordinary", Accumulate(SGD(1.0), 2), ([1.0], ([1.0], [3.0])), [-1.0], source="1 − (1 + 3)/2"),
    Case("known", Accumulate(SGD(1.0), 2), ([1.0], ([1.0], [3.0], [5.0])), [-1.0], source="the third waits"),
    Case("known", Accumulate(SGD(1.0), 1), ([1.0], ([1.0], [3.0])), [-3.0], source="k = 1 changes nothing"),
    Case("extreme", Accumulate(SGD(1e-30), 2), ([1.0], ([1e30], [3e30])), [-1.0], source="sums of huge gradients"),
)
