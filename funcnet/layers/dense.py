r"""The dense (fully connected) layer.

Forward    y = x W + b                           x: (…, in)   W: (in, out)   b: (out,)   y: (…, out)
Backward   dW = xᵀ dy          (in, out), summed over the batch
           db = Σ dy           (out,),    summed over the batch
           dx = dy Wᵀ          (…, in)

Derivation. yₙⱼ = Σᵢ xₙᵢ Wᵢⱼ + bⱼ. So ∂yₙⱼ/∂Wᵢⱼ = xₙᵢ, and dWᵢⱼ = Σₙ xₙᵢ dyₙⱼ = (xᵀ dy)ᵢⱼ; ∂yₙⱼ/∂bⱼ = 1; and
dxₙᵢ = Σⱼ dyₙⱼ Wᵢⱼ = (dy Wᵀ)ₙᵢ. The sums over n are sums, not means: 1/n comes in with the loss, in dy, and once.

Rows are samples. The articles write columns, Z = W A + B with W of shape out × in: this is their form transposed.

Shapes     any number of leading batch dimensions, none included.
Source     Article B2, B3.5 and B3.6 (whose gradients do not type-check: see the errata); Rumelhart et al. 1986.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import check_floating, describe, raise_error
from funcnet.keys import fold
from funcnet.layers.base import Layer, Shape, check_init
from funcnet.layers.initializers import Filled, drawn_bias, initializer_for
from funcnet.records import choice, part, record, replace

NARROW = 64  # outputs; measured: 2 to 12 times as fast for 10 of them, no faster from 64 on


@record
class Dense(Layer):
    r"""x W + b, with parameters `{"kernel": W, "bias": b}`.

    Args:
        width: how many outputs a sample has.
        bias: whether a bias is added.
        kernel_init: how W begins; None for what fits the activation behind it (He for ReLU, Glorot or LeCun
            else).
        bias_init: how b begins.

    >>> import jax, funcnet as fn
    >>> params = fn.Dense(3).init(jax.random.key(0), (2,))
    >>> print({name: array.shape for name, array in params.items()})
    {'kernel': (2, 3), 'bias': (3,)}

    """

    width: int = choice(at_least=1)
    bias: bool = choice(default=True, options=(False, True))
    kernel_init: Any = part(default=None)
    bias_init: Any = part(default=Filled(0.0))

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the input's shape with the last number replaced by the width."""
        if not in_shape:
            raise_error("a dense layer needs at least one feature", "got a scalar sample", "x[:, None] for one feature")
        return (*in_shape[:-1], self.width)

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the kernel (in × out) and the bias (out)."""
        check_init(key, in_shape)
        self.out_shape(in_shape)
        draw, shape = self.kernel_init or initializer_for(None), (in_shape[-1], self.width)
        params = {"kernel": draw(key, shape, dtype)}
        if self.bias:
            params["bias"] = drawn_bias(self.bias_init, fold(key, 1), (self.width,), shape, dtype)
        return params

    def feeding(self, activation: Any) -> "Dense":
        """Let the kernel suit the activation behind it, unless its initializer was chosen."""
        return self if self.kernel_init else replace(self, {"kernel_init": initializer_for(activation)})

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return x W + b, and x, which dW needs."""
        check_floating(x, "the input of Dense")
        x, kernel = jnp.asarray(x), params["kernel"]
        if x.ndim == 0 or x.shape[-1] != kernel.shape[0]:
            raise_error(
                f"the input of Dense must have {kernel.shape[0]} features in its last axis",
                f"got {describe(x)}",
                f"an input of shape (…, {kernel.shape[0]}), or parameters from init(key, {x.shape[-1:]})",
            )
        if x.dtype != kernel.dtype:
            raise_error(
                "input and kernel must have the same dtype",
                f"got {x.dtype} and {kernel.dtype}",
                "x.astype(kernel.dtype)",
                TypeError,
            )
        y = x @ kernel
        return (y + jnp.broadcast_to(params["bias"], y.shape) if self.bias else y), x

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return {dW = xᵀ dy, db = Σ dy} and dx = dy Wᵀ."""
        x, kernel = saved, params["kernel"]
        count = math.prod(x.shape[:-1])  # not −1, which an input without features leaves open
        rows, drows = x.reshape(count, x.shape[-1]), dy.reshape(count, self.width)
        dparams = {"kernel": rows.T @ drows if self.width >= NARROW else _narrow_product(rows, drows)}
        if self.bias:
            dparams["bias"] = jnp.sum(drows, axis=0)
        return dparams, dy @ kernel.T


def _narrow_product(x: jax.Array, dy: jax.Array) -> jax.Array:
    """Return xᵀ dy as (dyᵀ x)ᵀ: a CPU's products are slow with a transposed first factor and few columns.

    The barriers keep the compiler from turning it back. The second is behind a vector, since XLA aborts where it asks a
    product of batches, as `vmap` makes of this one, for a transposed result.
    """
    product = jax.lax.optimization_barrier(dy.T) @ x
    return jax.lax.optimization_barrier(product.reshape(-1)).reshape(product.shape).T


_W = {"kernel": [[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]], "bias": [0.1, -0.2, 0.3]}
_X = [[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0], [0.7, 0.7]]
CASES = (
    Case("ordinary", Dense(3), (_W, [[1.0, 2.0]])),
    Case("batch", Dense(3), (_W, _X)),
    Case("batch", Dense(3), (_W, [_X, [[0.2, 0.1], [1.0, -1.0], [3.0, 0.5], [-0.1, 0.4]]])),
    Case("batch", Dense(3, bias=False), ({"kernel": _W["kernel"]}, _X)),
    Case("ordinary", Dense(3), (_W, [1.0, 2.0])),
    Case("extreme", Dense(3), (_W, [[1e30, -1e30], [0.0, 0.0]])),
    Case(
        "known",
        Dense(3),
        (_W, [[1.0, 2.0]]),
        [[3.6, -0.7, 1.3]],
        ({"kernel": [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], "bias": [1.0, 1.0, 1.0]}, [[1.5, 1.25]]),
        "by hand",
    ),
)
