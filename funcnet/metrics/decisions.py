r"""From scores to decisions, and counts of them: the largest score, or each output against a threshold."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.metrics.base import Metric, add_up, arrays, stem
from funcnet.records import Number, cast, choice, number, record
from funcnet.targets import check_binary, check_classes, distribution, is_label, nan_unless, whole


def check_decisions(prediction: Any, target: Any, threshold: Any) -> None:
    """Require labels or distributions; with a threshold, a target in [0, 1] for each output."""
    if threshold is not None:
        if np.shape(target) != prediction.shape:
            raise_error(
                "with a threshold there must be one target, 0 or 1, for each output",
                f"got prediction {describe(prediction)} and target {describe(jnp.asarray(target))}",
                "threshold=None for labels of several classes",
            )
        check_binary(prediction, target)
        return
    if prediction.shape[-1:] == (1,) or (np.shape(target) == prediction.shape and prediction.ndim < 2):
        raise_error(
            "without a threshold there must be a score for each of several classes",
            f"got prediction {describe(prediction)}",
            "threshold=0.0 for logits, threshold=0.5 for probabilities",
        )
    check_classes(prediction, target)


def classes(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return the labels, which of a distribution is its largest entry."""
    return whole(target) if is_label(prediction, target) else jnp.argmax(target, axis=-1)


def yes(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return 1 where a target of 0 and 1, truth values or probabilities says yes, else 0; NaN where it is NaN."""
    target = target.astype(prediction.dtype)
    return (target > 0.5).astype(prediction.dtype) + nan_unless(target == target, prediction.dtype)


def decisions(prediction: jax.Array, target: jax.Array, threshold: Any) -> tuple[jax.Array, jax.Array]:
    """Return what was decided and what is true, 0 or 1 for each class of each sample, NaN for what is neither."""
    if threshold is None:
        found = distribution(prediction, jnp.argmax(prediction, axis=-1))
        wanted = distribution(prediction, classes(prediction, target))
        there = jnp.all(prediction == prediction, axis=-1, keepdims=True)
    else:
        found = (prediction > cast(threshold, prediction)).astype(prediction.dtype)
        wanted, there = yes(prediction, target), prediction == prediction
    found = found + nan_unless(there, prediction.dtype)
    return (found, wanted) if found.ndim > 1 else (found[:, None], wanted[:, None])


def ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return a/b, and 0 where b is 0."""
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))


@record
class Counts(Metric):
    r"""Base of the metrics of right and wrong decisions by class.

    Of each class are counted, by weight, the samples decided for it (d), those that belong to it (t) and those of which
    both are true (h, the hits). A subclass says what share of them it is.

    Args:
        average: "macro", the mean over the classes that occur, in decisions or in truth; "micro", of all classes'
            counts together; "binary", of class 1 alone, for two classes or one output with a threshold.
        threshold: None for one class of several by the largest score; else each output is a class of its own, decided
            for above the threshold.

    """

    average: str = choice(default="macro", options=("macro", "micro", "binary"))
    threshold: Number | None = number(default=None)

    @property
    def name(self) -> str:
        """Return the name, with the kind of average behind it unless it is macro."""
        return stem(type(self)) if self.average == "macro" else f"{stem(type(self))}_{self.average}"

    def share(self, hits: jax.Array, decided: jax.Array, true: jax.Array) -> jax.Array:
        """Return the metric of each class."""
        raise NotImplementedError

    def check(self, prediction: Any, target: Any) -> None:
        """Require labels or distributions, or with a threshold a target for each output."""
        check_decisions(prediction, target, self.threshold)
        width = prediction.shape[-1] if prediction.ndim > 1 else 1
        if self.average == "binary" and width != (2 if self.threshold is None else 1):
            raise_error(
                'average="binary" takes scores of two classes, or one output with a threshold',
                f"got prediction {describe(prediction)}",
                'average="macro" or "micro"',
            )

    def sums(self, prediction: jax.Array, target: Any, weight: Any = None) -> tuple[jax.Array, ...]:
        """Return hits, decisions and members of each class."""
        found, wanted = decisions(*arrays(prediction, target, weight), self.threshold)
        return tuple(add_up(mask, weight, found.shape[:-1]) for mask in (found * wanted, found, wanted))

    def value(self, sums: tuple[jax.Array, ...]) -> jax.Array:
        """Return the share, averaged over the classes."""
        if self.average == "micro":
            return self.share(*(jnp.sum(count) for count in sums))
        if self.average == "binary":
            return self.share(*(count[-1] for count in sums))
        occurs = (sums[1] + sums[2] != 0).astype(sums[0].dtype)
        return ratio(jnp.sum(occurs * self.share(*sums)), jnp.sum(occurs))
