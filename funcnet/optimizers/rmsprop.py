r"""RMSprop: the gradient divided by the root of a running mean of its squares.

Recurrence    s ← ρ s + (1 − ρ) g²
              d = √s + ε                                                 plain
              m ← ρ m + (1 − ρ) g,   d = √(s − m²) + ε                   centered
              u = −η g / d                                               without momentum
              v ← μ v + g / d,       u = −η v                            with momentum
              v ← μ v + η g / d,     u = −v                              with momentum and rate_inside

Symbols       η learning_rate, ρ decay, ε epsilon, μ momentum, s₀ initial

Variants      epsilon_inside: False (PyTorch), √s + ε; True (Graves, Optax, Keras), √(s + ε).
              rate_inside: False (PyTorch), True (Graves, Optax, Keras): see SGD.
              bias_correction (Optax): s and m are divided by the weights they have gathered, 1 − ρᵗ, as in Adam.
              nesterov (Optax): the update looks ahead, μ v + g / d with the new v.

Rounding can make s − m² slightly negative; it counts as 0.

State         step int32 (); second moment like the parameters; first moment if centered, velocity with momentum, else
              None; weight, the one that the averages have gathered, or None
Source        Article B3.7; Tieleman & Hinton 2012, lecture 6e; centered with momentum: Graves 2013, equations 38 to 41.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.optimizers.base import (
    Optimizer,
    average,
    averages,
    averages_of_squares,
    filled,
    no_steps,
    rate_at,
    ratio,
    root_with,
    rounded,
    scalar_zero,
    scaled,
    zeros,
)
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule


class RMSpropState(NamedTuple):
    """The number of updates made, the running means, and the velocity."""

    step: jax.Array  # int32 ()
    second: Any  # like the parameters, at least float32
    first: Any  # the same; None unless centered
    velocity: Any  # the same; None without momentum
    weight: jax.Array | None  # (), 1 − ρᵗ; None without bias correction


@record
class RMSprop(Optimizer):
    r"""−η g / (√s + ε).

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-4 to 1e-2 are usual.
        decay: the share of the old average of squares that is kept each update; 0.9 and 0.99 are usual.
        epsilon: what is added to the root, so that a small gradient makes no large step; 1e-8 to 1e-4.
        momentum: the share of the velocity that is kept each update, a number or a schedule; None for none, 0.9
            is usual.
        centered: whether the square of the mean gradient is taken off the mean square.
        initial: where the average of squares begins.
        epsilon_inside: whether epsilon stands below the root.
        rate_inside: whether the rate is multiplied into the velocity, as in Keras, or into the update, as in
            PyTorch; equal at a constant rate.
        bias_correction: whether the averages are divided by the weights that they have gathered, as in Adam.
        nesterov: whether the update looks one step ahead; needs a momentum.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.RMSprop(0.1, decay=0.75)
    >>> params = jnp.asarray([0.0])
    >>> updates, _ = optimizer.update(jnp.asarray([3.0]), optimizer.init(params), params)
    >>> print(updates)  # s = 9/4
    [-0.2]

    """

    learning_rate: Any = number(default=0.001, at_least=0, schedule=as_schedule)
    decay: Number = number(default=0.9, at_least=0, below=1)
    epsilon: Number = number(default=1e-8, at_least=0)
    momentum: Any = number(default=None, at_least=0, at_most=1, schedule=as_schedule)
    centered: bool = choice(default=False, options=(False, True))
    initial: Number = number(default=0.0, at_least=0, kw_only=True)
    epsilon_inside: bool = choice(default=False, options=(False, True), kw_only=True)
    rate_inside: bool = choice(default=False, options=(False, True), kw_only=True)
    bias_correction: bool = choice(default=False, options=(False, True), kw_only=True)
    nesterov: bool = choice(default=False, options=(False, True), kw_only=True)

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum is None:
            raise_error("Nesterov's momentum needs a momentum", "got momentum=None", "momentum=0.9")

    def init(self, params: Any) -> RMSpropState:
        """Return step 0, means of zeros, and a velocity at rest."""
        return RMSpropState(
            no_steps(),
            filled(self.initial, params),
            zeros(params) if self.centered else None,
            zeros(params) if self.momentum is not None else None,
            scalar_zero(params) if self.bias_correction else None,
        )

    def direction(self, gradient: Any, rate: jax.Array, state: RMSpropState, params: Any) -> tuple[Any, RMSpropState]:
        """Return −η g / d, or its velocity."""
        rho, epsilon = rounded(self.decay, gradient), rounded(self.epsilon, gradient)
        second = averages_of_squares(rho, state.second, gradient)
        first = averages(rho, state.first, gradient) if self.centered else None
        weight = average(rho, state.weight, 1) if state.weight is not None else None

        inverse = None if weight is None else 1 / weight
        spread = second if inverse is None else scaled(inverse, second)
        if first is not None:
            mean = first if inverse is None else scaled(inverse, first)
            spread = jax.tree.map(lambda s, m: jnp.maximum(s - m * m, 0), spread, mean)

        outer = rate if self.momentum is None or self.rate_inside else jnp.ones_like(rate)

        def descend(g: jax.Array, s: jax.Array) -> jax.Array:
            return ratio(-outer.astype(g.dtype) * g, root_with(s, epsilon, self.epsilon_inside))

        updates, velocity = jax.tree.map(descend, gradient, spread), state.velocity
        if self.momentum is not None:
            momentum = rounded(rate_at(self.momentum, state.step), gradient)

            def onward(v: jax.Array, u: jax.Array) -> jax.Array:
                return momentum.astype(v.dtype) * v + u

            velocity = jax.tree.map(onward, velocity, updates)
            updates = jax.tree.map(onward, velocity, updates) if self.nesterov else velocity
            updates = updates if self.rate_inside else scaled(rate, updates)
        return updates, RMSpropState(state.step, second, first, velocity, weight)


CASES = (
    Case(
        "ordinary",
        RMSprop(0.1, 0.75, 0.0),
        ([1.0], ([3.0], [0.0], [3.0])),
        [0.8 - 0.1 * 3 / (225 / 64) ** 0.5],
        source="s = 9/4, 27/16, 225/64",
    ),
    Case("known", RMSprop(0.1, 0.75, 0.5), ([1.0], ([3.0],)), [0.85], source="1 − 0.1 · 3/(3/2 + 1/2)"),
    Case(
        "known",
        RMSprop(0.1, 0.75, 1.75, epsilon_inside=True),
        ([1.0], ([3.0],)),
        [0.85],
        source="1 − 0.1 · 3/√(9/4 + 7/4)",
    ),
    Case("known", RMSprop(0.1, 0.5, 0.0, centered=True), ([1.0], ([4.0],)), [0.8], source="8 − 2² = 4: 1 − 0.1 · 4/2"),
    Case(
        "known",
        RMSprop(0.1, 0.75, 0.0, momentum=0.5),
        ([1.0], ([3.0], [0.0])),
        [0.7],
        source="velocities 2 and 1: 1 − 0.1 · 3",
    ),
    Case(
        "known",
        RMSprop(0.1, 0.75, 0.0, momentum=0.5, rate_inside=True),
        ([1.0], ([3.0], [0.0])),
        [0.7],
        source="the same at a constant rate",
    ),
    Case("known", RMSprop(0.1, 0.75, 0.0, bias_correction=True), ([1.0], ([3.0],)), [0.9], source="corrected s = 9"),
    Case(
        "known",
        RMSprop(
            0.1,
            0.75,
            7.0,
            0.5,
            True,
            initial=3.0,
            epsilon_inside=True,
            rate_inside=True,
            bias_correction=True,
            nesterov=True,
        ),
        ([1.0], ([2.0],)),
        [0.925],
        source="s/c = (9/4 + 1)/¼ = 13, m/c = 2; √(13 − 4 + 7) = 4; 1 − 0.1 · 2/4 · (½ + 1)",
    ),
    Case(
        "extreme",
        RMSprop(0.1, 0.75, 0.0),
        ([1.0, 2.0], ([0.0, 1e30],)),
        [1.0, 1.8],
        source="no gradient, no step; else the first step is η/√(1 − ρ)",
    ),
)
