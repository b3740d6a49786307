r"""Linear models by exact coordinate minimisation, along whole paths of penalties, with duality gaps.

elastic_net_path, elastic_net   lasso, ridge and what lies between: squares with L1 and L2
logistic_path, logistic         two classes or more, with L1 and L2
cross_validate                  folds × mixing ratios × penalties in one compiled program
"""

from funcnet.linear.classification import logistic, logistic_path
from funcnet.linear.cross_validation import CrossValidation, cross_validate
from funcnet.linear.regression import elastic_net, elastic_net_path
from funcnet.linear.results import Fit, Path

__all__ = [
    "CrossValidation",
    "Fit",
    "Path",
    "cross_validate",
    "elastic_net",
    "elastic_net_path",
    "logistic",
    "logistic_path",
]
