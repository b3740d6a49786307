r"""The largest number of each window, channel by channel.

Forward    y[p] = maxₜ x⁺[p s + t]                  per axis: t a tap, p a place, x⁺ = x with −∞ around
Backward   dx[q] = Σₚ dy[p] [t*(p) = q − p s + lo]   t*(p): the first tap in row order that has the largest number

Derivation. Near an x whose largest number is alone in its window, y[p] is that number, so its derivative is 1 there and
0 elsewhere; where windows overlap, a number gets the sum of what each of them sends.

Extremes   Of equal numbers, −0 and 0 among them, the first takes all, as in PyTorch and XLA: a subgradient. A NaN is
           the largest, and the first NaN takes the gradient, as in PyTorch. Padding takes none: a window of padding
           alone gives −∞ and its gradient goes nowhere.
Shapes     x: (samples, *space, channels), y: (samples, *places, channels), each channel by itself.
Source     Ranzato et al. 2007; Scherer, Müller & Behnke 2010, for windows that overlap.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.cases import Case
from funcnet.layers.pooling import Pool, along_space, back, batch_of_samples, over_taps, side_by_side
from funcnet.layers.windows import Windows, read
from funcnet.records import choice, record

FEW = 32  # taps that are worked on one after the other


@record
class MaxPool(Pool):
    r"""The largest number of each window over all axes of a sample but the last.

    Args:
        window: numbers of a window along every axis, or a tuple with a number for each.
        stride: how far one window lies from the next; its own size by default.
        padding: "valid", "same", or a pair for each axis.

    Raises:
        ValueError: for windows larger than the padded input.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.MaxPool(2).apply((), jnp.asarray([[[1.0], [3.0], [2.0], [0.0]]])).ravel())
    [3. 2.]

    """

    window: Any = choice()
    stride: Any = choice(default=None, kw_only=True)
    padding: Any = choice(default="valid", kw_only=True)

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return the largest numbers, and x and y: what was largest is found again by comparing."""
        x = batch_of_samples(x, "MaxPool")
        y = _largest(x, self.frame(x.shape[1:-1]))
        return y, (x, y)

    def backward(self, params: Any, saved: Any, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return dx: each dy where the first of the largest numbers stood."""
        x, y = saved
        frame = self.frame(x.shape[1:-1])
        # y = maximum over taps: found by the last tap first, so that the first has the last word.
        padded, inside = jnp.pad(x, [(0, 0), *frame.pads, (0, 0)]), frame.inside()
        taps = list(frame.taps())
        first = jnp.full(y.shape, len(taps), jnp.uint8 if len(taps) < 256 else jnp.int32)
        for number, tap in reversed(list(enumerate(taps))):
            seen = read(padded, tap, frame)
            hit = (seen == y) | jnp.isnan(seen)
            if not inside[tap].all():
                hit &= jnp.broadcast_to(inside[tap][None, ..., None], hit.shape)
            first = jnp.where(hit, jnp.asarray(number, first.dtype), first)
        first = lax.optimization_barrier(first)
        if frame.tiles:
            own = jnp.arange(len(taps), dtype=first.dtype).reshape(1, *(n for k in frame.window for n in (1, k)), 1)
            whole = over_taps(first, frame)
            chosen = whole == jnp.broadcast_to(own, whole.shape)
            return (), side_by_side(jnp.where(chosen, over_taps(dy, frame), jnp.zeros((), dy.dtype)), frame)

        def sent(number: int, first: jax.Array, dy: jax.Array) -> jax.Array:
            return jnp.where(first == jnp.asarray(number, first.dtype), dy, jnp.zeros((), dy.dtype))

        return (), back((first, dy), sent, frame)


def _largest(x: jax.Array, frame: Windows) -> jax.Array:
    """Return the largest numbers tap by tap; XLA's maximum over windows is slower on a CPU, and loses NaN."""
    if math.prod(frame.window) <= FEW:
        padded = jnp.pad(x, [(0, 0), *frame.pads, (0, 0)], constant_values=-jnp.inf)
        return functools.reduce(jnp.maximum, (read(padded, tap, frame) for tap in frame.taps()))
    along = along_space(frame)
    found = lax.reduce_window(x, -jnp.inf, lax.max, *along)
    return jnp.where(lax.reduce_window(jnp.isnan(x), False, lax.bitwise_or, *along), jnp.nan, found)


_X = [[[3.0, 1.0], [2.0, 4.0]], [[3.0, 0.5], [-1.0, 4.0]], [[0.2, 5.0], [-2.0, 0.7]]]  # 3 × 2 places, 2 channels
_Y = [[[0.1, -1.0], [2.5, 0.3]], [[1.1, 2.0], [-0.4, 1.2]], [[0.6, 0.8], [1.7, -0.9]]]
CASES = (
    Case("ordinary", MaxPool(2), ((), [[[0.3, -1.0], [1.2, 2.0], [0.4, 0.9], [-0.6, 0.1], [7.0, 8.0]]])),
    Case("batch", MaxPool((2, 1)), ((), [_Y, [row[::-1] for row in _Y]])),
    Case("batch", MaxPool((2, 2), stride=(1, 2), padding=((1, 0), (0, 1))), ((), [_Y, _Y[::-1]])),
    Case("batch", MaxPool(3, stride=2, padding="same"), ((), [_Y, _Y[::-1]])),
    Case(
        "kink",
        MaxPool((3, 2)),
        ((), [_X]),
        [[[[3.0, 5.0]]]],
        ((), [[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]]),
        "the first of two threes takes all",
    ),
    Case(
        "known",
        MaxPool(3, stride=2, padding="same"),
        ((), [[[1.0], [5.0], [2.0]]]),
        [[[5.0], [5.0]]],
        ((), [[[0.0], [2.0], [0.0]]]),
        "both windows see the 5",
    ),
)
