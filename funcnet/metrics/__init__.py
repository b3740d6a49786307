r"""Metrics, one file each. `REGISTRY` lists the modules; the tests loop over it. Every loss is a metric as well.

>>> from funcnet.metrics import Accuracy
>>> Accuracy().name
'accuracy'
"""

from funcnet.metrics.accuracy import Accuracy as Accuracy
from funcnet.metrics.auc import AUC as AUC
from funcnet.metrics.base import MeanMetric as MeanMetric
from funcnet.metrics.base import Metric as Metric
from funcnet.metrics.base import as_metric as as_metric
from funcnet.metrics.base import lower_is_better as lower_is_better
from funcnet.metrics.confusion_matrix import ConfusionMatrix as ConfusionMatrix
from funcnet.metrics.f1 import F1 as F1
from funcnet.metrics.mean_absolute_percentage_error import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from funcnet.metrics.perplexity import Perplexity as Perplexity
from funcnet.metrics.precision import Precision as Precision
from funcnet.metrics.r2 import R2 as R2
from funcnet.metrics.recall import Recall as Recall
from funcnet.metrics.top_k import TopK as TopK
from funcnet.registry import public_names, registry

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__)
