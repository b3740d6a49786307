r"""Files that carry parameters, states and experiments, and run no code when they are read.

A file is one in the format of safetensors, which many tools read: eight bytes with the length of a header, little end
first; the header, JSON with dtype, shape and place of each array; the numbers of all arrays. What the arrays stand in
is described in the header's metadata: dicts, tuples, lists, None, plain numbers and text, and by their names and fields
records, named tuples and the data classes of funcnet. A checksum covers all of it. Nothing is unpickled or imported.

Source     https://github.com/huggingface/safetensors, section "Format"
"""

import hashlib
import io
import json
import math
import os
from typing import Any, NoReturn

import numpy as np

from funcnet.errors import raise_error
from funcnet.files import as_path, write_whole
from funcnet.outlines import DTYPES, outline, restored

_FORMAT = "funcnet-2"
_START = b'{"__metadata__":{"sha256":"'
# What a header raises that was not written by `save`.
_SENSELESS = (
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
    MemoryError,
    StopIteration,
)


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Write parameters, or whatever `load` can give back as it is, to a file under exactly the name given.

    An old file under that name stays until the new one is whole.

    Args:
        path: the file.
        tree: dicts with text as keys, tuples, lists, None, bools, ints, floats, text, arrays of JAX and NumPy, records
            such as an `Experiment`, and named tuples such as an optimizer's state, in any nesting.

    Raises:
        TypeError: when the tree holds anything else; nothing has been written then.
        OSError: when the file cannot be written.

    >>> import funcnet as fn, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "digits.params")
    >>> fn.save(path, {"params": ({"kernel": np.ones((2, 3), np.float32)}, ()), "optimizer": fn.SGD(0.1)})
    >>> found = fn.load(path)
    >>> found["params"][0]["kernel"].shape, found["optimizer"] == fn.SGD(0.1)
    ((2, 3), True)

    """
    pieces = _pieces(tree)
    write_whole(path, lambda file: file.writelines(pieces), binary=True)


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote: every container, number and array as it was, arrays of JAX as arrays of JAX.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is damaged or of another kind, when it names a class that is not imported, or holds
            arrays of JAX with 64 bits while JAX runs in 32-bit mode.

    >>> import funcnet as fn, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "kernel.params")
    >>> fn.save(path, {"kernel": np.ones((2, 3), np.float32)})
    >>> fn.load(path)["kernel"].shape
    (2, 3)

    """
    place = as_path(path)
    try:
        with open(place, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size, str(place))
    except FileNotFoundError:
        raise_error(f"{place} must exist", "nothing is there", "the path that fn.save was given", FileNotFoundError)
    except OSError as error:
        raise_error(f"{place} must be readable", f"{error.strerror}", "the path of a file of fn.save", type(error))


def to_bytes(tree: Any) -> bytes:
    """Return what `save` would write.

    >>> from_bytes(to_bytes({"rates": (0.1, None)}))
    {'rates': (0.1, None)}
    """
    return b"".join(_pieces(tree))


def from_bytes(content: bytes, name: str = "the content") -> Any:
    """Return the tree that `to_bytes` made bytes of; `name` says in messages where they are from."""
    return _read(io.BytesIO(content), len(content), name)


def _pieces(tree: Any) -> list[Any]:
    """Return a file's content: its header, then the numbers of each array."""
    described, arrays = outline(tree)
    codes, place = {dtype: code for code, dtype in DTYPES.items()}, 0
    head: dict[str, Any] = {"__metadata__": {"format": _FORMAT, "tree": json.dumps(described)}}
    for name, array in arrays.items():
        span = [place, place + array.nbytes]
        head[name] = {"dtype": codes[array.dtype], "shape": array.shape, "data_offsets": span}
        place += array.nbytes
    rest = json.dumps(head, separators=(",", ":")).removeprefix('{"__metadata__":{')
    # Spaces at the end let the numbers begin at a multiple of 8.
    length = len(_START) + 64 + len('",') + len(rest)
    header = f'",{rest}{" " * (-length % 8)}'.encode("ascii")
    content: list[Any] = [array.reshape(-1).view(np.uint8) for array in arrays.values() if array.size]
    digest = hashlib.sha256(header)
    for piece in content:
        digest.update(piece)
    start = _START + digest.hexdigest().encode("ascii")
    return [(len(start) + len(header)).to_bytes(8, "little"), start, header, *content]


class _Damaged(ValueError):
    """What is wrong with a file, in a few words."""


def _read(file: io.BufferedIOBase, size: int, name: str) -> Any:
    """Read a tree; sizes, dtypes and shapes are checked against the header, and that against the file, before."""
    try:
        start = file.read(8)
        if start[:2] == b"PK":
            raise _Damaged("it is an archive, as funcnet-1 wrote them")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not len(_START) + 64 < length <= size - 8:
            raise _Damaged("it does not begin like one")
        header = file.read(length)
        if not header.startswith(_START):
            raise _Damaged("it does not begin like one")
        digest, rest = header[len(_START) :][:64], header[len(_START) + 64 :]
        head, found = json.loads(header), hashlib.sha256(rest)
        metadata = head.pop("__metadata__")
        if metadata["format"] != _FORMAT:
            raise _Damaged("it is of another format")
        arrays = {key: np.empty(shape, dtype) for key, shape, dtype in _entries(head, size - 8 - length)}
        for array in arrays.values():
            view: Any = array.reshape(-1).view(np.uint8)
            if array.size and file.readinto(view) != array.nbytes:
                raise _Damaged("it ends early")
            found.update(view)
        if found.hexdigest().encode("ascii") != digest:
            raise _Damaged("its checksum does not fit its content")
        described = json.loads(metadata["tree"])
    except (ValueError, *_SENSELESS) as error:
        _refuse(name, error)
    try:
        return restored(described, arrays, name)
    except _SENSELESS as error:
        _refuse(name, error)


def _refuse(name: str, error: Exception) -> NoReturn:
    reason = str(error) if isinstance(error, _Damaged) else "its header makes no sense"
    raise_error(f"{name} must be a whole file of this version's fn.save", reason, "a copy of it, or fn.save again")


def _entries(head: Any, room: int) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    """Return name, shape and dtype of each array, after all have been found to fill the room exactly."""
    place, found = 0, []
    for name, entry in head.items():
        shape, dtype = entry["shape"], DTYPES[entry["dtype"]]
        if len(shape) > 64 or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
            raise _Damaged("a shape in its header makes no sense")
        end = place + math.prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [place, end]:
            raise _Damaged("the places in its header do not fit")
        place = end
        found.append((name, tuple(shape), dtype))
    if place != room:
        raise _Damaged("its size is not that in its header")
    return found
