r"""Initializers: how a kernel is drawn so that signals keep their size through the layers.

With y = Σᵢ xᵢ Wᵢⱼ over n_in inputs, Var y = n_in Var W E[x²], and backwards with n_out: the variance of W is a gain
over a fan, and the choices differ in which fan and which gain. The last two axes of a kernel are in × out; axes before
them are a window, whose taps all feed an output: n_in = taps · in, n_out = taps · out.

=========  ====================================  =============================  =========================
record     variance of W                         keeps the size of              source
=========  ====================================  =============================  =========================
Glorot     2 / (n_in + n_out)                    both passes, slope-1 units     Glorot & Bengio 2010
He         2 / n_in                              the forward pass, ReLU         He et al. 2015
LeCun      1 / n_in                              the forward pass, SELU, tanh   LeCun et al. 1998, §4.6
=========  ====================================  =============================  =========================

`VarianceScaling` takes any factor and any fan, as its namesakes in Keras and JAX do. `Orthogonal` keeps the length of
what is multiplied by it again and again, as recurrent kernels are.

`distribution` is "uniform" on ±√(3 variance), "normal", or "truncated": a normal one without what is beyond two
deviations, made wider so that its variance is the same. A dense layer without an initializer takes the one that the
activation after it names (`Activation.INITIALIZER`), Glorot uniform where none follows.
"""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.activations.base import Activation
from funcnet.keys import fold, normal
from funcnet.layers.draws import DISTRIBUTIONS, drawn, fans, orthonormal, real, symmetric
from funcnet.records import Number, cast, choice, number, part, record


@record
class Glorot:
    r"""Variance 2 / (n_in + n_out).

    Args:
        distribution: "uniform", "normal" or "truncated" (a normal cut at two deviations).

    >>> import jax, funcnet as fn
    >>> kernel = fn.layers.Glorot()(jax.random.key(0), (200, 50))
    >>> print(round(float(kernel.std()), 2))
    0.09

    """

    distribution: str = choice(default="uniform", options=DISTRIBUTIONS)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw a kernel (…, in, out)."""
        return drawn(key, shape, dtype, self.distribution, 2 / max(sum(fans(shape)), 1))


@record
class He:
    r"""Variance 2 / n_in.

    Args:
        distribution: "uniform", "normal" or "truncated" (a normal cut at two deviations).

    >>> import jax, funcnet as fn
    >>> kernel = fn.layers.He()(jax.random.key(0), (200, 50))
    >>> print(round(float(kernel.std()), 2))
    0.1

    """

    distribution: str = choice(default="normal", options=DISTRIBUTIONS)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw a kernel (…, in, out)."""
        return drawn(key, shape, dtype, self.distribution, 2 / max(fans(shape)[0], 1))


@record
class LeCun:
    r"""Variance 1 / n_in.

    Args:
        distribution: "uniform", "normal" or "truncated" (a normal cut at two deviations).

    >>> import jax, funcnet as fn
    >>> kernel = fn.layers.LeCun()(jax.random.key(0), (400, 50))
    >>> print(round(float(kernel.std()), 3))  # 1 / √400
    0.05

    """

    distribution: str = choice(default="normal", options=DISTRIBUTIONS)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw a kernel (…, in, out)."""
        return drawn(key, shape, dtype, self.distribution, 1 / max(fans(shape)[0], 1))


@record
class VarianceScaling:
    r"""Variance scale / n, n one of the fans of the kernel, or of the kernel beside it where it draws a bias.

    A scale of 1/3 and "uniform" is uniform on ±1/√n: PyTorch's dense layers, kernel and bias. A recurrent layer's bias
    is beside the recurrent kernel.

    Args:
        scale: at least 0.
        fan: "in", "out" or "mean", which is (n_in + n_out)/2.
        distribution: "truncated", "normal" or "uniform".

    >>> import jax, funcnet as fn
    >>> kernel = fn.layers.VarianceScaling(1 / 3, "in", "uniform")(jax.random.key(0), (100, 50))
    >>> print(float(abs(kernel).max()) <= 0.1)
    True

    """

    scale: Number = number(default=1.0, at_least=0)
    fan: str = choice(default="in", options=("in", "out", "mean"))
    distribution: str = choice(default="truncated", options=DISTRIBUTIONS)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw a kernel (…, in, out)."""
        return self.beside(key, shape, shape, dtype)

    def beside(self, key: jax.Array, shape: tuple[int, ...], kernel: tuple[int, ...], dtype: Any) -> jax.Array:
        """Draw an array for which the fans of a kernel count."""
        before, after = fans(kernel)
        n = {"in": before, "out": after, "mean": (before + after) / 2}[self.fan]
        found = drawn(key, shape, dtype, self.distribution, 1 / max(n, 1))
        return found * jnp.sqrt(cast(self.scale, found))


@record
class Summed:
    r"""The sum of several draws: one bias that does the work of two.

    Args:
        initializer: of which the draws are.
        count: how many draws are added.

    >>> import jax, funcnet as fn
    >>> draw = fn.layers.initializers.Summed(fn.layers.RandomNormal(0.3), count=2)
    >>> print(round(float(draw(jax.random.key(0), (10000,)).std()), 2))  # √2 · 0.3
    0.42

    """

    initializer: Any = part()
    count: int = choice(default=2, at_least=1)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array."""
        return self.beside(key, shape, shape, dtype)

    def beside(self, key: jax.Array, shape: tuple[int, ...], kernel: tuple[int, ...], dtype: Any) -> jax.Array:
        """Draw an array for which the fans of a kernel count."""
        draws = (drawn_bias(self.initializer, fold(key, i), shape, kernel, dtype) for i in range(self.count))
        return functools.reduce(operator.add, draws)


@record
class Joint:
    r"""The kernels of all gates of a recurrent layer as one, (in, k·width), by its fans; else each is by itself.

    Args:
        initializer: of which the joint kernel is one draw.

    >>> import jax, funcnet as fn
    >>> each, joint = fn.layers.Glorot(), fn.layers.initializers.Joint(fn.layers.Glorot())
    >>> kernels = [fn.GRU(50, input_init=init).init(jax.random.key(0), (6, 20))["input"] for init in (each, joint)]
    >>> print([round(float(abs(kernel).max()), 2) for kernel in kernels])  # √(6/70), √(6/170)
    [0.29, 0.19]

    """

    initializer: Any = part()

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw the kernel (in, k·width)."""
        return self.initializer(key, shape, dtype)


@record
class RandomNormal:
    r"""Normal with mean 0 and a standard deviation that a sweep may vary.

    Args:
        deviation: the standard deviation; 0.01 and 0.02 are usual.

    >>> import jax, funcnet as fn
    >>> table = fn.layers.RandomNormal(0.02)(jax.random.key(0), (500, 40))
    >>> print(round(float(table.std()), 3))
    0.02

    """

    deviation: Number = number(default=0.01, at_least=0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array."""
        draw = normal(key, shape).astype(real(dtype))
        return draw * cast(self.deviation, draw)


@record
class RandomUniform:
    r"""Uniform on ±bound.

    Args:
        bound: the largest size of a number.

    >>> import jax, funcnet as fn
    >>> kernel = fn.layers.RandomUniform(0.05)(jax.random.key(0), (500, 40))
    >>> print(round(float(abs(kernel).max()), 3), round(float(kernel.std()), 3))  # 0.05 / √3
    0.05 0.029

    """

    bound: Number = number(default=0.01, at_least=0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw an array."""
        draw = symmetric(key, shape, dtype)
        return draw * cast(self.bound, draw)


@record
class Orthogonal:
    r"""Rows, or columns where there are fewer of them, of length 1 at right angles: products keep lengths.

    Q of the factors QR of a normal matrix, R's diagonal positive, which makes Q uniform. Saxe, McClelland & Ganguli
    2014.

    Args:
        gain: the length of the rows or columns.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> kernel = fn.layers.Orthogonal()(jax.random.key(0), (8, 3))
    >>> print(bool(abs(kernel.T @ kernel - jnp.eye(3)).max() < 1e-6))
    True

    """

    gain: Number = number(default=1.0, at_least=0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Draw a kernel (…, in, out)."""
        dtype, tall = real(dtype), shape[-2] >= shape[-1]
        draw = normal(key, shape if tall else (*shape[:-2], shape[-1], shape[-2]))
        # Rounding adds up over the columns: in 16 bits they would not be at right angles.
        q = orthonormal(draw.astype(dtype if jnp.finfo(dtype).bits > 16 else jnp.float32))
        found = (q if tall else jnp.swapaxes(q, -1, -2)).astype(dtype)
        return found * cast(self.gain, found)


@record
class Filled:
    r"""The same number everywhere; 0 by default.

    Args:
        value: the number.

    >>> import jax, funcnet as fn
    >>> layer = fn.Dense(3, bias_init=fn.layers.Filled(0.1))  # so that units behind it begin on
    >>> print(layer.init(jax.random.key(0), (2,))["bias"])
    [0.1 0.1 0.1]

    """

    value: Number = number(default=0.0)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        """Fill an array."""
        return jnp.full(shape, jnp.asarray(self.value, real(dtype)))


def drawn_bias(draw: Any, key: jax.Array, shape: tuple[int, ...], kernel: tuple[int, ...], dtype: Any) -> jax.Array:
    """Draw a bias; where its law depends on fans, those of the kernel beside it, of a shape (…, in, out), count."""
    beside = isinstance(draw, (VarianceScaling, Summed))
    return draw.beside(key, shape, kernel, dtype) if beside else draw(key, shape, dtype)


INITIALIZERS = (Glorot, He, LeCun, VarianceScaling, RandomNormal, RandomUniform, Orthogonal, Filled)
_BY_NAME = {"glorot": Glorot(), "he": He(), "lecun": LeCun()}


def initializer_for(activation: Activation | None) -> Any:
    """Return the default initializer of a kernel whose output feeds `activation`."""
    return _BY_NAME[activation.INITIALIZER if activation is not None else "glorot"]
