r"""Recurrent layers in ONNX: LSTM, GRU and RNN, with time first and gates in ONNX's order.

LSTM has its gates in the order i o f c where funcnet has i f g o, GRU z r h where funcnet has r z n. The two biases of
a gate are ours and 0, or, for a GRU with the reset after the product, ours both.
"""

from typing import Any

import numpy as np

from funcnet.activations.elu import ELU
from funcnet.activations.hard_sigmoid import HardSigmoid
from funcnet.activations.identity import Identity
from funcnet.activations.leaky_relu import LeakyReLU
from funcnet.activations.relu import ReLU
from funcnet.activations.sigmoid import Sigmoid
from funcnet.activations.softplus import Softplus
from funcnet.activations.tanh import Tanh
from funcnet.errors import raise_error
from funcnet.layers.bidirectional import Bidirectional
from funcnet.layers.gru import GRU
from funcnet.layers.lstm import LSTM
from funcnet.layers.rnn import RNN
from funcnet.onnx.activations import plain
from funcnet.onnx.graph import Graph, emit, product, translates
from funcnet.onnx.sequences import joined, masked, parted
from funcnet.records import replace

OPERATORS: dict[type, str] = {LSTM: "LSTM", GRU: "GRU", RNN: "RNN"}
ORDERS: dict[type, tuple[int, ...]] = {
    LSTM: (0, 3, 1, 2),
    GRU: (1, 0, 2),
    RNN: (0,),
}  # where ONNX's blocks stand among ours
# φ of an RNN by ONNX's name, with its numbers α and β: a field's name or a number.
PHI: dict[type, tuple[str, Any, Any]] = {
    Tanh: ("Tanh", None, None),
    Sigmoid: ("Sigmoid", None, None),
    ReLU: ("Relu", None, None),
    Softplus: ("Softplus", None, None),
    Identity: ("Affine", 1.0, 0.0),
    LeakyReLU: ("LeakyRelu", "slope", None),
    ELU: ("Elu", "alpha", None),
    HardSigmoid: ("HardSigmoid", 1 / 6, 0.5),
}


@translates(LSTM, GRU, RNN)
def recurrent(layer: Any, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return one direction."""
    return _run(layer, graph, [params], x, name, "reverse" if layer.reverse else "forward")


@translates(Bidirectional)
def bidirectional(layer: Bidirectional, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return both directions, in one node if the first of them is the forward one."""
    if not layer.layer.reverse:
        return _run(layer.layer, graph, list(params), x, name, "bidirectional")
    both = (layer.layer, replace(layer.layer, {"reverse": False}))
    each = enumerate(zip(both, params, strict=True))
    found = [parted(emit(own, graph, its, x, f"{name}{index}.")) for index, (own, its) in each]
    (first, lengths), (second, _) = found
    shape = (*first.shape[:-1], 2 * layer.layer.width)
    return joined(graph.add("Concat", first, second, shape=shape, axis=-1), lengths)


def _run(layer: Any, graph: Graph, params: list[Any], x: Any, name: str, direction: str) -> Any:
    """Add the node for one or two directions, and turn what it gives to (samples, time, width)."""
    x, lengths = parted(x)
    lead, time, width, ways = x.shape[:-2], x.shape[-2], layer.width, len(params)
    x = graph.reshape(x, (product(lead), *x.shape[-2:]))
    samples, names = x.shape[0], ("input", "recurrent", "bias")
    arrays = zip(*(_reordered(layer, own) for own in params), strict=True)
    weights = [graph.parameter(name + own, np.stack(each)) for own, each in zip(names, arrays, strict=True)]
    attributes = {"hidden_size": width, "direction": direction} | _special(layer, ways, name)
    if lengths is not None:
        to = graph.onnx.TensorProto.INT32
        weights.append(graph.add("Cast", lengths, dtype=np.int32, to=to))
    first = graph.transpose(x, (1, 0, 2))
    if layer.sequence:
        shape = (time, ways, samples, width)
        y = graph.add(OPERATORS[type(layer)], first, *weights, shape=shape, **attributes)
        y = graph.reshape(graph.transpose(y, (2, 0, 1, 3)), (samples, time, ways * width))
        return joined(graph.reshape(masked(graph, y, lengths), (*lead, time, ways * width)), lengths)
    y = graph.add(OPERATORS[type(layer)], first, *weights, shape=(ways, samples, width), output=1, **attributes)
    y = graph.reshape(graph.transpose(y, (1, 0, 2)), (samples, ways * width))
    return graph.reshape(y, (*lead, ways * width))


def _reordered(layer: Any, params: Any) -> tuple[np.ndarray, ...]:
    """Return W and U as (blocks · width, numbers) and both biases in a row, blocks in the order of ONNX."""
    order = ORDERS[type(layer)]

    def blocks(array: Any) -> np.ndarray:
        each = np.split(np.asarray(array), len(order), axis=-1)
        return np.concatenate([each[block] for block in order], axis=-1)

    second = params["recurrent_bias"] if "recurrent_bias" in params else np.zeros_like(np.asarray(params["bias"]))
    bias = np.concatenate([blocks(params["bias"]), blocks(second)])
    return blocks(params["input"]).T, blocks(params["recurrent"]).T, bias


def _special(layer: Any, ways: int, name: str) -> dict[str, Any]:
    """Return the attributes of one kind alone: where a GRU resets, and φ of an RNN."""
    if isinstance(layer, GRU):
        return {"linear_before_reset": int(layer.reset_after)}
    if not isinstance(layer, RNN):
        return {}
    phi = layer.activation
    if type(phi) not in PHI:
        must = f"an RNN goes to ONNX with {', '.join(kind.__name__ for kind in PHI)} alone"
        where = f" at {name[:-1]}" if name else ""
        raise_error(must, f"RNN{where} has {type(phi).__name__}", "one of them, or an LSTM or GRU", TypeError)
    operator, *numbers = PHI[type(phi)]
    found: dict[str, Any] = {"activations": [operator] * ways}
    for key, number in zip(("activation_alpha", "activation_beta"), numbers, strict=True):
        if number is not None:
            found[key] = [plain(vars(phi)[number] if isinstance(number, str) else number)] * ways
    return found
