r"""Weight decay for any optimizer, coupled or decoupled.

Recurrence    g ← g + λ θ, then the optimizer                            coupled: an L2 penalty
              u ← u − η λ θ after the optimizer                          decoupled

Symbols       λ strength, η the optimizer's rate, θ the parameters before the update

The two agree under plain gradient descent. Under an optimizer that divides by past gradients, coupled decay is divided
too: weights with large gradients shrink less. `AdamW` is Adam with decoupled decay in one record; coupled decay with
biases=False is the regularizer `L2`. Weights alone are reached unless biases=True.

State         that of the optimizer inside
Source        Loshchilov & Hutter 2019, section 2. PyTorch's weight_decay is coupled (except in AdamW), Keras'
              decoupled.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.optimizers.base import (
    Optimizer,
    check_optimizer,
    check_tree,
    decay,
    narrow,
    proximal_update,
    rate_of,
    rounded,
)
from funcnet.optimizers.sgd import SGD
from funcnet.records import Number, choice, number, part, record
from funcnet.trees import widen


@record
class WeightDecay(Optimizer):
    r"""Shrink the weights, through the gradient or beside it.

    >>> import jax.numpy as jnp
    >>> optimizer = WeightDecay(SGD(0.1), 0.5, coupled=True)
    >>> params = jnp.asarray([2.0])
    >>> print(optimizer.update(jnp.asarray([0.0]), optimizer.init(params), params)[0])
    [-0.1]
    """

    ORIENTATION_FREE: ClassVar[bool] = True

    optimizer: Any = part()
    strength: Number = number(at_least=0)
    coupled: bool = choice(options=(False, True))
    biases: bool = choice(default=False, options=(False, True))

    def __post_init__(self) -> None:
        check_optimizer(self)

    def init(self, params: Any) -> Any:
        """Return the state of the optimizer inside."""
        return self.optimizer.init(params)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the optimizer's update with decay."""
        check_tree(gradient, params)
        if self.coupled:
            return self.optimizer.update(self._with_decay(gradient, params), state, params)
        wide = widen(gradient)
        strength = rounded(rate_of(self.optimizer, state), wide) * rounded(self.strength, wide)
        updates, state = self.optimizer.update(gradient, state, params)
        return narrow(decay(widen(updates), params, strength, self.biases), params), state

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the optimizer's proximal update with coupled decay; else an update, then the proximal point."""
        if not self.coupled:
            return super().proximal_update(regularizer, gradient, state, params)
        return proximal_update(self.optimizer, regularizer, self._with_decay(gradient, params), state, params)

    def rate(self, state: Any) -> Any:
        """Return the rate of the optimizer inside."""
        return rate_of(self.optimizer, state)

    def _with_decay(self, gradient: Any, params: Any) -> Any:
        """Return g + λ θ."""
        wide = widen(gradient)
        return decay(wide, jax.tree.map(jnp.negative, params), rounded(self.strength, wide), self.biases)


_TREE = {"kernel": [2.0], "bias": [2.0]}
_ONES = {"kernel": [1.0], "bias": [1.0]}
CASES = (
    Case(
        "ordinary",
        WeightDecay(SGD(0.1), 0.5, coupled=True),
        (_TREE, (_ONES,)),
        {"kernel": [1.8], "bias": [1.9]},
        source="2 − 0.1 (1 + 0.5 · 2)",
    ),
    Case(
        "known",
        WeightDecay(SGD(0.1), 0.5, coupled=False),
        (_TREE, (_ONES,)),
        {"kernel": [1.8], "bias": [1.9]},
        source="the same under plain descent",
    ),
    Case(
        "known",
        WeightDecay(SGD(0.1), 0.5, coupled=True, biases=True),
        (_TREE, (_ONES,)),
        {"kernel": [1.8], "bias": [1.8]},
        source="the same for both",
    ),
)
