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

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import (
    Optimizer,
    check_optimizer,
    check_tree,
    proximal_update,
    rate_of,
    ratio,
    rounded,
    scaled,
)
from funcnet.optimizers.sgd import SGD
from funcnet.records import Number, number, part, record
from funcnet.trees import norm_parts, widen


class Clipping(Optimizer):
    """Base of both: an optimizer behind a function of its gradient."""

    ORIENTATION_FREE: ClassVar[bool] = True

    def clip(self, gradient: Any) -> Any:
        """Return the limited gradient, in the dtype of the state."""
        raise NotImplementedError

    def init(self, params: Any) -> Any:
        """Return the state of the optimizer inside."""
        return self.optimizer.init(params)  # type: ignore[attr-defined]

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what the optimizer inside makes of the limited gradient."""
        check_tree(gradient, params)
        return self.optimizer.update(self.clip(gradient), state, params)  # type: ignore[attr-defined]

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what the optimizer inside makes of the limited gradient and the regularizer."""
        check_tree(gradient, params)
        return proximal_update(self.optimizer, regularizer, self.clip(gradient), state, params)  # type: ignore[attr-defined]

    def rate(self, state: Any) -> Any:
        """Return the rate of the optimizer inside."""
        return rate_of(self.optimizer, state)  # type: ignore[attr-defined]


@record
class ClipByValue(Clipping):
    r"""Limit every element of the gradient to ±limit.

    >>> import jax.numpy as jnp
    >>> optimizer = ClipByValue(SGD(1.0), 2.0)
    >>> params = jnp.zeros(3)
    >>> print(optimizer.update(jnp.asarray([3.0, -5.0, 1.0]), optimizer.init(params), params)[0])
    [-2.  2. -1.]
    """

    optimizer: Any = part()
    limit: Number = number(above=0)

    def __post_init__(self) -> None:
        check_optimizer(self)

    def clip(self, gradient: Any) -> Any:
        """Return min(max(g, −c), c)."""
        gradient = widen(gradient)
        limit = rounded(self.limit, gradient)
        return jax.tree.map(lambda g: jnp.clip(g, -limit.astype(g.dtype), limit.astype(g.dtype)), gradient)


@record
class ClipByNorm(Clipping):
    r"""Shorten the gradient to a norm of at most limit.

    >>> import jax.numpy as jnp
    >>> optimizer = ClipByNorm(SGD(1.0), 1.0)
    >>> params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    >>> gradient = {"a": jnp.asarray([3.0]), "b": jnp.asarray([-4.0])}
    >>> updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    >>> print(jnp.round(updates["a"], 6), jnp.round(updates["b"], 6))
    [-0.6] [0.8]
    """

    optimizer: Any = part()
    limit: Number = number(above=0)

    def __post_init__(self) -> None:
        check_optimizer(self)

    def clip(self, gradient: Any) -> Any:
        """Return g min(1, c/‖g‖)."""
        gradient = widen(gradient)
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
