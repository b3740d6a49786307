r"""Weights from PyTorch and back: the entries of a state dict, matched to layers in their order.

from_torch   a state dict, or a `.safetensors` file, to parameters
to_torch     parameters to a state dict, or a `.safetensors` file
read, write  the rules of each layer; those of a layer from elsewhere are registered here

    state dict                          parameters
    weight (out, in)                    kernel (in, out)
    weight (out, in/groups, window)     kernel (window, in/groups, out)
    weight (in, out, window)            kernel (window, out, in)             of a transposed convolution
    weight_ih (gates, in), …            input (in, gates), …                 gates in the same order
    bias_ih + bias_hh                   bias                                 both stay in a GRU

Entries are gathered by their module, and each layer with parameters takes the next module: names differ from model to
model, the order of layers does not. What a module holds is told apart by the last part of its names.

Channels. PyTorch keeps them first, here they come last. A convolution computes the same all the same; flattened, the
numbers stand in another order, and so do the rows of the dense layer behind (or the columns of the one before, where
numbers are put into the shape of an image). `orders` finds both from the shape of a sample.

Rules of another layer:

    @funcnet.torch.read.register
    def _(layer: MyLayer, entries): return {"gain": entries("weight", (layer.width,))}

    @funcnet.torch.write.register
    def _(layer: MyLayer, params): return {"weight": params["gain"]}
"""

from funcnet.torch.carrying import from_torch, to_torch
from funcnet.torch.rules import read, write

__all__ = ["from_torch", "read", "to_torch", "write"]
