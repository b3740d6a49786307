r"""Adam: adaptive moment estimation.

Recurrence    m ← β₁ m + (1 − β₁) g
              s ← β₂ s + (1 − β₂) g²
              m̂ = m / c₁,   ŝ = s / c₂,   cᵢ = 1 − βᵢᵗ
              u = −η m̂ / (√ŝ + ε)

Symbols       η learning_rate, β₁ beta1, β₂ beta2, ε epsilon, t from 1

Computed as   u = −(η √c₂ / c₁) m / (√s + ε √c₂), the same number: one root and one division an element.

Bias correction. m is a weighted sum of past gradients whose weights add up to cₜ = 1 − βᵗ, and that sum obeys the same
recurrence with 1 in place of the gradient: cₜ = β cₜ₋₁ + (1 − β), c₀ = 0. Carrying c costs one multiplication and loses
no digits, where 1 − βᵗ cancels while βᵗ is close to 1.

Variants      epsilon_hat: False (Algorithm 1, PyTorch, Optax), ε beside √ŝ; True (the paper's ε̂ at the end of section
              2, Keras, scikit-learn), ε beside the uncorrected √s, hence larger by 1/√c₂ in early steps.
              epsilon_root ρ (Optax): √(ŝ + ρ).

State         step int32 (); first and second moment like the parameters; the two corrections, scalars
Source        Article A3.4 and B3.7 (A's formulas are misprinted beyond repair: see the errata);
              Kingma & Ba 2015, Algorithm 1 and section 2.
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
    no_steps,
    ratio,
    rounded,
    scalar_zero,
    zeros,
)
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule
from funcnet.trees import root


class AdamState(NamedTuple):
    """The number of updates, the two moments, and the weights that they have gathered."""

    step: jax.Array  # int32 ()
    first: Any  # like the parameters, at least float32
    second: Any  # like the parameters, at least float32
    first_weight: jax.Array  # (), 1 − β₁ᵗ
    second_weight: jax.Array  # (), 1 − β₂ᵗ


@record
class Adam(Optimizer):
    r"""−η m̂ / (√ŝ + ε), the paper's Algorithm 1.

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-4 to 1e-2 are usual.
        beta1: the share of the old first moment that is kept each update; 0.9 is usual.
        beta2: the share of the old second moment that is kept each update; 0.99 to 0.999 are usual.
        epsilon: what is added to the root, so that a small gradient makes no large step; 1e-8 to 1e-4.
        epsilon_hat: whether epsilon stands beside the uncorrected root, as in the paper's last form and in
            Keras.
        epsilon_root: what is added below the root as well, as in Optax; None for nothing.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.Adam(0.001)
    >>> params = jnp.asarray([0.0, 0.0])
    >>> updates, state = optimizer.update(jnp.asarray([5.0, -0.01]), optimizer.init(params), params)
    >>> print(updates)  # the first step is η in each direction, whatever the size of the gradient
    [-0.001  0.001]

    """

    learning_rate: Any = number(default=0.001, at_least=0, schedule=as_schedule)
    beta1: Number = number(default=0.9, at_least=0, below=1)
    beta2: Number = number(default=0.999, at_least=0, below=1)
    epsilon: Number = number(default=1e-8, at_least=0)
    epsilon_hat: bool = choice(default=False, options=(False, True), kw_only=True)
    epsilon_root: Number | None = number(default=None, at_least=0, kw_only=True)

    def __post_init__(self) -> None:
        if self.epsilon_hat and self.epsilon_root is not None:
            raise_error(
                "epsilon_root stands under the corrected root", "got epsilon_hat=True with it", "epsilon_hat=False"
            )

    def init(self, params: Any) -> AdamState:
        """Return step 0, moments of zeros, and no weight gathered."""
        return adam_start(params)

    def direction(self, gradient: Any, rate: jax.Array, state: AdamState, params: Any) -> tuple[Any, AdamState]:
        """Return −(η √c₂ / c₁) m / (√s + ε √c₂)."""
        state = gather_moments(self, gradient, state)
        root_weight = jnp.sqrt(state.second_weight)
        scale = ratio(rate * root_weight, state.first_weight)
        epsilon = rounded(self.epsilon, gradient)
        epsilon = epsilon if self.epsilon_hat else epsilon * root_weight
        inside = None if self.epsilon_root is None else rounded(self.epsilon_root, gradient) * state.second_weight

        def one(m: jax.Array, s: jax.Array) -> jax.Array:
            s = s if inside is None else s + inside.astype(s.dtype)
            return ratio(-scale.astype(m.dtype) * m, root(s) + epsilon.astype(s.dtype))

        return jax.tree.map(one, state.first, state.second), state


def adam_start(params: Any) -> AdamState:
    """Return step 0, moments of zeros, and no weight gathered."""
    return AdamState(no_steps(), zeros(params), zeros(params), scalar_zero(params), scalar_zero(params))


def gather_moments(rule: Any, gradient: Any, state: Any) -> Any:
    """Return the state with one more gradient in its moments."""
    beta1, beta2 = rounded(rule.beta1, gradient), rounded(rule.beta2, gradient)
    return state._replace(
        first=averages(beta1, state.first, gradient),
        second=averages_of_squares(beta2, state.second, gradient),
        first_weight=average(beta1, state.first_weight, 1),
        second_weight=average(beta2, state.second_weight, 1),
    )


_W, _G = [1.0, -2.0], ([3.0, -0.5], [3.0, -0.5])
CASES = (
    Case(
        "ordinary",
        Adam(0.1),
        (_W, _G),
        [0.8, -1.8],
        source="equal gradients: m̂ = g, ŝ = g², each step 0.1 sign(g), less 3e-9",
    ),
    Case(
        "known",
        Adam(0.1, 0.5, 0.75, 1.0),
        ([0.0], ([3.0], [1.0])),
        [-0.1 * 3 / 4 - 0.1 * (5 / 3) / ((31 / 7) ** 0.5 + 1)],
        source="m = 3/2, 5/4; s = 9/4, 31/16; c = 1/2, 3/4 and 1/4, 7/16",
    ),
    Case(
        "known",
        Adam(0.1, 0.5, 0.75, 1.0, epsilon_hat=True),
        ([0.0], ([3.0],)),
        [-0.1 * (0.5 / 0.5) * 1.5 / (1.5 + 1)],
        source="√c₂/c₁ = 1; m = 3/2, √s = 3/2",
    ),
    Case(
        "known", Adam(0.1, 0.5, 0.75, 0.0, epsilon_root=16.0), ([0.0], ([3.0],)), [-0.1 * 3 / 5], source="√(9 + 16) = 5"
    ),
    Case(
        "extreme",
        Adam(0.1, epsilon=0.0),
        ([1.0, 2.0, 3.0], ([0.0, 1e30, 1e-10],)),
        [1.0, 1.9, 2.9],
        source="no gradient, no step; else the first step is η",
    ),
)
