r"""GELU, the Gaussian error linear unit, in its two forms.

Forward    exact         y = z Φ(z),  Φ(z) = ½ (1 + erf(z/√2)) the normal distribution function
           approximate   y = z σ(x) = ½ z (1 + tanh(x/2)),  x = 2 √(2/π) (z + 0.044715 z³)
Backward   exact         dz = (Φ(z) + z φ(z)) dy,  φ(z) = e^(−z²/2)/√(2π)
           approximate   dz = (σ(x) + z σ(x) (1 − σ(x)) x′) dy,  x′ = 2 √(2/π) (1 + 3 · 0.044715 z²)

Derivation. The product rule, with Φ′ = φ and σ′ = σ (1 − σ) x′.

Forms      Exact: for a = |z| the upper tail is Φ(−a) = e^(−a²/2) H(a)/(a + c), where H varies slowly and is a
           polynomial in t = (a − c)/(a + c); then y = −a Φ(−a) on the left and a − a Φ(−a) on the right.
           a², a/(a + c) and the products carry their remainders. The coefficients are those of the polynomial
           through e^(a²/2) Φ(−a) (a + c), computed to 60 digits, at the Chebyshev nodes of t between a = 0
           and the a where the tail underflows: 13 in float32 (relative error 2e−9), 24 in float64 (4e−18).
           Approximate: x is computed in two parts, since its rounding would grow as z⁴ in the left tail.
Shapes     z, y, dz: any, equal.
Extremes   Finite for all finite z: y is z far out on the right and underflows to 0 on the left.
Source     Hendrycks & Gimpel 2016, section 2.
"""

import functools
from fractions import Fraction
from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.activations.special import (
    exponential,
    parts,
    polynomial,
    scale,
    times_sigmoid,
    times_sigmoid_slope,
    two_product,
    two_sum,
)
from funcnet.cases import Case
from funcnet.records import choice, record

# By the bits of the dtype: c, the a at which the tail is cut off, and the coefficients of H.
_TAIL: dict[int, tuple[float, float, tuple[str, ...]]] = {
    32: (
        2.0,
        14.5,
        (
            *("0.67240800464", "-0.331404442", "0.028797389549", "0.036718387735", "-0.00047013115036"),
            *(
                "-0.0067257358853",
                "-0.0019478403242",
                "0.00079200216508",
                "0.00082017458706",
                "0.00018350795436",
            ),
            *("-0.00011773623131", "-9.5369548823e-5", "-2.1510685691e-5"),
        ),
    ),
    64: (
        4.0,
        39.0,
        (
            *(
                "0.7552851304157514933",
                "-0.6078966419718921076",
                "0.387137400742214541",
                "-0.1865218579596572468",
            ),
            *("0.06039657489093656069", "-0.007540188966726791575", "-0.00347969236739359515"),
            *("0.001630818457588701191", "0.0001333443124096457366", "-0.0002310949351694590144"),
            *("-1.908258479773433108e-6", "3.514468605300346296e-5", "7.166663245221031186e-7"),
            *("-5.920173323016102917e-6", "-6.29696560581582333e-7", "1.021554037196101533e-6"),
            *("2.718045296259283577e-7", "-1.549649174224745047e-7", "-8.540841815685124978e-8"),
            *("1.328079778731032784e-8", "1.961961086135555974e-8", "1.918277020373340263e-9"),
            *("-2.522099457878073536e-9", "-7.262419810409579296e-10"),
        ),
    ),
}
# x = z (LINEAR + CUBIC z²)
LINEAR = Fraction("1.5957691216057307117597842397375274738")
CUBIC = LINEAR * Fraction("0.044715")


def _tail(a: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return high, low and k with a Φ(−a) = 2^k (high + low), for 0 ≤ a below the cut."""
    c, _, coefficients = _TAIL[jnp.finfo(a.dtype).bits]
    square, square_rest = two_product(a, a)
    e, e_rest, k = exponential(-0.5 * square, -0.5 * square_rest)
    q, q_rest = two_sum(a, jnp.full_like(a, c))
    inverse = 1 / q
    v = a * inverse
    v_q, v_q_rest = two_product(v, q)
    v_rest = (((a - v_q) - v_q_rest) - v * q_rest) * inverse
    t = (2 * v - 1) + 2 * v_rest
    first, first_rest = parts(Fraction(coefficients[0]), a)
    slope = t * polynomial(t, [float(text) for text in coefficients[1:]])
    h = first + slope
    h_rest = ((first - h) + slope) + first_rest
    product, product_rest = two_product(h, e)
    product_rest = product_rest + (h * e_rest + h_rest * e)
    return v * product, v * product_rest + v_rest * product, k


@functools.partial(jax.jit, inline=True)
def _value(z: jax.Array) -> jax.Array:
    """Return z Φ(z); one program where it is called outside of one."""
    # A comparison, not the absolute value, whose slope at 0 automatic differentiation takes to be 0.
    high, low, k = _tail(jnp.minimum(jnp.where(z < 0, -z, z), _TAIL[jnp.finfo(z.dtype).bits][1]))
    return jnp.where(z < 0, 0, z) - scale(high + low, k)


@functools.partial(jax.jit, inline=True)
def _slope(z: jax.Array) -> jax.Array:
    """Return Φ(z) + z φ(z)."""
    c, cut, coefficients = _TAIL[jnp.finfo(z.dtype).bits]
    a = jnp.minimum(jnp.abs(z), cut)
    square, square_rest = two_product(a, a)
    e, _, k = exponential(-0.5 * square, -0.5 * square_rest)
    inverse = 1 / (a + c)
    h = polynomial((a - c) * inverse, [float(text) for text in coefficients])
    # For z = −a the derivative is Φ(−a) − a φ(a), and for z = a it is 1 less that, as Φ(a) = 1 − Φ(−a).
    left = scale(e * (h * inverse - float(LINEAR) / 4 * a), k)
    return jnp.where(z < 0, left, 1 - left)


@record
class GELU(Elementwise):
    r"""z Φ(z), or the approximation by tanh; which of the two is structure, not a number.

    >>> import jax.numpy as jnp
    >>> print(GELU()(jnp.asarray([-1.0, 0.0, 1.0], jnp.float32)))
    [-0.15865526  0.          0.8413447 ]
    >>> print(GELU(approximate=True)(jnp.asarray([1.0], jnp.float32)))
    [0.841192]
    """

    approximate: bool = choice(default=False, options=(False, True))

    FORMULA: ClassVar[str] = (
        "Piecewise((z / 2 * (1 + tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))), approximate),"
        " (z / 2 * (1 + erf(z / sqrt(2))), True))"
    )
    DERIVATIVE: ClassVar[str] = (
        "Piecewise(((1 + tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))) / 2"
        " + z / 2 * (1 - tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))**2)"
        " * sqrt(2 / pi) * (1 + 3 * Rational(44715, 1000000) * z**2), approximate),"
        " ((1 + erf(z / sqrt(2))) / 2 + z * exp(-z**2 / 2) / sqrt(2 * pi), True))"
    )
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return z Φ(z), and z: y takes some values twice, so z does not follow from it."""
        if self.approximate:
            return times_sigmoid(z, *_inner(z)), z
        return _value(z), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (Φ + z φ) dy, or its approximate form."""
        z = saved
        if self.approximate:
            bounded = jnp.clip(z, -50, 50)
            dx = float(LINEAR) + 3 * float(CUBIC) * (bounded * bounded)
            return times_sigmoid_slope(bounded * dx, *_inner(z)) * dy
        return _slope(z) * dy


def _inner(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return x = z (LINEAR + CUBIC z²) as a sum of two parts; from |z| = 50 on, σ(x) is 0 or 1."""
    z = jnp.clip(z, -50, 50)
    (linear, linear_rest), (cubic, cubic_rest) = parts(LINEAR, z), parts(CUBIC, z)
    square, square_rest = two_product(z, z)
    product, product_rest = two_product(square, jnp.full_like(z, cubic))
    factor, sum_rest = two_sum(jnp.full_like(z, linear), product)
    factor_rest = sum_rest + ((product_rest + (square * cubic_rest + square_rest * cubic)) + linear_rest)
    x, x_rest = two_product(z, factor)
    return x, x_rest + z * factor_rest


CASES = (
    Case("ordinary", GELU(), ([0.7],)),
    Case("ordinary", GELU(approximate=True), ([0.7],)),
    Case("batch", GELU(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("batch", GELU(approximate=True), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", GELU(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1e4, 1e30], [0.0, 0.0, 1.0, 1.0], "limits"),
    Case(
        "extreme",
        GELU(approximate=True),
        ([-1e30, -1e4, 1e4, 1e30],),
        [0.0, 0.0, 1e4, 1e30],
        [0.0, 0.0, 1.0, 1.0],
        "limits",
    ),
    Case(
        "known",
        GELU(),
        ([0.0, 1.0],),
        [0.0, 0.8413447460685429],
        None,
        "Φ(0) = ½; Φ(1), tables of the normal law",
    ),
    Case("known", GELU(approximate=True), ([0.0],), [0.0], [0.5], "σ(0) = ½"),
)
