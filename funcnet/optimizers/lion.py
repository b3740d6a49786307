r"""Lion: the sign of an interpolation between momentum and gradient.

Recurrence    c = β₁ m + (1 − β₁) g
              u = −η (sign(c) + λ θ)
              m ← β₂ m + (1 − β₂) g

Symbols       η learning_rate, β₁ beta1, β₂ beta2, m first, λ weight_decay (decoupled), sign(0) = 0

Every step is η in every coordinate: Lion wants a rate 3 to 10 times smaller than Adam, and a decay as many times
larger. The decay reaches the weights alone unless biases=True (Optax and Keras decay biases too).

State         step int32 (); first moment like the parameters
Source        Chen et al. 2023, Algorithm 2.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import Optimizer, averages, decay, needs_params, no_steps, rounded, zeros
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule


class LionState(NamedTuple):
    """The number of updates made, and the momentum."""

    step: jax.Array  # int32 ()
    first: Any  # like the parameters, at least float32


@record
class Lion(Optimizer):
    r"""−η (sign(β₁ m + (1 − β₁) g) + λ θ).

    Args:
        learning_rate: how far a step goes, a number or a schedule; 3e-5 to 3e-4 are usual, a third to a tenth
            of Adam's.
        beta1: the share of the old moment in the sign that is taken; 0.9 is usual.
        beta2: the share of the old moment that is kept each update; 0.99 is usual.
        weight_decay: the share λ of each weight that a step of rate 1 takes away; 3 to 10 times AdamW's.
        biases: whether biases are reached too, not the weights alone.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.Lion(0.01)
    >>> params = jnp.asarray([1.0, 1.0, 1.0])
    >>> updates, _ = optimizer.update(jnp.asarray([5.0, -1e-9, 1.0]), optimizer.init(params), params)
    >>> print(updates)
    [-0.01  0.01 -0.01]

    """

    SQUARES: ClassVar[bool] = False

    learning_rate: Any = number(default=1e-4, at_least=0, schedule=as_schedule)
    beta1: Number = number(default=0.9, at_least=0, below=1)
    beta2: Number = number(default=0.99, at_least=0, below=1)
    weight_decay: Number = number(default=0.0, at_least=0, kw_only=True)
    biases: bool = choice(default=False, options=(False, True), kw_only=True)

    def init(self, params: Any) -> LionState:
        """Return step 0 and a momentum of zeros."""
        return LionState(no_steps(), zeros(params))

    def direction(self, gradient: Any, rate: jax.Array, state: LionState, params: Any) -> tuple[Any, LionState]:
        """Return −η (sign(c) + λ θ)."""
        beta1, beta2 = rounded(self.beta1, gradient), rounded(self.beta2, gradient)
        updates = jax.tree.map(lambda c: -rate.astype(c.dtype) * jnp.sign(c), averages(beta1, state.first, gradient))
        if needs_params(self, self.weight_decay, params):
            updates = decay(updates, params, rate * rounded(self.weight_decay, gradient), self.biases)
        return updates, state._replace(first=averages(beta2, state.first, gradient))


_TREE = {"kernel": [2.0], "bias": [2.0]}
CASES = (
    Case("ordinary", Lion(0.1), ([1.0, 1.0, 1.0], ([5.0, -0.1, 0.0],)), [0.9, 1.1, 1.0], source="signs"),
    Case(
        "known",
        Lion(0.1, 0.5, 0.75),
        ([1.0], ([8.0], [-1.0], [-4.0])),
        [0.9],
        source="m = 0, 2, 5/4; c = 4, 1/2, −11/8",
    ),
    Case(
        "known",
        Lion(0.1, weight_decay=0.5),
        (_TREE, ({"kernel": [1.0], "bias": [1.0]},)),
        {"kernel": [1.8], "bias": [1.9]},
        source="2 − 0.1 (1 + 0.5 · 2)",
    ),
    Case(
        "known",
        Lion(0.1, weight_decay=0.5, biases=True),
        (_TREE, ({"kernel": [1.0], "bias": [1.0]},)),
        {"kernel": [1.8], "bias": [1.8]},
        source="the same for both",
    ),
    Case(
        "extreme",
        Lion(0.1),
        ([1.0, 2.0, 3.0], ([0.0, 1e30, 1e-30],)),
        [1.0, 1.9, 2.9],
        source="no gradient, no step; else η",
    ),
)
