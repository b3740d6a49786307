r"""Polynomial decay to 0.

Formula    s(t) = rate · (1 − min(t / steps, 1))^power
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, integer, number, record
from funcnet.schedules.base import Schedule, clock, real, whole


@record
class Polynomial(Schedule):
    r"""A rate that falls like a power of the steps that are left.

    >>> schedule = Polynomial(1.0, steps=4, power=2.0)
    >>> print(schedule(2), schedule(9))
    0.25 0.0
    """

    FORMULA: ClassVar[str] = "rate * (1 - min(t / steps, 1)) ** power"

    rate: Number = number(at_least=0)
    steps: Any = integer(at_least=1)
    power: Number = number(default=1.0, above=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return rate · (left / steps)^power."""
        t = clock(step)
        steps = whole(self.steps, t)
        left = real(jnp.maximum(steps - t, 0), t) / real(steps, t)
        return real(self.rate, t) * jnp.power(left, real(self.power, t))


CASES = (
    Case("ordinary", Polynomial(1.0, 4, 2.0), (2,), 0.25),
    Case("known", Polynomial(0.5, 4, 3.0), (1,), 0.2109375, source="½ · 27/64"),
    Case("extreme", Polynomial(1.0, 4), (2**31 - 1,), 0.0),
)
