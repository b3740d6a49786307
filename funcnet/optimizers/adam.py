r"""Adam: adaptive moment estimation.

Recurrence    m ← β₁ m + (1 − β₁) g
              s ← β₂ s + (1 − β₂) g²
              m̂ = m / (1 − β₁ᵗ),   ŝ = s / (1 − β₂ᵗ)
              u = −η m̂ / (√ŝ + ε)

Symbols       η learning_rate, β₁ beta1, β₂ beta2, ε epsilon (outside the root, after bias correction), t from 1

Bias correction. m is a weighted sum of past gradients whose weights add up to cₜ = 1 − βᵗ, and that sum obeys the same
recurrence with 1 in place of the gradient: cₜ = β cₜ₋₁ + (1 − β), c₀ = 0. Carrying c costs one multiplication and loses
no digits, where 1 − βᵗ cancels while βᵗ is close to 1.

State         step int32 (); first and second moment like the parameters; the two corrections, scalars
Source        Article A3.4 and B3.7 (A's formulas are misprinted beyond repair: see the errata);
              Kingma & Ba 2015, Algorithm 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.optimizers.base import Optimizer, check_tree, narrow, rate_at, widen, zeros
from funcnet.records import Number, cast, number, record


class AdamState(NamedTuple):
    """The number of updates, the two moments, and the weights that they have gathered."""

    step: jax.Array  # int32 ()
    first: Any  # like the parameters, at least float32
    second: Any  # like the parameters, at least float32
    first_weight: jax.Array  # (), 1 − β₁ᵗ
    second_weight: jax.Array  # (), 1 − β₂ᵗ


@record
class Adam(Optimizer):
    r"""η m̂ / (√ŝ + ε), the paper's Algorithm 1.

    >>> import jax.numpy as jnp
    >>> optimizer = Adam(0.001)
    >>> params = jnp.asarray([0.0, 0.0])
    >>> updates, state = optimizer.update(jnp.asarray([5.0, -0.01]), optimizer.init(params), params)
    >>> print(updates)  # the first step is η in each direction, whatever the size of the gradient
    [-0.001  0.001]
    """

    learning_rate: Any = number(0.001, at_least=0, schedule=True)
    beta1: Number = number(0.9, at_least=0, below=1)
    beta2: Number = number(0.999, at_least=0, below=1)
    epsilon: Number = number(1e-8, at_least=0)

    def init(self, params: Any) -> AdamState:
        """Return step 0, moments of zeros, and no weight gathered."""
        none = jnp.zeros((), jnp.zeros(()).dtype)
        return AdamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), none, none)

    def update(self, gradient: Any, state: AdamState, params: Any) -> tuple[Any, AdamState]:
        """Return −η m̂ / (√ŝ + ε)."""
        check_tree(gradient, params)
        rate, gradient = rate_at(self.learning_rate, state.step), widen(gradient)
        first = jax.tree.map(lambda m, g: average(self.beta1, m, g), state.first, gradient)
        second = jax.tree.map(lambda s, g: average(self.beta2, s, g * g), state.second, gradient)
        first_weight = average(self.beta1, state.first_weight, 1)
        second_weight = average(self.beta2, state.second_weight, 1)

        def one(m: jax.Array, s: jax.Array) -> jax.Array:
            scale = cast(rate, m) / first_weight.astype(m.dtype)
            root = jnp.sqrt(s / second_weight.astype(s.dtype))
            return -scale * m / (root + cast(self.epsilon, m))

        updates = jax.tree.map(one, first, second)
        return narrow(updates, params), AdamState(state.step + 1, first, second, first_weight, second_weight)


def average(beta: Any, old: jax.Array, new: Any) -> jax.Array:
    """Return β old + (1 − β) new, with 1 − β taken of the rounded β."""
    beta = cast(beta, old)
    return beta * old + (1 - beta) * new
