r"""What a layer is: a rule over parameters and inputs, and the adapter that makes a layer of an activation.

A layer is described by its output width and the like; its parameters are a pytree of arrays that `init` makes.

    out_shape(in_shape) -> out_shape            shapes of one sample, without batch dimensions
    init(key, in_shape) -> params
    forward(params, x, key=None) -> (y, saved)  with a key: training; without: evaluation
    backward(params, saved, dy) -> (dparams, dx)
    apply(params, x) -> y                       evaluation
"""

from typing import Any

import jax

from funcnet.activations.base import Activation
from funcnet.errors import describe, raise_error
from funcnet.records import part, record

Shape = tuple[int, ...]


class Layer:
    """Base of all layers."""

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of one output sample."""
        raise NotImplementedError

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> Any:
        """Draw parameters for inputs of a shape, in JAX's default float dtype unless one is given."""
        raise NotImplementedError

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return y and what `backward` needs."""
        raise NotImplementedError

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[Any, jax.Array]:
        """Return dparams and dx."""
        raise NotImplementedError

    def apply(self, params: Any, x: jax.Array) -> jax.Array:
        """Evaluate the layer."""
        return self.forward(params, x)[0]


@record
class Activate(Layer):
    """An activation as a layer: no parameters, the shape unchanged."""

    activation: Activation = part()

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return in_shape

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> tuple[()]:
        """Return no parameters."""
        return ()

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return y = f(x) and what the activation saved."""
        return self.activation.forward(x)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return no parameter gradient, and dx of the activation."""
        return (), self.activation.backward(saved, dy)


def as_layer(layer: Any) -> Layer:
    """Return `layer` itself, or the layer that an activation makes."""
    if isinstance(layer, Activation):
        return Activate(layer)
    # Whatever has the methods will do, so that layers can come from outside the package.
    if all(hasattr(layer, name) for name in ("out_shape", "init", "forward", "backward")) and not isinstance(
        layer, type
    ):
        return layer
    if isinstance(layer, type):
        raise_error("a layer must be an instance", f"got the class {layer.__name__}", f"{layer.__name__}(…)", TypeError)
    raise_error(
        "a layer or an activation is due", f"got {describe(layer)}", "fn.Dense(10), fn.relu, fn.mlp(64, 10)", TypeError
    )
