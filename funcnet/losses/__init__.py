r"""Losses, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it.

>>> from funcnet.losses import Huber
>>> Huber(2.0).name
'huber'
"""

from funcnet.losses.base import Loss as Loss
from funcnet.losses.base import OutputLoss as OutputLoss
from funcnet.losses.base import require_scalar as require_scalar
from funcnet.losses.binary_cross_entropy import BinaryCrossEntropy as BinaryCrossEntropy
from funcnet.losses.cross_entropy import CrossEntropy as CrossEntropy
from funcnet.losses.foreign import ForeignLoss as ForeignLoss
from funcnet.losses.foreign import as_loss as as_loss
from funcnet.losses.huber import Huber as Huber
from funcnet.losses.kl_divergence import KLDivergence as KLDivergence
from funcnet.losses.kl_divergence import LogKLDivergence as LogKLDivergence
from funcnet.losses.mean_absolute_error import MeanAbsoluteError as MeanAbsoluteError
from funcnet.losses.mean_squared_error import MeanSquaredError as MeanSquaredError
from funcnet.losses.perceptron import PerceptronCriterion as PerceptronCriterion
from funcnet.losses.sigmoid_cross_entropy import SigmoidCrossEntropy as SigmoidCrossEntropy
from funcnet.losses.softmax_cross_entropy import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from funcnet.registry import public_names, registry

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__)
