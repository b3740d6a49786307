r"""Schedules made of schedules.

Sequence   s(t) = sᵢ(t − boundariesᵢ₋₁)  for boundariesᵢ₋₁ ≤ t < boundariesᵢ: each counts from its own beginning
Product    s(t) = s₁(t) s₂(t) …

Source     By definition.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.records import number, part, record
from funcnet.schedules.base import Schedule, check_boundaries, clock, rate_of, schedule_or_number, whole
from funcnet.schedules.cosine import Cosine
from funcnet.schedules.linear import Linear
from funcnet.schedules.step_decay import StepDecay


@record
class Sequence(Schedule):
    r"""One schedule after another; each starts at 0 when its turn comes.

    Args:
        schedules: the schedules or numbers, one for each stretch; each counts from its own beginning.
        boundaries: the updates at which the next one begins, rising, one fewer than schedules.

    >>> import funcnet as fn
    >>> schedule = fn.Sequence((fn.Linear(0.0, 4, 1.0), 1.0, fn.Cosine(1.0, 10)), boundaries=(4, 20))
    >>> print(schedule(2), schedule(10), schedule(25))
    0.5 1.0 0.5

    """

    FORMULA: ClassVar[str] = "next(s(t - b) for b, s in [*zip((0, *boundaries), schedules)][::-1] if t >= b)"

    schedules: tuple[Any, ...] = part()
    boundaries: Any = number(above=0, vector=True)

    def __post_init__(self) -> None:
        if not isinstance(self.schedules, tuple) or not self.schedules:
            raise_error(
                "Sequence.schedules must be a tuple of schedules",
                f"got {describe(self.schedules)}",
                "(fn.schedules.Linear(0.0, 10, 0.1), 0.1)",
                TypeError,
            )
        adopted = [schedule_or_number(f"Sequence.schedules[{i}]", s) for i, s in enumerate(self.schedules)]
        object.__setattr__(self, "schedules", tuple(adopted))
        check_boundaries("Sequence.boundaries", self.boundaries, len(self.schedules))

    def __call__(self, step: Any) -> jax.Array:
        """Return the rate of the schedule whose turn it is."""
        t = clock(step)
        boundaries = whole(self.boundaries, t)
        rate = rate_of(self.schedules[0], t)
        for index, schedule in enumerate(self.schedules[1:]):
            own = t - boundaries[index]
            rate = jnp.where(own >= 0, rate_of(schedule, jnp.maximum(own, 0)), rate)
        return rate


@record
class Product(Schedule):
    r"""The product of schedules and numbers.

    Args:
        *schedules: the schedules or numbers whose product is taken, one argument each.

    >>> import funcnet as fn
    >>> schedule = fn.Product(0.5, fn.Linear(1.0, 4))
    >>> print(schedule(2))
    0.25

    """

    FORMULA: ClassVar[str] = "prod(s(t) for s in schedules)"

    schedules: tuple[Any, ...] = part()

    def __init__(self, *schedules: Any) -> None:
        object.__setattr__(self, "schedules", schedules)
        self.__post_init__()

    def __post_init__(self) -> None:
        if not self.schedules:
            raise_error(
                "a product must have at least one factor", "got none", "fn.schedules.Product(0.1, fn.Cosine(1.0, 9))"
            )
        adopted = [schedule_or_number(f"Product.schedules[{i}]", s) for i, s in enumerate(self.schedules)]
        object.__setattr__(self, "schedules", tuple(adopted))

    def __call__(self, step: Any) -> jax.Array:
        """Return the product of the rates."""
        t = clock(step)
        rate = rate_of(self.schedules[0], t)
        for schedule in self.schedules[1:]:
            rate = rate * rate_of(schedule, t)
        return rate


_LINE = Linear(0.0, 4, 1.0)
CASES = (
    Case("ordinary", Sequence((_LINE, 1.0, Cosine(1.0, 10)), (4, 20)), (2,), 0.5),
    Case("kink", Sequence((_LINE, 2.0, Cosine(1.0, 10)), (4, 20)), (4,), 2.0),
    Case("known", Sequence((_LINE, 1.0, Cosine(1.0, 10)), (4, 20)), (25,), 0.5, source="counted from 20"),
    Case("known", Product(0.5, StepDecay(1.0, 0.5, 10), Linear(1.0, 20)), (10,), 0.125, source="½ · ½ · ½"),
)
