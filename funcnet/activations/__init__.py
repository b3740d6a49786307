r"""Activations, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it.

>>> from funcnet.activations import ReLU
>>> ReLU()
ReLU()
"""

from funcnet.activations.base import Activation as Activation
from funcnet.activations.base import Elementwise as Elementwise
from funcnet.activations.elu import ELU as ELU
from funcnet.activations.gelu import GELU as GELU
from funcnet.activations.hard_sigmoid import HardSigmoid as HardSigmoid
from funcnet.activations.hard_tanh import HardTanh as HardTanh
from funcnet.activations.identity import Identity as Identity
from funcnet.activations.leaky_relu import LeakyReLU as LeakyReLU
from funcnet.activations.log_softmax import LogSoftmax as LogSoftmax
from funcnet.activations.mish import Mish as Mish
from funcnet.activations.relu import ReLU as ReLU
from funcnet.activations.selu import SELU as SELU
from funcnet.activations.sigmoid import Sigmoid as Sigmoid
from funcnet.activations.silu import SiLU as SiLU
from funcnet.activations.softmax import Softmax as Softmax
from funcnet.activations.softplus import Softplus as Softplus
from funcnet.activations.step import Step as Step
from funcnet.activations.tanh import Tanh as Tanh
from funcnet.registry import public_names, registry

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__)
