r"""The linear models of `fn.linear` as estimators of scikit-learn."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from funcnet.linear.classification import logistic
from funcnet.linear.regression import elastic_net
from funcnet.linear.results import Fit, product
from funcnet.sklearn.classifiers import classes_of, labels_of, numbered
from funcnet.sklearn.settings import class_weights
from funcnet.sklearn.tables import as_weight, check_table, padded

REAL = [np.float64, np.float32]
SPARSE = ("csr", "csc")


class _Linear(BaseEstimator):
    """What both linear models share."""

    _numeric = False

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return the samples that count."""
        check_table(X)
        x, y = validate_data(self, X, y, accept_sparse=SPARSE, dtype=REAL, y_numeric=self._numeric)
        weight = as_weight(sample_weight, x.shape[0])
        counts = weight > 0
        return (x, y, weight) if counts.all() else (x[counts], y[counts], weight[counts])

    def _solved(self, solve: Any, x: Any, y: np.ndarray, weight: np.ndarray, **more: Any) -> Any:
        """Solve, with rows of weight 0 and columns of zeros up to one of few sizes, so that folds share programs."""
        names = ("l1_ratio", "intercept", "standardize", "tolerance", "max_sweeps")
        options = {name: vars(self)[name] for name in names}
        features = x.shape[1]
        if isinstance(x, np.ndarray):
            x, y, weight = padded(np.pad(x, ((0, 0), (0, -features % 8))), y, weight)
        fit: Fit = solve(x, y, self.penalty, weight=weight, **more, **options)
        self.coef_, self.intercept_ = fit.coefficients[..., :features], fit.intercept
        self.gap_, self.n_iter_ = fit.gap, fit.sweeps
        return self

    def _decision(self, X: Any) -> np.ndarray:
        """Return w₀ + xᵀw: (samples,), of several classes (samples, classes)."""
        check_is_fitted(self)
        check_table(X)
        x = validate_data(self, X, reset=False, accept_sparse=SPARSE, dtype=REAL)
        found: np.ndarray = np.asarray(product(x, self.coef_)).T + self.intercept_
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class LinearRegressor(RegressorMixin, _Linear):
    r"""Lasso, ridge and what lies between: `fn.linear.elastic_net`, to a duality gap.

    Args:
        penalty: λ; 0 is least squares.
        l1_ratio: 1 is the lasso, 0 ridge.
        intercept: whether to fit one.
        standardize: whether the penalty is on the coefficients of features divided by their standard deviations.
        tolerance: the duality gap to reach, relative to the mean square of y.
        max_sweeps: how many at most.

    Attributes:
        coef_: (features,).
        intercept_: a number.
        gap_: how far the objective is above its minimum at most.
        n_iter_: sweeps.

    >>> import numpy as np
    >>> from funcnet.sklearn import LinearRegressor
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])  # y = 1 + 2x
    >>> print(LinearRegressor(penalty=0.5).fit(x, y).coef_.round(6))
    [1.5]

    """

    _numeric = True

    def __init__(
        self,
        penalty: float = 1e-3,
        *,
        l1_ratio: float = 1.0,
        intercept: bool = True,
        standardize: bool = False,
        tolerance: float = 1e-10,
        max_sweeps: int = 10_000,
    ) -> None:
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.intercept = intercept
        self.standardize = standardize
        self.tolerance = tolerance
        self.max_sweeps = max_sweeps

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Solve; X may be sparse (CSR or CSC)."""
        x, y, weight = self._checked(X, y, sample_weight)
        return self._solved(elastic_net, x, y, weight)

    def predict(self, X: Any) -> np.ndarray:
        """Return w₀ + xᵀw, (samples,)."""
        return self._decision(X)


class LinearClassifier(ClassifierMixin, _Linear):
    r"""Logistic regression with L1 and L2, of two classes or more: `fn.linear.logistic`, to a duality gap.

    Args:
        penalty: λ = 1/(C n) of scikit-learn's C. Without penalty classes must overlap.
        l1_ratio: 0 is L2 alone, as in scikit-learn's LogisticRegression; 1 is L1.
        class_weight: "balanced", a dictionary from labels to weights, or None.
        intercept, standardize, tolerance, max_sweeps: as in `LinearRegressor`.

    Attributes:
        classes_: the labels, sorted.
        coef_: (features,) of two classes, (classes, features) of more.
        intercept_: a number, or one a class.
        gap_, n_iter_: as in `LinearRegressor`.

    >>> import numpy as np
    >>> from funcnet.sklearn import LinearClassifier
    >>> x, y = np.asarray([[-1.0], [1.0], [-1.0], [1.0]]), ["no", "yes", "no", "yes"]
    >>> LinearClassifier(penalty=0.05).fit(x, y).predict([[-1.0], [1.0]]).tolist()
    ['no', 'yes']

    """

    def __init__(
        self,
        penalty: float = 1e-3,
        *,
        l1_ratio: float = 0.0,
        class_weight: Any = None,
        intercept: bool = True,
        standardize: bool = False,
        tolerance: float = 1e-10,
        max_sweeps: int = 10_000,
    ) -> None:
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.class_weight = class_weight
        self.intercept = intercept
        self.standardize = standardize
        self.tolerance = tolerance
        self.max_sweeps = max_sweeps

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Solve; X may be sparse (CSR or CSC)."""
        x, y, weight = self._checked(X, y, sample_weight)
        y = labels_of(y)
        self.classes_ = classes_of(y)
        labels = numbered(y, self.classes_, "labels of one type")
        if self.class_weight is not None:
            weight = weight * class_weights(self.class_weight, self.classes_, labels, weight)[labels]
        return self._solved(logistic, x, labels, weight, classes=len(self.classes_))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits: of two classes that of the second, (samples,); of more (samples, classes)."""
        return self._decision(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each sample, by its name."""
        logits = self._decision(X)
        found: np.ndarray = self.classes_[(logits > 0).astype(int) if logits.ndim == 1 else logits.argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (samples, classes), in the order of `classes_`."""
        logits = self._decision(X)
        if logits.ndim == 1:
            logits = np.stack([np.zeros_like(logits), logits], axis=1)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return found
