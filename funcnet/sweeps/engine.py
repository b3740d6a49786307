r"""The engine: keeps the lanes of one program full of trials that still run.

A chunk of trials enters the lanes at epoch 0 and is advanced by segments of epochs. Between segments trials that have
ended leave; if lanes fall idle, the others are parked on the host with their epoch, and as soon as a chunk of parked
trials at one epoch is full, it takes the lanes again. Nothing compiles on the way, and no trial is trained twice.

Which chunk is next decides how much is parked: a full one at the latest epoch; else new trials; and when there are no
new ones, the parked ones at the earliest epoch, so that they catch up with others. At most one incomplete chunk is
parked at each epoch at which a segment may end.

Two chunks are under way in turn: while the devices compute a segment of one, the host reads, parks and hands on what
the segment of the other found.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from funcnet.sweeps.chunks import Chunk, Trial, by_number, gathered, joined, rows_of
from funcnet.sweeps.hosts import spans_processes, to_host
from funcnet.sweeps.lanes import LanePrograms, in_columns, lanes_for, programs_for, stack
from funcnet.sweeps.store import Finished
from funcnet.training.experiment import Experiment, endings, stopping_rules
from funcnet.training.state import NEVER, WINDOW, Data, State
from funcnet.training.steps import begin
from funcnet.trees import default_real

SEGMENT_SECONDS = 1.0  # how long the host waits for a segment before it looks again
UNDER_WAY = 2  # chunks: the devices compute one while the host reads the other


@dataclasses.dataclass
class Options:
    """What the engine is asked to keep and measure."""

    keep: str = "params"  # metrics, params, state
    lanes: int | None = None
    segment: int | None = None
    own_order: bool = False
    context: str = ""
    interrupted: Callable[[], bool] = lambda: False
    progress: Callable[[list[Finished], int], None] = lambda finished, epochs: None
    start: Any = None  # parameters to begin from, by path, as `begin` takes them


class Interrupted(Exception):
    """The user asked to stop; what had ended was handed on."""


class Engine:
    """All trials of one program."""

    def __init__(
        self,
        trials: Sequence[Trial],
        data: Data,
        test: Any,
        devices: tuple[Any, ...],
        options: Options,
        emit: Callable[[list[Finished]], None],
    ) -> None:
        example = trials[0].experiment
        self.data, self.test, self.options, self.emit = data, test, options, emit
        self.programs = programs_of(example, data, devices, options)
        self.waiting = deque(trials)
        self.parked: dict[int, list[Chunk]] = {}
        self._seconds_an_epoch: float | None = None
        self._read = 0.0  # when the last segment was there
        # Processes that work together must not take their decisions by the clock.
        self._in_step = spans_processes(devices)
        if not self._in_step:
            # Once, on every device: else each segment would copy them again.
            self.data, self.test = jax.device_put((data, test), self.programs.everywhere)
        rules = bool(stopping_rules(example))
        longest = max(trial.experiment.epochs for trial in trials)
        # Where trials may end by themselves, look often enough to give their lanes away.
        self._most = options.segment or (max(1, -(-longest // 15)) if rules else WINDOW)

    # -- chunks -------------------------------------------------------------------------------------

    def advance(self, target: int | None = None) -> None:
        """Run every trial until it has ended or stands at `target` epochs."""
        last = NEVER if target is None else target
        under_way: deque[Iterator[None]] = deque()
        while True:
            while len(under_way) < UNDER_WAY and (chunk := self._next(last, not under_way)) is not None:
                run = self._run(chunk, last)
                next(run)
                under_way.append(run)
            if not under_way:
                return
            run = under_way.popleft()
            if next(run, self) is not self:
                under_way.append(run)

    def _next(self, target: int, alone: bool) -> Chunk | None:
        width = self.programs.width
        sizes = {epoch: sum(len(c.trials) for c in chunks) for epoch, chunks in self.parked.items() if epoch < target}
        full = [epoch for epoch, size in sizes.items() if size >= width]
        if full:
            return self._unpark(max(full))
        if self.waiting:
            trials = [self.waiting.popleft() for _ in range(min(width, len(self.waiting)))]
            together = self.together(trials)
            return Chunk(trials, self.programs.begin(together, self.data, self.options.start), 0, together)
        # A chunk under way may yet park trials that fill this one.
        return self._unpark(min(sizes)) if sizes and alone else None

    def _unpark(self, epoch: int) -> Chunk:
        chunks, width = self.parked.pop(epoch), self.programs.width
        trials = [trial for chunk in chunks for trial in chunk.trials]
        state = self.programs.place_state(gathered([chunk.state for chunk in chunks], width))
        if len(trials) > width:
            rest = [jax.tree.map(lambda leaf: rows_of(leaf, slice(width, None)), joined([c.state for c in chunks]))]
            self.parked[epoch] = [Chunk(trials[width:], rest[0], epoch)]
        return Chunk(trials[:width], state, epoch)

    def park(self, chunk: Chunk, lanes: Sequence[int]) -> None:
        """Put the trials of some lanes aside."""
        index = np.asarray(lanes)
        state = jax.tree.map(lambda leaf: rows_of(to_host(leaf), index), chunk.state)
        self.parked.setdefault(chunk.epoch, []).append(Chunk([chunk.trials[i] for i in lanes], state, chunk.epoch))

    def together(self, trials: Sequence[Trial]) -> Experiment:
        """Return one experiment of all lanes, on the devices; those without a trial never run."""
        padding = self.programs.width - len(trials)
        experiments = [trial.experiment for trial in trials]
        together = stack(experiments + experiments[:1] * padding, self.options.own_order)
        together.epochs[len(trials) :] = 0
        placed: Experiment = self.programs.place_experiment(together)
        return placed

    # -- segments ------------------------------------------------------------------------------------

    def _run(self, chunk: Chunk, target: int) -> Iterator[None]:
        """Run a chunk until all its trials have ended, stand at the target, or leave too many lanes idle.

        It yields wherever the devices have been sent something that the host must wait for.
        """
        width, count = self.programs.width, len(chunk.trials)
        experiment = self.together(chunk.trials) if chunk.experiment is None else chunk.experiment
        limits = [int(trial.experiment.epochs) for trial in chunk.trials]
        going = list(range(count))
        while True:
            until = min(chunk.epoch + self._segment(), target, max(limits[i] for i in going))
            sent = time.perf_counter()
            state, ran = self.programs.advance(experiment, chunk.state, self.data, np.int32(until))
            yield
            ran, reason = to_host(ran), to_host(state.reason)
            # Until the other chunk's segment was there, the devices were that one's.
            seconds = time.perf_counter() - max(sent, self._read)
            self._read = time.perf_counter()
            self._seconds_an_epoch = seconds / max(until - chunk.epoch, 1)
            self._note(chunk, going, state, ran, seconds / len(going))
            chunk.state, chunk.epoch = state, until
            ended = [i for i in going if reason[i] != 0 or chunk.trials[i].epochs >= limits[i]]
            going = [i for i in going if i not in set(ended)]
            tested = self._tested(chunk, experiment) if ended else {}
            if tested:
                yield
            self.finish(chunk, ended, tested)
            if self.options.interrupted():
                raise Interrupted
            if not going:
                return
            idle = count - len(going)
            others = bool(self.waiting) or any(epoch <= until for epoch in self.parked)
            if until >= target or (idle and others and 4 * len(going) < 3 * width):
                self.park(chunk, going)
                return

    def _segment(self) -> int:
        if self.options.segment or self._in_step:
            return min(self._most, WINDOW)
        if self._seconds_an_epoch is None:
            return 1
        return int(np.clip(SEGMENT_SECONDS / max(self._seconds_an_epoch, 1e-9), 1, min(self._most, WINDOW)))

    def _note(self, chunk: Chunk, going: Sequence[int], state: State, ran: np.ndarray, seconds: float) -> None:
        """Read what the segment added to the history."""
        history = {name: to_host(column) for name, column in state.history.items()}
        for i in going:
            trial = chunk.trials[i]
            window = np.arange(chunk.epoch, chunk.epoch + ran[i]) % WINDOW
            for name, column in history.items():
                trial.curves.setdefault(name, []).append(column[i, window])
            trial.epochs += int(ran[i])
            trial.seconds += seconds
        self.options.progress([], int(ran.sum()))

    # -- ends ----------------------------------------------------------------------------------------

    def _tested(self, chunk: Chunk, experiment: Experiment | None = None) -> dict[str, Any]:
        """Measure the best parameters of all lanes on the test set, if there is one."""
        if self.test is None:
            return {}
        experiment = self.together(chunk.trials) if experiment is None else experiment
        measured: dict[str, Any] = self.programs.measure(experiment, chunk.state.best_params, self.test)
        return measured

    def finish(self, chunk: Chunk, lanes: Sequence[int], tested: dict[str, Any], stopped: str | None = None) -> None:
        """Hand on the trials of some lanes, which have ended."""
        if not lanes:
            return
        state, index = chunk.state, np.asarray(lanes)
        tested = {f"test_{name}": to_host(column) for name, column in tested.items()}
        params = jax.tree.map(lambda leaf: to_host(leaf)[index], state.best_params)
        reason, best = to_host(state.reason), to_host(state.best_epoch)
        bad = to_host(state.first_bad_step)
        final = None
        if self.options.keep == "state":
            final = jax.tree.map(lambda leaf: rows_of(to_host(leaf), index), state._replace(history={}))
        finished = []
        for place, i in enumerate(lanes):
            trial = chunk.trials[i]
            curves = {name: trial.column(name) for name in trial.curves}
            at = int(best[i])
            metrics = {name: float(column[at]) if at >= 0 else float("nan") for name, column in curves.items()}
            metrics |= {name: float(column[i]) if at >= 0 else float("nan") for name, column in tested.items()}
            finished.append(
                Finished(
                    trial.key,
                    trial.trajectory,
                    self.options.context if stopped == "halved" else "",
                    trial.experiment,
                    stopped or endings(trial.experiment)[int(reason[i])],
                    trial.epochs,
                    at,
                    None if int(bad[i]) == NEVER else int(bad[i]),
                    trial.seconds,
                    metrics,
                    curves,
                    None if self.options.keep == "metrics" else jax.tree.map(lambda leaf, p=place: leaf[p], params),
                    None if final is None else by_number(jax.tree.map(lambda leaf, p=place: rows_of(leaf, p), final)),
                )
            )
        self.emit(finished)
        self.options.progress(finished, 0)
        for i in lanes:
            chunk.trials[i].curves = {}

    def standing_at(self, epoch: int) -> list[Trial]:
        """Return the trials that are parked at an epoch, or go on from a later one that a store has kept."""
        return [t for at, chunks in self.parked.items() if at >= epoch for chunk in chunks for t in chunk.trials]

    def drop(self, epoch: int, keys: set[str]) -> None:
        """End the parked trials at an epoch whose keys are not among those that go on."""
        chunks = self.parked.pop(epoch, [])
        for chunk in chunks:
            stay = [i for i, trial in enumerate(chunk.trials) if trial.key in keys]
            leave = [i for i, trial in enumerate(chunk.trials) if trial.key not in keys]
            if leave:
                state = self.programs.place_state(gathered([chunk.state], self.programs.width))
                full = Chunk(chunk.trials, state, epoch)
                self.finish(full, leave, self._tested(full), stopped="halved")
            if stay:
                self.park(chunk, stay)

    def warm(self) -> None:
        """Compile, by running no epoch."""
        if not self.waiting:
            return
        experiment = self.together(list(self.waiting)[: self.programs.width])
        state = self.programs.begin(experiment, self.data, self.options.start)
        state, _ = self.programs.advance(experiment, state, self.data, np.int32(0))
        if self.test is not None:
            self.programs.measure(experiment, state.best_params, self.test)

    def resume(self, trial: Trial, leaves: dict[str, np.ndarray], curves: dict[str, np.ndarray], epochs: int) -> None:
        """Let a trial go on from a state that was kept."""
        trial.curves, trial.epochs = {name: [column] for name, column in curves.items()}, epochs
        shape = jax.eval_shape(begin, trial.experiment, self.data)._replace(history={})
        tree: Any = jax.tree.structure(shape)
        state = jax.tree.unflatten(tree, [leaves[str(i)] for i in range(tree.num_leaves)])
        state = jax.tree.map(lambda leaf: leaf[None], state)
        history = {name: np.zeros((1, WINDOW), default_real()) for name in curves}
        state = state._replace(epoch=np.int32(epochs), batch=np.int32(0), step=leaves["step"], history=history)
        self.parked.setdefault(epochs, []).append(Chunk([trial], state, epochs))


def programs_of(example: Experiment, data: Data, devices: tuple[Any, ...], options: Options) -> LanePrograms:
    """Return the compiled functions that trials like `example` run in."""
    cpu = devices[0].platform == "cpu"
    lanes = options.lanes or lanes_for(example, data, devices[0].platform)
    columns = cpu and in_columns(example, data)
    return programs_for(jax.tree.structure(example), lanes, devices, columns, options.own_order)
