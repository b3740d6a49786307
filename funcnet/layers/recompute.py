r"""Recomputation: a layer that keeps its input alone, and computes the rest once more when it is asked back.

Forward    y = f(θ, x, key), of which x and the key are kept
Backward   f.forward(θ, x, key) once more, then f.backward

It trades one more forward pass for the memory of what f would have kept. The pass is the same to the bit, dropout
included, since random numbers are derived from the key.

Shapes     those of f.
Source     Griewank & Walther 2000, algorithm 799; Chen et al. 2016.
"""

from typing import Any

import jax

from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.records import part, record


@record
class Recompute(Layer):
    r"""A layer that is computed again for its backward pass, and keeps nothing but its input.

    Args:
        layer: any layer; its parameters are this one's.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> block = fn.Recompute(fn.mlp(64, 64, 4))
    >>> params = block.init(jax.random.key(0), (3,))
    >>> _, saved = block.forward(params, jnp.ones((5, 3)))
    >>> print([leaf.shape for leaf in jax.tree.leaves(saved)])
    [(5, 3)]

    """

    layer: Any = part()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))

    @property
    def passes_on(self) -> bool:
        """Tell what the layer tells."""
        return self.layer.passes_on

    def feeding(self, activation: Any) -> "Recompute":
        """Let the layer suit the activation behind it."""
        return Recompute(self.layer.feeding(activation))

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of one output sample."""
        return self.layer.out_shape(in_shape)

    def check_input(self, samples: Any) -> None:
        """Let the layer check the input."""
        self.layer.check_input(samples)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        """Draw the layer's parameters."""
        return self.layer.init(key, in_shape, dtype)

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return y, and x and the key."""
        return self.layer.forward(params, x, key)[0], (x, key)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        """Compute the layer again, and return its dparams and dx."""
        # Behind a barrier: else the compiler finds the same pass above, and keeps what it gave.
        (x, key), dy = jax.lax.optimization_barrier((saved, dy))
        _, kept = self.layer.forward(params, x, key)
        return self.layer.backward(params, kept, dy)

    def refresh(self, params: Any, saved: Any) -> Any:
        """Let the layer move on the numbers that follow the data, as the pass before the update left them."""
        x, key = saved
        return self.layer.refresh(params, self.layer.forward(params, x, key)[1])


_P = ({"kernel": [[0.5, -1.0, 0.3], [1.5, 0.25, -0.4]], "bias": [0.1, -0.2, 0.4]}, (), ())
_NET = Chain(Dense(3), Tanh(), Dropout(0.4))
CASES = (
    Case("ordinary", Recompute(_NET), (_P, [[1.0, 2.0]])),
    Case("batch", Recompute(_NET), (_P, [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0], [0.7, 0.7]], 7)),
    Case(
        "known",
        Recompute(Dense(1, bias=False)),
        ({"kernel": [[2.0]]}, [[1.0], [3.0]]),
        [[2.0], [6.0]],
        ({"kernel": [[4.0]]}, [[2.0], [2.0]]),
        "2x; Σ x",
    ),
)
