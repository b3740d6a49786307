r"""A last product and its cross-entropy in one, by blocks of rows: logits over many classes are never held.

Forward    zₙ = hₙ K + b,   L = Σₙ sₙ l(zₙ, tₙ)                  for a block of rows n at a time
Backward   dz = s (softmax(z) − t′),   dhₙ = dzₙ Kᵀ,   dK = Σ hₙᵀ dzₙ,   db = Σ dzₙ   in the same block

Derivation. L is one number, and the scales sₙ (a weight over the sum of weights) are known before it: so the gradient
of each block can be made as soon as its logits are there, and both are forgotten. Only dK is carried from block to
block. The formulas are those of the loss and of a dense layer.

A chain that ends in a `Dense`, or a `Tied`, with `SoftmaxCrossEntropy` on labels, takes this way where the logits would
have at least `LEAST` bytes and nobody asks for the prediction.

Source     Wijmans et al. 2024 for the aim; gradients in the forward pass as in Hsu et al. 2024 (Liger), section 3.2.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.layers import Chain, Dense, Tied
from funcnet.losses import SoftmaxCrossEntropy
from funcnet.records import replace
from funcnet.spreading import shared
from funcnet.targets import blank, spread_weight, wide

LEAST = 32 << 20  # bytes of logits below which they are held
BLOCK = 16 << 20  # bytes of logits in one block
FEWEST = 128  # rows of a block: each adds to dK, which is as large as the kernel


def pays(network: Any, loss: Any, params: Any, x: Any, y: Any) -> bool:
    """Tell whether a pass can go by blocks, and has so many logits that it should."""
    chain = type(network) is Chain and len(network.layers) > 1 and type(network.layers[-1]) is Dense
    known = chain or type(network) is Tied
    if not known or type(loss) is not SoftmaxCrossEntropy or loss.class_weight is not None:
        return False
    if not all(isinstance(a, (jax.Array, np.ndarray)) and a.ndim for a in (x, y)) or len(x) == 0:
        return False
    shape = (len(x), *network.out_shape(x.shape[1:]))
    labels = jnp.issubdtype(y.dtype, jnp.integer) and y.shape == shape[:-1]
    return labels and math.prod(shape) * jax.tree.leaves(params)[-1].dtype.itemsize >= LEAST


def passes(
    network: Any, loss: Any, params: Any, x: Any, y: Any, weight: Any, key: Any
) -> tuple[jax.Array, Any, jax.Array, Any]:
    """Return the loss, its gradient, the sum of weights, and what the network would have saved."""
    if type(network) is Tied:
        h, saved = network.features(params, x, key)
        kernel, bias = params["embedding"]["table"].T, None
    else:
        front = Chain(*network.layers[:-1])
        h, saved = front.forward(params[:-1], x, key)
        kernel, bias = params[-1]["kernel"], params[-1].get("bias")
        saved = (*saved, h)
    prediction, weight = jax.ShapeDtypeStruct((*h.shape[:-1], kernel.shape[1]), h.dtype), loss.counted(y, weight)
    target = loss.check_target(prediction, blank(y, weight))
    share = loss.total_weight(prediction, y, weight)
    scale = scales(loss, h, weight)
    value, dh, dkernel, dbias = by_blocks(loss, h, kernel, bias, target, scale)
    if type(network) is Tied:
        return value, network.features_backward(params, saved, dh, dkernel.T), share, saved
    dfront, _ = front.backward(params[:-1], saved[:-1], dh)
    last = {"kernel": dkernel} if bias is None else {"kernel": dkernel, "bias": dbias}
    return value, (*dfront, last), share, saved


def scales(loss: Any, h: jax.Array, weight: Any) -> jax.Array:
    """Return what each sample's loss is multiplied by: as in the loss, its weight over the sum of weights."""
    dtype, mean = wide(h.dtype), loss.reduction == "mean"
    w = jnp.ones(h.shape[:-1], dtype) if weight is None else spread_weight(weight, h.shape[:-1], dtype, mean)
    total = jnp.sum(w) if mean else jnp.ones((), dtype)
    return jnp.where(total == 0, 0, w / jnp.where(total == 0, 1, total))


def by_blocks(
    loss: Any, h: jax.Array, kernel: jax.Array, bias: Any, target: jax.Array, scale: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """Return the value, dh, dK and db of Σ s l(h K + b, t)."""

    def work(samples: Any, whole: Any) -> tuple[jax.Array, Any]:
        return _work(replace(loss, {"reduction": "sum"}), samples, *whole)

    dh, (value, dkernel, dbias) = shared(work, (h, target, scale), (kernel, bias))
    return value, dh, dkernel.astype(kernel.dtype), dbias.astype(kernel.dtype)


def _work(total: Any, samples: Any, kernel: jax.Array, bias: Any) -> tuple[jax.Array, Any]:
    """Return dh, and the sums over samples: value, dK and db."""
    h, (width, classes), real = samples[0], kernel.shape, wide(samples[0].dtype)
    count = math.prod(h.shape[:-1])
    rows = max(FEWEST, 2 ** int(math.log2(max(BLOCK // (classes * h.dtype.itemsize), 1))))
    rows = min(rows, count)
    spare = -count % rows
    blocks = [
        jnp.pad(a.reshape(count, *a.shape[h.ndim - 1 :]), [(0, spare)] + [(0, 0)] * (a.ndim - h.ndim + 1))
        for a in samples
    ]
    blocks = [a.reshape(-1, rows, *a.shape[1:]) for a in blocks]

    def block(sums: Any, own: Any) -> Any:
        h, target, scale = own
        z = h @ kernel
        z = z if bias is None else z + jnp.broadcast_to(bias, z.shape)
        value, saved = total.forward(z, target, scale)
        dz = total.backward(saved)
        # z = h K + b
        dkernel = jnp.matmul(h.T, dz, preferred_element_type=real)
        found = (value, dkernel, jnp.sum(dz, axis=0, dtype=real))
        return tuple(a + b for a, b in zip(sums, found, strict=True)), dz @ kernel.T

    zero = tuple(jnp.zeros(shape, real) for shape in ((), (width, classes), (classes,)))
    sums, dh = jax.lax.scan(block, zero, tuple(blocks))
    return dh.reshape(count + spare, width)[:count].reshape(h.shape), sums
