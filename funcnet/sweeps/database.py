r"""A SQLite file that one process writes: where it stands, its lock, and its errors in words."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from funcnet.errors import describe, raise_error


class Database:
    """A file under a path, or a temporary one; pickled, a path leads to the file, a temporary one goes along."""

    TABLES = ""

    def __init__(self, path: Any = None, *, reading: bool = False, content: bytes | None = None) -> None:
        self.temporary = path is None
        folder = tempfile.mkdtemp(prefix="funcnet-sweep-") if path is None else None
        self.path = _checked_path(path) if folder is None else pathlib.Path(folder) / "sweep.sqlite"
        if reading and not os.path.exists(self.path):
            raise_error("a store must be there to be read", f"got {self.path}", "its new path", FileNotFoundError)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                self.path.write_bytes(content)
            self._database, self.writable = self._open(reading)
            self._identity = _identity(self.path)
        except (sqlite3.Error, OSError) as error:
            _refuse(self.path, str(error))
        weakref.finalize(self, _close, self._database, folder)

    def _open(self, reading: bool) -> tuple[sqlite3.Connection, bool]:
        """Connect, and tell whether rows may be written."""
        # SQLite keeps its journal beside the file: where that cannot be written, a file can only be read, as it stands.
        beside = os.access(self.path.parent, os.W_OK)
        writable = not reading and beside and (not os.path.exists(self.path) or os.access(self.path, os.W_OK))
        standing = not beside and not self.path.with_name(self.path.name + "-wal").exists()
        mode = "rwc" if writable else "ro&immutable=1" if standing else "ro"
        address = f"{self.path.resolve().as_uri()}?mode={mode}"
        database = sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False)
        database.isolation_level = None
        if writable:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.executescript(self.TABLES)
        return database, writable

    def __reduce__(self) -> Any:
        if self.temporary:
            return _restored, (type(self), None, self._database.serialize())
        return _restored, (type(self), str(self.path.resolve()), None)

    @contextlib.contextmanager
    def locked(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the file for writing; a second process is refused."""
        if not self.writable:
            yield
            return
        # The lock is another database, held in an exclusive transaction: it works wherever SQLite does, leaves the
        # rows readable, and is gone when the process is, however that ends.
        path = self.path.with_name(self.path.name + ".lock")
        holder = None
        try:
            holder = sqlite3.connect(path, timeout=wait, isolation_level=None)
            holder.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if holder is not None:
                holder.close()
            if "locked" not in str(error):
                _refuse(self.path, str(error))
            raise_error(
                "one process at a time writes a store",
                f"another one is writing {self.path}",
                "waiting for it to end, or another file",
                RuntimeError,
            )
        try:
            yield
        finally:
            holder.close()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, if the file is still the one that was opened."""
        # SQLite would go on in a file that has no name any more, and lose what it writes.
        if _identity(self.path) != self._identity:
            _refuse(self.path, "the file is not there any more")
        try:
            yield self._database
        except sqlite3.Error as error:
            _refuse(self.path, str(error))

    def read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query."""
        with self._connected() as database:
            return database.execute(query, values).fetchall()

    def read_among(self, query: str, names: Iterable[str], *values: str) -> Iterator[Any]:
        """Run a query for some hundred names at a time, which stand where it says {names}."""
        wanted = list(dict.fromkeys(names))
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            yield from self.read(query.format(names=", ".join("?" * len(some))), (*some, *values))

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction: all of it is written, or nothing."""
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise

    def require_writable(self) -> None:
        """Raise `OSError` if nothing can be written, before anything is computed."""
        if not self.writable:
            _refuse(self.path, "attempt to write a readonly database")


def _restored(kind: type[Database], path: str | None, content: bytes | None) -> Database:
    return kind(path, reading=path is not None, content=content)


def _checked_path(path: Any) -> pathlib.Path:
    """Return a path to a file, with ~ for the user's folder."""
    advice = 'store="sweep.sqlite"'
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise_error("store must be the path of a file", f"got {describe(path)}", advice, TypeError)
    if "\0" in text:
        raise_error("store must be the path of a file", "a character of it is NUL", advice)
    try:
        found = pathlib.Path(text).expanduser()
    except RuntimeError:
        raise_error("~ in a store's path must be a user's folder", f"there is none for {text}", advice)
    if os.path.isdir(found):
        raise_error("store must be a file", f"got the folder {found}", f"{found / 'sweep.sqlite'}")
    return found


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(database: sqlite3.Connection, folder: str | None) -> None:
    """Close a file when nobody can reach it any more; a temporary one is removed."""
    with contextlib.suppress(sqlite3.Error):
        database.close()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse(path: pathlib.Path, reason: str) -> NoReturn:
    words = reason.lower()
    if "full" in words:
        advice = "room on the disk, then the same sweep again: what was written stays"
    elif "not there any more" in words:
        advice = "fn.open_results(path) with its new path, or the same sweep again"
    elif any(sign in words for sign in ("readonly", "permission", "unable to open")):
        advice = "a file that may be written, or its folder's permissions"
    else:
        advice = "another file; a file that is no store of funcnet cannot be opened"
    raise_error("the store must be readable and writable", f"{path}: {reason}", advice, OSError)
