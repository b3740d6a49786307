r"""Adagrad: each coordinate's rate falls with the squares of all its past gradients.

Recurrence    a ← a + g²
              u = −η g / (√a + ε)

Symbols       η learning_rate, ε epsilon (δ in the paper), a₀ initial

Variants      epsilon_inside: False (the paper, PyTorch), √a + ε; True (Optax, Keras), √(a + ε).
              a₀: 0 in the paper and PyTorch, 0.1 in Optax and Keras.
              PyTorch's lr_decay is the schedule `InverseTime(η, decay)`.

State         step int32 (); accumulator like the parameters. It saturates at half of the largest finite number.
Source        Article B3.7; Duchi, Hazan & Singer 2011, figure 1 (diagonal form).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import Optimizer, filled, no_steps, ratio, root_with, rounded
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule


class AdagradState(NamedTuple):
    """The number of updates made, and the sum of squares."""

    step: jax.Array  # int32 ()
    accumulator: Any  # like the parameters, at least float32


@record
class Adagrad(Optimizer):
    r"""−η g / (√Σg² + ε).

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-2 to 1e-1 are usual.
        epsilon: what is added to the root, so that a small gradient makes no large step; 1e-8 to 1e-4.
        initial: where the sum of squares begins; 0 in the paper, 0.1 in Keras.
        epsilon_inside: whether epsilon stands below the root.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.Adagrad(0.1)
    >>> params = jnp.asarray([0.0])
    >>> state = optimizer.init(params)
    >>> for gradient in (3.0, 4.0):
    ...     updates, state = optimizer.update(jnp.asarray([gradient]), state, params)
    ...     print(updates)  # −0.1 · 3/√9, then −0.1 · 4/√25
    [-0.1]
    [-0.08]

    """

    learning_rate: Any = number(default=0.01, at_least=0, schedule=as_schedule)
    epsilon: Number = number(default=1e-10, at_least=0)
    initial: Number = number(default=0.0, at_least=0)
    epsilon_inside: bool = choice(default=False, options=(False, True), kw_only=True)

    def init(self, params: Any) -> AdagradState:
        """Return step 0 and the initial accumulator."""
        return AdagradState(no_steps(), filled(self.initial, params))

    def direction(self, gradient: Any, rate: jax.Array, state: AdagradState, params: Any) -> tuple[Any, AdagradState]:
        """Return −η g / (√a + ε)."""
        epsilon = rounded(self.epsilon, gradient)
        # Limited before the sum: a limit of the sum the compiler would repeat for the step, and copy the state for it.
        total = jax.tree.map(
            lambda a, g: jnp.minimum(a, jnp.finfo(a.dtype).max / 4) + g * g, state.accumulator, gradient
        )

        def one(g: jax.Array, a: jax.Array) -> jax.Array:
            return ratio(-rate.astype(g.dtype) * g, root_with(a, epsilon, self.epsilon_inside))

        return jax.tree.map(one, gradient, total), state._replace(accumulator=total)


CASES = (
    Case("ordinary", Adagrad(0.1), ([1.0], ([3.0], [4.0])), [0.82], source="1 − 0.1 · 3/3 − 0.1 · 4/5"),
    Case("known", Adagrad(0.1, epsilon=1.0), ([1.0], ([3.0],)), [0.925], source="1 − 0.1 · 3/(3 + 1)"),
    Case(
        "known",
        Adagrad(0.1, epsilon=7.0, epsilon_inside=True),
        ([1.0], ([3.0],)),
        [0.925],
        source="1 − 0.1 · 3/√(9 + 7)",
    ),
    Case("known", Adagrad(0.1, initial=16.0), ([1.0], ([3.0],)), [0.94], source="1 − 0.1 · 3/√(16 + 9)"),
    Case(
        "extreme",
        Adagrad(0.1, epsilon=0.0),
        ([1.0, 2.0], ([0.0, 1e30],)),
        [1.0, 1.9],
        source="no gradient, no step; else the first step is η",
    ),
)
