r"""The three products of a convolution: with the kernel, back to the input, and with the input for the kernel.

Per axis, with tap t of window p at p s + t d of the padded input x⁺ (see `windows`):

    correlate   y[p]  = Σₜ x⁺[p s + t d] W[t]
    to_input    dx[q] = Σₜ dy[(q + lo − t d)/s] W[t]ᵀ   over the t for which that is a whole number within the range
    to_kernel   dW[t] = Σ over samples and p of x⁺[p s + t d]ᵀ dy[p]

All three are linear in both factors, and each of them is a convolution again:

    to_input    of dy, s − 1 zeros between its numbers, with the kernel turned round in each axis, in and out exchanged
                within each group, taps d apart; padding a = (k − 1) d − lo before and
                n + (k − 1) d − ((m − 1) s + 1) − a after. Either may be negative: then it crops. Numbers that no window
                reads get a gradient of 0
    to_kernel   of x with samples and channels exchanged, with dy as the kernel, s apart, at every d-th place; padding
                lo before and (k − 1) d + (m − 1) s + 1 − n − lo after

A group for each channel (depthwise) is a sum of shifted products, tap by tap: as a grouped convolution it takes a CPU
up to fifty times as long.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.layers.unfolding import at_a_time, padded, part_of, starts, to_kernel_unfolded
from funcnet.layers.windows import Windows, read
from funcnet.spreading import shared

MOST_TAPS = 64  # of a depthwise kernel that is written out tap by tap


def correlate(x: jax.Array, kernel: jax.Array, frame: Windows, groups: int) -> jax.Array:
    """Return y, of shape (samples, *places, features)."""
    if _depthwise(kernel.shape, frame, groups):
        return _in_parts(lambda x, kernel: _shifted(padded(x, frame), kernel, frame), x, kernel, frame)
    convolve = functools.partial(
        lax.conv_general_dilated,
        window_strides=frame.stride,
        padding=frame.pads,
        rhs_dilation=frame.dilation,
        dimension_numbers=_numbers(len(frame.space)),
        feature_group_count=groups,
    )
    return _sample_by_sample(convolve, x, kernel, groups)


def to_input(dy: jax.Array, kernel: jax.Array, frame: Windows, groups: int) -> jax.Array:
    """Return dx, of shape (samples, *space, channels)."""
    rank = len(frame.space)
    if _depthwise(kernel.shape, frame, groups):
        inward = frame._replace(stride=(1,) * rank, places=frame.space)
        return _in_parts(lambda dy, kernel: _shifted(spread(dy, frame), kernel, inward), dy, _reversed(kernel), frame)
    # In a loop, a CPU convolves by hand, at a tenth of the speed, if a kernel's axes are exchanged in name alone.
    flipped = turned(kernel)
    if groups > 1:
        *window, channels, features = kernel.shape
        split = _reversed(kernel).reshape(*window, channels, groups, features // groups)
        flipped = jnp.swapaxes(split, -1, -3).reshape(*window, features // groups, groups * channels)
    convolve = functools.partial(
        lax.conv_general_dilated,
        window_strides=(1,) * rank,
        padding=_inward_pads(frame),
        lhs_dilation=frame.stride,
        rhs_dilation=frame.dilation,
        dimension_numbers=_numbers(rank),
        feature_group_count=groups,
    )
    return _sample_by_sample(convolve, dy, flipped, groups)


def _sample_by_sample(convolve: Callable[..., jax.Array], x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """Return convolve(x, kernel), of a batch that may be spread over devices: with groups, each would gather it all."""
    if groups == 1:
        return convolve(x, kernel)
    y: jax.Array = shared(lambda samples, kernel: (convolve(*samples, kernel), ()), (x,), kernel)[0]
    return y


def spread(dy: jax.Array, frame: Windows) -> jax.Array:
    """Return dy with s − 1 zeros between its numbers, padded so that a turned kernel, step 1, gives dx."""
    between = [(before, after, s - 1) for (before, after), s in zip(_inward_pads(frame), frame.stride, strict=True)]
    return lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *between, (0, 0, 0)])


def turned(kernel: jax.Array) -> jax.Array:
    """Return the kernel turned round in each axis, in and out exchanged."""
    return jnp.swapaxes(_reversed(kernel), -1, -2)


def to_kernel(x: jax.Array, dy: jax.Array, frame: Windows, groups: int) -> jax.Array:
    """Return dW, of shape (*window, channels of a group, features); 16-bit numbers are summed in 32."""
    shape = (*frame.window, x.shape[-1] // groups, dy.shape[-1])
    if not x.shape[0]:
        return jnp.zeros(shape, x.dtype)

    def summed(pair: tuple[jax.Array, jax.Array], _: Any) -> tuple[Any, jax.Array]:
        x, dy = pair
        if _depthwise(shape, frame, groups):
            return (), _tap_by_tap(x, dy, frame)
        if groups > 1:
            return (), _to_kernel(x, dy, frame, groups)
        # A CPU has no fast convolution with windows as large as the image.
        plain = functools.partial(_to_kernel, frame=frame, groups=1)
        unfolded = functools.partial(to_kernel_unfolded, frame=frame)
        return (), lax.platform_dependent(x, dy, cpu=unfolded, default=plain)

    return shared(summed, (x, dy))[1].reshape(shape).astype(x.dtype)


def _to_kernel(x: jax.Array, dy: jax.Array, frame: Windows, groups: int) -> jax.Array:
    """Return dW as a convolution, of shape (taps · channels of a group, features), in at least 32 bits."""
    rank, pads = len(frame.space), []
    for k, s, d, (lo, _), n, m in zip(*frame, strict=True):
        pads.append((lo, (k - 1) * d + (m - 1) * s + 1 - n - lo))
    space = tuple(range(1, rank + 1))
    exchanged = lax.ConvDimensionNumbers((rank + 1, 0, *space), (rank + 1, 0, *space), (rank, rank + 1, *range(rank)))
    found = lax.conv_general_dilated(
        x,
        dy,
        frame.dilation,
        pads,
        rhs_dilation=frame.stride,
        dimension_numbers=exchanged,
        batch_group_count=groups,
        preferred_element_type=jnp.float32 if x.dtype.itemsize < 4 else x.dtype,
    )
    return found.reshape(-1, dy.shape[-1])


def _reversed(kernel: jax.Array) -> jax.Array:
    return lax.rev(kernel, tuple(range(kernel.ndim - 2)))


def _inward_pads(frame: Windows) -> list[tuple[int, int]]:
    pads = []
    for k, s, d, (lo, _), n, m in zip(*frame, strict=True):
        before = (k - 1) * d - lo
        pads.append((before, n + (k - 1) * d - ((m - 1) * s + 1) - before))
    return pads


def _depthwise(shape: tuple[int, ...], frame: Windows, groups: int) -> bool:
    return shape[-2:] == (1, groups) and math.prod(frame.window) <= MOST_TAPS


def _shifted(padded: jax.Array, kernel: jax.Array, frame: Windows) -> jax.Array:
    """Return Σₜ x⁺[p s + t d] W[t], channel by channel."""
    terms = []
    for weight, tap in zip(kernel.reshape(-1, kernel.shape[-1]), frame.taps(), strict=True):
        seen = read(padded, tap, frame)
        terms.append(seen * jnp.broadcast_to(weight, seen.shape))
    return sum(terms[1:], terms[0])


def _in_parts(work: Callable[..., jax.Array], batch: jax.Array, kernel: jax.Array, frame: Windows) -> jax.Array:
    """Return work(batch, kernel), some samples at a time: of a whole batch the compiler would hold a padded copy."""

    def own(samples: tuple[jax.Array], kernel: jax.Array) -> tuple[jax.Array, Any]:
        (batch,) = samples
        half = math.prod(frame.space) * batch.shape[-1] * batch.dtype.itemsize // 2  # longer parts share cores
        some = at_a_time(batch, half)
        if some == len(batch):
            return work(batch, kernel), ()
        found = lax.map(lambda start: work(part_of(batch, start, some), kernel), starts(batch, some))
        return found.reshape(len(batch), *found.shape[2:]), ()

    y: jax.Array = shared(own, (batch,), kernel)[0]
    return y


def _tap_by_tap(x: jax.Array, dy: jax.Array, frame: Windows) -> jax.Array:
    """Return Σ x⁺[p s + t d] dy[p] for every tap: sample by sample, as one of them and its products fit the cache."""
    wide = jnp.float32 if dy.dtype.itemsize < 4 else dy.dtype
    space = tuple(range(1, dy.ndim - 1))

    def add(total: jax.Array, sample: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        seen, sent = (one[None] for one in sample)
        wide_seen = padded(seen, frame)
        products = [jnp.sum(read(wide_seen, tap, frame) * sent, axis=(0, *space), dtype=wide) for tap in frame.taps()]
        return total + jnp.stack(products), None

    return lax.scan(add, jnp.zeros((math.prod(frame.window), dy.shape[-1]), wide), (x, dy))[0]


def _numbers(rank: int) -> lax.ConvDimensionNumbers:
    """Return what axes mean: (samples, *space, channels), (*window, in, out)."""
    images = (0, rank + 1, *range(1, rank + 1))
    return lax.ConvDimensionNumbers(images, (rank + 1, rank, *range(rank)), images)


class Products(NamedTuple):
    """The three products, each of two arrays, the windows and the number of groups."""

    correlate: Callable[..., jax.Array]
    to_input: Callable[..., jax.Array]
    to_kernel: Callable[..., jax.Array]


PLAIN = Products(correlate, to_input, to_kernel)
