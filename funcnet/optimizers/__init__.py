r"""Optimizers, one file each. `REGISTRY` lists the modules; the tests loop over it."""

from funcnet.optimizers.accumulate import Accumulate as Accumulate
from funcnet.optimizers.adadelta import Adadelta as Adadelta
from funcnet.optimizers.adagrad import Adagrad as Adagrad
from funcnet.optimizers.adam import Adam as Adam
from funcnet.optimizers.adamax import AdaMax as AdaMax
from funcnet.optimizers.adamw import AdamW as AdamW
from funcnet.optimizers.amsgrad import AMSGrad as AMSGrad
from funcnet.optimizers.averaged import Averaged as Averaged
from funcnet.optimizers.base import Optimizer as Optimizer
from funcnet.optimizers.clipping import ClipByNorm as ClipByNorm
from funcnet.optimizers.clipping import ClipByValue as ClipByValue
from funcnet.optimizers.coordinate_descent import CoordinateDescent as CoordinateDescent
from funcnet.optimizers.foreign import as_optimizer as as_optimizer
from funcnet.optimizers.lion import Lion as Lion
from funcnet.optimizers.nadam import NAdam as NAdam
from funcnet.optimizers.plateau import ReduceOnPlateau as ReduceOnPlateau
from funcnet.optimizers.presets import LIBRARIES as LIBRARIES
from funcnet.optimizers.presets import preset as preset
from funcnet.optimizers.rates_by_path import RatesByPath as RatesByPath
from funcnet.optimizers.rmsprop import RMSprop as RMSprop
from funcnet.optimizers.sgd import SGD as SGD
from funcnet.optimizers.weight_decay import WeightDecay as WeightDecay
from funcnet.optimizers.wrapper import Wrapper as Wrapper
from funcnet.registry import public_names, registry

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__)
