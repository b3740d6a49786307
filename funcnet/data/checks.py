r"""The checks at the door that the generators and the loaders of data share.

>>> whole_number(0, "samples", at_least=1)
Traceback (most recent call last):
...
ValueError: samples must be at least 1, but got 0. Try: samples=1 or more.
"""

import math
import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error


def whole_number(value: Any, name: str, *, at_least: int, at_most: int | None = None) -> int:
    """Return `value` as an int; `TypeError` unless it is whole, `ValueError` unless within the bounds."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise_error(f"{name} must be a whole number", f"got {describe(value)}", f"{name}={at_least}", TypeError)
    if value < at_least:
        raise_error(f"{name} must be at least {at_least}", f"got {value}", f"{name}={at_least} or more")
    if at_most is not None and value > at_most:
        raise_error(f"{name} must be at most {at_most}", f"got {value}", f"{name}={at_most} or less")
    return int(value)


def flag(value: Any, name: str) -> bool:
    """Return `value` as a bool; `TypeError` if it is none, since 0 and None mean other things elsewhere."""
    if not isinstance(value, (bool, np.bool_)):
        raise_error(f"{name} must be True or False", f"got {describe(value)}", f"{name}=True", TypeError)
    return bool(value)


def real_number(value: Any, name: str) -> float:
    """Return `value` as a float; `TypeError` unless a number, `ValueError` unless finite and at least 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise_error(f"{name} must be a number", f"got {describe(value)}", f"{name}=0.1", TypeError)
    if not math.isfinite(value) or value < 0:
        raise_error(f"{name} must be finite and at least 0", f"got {value}", f"{name}=0.0 or more")
    return float(value)


def floating_dtype(dtype: Any) -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype; `TypeError` unless it is a floating one (bfloat16 counts)."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise_error("dtype must name a floating-point type", f"got {dtype!r}", "dtype=np.float32", TypeError)
    if dtype is None or not jnp.issubdtype(found, jnp.floating):
        raise_error("dtype must be a floating-point type", f"got {dtype!r}", "dtype=np.float32", TypeError)
    return found
