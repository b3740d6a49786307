r"""Who carries a state forward: one program over data in memory, or the host, batch by batch, over a source.

Both have `begin(start) -> state` and `advance(state, until, updates) -> state`, where a segment ends after so many
epochs in all, or after so many updates, inside an epoch if need be. They call the same functions of `steps`. A source's
batches are worked on some at a time, in one program: calling one for each would cost as much as a small update.
"""

import functools
from collections.abc import Generator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from funcnet.layers.activate import as_layer
from funcnet.objective import block_rows, read_sums, sums_of
from funcnet.spreading import AXIS, spread, spread_over
from funcnet.training import steps
from funcnet.training.experiment import Experiment
from funcnet.training.sources import SourceError, Stream
from funcnet.training.state import Data, Moving, State
from funcnet.training.updates import computing, features, in_dtype, read
from funcnet.trees import default_real

BLOCK_BYTES, MOST_BATCHES = 4 << 20, 64  # of a source's batches that one program works on


def options(platform: str) -> dict[str, Any]:
    """Return how to compile for a platform."""
    # On a CPU the compiler else copies a kernel before it updates it, in every step.
    return {"xla_cpu_copy_insertion_use_region_analysis": True} if platform == "cpu" else {}


@functools.cache
def begin_program(platform: str) -> Any:
    """Return `begin` as one program."""
    return jax.jit(steps.begin, compiler_options=options(platform))


@functools.cache
def walk_program(devices: tuple[Any, ...]) -> Any:
    """Return `walk` as one program, the batch spread over devices, the old state's buffers reused for the new one."""
    mesh = Mesh(np.asarray(devices), (AXIS,)) if len(devices) > 1 else None

    def walk(experiment: Experiment, state: State, data: Data, until: Any, updates: Any) -> State:
        with spread_over(mesh):
            return steps.walk(experiment, state, data, until, updates)

    return jax.jit(walk, compiler_options=_spread_options(devices), donate_argnames="state")


@functools.cache
def block_program(devices: tuple[Any, ...]) -> Any:
    """Return the updates of some of a block's batches as one program, each batch spread over devices."""
    mesh = Mesh(np.asarray(devices), (AXIS,)) if len(devices) > 1 else None

    def several(experiment: Experiment, moving: Moving, block: Any, start: Any, stop: Any) -> Moving:
        def one(place: jax.Array, moving: Moving) -> Moving:
            return steps.step(experiment, moving, spread(jax.tree.map(lambda a: a[place], block)))

        with spread_over(mesh):
            return jax.lax.fori_loop(start, stop, one, moving)

    return jax.jit(several, compiler_options=_spread_options(devices), donate_argnames="moving")


def _spread_options(devices: tuple[Any, ...]) -> dict[str, Any]:
    """Return how to compile what works on batches."""
    chosen = options(devices[0].platform)
    # Each device keeps to its core.
    return chosen | {"xla_cpu_multi_thread_eigen": False} if chosen and len(devices) > 1 else chosen


class Memory:
    """A run over arrays in memory."""

    def __init__(self, experiment: Experiment, data: Data, devices: tuple[Any, ...]) -> None:
        self.experiment, self.devices = experiment, devices
        self.data = self.like = self._everywhere(data)
        self.count = steps.batch_count(experiment, steps.sample_count(data))

    def close(self) -> None:
        """Let nothing go on."""

    def _everywhere(self, tree: Any) -> Any:
        if len(self.devices) == 1:
            return tree
        return jax.device_put(tree, NamedSharding(Mesh(np.asarray(self.devices), (AXIS,)), Spec()))

    def begin(self, start: Any) -> State:
        """Return the state before the first update."""
        found: State = begin_program(self.devices[0].platform)(self.experiment, self.data, start)
        return found

    def advance(self, state: State, until: int, updates: int) -> State:
        """Run to the end of epoch `until`, or for so many updates."""
        walk = walk_program(self.devices)
        found: State = walk(self.experiment, self._everywhere(state), self.data, np.int32(until), np.int32(updates))
        return found


class Streamed:
    """A run over sources."""

    def __init__(
        self, experiment: Experiment, train: Stream, validation: Stream | None, devices: tuple[Any, ...]
    ) -> None:
        self.experiment, self.train, self.validation, self.devices = experiment, train, validation, devices
        mesh = Mesh(np.asarray(devices), (AXIS,))
        self._block, self._whole = NamedSharding(mesh, Spec(None, AXIS)), NamedSharding(mesh, Spec())
        held = None if validation is None else validation.example
        x, y, weight = train.example
        self.like = jax.tree.map(jnp.asarray, Data(x, y, held, weight))
        self.count = steps.batch_count(experiment, train.samples)
        held_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(train.example)) / len(jax.tree.leaves(x)[0])
        one = held_bytes * min(experiment.batch_size or train.samples, train.samples)
        self._most = int(np.clip(BLOCK_BYTES // one, 1, min(MOST_BATCHES, self.count)))
        self._reading: Any = None  # a generator of blocks
        self._held, self._next, self._end = None, 0, 0  # what was read last, and which of its batches are left

    def close(self) -> None:
        """Let nothing be read any more."""
        if self._reading is not None:
            self._reading.close()
        self._reading, self._held, self._next, self._end = None, None, 0, 0

    def begin(self, start: Any) -> State:
        """Return the state before the first update."""
        found: State = begin_program(self.devices[0].platform)(self.experiment, self.like, start)
        return jax.device_put(found, self._whole)

    def advance(self, state: State, until: int, updates: int) -> State:
        """Run to the end of epoch `until`, or for so many updates."""
        state = jax.device_put(state, self._whole)  # a run that is resumed may come from other devices
        last, epoch, batch = min(until, int(self.experiment.epochs)), int(state.epoch), int(state.batch)
        while epoch < last and updates > 0 and not int(state.reason):
            if batch == 0:
                state = _open(state)
            if self._reading is None:
                self._reading = self._ahead(epoch, batch)
            moving, stop = state.moving, min(self.count, batch + updates)
            updates -= stop - batch
            while batch < stop:
                try:
                    moving, batch = self._work(moving, batch, stop)
                except SourceError as error:
                    error.state = state.moved(moving)._replace(batch=jnp.int32(batch))
                    raise
            state = state.moved(moving)._replace(batch=jax.device_put(np.int32(batch), self._whole))
            if batch == self.count:
                self._reading = None
                try:
                    measured = self._measured(steps.settled(self.experiment, state))
                except SourceError as error:
                    error.state = state
                    raise
                state = _close(self.experiment, state, measured)
                epoch, batch = epoch + 1, 0
        return state

    def _work(self, moving: Moving, batch: int, stop: int) -> tuple[Moving, int]:
        """Make the updates from a batch on up to `stop`, or to the end of a block, and say which batch is next."""
        if self._next == self._end:
            self._held, self._end = next(self._reading)
            self._next = 0
        last = min(self._end, self._next + stop - batch)
        moving = block_program(self.devices)(self.experiment, moving, self._held, np.int32(self._next), np.int32(last))
        batch, self._next = batch + last - self._next, last
        return moving, batch

    def _ahead(self, epoch: int, batch: int) -> Generator[Any, None, None]:
        """Read an epoch's batches from one on, and send them to the devices in blocks, each with its number."""
        rows, present = _order(self.experiment, jnp.int32(epoch), self.train.samples)
        whole = np.arange(self.train.samples)[None] if rows is None else np.asarray(rows)
        kept = None if present is None else np.asarray(present)
        for (x, y, weight), count in self.train.blocks(whole[batch:], self._most):
            if kept is not None:
                there = np.zeros((self._most, kept.shape[1]), default_real())
                there[:count] = kept[batch : batch + count]
                weight = there if weight is None else weight * there.reshape(*there.shape, *[1] * (weight.ndim - 2))
            batch += count
            yield jax.device_put((x, y, weight), self._block), count

    def _measured(self, params: Any) -> dict[str, jax.Array]:
        """Measure the validation source in blocks, the last one filled up at weight 0."""
        if self.validation is None:
            return {}
        size = min(block_rows(as_layer(self.experiment.network), params, _read(self.experiment, self.validation)), 1024)
        size, samples = min(size, self.validation.samples), self.validation.samples
        starts = range(0, samples, size)
        rows = [np.arange(start, start + size) % samples for start in starts]
        total: Any = None
        for start, (x, y, weight) in zip(starts, self.validation.batches(iter(rows)), strict=True):
            there = (np.arange(start, start + size) < samples).astype(default_real())
            weight = there if weight is None else weight * there.reshape(-1, *[1] * (weight.ndim - 1))
            found = _sums(self.experiment, params, jax.device_put((x, y, weight), self._whole))
            total = found if total is None else jax.tree.map(jnp.add, total, found)
        measured = (*self.experiment.loss.metrics(), *self.experiment.metrics)
        read = read_sums(self.experiment.loss, measured, total)
        return {f"validation_{name}": value for name, value in read.items()}


_open = jax.jit(steps.open_epoch, donate_argnames="state")
_close = jax.jit(steps.close_epoch, donate_argnames="state")
_order = jax.jit(steps.batches, static_argnames="samples")


@jax.jit
def _sums(experiment: Experiment, params: Any, batch: Any) -> Any:
    x, y, weight = batch
    low, x = computing(experiment, (params, read(experiment, x)))
    measured = (*experiment.loss.metrics(), *experiment.metrics)
    y = in_dtype(experiment, y)
    return sums_of(as_layer(experiment.network), experiment.loss, measured, low, (x, y, weight))


def _read(experiment: Experiment, stream: Stream) -> Any:
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct((1, *s.shape), s.dtype), features(experiment, stream.example[0]))


def chosen_devices(experiment: Experiment, devices: Sequence[Any] | None) -> tuple[Any, ...]:
    """Return the devices to spread a batch over: those asked for; else all local accelerators, or one CPU device.

    On a CPU one device uses all cores by itself, and for dense networks and a GPT two are slower; where most of the
    work cannot be cut within an operation, as in convolutions and recurrence, to ask for two pays.
    """
    if devices is not None:
        return tuple(devices)
    local = tuple(jax.local_devices())
    divides = experiment.batch_size is not None and experiment.batch_size % len(local) == 0
    return local if divides and local[0].platform != "cpu" else local[:1]
