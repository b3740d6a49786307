r"""Results from a store: those of a sweep, or all that a file holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet.results.rows import WAITING, Row
from funcnet.results.table import Results
from funcnet.sweeps.store import Store
from funcnet.training.describe import experiments_of


class Stored:
    """Leads from a row's number to what the store keeps of it; a class, so that it can be pickled."""

    def __init__(self, store: Store, keys: Sequence[str]) -> None:
        self._store, self._keys = store, list(keys)

    def curves(self, number: int) -> dict[str, np.ndarray]:
        """Return the history of a row."""
        return self._store.curves(self._keys[number])

    def params(self, number: int) -> Any:
        """Return the best parameters of a row."""
        return self._store.params(self._keys[number])


def results_of(experiments: Sequence[Any], keys: Sequence[str], store: Store, context: str = "") -> Results:
    """Return a row for each experiment, those that are not in the store as waiting."""
    found = store.rows(keys, context)
    rows = [found.get(key) or Row(key, WAITING, 0, -1, None, 0.0, {}) for key in keys]
    source = Stored(store, keys)
    return Results(experiments, rows, source.curves, source.params, origin=store.origin())


def open_results(path: Any) -> Results:
    r"""Return all rows of a store, in the order in which they ended, without data and without running anything.

    Args:
        path: of a file that `fn.sweep` wrote as its `store`; a sweep may still be writing it.

    Returns:
        `Results`, with experiments whose numbers are as the training rounded them.

    Raises:
        OSError: when there is no such file, or it is no store.
        ValueError: when an experiment is made of a class that is not imported.

    >>> import numpy as np, funcnet as fn, tempfile, os
    >>> store = os.path.join(tempfile.mkdtemp(), "sweep.sqlite")
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
    >>> results = fn.sweep(fn.grid(line, {"seed": range(3)}), (x, 3 * x + 1), progress=False, store=store)
    >>> fn.open_results(store).table()["seed"].tolist()
    [0, 1, 2]

    """
    store = Store(path, reading=True)
    found = store.everything()
    source = Stored(store, [row.hash for _, row in found])
    experiments = experiments_of(description for description, _ in found)
    rows = [row for _, row in found]
    return Results(experiments, rows, source.curves, source.params, origin=store.origin())
