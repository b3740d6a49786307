r"""Building blocks shared by the activations: arithmetic in two parts, and an exponential with its remainder.

The sum or the product of two floats is a float and a small remainder that is a float again (Dekker 1971;
Knuth, TAOCP 2, section 4.2.2). Carrying the remainder is what keeps a steep exponential right: a relative
error ε of the argument x becomes an error x ε of e^x, so that at z = −13 rounding z² once costs e^(−z²/2)
some 80 units in the last place.

Everything is a fixed number of elementary operations in the dtype of its array. Fusing a multiplication with
an addition, as compilers may, does no harm to any of it. One rewriting does: XLA folds (x + c) − c to x for a
constant c, therefore a remainder is written (c − s) + x.
"""

import functools
from collections.abc import Sequence
from fractions import Fraction
from math import factorial

import jax
import jax.numpy as jnp

LOG_2 = Fraction("0.693147180559945309417232121458176568075500134360255254120680")

# Called outside of a program, each is one; inside, it leaves no trace.
_one_program = functools.partial(jax.jit, inline=True)


def parts(value: Fraction, like: jax.Array, bits: int | None = None) -> tuple[float, float]:
    """Return a constant as high + low in the dtype of `like`; `high` has at most `bits` significant bits.

    >>> import jax.numpy as jnp
    >>> parts(Fraction(1, 3), jnp.zeros((), jnp.float32))
    (0.3333333432674408, -9.934107462565104e-09)
    """
    if bits is None:
        high = float(like.dtype.type(float(value)))
    else:
        step = Fraction(2) ** (value.numerator.bit_length() - value.denominator.bit_length() + 1 - bits)
        high = float(round(value / step) * step)
    return high, float(value - Fraction(high))


def two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return s = a + b rounded, and the remainder a + b − s, exact unless s overflows."""
    s = a + b
    remainder = jnp.where(jnp.abs(a) < jnp.abs(b), (b - s) + a, (a - s) + b)
    return s, remainder


def split(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cut the bits of `a` into an upper and a lower half, so that products of halves are exact."""
    stored = jnp.finfo(a.dtype).nmant
    unsigned = jnp.uint64 if stored > 32 else jnp.uint32
    mask = jnp.asarray(-1 << (stored + 2) // 2 & (1 << jnp.finfo(a.dtype).bits) - 1, unsigned)
    high = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(a, unsigned) & mask, a.dtype)
    return high, a - high


def two_product(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return p = a b rounded, and the remainder a b − p, exact unless it underflows or p overflows."""
    p = a * b
    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def polynomial(x: jax.Array, coefficients: Sequence[float]) -> jax.Array:
    """Evaluate c₀ + c₁ x + c₂ x² + … by Horner's scheme."""
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def power_of_two(k: jax.Array, like: jax.Array) -> jax.Array:
    """Return 2^k from the bits of its representation; k must be an exponent of normal numbers."""
    information = jnp.finfo(like.dtype)
    return jax.lax.bitcast_convert_type((k + (information.maxexp - 1)) << information.nmant, like.dtype)


def scale(x: jax.Array, k: jax.Array) -> jax.Array:
    """Return 2^k x in two steps, so that 2^k alone may be out of range where 2^k x is not."""
    half = k >> 1
    return x * power_of_two(half, x) * power_of_two(k - half, x)


def vanishing(like: jax.Array) -> float:
    """Return a bound from which x e^(−x) is 0 in the dtype of `like`: 111 in float32, 887 in float64."""
    return 1.25 * jnp.finfo(like.dtype).maxexp * float(LOG_2)


def _reduce(x: jax.Array, tail: jax.Array | float) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return k, r = x + tail − k log 2 with its remainder, and the Taylor series of e^r − 1 − r."""
    double = jnp.finfo(x.dtype).bits == 64
    # The upper part of log 2 leaves room for the bits of k, so that its product is exact.
    log_high, log_low = parts(LOG_2, x, bits=40 if double else 15)
    count = jnp.round(x * (1 / float(LOG_2)))
    coarse, fine = x - count * log_high, tail - count * log_low
    r = coarse + fine
    series = polynomial(r, [1 / factorial(n) for n in range(2, 15 if double else 9)])
    k = count.astype(jnp.int64 if double else jnp.int32)
    return k, r, (coarse - r) + fine, r * r * series


@_one_program
def exponential(x: jax.Array, tail: jax.Array | float = 0.0) -> tuple[jax.Array, jax.Array, jax.Array]:
    r"""Return high, low and k with e^(x + tail) = 2^k (high + low), right to two bits beyond the dtype.

    With k = round(x / log 2), r = x + tail − k log 2 is at most 0.35 in magnitude; high is the rounded e^r,
    between 0.7 and 1.42, and low what rounding it lost. x is clipped where e^x is sure to be 0 or ∞.

    >>> import jax.numpy as jnp
    >>> high, low, k = exponential(jnp.ones((), jnp.float32))
    >>> print(scale(high, k))
    2.7182817
    """
    bound = vanishing(x)
    k, r, rest, series = _reduce(jnp.clip(x, -bound, bound), tail)
    s = 1 + r
    low = ((1 - s) + r) + (rest + series)
    high = s + low
    return high, (s - high) + low, k


@_one_program
def exp(x: jax.Array, tail: jax.Array | float = 0.0) -> jax.Array:
    """Return e^(x + tail), within 0.7 units in the last place."""
    high, _, k = exponential(x, tail)
    return scale(high, k)


@_one_program
def expm1(x: jax.Array) -> jax.Array:
    """Return e^x − 1 = (2^k − 1) + 2^k (e^r − 1) for x up to log of the largest float, within 1.6 units."""
    bound = (jnp.finfo(x.dtype).maxexp - 1) * float(LOG_2)
    k, r, rest, series = _reduce(jnp.clip(x, -bound, bound), 0.0)
    power = power_of_two(k, x)
    return (power - 1) + power * (r + (rest + series))


@_one_program
def log1p(x: jax.Array) -> jax.Array:
    r"""Return log(1 + x) for x in [0, 1], within 1.4 units.

    With s = x/(2 + x), log(1 + x) = 2 artanh(s) = 2s + s R, where R = ⅔ s² + ⅖ s⁴ + …; since 2s = x − s x and
    s x = ½ x² − ½ x² s, the sum is written as x minus small terms.
    """
    s = x / (2 + x)
    square = s * s
    # The series converges like 9^(−n).
    terms = 17 if jnp.finfo(x.dtype).bits == 64 else 7
    series = square * polynomial(square, [2 / (2 * n + 3) for n in range(terms)])
    half = 0.5 * (x * x)
    return x - (half - s * (half + series))


@_one_program
def times_sigmoid(z: jax.Array, x: jax.Array, tail: jax.Array | float = 0.0) -> jax.Array:
    r"""Return z σ(x + tail), where z is at most |x| in magnitude once |x| is large.

    From x = −1 upwards z σ(x) = z/2 + z/2 tanh(x/2), with tanh(x/2) = ±(1 − e)/(1 + e) and e = e^(−|x|);
    below, it is z e − z e w with w = e/(1 + e). In both the quotient, which carries most of the rounding, has
    the smaller part. The power of two in e is applied last: e may be too small for a float where z e is not.
    """
    negative, low_side = x < 0, x < -1
    high, low, k = exponential(jnp.where(negative, x, -x), jnp.where(negative, tail, -tail))
    e = scale(high, k)
    difference = (e - 1) + scale(low, k)
    w = jnp.where(low_side, -e, jnp.where(negative, difference, -difference)) / (1 + e)
    bounded = jnp.maximum(z, -vanishing(z))
    product, rest = two_product(bounded, high)
    c = jnp.where(low_side, product, 0.5 * z)
    return scale(c + (c * w + jnp.where(low_side, rest + bounded * low, 0)), jnp.where(low_side, k, 0))


@_one_program
def times_sigmoid_slope(u: jax.Array, x: jax.Array, tail: jax.Array | float = 0.0) -> jax.Array:
    r"""Return σ(x + tail) + u σ(x)(1 − σ(x)), the derivative of z σ(x) with respect to z when u = z dx/dz.

    With e = e^(−|x|) it is e (1 + e + u)/(1 + e)² for x < 0, and (1 + e + u e)/(1 + e)² elsewhere.
    """
    negative = x < 0
    high, _, k = exponential(jnp.where(negative, x, -x), jnp.where(negative, tail, -tail))
    e = scale(high, k)
    numerator = jnp.where(negative, high * ((1 + u) + e), (1 + e) + u * e)
    return scale(numerator / ((1 + e) * (1 + e)), jnp.where(negative, k, 0))
