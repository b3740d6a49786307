r"""Mean squared error.

Forward    e = (p − t)²                 (`half=True`: e = ½ (p − t)²)
           l = (1/k) Σⱼ eⱼ over the k outputs of a sample; the value is the mean of l over samples
Backward   dp = 2 (p − t) dl / k        (`half=True`: (p − t) dl / k)

Derivation. With r = p − t, de/dr = 2r and dr/dp = 1. Over n samples and k outputs the mean has the factor 1/(nk),
so `half=False` is the 1/n convention and `half=True` the 1/(2n) convention of textbooks that want no factor 2.

Shapes     p, t: (…, k), equal; a rank-1 p is n samples of one output.
Extremes   Overflows where (p − t)² does.
Source     Article B3.4; Legendre 1805.
"""

from typing import ClassVar

import jax

from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.records import choice, record


@record
class MeanSquaredError(OutputLoss):
    r"""(1/nk) Σ (p − t)², or half of it with `half=True`.

    Args:
        half: whether each square is halved, so that the gradient has no factor 2.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.MeanSquaredError()(jnp.asarray([1.0, 2.0]), jnp.asarray([0.0, 4.0])))
    2.5

    """

    half: bool = choice(default=False, options=(False, True))

    FORMULA: ClassVar[str] = "Piecewise(((p - t)**2 / 2, half), ((p - t)**2, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((p - t, half), (2 * (p - t), True))"

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return r² (or ½ r²) and the residual r."""
        residual = prediction - target
        square = residual * residual
        return (square / 2 if self.half else square), residual

    def element_backward(self, saved: jax.Array) -> jax.Array:
        """Return 2r (or r)."""
        residual = saved
        return residual if self.half else 2 * residual


CASES = (
    Case("ordinary", MeanSquaredError(), ([[0.3, -1.2]], [[0.5, 0.1]])),
    Case("batch", MeanSquaredError(), ([[0.3, -1.2], [2.0, 0.7], [-0.4, 1.1]], [[0.5, 0.1], [1.0, 1.0], [0.0, -2.0]])),
    Case("batch", MeanSquaredError(half=True), ([0.3, -1.2, 2.0], [0.5, 0.1, 1.0], [1.0, 0.0, 3.0])),
    Case("extreme", MeanSquaredError(), ([1e4, -1e4], [-1e4, 1e4]), 4e8, [2e4, -2e4], "(2·10⁴)²; 2 · 2·10⁴ / 2"),
    Case("extreme", MeanSquaredError(), ([1.0, 2.0], [0.0, 0.0], [0.0, 0.0]), 0.0, [0.0, 0.0], "all weights 0"),
    Case("known", MeanSquaredError(), ([1.0, 2.0], [0.0, 4.0]), 2.5, [1.0, -2.0], "(1 + 4)/2; 2·1/2, 2·(−2)/2"),
    Case(
        "known",
        MeanSquaredError(half=True),
        ([[1.0, 2.0]], [[0.0, 4.0]]),
        1.25,
        [[0.5, -1.0]],
        "half of the case above",
    ),
    Case(
        "known",
        MeanSquaredError(),
        ([1.0, 2.0], [0.0, 4.0], [3.0, 1.0]),
        1.75,
        [1.5, -1.0],
        "(3·1 + 1·4)/4; 2·3/4, −4/4",
    ),
)
