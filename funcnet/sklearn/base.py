r"""What the estimators of networks share: checking X, the part that is held out, training, predicting, going on.

Features are taken as they are: scale them in a pipeline. float32 computes in float32, all else in float64, as in
scikit-learn. A sample of weight 0 is left out altogether.
"""

from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted, validate_data

from funcnet.errors import raise_error
from funcnet.records import replace
from funcnet.sklearn.jobs import Outcome, Training, arrays_key, diverged, memory, precision, trained
from funcnet.sklearn.settings import Settings, experiment_of, needs_validation, outputs_of, seed_of
from funcnet.sklearn.tables import as_weight, check_table, padded
from funcnet.training.experiment import Experiment
from funcnet.training.preparing import prepare
from funcnet.training.run import predictions
from funcnet.training.runners import Memory, chosen_devices
from funcnet.training.state import NEVER, WINDOW
from funcnet.training.stopping import worst
from funcnet.trees import leaves_by_path

EVERY = 2**30  # updates: more than an epoch has
REAL = [np.float64, np.float32]


class NetworkEstimator(BaseEstimator):
    """A network as an estimator of scikit-learn: what classifiers and regressors have in common."""

    _numeric = False  # whether y is numbers

    # -- what an estimator says for itself -------------------------------------------------------------------

    def _targets(self, y: Any, weight: np.ndarray, learns: bool) -> np.ndarray:
        """Return targets as the loss takes them; `learns` learns classes or scales from them."""
        raise NotImplementedError

    def _outputs(self) -> int:
        """Return the number of outputs of a network."""
        raise NotImplementedError

    def _default_loss(self) -> Any:
        raise NotImplementedError

    def _weighed(self, targets: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return the weights of samples with those of their classes."""
        return weight

    # -- fitting ---------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train the network.

        Args:
            X: features (samples, features): an array, or a table of pandas, Polars or Arrow.
            y: targets (samples,).
            sample_weight: one number of at least 0 a sample: 2 is the sample twice, 0 leaves it out.

        Returns:
            The estimator.

        Raises:
            ValueError, TypeError: when data and parameters do not fit, or training diverges.

        """
        goes_on = self.warm_start and self._is_fitted()
        x, targets, weight = self._recalled(X, y, sample_weight) if not goes_on else self._checked(X, y, sample_weight)
        seed = seed_of(self.random_state, self.experiment)
        held_out = bool(self.early_stopping) or needs_validation(self.experiment)
        data, held = self._split(x, targets, weight, seed) if held_out else ((x, targets, weight), None)
        experiment = self._experiment(len(data[0]), held_out, seed)
        if self._is_plain() and (experiment.batch_size is None or experiment.batch_size >= len(data[0])):
            data, experiment = padded(*data), replace(experiment, {"batch_size": None})
        if held is not None:
            held = padded(*held)
        found = trained(Training(experiment, data, held, self.params_ if goes_on else None))
        self._adopt(experiment, found)
        self._state = None
        return self

    def _is_plain(self) -> bool:
        """Tell whether samples of weight 0 change nothing, in whatever layer."""
        return self.network is None and self.experiment is None

    def _is_fitted(self) -> bool:
        return "params_" in vars(self)

    def _recalled(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return what `_checked` does; in a search it is remembered for all candidates."""
        remembered, given = memory(), (X, y, sample_weight)
        if remembered is None or not all(a is None or (type(a) is np.ndarray and a.dtype != object) for a in given):
            return self._checked(*given, first=True, learns=True)
        key = type(self), repr(vars(self).get("class_weight")), vars(self).get("scale_targets"), arrays_key(*given)
        if key not in remembered:
            before = set(vars(self))
            found = self._checked(*given, first=True, learns=True)
            remembered[key] = found, {name: value for name, value in vars(self).items() if name not in before}
        found, learnt = remembered[key]
        for name, value in learnt.items():
            setattr(self, name, value)
        return found

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, first: bool = False, learns: bool = False
    ) -> tuple[Any, Any, Any]:
        """Return features, targets and weights of the samples that count; None for no weights."""
        check_table(X)
        x, y = validate_data(self, X, y, reset=first, dtype=REAL, multi_output=True, y_numeric=self._numeric)
        weight = as_weight(sample_weight, len(x))
        counts = weight > 0
        if not counts.all():
            x, y, weight = x[counts], y[counts], weight[counts]
        if first:
            double = isinstance(self.experiment, Experiment) and self.experiment.dtype == "float64"
            self.dtype_ = np.dtype(np.float64) if double else x.dtype
        targets = self._targets(y, weight, learns)
        weighed = self._weighed(targets, weight)
        none = sample_weight is None and weighed is weight
        return np.ascontiguousarray(x, self.dtype_), targets, None if none else weighed.astype(self.dtype_)

    def _split(self, x: Any, targets: Any, weight: Any, seed: int | None) -> tuple[Any, Any]:
        """Hold a part out."""
        rows = np.arange(len(x))
        labels = targets if targets.dtype.kind in "iu" else None
        size = self.validation_fraction
        kept, held = train_test_split(rows, test_size=size, random_state=seed or 0, stratify=labels)

        def part(of: np.ndarray) -> tuple[Any, Any, Any]:
            return x[of], targets[of], None if weight is None else weight[of]

        return part(np.sort(kept)), part(np.sort(held))

    def _experiment(self, samples: int, held_out: bool, seed: int | None) -> Experiment:
        names = Settings._fields
        given = Settings(**{name: vars(self)[name] for name in names})
        experiment = experiment_of(given, self._outputs(), self._default_loss(), samples, held_out, seed)
        shape = outputs_of(experiment, self.n_features_in_)
        if shape != (self._outputs(),):
            must = f"the network must have {self._outputs()} outputs, one for each class or target"
            raise_error(must, f"it has {shape}", f"fn.mlp(64, {self._outputs()})")
        return experiment

    def _adopt(self, experiment: Experiment, found: Outcome) -> None:
        self.experiment_, self.params_ = experiment, found.params
        self.history_, self.n_iter_, self.stopped_ = found.history, found.epochs, found.stopped

    def _go_on(self, X: Any, y: Any, sample_weight: Any, learns: bool) -> Any:
        """Train for one epoch more; the optimizer's state is carried on from the last call."""
        first = not self._is_fitted()
        x, targets, weight = self._checked(X, y, sample_weight, first=first, learns=first and learns)
        changes = {"epochs": NEVER, "stopping": None, "best_by": None}
        if not first:
            changes |= {"seed": self.experiment_.seed, "data_seed": self.experiment_.data_seed}
        experiment = self._experiment(len(x), False, seed_of(self.random_state, self.experiment))
        with precision(self.dtype_):
            part = (x, targets, weight)
            if self._is_plain() and experiment.batch_size in (None, len(x)):
                part, changes = padded(*part), changes | {"batch_size": None}
            ready, data = prepare(replace(experiment, changes), part)
            runner = Memory(ready, data, chosen_devices(ready, None))
            state = vars(self).get("_state")
            if state is None:
                state = runner.begin(None if first else leaves_by_path(self.params_))
            epoch = int(state.epoch)
            # The parameters of this epoch are those that predict.
            state = runner.advance(state._replace(best_value=worst()), epoch + 1, EVERY)
            self._state = state = jax.tree.map(np.asarray, state)
        if int(state.first_bad_step) != NEVER:
            diverged(experiment, int(state.first_bad_step))
        past = {} if first else self.history_
        last = {name: column[epoch % WINDOW] for name, column in state.history.items()}
        history = {name: np.append(past.get(name, []), value) for name, value in last.items()}
        experiment = replace(experiment, {name: changes[name] for name in ("seed", "data_seed") if name in changes})
        self._adopt(experiment, Outcome(state.best_params, history, len(history["train_loss"]), "epochs", None, 0.0))
        return self

    # -- predicting ------------------------------------------------------------------------------------------

    def _predicted(self, X: Any) -> np.ndarray:
        """Return what the network gives for features."""
        check_is_fitted(self)
        check_table(X)
        x = validate_data(self, X, reset=False, dtype=REAL)
        with precision(self.dtype_):
            found: np.ndarray = predictions(self.experiment_, self.params_, np.ascontiguousarray(x, self.dtype_))
        return found
