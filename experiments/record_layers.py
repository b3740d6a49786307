"""Record what layers of PyTorch, Keras and Flax compute and how they begin, for the tests of `fn.preset`.

    pip install -e ".[bench]" flax
    python experiments/record_layers.py

Writes tests/recorded/layers.npz. Weights, inputs and derivatives by outputs are random and in float64, all sizes of a
case differ. A case holds the weights under funcnet's names; `theirs` says what the library's are made of, and the
library differentiates through it. One array a case, numbers one after the other: x, dy, y, dx, then each parameter and
its gradient. Batch normalisation: three batches in training, one in evaluation. Of initial values the law is kept:
deviation, kurtosis, quantiles, and singular values of recurrent kernels. Keras's attention takes the path that returns
its scores: the other computes its softmax in float32. The suite reads the file and needs none of the libraries.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib

import numpy as np

QUANTILES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
REPEATS = 8  # draws of each layer's initial values
RNG = np.random.default_rng(15)


def draw(*shape):
    """Return normal numbers, multiples of 2⁻¹⁰ so that the file stays small."""
    return np.round(RNG.normal(size=shape) * 1024) / 1024


def drawn(**shapes):
    """Return random parameters; `a_b` in a name stands for the path a.b where a is a number or a dense layer."""
    return {path: draw(*shape) for path, shape in shapes.items()}


def pair(params):
    """Return parameters for both layers of a bidirectional one."""
    return {f"{side}.{name}": draw(*value.shape) for side in (0, 1) for name, value in params.items()}


def half(params, side):
    return {name[2:]: value for name, value in params.items() if name.startswith(f"{side}.")}


def recurrent(features, width, blocks, second=False):
    shapes = {"input": (features, blocks * width), "recurrent": (width, blocks * width), "bias": (blocks * width,)}
    return drawn(**shapes | ({"recurrent_bias": (blocks * width,)} if second else {}))


def attention(width):
    sides = ("query", "key", "value", "output")
    own = {f"{side}.kernel": draw(width, width) for side in sides}
    return own | {f"{side}.bias": draw(width) for side in sides}


class Case:
    """A layer as `fn.preset(library, name, *sizes, **numbers)` makes it, and `call(params, x)`, the library's."""

    def __init__(self, name, sizes, numbers, params, x, call, wrap=False):
        self.name, self.sizes, self.numbers, self.wrap = name, list(sizes), numbers, wrap
        self.params, self.x, self.call = params, x, call


# PyTorch: channels first, so that samples and results are turned; kernels are out × in.
def torch_cases():
    import torch
    from torch import nn
    from torch.func import functional_call

    def first(x):
        return torch.movedim(x, -1, 1)

    def last(y):
        return torch.movedim(y, 1, -1)

    def plain(module, **theirs):
        def call(p, x):
            return functional_call(module, {name: make(p) for name, make in theirs.items()}, (x,))

        return call

    def imaging(module, **theirs):
        inner = plain(module, **theirs)
        return lambda p, x: last(inner(p, first(x)))

    scale = {"weight": lambda p: p["scale"], "bias": lambda p: p["offset"]}
    yield Case("layer_norm", [], {}, drawn(scale=(7,), offset=(7,)), draw(3, 5, 7), plain(nn.LayerNorm(7), **scale))
    rms = plain(nn.RMSNorm(5), weight=lambda p: p["scale"])
    yield Case("rms_norm", [], {}, drawn(scale=(5,)), draw(4, 3, 5), rms)
    group = imaging(nn.GroupNorm(3, 6), **scale)
    yield Case("group_norm", [3], {}, drawn(scale=(6,), offset=(6,)), draw(2, 4, 5, 6), group)
    both = {"weight": lambda p: p["kernel"].T, "bias": lambda p: p["bias"]}
    yield Case("dense", [5], {}, drawn(kernel=(3, 5), bias=(5,)), draw(2, 4, 3), plain(nn.Linear(3, 5), **both))

    # Ours (*window, in, out) is (out, in, *window) there; transposed, ours (*window, out, in) is (in, out, *window).
    both = {"weight": lambda p: torch.moveaxis(p["kernel"], (-1, -2), (0, 1)), "bias": lambda p: p["bias"]}
    conv = imaging(nn.Conv1d(3, 2, 4), **both)
    yield Case("conv", [2, 4], {}, drawn(kernel=(4, 3, 2), bias=(2,)), draw(5, 7, 3), conv)
    more = {"stride": (2, 3), "dilation": (1, 2), "groups": 2}
    conv = imaging(nn.Conv2d(4, 6, (3, 2), padding=(1, 2), **more), **both)
    more |= {"padding": ((1, 1), (2, 2))}
    yield Case("conv", [6, (3, 2)], more, drawn(kernel=(3, 2, 2, 6), bias=(6,)), draw(2, 5, 7, 4), conv)
    conv = imaging(nn.ConvTranspose1d(3, 2, 4, stride=3), **both)
    yield Case("conv_transpose", [2, 4], {"stride": 3}, drawn(kernel=(4, 2, 3), bias=(2,)), draw(4, 5, 3), conv)
    conv = imaging(nn.ConvTranspose2d(2, 3, (4, 3), stride=(3, 2), padding=(1, 1), output_padding=(0, 1)), **both)
    more = {"stride": (3, 2), "padding": ((1, 1), (1, 0))}
    yield Case(
        "conv_transpose", [3, (4, 3)], more, drawn(kernel=(4, 3, 3, 2), bias=(3,)), draw(2, 4, 5, 2), conv
    )  # fmt: skip
    table = plain(nn.Embedding(5, 3), weight=lambda p: p["table"])
    yield Case("embedding", [5, 3], {}, drawn(table=(5, 3)), np.array([[0, 2, 2, 1], [4, 1, 2, 0]]), table)

    # One bias of ours is the sum of two: any split of it will do.
    def cells(p, suffix, apart):
        own = {"weight_ih": p["input"].T, "weight_hh": p["recurrent"].T}
        if "recurrent_bias" in p:
            own |= {"bias_ih": p["bias"], "bias_hh": p["recurrent_bias"]}
        else:
            own |= {"bias_ih": p["bias"] - apart, "bias_hh": apart}
        return {f"{name}_l0{suffix}": value for name, value in own.items()}

    def sequence(kind, width, blocks, shape):
        apart = torch.tensor(draw(blocks * width))
        one, two = (kind(shape[-1], width, batch_first=True, bidirectional=both) for both in (False, True))
        params = recurrent(shape[-1], width, blocks, blocks == 3)
        name = kind.__name__.lower()

        def call(p, x):
            return functional_call(one, cells(p, "", apart), x)[0]

        def call_both(p, x):
            return functional_call(two, cells(half(p, 0), "", apart) | cells(half(p, 1), "_reverse", apart), x)[0]

        yield Case(name, [width], {}, params, draw(*shape), call)
        yield Case(name, [width], {}, pair(params), draw(*shape), call_both, wrap=True)

    yield from sequence(nn.RNN, 3, 1, (2, 5, 4))
    yield from sequence(nn.LSTM, 3, 4, (4, 5, 2))
    yield from sequence(nn.GRU, 2, 3, (4, 5, 3))

    module = nn.MultiheadAttention(6, 3, batch_first=True)

    def attend(mask):
        def call(p, x):
            sides = ("query", "key", "value")
            own = {
                "in_proj_weight": torch.cat([p[f"{side}.kernel"].T for side in sides]),
                "in_proj_bias": torch.cat([p[f"{side}.bias"] for side in sides]),
                "out_proj.weight": p["output.kernel"].T,
                "out_proj.bias": p["output.bias"],
            }
            return functional_call(module, own, (x, x, x), {"attn_mask": mask})[0]

        return call

    yield Case("attention", [3], {}, attention(6), draw(2, 5, 6), attend(None))
    causal = torch.ones(4, 4, dtype=bool).triu(1)
    yield Case("attention", [3], {"causal": True}, attention(6), draw(2, 4, 6), attend(causal))


def torch_numbers(case, dy_like):
    import torch

    params = {name: torch.tensor(value, requires_grad=True) for name, value in case.params.items()}
    x = torch.tensor(case.x, requires_grad=case.x.dtype == np.float64)
    y = case.call(params, x)
    dy = dy_like(tuple(y.shape))
    y.backward(torch.tensor(dy))
    gradients = {name: leaf.grad.numpy() for name, leaf in params.items()}
    return dy, y.detach().numpy(), None if x.grad is None else x.grad.numpy(), gradients


def torch_batches(batches, start, dys):
    import torch

    layer = torch.nn.BatchNorm1d(start["scale"].size)
    with torch.no_grad():
        for name, own in zip(("weight", "bias", "running_mean", "running_var"), start.values(), strict=True):
            getattr(layer, name).copy_(torch.tensor(own))
    found = []
    for index, (batch, dy) in enumerate(zip(batches, dys, strict=True)):
        layer.train(index < len(batches) - 1)
        layer.zero_grad()
        x = torch.tensor(batch, requires_grad=True)
        y = torch.movedim(layer(torch.movedim(x, -1, 1)), 1, -1)
        y.backward(torch.tensor(dy))
        arrays = (y, x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var)
        found += [a.detach().numpy().copy() for a in arrays]
    return found


def torch_initial():
    import torch
    from torch import nn

    torch.manual_seed(7)

    def named(name, sizes, in_shape, make, **theirs):
        return name, sizes, in_shape, lambda: {own: get(make_) for make_ in [make()] for own, get in theirs.items()}

    both = {"kernel": lambda m: m.weight, "bias": lambda m: m.bias}
    yield named("dense", [300], [30], lambda: nn.Linear(30, 300), **both)
    yield named("conv", [120, 5], [9, 20], lambda: nn.Conv1d(20, 120, 5), **both)
    yield named("conv_transpose", [120, 5], [9, 20], lambda: nn.ConvTranspose1d(20, 120, 5), **both)
    yield named("embedding", [150, 40], [3], lambda: nn.Embedding(150, 40), table=lambda m: m.weight)
    one = {"input": lambda m: m.weight_ih_l0.T, "recurrent": lambda m: m.weight_hh_l0.T}
    summed = one | {"bias": lambda m: m.bias_ih_l0 + m.bias_hh_l0}
    yield named("rnn", [40], [9, 70], lambda: nn.RNN(70, 40), **summed)
    yield named("lstm", [40], [9, 70], lambda: nn.LSTM(70, 40), **summed)
    two = one | {"bias": lambda m: m.bias_ih_l0, "recurrent_bias": lambda m: m.bias_hh_l0}
    yield named("gru", [40], [9, 70], lambda: nn.GRU(70, 40), **two)
    heads = {"query.kernel": lambda m: m.in_proj_weight[:80], "output.kernel": lambda m: m.out_proj.weight}
    heads |= {"value.bias": lambda m: m.in_proj_bias[160:], "output.bias": lambda m: m.out_proj.bias}
    yield named("attention", [4], [9, 80], lambda: nn.MultiheadAttention(80, 4), **heads)


# Keras: the variables of a layer in its order.
def keras_cases():
    import jax.numpy as jnp
    import keras

    def plain(layer, shape, theirs, **more):
        layer.build(shape)

        def call(p, x):
            return layer.stateless_call(theirs(p), others(layer), x, **more)[0]

        return call

    def others(layer):  # the state of the generator for dropout
        return [v.value for v in layer.non_trainable_variables]

    def pick(*names):
        return lambda p: [p[name] for name in names]

    layers, norm = keras.layers, pick("scale", "offset")
    params, x = drawn(scale=(7,), offset=(7,)), draw(3, 5, 7)
    yield Case("layer_norm", [], {}, params, x, plain(layers.LayerNormalization(), x.shape, norm))
    x = draw(4, 3, 5)
    rms = plain(layers.RMSNormalization(), x.shape, pick("scale"))
    yield Case("rms_norm", [], {}, drawn(scale=(5,)), x, rms)
    x = draw(2, 4, 5, 6)
    group = plain(layers.GroupNormalization(3), x.shape, norm)
    yield Case("group_norm", [3], {}, drawn(scale=(6,), offset=(6,)), x, group)
    x, both = draw(2, 4, 3), pick("kernel", "bias")
    yield Case("dense", [5], {}, drawn(kernel=(3, 5), bias=(5,)), x, plain(layers.Dense(5), x.shape, both))

    x = draw(5, 7, 3)
    conv = plain(layers.Conv1D(2, 4), x.shape, both)
    yield Case("conv", [2, 4], {}, drawn(kernel=(4, 3, 2), bias=(2,)), x, conv)
    conv = plain(layers.Conv1D(2, 4, padding="causal", dilation_rate=2), x.shape, both)
    more = {"padding": "causal", "dilation": 2}
    yield Case("conv", [2, 4], more, drawn(kernel=(4, 3, 2), bias=(2,)), x, conv)
    x, more = draw(2, 6, 7, 4), {"padding": "same", "groups": 2}
    conv = plain(layers.Conv2D(6, (3, 2), strides=(2, 3), **more), x.shape, both)
    more |= {"stride": (2, 3)}
    yield Case("conv", [6, (3, 2)], more, drawn(kernel=(3, 2, 2, 6), bias=(6,)), x, conv)
    x = draw(4, 5, 3)
    conv = plain(layers.Conv1DTranspose(2, 4, strides=3), x.shape, both)
    yield Case("conv_transpose", [2, 4], {"stride": 3}, drawn(kernel=(4, 2, 3), bias=(2,)), x, conv)
    x = draw(2, 4, 5, 2)
    conv = plain(layers.Conv2DTranspose(3, (4, 3), strides=(3, 2), padding="same"), x.shape, both)
    more = {"stride": (3, 2), "padding": "same"}
    yield Case("conv_transpose", [3, (4, 3)], more, drawn(kernel=(4, 3, 3, 2), bias=(3,)), x, conv)
    x = np.array([[0, 2, 2, 1], [4, 1, 2, 0]])
    yield Case("embedding", [5, 3], {}, drawn(table=(5, 3)), x, plain(layers.Embedding(5, 3), x.shape, pick("table")))

    def turned(kernel):  # r z n is z r n there
        r, z, n = jnp.split(kernel, 3, axis=-1)
        return jnp.concatenate([z, r, n], axis=-1)

    def gru(p):
        own = [turned(p["input"]), turned(p["recurrent"])]
        bias = turned(p["bias"])
        return [*own, jnp.stack([bias, turned(p["recurrent_bias"])]) if "recurrent_bias" in p else bias]

    def twice(theirs):
        return lambda p: [*theirs(half(p, 0)), *theirs(half(p, 1))]

    one = pick("input", "recurrent", "bias")
    x = draw(2, 5, 4)
    yield Case("rnn", [3], {}, recurrent(4, 3, 1), x, plain(layers.SimpleRNN(3), x.shape, one))
    x = draw(4, 5, 2)
    yield Case("lstm", [3], {}, recurrent(2, 3, 4), x, plain(layers.LSTM(3), x.shape, one))
    each = {"sequence": True}
    lstm = plain(layers.LSTM(3, return_sequences=True), x.shape, one)
    yield Case("lstm", [3], each, recurrent(2, 3, 4), x, lstm)
    two = plain(layers.Bidirectional(layers.LSTM(3, return_sequences=True)), x.shape, twice(one))
    yield Case("lstm", [3], each, pair(recurrent(2, 3, 4)), x, two, wrap=True)
    x = draw(4, 5, 3)
    yield Case("gru", [2], {}, recurrent(3, 2, 3, True), x, plain(layers.GRU(2), x.shape, gru))
    before = layers.GRU(2, return_sequences=True, reset_after=False)
    more = each | {"reset_after": False}
    yield Case("gru", [2], more, recurrent(3, 2, 3), x, plain(before, x.shape, gru))
    two = plain(layers.Bidirectional(layers.GRU(2, return_sequences=True)), x.shape, twice(gru))
    yield Case("gru", [2], each, pair(recurrent(3, 2, 3, True)), x, two, wrap=True)

    def attend(shape, causal):
        layer = layers.MultiHeadAttention(3, 2)
        layer.build(shape, shape)
        order = [v.path.rsplit("/", 2)[-2] for v in layer.trainable_variables]
        assert order == [n for side in ("query", "key", "value", "attention_output") for n in (side, side)], order

        def call(p, x):
            own = []
            for side in ("query", "key", "value"):
                own += [p[f"{side}.kernel"].reshape(6, 3, 2), p[f"{side}.bias"].reshape(3, 2)]
            own += [p["output.kernel"].reshape(3, 2, 6), p["output.bias"]]
            more = {"use_causal_mask": causal, "return_attention_scores": True}
            return layer.stateless_call(own, others(layer), x, x, **more)[0][0]

        return call

    x = draw(2, 5, 6)
    yield Case("attention", [3], {}, attention(6), x, attend(x.shape, False))
    yield Case("attention", [3], {"causal": True}, attention(6), x, attend(x.shape, True))


def jax_numbers(case, dy_like):
    import jax
    import jax.numpy as jnp

    params = {name: jnp.asarray(value) for name, value in case.params.items()}
    if case.x.dtype != np.float64:
        y, back = jax.vjp(lambda p: case.call(p, jnp.asarray(case.x, jnp.int32)), params)
        dy = dy_like(y.shape)
        gradients, dx = back(jnp.asarray(dy))[0], None
    else:
        y, back = jax.vjp(case.call, params, jnp.asarray(case.x))
        dy = dy_like(y.shape)
        gradients, dx = back(jnp.asarray(dy))
    return dy, np.asarray(y), None if dx is None else np.asarray(dx), {k: np.asarray(g) for k, g in gradients.items()}


def pass_batches(call, batches, start, dys):
    """Run batches through `call(scale, offset, mean, variance, x, training) -> (y, mean, variance)`, a JAX function."""
    import jax
    import jax.numpy as jnp

    scale, offset, mean, variance = map(jnp.asarray, start.values())
    found = []
    for index, (x, dy) in enumerate(zip(batches, dys, strict=True)):
        training = index < len(batches) - 1
        own = (mean, variance)

        def one(scale, offset, x, own=own, training=training):
            y, *moved = call(scale, offset, *own, x, training)
            return y, moved

        y, back, (mean, variance) = jax.vjp(one, scale, offset, jnp.asarray(x), has_aux=True)
        dscale, doffset, dx = back(jnp.asarray(dy))
        found += [np.asarray(a) for a in (y, dx, dscale, doffset, mean, variance)]
    return found


def keras_batches(batches, start, dys):
    import keras

    layer = keras.layers.BatchNormalization()
    layer.build(batches[0].shape)

    def call(scale, offset, mean, variance, x, training):
        y, moved = layer.stateless_call([scale, offset], [mean, variance], x, training=training)
        return y, *moved

    return pass_batches(call, batches, start, dys)


def keras_initial():
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers

    def named(name, sizes, in_shape, make, *own):
        def once():
            layer = make()
            layer.build((2, *in_shape))
            return dict(zip(own, (v.numpy() for v in layer.trainable_variables), strict=True))

        return name, sizes, in_shape, once

    yield named("dense", [300], [30], lambda: layers.Dense(300), "kernel", "bias")
    yield named("conv", [120, 5], [9, 20], lambda: layers.Conv1D(120, 5), "kernel", "bias")
    yield named("conv_transpose", [120, 5], [9, 20], lambda: layers.Conv1DTranspose(120, 5), "kernel", "bias")
    yield named("embedding", [150, 40], [3], lambda: layers.Embedding(150, 40), "table")
    names = ("input", "recurrent", "bias")
    yield named("rnn", [40], [9, 70], lambda: layers.SimpleRNN(40), *names)
    yield named("lstm", [40], [9, 70], lambda: layers.LSTM(40), *names)
    yield named("gru", [40], [9, 70], lambda: layers.GRU(40), *names)

    def heads():
        layer = layers.MultiHeadAttention(4, 20)
        layer.build((2, 9, 80), (2, 9, 80))
        own = [v.numpy() for v in layer.trainable_variables]
        return {"query.kernel": own[0], "value.bias": own[5], "output.kernel": own[6], "output.bias": own[7]}

    yield "attention", [4], [9, 80], heads


# Flax: a kernel for each gate.
def flax_cases():
    import jax.numpy as jnp
    from flax import linen as nn

    def plain(module, theirs):
        return lambda p, x: module.apply({"params": theirs(p)}, x)

    def norm(p):
        return {"scale": p["scale"]} | ({"bias": p["offset"]} if "offset" in p else {})

    params = drawn(scale=(7,), offset=(7,))
    yield Case("layer_norm", [], {}, params, draw(3, 5, 7), plain(nn.LayerNorm(), norm))
    yield Case("rms_norm", [], {}, drawn(scale=(5,)), draw(4, 3, 5), plain(nn.RMSNorm(), norm))
    params = drawn(scale=(6,), offset=(6,))
    yield Case("group_norm", [3], {}, params, draw(2, 4, 5, 6), plain(nn.GroupNorm(3), norm))
    yield Case("dense", [5], {}, drawn(kernel=(3, 5), bias=(5,)), draw(2, 4, 3), plain(nn.Dense(5), dict))
    params, x = drawn(kernel=(4, 3, 2), bias=(2,)), draw(5, 7, 3)
    yield Case("conv", [2, 4], {}, params, x, plain(nn.Conv(2, (4,)), dict))
    causal = nn.Conv(2, (4,), padding="CAUSAL", kernel_dilation=2)
    yield Case("conv", [2, 4], {"padding": "causal", "dilation": 2}, params, x, plain(causal, dict))
    conv = nn.Conv(6, (3, 2), strides=(2, 3), feature_group_count=2)
    params, x = drawn(kernel=(3, 2, 2, 6), bias=(6,)), draw(2, 6, 7, 4)
    yield Case("conv", [6, (3, 2)], {"stride": (2, 3), "groups": 2}, params, x, plain(conv, dict))

    def flipped(p):  # ours (*window, out, in) is (*window, in, out) there, and not turned round
        kernel = jnp.swapaxes(p["kernel"], -1, -2)
        return {"kernel": jnp.flip(kernel, tuple(range(kernel.ndim - 2))), "bias": p["bias"]}

    conv = plain(nn.ConvTranspose(3, (4, 3), strides=(3, 2)), flipped)
    params, x = drawn(kernel=(4, 3, 3, 2), bias=(3,)), draw(2, 4, 5, 2)
    yield Case("conv_transpose", [3, (4, 3)], {"stride": (3, 2)}, params, x, conv)
    conv = plain(nn.ConvTranspose(2, (4,), strides=(3,), padding="VALID"), flipped)
    more = {"stride": 3, "padding": "valid"}
    yield Case("conv_transpose", [2, 4], more, drawn(kernel=(4, 2, 3), bias=(2,)), draw(4, 5, 3), conv)
    x = np.array([[0, 2, 2, 1], [4, 1, 2, 0]])
    table = plain(nn.Embed(5, 3), lambda p: {"embedding": p["table"]})
    yield Case("embedding", [5, 3], {}, drawn(table=(5, 3)), x, table)

    def simple(p):
        return {"i": {"kernel": p["input"], "bias": p["bias"]}, "h": {"kernel": p["recurrent"]}}

    def lstm(p):
        parts = [jnp.split(p[name], 4, axis=-1) for name in ("input", "recurrent", "bias")]
        found = {}
        for gate, w, u, b in zip("ifgo", *parts, strict=True):
            found |= {f"i{gate}": {"kernel": w}, f"h{gate}": {"kernel": u, "bias": b}}
        return found

    def gru(p):  # the biases of r and z are the sums of ours, that of n is two
        parts = [jnp.split(p[name], 3, axis=-1) for name in ("input", "recurrent", "bias", "recurrent_bias")]
        found = {}
        for gate, w, u, b, second in zip("rzn", *parts, strict=True):
            found[f"i{gate}"] = {"kernel": w, "bias": b if gate == "n" else b + second}
            found[f"h{gate}"] = {"kernel": u} | ({"bias": second} if gate == "n" else {})
        return found

    def sequence(name, cell, theirs, params, shape):
        width = params["recurrent"].shape[0]

        def layer():
            return nn.RNN(cell(width, param_dtype=float))

        one = plain(layer(), lambda p: {"cell": theirs(p)})
        yield Case(name, [width], {}, params, draw(*shape), one)
        two = nn.Bidirectional(layer(), layer())

        def twice(p):
            return {"forward_rnn": {"cell": theirs(half(p, 0))}, "backward_rnn": {"cell": theirs(half(p, 1))}}

        yield Case(name, [width], {}, pair(params), draw(*shape), plain(two, twice), wrap=True)

    yield from sequence("rnn", nn.SimpleCell, simple, recurrent(4, 3, 1), (2, 5, 4))
    yield from sequence("lstm", nn.OptimizedLSTMCell, lstm, recurrent(2, 3, 4), (4, 5, 2))
    yield from sequence("gru", nn.GRUCell, gru, recurrent(3, 2, 3, True), (4, 5, 3))

    def attend(causal):
        module = nn.MultiHeadDotProductAttention(3)

        def call(p, x):
            own = {}
            for side in ("query", "key", "value"):
                own[side] = {"kernel": p[f"{side}.kernel"].reshape(6, 3, 2), "bias": p[f"{side}.bias"].reshape(3, 2)}
            own["out"] = {"kernel": p["output.kernel"].reshape(3, 2, 6), "bias": p["output.bias"]}
            mask = nn.make_causal_mask(jnp.ones(x.shape[:2])) if causal else None
            return module.apply({"params": own}, x, mask=mask)

        return call

    yield Case("attention", [3], {}, attention(6), draw(2, 5, 6), attend(False))
    yield Case("attention", [3], {"causal": True}, attention(6), draw(2, 5, 6), attend(True))


def flax_batches(batches, start, dys):
    from flax import linen as nn

    def call(scale, offset, mean, variance, x, training):
        own = {"params": {"scale": scale, "bias": offset}, "batch_stats": {"mean": mean, "var": variance}}
        module = nn.BatchNorm(use_running_average=not training)
        y, moved = module.apply(own, x, mutable=["batch_stats"])
        return y, moved["batch_stats"]["mean"], moved["batch_stats"]["var"]

    return pass_batches(call, batches, start, dys)


def flax_initial():
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    count = iter(range(10_000))

    def named(name, sizes, in_shape, module, pick, dtype=jnp.float32):
        x, init = jnp.zeros((2, *in_shape), dtype), jax.jit(module.init)
        return name, sizes, in_shape, lambda: pick(init(jax.random.key(next(count)), x)["params"])

    yield named("dense", [300], [30], nn.Dense(300), dict)
    yield named("conv", [120, 5], [9, 20], nn.Conv(120, (5,)), dict)
    yield named("conv_transpose", [120, 5], [9, 20], nn.ConvTranspose(120, (5,)), dict)
    yield named("embedding", [150, 40], [3], nn.Embed(150, 40), lambda p: {"table": p["embedding"]}, jnp.int32)

    def simple(p):
        own = p["cell"]
        return {"input": own["i"]["kernel"], "recurrent": own["h"]["kernel"], "bias": own["i"]["bias"]}

    def joined(gates, biased, second=None):
        def pick(p):
            own = p["cell"]
            found = {
                "input": np.concatenate([own[f"i{g}"]["kernel"] for g in gates], -1),
                "recurrent": np.concatenate([own[f"h{g}"]["kernel"] for g in gates], -1),
                "bias": np.concatenate([own[f"{biased}{g}"]["bias"] for g in gates], -1),
            }
            return found | ({"recurrent_bias": own[second]["bias"]} if second else {})

        return pick

    yield named("rnn", [40], [9, 70], nn.RNN(nn.SimpleCell(40)), simple)
    yield named("lstm", [40], [9, 70], nn.RNN(nn.LSTMCell(40)), joined("ifgo", "h"))
    yield named("gru", [40], [9, 70], nn.RNN(nn.GRUCell(40)), joined("rzn", "i", "hn"))

    def heads(p):
        own = {"query.kernel": p["query"]["kernel"], "value.bias": p["value"]["bias"]}
        return own | {"output.kernel": p["out"]["kernel"], "output.bias": p["out"]["bias"]}

    yield named("attention", [4], [9, 80], nn.MultiHeadDotProductAttention(4), heads)


def law(draws, recurrent):
    """Return count, deviation, kurtosis and quantiles of numbers; ends of singular values of a kernel and its block."""
    every = np.concatenate([np.asarray(a, np.float64).ravel() for a in draws])
    deviation = every.std()
    kurtosis = ((every - every.mean()) ** 4).mean() / deviation**4 if deviation else 0.0
    found = [every.size, deviation, kurtosis, *np.quantile(every, QUANTILES)]
    if not recurrent:
        return [*found, 0, 0, 0, 0]
    kernel = np.asarray(draws[0], np.float64)
    for part in (kernel, kernel[:, : len(kernel)]):
        values = np.linalg.svd(part, compute_uv=False)
        found += [values.min(), values.max()]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).parent.parent / "tests" / "recorded" / "layers.npz"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    out = parser.parse_args().out
    os.environ["JAX_ENABLE_X64"] = "1"
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import torch
    from keras.src.backend.common import dtypes

    keras.config.set_floatx("float64")
    # On JAX, Keras's table of types takes float64 for float32, whatever JAX's mode: its tanh would round.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    torch.set_default_dtype(torch.float64)
    libraries = {
        "torch": (torch_cases, torch_numbers, torch_batches, torch_initial),
        "keras": (keras_cases, jax_numbers, keras_batches, keras_initial),
        "flax": (flax_cases, jax_numbers, flax_batches, flax_initial),
    }
    arrays, cases, laws, found = {}, [], [], []
    for library, (make, numbers, batches, initial) in libraries.items():
        for case in make():
            dy, y, dx, gradients = numbers(case, lambda shape: draw(*shape))
            assert y.dtype == np.float64, case.name
            kept = [case.x, dy, y, *([] if dx is None else [dx])]
            for name, value in case.params.items():
                kept += [value, gradients[name]]
            shapes = {name: value.shape for name, value in case.params.items()}
            arrays[f"case{len(cases)}"] = np.concatenate([np.asarray(a, np.float64).ravel() for a in kept])
            cases.append([library, case.name, case.sizes, case.numbers, case.wrap, case.x.shape, dy.shape, shapes])
            print(f"{library:6}{case.name:15}{case.sizes} {case.numbers}")
        start = {"scale": draw(4), "offset": draw(4), "mean": draw(4), "variance": draw(4) ** 2 + 0.5}
        xs = [3 * draw(5, 3, 4) + 1 for _ in range(4)]
        dys = [draw(5, 3, 4) for _ in xs]
        kept = [*start.values(), *xs, *dys, *batches(xs, start, dys)]
        arrays[f"{library} batches"] = np.concatenate([a.ravel() for a in kept])
        for name, sizes, in_shape, once in initial():
            draws = [{k: np.asarray(v.detach() if library == "torch" else v) for k, v in once().items()}
                     for _ in range(REPEATS)]  # fmt: skip
            for leaf in draws[0]:
                laws.append([library, name, sizes, in_shape, leaf])
                found.append(law([d[leaf] for d in draws], leaf == "recurrent"))
    about = {
        "versions": {library: importlib.metadata.version(library) for library in libraries},
        "cases": cases,
        "laws": laws,
        "quantiles": QUANTILES,
        "repeats": REPEATS,
    }
    np.savez_compressed(out, about=np.array(json.dumps(about)), laws=np.array(found), **arrays)
    print(f"{len(cases)} cases, {len(laws)} laws, {out.stat().st_size} bytes, {about['versions']}")


if __name__ == "__main__":
    main()
