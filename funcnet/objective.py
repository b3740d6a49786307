r"""The objective: loss ∘ network + regularizer, the one place where the three meet.

Formula    J(θ) = Σᵢ wᵢ L(f(xᵢ; θ), yᵢ) / Σᵢ wᵢ + R(θ)
Passes     forward of the network, then of the loss, plus the penalty;
           backward of the loss, then of the network, plus the gradient of the penalty.

A regularizer with `proximal=True` is left out of the gradient: training applies its proximal operator instead.
Logits over many classes are made and forgotten in blocks where the prediction is not asked for: see `fused`.
Evaluation walks a large set in blocks of samples; means over blocks combine by their sums and weights.

Source     Article A3 (empirical risk), B3.4 to B3.6.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet import fused
from funcnet.arrays import check_set
from funcnet.layers.activate import as_layer
from funcnet.losses import as_loss, require_scalar
from funcnet.regularizers.base import as_regularizer

BLOCK_BYTES = 64 << 20  # of what one pass of an evaluation keeps


class Terms(NamedTuple):
    """The parts of an objective and its gradient at one point, and what came up on the way."""

    loss: jax.Array  # scalar: the mean loss of the batch, or the sum
    penalty: jax.Array  # scalar: the regularizer, 0 without one
    gradient: Any  # a tree like the parameters
    total_weight: jax.Array  # scalar: the sum of weights that a mean divides by
    prediction: Any
    saved: Any  # what the network kept


def terms(
    network: Any,
    loss: Any,
    params: Any,
    x: Any,
    y: Any,
    *,
    regularizer: Any = None,
    weight: Any = None,
    key: Any = None,
    predicts: bool = True,
) -> Terms:
    """Return loss, penalty and gradient of one batch; the prediction is None where it was not asked for or held."""
    network, loss = as_layer(network), as_loss(loss)
    require_scalar(loss)
    if not predicts and fused.pays(network, loss, params, x, y):
        value, gradient, share, saved = fused.passes(network, loss, params, x, y, weight, key)
        return penalised(Terms(value, jnp.zeros_like(value), gradient, share, None, saved), regularizer, params)
    prediction, saved = network.forward(params, x, key)
    value, residue = loss.forward(prediction, y, weight)
    gradient, _ = network.backward(params, saved, loss.backward(residue))
    share = loss.total_weight(prediction, y, weight)
    return penalised(Terms(value, jnp.zeros_like(value), gradient, share, prediction, saved), regularizer, params)


def penalised(found: Terms, regularizer: Any, params: Any) -> Terms:
    """Return the terms with a regularizer's value in the penalty and, unless it is proximal, its gradient added."""
    if regularizer is None:
        return found
    gradient, added = found.gradient, regularizer.added(params)
    if added is not None:
        gradient = jax.tree.map(jnp.add, gradient, added)
    return found._replace(penalty=regularizer(params).astype(found.loss.dtype), gradient=gradient)


def backprop(
    network: Any,
    loss: Any,
    params: Any,
    x: Any,
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
        x: inputs, an array (…, features) or whatever tree of arrays the network takes.
        y: targets, as the loss takes them.
        regularizer: a regularizer, or None; a proximal one adds its value and no gradient.
        weight: a weight for each sample (or each of its losses, by time for instance), or None. A sample of weight 0
            takes no part; its features must be finite all the same, since the layers see them.
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
    penalty = None if regularizer is None else as_regularizer(regularizer)
    found = terms(network, loss, params, x, y, regularizer=penalty, weight=weight, key=key, predicts=False)
    return found.loss + found.penalty, found.gradient


def evaluate(
    network: Any, loss: Any, params: Any, x: Any, y: Any, weight: Any = None, *, metrics: Sequence[Any] = ()
) -> dict[str, jax.Array]:
    r"""Return `loss`, the metrics that the loss reports by itself, and `metrics`, of a set, without dropout.

    A set whose pass would keep more than 64 MiB is walked in blocks of samples; the memory then does not grow with it.

    Args:
        network: a layer, chain or activation.
        loss: a loss, with `reduction` "mean" or "sum"; one that classifies reports `accuracy` too.
        params: parameters as `network.init` makes them.
        x: inputs, an array or tree of arrays whose leading axis is the sample; at least one sample.
        y: targets, as the loss takes them.
        weight: a weight for each sample, or None.
        metrics: more metrics, by their names in what is returned.

    Returns:
        A dictionary from names to scalars.

    Raises:
        ValueError, TypeError: for an empty set, or where shapes, dtypes or labels do not fit.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> params = {"kernel": jnp.asarray([[1.0, -1.0]]), "bias": jnp.zeros(2)}
    >>> x, y = jnp.asarray([[1.0], [-2.0]]), jnp.asarray([0, 0])
    >>> found = fn.evaluate(fn.Dense(2), fn.SoftmaxCrossEntropy(), params, x, y)
    >>> print(found["accuracy"])
    0.5

    """
    network, loss = as_layer(network), as_loss(loss)
    x, y, weight = check_set((x, y, weight), "the set")
    measured = (*loss.metrics(), *metrics)
    samples = jax.tree.leaves(x)[0].shape[0]
    rows = block_rows(network, params, x)
    if samples <= rows:
        return read_sums(loss, measured, sums_of(network, loss, measured, params, (x, y, weight)))

    def of(start: Any, count: int) -> Any:
        block = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, count), (x, y, weight))
        return sums_of(network, loss, measured, params, block)

    whole, rest = divmod(samples, rows)
    total = jax.lax.scan(
        lambda sums, start: (jax.tree.map(jnp.add, sums, of(start, rows)), None),
        of(0, rows),
        jnp.arange(1, whole) * rows,
    )[0]
    if rest:
        total = jax.tree.map(jnp.add, total, of(whole * rows, rest))
    return read_sums(loss, measured, total)


def block_rows(network: Any, params: Any, x: Any) -> int:
    """Return how many samples one pass of an evaluation takes: a power of two whose pass keeps at most 64 MiB."""
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), x)
    kept = jax.tree.leaves(jax.eval_shape(lambda params, x: network.forward(params, x), params, one))
    weights = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in kept)
    return int(2 ** math.floor(math.log2(max(BLOCK_BYTES / max(size - weights, 256), 16))))


def sums_of(network: Any, loss: Any, metrics: Sequence[Any], params: Any, batch: Any) -> Any:
    """Return sums over a batch that add up over batches: of losses, of weights, and those of each metric."""
    x, y, weight = batch
    prediction, weight = network.apply(params, x), loss.counted(y, weight)
    value = loss.forward(prediction, y, weight)[0]
    share = loss.total_weight(prediction, y, weight)
    total = value if loss.reduction == "sum" else value * share.astype(value.dtype)
    return total, share, tuple(metric.sums(prediction, y, weight) for metric in metrics)


def read_sums(loss: Any, metrics: Sequence[Any], sums: Any) -> dict[str, jax.Array]:
    """Return the means that sums over all batches amount to."""
    total, share, each = sums
    found = {"loss": total if loss.reduction == "sum" else mean(total, share)}
    return found | {metric.name: metric.value(own) for metric, own in zip(metrics, each, strict=True)}


def mean(total: jax.Array, share: jax.Array) -> jax.Array:
    """Return total / share, 0 where all weights are 0."""
    share = share.astype(total.dtype)
    return total / jnp.where(share > 0, share, 1)
