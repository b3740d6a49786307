r"""What each layer takes from a module of PyTorch, and gives back.

`read(layer, entries)` returns parameters, `write(layer, params)` entries by the last parts of their names. A layer
without parameters needs no rule.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from funcnet.errors import raise_error
from funcnet.layers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    BatchNorm,
    Bidirectional,
    Conv,
    ConvTranspose,
    Dense,
    Embedding,
    GroupNorm,
    LayerNorm,
    Positions,
    RMSNorm,
)
from funcnet.layers.sequences import apart
from funcnet.layers.windows import each_axis
from funcnet.torch.states import Module, StateDict

Arrays = dict[str, Any]
THREE = ("query", "key", "value")


@functools.singledispatch
def read(layer: Any, entries: StateDict) -> Any:
    """Return the parameters of a layer from the entries of its module.

    Args:
        layer: the layer that the module becomes.
        entries: the module's arrays by the last parts of their names.

    >>> import funcnet as fn, funcnet.torch
    >>> funcnet.torch.read.dispatch(fn.Dense) is funcnet.torch.read.dispatch(object)  # an object has none
    False

    """
    raise NotImplementedError


@functools.singledispatch
def write(layer: Any, params: Any) -> Mapping[str, Any]:
    """Return the entries of a module, by the last parts of their names, from a layer's parameters.

    Args:
        layer: the layer.
        params: its parameters.

    >>> import numpy as np, funcnet as fn, funcnet.torch
    >>> {name: array.shape for name, array in funcnet.torch.write(fn.RMSNorm(), {"scale": np.ones(3)}).items()}
    {'weight': (3,)}

    """
    raise NotImplementedError


def features(entries: StateDict) -> int | None:
    """Return the size of the last axis of a sample, None where it is not known."""
    shape = entries.in_shape
    shape = apart(shape) if shape and isinstance(shape[0], tuple) else shape
    return shape[-1] if shape else None


@read.register
def _(layer: Dense, entries: StateDict) -> Arrays:
    params = {"kernel": entries("weight", (layer.width, features(entries))).T}
    return params | ({"bias": entries("bias", (layer.width,))} if layer.bias else {})


@write.register
def _(layer: Dense, params: Any) -> Arrays:
    return {"weight": params["kernel"].T} | ({"bias": params["bias"]} if layer.bias else {})


def _window(layer: Any, entries: StateDict) -> tuple[int, ...]:
    """Return the window of a convolution, whose rank the samples tell, or the window, or the entry itself."""
    rank = len(entries.in_shape) - 1 if entries.in_shape else min(max(len(entries.shape("weight")) - 2, 1), 3)
    rank = len(layer.window) if isinstance(layer.window, tuple) else rank
    return each_axis(layer.window, rank, f"{layer.label}.window")


@read.register
def _(layer: Conv, entries: StateDict) -> Arrays:
    channels = features(entries)
    shape = (layer.features, channels and channels // layer.groups, *_window(layer, entries))
    params = {"kernel": np.moveaxis(entries("weight", shape), (0, 1), (-1, -2))}
    return params | ({"bias": entries("bias", (layer.features,))} if layer.bias else {})


@write.register
def _(layer: Conv, params: Any) -> Arrays:
    weight = np.moveaxis(params["kernel"], (-1, -2), (0, 1))
    return {"weight": weight} | ({"bias": params["bias"]} if layer.bias else {})


@read.register
def _(layer: ConvTranspose, entries: StateDict) -> Arrays:
    weight = entries("weight", (features(entries), layer.features, *_window(layer, entries)))
    params = {"kernel": np.moveaxis(weight, (0, 1), (-1, -2))}
    return params | ({"bias": entries("bias", (layer.features,))} if layer.bias else {})


@write.register
def _(layer: ConvTranspose, params: Any) -> Arrays:
    weight = np.moveaxis(params["kernel"], (-1, -2), (0, 1))
    return {"weight": weight} | ({"bias": params["bias"]} if layer.bias else {})


def _scaled(layer: Any, entries: StateDict, width: int | None) -> Arrays:
    """Return scale and offset; a module without one of them (`bias=False`, `affine=False`) has ones and zeros there."""
    if width is None:
        names = ("weight", "bias", "running_mean")
        width = next((entries.shape(name)[0] for name in names if entries.shape(name)), None)
    return {"scale": entries("weight", (width,), 1.0), "offset": entries("bias", (width,), 0.0)}


@read.register
def _(layer: BatchNorm, entries: StateDict) -> Arrays:
    params = _scaled(layer, entries, features(entries))
    entries.skip("num_batches_tracked")
    shape = params["scale"].shape
    return params | {"mean": entries("running_mean", shape), "variance": entries("running_var", shape)}


@write.register
def _(layer: BatchNorm, params: Any) -> Arrays:
    running = {"running_mean": params["mean"], "running_var": params["variance"]}
    count = {"num_batches_tracked": np.zeros((), np.int64)}
    return {"weight": params["scale"], "bias": params["offset"]} | running | count


@read.register(LayerNorm)
@read.register(GroupNorm)
def _(layer: Any, entries: StateDict) -> Arrays:
    return _scaled(layer, entries, features(entries))


@write.register(LayerNorm)
@write.register(GroupNorm)
def _(layer: Any, params: Any) -> Arrays:
    return {"weight": params["scale"], "bias": params["offset"]}


@read.register
def _(layer: RMSNorm, entries: StateDict) -> Arrays:
    return {"scale": entries("weight", (features(entries),))}


@write.register
def _(layer: RMSNorm, params: Any) -> Arrays:
    return {"weight": params["scale"]}


@read.register
def _(layer: Embedding, entries: StateDict) -> Arrays:
    return {"table": entries("weight", (layer.vocabulary, layer.width))}


@read.register
def _(layer: Positions, entries: StateDict) -> Arrays:
    # An nn.Embedding, or a parameter of any name, often with an axis for the batch.
    name, shape = entries.only(), (layer.length, features(entries))
    if len(entries.shape(name)) == 3:
        return {"table": entries(name, (1, *shape))[0]}
    return {"table": entries(name, shape)}


@write.register(Embedding)
@write.register(Positions)
def _(layer: Any, params: Any) -> Arrays:
    return {"weight": params["table"]}


def _recurrent(layer: Any, entries: StateDict, back: str = "") -> Arrays:
    if isinstance(layer, GRU) and not layer.reset_after:
        must, arrived = "PyTorch's GRU resets after the product", "reset_after is False"
        raise_error(must, arrived, "fn.GRU(width), whose weights are other ones")
    gates = layer.blocks * layer.width
    params = {
        "input": entries(f"weight_ih_l0{back}", (gates, features(entries))).T,
        "recurrent": entries(f"weight_hh_l0{back}", (gates, layer.width)).T,
    }
    first, second = (entries(f"bias_{way}_l0{back}", (gates,), 0.0) for way in ("ih", "hh"))
    if isinstance(layer, GRU):
        return params | {"bias": first, "recurrent_bias": second}
    return params | {"bias": first + second}


def _unrolled(layer: Any, params: Any, back: str = "") -> Arrays:
    if isinstance(layer, GRU) and not layer.reset_after:
        must, arrived = "PyTorch's GRU resets after the product", "reset_after is False"
        raise_error(must, arrived, "fn.GRU(width), trained anew")
    return {
        f"weight_ih_l0{back}": params["input"].T,
        f"weight_hh_l0{back}": params["recurrent"].T,
        f"bias_ih_l0{back}": params["bias"],
        f"bias_hh_l0{back}": params["recurrent_bias"] if isinstance(layer, GRU) else np.zeros_like(params["bias"]),
    }


for _kind in (RNN, LSTM, GRU):
    read.register(_kind, _recurrent)
    write.register(_kind, _unrolled)


def _directions(layer: Bidirectional) -> tuple[str, str]:
    return ("_reverse", "") if layer.layer.reverse else ("", "_reverse")


@read.register
def _(layer: Bidirectional, entries: StateDict) -> tuple[Arrays, ...]:
    return tuple(_recurrent(layer.layer, entries, back) for back in _directions(layer))


@write.register
def _(layer: Bidirectional, params: Any) -> Arrays:
    first, second = (_unrolled(layer.layer, own, back) for own, back in zip(params, _directions(layer), strict=True))
    return second | first if layer.layer.reverse else first | second


@read.register
def _(layer: Attention, entries: StateDict) -> Arrays:
    """From an nn.MultiheadAttention, from one dense layer for all three and one for the output, or from four."""
    joint = "in_proj_weight" if entries.has("in_proj_weight") else "weight"
    if not entries.shape(joint):
        entries("in_proj_weight", (None, features(entries)))
    width = features(entries) or entries.shape(joint)[-1]
    sizes = {name: dense.width for name, dense in layer.layers(width).items()}
    total = sum(sizes[name] for name in THREE)
    ends = np.cumsum([sizes[name] for name in THREE])[:-1]

    def dense(out: int, weight: str = "weight", bias: str = "bias") -> Arrays:
        found = {"kernel": entries(weight, (out, width)).T}
        return found | ({"bias": entries(bias, (out,))} if layer.bias else {})

    def split(both: Arrays) -> Arrays:
        cut = {name: np.split(array, ends, axis=-1) for name, array in both.items()}
        return {part: {name: pieces[i] for name, pieces in cut.items()} for i, part in enumerate(THREE)}

    if joint == "in_proj_weight":
        params = split(dense(total, joint, "in_proj_bias"))
        return params | {"output": dense(width, "out_proj.weight", "out_proj.bias")}
    params = split(dense(total)) if entries.shape("weight")[:1] == (total,) else {"query": dense(width)}
    for name in sizes:
        if name not in params:
            entries.take(f"{name} of Attention", entries.in_shape)
            params[name] = dense(sizes[name])
    return params


@write.register
def _(layer: Attention, params: Any) -> Arrays:
    whole = layer.groups in (None, layer.heads)
    first, *rest = attention_modules(layer, params, "in_proj_weight" if whole else "query")
    if not rest:
        return first
    return {
        f"{name}.{own}": a
        for name, part in zip((*THREE, "output"), (first, *rest), strict=True)
        for own, a in part.items()
    }


def attention_modules(layer: Attention, params: Any, form: str) -> list[Arrays]:
    """Return the modules of an attention: one for "in_proj_weight", two for "joint", four for all else."""
    parts = {name: dict(write(Dense(1, bias=layer.bias), params[name])) for name in (*THREE, "output")}
    if form not in ("in_proj_weight", "joint"):
        return list(parts.values())
    both = {own: np.concatenate([parts[name][own] for name in THREE]) for own in parts["query"]}
    if form == "joint":
        return [both, parts["output"]]
    both = {f"in_proj_{own}": array for own, array in both.items()}
    return [both | {f"out_proj.{own}": array for own, array in parts["output"].items()}]


def attention_form(layer: Attention, params: Any, module: Module, shape: tuple[int, ...]) -> str:
    """Return the form of the attention that begins with a module whose weight has a shape."""
    if "in_proj_weight" in module.entries:
        return "in_proj_weight"
    total = sum(params[name]["kernel"].shape[1] for name in THREE)
    return "joint" if shape[:1] == (total,) else "apart"
