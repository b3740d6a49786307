r"""Group normalisation: channels in groups, each of mean 0 and variance 1 over its channels and all positions.

Forward    μ, v  over the positions and the channels of a group, of one sample;   x̂ = (x − μ)/√(v + ε),   y = γ x̂ + β
Backward   dγ = Σ dy x̂,   dβ = Σ dy   over samples and positions;   dx = r (g − mean g − x̂ mean(g x̂)),   g = γ dy

Derivation. See `normalising`; γ differs within a group, so it enters g before the means are taken: γ is a factor of all
positions of a channel, so the means over a group are those of γ Σ dy and γ Σ dy x̂, sums over positions that dγ and dβ
are made of, too. One group is a layer normalisation over channels and positions; a group for each channel an instance
normalisation.

Shapes     x, y: (batch, …, channels), channels a multiple of the groups; γ, β: (channels,).
Extremes   A group of equal numbers gives x̂ = 0. Sixteen bits: statistics in float32.
Source     Wu & He 2018, equations 1 to 7.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, Shape
from funcnet.layers.normalising import along, over_samples, reciprocal, widened
from funcnet.records import Number, choice, number, record


@record
class GroupNorm(Layer):
    r"""Normalise groups of channels, the last axis, of each sample, then scale and move each channel.

    Args:
        groups: how many groups the channels are cut into, in order; at least 1, a divisor of the channels.
        epsilon: what is added to the variance.

    Raises:
        ValueError: where the groups do not divide the channels.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.GroupNorm(2)
    >>> params = layer.init(jax.random.key(0), (4,))
    >>> print(layer.apply(params, jnp.asarray([[1.0, 3.0, 10.0, 30.0]])).round(3))
    [[-1.  1. -1.  1.]]

    """

    groups: int = choice(at_least=1)
    epsilon: Number = number(default=1e-5, above=0)

    @property
    def passes_on(self) -> bool:
        """Tell that channels are scaled and moved, and no more."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        if not in_shape or in_shape[-1] % self.groups:
            arrived = f"the last axis has {in_shape[-1]}" if in_shape else "got a scalar sample"
            divisors = [n for n in range(1, (in_shape or (1,))[-1] + 1) if (in_shape or (1,))[-1] % n == 0]
            attempt = f"groups among {', '.join(map(str, divisors[:12]))}; channels come last"
            raise_error(f"channels must be a multiple of {self.groups} groups", arrived, attempt)
        return in_shape

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Return a scale of ones and an offset of zeros."""
        channels = self.out_shape(in_shape)[-1:]
        return {"scale": jnp.ones(channels, dtype), "offset": jnp.zeros(channels, dtype)}

    def _shared(self, each: jax.Array) -> jax.Array:
        """Return the mean over the channels of each group (batch, 1, channels), for every channel of it."""
        grouped = each.reshape(len(each), 1, self.groups, each.shape[-1] // self.groups)
        return jnp.broadcast_to(jnp.mean(grouped, axis=-1, keepdims=True), grouped.shape).reshape(each.shape)

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return γ x̂ + β, and x, μ and r."""
        x = jnp.asarray(x)
        self.out_shape(x.shape[1:])
        rows = _rows(x)
        # Channel by channel first: sums over all but the last axis are fast.
        mean = self._shared(jnp.mean(rows, axis=1, keepdims=True))
        r = reciprocal(self._shared(jnp.mean(jnp.square(rows - mean), axis=1, keepdims=True)), self.epsilon)
        scale, offset = (along(params[name].astype(rows.dtype), rows) for name in ("scale", "offset"))
        return (scale * ((rows - mean) * r) + offset).reshape(x.shape).astype(x.dtype), (x, mean, r)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dγ = Σ dy x̂, dβ = Σ dy, and dx = r (g − mean g − x̂ mean(g x̂))."""
        x, mean, r = saved
        sent, normal, own = _rows(dy), (_rows(x) - mean) * r, params["scale"].dtype
        scale = along(params["scale"].astype(sent.dtype), sent)
        first, second = (jnp.sum(a, axis=1, keepdims=True) for a in (sent, sent * normal))
        count = max(sent.shape[1], 1)
        dx = r * (scale * sent - self._shared(scale * first) / count - normal * (self._shared(scale * second) / count))
        dparams = {"scale": over_samples(second).astype(own), "offset": over_samples(first).astype(own)}
        return dparams, dx.reshape(x.shape).astype(dy.dtype)


def _rows(x: jax.Array) -> jax.Array:
    """Return x as (batch, positions, channels), in at least float32."""
    return widened(x).reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])


_P = {"scale": [1.5, -0.5, 0.8, 1.1, 0.4, -0.9], "offset": [0.1, 0.2, -0.3, 0.0, 0.5, -0.2]}
_X = [[0.3, -1.2, 2.0, 0.7, -0.4, 1.1], [-0.2, 0.5, -1.4, 1.9, 0.0, 0.6]]
_IMAGE = [[[*_X], [*_X[::-1]], [_X[0], _X[0]]], [[_X[1], _X[1]], [*_X], [_X[0], _X[1]]]]
CASES = (
    Case("ordinary", GroupNorm(3), (_P, _X)),
    Case("batch", GroupNorm(2, 1e-2), (_P, _IMAGE)),
    Case("batch", GroupNorm(1), (_P, _IMAGE)),
    Case("batch", GroupNorm(6), (_P, _IMAGE)),
    Case(
        "known",
        GroupNorm(1, 3.0),
        ({"scale": [2.0, 2.0], "offset": [1.0, 0.0]}, [[1.0, 3.0]]),
        [[0.0, 1.0]],
        ({"scale": [-0.5, 0.5], "offset": [1.0, 1.0]}, [[0.0, 0.0]]),
        "as a layer normalisation",
    ),
)
