r"""Chunks of a sweep on the workers of an executor, whatever becomes of them."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.caching import keep_programs
from funcnet.errors import describe, raise_error
from funcnet.sweeps.chunks import Trial
from funcnet.sweeps.engine import Engine, Interrupted, Options
from funcnet.sweeps.store import Finished
from funcnet.training.experiment import Experiment
from funcnet.training.state import Data
from funcnet.trees import default_real

POLL_SECONDS = 0.1  # between two looks for Ctrl-C


class SweepFailed(RuntimeError):
    """An executor lost a chunk; `results` holds the rows that are there, the others as "waiting".

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     try:
    ...         results = fn.sweep([line], (x, 3 * x + 1), progress=False, executor=pool, timeout=600)
    ...     except fn.SweepFailed as failed:  # a worker died, or took too long
    ...         results = failed.results
    >>> len(results)
    1
    """

    results: Any = None


def check_executor(executor: Any, halving: Any) -> None:
    """Require an executor whose workers can compute."""
    if not isinstance(executor, Executor):
        must = "executor must be a concurrent.futures.Executor"
        raise_error(must, f"got {describe(executor)}", "dask.distributed.Client(…).get_executor()", TypeError)
    if halving is not None:
        must = "halving compares all trials, so they must run in one process"
        raise_error(must, "got an executor with it", "executor=None, or halving=None")
    # Only the pool knows how it makes its workers, and says so nowhere else.
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise_error(
            "the workers of a pool must be started anew, since JAX's threads do not survive a fork",
            "got a pool that forks",
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))',
        )


def run_elsewhere(
    parts: Iterable[Sequence[Trial]],
    data: tuple[Data, Any],
    options: Options,
    write: Callable[[list[Finished]], None],
    executor: Executor,
    timeout: float | None,
) -> None:
    """Let an executor's workers run chunks of trials; this process alone writes the store."""
    arrays = jax.tree.map(np.asarray, data)
    names = ("keep", "lanes", "segment", "own_order", "start")
    plain = {name: value for name, value in vars(options).items() if name in names}
    wide, stop = default_real() == np.float64, threading.Event()
    # The threads of this process see the wish to stop; other processes end their chunks, and nobody waits for them.
    shared = (lambda: stop.is_set() or options.interrupted(),) if isinstance(executor, ThreadPoolExecutor) else ()
    asked: dict[Future[Any], Sequence[Trial]] = {}
    try:
        for part in parts:
            experiments = [trial.experiment for trial in part]
            try:
                asked[executor.submit(run_part, experiments, arrays, plain, wide, *shared)] = part
            except (RuntimeError, OSError) as error:
                raise _failure(error) from error
        left, since = set(asked), time.monotonic()
        while left:
            done, left = wait(left, POLL_SECONDS, FIRST_COMPLETED)
            failed = None
            for future in done:
                try:
                    finished = checked_rows(future.result(), asked[future])
                except Exception as error:
                    failed = failed or error
                    continue
                write(finished)
                options.progress(finished, sum(trial.epochs for trial in finished))
            # A signal reaches the workers too, and may have ended them.
            if options.interrupted():
                raise Interrupted
            if failed is not None:
                raise _failure(failed) from failed
            since = time.monotonic() if done else since
            if timeout is not None and time.monotonic() - since > timeout:
                raise _failure(TimeoutError(f"no chunk has ended for {timeout:g} s"))
    finally:
        stop.set()
        for future in asked:
            future.cancel()


def run_part(
    part: list[Experiment],
    arrays: Any,
    plain: dict[str, Any],
    wide: bool,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[Finished]:
    """Run some trials of one structure to their ends: what a worker of an executor does."""
    keep_programs()
    with jax.enable_x64(wide):
        data, test = jax.tree.map(jnp.asarray, arrays)
        found: list[Finished] = []
        options = Options(**plain, interrupted=interrupted)
        trials = Trial.of(part)
        Engine(trials, data, test, tuple(jax.local_devices()), options, found.extend).advance()
        return found


def checked_rows(found: Any, asked: Sequence[Trial]) -> list[Finished]:
    """Return what a worker found, if it is a row for each trial that it was asked for."""
    if not isinstance(found, list) or not all(isinstance(row, Finished) for row in found):
        raise _Garbage(f"one returned {describe(found)}")
    if sorted(row.hash for row in found) != sorted(trial.key for trial in asked):
        raise _Garbage("one returned rows of other trials")
    return found


class _Garbage(Exception):
    """A worker returned what it was not asked for."""


def _failure(error: Exception) -> SweepFailed:
    """Say what became of a worker."""
    kind = type(error).__name__
    if isinstance(error, (_Garbage, TimeoutError)) and str(error):
        what = str(error)
    elif isinstance(error, BrokenExecutor):
        what = f"the pool broke ({kind}), as it does when a worker is killed or out of memory"
    else:
        what = f"one ended in {kind}"
    must, attempt = "every worker must return the rows that it was asked for", "the same call with the same store"
    return SweepFailed(f"{must}, but {what}. Try: another executor, and {attempt}: it goes on from the rows there.")
