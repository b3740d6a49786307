r"""Sweeps: thousands of experiments in a few compiled programs."""

from funcnet.sweep.devices import use_compilation_cache, use_cores
from funcnet.sweep.halving import Halving
from funcnet.sweep.plan import Plan, plan
from funcnet.sweep.results import Results
from funcnet.sweep.run import SweepInterrupted, sweep
from funcnet.sweep.space import Choice, Integers, LogUniform, Uniform, grid, sample

__all__ = [
    "Choice",
    "Halving",
    "Integers",
    "LogUniform",
    "Plan",
    "Results",
    "SweepInterrupted",
    "Uniform",
    "grid",
    "plan",
    "sample",
    "sweep",
    "use_compilation_cache",
    "use_cores",
]
