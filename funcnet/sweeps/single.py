r"""The plan of one run: what `train` will compile, hold and compute, and the devices that it chooses."""

import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.keys import from_seed
from funcnet.results.varying import architecture
from funcnet.sweeps.plans import Plan, Program
from funcnet.training.experiment import Experiment
from funcnet.training.preparing import prepare
from funcnet.training.runners import Memory, chosen_devices, walk_program
from funcnet.training.state import Data
from funcnet.training.steps import batch_count, begin, sample_count
from funcnet.training.updates import take, update

TIMED = 0.5  # seconds of updates, about, from which the seconds of a run are told


def plan_run(
    experiment: Experiment, train: Any, validation: Any, devices: Sequence[Any] | None, calibrate: bool
) -> Plan:
    """Return the plan of one run over data in memory; calibrating runs some of its updates."""
    experiment, data = prepare(experiment, train, validation)
    chosen = chosen_devices(experiment, devices)
    updates = batch_count(experiment, sample_count(data)) * int(experiment.epochs)
    state = jax.eval_shape(begin, experiment, data)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(data))
    needed, compiling, running = 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)), 0.0, 0.0
    if calibrate:
        needed, compiling, an_update = _calibrate(Memory(experiment, data, chosen), state, updates)
        running = updates * an_update
    else:
        compiling = running = math.nan
    flops = flops_an_epoch(experiment, data) * int(experiment.epochs)
    size = len(chosen) * (needed + held)
    program = Program(name(experiment), 1, 1, 1, int(experiment.epochs), flops, size, compiling, running)
    return Plan((program,), 1, 0, len(chosen), "")


def _calibrate(runner: Memory, like: Any, updates: int) -> tuple[int, float, float]:
    """Return the bytes beside the data, the seconds to compile, and those of an update."""
    started = time.perf_counter()
    last = np.int32(runner.experiment.epochs)
    lowered = walk_program(runner.devices).lower(runner.experiment, like, runner.data, last, np.int32(1))
    analysis = lowered.compile().memory_analysis()
    state = jax.block_until_ready(runner.advance(runner.begin(None), int(last), 1))
    compiled = time.perf_counter()
    state = jax.block_until_ready(runner.advance(state, int(last), 1))
    one = time.perf_counter() - compiled
    some = int(np.clip(TIMED / max(one, 1e-6), 1, max(updates - 2, 1)))
    start = time.perf_counter()
    jax.block_until_ready(runner.advance(state, int(last), some))
    seconds = (time.perf_counter() - start) / some
    sizes = {part: getattr(analysis, f"{part}_size_in_bytes", 0) for part in ("output", "temp")}
    return sum(sizes.values()), compiled - started, seconds


def flops_an_epoch(experiment: Experiment, data: Data) -> float:
    """Return the floating-point operations of an epoch's updates, by the compiler's own count."""
    samples = sample_count(data)
    size = experiment.batch_size or samples
    state = jax.eval_shape(begin, experiment, data)
    rows = jax.ShapeDtypeStruct((size,), np.int32)

    def one(experiment: Any, params: Any, slots: Any, rows: Any, data: Any) -> Any:
        return update(experiment, from_seed(0), params, slots, jnp.int32(0), take(data, rows, None))[:2]

    cost = jax.jit(one).lower(experiment, state.params, state.slots, rows, data).cost_analysis()
    return float((cost or {}).get("flops", math.nan)) * -(-samples // size)


def name(experiment: Experiment) -> str:
    """Return a short name of an experiment's structure."""
    rules = type(experiment.loss).__name__, type(experiment.optimizer).__name__
    return ", ".join((architecture(experiment.network), *rules))
