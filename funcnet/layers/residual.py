r"""Residual connection: what layers add to their input.

Forward    y = x + f(x)
Backward   dx = dy + f.backward(dy),   dθ of f

Derivation. ∂y/∂x = I + ∂f/∂x, so a vector-Jacobian product is dy plus that of f: the identity carries the gradient past
f undiminished, however deep the network is.

Shapes     x, y, dy, dx: equal; f must keep the shape of a sample. Nothing is broadcast. Of a pair (x, lengths) the
           lengths go on as they are.
Source     He et al. 2016, equations 1 and 5.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, one_array_of_floats, samples_of, shapes_of
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.layers.sequences import apart, paired, sample_apart
from funcnet.records import part, record


@record
class Residual(Layer):
    r"""x + f(x), with f the chain of the layers; its parameters are the chain's.

    Args:
        layers: layers and activations that keep the shape of their input.

    Raises:
        ValueError: without layers, or, once the input's shape is known, where f changes it.

    >>> import jax, funcnet as fn
    >>> block = fn.Residual(fn.Dense(4), fn.relu, fn.Dense(4))
    >>> params = block.init(jax.random.key(0), (4,))
    >>> print(block.out_shape((4,)), len(params))
    (4,) 3

    """

    body: Chain = part()

    def __init__(self, *layers: Any) -> None:
        object.__setattr__(self, "body", Chain(*layers))

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input."""
        if (shape := self.body.out_shape(in_shape)) != in_shape:
            must, arrived = "the layers of a residual must keep the shape of a sample", f"{in_shape} becomes {shape}"
            raise_error(must, arrived, "a last layer of the input's width, or fn.Parallel with a layer beside it")
        return in_shape

    def check_input(self, samples: Any) -> None:
        """Check what each layer gets."""
        one_array_of_floats(sample_apart(samples, "Residual"), "Residual")
        self.out_shape(shapes_of(samples))
        self.body.check_input(samples)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        """Draw the parameters of the layers."""
        self.out_shape(in_shape)
        return self.body.init(key, in_shape, dtype)

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return x + f(x) and what f saved."""
        y, saved = self.body.forward(params, x, key)
        if jax.tree.map(jnp.shape, y) != jax.tree.map(jnp.shape, x):
            self.out_shape(shapes_of(samples_of(x)))
        return paired(apart(x) + apart(y), x[1] if isinstance(x, tuple) else None), saved

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        """Return dθ of f and dx = dy + f.backward(dy)."""
        dparams, dx = self.body.backward(params, saved, dy)
        both = apart(dy) + apart(dx)
        return dparams, (both, None) if isinstance(dx, tuple) else both

    def refresh(self, params: Any, saved: Any) -> Any:
        """Let the layers move on the numbers that follow the data."""
        return self.body.refresh(params, saved)


_A = {"kernel": [[0.5, -1.0], [1.5, 0.25]], "bias": [0.1, -0.2]}
_P = (_A, (), {"kernel": [[0.7, 0.4], [-0.3, 0.9]], "bias": [0.0, 0.3]})
_X = [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0]]
CASES = (
    Case("ordinary", Residual(Dense(2), Tanh(), Dense(2)), (_P, [[1.0, 2.0]])),
    Case("batch", Residual(Dense(2), Tanh(), Dense(2)), (_P, _X)),
    Case("batch", Residual(Dense(2), Dropout(0.4)), ((_P[0], ()), _X, 7)),
    Case("batch", Residual(Tanh()), (((),), [_X, [[0.2, 0.1], [1.0, -1.0], [3.0, 0.5]]])),
    Case(
        "known",
        Residual(Dense(2, bias=False)),
        (({"kernel": [[1.0, 2.0], [3.0, 4.0]]},), [[1.0, -1.0]]),
        [[-1.0, -3.0]],
        (({"kernel": [[1.0, 1.0], [-1.0, -1.0]]},), [[4.0, 8.0]]),
        "(1, −1) + (1 − 3, 2 − 4); 1 + (1 + 2), 1 + (3 + 4)",
    ),
)
