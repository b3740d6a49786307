r"""An activation as a layer, a layer from elsewhere, and the door through which both become layers.

A layer from elsewhere needs `out_shape`, `init`, `forward` and `backward`; what else the protocol has is filled in. If
it is a pytree of numbers it stays one, so that its numbers can be swept; else it is held as structure, and compiled in.
"""

from typing import Any, Protocol, runtime_checkable

import jax

from funcnet import protocols
from funcnet.activations.base import Activation
from funcnet.errors import describe, raise_error
from funcnet.layers.base import Layer
from funcnet.protocols import takes
from funcnet.records import choice, is_record, part, record
from funcnet.trees import is_tree_of_numbers


@record
class Activate(Layer):
    """An activation as a layer: no parameters, the shape unchanged.

    Args:
        activation: one of funcnet, or anything with its protocol.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> layer = fn.layers.Activate(fn.relu)  # what a chain does with an activation by itself
    >>> print(layer.apply((), jnp.float32([-1.0, 2.0])))
    [0. 2.]

    """

    activation: Any = part()

    @property
    def label(self) -> str:
        """Return the name of the activation."""
        return type(self.activation).__name__

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input."""
        return in_shape

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return y = f(x) and what the activation saved."""
        return self.activation.forward(x)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return no parameter gradient, and dx of the activation."""
        return (), self.activation.backward(saved, dy)


@runtime_checkable
class _Refreshes(Protocol):
    def refresh(self, params: Any, saved: Any) -> Any: ...


@runtime_checkable
class _Checks(Protocol):
    def check_input(self, samples: Any) -> None: ...


class _Elsewhere(Layer):
    """The protocol around somebody else's layer."""

    layer: Any

    @property
    def label(self) -> str:
        return type(self.layer).__name__

    def out_shape(self, in_shape: Any) -> Any:
        return self.layer.out_shape(in_shape)

    def check_input(self, samples: Any) -> None:
        if isinstance(self.layer, _Checks):
            self.layer.check_input(samples)
        else:
            super().check_input(samples)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        return self.layer.init(key, in_shape, dtype)

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        return self.layer.forward(params, x, key)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        return self.layer.backward(params, saved, dy)

    def refresh(self, params: Any, saved: Any) -> Any:
        return self.layer.refresh(params, saved) if isinstance(self.layer, _Refreshes) else params


@record
class ForeignLayer(_Elsewhere):
    """A layer from elsewhere that is a pytree of numbers."""

    layer: Any = part()


@record
class HeldLayer(_Elsewhere):
    """A layer from elsewhere that is none: structure, compiled in."""

    layer: Any = choice()


def as_layer(layer: Any) -> Layer:
    """Return `layer` itself, the layer that an activation makes, or one from elsewhere with the protocol filled in.

    Args:
        layer: a layer, an activation, or an object from elsewhere with `init` and `apply` or `forward` and
            `backward`.

    Raises:
        TypeError: for what is neither; the message says which method is missing or does not take what it must.

    >>> import funcnet as fn
    >>> fn.layers.as_layer(fn.relu).label
    'ReLU'

    """
    if isinstance(layer, Layer) and is_record(layer):
        return layer
    if isinstance(layer, type):
        raise_error("a layer must be an instance", f"got the class {layer.__name__}", f"{layer.__name__}(…)", TypeError)
    if isinstance(layer, Activation):
        return Activate(layer)
    if protocols.fits(layer, protocols.Layer):
        _check_arguments(layer)
        return ForeignLayer(layer) if is_tree_of_numbers(layer) else HeldLayer(layer)
    if protocols.fits(layer, protocols.Activation) and takes(layer.forward, 1):
        return Activate(layer)
    missing = [name for name in ("out_shape", "init", "forward", "backward") if name not in dir(layer)]
    arrived = f"{describe(layer)} has no {', '.join(missing)}" if len(missing) < 4 else f"got {describe(layer)}"
    raise_error("a layer or an activation is due", arrived, "fn.Dense(10), fn.relu, fn.mlp(64, 10)", TypeError)


def _check_arguments(layer: Any) -> None:
    needed = (
        ("init", layer.init, "key, in_shape, dtype"),
        ("forward", layer.forward, "params, x, key"),
        ("backward", layer.backward, "params, saved, dy"),
    )
    for name, method, arguments in needed:
        if not takes(method, 3):
            raise_error(
                f"{name} of a layer must take ({arguments})",
                f"{type(layer).__name__}.{name} does not",
                f"def {name}(self, {arguments})",
                TypeError,
            )
