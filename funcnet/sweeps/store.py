r"""The store: one SQLite file, a row a finished trial, written in one transaction a chunk.

trials   hash, trajectory, context, experiment (JSON), stopped, epochs, best_epoch, first_bad_step, seconds,
         metrics (JSON), curves, params, state, versions (JSON), finished
about    format, data (hash), precision, platform

A row's key is the hash of its experiment; the file is bound to one set of data, one precision and one platform, and
refuses others with the reason. The journal is SQLite's write-ahead log: whatever moment the process dies at, the file
holds whole chunks only. While a sweep writes, the file is locked against a second writer. Arrays are cells that hold
numbers only, under a checksum; nothing is ever unpickled.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnet.errors import abridged, raise_error
from funcnet.io import from_bytes, to_bytes
from funcnet.results.rows import Row
from funcnet.sweeps.database import Database
from funcnet.sweeps.packing import as_json, sealed, unsealed
from funcnet.training.describe import describe_experiment
from funcnet.trees import default_real

FORMAT = "funcnet-sweep-2"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    hash TEXT PRIMARY KEY, trajectory TEXT NOT NULL, context TEXT NOT NULL, experiment TEXT NOT NULL,
    stopped TEXT NOT NULL, epochs INTEGER NOT NULL, best_epoch INTEGER NOT NULL, first_bad_step INTEGER,
    seconds REAL NOT NULL, metrics TEXT NOT NULL, curves BLOB NOT NULL, params BLOB, state BLOB,
    versions TEXT NOT NULL, finished REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_trajectory ON trials (trajectory);
"""
_CELLS = ("curves", "params", "state")
_ROW = "hash, stopped, epochs, best_epoch, first_bad_step, seconds, metrics"


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


class Store(Database):
    """Rows on disk."""

    TABLES = _TABLES

    # -- what the file is bound to ----------------------------------------------------------------

    def bind(self, data: str) -> None:
        """Note data, precision and platform in a new file; refuse a file that was made with others."""
        mine = {
            "format": FORMAT,
            "data": data,
            "precision": str(default_real()),
            "platform": jax.default_backend(),
        }
        found = self.about()
        reasons = {
            "format": "was written by an incompatible version of funcnet",
            "data": "holds trials on other data",
            "precision": "holds trials in another precision",
            "platform": "holds trials from another platform, whose last bits differ",
        }
        for name, reason in reasons.items():
            if found and found.get(name) != mine[name]:
                theirs, ours = abridged(str(found.get(name)), 16), abridged(mine[name], 16)
                raise_error(
                    "a store must belong to this sweep's data, precision and platform",
                    f"{self.path} {reason} ({name} {theirs}, now {ours})",
                    "another file, or the data it was made with",
                )
        if not found:
            with self.writing() as database:
                database.executemany("INSERT INTO about VALUES (?, ?)", mine.items())

    def about(self) -> dict[str, str]:
        """Return what the file is bound to; nothing if it is new."""
        return dict(self.read("SELECT name, value FROM about"))

    def note(self, origin: dict[str, str]) -> None:
        """Write down what the sweep is that fills the file: its data, devices and command, for reports."""
        with self.writing() as database:
            database.execute("INSERT OR REPLACE INTO about VALUES ('sweep', ?)", (json.dumps(origin),))

    def origin(self) -> dict[str, str]:
        """Return what was noted of the last sweep that ran, and when, and with which versions, its rows came to be."""
        noted: dict[str, str] = json.loads(self.about().get("sweep", "{}"))
        found = self.read("SELECT DISTINCT versions FROM trials ORDER BY finished")
        first, last = self.read("SELECT MIN(finished), MAX(finished) FROM trials")[0]
        if found:
            told = [", ".join(f"{name} {number}" for name, number in json.loads(line).items()) for (line,) in found]
            start, end = (time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment)) for moment in (first, last))
            when = f"{end} UTC" if start == end else f"{start} to {end} UTC"
            noted |= {"versions": "; ".join(told[:3]), "finished": when}
        return noted

    # -- rows ------------------------------------------------------------------------------------------

    def write(self, trials: Sequence[Finished]) -> None:
        """Write a chunk of trials: all of it, or none."""
        rows = [_written(trial) for trial in trials]
        with self.writing() as database:
            database.executemany(f"INSERT OR REPLACE INTO trials VALUES ({', '.join('?' * 15)})", rows)

    def rows(self, hashes: Iterable[str], context: str = "") -> dict[str, Row]:
        """Return the rows that are there, by hash; a verdict of another halving does not count."""
        query = f"SELECT {_ROW} FROM trials WHERE hash IN ({{names}}) AND (context = '' OR context = ?)"
        return {found[0]: _row(found) for found in self.read_among(query, hashes, context)}

    def everything(self) -> list[tuple[dict[str, Any], Row]]:
        """Return the description and the row of every trial, in the order in which they ended."""
        found = self.read(f"SELECT {_ROW}, experiment FROM trials ORDER BY finished, rowid")
        return [(json.loads(line[-1]), _row(line[:-1])) for line in found]

    def curves(self, key: str) -> dict[str, np.ndarray]:
        """Return the history of a trial, arrays by epoch."""
        found: dict[str, np.ndarray] = from_bytes(self._cell(key, "curves"))
        return found

    def params(self, key: str) -> Any:
        """Return the best parameters of a trial."""
        return from_bytes(self._cell(key, "params"))

    def state(self, key: str) -> dict[str, np.ndarray]:
        """Return the leaves of a trial's final state."""
        found: dict[str, np.ndarray] = from_bytes(self._cell(key, "state"))
        return found

    def _cell(self, key: str, column: str) -> bytes:
        found = self.read(f"SELECT {column} FROM trials WHERE hash = ?", (key,))
        if not found:
            raise_error("the trial must have ended", "the store has no row of it", "fn.sweep again, to finish it")
        if found[0][0] is None:
            raise_error(f"{column} must have been kept", "this sweep kept none", f'fn.sweep(…, keep="{column}")')
        return unsealed(key, found[0][0])

    def resumable(self, trajectories: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Return hash and epochs of the longest trial of each trajectory whose state was kept at its last epoch."""
        query = (
            "SELECT trajectory, hash, epochs FROM trials WHERE trajectory IN ({names})"
            " AND state IS NOT NULL AND stopped IN ('epochs', 'halved') ORDER BY epochs"
        )
        return {trajectory: (key, epochs) for trajectory, key, epochs in self.read_among(query, trajectories)}

    def ended(self, trajectories: dict[str, str]) -> dict[str, tuple[str, int]]:
        """Return hash and epochs of trials on these trajectories that a rule or a divergence ended, by key."""
        query = (
            "SELECT trajectory, hash, epochs FROM trials WHERE trajectory IN ({names})"
            " AND stopped NOT IN ('epochs', 'halved')"
        )
        found = self.read_among(query, trajectories)
        return {trajectories[trajectory]: (key, epochs) for trajectory, key, epochs in found}

    def copy(self, old: str, new: str, description: Any) -> None:
        """Write the row of a trial for another one, whose outcome is the same."""
        cells = self.read(f"SELECT {', '.join(_CELLS)} FROM trials WHERE hash = ?", (old,))[0]
        again = [None if cell is None else sealed(new, unsealed(old, cell)) for cell in cells]
        names = "trajectory, context, stopped, epochs, best_epoch, first_bad_step, seconds, metrics, versions, finished"
        with self.writing() as database:
            database.execute(
                f"INSERT OR REPLACE INTO trials (hash, experiment, {', '.join(_CELLS)}, {names})"
                f" SELECT ?, ?, ?, ?, ?, {names} FROM trials WHERE hash = ?",
                (new, as_json(description), *again, old),
            )

    def count(self) -> int:
        """Return the number of rows."""
        return int(self.read("SELECT COUNT(*) FROM trials")[0][0])


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


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    import jaxlib.version

    own = sys.modules["funcnet"].__version__  # the roof, which a room does not import
    return {"funcnet": own, "jax": jax.__version__, "jaxlib": jaxlib.version.__version__, "numpy": np.__version__}


def _written(t: Finished) -> tuple[Any, ...]:
    """Return a trial as the table of trials has it."""
    curves = sealed(t.hash, to_bytes(jax.tree.map(np.asarray, t.curves)))
    params = None if t.params is None else sealed(t.hash, to_bytes(jax.tree.map(np.asarray, t.params)))
    state = None if t.state is None else sealed(t.hash, to_bytes(jax.tree.map(np.asarray, t.state)))
    name = t.hash, t.trajectory, t.context, as_json(describe_experiment(t.experiment))
    ending = t.stopped, t.epochs, t.best_epoch, t.first_bad_step, t.seconds, as_json(t.metrics)
    return *name, *ending, curves, params, state, json.dumps(versions()), time.time()


def _row(found: Sequence[Any]) -> Row:
    return Row._make((*found[:-1], json.loads(found[-1])))
