r"""Cauchy's penalty: quadratic near, so flat far that large weights are let be.

Forward    r = λ Σ log(1 + w²)
Backward   dw = 2 λ w / (1 + w²) dvalue

Derivation. d log(1 + w²)/dw = 2 w / (1 + w²).
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.records import Number, cast, number, record
from funcnet.regularizers.base import Leafwise


@record
class Cauchy(Leafwise):
    r"""λ Σ log(1 + w²).

    >>> import jax.numpy as jnp
    >>> print(Cauchy(0.5)({"kernel": jnp.asarray([[0.0]]), "bias": jnp.asarray([9.0])}))
    0.0
    """

    FORMULA: ClassVar[str] = "strength * sum(log(1 + v**2) for v in w)"

    strength: Number = number(at_least=0)

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return λ Σ log(1 + w²)."""
        return cast(self.strength, w) * jnp.sum(jnp.log1p(w * w))

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return 2 λ w / (1 + w²)."""
        return 2 * cast(self.strength, w) * w / (1 + w * w)


CASES = (
    Case("ordinary", Cauchy(0.1), ({"kernel": [[0.7, -0.2]], "bias": [1.0]},)),
    Case("batch", Cauchy(0.3), (({"kernel": [[0.5, -1.5], [2.0, 0.25]], "bias": [3.0, -4.0]}, {"table": [[1.0]]}),)),
    Case("extreme", Cauchy(1.0), ([1e15, -1e15],), None, [2e-15, -2e-15], "2/w"),
    Case("known", Cauchy(0.5), ([1.0, -3.0],), 1.4978661367769954, [0.5, -0.3], "½ (log 2 + log 10)"),
)
