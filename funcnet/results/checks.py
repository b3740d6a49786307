r"""What results ask of names, of metrics and of packages that funcnet does not depend on."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from funcnet.errors import near_misses, raise_error, shown
from funcnet.metrics import lower_is_better


def best_first(metric: str, values: np.ndarray) -> np.ndarray:
    """Return the order of values by a metric: best first, NaN last, equal ones in the order given.

    >>> import numpy as np
    >>> best_first("validation_accuracy", np.asarray([0.5, float("nan"), 0.9])).tolist()
    [2, 0, 1]
    """
    return np.argsort(values if lower_is_better(metric) else -values, kind="stable")


def require_name(name: Any, names: Iterable[str], must: str) -> None:
    """Require that a name is one of those there are; the error lists them, near misses first."""
    there = list(names)
    if name not in there:
        near = near_misses(name, there)
        raise_error(must, f"got {shown(name)}", f"one of {near}" if near else "a sweep whose trials have run")
