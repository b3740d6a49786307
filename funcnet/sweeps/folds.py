r"""Cross-validation: a sweep on every fold of the data."""

from collections.abc import Iterable, Sequence
from typing import Any

from funcnet.data.splits import folds
from funcnet.files import as_path
from funcnet.results.table import Results
from funcnet.sweeps.run import sweep
from funcnet.training.experiment import Experiment


def sweep_folds(
    experiments: Sequence[Experiment],
    x: Any,
    y: Any,
    count: int = 5,
    *,
    seed: int = 0,
    stratify: bool = True,
    store: Any = None,
    **options: Any,
) -> Results:
    r"""Train every experiment once for each fold: on all other folds, measured on the one that is held out.

    Args:
        experiments: as in `fn.sweep`.
        x: features (samples, …).
        y: targets (samples, …).
        count: the number of folds, at least 2.
        seed: by which the folds are drawn.
        stratify: whether each fold has every class in proportion; needs class labels (samples,).
        store: a folder with a file of rows for each fold, so that an interrupted call goes on; None keeps none.
        options: further arguments of `fn.sweep`.

    Returns:
        `Results` with a row for every experiment and fold and a column "fold"; `results.summary(over="fold")` gives
        mean and interval of every setting.

    Raises:
        ValueError, TypeError: as `fn.data.folds` and `fn.sweep` do.

    >>> import funcnet as fn
    >>> x, y = fn.data.moons(samples=60, noise=0.1, seed=0)
    >>> base = fn.Experiment(fn.mlp(4, 2), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), batch_size=None, epochs=3)
    >>> trials = fn.grid(base, {"optimizer.learning_rate": [0.01, 0.1]})
    >>> results = fn.sweep_folds(trials, x, y, 3, progress=False)
    >>> len(results), results.table()["fold"].tolist()
    (6, [0, 0, 1, 1, 2, 2])

    """
    given = list(experiments) if isinstance(experiments, Iterable) else experiments
    folder = None if store is None else as_path(store)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    parts = {}
    for number, (train, validation) in enumerate(folds(x, y, count, seed, stratify=stratify)):
        path = None if folder is None else folder / f"fold-{number}.sqlite"
        parts[number] = sweep(given, train, validation, store=path, **options)
    return Results.joined(parts, "fold")
