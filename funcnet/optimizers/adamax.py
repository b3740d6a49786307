r"""AdaMax: Adam with the maximum in place of the root mean square.

Recurrence    m ← β₁ m + (1 − β₁) g
              n ← max(β₂ n, |g|)
              u = −η / (1 − β₁ᵗ) · m / n

Symbols       η learning_rate, β₁ beta1, β₂ beta2, n norm (u in the paper), ε epsilon, t from 1

n is the limit of the p-th root of a running mean of |g|ᵖ; it needs no bias correction. A coordinate whose n is 0 has
had no gradient and does not move, so the paper's recurrence needs no ε.

Variants      epsilon_at: "divisor" (Keras), m / (n + ε); "maximum" (PyTorch, Optax), n ← max(β₂ n, |g| + ε).

State         step int32 (); first and norm like the parameters; first_weight, a scalar: see Adam
Source        Article B3.7; Kingma & Ba 2015, Algorithm 2.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import Optimizer, average, averages, no_steps, ratio, rounded, scalar_zero, zeros
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule


class AdaMaxState(NamedTuple):
    """The number of updates, the first moment, the decaying maximum, and the weight gathered by the first."""

    step: jax.Array  # int32 ()
    first: Any  # like the parameters, at least float32
    norm: Any  # like the parameters, at least float32
    first_weight: jax.Array  # (), 1 − β₁ᵗ


@record
class AdaMax(Optimizer):
    r"""−η m̂ / max(β₂ n, |g|).

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-4 to 1e-2 are usual.
        beta1: the share of the old first moment that is kept each update; 0.9 is usual.
        beta2: the share of the old second moment that is kept each update; 0.99 to 0.999 are usual.
        epsilon: what keeps the divisor from 0; 0 in the paper, 1e-8 in PyTorch.
        epsilon_at: where epsilon stands: added to the "divisor", or to the gradient's size in the "maximum".

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.AdaMax(0.002)
    >>> params = jnp.asarray([0.0, 0.0])
    >>> updates, _ = optimizer.update(jnp.asarray([5.0, 0.0]), optimizer.init(params), params)
    >>> print(updates)  # η in each direction that has a gradient
    [-0.002  0.   ]

    """

    SQUARES: ClassVar[bool] = False

    learning_rate: Any = number(default=0.002, at_least=0, schedule=as_schedule)
    beta1: Number = number(default=0.9, at_least=0, below=1)
    beta2: Number = number(default=0.999, at_least=0, below=1)
    epsilon: Number = number(default=0.0, at_least=0)
    epsilon_at: str = choice(default="divisor", options=("divisor", "maximum"), kw_only=True)

    def init(self, params: Any) -> AdaMaxState:
        """Return step 0, zeros, and no weight gathered."""
        return AdaMaxState(no_steps(), zeros(params), zeros(params), scalar_zero(params))

    def direction(self, gradient: Any, rate: jax.Array, state: AdaMaxState, params: Any) -> tuple[Any, AdaMaxState]:
        """Return −η / (1 − β₁ᵗ) · m / n."""
        beta1, beta2, epsilon = (rounded(v, gradient) for v in (self.beta1, self.beta2, self.epsilon))
        inside, beside = (epsilon, 0 * epsilon) if self.epsilon_at == "maximum" else (0 * epsilon, epsilon)
        first = averages(beta1, state.first, gradient)
        norm = jax.tree.map(
            lambda n, g: jnp.maximum(beta2.astype(n.dtype) * n, jnp.abs(g) + inside.astype(n.dtype)),
            state.norm,
            gradient,
        )
        weight = average(beta1, state.first_weight, 1)
        scale = ratio(rate, weight)

        def one(m: jax.Array, n: jax.Array) -> jax.Array:
            return ratio(-scale.astype(m.dtype) * m, n + beside.astype(n.dtype))

        return jax.tree.map(one, first, norm), AdaMaxState(state.step, first, norm, weight)


CASES = (
    Case(
        "ordinary",
        AdaMax(0.1),
        ([1.0, -2.0], ([3.0, -0.5], [3.0, -0.5])),
        [0.8, -1.8],
        source="equal gradients: steps of 0.1 sign(g)",
    ),
    Case(
        "known",
        AdaMax(0.1, 0.5, 0.5),
        ([0.0], ([8.0], [2.0])),
        [-0.1 - 0.1 * (3 / 0.75) / 4],
        source="m = 4, 3; n = 8, max(4, 2); weights 1/2, 3/4",
    ),
    Case("known", AdaMax(0.1, 0.5, 0.5, 2.0), ([0.0], ([8.0],)), [-0.08], source="8/(8 + 2)"),
    Case(
        "known", AdaMax(0.1, 0.5, 0.5, 2.0, epsilon_at="maximum"), ([0.0], ([8.0],)), [-0.08], source="8/max(0, 8 + 2)"
    ),
    Case(
        "extreme",
        AdaMax(0.1),
        ([1.0, 2.0, 3.0], ([0.0, 1e30, 1e-30],)),
        [1.0, 1.9, 2.9],
        source="no gradient, no step; else the first step is η",
    ),
)
