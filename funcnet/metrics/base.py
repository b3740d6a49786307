r"""What a metric is: a number that is reported and never differentiated, from sums that add up over batches.

    sums(a and b) = sums(a) + sums(b)        metric = value(sums)

so that a metric of a set is exact however the set is cut into batches. A concept file says what is summed and what the
sums amount to. A weight of 2 is the sample twice, and a sample of weight 0 is not there, even if its prediction is NaN;
any other NaN prediction makes the metric NaN. Sums are in at least float32.

A metric's column in a history is `validation_` and its name. Every loss is a metric too, under the name of its class:
`mean_squared_error`.
"""

import re
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.errors import check_floating, describe, raise_error
from funcnet.records import record
from funcnet.targets import blank, spread_weight, wide


@record
class Metric:
    r"""Base of all metrics.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Bias(fn.metrics.Metric):
    ...     def sums(self, prediction, target, weight=None):  # they add up over batches
    ...         weight = jnp.ones(len(prediction)) if weight is None else weight
    ...         return jnp.sum(weight * (prediction - target)[:, 0]), jnp.sum(weight)
    ...     def value(self, sums):
    ...         return sums[0] / sums[1]
    >>> print(Bias()(jnp.float32([[1.0], [2.0]]), jnp.float32([[0.5], [2.0]])), Bias().name)
    0.25 bias
    """

    # Whether less is better, as with losses; it decides which epoch and which trial is best.
    LOWER_IS_BETTER: ClassVar[bool] = False
    # What the names of this metric begin with; empty for the class's own name in small letters.
    NAME: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """Return the column's name, without train_, validation_ or test_."""
        return stem(type(self))

    @property
    def scalar(self) -> bool:
        """Tell whether the metric is one number, as a column must be."""
        return True

    def check(self, prediction: Any, target: Any) -> None:
        """Raise an error in words where the metric does not fit the target, or the prediction's shape."""

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> Any:
        """Return a tree of sums over the samples."""
        raise NotImplementedError

    def value(self, sums: Any) -> jax.Array:
        """Return the metric that such sums amount to."""
        raise NotImplementedError

    def __call__(self, prediction: jax.Array, target: Any, weight: Any = None) -> jax.Array:
        """Return the metric of one set."""
        check_floating(prediction, "the prediction")
        prediction = jnp.asarray(prediction)
        self.check(prediction, blank(target, weight))
        return self.value(self.sums(prediction, target, weight))


@record
class MeanMetric(Metric):
    r"""A weighted mean over samples, Σᵢ wᵢ sᵢ / Σᵢ wᵢ; NaN if there are none.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Within(fn.MeanMetric):
    ...     def samples(self, prediction, target):
    ...         return (jnp.abs(prediction - target)[:, 0] < 0.1).astype(jnp.float32)
    >>> print(Within()(jnp.float32([[1.0], [2.0]]), jnp.float32([[1.05], [2.5]])))
    0.5
    """

    def samples(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return s, one number a sample."""
        raise NotImplementedError

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> tuple[jax.Array, jax.Array]:
        """Return Σ w s and Σ w."""
        values = self.samples(*arrays(prediction, target, weight))
        return add_up(values, weight, values.shape), add_up(jnp.ones_like(values), weight, values.shape)

    def value(self, sums: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Return Σ w s / Σ w."""
        return sums[0] / sums[1]


def arrays(prediction: jax.Array, target: Any, weight: Any) -> tuple[jax.Array, jax.Array]:
    """Return predictions in at least float32, and targets, harmless ones where the weight is 0."""
    return prediction.astype(wide(prediction.dtype)), jnp.asarray(blank(target, weight))


def add_up(values: jax.Array, weight: Any, samples: tuple[int, ...]) -> jax.Array:
    """Return Σᵢ wᵢ vᵢ over the samples, the leading axes of `values`; what has weight 0 is left out."""
    axes = tuple(range(len(samples)))
    if weight is None:
        return jnp.sum(values, axis=axes)
    weight = spread_weight(weight, samples, values.dtype).reshape(samples + (1,) * (values.ndim - len(samples)))
    return jnp.sum(jnp.where(weight == 0, 0, weight * jnp.where(weight == 0, 0, values)), axis=axes)


def as_metric(metric: Any, *, column: bool = False) -> Metric:
    """Return the metric if it is one; refuse anything else in words, and what is no single number as a `column`.

    Args:
        metric: a metric or a loss.
        column: whether it must be a single number.

    >>> import funcnet as fn
    >>> fn.metrics.as_metric(fn.Accuracy()).name
    'accuracy'
    >>> fn.metrics.as_metric(fn.Huber()).name  # every loss is a metric too
    'huber'

    """
    if not isinstance(metric, Metric):
        arrived = f"the class {metric.__name__}" if isinstance(metric, type) else describe(metric)
        attempt = "fn.Accuracy(), a loss, or a record that inherits from fn.metrics.Metric"
        raise_error("a metric must be a Metric or a loss of funcnet", f"got {arrived}", attempt, TypeError)
    if column and not metric.scalar:
        raise_error(
            "a column of the history holds one number an epoch",
            f"got {type(metric).__name__}, which is an array",
            "run.evaluate for it, after training",
        )
    return metric


def lower_is_better(column: str) -> bool:
    r"""Tell whether less is better in a column of a history or a table of results.

    A column is known by the metric that its name begins or ends with, train_, validation_ and test_ apart; less is
    better of losses, and of whatever is not known.

    Args:
        column: the name of a column.

    >>> import funcnet as fn
    >>> [fn.metrics.lower_is_better(name) for name in ("validation_accuracy", "validation_loss", "gradient_norm")]
    [False, True, True]

    """
    name = re.sub("^(train|validation|test)_", "", column)
    best, found = "", True
    for kind in _kinds(Metric):
        known = stem(kind)
        if len(known) > len(best) and re.search(f"^{known}(_|$)|_{known}$", name):
            best, found = known, kind.LOWER_IS_BETTER
    return found


def _kinds(base: type[Metric]) -> list[type[Metric]]:
    return [kind for below in base.__subclasses__() for kind in (below, *_kinds(below))]


def stem(kind: type[Metric]) -> str:
    """Return what the names of a metric's columns begin with."""
    return kind.NAME or snake_case(kind.__name__)


def snake_case(name: str) -> str:
    """Write a class's name in small letters: MeanSquaredError as mean_squared_error."""
    return re.sub("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
