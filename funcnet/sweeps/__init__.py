r"""Sweeps: thousands of experiments in a few compiled programs."""

from funcnet.sweeps.devices import use_compilation_cache, use_cores
from funcnet.sweeps.halving import Halving
from funcnet.sweeps.planning import Plan, plan
from funcnet.sweeps.run import SweepInterrupted, sweep
from funcnet.sweeps.space import Choice, Integers, LogUniform, Uniform, grid, sample

__all__ = [
    "Choice",
    "Halving",
    "Integers",
    "LogUniform",
    "Plan",
    "SweepInterrupted",
    "Uniform",
    "grid",
    "plan",
    "sample",
    "sweep",
    "use_compilation_cache",
    "use_cores",
]
