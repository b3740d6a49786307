r"""Keys and cheap random numbers: derived from a seed and a position, never carried.

A key is a JAX key, typed or raw; the numbers come from an integer hash of a counter. JAX's own generator (threefry) is
built for more than initial parameters, orders of samples and dropout masks ask for: on a CPU each call of it adds a
quarter of a second of compiling and tens of microseconds a step, where the hash fuses into the loop around it.

    mix(v)       the finalizer of MurmurHash3 (Appleby 2011): xor-shift 16, × 0x85EBCA6B, xor-shift 13,
                 × 0xC2B2AE35, xor-shift 16; a bijection of the 32-bit words in which each input
                 bit reaches every output bit
    word i       mix(mix(i · 0x9E3779B9 + k₀) + k₁)   for a key (k₀, k₁), and so on for a longer key

It is not for cryptography. The tests measure what training needs: uniform numbers, no correlation between neighbours,
between steps, or between keys that differ in one bit.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error

_GOLDEN = 0x9E3779B9  # 2³² divided by the golden ratio: consecutive counters land far apart


def _mix(v: jax.Array) -> jax.Array:
    """Scramble 32-bit words."""
    v = (v ^ (v >> jnp.uint32(16))) * jnp.uint32(0x85EBCA6B)
    v = (v ^ (v >> jnp.uint32(13))) * jnp.uint32(0xC2B2AE35)
    return v ^ (v >> jnp.uint32(16))


def _scramble(key: jax.Array, counter: jax.Array) -> jax.Array:
    """Mix counters with every word of a key, typed or raw."""
    data = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    bits = counter * jnp.uint32(_GOLDEN)
    for index in range(data.shape[0]):
        bits = _mix(bits + data[index])
    return bits


def from_seed(seed: Any) -> jax.Array:
    """Return the key of a seed, the same whatever JAX's default generator is.

    >>> import jax
    >>> print(jax.random.key_data(from_seed(7)))
    [0 7]
    """
    return jax.random.key(seed, impl="threefry2x32")


def check_key(key: Any) -> None:
    """Raise `TypeError` unless `key` is one key, typed or raw."""
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = isinstance(key, (jax.Array, np.ndarray)) and key.dtype == np.uint32
    if not (typed or raw) or key.ndim != (0 if typed else 1):
        raise_error("key must be one key of JAX", f"got {describe(key)}", "jax.random.key(0)", TypeError)


def fold(key: jax.Array, number: jax.Array | int) -> jax.Array:
    """Derive a key from a key and a whole number, as `jax.random.fold_in` does, at the cost of a few operations.

    Raises:
        TypeError: unless `key` is one key, typed or raw.

    >>> import jax
    >>> a, b = (jax.random.key_data(fold(jax.random.key(0), i)) for i in (1, 2))
    >>> bool((a == b).any())
    False

    """
    check_key(key)
    return _fold(key, number)


@functools.partial(jax.jit, inline=True)
def _fold(key: jax.Array, number: jax.Array | int) -> jax.Array:
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    words = (jax.random.key_data(key) if typed else key).shape[0]
    # Word j of key n hashes the counter n · words + j, which no other word shares.
    counter = jnp.asarray(number).astype(jnp.uint32) * jnp.uint32(words) + jax.lax.iota(jnp.uint32, words)
    data = _scramble(key, counter)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key)) if typed else data


def _bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return one 32-bit word for each element."""
    return _scramble(key, jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape))


@functools.partial(jax.jit, static_argnames="shape", inline=True)
def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw float32 numbers in [0, 1), multiples of 2⁻²⁴, from the hash.

    >>> import jax
    >>> draw = uniform(jax.random.key(0), (1000, 1000))
    >>> print(bool((draw >= 0).all() & (draw < 1).all()), round(float(draw.mean()), 2))
    True 0.5
    """
    return (_bits(key, shape) >> jnp.uint32(8)).astype(jnp.float32) * jnp.float32(2.0**-24)


@functools.partial(jax.jit, static_argnames="shape", inline=True)
def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    r"""Draw float32 numbers from the standard normal distribution: Φ⁻¹ of uniform numbers, at most 5.3 in size.

    >>> import jax
    >>> draw = normal(jax.random.key(0), (1000, 1000))
    >>> print(abs(round(float(draw.mean()), 2)), round(float(draw.std()), 2))
    0.0 1.0
    """
    return _normal_from_bits(_bits(key, shape))


def _normal_from_bits(bits: jax.Array) -> jax.Array:
    # (k + ½)/2²³ for a 23-bit k is exact in float32 and never 0 or 1, where the inverse is infinite.
    central = ((bits >> jnp.uint32(9)).astype(jnp.float32) + jnp.float32(0.5)) * jnp.float32(2.0**-23)
    return jnp.float32(math.sqrt(2)) * jax.lax.erf_inv(2 * central - 1)


@functools.partial(jax.jit, static_argnames="samples", inline=True)
def order(key: jax.Array, samples: int) -> jax.Array:
    """Draw a random order of the numbers 0 … samples − 1 by sorting one random word each.

    Two equal words, which keep their order, have a chance of about samples²/2³³.

    >>> import jax
    >>> sorted(order(jax.random.key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    words, numbers = _bits(key, (samples,)), jax.lax.iota(jnp.uint32, samples)
    # Word and number packed into 64 bits, whatever JAX's mode: a CPU sorts one array five times as fast as two.
    with jax.enable_x64(True):
        packed = words.astype(jnp.uint64) << jnp.uint64(32) | numbers.astype(jnp.uint64)
        return jax.lax.sort(packed, is_stable=False).astype(jnp.int32)
