r"""Distributions of a space: from fractions of [0, 1) to values."""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.records import Number, children, integer, is_record, number, part, record

MOST = 10_000_000  # trials of one space, and values of a path; more is taken for a slip


@record
class Uniform:
    """Real numbers from `low` to `high`, all equally likely.

    Args:
        low: the least value.
        high: the largest value.

    >>> import funcnet as fn
    >>> base = fn.Experiment(fn.mlp(8, 2, dropout=0.1), fn.SoftmaxCrossEntropy(), fn.Adam(0.01))
    >>> trials = fn.sample(base, {"network.layers.2.rate": fn.Uniform(0.0, 0.5)}, 20, seed=0)
    >>> all(0.0 <= trial.network.layers[2].rate <= 0.5 for trial in trials)
    True

    """

    low: Number = number()
    high: Number = number()

    def __post_init__(self) -> None:
        _check_interval(self)

    def draw(self, fractions: np.ndarray) -> list[Any]:
        """Turn fractions of [0, 1) into values."""
        # Not low + v (high − low), whose difference may overflow.
        found: list[Any] = np.clip(self.low * (1 - fractions) + self.high * fractions, self.low, self.high).tolist()
        return found


@record
class LogUniform:
    """Real numbers from `low` to `high`, every factor equally likely: as many from 1 to 10 as from 10 to 100.

    Args:
        low: the least value, above 0.
        high: the largest value.

    >>> import numpy as np, funcnet as fn
    >>> round(fn.LogUniform(1e-4, 1.0).draw(np.asarray([0.5]))[0], 6)
    0.01

    """

    low: Number = number(above=0)
    high: Number = number(above=0)

    def __post_init__(self) -> None:
        _check_interval(self)

    def draw(self, fractions: np.ndarray) -> list[Any]:
        """Turn fractions of [0, 1) into values."""
        low, high = math.log(self.low), math.log(self.high)
        found: list[Any] = np.clip(np.exp(low * (1 - fractions) + high * fractions), self.low, self.high).tolist()
        return found


@record
class Integers:
    """Whole numbers from `low` to `high` − 1, all equally likely: `high` is left out, as in NumPy and `range`.

    Args:
        low: the least value.
        high: one more than the largest value.

    >>> import numpy as np, funcnet as fn
    >>> fn.Integers(2, 5).draw(np.asarray([0.0, 0.5, 0.99]))
    [2, 3, 4]

    """

    low: Any = integer()
    high: Any = integer(at_most=2**31)

    def __post_init__(self) -> None:
        _check_interval(self)

    def draw(self, fractions: np.ndarray) -> list[Any]:
        """Turn fractions of [0, 1) into values."""
        found: list[Any] = (self.low + np.floor((self.high - self.low) * fractions).astype(np.int64)).tolist()
        return found


@record
class Choice:
    """One of `values`, which may be anything; equally likely, or in proportion to `weights`.

    Args:
        values: a list of anything.
        weights: a positive number for each value; None for equal ones.

    >>> import numpy as np, funcnet as fn
    >>> fn.Choice(["a", "b"], weights=[3, 1]).draw(np.asarray([0.0, 0.7, 0.8]))
    ['a', 'a', 'b']

    """

    values: Any = part()
    weights: Any = part(default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(listed(self.values, "Choice.values")))
        if self.weights is None:
            return
        weights = np.asarray(listed(self.weights, "Choice.weights"))
        if weights.dtype.kind not in "iuf" or weights.shape != (len(self.values),):
            raise_error(
                f"Choice.weights must be {len(self.values)} numbers, one for each value",
                f"got {self.weights!r}",
                f"weights={[1] * len(self.values)}",
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and 0 < weights.sum() < math.inf):
            attempt = "positive weights"
            raise_error("Choice.weights must be at least 0, not all 0, finite", f"got {weights.tolist()}", attempt)
        object.__setattr__(self, "weights", tuple(weights.tolist()))

    def draw(self, fractions: np.ndarray) -> list[Any]:
        """Turn fractions of [0, 1) into values."""
        # Whole numbers of equal weight add up without rounding.
        ends = np.cumsum([1] * len(self.values) if self.weights is None else self.weights)
        return [self.values[i] for i in np.searchsorted(ends, fractions * ends[-1], side="right")]


DISTRIBUTIONS = (Uniform, LogUniform, Integers, Choice)


def _check_interval(distribution: Any) -> None:
    """Require two plain numbers, the first below the second."""
    name = type(distribution).__name__
    for field, value in children(distribution).items():
        if np.ndim(value):
            raise_error(f"{name}.{field} must be one number", f"got {describe(value)}", "one path for each", TypeError)
        object.__setattr__(distribution, field, value.item() if hasattr(value, "item") else value)
    low, high = children(distribution).values()
    if not low < high:
        raise_error(f"{name}.low must be below {name}.high", f"got {low} and {high}", f"{name}({high}, {low})")


def listed(values: Any, name: str) -> list[Any]:
    """Return values as a list; raise unless they are several things in an order, and at least one."""
    if isinstance(values, (np.ndarray, jax.Array)):
        values = np.asarray(values)
        values = values.tolist() if values.ndim < 2 else list(values)
    unordered = isinstance(values, (str, bytes, Mapping, set, frozenset)) or is_record(values)
    if unordered or not isinstance(values, Iterable):
        raise_error(f"{name} must be a list or the like", f"got {describe(values)}", "a list, even of one", TypeError)
    count = len(values) if isinstance(values, (range, list, tuple)) else None
    found = [] if count is not None and count > MOST else list(itertools.islice(values, MOST + 1))
    if len(found) > MOST or (count or 0) > MOST:
        arrived = f"got {count if count is not None else 'more'}"
        raise_error(f"{name} must be at most {MOST}", arrived, "fn.sample with a distribution, or fewer values")
    if not found:
        raise_error(f"{name} must be at least one", "there is none", "leave the path out to keep what stands there")
    return found
