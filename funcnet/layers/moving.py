r"""Images moved and mirrored at random while training, each sample by a draw of its own.

Forward    RandomShift   y[q] = x[q + s] where that is inside, else 0;   s uniform on −pixels … pixels, for each axis
           RandomFlip    y[q] = x[n − 1 − q] along one axis, or x[q], each with probability ½
           without a key y = x
Backward   RandomShift   dx[q] = dy[q − s] where that is inside, else 0
           RandomFlip    dx = dy, flipped where x was

Derivation. Given the draw, both only place numbers elsewhere: number q + s of x is number q of y, or is lost. The
transpose puts dy back, and gives 0 to what was lost. A flip undoes itself.

Shapes     x, y: (samples, *space, channels); the axis of RandomFlip is one of a sample's, 0 the first behind the batch.
Source     LeCun et al. 1998, section III, for distorted training images.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import check_floating, raise_error, whole_number
from funcnet.keys import uniform
from funcnet.layers.base import Layer, Shape
from funcnet.layers.pooling import batch_of_samples
from funcnet.layers.windows import check_space
from funcnet.records import choice, record


class _Moving(Layer):
    """What both have in common."""

    @property
    def passes_on(self) -> bool:
        """Tell that numbers go on as they are, to other places."""
        return True


@record
class RandomShift(_Moving):
    r"""Shift each sample by up to so many pixels along every axis but the last while training; zeros move in.

    Args:
        pixels: the largest shift, in both directions.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> x = jnp.asarray([[[1.0], [2.0], [3.0]]])
    >>> print(fn.RandomShift(1).forward((), x, jax.random.key(1))[0].ravel(), fn.RandomShift(1).apply((), x).ravel())
    [0. 1. 2.] [1. 2. 3.]

    """

    pixels: int = choice(at_least=0)

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        check_space(in_shape, "RandomShift")
        return in_shape

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the samples, shifted with a key, and where each of them was read in the padded input."""
        x = batch_of_samples(x, "RandomShift")
        if key is None:
            starts = jnp.full((len(x), x.ndim - 2), self.pixels, jnp.int32)
            return x, starts
        draw = uniform(key, (len(x), x.ndim - 2)) * jnp.float32(2 * self.pixels + 1)
        starts = jnp.minimum(jnp.floor(draw).astype(jnp.int32), jnp.int32(2 * self.pixels))
        return self._read(x, starts), starts

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx: dy shifted the other way."""
        starts = saved
        # y = read(x, starts)
        return (), self._read(dy, jnp.int32(2 * self.pixels) - starts)

    def _read(self, x: jax.Array, starts: jax.Array) -> jax.Array:
        edges = [(0, 0), *[(self.pixels, self.pixels)] * (x.ndim - 2), (0, 0)]

        def one(sample: jax.Array, start: jax.Array) -> jax.Array:
            at = (*(start[axis] for axis in range(x.ndim - 2)), jnp.int32(0))
            return jax.lax.dynamic_slice(sample, at, x.shape[1:])

        return jax.vmap(one)(jnp.pad(x, edges), starts)


@record
class RandomFlip(_Moving):
    r"""Mirror each sample along one of its axes, or not, with equal chances, while training.

    Args:
        axis: which axis of a sample: 0 is the first behind the batch, so 1 mirrors images left to right.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> x = jnp.asarray([[[1.0], [2.0], [3.0]]])
    >>> print(fn.RandomFlip(0).forward((), x, jax.random.key(1))[0].ravel(), fn.RandomFlip(0).apply((), x).ravel())
    [3. 2. 1.] [1. 2. 3.]

    """

    axis: int = choice()

    def __post_init__(self) -> None:
        whole_number(self.axis, "RandomFlip.axis", 0)

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        if self.axis >= len(in_shape):
            must = f"RandomFlip.axis must be one of the {len(in_shape)} axes of a sample, counted from 0"
            raise_error(must, f"got {self.axis}", f"fn.RandomFlip({max(len(in_shape) - 2, 0)})")
        return in_shape

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the samples, mirrored with a key, and which of them were."""
        check_floating(x, "the input of RandomFlip")
        x = jnp.asarray(x)
        self.out_shape(x.shape[1:])
        if key is None:
            return x, jnp.zeros(len(x), bool)
        flipped = uniform(key, (len(x),)) < jnp.float32(0.5)
        return self._mirrored(x, flipped), flipped

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx: dy, mirrored where x was."""
        flipped = saved
        # y = mirrored(x, flipped)
        return (), self._mirrored(dy, flipped)

    def _mirrored(self, x: jax.Array, flipped: jax.Array) -> jax.Array:
        which = jnp.broadcast_to(flipped.reshape(-1, *[1] * (x.ndim - 1)), x.shape)
        return jnp.where(which, jnp.flip(x, self.axis + 1), x)


_X = [[[0.1, -1.0], [2.5, 0.3], [1.1, 2.0]], [[0.6, 0.8], [1.7, -0.9], [-0.4, 1.2]]]
_IMAGES = [[sample, sample[::-1]] for sample in _X]
_ONES = ((), [[[1.0] * 2] * 3] * 2)
CASES = (
    Case("ordinary", RandomShift(1), ((), _X, 7)),
    Case("batch", RandomShift(2), ((), _IMAGES, 7)),
    Case("known", RandomShift(0), ((), _X, 7), _X, _ONES, "no pixels, no shift"),
    Case("known", RandomShift(2), ((), _X), _X, _ONES, "evaluation"),
    Case("ordinary", RandomFlip(0), ((), _X, 7)),
    Case("batch", RandomFlip(1), ((), [*_IMAGES, *_IMAGES], 7)),
    Case("known", RandomFlip(0), ((), _X), _X, _ONES, "evaluation"),
)
