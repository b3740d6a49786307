r"""Regularizers, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it."""

from funcnet.regularizers import elastic_net, l1, l2, max_norm
from funcnet.regularizers.base import Regularizer
from funcnet.regularizers.elastic_net import ElasticNet
from funcnet.regularizers.l1 import L1, soft_threshold
from funcnet.regularizers.l2 import L2
from funcnet.regularizers.max_norm import MaxNorm

REGISTRY = (
    elastic_net,
    l1,
    l2,
    max_norm,
)

__all__ = ["L1", "L2", "REGISTRY", "ElasticNet", "MaxNorm", "Regularizer", "soft_threshold"]
