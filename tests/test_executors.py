"""Executors that fail: garbage, rows of others, killed and hanging workers, forks; and Ctrl-C while threads compute."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import jax
import numpy as np
import pytest
from test_sweep import BASE, TEST, TRAIN, VALIDATION, fingerprints, sweep

import funcnet as fn
from funcnet.sweeps.checks import checked_data
from funcnet.sweeps.chunks import Trial
from funcnet.sweeps.workers import run_part

TRIALS = fn.grid(BASE, {"seed": range(20)})  # two chunks of 4 lanes on 2 devices, and some


class Theirs(Executor):
    """An executor that calls another function in the place of the one it is asked for."""

    def __init__(self, function):
        self.function = function

    def submit(self, function, /, *arguments, **options):
        future = Future()
        try:
            future.set_result(self.function(function, *arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def other_rows(function, part, *rest):
    """Return rows of trials that were not asked for."""
    return function([fn.replace(trial, {"seed": 99 + i}) for i, trial in enumerate(part)], *rest)


def fails(function, *arguments):
    raise KeyError("data that no message should hold")


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda *_: None, "one returned None"),
        (lambda *_: {"rows": 1}, "one returned a dict of 1"),
        (lambda *_: [1, 2], "one returned a list of 2"),
        (other_rows, "rows of other trials"),
        (lambda function, *rest: function(*rest)[1:], "rows of other trials"),
        (lambda function, *rest: function(*rest) * 2, "rows of other trials"),
        (fails, "one ended in KeyError. Try"),
    ],
)
def test_what_was_not_asked_for_is_not_taken(function, match, tmp_path):
    """The sweep ends in a sentence with what it has; the same store goes on."""
    path = tmp_path / "sweep.sqlite"
    with pytest.raises(fn.SweepFailed, match=match) as caught:
        sweep(TRIALS[:3], store=path, executor=Theirs(function))
    assert len(str(caught.value)) <= 300
    assert [row.stopped for row in caught.value.results.rows] == ["waiting"] * 3
    assert fingerprints(sweep(TRIALS[:3], store=path)) == fingerprints(sweep(TRIALS[:3]))


def test_rows_that_came_before_a_failure_stay(tmp_path):
    """The first chunk is in the store when the second one fails."""
    calls, path = [], tmp_path / "sweep.sqlite"

    def second_fails(function, *arguments):
        calls.append(1)
        return function(*arguments) if len(calls) == 1 else None

    with pytest.raises(fn.SweepFailed) as caught:
        sweep(TRIALS, store=path, executor=Theirs(second_fails), lanes=1)
    assert [row.stopped for row in caught.value.results.rows].count("epochs") == 4
    assert len(fn.open_results(path)) == 4


def test_pools_that_fork_are_refused():
    """A pool whose workers are copies of a process in which JAX runs would hang."""
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool,
        pytest.raises(ValueError, match=r"do not survive a fork.*get_context"),
    ):
        sweep(TRIALS, executor=pool)


def kill_workers(pool, seconds):
    """Kill a pool's workers as soon as they compute, which takes them some seconds to begin."""
    while not multiprocessing.active_children():
        time.sleep(0.05)
    time.sleep(seconds)
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore")  # of the pool that breaks
def test_a_killed_worker_ends_the_sweep(tmp_path):
    """Another pool and the same store go on."""
    path = tmp_path / "sweep.sqlite"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        killer = threading.Thread(target=kill_workers, args=(pool, 0.5))
        killer.start()
        with pytest.raises(fn.SweepFailed, match=r"the pool broke \(BrokenProcessPool\).*the same store"):
            sweep(TRIALS, store=path, executor=pool)
        killer.join()
    with ThreadPoolExecutor(2) as pool:
        assert fingerprints(sweep(TRIALS, store=path, executor=pool)) == fingerprints(sweep(TRIALS))


def test_a_hanging_worker_ends_the_sweep():
    """When no chunk has ended for as long as `timeout`."""
    hung = threading.Event()

    class Hangs(ThreadPoolExecutor):
        def submit(self, function, /, *arguments, **options):
            return super().submit(hung.wait)

    pool = Hangs(1)
    try:
        with pytest.raises(fn.SweepFailed, match=r"no chunk has ended for 0\.3 s"):
            sweep(TRIALS, executor=pool, timeout=0.3)
    finally:
        hung.set()
        pool.shutdown()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_threads_promptly(number, tmp_path, monkeypatch):
    """Threads stop at their next segment, and are not run to their ends."""
    path = tmp_path / "sweep.sqlite"
    long = [fn.replace(trial, {"epochs": 1_000_000}) for trial in TRIALS]
    sweep([fn.replace(trial, {"epochs": 2}) for trial in TRIALS], segment=10)  # compiled before the clock runs
    before = signal.getsignal(number)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), number))
    with ThreadPoolExecutor(2) as pool:
        timer.start()
        with pytest.raises(fn.SweepInterrupted, match="the same call with this store goes on"):
            sweep(long, store=path, executor=pool, segment=10)
        assert not timer.is_alive()
    assert signal.getsignal(number) is before


def test_workers_follow_the_precision_of_the_sweep():
    """A part computed by a process in 32 bits has the rows of this one, in which reals have 64."""
    trials = Trial.of(TRIALS[:2])
    arrays = jax.tree.map(np.asarray, checked_data([BASE], TRAIN, VALIDATION, TEST, None))
    with jax.enable_x64(False):
        found = run_part(TRIALS[:2], arrays, {"lanes": 4}, True)
    assert [row.hash for row in found] == [trial.key for trial in trials]
