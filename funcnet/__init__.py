r"""funcnet: neural networks as pure functions, gradients derived by hand, training as one compiled program.

An experiment is a pytree, every number a leaf, every choice structure; training is one pure function of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from funcnet import activations, data, layers, losses, metrics, optimizers, regularizers, schedules
from funcnet.caching import use_compilation_cache
from funcnet.checking import check
from funcnet.costs import Cost, cost
from funcnet.generation import generate
from funcnet.io import load, save
from funcnet.objective import backprop, evaluate
from funcnet.records import choice, integer, number, part, paths, record, replace
from funcnet.results import Results
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
    sweep_folds,
    use_cores,
)
from funcnet.tracing import trace
from funcnet.training.experiment import Experiment
from funcnet.training.loop import train
from funcnet.training.run import Run, finish
from funcnet.training.steps import advance, begin
from funcnet.training.stopping import Convergence, EarlyStopping
from funcnet.trees import global_norm

# Whatever the folders of concepts give out stands here too; a new concept is a line in its folder and none here.
if TYPE_CHECKING:
    from funcnet import linear
    from funcnet.activations import *
    from funcnet.layers import *
    from funcnet.losses import *
    from funcnet.metrics import *
    from funcnet.onnx import to_onnx
    from funcnet.optimizers import *
    from funcnet.presets import preset
    from funcnet.regularizers import *
    from funcnet.schedules import *
    from funcnet.torch import from_torch, to_torch
else:
    for kind in (activations, layers, losses, metrics, optimizers, regularizers, schedules):
        globals().update({name: vars(kind)[name] for name in kind.PUBLIC})
    del kind
    from funcnet.presets import preset

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

__version__ = "0.2.0"

__all__ = [
    *activations.PUBLIC,
    *layers.PUBLIC,
    *losses.PUBLIC,
    *metrics.PUBLIC,
    *optimizers.PUBLIC,
    *regularizers.PUBLIC,
    *schedules.PUBLIC,
    "Choice",
    "Convergence",
    "Cost",
    "EarlyStopping",
    "Experiment",
    "Halving",
    "Integers",
    "LogUniform",
    "Plan",
    "Results",
    "Run",
    "SweepFailed",
    "SweepInterrupted",
    "Uniform",
    "activations",
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
    "from_torch",
    "gelu",
    "global_norm",
    "generate",
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
    "sweep_folds",
    "tanh",
    "to_onnx",
    "to_torch",
    "trace",
    "train",
    "use_compilation_cache",
    "use_cores",
]


def __getattr__(name: str) -> Any:
    """Load what networks do without when it is asked for: so importing is faster."""
    if name == "linear":
        return importlib.import_module("funcnet.linear")
    if name == "to_onnx":
        return vars(importlib.import_module("funcnet.onnx"))[name]
    if name in ("from_torch", "to_torch"):
        return vars(importlib.import_module("funcnet.torch"))[name]
    raise AttributeError(f"module 'funcnet' has no attribute {name!r}")
