r"""Recall: of what belongs to a class, the share that was decided for it.

Value      h / t
           of each class, from the counts of hits h, decisions d and members t, averaged over the classes

A class without members that was decided for has recall 0.

Shapes     scores (…, K) with labels (…,) or distributions (…, K); with a threshold prediction and target are (…, k),
           equal, each output a class.
Extremes   0/0 is 0. A NaN among the scores makes it NaN.
Source     van Rijsbergen 1979, chapter 7; the averages are those of scikit-learn.
"""

import jax

from funcnet.cases import Case
from funcnet.metrics.decisions import Counts, ratio
from funcnet.records import record


@record
class Recall(Counts):
    r"""The share of the members of a class that were found.

    Args:
        average: "macro" for the plain mean over classes, "micro" for counts summed over classes first, or
            "binary" for class 1 alone.
        threshold: None for one class of several by the largest score; else each output is a decision of its
            own, yes above the threshold: 0 for logits, 0.5 for probabilities.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> scores = jnp.asarray([[0.2, 1.5], [0.3, -1.0], [-0.4, 0.1], [0.2, 0.9]])
    >>> print(fn.Recall("binary")(scores, jnp.asarray([1, 1, 1, 0])))
    0.6666667

    """

    def share(self, hits: jax.Array, decided: jax.Array, true: jax.Array) -> jax.Array:
        """Return h/t."""
        return ratio(hits, true)


_SCORES = [[0.2, -1.3, 0.9], [2.1, 0.4, -0.6], [-0.7, 0.1, 1.4], [0.0, 0.5, -2.0]]
CASES = (
    Case("known", Recall(), (_SCORES, [2, 0, 1, 1]), 2.5 / 3, None, "(1 + 1/2 + 1)/3"),
    Case("known", Recall("micro"), (_SCORES, [2, 0, 1, 1]), 0.75, None, "three hits of four members"),
    Case("known", Recall("binary", 0.5), ([0.3, 0.6, 0.8], [1, 1, 0], [1.0, 3.0, 1.0]), 0.75, None, "3/(1 + 3)"),
    Case("extreme", Recall("binary", 0.5), ([0.3, 0.7], [0, 0]), 0.0, None, "0/0: no members"),
)
