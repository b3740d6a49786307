r"""Signum: the sign of a running mean of gradients.

Recurrence    m ← β m + (1 − β) g,   u = −η sign(m)

Symbols       η learning_rate, β beta

State         step int32 (); first moment like the parameters
Source        Bernstein et al. 2018.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import Optimizer, averages, no_steps, rounded, zeros
from funcnet.records import Number, number, record
from funcnet.schedules.base import as_schedule


class SignumState(NamedTuple):
    """The number of updates made, and the mean."""

    step: jax.Array  # int32 ()
    first: Any  # like the parameters, at least float32


@record
class Signum(Optimizer):
    r"""−η sign(m).

    >>> import jax.numpy as jnp
    >>> optimizer = Signum(0.5)
    >>> print(optimizer.update(jnp.asarray([3.0, -1e-9]), optimizer.init(jnp.zeros(2)))[0])
    [-0.5  0.5]
    """

    SQUARES: ClassVar[bool] = False

    learning_rate: Any = number(default=1e-3, at_least=0, schedule=as_schedule)
    beta: Number = number(default=0.9, at_least=0, below=1)

    def init(self, params: Any) -> SignumState:
        """Return step 0 and a mean of zeros."""
        return SignumState(no_steps(), zeros(params))

    def direction(self, gradient: Any, rate: jax.Array, state: SignumState, params: Any) -> tuple[Any, SignumState]:
        """Return −η sign(m)."""
        first = averages(rounded(self.beta, gradient), state.first, gradient)
        # 0 m is NaN where m is not finite: a failure stays visible.
        updates = jax.tree.map(lambda m: -rate.astype(m.dtype) * (jnp.sign(m) + 0 * m), first)
        return updates, state._replace(first=first)


CASES = (
    Case("ordinary", Signum(0.1), ([1.0, 1.0, 1.0], ([5.0, -0.1, 0.0],)), [0.9, 1.1, 1.0], source="signs"),
    Case("known", Signum(0.1, 0.5), ([1.0], ([8.0], [-1.0], [-4.0])), [0.9], source="m = 4, 3/2, −5/4"),
)
