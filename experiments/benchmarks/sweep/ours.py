"""Our side of the sweep's race: `fn.sweep`, on all cores or one, and its kinds of sweep.

Contestants take the options and return (seconds of compilation, run), in a process of their own; run() returns a dict.
"""

import math
import sys
import time

import numpy as np

from experiments.benchmarks.sweep.job import BATCH, CLASSES, HIDDEN, rates_and_seeds

VARIANTS = ("plain", "dropout 0.2", "early stopping", "halving by 3")


def ours(options, variants=(), own_order=False):
    """Our side; `variants` are further sweeps, by name, that `run` can be asked for."""
    import funcnet as fn

    fn.use_cores(options["cores"])
    train = fn.data.digits().train

    def trials_of(epochs, **changes):
        network = fn.mlp(HIDDEN, CLASSES, dropout=changes.pop("dropout", None))
        base = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=BATCH, epochs=epochs, **changes)
        together = [
            (rate, seed, seed if own_order else 0)
            for rate, seed in zip(*rates_and_seeds(options["trials"]), strict=True)
        ]
        return fn.grid(base, {("optimizer.learning_rate", "seed", "data_seed"): together})

    def timed(experiments, halving=None):
        start = time.perf_counter()
        results = fn.sweep(experiments, train=train, progress=False, halving=halving, own_order=own_order)
        return time.perf_counter() - start, results

    def found(seconds, results):
        curves = [results.curves(i)["train_loss"] for i in range(len(results))]
        ran = sum(map(len, curves)) / (len(curves) * options["epochs"])
        return {"seconds": seconds, "loss": float(np.mean([c[-1] for c in curves])), "ran": ran, "curves": curves}

    once = trials_of(1)
    compiling = timed(once)[0] - timed(once)[0]
    jobs = {"plain": (trials_of(options["epochs"]), None)}
    if variants:
        curves = found(*timed(jobs["plain"][0]))["curves"]
        rule, share = half_way(fn, curves)
        print(f"  early stopping: {rule}, which should run {share:.0%} of the epochs", file=sys.stderr)
        jobs |= {
            "dropout 0.2": (trials_of(options["epochs"], dropout=0.2), None),
            "early stopping": (trials_of(options["epochs"], stopping=rule), None),
            "halving by 3": (jobs["plain"][0], fn.Halving("train_loss", factor=3, first=3)),
        }
        for name in variants:  # compiles what is not compiled yet
            timed(*jobs[name])

    def run(variant="plain"):
        outcome = found(*timed(*jobs[variant]))
        return {name: value for name, value in outcome.items() if name != "curves"}

    return compiling, run


def half_way(fn, curves):
    """Return the early stopping under which about half of all epochs would be run, and how many would be."""

    def epochs(curve, patience, least):
        best, waited = math.inf, 0
        for epoch, loss in enumerate(curve):
            best, waited = (loss, 0) if loss < best - least else (best, waited + 1)
            if waited >= patience:
                return epoch + 1
        return len(curve)

    total, found = sum(map(len, curves)), []
    for patience in (1, 2, 3, 5):
        for least in np.geomspace(1e-4, 0.1, 13):
            share = sum(epochs(curve, patience, least) for curve in curves) / total
            found.append((abs(share - 0.5), share, patience, float(least)))
    _, share, patience, least = min(found)
    return fn.EarlyStopping(patience, min_delta=round(least, 6), metric="train_loss"), share


def ours_on_one_device(options):
    return ours(options | {"cores": 1})


def ours_own_orders(options):
    return ours(options, own_order=True)


def ours_with_variants(options):
    """Our side with every kind of sweep that `run` can be asked for."""
    return ours(options, variants=VARIANTS[1:])
