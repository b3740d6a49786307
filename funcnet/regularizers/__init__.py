r"""Regularizers, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it."""

from funcnet.registry import public_names, registry
from funcnet.regularizers.base import Leafwise as Leafwise
from funcnet.regularizers.base import Regularizer as Regularizer
from funcnet.regularizers.base import as_regularizer as as_regularizer
from funcnet.regularizers.elastic_net import ElasticNet as ElasticNet
from funcnet.regularizers.l1 import L1 as L1
from funcnet.regularizers.l1 import soft_threshold as soft_threshold
from funcnet.regularizers.l2 import L2 as L2
from funcnet.regularizers.max_norm import MaxNorm as MaxNorm
from funcnet.regularizers.sum import Sum as Sum

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__)
