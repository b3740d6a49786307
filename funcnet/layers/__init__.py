r"""Layers, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it."""

from funcnet.layers import chain, dense, dropout
from funcnet.layers.base import Activate, Layer, as_layer
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.layers.initializers import Constant, Glorot, He, LeCun, Normal, Uniform
from funcnet.layers.networks import mlp

REGISTRY = (
    chain,
    dense,
    dropout,
)

__all__ = [
    "REGISTRY",
    "Activate",
    "Chain",
    "Constant",
    "Dense",
    "Dropout",
    "Glorot",
    "He",
    "Layer",
    "LeCun",
    "Normal",
    "Uniform",
    "as_layer",
    "mlp",
]
