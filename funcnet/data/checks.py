r"""The checks at the door that the generators and the loaders of data share."""

import math
import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error


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
