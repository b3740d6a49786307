r"""Convolutions and pools in ONNX, which has channels first: between two of them the transpositions cancel."""

import math
from typing import Any

import numpy as np

from funcnet.layers.average_pool import AveragePool
from funcnet.layers.conv import Conv
from funcnet.layers.conv_transpose import ConvTranspose
from funcnet.layers.global_pool import GlobalAveragePool, GlobalMaxPool
from funcnet.layers.max_pool import MaxPool
from funcnet.layers.windows import each_axis, windows
from funcnet.onnx.graph import Graph, Size, Value, translates

LONG = 2**40  # stands in for the size of a free axis


def channels_first(graph: Graph, x: Value) -> Value:
    """Return (samples, channels, *space) of (samples, *space, channels)."""
    rank = len(x.shape)
    return x if rank < 3 else graph.transpose(x, (0, rank - 1, *range(1, rank - 1)))


def channels_last(graph: Graph, x: Value) -> Value:
    """Return (samples, *space, channels) of (samples, channels, *space)."""
    rank = len(x.shape)
    return x if rank < 3 else graph.transpose(x, (0, *range(2, rank), 1))


def _laid(layer: Any, space: tuple[Size, ...], dilation: Any, place: str) -> tuple[dict[str, Any], tuple[Size, ...]]:
    """Return the attributes that lay a layer's windows over a space, and the places that they have."""
    sizes = tuple(size if isinstance(size, int) else LONG for size in space)
    frame = windows(layer.window, layer.stride, layer.padding, dilation, sizes, layer.label)
    places: list[Size] = []
    for size, count in zip(space, frame.places, strict=True):
        free = isinstance(size, str)
        places.append(count if not free else size if count == LONG else f"{size}/{place}")
    found: dict[str, Any] = {"kernel_shape": list(frame.window), "strides": list(frame.stride)}
    if any(d != 1 for d in frame.dilation):
        found["dilations"] = list(frame.dilation)
    if layer.padding == "same" and any(isinstance(size, str) for size in space):
        found["auto_pad"] = "SAME_UPPER"  # how much depends on the size, which is known when the file is run
    elif any(max(pair) for pair in frame.pads):
        found["pads"] = [lo for lo, _ in frame.pads] + [hi for _, hi in frame.pads]
    return found, tuple(places)


@translates(Conv)
def conv(layer: Conv, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return Conv, the kernel as (features, in/groups, *window)."""
    attributes, places = _laid(layer, x.shape[1:-1], layer.dilation, name)
    if layer.groups > 1:
        attributes["group"] = layer.groups
    kernel = np.moveaxis(np.asarray(params["kernel"]), (-1, -2), (0, 1))
    inputs = [graph.parameter(f"{name}kernel", kernel)]
    inputs += [graph.parameter(f"{name}bias", params["bias"])] if layer.bias else []
    turned = channels_first(graph, x)
    y = graph.add("Conv", turned, *inputs, shape=(x.shape[0], layer.features, *places), **attributes)
    return channels_last(graph, y)


@translates(ConvTranspose)
def conv_transpose(layer: ConvTranspose, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return ConvTranspose, the kernel as (in, features, *window)."""
    space = x.shape[1:-1]
    rank = len(space)
    wide = each_axis(layer.window, rank, "ConvTranspose.window")
    steps = each_axis(layer.stride, rank, "ConvTranspose.stride")
    counts = tuple(n if isinstance(n, int) else LONG for n in space)
    larger = layer.out_shape((*counts, 1))[:-1]
    pads, beyond = [], []
    places: list[Size] = []
    for axis, (n, k, s) in enumerate(zip(counts, wide, steps, strict=True)):
        cut = max(k - s, 0)
        same, given = (cut // 2, cut - cut // 2), layer.padding
        pads.append(same if given == "same" else (0, 0) if given == "valid" else given[axis])
        beyond.append(larger[axis] - ((n - 1) * s + k - sum(pads[-1])))
        places.append(larger[axis] if n != LONG else space[axis] if larger[axis] == LONG else f"{space[axis]}/{name}")
    attributes: dict[str, Any] = {"kernel_shape": list(wide), "strides": list(steps)}
    attributes |= {"pads": [lo for lo, _ in pads] + [hi for _, hi in pads]} if any(map(max, pads)) else {}
    attributes |= {"output_padding": beyond} if any(beyond) else {}
    kernel = np.moveaxis(np.asarray(params["kernel"]), (-1, -2), (0, 1))
    inputs = [graph.parameter(f"{name}kernel", kernel)]
    inputs += [graph.parameter(f"{name}bias", params["bias"])] if layer.bias else []
    turned = channels_first(graph, x)
    y = graph.add("ConvTranspose", turned, *inputs, shape=(x.shape[0], layer.features, *places), **attributes)
    return channels_last(graph, y)


@translates(MaxPool, AveragePool)
def pool(layer: Any, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return MaxPool or AveragePool."""
    attributes, places = _laid(layer, x.shape[1:-1], 1, name)
    turned, largest = channels_first(graph, x), isinstance(layer, MaxPool)
    shape = (x.shape[0], x.shape[-1], *places)
    reach, pads = attributes["kernel_shape"] * 2, attributes.get("pads", [])
    if any(pad >= k for pad, k in zip(pads, reach, strict=False)):
        return channels_last(graph, _beyond(layer, graph, turned, attributes, shape))
    if not largest:
        attributes["count_include_pad"] = int(layer.count_padding)
    return channels_last(graph, graph.add("MaxPool" if largest else "AveragePool", turned, shape=shape, **attributes))


def _beyond(layer: Any, graph: Graph, x: Value, attributes: dict[str, Any], shape: tuple[Size, ...]) -> Value:
    """Pool where windows may hold padding alone, which pools of ONNX do not take: it is added before."""
    pads, rank = attributes.pop("pads"), len(shape) - 2
    largest = isinstance(layer, MaxPool)
    around = [0, 0, *pads[:rank], 0, 0, *pads[rank:]]
    before, after = [0, 0, *pads[:rank]], [0, 0, *pads[rank:]]
    wide = [n if isinstance(n, str) else n + lo + hi for n, lo, hi in zip(x.shape, before, after, strict=True)]
    edge = graph.constant(-np.inf if largest else 0.0)
    padded = graph.add("Pad", x, graph.constant(around, np.int64), edge, shape=wide)
    y = graph.add("MaxPool" if largest else "AveragePool", padded, shape=shape, **attributes)
    if not largest and layer.count_padding:
        return y
    window = layer.frame(graph.known(x, layer.label, slice(2, None)))
    count = window.inside().sum(axis=tuple(range(rank)))
    if largest:  # runtimes begin with the least of all numbers
        there = graph.constant(count > 0, bool)
        return graph.add("Where", there, y, edge, shape=shape, dtype=np.float32)
    weight = np.where(count > 0, math.prod(window.window) / np.maximum(count, 1), 0)
    return graph.add("Mul", y, graph.constant(weight))


@translates(GlobalAveragePool, GlobalMaxPool)
def global_pool(layer: Any, graph: Graph, params: Any, x: Value, name: str) -> Value:
    """Return the mean or the largest number over all axes of space."""
    operator = "ReduceMean" if isinstance(layer, GlobalAveragePool) else "ReduceMax"
    axes = graph.constant(list(range(1, len(x.shape) - 1)), np.int64)
    return graph.add(operator, x, axes, shape=(x.shape[0], x.shape[-1]), keepdims=0)
