r"""Networks that predict numbers."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from funcnet.errors import describe, raise_error
from funcnet.losses.mean_squared_error import MeanSquaredError
from funcnet.sklearn.base import NetworkEstimator


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    r"""A network that predicts numbers, one or several a sample, by the mean squared error.

    Targets are scaled inside, to mean 0 and deviation 1 of the training part each, and predictions are scaled back, so
    that rates and penalties mean the same whatever the unit of y; losses in `history_` are of scaled targets.

    Args:
        hidden: widths of the hidden layers.
        activation: the name of one ("relu", "tanh", "gelu", …), or a record.
        optimizer: the name of one ("adam", "sgd", "adamw", …), or a record.
        learning_rate: a number or a schedule; None: 0.001, or that of the record.
        epochs: passes over the training set, at most.
        batch_size: samples an update; "auto" for 200, or all if there are fewer; None for all.
        penalty: λ of (λ/2) Σ w² on the weights, or a regularizer, or None.
        dropout: the rate at which hidden units are left out, or a `Dropout`.
        early_stopping: whether to hold a part out, and stop when its loss no longer falls.
        validation_fraction: the part held out.
        patience: epochs without a better loss before training stops.
        scale_targets: whether targets are scaled inside; losses that take y as it is (Poisson counts, percentages)
            need False.
        warm_start: whether `fit` goes on from the parameters of the last one.
        random_state: decides parameters, dropout, order and the part held out; a seed makes fits repeatable.
        loss: another loss of numbers; None is `MeanSquaredError()`.
        network: a layer or chain in the place of `hidden`, `activation` and `dropout`.
        experiment: a whole `Experiment`, in the place of everything that it holds too.

    Attributes:
        target_mean_, target_scale_: by which targets are scaled, one a target.
        params_, experiment_, history_, n_iter_, stopped_, n_features_in_, feature_names_in_: as in `NetworkClassifier`.

    >>> import funcnet as fn
    >>> from funcnet.sklearn import NetworkRegressor
    >>> x, y = fn.data.regression(samples=100, features=2, noise=0.1, seed=0)
    >>> model = NetworkRegressor((16,), learning_rate=0.03, epochs=60, random_state=0).fit(x, y.ravel())
    >>> bool(model.score(x, y.ravel()) > 0.9), model.predict(x[:2]).shape
    (True, (2,))

    """

    _numeric = True

    def __init__(
        self,
        hidden: Any = (100,),
        *,
        activation: Any = "relu",
        optimizer: Any = "adam",
        learning_rate: Any = None,
        epochs: Any = 200,
        batch_size: Any = "auto",
        penalty: Any = 0.0,
        dropout: Any = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: Any = 10,
        scale_targets: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        loss: Any = None,
        network: Any = None,
        experiment: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.penalty = penalty
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.scale_targets = scale_targets
        self.warm_start = warm_start
        self.random_state = random_state
        self.loss = loss
        self.network = network
        self.experiment = experiment

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch on some samples, from where the last call ended; the first call decides the scales."""
        return self._go_on(X, y, sample_weight, learns=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return predictions of the shape that y had: (samples,) or (samples, targets)."""
        outputs = self._predicted(X)
        found = outputs * self.target_scale_ + self.target_mean_
        return found if self._columns else found.ravel()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    # -- what the base asks ----------------------------------------------------------------------------------

    def _targets(self, y: Any, weight: np.ndarray, learns: bool) -> np.ndarray:
        columns = y.reshape(len(y), -1).astype(np.float64)
        if learns:
            self._columns = y.ndim == 2
            mean, scale = np.zeros(columns.shape[1]), np.ones(columns.shape[1])
            if self.scale_targets:
                mean = np.average(columns, axis=0, weights=weight)
                scale = np.sqrt(np.average((columns - mean) ** 2, axis=0, weights=weight))
                scale = np.where(scale > 0, scale, 1.0)
            self.target_mean_, self.target_scale_ = mean.astype(self.dtype_), scale.astype(self.dtype_)
        if columns.shape[1] != len(self.target_mean_):
            must = f"y must have {len(self.target_mean_)} targets, as in the first fit"
            raise_error(must, f"got {describe(y)}", "the same columns, or warm_start=False")
        found: np.ndarray = (columns - self.target_mean_) / self.target_scale_
        return found.astype(self.dtype_)

    def _outputs(self) -> int:
        return len(self.target_mean_)

    def _default_loss(self) -> Any:
        return MeanSquaredError()
