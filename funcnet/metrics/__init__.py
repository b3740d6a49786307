r"""Metrics, one file each. `REGISTRY` lists the modules; the tests loop over it. Every loss is a metric as well.

>>> from funcnet.metrics import Accuracy
>>> Accuracy().name
'accuracy'
"""

from funcnet.metrics.accuracy import Accuracy as Accuracy
from funcnet.metrics.base import MeanMetric as MeanMetric
from funcnet.metrics.base import Metric as Metric
from funcnet.metrics.base import as_metric as as_metric
from funcnet.metrics.base import lower_is_better as lower_is_better
from funcnet.registry import registry

REGISTRY = registry(__name__)
