r"""The sweep: from a list of experiments to a table of results.

Experiments of one structure become one compiled program, whatever their numbers. Rows are written to the store as
trials end, so that a sweep which is interrupted, by whatever, goes on from there when it is called again.
"""

import contextlib
import hashlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import raise_error
from funcnet.results.rows import Row
from funcnet.results.table import Results
from funcnet.sweeps.checks import checked, checked_data
from funcnet.sweeps.describe import data_hash, describe_experiment
from funcnet.sweeps.devices import available_cores, idle_cores_hint
from funcnet.sweeps.engine import Engine, Interrupted, Options, Trial, groups
from funcnet.sweeps.halving import Halving
from funcnet.sweeps.hosts import agreed, spans_processes
from funcnet.sweeps.lanes import lanes_for
from funcnet.sweeps.progress import Progress
from funcnet.sweeps.store import Finished, Store, Writer
from funcnet.training.experiment import Experiment
from funcnet.training.state import Data, monitored


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep; `results` holds the rows that are there, the others as "waiting"."""

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message)
        self.results = results


def sweep(
    experiments: Sequence[Experiment],
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    store: Any = None,
    progress: bool = True,
    executor: Executor | None = None,
    *,
    halving: Halving | None = None,
    keep: str = "params",
    own_order: bool = False,
    lanes: int | None = None,
    segment: int | None = None,
    devices: Sequence[Any] | None = None,
) -> Results:
    r"""Train many experiments in a few compiled programs, and return a row for each, in the order given.

    A trial's row does not depend, to the bit, on the order of the experiments, on their number, on the other
    trials, or on the number of devices. Its metrics are those of its best epoch (by the early stopping's metric, else
    validation loss, else train loss), with which its parameters are kept; `test` is measured with these.

    Args:
        experiments: from `grid`, `sample` or by hand; duplicates run once and are reported twice.
        train: features (samples, features) of a floating dtype, and targets.
        validation: a held-out set, measured after every epoch, or None.
        test: a set that decides nothing, measured once for each trial, or None.
        store: the path of a file that keeps the rows; what it holds already is not run again. None: a temporary one.
        progress: whether to show a line with the rate, the time left and the best so far.
        executor: a `concurrent.futures.Executor` whose workers run the chunks; None runs them here.
        halving: when to compare trials and let the best go on, or None.
        keep: "metrics", "params" (the best of each trial) or "state" (also the final state, so that raising
            `epochs` later continues from there).
        own_order: whether each trial draws its own order of the samples from its `data_seed`, which costs several times
            the time; by default trials with one `data_seed` share one order.
        lanes: trials a device runs side by side; None chooses by their size. Rows of different widths may differ in
            the last bit.
        segment: epochs between two looks at the trials; None chooses.
        devices: None for all local ones; `jax.devices()` for those of all processes that `jax.distributed` has joined,
            each of which makes the same call: the first one writes the store.

    Returns:
        `Results`: a table, the best row, parameters, curves, summaries, exports and a report.

    Raises:
        ValueError, TypeError: before anything compiles, when something does not fit; the message names the trial.
        SweepInterrupted: after Ctrl-C, at the end of the segment; everything that had ended is in the store.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.001, 0.5], "seed": range(2)})
    >>> results = fn.sweep(trials, train=(x, 3 * x + 1), progress=False)
    >>> best = results.best("train_loss")
    >>> print(results.table()["optimizer.learning_rate"][best], results.params(best)["bias"])
    0.5 [1.]

    """
    given = checked(experiments, halving, keep, lanes=lanes, segment=segment)
    data, tested = checked_data(given, train, validation, test, halving)
    every = [Trial.of(experiment) for experiment in given]
    keys = [trial.key for trial in every]
    chosen = tuple(jax.local_devices() if devices is None else devices)
    context = "" if halving is None else _context(halving, keys)
    metric = monitored(given[0], validation is not None)
    together = spans_processes(chosen)
    leads = not together or jax.process_index() == 0
    store_ = store if isinstance(store, Store) else Store(store if leads else None)
    store_.bind(data_hash((data, tested)))
    with store_.locked(), _ctrl_c() as interrupted:
        done = store_.rows(keys, context)
        if together:
            known = agreed(np.asarray([key in done for key in keys]))
            theirs = Row("", "waiting", 0, -1, None, 0.0, {})  # the first process has the row
            done = {key: done.get(key, theirs) for key, there in zip(keys, known, strict=True) if there}
        trials = {trial.key: trial for trial in every if trial.key not in done}
        del every
        _adopt_ended(store_, trials)
        total_epochs = sum(trial.experiment.epochs for trial in trials.values())
        shown = Progress(len(set(keys)), total_epochs, metric, enabled=progress and leads)
        shown.skip(len(set(keys)) - len(trials))
        options = Options(keep, lanes, segment, own_order, context, interrupted, shown.update)
        try:
            with Writer(store_) as write:
                if executor is not None:
                    _run_elsewhere(trials, data, tested, options, write, executor, halving)
                elif trials:
                    shown.say(idle_cores_hint(chosen))
                    _run_here(trials, data, tested, chosen, options, store_, write, halving, (keys, given))
        except (Interrupted, KeyboardInterrupt):
            shown.show(last=True)
            message = f"stopped with {store_.count()} rows in {store_.path}; the same call with this store goes on"
            raise SweepInterrupted(message, _results(given, keys, store_, context)) from None
        shown.show(last=True)
    return _results(given, keys, store_, context)


def _results(given: list[Experiment], keys: list[str], store: Store, context: str) -> Results:
    found = store.rows(keys, context)
    waiting = Row("", "waiting", 0, -1, None, 0.0, {})
    rows = [found.get(key, waiting._replace(hash=key)) for key in keys]
    return Results(given, rows, lambda i: store.curves(keys[i]), lambda i: store.params(keys[i]))


def _run_here(
    trials: dict[str, Trial],
    data: Data,
    test: Any,
    devices: tuple[Any, ...],
    options: Options,
    store: Store,
    write: Writer,
    halving: Halving | None,
    everyone: tuple[list[str], list[Experiment]],
) -> None:
    """Run all trials on this process's devices."""
    engines = []
    for group in groups(list(trials.values()), options.own_order):
        engine = Engine(group, data, test, devices, options, write)
        kept = store.resumable(trial.trajectory for trial in group)
        for trial in list(engine.waiting):
            key, epochs = kept.get(trial.trajectory, ("", 0))
            if key and epochs < trial.experiment.epochs:
                engine.waiting.remove(trial)
                engine.resume(trial, store.state(key), store.curves(key), epochs)
        engines.append(engine)
    longest = max(experiment.epochs for experiment in everyone[1])
    with _compiled_ahead(engines) as ready:
        for rung in halving.rungs(longest) if halving is not None else []:
            for engine in engines:
                ready(engine)
                engine.advance(rung)
            write.wait()
            survivors = _survivors(rung, engines, store, halving, everyone[0], options.context)
            for engine in engines:
                engine.drop(rung, survivors)
        for engine in engines:
            ready(engine)
            engine.advance()


@contextlib.contextmanager
def _compiled_ahead(engines: list[Engine]) -> Iterator[Any]:
    """Compile the programs of several engines in the background, in turn, while the first of them run already."""
    first = {id(engine.programs): engine for engine in reversed(engines)}
    if len(first) == 1:
        yield lambda engine: None
        return
    pool = ThreadPoolExecutor(min(2, available_cores()))
    futures = {id(e.programs): pool.submit(e.warm) for e in engines if first[id(e.programs)] is e}
    try:
        yield lambda engine: futures[id(engine.programs)].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _survivors(rung: int, engines: list[Engine], store: Store, halving: Any, keys: list[str], context: str) -> set[str]:
    """Compare all trials that have reached a rung, those of an earlier, interrupted call included."""
    values = {t.key: t.column(halving.metric)[rung - 1] for e in engines for t in e.standing_at(rung)}
    for key, row in store.rows(keys, context).items():
        if row.epochs > rung or (row.epochs == rung and row.stopped == "halved"):
            values[key] = store.curves(key)[halving.metric][rung - 1]
    order = [key for key in dict.fromkeys(keys) if key in values]
    return halving.survivors(order, [values[key] for key in order])


def _adopt_ended(store: Store, trials: dict[str, Trial]) -> None:
    """Take over the rows of trials that differ in `epochs` alone and had ended before either limit."""
    found = store.ended({trial.trajectory: key for key, trial in trials.items()})
    for key, (other, epochs) in found.items():
        if epochs <= trials[key].experiment.epochs:
            store.copy(other, key, describe_experiment(trials[key].experiment))
            del trials[key]


def _run_elsewhere(
    trials: dict[str, Trial],
    data: Data,
    test: Any,
    options: Options,
    write: Writer,
    executor: Executor,
    halving: Halving | None,
) -> None:
    """Let an executor's workers run chunks of trials; this process alone writes the store."""
    if halving is not None:
        raise_error(
            "halving compares all trials, so they must run in one process",
            "got an executor with it",
            "executor=None, or halving=None",
        )
    arrays = jax.tree.map(np.asarray, (tuple(data), test))
    futures = []
    for group in groups(list(trials.values()), options.own_order):
        size = 4 * (options.lanes or lanes_for(group[0].experiment, data, jax.default_backend()))
        for start in range(0, len(group), size):
            part = [trial.experiment for trial in group[start : start + size]]
            plain = (options.keep, options.lanes, options.segment, options.own_order)
            futures.append(executor.submit(run_part, part, arrays, plain))
    try:
        for future in as_completed(futures):
            finished = future.result()
            write(finished)
            options.progress(finished, sum(trial.epochs for trial in finished))
            if options.interrupted():
                raise Interrupted
    finally:
        for future in futures:
            future.cancel()


def run_part(part: list[Experiment], arrays: Any, plain: tuple[Any, ...]) -> list[Finished]:
    """Run some trials of one structure to their ends: what a worker of an executor does."""
    fields, test = jax.tree.map(jnp.asarray, arrays)
    found: list[Finished] = []
    options = Options(*plain)
    trials = [Trial.of(experiment) for experiment in part]
    Engine(trials, Data(*fields), test, tuple(jax.local_devices()), options, found.extend).advance()
    return found


def _context(halving: Halving, keys: list[str]) -> str:
    words = f"{halving} {sorted(set(keys))}"
    return hashlib.sha256(words.encode()).hexdigest()[:32]


@contextlib.contextmanager
def _ctrl_c() -> Iterator[Any]:
    """Turn the first Ctrl-C into a wish that is granted at the next segment; the second one acts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
