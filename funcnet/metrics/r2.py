r"""The coefficient of determination: the share of the targets' variance that the predictions account for.

Value      R² = 1 − Σᵢ wᵢ (pᵢ − tᵢ)² / Σᵢ wᵢ (tᵢ − m)²,   m = Σᵢ wᵢ tᵢ / Σᵢ wᵢ,   averaged over the outputs

Sums that add up over batches need Σ w u² − (Σ w u)²/Σ w for the variance, with u = t − c, and c is the same for all
batches: 0 unless `center` says otherwise. Where targets are far from 0 by their deviation, say years around 2000, that
loses digits in float32; a center near their mean gives them back and changes nothing else.

Shapes     p, t: (…, k), equal; a rank-1 p is n samples of one output.
Extremes   Targets that are all equal (their variance within rounding of 0): 1 if the predictions are right, else 0, as
           in scikit-learn.
Source     Wright 1921.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.metrics.base import Metric, add_up, arrays
from funcnet.records import Number, cast, number, record
from funcnet.targets import check_outputs


@record
class R2(Metric):
    r"""1 − Σ (p − t)² / Σ (t − mean t)².

    Args:
        center: a number near the mean of the targets, in their units, that keeps digits in float32; it changes
            nothing else.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.R2()(jnp.asarray([1.0, 2.0, 4.0]), jnp.asarray([1.0, 2.0, 3.0])))
    0.5

    """

    center: Number = number(default=0.0)

    def check(self, prediction: Any, target: Any) -> None:
        """Require one target for each output."""
        check_outputs(prediction, target)

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> tuple[jax.Array, ...]:
        """Return Σ w, Σ w (p − t)², Σ w u and Σ w u² of each output."""
        prediction, target = arrays(prediction, target, weight)
        target = target.astype(prediction.dtype)
        u, error = target - cast(self.center, target), prediction - target
        samples = u.shape[: max(u.ndim - 1, 1)]
        return tuple(add_up(values, weight, samples) for values in (jnp.ones_like(u), error * error, u, u * u))

    def value(self, sums: tuple[jax.Array, ...]) -> jax.Array:
        """Return 1 − Σ w (p − t)² / Σ w (t − m)², averaged over the outputs."""
        total, error, first, second = sums
        spread = second - first * (first / total)
        equal = spread <= 8 * jnp.finfo(second.dtype).eps * second
        share = 1 - error / jnp.where(equal, 1, spread)
        return jnp.mean(jnp.where(equal, (error == 0).astype(share.dtype), share))


CASES = (
    Case("known", R2(), ([1.0, 2.0, 4.0], [1.0, 2.0, 3.0]), 0.5, None, "1 − 1/2"),
    Case("known", R2(), ([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], [1.0, 0.0, 1.0]), 0.5, None, "1 − 1/2 without the middle"),
    Case("known", R2(), ([[1.0, 3.0], [3.0, 3.0]], [[1.0, 2.0], [3.0, 4.0]]), 0.5, None, "1 and 0: the mean's"),
    Case("extreme", R2(), ([1.0, 2.0], [2.0, 2.0]), 0.0, None, "equal targets"),
)
