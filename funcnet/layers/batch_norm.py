r"""Batch normalisation: each channel of mean 0 and variance 1 over the batch, then scaled and moved.

Forward    training     μ = mean x,  v = mean (x − μ)²  over all axes but the last, N numbers a channel
                        x̂ = (x − μ)/√(v + ε),   y = γ x̂ + β
           evaluation   y = γ (x − m)/√(V + ε) + β,   with the running mean m and variance V
Backward   training     dγ = Σ dy x̂,   dβ = Σ dy,   dx = γ r (dy − dβ/N − x̂ dγ/N),   r = 1/√(v + ε)
           evaluation   dγ = Σ dy (x − m) s,   dβ = Σ dy,   dx = γ s dy,   s = 1/√(V + ε)
Refresh    m ← a m + (1 − a) μ,   V ← a V + (1 − a) v      a the momentum, the weight of the old value;
                                                          `unbiased`: v N/(N − 1)

Derivation. x reaches the loss by x̂ directly, by μ and by v: see `normalising`, with g = γ dy, whose means are γ dβ/N
and γ dγ/N. m and V follow the data: they are leaves of the parameters with gradient 0, which nothing but `refresh`
moves, and neither penalties nor decay reach them, nor γ and β.

A bias before a batch normalisation has gradient 0, up to rounding: the mean takes it away.

Shapes     x, y: (batch, …, channels); γ, β, m, V: (channels,).
Extremes   A channel of variance 0 gives y = β; its gradient is finite, up to 1/√ε times as large. One number a channel
           (N = 1) would give y = β whatever x is, so training with it is refused. Sixteen bits: statistics in float32.
Source     Ioffe & Szegedy 2015, algorithms 1 and 2.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.layers.base import Layer, Shape
from funcnet.layers.normalising import along, moments, over_samples, reciprocal, widened
from funcnet.records import Number, cast, choice, number, record


@record
class BatchNorm(Layer):
    r"""Normalise each channel, the last axis, over the batch and all other axes.

    Args:
        momentum: the weight of the old running mean and variance. (PyTorch's
            momentum of 0.1 is the weight of the new one: 0.9 here.)
        epsilon: what is added to the variance.
        unbiased: whether the running variance is N/(N − 1) times the batch's; training normalises by the batch's own.

    Raises:
        ValueError: in training on one number a channel.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.BatchNorm()
    >>> params = layer.init(jax.random.key(0), (1,))
    >>> y, saved = layer.forward(params, jnp.asarray([[1.0], [3.0]]), jax.random.key(0))
    >>> print(y[:, 0].round(3), layer.refresh(params, saved)["mean"].round(3))
    [-1.  1.] [0.2]

    """

    momentum: Number = number(default=0.9, at_least=0, below=1)
    epsilon: Number = number(default=1e-5, above=0)
    unbiased: bool = choice(default=False, options=(False, True), kw_only=True)

    @property
    def passes_on(self) -> bool:
        """Tell that channels are scaled and moved, and no more."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        if not in_shape:
            must, attempt = "a batch normalisation needs channels, a last axis", "x[:, None] for one channel"
            raise_error(must, "got a scalar sample", attempt)
        return in_shape

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Return scale and variance of ones, offset and mean of zeros."""
        channels = self.out_shape(in_shape)[-1:]
        ones, zeros = jnp.ones(channels, dtype), jnp.zeros(channels, dtype)
        return {"scale": ones, "offset": zeros, "mean": zeros, "variance": ones}

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return γ x̂ + β, and x with what normalised it; in training also the mean and variance of the batch."""
        wide = widened(jnp.asarray(x))
        moved: tuple[jax.Array, ...] = ()
        if key is None:
            mean, variance = (along(params[name].astype(wide.dtype), wide) for name in ("mean", "variance"))
        else:
            if x.size == x.shape[-1]:
                arrived = f"got {describe(x)}, one number a channel"
                raise_error("training a batch normalisation needs a batch", arrived, "a larger batch, or LayerNorm")
            mean, variance = moved = moments(wide, tuple(range(x.ndim - 1)))
        r = reciprocal(variance, self.epsilon)
        scale, offset = (along(params[name].astype(wide.dtype), wide) for name in ("scale", "offset"))
        return (scale * ((wide - mean) * r) + offset).astype(x.dtype), (x, mean, r, moved)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dγ = Σ dy x̂, dβ = Σ dy, no gradient of the running numbers, and dx."""
        x, mean, r, moved = saved
        wide, dwide = widened(x), widened(dy)
        normal = (wide - mean) * r
        dscale, doffset = over_samples(dwide * normal), over_samples(dwide)
        g = dwide
        if moved:
            count = x.size // x.shape[-1]
            g = dwide - (along(doffset, wide) + normal * along(dscale, wide)) * (1 / count)
        dx = along(params["scale"].astype(wide.dtype), wide) * r * g
        still = {name: jnp.zeros_like(params[name]) for name in ("mean", "variance")}
        own = params["scale"].dtype
        return {"scale": dscale.astype(own), "offset": doffset.astype(own)} | still, dx.astype(dy.dtype)

    def refresh(self, params: Any, saved: Any) -> dict[str, jax.Array]:
        """Return the parameters with the running mean and variance moved on, after a pass in training."""
        x, _, _, moved = saved
        if not moved:
            return params
        mean, variance = (moment.reshape(-1).astype(params["mean"].dtype) for moment in moved)
        count = x.size // x.shape[-1]
        if self.unbiased:
            variance = variance * (count / (count - 1))
        keep = cast(self.momentum, mean)
        new = {"mean": mean, "variance": variance}
        return params | {name: keep * params[name] + (1 - keep) * value for name, value in new.items()}


_P = {"scale": [1.5, -0.5, 0.8], "offset": [0.1, 0.2, -0.3], "mean": [0.2, -0.1, 0.4], "variance": [1.2, 0.7, 2.0]}
_X = [[0.3, -1.2, 2.0], [0.7, -0.4, 1.1], [-0.2, 0.5, -1.4], [1.9, 0.0, 0.6]]
_IMAGE = [[[[0.3, -1.2], [0.7, 2.0], [1.1, -0.4]]], [[[-0.2, 0.5], [-1.4, 1.9], [0.0, 0.6]]]]
_Q = {"scale": [1.5, -0.5], "offset": [0.1, 0.2], "mean": [0.2, -0.1], "variance": [1.2, 0.7]}
_ONE = {"scale": [2.0], "offset": [1.0], "mean": [0.0], "variance": [1.0]}
CASES = (
    Case("ordinary", BatchNorm(), (_P, _X)),
    Case("batch", BatchNorm(), (_P, _X, 7)),
    Case("batch", BatchNorm(0.5, 1e-3, unbiased=True), (_Q, _IMAGE, 7)),
    Case("batch", BatchNorm(), (_Q, _IMAGE)),
    Case("extreme", BatchNorm(), (_ONE, [[1e4], [1e4], [1e4]], 7), [[1.0]] * 3, None, "variance 0: the offset"),
    Case(
        "known",
        BatchNorm(0.9, 1.0),
        (_ONE, [[3.0], [-1.0]]),
        [[1 + 6 / 2**0.5], [1 - 2 / 2**0.5]],
        ({"scale": [2 / 2**0.5], "offset": [2.0], "mean": [0.0], "variance": [0.0]}, [[2 / 2**0.5]] * 2),
        "s = 1/√2; Σ (x − 0) s = 2/√2",
    ),
)
