r"""The wording of errors, and the checks of one argument that every door shares.

A message has three parts: what must hold, what arrived, what to try. It has at most `LONGEST` characters and tells of
data the type, dtype and shape, never the numbers:

>>> raise_error("batch_size must be between 1 and 5", "got 7", "use batch_size=5 or None")
Traceback (most recent call last):
...
ValueError: batch_size must be between 1 and 5, but got 7. Try: use batch_size=5 or None.
"""

import contextlib
import difflib
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

LONGEST = 300  # characters of a message


def raise_error(must: str, arrived: str, attempt: str, kind: type[Exception] = ValueError) -> NoReturn:
    """Raise `kind` with the three parts that every message of the package has, what is longest in them abridged."""
    parts = [_printable(part) for part in (must, arrived, attempt)]
    room, limits = LONGEST - len(", but . Try: ."), [0, 0, 0]
    if sum(map(len, parts)) > room:  # a path or a number gives way before the words around it do
        parts = [re.sub(r"\S{41,}", lambda word: abridged(word[0], 40), part) for part in parts]
    # The shorter parts are kept whole; those that are longer than an even share divide what is left.
    for left, index in zip((3, 2, 1), sorted(range(3), key=lambda i: len(parts[i])), strict=True):
        limits[index] = min(len(parts[index]), room // left)
        room -= limits[index]
    must, arrived, attempt = (abridged(part, limit) for part, limit in zip(parts, limits, strict=True))
    raise kind(f"{must}, but {arrived}. Try: {attempt}.") from None


def abridged(text: str, length: int = 60) -> str:
    """Return a text of at most so many letters: its beginning and its end.

    >>> abridged("a path that is longer than the room for it", 20)
    'a path that…m for it'
    """
    if len(text) <= length:
        return text
    tail = min(length // 2, 2 * length // 5)
    return f"{text[: length - tail - 1]}…{text[len(text) - tail :]}"


def _printable(text: str) -> str:
    """Return a text that every terminal and file can take: line ends, NUL and lone surrogates are spelled out."""
    # What is left out anyway need not be looked at.
    text = abridged(text, 4 * LONGEST)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def is_concrete(value: Any) -> bool:
    """Tell whether numbers can be read from `value` now, that is, it is no tracer or abstract array."""
    return not isinstance(value, jax.core.Tracer) and isinstance(
        value, (bool, int, float, np.generic, np.ndarray, jax.Array)
    )


def describe(value: Any) -> str:
    """Describe an argument for a message: one number or name itself, of all else its kind and size.

    >>> import numpy as np
    >>> print(describe(0.5), "|", describe(np.ones((3, 2))), "|", describe([[1.0, 2.0]] * 1077))
    0.5 (float) | float64[3, 2] | a list of 1077
    """
    kind = type(value).__name__
    if value is None or isinstance(value, (bool, float, complex)):
        return f"{value!r} ({kind})"
    if isinstance(value, int):
        return f"{shown(value)} ({kind})"
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return f"{value} ({value.dtype})"
    if isinstance(value, str):
        return f"{shown(value)} ({kind})"
    if isinstance(value, type):
        return f"the class {shown(value)}"
    with contextlib.suppress(Exception):  # what comes from elsewhere may raise anything
        return f"{abridged(str(value.dtype), 30)}{abridged(str(list(value.shape)), 60)}"
    try:
        return f"a {abridged(kind, 40)} of {len(value)}"
    except Exception:
        return abridged(f"the function {value.__name__}" if callable(value) and "__name__" in dir(value) else kind, 60)


def shown(value: Any) -> str:
    """Return an option, a name or a number as it would be typed, in at most 60 letters; of anything else its kind."""
    if isinstance(value, type):
        return abridged(value.__name__)
    if isinstance(value, int) and not -(10**40) < value < 10**40:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, str):
        return abridged(repr(abridged(value)), 62)
    if value is None or isinstance(value, (bool, int, float, complex)):
        return repr(value)
    return describe(value)


def near_misses(name: Any, names: Iterable[Any], most: int = 8, quoted: bool = False) -> str:
    """Return the names there are for a message, those like `name` first, at most so many.

    >>> near_misses("validation_los", ["train_loss", "objective", "validation_loss"])
    'validation_loss, train_loss, objective'
    """
    there = list(dict.fromkeys(map(str, names)))
    near = difflib.get_close_matches(name[:100], there, n=3, cutoff=0.4) if isinstance(name, str) else []
    found = near + [other for other in there if other not in near]
    listed = ", ".join(repr(one) if quoted else one for one in found[:most])
    return f"{listed} … of {len(found)}" if len(found) > most else listed


def whole_number(value: Any, name: str, at_least: int = 0, at_most: int | None = None) -> int:
    """Return `value` as an int; `TypeError` unless it is whole, `ValueError` unless within the bounds.

    >>> whole_number(0, "samples", 1)
    Traceback (most recent call last):
    ...
    ValueError: samples must be at least 1, but got 0. Try: samples=1 or more.
    """
    own = name.rpartition(".")[2]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        must = f"{name} must be a whole number of at least {at_least}"
        raise_error(must, f"got {describe(value)}", f"{own}={at_least}", TypeError)
    if value < at_least:
        raise_error(f"{name} must be at least {at_least}", f"got {shown(int(value))}", f"{own}={at_least} or more")
    if at_most is not None and value > at_most:
        raise_error(f"{name} must be at most {at_most}", f"got {shown(int(value))}", f"{own}={at_most} or less")
    return int(value)


def check_floating(value: Any, name: str) -> None:
    """Raise `TypeError` unless `value` is an array of a floating dtype (or a Python float)."""
    if isinstance(value, float):
        return
    known = isinstance(value, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct))
    if not known or not jnp.issubdtype(value.dtype, jnp.floating):
        raise_error(
            f"{name} must be a floating-point array",
            f"got {describe(value)}",
            "convert it, for instance with jnp.asarray(value, jnp.float32)",
            TypeError,
        )
