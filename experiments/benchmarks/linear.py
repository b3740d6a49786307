r"""Paths and cross-validation of linear models against scikit-learn: `python experiments/benchmarks/linear.py`.

Needs the `bench` extra. Both solve the same problems to the same duality gap, relative to ‖y‖², in this process,
in turns; a row shows medians over the turns, their ratio, and by how much our objective is above theirs at most,
relative to ‖y‖²/n. Compilation is outside the timing and reported apart. Arrays are float64 NumPy arrays on both
sides, in the order that each prefers; checks, preparation and copies are inside.
"""

import argparse
import os
import time
import warnings

import jax
import numpy as np
from sklearn.linear_model import ElasticNetCV, enet_path

import funcnet.linear as linear

RATIOS = [0.1, 0.3, 0.5, 0.7, 0.9]


def draw(samples, features, seed=0):
    """Draw independent features, of which 20 matter, and centred targets."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((samples, features)), np.zeros(features)
    w[rng.choice(features, 20, replace=False)] = 2 * rng.standard_normal(20)
    y = x @ w + rng.standard_normal(samples)
    return x - x.mean(0), y - y.mean()


def turns(contestants, repeats):
    """Time the contestants in turns; return medians in milliseconds and their last results."""
    times, results = {name: [] for name in contestants}, {}
    for _ in range(repeats):
        for name, run in contestants.items():
            start = time.perf_counter()
            results[name] = run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(t)) for name, t in times.items()}, results


def objectives(x, y, penalties, ratio, w):
    """Return the objective at each penalty, w being penalties × features."""
    rest = y - w @ x.T
    return 0.5 * (rest**2).mean(1) + penalties * (ratio * np.abs(w).sum(1) + (1 - ratio) / 2 * (w**2).sum(1))


def paths(repeats):
    """Print the rows of 100 penalties."""
    for samples, features in ((1000, 200), (500, 2000)):
        x, y = draw(samples, features)
        columns = np.asfortranarray(x)
        for ratio in (1.0, 0.5):
            penalties = np.geomspace(1, 1e-3, 100) * np.abs(x.T @ y).max() / samples / ratio
            for tolerance in (1e-4, 1e-6):
                ours = {"l1_ratio": ratio, "penalties": penalties, "tolerance": tolerance, "intercept": False}
                theirs = {"l1_ratio": ratio, "alphas": penalties, "tol": tolerance, "max_iter": 10_000}
                start = time.perf_counter()
                linear.elastic_net_path(x, y, **ours)
                compiled = time.perf_counter() - start
                contestants = {
                    "ours": lambda x=x, y=y, o=ours: linear.elastic_net_path(x, y, **o),
                    "auto": lambda x=columns, y=y, o=theirs: enet_path(x, y, **o),
                    "no Gram": lambda x=columns, y=y, o=theirs: enet_path(x, y, precompute=False, **o),
                }
                ms, results = turns(contestants, repeats)
                path = results["ours"]
                worse = objectives(x, y, penalties, ratio, path.coefficients)
                worse = (worse - objectives(x, y, penalties, ratio, results["auto"][1].T)).max() / (y @ y / samples)
                best = min(ms["auto"], ms["no Gram"])
                row = [
                    f"{samples}×{features} ratio {ratio} gap {tolerance:g}: ours {ms['ours']:.1f} ms, scikit-learn",
                    f"{ms['auto']:.1f} (default), {ms['no Gram']:.1f} (no Gram) ms;",
                    f"ours/default {ms['ours'] / ms['auto']:.2f}, ours/best {ms['ours'] / best:.2f};",
                    f"sweeps {path.sweeps.sum()}, converged {path.converged.all()}, above theirs {worse:.1e},",
                    f"first call {compiled:.1f} s, load {os.getloadavg()[0]:.1f}",
                ]
                print(*row, flush=True)


def validation(repeats):
    """Print the row of 10 folds × 5 ratios × 100 penalties."""
    x, y = draw(1000, 200)
    model = ElasticNetCV(l1_ratio=RATIOS, alphas=100, cv=10, n_jobs=2)
    contestants = {
        "ours": lambda: linear.cross_validate(x, y, l1_ratios=RATIOS, tolerance=1e-4),
        "together": lambda: linear.cross_validate(x, y, l1_ratios=RATIOS, tolerance=1e-4, together=True),
        "scikit-learn": lambda: model.fit(x, y),
    }
    start = time.perf_counter()
    contestants["ours"]()
    compiled = time.perf_counter() - start
    contestants["together"]()
    contestants["scikit-learn"]()
    ms, results = turns(contestants, repeats)
    theirs = ms["scikit-learn"]
    row = [
        f"10 folds × 5 ratios × 100 penalties, 1000×200, gap 1e-4: ours {ms['ours']:.0f} ms,",
        f"vmapped lanes {ms['together']:.0f} ms, ElasticNetCV(n_jobs=2) {theirs:.0f} ms;",
        f"theirs/ours {theirs / ms['ours']:.1f}, theirs/vmapped {theirs / ms['together']:.1f};",
        f"ratio chosen {results['ours'].best_ratio} and {model.l1_ratio_},",
        f"first call {compiled:.1f} s, load {os.getloadavg()[0]:.1f}",
    ]
    print(*row)


def main():
    """Print versions and rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--devices", type=int, default=1, help="CPU devices over which folds are spread")
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", arguments.devices)
    warnings.filterwarnings("ignore")
    import sklearn

    print(f"jax {jax.__version__}, scikit-learn {sklearn.__version__}, {os.cpu_count()} cores, {jax.devices()}")
    paths(arguments.repeats)
    validation(arguments.repeats)


if __name__ == "__main__":
    main()
