r"""What an activation is: a rule z -> y with a hand-derived vector-Jacobian product.

An activation implements `forward(z) -> (y, saved)` and `backward(saved, dy) -> dz`. Both take any number of
leading dimensions. Sixteen-bit inputs are computed in float32 and the results rounded once, at the end.

Accuracy. Each rule is the plainest stable form of its formula: nowhere more wrong than that of `jax.nn`, in value
and in derivative, tails included. A finite input gives no NaN, an infinite one gives the limits where they exist,
and the value of NaN is NaN. XLA on the CPU flushes subnormal numbers to 0, on the way in too.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.errors import check_floating, describe, raise_error


def computes_wide(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method on arrays compute 16-bit floats in float32 and return 16-bit floats again."""

    @functools.wraps(method)
    def wide(self: Any, *arrays: Any) -> Any:
        check_floating(arrays[-1], f"the input of {type(self).__name__}")
        dtype = jnp.result_type(arrays[-1])
        if jnp.finfo(dtype).bits > 16:
            return method(self, *(jax.tree.map(jnp.asarray, a) for a in arrays))
        widened = jax.tree.map(lambda a: a.astype(jnp.float32) if a.dtype == dtype else a, arrays)
        return jax.tree.map(lambda a: a.astype(dtype) if a.dtype == jnp.float32 else a, method(self, *widened))

    return wide


class Activation:
    """Base of all activations: evaluation by calling, and the facts that tests and initializers ask for.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Square(fn.activations.Activation):
    ...     def forward(self, z):
    ...         return z * z, z  # y, and what backward needs
    ...     def backward(self, saved, dy):
    ...         return 2 * saved * dy
    >>> bool(fn.check(Square(), jnp.float32([-1.0, 0.5, 3.0])))
    True
    """

    # The default initializer of a dense layer that feeds this activation: he (variance 2/fan_in) for those
    # that pass one side and damp the other, as half of the second moment is lost there; glorot for those that
    # are odd, saturate or normalise, as their slopes are alike on both sides; lecun for SELU, derived for it.
    INITIALIZER: ClassVar[str] = "glorot"

    def __init_subclass__(cls) -> None:
        for name in ("forward", "backward"):
            if name in cls.__dict__:
                setattr(cls, name, computes_wide(cls.__dict__[name]))

    def __call__(self, z: jax.Array) -> jax.Array:
        """Evaluate y = f(z)."""
        return self.forward(z)[0]

    def forward(self, z: jax.Array) -> tuple[jax.Array, Any]:
        """Return y = f(z) and what `backward` needs."""
        raise NotImplementedError

    def backward(self, saved: Any, dy: jax.Array) -> jax.Array:
        """Return dz, the vector-Jacobian product of dy with the derivative at the saved point."""
        raise NotImplementedError

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """List (z, stated subgradient) for every point at which f has no derivative."""
        return ()


def bounded(z: jax.Array) -> jax.Array:
    """Return z within ±1000, where e^(−|z|) is 0 in every dtype: at an infinity z e^(−|z|) is then 0, and not NaN."""
    return jnp.clip(z, -1000, 1000)


def shifted(z: jax.Array, name: str) -> jax.Array:
    """Return z − max z over the last axis; z = ∞ counts as the largest number."""
    if z.ndim == 0 or z.shape[-1] == 0:
        raise_error(f"the input of {name} must have a last axis of classes", f"got {describe(z)}", "shape (…, classes)")
    z = jnp.minimum(z, jnp.finfo(z.dtype).max)
    return z - jnp.max(z, axis=-1, keepdims=True)


class Elementwise(Activation):
    r"""An activation that acts on each element alone, so that dz = f'(z) · dy.

    `FORMULA` and `DERIVATIVE` state f and f' in the syntax of SymPy, over `z` and the names of the fields.
    The code never evaluates them: the tests do, in arbitrary precision, as the independent reference.

    >>> import funcnet as fn
    >>> fn.softplus.DERIVATIVE, isinstance(fn.softplus, fn.activations.Elementwise)
    ('1 / (1 + exp(-z))', True)
    """

    FORMULA: ClassVar[str]
    DERIVATIVE: ClassVar[str]
