r"""Activations, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it."""

from funcnet.activations import relu, sigmoid
from funcnet.activations.base import Activation, Elementwise
from funcnet.activations.relu import ReLU
from funcnet.activations.sigmoid import Sigmoid

REGISTRY = (
    relu,
    sigmoid,
)

__all__ = ["REGISTRY", "Activation", "Elementwise", "ReLU", "Sigmoid"]
