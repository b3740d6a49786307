r"""Successive halving: all trials run a little, the best go on, and nothing is trained twice.

At epoch `first` the best 1/factor of the trials that are still running go on from where they are; at first · factor the
best 1/factor of those; and so on until the last epoch. The others end as "halved". Trials that a stopping rule or a
divergence has ended before take no place.

Source     Jamieson & Talwalkar 2016.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet.records import choice, record
from funcnet.results.checks import best_first


@record
class Halving:
    r"""When to compare trials, and how many go on.

    Args:
        metric: a column of the history, compared at the epoch of the rung: least is best, for an accuracy largest.
        factor: one in so many goes on, rounded up.
        first: the epoch of the first rung.

    >>> import funcnet as fn
    >>> fn.Halving("train_loss", factor=3, first=2).rungs(30)
    [2, 6, 18]

    """

    metric: str = choice(default="validation_loss")
    factor: int = choice(default=3, at_least=2)
    first: int = choice(default=1, at_least=1)

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs at which trials are compared, all before the last one."""
        found, rung = [], self.first
        while rung < epochs:
            found.append(rung)
            rung *= self.factor
        return found

    def survivors(self, keys: Sequence[str], values: Sequence[Any]) -> set[str]:
        """Return the keys that go on; equal values in the order given, NaN last.

        >>> import funcnet as fn
        >>> sorted(fn.Halving("train_loss", factor=2).survivors("abc", [0.3, float("nan"), 0.1]))
        ['a', 'c']
        """
        ranked = best_first(self.metric, np.asarray(values, np.float64))
        return {keys[i] for i in ranked[: math.ceil(len(keys) / self.factor)]}
