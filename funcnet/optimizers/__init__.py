r"""Optimizers, one file each. `REGISTRY` lists the modules; the tests loop over it."""

from funcnet.optimizers import (
    accumulate,
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    clipping,
    coordinate_descent,
    lion,
    nadam,
    rmsprop,
    sgd,
    weight_decay,
)
from funcnet.optimizers.accumulate import Accumulate
from funcnet.optimizers.adadelta import Adadelta
from funcnet.optimizers.adagrad import Adagrad
from funcnet.optimizers.adam import Adam
from funcnet.optimizers.adamax import AdaMax
from funcnet.optimizers.adamw import AdamW
from funcnet.optimizers.amsgrad import AMSGrad
from funcnet.optimizers.base import Optimizer
from funcnet.optimizers.clipping import ClipByNorm, ClipByValue
from funcnet.optimizers.coordinate_descent import CoordinateDescent
from funcnet.optimizers.foreign import Foreign, adopt
from funcnet.optimizers.lion import Lion
from funcnet.optimizers.nadam import NAdam
from funcnet.optimizers.presets import LIBRARIES, preset
from funcnet.optimizers.rmsprop import RMSprop
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.weight_decay import WeightDecay

REGISTRY = (
    accumulate,
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    clipping,
    coordinate_descent,
    lion,
    nadam,
    rmsprop,
    sgd,
    weight_decay,
)

__all__ = [
    "LIBRARIES",
    "REGISTRY",
    "SGD",
    "AMSGrad",
    "Accumulate",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "ClipByNorm",
    "ClipByValue",
    "CoordinateDescent",
    "Foreign",
    "Lion",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "WeightDecay",
    "adopt",
    "preset",
]
