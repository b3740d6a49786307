r"""A chain in the articles' orientation: samples are columns, and a dense kernel is out × in.

Forward    Z = K A + b      A: (in, batch)   K: (out, in)   b: (out, 1)   Z: (out, batch)
Backward   dK = dZ Aᵀ       (out, in), summed over the batch
           db = Σ dZ        (out,),    summed over the batch
           dA = Kᵀ dZ       (in, batch)

Derivation. The dense layer's, transposed: (x W + b)ᵀ = Wᵀ xᵀ + bᵀ with K = Wᵀ and A = xᵀ; dK = dWᵀ = (xᵀ dy)ᵀ.

It computes what the chain inside computes: x and y are rows as everywhere, and only the kernels of the parameters are
transposed. A sweep trains many small networks side by side in this form, since the products of a lane are then long in
their last axis, which a CPU's vectors run along: about 1.4 times the speed of rows at 64-64-10 and batch 32.

Shapes     x: (batch, in), y: (batch, out).
Source     Article B3.5 and B3.6.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.base import Activation, Elementwise
from funcnet.activations.leaky_relu import LeakyReLU
from funcnet.activations.softmax import Softmax
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.keys import fold
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer, Shape
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.records import part, record


@record
class Columns(Layer):
    r"""A chain that computes in columns, with its dense kernels transposed.

    >>> import jax, funcnet as fn
    >>> network = Columns(fn.Chain(fn.Dense(16), fn.tanh, fn.Dense(3)))
    >>> params = network.init(jax.random.key(0), (4,))
    >>> print(params[0]["kernel"].shape, network.apply(params, jax.numpy.ones((5, 4))).shape)
    (16, 4) (5, 3)
    """

    network: Chain = part()

    def __post_init__(self) -> None:
        if not computes_in_columns(self.network):
            raise_error(
                "Columns takes a chain of Dense, Dropout and activations",
                f"got {describe(self.network)}",
                "the chain itself, which computes in rows",
                TypeError,
            )

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of one output sample."""
        return self.network.out_shape(in_shape)

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> tuple[Any, ...]:
        """Draw what the chain draws, kernels transposed."""
        params: tuple[Any, ...] = transposed(self.network.init(key, in_shape, dtype))
        return params

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return y in rows, and what each layer saved in columns."""
        if x.ndim != 2:
            raise_error("Columns takes a batch of vectors", f"got {describe(x)}", "x of shape (batch, features)")
        y, saved = _forward(self.network, params, x.T, key)
        return y.T, saved

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[Any, jax.Array]:
        """Return dparams, kernels transposed, and dx in rows."""
        # Turned once: else the compiler folds it into each product, as a transposed first factor.
        dparams, dx = _backward(self.network, params, saved, jax.lax.optimization_barrier(dy.T))
        return dparams, dx.T


def computes_in_columns(network: Any) -> bool:
    """Tell whether a network is a chain of layers that have a form in columns."""
    return type(network) is Chain and all(
        type(layer) in (Dense, Dropout) or isinstance(layer, Activation) or computes_in_columns(layer)
        for layer in network.layers
    )


def transposed(tree: Any) -> Any:
    """Transpose every kernel in a tree: of parameters, or of an optimizer's state that holds trees like them.

    >>> import jax.numpy as jnp
    >>> transposed({"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)})["kernel"].shape
    (3, 2)
    """

    def one(path: Any, leaf: Any) -> Any:
        return jnp.swapaxes(leaf, -1, -2) if path and getattr(path[-1], "key", None) == "kernel" else leaf

    return jax.tree_util.tree_map_with_path(one, tree)


def _forward(layer: Any, params: Any, x: jax.Array, key: jax.Array | None) -> tuple[jax.Array, Any]:
    """Return y and what is saved, both in columns."""
    if isinstance(layer, Chain):
        saved = []
        for index, (inner, own) in enumerate(zip(layer.layers, params, strict=True)):
            x, kept = _forward(inner, own, x, None if key is None else fold(key, index))
            saved.append(kept)
        return x, tuple(saved)
    if isinstance(layer, Dense):
        y = params["kernel"] @ x
        return (y + jnp.broadcast_to(params["bias"][:, None], y.shape) if layer.bias else y), x
    if isinstance(layer, Dropout):
        factor = layer.forward(params, x.T, key)[1].T  # the same units as in rows
        return x * factor, factor
    if isinstance(layer, Elementwise):
        return layer.forward(x)
    y, kept = as_layer(layer).forward(params, x.T, key)
    return y.T, kept


def _backward(layer: Any, params: Any, saved: Any, dy: jax.Array) -> tuple[Any, jax.Array]:
    """Return dparams and dx in columns."""
    if isinstance(layer, Chain):
        dparams = []
        for inner, own, kept in zip(reversed(layer.layers), reversed(params), reversed(saved), strict=True):
            down, dy = _backward(inner, own, kept, dy)
            dparams.append(down)
        return tuple(reversed(dparams)), dy
    if isinstance(layer, Dense):
        down = {"kernel": dy @ saved.T}
        if layer.bias:
            down["bias"] = jnp.sum(dy, axis=1)
        # Many small products with a transposed first factor are slow on a CPU: it is transposed once, for good.
        return down, jax.lax.optimization_barrier(params["kernel"].T) @ dy
    if isinstance(layer, Dropout):
        return (), saved * dy
    if isinstance(layer, Elementwise):
        return (), layer.backward(saved, dy)
    down, dx = as_layer(layer).backward(params, saved, dy.T)
    return down, dx.T


_W = {"kernel": [[0.5, 1.5], [-1.0, 0.25], [0.3, -0.2]], "bias": [0.1, -0.2, 0.4]}
_V = {"kernel": [[0.7, -0.3, 0.2], [0.1, 0.9, -0.6]]}
_X = [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0], [0.7, 0.7]]
CASES = (
    Case("ordinary", Columns(Chain(Dense(3), LeakyReLU(0.1), Dense(2, bias=False))), ((_W, (), _V), [[1.0, 2.0]])),
    Case("batch", Columns(Chain(Dense(3), LeakyReLU(0.1), Dense(2, bias=False))), ((_W, (), _V), _X)),
    Case("batch", Columns(Chain(Chain(Dense(3), Dropout(0.4)), Softmax())), (((_W, ()), ()), _X, 7)),
    Case("extreme", Columns(Chain(Dense(3), LeakyReLU(0.1))), ((_W, ()), [[1e30, -1e30], [0.0, 0.0]])),
    Case(
        "known",
        Columns(Chain(Dense(3))),
        (({"kernel": [[0.5, 1.5], [-1.0, 0.25], [2.0, -0.5]], "bias": [0.1, -0.2, 0.3]},), [[1.0, 2.0]]),
        [[3.6, -0.7, 1.3]],
        (({"kernel": [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], "bias": [1.0, 1.0, 1.0]},), [[1.5, 1.25]]),
        "the dense layer's, by hand, transposed",
    ),
)
