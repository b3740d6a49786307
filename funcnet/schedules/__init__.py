r"""Schedules, one file each. `REGISTRY` lists the modules; the tests loop over it."""

from funcnet.schedules import (
    composition,
    constant,
    cosine,
    exponential_decay,
    inverse_time,
    linear,
    one_cycle,
    piecewise,
    step_decay,
    warmup,
)
from funcnet.schedules.base import Schedule
from funcnet.schedules.composition import Product, Sequence
from funcnet.schedules.constant import Constant
from funcnet.schedules.cosine import Cosine
from funcnet.schedules.exponential_decay import ExponentialDecay
from funcnet.schedules.inverse_time import InverseTime
from funcnet.schedules.linear import Linear
from funcnet.schedules.one_cycle import OneCycle
from funcnet.schedules.piecewise import Piecewise
from funcnet.schedules.step_decay import StepDecay
from funcnet.schedules.warmup import Warmup

REGISTRY = (
    composition,
    constant,
    cosine,
    exponential_decay,
    inverse_time,
    linear,
    one_cycle,
    piecewise,
    step_decay,
    warmup,
)

__all__ = [
    "REGISTRY",
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "InverseTime",
    "Linear",
    "OneCycle",
    "Piecewise",
    "Product",
    "Schedule",
    "Sequence",
    "StepDecay",
    "Warmup",
]
