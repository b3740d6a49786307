r"""The plan: what a sweep will compile, hold and compute, before it runs.

Programs are counted by structure, which is exact. Operations are those of one update, counted by the compiler's own
analysis of one network, times updates, times trials. Bytes are what the compiled program of a structure says it needs:
its arguments, results and temporary buffers on all devices. Seconds come from a calibration: the program is compiled
and run for one epoch with a full set of lanes; the sweep then finds it compiled.
"""

import dataclasses
import html
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.keys import from_seed
from funcnet.results.varying import architecture
from funcnet.sweeps.checks import Job, checked_job
from funcnet.sweeps.chunks import Trial, groups
from funcnet.sweeps.devices import idle_cores_hint, idle_lanes_hint
from funcnet.sweeps.engine import Engine, Options
from funcnet.text import counted, html_table, text_table
from funcnet.training.experiment import Experiment
from funcnet.training.state import Data
from funcnet.training.steps import begin, sample_count
from funcnet.training.updates import take, update


@dataclasses.dataclass(frozen=True)
class Program:
    """One compiled program and the trials that run in it."""

    name: str
    trials: int
    lanes: int  # trials at once, on all devices
    chunks: int
    epochs: int  # the longest trial's
    flops: float  # of all its trials, if none ends early
    bytes: int  # on all devices while it runs
    compile_seconds: float  # NaN without calibration
    seconds: float  # to run, without compiling; NaN without calibration


_HEAD = ("program", "trials", "lanes", "chunks", "epochs", "FLOP", "bytes", "compile s", "run s")


def _cells(p: Program) -> tuple[str, ...]:
    numbers = (str(p.trials), str(p.lanes), str(p.chunks), str(p.epochs), _quantity(p.flops, "", 1000))
    times = ("–" if math.isnan(s) else f"{s:.1f}" for s in (p.compile_seconds, p.seconds))
    return (p.name, *numbers, _quantity(p.bytes, "", 1024), *times)


@dataclasses.dataclass(frozen=True, repr=False)
class Plan:
    """What a sweep will do; `print` shows it."""

    programs: tuple[Program, ...]
    trials: int
    duplicates: int
    devices: int
    hint: str

    @property
    def bytes(self) -> int:
        """Return the bytes of the largest program: programs run one after the other."""
        return max(program.bytes for program in self.programs)

    @property
    def flops(self) -> float:
        """Return the floating-point operations of all trials, if none ends early."""
        return sum(program.flops for program in self.programs)

    @property
    def seconds(self) -> float:
        """Return the seconds of all programs, compiling included; NaN without calibration."""
        return sum(program.seconds + program.compile_seconds for program in self.programs)

    def __repr__(self) -> str:
        return "\n".join([self._headline(), *text_table(_HEAD, map(_cells, self.programs), left=1), *self._hints()])

    def _repr_html_(self) -> str:
        hints = "<br>".join(map(html.escape, self._hints()))
        return f"<p>{html.escape(self._headline())}</p>{html_table(_HEAD, map(_cells, self.programs))}<p>{hints}</p>"

    def _headline(self) -> str:
        again = f" (and {counted(self.duplicates, 'duplicate')})" if self.duplicates else ""
        programs, devices = counted(len(self.programs), "compiled program"), counted(self.devices, "device")
        seconds = "" if math.isnan(self.seconds) else f", about {self.seconds:.1f} s"
        costs = f"{_quantity(self.flops, 'FLOP', 1000)}, {_quantity(self.bytes, 'B', 1024)}{seconds}"
        return f"{counted(self.trials, 'trial')}{again} in {programs} on {devices}: {costs}"

    def _hints(self) -> list[str]:
        idle = (
            (program.name, idle_lanes_hint(program.trials, program.lanes, self.devices)) for program in self.programs
        )
        return [f"{name}: {hint}" for name, hint in idle if hint] + ([self.hint] if self.hint else [])


def plan(
    experiments: Sequence[Experiment],
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
        experiments: as for `sweep`.
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
    flags, counts = {"calibrate": calibrate, "own_order": own_order}, {"lanes": lanes}
    job = checked_job(experiments, (train, validation, test), devices, flags=flags, counts=counts)
    every = {trial.key: trial for trial in map(Trial.of, job.given)}
    found: dict[Any, list[Program]] = {}
    options = Options(own_order=own_order, lanes=lanes)
    for group in groups(list(every.values()), own_order):
        kind = (jax.tree.structure(group[0].experiment), tuple(map(np.shape, jax.tree.leaves(group[0].experiment))))
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
        needed, compiling, an_epoch = engine.calibrate()
        needed += held
        running = an_epoch * sum(max(epochs[i : i + width]) for i in range(0, len(epochs), width))
    flops = _flops_an_epoch(example, job.data) * sum(epochs)
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


def _flops_an_epoch(experiment: Experiment, data: Data) -> float:
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


def _quantity(value: float, unit: str, step: int) -> str:
    if math.isnan(value):
        return "–"
    prefixes = ["", "k", "M", "G", "T", "P", "E"]
    power = 0
    while value >= step and power < len(prefixes) - 1:
        value, power = value / step, power + 1
    middle = "i" if step == 1024 and power else ""
    return f"{value:.3g} {prefixes[power].upper() if middle else prefixes[power]}{middle}{unit}".strip()
