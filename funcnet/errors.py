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


def check_features(x: Any, name: str) -> Any:
    """Require samples × features of a floating dtype, at least one sample, all finite where they can be read."""
    if not hasattr(x, "shape"):
        raise_error(f"{name} must be an array", f"got {describe(x)}", "jnp.asarray(x)", TypeError)
    check_floating(x, name)
    if len(x.shape) < 2:
        raise_error(
            f"{name} must have shape (samples, features)", f"got {describe(x)}", "x.reshape(-1, 1) for one feature"
        )
    if x.shape[0] == 0:
        raise_error(f"{name} must hold at least one sample", f"got {describe(x)}", "a set that is not empty")
    if is_concrete(x):
        finite = np.isfinite(np.asarray(x, np.float64 if np.asarray(x).dtype.kind != "f" else None))
        if not finite.all():
            bad = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise_error(
                f"{name} must be finite",
                f"got {np.asarray(x)[bad]} at {list(bad)} ({int((~finite).sum())} of {finite.size} not finite)",
                "remove or impute these samples",
            )
    return x


def check_pair(pair: Any, name: str) -> tuple[Any, Any]:
    """Require (features, targets) of equal length."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        arrived = f"{len(pair)} things" if isinstance(pair, (tuple, list)) else describe(pair)
        raise_error(f"{name} must be a pair (x, y)", f"got {arrived}", f"{name}=(x, y)", TypeError)
    x, y = pair
    check_features(x, f"the features of {name}")
    if not hasattr(y, "shape"):
        raise_error(f"the targets of {name} must be an array", f"got {describe(y)}", "jnp.asarray(y)", TypeError)
    if len(y.shape) == 0 or y.shape[0] != x.shape[0]:
        raise_error(
            f"features and targets of {name} must have the same length",
            f"got {describe(x)} and {describe(y)}",
            "one target for each sample",
        )
    if (
        is_concrete(y)
        and jax.numpy.issubdtype(y.dtype, jax.numpy.floating)
        and not np.isfinite(np.asarray(y, np.float64)).all()
    ):
        raise_error(f"the targets of {name} must be finite", "got NaN or infinity among them", "remove these samples")
    return x, y
