r"""The plan: what a sweep will compile, hold and compute, before it runs.

Programs are counted by structure, which is exact. Operations are those of one update, counted by the compiler's own
analysis of one network, times updates, times trials. Bytes are what the compiled program of a structure says it needs:
its arguments, results and temporary buffers on all devices. Seconds come from a calibration: the program is compiled
and run for one epoch with a full set of lanes; the sweep then finds it compiled.
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from funcnet.caching import keep_programs
from funcnet.sweeps.checks import Job, checked_job
from funcnet.sweeps.chunks import Trial, groups, kind_of
from funcnet.sweeps.devices import idle_cores_hint
from funcnet.sweeps.engine import UNDER_WAY, Engine, Options
from funcnet.sweeps.plans import Plan, Program
from funcnet.sweeps.single import flops_an_epoch, name, plan_run
from funcnet.training.experiment import Experiment
from funcnet.training.steps import begin


def plan(
    experiments: Sequence[Experiment] | Experiment,
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    *,
    calibrate: bool = True,
    own_order: bool = False,
    lanes: int | None = None,
    devices: Sequence[Any] | None = None,
) -> Plan:
    r"""Say what `sweep` with the same arguments will compile, hold and compute.

    Args:
        experiments: as for `sweep`; or one experiment, for what `train` will do with it and which devices it chooses.
        train: as for `sweep`.
        validation: as for `sweep`.
        test: as for `sweep`.
        calibrate: whether to compile every program and run one epoch of it, for bytes and seconds; the sweep finds
            them compiled. Without it bytes are an estimate from the sizes of the states, and seconds are NaN.
        own_order: as for `sweep`.
        lanes: as for `sweep`.
        devices: as for `sweep`.

    Returns:
        A `Plan`; `print(plan)` shows it.

    Raises:
        ValueError, TypeError: as `sweep` does, before anything compiles.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
    >>> ahead = fn.plan(fn.grid(line, {"seed": range(100)}), train=(x, 3 * x + 1), calibrate=False)
    >>> print(len(ahead.programs), ahead.trials)
    1 100

    """
    keep_programs()
    if isinstance(experiments, Experiment):
        return plan_run(experiments, train, validation, devices, calibrate)
    flags, counts = {"calibrate": calibrate, "own_order": own_order}, {"lanes": lanes}
    job = checked_job(experiments, (train, validation, test), devices, flags=flags, counts=counts)
    every = {trial.key: trial for trial in Trial.of(job.given)}
    found: dict[Any, list[Program]] = {}
    options = Options(own_order=own_order, lanes=lanes)
    for group in groups(list(every.values()), own_order):
        kind = kind_of(group[0].experiment)
        known = found.get(kind, [None])[0]
        found.setdefault(kind, []).append(_program(group, job, options, calibrate, known))
    programs = tuple(_together(parts) for parts in found.values())
    hint = idle_cores_hint(job.devices)
    return Plan(programs, len(every), len(job.given) - len(every), len(job.devices), hint)


def _program(group: list[Trial], job: Job, options: Options, calibrate: bool, known: Program | None) -> Program:
    engine = Engine(group, job.data, job.test, job.devices, options, lambda finished: None)
    width = engine.programs.width
    chunks = -(-len(group) // width)
    epochs = [trial.experiment.epochs for trial in group]
    example = group[0].experiment
    state = jax.eval_shape(begin, example, job.data)
    size = width * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    held = len(job.devices) * sum(leaf.nbytes for leaf in jax.tree.leaves((job.data, job.test)))
    # Beside the state: gradients, updates and activations of a step.
    needed, compiling, running = 2 * size + held, math.nan, math.nan
    if known is not None:
        compiling, running = 0.0, known.seconds / max(known.chunks * known.epochs, 1) * chunks * max(epochs)
        needed = known.bytes
    elif calibrate:
        needed, compiling, an_epoch = _calibrated(engine)
        needed += held
        running = an_epoch * sum(max(epochs[i : i + width]) for i in range(0, len(epochs), width))
    flops = flops_an_epoch(example, job.data) * sum(epochs)
    return Program(name(example), len(group), width, chunks, max(epochs), flops, needed, compiling, running)


def _together(parts: list[Program]) -> Program:
    """Add up groups that share a program and differ in the order of the samples."""
    first = parts[0]
    return dataclasses.replace(
        first,
        trials=sum(p.trials for p in parts),
        chunks=sum(p.chunks for p in parts),
        epochs=max(p.epochs for p in parts),
        flops=sum(p.flops for p in parts),
        seconds=sum(p.seconds for p in parts),
    )


def _calibrated(engine: Engine) -> tuple[int, float, float]:
    """Compile; return the bytes of the program on all devices, seconds to compile, and seconds for an epoch."""
    programs, data = engine.programs, engine.data
    experiment = engine.together(list(engine.waiting)[: programs.width])
    started = time.perf_counter()
    state = programs.begin(experiment, data, engine.options.start)
    arguments = (experiment, state, data, np.int32(0))
    analysis = programs.advance.lower(*arguments).compile().memory_analysis()
    state, _ = jax.block_until_ready(programs.advance(*arguments))
    compiled = time.perf_counter()
    jax.block_until_ready(programs.advance(experiment, state, data, np.int32(1)))
    ended = time.perf_counter()
    parts = ("argument", "output", "temp", "alias")
    sizes = {part: getattr(analysis, f"{part}_size_in_bytes", 0) for part in parts}
    # The states of the chunks under way lie side by side.
    chunks = min(UNDER_WAY, -(-len(engine.waiting) // programs.width))
    size = sizes["argument"] + chunks * sizes["output"] + sizes["temp"] - sizes["alias"]
    return size * programs.width // max(programs.lanes, 1), compiled - started, ended - compiled
