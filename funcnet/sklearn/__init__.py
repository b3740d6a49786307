r"""Networks and linear models as scikit-learn's estimators, and its grid search in lanes; needs the `sklearn` extra.

NetworkClassifier, NetworkRegressor     networks: hidden widths and the like, or any network or experiment
LinearClassifier, LinearRegressor       logistic regression, lasso, ridge and what lies between, by exact minimisation
SweepSearchCV                           GridSearchCV with candidates side by side in compiled programs

All pass scikit-learn's `check_estimator` without exceptions and live in its pipelines, searches and cross-validation.
"""

from funcnet.extras import import_extra

try:
    from funcnet.sklearn.classifiers import NetworkClassifier
    from funcnet.sklearn.linear_models import LinearClassifier, LinearRegressor
    from funcnet.sklearn.regressors import NetworkRegressor
    from funcnet.sklearn.search import SweepSearchCV
except ImportError:
    import_extra("sklearn", "sklearn")  # whose error names the extra
    raise

__all__ = ["LinearClassifier", "LinearRegressor", "NetworkClassifier", "NetworkRegressor", "SweepSearchCV"]
