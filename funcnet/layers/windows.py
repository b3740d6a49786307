r"""Windows that slide over the space of a sample: what convolutions and pools have in common.

Along an axis of n numbers a window of k taps, d apart, is put at every s-th place of the axis with `lo` numbers added
before and `hi` after it. There are

    m = ⌊(n + lo + hi − (k − 1) d − 1) / s⌋ + 1

such places, and tap t of window p reads the padded axis at p s + t d. Up to s − 1 numbers at the end are never read.

    "valid"   lo = hi = 0
    "same"    m = ⌈n/s⌉: lo + hi = max((m − 1) s + (k − 1) d + 1 − n, 0), lo the half of it, rounded down. An even
              window reaches one further to the end, as in TensorFlow, Keras and JAX
    "causal"  lo = (k − 1) d, hi = 0, on one axis: no output sees what comes after it
    pairs     ((lo, hi), …), one for each axis

Source     Dumoulin & Visin 2016, for the arithmetic.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from funcnet.errors import describe, raise_error, whole_number
from funcnet.layers.base import Shape


class Windows(NamedTuple):
    """Windows over the axes of a space, each entry one number (or pair) an axis."""

    window: Shape
    stride: Shape
    dilation: Shape
    pads: tuple[tuple[int, int], ...]
    space: Shape  # n
    places: Shape  # m

    @property
    def padded(self) -> Shape:
        """Return the sizes of the space with its padding."""
        return tuple(n + lo + hi for n, (lo, hi) in zip(self.space, self.pads, strict=True))

    @property
    def tiles(self) -> bool:
        """Tell whether the windows lie side by side, so that no number is in two of them."""
        return self.stride == self.window and set(self.dilation) == {1}

    def taps(self) -> Iterator[Shape]:
        """Yield the taps of a window in row order."""
        return itertools.product(*map(range, self.window))

    def inside(self) -> np.ndarray:
        """Tell which numbers are inside the space and no padding: an array (*window, *places)."""
        rank, found = len(self.space), np.ones(self.window + self.places, bool)
        for axis, (k, s, d, n, m) in enumerate(
            zip(self.window, self.stride, self.dilation, self.space, self.places, strict=True)
        ):
            at = np.arange(k)[:, None] * d + np.arange(m) * s - self.pads[axis][0]
            shape = [1] * (2 * rank)
            shape[axis], shape[rank + axis] = k, m
            found &= ((at >= 0) & (at < n)).reshape(shape)
        return found


def windows(window: Any, stride: Any, padding: Any, dilation: Any, space: Shape, label: str) -> Windows:
    """Lay windows over a space.

    Args:
        window: taps of each axis, or one number for all of them; stride and dilation likewise, None being the window.
        stride: how far one window lies from the next.
        padding: "same", "valid", "causal", or a pair for each axis.
        dilation: how far one tap lies from the next.
        space: the sizes of the axes.
        label: what an error calls the layer.

    Raises:
        ValueError: for numbers that do not fit the axes, and windows larger than the padded space.

    >>> windows(3, 2, "same", 1, (5, 6), "Conv")[3:]
    (((1, 1), (0, 1)), (5, 6), (3, 3))

    """
    rank = len(space)
    wide, apart = each_axis(window, rank, f"{label}.window"), each_axis(dilation, rank, f"{label}.dilation")
    steps = wide if stride is None else each_axis(stride, rank, f"{label}.stride")
    reach = tuple((k - 1) * d + 1 for k, d in zip(wide, apart, strict=True))
    if padding == "causal" and rank != 1:
        raise_error(f'{label}.padding "causal" is for one axis', f"the input has {rank}", '"same", or pairs')
    if not isinstance(padding, str) and len(padding) != rank:
        must = f"{label}.padding must be a pair for each of the {rank} axes"
        raise_error(must, f"got {len(padding)}", f"padding={((1, 1),) * rank}")
    pads = [_pads(padding, axis, n, r, s) for axis, (n, r, s) in enumerate(zip(space, reach, steps, strict=True))]
    places = [(n + sum(p) - r) // s + 1 for n, p, r, s in zip(space, pads, reach, steps, strict=True)]
    if any(m < 1 for m in places):
        must = f"the window of {label} must fit into the padded input"
        arrived = f"it covers {reach} of {tuple(n + sum(p) for n, p in zip(space, pads, strict=True))}"
        raise_error(must, arrived, 'a smaller window, padding="same", or channels in the last axis')
    return Windows(wide, steps, apart, tuple(pads), tuple(space), tuple(places))


def _pads(padding: Any, axis: int, size: int, reach: int, stride: int) -> tuple[int, int]:
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        return total // 2, total - total // 2
    if isinstance(padding, str):
        return (reach - 1, 0) if padding == "causal" else (0, 0)
    lo, hi = padding[axis]
    return lo, hi


def each_axis(value: Any, rank: int, name: str) -> Shape:
    """Return one number for each axis."""
    if not isinstance(value, tuple):
        return (value,) * rank
    if len(value) != rank:
        must = f"{name} must have a number for each axis that it slides along"
        arrived = f"got {len(value)} numbers for an input with {rank} such axes"
        raise_error(must, arrived, "one number for all of them, and channels in the last axis")
    return value


def read(padded: jax.Array, tap: Shape, frame: Windows) -> jax.Array:
    """Return what one tap reads at each place of a padded batch (samples, *space, channels)."""
    starts = [t * d for t, d in zip(tap, frame.dilation, strict=True)]
    ends = [start + (m - 1) * s + 1 for start, m, s in zip(starts, frame.places, frame.stride, strict=True)]
    return lax.slice(padded, (0, *starts, 0), (len(padded), *ends, padded.shape[-1]), (1, *frame.stride, 1))


def check_numbers(value: Any, name: str, optional: bool = False) -> None:
    """Require a whole number of at least 1, or a tuple of one to three of them."""
    if optional and value is None:
        return
    if isinstance(value, tuple) and not 1 <= len(value) <= 3:
        raise_error(f"{name} must have one to three numbers", f"got {len(value)}", f"{name.rpartition('.')[2]}=3")
    for one in value if isinstance(value, tuple) else (value,):
        whole_number(one, name, 1)


def check_padding(padding: Any, name: str, *words: str) -> None:
    """Require one of some words, or pairs of whole numbers of at least 0."""
    if isinstance(padding, str) and padding in words:
        return
    pairs = isinstance(padding, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in padding)
    if not pairs or not padding:
        must = f"{name} must be {', '.join(map(repr, words))}, or a pair for each axis"
        raise_error(must, f"got {describe(padding)}", '"same", or ((1, 1), (1, 1))')
    for pair in padding:
        for one in pair:
            whole_number(one, name, 0)


def check_channels_last(in_shape: Shape, window: Any, label: str) -> None:
    """Refuse samples that look like images with their channels first; a window with a number an axis means them so."""
    if len(in_shape) < 3 or isinstance(window, tuple):
        return
    first, others = in_shape[0], in_shape[1:]
    if first in (1, 3) and len(set(others)) == 1 and others[0] > 4:
        must = f"channels come last for {label}"
        arrived = f"the last axis has {others[-1]} and the first {first}, which looks like channels first"
        attempt = f"np.moveaxis(x, 1, -1), or window={(window,) * len(others)} if it is meant so"
        raise_error(must, arrived, attempt)


def check_space(in_shape: Any, label: str, most: int = 3) -> None:
    """Require one to so many axes of space, and the channels behind them."""
    if not 2 <= len(in_shape) <= most + 1:
        must = f"{label} takes samples of 1 to {most} axes and channels in the last"
        raise_error(must, f"got samples of shape {tuple(in_shape)}", "x[..., None] for one channel")
