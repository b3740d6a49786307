r"""Root-mean-square normalisation: the last axis divided by its root mean square.

Forward    r = 1/√(mean x² + ε)  over the last axis;   x̂ = x r,   y = γ x̂
Backward   dγ = Σ dy x̂  over all other axes;   dx = r (g − x̂ mean(g x̂)),   g = γ dy

Derivation. x reaches x̂ by itself and by r; ∂r/∂xⱼ = −r³ xⱼ/D, so dxⱼ = r gⱼ − r³ xⱼ/D Σ g x = r (gⱼ − x̂ⱼ mean(g x̂)).

Shapes     x, y: (…, features); γ: (features,).
Extremes   At x = 0, y = 0 and dx = γ dy/√ε. Sixteen bits: the mean square in float32.
Source     Zhang & Sennrich 2019, equation 4.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, Shape
from funcnet.layers.normalising import along, over_features, over_samples, reciprocal, widened
from funcnet.records import Number, number, record


@record
class RMSNorm(Layer):
    r"""Divide the last axis of each sample by its root mean square, then scale each feature.

    Args:
        epsilon: what is added to the mean square.

    >>> import jax, jax.numpy as jnp, numpy as np, funcnet as fn
    >>> layer = fn.RMSNorm()
    >>> y = layer.apply(layer.init(jax.random.key(0), (2,)), jnp.asarray([[3.0, -4.0]]))
    >>> print(np.asarray(y).round(3))
    [[ 0.849 -1.131]]

    """

    epsilon: Number = number(default=1e-6, above=0)

    @property
    def passes_on(self) -> bool:
        """Tell that features are scaled, and no more."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        if not in_shape:
            raise_error("a normalisation needs features", "got a scalar sample", "x[:, None] for one feature")
        return in_shape

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Return a scale of ones."""
        return {"scale": jnp.ones(self.out_shape(in_shape)[-1:], dtype)}

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return γ x̂, and x and r."""
        wide = widened(jnp.asarray(x))
        r = reciprocal(jnp.mean(jnp.square(wide), axis=-1, keepdims=True), self.epsilon)
        return (along(params["scale"].astype(wide.dtype), wide) * (wide * r)).astype(x.dtype), (x, r)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dγ = Σ dy x̂ and dx = r (g − x̂ mean(g x̂))."""
        x, r = saved
        wide, dwide = widened(x), widened(dy)
        normal, scale = wide * r, params["scale"].astype(wide.dtype)
        both = dwide * normal
        dx = r * (along(scale, wide) * dwide - normal * over_features(both, scale))
        return {"scale": over_samples(both).astype(params["scale"].dtype)}, dx.astype(dy.dtype)


_P = {"scale": [1.5, -0.5, 0.8]}
_X = [[0.3, -1.2, 2.0], [0.7, -0.4, 1.1], [-0.2, 0.5, -1.4], [1.9, 0.0, 0.6]]
CASES = (
    Case("ordinary", RMSNorm(), (_P, [[0.3, -1.2, 2.0]])),
    Case("batch", RMSNorm(), (_P, _X)),
    Case("batch", RMSNorm(1e-2), (_P, [_X, _X[::-1]])),
    Case(
        "extreme",
        RMSNorm(0.25),
        ({"scale": [3.0, 1.0]}, [[0.0, 0.0]]),
        [[0.0, 0.0]],
        ({"scale": [0.0, 0.0]}, [[6.0, 2.0]]),
        "x = 0: γ/√ε",
    ),
    Case(
        "known",
        RMSNorm(0.5),
        ({"scale": [2.0, 2.0]}, [[1.0, -2.0]]),
        [[2 / 3**0.5, -4 / 3**0.5]],
        ({"scale": [1 / 3**0.5, -2 / 3**0.5]}, [[7 / 3 / 3**0.5, 4 / 3 / 3**0.5]]),
        "r = 1/√(2½ + ½); mean(g x̂) = −1/√3; r (2 + ⅓), r (2 − ⅔)",
    ),
)
