r"""NAdam: Adam with Nesterov's look-ahead.

Recurrence    μₜ = β₁ (1 − ½ · 0.96^(ψ t)),   Πₜ = μ₁ μ₂ … μₜ
              m ← μₜ m + (1 − μₜ) g
              s ← β₂ s + (1 − β₂) g²
              m̂ = μₜ₊₁ m / (1 − Πₜ₊₁) + (1 − μₜ) g / (1 − Πₜ)
              ŝ = β₂ s / (1 − β₂ᵗ)
              u = −η m̂ / (√ŝ + ε)

Symbols       η learning_rate, β₁ beta1 (μ in the paper), β₂ beta2 (ν), ε epsilon, ψ momentum_decay, t from 1

As in Adam, qₜ = 1 − Πₜ = μₜ qₜ₋₁ + (1 − μₜ) is carried, not computed by a difference that cancels.

Variants      literal: True (the paper), as above; False (PyTorch, Keras, Optax, and the default), m ← β₁ m + (1 − β₁) g
              and ŝ = s / (1 − β₂ᵗ).
              momentum_decay: 0.004 (the paper, PyTorch), 1 (Keras), None (Optax): μₜ = β₁ throughout.

State         step int32 (); first and second moment like the parameters; the two corrections, scalars
Source        Dozat 2016, Algorithm 2 (with its schedule of μ, and the factor β₂ in ŝ).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.adam import AdamState, adam_start
from funcnet.optimizers.base import (
    Optimizer,
    average,
    averages,
    averages_of_squares,
    later,
    ratio,
    rounded,
)
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule
from funcnet.trees import root


@record
class NAdam(Optimizer):
    r"""−η m̂ / (√ŝ + ε) with m̂ one step ahead.

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-4 to 1e-2 are usual.
        beta1: the share of the old first moment that is kept each update; 0.9 is usual.
        beta2: the share of the old second moment that is kept each update; 0.99 to 0.999 are usual.
        epsilon: what is added to the root, so that a small gradient makes no large step; 1e-8 to 1e-4.
        momentum_decay: ψ, how fast the first moment's weight rises to beta1; None holds it there.
        literal: whether the paper is followed to the letter, not the libraries.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.NAdam(0.1, beta1=0.5, momentum_decay=None)
    >>> params = jnp.asarray([0.0])
    >>> updates, _ = optimizer.update(jnp.asarray([3.0]), optimizer.init(params), params)
    >>> print(jnp.round(updates, 6))  # m̂ = ½ · 1.5 / (3/4) + ½ · 3 / ½ = 4, √ŝ = 3
    [-0.133333]

    """

    learning_rate: Any = number(default=0.002, at_least=0, schedule=as_schedule)
    beta1: Number = number(default=0.9, at_least=0, below=1)
    beta2: Number = number(default=0.999, at_least=0, below=1)
    epsilon: Number = number(default=1e-8, at_least=0)
    momentum_decay: Number | None = number(default=0.004, at_least=0, optional=True, kw_only=True)
    literal: bool = choice(default=False, options=(False, True), kw_only=True)

    def init(self, params: Any) -> AdamState:
        """Return step 0, moments of zeros, and no weight gathered."""
        return adam_start(params)

    def direction(self, gradient: Any, rate: jax.Array, state: AdamState, params: Any) -> tuple[Any, AdamState]:
        """Return −η m̂ / (√ŝ + ε)."""
        beta1, beta2, epsilon = (rounded(v, gradient) for v in (self.beta1, self.beta2, self.epsilon))
        now, ahead = (self._momentum(beta1, gradient, later(state.step, by)) for by in (1, 2))

        first = averages(now if self.literal else beta1, state.first, gradient)
        second = averages_of_squares(beta2, state.second, gradient)
        first_weight = average(now, state.first_weight, 1)
        second_weight = average(beta2, state.second_weight, 1)

        # As in Adam, the root of the correction moves from the array to the scalars beside it.
        root_weight = jnp.sqrt(second_weight)
        of_moment = ratio(rate * root_weight * ahead, average(ahead, first_weight, 1))
        of_gradient = ratio(rate * root_weight * (1 - now), first_weight)
        epsilon = epsilon * root_weight

        def one(g: jax.Array, m: jax.Array, s: jax.Array) -> jax.Array:
            step = of_moment.astype(m.dtype) * m + of_gradient.astype(g.dtype) * g
            s = beta2.astype(s.dtype) * s if self.literal else s
            return ratio(-step, root(s) + epsilon.astype(s.dtype))

        return jax.tree.map(one, gradient, first, second), AdamState(
            state.step, first, second, first_weight, second_weight
        )

    def _momentum(self, beta1: jax.Array, gradient: Any, t: jax.Array) -> jax.Array:
        """Return μₜ."""
        if self.momentum_decay is None:
            return beta1
        exponent = rounded(self.momentum_decay, gradient) * t.astype(beta1.dtype)
        return beta1 * (1 - 0.5 * jnp.exp(rounded(math.log(0.96), gradient) * exponent))


_E = (0.1, 0.5, 0.75, 0.0)
CASES = (
    Case(
        "ordinary",
        NAdam(*_E, momentum_decay=None),
        ([0.0], ([3.0],)),
        [-0.1 * 4 / 3],
        source="m̂ = ½ · 3/2 / (3/4) + ½ · 3 / ½ = 4, √ŝ = 3",
    ),
    Case(
        "known",
        NAdam(*_E, momentum_decay=None),
        ([0.0], ([3.0], [0.0])),
        [-0.4 / 3 - 0.1 * (3 / 7) / (27 / 7) ** 0.5],
        source="then m̂ = ½ · 3/4 / (7/8) = 3/7, ŝ = (27/16)/(7/16)",
    ),
    Case(
        "known",
        NAdam(*_E, momentum_decay=None, literal=True),
        ([0.0], ([3.0],)),
        [-0.1 * 4 / 6.75**0.5],
        source="ŝ = ¾ · 9",
    ),
    Case(
        "known",
        NAdam(0.1, 0.5, 0.75, 0.0, momentum_decay=1.0),
        ([0.0], ([3.0],)),
        [-0.1 * (0.2696 * 1.5 / (1 - 0.26 * 0.2696) + 0.74 * 3 / 0.74) / 3],
        source="μ₁ = ½ (1 − ½ · 0.96) = 0.26, μ₂ = 0.2696",
    ),
    Case(
        "extreme",
        NAdam(*_E, momentum_decay=None),
        ([1.0, 2.0], ([0.0, 1e30],)),
        [1.0, 2.0 - 0.4 / 3],
        source="no gradient, no step; else as for 3",
    ),
)
