r"""How the numbers of a kernel are drawn: a distribution of a given variance, and the fans that decide it."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.keys import normal, uniform
from funcnet.trees import default_real

PANEL = 32
DISTRIBUTIONS = ("uniform", "normal", "truncated")
_INSIDE = math.erf(2**0.5)  # how much of a normal distribution is within two deviations
# The deviation of what is within: its variance is 1 − 2a φ(a)/P for the cut a = 2.
_CUT = (1 - 4 * math.exp(-2) / (2 * math.pi) ** 0.5 / _INSIDE) ** 0.5


def drawn(key: jax.Array, shape: tuple[int, ...], dtype: Any, distribution: str, variance: float) -> jax.Array:
    """Draw numbers of mean 0 and a variance, in JAX's default float dtype for None."""
    dtype = real(dtype)
    if distribution == "normal":
        return normal(key, shape).astype(dtype) * jnp.asarray(variance**0.5, dtype)
    if distribution == "truncated":
        within = jax.lax.erf_inv(_INSIDE * (2 * uniform(key, shape) - 1)).astype(dtype)
        return within * jnp.asarray((2 * variance) ** 0.5 / _CUT, dtype)
    return symmetric(key, shape, dtype) * jnp.asarray((3 * variance) ** 0.5, dtype)


def symmetric(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Draw uniform numbers in [−1, 1)."""
    return (2 * uniform(key, shape) - 1).astype(real(dtype))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs feed an output of a kernel (*window, in, out), and how many outputs an input feeds.

    >>> fans((3, 3, 64, 128))
    (576, 1152)
    """
    taps = math.prod(shape[:-2])
    return taps * shape[-2 if len(shape) > 1 else 0], taps * shape[-1]


def real(dtype: Any) -> Any:
    """Return the dtype, JAX's default float dtype for None."""
    return default_real() if dtype is None else dtype


def orthonormal(a: jax.Array) -> jax.Array:
    """Return Q of a = QR with R's diagonal positive, for columns a (…, m, n), m ≥ n.

    Gram–Schmidt, panel by panel and within a panel column by column, each done twice, which is enough for right angles
    to rounding (Giraud et al. 2005). Loops of products: they go side by side in lanes, and on every platform. (LAPACK's
    factors of a batch have been seen to hang on a busy CPU, jaxlib 0.10.2.)
    """
    count, whole = a.shape[-1], a.shape[-1] // PANEL * PANEL

    def panel(q: jax.Array, start: Any, width: int) -> jax.Array:
        p = jax.lax.dynamic_slice_in_dim(a, start, width, axis=-1)
        for _ in range(2):
            p = jax.lax.fori_loop(0, width, column, _rest(q, p))
        return jax.lax.dynamic_update_slice_in_dim(q, p, start, axis=-1)

    def column(j: Any, p: jax.Array) -> jax.Array:
        done = jnp.where(jnp.arange(p.shape[-1]) < j, p, 0)
        v = _rest(done, _rest(done, jax.lax.dynamic_slice_in_dim(p, j, 1, axis=-1)))
        v = v / jnp.sqrt(jnp.sum(jnp.square(v), axis=-2, keepdims=True))
        return jax.lax.dynamic_update_slice_in_dim(p, v, j, axis=-1)

    q = jnp.zeros_like(a)
    if whole:
        q = jax.lax.fori_loop(0, whole // PANEL, lambda i, q: panel(q, PANEL * i, PANEL), q)
    return panel(q, whole, count - whole) if whole < count else q


def _rest(q: jax.Array, v: jax.Array) -> jax.Array:
    """Return v − Q Qᵀv."""
    along = jnp.matmul(jnp.swapaxes(q, -1, -2), v, precision="highest")
    return v - jnp.matmul(q, along, precision="highest")
