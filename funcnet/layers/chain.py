r"""The chain of layers: the one place where back-propagation composes.

Forward    a₀ = x,  aₗ = fₗ(θₗ, aₗ₋₁),  y = a_L                     a left fold
Backward   d_L = dy,  (dθₗ, dₗ₋₁) = backwardₗ(θₗ, savedₗ, dₗ)         the right fold: the chain rule

Derivation. y = f_L ∘ … ∘ f₁. The derivative of a composition is the product of the derivatives, and a vector-Jacobian
product applies them from the left: dy Jₗ = ((dy J_L) J_{L−1}) … Jₗ. Each factor is applied once, layer by layer.

With activations gₗ between dense layers and δₗ the derivative by Zₗ, this unrolls to the textbook recursion:

Recurrence  δ_L = ∂L/∂Z_L,  δₗ = (δₗ₊₁ Wₗ₊₁ᵀ) ∘ gₗ′(Zₗ),  dWₗ = Aₗ₋₁ᵀ δₗ,  dbₗ = Σ δₗ

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
from funcnet.layers.activate import Activate, as_layer
from funcnet.layers.base import Layer, check_init, is_shape, shapes_of
from funcnet.layers.dense import Dense
from funcnet.layers.initializers import INITIALIZERS
from funcnet.records import children, part, record
from funcnet.trees import default_real


@record
class Chain(Layer):
    r"""Layers and activations, one after the other.

    Args:
        layers: layers, activations, or layers from elsewhere with `out_shape`, `init`, `forward` and `backward`.

    Raises:
        ValueError: without layers.
        TypeError: for what is neither a layer nor an activation.

    >>> import jax, funcnet as fn
    >>> network = fn.Chain(fn.Dense(16), fn.tanh, fn.Dense(3))
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
        adopted = [layer if isinstance(layer, Activation) else as_layer(layer) for layer in self.layers]
        object.__setattr__(self, "layers", tuple(adopted))

    @property
    def passes_on(self) -> bool:
        """Tell whether all layers pass on what comes in."""
        return all(as_layer(layer).passes_on for layer in self.layers)

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of one output sample of the last layer."""
        for layer in self.layers:
            in_shape = as_layer(layer).out_shape(in_shape)
        return in_shape

    def check_input(self, samples: Any) -> None:
        """Check what each layer gets; whole numbers reach the first one alone."""
        for layer in self.layers:
            own = as_layer(layer)
            own.check_input(samples)
            shapes = own.out_shape(shapes_of(samples))
            real = default_real()
            samples = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s, real), shapes, is_leaf=is_shape)  # noqa: B023

    def check_values(self, x: Any) -> None:
        """Let the first layer check the numbers."""
        as_layer(self.layers[0]).check_values(x)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> tuple[Any, ...]:
        """Draw the parameters of each layer; kernels suit the activation that follows, unless told otherwise."""
        check_init(key, in_shape)
        layers, shapes = [], []
        for index, layer in enumerate(self.layers):
            layers.append(as_layer(layer).feeding(self._activation_after(index)))
            shapes.append(in_shape)
            in_shape = _known(layers[-1].out_shape(in_shape), layers[-1])
        params: list[Any] = [None] * len(layers)
        for indices in _alike(layers, shapes):
            drawn = _draw([layers[index] for index in indices], key, indices, shapes[indices[0]], dtype)
            for index, own in zip(indices, drawn, strict=True):
                params[index] = own
        return tuple(params)

    def feeding(self, activation: Any) -> "Chain":
        """Let the last layer with weights suit the activation behind the chain."""
        layers = list(self.layers)
        for index in reversed(range(len(layers))):
            if isinstance(layers[index], Activation):
                break
            layers[index] = as_layer(layers[index]).feeding(activation)
            if not layers[index].passes_on:
                break
        return Chain(*layers)

    def _activation_after(self, index: int) -> Any:
        """Return the activation that a layer feeds, before the next layer with weights."""
        for layer in map(as_layer, self.layers[index + 1 :]):
            if isinstance(layer, Activate):
                return layer.activation
            if not layer.passes_on:
                return None
        return None

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, tuple[Any, ...]]:
        """Return y and what each layer saved."""
        if not isinstance(params, (tuple, list)) or len(params) != len(self.layers):
            must = f"parameters must have one entry for each of {len(self.layers)} layers"
            raise_error(must, f"got {describe(params)}", "network.init(key, in_shape)")
        saved = []
        for index, (layer, own) in enumerate(zip(self.layers, params, strict=True)):
            x, kept = as_layer(layer).forward(own, x, None if key is None else fold(key, index))
            saved.append(kept)
        return x, tuple(saved)

    def backward(self, params: Any, saved: tuple[Any, ...], dy: Any) -> tuple[tuple[Any, ...], Any]:
        """Return dparams and dx, walking the layers from the last to the first."""
        dparams = []
        for layer, own, kept in zip(reversed(self.layers), reversed(params), reversed(saved), strict=True):
            down, dy = as_layer(layer).backward(own, kept, dy)
            dparams.append(down)
        return tuple(reversed(dparams)), dy

    def refresh(self, params: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """Let each layer move on the numbers that follow the data."""
        each = zip(self.layers, params, saved, strict=True)
        return tuple(as_layer(layer).refresh(own, kept) for layer, own, kept in each)


def _known(shape: Any, layer: Layer) -> Any:
    """Return a shape, unless a field that a sweep may vary decides on it."""
    if any(isinstance(size, jax.core.Tracer) for size in jax.tree.leaves(shape)):
        must = f"the shape that {layer.label} gives must not depend on a number that a sweep may vary"
        raise_error(must, "it does", "fn.choice(at_least=1) for that field, not fn.integer()", TypeError)
    return shape


def _alike(layers: list[Layer], shapes: list[Any]) -> list[list[int]]:
    """Group the numbers of layers that draw alike: of this package, of one structure, with inputs of one shape."""
    groups: dict[Any, list[int]] = {}
    for index, (layer, shape) in enumerate(zip(layers, shapes, strict=True)):
        groups.setdefault((jax.tree.structure(layer), shape) if _draws(layer) else index, []).append(index)
    return list(groups.values())


def _draws(layer: Layer) -> bool:
    """Tell whether a layer's draw is known to bear a loop: a `Dense` whose initializers are of this package."""
    return isinstance(layer, Dense) and all(
        type(value) in INITIALIZERS for name, value in children(layer).items() if name.endswith("_init")
    )


def _draw(layers: list[Layer], key: jax.Array, indices: list[int], in_shape: Any, dtype: Any) -> list[Any]:
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
