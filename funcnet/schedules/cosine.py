r"""Half a cosine from one rate down to another, once or with restarts.

Formula    s(t) = final + (rate − final) · ½ (1 + cos(π u)),   u = min(t / steps, 1)           once
           with restarts u = (t − start of cycle) / (its length), cycle i being steps · growthⁱ long

At a restart the rate jumps back to `rate`.

Source     Loshchilov & Hutter 2017, equation 5.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, choice, integer, number, record
from funcnet.schedules.base import LAST, Schedule, blend, clock, real, whole


@record
class Cosine(Schedule):
    r"""From `rate` to `final` along a cosine.

    Args:
        rate: the rate at the start.
        steps: how many updates it takes: epochs times batches in an epoch.
        final: the rate at the end.
        restarts: whether the rate jumps back to the start at the end of a cycle, for ever.
        growth: by how much each cycle is longer than the one before; 1 or 2.

    >>> import funcnet as fn
    >>> schedule = fn.Cosine(1.0, steps=4, restarts=True, growth=2)
    >>> print([round(float(schedule(t)), 3) for t in (0, 1, 2, 3, 4, 8, 11, 12)])
    [1.0, 0.854, 0.5, 0.146, 1.0, 0.5, 0.038, 1.0]

    """

    FORMULA: ClassVar[str] = (
        "final + (rate - final) * (1 + cos(pi * (next((t - a) / n for i in range(t + 1) for a, n in"
        " [(steps * sum(growth**j for j in range(i)), steps * growth**i)] if t < a + n)"
        " if restarts else min(t / steps, 1)))) / 2"
    )

    rate: Number = number(at_least=0)
    steps: Any = integer(at_least=1)
    final: Number = number(default=0.0, at_least=0)
    restarts: bool = choice(default=False, options=(False, True))
    growth: Any = integer(default=1, at_least=1)

    def __call__(self, step: Any) -> jax.Array:
        """Return the point of the cosine."""
        t = clock(step)
        steps = whole(self.steps, t)
        if self.restarts:
            gone, length = cycle(t, steps, whole(self.growth, t))
        else:
            gone, length = jnp.minimum(t, steps), real(steps, t)
        # ½ (1 + cos πu) as ½ (1 + sin π(½ − u)), which is exact at the ends and in the middle.
        share = (1 + jnp.sin(real(math.pi, t) * (0.5 - real(gone, t) / length))) * 0.5
        return blend(share, real(self.rate, t), real(self.final, t))


def cycle(t: jax.Array, steps: jax.Array, growth: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the steps gone in the cycle of t, and the length of that cycle, which may exceed int32."""

    def onward(_: Any, carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        gone, end, length = carry
        over = gone >= end
        longer = jnp.where(end > LAST // growth, LAST, end * growth)
        return jnp.where(over, gone - end, gone), jnp.where(over, longer, end), jnp.where(over, length * ratio, length)

    ratio = real(growth, t)
    # With growth of at least 2 the 31st cycle is the last that an int32 can reach; without, a remainder tells all.
    gone, _, length = jax.lax.fori_loop(0, 31, onward, (t, steps, real(steps, t)))
    even = growth == 1
    return jnp.where(even, t % steps, gone), jnp.where(even, real(steps, t), length)


CASES = (
    Case("ordinary", Cosine(1.0, 4), (2,), 0.5),
    Case("known", Cosine(1.0, 3, 0.5), (1,), 0.875, source="cos(π/3) = ½"),
    Case("kink", Cosine(1.0, 4, 0.25), (4,), 0.25, source="the end"),
    Case("kink", Cosine(1.0, 4, 0.25, restarts=True), (4,), 1.0, source="a new cycle"),
    Case("known", Cosine(1.0, 4, restarts=True, growth=3), (10,), 0.5, source="the second cycle is 4 to 16"),
    Case("extreme", Cosine(1.0, 4, 0.25), (2**31 - 1,), 0.25),
    Case("extreme", Cosine(1.0, 2**30, restarts=True, growth=2), (2**30,), 1.0, source="lengths beyond int32"),
)
