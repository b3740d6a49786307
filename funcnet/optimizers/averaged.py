r"""Averaging: another optimizer moves the parameters; their moving average is what is measured, kept and given back.

Recurrence    w ← w + u,   u the update of the optimizer inside
              c ← β c + (1 − β)
              a ← a + (w − a)(1 − β)/c

Symbols       β decay; a average; c sum of the weights by which the average counts the parameters so far

a is the sum of past parameters with weights (1 − β) β^k, divided by the sum of these weights: after one update it is w,
whatever β is, so that the initial parameters do not linger in it. Training goes on from w. Validation, best parameters
and rows of sweeps are of a.

State         share a scalar, c; average like the parameters, at least float32; inner, the optimizer's own
Source        Ruppert 1988; Polyak & Juditsky 1992; with decay: Tarvainen & Valpola 2017. The correction is Adam's.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.optimizers.base import narrow, rounded, scalar_zero, zeros
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.wrapper import Wrapper
from funcnet.records import Number, number, record
from funcnet.trees import select, widen


class AveragedState(NamedTuple):
    """The average, and what the optimizer inside remembers."""

    share: jax.Array  # (), the sum of the average's weights
    average: Any  # like the parameters, at least float32
    inner: Any  # the optimizer's state


@record
class Averaged(Wrapper):
    r"""Keep a moving average of the parameters, and measure it in their place.

    Args:
        optimizer: what moves the parameters.
        decay: how much of the average an update keeps; 0.999 remembers some thousand updates.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer, params = fn.Averaged(fn.SGD(1.0), 0.5), jnp.zeros(1)
    >>> state = optimizer.init(params)
    >>> for gradient in (-3.0, -3.0):
    ...     updates, state = optimizer.update(jnp.asarray([gradient]), state, params)
    ...     params = params + updates
    >>> print(params, optimizer.settled(params, state))
    [6.] [5.]

    """

    decay: Number = number(default=0.999, at_least=0, below=1)

    def init(self, params: Any) -> AveragedState:
        """Return an average of nothing."""
        return AveragedState(scalar_zero(params), zeros(params), super().init(params))

    def update(self, gradient: Any, state: AveragedState, params: Any = None) -> tuple[Any, AveragedState]:
        """Return the update of the optimizer inside."""
        if params is None:
            raise_error("Averaged needs the parameters", "got none", "update(gradient, state, params)")
        updates, inner = super().update(gradient, state.inner, params)
        return updates, self._later(state, inner, jax.tree.map(jnp.add, params, updates))

    def proximal_update(
        self, regularizer: Any, gradient: Any, state: AveragedState, params: Any
    ) -> tuple[Any, AveragedState]:
        """Return the proximal update of the optimizer inside."""
        moved, inner = super().proximal_update(regularizer, gradient, state.inner, params)
        return moved, self._later(state, inner, moved)

    def rate(self, state: AveragedState) -> Any:
        """Return the rate of the optimizer inside."""
        return super().rate(state.inner)

    def judge(self, state: AveragedState, metrics: Mapping[str, jax.Array]) -> AveragedState:
        """Let the optimizer inside see an epoch's metrics."""
        return state._replace(inner=super().judge(state.inner, metrics))

    def settled(self, params: Any, state: AveragedState) -> Any:
        """Return the average; before the first update, the parameters."""
        average = super().settled(narrow(state.average, params), state.inner)
        return select(state.share > 0, average, params)

    def _later(self, state: AveragedState, inner: Any, moved: Any) -> AveragedState:
        decay = rounded(self.decay, state.average)
        share = decay * state.share + (1 - decay)
        weight = (1 - decay) * (1 / share)
        average = jax.tree.map(lambda a, w: a + (w - a) * weight.astype(a.dtype), state.average, widen(moved))
        return AveragedState(share, average, inner)


CASES = (
    Case("ordinary", Averaged(SGD(1.0), 0.5), ([1.0], ([1.0], [3.0])), [-3.0], source="the parameters are SGD's"),
    Case("known", Averaged(SGD(1.0), 0.0), ([1.0], ([1.0], [3.0])), [-3.0], source="β = 0 averages nothing"),
    Case("extreme", Averaged(SGD(1e-30)), ([1.0], ([1e30], [3e30])), [-3.0], source="huge gradients"),
)
