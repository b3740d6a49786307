r"""Mean absolute error.

Forward    e = |p − t|;   l = (1/k) Σⱼ eⱼ
Backward   dp = sign(p − t) dl / k

Derivation. |r| is r for r > 0 and −r for r < 0.

Shapes     p, t: (…, k), equal; a rank-1 p is n samples of one output.
Kink       At p = t the subdifferential is [−1, 1]; the stated subgradient is 0.
Source     Boscovich 1757; the limit of Huber's loss over δ as δ → 0.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.records import record


@record
class MeanAbsoluteError(OutputLoss):
    r"""(1/nk) Σ |p − t|, with slope 0 where p = t.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.MeanAbsoluteError()(jnp.asarray([1.0, 2.0]), jnp.asarray([0.0, 4.0])))
    1.5
    """

    FORMULA: ClassVar[str] = "Piecewise((p - t, p > t), (t - p, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((1, p > t), (-1, p < t), (0, True))"

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return |r| and the residual r."""
        residual = prediction - target
        return jnp.abs(residual), residual

    def element_backward(self, saved: jax.Array) -> jax.Array:
        """Return sign(r), which is 0 at 0."""
        residual = saved
        return jnp.sign(residual)

    def kinks(self) -> tuple[tuple[float, float], ...]:
        """State slope 0 at a residual of 0."""
        return ((0.0, 0.0),)


CASES = (
    Case("ordinary", MeanAbsoluteError(), ([[0.3, -1.2]], [[0.5, 0.1]])),
    Case("batch", MeanAbsoluteError(), ([[0.3, -1.2], [2.0, 0.7], [-0.4, 1.1]], [[0.5, 0.1], [1.0, 1.0], [0.0, -2.0]])),
    Case("kink", MeanAbsoluteError(), ([0.5, 1.0], [0.5, 3.0]), 1.0, [0.0, -0.5], "stated: 0 at p = t"),
    Case("extreme", MeanAbsoluteError(), ([1e30, -1e4], [0.0, 0.0]), 5e29, [0.5, -0.5], "definition"),
    Case("known", MeanAbsoluteError(), ([1.0, 2.0], [0.0, 4.0]), 1.5, [0.5, -0.5], "(1 + 2)/2"),
)
