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

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.optimizers.adagrad import root_with
from funcnet.optimizers.base import (
    Optimizer,
    average,
    averages,
    check_tree,
    limited,
    narrow,
    rate_at,
    ratio,
    rounded,
    scalar,
    scaled,
    zeros,
)
from funcnet.records import Number, choice, number, record


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

    >>> import jax.numpy as jnp
    >>> optimizer = RMSprop(0.1, decay=0.75)
    >>> params = jnp.asarray([0.0])
    >>> updates, _ = optimizer.update(jnp.asarray([3.0]), optimizer.init(params), params)
    >>> print(updates)  # s = 9/4
    [-0.2]
    """

    ORIENTATION_FREE: ClassVar[bool] = True

    learning_rate: Any = number(default=0.001, at_least=0, schedule=True)
    decay: Number = number(default=0.9, at_least=0, below=1)
    epsilon: Number = number(default=1e-8, at_least=0)
    momentum: Number | None = number(default=None, at_least=0, below=1)
    initial: Number = number(default=0.0, at_least=0)
    centered: bool = choice(default=False, options=(False, True))
    epsilon_inside: bool = choice(default=False, options=(False, True))
    rate_inside: bool = choice(default=False, options=(False, True))
    bias_correction: bool = choice(default=False, options=(False, True))
    nesterov: bool = choice(default=False, options=(False, True))

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum is None:
            raise_error("Nesterov's momentum needs a momentum", "got momentum=None", "momentum=0.9")

    def init(self, params: Any) -> RMSpropState:
        """Return step 0, means of zeros, and a velocity at rest."""
        start = rounded(self.initial, params)
        return RMSpropState(
            jnp.zeros((), jnp.int32),
            jax.tree.map(lambda s: s + start.astype(s.dtype), zeros(params)),
            zeros(params) if self.centered else None,
            zeros(params) if self.momentum is not None else None,
            scalar(params) if self.bias_correction else None,
        )

    def update(self, gradient: Any, state: RMSpropState, params: Any) -> tuple[Any, RMSpropState]:
        """Return −η g / d, or its velocity."""
        check_tree(gradient, params)
        gradient = limited(gradient)
        rate = rounded(rate_at(self.learning_rate, state.step), gradient)
        rho, epsilon = rounded(self.decay, gradient), rounded(self.epsilon, gradient)
        second = averages(rho, state.second, jax.tree.map(jnp.square, gradient))
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
            momentum = rounded(self.momentum, gradient)

            def onward(v: jax.Array, u: jax.Array) -> jax.Array:
                return momentum.astype(v.dtype) * v + u

            velocity = jax.tree.map(onward, velocity, updates)
            updates = jax.tree.map(onward, velocity, updates) if self.nesterov else velocity
            updates = updates if self.rate_inside else scaled(rate, updates)
        return narrow(updates, params), RMSpropState(state.step + 1, second, first, velocity, weight)


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
        "extreme",
        RMSprop(0.1, 0.75, 0.0),
        ([1.0, 2.0], ([0.0, 1e30],)),
        [1.0, 1.8],
        source="no gradient, no step; else the first step is η/√(1 − ρ)",
    ),
)
