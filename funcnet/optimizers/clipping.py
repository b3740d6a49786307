r"""Clipping: a limit on the gradient, in front of another optimizer.

Value         g ← min(max(g, −c), c), element by element
Norm          g ← g min(1, c / ‖g‖₂), the norm taken over all leaves together, which keeps the direction

Symbols       c limit

The norm is M √Σ(g/M)² with M = max |g|, so that it neither overflows nor underflows. A gradient within the limit passes
unchanged, bit for bit. NaN stays visible, and under the norm so does an infinity, which has no direction; by value an
infinity becomes the limit.

State         that of the optimizer inside
Source        Pascanu, Mikolov & Bengio 2013, Algorithm 1 (norm).
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import ratio, rounded, scaled
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.wrapper import Wrapper
from funcnet.records import Number, number, record
from funcnet.trees import norm_parts


@record
class Clipping(Wrapper):
    """Base of both: a limit on what the optimizer inside sees."""

    limit: Number = number(above=0)


@record
class ClipByValue(Clipping):
    r"""Limit every element of the gradient to ±limit.

    Args:
        optimizer: the optimizer inside.
        limit: the largest size that each element of a gradient keeps.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.ClipByValue(fn.SGD(1.0), 2.0)
    >>> params = jnp.zeros(3)
    >>> print(optimizer.update(jnp.asarray([3.0, -5.0, 1.0]), optimizer.init(params), params)[0])
    [-2.  2. -1.]

    """

    def seen(self, gradient: Any, params: Any) -> Any:
        """Return min(max(g, −c), c)."""
        limit = rounded(self.limit, gradient)
        return jax.tree.map(lambda g: jnp.clip(g, -limit.astype(g.dtype), limit.astype(g.dtype)), gradient)


@record
class ClipByNorm(Clipping):
    r"""Shorten the gradient to a norm of at most limit.

    Args:
        optimizer: the optimizer inside.
        limit: the largest norm that a gradient keeps; 0.5 to 5 are usual.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.ClipByNorm(fn.SGD(1.0), 1.0)
    >>> params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    >>> gradient = {"a": jnp.asarray([3.0]), "b": jnp.asarray([-4.0])}
    >>> updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    >>> print(jnp.round(updates["a"], 6), jnp.round(updates["b"], 6))
    [-0.6] [0.8]

    """

    def seen(self, gradient: Any, params: Any) -> Any:
        """Return g min(1, c/‖g‖)."""
        root, relative = norm_parts(gradient)
        limit = rounded(self.limit, gradient)
        inside = root * relative * root <= limit
        # c/‖g‖ in two factors, since it may underflow where neither does.
        # Not the compiler's common expression with `norm_parts`: that would keep a second copy of the gradient.
        inverse = jax.lax.optimization_barrier(ratio(jnp.ones_like(root), root))
        shortened = scaled(limit * ratio(inverse, relative), jax.lax.optimization_barrier(scaled(inverse, gradient)))
        return jax.tree.map(lambda g, s: jnp.where(inside, g, s), gradient, shortened)


_W = {"a": [1.0], "b": [1.0, 1.0]}
_G = {"a": [3.0], "b": [0.0, -4.0]}
CASES = (
    Case("ordinary", ClipByNorm(SGD(1.0), 1.0), (_W, (_G,)), {"a": [0.4], "b": [1.0, 1.8]}, source="‖g‖ = 5"),
    Case("known", ClipByNorm(SGD(1.0), 6.0), (_W, (_G,)), {"a": [-2.0], "b": [1.0, 5.0]}, source="within the limit"),
    Case("known", ClipByValue(SGD(1.0), 2.0), (_W, (_G,)), {"a": [-1.0], "b": [1.0, 3.0]}, source="3 → 2, −4 → −2"),
    Case(
        "extreme",
        ClipByNorm(SGD(1.0), 1.0),
        ([1.0, 2.0], ([0.0, 1e30],)),
        [1.0, 1.0],
        source="the huge one is all of the norm",
    ),
    Case("extreme", ClipByNorm(SGD(1.0), 1.0), ([1.0, 2.0], ([0.0, 0.0],)), [1.0, 2.0], source="no gradient, no step"),
)
