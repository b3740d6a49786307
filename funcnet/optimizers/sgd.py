r"""Gradient descent, with momentum and Nesterov's momentum.

Recurrence    u = −η g                                                  plain
              v ← μ v + g,   u = −η v                                   momentum
              v ← μ v + g,   u = −η (g + μ v)                           Nesterov
              v ← μ v − η g, u = v,  or  μ v − η g                      with rate_inside: momentum, Nesterov

Symbols       η learning_rate, μ momentum, g gradient, v velocity, u the update (θ ← θ + u)

On one sample, a mini-batch or the whole set: that is the batch size of an experiment, not a different optimizer.
`momentum=None` keeps no velocity; `momentum=0.0` keeps one and a sweep may vary it. A schedule may stand for μ too.

Variants      rate_inside: False (PyTorch, Optax), a change of rate acts at once on the whole velocity; True (Polyak,
              Sutskever, Keras, scikit-learn), each gradient keeps the rate that it came with. Equal at a constant rate.
              dampening d (PyTorch): v ← μ v + (1 − d) g after the first update, whose v is g.

State         step int32 (); velocity like the parameters, or None
Source        Article A3.1, A3.2, A3.4, B3.7; Robbins & Monro 1951; Polyak 1964; Nesterov 1983 in the form of
              Sutskever et al. 2013, with the look-ahead point as the parameters (Bengio et al. 2013), as libraries do.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.optimizers.base import Optimizer, no_steps, rate_at, rounded, scaled, zeros
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule


class SGDState(NamedTuple):
    """The number of updates made, and the velocity."""

    step: jax.Array  # int32 ()
    velocity: Any  # like the parameters, at least float32; None without momentum


@record
class SGD(Optimizer):
    r"""θ ← θ − η g, with momentum if asked.

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-3 to 1 are usual.
        momentum: the share of the velocity that is kept each update, a number or a schedule; None for none, 0.9
            is usual.
        nesterov: whether the gradient counts as if taken one step ahead.
        dampening: the share of each new gradient that the velocity leaves out, as in PyTorch; None for none.
        rate_inside: whether the rate is multiplied into the velocity, as in Keras, or into the update, as in
            PyTorch; equal at a constant rate.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.SGD(0.1, momentum=0.5)
    >>> params, gradient = jnp.asarray([1.0]), jnp.asarray([2.0])
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(gradient, state, params)
    ...     print(updates)  # −0.1 · 2, then −0.1 (0.5 · 2 + 2)
    [-0.2]
    [-0.3]

    """

    SQUARES: ClassVar[bool] = False

    learning_rate: Any = number(at_least=0, schedule=as_schedule)
    momentum: Any = number(default=None, at_least=0, at_most=1, schedule=as_schedule)
    nesterov: bool = choice(default=False, options=(False, True))
    dampening: Number | None = number(default=None, at_least=0, below=1, kw_only=True)
    rate_inside: bool = choice(default=False, options=(False, True), kw_only=True)

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum is None:
            raise_error("Nesterov's momentum needs a momentum", "got momentum=None", "momentum=0.9")
        if self.dampening is not None and (self.momentum is None or self.nesterov or self.rate_inside):
            raise_error(
                "dampening belongs to plain momentum with the rate outside",
                f"got {self}",
                "momentum=0.9, dampening=0.1",
            )

    def init(self, params: Any) -> SGDState:
        """Return step 0 and a velocity of zeros."""
        return SGDState(no_steps(), None if self.momentum is None else zeros(params))

    def direction(self, gradient: Any, rate: jax.Array, state: SGDState, params: Any) -> tuple[Any, SGDState]:
        """Return −η times the gradient, the velocity, or its look-ahead."""
        if self.momentum is None:
            return scaled(-rate, gradient), state
        momentum = rounded(rate_at(self.momentum, state.step), gradient)
        # What the velocity gathers: the gradient, damped after the first, or the plain update.
        new = scaled(-rate, gradient) if self.rate_inside else gradient
        if self.dampening is not None:
            new = scaled(jnp.where(state.step == 0, 1, 1 - rounded(self.dampening, gradient)), gradient)

        def onward(v: jax.Array, g: jax.Array) -> jax.Array:
            return momentum.astype(v.dtype) * v + g

        velocity = jax.tree.map(onward, state.velocity, new)
        updates = jax.tree.map(onward, velocity, new) if self.nesterov else velocity
        return updates if self.rate_inside else scaled(-rate, updates), state._replace(velocity=velocity)


_W, _G = [1.0, -2.0], [0.5, 4.0]
CASES = (
    Case("ordinary", SGD(0.1), (_W, (_G, _G)), [0.9, -2.8], source="w − 0.1 g, twice"),
    Case("known", SGD(0.1, 0.5), (_W, (_G, _G)), [0.875, -3.0], source="velocities g and 1.5 g: w − 0.25 g"),
    Case(
        "known",
        SGD(0.1, 0.5, True),
        (_W, (_G, _G)),
        [0.8375, -3.3],
        source="looks ahead to 1.5 g and 1.75 g: w − 0.325 g",
    ),
    Case("known", SGD(0.1, 0.5, rate_inside=True), (_W, (_G, _G)), [0.875, -3.0], source="the same at a constant rate"),
    Case("known", SGD(0.1, 0.5, True, rate_inside=True), (_W, (_G, _G)), [0.8375, -3.3], source="the same"),
    Case("known", SGD(0.1, 0.5, dampening=0.5), (_W, (_G, _G)), [0.9, -2.8], source="g, then 0.5 g + 0.5 g"),
)
