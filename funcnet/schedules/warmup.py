r"""Warm-up: a straight line up to another schedule, which then begins.

Formula    s(t) = start + (then(0) − start) · t / steps      for t < steps
           s(t) = then(t − steps)                            afterwards

Source     Goyal et al. 2017, section 2.2.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, integer, number, record
from funcnet.schedules.base import Schedule, as_schedule, blend, clock, rate_of, real, whole
from funcnet.schedules.cosine import Cosine


@record
class Warmup(Schedule):
    r"""A ramp of `steps` updates from `start`, then a schedule or a constant rate.

    Args:
        steps: how many updates the rise takes.
        then: the rate afterwards, a number or a schedule that counts from the end of the rise.
        start: the rate at the first update.

    >>> import funcnet as fn
    >>> schedule = fn.Warmup(4, then=fn.Cosine(1.0, 10))
    >>> print(schedule(0), schedule(1), schedule(4), schedule(9))
    0.0 0.25 1.0 0.5

    """

    FORMULA: ClassVar[str] = "start + (then(0) - start) * t / steps if t < steps else then(t - steps)"

    steps: Any = integer(at_least=0)
    then: Any = number(at_least=0, schedule=as_schedule)
    start: Number = number(default=0.0, at_least=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return the point of the ramp, or the rate of the schedule after it."""
        t = clock(step)
        steps = whole(self.steps, t)
        later = jnp.maximum(t - steps, 0)
        # Before the end of the ramp `later` is 0, so this is the rate that the ramp leads up to.
        rate = rate_of(self.then, later)
        gone = real(jnp.minimum(t, steps), t) / real(jnp.maximum(steps, 1), t)
        return jnp.where(t < steps, blend(gone, rate, real(self.start, t)), rate)


CASES = (
    Case("ordinary", Warmup(4, 0.5), (1,), 0.125),
    Case("known", Warmup(4, Cosine(1.0, 10), 0.5), (2,), 0.75),
    Case("kink", Warmup(4, Cosine(1.0, 10)), (4,), 1.0),
    Case("known", Warmup(4, Cosine(1.0, 10)), (9,), 0.5, source="halfway down, counted from the end of the ramp"),
    Case("extreme", Warmup(0, 0.5), (0,), 0.5, source="no ramp"),
)
