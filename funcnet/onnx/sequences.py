r"""Layers of sequences in ONNX, of arrays (samples, time, features) and of pairs with lengths.

What stands behind a length is 0 in what comes out, as in funcnet. Waves are computed in float64 where time is free: the
angle of a late place has few digits left in float32.
"""

from typing import Any

import numpy as np

from funcnet.layers.attention import NAMES, Attention
from funcnet.layers.embedding import Embedding
from funcnet.layers.positions import Positions
from funcnet.layers.rotary import BASE
from funcnet.layers.sinusoids import Sinusoids
from funcnet.layers.stepwise import Stepwise
from funcnet.layers.tied import Tied
from funcnet.onnx.graph import Graph, Value, emit, product, translates

HIDDEN = np.finfo(np.float32).min  # the score of a key that is not seen


def parted(x: Any) -> tuple[Value, Value | None]:
    """Return the array and the lengths, None where there are none."""
    return (x, None) if isinstance(x, Value) else (x[0], x[1])


def joined(y: Value, lengths: Value | None) -> Any:
    """Return y beside the lengths, alone where there are none."""
    return y if lengths is None else (y, lengths)


def within(graph: Graph, x: Value, lengths: Value) -> Value:
    """Tell which steps of x lie within the lengths: (samples, time)."""
    axis = graph.constant([1], np.int64)
    each = graph.add("Unsqueeze", lengths, axis, shape=(*lengths.shape, 1))
    return graph.add("Less", graph.places(x, 1), each, shape=x.shape[:2], dtype=bool)


def blanked(graph: Graph, y: Value, inside: Value) -> Value:
    """Return y with 0 at the steps that are not there."""
    axes = list(range(2, len(y.shape)))
    if axes:
        shape = (*inside.shape, *(1,) * len(axes))
        inside = graph.add("Unsqueeze", inside, graph.constant(axes, np.int64), shape=shape)
    return graph.add("Where", inside, y, graph.constant(0, y.dtype), shape=y.shape, dtype=y.dtype)


def masked(graph: Graph, y: Value, lengths: Value | None) -> Value:
    """Return y with 0 behind each length."""
    return y if lengths is None else blanked(graph, y, within(graph, y, lengths))


def waves(graph: Graph, x: Value, axis: int, frequency: np.ndarray, phase: np.ndarray) -> Value:
    """Return sin(t · frequency + phase) for each place t along an axis of x, (time, numbers)."""
    size = x.shape[axis]
    if isinstance(size, int):
        return graph.constant(np.sin(np.arange(size)[:, None] * frequency + phase))
    double, single = graph.onnx.TensorProto.DOUBLE, graph.onnx.TensorProto.FLOAT
    at = graph.add("Cast", graph.places(x, axis), dtype=np.float64, to=double)
    at = graph.add("Unsqueeze", at, graph.constant([1], np.int64), shape=(size, 1))
    shape = (size, len(frequency))
    angle = graph.add("Mul", at, graph.constant(frequency, np.float64), shape=shape)
    angle = graph.add("Add", angle, graph.constant(phase, np.float64))
    return graph.add("Cast", graph.add("Sin", angle), dtype=np.float32, to=single)


@translates(Embedding)
def embedding(layer: Embedding, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return the rows of the tokens; those behind a length are read as 0, whatever they are."""
    tokens, lengths = parted(x)
    table = graph.parameter(f"{name}table", params["table"])
    if lengths is not None:
        tokens = masked(graph, tokens, lengths)
    y = graph.add("Gather", table, tokens, shape=(*tokens.shape, layer.width), axis=0)
    return joined(masked(graph, y, lengths), lengths)


@translates(Positions)
def positions(layer: Positions, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return x and the first rows of the table, added."""
    x, lengths = parted(x)
    table = graph.parameter(f"{name}table", params["table"])
    if x.shape[-2] != layer.length:
        start, axis = graph.constant([0], np.int64), graph.constant([0], np.int64)
        rows = (x.shape[-2], table.shape[-1])
        table = graph.add("Slice", table, start, graph.size(x, -2), axis, shape=rows)
    return joined(masked(graph, graph.add("Add", x, table), lengths), lengths)


@translates(Sinusoids)
def sinusoids(layer: Sinusoids, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return x and the waves, added; a cosine is a sine a quarter ahead."""
    x, lengths = parted(x)
    (width,) = graph.known(x, layer.label, slice(-1, None))
    pairs = np.arange(width) // 2
    wave = waves(graph, x, -2, BASE ** (-2 * pairs / width), np.pi / 2 * (np.arange(width) % 2))
    return joined(masked(graph, graph.add("Add", x, wave), lengths), lengths)


@translates(Stepwise)
def stepwise(layer: Stepwise, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return f(x), 0 behind each length."""
    x, lengths = parted(x)
    y = masked(graph, emit(layer.body, graph, params, x, name), lengths)
    return joined(y, lengths if layer.lengths else None)


@translates(Tied)
def tied(layer: Tied, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return the scores: what the body gives times the transposed table, which stands in the file once."""
    inner = emit(layer.embedding, graph, params["embedding"], x, f"{name}embedding.")
    h, lengths = parted(emit(layer.body, graph, params["body"], inner, f"{name}body."))
    table = graph.parameter(f"{name}embedding.table", params["embedding"]["table"])
    kernel = graph.transpose(table, (1, 0))
    return joined(graph.add("MatMul", h, kernel, shape=(*h.shape[:-1], layer.embedding.vocabulary)), lengths)


@translates(Attention)
def attention(layer: Attention, graph: Graph, params: Any, x: Any, name: str) -> Any:
    """Return attention by MatMul, Softmax and MatMul; heads that share keys stand side by side in an axis of their own.

    Where no key is seen the step lies behind its length, and what comes out is 0 anyway.
    """
    x, lengths = parted(x)
    lead, (width,) = x.shape[:-2], graph.known(x, layer.label, slice(-1, None))
    time, groups, size = x.shape[-2], layer.groups or layer.heads, width // layer.heads
    given, each = x, layer.heads // groups
    x = graph.reshape(x, (product(lead), time, width))
    samples = x.shape[0]
    inside = None if lengths is None else within(graph, x, lengths)
    x = x if inside is None else blanked(graph, x, inside)
    denses = layer.layers(width)
    q, k, v = (emit(denses[own], graph, params[own], x, f"{name}{own}.") for own in NAMES)
    q = graph.reshape(q, (samples, time, groups, each, size))
    k, v = (graph.reshape(a, (samples, time, groups, 1, size)) for a in (k, v))
    if layer.rotary:
        q, k = _turned(graph, q), _turned(graph, k)
    q, v = (graph.transpose(a, (0, 2, 3, 1, 4)) for a in (q, v))
    k = graph.transpose(k, (0, 2, 3, 4, 1))
    q = graph.add("Mul", q, graph.constant(size**-0.5))
    scores = graph.add("MatMul", q, k, shape=(samples, groups, each, time, time))
    for seen in _seen(layer, graph, x, inside):
        scores = graph.add("Where", seen, scores, graph.constant(HIDDEN), shape=scores.shape, dtype=np.float32)
    o = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), v, shape=q.shape)
    o = graph.reshape(graph.transpose(o, (0, 3, 1, 2, 4)), (samples, time, width))
    y = emit(denses["output"], graph, params["output"], o, f"{name}output.")
    y = y if inside is None else blanked(graph, y, inside)
    return joined(y if len(lead) == 1 else graph.reshape(y, given.shape), lengths)


def _turned(graph: Graph, x: Value) -> Value:
    """Turn the halves of each head by the angle of their place, (samples, time, groups, heads, size)."""
    (size,) = graph.known(x, "rotary", slice(-1, None))
    half = size // 2
    frequency = BASE ** (-2 * np.arange(half) / size)
    sin, cos = (
        graph.reshape(waves(graph, x, 1, frequency, np.full(half, phase)), (x.shape[1], 1, 1, half))
        for phase in (0.0, np.pi / 2)
    )
    a, b = graph.part(x, 0, half, -1), graph.part(x, half, size, -1)
    first = graph.add("Sub", graph.add("Mul", a, cos), graph.add("Mul", b, sin))
    second = graph.add("Add", graph.add("Mul", a, sin), graph.add("Mul", b, cos))
    return graph.add("Concat", first, second, shape=x.shape, axis=-1)


def _seen(layer: Attention, graph: Graph, x: Value, inside: Value | None) -> list[Value]:
    """Return which keys a query sees, by what is causal and by the lengths, each to be broadcast to the scores."""
    time, found = x.shape[1], []
    if layer.causal:
        at = graph.places(x, 1)
        query = graph.add("Unsqueeze", at, graph.constant([1], np.int64), shape=(time, 1))
        found.append(graph.add("GreaterOrEqual", query, at, shape=(time, time), dtype=bool))
    if inside is not None:
        axes = graph.constant([1, 2, 3], np.int64)
        found.append(graph.add("Unsqueeze", inside, axes, shape=(x.shape[0], 1, 1, 1, time)))
    return found
