r"""Optimizers written by somebody else, in the same protocol of init and update.

`Experiment` and the wrappers adopt them by themselves. One that is a pytree of numbers keeps its numbers as leaves; one
that is none (a pair of functions, an object) becomes structure: it is compiled in, and its numbers cannot be swept.
Gradients reach it, and updates leave it, in the dtype of the parameters. Without a method `rate(state)` it cannot serve
a proximal regularizer, which needs a step size. One that asks for more than gradient, state and parameters (a loss's
value, say) is refused.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from funcnet import protocols
from funcnet.errors import describe, raise_error
from funcnet.optimizers.base import Optimizer, checked, narrow
from funcnet.records import choice, part, record
from funcnet.trees import is_tree_of_numbers


@runtime_checkable
class _Rates(Protocol):
    """What knows its learning rate."""

    def rate(self, state: Any) -> Any: ...


@runtime_checkable
class _Proximal(Protocol):
    """What has a proximal update of its own."""

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]: ...


class _Elsewhere(Optimizer):
    """An optimizer from elsewhere, with what it lacks filled in."""

    optimizer: Any

    def init(self, params: Any) -> Any:
        """Return its first state."""
        return self.optimizer.init(params)

    def update(self, gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return its updates and next state."""
        like = gradient if params is None else params
        checked(gradient, params)
        updates, state = self.optimizer.update(narrow(gradient, like), state, params)
        return narrow(updates, like), state

    @property
    def has_rate(self) -> bool:
        """Tell whether it has a method `rate`."""
        return isinstance(self.optimizer, _Rates)

    def rate(self, state: Any) -> Any:
        """Return its learning rate, or raise."""
        if not isinstance(self.optimizer, _Rates):
            raise_error(
                "the optimizer must tell its learning rate, by a method rate(state)",
                f"got {describe(self.optimizer)}",
                "an optimizer of funcnet",
            )
        return self.optimizer.rate(state)

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what it makes of a regularizer, or an update, then the proximal point."""
        if isinstance(self.optimizer, _Proximal):
            return self.optimizer.proximal_update(regularizer, gradient, state, params)
        return super().proximal_update(regularizer, gradient, state, params)

    @property
    def orientation_free(self) -> bool:
        """Return False: nothing is known about it."""
        return False

    def check(self, shapes: Callable[[], Any]) -> None:
        """Try one update on shapes of parameters: raise unless it takes them and keeps the form of its state."""

        def tried(params: Any) -> Any:
            state = self.optimizer.init(params)
            return state, self.update(params, state, params)

        name, attempt = type(self.optimizer).__name__, "an optimizer whose update needs no more than these"
        try:
            state, (_, after) = jax.eval_shape(tried, shapes())
        except Exception as error:
            raise_error(
                "an optimizer must update these parameters from gradient, state and parameters alone",
                f"{name} raised {type(error).__name__}",
                attempt,
            )
        if _form(state) != _form(after):
            raise_error("an optimizer's state must keep its form", f"{name} changes it", attempt)


def _form(state: Any) -> Any:
    return jax.tree.structure(state), [(leaf.shape, jnp.dtype(leaf.dtype)) for leaf in jax.tree.leaves(state)]


@record
class ForeignOptimizer(_Elsewhere):
    """An optimizer from elsewhere that is a pytree of numbers."""

    optimizer: Any = part()


@record
class HeldOptimizer(_Elsewhere):
    r"""An optimizer from elsewhere that is none, held as structure.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> from typing import NamedTuple
    >>> class Pair(NamedTuple):
    ...     init: object
    ...     update: object
    >>> theirs = Pair(lambda params: (), lambda gradient, state, params: (jax.tree.map(jnp.negative, gradient), state))
    >>> ours = fn.optimizers.as_optimizer(theirs)
    >>> print(ours.update(jnp.asarray([2.0]), ours.init(jnp.zeros(1)), jnp.zeros(1))[0], jax.tree.leaves(ours))
    [-2.] []
    """

    optimizer: Any = choice()


def as_optimizer(optimizer: Any, name: str = "optimizer") -> Optimizer:
    """Return the optimizer itself, or one from elsewhere with the protocol filled in.

    Args:
        optimizer: an optimizer of funcnet, or anything with `init(params)` and `update(gradient, state, params)`.
        name: what to call it in errors.

    Raises:
        TypeError: where a method is missing, or needs further arguments.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> class Signs:  # knows nothing of funcnet
    ...     def init(self, params):
    ...         return ()
    ...     def update(self, gradient, state, params):
    ...         return -0.1 * jnp.sign(gradient), state
    >>> optimizer, w = fn.optimizers.as_optimizer(Signs()), jnp.float32([1.0, 2.0])
    >>> print(optimizer.update(jnp.float32([5.0, -3.0]), optimizer.init(w), w)[0])
    [-0.1  0.1]

    """
    if isinstance(optimizer, Optimizer) and is_tree_of_numbers(optimizer):
        return optimizer
    if isinstance(optimizer, type) or not protocols.fits(optimizer, protocols.Optimizer):
        arrived = f"the class {optimizer.__name__}" if isinstance(optimizer, type) else describe(optimizer)
        raise_error(f"{name} must have init and update", f"got {arrived}", "fn.Adam()", TypeError)
    for method, arguments in (("init", ("params",)), ("update", ("gradient", "state", "params"))):
        if not protocols.takes(getattr(optimizer, method), len(arguments)):
            raise_error(
                f"{method} of {name} must take ({', '.join(arguments)}) and need no more",
                f"that of {type(optimizer).__name__} does not",
                "an optimizer without value=, a loss function or the like",
                TypeError,
            )
    return ForeignOptimizer(optimizer) if is_tree_of_numbers(optimizer) else HeldOptimizer(optimizer)
