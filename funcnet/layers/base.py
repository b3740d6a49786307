r"""What a layer is: a rule over parameters and inputs, with the defaults of its protocol.

A layer is described by its output width and the like; its parameters are a pytree of arrays that `init` makes.

    out_shape(in_shape) -> out_shape            shapes of one sample, without batch dimensions
    check_input(samples)                        what it takes; raises a sentence otherwise
    check_values(x)                             the same of the numbers of a batch, such as tokens
    init(key, in_shape, dtype=None) -> params   in JAX's default float dtype, whatever x has
    forward(params, x, key=None) -> (y, saved)  with a key: training; without: evaluation
    backward(params, saved, dy) -> (dparams, dx)
    apply(params, x) -> y                       evaluation
    refresh(params, saved) -> params            after an update: numbers that follow the data, such as running means

x is an array or a tree of arrays whose leading axis is the sample, of floats or whole numbers; `in_shape` is the shape
of one sample, or a tree of shapes. Numbers that follow the data are leaves of the parameters with gradient 0.
"""

from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.keys import check_key
from funcnet.protocols import Shape

__all__ = ["Layer", "Shape", "samples_of", "shapes_of"]


class Layer:
    """Base of all layers: the defaults of the protocol.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Shift(fn.Layer):
    ...     def out_shape(self, in_shape):
    ...         return in_shape
    ...     def init(self, key, in_shape, dtype=None):
    ...         return {"bias": jnp.zeros(in_shape[-1:], dtype)}
    ...     def forward(self, params, x, key=None):
    ...         return x + jnp.broadcast_to(params["bias"], x.shape), ()
    ...     def backward(self, params, saved, dy):
    ...         return {"bias": dy.sum(axis=0)}, dy
    >>> bool(fn.check(Shift(), {"bias": jnp.float32([1.0, -2.0])}, jnp.ones((5, 2))))
    True
    """

    @property
    def passes_on(self) -> bool:
        """Tell whether what comes in goes out as it is, but for scale and place, without a kernel of its own.

        An activation behind such a layer decides on the initial values of the layer before it.
        """
        return False

    @property
    def label(self) -> str:
        """Return the name by which tables and traces call this layer."""
        return type(self).__name__

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of one output sample."""
        _missing(self, "out_shape")

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample, a tree of `jax.ShapeDtypeStruct`, is what the layer takes: one array of floats.

        Raises:
            TypeError: for several arrays, or whole numbers.
            ValueError: for a shape that does not fit.

        """
        one_array_of_floats(samples, self.label)
        self.out_shape(shapes_of(samples))

    def check_values(self, x: Any) -> None:
        """Raise unless the numbers of x, a batch at hand, are such as the layer takes; by default any are.

        Raises:
            ValueError: for tokens outside a vocabulary, or lengths that the steps do not have.

        """

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        """Draw parameters for inputs of a shape, in JAX's default float dtype unless one is given."""
        return ()

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return y and what `backward` needs."""
        _missing(self, "forward")

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        """Return dparams and dx; dx of whole numbers is None."""
        _missing(self, "backward")

    def apply(self, params: Any, x: Any) -> Any:
        """Evaluate the layer."""
        return self.forward(params, x)[0]

    def refresh(self, params: Any, saved: Any) -> Any:
        """Return the parameters with the numbers that follow the data moved on by a training pass."""
        return params

    def feeding(self, activation: Any) -> "Layer":
        """Return the layer with default initial values that suit the activation behind it (None for none)."""
        return self


def _missing(layer: Layer, method: str) -> NoReturn:
    attempt = f"def {method}(self, …) in {type(layer).__name__}"
    raise_error(f"a layer must have {method}", f"{type(layer).__name__} has none", attempt, NotImplementedError)


def is_shape(value: Any) -> bool:
    """Tell whether a value is the shape of one array, rather than a tree of shapes."""
    return isinstance(value, tuple) and all(isinstance(n, (int, np.integer)) for n in value)


def check_init(key: Any, in_shape: Any) -> None:
    """Check what `init` is given: a key, and the shape of one sample or a tree of them."""
    check_key(key)
    shapes = jax.tree.leaves(in_shape, is_leaf=is_shape)
    if not shapes or not all(is_shape(shape) and all(n > 0 for n in shape) for shape in shapes):
        must = "in_shape must be the shape of one sample, a tuple of whole numbers above 0"
        arrived = f"got {in_shape}" if is_shape(in_shape) else f"got {describe(in_shape)}"
        raise_error(must, arrived, "x.shape[1:]", ValueError if is_shape(in_shape) else TypeError)


def one_array_of_floats(samples: Any, label: str) -> None:
    """Require that a sample is one array of a floating dtype."""
    if not isinstance(samples, jax.ShapeDtypeStruct):
        count = len(jax.tree.leaves(samples))
        raise_error(
            f"{label} takes one array", f"got {count} of them", "fn.Parallel, or a layer that joins them", TypeError
        )
    if not jnp.issubdtype(samples.dtype, jnp.floating):
        attempt = "x.astype(jnp.float32), or fn.Embedding first for tokens"
        raise_error(f"{label} takes floating-point numbers", f"got {samples.dtype}", attempt, TypeError)


def samples_of(x: Any) -> Any:
    """Return the shapes and dtypes of one sample of x, a tree of `jax.ShapeDtypeStruct`.

    >>> import numpy as np
    >>> samples_of({"tokens": np.zeros((5, 7), np.int32)})["tokens"]
    ShapeDtypeStruct(shape=(7,), dtype=int32)
    """
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], jax.dtypes.canonicalize_dtype(a.dtype)), x)


def shapes_of(samples: Any) -> Any:
    """Return a tree of shapes, as `out_shape` and `init` take it, from a tree of samples."""
    return jax.tree.map(lambda sample: tuple(sample.shape), samples)


def described(value: Any) -> str:
    """Describe arrays in an error: one by its dtype and shape, a tree by the number of its leaves."""
    leaves = jax.tree.leaves(value)
    return describe(value) if len(leaves) == 1 and leaves[0] is value else f"a tree of {len(leaves)} arrays"
