"""scikit-learn: `MLPClassifier.partial_fit`, an epoch a call. The last batch is smaller.

It has no dropout, and divides its penalty by the size of each batch, so it takes part without both.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier

from experiments.benchmarks.networks import ANOTHER_EPSILON, Contestant, Job


def contestant(job: Job) -> Contestant | None:
    """Return the peer's side of a job, or None where it has none."""
    if job.variant in ("dropout", "L2"):
        return None
    (x, y), (test_x, test_y) = job.data
    classes = np.arange(job.classes)
    settings = {"solver": "sgd", "momentum": 0.0} if job.variant == "SGD" else {"solver": "adam"}
    settings |= {"learning_rate_init": job.network.learning_rate, "batch_size": job.network.batch, "alpha": 0.0}
    model = None

    def reset(shuffle=True):
        nonlocal model
        model = MLPClassifier(job.network.hidden, random_state=0, shuffle=shuffle, **settings)
        # The first call makes the arrays, which are then replaced, and the optimizer, which is then made anew.
        model.partial_fit(x[: job.network.batch], y[: job.network.batch], classes=classes)
        model.coefs_ = [kernel.copy() for kernel, _ in job.parameters]
        model.intercepts_ = [bias.copy() for _, bias in job.parameters]
        del model._optimizer

    def run():
        for _ in range(job.network.epochs):
            model.partial_fit(x, y)

    def losses(orders):
        reset(shuffle=False)
        found = []
        for order in orders:
            model.partial_fit(x[order], y[order])
            found.append(float(model.loss_))
        return found

    return Contestant(reset, run, losses, lambda: float(model.score(test_x, test_y)), rounding=ANOTHER_EPSILON)
