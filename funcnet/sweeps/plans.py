r"""What a plan says: the programs that will be compiled, and what they hold and compute."""

import dataclasses
import html
import math

from funcnet.sweeps.devices import idle_lanes_hint
from funcnet.text import counted, html_table, text_table


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
    """What a sweep will do; `print` shows it.

    Attributes:
        programs: one for each structure and shape that must be compiled.
        trials: how many runs are asked for.
        duplicates: how many of them are equal to another, and run once.
        devices: how many devices share the lanes.
        hint: what would make it faster, in words, or nothing.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None)
    >>> ahead = fn.plan(fn.grid(line, {"seed": [0, 1, 1]}), train=(x, 3 * x + 1), calibrate=False)
    >>> ahead.trials, ahead.duplicates, len(ahead.programs), ahead.flops > 0
    (2, 1, 1, True)

    """

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


def _quantity(value: float, unit: str, step: int) -> str:
    if math.isnan(value):
        return "–"
    prefixes = ["", "k", "M", "G", "T", "P", "E"]
    power = 0
    while value >= step and power < len(prefixes) - 1:
        value, power = value / step, power + 1
    middle = "i" if step == 1024 and power else ""
    return f"{value:.3g} {prefixes[power].upper() if middle else prefixes[power]}{middle}{unit}".strip()
