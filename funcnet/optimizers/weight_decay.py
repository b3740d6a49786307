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

from typing import Any

from funcnet.cases import Case
from funcnet.optimizers.base import Optimizer, decay, narrow, needs_params, penalized, rounded
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.wrapper import Wrapper
from funcnet.records import Number, choice, number, record
from funcnet.trees import widen


@record
class WeightDecay(Wrapper):
    r"""Shrink the weights, through the gradient or beside it.

    Args:
        optimizer: the optimizer inside.
        strength: the share λ of each weight that a step of rate 1 takes away; 1e-4 to 0.1 are usual.
        coupled: whether the decay joins the gradient before the optimizer sees it, as an L2 penalty does.
        biases: whether biases are reached too, not the weights alone.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.WeightDecay(fn.SGD(0.1), 0.5, coupled=True)
    >>> params = jnp.asarray([2.0])
    >>> print(optimizer.update(jnp.asarray([0.0]), optimizer.init(params), params)[0])
    [-0.1]

    """

    strength: Number = number(at_least=0)
    coupled: bool = choice(default=False, options=(False, True), kw_only=True)
    biases: bool = choice(default=False, options=(False, True), kw_only=True)

    def seen(self, gradient: Any, params: Any) -> Any:
        """Return g + λ θ where coupled, else g."""
        if not self.coupled or not needs_params(self, self.strength, params):
            return gradient
        return penalized(gradient, params, rounded(self.strength, gradient), self.biases)

    def update(self, gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return the optimizer's update, less η λ θ where decoupled."""
        updates, after = super().update(gradient, state, params)
        if self.coupled or not needs_params(self, self.strength, params):
            return updates, after
        wide = widen(gradient)
        strength = rounded(self.rate(state), wide) * rounded(self.strength, wide)
        return narrow(decay(widen(updates), params, strength, self.biases), params), after

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the optimizer's proximal update with coupled decay; else an update, then the proximal point."""
        if self.coupled:
            return super().proximal_update(regularizer, gradient, state, params)
        return Optimizer.proximal_update(self, regularizer, gradient, state, params)


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
