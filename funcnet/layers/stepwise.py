r"""Layers that know of no lengths, applied to every step of a sequence that has them.

Forward    (x, lengths) becomes (f(x), lengths), with 0 behind each length
Backward   dx = f.backward(dy), dy being 0 behind each length

Derivation. f treats each step alike and alone, as dense layers, activations, dropout and layer normalisation do. What
it makes of the steps behind a length is thrown away: its derivative is 0.

A layer whose steps or samples know of each other (a convolution, batch normalisation) sees what stands behind the
lengths as well.

Shapes     x: (…, time, features), or the pair (x, lengths); f must keep time.
Source     By definition.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, samples_of, shapes_of
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.layers.sequences import (
    apart,
    blanked,
    masked,
    masked_backward,
    paired_gradient,
    parted,
    sample_apart,
    shape_apart,
    within,
)
from funcnet.records import choice, part, record


@record
class Stepwise(Layer):
    r"""A chain of layers for the array of a pair `(x, lengths)`; its parameters are the chain's.

    Args:
        layers: layers and activations that treat each step alone.
        lengths: whether the lengths go on with y, for further layers of sequences; False gives y alone, as losses take
            it. Of an array without lengths y is alone anyway.

    Raises:
        ValueError: where the layers change the number of steps.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> tagger = fn.Chain(fn.Embedding(50, 8), fn.Bidirectional(fn.LSTM(6)), fn.Stepwise(fn.Dense(3), lengths=False))
    >>> params = tagger.init(jax.random.key(0), ((7,), ()))
    >>> print(tagger.apply(params, (jnp.ones((2, 7), int), jnp.asarray([7, 4]))).shape)
    (2, 7, 3)

    """

    layers: tuple[Any, ...] = part()
    lengths: bool = choice(default=True, options=(False, True))

    def __init__(self, *layers: Any, lengths: bool = True) -> None:
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "lengths", lengths)
        self.__post_init__()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", self.body.layers)

    @property
    def body(self) -> Chain:
        """Return the layers as a chain."""
        return Chain(*self.layers)

    @property
    def passes_on(self) -> bool:
        """Tell what the chain tells."""
        return self.body.passes_on

    def feeding(self, activation: Any) -> "Stepwise":
        """Let the chain suit the activation behind it."""
        return Stepwise(*self.body.feeding(activation).layers, lengths=self.lengths)

    def out_shape(self, in_shape: Any) -> Any:
        """Return the chain's shape, beside () where lengths go on."""
        shape, lengths = shape_apart(in_shape, "Stepwise")
        y = self.body.out_shape(shape)
        if lengths and y[:1] != shape[:1]:
            must, arrived = "the layers of Stepwise must keep the number of steps", f"{shape} becomes {y}"
            raise_error(must, arrived, "dense layers and activations, which see each step alone")
        return (y, ()) if lengths and self.lengths else y

    def check_input(self, samples: Any) -> None:
        """Let the chain check the array."""
        self.body.check_input(sample_apart(samples, "Stepwise"))
        self.out_shape(shapes_of(samples))

    def check_values(self, x: Any) -> None:
        """Raise unless the lengths are such as the steps have, and let the chain check the array."""
        self.body.check_values(parted(x, "Stepwise")[0])

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        """Draw the parameters of the layers."""
        return self.body.init(key, shape_apart(in_shape, "Stepwise")[0], dtype)

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return f(x), 0 behind each length, and the lengths; what f saved, and the lengths."""
        x, lengths = parted(x, "Stepwise")
        if lengths is not None and jnp.issubdtype(x.dtype, jnp.floating):  # a NaN behind a length times 0 is NaN
            x = blanked(x, within(lengths, x.shape[lengths.ndim], x.ndim - lengths.ndim - 1))
        y, saved = self.body.forward(params, x, key)
        if lengths is None:
            return y, (saved, None)
        if y.shape[: lengths.ndim + 1] != x.shape[: lengths.ndim + 1]:
            self.out_shape((shapes_of(samples_of(x)), ()))
        y = masked(y, lengths, y.ndim - lengths.ndim - 1)
        return (y, lengths) if self.lengths else y, (saved, lengths)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        """Return dθ and dx of f, dy being 0 behind each length."""
        saved, lengths = saved
        dy = apart(dy)
        if lengths is not None:
            dy = masked_backward(dy, lengths, dy.ndim - lengths.ndim - 1)
        dparams, dx = self.body.backward(params, saved, dy)
        return dparams, paired_gradient(dx, lengths)

    def refresh(self, params: Any, saved: Any) -> Any:
        """Let the layers move on the numbers that follow the data."""
        return self.body.refresh(params, saved[0])


_P = ({"kernel": [[0.5, -1.0, 0.3], [1.5, 0.25, -0.4]], "bias": [0.1, -0.2, 0.4]}, ())
_X = [[[1.0, 2.0], [-0.5, 0.3]], [[0.0, -1.0], [0.7, 0.7]], [[0.2, -0.6], [1.1, 0.4]], [[0.9, 0.8], [-0.3, 0.5]]]
CASES = (
    Case("ordinary", Stepwise(Dense(3), Tanh()), (_P, [[1.0, 2.0]])),
    Case("batch", Stepwise(Dense(3), Tanh(), lengths=False), (_P, (_X, [2, 0, 1, 2]))),
    Case("batch", Stepwise(Dense(3), Dropout(0.4), lengths=False), (_P, (_X, [1, 2, 0, 2]), 7)),
    Case(
        "known",
        Stepwise(Dense(1), lengths=False),
        (({"kernel": [[2.0]], "bias": [1.0]},), ([[[1.0], [5.0]], [[3.0], [4.0]]], [1, 2])),
        [[[3.0], [0.0]], [[7.0], [9.0]]],
        (({"kernel": [[8.0]], "bias": [3.0]},), ([[[2.0], [0.0]], [[2.0], [2.0]]], None)),
        "1 + 3 + 4 of the three steps there are",
    ),
)
