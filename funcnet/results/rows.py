r"""A row of a sweep: how one trial ended, and the names of the columns."""

from typing import NamedTuple

import numpy as np

# The order of the columns; metrics of other names come after these.
METRICS = (
    *("train_loss", "objective", "gradient_norm"),
    *("validation_loss", "validation_accuracy", "test_loss", "test_accuracy"),
)
LEADING = ("validation_loss", "validation_accuracy", "train_loss")  # by which a reader looks for the best rows first
WAITING = "waiting"  # how a row "stopped" that has not run
ENDINGS = ("stopped", "epochs", "best_epoch", "first_bad_step", "seconds")
Table = dict[str, np.ndarray]


class Row(NamedTuple):
    """How one trial ended."""

    hash: str  # of everything that decides the outcome: duplicates share it
    stopped: str  # epochs, patience, tolerance, diverged, halved; waiting if it has not run
    epochs: int  # finished
    best_epoch: int  # from 0, −1 if there is none
    first_bad_step: int | None  # the update that diverged
    seconds: float
    metrics: dict[str, float]  # at the best epoch, NaN where not measured; empty if it has not run
