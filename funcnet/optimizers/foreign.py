r"""Optimizers written by somebody else, in the same protocol of init and update.

An optimizer that is no pytree of numbers (a pair of functions, an object) becomes structure: it is compiled in, and its
numbers cannot be swept. `Experiment` adopts such optimizers by itself. Without a method `rate(state)` they cannot serve
a proximal regularizer, which needs a step size.
"""

from typing import Any

import jax

from funcnet.records import choice, is_record, record


@record
class Foreign:
    r"""An optimizer from elsewhere, held as structure.

    >>> import jax, jax.numpy as jnp
    >>> from typing import NamedTuple
    >>> class Pair(NamedTuple):
    ...     init: object
    ...     update: object
    >>> theirs = Pair(lambda params: (), lambda gradient, state, params: (jax.tree.map(jnp.negative, gradient), state))
    >>> ours = adopt(theirs)
    >>> print(ours.update(jnp.asarray([2.0]), ours.init(jnp.zeros(1)), jnp.zeros(1))[0], jax.tree.leaves(ours))
    [-2.] []
    """

    optimizer: Any = choice()

    def init(self, params: Any) -> Any:
        """Return its first state."""
        return self.optimizer.init(params)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return its updates and next state."""
        return self.optimizer.update(gradient, state, params)


def adopt(optimizer: Any) -> Any:
    """Return the optimizer itself if it is a record or a pytree of numbers, else a `Foreign` one around it."""
    leaves = jax.tree.leaves(optimizer)
    if is_record(optimizer) or all(isinstance(leaf, (int, float)) or hasattr(leaf, "dtype") for leaf in leaves):
        return optimizer
    return Foreign(optimizer)
