r"""The mean, or the largest number, of each channel over all of its places.

Forward    average   y = (1/P) Σₚ x[p]          max   y = maxₚ x[p]
Backward   average   dx[p] = dy/P               max   dx[p] = dy [p = p*]   p*: the first place with y, in row order

Derivation. A mean has the weight 1/P everywhere. Near an x whose largest number is alone, y is that number.

Extremes   Of equal numbers the first takes all, and so does the first NaN: as `MaxPool` with one window, and unlike
           `jnp.max`, whose derivative is shared out among equals.
Shapes     x: (samples, *space, channels), y: (samples, channels).
Source     Lin, Chen & Yan 2014, section 3.2.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.layers.base import Layer, Shape
from funcnet.layers.pooling import batch_of_samples
from funcnet.layers.windows import check_space
from funcnet.records import record


class _Global(Layer):
    """What both have in common."""

    @property
    def passes_on(self) -> bool:
        """Tell that numbers go on as they are, or their mean."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the number of channels."""
        check_space(in_shape, self.label)
        if not math.prod(in_shape[:-1]):
            must = f"{self.label} needs at least one place to pool over"
            raise_error(must, f"got samples of shape {in_shape}", "samples with numbers in them")
        return in_shape[-1:]


@record
class GlobalAveragePool(_Global):
    r"""The mean of each channel.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.GlobalAveragePool().apply((), jnp.asarray([[[1.0], [3.0], [2.0]]])))
    [[2.]]
    """

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the means, and an array without elements that tells the shape of a sample."""
        x = batch_of_samples(x, "GlobalAveragePool")
        return jnp.mean(x, axis=tuple(range(1, x.ndim - 1))), jnp.zeros((0, *x.shape[1:]), x.dtype)

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx = dy/P at every place."""
        space = saved.shape[1:-1]
        # y = mean(x, axis=space)
        each = (dy / math.prod(space)).reshape(len(dy), *[1] * len(space), dy.shape[-1])
        return (), jnp.broadcast_to(each, (len(dy), *saved.shape[1:]))


@record
class GlobalMaxPool(_Global):
    r"""The largest number of each channel.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.GlobalMaxPool().apply((), jnp.asarray([[[1.0], [3.0], [2.0]]])))
    [[3.]]
    """

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return the largest numbers, and where the first of each stood, with the shape of a sample."""
        x = batch_of_samples(x, "GlobalMaxPool")
        rows = x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
        first = jnp.argmax(rows, axis=1)
        # On a CPU the maximum of a large array may lose a NaN.
        y = jnp.where(jnp.any(jnp.isnan(rows), axis=1), jnp.nan, jnp.max(rows, axis=1))
        return y, (first, jnp.zeros((0, *x.shape[1:]), x.dtype))

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx: dy where the first of the largest numbers stood."""
        first, sample = saved
        # y = max(x) = x[first]
        shape = (len(dy), math.prod(sample.shape[1:-1]), dy.shape[-1])
        places = jax.lax.broadcasted_iota(first.dtype, shape, 1)
        own, each = (jnp.broadcast_to(a[:, None, :], shape) for a in (first, dy))
        dx = jnp.where(places == own, each, jnp.zeros((), dy.dtype))
        return (), dx.reshape(len(dy), *sample.shape[1:])


_X = [[[0.1, -1.0], [2.5, 0.3]], [[1.1, 2.0], [-0.4, 1.2]], [[0.6, 0.8], [1.7, -0.9]]]  # 3 × 2 places, 2 channels
_TIE = [[[2.0, 0.0], [5.0, -0.0], [5.0, -1.0]]]
CASES = (
    Case("ordinary", GlobalAveragePool(), ((), [_X[0], _X[1]])),
    Case("batch", GlobalAveragePool(), ((), [_X, _X[::-1]])),
    Case("ordinary", GlobalMaxPool(), ((), [_X[0], _X[1]])),
    Case("batch", GlobalMaxPool(), ((), [_X, _X[::-1]])),
    Case(
        "kink",
        GlobalMaxPool(),
        ((), _TIE),
        [[5.0, 0.0]],
        ((), [[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]),
        "the first of two takes all, −0 being equal to 0",
    ),
    Case("known", GlobalMaxPool(), ((), [[[2.0], [7.0]]]), [[7.0]], ((), [[[0.0], [1.0]]]), "by hand"),
    Case("known", GlobalAveragePool(), ((), [[[2.0], [7.0]]]), [[4.5]], ((), [[[0.5], [0.5]]]), "by hand"),
)
