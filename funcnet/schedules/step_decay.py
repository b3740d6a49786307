r"""Step decay: the rate falls by a factor every so many updates.

Formula    s(t) = rate · factor^⌊t / every⌋

Source     Article A3.4; customary.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, integer, number, record
from funcnet.schedules.base import Schedule, clock, real, whole


@record
class StepDecay(Schedule):
    r"""A rate that falls by `factor` after each `every` updates.

    >>> schedule = StepDecay(1.0, every=100, factor=0.5)
    >>> print(schedule(99), schedule(100), schedule(250))
    1.0 0.5 0.25
    """

    rate: Number = number(at_least=0)
    every: Any = integer(at_least=1)
    factor: Number = number(default=0.1, at_least=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return rate · factor^⌊t / every⌋."""
        t = clock(step)
        return real(self.rate, t) * jnp.power(real(self.factor, t), real(t // whole(self.every, t), t))


CASES = (
    Case("ordinary", StepDecay(1.0, 10, 0.5), (35,), 0.125),
    Case("kink", StepDecay(1.0, 10, 0.5), (10,), 0.5, source="the eleventh update is the first of the second step"),
    Case("kink", StepDecay(1.0, 10, 0.5), (9,), 1.0),
    Case("extreme", StepDecay(1.0, 10, 0.0), (0,), 1.0, source="0⁰ = 1"),
    Case("extreme", StepDecay(1.0, 10, 0.5), (2**31 - 1,), 0.0, source="underflows to 0"),
)
