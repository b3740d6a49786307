r"""Huber's loss: quadratic near, linear far, so that an outlier pulls with a bounded force.

Forward    e = ½ r²            for |r| ≤ δ,   with r = p − t
           e = δ (|r| − ½ δ)   beyond;        l = (1/k) Σⱼ eⱼ
Backward   dp = clip(r, −δ, δ) dl / k

Derivation. Inside, de/dr = r. Outside, de/dr = δ sign(r). Both are r clipped to [−δ, δ], and at |r| = δ value and
slope of the two pieces agree (½δ² and ±δ), so e is once differentiable there; its second derivative jumps from 1 to 0.

Shapes     p, t: (…, k), equal; a rank-1 p is n samples of one output.
Extremes   Grows linearly: no overflow where δ |r| does not.
Source     Article B3.4; Huber 1964. (PyTorch's SmoothL1Loss is this divided by δ.)
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.records import Number, cast, number, record


@record
class Huber(OutputLoss):
    r"""½ r² inside δ, δ (|r| − ½ δ) outside.

    Args:
        delta: the residual at which the loss turns from quadratic to linear, in the units of the target; 1 for
            targets of variance 1.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Huber(delta=1.0)(jnp.asarray([0.5, 3.0]), jnp.asarray([0.0, 0.0])))
    1.3125

    """

    delta: Number = number(default=1.0, above=0)

    FORMULA: ClassVar[str] = (
        "Piecewise(((p - t)**2 / 2, Abs(p - t) <= delta), (delta * (Abs(p - t) - delta / 2), True))"
    )
    DERIVATIVE: ClassVar[str] = "Piecewise((p - t, Abs(p - t) <= delta), (delta, p > t), (-delta, True))"

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the loss of each output as c (|r| − ½ c) with c = min(|r|, δ), and the clipped residual."""
        residual = prediction - target
        delta = cast(self.delta, residual)
        near = jnp.minimum(jnp.abs(residual), delta)
        return near * (jnp.abs(residual) - near / 2), jnp.clip(residual, -delta, delta)

    def element_backward(self, saved: jax.Array) -> jax.Array:
        """Return clip(r, −δ, δ)."""
        return saved


CASES = (
    Case("ordinary", Huber(0.8), ([[0.3, -1.2]], [[0.5, 0.1]])),
    Case("batch", Huber(1.0), ([[0.3, -1.2], [2.5, 0.7], [-0.4, 1.1]], [[0.5, 0.1], [1.0, 1.0], [0.0, -2.0]])),
    Case("kink", Huber(2.0), ([2.0, -2.0], [0.0, 0.0]), 2.0, [1.0, -1.0], "|r| = δ: ½δ² = 2 from both sides, slope ±δ"),
    Case("extreme", Huber(1.0), ([1e30, -1e30], [0.0, 0.0]), 1e30, [0.5, -0.5], "δ|r|"),
    Case("known", Huber(1.0), ([0.5, 3.0], [0.0, 0.0]), 1.3125, [0.25, 0.5], "(0.125 + 2.5)/2; 0.5/2, 1/2"),
)
