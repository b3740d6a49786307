r"""Activations in ONNX: the operator of their name where there is one, else the formula of their file.

Also the probabilities that losses know, as functions of what a network gives.
"""

from typing import Any

import numpy as np

from funcnet.activations.elu import ELU
from funcnet.activations.gelu import GELU
from funcnet.activations.hard_sigmoid import HardSigmoid
from funcnet.activations.hard_tanh import HardTanh
from funcnet.activations.identity import Identity
from funcnet.activations.leaky_relu import LeakyReLU
from funcnet.activations.log_softmax import LogSoftmax
from funcnet.activations.mish import Mish
from funcnet.activations.relu import ReLU
from funcnet.activations.selu import ALPHA, LAMBDA, SELU
from funcnet.activations.sigmoid import Sigmoid
from funcnet.activations.silu import SiLU
from funcnet.activations.softmax import Softmax
from funcnet.activations.softplus import Softplus
from funcnet.activations.step import Step
from funcnet.activations.tanh import Tanh
from funcnet.losses.binary_cross_entropy import BinaryCrossEntropy
from funcnet.losses.cross_entropy import CrossEntropy
from funcnet.losses.sigmoid_cross_entropy import SigmoidCrossEntropy
from funcnet.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from funcnet.onnx.graph import Graph, Value, translates


def plain(number: Any) -> float:
    """Return a number of a rule as Python's."""
    return float(np.asarray(number))


@translates(Identity, CrossEntropy, BinaryCrossEntropy)
def identity(rule: Any, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return x: nothing to do, or probabilities already."""
    return x


def _operator(operator: str, **numbers: Any) -> Any:
    """Return the translation by one operator; `numbers` are its attributes, or the fields that hold them."""

    def translation(rule: Any, graph: Graph, params: Any, x: Value, name: str) -> Value:
        own: dict[str, Any] = {
            key: plain(vars(rule)[value]) if value in vars(rule) else value for key, value in numbers.items()
        }
        return graph.elementwise(lambda x: graph.add(operator, x, **own), x)

    return translation


translates(ReLU)(_operator("Relu"))
translates(Sigmoid, SigmoidCrossEntropy)(_operator("Sigmoid"))
translates(Tanh)(_operator("Tanh"))
translates(Softplus)(_operator("Softplus"))
translates(Mish)(_operator("Mish"))
translates(ELU)(_operator("Elu", alpha="alpha"))
translates(SELU)(_operator("Selu", alpha=ALPHA, gamma=LAMBDA))
translates(LeakyReLU)(_operator("LeakyRelu", alpha="slope"))
translates(HardSigmoid)(_operator("HardSigmoid", alpha=1 / 6, beta=0.5))


@translates(GELU)
def gelu(rule: GELU, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return Gelu, by the error function or by tanh."""
    kind = "tanh" if rule.approximate else "none"
    return graph.elementwise(lambda x: graph.add("Gelu", x, approximate=kind), x)


@translates(SiLU)
def silu(rule: SiLU, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return z σ(z)."""
    return graph.elementwise(lambda x: graph.add("Mul", x, graph.add("Sigmoid", x)), x)


@translates(HardTanh)
def hard_tanh(rule: HardTanh, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return z between −1 and 1."""
    return graph.elementwise(lambda x: graph.add("Clip", x, graph.constant(-1.0), graph.constant(1.0)), x)


@translates(Step)
def step(rule: Step, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return [z ≥ threshold]."""

    def jump(x: Value) -> Value:
        reached = graph.add("GreaterOrEqual", x, graph.constant(plain(rule.threshold)), dtype=bool)
        return graph.add("Cast", reached, dtype=np.float32, to=graph.onnx.TensorProto.FLOAT)

    return graph.elementwise(jump, x)


@translates(SoftmaxCrossEntropy)
def probabilities(rule: Any, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return the softmax of the logits."""
    return graph.add("Softmax", x, axis=-1)


@translates(Softmax)
def softmax(rule: Softmax, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return the softmax over the last axis, of z + log w with class weights w."""
    if rule.class_weight is not None:
        x = graph.add("Add", x, graph.parameter(f"{name}log_class_weight", np.log(np.asarray(rule.class_weight))))
    return graph.add("Softmax", x, axis=-1)


@translates(LogSoftmax)
def log_softmax(rule: LogSoftmax, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return the logarithm of the softmax over the last axis."""
    return graph.add("LogSoftmax", x, axis=-1)
