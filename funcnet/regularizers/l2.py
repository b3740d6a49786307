r"""L2 regularization: half the sum of squares.

Forward    r = (λ/2) Σ w²
Backward   dw = λ w dvalue
Proximal   v = w / (1 + sλ)

Derivation. d(½ λ w²)/dw = λ w. The proximal point satisfies v − w + sλ v = 0.

Shapes     any tree of arrays; weights alone unless asked.
Relation   In the gradient (here) it is coupled with the optimizer's scaling; decoupled it is the weight decay of AdamW.
           The two agree under plain SGD and differ under Adam (Loshchilov & Hutter 2019).
Source     Article A2.4, A3.4, B3.8; Hoerl & Kennard 1970. (Article A prints λ‖w‖₂ = ½ Σ w²: see the errata.)
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, cast, number, record
from funcnet.regularizers.base import Leafwise


@record
class L2(Leafwise):
    r"""(λ/2) Σ w².

    Args:
        strength: λ, the price of a weight's square; 1e-6 to 1e-2 are usual.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.L2(0.5)({"kernel": jnp.asarray([[1.0, -2.0]]), "bias": jnp.asarray([9.0])}))
    1.25

    """

    strength: Number = number(at_least=0)

    FORMULA: ClassVar[str] = "strength / 2 * sum(v**2 for v in w)"

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return (λ/2) Σ w²."""
        return cast(self.strength, w) / 2 * jnp.sum(w * w)

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return λ w."""
        return cast(self.strength, w) * w

    def leaf_prox(self, w: jax.Array, step: jax.Array) -> jax.Array:
        """Return w / (1 + sλ)."""
        return w / (1 + step * cast(self.strength, w))


_PARAMS = {"kernel": [[0.5, -1.5], [2.0, 0.25]], "bias": [3.0, -4.0]}
CASES = (
    Case("ordinary", L2(0.1), ({"kernel": [[0.7, -0.2]], "bias": [1.0]},)),
    Case("batch", L2(0.3), ((_PARAMS, {"kernel": [[1.0, -0.1]], "bias": [0.2, 0.3]}),)),
    Case("extreme", L2(1.0), ([1e15, -1e15],), 1e30, [1e15, -1e15], "definition"),
    Case("known", L2(0.5), ([3.0, -4.0],), 6.25, [1.5, -2.0], "¼ (9 + 16)"),
    Case(
        "known",
        L2(0.5, biases=True),
        ({"kernel": [[2.0]], "bias": [3.0]},),
        3.25,
        {"kernel": [[1.0]], "bias": [1.5]},
        "¼ (4 + 9)",
    ),
)
