r"""The F1 score: the harmonic mean of precision and recall.

Value      2 h / (d + t)
           of each class, from the counts of hits h, decisions d and members t, averaged over the classes

With p = h/d and r = h/t: 2/(1/p + 1/r) = 2h/(d + t).

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
class F1(Counts):
    r"""The harmonic mean of precision and recall.

    Args:
        average: "macro" for the plain mean over classes, "micro" for counts summed over classes first, or
            "binary" for class 1 alone.
        threshold: None for one class of several by the largest score; else each output is a decision of its
            own, yes above the threshold: 0 for logits, 0.5 for probabilities.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> scores = jnp.asarray([[0.2, 1.5], [0.3, -1.0], [-0.4, 0.1], [0.2, 0.9]])
    >>> print(fn.F1("binary")(scores, jnp.asarray([1, 1, 1, 0])))
    0.6666667

    """

    def share(self, hits: jax.Array, decided: jax.Array, true: jax.Array) -> jax.Array:
        """Return 2h/(d + t)."""
        return ratio(2 * hits, decided + true)


_SCORES = [[0.2, -1.3, 0.9], [2.1, 0.4, -0.6], [-0.7, 0.1, 1.4], [0.0, 0.5, -2.0]]
CASES = (
    Case("known", F1(), (_SCORES, [2, 0, 1, 1]), (1 + 2 / 3 + 2 / 3) / 3, None, "2/2, 2/3, 2/3"),
    Case("known", F1("micro"), (_SCORES, [2, 0, 1, 1]), 0.75, None, "2 · 3/(4 + 4)"),
    Case("known", F1("binary", 0.5), ([0.3, 0.6, 0.8], [1, 1, 0], [1.0, 3.0, 1.0]), 0.75, None, "2 · 3/(4 + 4)"),
    Case("extreme", F1("binary", 0.5), ([0.3, 0.2], [0, 0]), 0.0, None, "0/0"),
)
