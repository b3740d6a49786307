r"""Positions as sines and cosines of many wavelengths, added; nothing to learn.

Forward    yₜ = xₜ + Pₜ;   P_{t, 2i} = sin(t B^(−2i/d)),   P_{t, 2i+1} = cos(t B^(−2i/d)),   B = 10000
Backward   dx = dy

Derivation. P is a constant of the shape: it moves y, and no derivative.

P is computed in float64 on the host and rounded once: angles in float32 are wrong by 2e-4 at step 10⁴.

Shapes     x, y: (…, time, d), or the pair (x, lengths), which gives the pair (y, lengths) with 0 behind each length. Of
           an odd d the last sine has no cosine beside it.
Source     Vaswani et al. 2017, section 3.5.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.layers.base import Layer, one_array_of_floats, shapes_of
from funcnet.layers.sequences import (
    apart,
    check_steps,
    masked,
    masked_backward,
    paired,
    paired_gradient,
    parted,
    sample_apart,
    sequence,
    shape_apart,
)
from funcnet.records import record

_BASE = 10000.0


@record
class Sinusoids(Layer):
    r"""Add sines and cosines of its place to each step.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> y = fn.Sinusoids().apply((), jnp.zeros((1, 2, 4)))
    >>> print(y[0, 0], round(float(y[0, 1, 0]), 4))
    [0. 1. 0. 1.] 0.8415

    """

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input."""
        check_steps(shape_apart(in_shape, "Sinusoids")[0], "Sinusoids")
        return in_shape

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array (time, width) of floats, alone or beside its length."""
        one_array_of_floats(sample_apart(samples, "Sinusoids"), "Sinusoids")
        self.out_shape(shapes_of(samples))

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return x + P, and the lengths."""
        x, lengths = parted(x, "Sinusoids")
        x = sequence(x, "Sinusoids")
        y = x + jnp.broadcast_to(jnp.asarray(sinusoids(*x.shape[-2:]), x.dtype), x.shape)
        return paired(masked(y, lengths), lengths), lengths

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[tuple[()], Any]:
        """Return no parameter gradient, and dx = dy."""
        lengths = saved
        return (), paired_gradient(masked_backward(apart(dy), lengths), lengths)


def sinusoids(steps: int, width: int, first: int = 0) -> np.ndarray:
    """Return P (steps, width) in float64, for steps from `first` on.

    >>> print(sinusoids(2, 3).round(3))
    [[0.    1.    0.   ]
     [0.841 0.54  0.002]]
    """
    pairs = np.arange(-(-width // 2))
    angles = np.arange(first, first + steps)[:, None] * np.exp(-2 * pairs / width * math.log(_BASE))
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(steps, -1)[:, :width]


_X = [[[0.3, -1.2, 2.0], [0.7, -0.4, 1.1]], [[-0.2, 0.5, -1.4], [1.9, 0.1, 0.6]], [[0.4, 0.8, -0.9], [-1.1, 0.2, 1.5]]]
CASES = (
    Case("ordinary", Sinusoids(), ((), _X[0])),
    Case("batch", Sinusoids(), ((), _X)),
    Case("batch", Sinusoids(), ((), [_X, _X[::-1]])),
    Case(
        "known",
        Sinusoids(),
        ((), [[[1.0, 2.0], [0.5, 0.25]]]),
        [[[1.0, 3.0], [0.5 + math.sin(1), 0.25 + math.cos(1)]]],
        ((), [[[1.0, 1.0], [1.0, 1.0]]]),
        "sin 0, cos 0, sin 1, cos 1",
    ),
)
