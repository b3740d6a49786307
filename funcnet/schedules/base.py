r"""What a schedule is: a pure function from the number of updates made so far to a rate.

    s(step) -> rate           step int32, from 0; the first update uses s(0)

Wherever an optimizer takes a rate it takes a number, a schedule, or any function of the step: a record's numbers are
leaves, so a sweep may vary a rate, a length or a boundary; a plain function, such as another library's schedule, is
structure. Whole numbers (lengths, boundaries) are compared as int32; rates are computed in JAX's default precision, in
which a step is exact up to 2²⁴. After 2³¹ − 1 updates the step stays, and with it the rate.

`CASES` hold a schedule, a step, and the rate, worked by hand. `FORMULA` states the rate as a Python expression over t,
the fields and the functions of `math`, for the tests; a field that holds a schedule is a function of the step.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, is_concrete, raise_error
from funcnet.protocols import takes
from funcnet.records import cast, choice, is_record, record
from funcnet.trees import default_real, is_tree_of_numbers

LAST = 2**31 - 1  # where the step stays


class Schedule:
    """Base of all schedules.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Harmonic(fn.Schedule):
    ...     rate: float = fn.number(above=0)  # a leaf: it can be swept
    ...     def __call__(self, step):
    ...         return self.rate / (1 + jnp.asarray(step).astype(jnp.float32))
    >>> print(Harmonic(0.5)(4), fn.SGD(Harmonic(0.5)).learning_rate)
    0.1 Harmonic(rate=0.5)
    """

    FORMULA: ClassVar[str]

    def __call__(self, step: Any) -> jax.Array:
        """Return the rate of the update after `step` updates."""
        raise NotImplementedError


@record
class HeldSchedule(Schedule):
    """A schedule from elsewhere, a plain function of the step, held as structure."""

    function: Any = choice()

    def __call__(self, step: Any) -> jax.Array:
        """Return its rate."""
        t = clock(step)
        # Most schedules mix the step, a whole number, with rates.
        with jax.numpy_dtype_promotion("standard"):
            rate = self.function(t)
        return real(rate, t)


def as_schedule(schedule: Any) -> Any:
    """Return the schedule itself, or one around a plain function of the step.

    Args:
        schedule: a schedule of funcnet, or any function that maps an int32 step to a number.

    Raises:
        TypeError: for what is no function of one argument, or returns anything but one number.

    >>> import funcnet as fn
    >>> print(fn.schedules.as_schedule(lambda step: 0.5 / (1 + step))(4))
    0.1

    """
    attempt = "fn.Cosine(0.1, 1000), or a function of the step"
    if isinstance(schedule, type) or not callable(schedule) or not takes(schedule, 1):
        raise_error("a schedule must be a function of the step", f"got {describe(schedule)}", attempt, TypeError)
    if is_record(schedule) or is_tree_of_numbers(schedule):
        return schedule
    held = HeldSchedule(schedule)
    try:
        rate = jax.eval_shape(held, jax.ShapeDtypeStruct((), jnp.int32))
    except Exception as error:
        arrived = f"{describe(schedule)} raised {type(error).__name__}"
        raise_error("a schedule must map an int32 step, which may be traced, to a number", arrived, attempt, TypeError)
    if rate.shape != ():
        raise_error("a schedule must return one number", f"{describe(schedule)} does not", attempt, TypeError)
    return held


def clock(step: Any) -> jax.Array:
    """Return the step as int32."""
    return jnp.asarray(min(step, LAST) if isinstance(step, int) else step, jnp.int32)


def real(value: Any, step: jax.Array) -> jax.Array:
    """Return a number, or a step, in the default precision, held from the compiler like every hyper-parameter."""
    return cast(value, jnp.asarray(step).astype(default_real()))


def whole(value: Any, step: jax.Array) -> jax.Array:
    """Return a whole number as int32."""
    return cast(value, step)


def rate_of(rate: Any, step: jax.Array) -> jax.Array:
    """Return the rate of a schedule or a number at a step."""
    return real(rate(step) if callable(rate) else rate, step)


def blend(share: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
    """Return share · one + (1 − share) · other, which is exact at both ends."""
    return share * one + (1 - share) * other


def schedule_or_number(label: str, value: Any) -> Any:
    """Return a number as it is, a schedule adopted; require one of them."""
    if callable(value):
        return as_schedule(value)
    if not isinstance(value, (int, float, np.ndarray, jax.Array, np.generic)):
        arrived = f"got {describe(value)}"
        raise_error(f"{label} must be a schedule or a number", arrived, "fn.Constant(0.1)", TypeError)
    return value


def check_boundaries(label: str, boundaries: Any, pieces: int | None) -> None:
    """Require whole numbers in increasing order, one less than the pieces that they separate."""
    if not is_concrete(boundaries):
        return
    found = np.asarray(boundaries)
    if found.ndim != 1 or not found.size or np.any(found != np.round(found)):
        raise_error(f"{label} must be a list of whole numbers", f"got {found.tolist()}", "boundaries=(100, 200)")
    if np.any(np.diff(found) <= 0) or found[0] <= 0:
        raise_error(
            f"{label} must increase from above 0",
            f"got {found.tolist()}",
            f"boundaries={tuple(sorted({int(b) for b in found if b > 0}))}",
        )
    if pieces is not None and found.size != pieces - 1:
        raise_error(
            f"{label} must separate {pieces} pieces by {pieces - 1} numbers",
            f"got {found.tolist()}",
            "one less than the pieces",
        )
