r"""What a schedule is: a pure function from the number of updates made so far to a rate.

    s(step) -> rate           step int32, from 0; the first update uses s(0)

Wherever an optimizer takes a learning rate it takes a number or a schedule. The numbers of a schedule are leaves: a
sweep may vary a rate, a length or a boundary. Whole numbers (lengths, boundaries) are compared as int32; rates are
computed in JAX's default precision, in which a step is exact up to 2²⁴.

`CASES` hold a schedule, a step, and the rate, worked by hand.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import is_concrete, raise_error
from funcnet.records import cast, is_record


class Schedule:
    """Base of all schedules."""

    def __call__(self, step: Any) -> jax.Array:
        """Return the rate of the update after `step` updates."""
        raise NotImplementedError


def clock(step: Any) -> jax.Array:
    """Return the step as int32."""
    return jnp.asarray(step, jnp.int32)


def real(value: Any, step: jax.Array) -> jax.Array:
    """Return a number, or a step, in the default precision, held from the compiler like every hyper-parameter."""
    return cast(value, jnp.asarray(step).astype(jnp.zeros(()).dtype))


def whole(value: Any, step: jax.Array) -> jax.Array:
    """Return a whole number as int32."""
    return cast(value, step)


def rate_of(rate: Any, step: jax.Array) -> jax.Array:
    """Return the rate of a schedule or a number at a step."""
    return real(rate(step) if callable(rate) else rate, step)


def blend(share: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
    """Return share · one + (1 − share) · other, which is exact at both ends."""
    return share * one + (1 - share) * other


def check_schedule(label: str, value: Any) -> None:
    """Require a schedule or a number."""
    if not (is_record(value) and callable(value)) and not isinstance(
        value, (int, float, np.ndarray, jax.Array, np.generic)
    ):
        raise_error(f"{label} must be a schedule or a number", f"got {value!r}", "fn.Constant(0.1)", TypeError)


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
