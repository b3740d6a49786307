r"""The mean of each window, channel by channel.

Forward    y[p] = (1/c[p]) Σₜ x⁺[p s + t]     per axis: t a tap, p a place, x⁺ = x with zeros around
Backward   dx[q] = Σₚ dy[p]/c[p]              over the places p whose window reads q

Derivation. y is linear in x: number q has the weight 1/c[p] in each window that reads it, and 0 in all others.

Divisor    c[p] counts the numbers of x in window p, without the padding, as in Keras and Haiku; with `count_padding` it
           is the size of the window, as in PyTorch and Flax. A window of padding alone gives 0.
Shapes     x: (samples, *space, channels), y: (samples, *places, channels), each channel by itself.
Source     LeCun et al. 1998, section II, "sub-sampling".
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnet.cases import Case
from funcnet.layers.pooling import Pool, along_space, back, batch_of_samples, over_taps, side_by_side
from funcnet.layers.windows import Windows
from funcnet.records import choice, record


@record
class AveragePool(Pool):
    r"""The mean of each window over all axes of a sample but the last.

    Args:
        window: numbers of a window along every axis, or a tuple with a number for each.
        stride: how far one window lies from the next; its own size by default.
        padding: "valid", "same", or a pair for each axis.
        count_padding: whether the zeros around count as numbers of a window.

    Raises:
        ValueError: for windows larger than the padded input.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.AveragePool(2).apply((), jnp.asarray([[[1.0], [3.0], [2.0], [0.0]]])).ravel())
    [2. 1.]

    """

    window: Any = choice()
    stride: Any = choice(default=None, kw_only=True)
    padding: Any = choice(default="valid", kw_only=True)
    count_padding: bool = choice(default=False, options=(False, True), kw_only=True)

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the means, and an array without elements that tells the shape of a sample."""
        x = batch_of_samples(x, "AveragePool")
        frame = self.frame(x.shape[1:-1])
        y = lax.reduce_window(x, 0.0, lax.add, *along_space(frame))
        return y * self._weight(frame, y), jnp.zeros((0, *x.shape[1:]), x.dtype)

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx: dy/c at all numbers of each window."""
        frame = self.frame(saved.shape[1:-1])
        # y = reduce_window(x, add) * weight
        sent = dy * self._weight(frame, dy)
        if frame.tiles:
            return (), side_by_side(over_taps(sent, frame), frame)
        return (), back((sent,), lambda number, sent: sent, frame)

    def _weight(self, frame: Windows, y: jax.Array) -> jax.Array:
        """Return 1/c of each place, 0 where nothing is counted."""
        inside = np.ones_like(frame.inside()) if self.count_padding else frame.inside()
        count = inside.sum(axis=tuple(range(len(frame.window))))
        weight = np.where(count > 0, 1 / np.maximum(count, 1), 0)
        return jnp.broadcast_to(jnp.asarray(weight, y.dtype)[None, ..., None], y.shape)


_Y = [[[0.1, -1.0], [2.5, 0.3]], [[1.1, 2.0], [-0.4, 1.2]], [[0.6, 0.8], [1.7, -0.9]]]  # 3 × 2 places, 2 channels
CASES = (
    Case("ordinary", AveragePool(2), ((), [[[0.3, -1.0], [1.2, 2.0], [0.4, 0.9], [-0.6, 0.1], [7.0, 8.0]]])),
    Case("batch", AveragePool((2, 1)), ((), [_Y, [row[::-1] for row in _Y]])),
    Case("batch", AveragePool((3, 1)), ((), [_Y, [row[::-1] for row in _Y], _Y])),
    Case("batch", AveragePool((2, 2), stride=(1, 2), padding=((1, 0), (0, 1))), ((), [_Y, _Y[::-1]])),
    Case("batch", AveragePool(3, stride=2, padding="same", count_padding=True), ((), [_Y, _Y[::-1]])),
    Case(
        "known",
        AveragePool(3, stride=2, padding="same"),
        ((), [[[1.0], [5.0], [2.0]]]),
        [[[3.0], [3.5]]],
        ((), [[[0.5], [1.0], [0.5]]]),
        "two numbers in each window",
    ),
    Case(
        "known",
        AveragePool(3, stride=2, padding="same", count_padding=True),
        ((), [[[1.0], [5.0], [3.0]]]),
        [[[2.0], [8 / 3]]],
        ((), [[[1 / 3], [2 / 3], [1 / 3]]]),
        "three numbers in each window, one of them 0",
    ),
)
