r"""IDX: the array format of the MNIST family.

All numbers are big-endian. Two zero bytes, one byte for the type of the items, one for the number of
dimensions; then each dimension as an unsigned 32-bit number; then the items, the last dimension fastest, and
nothing more:

=====  ======  =======        =====  ======  =======
code   items   array          code   items   array
=====  ======  =======        =====  ======  =======
0x08   byte    uint8          0x0C   4 byte  int32
0x09   byte    int8           0x0D   4 byte  float32
0x0B   2 byte  int16          0x0E   8 byte  float64
=====  ======  =======        =====  ======  =======

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, section "File formats".
"""

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from funcnet.data.files import is_compressed, pieces, regular_file
from funcnet.errors import raise_error

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMENSIONS = 64  # what a NumPy array can have
MOST_EXPANSION = 1032  # plain bytes that one byte of DEFLATE can stand for


def idx(path: str | os.PathLike[str]) -> np.ndarray:
    r"""Read an IDX file, plain or gzipped (told by content, not by name), into an array of its own dtype.

    The array is native-endian and writable. The sizes that the header claims are compared with what the file
    can hold before anything is reserved for them.

    Raises `FileNotFoundError` or `IsADirectoryError` for such a path, and `ValueError`, with the offset and
    the bytes found, when the file is empty, begins otherwise, has an unknown type code, an empty dimension,
    too few or too many bytes, or is damaged gzip.

    Args:
        path: the file.

    >>> import pathlib, tempfile, funcnet as fn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     fn.data.idx(path)
    array([7, 2, 1], dtype=uint8)

    """
    place = regular_file(path)
    with place.open("rb") as file:
        most = place.stat().st_size * (MOST_EXPANSION if is_compressed(file) else 1)
        source, content = pieces(file, place), bytearray()
        _gather(source, content, 4)
        kind, rank = _kind(place, content)
        start = 4 + 4 * rank
        _gather(source, content, start)
        if len(content) < start:
            _too_short(place, f"a header of {start} bytes", f"it ends after {len(content)} bytes")
        shape = struct.unpack_from(f">{rank}I", content, 4)
        if 0 in shape:
            axis = shape.index(0)
            raise_error(
                f"{place} must have no empty dimension",
                f"dimension {axis}, at byte {4 + 4 * axis}, is 0 in {list(shape)}",
                "a file that holds items",
            )
        total = start + math.prod(shape) * kind.itemsize
        wanted = f"{total} bytes, for its header says {kind.newbyteorder('=').name}{list(shape)}"
        if total > most:
            _too_short(place, wanted, f"it has at most {most} bytes")
        # One byte more than there should be shows whether the file goes on, and makes gzip check its sum.
        _gather(source, content, total + 1)
    if len(content) < total:
        _too_short(place, wanted, f"it ends after {len(content)} bytes")
    if len(content) > total:
        raise_error(
            f"{place} must hold {wanted}",
            f"it goes on at byte {total}",
            "one array a file, without bytes behind it",
        )
    items = np.frombuffer(content, kind, math.prod(shape), start).reshape(shape)
    return items.astype(kind.newbyteorder("="), copy=False)


def _gather(source: Iterator[bytes], content: bytearray, size: int) -> None:
    """Lengthen `content` to at least `size` bytes, or to the end of the source."""
    while len(content) < size:
        piece = next(source, None)
        if piece is None:
            return
        content += piece


def _kind(place: Path, content: bytearray) -> tuple[np.dtype[Any], int]:
    """Read the first four bytes: the dtype of the items as stored, and the number of dimensions."""
    magic = bytes(content[:4])
    if not magic:
        raise_error(f"{place} must be an IDX file", "it is empty", "fetching the file again")
    if magic[:2] != bytes(2)[: len(magic)]:
        raise_error(
            f"{place} must be an IDX file and begin with two zero bytes at offset 0",
            f"it begins with {magic.hex(' ')} ({magic!r})",
            "fn.data.csv for text; a download may also be an error page",
        )
    if len(magic) < 4:
        _too_short(place, "a magic number of 4 bytes", f"it ends after {len(magic)} bytes ({magic.hex(' ')})")
    code, rank = magic[2:]
    if code not in TYPES:
        known = ", ".join(f"{one:#04x}" for one in TYPES)
        raise_error(f"{place} must have a known type code at offset 2", f"got {code:#04x}", f"one of {known}")
    if not 1 <= rank <= MOST_DIMENSIONS:
        raise_error(
            f"{place} must have 1 to {MOST_DIMENSIONS} dimensions",
            f"offset 3 says {rank}",
            "an array of that many",
        )
    return np.dtype(TYPES[code]), rank


def _too_short(place: Path, wanted: str, arrived: str) -> NoReturn:
    """Raise the error for a file that ends too early."""
    raise_error(f"{place} must hold {wanted}", arrived, "fetching the file again; this copy is not complete")
