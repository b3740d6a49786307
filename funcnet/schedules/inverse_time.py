r"""Inverse time: the rates of stochastic approximation.

Formula    s(t) = rate / (1 + decay · t)^power

Σ s(t) diverges and Σ s(t)² converges, the conditions of Robbins and Monro, for ½ < power ≤ 1.

Source     Article A3.4; Robbins & Monro 1951; scikit-learn's "invscaling" is decay=1.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, number, record
from funcnet.schedules.base import Schedule, clock, real


@record
class InverseTime(Schedule):
    r"""A rate that falls like a power of time.

    Args:
        rate: the rate at the start.
        decay: how fast the rate falls, for each update; 1e-4 to 1e-1 are usual.
        power: of the divisor; ½ to 1.

    >>> import funcnet as fn
    >>> schedule = fn.InverseTime(1.0, decay=0.5)
    >>> print(schedule(0), schedule(2), schedule(6))
    1.0 0.5 0.25

    """

    FORMULA: ClassVar[str] = "rate / (1 + decay * t) ** power"

    rate: Number = number(at_least=0)
    decay: Number = number(default=1.0, at_least=0)
    power: Number = number(default=1.0, at_least=0)

    def __call__(self, step: Any) -> jax.Array:
        """Return rate / (1 + decay · t)^power."""
        t = clock(step)
        base = 1 + real(self.decay, t) * real(t, t)
        return real(self.rate, t) / jnp.power(base, real(self.power, t))


CASES = (
    Case("ordinary", InverseTime(1.0, 0.5), (2,), 0.5),
    Case("known", InverseTime(1.0, 1.0, 0.5), (15,), 0.25, source="1/√16"),
    Case("extreme", InverseTime(1.0, 0.0), (2**31 - 1,), 1.0, source="no decay"),
)
