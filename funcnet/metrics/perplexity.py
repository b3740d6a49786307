r"""Perplexity: the exponential of the mean cross-entropy, the number of classes that one is undecided among.

Value      exp(Σᵢ wᵢ lᵢ / Σᵢ wᵢ),   lᵢ = log Σⱼ e^{zᵢⱼ} − Σₖ tᵢₖ zᵢₖ

It is the exponential of `SoftmaxCrossEntropy()` over the whole set, not the mean of the batches' exponentials.

Shapes     logits (…, K); t: labels (…,) or distributions (…, K). Of a language model (batch, time, K) every token
           counts by its weight.
Extremes   overflows where the mean cross-entropy is above 88 in float32.
Source     Jelinek, Mercer, Bahl & Baker 1977.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.metrics.base import MeanMetric
from funcnet.records import record
from funcnet.targets import check_classes, distribution


@record
class Perplexity(MeanMetric):
    r"""exp of the mean cross-entropy, from logits.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(f"{fn.Perplexity()(jnp.zeros((2, 4)), jnp.asarray([0, 3])):.4f}")  # of four equal classes
    4.0000
    """

    LOWER_IS_BETTER = True

    def check(self, prediction: Any, target: Any) -> None:
        """Require labels in range or distributions."""
        check_classes(prediction, target)

    def samples(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return the cross-entropy of each sample."""
        t = distribution(prediction, target.astype(prediction.dtype) if target.ndim == prediction.ndim else target)
        shifted = prediction - jnp.max(prediction, axis=-1, keepdims=True)
        chosen = jnp.sum(jnp.where(t == 0, 0, t * jnp.where(t == 0, 0, shifted)), axis=-1)
        return jnp.log(jnp.sum(jnp.exp(shifted), axis=-1)) - chosen

    def value(self, sums: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Return exp(Σ w l / Σ w)."""
        return jnp.exp(sums[0] / sums[1])


CASES = (
    Case("known", Perplexity(), ([[0.0, 0.0, 0.0, 0.0]], [3]), 4.0, None, "four equal classes"),
    Case("known", Perplexity(), ([[0.0, 0.0], [0.0, -1e4]], [0, 0]), 2.0**0.5, None, "√(2 · 1)"),
    Case("known", Perplexity(), ([[0.0, 0.0], [0.0, -1e4]], [0, 0], [1.0, 3.0]), 2.0**0.25, None, "2^(1/4)"),
)
