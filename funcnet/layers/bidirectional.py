r"""A recurrent layer twice over one sequence, from its first step and from its last, side by side.

Forward    y = (f(θ₁, x), f̃(θ₂, x)),   f̃ the layer that reads the other way
Backward   dy = (dy₁, dy₂);   dx = f.backward(dy₁) + f̃.backward(dy₂)

Derivation. Two layers on one input: their derivatives by it add up, and dy is cut where y was joined. Each sample is
read backwards from its own last step, so that padding is not read first.

Shapes     x: (…, time, in), or the pair (x, lengths); y: (…, time, 2·width), in each step what was read before it and
           what was read behind it; or (…, 2·width), both ends, of a layer with sequence=False.
Source     Schuster & Paliwal 1997.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.relu import ReLU
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.keys import fold
from funcnet.layers.base import Layer
from funcnet.layers.conv import numbers
from funcnet.layers.gru import GRU
from funcnet.layers.recurring import Recurrent
from funcnet.layers.rnn import RNN
from funcnet.layers.sequences import apart, paired
from funcnet.records import part, record, replace


@record
class Bidirectional(Layer):
    r"""A recurrent layer and its like that reads the other way, side by side; the parameters are a pair.

    Args:
        layer: `RNN`, `LSTM` or `GRU`.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.Bidirectional(fn.GRU(6))
    >>> params = layer.init(jax.random.key(0), (40, 1))
    >>> print(layer.apply(params, jnp.ones((2, 40, 1))).shape, sum(leaf.size for leaf in jax.tree.leaves(params)))
    (2, 40, 12) 324

    """

    layer: Any = part()

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Recurrent):
            arrived = f"got {describe(self.layer)}"
            raise_error("Bidirectional takes a recurrent layer", arrived, "fn.Bidirectional(fn.LSTM(64))", TypeError)

    def _both(self) -> tuple[Recurrent, Recurrent]:
        return self.layer, replace(self.layer, {"reverse": not self.layer.reverse})

    def out_shape(self, in_shape: Any) -> Any:
        """Return the layer's shape with twice the width."""
        shape = self.layer.out_shape(in_shape)
        y = apart(shape) if isinstance(shape[0], tuple) else shape
        y = (*y[:-1], 2 * y[-1])
        return (y, ()) if isinstance(shape[0], tuple) else y

    def check_input(self, samples: Any) -> None:
        """Let the layer check the input."""
        self.layer.check_input(samples)

    def check_values(self, x: Any) -> None:
        """Let the layer check the lengths."""
        self.layer.check_values(x)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> tuple[Any, Any]:
        """Draw the parameters of both from keys of their own."""
        first, second = (layer.init(fold(key, i), in_shape, dtype) for i, layer in enumerate(self._both()))
        return first, second

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return both outputs side by side, and what both kept."""
        found = [layer.forward(own, x) for layer, own in zip(self._both(), params, strict=True)]
        (first, kept), (second, also) = found
        y = jnp.concatenate([apart(first), apart(second)], axis=-1)
        return paired(y, first[1] if isinstance(first, tuple) else None), (kept, also)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[tuple[Any, Any], Any]:
        """Return the gradients of both, and the sum of their dx."""
        halves = jnp.split(apart(dy), 2, axis=-1)
        each = zip(self._both(), params, saved, halves, strict=True)
        # Lengths come back from what was kept: a half of dy may stand alone.
        (first, dx), (second, also) = (layer.backward(own, kept, half) for layer, own, kept, half in each)
        return (first, second), jax.tree.map(jnp.add, dx, also)


def _drawn(width: int, features: int, blocks: int, shift: int) -> dict[str, Any]:
    every = numbers(features + width + 3, blocks * width)
    every = every[shift:] + every[:shift]
    params = {"input": every[:features], "recurrent": every[features : features + width], "bias": every[-1]}
    return params | ({"recurrent_bias": every[-2]} if blocks == 3 else {})


_X = [[[0.3, -1.2], [0.7, -0.4], [-0.2, 0.5]], [[1.9, 0.1], [0.4, 0.8], [-1.1, 0.2]]]
_ONE = {"input": [[1.0]], "recurrent": [[2.0]], "bias": [0.0]}
CASES = (
    Case("batch", Bidirectional(RNN(3)), ((_drawn(3, 2, 1, 0), _drawn(3, 2, 1, 2)), _X)),
    Case(
        "batch",
        Bidirectional(GRU(1, sequence=False)),
        ((_drawn(1, 2, 3, 0), _drawn(1, 2, 3, 1)), ([*_X, _X[0][::-1], _X[1]], [2, 3, 1, 0])),
    ),
    Case("ordinary", Bidirectional(RNN(1)), ((_ONE, _ONE), [[0.3], [-1.2]])),
    Case(
        "known",
        Bidirectional(RNN(1, ReLU())),
        ((_ONE, _ONE), [[[1.0], [2.0], [4.0]]]),
        [[[1.0, 21.0], [4.0, 10.0], [12.0, 4.0]]],
        None,
        "1, 2 + 2·1, 4 + 2·4; from the end 4, 2 + 2·4, 1 + 2·10",
    ),
)
