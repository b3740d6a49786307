r"""One layer several times over, each time with parameters of its own: deep networks that compile like shallow ones.

Forward    x₀ = x,   xᵢ = f(θᵢ, xᵢ₋₁),   y = x_N                       a loop whose body is compiled once
Backward   d_N = dy,   (dθᵢ, dᵢ₋₁) = f.backward(θᵢ, savedᵢ, dᵢ)          the loop walked back

Derivation. A chain of N equal layers: the right fold of the chain rule, as a loop. Each turn has its own key.

Parameters are those of f with an axis of N in front of every leaf.

Shapes     f must keep the shape of a sample.
Source     By definition.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.keys import fold
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.records import choice, part, record


@record
class Repeat(Layer):
    r"""A layer that keeps the shape of its input, `times` over, each with its own parameters.

    Args:
        layer: any layer that keeps the shape of a sample.
        times: how often.

    Raises:
        ValueError: once the input's shape is known, where the layer changes it.

    >>> import jax, funcnet as fn
    >>> deep = fn.Repeat(fn.Chain(fn.Dense(4), fn.tanh), 30)
    >>> print(deep.init(jax.random.key(0), (4,))[0]["kernel"].shape)
    (30, 4, 4)

    """

    layer: Any = part()
    times: int = choice(at_least=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input."""
        if (shape := self.layer.out_shape(in_shape)) != in_shape:
            must, arrived = "a repeated layer must keep the shape of a sample", f"{in_shape} becomes {shape}"
            raise_error(must, arrived, "a last layer of the input's width")
        return in_shape

    def check_input(self, samples: Any) -> None:
        """Let the layer check the input."""
        super().check_input(samples)
        self.layer.check_input(samples)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        """Draw parameters for each turn from a key of its own, in one loop."""
        self.out_shape(in_shape)
        return jax.lax.map(lambda turn: self.layer.init(fold(key, turn), in_shape, dtype), jnp.arange(self.times))

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return x_N and what each turn saved, stacked."""

        def turn(x: Any, own: tuple[Any, jax.Array]) -> tuple[Any, Any]:
            return self.layer.forward(own[0], x, None if key is None else fold(key, own[1]))

        return jax.lax.scan(turn, x, (params, jnp.arange(self.times)), length=self.times)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        """Return dparams, stacked, and dx."""

        def turn(dy: Any, own: tuple[Any, Any]) -> tuple[Any, Any]:
            dparams, dx = self.layer.backward(*own, dy)
            return dx, dparams

        dx, dparams = jax.lax.scan(turn, dy, (params, saved), length=self.times, reverse=True)
        return dparams, dx

    def refresh(self, params: Any, saved: Any) -> Any:
        """Let each turn move on the numbers that follow the data."""
        return jax.vmap(self.layer.refresh)(params, saved) if jax.tree.leaves(params) else params


_K = [[[0.5, -1.0], [1.5, 0.25]], [[0.7, 0.4], [-0.3, 0.9]], [[0.1, 0.2], [0.3, -0.4]]]
_P = ({"kernel": _K, "bias": [[0.1, -0.2], [0.0, 0.3], [-0.5, 0.1]]}, ())
_X = [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0], [0.7, 0.7], [0.2, -0.6]]
CASES = (
    Case("ordinary", Repeat(Chain(Dense(2), Tanh()), 3), (_P, [[1.0, 2.0]])),
    Case("batch", Repeat(Chain(Dense(2), Tanh()), 3), (_P, _X)),
    Case("batch", Repeat(Chain(Dense(2), Dropout(0.3)), 3), (_P, _X, 7)),
    Case(
        "known",
        Repeat(Dense(1, bias=False), 2),
        ({"kernel": [[[2.0]], [[3.0]]]}, [[1.0], [4.0]]),
        [[6.0], [24.0]],
        ({"kernel": [[[15.0]], [[10.0]]]}, [[6.0], [6.0]]),
        "3 · 2 · x; 3 Σ x, 2 Σ x",
    ),
)
