r"""AMSGrad: Adam whose second moment never falls.

Recurrence    m ← β₁ m + (1 − β₁) g
              s ← β₂ s + (1 − β₂) g²
              n ← max(n, s)
              u = −η m / (√n + ε)

Symbols       η learning_rate, β₁ beta1, β₂ beta2, ε epsilon, n largest (v̂ in the paper, which has no ε); cᵢ = 1 − βᵢᵗ

Variants      correction: "none" (the paper);
              "after" (PyTorch, Keras, the default), both are corrected after the maximum:
              −η (m / c₁) / (√(n / c₂) + ε);
              "before" (Optax), the maximum is of corrected moments: n ← max(n, s / c₂), −η (m / c₁) / (√n + ε).
              epsilon_hat as in Adam (Keras: True); it matters with "after" alone.
              epsilon_root ρ (Optax): √(n + ρ).

State         step int32 (); first, second and largest like the parameters; the two corrections, scalars: see Adam
Source        Reddi, Kale & Kumar 2018, Algorithm 2.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.optimizers.adam import adam_start, gather_moments
from funcnet.optimizers.base import Optimizer, ratio, rounded, scaled, zeros
from funcnet.records import Number, choice, number, record
from funcnet.schedules.base import as_schedule
from funcnet.trees import root


class AMSGradState(NamedTuple):
    """Adam's state, and the largest second moment so far."""

    step: jax.Array  # int32 ()
    first: Any  # like the parameters, at least float32
    second: Any  # like the parameters, at least float32
    largest: Any  # like the parameters, at least float32
    first_weight: jax.Array  # (), 1 − β₁ᵗ
    second_weight: jax.Array  # (), 1 − β₂ᵗ


@record
class AMSGrad(Optimizer):
    r"""−η m / (√max s + ε).

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-4 to 1e-2 are usual.
        beta1: the share of the old first moment that is kept each update; 0.9 is usual.
        beta2: the share of the old second moment that is kept each update; 0.99 to 0.999 are usual.
        epsilon: what is added to the root, so that a small gradient makes no large step; 1e-8 to 1e-4.
        correction: where the bias correction stands: "after" the maximum, "before" it, or "none".
        epsilon_hat: whether epsilon stands beside the uncorrected root, as in the paper's last form and in
            Keras.
        epsilon_root: what is added below the root as well, as in Optax; None for nothing.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.AMSGrad(0.1, beta1=0.5, beta2=0.75, correction="none")
    >>> params = jnp.asarray([0.0])
    >>> state = optimizer.init(params)
    >>> for gradient in (4.0, 0.0):
    ...     updates, state = optimizer.update(jnp.asarray([gradient]), state, params)
    ...     print(updates)  # m = 2, 1; the second moment 4 falls to 3, the largest does not
    [-0.1]
    [-0.05]

    """

    learning_rate: Any = number(default=0.001, at_least=0, schedule=as_schedule)
    beta1: Number = number(default=0.9, at_least=0, below=1)
    beta2: Number = number(default=0.999, at_least=0, below=1)
    epsilon: Number = number(default=1e-8, at_least=0)
    correction: str = choice(default="after", options=("none", "after", "before"), kw_only=True)
    epsilon_hat: bool = choice(default=False, options=(False, True), kw_only=True)
    epsilon_root: Number | None = number(default=None, at_least=0, kw_only=True)

    def __post_init__(self) -> None:
        if self.epsilon_hat and self.correction != "after":
            raise_error(
                'epsilon_hat belongs to correction="after"', f"got correction={self.correction!r}", "epsilon_hat=False"
            )
        if self.epsilon_root is not None and self.correction == "after":
            raise_error(
                'epsilon_root belongs to correction="before" or "none"', 'got correction="after"', "epsilon_root=None"
            )

    def init(self, params: Any) -> AMSGradState:
        """Return step 0, moments of zeros, and no weight gathered."""
        return AMSGradState(**adam_start(params)._asdict(), largest=zeros(params))

    def direction(self, gradient: Any, rate: jax.Array, state: AMSGradState, params: Any) -> tuple[Any, AMSGradState]:
        """Return −η m / (√n + ε), corrected as chosen."""
        state = gather_moments(self, gradient, state)
        second = state.second if self.correction != "before" else scaled(1 / state.second_weight, state.second)
        largest = jax.tree.map(jnp.maximum, state.largest, second)

        scale, epsilon = rate, rounded(self.epsilon, gradient)
        if self.correction != "none":
            scale = ratio(rate, state.first_weight)
        if self.correction == "after":
            root_weight = jnp.sqrt(state.second_weight)
            scale, epsilon = scale * root_weight, epsilon if self.epsilon_hat else epsilon * root_weight
        inside = None if self.epsilon_root is None else rounded(self.epsilon_root, gradient)

        def one(m: jax.Array, n: jax.Array) -> jax.Array:
            n = n if inside is None else n + inside.astype(n.dtype)
            return ratio(-scale.astype(m.dtype) * m, root(n) + epsilon.astype(n.dtype))

        return jax.tree.map(one, state.first, largest), state._replace(largest=largest)


_A = (0.1, 0.5, 0.75, 0.0)
CASES = (
    Case(
        "ordinary",
        AMSGrad(*_A, correction="none"),
        ([1.0], ([4.0], [0.0])),
        [0.85],
        source="m = 2, 1; s = 4, 3; n = 4, 4",
    ),
    Case(
        "known",
        AMSGrad(0.1, 0.5, 0.75, 2.0, correction="none"),
        ([1.0], ([4.0],)),
        [0.95],
        source="1 − 0.1 · 2/(2 + 2)",
    ),
    Case(
        "known",
        AMSGrad(*_A),
        ([1.0], ([4.0], [0.0])),
        [0.9 - 0.1 * (4 / 3) / (64 / 7) ** 0.5],
        source="m̂ = 4, 4/3; n/c₂ = 16, 4/(7/16)",
    ),
    Case(
        "known",
        AMSGrad(*_A, correction="before"),
        ([1.0], ([4.0], [0.0])),
        [0.9 - 0.1 * (4 / 3) / 4],
        source="m̂ = 4, 4/3; n = 16, max(16, 48/7)",
    ),
    Case(
        "known",
        AMSGrad(0.1, 0.5, 0.75, 2.0, epsilon_hat=True),
        ([1.0], ([4.0],)),
        [0.95],
        source="√c₂/c₁ = 1, m = 2, √n = 2: 2/(2 + 2)",
    ),
    Case(
        "known",
        AMSGrad(*_A, correction="none", epsilon_root=12.0),
        ([1.0], ([4.0],)),
        [0.95],
        source="1 − 0.1 · 2/√(4 + 12)",
    ),
    Case(
        "extreme",
        AMSGrad(*_A, correction="none"),
        ([1.0, 2.0], ([0.0, 1e30],)),
        [1.0, 1.9],
        source="no gradient, no step; else η (1 − β₁)/√(1 − β₂)",
    ),
)
