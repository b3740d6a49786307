r"""Schedules, one file each. `REGISTRY` lists the modules; the tests loop over it."""

from funcnet.registry import public_names, registry
from funcnet.schedules.base import Schedule as Schedule
from funcnet.schedules.base import as_schedule as as_schedule
from funcnet.schedules.composition import Product as Product
from funcnet.schedules.composition import Sequence as Sequence
from funcnet.schedules.constant import Constant as Constant
from funcnet.schedules.cosine import Cosine as Cosine
from funcnet.schedules.exponential_decay import ExponentialDecay as ExponentialDecay
from funcnet.schedules.inverse_time import InverseTime as InverseTime
from funcnet.schedules.linear import Linear as Linear
from funcnet.schedules.one_cycle import OneCycle as OneCycle
from funcnet.schedules.piecewise import Piecewise as Piecewise
from funcnet.schedules.step_decay import StepDecay as StepDecay
from funcnet.schedules.warmup import Warmup as Warmup

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__)
