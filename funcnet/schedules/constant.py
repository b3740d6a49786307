r"""A constant rate.

Formula    s(t) = rate

A plain number does the same; the record is a piece for compositions.

Source     By definition.
"""

from typing import Any, ClassVar

import jax

from funcnet.cases import Case
from funcnet.records import Number, number, record
from funcnet.schedules.base import Schedule, clock, real


@record
class Constant(Schedule):
    r"""The same rate at every step.

    Args:
        rate: the rate, at every update.

    >>> import funcnet as fn
    >>> print(fn.Constant(0.5)(100))
    0.5

    """

    FORMULA: ClassVar[str] = "rate"

    rate: Number = number(at_least=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return the rate."""
        return real(self.rate, clock(step))


CASES = (Case("ordinary", Constant(0.5), (0,), 0.5), Case("extreme", Constant(0.5), (2**31 - 1,), 0.5))
