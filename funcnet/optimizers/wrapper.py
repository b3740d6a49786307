r"""What wrappers have in common: an optimizer inside, which sees another gradient than the one that came.

A wrapper gives `seen`, the gradient that the optimizer inside sees. State, rate and proximal step are those of the
optimizer inside; updates have the dtype of the parameters, whatever it returns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from funcnet.optimizers.base import Optimizer, checked, narrow
from funcnet.optimizers.foreign import as_optimizer
from funcnet.records import part, record


@record
class Wrapper(Optimizer):
    """Base of what stands around another optimizer.

    Args:
        optimizer: the optimizer inside.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Rounded(fn.Wrapper):
    ...     def seen(self, gradient, params):
    ...         return jax.tree.map(jnp.round, gradient)
    >>> optimizer, w = Rounded(fn.SGD(1.0)), jnp.float32([1.0, 2.0])
    >>> print(optimizer.update(jnp.float32([0.2, 2.7]), optimizer.init(w), w)[0])
    [-0. -3.]

    """

    optimizer: Any = part()

    def __post_init__(self) -> None:
        adopted = as_optimizer(self.optimizer, f"{type(self).__name__}.optimizer")
        object.__setattr__(self, "optimizer", adopted)

    def seen(self, gradient: Any, params: Any) -> Any:
        """Return the gradient that the optimizer inside sees, for one in the dtype of the state."""
        return gradient

    def init(self, params: Any) -> Any:
        """Return the state of the optimizer inside."""
        return self.optimizer.init(params)

    def update(self, gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return what the optimizer inside makes of the gradient that it sees."""
        updates, state = self.optimizer.update(self.seen(checked(gradient, params), params), state, params)
        return narrow(updates, gradient if params is None else params), state

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what the optimizer inside makes of the gradient that it sees and the regularizer."""
        seen = self.seen(checked(gradient, params), params)
        moved, state = self.optimizer.proximal_update(regularizer, seen, state, params)
        return narrow(moved, params), state

    @property
    def has_rate(self) -> bool:
        """Tell whether the optimizer inside knows its learning rate."""
        return bool(self.optimizer.has_rate)

    def rate(self, state: Any) -> Any:
        """Return the rate of the optimizer inside."""
        return self.optimizer.rate(state)

    @property
    def watches(self) -> tuple[str, ...]:
        """Return what the optimizer inside watches."""
        return tuple(self.optimizer.watches)

    def judge(self, state: Any, metrics: Mapping[str, jax.Array]) -> Any:
        """Return the state of the optimizer inside after an epoch."""
        return self.optimizer.judge(state, metrics)

    def settled(self, params: Any, state: Any) -> Any:
        """Return what the optimizer inside would have measured."""
        return self.optimizer.settled(params, state)

    @property
    def orientation_free(self) -> bool:
        """Tell whether the optimizer inside treats each coordinate alike."""
        return bool(self.optimizer.orientation_free)

    def check(self, shapes: Callable[[], Any]) -> None:
        """Raise a sentence unless the optimizer inside can update such parameters."""
        self.optimizer.check(shapes)
