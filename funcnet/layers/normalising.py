r"""What all normalisations share: numbers of mean 0 and variance 1 over some axes, and the way back.

Forward    μ = mean x,   v = mean (x − μ)²,   r = 1/√(v + ε),   x̂ = (x − μ) r
Backward   dx = r (g − mean g − x̂ mean(g x̂)),   with g the derivative by x̂

Derivation. x reaches x̂ by itself, by μ and by v. With D numbers, ∂L/∂v = −½ r³ Σ g (x − μ) = −½ r² Σ g x̂, and
∂L/∂μ = −r Σ g, since Σ (x − μ) = 0 takes the path from μ through v away. dx = r g + 2 (x − μ)/D ∂L/∂v + 1/D ∂L/∂μ.

The variance is that of differences from the mean, in two passes: E[x²] − E[x]² loses all digits where the mean is large
(in float32 a variance of 1 around 10⁵ comes out as 0), and costs as much.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.records import cast


def along(vector: jax.Array, x: jax.Array) -> jax.Array:
    """Return a vector over the last axis of x, in as many axes as x has."""
    return vector.reshape((1,) * (x.ndim - 1) + (-1,))


def widened(x: jax.Array) -> jax.Array:
    """Return x in at least float32, in which statistics are taken."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits <= 16 else x


def moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Return mean and variance over axes, which stay with length 1."""
    mean = jnp.mean(x, axis=axes, keepdims=True)
    return mean, jnp.mean(jnp.square(x - mean), axis=axes, keepdims=True)


def reciprocal(variance: jax.Array, epsilon: Any) -> jax.Array:
    """Return r = 1/√(v + ε)."""
    return jax.lax.rsqrt(variance + cast(epsilon, variance))


def over_samples(a: jax.Array) -> jax.Array:
    """Return the sum over all axes but the last."""
    return jnp.sum(a, axis=tuple(range(a.ndim - 1)))


def over_features(a: jax.Array, weight: jax.Array) -> jax.Array:
    """Return the mean of a · weight over the last axis, which stays with length 1, as a product."""
    return jnp.matmul(a, weight, precision=jax.lax.Precision.HIGHEST)[..., None] / a.shape[-1]
