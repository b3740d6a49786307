r"""L1 regularization: the sum of absolute values.

Forward    r = λ Σ |w|
Backward   dw = λ sign(w) dvalue
Proximal   v = sign(w) max(|w| − sλ, 0), the soft threshold

Derivation. |w| has slope sign(w). The proximal point satisfies 0 ∈ v − w + sλ ∂|v|: for v ≠ 0, v = w − sλ sign(v),
which has the sign of w only if |w| > sλ; otherwise v = 0, since then w/(sλ) lies in [−1, 1] = ∂|0|.

Shapes     any tree of arrays; weights alone unless asked.
Kink       At w = 0 the subdifferential is [−λ, λ]; the stated subgradient is 0. Gradient steps seldom land on exact
           zeros: `proximal=True` does.
Source     Article A2.4 and B3.8; Tibshirani 1996; Donoho 1995 for the soft threshold.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, cast, number, record
from funcnet.regularizers.base import Leafwise


def soft_threshold(w: jax.Array, threshold: jax.Array) -> jax.Array:
    r"""Return sign(w) max(|w| − threshold, 0).

    Args:
        w: an array.
        threshold: by how much each number moves towards 0; it stops there.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.regularizers.soft_threshold(jnp.asarray([-3.0, 0.5, 2.0]), jnp.asarray(1.0)))
    [-2.  0.  1.]

    """
    return jnp.where(w > 0, jnp.maximum(w - threshold, 0), jnp.minimum(w + threshold, 0))


@record
class L1(Leafwise):
    r"""λ Σ |w|.

    Args:
        strength: λ, the price of a weight's size; 1e-6 to 1e-2 are usual.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.L1(0.5)({"kernel": jnp.asarray([[1.0, -2.0]]), "bias": jnp.asarray([9.0])}))
    1.5

    """

    strength: Number = number(at_least=0)

    FORMULA: ClassVar[str] = "strength * sum(abs(v) for v in w)"

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return λ Σ |w|."""
        return cast(self.strength, w) * jnp.sum(jnp.abs(w))

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return λ sign(w)."""
        return cast(self.strength, w) * jnp.sign(w)

    def leaf_prox(self, w: jax.Array, step: jax.Array) -> jax.Array:
        """Return the soft threshold at sλ."""
        return soft_threshold(w, step * cast(self.strength, w))

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State slope 0 at 0."""
        return ((0.0, 0.0),)


_PARAMS = {"kernel": [[0.5, -1.5], [2.0, 0.25]], "bias": [3.0, -4.0]}
CASES = (
    Case("ordinary", L1(0.1), ({"kernel": [[0.7, -0.2]], "bias": [1.0]},)),
    Case("batch", L1(0.3), ((_PARAMS, {"kernel": [[1.0, -0.1]], "bias": [0.2, 0.3]}),)),
    Case("kink", L1(0.5), ([0.0, -0.0],), 0.0, [0.0, 0.0], "stated"),
    Case("extreme", L1(1.0), ([1e30, -1e30],), 2e30, [1.0, -1.0], "definition"),
    Case(
        "known",
        L1(0.5),
        (_PARAMS,),
        2.125,
        {"kernel": [[0.5, -0.5], [0.5, 0.5]], "bias": [0.0, 0.0]},
        "½ (0.5 + 1.5 + 2 + 0.25)",
    ),
    Case(
        "known",
        L1(0.5, biases=True),
        (_PARAMS,),
        5.625,
        {"kernel": [[0.5, -0.5], [0.5, 0.5]], "bias": [0.5, -0.5]},
        "½ (4.25 + 7)",
    ),
)
