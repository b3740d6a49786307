r"""When training ends before its last epoch: pure functions of a small state.

    rule.start() -> state
    rule.judge(state, metrics) -> (state, stop)      once an epoch; metrics maps names to scalars

Rules run inside the compiled program. Their numbers are leaves: a sweep may vary patience or tolerance.

Source     Article A2.3 (iterate until convergence) and B2 (early stopping); Prechelt 1998.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.records import Number, choice, integer, number, record

# Why a run ended; a run that is going on, or has used up its epochs, has the first.
REASONS = ("epochs", "patience", "tolerance", "diverged")
METRICS = ("validation_loss", "train_loss", "validation_accuracy")


def watches_gradient(rules: tuple[Any, ...]) -> bool:
    """Tell whether a rule needs the norm of the gradient, which training computes on demand only."""
    return any(getattr(rule, "of", None) == "gradient_norm" for rule in rules)


def lower_is_better(metric: str, value: jax.Array) -> jax.Array:
    """Turn a metric into something to be minimised."""
    return -value if metric.endswith("accuracy") else value


@record
class EarlyStopping:
    r"""Stop after `patience` epochs in a row without an improvement of more than `min_delta`.

    An epoch improves if its metric is below the best so far − min_delta (above it + min_delta for an accuracy). The run
    ends in "patience". Best parameters are kept whether or not patience runs out.

    >>> rule, state = EarlyStopping(patience=2), EarlyStopping(patience=2).start()
    >>> for loss in (3.0, 2.0, 2.5, 2.0):
    ...     state, stop = rule.judge(state, {"validation_loss": jnp.asarray(loss)})
    >>> print(stop)
    True
    """

    patience: Any = integer(default=10, at_least=1)
    min_delta: Number = number(default=0.0, at_least=0)
    metric: str = choice(default="validation_loss", options=METRICS)

    REASON: ClassVar[str] = "patience"

    def start(self) -> tuple[jax.Array, jax.Array]:
        """Return the best value so far, infinite, and the number of epochs since."""
        return jnp.full((), jnp.inf, jnp.zeros(()).dtype), jnp.zeros((), jnp.int32)

    def judge(self, state: tuple[jax.Array, jax.Array], metrics: dict[str, jax.Array]) -> tuple[Any, jax.Array]:
        """Count an epoch and tell whether patience has run out."""
        best, waited = state
        value = lower_is_better(self.metric, metrics[self.metric]).astype(best.dtype)
        improved = value < best - jnp.asarray(self.min_delta, best.dtype)
        waited = jnp.where(improved, 0, waited + 1)
        return (jnp.where(improved, value, best), waited), waited >= jnp.asarray(self.patience, waited.dtype)


@record
class Convergence:
    r"""Stop when the run has come to rest.

    of="objective"      the objective changed by no more than tolerance · max(1, |objective|) from one epoch to the
                        next; it is the mean over the epoch's batches of loss and penalty
    of="gradient_norm"  the norm of the objective's gradient, the mean over the epoch's batches, is at most tolerance

    The run ends in "tolerance". On mini-batches both are means along the epoch's path. A proximal regularizer has no
    gradient that vanishes at the solution: with it use the objective.

    >>> rule = Convergence(0.1)
    >>> state = rule.start()
    >>> for objective in (3.0, 2.0, 1.95):
    ...     state, stop = rule.judge(state, {"objective": jnp.asarray(objective)})
    >>> print(stop)
    True
    """

    tolerance: Number = number(default=1e-4, at_least=0)
    of: str = choice(default="objective", options=("objective", "gradient_norm"))

    REASON: ClassVar[str] = "tolerance"

    def start(self) -> jax.Array:
        """Return the last objective, infinite."""
        return jnp.full((), jnp.inf, jnp.zeros(()).dtype)

    def judge(self, state: jax.Array, metrics: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Compare with the epoch before, or with the tolerance itself."""
        if self.of == "gradient_norm":
            norm = metrics["gradient_norm"]
            return state, norm <= jnp.asarray(self.tolerance, norm.dtype)
        value = metrics["objective"].astype(state.dtype)
        scale = jnp.maximum(jnp.abs(value), 1)
        return value, jnp.abs(state - value) <= jnp.asarray(self.tolerance, state.dtype) * scale
