r"""Layer normalisation: the numbers of the last axis of mean 0 and variance 1, each sample by itself.

Forward    μ = mean x,  v = mean (x − μ)²  over the last axis;   x̂ = (x − μ)/√(v + ε),   y = γ x̂ + β
Backward   dγ = Σ dy x̂,   dβ = Σ dy   over all other axes;   dx = r (g − mean g − x̂ mean(g x̂)),   g = γ dy

Derivation. See `normalising`. Training and evaluation are alike: no sample knows of another.

Shapes     x, y: (…, features); γ, β: (features,).
Extremes   Equal features give x̂ = 0; one feature has dx = 0 exactly, too. Sixteen bits: statistics in float32.
Source     Ba, Kiros & Hinton 2016, equations 3 and 4.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, Shape
from funcnet.layers.normalising import along, moments, over_features, over_samples, reciprocal, widened
from funcnet.records import Number, number, record


@record
class LayerNorm(Layer):
    r"""Normalise the last axis of each sample, then scale and move each feature.

    Args:
        epsilon: what is added to the variance.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.LayerNorm()
    >>> print(layer.apply(layer.init(jax.random.key(0), (2,)), jnp.asarray([[1.0, 3.0]])).round(3))
    [[-1.  1.]]

    """

    epsilon: Number = number(default=1e-5, above=0)

    @property
    def passes_on(self) -> bool:
        """Tell that features are scaled and moved, and no more."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        if not in_shape:
            raise_error("a layer normalisation needs features", "got a scalar sample", "x[:, None] for one feature")
        return in_shape

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Return a scale of ones and an offset of zeros."""
        features = self.out_shape(in_shape)[-1:]
        return {"scale": jnp.ones(features, dtype), "offset": jnp.zeros(features, dtype)}

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return γ x̂ + β, and x, μ and r: x̂ costs as much to keep as to compute again."""
        wide = widened(jnp.asarray(x))
        mean, variance = moments(wide, (-1,))
        r = reciprocal(variance, self.epsilon)
        scale, offset = (along(params[name].astype(wide.dtype), wide) for name in ("scale", "offset"))
        return (scale * ((wide - mean) * r) + offset).astype(x.dtype), (x, mean, r)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dγ = Σ dy x̂, dβ = Σ dy, and dx = r (g − mean g − x̂ mean(g x̂))."""
        x, mean, r = saved
        wide, dwide = widened(x), widened(dy)
        normal, scale = (wide - mean) * r, params["scale"].astype(wide.dtype)
        both = dwide * normal
        own = params["scale"].dtype
        dparams = {"scale": over_samples(both).astype(own), "offset": over_samples(dwide).astype(own)}
        g = along(scale, wide) * dwide
        dx = r * (g - over_features(dwide, scale) - normal * over_features(both, scale))
        return dparams, dx.astype(dy.dtype)


_P = {"scale": [1.5, -0.5, 0.8], "offset": [0.1, 0.2, -0.3]}
_X = [[0.3, -1.2, 2.0], [0.7, -0.4, 1.1], [-0.2, 0.5, -1.4], [1.9, 0.0, 0.6]]
CASES = (
    Case("ordinary", LayerNorm(), (_P, [[0.3, -1.2, 2.0]])),
    Case("batch", LayerNorm(), (_P, _X)),
    Case("batch", LayerNorm(1e-2), (_P, [_X, _X[::-1]])),
    Case(
        "extreme",
        LayerNorm(),
        ({"scale": [2.0], "offset": [1.0]}, [[5.0], [-7.0]]),
        [[1.0], [1.0]],
        ({"scale": [0.0], "offset": [2.0]}, [[0.0], [0.0]]),
        "one feature: the offset",
    ),
    Case(
        "known",
        LayerNorm(3.0),
        ({"scale": [2.0, 2.0], "offset": [1.0, 0.0]}, [[1.0, 3.0]]),
        [[0.0, 1.0]],
        ({"scale": [-0.5, 0.5], "offset": [1.0, 1.0]}, [[0.0, 0.0]]),
        "r = 1/√(1 + 3); x̂ = ∓½",
    ),
)
