r"""Layers that put the numbers of a sample into another shape, in row order.

Forward    y = x in another shape
Backward   dx = dy in the shape of x

Derivation. The numbers stay, and so do their derivatives: a reshape is a permutation whose transpose puts them back.

Shapes     Flatten   (samples, *shape) to (samples, the product of the shape)
           Reshape   (samples, *shape) to (samples, *another of as many numbers), for no samples as well
Rows       run through channels first, places after: (h, w, c). PyTorch's flatten runs (c, h, w); the rows of a kernel
           that comes from there must be permuted.
Source     By definition.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import check_floating, describe, raise_error, whole_number
from funcnet.layers.base import Layer, Shape
from funcnet.records import choice, record


class _Shaping(Layer):
    """What both have in common."""

    @property
    def passes_on(self) -> bool:
        """Tell that numbers go on as they are."""
        return True

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return x in another shape, and an array without elements that tells the shape of a sample."""
        check_floating(x, f"the input of {self.label}")
        x = jnp.asarray(x)
        return x.reshape(len(x), *self.out_shape(x.shape[1:])), jnp.zeros((0, *x.shape[1:]), x.dtype)

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dy in the shape of x."""
        # y = x.reshape(len(x), *out_shape)
        return (), dy.reshape(len(dy), *saved.shape[1:])


@record
class Flatten(_Shaping):
    r"""All numbers of a sample in one axis.

    >>> import funcnet as fn
    >>> fn.Flatten().out_shape((28, 28, 3))
    (2352,)
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return how many numbers a sample has."""
        return (math.prod(in_shape),)


@record
class Reshape(_Shaping):
    r"""The numbers of a sample in another shape.

    Args:
        shape: the shape of a sample, without the batch; one of its numbers may be −1, for what is left.

    Raises:
        ValueError: where the numbers of samples are not as many.

    >>> import funcnet as fn
    >>> fn.Reshape((7, -1, 3)).out_shape((147,))
    (7, 7, 3)

    """

    shape: Any = choice()

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple):
            attempt = "fn.Reshape((28, 28, 1))"
            raise_error("Reshape.shape must be a tuple", f"got {describe(self.shape)}", attempt, TypeError)
        for size in self.shape:
            whole_number(size, "Reshape.shape", -1)
        if self.shape.count(-1) > 1:
            raise_error("Reshape.shape may have one −1", f"got {self.shape.count(-1)}", "numbers for the others")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape, with a number for its −1."""
        there, asked = math.prod(in_shape), math.prod(size for size in self.shape if size != -1)
        left = there // asked if -1 in self.shape and asked else 1
        if left * asked != there:
            must = f"Reshape needs samples whose numbers fill the shape {self.shape}"
            raise_error(must, f"a sample of shape {tuple(in_shape)} has {there}", "a shape of as many numbers")
        return tuple(left if size == -1 else size for size in self.shape)


_X = [[[0.1, -1.0], [2.5, 0.3], [1.1, 2.0]], [[0.6, 0.8], [1.7, -0.9], [-0.4, 1.2]]]
_FLAT = [[0.1, -1.0, 2.5, 0.3, 1.1, 2.0], [0.6, 0.8, 1.7, -0.9, -0.4, 1.2]]
CASES = (
    Case("ordinary", Flatten(), ((), _X[:1])),
    Case("batch", Flatten(), ((), [_X, _X[::-1], _X])),
    Case("known", Flatten(), ((), _X), _FLAT, ((), [[[1.0] * 2] * 3] * 2), "row order"),
    Case("batch", Reshape((3, -1, 2)), ((), [_X, _X[::-1]])),
    Case("known", Reshape((3, 2)), ((), _FLAT), _X, ((), [[1.0] * 6] * 2), "row order"),
)
