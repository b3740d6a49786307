r"""Rotary positions: each query and key turned by an angle that grows with its place, so that scores see distances.

Forward    (a, b) ↦ (a cos θ − b sin θ, a sin θ + b cos θ),   θ = p B^(−2i/d),   B = 10000
Backward   the same with −θ: the transposed of a rotation

Number i of the first half of a head is paired with number i of the second half, for i < d/2, at place p. The paper
pairs neighbours: its numbers in the order (0, 2, 4, …, 1, 3, 5, …) are these. A score of two turned rows depends on the
difference of their places alone, since ⟨R(p) q, R(r) k⟩ = ⟨q, R(r − p) k⟩.

Angles are computed in float64 on the host: in float32 the cosine is wrong by 2·10⁻⁴ at p = 10⁴.

Shapes     x: (samples, time, …, d), d even; cosines and sines: (time, d/2).
Source     Su et al. 2021, equations 15 and 34; halves as in GPT-NeoX and ONNX.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BASE = 10000.0


def angles(places: int, size: int, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Return the cosines and sines of all places, each (places, size/2).

    >>> import jax.numpy as jnp
    >>> cos, sin = angles(3, 2, jnp.float32)
    >>> print([round(float(number), 2) for number in sin[:, 0]])
    [0.0, 0.84, 0.91]
    """
    theta = np.arange(places)[:, None] * BASE ** (-2 * np.arange(size // 2) / size)
    return jnp.asarray(np.cos(theta), dtype), jnp.asarray(np.sin(theta), dtype)


def turned(x: jax.Array, table: tuple[jax.Array, jax.Array], back: bool = False) -> jax.Array:
    """Turn every row by the angle of its place, or back by it."""
    shape = (1, x.shape[1], *(1,) * (x.ndim - 3), x.shape[-1] // 2)
    cos, sin = (part.reshape(shape) for part in table)
    a, b = jnp.split(x.astype(cos.dtype), 2, axis=-1)
    sin = -sin if back else sin
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1).astype(x.dtype)
