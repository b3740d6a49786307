r"""Layers side by side: each gets the same input, and what they give is joined.

Forward    yₖ = fₖ(x);   y = (y₁, y₂, …) side by side in the last axis, or y = Σₖ yₖ
Backward   dyₖ = the columns of dy that belong to yₖ, or dy;   dx = Σₖ fₖ.backward(dyₖ)

Derivation. x reaches the loss through every yₖ, so its derivatives add up. Joining side by side is a permutation of
numbers, whose transpose cuts dy where y was joined; of a sum each term has the derivative dy.

Shapes     samples of the yₖ must be equal, but for the last axis where they are put side by side. Nothing is broadcast.
Source     Szegedy et al. 2015, section 4, for branches side by side.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.base import Activation
from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.keys import fold
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.records import choice, part, record


@record
class Parallel(Layer):
    r"""Layers side by side on one input; the parameters are a tuple, one entry a layer.

    Args:
        layers: layers and activations.
        join: "concatenate" puts what they give side by side in the last axis, "add" adds it up.

    Raises:
        ValueError: without layers, or, once the input's shape is known, where their outputs do not join.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> wide = fn.Parallel(fn.Dense(3), fn.Chain(fn.Dense(2), fn.tanh))
    >>> params = wide.init(jax.random.key(0), (4,))
    >>> print(wide.out_shape((4,)), wide.apply(params, jnp.ones((5, 4))).shape)
    (5,) (5, 5)

    """

    layers: tuple[Any, ...] = part()
    join: str = choice(default="concatenate", options=("concatenate", "add"))

    def __init__(self, *layers: Any, join: str = "concatenate") -> None:
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "join", join)
        self.__post_init__()

    def __post_init__(self) -> None:
        if not self.layers:
            raise_error("Parallel must have at least one layer", "got none", "fn.Parallel(fn.Dense(3), fn.Dense(4))")
        adopted = [layer if isinstance(layer, Activation) else as_layer(layer) for layer in self.layers]
        object.__setattr__(self, "layers", tuple(adopted))

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of what is joined."""
        shapes = [as_layer(layer).out_shape(in_shape) for layer in self.layers]
        apart = shapes if self.join == "add" else [shape[:-1] for shape in shapes]
        if any(shape != apart[0] for shape in apart) or (self.join == "concatenate" and not all(shapes)):
            must = f"outputs must {'be alike' if self.join == 'add' else 'agree in all axes but the last'} to be joined"
            raise_error(must, f"got samples of {', '.join(map(str, shapes[:6]))}", "layers of equal output shapes")
        return shapes[0] if self.join == "add" else (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def check_input(self, samples: Any) -> None:
        """Let each layer check the input."""
        for layer in self.layers:
            as_layer(layer).check_input(samples)
        self.out_shape(jax.tree.map(lambda sample: tuple(sample.shape), samples))

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> tuple[Any, ...]:
        """Draw the parameters of each layer from a key of its own."""
        self.out_shape(in_shape)
        each = enumerate(map(as_layer, self.layers))
        return tuple(layer.init(fold(key, index), in_shape, dtype) for index, layer in each)

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return what the layers give, joined; what they saved, and arrays without elements that tell their widths."""
        keys = [None if key is None else fold(key, index) for index in range(len(self.layers))]
        each = zip(map(as_layer, self.layers), params, keys, strict=True)
        outputs, saved = zip(*(layer.forward(own, x, its) for layer, own, its in each), strict=True)
        if self.join == "add":
            return sum(outputs[1:], outputs[0]), (saved, ())
        widths = tuple(jnp.zeros((0, y.shape[-1]), y.dtype) for y in outputs)
        return jnp.concatenate(outputs, axis=-1), (saved, widths)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[tuple[Any, ...], Any]:
        """Return dparams of each layer, and dx, the sum over the layers."""
        saved, widths = saved
        parts = [dy] * len(self.layers)
        if widths:
            parts = jnp.split(dy, list(itertools.accumulate(width.shape[-1] for width in widths))[:-1], axis=-1)
        each = zip(map(as_layer, self.layers), params, saved, parts, strict=True)
        dparams, dx = zip(*(layer.backward(own, kept, part) for layer, own, kept, part in each), strict=True)
        return dparams, jax.tree.map(lambda *terms: sum(terms[1:], terms[0]), *dx)

    def refresh(self, params: Any, saved: Any) -> tuple[Any, ...]:
        """Let each layer move on the numbers that follow the data."""
        each = zip(map(as_layer, self.layers), params, saved[0], strict=True)
        return tuple(layer.refresh(own, kept) for layer, own, kept in each)


_A = {"kernel": [[0.5, -1.0, 0.2], [1.5, 0.25, -0.7]], "bias": [0.1, -0.2, 0.3]}
_B = {"kernel": [[0.7, 0.4], [-0.3, 0.9]], "bias": [0.0, 0.3]}
_X = [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0], [0.7, 0.7]]
CASES = (
    Case("ordinary", Parallel(Dense(3), Dense(2)), ((_A, _B), [[1.0, 2.0]])),
    Case("batch", Parallel(Dense(3), Tanh(), Dense(2)), ((_A, (), _B), _X)),
    Case("batch", Parallel(Dropout(0.4), Dropout(0.4)), (((), ()), _X, 7)),
    Case("batch", Parallel(Dense(2), Tanh(), join="add"), ((_B, ()), [_X, _X[::-1], _X])),
    Case(
        "known",
        Parallel(Dense(1, bias=False), Dense(1, bias=False), join="add"),
        (({"kernel": [[2.0]]}, {"kernel": [[3.0]]}), [[1.0], [4.0]]),
        [[5.0], [20.0]],
        (({"kernel": [[5.0]]}, {"kernel": [[5.0]]}), [[5.0], [5.0]]),
        "2x + 3x; Σ x = 5 for each kernel, 2 + 3",
    ),
)
