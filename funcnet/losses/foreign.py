r"""Losses written by somebody else, in the protocol of forward and backward.

A loss that inherits from `Loss` has the whole protocol. Any other object with `forward(prediction, target,
weight=None)` and `backward(saved, dvalue)` is adopted with these defaults: its value is a mean over the samples, which
are the leading axis of the prediction, with weights Σᵢ wᵢ lᵢ / Σᵢ wᵢ; every target is taken; it reports no metrics. If
its forward takes no weight it is called without; a weight, even that of an incomplete batch, is then an error in words.

A pytree of numbers becomes part of the experiment, and its numbers can be swept; any other object is structure.
"""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet import protocols
from funcnet.errors import describe, raise_error
from funcnet.losses.base import Loss
from funcnet.metrics.base import snake_case
from funcnet.records import choice, part, record
from funcnet.targets import wide


@record
class ForeignLoss(Loss):
    r"""A loss from elsewhere, with the defaults of what it lacks.

    Args:
        loss: the object with `forward` and `backward`.
        structure: what of it is no array, filled in by `as_loss`.
        weighs: whether its `forward` takes weights of samples.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> class Theirs:
    ...     def forward(self, prediction, target, weight=None):
    ...         return jnp.average(jnp.abs(prediction - target), weights=weight), jnp.sign(prediction - target)
    ...     def backward(self, saved, dvalue=1.0):
    ...         return saved * dvalue / saved.size
    >>> ours = fn.losses.as_loss(Theirs())
    >>> print(ours(jnp.asarray([1.0, 2.0]), jnp.asarray([0.0, 4.0])), ours.name)
    1.5 theirs

    """

    loss: Any = part(default=None)
    structure: Any = choice(default=None)
    weighs: bool = choice(default=True)

    @property
    def name(self) -> str:
        """Return the name of its class in small letters."""
        return snake_case(type(self._inner).__name__)

    @property
    def _inner(self) -> Any:
        return self.loss if self.structure is None else self.structure

    def forward(self, prediction: Any, target: Any, weight: Any = None) -> tuple[jax.Array, Any]:
        """Return its value and what its backward needs."""
        if self.weighs:
            return self._inner.forward(prediction, target, weight)
        if weight is not None:
            raise_error(
                f"{type(self._inner).__name__}.forward must take a weight where samples have weights",
                "it takes a prediction and a target alone",
                "forward(prediction, target, weight=None), or a batch_size that divides the number of samples",
                TypeError,
            )
        return self._inner.forward(prediction, target)

    def backward(self, saved: Any, dvalue: Any = 1.0) -> Any:
        """Return its dprediction."""
        return self._inner.backward(saved, dvalue)

    def total_weight(self, prediction: Any, target: Any, weight: Any = None) -> jax.Array:
        """Return the number of samples, or the sum of weights."""
        like = jax.tree.leaves(prediction)[0]
        dtype = wide(like.dtype)
        return jnp.asarray((*like.shape, 1)[0], dtype) if weight is None else jnp.sum(jnp.asarray(weight, dtype))

    def check_target(self, prediction: Any, target: Any) -> Any:
        """Take every target."""
        return target


def as_loss(loss: Any) -> Loss:
    """Return the loss with its whole protocol, adopted if it comes from elsewhere; refuse what is no loss in words.

    Args:
        loss: a loss of funcnet, or an object with `forward(prediction, target, weight)` and `backward(saved,
            dvalue)`.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> class Squared:  # knows nothing of funcnet
    ...     def forward(self, prediction, target, weight=None):
    ...         r = prediction - target
    ...         return jnp.mean(r * r), r
    ...     def backward(self, saved, dvalue=1.0):
    ...         return 2 * saved * dvalue / saved.size
    >>> print(fn.losses.as_loss(Squared())(jnp.float32([1.0, 3.0]), jnp.float32([0.0, 1.0])))
    2.5

    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) or not protocols.fits(loss, protocols.Loss):
        arrived = f"the class {loss.__name__}" if isinstance(loss, type) else describe(loss)
        raise_error("loss must have forward and backward", f"got {arrived}", "fn.SoftmaxCrossEntropy()", TypeError)
    parameters = inspect.signature(loss.forward).parameters.values()
    weighs = len(parameters) > 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters)
    numbers = all(isinstance(leaf, (int, float, np.ndarray, jax.Array)) for leaf in jax.tree.leaves(loss))
    return ForeignLoss(loss, weighs=weighs) if numbers else ForeignLoss(structure=loss, weighs=weighs)
