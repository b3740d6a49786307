r"""Paths and cross-validation of linear models against scikit-learn.

Both solve the same problems to the same duality gap, relative to ‖y‖². By how much our objective is above theirs at
most, relative to ‖y‖²/n, is checked. Compilation is outside the timing. Arrays are float64 NumPy arrays on both sides,
in the order that each prefers; checks, preparation and copies are inside.
"""

import warnings
from typing import Any

import numpy as np

import funcnet.linear as linear
from experiments.benchmarks.timing import Aim, race, timed
from experiments.benchmarks.words import digits, prose, spread
from experiments.study import Table

RATIOS = [0.1, 0.3, 0.5, 0.7, 0.9]
TURNS = 5


def draw(samples: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw independent features, of which 20 matter, and centred targets."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((samples, features)), np.zeros(features)
    w[rng.choice(features, 20, replace=False)] = 2 * rng.standard_normal(20)
    y = x @ w + rng.standard_normal(samples)
    return x - x.mean(0), y - y.mean()


def objectives(x: Any, y: Any, penalties: Any, ratio: float, w: Any) -> Any:
    """Return the objective at each penalty, w being penalties × features."""
    rest = y - w @ x.T
    return 0.5 * (rest**2).mean(1) + penalties * (ratio * np.abs(w).sum(1) + (1 - ratio) / 2 * (w**2).sum(1))


def measure(toy: bool) -> dict[str, Any]:
    """Race 100 penalties on each problem, then 10 folds × 5 ratios × 100 penalties."""
    shapes, ratios, tolerances, turns = ((1000, 200), (500, 2000)), (1.0, 0.5), (1e-4, 1e-6), TURNS
    if toy:
        shapes, ratios, tolerances, turns = ((60, 30),), (1.0,), (1e-4,), 1
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some fits of scikit-learn have not converged
        for shape in shapes:
            for ratio in ratios:
                for tolerance in tolerances:
                    rows.append(_path(*shape, ratio, tolerance, turns))
        return {"paths": rows, "validation": None if toy else _validation(turns)}


def _path(samples: int, features: int, ratio: float, tolerance: float, turns: int) -> dict[str, Any]:
    x, y = draw(samples, features)
    columns = np.asfortranarray(x)
    penalties = np.geomspace(1, 1e-3, 100) * np.abs(x.T @ y).max() / samples / ratio
    results: dict[str, Any] = {}

    def solve(name: str, function: Any, features: Any, **settings: Any) -> Any:
        def run() -> None:
            results[name] = function(features, y, **settings)

        return timed(run)

    mine = {"l1_ratio": ratio, "penalties": penalties, "tolerance": tolerance, "intercept": False}
    sides = {"funcnet": solve("funcnet", linear.elastic_net_path, x, **mine)}
    try:
        from sklearn.linear_model import enet_path
    except ImportError:
        pass
    else:
        theirs = {"l1_ratio": ratio, "alphas": penalties, "tol": tolerance, "max_iter": 10_000}
        sides["Gram"] = solve("Gram", enet_path, columns, **theirs)
        sides["no Gram"] = solve("no Gram", enet_path, columns, precompute=False, **theirs)
    found = race(sides, turns, "funcnet")
    row = {"samples": samples, "features": features, "ratio": ratio, "gap": tolerance, "times": found}
    if "Gram" in results:
        ours = objectives(x, y, penalties, ratio, results["funcnet"].coefficients)
        worse = (ours - objectives(x, y, penalties, ratio, results["Gram"][1].T)).max() / (y @ y / samples)
        if not worse < tolerance:
            raise SystemExit(f"{samples} × {features}: our objective is {worse:.1e} above theirs")
        row["above"] = float(worse)
    return row


def _validation(turns: int) -> dict[str, Any]:
    x, y = draw(1000, 200)
    sides = {"funcnet": timed(lambda: linear.cross_validate(x, y, l1_ratios=RATIOS, tolerance=1e-4))}
    try:
        from sklearn.linear_model import ElasticNetCV
    except ImportError:
        return race(sides, turns, "funcnet")
    model = ElasticNetCV(l1_ratio=RATIOS, alphas=100, cv=10, n_jobs=2)
    chosen = linear.cross_validate(x, y, l1_ratios=RATIOS, tolerance=1e-4).best_ratio
    if model.fit(x, y).l1_ratio_ != chosen:
        raise SystemExit(f"cross-validation chose {chosen}, scikit-learn {model.l1_ratio_}")
    return race(sides | {"best": timed(lambda: model.fit(x, y))}, turns, "funcnet")


def _share(times: dict[str, Any]) -> float | None:
    """Return our time as a share of scikit-learn's, in the faster of its modes."""
    theirs = [row["ratio"] for name, row in times.items() if name != "funcnet"]
    return 1 / min(theirs) if theirs else None


def _problems(numbers: dict[str, Any]) -> list[tuple[str, dict[str, Any], float]]:
    """Return name, times and the most that the share should be, for each problem."""
    kinds = {1.0: "lasso", 0.5: "elastic net ½"}
    found = [
        (f"{p['samples']:,} × {p['features']:,}, {kinds[p['ratio']]}, gap {p['gap']:.0e}", p["times"], 1.0)
        for p in numbers["paths"]
    ]
    if numbers["validation"]:
        found.append(("cross-validation, 1,000 × 200", numbers["validation"], 0.5))
    return found


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """Return what was aimed at."""
    shares = [(f"{name}: our time / scikit-learn's", _share(t), most) for name, t, most in _problems(numbers)]
    return [Aim(name, share, at_most=most) for name, share, most in shares if share is not None]


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for name, times, most in _problems(numbers):
        share = _share(times)
        ours = times["funcnet"]
        cells = [digits(1e3 * ours["seconds"]), spread(ours, 1e3), "" if share is None else f"{share:.2f}"]
        rows.append([name, *cells, f"≤ {most:g}"])
    caption = prose("""
        ## Linear models

        Paths of 100 penalties to the same duality gap as scikit-learn's `enet_path`, the faster of its two modes, and
        cross-validation over 10 folds, 5 ratios and 100 penalties against `ElasticNetCV`. Our objective is above theirs
        by less than the gap, and cross-validation chooses the same ratio.
    """)
    return Table(caption, ["problem", "ours, ms", "quartiles", "of scikit-learn's time", "aim"], rows).markdown()
