r"""funcnet: neural networks as pure functions, gradients derived by hand, training as one compiled program.

An experiment is a pytree, every number a leaf, every choice structure; training is one pure function of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from funcnet import data, layers, losses, metrics, optimizers, regularizers, schedules
from funcnet.activations import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardTanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
)
from funcnet.checking import check
from funcnet.costs import Cost, cost
from funcnet.io import load, save
from funcnet.layers import Chain, Dense, Dropout, mlp
from funcnet.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    KLDivergence,
    LogKLDivergence,
    MeanAbsoluteError,
    MeanSquaredError,
    PerceptronCriterion,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)
from funcnet.metrics import (
    AUC,
    F1,
    R2,
    Accuracy,
    ConfusionMatrix,
    MeanAbsolutePercentageError,
    Perplexity,
    Precision,
    Recall,
    TopK,
)
from funcnet.objective import backprop, evaluate
from funcnet.optimizers import (
    SGD,
    Accumulate,
    Adadelta,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    ClipByNorm,
    ClipByValue,
    CoordinateDescent,
    Lion,
    NAdam,
    RMSprop,
    WeightDecay,
    preset,
)
from funcnet.records import choice, integer, number, part, paths, record, replace
from funcnet.regularizers import L1, L2, ElasticNet, MaxNorm
from funcnet.results import Results
from funcnet.schedules import Constant, Cosine, ExponentialDecay, InverseTime, OneCycle, StepDecay, Warmup
from funcnet.sweeps import (
    Choice,
    Halving,
    Integers,
    LogUniform,
    Plan,
    SweepFailed,
    SweepInterrupted,
    Uniform,
    grid,
    open_results,
    plan,
    sample,
    sweep,
    use_compilation_cache,
    use_cores,
)
from funcnet.tracing import trace
from funcnet.training.experiment import Experiment
from funcnet.training.loop import train
from funcnet.training.run import Run, finish
from funcnet.training.steps import advance, begin
from funcnet.training.stopping import Convergence, EarlyStopping
from funcnet.trees import global_norm

if TYPE_CHECKING:
    from funcnet import linear

# Activations that are made without arguments stand ready as instances.
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

__version__ = "0.1.0"

__all__ = [
    "AUC",
    "ELU",
    "F1",
    "GELU",
    "L1",
    "L2",
    "R2",
    "SELU",
    "SGD",
    "AMSGrad",
    "Accumulate",
    "Accuracy",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "Chain",
    "Choice",
    "ClipByNorm",
    "ClipByValue",
    "ConfusionMatrix",
    "Constant",
    "Convergence",
    "CoordinateDescent",
    "Cosine",
    "Cost",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "ElasticNet",
    "Experiment",
    "ExponentialDecay",
    "Halving",
    "HardSigmoid",
    "HardTanh",
    "Huber",
    "Identity",
    "Integers",
    "InverseTime",
    "KLDivergence",
    "LeakyReLU",
    "Lion",
    "LogKLDivergence",
    "LogSoftmax",
    "LogUniform",
    "MaxNorm",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "Mish",
    "NAdam",
    "OneCycle",
    "PerceptronCriterion",
    "Perplexity",
    "Plan",
    "Precision",
    "RMSprop",
    "ReLU",
    "Recall",
    "Results",
    "Run",
    "SiLU",
    "Sigmoid",
    "SigmoidCrossEntropy",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softplus",
    "Step",
    "StepDecay",
    "SweepFailed",
    "SweepInterrupted",
    "Tanh",
    "TopK",
    "Uniform",
    "Warmup",
    "WeightDecay",
    "advance",
    "backprop",
    "begin",
    "check",
    "choice",
    "cost",
    "data",
    "elu",
    "evaluate",
    "finish",
    "gelu",
    "global_norm",
    "grid",
    "hard_sigmoid",
    "hard_tanh",
    "identity",
    "integer",
    "layers",
    "leaky_relu",
    "linear",
    "load",
    "log_softmax",
    "losses",
    "metrics",
    "mish",
    "mlp",
    "number",
    "open_results",
    "optimizers",
    "part",
    "paths",
    "plan",
    "preset",
    "record",
    "regularizers",
    "relu",
    "replace",
    "sample",
    "save",
    "schedules",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step",
    "sweep",
    "tanh",
    "trace",
    "train",
    "use_compilation_cache",
    "use_cores",
]


def __getattr__(name: str) -> Any:
    """Load the linear models when they are asked for: networks do without them, and import faster."""
    if name == "linear":
        return importlib.import_module("funcnet.linear")
    raise AttributeError(f"module 'funcnet' has no attribute {name!r}")
