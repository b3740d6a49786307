r"""The max-norm constraint: no unit's incoming weight vector is longer than a radius.

Forward    r = 0 (a constraint, not a cost)
Backward   dw = 0
Proximal   each unit's incoming weights w become w min(1, c/‖w‖₂)

Derivation. The constraint is the indicator of the set {‖w‖ ≤ c}, whose proximal point for every step size is the
projection: the nearest point of the ball lies on the ray of w, at distance c when w is outside.

Shapes     a kernel (…, in, out) has one norm for each output, over all axes but the last: a convolution's unit is a
           window of all channels. A `table` has one for each row. A leaf of rank 1 is one vector, of rank 0
           one number. What is stacked (`Repeat`) is one kernel here.
Extremes   A zero column stays zero; the norm is taken of w/max|w|, so that it neither overflows nor underflows.
Source     Srivastava et al. 2014, section 5.1 (with dropout); Srebro & Shraibman 2005.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, cast, choice, number, record
from funcnet.regularizers.base import Leafwise
from funcnet.trees import leaf_name, widen


@record
class MaxNorm(Leafwise):
    r"""Project each unit's incoming weights onto the ball of a radius, after every update.

    Args:
        radius: the largest norm c of a unit's incoming weights; 3 and 4 are usual beside dropout.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.MaxNorm(1.0).prox(jnp.asarray([[3.0, 0.1], [4.0, 0.2]]), 1.0))
    [[0.6 0.1]
     [0.8 0.2]]

    """

    radius: Number = number(above=0)
    proximal: bool = choice(default=True, options=(True,), kw_only=True)

    FORMULA: ClassVar[str] = "0 * radius"

    @property
    def orientation_free(self) -> bool:
        """Return False: a kernel's last axis tells its units."""
        return False

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return 0: what the constraint allows costs nothing."""
        return jnp.zeros((), w.dtype)

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return 0."""
        return jnp.zeros_like(w)

    def prox(self, params: Any, step: Any) -> Any:
        """Return w min(1, c/‖w‖) for each unit, whatever the step."""
        return self._map(self._project, lambda w: w, params)

    def _project(self, path: Any, w: jax.Array) -> jax.Array:
        wide = widen(w)
        axes = tuple(range(wide.ndim))
        axes = axes[:-1] if wide.ndim > 1 and leaf_name(path) != "table" else axes[-1:]
        largest = jnp.max(jnp.abs(wide), axis=axes, keepdims=True)
        unit = wide / jnp.where(largest > 0, largest, 1)
        length = jnp.sqrt(jnp.sum(unit * unit, axis=axes, keepdims=True))
        radius = cast(self.radius, wide)
        shortened = unit * (radius / jnp.where(length > 0, length, 1))
        return jnp.where(largest * length > radius, shortened, wide).astype(jnp.asarray(w).dtype)


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
