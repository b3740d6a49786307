r"""Exponential decay: the rate falls by the same factor at every update.

Formula    s(t) = rate · factor^(t / every)

`factor` is what a stretch of `every` updates multiplies the rate by; above 1 the rate grows, as in a search for the
largest rate that works.

Source     Article A3.4; customary.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, number, record
from funcnet.schedules.base import Schedule, clock, real


@record
class ExponentialDecay(Schedule):
    r"""A rate that falls smoothly by `factor` in `every` updates.

    Args:
        rate: the rate at the start.
        factor: what the rate is multiplied by in each stretch; 0.9 to 0.99, above 1 for a search of the largest
            rate that works.
        every: the length of a stretch, in updates.

    >>> import funcnet as fn
    >>> schedule = fn.ExponentialDecay(1.0, factor=0.25, every=10)
    >>> print(schedule(0), schedule(5), schedule(10))
    1.0 0.5 0.25

    """

    FORMULA: ClassVar[str] = "rate * factor ** (t / every)"

    rate: Number = number(at_least=0)
    factor: Number = number(above=0)
    every: Number = number(default=1.0, above=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return rate · factor^(t / every)."""
        t = clock(step)
        return real(self.rate, t) * jnp.power(real(self.factor, t), real(t, t) / real(self.every, t))


CASES = (
    Case("ordinary", ExponentialDecay(0.5, 0.5), (3,), 0.0625),
    Case("known", ExponentialDecay(1.0, 0.25, 10.0), (5,), 0.5, source="a half of the exponent"),
    Case("known", ExponentialDecay(1.0, 2.0), (5,), 32.0, source="growth"),
    Case("extreme", ExponentialDecay(1.0, 0.5), (2**31 - 1,), 0.0, source="underflows to 0"),
)
