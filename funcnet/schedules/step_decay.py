r"""Step decay: the rate falls by a factor every so many updates.

Formula    s(t) = rate · factor^⌊t / every⌋

Source     Article A3.4; customary.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, integer, number, record
from funcnet.schedules.base import Schedule, clock, real, whole


@record
class StepDecay(Schedule):
    r"""A rate that falls by `factor` after each `every` updates.

    Args:
        rate: the rate at the start.
        factor: what the rate is multiplied by at each step; 0.1 and 0.5 are usual.
        every: how many updates lie between two steps.

    >>> import funcnet as fn
    >>> schedule = fn.StepDecay(1.0, factor=0.5, every=100)
    >>> print(schedule(99), schedule(100), schedule(250))
    1.0 0.5 0.25

    """

    FORMULA: ClassVar[str] = "rate * factor ** (t // every)"

    rate: Number = number(at_least=0)
    factor: Number = number(at_least=0)
    every: Any = integer(at_least=1)

    def __call__(self, step: Any) -> jax.Array:
        """Return rate · factor^⌊t / every⌋."""
        t = clock(step)
        return real(self.rate, t) * jnp.power(real(self.factor, t), real(t // whole(self.every, t), t))


CASES = (
    Case("ordinary", StepDecay(1.0, 0.5, 10), (35,), 0.125),
    Case("kink", StepDecay(1.0, 0.5, 10), (10,), 0.5, source="the eleventh update is the first of the second step"),
    Case("kink", StepDecay(1.0, 0.5, 10), (9,), 1.0),
    Case("extreme", StepDecay(1.0, 0.0, 10), (0,), 1.0, source="0⁰ = 1"),
    Case("extreme", StepDecay(1.0, 0.5, 10), (2**31 - 1,), 0.0, source="underflows to 0"),
)
