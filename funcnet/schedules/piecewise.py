r"""Piecewise constant rates.

Formula    s(t) = ratesᵢ  for boundariesᵢ₋₁ ≤ t < boundariesᵢ, with boundaries₋₁ = 0 and the last rate for ever

Source     Article A3.4; customary.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import is_concrete
from funcnet.records import number, record
from funcnet.schedules.base import Schedule, check_boundaries, clock, real, whole


@record
class Piecewise(Schedule):
    r"""One rate up to each boundary, and one after the last.

    Args:
        rates: one rate for each stretch, one more than boundaries.
        boundaries: the updates at which the next rate begins, rising.

    >>> import funcnet as fn
    >>> schedule = fn.Piecewise((1.0, 0.5, 0.1), boundaries=(100, 200))
    >>> print(schedule(99), schedule(100), schedule(200))
    1.0 0.5 0.1

    """

    FORMULA: ClassVar[str] = "rates[sum(t >= b for b in boundaries)]"

    rates: Any = number(at_least=0, vector=True)
    boundaries: Any = number(above=0, vector=True)

    def __post_init__(self) -> None:
        check_boundaries("Piecewise.boundaries", self.boundaries, len(self.rates) if is_concrete(self.rates) else None)

    def __call__(self, step: Any) -> jax.Array:
        """Return the rate of the piece that holds t."""
        t = clock(step)
        rates = real(self.rates, t)
        piece = jnp.sum(t >= whole(self.boundaries, t), dtype=jnp.int32)
        return rates[jnp.minimum(piece, rates.shape[0] - 1)]


CASES = (
    Case("ordinary", Piecewise((1.0, 0.5, 0.25), (10, 20)), (15,), 0.5),
    Case("kink", Piecewise((1.0, 0.5, 0.25), (10, 20)), (9,), 1.0),
    Case("kink", Piecewise((1.0, 0.5, 0.25), (10, 20)), (10,), 0.5, source="a boundary belongs to the later piece"),
    Case("kink", Piecewise((1.0, 0.5, 0.25), (10, 20)), (20,), 0.25),
    Case("extreme", Piecewise((1.0, 0.5), (10,)), (2**31 - 1,), 0.5),
)
