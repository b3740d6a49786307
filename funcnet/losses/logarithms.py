r"""Probabilities and their logarithms, for the losses that take them: 0 · log 0 = 0, and no logarithm of 0."""

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import is_concrete, raise_error


def check_probabilities(prediction: jax.Array) -> None:
    """Require known predictions to lie in [0, 1]."""
    if is_concrete(prediction) and prediction.size:
        numbers = np.asarray(prediction, np.float64)
        if np.any(numbers < 0) or np.any(numbers > 1 + 1e-2):
            raise_error(
                "predictions must be probabilities in [0, 1]",
                f"got numbers from {numbers.min():g} to {numbers.max():g}",
                "a softmax or sigmoid at the end of the network, or the loss that takes logits",
            )


def times_log(t: jax.Array, logarithm: jax.Array) -> jax.Array:
    """Return t · log q with 0 · log 0 = 0."""
    return jnp.where(t == 0, 0, t * jnp.where(t == 0, 0, logarithm))


def floor_probability(q: jax.Array) -> jax.Array:
    """Read a probability as at least the smallest normal number, so that its logarithm and reciprocal are finite."""
    return jnp.maximum(q, jnp.finfo(q.dtype).tiny)
