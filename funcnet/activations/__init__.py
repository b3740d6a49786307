r"""Activations, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it.

Those that can be made without arguments also stand ready as lower-case instances. An instance hides the
module of the same name here, so the module `relu` is reached through `REGISTRY`, and `relu` is what a network
is built with.

>>> from funcnet.activations import relu
>>> relu
ReLU()
"""

from funcnet.activations import elu as _elu
from funcnet.activations import gelu as _gelu
from funcnet.activations import hard_sigmoid as _hard_sigmoid
from funcnet.activations import hard_tanh as _hard_tanh
from funcnet.activations import identity as _identity
from funcnet.activations import leaky_relu as _leaky_relu
from funcnet.activations import log_softmax as _log_softmax
from funcnet.activations import mish as _mish
from funcnet.activations import relu as _relu
from funcnet.activations import selu as _selu
from funcnet.activations import sigmoid as _sigmoid
from funcnet.activations import silu as _silu
from funcnet.activations import softmax as _softmax
from funcnet.activations import softplus as _softplus
from funcnet.activations import step as _step
from funcnet.activations import tanh as _tanh
from funcnet.activations.base import Activation, Elementwise
from funcnet.activations.elu import ELU
from funcnet.activations.gelu import GELU
from funcnet.activations.hard_sigmoid import HardSigmoid
from funcnet.activations.hard_tanh import HardTanh
from funcnet.activations.identity import Identity
from funcnet.activations.leaky_relu import LeakyReLU
from funcnet.activations.log_softmax import LogSoftmax
from funcnet.activations.mish import Mish
from funcnet.activations.relu import ReLU
from funcnet.activations.selu import SELU
from funcnet.activations.sigmoid import Sigmoid
from funcnet.activations.silu import SiLU
from funcnet.activations.softmax import Softmax
from funcnet.activations.softplus import Softplus
from funcnet.activations.step import Step
from funcnet.activations.tanh import Tanh

REGISTRY = (
    _elu,
    _gelu,
    _hard_sigmoid,
    _hard_tanh,
    _identity,
    _leaky_relu,
    _log_softmax,
    _mish,
    _relu,
    _selu,
    _sigmoid,
    _silu,
    _softmax,
    _softplus,
    _step,
    _tanh,
)

elu = ELU()
gelu = GELU()
hard_sigmoid = HardSigmoid()
hard_tanh = HardTanh()
identity = Identity()
leaky_relu = LeakyReLU()
log_softmax = LogSoftmax()
mish = Mish()
relu = ReLU()
selu = SELU()
sigmoid = Sigmoid()
silu = SiLU()
softmax = Softmax()
softplus = Softplus()
step = Step()
tanh = Tanh()

__all__ = [
    "ELU",
    "GELU",
    "REGISTRY",
    "SELU",
    "Activation",
    "Elementwise",
    "HardSigmoid",
    "HardTanh",
    "Identity",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_softmax",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step",
    "tanh",
]
