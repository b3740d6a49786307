r"""Arrays as bytes, for the cells of a store: numbers and nothing else, so that reading runs no code.

A cell is sealed: it begins with a hash of the trial that it belongs to and of its content, so that one which was cut,
overwritten or put in the place of another is refused.
"""

import hashlib
import json
from typing import Any

from funcnet.errors import raise_error

_SEAL = 32  # bytes


def sealed(key: str, content: bytes) -> bytes:
    """Return the content of a trial's cell behind its seal."""
    return hashlib.sha256(key.encode() + b"\n" + content).digest() + content


def unsealed(key: str, cell: bytes) -> bytes:
    """Return the content of a cell, if it is whole and belongs to the trial.

    >>> unsealed("a", sealed("a", b"1 2 3"))
    b'1 2 3'
    >>> unsealed("b", sealed("a", b"1 2 3"))
    Traceback (most recent call last):
    ...
    ValueError: what a store keeps of a trial must be as it was written, but its checksum does not fit trial b. Try: \
another store, or a copy of this one from before the damage.
    """
    content = bytes(cell[_SEAL:])
    if sealed(key, content) != cell:
        raise_error(
            "what a store keeps of a trial must be as it was written",
            f"its checksum does not fit trial {key}",
            "another store, or a copy of this one from before the damage",
        )
    return content


def as_json(value: Any) -> str:
    """Return JSON that people can read and a file can hold, names with lone surrogates included."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
