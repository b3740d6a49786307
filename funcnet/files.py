r"""Paths in words, and files that are whole or absent."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

from funcnet.errors import describe, raise_error


def as_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return `path` as a `Path`, a leading ~ for the home folder; `TypeError`, `ValueError` for what names no place."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise_error("a path must be a string or a pathlib.Path", f"got {describe(path)}", "str(path)", TypeError)
    try:
        os.fsencode(path)
        place = pathlib.Path(path).expanduser()
        if "\0" in str(place):
            raise ValueError
    except (ValueError, RuntimeError):  # lone surrogates, NUL, a home that is unknown
        raise_error("a path must be one that the file system can have", f"got {describe(path)}", "letters and digits")
    return place


def write_whole(path: str | os.PathLike[str], write: Callable[[Any], None], *, binary: bool = False) -> None:
    """Write a file so that its name leads to the old one or to all of the new one, never to a part.

    The new one is written beside the old one, carried to the disk, and takes its name at last; what stops it before,
    a full disk or a kill, leaves the old one as it was.

    Args:
        path: where the file goes; a link is followed, the permissions of an old file stay.
        write: what writes the content into the open file.
        binary: whether the file takes bytes, not text in UTF-8.

    Raises:
        OSError: in words, of the kind that the system reports.

    """
    target = pathlib.Path(os.path.realpath(as_path(path)))
    if os.path.isdir(target):
        raise_error(f"{target} must be a file", "it is a folder", f"{target / 'params'}", IsADirectoryError)
    if os.path.exists(target) and not os.path.isfile(target):
        raise_error(f"{target} must be a regular file", "it is a device or a pipe", "the path of a file", OSError)
    beside = target.with_name(f".{uuid.uuid4().hex}.part")
    # A lone surrogate, which no file can hold, is written as \udc80.
    text = {"mode": "x", "encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    options: dict[str, Any] = {"mode": "xb"} if binary else text
    try:
        with open(beside, **options) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(beside, target.stat().st_mode & 0o7777)
        os.replace(beside, target)
        _keep_name(target.parent)
    except OSError as error:
        attempt = (
            "a folder that exists" if isinstance(error, FileNotFoundError) else "another place, or room on the disk"
        )
        raise_error(f"{target} must be writable", f"{error.strerror or type(error).__name__}", attempt, type(error))
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _keep_name(folder: pathlib.Path) -> None:
    """Carry a folder's names to the disk, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
