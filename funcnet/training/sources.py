r"""Sources: data that are read as they are needed.

A source is any object with `len(source)` and `source[rows]`, which returns a tuple (x, y) or (x, y, weight) for an
array of row numbers, in any order: a memory map, an HDF5 file, an Arrow table or a map-style data set is one line away.

The order of an epoch is that of data in memory. A thread reads the next batches while the device works on this one, so
that a source as fast as the device costs nothing, and memory does not grow with the data.
"""

import collections
import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from funcnet.arrays import check_set
from funcnet.errors import describe, raise_error
from funcnet.protocols import fits

AHEAD = 3  # batches, or blocks of them, that are read, or wait to be worked on
BLOCK_SECONDS = 0.1  # after which a block is given as it is: whoever waits for it, or to stop, does not wait for more


@runtime_checkable
class Source(Protocol):
    """Something with a length and rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any: ...


class SourceError(RuntimeError):
    """A source failed; `rows` are the row numbers that were asked for, and `run` is the run so far."""

    run: Any = None
    state: Any = None  # where the run stands

    def __init__(self, message: str, rows: np.ndarray) -> None:
        super().__init__(message)
        self.rows = rows


class Held:
    """Arrays in memory in the form of a source."""

    def __init__(self, arrays: tuple[Any, Any, Any]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return int(jax.tree.leaves(self.arrays[0])[0].shape[0])

    def __getitem__(self, rows: Any) -> tuple[Any, Any, Any]:
        found: tuple[Any, Any, Any] = jax.tree.map(lambda a: np.asarray(a)[rows], self.arrays)
        return found


def is_source(value: Any) -> bool:
    """Tell a source from arrays."""
    arrays = isinstance(value, (tuple, list, dict, str, bytes, np.ndarray, jax.Array))
    return not arrays and not isinstance(value, type) and fits(value, Source)


class Stream:
    """A source, checked: each read has the shapes and dtypes of the first, and features that the network takes."""

    check: Callable[[Any], None] | None = None  # of the features of each read: tokens in range, lengths

    def __init__(self, source: Any, name: str) -> None:
        self.source, self.name = source, name
        try:
            self.samples = len(source)
        except Exception:  # a sparse matrix says that its length is ambiguous
            must = f"{name} must be (x, y), or a source with a length"
            raise_error(must, f"got {describe(source)}", f"{name}=(x, y)", TypeError)
        if self.samples == 0:
            raise_error(f"{name} must hold at least one sample", "the source has length 0", "a source with rows")
        try:
            given = source[np.arange(min(2, self.samples))]
        except Exception as error:
            raise SourceError(
                f"{name} must give a tuple for an array of row numbers, but {type(error).__name__} was raised for the"
                " first rows. Try: source[np.arange(2)]",
                np.arange(min(2, self.samples)),
            ) from error
        self.example = check_set(given, name)
        self._kinds = _kinds(self.example)

    def read(self, rows: np.ndarray) -> tuple[Any, Any, Any]:
        """Return x, y and weight of some rows."""
        try:
            given = self.source[rows]
            x, y, *weight = given
        except Exception as error:
            words = f"{self.name} failed with {type(error).__name__} at {_rows(rows)}"
            raise SourceError(words, rows) from error
        found = jax.tree.map(np.asarray, (x, y, weight[0] if weight else None))
        lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(found)}
        if lengths != {(len(rows),)} or _kinds(found) != self._kinds:
            words = f"{self.name} gave other shapes or dtypes at {_rows(rows)} than for its first rows"
            raise SourceError(words, rows)
        if self.check is not None:
            try:
                self.check(found[0])
            except ValueError as error:
                raise SourceError(f"{self.name} at {_rows(rows)}: {error}", rows) from error
        return found

    def batches(self, batches: Iterable[np.ndarray]) -> Generator[tuple[Any, Any, Any], None, None]:
        """Read batches ahead on a thread."""
        return _ahead(self.read, batches)

    def blocks(self, batches: np.ndarray, most: int) -> Generator[tuple[Any, int], None, None]:
        """Read batches ahead on a thread; give up to so many at a time, stacked, and their number: fewer if slow."""
        left, given = iter(batches), 0
        with contextlib.closing(_ahead(lambda _: self._stacked(left, most), itertools.repeat(None))) as reading:
            while given < len(batches):
                block, count, error = next(reading)
                given += count
                if count:
                    yield block, count
                if error is not None:
                    raise error

    def _stacked(self, left: Iterator[np.ndarray], most: int) -> tuple[Any, int, SourceError | None]:
        """Read batches one by one into arrays with room for `most`, up to one that fails, and not for long."""
        block: Any = None
        count, began = 0, time.perf_counter()
        for rows in itertools.islice(left, most):
            try:
                found = self.read(rows)
            except SourceError as error:
                return block, count, error
            if block is None:
                block = jax.tree.map(lambda a: np.zeros((most, *a.shape), a.dtype), found)
            for whole, own in zip(jax.tree.leaves(block), jax.tree.leaves(found), strict=True):
                whole[count] = own
            count += 1
            if time.perf_counter() - began > BLOCK_SECONDS:
                break
        return block, count, None


def as_stream(value: Any, name: str) -> Stream:
    """Return a source, or arrays in the form of one, as a stream."""
    return Stream(value if is_source(value) else Held(check_set(value, name)), name)


def _ahead(read: Callable[[Any], Any], pieces: Iterable[Any]) -> Generator[Any, None, None]:
    """Read pieces on a thread, some of them ahead of whom they are given to."""
    waiting: collections.deque[Future[Any]] = collections.deque()
    with ThreadPoolExecutor(1, thread_name_prefix="funcnet-source") as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(read, piece))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _kinds(tree: Any) -> Any:
    return jax.tree.structure(tree), [(leaf.shape[1:], str(leaf.dtype)) for leaf in jax.tree.leaves(tree)]


def _rows(rows: np.ndarray) -> str:
    shown = ", ".join(map(str, rows[:8].tolist()))
    return f"rows {shown}" + (f" … ({len(rows)} rows)" if len(rows) > 8 else "")
