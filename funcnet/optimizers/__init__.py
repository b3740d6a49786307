r"""Optimizers, one file each. `REGISTRY` lists the modules; the tests loop over it."""

from funcnet.optimizers import adam, sgd
from funcnet.optimizers.adam import Adam
from funcnet.optimizers.base import Optimizer
from funcnet.optimizers.sgd import SGD

REGISTRY = (
    adam,
    sgd,
)

__all__ = ["REGISTRY", "SGD", "Adam", "Optimizer"]
