r"""Group normalisation: channels in groups, each of mean 0 and variance 1 over its channels and all positions.

Forward    μ, v  over the positions and the channels of a group, of one sample;   x̂ = (x − μ)/√(v + ε),   y = γ x̂ + β
Backward   dγ = Σ dy x̂,   dβ = Σ dy   over samples and positions;   dx = r (g − mean g − x̂ mean(g x̂)),   g = γ dy

Derivation. See `normalising`; γ differs within a group, so it enters g before the means are taken. One group is a layer
normalisation over channels and positions; a group for each channel an instance normalisation.

Shapes     x, y: (batch, …, channels), channels a multiple of the groups; γ, β: (channels,).
Extremes   A group of equal numbers gives x̂ = 0. Sixteen bits: statistics in float32.
Source     Wu & He 2018, equations 1 to 7.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, Shape
from funcnet.layers.normalising import along, moments, over_samples, reciprocal, standardized_backward, widened
from funcnet.records import Number, choice, number, record


@record
class GroupNorm(Layer):
    r"""Normalise groups of channels, the last axis, of each sample, then scale and move each channel.

    Args:
        groups: how many groups the channels are cut into, in order; at least 1, a divisor of the channels.
        epsilon: what is added to the variance, above 0; 1e-5 by default.

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

    def _grouped(self, x: jax.Array) -> jax.Array:
        """Return x as (batch, positions, groups, channels of a group)."""
        return x.reshape(x.shape[0], -1, self.groups, x.shape[-1] // self.groups)

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return γ x̂ + β, and x, μ and r."""
        x = jnp.asarray(x)
        self.out_shape(x.shape[1:])
        grouped = self._grouped(widened(x))
        mean, variance = moments(grouped, (1, 3))
        r = reciprocal(variance, self.epsilon)
        normal = ((grouped - mean) * r).reshape(x.shape)
        scale, offset = (along(params[name].astype(normal.dtype), normal) for name in ("scale", "offset"))
        return (scale * normal + offset).astype(x.dtype), (x, mean, r)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dγ = Σ dy x̂, dβ = Σ dy, and dx = r (g − mean g − x̂ mean(g x̂))."""
        x, mean, r = saved
        dwide = widened(dy)
        normal = (self._grouped(widened(x)) - mean) * r
        own = params["scale"].dtype
        dscale = over_samples(dwide * normal.reshape(x.shape)).astype(own)
        g = self._grouped(along(params["scale"].astype(dwide.dtype), dwide) * dwide)
        dx = standardized_backward(g, normal, r, (1, 3)).reshape(x.shape)
        return {"scale": dscale, "offset": over_samples(dwide).astype(own)}, dx.astype(dy.dtype)


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
