r"""A scale and an offset of each feature.

Forward    y = x ∘ s + o
Backward   ds = Σ x ∘ dy,   do = Σ dy,   dx = dy ∘ s

Shapes     x, y: (…, n); s, o: (n,).
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.layers.base import Layer
from funcnet.records import Number, cast, number, record


@record
class Affine(Layer):
    r"""x ∘ scale + offset; both are multiplied by `gain`, a number that sweeps may vary.

    >>> import jax
    >>> Affine().init(jax.random.key(0), (3,))["scale"].shape
    (3,)
    """

    gain: Number = number(default=1.0)

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input."""
        return in_shape

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        """Return scales of 1 and offsets of 0."""
        return {"scale": jnp.ones(in_shape[-1:], dtype), "offset": jnp.zeros(in_shape[-1:], dtype)}

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return y and x."""
        scale, offset = (jnp.broadcast_to(cast(self.gain, x) * params[n], x.shape) for n in ("scale", "offset"))
        return x * scale + offset, x

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[Any, jax.Array]:
        """Return dparams and dx."""
        x, axes, gain = saved, tuple(range(dy.ndim - 1)), cast(self.gain, dy)
        down = {"scale": gain * jnp.sum(x * dy, axis=axes), "offset": gain * jnp.sum(dy, axis=axes)}
        return down, dy * jnp.broadcast_to(gain * params["scale"], dy.shape)


_PARAMS = {"scale": [0.5, -1.5], "offset": [0.1, 0.3]}
CASES = (
    Case("ordinary", Affine(), (_PARAMS, [[1.0, 2.0]])),
    Case("batch", Affine(1.3), (_PARAMS, [[1.0, 2.0], [-0.5, 0.3], [0.7, -1.1]])),
    Case("extreme", Affine(), (_PARAMS, [[1e30, -1e30], [0.0, 0.5]])),
    Case(
        "known",
        Affine(),
        (_PARAMS, [[1.0, 2.0]]),
        [[0.6, -2.7]],
        ({"scale": [1.0, 2.0], "offset": [1.0, 1.0]}, [[0.5, -1.5]]),
        "by hand",
    ),
)
