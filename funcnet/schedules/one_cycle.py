r"""One cycle: up to a peak and down again, well below where it began.

Formula    up     s(t) = rate · (start + (1 − start) · h(t / a))            t ≤ a = warm · steps
           down   s(t) = rate · (final + (1 − final) · h(1 − (t − a)/b))    b = steps − a, and constant after steps
           with h(u) = u (linear) or ½ (1 − cos(π u)) (cosine)

Source     Smith & Topin 2019 (linear); the cosine form is customary.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, choice, integer, number, record
from funcnet.schedules.base import Schedule, blend, clock, real, whole


@record
class OneCycle(Schedule):
    r"""Warm up to `rate` during the share `warm` of `steps`, then cool down.

    `start` and `final` are fractions of `rate`.

    Args:
        rate: the largest rate.
        steps: how many updates it takes: epochs times batches in an epoch.
        warm: the share of the updates in which the rate rises.
        start: the first rate, as a share of the largest.
        final: the last rate, as a share of the largest.
        shape: "cosine" or "linear".

    >>> import funcnet as fn
    >>> schedule = fn.OneCycle(1.0, steps=10, warm=0.4, start=0.2, final=0.0, shape="linear")
    >>> print([round(float(schedule(t)), 3) for t in (0, 2, 4, 7, 10)])
    [0.2, 0.6, 1.0, 0.5, 0.0]

    """

    FORMULA: ClassVar[str] = (
        "[rate * (foot + (1 - foot) * (h if shape == 'linear' else (1 - cos(pi * h)) / 2)) for foot, h in"
        " [(start, t / (warm * steps)) if t < warm * steps else"
        " (final, max(0, 1 - (t - warm * steps) / (steps - warm * steps)))]][0]"
    )

    rate: Number = number(at_least=0)
    steps: Any = integer(at_least=1)
    warm: Number = number(default=0.3, above=0, below=1)
    start: Number = number(default=0.04, at_least=0)
    final: Number = number(default=4e-6, at_least=0)
    shape: str = choice(default="cosine", options=("cosine", "linear"))

    def __call__(self, step: Any) -> jax.Array:
        """Return the point of the cycle."""
        t = clock(step)
        steps, gone = real(whole(self.steps, t), t), real(t, t)
        peak = real(self.warm, t) * steps
        rising = gone < peak
        height = jnp.where(rising, gone / peak, jnp.clip((steps - gone) / (steps - peak), 0, 1))
        if self.shape == "cosine":
            height = (1 + jnp.sin(real(math.pi, t) * (height - 0.5))) * 0.5  # ½ (1 − cos πh), exact at the ends
        foot = jnp.where(rising, real(self.start, t), real(self.final, t))
        return real(self.rate, t) * blend(height, jnp.ones_like(height), foot)


CASES = (
    Case("ordinary", OneCycle(1.0, 10, 0.4, 0.2, 0.0, "linear"), (2,), 0.6),
    Case("kink", OneCycle(2.0, 8, 0.5, 0.2, 0.1), (4,), 2.0, source="the peak"),
    Case("known", OneCycle(2.0, 8, 0.5, 0.2, 0.1), (6,), 1.1, source="halfway down: 2 · (1 + 0.1)/2"),
    Case("kink", OneCycle(2.0, 8, 0.5, 0.2, 0.1), (8,), 0.2),
    Case("extreme", OneCycle(2.0, 8, 0.5, 0.2, 0.1), (2**31 - 1,), 0.2),
)
