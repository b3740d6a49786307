r"""When training ends before its last epoch: pure functions of a small state.

    rule.start() -> state
    rule.judge(state, metrics) -> (state, stop)      once an epoch; metrics maps names to scalars

Rules run inside the compiled program. Their numbers are leaves: a sweep may vary patience or tolerance. A rule says why
a run ended by its `REASON`, and which columns it reads by `watches`.

Source     Article A2.3 (iterate until convergence) and B2 (early stopping); Prechelt 1998.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet import protocols
from funcnet.errors import describe, raise_error
from funcnet.metrics import lower_is_better
from funcnet.records import Number, choice, integer, is_record, number, part, record
from funcnet.trees import default_real


class StoppingRule:
    """Base of all stopping rules: the defaults of the protocol."""

    REASON: ClassVar[str]

    @property
    def watches(self) -> tuple[str, ...]:
        """Return the columns of the history that the rule reads."""
        return ()

    @property
    def best_by(self) -> str | None:
        """Return the column by which the best epoch is chosen, if the rule has a say in it."""
        return None

    def start(self) -> Any:
        """Return what the rule remembers before the first epoch."""
        raise NotImplementedError

    def judge(self, state: Any, metrics: Mapping[str, jax.Array]) -> tuple[Any, jax.Array]:
        """Return what it remembers now, and whether to stop."""
        raise NotImplementedError


def oriented(column: str, value: jax.Array) -> jax.Array:
    """Turn a metric into something to be minimised: an accuracy changes its sign."""
    return value if lower_is_better(column) else -value


@record
class EarlyStopping(StoppingRule):
    r"""Stop after `patience` epochs in a row without an improvement of more than `min_delta`.

    An epoch improves if its metric is below the best so far − min_delta (above it + min_delta for an accuracy and
    whatever else is better the higher). The run ends in "patience". Best parameters are kept whether or not patience
    runs out, by the same metric.

    Args:
        patience: epochs in a row without improvement.
        min_delta: what an improvement must exceed, in units of the metric.
        metric: a column of the history, such as "validation_loss", "train_loss" or "validation_accuracy".

    >>> import jax.numpy as jnp, funcnet as fn
    >>> rule, state = fn.EarlyStopping(patience=2), fn.EarlyStopping(patience=2).start()
    >>> for loss in (3.0, 2.0, 2.5, 2.0):
    ...     state, stop = rule.judge(state, {"validation_loss": jnp.asarray(loss)})
    >>> print(stop)
    True

    """

    patience: Any = integer(default=10, at_least=1)
    min_delta: Number = number(default=0.0, at_least=0)
    metric: str = choice(default="validation_loss")

    REASON: ClassVar[str] = "patience"

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str):
            must, attempt = "EarlyStopping.metric must be the name of a column", '"validation_loss"'
            raise_error(must, f"got {describe(self.metric)}", attempt, TypeError)

    @property
    def watches(self) -> tuple[str, ...]:
        """Return the metric."""
        return (self.metric,)

    @property
    def best_by(self) -> str:
        """Return the metric."""
        return self.metric

    def start(self) -> tuple[jax.Array, jax.Array]:
        """Return the best value so far, the largest number there is, and the number of epochs since."""
        return worst(), jnp.zeros((), jnp.int32)

    def judge(self, state: Any, metrics: Mapping[str, jax.Array]) -> tuple[Any, jax.Array]:
        """Count an epoch and tell whether patience has run out."""
        best, waited = state
        value = oriented(self.metric, metrics[self.metric]).astype(best.dtype)
        improved = value < best - jnp.asarray(self.min_delta, best.dtype)
        waited = jnp.where(improved, 0, waited + 1)
        return (jnp.where(improved, value, best), waited), waited >= jnp.asarray(self.patience, waited.dtype)


@record
class Convergence(StoppingRule):
    r"""Stop when the run has come to rest.

    of="objective"      the objective changed by no more than tolerance · max(1, |objective|) from one epoch to the
                        next; it is the mean over the epoch's batches of loss and penalty
    of="gradient_norm"  the norm of the objective's gradient, the mean over the epoch's batches, is at most tolerance

    The run ends in "tolerance". On mini-batches both are means along the epoch's path. A proximal regularizer has no
    gradient that vanishes at the solution: with it use the objective.

    Args:
        tolerance: at least 0.
        of: "objective" or "gradient_norm", which then become columns of the history.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> rule = fn.Convergence(0.1)
    >>> state = rule.start()
    >>> for objective in (3.0, 2.0, 1.95):
    ...     state, stop = rule.judge(state, {"objective": jnp.asarray(objective)})
    >>> print(stop)
    True

    """

    tolerance: Number = number(default=1e-4, at_least=0)
    of: str = choice(default="objective", options=("objective", "gradient_norm"))

    REASON: ClassVar[str] = "tolerance"

    @property
    def watches(self) -> tuple[str, ...]:
        """Return what the rule is of."""
        return (self.of,)

    def start(self) -> jax.Array:
        """Return the last objective, the largest number there is."""
        return worst()

    def judge(self, state: jax.Array, metrics: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Compare with the epoch before, or with the tolerance itself."""
        if self.of == "gradient_norm":
            norm = metrics["gradient_norm"]
            return state, norm <= jnp.asarray(self.tolerance, norm.dtype)
        value = metrics["objective"].astype(state.dtype)
        scale = jnp.maximum(jnp.abs(value), 1)
        return value, jnp.abs(state - value) <= jnp.asarray(self.tolerance, state.dtype) * scale


@record
class ForeignRule(StoppingRule):
    """A stopping rule from elsewhere, with the protocol filled in; it ends a run in its own name."""

    rule: Any = part()

    @property
    def REASON(self) -> str:  # type: ignore[override]
        """Return the name of the rule's class."""
        return type(self.rule).__name__

    def start(self) -> Any:
        """Return its start."""
        return self.rule.start()

    def judge(self, state: Any, metrics: Mapping[str, jax.Array]) -> tuple[Any, jax.Array]:
        """Return its judgement."""
        return self.rule.judge(state, metrics)


def as_rule(rule: Any) -> StoppingRule:
    """Return the rule, with the protocol filled in around one from elsewhere; raise for what is none."""
    if isinstance(rule, StoppingRule) and is_record(rule):
        return rule
    if not isinstance(rule, type) and protocols.fits(rule, protocols.StoppingRule) and is_record(rule):
        return ForeignRule(rule)
    arrived = f"the class {rule.__name__}" if isinstance(rule, type) else describe(rule)
    raise_error("stopping must be records with start and judge", f"got {arrived}", "fn.EarlyStopping(5)", TypeError)


def worst() -> jax.Array:
    """Return the largest number of the default precision: no infinity in a healthy run."""
    real = default_real()
    return jnp.full((), jnp.finfo(real).max, real)
