r"""Sweeps: thousands of experiments in a few compiled programs."""

from funcnet.sweeps.devices import use_cores
from funcnet.sweeps.distributions import Choice, Integers, LogUniform, Uniform
from funcnet.sweeps.folds import sweep_folds
from funcnet.sweeps.halving import Halving
from funcnet.sweeps.planning import plan
from funcnet.sweeps.plans import Plan
from funcnet.sweeps.reopen import open_results
from funcnet.sweeps.run import SweepInterrupted, sweep
from funcnet.sweeps.space import grid, sample
from funcnet.sweeps.workers import SweepFailed

__all__ = [
    "Choice",
    "Halving",
    "Integers",
    "LogUniform",
    "Plan",
    "SweepFailed",
    "SweepInterrupted",
    "Uniform",
    "grid",
    "open_results",
    "plan",
    "sample",
    "sweep",
    "sweep_folds",
    "use_cores",
]
