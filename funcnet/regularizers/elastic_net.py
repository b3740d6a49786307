r"""The elastic net: L1 and L2 together.

Forward    r = λ₁ Σ |w| + (λ₂/2) Σ w²
Backward   dw = (λ₁ sign(w) + λ₂ w) dvalue
Proximal   v = softthreshold(w, sλ₁) / (1 + sλ₂)

Derivation. The sum of the two rules. For the proximal point, 0 ∈ v − w + sλ₁ ∂|v| + sλ₂ v, that is
(1 + sλ₂) v = softthreshold(w, sλ₁) by the argument of L1.

Shapes     any tree of arrays; weights alone unless asked.
Kink       At w = 0 the subdifferential is [−λ₁, λ₁]; the stated subgradient is 0.
Source     Zou & Hastie 2005, equation 2 (whose λ₂ is half of ours).
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, cast, number, record
from funcnet.regularizers.base import Leafwise
from funcnet.regularizers.l1 import soft_threshold


@record
class ElasticNet(Leafwise):
    r"""λ₁ Σ |w| + (λ₂/2) Σ w².

    Args:
        l1: λ₁, the strength of the absolute values; 1e-6 to 1e-2 are usual.
        l2: λ₂, the strength of the squares; 1e-6 to 1e-2 are usual.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.ElasticNet(l1=1.0, l2=0.5)(jnp.asarray([1.0, -2.0])))
    4.25

    """

    l1: Number = number(at_least=0)
    l2: Number = number(at_least=0)

    FORMULA: ClassVar[str] = "l1 * sum(abs(v) for v in w) + l2 / 2 * sum(v**2 for v in w)"

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return λ₁ Σ |w| + (λ₂/2) Σ w²."""
        return cast(self.l1, w) * jnp.sum(jnp.abs(w)) + cast(self.l2, w) / 2 * jnp.sum(w * w)

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return λ₁ sign(w) + λ₂ w."""
        return cast(self.l1, w) * jnp.sign(w) + cast(self.l2, w) * w

    def leaf_prox(self, w: jax.Array, step: jax.Array) -> jax.Array:
        """Return the soft threshold at sλ₁, shrunk by 1 + sλ₂."""
        return soft_threshold(w, step * cast(self.l1, w)) / (1 + step * cast(self.l2, w))

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State slope 0 at 0."""
        return ((0.0, 0.0),)


_PARAMS = {"kernel": [[0.5, -1.5], [2.0, 0.25]], "bias": [3.0, -4.0]}
CASES = (
    Case("ordinary", ElasticNet(0.1, 0.2), ({"kernel": [[0.7, -0.2]], "bias": [1.0]},)),
    Case("batch", ElasticNet(0.3, 0.1), ((_PARAMS, {"kernel": [[1.0, -0.1]], "bias": [0.2, 0.3]}),)),
    Case("kink", ElasticNet(0.5, 2.0), ([0.0, -0.0],), 0.0, [0.0, 0.0], "stated"),
    Case("extreme", ElasticNet(1.0, 1.0), ([1e15, -1e15],), 1e30, [1e15, -1e15], "the square dominates"),
    Case("known", ElasticNet(1.0, 0.5), ([1.0, -2.0],), 4.25, [1.5, -2.0], "3 + ¼ · 5"),
)
