r"""What the studies of gradient descent share: two problems on the digits, and how soon a loss is reached."""

import statistics
import time

import numpy as np

import funcnet as fn

# The one grid from which every method takes its rate: 2⁻⁸ to 16.
RATES = tuple(float(2.0**k) for k in range(-8, 5))
# Student's 97.5 % point over √n, for intervals over the ten seeds of a report.
HALF_WIDTH = 2.262 / 10**0.5


def problems():
    """Return by name an experiment and its training set: a convex objective and one that is not.

    The convex one tells odd from even digits by logistic regression on standardized pixels, which no plane separates:
    its minimum is finite. The other is a network of 32 hidden units for the ten digits.
    """
    x, y = fn.data.digits().train
    (scaled,), _, _ = fn.data.standardize(x)
    odd = (y % 2).astype(np.float32)[:, None]
    return {
        "logistic regression": (fn.Experiment(fn.Dense(1), fn.SigmoidCrossEntropy(), fn.SGD(0.1)), (scaled, odd)),
        "network": (fn.Experiment(fn.mlp(32, 10), fn.SoftmaxCrossEntropy(), fn.SGD(0.1)), (x, y)),
    }


def least_loss():
    """Return the minimum of the convex problem, to 1e-5: that with a penalty too small to matter, by fn.linear."""
    x, odd = problems()["logistic regression"][1]
    x, odd = x.astype(np.float64), odd[:, 0]
    found = fn.linear.logistic(x, odd.astype(np.int32), 1e-7, l1_ratio=0.0, tolerance=1e-8)
    z = x @ found.coefficients + found.intercept
    return float(np.mean(np.logaddexp(0, z) - odd * z))


def losses(experiment, data, space, epochs, lanes=None):
    """Return the loss on the whole training set after every epoch, infinite after a divergence: trials × epochs.

    The training set is given as validation set, too: it is measured whole, at the end of every epoch.
    """
    trials = fn.grid(fn.replace(experiment, {"epochs": epochs}), space)
    results = fn.sweep(trials, data, data, keep="metrics", progress=False, lanes=lanes)
    found = np.full((len(trials), epochs), np.inf)
    for i, row in enumerate(results.rows):
        curve = results.curves(i)["validation_loss"]
        if row.stopped != "diverged":
            found[i, : len(curve)] = curve
    return np.where(np.isfinite(found), found, np.inf)


def crossing(curves, target):
    """Return after how many epochs a curve first falls to a target, between two epochs on a line; else infinity."""
    below = curves <= target
    first = below.argmax(axis=-1)
    before = np.take_along_axis(curves, np.maximum(first - 1, 0)[..., None], -1)[..., 0]
    after = np.take_along_axis(curves, first[..., None], -1)[..., 0]
    with np.errstate(all="ignore"):
        share = np.where((first > 0) & np.isfinite(before), (before - target) / (before - after), 1.0)
    return np.where(below.any(axis=-1), first + share, np.inf)


def race(experiment, data, size, epochs, targets, rates=RATES, tuning=5, fresh=10, path="optimizer.learning_rate"):
    """Return for each target the rate that reaches it in the fewest epochs, and the epochs that fresh seeds need.

    The rate is the best of the grid by the mean over the tuning seeds, all of which must reach the target. Seeds decide
    initial parameters and order of the samples; `path` is that of the rate. `curve` is the mean of the fresh runs at
    the last target's rate.
    """
    experiment = fn.replace(experiment, {"batch_size": size})

    def run(rates, seeds):
        # Where the batch is the whole set there is no order; else each seed's trials share one, in narrow lanes.
        seeds, lanes = (
            ({("seed", "data_seed"): [(i, i) for i in seeds]}, -(-len(rates) // 2)) if size else ({"seed": seeds}, None)
        )
        return losses(experiment, data, {path: rates} | seeds, epochs, lanes).reshape(len(rates), -1, epochs)

    tuned = run(rates, range(tuning))
    reached = [crossing(tuned, target) for target in targets]
    chosen = [rates[int(soon.mean(axis=1).argmin())] for soon in reached]
    different = sorted(set(chosen))
    curves = dict(zip(different, run(different, range(tuning, tuning + fresh)), strict=True))
    with np.errstate(invalid="ignore"):  # a target that fresh seeds miss has no interval
        needed = [crossing(curves[rate], target) for rate, target in zip(chosen, targets, strict=True)]
        half_widths = [float(HALF_WIDTH * soon.std(ddof=1)) for soon in needed]
    return {
        "rates": chosen,
        "epochs": [float(soon.mean()) for soon in needed],
        "half_widths": half_widths,
        "by_rate": [soon.mean(axis=1) for soon in reached],
        "curve": thinned(curves[chosen[-1]].mean(axis=0)),
    }


def seconds_an_epoch(experiments, data, repeats=7):
    """Return the seconds that an epoch of each experiment takes, trained alone: medians of interleaved repeats."""
    for experiment in experiments:
        fn.train(experiment, data)
    found = [[] for _ in experiments]
    for _ in range(repeats):
        for experiment, times in zip(experiments, found, strict=True):
            started = time.perf_counter()
            fn.train(experiment, data)
            times.append((time.perf_counter() - started) / experiment.epochs)
    return [statistics.median(times) for times in found]


def thinned(curve, count=60):
    """Return at most so many points of a curve, evenly spaced in the logarithm of the epoch: epochs and values."""
    epochs = np.unique(np.geomspace(1, len(curve), count).round().astype(int))
    return {"epoch": epochs, "loss": np.asarray(curve)[epochs - 1]}
