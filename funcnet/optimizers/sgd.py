r"""Gradient descent, with momentum and Nesterov's momentum.

Recurrence    u = −η g                                                  plain
              v ← μ v + g,   u = −η v                                   momentum
              v ← μ v + g,   u = −η (g + μ v)                           Nesterov

Symbols       η learning_rate, μ momentum, g gradient, v velocity, u the update (θ ← θ + u)

On one sample, a mini-batch or the whole set: that is the batch size of an experiment, not a different optimizer.
`momentum=None` keeps no velocity; `momentum=0.0` keeps one and a sweep may vary it. The rate stands outside the velocity:
a change of rate acts at once.

State         step int32 (); velocity like the parameters, or None
Source        Article A3.1, A3.2, A3.4, B3.7; Robbins & Monro 1951; Polyak 1964; Nesterov 1983 in the form of
              Sutskever et al. 2013, section 2, with v scaled by −1/η.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.optimizers.base import Optimizer, check_tree, narrow, rate_at, widen, zeros
from funcnet.errors import raise_error
from funcnet.records import Number, cast, choice, number, record


class SGDState(NamedTuple):
    """The number of updates made, and the velocity."""

    step: jax.Array  # int32 ()
    velocity: Any  # like the parameters, at least float32; None without momentum


@record
class SGD(Optimizer):
    r"""θ ← θ − η g, with momentum if asked.

    >>> import jax.numpy as jnp
    >>> optimizer = SGD(0.1, momentum=0.5)
    >>> params, gradient = jnp.asarray([1.0]), jnp.asarray([2.0])
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(gradient, state, params)
    ...     print(updates)  # −0.1 · 2, then −0.1 (0.5 · 2 + 2)
    [-0.2]
    [-0.3]
    """

    learning_rate: Any = number(at_least=0, schedule=True)
    momentum: Number | None = number(None, at_least=0, below=1)
    nesterov: bool = choice(False, options=(False, True))

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum is None:
            raise_error("Nesterov's momentum needs a momentum", "got momentum=None", "momentum=0.9")

    def init(self, params: Any) -> SGDState:
        """Return step 0 and a velocity of zeros."""
        return SGDState(jnp.zeros((), jnp.int32), None if self.momentum is None else zeros(params))

    def update(self, gradient: Any, state: SGDState, params: Any) -> tuple[Any, SGDState]:
        """Return −η times the gradient, the velocity, or its look-ahead."""
        check_tree(gradient, params)
        rate, velocity = rate_at(self.learning_rate, state.step), state.velocity
        direction = gradient = widen(gradient)
        if self.momentum is not None:
            direction = velocity = jax.tree.map(lambda g, v: cast(self.momentum, v) * v + g, gradient, velocity)
            if self.nesterov:
                direction = jax.tree.map(lambda g, v: g + cast(self.momentum, v) * v, gradient, velocity)
        updates = jax.tree.map(lambda d: -cast(rate, d) * d, direction)
        return narrow(updates, params), SGDState(state.step + 1, velocity)
