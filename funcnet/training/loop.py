r"""Training on the host: a run is advanced by segments, and its history read in between.

Few programs serve all runs of a structure: numbers, seeds and epochs compile nothing. A segment takes about a second,
so that the host can look after the run; how a run is cut into segments changes no bit of it.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.caching import keep_programs
from funcnet.errors import raise_error
from funcnet.interrupts import stop_requests
from funcnet.layers.activate import as_layer
from funcnet.training import checkpoints, steps
from funcnet.training.experiment import Experiment
from funcnet.training.preparing import prepare
from funcnet.training.progress import TrainProgress
from funcnet.training.run import Run, finish
from funcnet.training.runners import Memory, Streamed, chosen_devices
from funcnet.training.sources import SourceError, as_stream, is_source
from funcnet.training.state import WINDOW, State, gather_history

SEGMENT_SECONDS = 1.0


def train(
    experiment: Experiment,
    train: Any,
    validation: Any = None,
    *,
    start: Any = None,
    resume: Any = None,
    checkpoint: Any = None,
    progress: bool = True,
    on_epoch: Callable[[int, dict[str, float]], Any] | None = None,
    devices: Sequence[Any] | None = None,
) -> Run:
    r"""Train an experiment.

    Experiments with equal structure and data of equal shape share their programs, whatever their numbers. Ctrl-C and
    SIGTERM end the run within about a second and return what there is, `stopped="interrupted"`; a second Ctrl-C ends
    at once.

    Args:
        experiment: what to train, and how.
        train: features and targets, (x, y) or (x, y, weight): arrays, or trees of arrays, whose leading axis is the
            sample; a weight of 2 is the sample twice, 0 leaves it out. Or a source: any object with `len(source)` and
            `source[rows]`, which returns such a tuple for an array of row numbers.
        validation: a held-out set of the same forms, or None; measured after every epoch.
        start: parameters to begin from: a tree like the network's, or a dictionary from dotted paths ("0",
            "2.kernel") to parts of one, the rest drawn from the seed. None draws all.
        resume: a `Run`, or the path of a checkpoint, to go on from, with the same experiment and more `epochs`; the
            history is whole.
        checkpoint: the path of a file, written every ten seconds at most and at the end; if it is there, the run goes
            on from it.
        progress: whether to show a line with the time left and the last epoch's metrics, from two seconds on.
        on_epoch: called on the host after each epoch with its number, from 0, and its metrics by column; returning True
            ends the run with `stopped="on_epoch"`.
        devices: what to spread each batch over; None takes all local accelerators that it divides among, or one CPU
            device, which uses all cores by itself.

    Returns:
        A `Run`: parameters, best parameters, history by epoch, and why it ended.

    Raises:
        ValueError, TypeError: before anything compiles, when data and experiment do not fit.
        SourceError: when a source fails; its `run` is the run so far.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
    >>> run = fn.train(line, (x, 3 * x + 1))
    >>> print(np.round(float(run.params["kernel"][0, 0]), 3), run.stopped)
    3.0 epochs

    """
    keep_programs()
    given = experiment
    if start is not None and resume is not None:
        raise_error("a run has one beginning", "got start and resume", "one of them")
    experiment, runner, data = _runner(experiment, train, validation, devices)
    # Shapes are asked for where they are needed alone: tracing takes longer than a short run.
    like = functools.cache(lambda: jax.eval_shape(steps.begin, experiment, runner.like))
    if experiment.freeze:
        checkpoints.check_frozen(experiment.freeze, like().params)
    file = None if checkpoint is None else checkpoints.Checkpoint(checkpoint, given, data)
    state, history = _beginning(given, runner, like, start, resume, file, data)
    loop = _Loop(given, runner, state, history, file, on_epoch)
    loop.shown = TrainProgress(int(experiment.epochs), runner.count, enabled=bool(progress))
    with stop_requests() as interrupted:
        return loop.run(interrupted)


class _Loop:
    """One run on its way."""

    def __init__(
        self,
        experiment: Experiment,
        runner: Any,
        state: State,
        history: dict[str, np.ndarray],
        file: Any,
        on_epoch: Any,
    ) -> None:
        self.experiment, self.runner, self.state, self.history = experiment, runner, state, history
        self.file, self.on_epoch = file, on_epoch
        self.shown: Any = None

    def run(self, interrupted: Callable[[], bool]) -> Run:
        """Advance by segments until the run ends, or somebody ends it."""
        total, updates, stopped = int(self.experiment.epochs), 1, None
        epoch, batch, reason = self._place()
        while epoch < total and not reason and stopped is None:
            began = time.perf_counter()
            until = min(epoch + (1 if self.on_epoch else WINDOW), total)
            try:
                self.state = self.runner.advance(self.state, until, updates)
            except SourceError as error:
                self.state = self.state if error.state is None else error.state
                self.history = gather_history(self.history, self.state.history, epoch, int(self.state.epoch))
                error.run = self._finished("source")
                raise
            reached, at, reason = self._place()
            seconds = time.perf_counter() - began
            walked = max((reached - epoch) * self.runner.count + at - batch, 1)
            self.history = gather_history(self.history, self.state.history, epoch, reached)
            stopped = self._after(epoch, reached, at)
            epoch, batch = reached, at
            if interrupted():
                stopped = "interrupted"
            if self.file is not None:
                self.file.write(self.state, self.history)
            updates = int(np.clip(SEGMENT_SECONDS * walked / max(seconds, 1e-9), 1, 2**30))
        self.runner.close()
        if self.file is not None:
            self.file.write(self.state, self.history, now=True)
        self.shown.show(last=True)
        return self._finished(stopped)

    def _place(self) -> tuple[int, int, int]:
        """Return the epochs that have ended, the batches of the one that is open, and why the run ended, if it did."""
        epoch, batch, reason = jax.device_get((self.state.epoch, self.state.batch, self.state.reason))
        return int(epoch), int(batch), int(reason)

    def _after(self, epoch: int, reached: int, at: int) -> str | None:
        """Show where the run stands, and tell the user's function of each epoch that has ended."""
        metrics: dict[str, float] = {}
        for number in range(epoch, reached):
            metrics = {name: float(column[number]) for name, column in self.history.items()}
            if self.on_epoch is not None and self.on_epoch(number, metrics) is True:
                return "on_epoch"
        self.shown.update(reached, at, metrics)
        return None

    def _finished(self, stopped: str | None) -> Run:
        return finish(self.experiment, self.state, self.history, stopped=stopped)


def _runner(experiment: Any, train: Any, validation: Any, devices: Any) -> tuple[Experiment, Any, Any]:
    """Check everything, and return who carries the run, and what identifies its data."""
    if not (is_source(train) or is_source(validation)):
        experiment, data = prepare(experiment, train, validation)
        chosen = chosen_devices(experiment, devices)
        _check_devices(chosen, experiment, steps.sample_count(data))
        return experiment, Memory(experiment, data, chosen), data
    streams = as_stream(train, "train"), None if validation is None else as_stream(validation, "validation")
    held = None if streams[1] is None else streams[1].example
    experiment, _ = prepare(experiment, streams[0].example, held, samples=streams[0].samples)
    if experiment.transform is None:
        for stream in streams:
            if stream is not None:
                stream.check = as_layer(experiment.network).check_values
    chosen = chosen_devices(experiment, devices)
    _check_devices(chosen, experiment, streams[0].samples)
    return experiment, Streamed(experiment, *streams, chosen), streams


def _check_devices(devices: tuple[Any, ...], experiment: Experiment, samples: int) -> None:
    if not devices or not all(isinstance(device, jax.Device) for device in devices) or len(set(devices)) < len(devices):
        must, attempt = "devices must be different devices of JAX, one at least", "jax.local_devices()"
        raise_error(must, f"got {len(devices)} of them", attempt, TypeError)
    size = min(experiment.batch_size or samples, samples)
    if size % len(devices):
        arrived = f"got {size} samples a batch for {len(devices)} devices"
        raise_error("a batch must divide among the devices", arrived, "a batch size that divides, or one device")


def _beginning(
    given: Experiment, runner: Any, like: Callable[[], State], start: Any, resume: Any, file: Any, data: Any
) -> tuple[State, dict[str, np.ndarray]]:
    """Return the state and history that a run goes on from."""
    if file is not None and (found := file.read(like())) is not None:
        return found
    if isinstance(resume, Run):
        ours, theirs = checkpoints.words_of(given), checkpoints.words_of(resume.experiment)
        if ours != theirs:
            where = checkpoints.first_difference(ours, theirs)
            must, attempt = "resume must be a run of this experiment", "start=run.params to begin anew from it"
            raise_error(must, f"they differ in {where}", attempt)
        return jax.tree.map(jnp.copy, resume.state), dict(resume.history)
    if resume is not None:
        words = {"experiment": checkpoints.words_of(given), "data": checkpoints.data_words(data)}
        return checkpoints.read_checkpoint(resume, words, like())
    return runner.begin(None if start is None else checkpoints.starting(start, like().params)), {}
