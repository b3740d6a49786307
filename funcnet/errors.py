r"""The wording of errors: what must hold, what arrived, what to try.

Every check at the door ends here, so that all messages read alike:

>>> raise_error("batch_size must be between 1 and 5", "got 7", "use batch_size=5 or None")
Traceback (most recent call last):
...
ValueError: batch_size must be between 1 and 5, but got 7. Try: use batch_size=5 or None.
"""

from typing import Any, NoReturn

import jax
import numpy as np


def raise_error(must: str, arrived: str, attempt: str, kind: type[Exception] = ValueError) -> NoReturn:
    """Raise `kind` with the three parts that every message of the package has."""
    raise kind(f"{must}, but {arrived}. Try: {attempt}.")


def is_concrete(value: Any) -> bool:
    """Tell whether numbers can be read from `value` now, that is, it is no tracer or abstract array."""
    return not isinstance(value, jax.core.Tracer) and isinstance(
        value, (bool, int, float, np.generic, np.ndarray, jax.Array)
    )


def describe(value: Any) -> str:
    """Describe an argument for an error message: dtype and shape of an array, else the value itself."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{dtype}{list(shape)}"
    return f"{value!r} ({type(value).__name__})"


def check_floating(value: Any, name: str) -> None:
    """Raise `TypeError` unless `value` is an array of a floating dtype (or a Python float)."""
    if isinstance(value, float):
        return
    dtype = getattr(value, "dtype", None)
    if dtype is None or not jax.numpy.issubdtype(dtype, jax.numpy.floating):
        raise_error(
            f"{name} must be a floating-point array",
            f"got {describe(value)}",
            "convert it, for instance with jnp.asarray(value, jnp.float32)",
            TypeError,
        )
