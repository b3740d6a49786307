r"""Adadelta: RMSprop whose rate is a running mean of its own steps, so that units agree.

Recurrence    s ← ρ s + (1 − ρ) g²
              d = −√(e + ε) / √(s + ε) · g
              e ← ρ e + (1 − ρ) d²
              u = η d

Symbols       η learning_rate (1 in the paper, which has none), ρ decay, ε epsilon

ε starts it off: with ε = 0 the first step, and so every step, is 0.

State         step int32 (); second and change, the running means of g² and d², like the parameters
Source        Zeiler 2012, Algorithm 1.
"""

from typing import Any, NamedTuple

import jax

from funcnet.cases import Case
from funcnet.optimizers.base import Optimizer, averages_of_squares, no_steps, ratio, rounded, scaled, zeros
from funcnet.records import Number, number, record
from funcnet.schedules.base import as_schedule
from funcnet.trees import root


class AdadeltaState(NamedTuple):
    """The number of updates made, and the running means of squared gradients and steps."""

    step: jax.Array  # int32 ()
    second: Any  # like the parameters, at least float32
    change: Any  # like the parameters, at least float32


@record
class Adadelta(Optimizer):
    r"""−√(e + ε) / √(s + ε) · g.

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1 is the paper's, for steps have their own
            scale.
        decay: the share of the old averages that is kept each update; 0.9 to 0.99 are usual.
        epsilon: what is added below both roots; it decides how large the first steps are.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.Adadelta(decay=0.75, epsilon=1.0)
    >>> params = jnp.asarray([0.0])
    >>> updates, _ = optimizer.update(jnp.asarray([4.0]), optimizer.init(params), params)
    >>> print(jnp.round(updates, 6))  # −√1 / √(4 + 1) · 4
    [-1.788854]

    """

    learning_rate: Any = number(default=1.0, at_least=0, schedule=as_schedule)
    decay: Number = number(default=0.95, at_least=0, below=1)
    epsilon: Number = number(default=1e-6, at_least=0)

    def init(self, params: Any) -> AdadeltaState:
        """Return step 0 and means of zeros."""
        return AdadeltaState(no_steps(), zeros(params), zeros(params))

    def direction(self, gradient: Any, rate: jax.Array, state: AdadeltaState, params: Any) -> tuple[Any, AdadeltaState]:
        """Return η d."""
        rho, epsilon = rounded(self.decay, gradient), rounded(self.epsilon, gradient)
        second = averages_of_squares(rho, state.second, gradient)

        def one(g: jax.Array, s: jax.Array, e: jax.Array) -> jax.Array:
            return ratio(-root(e + epsilon.astype(e.dtype)) * g, root(s + epsilon.astype(s.dtype)))

        step = jax.tree.map(one, gradient, second, state.change)
        change = averages_of_squares(rho, state.change, step)
        return scaled(rate, step), state._replace(second=second, change=change)


CASES = (
    Case("ordinary", Adadelta(1.0, 0.75, 1.0), ([1.0], ([4.0],)), [1 - 4 / 5**0.5], source="s = 4, e = 0"),
    Case(
        "known",
        Adadelta(0.5, 0.75, 1.0),
        ([0.0], ([4.0], [4.0])),
        [-2 / 5**0.5 - 2 * (1.8 / 8) ** 0.5],
        source="e = ¼ · 16/5 = 0.8, s = 7: √1.8/√8 · 4",
    ),
    Case("extreme", Adadelta(epsilon=0.0), ([1.0, 2.0], ([0.0, 3.0],)), [1.0, 2.0], source="with ε = 0 nothing starts"),
)
