r"""The objective: loss ∘ network + regularizer, the one place where the three meet.

J(θ) = Σᵢ wᵢ L(f(xᵢ; θ), yᵢ) / Σᵢ wᵢ + R(θ)

    value     forward of the network, then of the loss, plus the penalty
    gradient  backward of the loss, then of the network, plus the gradient of the penalty

A regularizer with `proximal=True` is left out of the gradient: training applies its proximal operator instead.

Source     Article A3 (empirical risk), B3.4 to B3.6.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.layers.base import as_layer
from funcnet.losses import as_loss, require_scalar


@dataclasses.dataclass(frozen=True)
class Terms:
    """The parts of an objective and its gradient at one point."""

    loss: jax.Array  # scalar: the mean loss of the batch
    penalty: jax.Array  # scalar: the regularizer, 0 without one
    gradient: Any  # a tree like the parameters
    total_weight: jax.Array  # scalar: the sum of weights that the mean divides by


def terms(
    network: Any,
    loss: Any,
    params: Any,
    x: jax.Array,
    y: Any,
    *,
    regularizer: Any = None,
    weight: Any = None,
    key: Any = None,
) -> Terms:
    """Return loss, penalty and gradient of one batch."""
    network = as_layer(network)
    loss = as_loss(loss)
    require_scalar(loss)
    prediction, saved = network.forward(params, x, key)
    value, residue = loss.forward(prediction, y, weight)
    gradient, _ = network.backward(params, saved, loss.backward(residue))
    penalty = jnp.zeros_like(value)
    if regularizer is not None:
        penalty = regularizer(params)
        if not regularizer.proximal:
            gradient = jax.tree.map(jnp.add, gradient, regularizer.gradient(params))
    return Terms(value, penalty.astype(value.dtype), gradient, loss.total_weight(prediction, y, weight))


def backprop(
    network: Any,
    loss: Any,
    params: Any,
    x: jax.Array,
    y: Any,
    *,
    regularizer: Any = None,
    weight: Any = None,
    key: Any = None,
) -> tuple[jax.Array, Any]:
    r"""Return the objective and its gradient by back-propagation.

    Args:
        network: a layer, chain or activation.
        loss: a loss, with `reduction` "mean" or "sum".
        params: parameters as `network.init` makes them.
        x: inputs (…, features), of the dtype of the parameters.
        y: targets, as the loss takes them.
        regularizer: a regularizer, or None; a proximal one adds its value and no gradient.
        weight: one weight a sample, or None.
        key: a key for dropout, or None for evaluation.

    Returns:
        The objective, a scalar, and the gradient, a tree like `params`.

    Raises:
        ValueError, TypeError: where shapes, dtypes or labels do not fit; see the layers and losses.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> network = fn.Dense(1, bias=False)
    >>> params = {"kernel": jnp.asarray([[2.0]])}
    >>> x, y = jnp.asarray([[1.0], [3.0]]), jnp.asarray([[1.0], [5.0]])
    >>> value, gradient = fn.backprop(network, fn.MeanSquaredError(), params, x, y)
    >>> print(value, gradient["kernel"])  # residuals 1 and 1: (1 + 1)/2, 2 (1·1 + 1·3)/2
    1.0 [[4.]]

    """
    found = terms(network, loss, params, x, y, regularizer=regularizer, weight=weight, key=key)
    return found.loss + found.penalty, found.gradient


def evaluate(network: Any, loss: Any, params: Any, x: jax.Array, y: Any) -> dict[str, jax.Array]:
    """Return `loss` and the metrics that the loss reports, such as `accuracy`, of a set without dropout."""
    loss, prediction = as_loss(loss), as_layer(network).apply(params, x)
    return {"loss": loss(prediction, y)} | {metric.name: metric(prediction, y) for metric in loss.metrics()}
