r"""Normal noise on the input while training.

Forward    with a key   y = x + σ n,   n standard normal, another one for each element
           without      y = x
Backward   dx = dy

Derivation. Given n, the noise is a constant that is added. dy/dσ = n is not asked for: σ is chosen, not learned.

Shapes     any.
Source     Bishop 1995: for small σ it is Tikhonov regularization.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import check_floating
from funcnet.keys import normal
from funcnet.layers.base import Layer, Shape
from funcnet.records import Number, cast, number, record


@record
class Noise(Layer):
    r"""Add normal noise while training; without a key the input goes on as it is.

    Args:
        deviation: the noise's standard deviation.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Noise(0.1).apply((), jnp.ones(3)))
    [1. 1. 1.]

    """

    deviation: Number = number(at_least=0)

    @property
    def passes_on(self) -> bool:
        """Tell that the input goes on, but for noise."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return in_shape

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, tuple[()]]:
        """Return x + σ n, and nothing: the backward pass needs nothing."""
        check_floating(x, "the input of Noise")
        x = jnp.asarray(x)
        return (x if key is None else x + cast(self.deviation, x) * normal(key, x.shape).astype(x.dtype)), ()

    def backward(self, params: Any, saved: tuple[()], dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx = dy."""
        # y = x + σ n
        return (), dy


_X = [[0.3, -1.2, 2.0], [0.7, -0.4, 1.1]]
CASES = (
    Case("ordinary", Noise(0.5), ((), _X[:1], 7)),
    Case("batch", Noise(0.5), ((), _X, 7)),
    Case("known", Noise(0.0), ((), _X, 7), _X, ((), [[1.0] * 3] * 2), "no deviation, no noise"),
    Case("known", Noise(0.5), ((), _X), _X, ((), [[1.0] * 3] * 2), "evaluation"),
)
