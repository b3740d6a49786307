"""The job of the sweep's race: the trials, their learning rates and seeds."""

import numpy as np

FEATURES, HIDDEN, CLASSES, BATCH = 64, 64, 10, 32
PARAMETERS = FEATURES * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES


def rates_and_seeds(trials):
    """Return the learning rate and the seed of each trial."""
    return np.geomspace(1e-3, 1e-2, trials).tolist(), list(range(trials))


def few(options):
    """Return the rates and seeds of the trials that a slow contestant trains: the middles of equal parts of all."""
    rates, seeds = rates_and_seeds(options["trials"])
    count = min(options["few"], options["trials"])
    places = ((np.arange(count) + 0.5) * options["trials"] / count).astype(int)
    return [rates[i] for i in places], [seeds[i] for i in places]


def batches_an_epoch(samples):
    """Return the updates of an epoch; the last batch may be incomplete."""
    return -(-samples // BATCH)


def updates(options):
    """Return the updates of the job, over all trials."""
    return options["trials"] * options["epochs"] * batches_an_epoch(options["samples"])
