r"""Grid search whose candidates train side by side.

scikit-learn's own search is run twice over the same splits. The first time each fit only notes what it would train
(see `jobs`); then all that was noted is trained in lanes, one program a structure; the second time each fit is handed
what was found, and is scored. So scoring, refitting and `cv_results_` are scikit-learn's, whatever stands before the
network in a pipeline.
"""

import contextlib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, ParameterSampler, check_cv
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from funcnet.errors import abridged, describe, raise_error
from funcnet.protocols import fits
from funcnet.sklearn.jobs import Noted, Outcome, Training, answering, collecting, precision, remembering
from funcnet.sweeps.run import sweep


@runtime_checkable
class Distribution(Protocol):
    """What draws values, as SciPy's distributions do."""

    def rvs(self, *args: Any, **kwargs: Any) -> Any:
        """Draw values."""
        ...


class SweepSearchCV(GridSearchCV):
    r"""scikit-learn's `GridSearchCV`, with the networks of all candidates trained side by side in compiled programs.

    Candidates that differ in numbers (rates, penalties, dropout above 0, epochs) share a program; those that differ in
    structure (hidden widths, activation, optimizer) have one each. Results are those of `GridSearchCV` to rounding.
    What cannot be swept, such as an optimizer from elsewhere, trains one by one.

    Args:
        estimator: a `NetworkClassifier` or `NetworkRegressor`, or a pipeline that ends in one.
        param_grid: lists of values by parameter, or a list of such grids; with `n_iter` distributions too, as
            `RandomizedSearchCV` takes them.
        n_iter: how many candidates to draw; None tries all of a grid.
        scoring, refit, cv, error_score, return_train_score: as in `GridSearchCV`.
        lanes: candidates a device runs side by side; None chooses.
        random_state: by which candidates are drawn.

    Attributes:
        cv_results_: as `GridSearchCV` has it; fit times are a candidate's share of its lanes' time.
        best_estimator_, best_params_, best_score_, best_index_, n_splits_, scorer_, refit_time_: likewise.

    >>> import funcnet as fn
    >>> from funcnet.sklearn import NetworkClassifier, SweepSearchCV
    >>> x, y = fn.data.moons(samples=90, noise=0.1, seed=0)
    >>> model = NetworkClassifier((8,), epochs=40, random_state=0)
    >>> search = SweepSearchCV(model, {"learning_rate": [0.0001, 0.03]}, cv=3).fit(x, y)
    >>> search.best_params_, len(search.cv_results_["mean_test_score"])
    ({'learning_rate': 0.03}, 2)

    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        n_iter: int | None = None,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        lanes: int | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            param_grid=param_grid,
            scoring=scoring,
            refit=refit,
            cv=cv,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.n_iter = n_iter
        self.lanes = lanes
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Train and score all candidates on all splits, and the best one on all data.

        Args:
            X: features, as the estimator takes them.
            y: targets.
            params: further arguments of the estimator's `fit`, such as `sample_weight`, which are split with the data;
                and `groups` for the splitter.

        Returns:
            The search.

        Raises:
            ValueError, TypeError: for parameters that the estimator does not have, or data that it refuses.

        """
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(splitter.split(X, y, params.get("groups")))
        candidates = self._candidates()
        seed = int(check_random_state(None).randint(2**31 - 1))  # for estimators without one
        inner = _Listed(
            self.estimator,
            candidates,
            scoring=self.scoring,
            refit=self.refit,
            cv=splits,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
        )
        seconds: list[float] = []
        with remembering():
            answers = self._answers(self._jobs(candidates, splits, (X, y, params), seed))
            with answering(answers, seconds, seed):
                inner.fit(X, y, **params)
        names = ("n_splits_", "multimetric_", "scorer_", "cv_results_", "best_index_", "best_score_", "best_params_")
        for name in (*names, "best_estimator_", "refit_time_", "feature_names_in_"):
            if name in vars(inner):
                setattr(self, name, vars(inner)[name])
        count = len(candidates) * len(splits)
        if len(seconds) - bool(self.refit) == count:  # no fit failed
            shares = np.reshape(seconds[:count], (len(candidates), len(splits)))
            self.cv_results_["mean_fit_time"] = self.cv_results_["mean_fit_time"] + shares.mean(axis=1)
            self.cv_results_["std_fit_time"] = shares.std(axis=1)
        return self

    def _candidates(self) -> list[dict[str, Any]]:
        grids = [self.param_grid] if isinstance(self.param_grid, Mapping) else self.param_grid
        if not isinstance(grids, Iterable) or not all(isinstance(grid, Mapping) for grid in grids):
            must, attempt = "param_grid must be lists of values by parameter", '{"learning_rate": [0.001, 0.01]}'
            raise_error(must, f"got {describe(self.param_grid)}", attempt, TypeError)
        if self.n_iter is not None:
            return list(ParameterSampler(self.param_grid, self.n_iter, random_state=self.random_state))
        for grid in grids:
            for name, values in grid.items():
                if fits(values, Distribution):
                    must, attempt = "a grid must list its values", "n_iter=20, or values for a grid"
                    raise_error(must, f"{name} is a distribution", attempt)
        return list(ParameterGrid(self.param_grid))

    def _jobs(
        self, candidates: list[Any], splits: list[Any], given: tuple[Any, Any, Any], seed: int
    ) -> dict[Any, Training]:
        """Note what all fits would train."""
        X, y, params = given
        params = {name: value for name, value in params.items() if name != "groups"}
        notes: dict[Any, Training] = {}
        why = "no fit came as far as that"
        with collecting(notes, seed):
            for rows, _ in splits:
                part = _safe_split(self.estimator, X, y, rows)
                words = _check_method_params(X, params, rows)
                for candidate in candidates:
                    # What else goes wrong is told when the fit is asked for again, if any fit can be.
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        try:
                            clone(self.estimator).set_params(**clone(candidate, safe=False)).fit(*part, **words)
                        except Noted:
                            continue
                        except Exception as error:
                            why = f"one ended in {type(error).__name__}: {abridged(str(error), 120)}"
        if not notes and candidates:
            must, attempt = "the estimator must train a network that all candidates fit", "GridSearchCV tells more"
            raise_error(must, f"of {type(self.estimator).__name__} {why}", attempt)
        return notes

    def _answers(self, jobs: dict[Any, Training]) -> dict[Any, Outcome]:
        """Train what was noted, in lanes for all that is trained on the same data."""
        together: dict[str, list[Any]] = {}
        for key in jobs:
            together.setdefault(key[0], []).append(key)
        answers: dict[Any, Outcome] = {}
        for keys in together.values():
            first, experiments = jobs[keys[0]], [jobs[key].experiment for key in keys]
            # What cannot be swept, such as an optimizer from elsewhere, is trained when its fit is asked for again.
            with precision(first.data[0].dtype), contextlib.suppress(ValueError, TypeError):
                found = sweep(experiments, first.data, first.held, progress=False, lanes=self.lanes)
                for i, (key, row) in enumerate(zip(keys, found.rows, strict=True)):
                    ends = row.epochs, row.stopped, row.first_bad_step, row.seconds
                    answers[key] = Outcome(found.params(i), found.curves(i), *ends)
        return answers


class _Listed(GridSearchCV):
    """A search of the candidates that are listed."""

    def _run_search(self, evaluate_candidates: Any) -> None:
        evaluate_candidates(self.param_grid)
