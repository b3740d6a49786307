r"""Presets of layers: what PyTorch, Keras and Flax mean by a layer's name.

    preset(library, name, *sizes, **numbers) -> layer

A preset has the numbers, the padding and the initial values of the library; arguments are those of our layer, in its
order and by its names, and change them. With the library's weights under our names, as below, outputs, running numbers
and gradients are the library's: tests/recorded/layers.npz holds what the libraries computed, experiments/record_layers
how.

Whose weights are whose (W, U kernels of inputs and states; T transposed; channels last in x and y):

==============  ================================  ================================  ================================
ours            torch                             keras                             flax
==============  ================================  ================================  ================================
dense           weightᵀ, bias                     kernel, bias                      kernel, bias
conv            weight (out, in, *window), moved  kernel, bias                      kernel, bias
                to (*window, in, out)
conv_transpose  weight (in, out, *window), moved  kernel (*window, out, in), bias   kernel (*window, in, out), turned
                to (*window, out, in)                                               round along each axis of the window
                                                                                    and moved to (*window, out, in)
lstm, rnn       W, U of all gates, transposed;    kernel, recurrent_kernel, bias    gates side by side; the LSTM's bias
                one bias, the sum of their two                                      is that of hi, hf, hg, ho
gru             as above, with both biases        columns z r n there, r z n here   gates side by side; both biases of
                                                                                    n, 0 for r and z in our second
attention       in_proj_weightᵀ cut in three      (in, heads, size) to one kernel   (in, heads, size) to one kernel
==============  ================================  ================================  ================================

Gates stand as i f g o in all three (Keras calls g c). What no mapping makes equal:

Biases. The two of PyTorch's RNN and LSTM are one here, their sum. It begins as the sum of two draws, and a step moves
it once, theirs twice: `fn.RatesByPath(optimizer, ("0.bias",), (2.0,))` follows them. In Flax's GRU the biases of r and
z are one each, and two here.

One number. Training a batch normalisation on one number a channel is an error here and in PyTorch; Keras and Flax give
β.

Gaps. A transposed convolution with "valid" padding and a window shorter than its stride has no numbers behind the last
window; Keras and Flax add some that are the bias.

Lengths. Behind the length of a sequence y is 0, as of PyTorch's packed ones; Keras repeats the last state, Flax goes
on.

PyTorch's padding p is a pair for each axis here, (p, p); its output_padding q takes q from the second number of the
pair. The ε of its RMSNorm is that of the dtype: of the default dtype when the preset is made.

`momentum` of batch normalisation is the weight of the old value, as in Keras and Flax; PyTorch's 0.1 is 0.9 here.
"""

import dataclasses
import difflib
from typing import Any

import jax.numpy as jnp

from funcnet.errors import near_misses, raise_error, shown
from funcnet.layers.attention import Attention
from funcnet.layers.base import Layer
from funcnet.layers.batch_norm import BatchNorm
from funcnet.layers.conv import Conv
from funcnet.layers.conv_transpose import ConvTranspose
from funcnet.layers.dense import Dense
from funcnet.layers.embedding import Embedding
from funcnet.layers.group_norm import GroupNorm
from funcnet.layers.gru import GRU
from funcnet.layers.initializers import (
    Filled,
    Glorot,
    Joint,
    LeCun,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    Summed,
    VarianceScaling,
)
from funcnet.layers.layer_norm import LayerNorm
from funcnet.layers.lstm import LSTM
from funcnet.layers.rms_norm import RMSNorm
from funcnet.layers.rnn import RNN
from funcnet.trees import default_real

LIBRARIES = ("torch", "keras", "flax")
OF_DTYPE = object()  # the ε of the default dtype

_ZERO, _GLOROT, _LECUN = Filled(0.0), Glorot(), LeCun("truncated")
# Uniform on ±1/√n, n the inputs, or the outputs, of the kernel.
_BY_INPUTS, _BY_OUTPUTS = VarianceScaling(1 / 3, "in", "uniform"), VarianceScaling(1 / 3, "out", "uniform")

# PyTorch's recurrent layers draw everything by the width of the state; Keras's draw all gates at once.
_TORCH = {"sequence": True, "input_init": _BY_OUTPUTS, "recurrent_init": _BY_INPUTS}
_ONE, _TWO = {"bias_init": Summed(_BY_INPUTS)}, {"bias_init": _BY_INPUTS}
_KERAS = {"sequence": False, "input_init": Joint(_GLOROT), "recurrent_init": Joint(Orthogonal()), "bias_init": _ZERO}
_FLAX = {"sequence": True, "input_init": _LECUN, "recurrent_init": Orthogonal(), "bias_init": _ZERO}


def _kernels(kernel: Any, bias: Any = _ZERO, **more: Any) -> dict[str, Any]:
    return {"kernel_init": kernel, "bias_init": bias} | more


def _attention(first: Any, last: Any) -> dict[str, Any]:
    return {"bias": True, "kernel_init": first, "output_init": last}


VARIANTS: dict[tuple[str, str], tuple[type[Layer], dict[str, Any]]] = {
    ("torch", "batch_norm"): (BatchNorm, {"momentum": 0.9, "epsilon": 1e-5, "unbiased": True}),
    ("torch", "layer_norm"): (LayerNorm, {"epsilon": 1e-5}),
    ("torch", "rms_norm"): (RMSNorm, {"epsilon": OF_DTYPE}),
    ("torch", "group_norm"): (GroupNorm, {"epsilon": 1e-5}),
    ("torch", "dense"): (Dense, _kernels(_BY_INPUTS, _BY_INPUTS)),
    ("torch", "conv"): (Conv, _kernels(_BY_INPUTS, _BY_INPUTS, padding="valid")),
    ("torch", "conv_transpose"): (ConvTranspose, _kernels(_BY_OUTPUTS, _BY_OUTPUTS, padding="valid")),
    ("torch", "embedding"): (Embedding, {"table_init": RandomNormal(1.0)}),
    ("torch", "rnn"): (RNN, _TORCH | _ONE),
    ("torch", "lstm"): (LSTM, _TORCH | _ONE | {"forget_bias": 0.0}),
    ("torch", "gru"): (GRU, _TORCH | _TWO | {"reset_after": True}),
    ("torch", "attention"): (Attention, _attention(VarianceScaling(0.5, "mean", "uniform"), _BY_INPUTS)),
    ("keras", "batch_norm"): (BatchNorm, {"momentum": 0.99, "epsilon": 1e-3, "unbiased": False}),
    ("keras", "layer_norm"): (LayerNorm, {"epsilon": 1e-3}),
    ("keras", "rms_norm"): (RMSNorm, {"epsilon": 1e-6}),
    ("keras", "group_norm"): (GroupNorm, {"groups": 32, "epsilon": 1e-3}),
    ("keras", "dense"): (Dense, _kernels(_GLOROT)),
    ("keras", "conv"): (Conv, _kernels(_GLOROT, padding="valid")),
    ("keras", "conv_transpose"): (ConvTranspose, _kernels(_GLOROT, padding="valid")),
    ("keras", "embedding"): (Embedding, {"table_init": RandomUniform(0.05)}),
    ("keras", "rnn"): (RNN, _KERAS),
    ("keras", "lstm"): (LSTM, _KERAS | {"forget_bias": 1.0}),
    ("keras", "gru"): (GRU, _KERAS | {"reset_after": True}),
    ("keras", "attention"): (Attention, _attention(_GLOROT, _GLOROT)),
    ("flax", "batch_norm"): (BatchNorm, {"momentum": 0.99, "epsilon": 1e-5, "unbiased": False}),
    ("flax", "layer_norm"): (LayerNorm, {"epsilon": 1e-6}),
    ("flax", "rms_norm"): (RMSNorm, {"epsilon": 1e-6}),
    ("flax", "group_norm"): (GroupNorm, {"groups": 32, "epsilon": 1e-6}),
    ("flax", "dense"): (Dense, _kernels(_LECUN)),
    ("flax", "conv"): (Conv, _kernels(_LECUN, padding="same")),
    ("flax", "conv_transpose"): (ConvTranspose, _kernels(_LECUN, padding="same")),
    ("flax", "embedding"): (Embedding, {"table_init": VarianceScaling(1.0, "out", "normal")}),
    ("flax", "rnn"): (RNN, _FLAX),
    ("flax", "lstm"): (LSTM, _FLAX | {"forget_bias": 0.0}),
    ("flax", "gru"): (GRU, _FLAX | {"reset_after": True}),
    ("flax", "attention"): (Attention, _attention(_LECUN, _LECUN)),
}
NAMES = tuple(dict.fromkeys(name for _, name in VARIANTS))

# What the libraries call the arguments.
SPELLINGS = {
    **dict.fromkeys(("units", "hidden_size", "hidden_dim", "out_features", "embedding_dim", "output_dim"), "width"),
    **dict.fromkeys(("filters", "out_channels"), "features"),
    **dict.fromkeys(("kernel_size", "kernel_shape"), "window"),
    **dict.fromkeys(("strides",), "stride"),
    **dict.fromkeys(("dilation_rate", "kernel_dilation"), "dilation"),
    **dict.fromkeys(("feature_group_count", "num_groups"), "groups"),
    **dict.fromkeys(("num_embeddings", "input_dim", "vocab_size"), "vocabulary"),
    **dict.fromkeys(("num_heads",), "heads"),
    **dict.fromkeys(("eps",), "epsilon"),
    **dict.fromkeys(("use_bias",), "bias"),
    **dict.fromkeys(("return_sequences",), "sequence"),
    **dict.fromkeys(("go_backwards",), "reverse"),
    **dict.fromkeys(("kernel_initializer",), "kernel_init"),
    **dict.fromkeys(("bias_initializer",), "bias_init"),
}


def preset(library: str, name: str, *sizes: Any, **numbers: Any) -> Layer:
    r"""Return the layer that a library means by a name.

    Args:
        library: "torch", "keras" or "flax".
        name: "batch_norm", "layer_norm", "rms_norm", "group_norm", "dense", "conv", "conv_transpose", "embedding",
            "rnn", "lstm", "gru" or "attention", in any case.
        *sizes: what the layer takes by position: a width, features and a window, groups, heads.
        **numbers: what it takes by name; what is left out is the library's.

    Raises:
        ValueError: for a library, name or argument that does not exist; the message lists those that do.
        TypeError: where sizes are missing or too many.

    >>> import funcnet as fn
    >>> fn.preset("torch", "batch_norm").unbiased, fn.preset("keras", "batch_norm").momentum
    (True, 0.99)
    >>> fn.preset("flax", "conv", 8, 3).padding, fn.preset("torch", "conv", 8, 3).padding
    ('same', 'valid')

    """
    if not isinstance(library, str) or library not in LIBRARIES:
        near = near_misses(library, LIBRARIES, 3, quoted=True)
        raise_error(f"the library must be one of {', '.join(LIBRARIES)}", f"got {shown(library)}", near)
    key = name.lower() if isinstance(name, str) else None
    if key not in NAMES:
        near = near_misses(key, NAMES, 3, quoted=True)
        raise_error(f"the name of a layer must be one of {', '.join(NAMES)}", f"got {shown(name)}", near)
    kind, known = VARIANTS[library, str(key)]
    given = _arguments(f'preset("{library}", "{key}")', kind, sizes, numbers, known)
    return kind(**{name: _number(value) for name, value in given.items()})


def _arguments(title: str, kind: type[Layer], sizes: Any, numbers: dict[str, Any], known: dict[str, Any]) -> Any:
    """Return all arguments of a layer by name: those of the library, changed by what was given."""
    fields: tuple[Any, ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    allowed, places = [field.name for field in fields], [field.name for field in fields if not field.kw_only]
    if len(sizes) > len(places):
        must = f"{title} takes {', '.join(places)} by position"
        raise_error(must, f"got {len(sizes)}", "the rest by name", TypeError)
    placed = dict(zip(places, sizes, strict=False))
    for argument, value in numbers.items():
        if argument not in allowed:
            meant = SPELLINGS.get(argument, next(iter(difflib.get_close_matches(argument, allowed, n=1)), None))
            attempt = f"{meant}={shown(value)}" if meant in allowed else ", ".join(allowed)
            raise_error(f"an argument of {title} must be one of {', '.join(allowed)}", f"got {argument!r}", attempt)
        if argument in placed:
            must = f"{title} takes {argument} once"
            raise_error(must, "got it by position and by name", f"{argument}={shown(value)} alone", TypeError)
    given = known | placed | numbers
    missing = [field.name for field in fields if field.default is dataclasses.MISSING and field.name not in given]
    if missing:
        raise_error(f"{title} needs {', '.join(missing)}", "got none", f"{missing[0]}=8", TypeError)
    return given


def _number(value: Any) -> Any:
    return float(jnp.finfo(default_real()).eps) if value is OF_DTYPE else value
