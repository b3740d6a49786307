r"""Opening files: a path is checked before it is read, and gzip is recognised by its bytes, not by its name.

A gzip file (RFC 1952) begins with the bytes 1f 8b, consists of one or more members, each ending in a checksum
of what it held, and may be padded with zeros. Decompression goes piece by piece, so that memory grows with
the data that is really there, and a fault can be told by its offset in the file.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from funcnet.errors import near_misses, raise_error
from funcnet.files import as_path

CHUNK = 4096  # compressed bytes at a time, hence how exactly the offset of a fault is known
PIECE = 2**20  # plain bytes at a time


def regular_file(path: str | os.PathLike[str]) -> Path:
    """Return `path` as a `Path` to an existing regular file.

    Raises `TypeError` when it is no path, `FileNotFoundError` when nothing is there (near misses are named),
    and `IsADirectoryError` or `ValueError` when what is there is no file.
    """
    place = as_path(path)
    if os.path.isdir(place):
        inside = ", ".join(names_in(place)[:8])
        attempt = f"one of its files: {inside}" if inside else "the path of a file; this folder is empty"
        raise_error(f"{place} must be a file", "it is a folder", attempt, IsADirectoryError)
    if not os.path.exists(place):
        folder = place.parent
        if not os.path.isdir(folder):
            attempt = f"an existing folder; {folder} is none"
        else:
            attempt = near_misses(place.name, names_in(folder))
            attempt = attempt or f"an absolute path; relative ones start at {Path.cwd()}"
        raise_error(f"{place} must exist", "nothing is there", attempt, FileNotFoundError)
    if not os.path.isfile(place):
        raise_error(f"{place} must be a regular file", "it is a device or a pipe", "copying its content to a file")
    if not os.access(place, os.R_OK):
        raise_error(f"{place} must be readable", "its permissions forbid it", f"chmod +r {place}", PermissionError)
    return place


def names_in(folder: Path) -> list[str]:
    """List the names in a folder, none if it may not be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def is_compressed(file: BinaryIO) -> bool:
    """Tell whether an open file begins as gzip does, and go back to its start."""
    start = file.read(2)
    file.seek(0)
    return start == b"\x1f\x8b"


def pieces(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the content of an open file piece by piece, decompressed where it is gzip.

    Raises `ValueError` with an offset when the gzip stream is damaged, incomplete or followed by other bytes.
    """
    if not is_compressed(file):
        while piece := file.read(PIECE):
            yield piece
        return
    member = zlib.decompressobj(wbits=31)
    offset = 0
    while chunk := file.read(CHUNK):
        rest = chunk
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                piece = member.decompress(rest, PIECE)
            except zlib.error as error:
                reason = str(error).rpartition(": ")[2]
                raise_error(
                    f"{path} must be an intact gzip file",
                    f"decompression fails between byte {offset} and byte {offset + len(chunk)} ({reason})",
                    "fetching the file again, and gunzip -t to test it",
                )
            if piece:
                yield piece
            rest = member.unused_data if member.eof else member.unconsumed_tail
        offset += len(chunk)
    if not member.eof:
        raise_error(
            f"{path} must be a complete gzip file",
            f"it breaks off at byte {offset}, before the end of its compressed data",
            "fetching the file again, and gunzip -t to test it",
        )
