r"""Layers in ONNX: dense ones, normalisations, what changes shapes, and layers made of layers."""

from typing import Any

import jax
import numpy as np

from funcnet.layers.activate import Activate, ForeignLayer, HeldLayer
from funcnet.layers.batch_norm import BatchNorm
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.layers.group_norm import GroupNorm
from funcnet.layers.layer_norm import LayerNorm
from funcnet.layers.moving import RandomFlip, RandomShift
from funcnet.layers.noise import Noise
from funcnet.layers.parallel import Parallel
from funcnet.layers.recompute import Recompute
from funcnet.layers.repeat import Repeat
from funcnet.layers.residual import Residual
from funcnet.layers.rms_norm import RMSNorm
from funcnet.layers.shaping import Flatten, Reshape
from funcnet.onnx.activations import plain
from funcnet.onnx.graph import Graph, Value, emit, product, translates
from funcnet.onnx.spaces import channels_first, channels_last


@translates(Dense)
def dense(layer: Dense, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return x W + b: a Gemm for rows, else MatMul and Add."""
    kernel = graph.parameter(f"{name}kernel", params["kernel"])
    bias = [graph.parameter(f"{name}bias", params["bias"])] if layer.bias else []
    shape = (*x.shape[:-1], layer.width)
    if len(x.shape) == 2:
        return graph.add("Gemm", x, kernel, *bias, shape=shape)
    y = graph.add("MatMul", x, kernel, shape=shape)
    return graph.add("Add", y, *bias) if bias else y


@translates(Activate)
def activate(layer: Activate, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return the activation's translation."""
    return emit(layer.activation, graph, (), x, name)


@translates(ForeignLayer, HeldLayer)
def foreign(layer: Any, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return the translation of the layer from elsewhere."""
    return emit(layer.layer, graph, params, x, name)


@translates(Noise, RandomShift, RandomFlip)
def only_in_training(layer: Any, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return x: these layers change nothing where nothing is trained."""
    return x


@translates(Dropout)
def dropout(layer: Dropout, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return x, or x (1 − rate) where training did not make up for what it left out."""
    if layer.inverted:
        return x
    return graph.elementwise(lambda x: graph.add("Mul", x, graph.constant(1 - plain(layer.rate))), x)


@translates(Chain)
def chain(layer: Chain, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return what the last layer gives."""
    for index, (own, its) in enumerate(zip(layer.layers, params, strict=True)):
        x = emit(own, graph, its, x, f"{name}{index}.")
    return x


@translates(Residual)
def residual(layer: Residual, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return x + f(x)."""
    y = emit(layer.body, graph, params, x, name)
    if isinstance(x, tuple) and not isinstance(x, Value):
        own = y if isinstance(y, Value) else y[0]
        return graph.total(x[0], own), x[1]
    return graph.total(x, y)


@translates(Parallel)
def parallel(layer: Parallel, graph: Graph, params: Any, x: Any, name: str) -> Value:
    """Return what the layers give, side by side or added up."""
    each = enumerate(zip(layer.layers, params, strict=True))
    found = [emit(own, graph, its, x, f"{name}{index}.") for index, (own, its) in each]
    if layer.join == "add":
        return graph.total(*found)
    width = sum(y.shape[-1] for y in found)
    return graph.add("Concat", *found, shape=(*found[0].shape[:-1], width), axis=-1)


@translates(Repeat)
def repeat(layer: Repeat, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return what the last turn gives; a graph has them one after the other, "turn2.kernel" is a third turn's."""
    for turn in range(layer.times):
        own = jax.tree.map(lambda leaf: leaf[turn], params)  # noqa: B023
        x = emit(layer.layer, graph, own, x, f"{name}turn{turn}.")
    return x


@translates(Recompute)
def recompute(layer: Recompute, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return what the layer gives."""
    return emit(layer.layer, graph, params, x, name)


@translates(Flatten)
def flatten(layer: Flatten, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return all numbers of a sample in a row."""
    if len(x.shape) == 1:
        return graph.reshape(x, (x.shape[0], 1))
    return graph.add("Flatten", x, shape=(x.shape[0], product(x.shape[1:])), axis=1)


@translates(Reshape)
def reshape(layer: Reshape, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return x in another shape."""
    return graph.reshape(x, (x.shape[0], *layer.out_shape(graph.known(x, layer.label))))


@translates(LayerNorm)
def layer_norm(layer: LayerNorm, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return LayerNormalization over the last axis."""
    scale, offset = (graph.parameter(name + own, params[own]) for own in ("scale", "offset"))
    return graph.add("LayerNormalization", x, scale, offset, axis=-1, epsilon=plain(layer.epsilon))


@translates(RMSNorm)
def rms_norm(layer: RMSNorm, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return γ x/√(mean x² + ε)."""
    normal = graph.add("Div", x, _root(graph, graph.add("Mul", x, x), [-1], layer.epsilon))
    return graph.add("Mul", normal, graph.parameter(f"{name}scale", params["scale"]))


@translates(GroupNorm)
def group_norm(layer: GroupNorm, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return γ (x − μ)/√(v + ε) + β, μ and v over the places and channels of a group."""
    cut = (
        x.shape[0],
        product(x.shape[1:-1]),
        layer.groups,
        graph.known(x, layer.label, slice(-1, None))[0] // layer.groups,
    )
    grouped = graph.reshape(x, cut)
    centred = graph.add("Sub", grouped, _mean(graph, grouped, [1, 3]))
    normal = graph.add("Div", centred, _root(graph, graph.add("Mul", centred, centred), [1, 3], layer.epsilon))
    back = graph.reshape(normal, x.shape)
    if back.name == normal.name or isinstance(cut[1], str):
        asked = graph.add("Shape", x, shape=(len(x.shape),), dtype=np.int64)
        back = graph.add("Reshape", normal, asked, shape=x.shape)
    scale, offset = (graph.parameter(name + own, params[own]) for own in ("scale", "offset"))
    return graph.add("Add", graph.add("Mul", back, scale), offset)


@translates(BatchNorm)
def batch_norm(layer: BatchNorm, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return BatchNormalization with the running mean and variance, channels first as it takes them."""
    own = [graph.parameter(name + part, params[part]) for part in ("scale", "offset", "mean", "variance")]
    turned = channels_first(graph, x)
    y = graph.add("BatchNormalization", turned, *own, epsilon=plain(layer.epsilon))
    return channels_last(graph, y)


def _mean(graph: Graph, x: Value, axes: list[int]) -> Value:
    ones = {axis % len(x.shape) for axis in axes}
    shape = [1 if axis in ones else size for axis, size in enumerate(x.shape)]
    return graph.add("ReduceMean", x, graph.constant(axes, np.int64), shape=shape, keepdims=1)


def _root(graph: Graph, squares: Value, axes: list[int], epsilon: Any) -> Value:
    """Return √(mean of the squares + ε)."""
    return graph.add("Sqrt", graph.add("Add", _mean(graph, squares, axes), graph.constant(plain(epsilon))))
