r"""Losses, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it."""

from funcnet.losses import (
    binary_cross_entropy,
    cross_entropy,
    huber,
    kl_divergence,
    mean_absolute_error,
    mean_squared_error,
    perceptron,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from funcnet.losses.base import Loss, OutputLoss
from funcnet.losses.binary_cross_entropy import BinaryCrossEntropy
from funcnet.losses.cross_entropy import CrossEntropy
from funcnet.losses.huber import Huber
from funcnet.losses.kl_divergence import KLDivergence, LogKLDivergence
from funcnet.losses.mean_absolute_error import MeanAbsoluteError
from funcnet.losses.mean_squared_error import MeanSquaredError
from funcnet.losses.perceptron import PerceptronCriterion
from funcnet.losses.sigmoid_cross_entropy import SigmoidCrossEntropy
from funcnet.losses.softmax_cross_entropy import SoftmaxCrossEntropy

REGISTRY = (
    binary_cross_entropy,
    cross_entropy,
    huber,
    kl_divergence,
    mean_absolute_error,
    mean_squared_error,
    perceptron,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)

__all__ = [
    "REGISTRY",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Huber",
    "KLDivergence",
    "LogKLDivergence",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "OutputLoss",
    "PerceptronCriterion",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
]
