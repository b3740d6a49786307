r"""Arrays as bytes, for the cells of a store: numbers and nothing else, so that reading runs no code.

A cell is sealed: it begins with a hash of the trial that it belongs to and of its content, so that one which was cut,
overwritten or put in the place of another is refused.
"""

import hashlib
import json
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcnet.errors import raise_error
from funcnet.io import outline, rebuild

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


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Return named arrays as bytes: a line of JSON with names, dtypes and shapes, then the numbers, little end first.

    >>> unpack(pack({"loss": np.asarray([0.5, 0.25], np.float32)}))["loss"].tolist()
    [0.5, 0.25]
    """
    given = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = json.dumps({name: [str(array.dtype), array.shape] for name, array in given.items()})
    return b"".join([header.encode(), b"\n", *(array.tobytes() for array in given.values())])


def unpack(blob: bytes) -> dict[str, np.ndarray]:
    """Return the named arrays that `pack` made bytes of."""
    place = blob.index(b"\n") + 1
    header, found = json.loads(blob[:place]), {}
    for name, (kind, shape) in header.items():
        dtype = jnp.dtype(kind)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        found[name] = np.frombuffer(blob[place : place + size], dtype).reshape(shape)
        place += size
    return found


def pack_tree(params: Any) -> bytes:
    """Return a tree of parameters as bytes: its outline in JSON, then its leaves."""
    leaves: list[Any] = []
    dtypes: list[str] = []
    tree = json.dumps(outline(params, leaves, dtypes))
    named = {str(i): leaf.view(jnp.dtype(dtype)) for i, (leaf, dtype) in enumerate(zip(leaves, dtypes, strict=True))}
    return tree.encode() + b"\n" + pack(named)


def unpack_tree(blob: bytes) -> Any:
    """Return the tree that `pack_tree` made bytes of."""
    tree, _, rest = blob.partition(b"\n")
    return rebuild(json.loads(tree), list(unpack(rest).values()))


def as_json(value: Any) -> str:
    """Return JSON that people can read and a file can hold, names with lone surrogates included."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
