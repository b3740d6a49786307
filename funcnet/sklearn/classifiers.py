r"""Networks that classify."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from funcnet.errors import raise_error, shown
from funcnet.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from funcnet.sklearn.base import NetworkEstimator
from funcnet.sklearn.jobs import precision
from funcnet.sklearn.settings import class_weights


def labels_of(y: Any) -> np.ndarray:
    """Return y as labels (samples,), with scikit-learn's warning for a column."""
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    return np.asarray(y)


def numbered(y: np.ndarray, classes: np.ndarray, attempt: str) -> np.ndarray:
    """Return the number of each label among sorted classes; raise for one that is none of them."""
    place = np.clip(np.searchsorted(classes, y), 0, len(classes) - 1)
    unknown = classes[place] != y
    if unknown.any():
        names = ", ".join(map(shown, classes[:8].tolist()))
        arrived = f"{shown(y[unknown].tolist()[0])} is none of {names}"
        raise_error("y must hold the classes of the first fit", arrived, attempt)
    return place.astype(np.int32)


def classes_of(y: np.ndarray) -> np.ndarray:
    """Return the classes, at least two."""
    classes = np.unique(y)
    if len(classes) < 2:
        arrived = f"what counts is of one class, {shown(classes.tolist()[0])}"
        raise_error("a classifier must have two classes or more to learn from", arrived, "samples of another class")
    return classes


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    r"""A network that classifies, by softmax with cross-entropy.

    The parameters that predict are those of the best epoch: by the loss of the part held out, with `early_stopping`,
    else by the training loss. Features are not scaled: put a `StandardScaler` before it.

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
        validation_fraction: the part held out, each class in proportion.
        patience: epochs without a better loss before training stops.
        class_weight: "balanced", a dictionary from labels to weights, or None.
        warm_start: whether `fit` goes on from the parameters of the last one.
        random_state: decides parameters, dropout, order and the part held out; a seed makes fits repeatable.
        loss: another loss with an output a class; None is `SoftmaxCrossEntropy()`.
        network: a layer or chain in the place of `hidden`, `activation` and `dropout`.
        experiment: a whole `Experiment`, in the place of everything that it holds too.

    Attributes:
        classes_: the labels, sorted.
        params_: parameters of the best epoch, NumPy's.
        experiment_: what was trained.
        history_: a column a metric, a number an epoch.
        n_iter_: epochs run.
        stopped_: why training ended.
        n_features_in_, feature_names_in_: how many columns, and their names if X was a table.

    >>> import funcnet as fn
    >>> from funcnet.sklearn import NetworkClassifier
    >>> x, y = fn.data.moons(samples=100, noise=0.1, seed=0)
    >>> model = NetworkClassifier((16,), learning_rate=0.03, batch_size=10, epochs=60, random_state=0).fit(x, y)
    >>> bool(model.score(x, y) > 0.9), model.predict_proba(x[:2]).shape
    (True, (2, 2))

    """

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
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.loss = loss
        self.network = network
        self.experiment = experiment

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Train for one epoch on some samples, from where the last call ended.

        Args:
            X: features; in the first call they decide the columns.
            y: labels.
            classes: all labels there will be; the first call needs them, unless `fit` came before.
            sample_weight: as in `fit`.

        Raises:
            ValueError: for labels that the first call did not name, or columns unlike those of the first.

        """
        if not self._is_fitted():
            if classes is None:
                raise_error("the first call of partial_fit must name all classes", "got none", "classes=np.unique(y)")
            self.classes_ = classes_of(labels_of(classes))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            must, attempt = "classes must be those of the first call", "classes=None after the first call"
            raise_error(must, f"got {len(np.unique(classes))} that differ", attempt)
        return self._go_on(X, y, sample_weight, learns=False)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each sample, by its name."""
        likeliest = np.argmax(self._predicted(X), axis=-1)
        found: np.ndarray = self.classes_[likeliest]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (samples, classes), in the order of `classes_`."""
        outputs = self._predicted(X)
        with precision(self.dtype_):
            return np.asarray(self.experiment_.loss.probabilities(jnp.asarray(outputs)))

    # -- what the base asks ----------------------------------------------------------------------------------

    def _targets(self, y: Any, weight: np.ndarray, learns: bool) -> np.ndarray:
        y = labels_of(y)
        if learns:
            self.classes_ = classes_of(y)
        attempt = "partial_fit(X, y, classes=…) with all of them, or warm_start=False"
        return numbered(y, self.classes_, attempt)

    def _weighed(self, targets: np.ndarray, weight: np.ndarray) -> np.ndarray:
        if self.class_weight is None:
            return weight
        found: np.ndarray = weight * class_weights(self.class_weight, self.classes_, targets, weight)[targets]
        return found

    def _outputs(self) -> int:
        return len(self.classes_)

    def _default_loss(self) -> Any:
        return SoftmaxCrossEntropy()
