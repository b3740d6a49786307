r"""The fields of records: what each may hold, and the check of a plain value at construction."""

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.arrays import as_array
from funcnet.errors import describe, is_concrete, near_misses, raise_error, shown, whole_number

Number: TypeAlias = float | jax.Array | np.ndarray
Vector: TypeAlias = Sequence[float] | jax.Array | np.ndarray

_MOST = 2**31 - 1  # of whole numbers, which are int32 in compiled programs


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a field may hold; `role` is one of number, integer, choice, part."""

    role: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    optional: bool = False
    schedule: Callable[[Any], Any] | None = None
    vector: bool = False
    options: tuple[Any, ...] = ()

    def words(self) -> str:
        """Say the interval in words, for instance 'at least 0 and below 1'."""
        limits = [("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below)]
        return " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None) or "finite"

    def admits(self, values: Iterable[float]) -> bool:
        """Tell whether all numbers are finite and inside the interval (an infinity must be asked for)."""
        return all(
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            for value in values
        )


def _field(default: Any, kw_only: bool, bounds: Bounds) -> Any:
    return dataclasses.field(default=default, metadata={"bounds": bounds}, kw_only=kw_only)


def number(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    optional: bool = False,
    schedule: Callable[[Any], Any] | None = None,
    vector: bool = False,
    kw_only: bool = False,
) -> Any:
    """Declare a field that is a real number, hence a leaf.

    With `schedule`, a function that adopts schedules, one of them may stand in its place; with `vector` a list of
    numbers, one for each class or the like.

    Args:
        default: the value where none is given; without one it must be given.
        at_least: the least value, included.
        above: a bound that is left out.
        at_most: the largest value, included.
        below: a bound that is left out.
        optional: whether None is allowed too.
        schedule: a function that adopts a schedule, where one may stand.
        vector: whether a list of numbers may stand.
        kw_only: whether the field is given by keyword alone.

    >>> import jax, funcnet as fn
    >>> @fn.record
    ... class Leaky:
    ...     slope: float = fn.number(default=0.1, at_least=0, below=1)
    >>> jax.vmap(lambda one: 2 * one.slope)(Leaky(jax.numpy.float32([0.1, 0.2]))).shape  # a leaf: many run at once
    (2,)

    """
    optional = optional or default is None
    bounds = Bounds("number", at_least, above, at_most, below, optional, schedule, vector)
    return _field(default, kw_only, bounds)


def integer(
    default: Any = dataclasses.MISSING, *, at_least: int = 0, at_most: int = _MOST, kw_only: bool = False
) -> Any:
    """Declare a field that is a whole number which may vary in a sweep, hence a leaf.

    A width or another size of an array cannot be one: it is a `choice` with `at_least`.

    Args:
        default: the value where none is given; without one it must be given.
        at_least: the least value.
        at_most: the largest value.
        kw_only: whether the field is given by keyword alone.

    >>> import jax, funcnet as fn
    >>> @fn.record
    ... class Draw:
    ...     seed: int = fn.integer(default=0)
    >>> jax.tree.leaves(Draw(7))
    [7]

    """
    return _field(default, kw_only, Bounds("integer", at_least=at_least, at_most=at_most))


def choice(
    default: Any = dataclasses.MISSING,
    *,
    options: tuple[Any, ...] = (),
    at_least: int | None = None,
    optional: bool = False,
    kw_only: bool = False,
) -> Any:
    """Declare a static field: a flag, a name out of `options`, or a whole number of `at_least` so much.

    Args:
        default: the value where none is given; without one it must be given.
        options: the values that are allowed; empty for any that can be hashed.
        at_least: the least value of a whole number.
        optional: whether None is allowed too.
        kw_only: whether the field is given by keyword alone.

    >>> import funcnet as fn
    >>> @fn.record
    ... class Mean:
    ...     kind: str = fn.choice(default="arithmetic", options=("arithmetic", "geometric"))
    >>> Mean("harmonic")
    Traceback (most recent call last):
    ...
    ValueError: Mean.kind must be one of 'arithmetic', 'geometric', but got 'harmonic'. Try: 'arithmetic', 'geometric'.

    """
    bounds = Bounds("choice", at_least=at_least, options=options, optional=optional or default is None)
    return _field(default, kw_only, bounds)


def part(default: Any = dataclasses.MISSING, *, kw_only: bool = False) -> Any:
    """Declare a field that holds a record, a tuple of records or None, hence a subtree.

    Args:
        default: the value where none is given; without one it must be given.
        kw_only: whether the field is given by keyword alone.

    >>> import funcnet as fn
    >>> @fn.record
    ... class Twice:
    ...     inner: fn.Layer = fn.part()
    >>> fn.replace(Twice(fn.Dropout(0.1)), {"inner.rate": 0.5}).inner.rate
    0.5

    """
    return _field(default, kw_only, Bounds("part"))


def checked(label: str, value: Any, bounds: Bounds) -> Any:
    """Validate one field's value and return it in its plain form (a Python number where it was one).

    Tracers and abstract values pass in silence.
    """
    if bounds.role == "part" or (value is None and bounds.optional):
        return value
    if bounds.role == "choice":
        return _checked_choice(label, value, bounds)
    if bounds.schedule is not None and callable(value):
        return bounds.schedule(value)
    if bounds.vector and isinstance(value, (list, tuple)):
        value = as_array(value, label)
    # Most values are numbers of Python, and most experiments are made of others: this saves them an array each.
    plain = (type(value) is int and abs(value) <= _MOST) or (type(value) is float and bounds.role == "number")
    if plain and bounds.admits((value,)):
        return value if bounds.role == "integer" else float(value)
    wanted = f"a number{' or a schedule' * (bounds.schedule is not None)}{' or a list of numbers' * bounds.vector}"
    wanted = "a whole number" if bounds.role == "integer" else wanted
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.ndarray, jax.Array)):
        raise_error(f"{label} must be {wanted}", f"got {describe(value)}", f"{wanted} {bounds.words()}", TypeError)
    if not is_concrete(value):
        return value
    array = np.asarray(value)
    if not jnp.issubdtype(array.dtype, np.integer) and (
        bounds.role == "integer" or not jnp.issubdtype(array.dtype, np.floating)
    ):
        raise_error(f"{label} must be {wanted}", f"got {describe(value)}", f"{wanted} {bounds.words()}", TypeError)
    if not bounds.admits(array.astype(np.float64).ravel().tolist()):
        raise_error(f"{label} must be {bounds.words()}", f"got {shown(value)}", f"a number {bounds.words()}")
    if isinstance(value, (np.ndarray, jax.Array)):
        return value
    return int(array) if bounds.role == "integer" else float(array)


def _checked_choice(label: str, value: Any, bounds: Bounds) -> Any:
    if bounds.at_least is not None:
        return whole_number(value, label, int(bounds.at_least), _MOST)
    try:
        hash(value)
    except TypeError:
        must = f"{label} is structure and must be hashable"
        raise_error(must, f"got {describe(value)}", "a tuple instead of a list or array", TypeError)
    if bounds.options and value not in bounds.options:
        offered = ", ".join(map(repr, bounds.options))
        close = near_misses(value, bounds.options, quoted=True)
        raise_error(f"{label} must be one of {offered}", f"got {shown(value)}", close)
    return value
