r"""The store: one SQLite file, a row a finished trial, written in one transaction a chunk.

trials   hash, trajectory, context, experiment (JSON), stopped, epochs, best_epoch, first_bad_step, seconds,
         metrics (JSON), curves, params, state, versions (JSON), finished
about    format, data (hash), precision, platform

A row's key is the hash of its experiment; the file is bound to one set of data, one precision and one platform, and
refuses others with the reason. The journal is SQLite's write-ahead log: whatever moment the process dies at, the file
holds whole chunks only. While a sweep writes, the file is locked against a second writer. Arrays are NumPy archives
that hold numbers only; nothing is ever unpickled.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import raise_error
from funcnet.io import outline, rebuild
from funcnet.results.rows import Row
from funcnet.sweeps.describe import describe_experiment, real_dtype

FORMAT = "funcnet-sweep-1"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    hash TEXT PRIMARY KEY, trajectory TEXT NOT NULL, context TEXT NOT NULL, experiment TEXT NOT NULL,
    stopped TEXT NOT NULL, epochs INTEGER NOT NULL, best_epoch INTEGER NOT NULL, first_bad_step INTEGER,
    seconds REAL NOT NULL, metrics TEXT NOT NULL, curves BLOB NOT NULL, params BLOB, state BLOB,
    versions TEXT NOT NULL, finished REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_trajectory ON trials (trajectory);
"""


class Finished(NamedTuple):
    """A trial that has ended, as the engine hands it to the store."""

    hash: str
    trajectory: str
    context: str  # empty, or what a halving's verdict depended on
    experiment: Any
    stopped: str
    epochs: int
    best_epoch: int
    first_bad_step: int | None
    seconds: float
    metrics: dict[str, float]
    curves: dict[str, np.ndarray]
    params: Any  # the best ones, or None
    state: Any  # leaves of the final state, or None


class Store:
    """Rows on disk; used as a context, it is locked for writing."""

    def __init__(self, path: Any = None) -> None:
        folder = tempfile.mkdtemp(prefix="funcnet-sweep-") if path is None else None
        path = path if folder is None else pathlib.Path(folder) / "sweep.sqlite"
        self.path = pathlib.Path(path)
        if self.path.is_dir():
            raise_error("store must be a file", f"got the folder {self.path}", f"{self.path / 'sweep.sqlite'}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._open()
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self.path, error) from error
        weakref.finalize(self, _close, self._database, folder)

    def _open(self) -> sqlite3.Connection:
        writable = os.access(self.path if self.path.exists() else self.path.parent, os.W_OK)
        mode = "rwc" if writable else "ro"
        database = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30, check_same_thread=False
        )
        database.isolation_level = None
        if writable:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.executescript(_TABLES)
        return database

    # -- what the file is bound to ----------------------------------------------------------------

    def bind(self, data: str, force_platform: str | None = None) -> None:
        """Note data, precision and platform in a new file; refuse a file that was made with others."""
        mine = {
            "format": FORMAT,
            "data": data,
            "precision": str(real_dtype()),
            "platform": force_platform or jax.default_backend(),
        }
        found = dict(self._database.execute("SELECT name, value FROM about"))
        reasons = {
            "format": "was written by an incompatible version of funcnet",
            "data": "holds trials on other data",
            "precision": "holds trials in another precision",
            "platform": "holds trials from another platform, whose last bits differ",
        }
        for name, reason in reasons.items():
            if found and found.get(name) != mine[name]:
                raise_error(
                    "a store must belong to this sweep's data, precision and platform",
                    f"{self.path} {reason} ({name} {found.get(name)}, now {mine[name]})",
                    "another file, or the data it was made with",
                )
        if not found:
            with self._writing() as database:
                database.executemany("INSERT INTO about VALUES (?, ?)", mine.items())

    @contextlib.contextmanager
    def locked(self, wait: float = 0.0) -> Iterator["Store"]:
        """Hold the file for writing; a second process is refused."""
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
                raise _unusable(self.path, error) from error
            raise_error(
                "one process at a time writes a store",
                f"another one is writing {self.path}",
                "waiting for it to end, or another file",
                RuntimeError,
            )
        try:
            yield self
        finally:
            holder.close()

    # -- rows ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def write(self, trials: Sequence[Finished]) -> None:
        """Write a chunk of trials: all of it, or none."""
        rows = [
            (
                *(
                    t.hash,
                    t.trajectory,
                    t.context,
                    json.dumps(describe_experiment(t.experiment), ensure_ascii=False),
                    t.stopped,
                ),
                *(t.epochs, t.best_epoch, t.first_bad_step, t.seconds, json.dumps(t.metrics)),
                *(pack(t.curves), None if t.params is None else pack_tree(t.params)),
                *(None if t.state is None else pack(t.state), json.dumps(versions()), time.time()),
            )
            for t in trials
        ]
        with self._writing() as database:
            database.executemany(f"INSERT OR REPLACE INTO trials VALUES ({', '.join('?' * 15)})", rows)

    def rows(self, hashes: Iterable[str], context: str = "") -> dict[str, Row]:
        """Return the rows that are there, by hash; a verdict of another halving does not count."""
        wanted, found = list(dict.fromkeys(hashes)), {}
        query = "SELECT hash, stopped, epochs, best_epoch, first_bad_step, seconds, metrics FROM trials WHERE"
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            marks = ", ".join("?" * len(some))
            for row in self._database.execute(
                f"{query} hash IN ({marks}) AND (context = '' OR context = ?)", (*some, context)
            ):
                key, stopped, epochs, best, bad, seconds, metrics = row
                found[key] = Row(key, stopped, epochs, best, bad, seconds, json.loads(metrics))
        return found

    def curves(self, key: str) -> dict[str, np.ndarray]:
        """Return the history of a trial, arrays by epoch."""
        return unpack(self._cell(key, "curves"))

    def params(self, key: str) -> Any:
        """Return the best parameters of a trial."""
        cell = self._cell(key, "params")
        if cell is None:
            raise_error("parameters must have been kept", "this sweep kept none", 'fn.sweep(…, keep="params")')
        return unpack_tree(cell)

    def resumable(self, trajectories: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Return hash and epochs of the longest trial of each trajectory whose state was kept at its last epoch."""
        wanted, found = list(dict.fromkeys(trajectories)), {}
        query = (
            "SELECT trajectory, hash, epochs FROM trials WHERE state IS NOT NULL AND stopped IN ('epochs', 'halved')"
        )
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            for trajectory, key, epochs in self._database.execute(
                f"{query} AND trajectory IN ({', '.join('?' * len(some))}) ORDER BY epochs", some
            ):
                found[trajectory] = (key, epochs)
        return found

    def ended(self, trajectories: dict[str, str]) -> dict[str, tuple[str, int]]:
        """Return hash and epochs of trials on these trajectories that a rule or a divergence ended, by key."""
        wanted, found = list(trajectories), {}
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            for trajectory, key, epochs in self._database.execute(
                "SELECT trajectory, hash, epochs FROM trials WHERE stopped IN ('patience', 'tolerance', 'diverged')"
                f" AND trajectory IN ({', '.join('?' * len(some))})",
                some,
            ):
                found[trajectories[trajectory]] = (key, epochs)
        return found

    def copy(self, old: str, new: str, description: Any) -> None:
        """Write the row of a trial for another one, whose outcome is the same."""
        names = (
            "trajectory, context, stopped, epochs, best_epoch, first_bad_step, seconds, metrics, curves, params, state"
        )
        with self._writing() as database:
            database.execute(
                f"INSERT OR REPLACE INTO trials (hash, experiment, {names}, versions, finished)"
                f" SELECT ?, ?, {names}, versions, finished FROM trials WHERE hash = ?",
                (new, json.dumps(description, ensure_ascii=False), old),
            )

    def state(self, key: str) -> dict[str, np.ndarray]:
        """Return the leaves of a trial's final state."""
        return unpack(self._cell(key, "state"))

    def _cell(self, key: str, column: str) -> Any:
        found = self._database.execute(f"SELECT {column} FROM trials WHERE hash = ?", (key,)).fetchone()
        if found is None:
            raise_error("the trial must have ended", "the store has no row of it", "fn.sweep again, to finish it")
        return found[0]

    def count(self) -> int:
        """Return the number of rows."""
        return int(self._database.execute("SELECT COUNT(*) FROM trials").fetchone()[0])


class Writer:
    """Writes chunks one after the other beside the sweep, which goes on computing; at most one waits."""

    def __init__(self, store: Store) -> None:
        self._store, self._pool = store, ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def __call__(self, trials: list[Finished]) -> None:
        """Hand over a chunk; what went wrong with the one before is raised here."""
        self.wait()
        self._pending = self._pool.submit(self._store.write, trials)

    def wait(self) -> None:
        """Wait until all that was handed over is in the file."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            self.wait()
        finally:
            self._pool.shutdown()


def _close(database: sqlite3.Connection, folder: str | None) -> None:
    """Close a file when nobody can reach it any more; a temporary one is removed."""
    with contextlib.suppress(sqlite3.Error):
        database.close()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    import jaxlib.version

    return {"jax": jax.__version__, "jaxlib": jaxlib.version.__version__, "numpy": np.__version__}


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


def _unusable(path: pathlib.Path, error: Exception) -> OSError:
    text = str(error).lower()
    if "full" in text:
        advice = "room on the disk, then the same sweep again: what was written stays"
    elif "readonly" in text or "permission" in text or "unable to open" in text:
        advice = "a file that may be written, or its folder's permissions"
    else:
        advice = "another file; a file that is no store of funcnet cannot be opened"
    return OSError(f"the store must be readable and writable, but {path}: {error}. Try: {advice}.")
