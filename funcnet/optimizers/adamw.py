r"""AdamW: Adam with decoupled weight decay.

Recurrence    m, s, m̂, ŝ as in Adam
              u = −η (m̂ / (√ŝ + ε) + λ θ)

Symbols       η learning_rate, β₁ beta1, β₂ beta2, ε epsilon, λ weight_decay, θ the parameters before the update

The decay does not pass through the moments, so every weight shrinks by the same factor, where an L2 penalty in the
gradient would be divided by √ŝ. It reaches the weights alone unless biases=True (the same rule as the regularizers').

Variants      decay_with_rate: True (PyTorch, Optax, Keras), λ times η; False (the paper's Algorithm 2), λ alone: there
              both terms are multiplied by a schedule only, which a schedule inside η does not do for λ.
              epsilon_hat as in Adam (Keras: True). PyTorch, Optax and Keras decay biases too.

State         that of Adam
Source        Loshchilov & Hutter 2019, Algorithm 2.
"""

from typing import Any

import jax

from funcnet.cases import Case
from funcnet.optimizers.adam import Adam, AdamState
from funcnet.optimizers.base import decay, needs_params, rounded
from funcnet.records import Number, choice, number, record


@record
class AdamW(Adam):
    r"""−η (m̂ / (√ŝ + ε) + λ θ).

    Args:
        learning_rate: how far a step goes, a number or a schedule; 1e-4 to 1e-2 are usual.
        beta1: the share of the old first moment that is kept each update; 0.9 is usual.
        beta2: the share of the old second moment that is kept each update; 0.99 to 0.999 are usual.
        epsilon: what is added to the root, so that a small gradient makes no large step; 1e-8 to 1e-4.
        epsilon_hat: whether epsilon stands beside the uncorrected root, as in the paper's last form and in
            Keras.
        epsilon_root: what is added below the root as well, as in Optax; None for nothing.
        weight_decay: the share λ of each weight that a step of rate 1 takes away; 1e-4 to 0.1 are usual.
        decay_with_rate: whether the decay is multiplied by the rate, as in libraries, or stands alone, as in
            the paper.
        biases: whether biases are reached too, not the weights alone.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.AdamW(0.1, weight_decay=0.5)
    >>> params = {"kernel": jnp.asarray([2.0]), "bias": jnp.asarray([2.0])}
    >>> zero = {"kernel": jnp.asarray([0.0]), "bias": jnp.asarray([0.0])}
    >>> updates, _ = optimizer.update(zero, optimizer.init(params), params)
    >>> print(updates["kernel"], updates["bias"] == 0)  # −0.1 · 0.5 · 2; biases do not decay
    [-0.1] [ True]

    """

    weight_decay: Number = number(default=0.01, at_least=0, kw_only=True)
    decay_with_rate: bool = choice(default=True, options=(False, True), kw_only=True)
    biases: bool = choice(default=False, options=(False, True), kw_only=True)

    def direction(self, gradient: Any, rate: jax.Array, state: AdamState, params: Any) -> tuple[Any, AdamState]:
        """Return Adam's step less the decay."""
        updates, state = super().direction(gradient, rate, state, params)
        if not needs_params(self, self.weight_decay, params):
            return updates, state
        strength = rounded(self.weight_decay, gradient)
        return decay(updates, params, rate * strength if self.decay_with_rate else strength, self.biases), state


_TREE = {"kernel": [2.0], "bias": [2.0]}
_ONES = {"kernel": [3.0], "bias": [3.0]}
CASES = (
    Case(
        "ordinary",
        AdamW(0.1, weight_decay=0.5, epsilon=0.0),
        (_TREE, (_ONES,)),
        {"kernel": [1.8], "bias": [1.9]},
        source="2 − 0.1 (1 + 0.5 · 2); the bias 2 − 0.1",
    ),
    Case(
        "known",
        AdamW(0.1, weight_decay=0.5, epsilon=0.0, decay_with_rate=False),
        (_TREE, (_ONES,)),
        {"kernel": [0.9], "bias": [1.9]},
        source="2 − 0.1 − 0.5 · 2",
    ),
    Case(
        "known",
        AdamW(0.1, weight_decay=0.5, epsilon=0.0, biases=True, epsilon_hat=True),
        (_TREE, (_ONES,)),
        {"kernel": [1.8], "bias": [1.8]},
        source="the same for both",
    ),
)
