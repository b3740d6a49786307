r"""Initializers: how a kernel (in × out) is drawn so that signals keep their size through the layers.

With y = Σᵢ xᵢ Wᵢⱼ over n_in inputs, Var y = n_in Var W E[x²], and backwards with n_out: the variance of W is a gain
over a fan, and the choices differ in which fan and which gain.

=========  ====================================  =============================  =========================
record     variance of W                         keeps the size of              source
=========  ====================================  =============================  =========================
Glorot     2 / (n_in + n_out)                    both passes, slope-1 units     Glorot & Bengio 2010
He         2 / n_in                              the forward pass, ReLU         He et al. 2015
LeCun      1 / n_in                              the forward pass, SELU, tanh   LeCun et al. 1998, §4.6
=========  ====================================  =============================  =========================

`distribution` is "uniform" on ±√(3 variance) or "normal". A dense layer without an initializer takes the one that the
activation after it names (`Activation.INITIALIZER`), Glorot uniform where none follows.

>>> import jax
>>> kernel = He()(jax.random.key(0), (400, 300))
>>> print(kernel.shape, round(float(kernel.std()) * 200**0.5, 2))
(400, 300) 1.0
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.base import Activation
from funcnet.keys import normal, uniform
from funcnet.records import Number, cast, choice, number, record


def _draw(key: jax.Array, shape: tuple[int, ...], dtype: Any, distribution: str, variance: float) -> jax.Array:
    if distribution == "normal":
        return normal(key, shape).astype(dtype) * jnp.asarray(variance**0.5, dtype)
    return _symmetric(key, shape, dtype) * jnp.asarray((3 * variance) ** 0.5, dtype)


def _symmetric(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Draw uniform numbers in [−1, 1)."""
    return (2 * uniform(key, shape) - 1).astype(dtype)


def _dtype(dtype: Any) -> Any:
    return jnp.zeros(()).dtype if dtype is None else dtype


@record
class Glorot:
    r"""Variance 2 / (n_in + n_out)."""

    distribution: str = choice(default="uniform", options=("uniform", "normal"))

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array whose first axis is n_in and last n_out."""
        return _draw(key, shape, _dtype(dtype), self.distribution, 2 / max(shape[0] + shape[-1], 1))


@record
class He:
    r"""Variance 2 / n_in."""

    distribution: str = choice(default="normal", options=("uniform", "normal"))

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array whose first axis is n_in."""
        return _draw(key, shape, _dtype(dtype), self.distribution, 2 / max(shape[0], 1))


@record
class LeCun:
    r"""Variance 1 / n_in."""

    distribution: str = choice(default="normal", options=("uniform", "normal"))

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array whose first axis is n_in."""
        return _draw(key, shape, _dtype(dtype), self.distribution, 1 / max(shape[0], 1))


@record
class Normal:
    r"""Normal with mean 0 and a standard deviation that a sweep may vary."""

    deviation: Number = number(default=0.01, at_least=0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array."""
        draw = normal(key, shape).astype(_dtype(dtype))
        return draw * cast(self.deviation, draw)


@record
class Uniform:
    r"""Uniform on ±bound."""

    bound: Number = number(default=0.01, at_least=0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array."""
        draw = _symmetric(key, shape, _dtype(dtype))
        return draw * cast(self.bound, draw)


@record
class Constant:
    r"""The same number everywhere; 0 by default."""

    value: Number = number(default=0.0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Fill an array."""
        return jnp.full(shape, jnp.asarray(self.value, _dtype(dtype)))


INITIALIZERS = (Glorot, He, LeCun, Normal, Uniform, Constant)
_BY_NAME = {"glorot": Glorot(), "he": He(), "lecun": LeCun()}


def initializer_for(activation: Activation | None) -> Any:
    """Return the default initializer of a kernel whose output feeds `activation`."""
    return _BY_NAME[activation.INITIALIZER if activation is not None else "glorot"]
