r"""A search over rates and penalties, cross-validated: in lanes, and by scikit-learn over its own network.

Both train the same small network for the same number of epochs in batches of the same size, by Adam, in single
precision, and score the same folds; scikit-learn gets a process a core. That both find equally good candidates is
checked. Ours searches once before, which compiles; theirs compiles nothing, and takes minutes.
"""

import warnings
from typing import Any

import numpy as np

from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import digits, prose, spread
from experiments.study import Table

HIDDEN, BATCH, JOBS, TURNS = 16, 32, 2, 2
FASTER = 10  # times as fast as scikit-learn's search


def measure(toy: bool) -> dict[str, Any]:
    """Race both searches."""
    try:
        from sklearn.datasets import make_classification
        from sklearn.model_selection import GridSearchCV
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        return {"searches": None}
    from funcnet.sklearn import NetworkClassifier, SweepSearchCV

    samples, side, folds, epochs, turns = (100, 2, 2, 3, 1) if toy else (1000, 8, 5, 20, TURNS)
    x, y = make_classification(samples, 20, n_informative=10, n_classes=4, random_state=0)
    x = x.astype(np.float32)
    rates, penalties = np.geomspace(1e-3, 3e-2, side), np.geomspace(1e-5, 1e-2, side)
    ours = NetworkClassifier((HIDDEN,), epochs=epochs, batch_size=BATCH, random_state=0)
    theirs = MLPClassifier(
        (HIDDEN,), max_iter=epochs, n_iter_no_change=epochs, batch_size=BATCH, tol=0.0, random_state=0
    )
    found: dict[str, Any] = {}

    def search(name: str, made: Any) -> Any:
        def run() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that epochs are used up
                found[name] = made.fit(x, y).best_score_

        return timed(run)

    mine = SweepSearchCV(ours, {"learning_rate": rates, "penalty": penalties}, cv=folds, refit=False)
    grid = {"learning_rate_init": rates, "alpha": BATCH * penalties}  # theirs is divided by the batch
    peer = GridSearchCV(theirs, grid, cv=folds, refit=False, n_jobs=JOBS)
    sides = {"SweepSearchCV": search("SweepSearchCV", mine), "GridSearchCV": search("GridSearchCV", peer)}
    sides["SweepSearchCV"]()
    times = race(sides, turns, "SweepSearchCV", warm=0)
    if not toy and abs(found["SweepSearchCV"] - found["GridSearchCV"]) > 0.05:
        raise SystemExit(f"the best candidates are not equally good: {found}")
    job = {"candidates": side**2, "folds": folds, "samples": samples, "epochs": epochs}
    return {"searches": job | {"times": times, "scores": found}}


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """Return what is aimed at."""
    job = numbers["searches"]
    if job is None:
        return []
    return [Aim("a search in lanes against scikit-learn's", job["times"]["GridSearchCV"]["ratio"], at_least=FASTER)]


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    job = numbers["searches"]
    if job is None:
        return "## Searches\n\nscikit-learn, beside whose search that of funcnet is timed, is not installed."
    caption = prose(f"""
        ## Searches

        {job["candidates"]} candidates × {job["folds"]} folds of a network with {HIDDEN} hidden units on
        {job["samples"]:,} samples of 20 features, {job["epochs"]} epochs in batches of {BATCH} each: `SweepSearchCV`
        over `NetworkClassifier`, and scikit-learn's `GridSearchCV(n_jobs={JOBS})` over its `MLPClassifier`. Two turns
        of each, after one of ours that compiles.
    """)
    rows = [
        [name, digits(times["seconds"]), spread(times), f"{times['ratio']:.3g}", f"{job['scores'][name]:.3f}"]
        for name, times in job["times"].items()
    ]
    return Table(caption, ["search", "s", "quartiles", "times ours", "best accuracy"], rows).markdown()
