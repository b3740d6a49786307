r"""The chain of layers: the one place where back-propagation composes.

Forward    a₀ = x,  aₗ = fₗ(θₗ, aₗ₋₁),  y = a_L                     a left fold
Backward   d_L = dy,  (dθₗ, dₗ₋₁) = backwardₗ(θₗ, savedₗ, dₗ)         the right fold: the chain rule

Derivation. y = f_L ∘ … ∘ f₁. The derivative of a composition is the product of the derivatives, and a vector-Jacobian
product applies them from the left: dy Jₗ = ((dy J_L) J_{L−1}) … Jₗ. Each factor is applied once, layer by layer.

With activations gₗ between dense layers and δₗ the derivative by Zₗ, this unrolls to the textbook recursion
δ_L = ∂L/∂Z_L,  δₗ = (δₗ₊₁ Wₗ₊₁ᵀ) ∘ gₗ′(Zₗ),  dWₗ = Aₗ₋₁ᵀ δₗ,  dbₗ = Σ δₗ.

Parameters are a tuple, one entry a layer (activations have the empty tuple). Each layer gets its own key.

Source     Article A2.3 and B3.6 (see the errata); Rumelhart, Hinton & Williams 1986.
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.base import Activation
from funcnet.activations.sigmoid import Sigmoid
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.keys import fold
from funcnet.layers.base import Layer, Shape, as_layer
from funcnet.layers.dense import Dense
from funcnet.layers.initializers import INITIALIZERS, initializer_for
from funcnet.records import part, record, replace


@record
class Chain(Layer):
    r"""Layers and activations, one after the other.

    >>> import jax, funcnet as fn
    >>> network = Chain(fn.Dense(16), fn.tanh, fn.Dense(3))
    >>> params = network.init(jax.random.key(0), (4,))
    >>> print(network.out_shape((4,)), len(params))
    (3,) 3
    """

    layers: tuple[Any, ...] = part()

    def __init__(self, *layers: Any) -> None:
        object.__setattr__(self, "layers", layers)
        self.__post_init__()

    def __post_init__(self) -> None:
        if not self.layers:
            raise_error("a chain must have at least one layer", "got none", "fn.Chain(fn.Dense(10))")
        for layer in self.layers:
            as_layer(layer)

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of one output sample of the last layer."""
        for layer in self.layers:
            in_shape = as_layer(layer).out_shape(in_shape)
        return in_shape

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> tuple[Any, ...]:
        """Draw the parameters of each layer; dense kernels suit the activation that follows, unless told otherwise."""
        layers, shapes = [], []
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Dense) and layer.kernel_init is None:
                layer = replace(layer, {"kernel_init": initializer_for(self._activation_after(index))})
            layers.append(as_layer(layer))
            shapes.append(in_shape)
            in_shape = layers[-1].out_shape(in_shape)
        params: list[Any] = [None] * len(layers)
        for indices in _alike(layers, shapes):
            drawn = _draw([layers[index] for index in indices], key, indices, shapes[indices[0]], dtype)
            for index, own in zip(indices, drawn, strict=True):
                params[index] = own
        return tuple(params)

    def _activation_after(self, index: int) -> Activation | None:
        """Return the activation that a layer feeds, before the next layer with weights."""
        for layer in self.layers[index + 1 :]:
            if isinstance(layer, Activation):
                return layer
            if isinstance(layer, Dense):
                return None
        return None

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, tuple[Any, ...]]:
        """Return y and what each layer saved."""
        if len(params) != len(self.layers):
            raise_error(
                f"parameters must have one entry for each of {len(self.layers)} layers",
                f"got {len(params)} ({describe(jax.tree.structure(params))})",
                "network.init(key, in_shape)",
            )
        saved = []
        for index, (layer, own) in enumerate(zip(self.layers, params, strict=True)):
            x, kept = as_layer(layer).forward(own, x, None if key is None else fold(key, index))
            saved.append(kept)
        return x, tuple(saved)

    def backward(self, params: Any, saved: tuple[Any, ...], dy: jax.Array) -> tuple[tuple[Any, ...], jax.Array]:
        """Return dparams and dx, walking the layers from the last to the first."""
        dparams = []
        for layer, own, kept in zip(reversed(self.layers), reversed(params), reversed(saved), strict=True):
            down, dy = as_layer(layer).backward(own, kept, dy)
            dparams.append(down)
        return tuple(reversed(dparams)), dy


def _alike(layers: list[Layer], shapes: list[Shape]) -> list[list[int]]:
    """Group the numbers of layers that draw alike: dense ones of one structure with inputs of one shape."""
    groups: dict[Any, list[int]] = {}
    for index, (layer, shape) in enumerate(zip(layers, shapes, strict=True)):
        known = isinstance(layer, Dense) and all(type(i) in INITIALIZERS for i in (layer.kernel_init, layer.bias_init))
        groups.setdefault((jax.tree.structure(layer), shape) if known else index, []).append(index)
    return list(groups.values())


def _draw(layers: list[Layer], key: jax.Array, indices: list[int], in_shape: Shape, dtype: Any) -> list[Any]:
    """Draw the parameters of layers that draw alike, in a loop: the compiler meets their draw once."""
    if len(layers) == 1:
        return [layers[0].init(fold(key, indices[0]), in_shape, dtype)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers), jnp.asarray(indices)
    drawn = jax.lax.map(lambda one: one[0].init(fold(key, one[1]), in_shape, dtype), together)
    return [jax.tree.map(operator.itemgetter(place), drawn) for place in range(len(layers))]


_NET = Chain(Dense(2), Sigmoid(), Dense(1))
_PARAMS = ({"kernel": [[0.5, -1.0], [1.5, 0.25]], "bias": [0.1, -0.2]}, (), {"kernel": [[0.7], [-0.3]], "bias": [0.05]})
CASES = (
    Case("ordinary", _NET, (_PARAMS, [[1.0, 2.0]])),
    Case("batch", _NET, (_PARAMS, [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0], [0.7, 0.7]])),
    Case("extreme", _NET, (_PARAMS, [[1e4, -1e4], [0.0, 0.0]])),
)
