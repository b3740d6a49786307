r"""The sweep: from a list of experiments to a table of results.

Experiments of one structure become one compiled program, whatever their numbers. Rows are written to the store as
trials end, so that a sweep which is interrupted, by whatever, goes on from there when it is called again.
"""

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from funcnet.caching import keep_programs
from funcnet.errors import describe, raise_error
from funcnet.interrupts import stop_requests
from funcnet.results.table import Results
from funcnet.results.varying import judged_apart
from funcnet.sweeps.checks import Job, checked_job
from funcnet.sweeps.chunks import Trial, groups
from funcnet.sweeps.devices import available_cores, idle_cores_hint, idle_lanes_hint
from funcnet.sweeps.engine import Engine, Interrupted, Options
from funcnet.sweeps.halving import Halving
from funcnet.sweeps.hosts import agreed, spans_processes
from funcnet.sweeps.lanes import lanes_for
from funcnet.sweeps.origin import origin_of
from funcnet.sweeps.progress import SweepProgress
from funcnet.sweeps.reopen import results_of
from funcnet.sweeps.store import Store, Writer
from funcnet.sweeps.workers import SweepFailed, check_executor, run_elsewhere
from funcnet.training.describe import data_hash, describe_experiment
from funcnet.training.experiment import Experiment
from funcnet.training.state import Data, monitored
from funcnet.trees import default_real


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a sweep; `results` holds the rows that are there, the others as "waiting".

    Args:
        message: what is said.
        results: the table, which is an attribute of the exception.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None)
    >>> try:
    ...     results = fn.sweep([line], (x, 3 * x + 1), progress=False)
    ... except fn.SweepInterrupted as stopped:  # Ctrl-C
    ...     results = stopped.results
    >>> len(results)
    1

    """

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
    devices: Any = None,
    timeout: float | None = None,
    start: Any = None,
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
        own_order: whether trials of several `data_seed` run side by side, each in its own order of the samples; by
            default those of one `data_seed` share its order, which saves about a tenth of the time (measured: 1.12).
        lanes: trials a device runs side by side; None chooses by their size. Rows of different widths may differ in
            the last bit.
        segment: epochs between two looks at the trials; None chooses.
        devices: None for all local ones; `jax.devices()` for those of all processes that `jax.distributed` has joined,
            each of which makes the same call: the first one writes the store.
        timeout: the most seconds that the sweep waits for the next chunk of an executor; None has no limit.
        start: parameters from which every trial begins, as in `fn.train`: a tree like the networks', or a dictionary
            from dotted paths to parts of one, the rest drawn from the seed. None draws all.

    Returns:
        `Results`: a table, the best row, parameters, curves, summaries, exports and a report.

    Raises:
        ValueError, TypeError: before anything compiles, when something does not fit; the message names the trial.
        SweepInterrupted: after Ctrl-C or SIGTERM, at the end of the segment; everything that had ended is in the store.
        SweepFailed: when an executor's pool breaks, returns what it was not asked for, or passes `timeout`.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
    >>> trials = fn.grid(line, {"optimizer.learning_rate": [0.001, 0.5], "seed": range(2)})
    >>> results = fn.sweep(trials, train=(x, 3 * x + 1), progress=False)
    >>> best = results.best("train_loss")
    >>> print(results.table()["optimizer.learning_rate"][best], results.params(best)["bias"])
    0.5 [1.]

    """
    keep_programs()
    flags, counts = {"progress": progress, "own_order": own_order}, {"lanes": lanes, "segment": segment}
    sets = train, validation, test
    job = checked_job(experiments, sets, devices, halving=halving, keep=keep, flags=flags, counts=counts, start=start)
    _check_elsewhere(executor, halving, timeout)
    every = Trial.of(job.given)
    keys = [trial.key for trial in every]
    context = "" if halving is None else _context(halving, keys)
    together = spans_processes(job.devices)
    leads = not together or jax.process_index() == 0
    rows = store if isinstance(store, Store) else Store(store if leads else None)
    rows.bind(data_hash((job.data, job.test) if job.start is None else (job.data, job.test, job.start)))

    def so_far() -> Results:
        return results_of(job.given, keys, rows, context)

    with rows.locked(), stop_requests() as interrupted:
        there = _done(rows, keys, context, together)
        trials = {trial.key: trial for trial in every if trial.key not in there}
        del every
        if trials:
            rows.require_writable()
            rows.note(origin_of(job.data, job.test, job.devices))
        _adopt_ended(rows, trials)
        shown = _line(job, set(keys), trials, validation is not None, progress and leads)
        options = Options(keep, lanes, segment, own_order, context, interrupted, shown.update, job.start)
        try:
            with Writer(rows) as write:
                if executor is not None:
                    parts = _parts(trials, job.data, options)
                    run_elsewhere(parts, (job.data, job.test), options, write, executor, timeout)
                elif trials:
                    _run_here(trials, job, options, rows, write, halving, keys, shown.say)
        except (Interrupted, KeyboardInterrupt):
            raise SweepInterrupted(_words(rows), so_far()) from None
        except SweepFailed as error:
            error.results = so_far()
            raise
        finally:
            shown.show(last=True)
    return so_far()


def _check_elsewhere(executor: Any, halving: Any, timeout: Any) -> None:
    if executor is not None:
        check_executor(executor, halving)
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise_error("timeout must be a number of seconds above 0", f"got {describe(timeout)}", "timeout=600")


def _done(store: Store, keys: list[str], context: str, together: bool) -> set[str]:
    """Return the keys of trials that need not run; processes that work together take the first one's word."""
    done = set(store.rows(keys, context))
    if not together:
        return done
    return set(itertools.compress(keys, agreed(np.asarray([key in done for key in keys]))))


def _line(job: Job, keys: set[str], trials: dict[str, Trial], validated: bool, enabled: bool) -> SweepProgress:
    """Return the line of progress, at the place where the rows that are there put it."""
    epochs = sum(trial.experiment.epochs for trial in trials.values())
    shown = SweepProgress(len(keys), epochs, _shown_metric(job, validated), enabled=enabled)
    shown.skip(len(keys) - len(trials))
    return shown


def _shown_metric(job: Job, validated: bool) -> str:
    """Return the metric whose best value the progress line shows; none if there is no common one."""
    names = [monitored(job.given[0], validated), "validation_accuracy" if validated else "train_accuracy"]
    return next((name for name in names if not judged_apart(name, job.given)), "")


def _words(store: Store) -> str:
    if store.temporary:
        return 'stopped; with store="sweep.sqlite" the same call would go on from the rows that are there'
    return f"stopped with {store.count()} rows in {store.path}; the same call with this store goes on"


def _run_here(
    trials: dict[str, Trial],
    job: Job,
    options: Options,
    store: Store,
    write: Writer,
    halving: Halving | None,
    keys: list[str],
    say: Callable[[str], None],
) -> None:
    """Run all trials on this process's devices."""
    say(idle_cores_hint(job.devices))
    engines, hints = [], []
    for group in groups(list(trials.values()), options.own_order):
        engine = Engine(group, job.data, job.test, job.devices, options, write)
        kept = store.resumable(trial.trajectory for trial in group)
        engine.waiting.clear()
        for trial in group:
            key, epochs = kept.get(trial.trajectory, ("", 0))
            if key and epochs < trial.experiment.epochs:
                engine.resume(trial, store.state(key), store.curves(key), epochs)
            else:
                engine.waiting.append(trial)
        engines.append(engine)
        hints.append(idle_lanes_hint(len(group), engine.programs.width, len(job.devices)))
    if options.lanes is None:
        say(next(filter(None, hints), ""))
    longest = max(experiment.epochs for experiment in job.given)
    with _compiled_ahead(engines) as ready:
        for rung in halving.rungs(longest) if halving is not None else []:
            for engine in engines:
                ready(engine)
                engine.advance(rung)
            write.wait()
            survivors = _survivors(rung, engines, store, halving, keys, options.context)
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
    pool, wide = ThreadPoolExecutor(min(2, available_cores())), default_real() == np.float64

    def warm(engine: Engine) -> None:
        with jax.enable_x64(wide):  # the mode belongs to a thread
            engine.warm()

    futures = {id(e.programs): pool.submit(warm, e) for e in engines if first[id(e.programs)] is e}
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


def _parts(trials: dict[str, Trial], data: Data, options: Options) -> Iterator[list[Trial]]:
    """Cut the trials into chunks for an executor's workers, each of one program."""
    for group in groups(list(trials.values()), options.own_order):
        size = 4 * (options.lanes or lanes_for(group[0].experiment, data, jax.default_backend()))
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _context(halving: Halving, keys: list[str]) -> str:
    words = f"{halving} {sorted(set(keys))}"
    return hashlib.sha256(words.encode()).hexdigest()[:32]
