r"""funcnet: neural networks as pure functions, gradients derived by hand, training as one compiled program.

An experiment is a pytree, every number a leaf, every choice structure; training is one pure function of it.
"""

from funcnet import data as data
from funcnet.activations import *  # noqa: F403
from funcnet.experiment import Experiment as Experiment
from funcnet.layers import Chain as Chain
from funcnet.layers import Dense as Dense
from funcnet.layers import Dropout as Dropout
from funcnet.layers import mlp as mlp
from funcnet.losses import BinaryCrossEntropy as BinaryCrossEntropy
from funcnet.losses import CrossEntropy as CrossEntropy
from funcnet.losses import Huber as Huber
from funcnet.losses import KLDivergence as KLDivergence
from funcnet.losses import MeanAbsoluteError as MeanAbsoluteError
from funcnet.losses import MeanSquaredError as MeanSquaredError
from funcnet.losses import SigmoidCrossEntropy as SigmoidCrossEntropy
from funcnet.losses import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from funcnet.objective import backprop as backprop
from funcnet.optimizers import SGD as SGD
from funcnet.optimizers import Adam as Adam
from funcnet.records import replace as replace
from funcnet.regularizers import L1 as L1
from funcnet.regularizers import L2 as L2
from funcnet.regularizers import ElasticNet as ElasticNet
from funcnet.regularizers import MaxNorm as MaxNorm
from funcnet.stopping import Convergence as Convergence
from funcnet.stopping import EarlyStopping as EarlyStopping
from funcnet.train import train as train
relu=ReLU(); tanh=Sigmoid()
