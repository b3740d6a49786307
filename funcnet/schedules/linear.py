r"""A straight line from one rate to another, then constant.

Formula    s(t) = rate + (final − rate) · min(t / steps, 1)

Source     Article A3.4; customary.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, integer, number, record
from funcnet.schedules.base import Schedule, blend, clock, real, whole


@record
class Linear(Schedule):
    r"""From `rate` to `final` in `steps` updates.

    Args:
        rate: the rate at the start.
        steps: how many updates it takes: epochs times batches in an epoch.
        final: the rate at the end.

    >>> import funcnet as fn
    >>> schedule = fn.Linear(1.0, steps=4, final=0.5)
    >>> print(schedule(0), schedule(2), schedule(4), schedule(100))
    1.0 0.75 0.5 0.5

    """

    FORMULA: ClassVar[str] = "rate + (final - rate) * min(t / steps, 1)"

    rate: Number = number(at_least=0)
    steps: Any = integer(at_least=1)
    final: Number = number(default=0.0, at_least=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return the point of the line."""
        t = clock(step)
        steps = whole(self.steps, t)
        left = real(jnp.maximum(steps - t, 0), t) / real(steps, t)
        return blend(left, real(self.rate, t), real(self.final, t))


CASES = (
    Case("ordinary", Linear(1.0, 4), (1,), 0.75),
    Case("kink", Linear(1.0, 4, 0.5), (4,), 0.5),
    Case("extreme", Linear(1.0, 4, 0.5), (2**31 - 1,), 0.5),
)
