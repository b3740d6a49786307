r"""What pools share: their fields' checks, what a tap reads of each window, and the way back.

On the way back number q of x⁺ gets what is sent by each tap t and place p with q = p s + t. For q = j s + r these are
the taps t = r + i s at the places p = j − i: for each remainder r a sum of shifted arrays, without gaps. The remainders
are then interleaved. XLA's own rule for largest numbers (select-and-scatter) takes a CPU up to thirty times as long.
Where windows lie side by side, each number of x⁺ has one tap and one place: both are axes of an array, side by side.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnet.errors import check_floating
from funcnet.layers.base import Layer, Shape
from funcnet.layers.windows import Windows, check_numbers, check_padding, check_space, windows


class Pool(Layer):
    """Base of the layers that make one number of each window, channel by channel."""

    window: Any
    stride: Any
    padding: Any

    def __post_init__(self) -> None:
        check_numbers(self.window, f"{self.label}.window")
        check_numbers(self.stride, f"{self.label}.stride", optional=True)
        check_padding(self.padding, f"{self.label}.padding", "valid", "same")

    @property
    def passes_on(self) -> bool:
        """Tell that numbers go on as they are, or their means."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the places of the window in each axis, and the channels."""
        check_space(in_shape, self.label)
        return (*self.frame(in_shape[:-1]).places, in_shape[-1])

    def frame(self, space: Shape) -> Windows:
        """Lay the windows over a space."""
        return windows(self.window, self.stride, self.padding, 1, space, self.label)


def batch_of_samples(x: Any, label: str) -> jax.Array:
    """Return x as an array of floats with samples, one to three axes of space, and channels."""
    check_floating(x, f"the input of {label}")
    x = jnp.asarray(x)
    check_space(x.shape[1:], label)
    return x


def along_space(frame: Windows) -> tuple[Any, Any, Any]:
    """Return window, stride and padding with the axes of samples and channels, as `lax.reduce_window` takes them."""
    return (1, *frame.window, 1), (1, *frame.stride, 1), ((0, 0), *frame.pads, (0, 0))


def back(values: Sequence[jax.Array], part: Callable[..., jax.Array], frame: Windows) -> jax.Array:
    """Return the sum over taps of what each of them sends back, put where it read.

    Args:
        values: arrays (samples, *places, channels); around the places they count as 0.
        part: (number of a tap in row order, values at some places) -> what that tap sends back from there.
        frame: the windows.

    """
    rows = [-(-size // s) for size, s in zip(frame.padded, frame.stride, strict=True)]
    ahead = [(k - 1) // s for k, s in zip(frame.window, frame.stride, strict=True)]
    edges = [(a, r - m) for a, r, m in zip(ahead, rows, frame.places, strict=True)]
    wide = tuple(jnp.pad(value, [(0, 0), *edges, (0, 0)]) for value in values)
    wide = lax.optimization_barrier(wide) if np.any(edges) else wide
    phases = {phase: jnp.zeros((), values[-1].dtype) for phase in itertools.product(*map(range, frame.stride))}
    for number, tap in enumerate(frame.taps()):
        # Place j of a phase is number j s + phase of x⁺: tap = phase + i s of window j − i reads it.
        starts = [a - t // s for a, t, s in zip(ahead, tap, frame.stride, strict=True)]
        at = (slice(None), *(slice(start, start + r) for start, r in zip(starts, rows, strict=True)))
        phase = tuple(t % s for t, s in zip(tap, frame.stride, strict=True))
        phases[phase] = phases[phase] + part(number, *(value[at] for value in wide))
    shape = (len(wide[0]), *rows, wide[0].shape[-1])
    return _cut(_interleaved([jnp.broadcast_to(phase, shape) for phase in phases.values()], frame), frame)


def over_taps(a: jax.Array, frame: Windows) -> jax.Array:
    """Return an array (samples, *places, channels) with an axis behind each place for the taps of a window."""
    shape: tuple[int, ...] = (len(a),)
    for m, k in zip(frame.places, frame.window, strict=True):
        shape += (m, k)
    apart = jnp.expand_dims(a, tuple(range(2, 2 * len(frame.window) + 1, 2)))
    return jnp.broadcast_to(apart, (*shape, a.shape[-1]))


def side_by_side(x: jax.Array, frame: Windows) -> jax.Array:
    """Return what windows that lie side by side hold (see `over_taps`) where it stands in the space, 0 between."""
    sizes = [m * k for m, k in zip(frame.places, frame.window, strict=True)]
    wide = x.reshape(len(x), *sizes, x.shape[-1])
    rest = [(0, p - size, 0) for p, size in zip(frame.padded, sizes, strict=True)]
    wide = lax.pad(wide, jnp.zeros((), x.dtype), [(0, 0, 0), *rest, (0, 0, 0)])
    return _cut(wide, frame)


def _interleaved(parts: Sequence[jax.Array], frame: Windows) -> jax.Array:
    """Return the array of which each part, in row order, has every s-th number along each axis."""
    for axis in reversed(range(len(frame.stride))):
        size, each = frame.stride[axis], list(parts)
        parts = [jnp.stack(each[i : i + size], axis=axis + 2) for i in range(0, len(each), size)]
        shapes = ((*p.shape[: axis + 1], p.shape[axis + 1] * size, *p.shape[axis + 3 :]) for p in parts)
        parts = [p.reshape(shape) for p, shape in zip(parts, shapes, strict=True)]
    return parts[0]


def _cut(x: jax.Array, frame: Windows) -> jax.Array:
    """Return what lies inside the space."""
    starts = [lo for lo, _ in frame.pads]
    ends = [lo + n for lo, n in zip(starts, frame.space, strict=True)]
    return lax.slice(x, (0, *starts, 0), (len(x), *ends, x.shape[-1]))
