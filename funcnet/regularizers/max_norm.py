r"""The max-norm constraint: no unit's incoming weight vector is longer than a radius.

Forward    r = 0 (a constraint, not a cost)
Backward   dw = 0
Proximal   each unit's column w of a kernel (in × out) becomes w min(1, c/‖w‖₂)

Derivation. The constraint is the indicator of the set {‖w‖ ≤ c}, whose proximal point for every step size is the
projection: the nearest point of the ball lies on the ray of w, at distance c when w is outside.

Shapes     a kernel (…, in, out) is projected column by column over `in`; a leaf of rank 1 is one vector, of rank 0
           one number.
Extremes   A zero column stays zero; the norm is taken of w/max|w|, so that it neither overflows nor underflows.
Source     Srivastava et al. 2014, section 5.1 (with dropout); Srebro & Shraibman 2005.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, cast, choice, number, record
from funcnet.regularizers.base import Regularizer


@record
class MaxNorm(Regularizer):
    r"""Project each unit's incoming weights onto the ball of a radius, after every update.

    >>> import jax.numpy as jnp
    >>> print(MaxNorm(1.0).prox(jnp.asarray([[3.0, 0.1], [4.0, 0.2]]), 1.0))
    [[0.6 0.1]
     [0.8 0.2]]
    """

    radius: Number = number(above=0)
    proximal: bool = choice(default=True, options=(True,), kw_only=True)

    FORMULA: ClassVar[str] = "0 * radius"

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return 0: what the constraint allows costs nothing."""
        return jnp.zeros((), w.dtype)

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return 0."""
        return jnp.zeros_like(w)

    def leaf_prox(self, w: jax.Array, step: jax.Array) -> jax.Array:
        """Return w min(1, c/‖w‖) for each unit."""
        axis = -2 if w.ndim >= 2 else (-1 if w.ndim else None)
        largest = jnp.max(jnp.abs(w), axis=axis, keepdims=True)
        unit = w / jnp.where(largest > 0, largest, 1)
        length = jnp.sqrt(jnp.sum(unit * unit, axis=axis, keepdims=True))
        radius = cast(self.radius, w)
        return jnp.where(largest * length > radius, unit * (radius / jnp.where(length > 0, length, 1)), w)


CASES = (
    Case(
        "ordinary",
        MaxNorm(1.0),
        ({"kernel": [[0.7, -0.2]], "bias": [1.0]},),
        0.0,
        {"kernel": [[0.0, 0.0]], "bias": [0.0]},
        "no cost",
    ),
    Case("extreme", MaxNorm(1.0), ([1e30, -1e30],), 0.0, [0.0, 0.0], "no cost"),
)
