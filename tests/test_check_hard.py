"""Hard cases: right gradients that cancel or are badly conditioned pass, wrong ones that hide do not."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
import pytest

import funcnet as fn
from funcnet.checking import check
from tests.helpers import sampled

_RNG = np.random.default_rng(3)
_FIRST = {"dtypes": (), "transforms": False, "second": False}  # where only the gradient at x is in question
_HILBERT = np.asarray([[1 / (i + j + 1) for j in range(8)] for i in range(8)])
_SYMMETRIC = (lambda a: a + a.T)(_RNG.normal(size=(4, 4)))


def _tanh40(z, dy):
    return dy * 40 * (1 - jnp.tanh(40 * z) ** 2)


def _solved(a, b):
    x = jnp.linalg.solve(a, b)
    return x, (a, x)


def _solved_backward(saved, dy):
    a, x = saved
    db = jnp.linalg.solve(a.T, dy)
    return -jnp.outer(db, x), db


def _logistic(x):
    orbit = []
    for _ in range(30):
        orbit.append(x)
        x = 4.0 * x * (1 - x)
    return x, orbit


def _logistic_backward(orbit, dy):
    for x in reversed(orbit):
        dy = dy * 4.0 * (1 - 2 * x)
    return dy


def _spectrum(xp):
    def forward(x):
        f = xp.fft.rfft(x)
        return xp.abs(f) ** 2, f

    def backward(f, dy):
        return 32 * xp.fft.ifft(xp.concatenate([dy.astype(f.dtype) * f, xp.zeros(7, f.dtype)])).real

    return forward, backward


def _first_eigenvector(a):
    values, vectors = jnp.linalg.eigh((a + a.T) / 2)
    sign = jnp.sign(vectors[0, 0])
    return sign * vectors[:, 0], (values, vectors, sign)


def _first_eigenvector_backward(saved, dy):
    values, vectors, sign = saved
    gaps = jnp.where(jnp.arange(4) == 0, 1.0, values[0] - values)
    u = vectors @ jnp.where(jnp.arange(4) == 0, 0.0, vectors.T @ (dy * sign) / gaps)
    outer = jnp.outer(u, vectors[:, 0])
    return (outer + outer.T) / 2


def _cholesky_backward(lower, dy):
    p = jnp.tril(lower.T @ jnp.tril(dy))
    p = p - jnp.diag(jnp.diag(p)) / 2
    s = jnp.linalg.solve(lower.T, jnp.linalg.solve(lower.T, p.T).T)
    return (s + s.T) / 2


def _close_pair():
    q, _ = np.linalg.qr(_RNG.normal(size=(4, 4)))
    return q @ np.diag([1.0, 1.0001, 2.0, 3.0]) @ q.T


def _twice(function):
    """Return a forward that keeps y, for a backward that needs no more."""
    return lambda *arguments: (function(*arguments),) * 2


_SQUARE = (lambda x: (x * x, x), lambda x, dy: 2 * x * dy)
_ORDINARY = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
_RIGHT = {
    "saturated tanh": ((lambda z: (jnp.tanh(40 * z), z), _tanh40), (_ORDINARY,), {}),
    "a solve with a Hilbert matrix": ((_solved, _solved_backward), (_HILBERT, _RNG.normal(size=8)), _FIRST),
    "a Hilbert matrix carried along": (
        (lambda b: _solved(jnp.asarray(_HILBERT), b), lambda saved, dy: _solved_backward(saved, dy)[1]),
        (_RNG.normal(size=8),),
        _FIRST,
    ),
    "the logistic map": ((_logistic, _logistic_backward), (np.asarray([0.3, 0.61]),), {"dtypes": ("bfloat16",)}),
    "inputs of 1e-300": (_SQUARE, (np.asarray([1e-300, -3e-300]),), _FIRST),
    "a slope at 1e-300": ((lambda x: (3 * x, x), lambda x, dy: 3 * dy), (np.asarray([1e-300, -3e-300]),), _FIRST),
    "1e-20 beside 1e20": (_SQUARE, (np.asarray([1e-20, 1e20]),), _FIRST),
    "1e-20 beside 1e20 in a sum": (
        (lambda x: (jnp.sum(x * x), x), _SQUARE[1]),
        (np.asarray([1e-20, 1e20, 3e-20]),),
        _FIRST,
    ),
    "1 - cos": ((lambda x: (1 - jnp.cos(x), x), lambda x, dy: jnp.sin(x) * dy), (np.asarray([1e-6, -2e-6]),), _FIRST),
    "1 - cos in NumPy": (
        (lambda x: (1 - np.cos(x), x), lambda x, dy: np.sin(x) * dy),
        (np.asarray([1e-6, 1.5e-6]),),
        {},
    ),
    "a power spectrum": (_spectrum(jnp), (_RNG.normal(size=16),), _FIRST),
    "a power spectrum in NumPy": (_spectrum(np), (_RNG.normal(size=16),), {}),
    "a matrix exponential": (
        (
            lambda a: (jax.scipy.linalg.expm(a), a),
            lambda a, dy: jax.scipy.linalg.expm_frechet(a.T, dy, compute_expm=False),
        ),
        (_RNG.normal(size=(3, 3)),),
        _FIRST,
    ),
    "an eigenvector": ((_first_eigenvector, _first_eigenvector_backward), (_close_pair(),), {"dtypes": ()}),
    "the largest eigenvalue": (
        (lambda a: (lambda w, v: (w[-1], v[:, -1]))(*np.linalg.eigh(a)), lambda v, dy: dy * np.outer(v, v)),
        (_SYMMETRIC,),
        {},
    ),
    "a Cholesky factor": (
        (_twice(jnp.linalg.cholesky), _cholesky_backward),
        (_SYMMETRIC @ _SYMMETRIC + np.eye(4),),
        {**_FIRST, "dtypes": ("bfloat16",)},
    ),
}


@pytest.mark.parametrize("name", sampled(_RIGHT, lambda name: list(_RIGHT).index(name) % 5 == 0))
def test_a_right_rule_passes_however_badly_conditioned(name):
    rule, arguments, options = _RIGHT[name]
    assert check(rule, *arguments, **options)


def test_lost_digits_a_refused_dtype_and_a_symmetric_input_are_said():
    rule, arguments, _ = _RIGHT["saturated tanh"]
    (lost,) = check(rule, *arguments, **_FIRST).roundings
    assert lost.dtype == "float64"
    # How many depends on where the tanh of a platform becomes 1.
    assert lost.ulps > 1e6 > 1e3 > lost.leaf_ulps
    rule, arguments, options = _RIGHT["a Cholesky factor"]
    report = str(check(rule, *arguments, **options))
    assert "rounding   bfloat16  forward refuses it" in report
    assert "symmetric" not in report, "it is right entry by entry"
    rule, arguments, options = _RIGHT["the largest eigenvalue"]
    assert "a taken as symmetric" in str(check(rule, *arguments, **options))
    assert not check((rule[0], lambda v, dy: 1.01 * rule[1](v, dy)), *arguments)


def _except(backward, element, value):
    """Return a backward that is right but for one element."""

    def run(saved, dy):
        found = np.array(backward(saved, dy))
        found[element] = value(found[element])
        return found

    return run


def _in_place(x):
    kept = np.array(x)
    x *= 2
    return kept * kept, kept


def _float32(x):
    return np.float32(1e6) + np.square(x.astype(np.float32)), x


@jax.custom_vjp
def _cube(x):
    return jnp.sum(x**3)


_cube.defvjp(lambda x: (_cube(x), x), lambda x, dy: (3 * jax.lax.stop_gradient(x) ** 2 * dy,))

_MANY = _RNG.normal(size=2000)
_NUMPY = (lambda x: (np.square(x), x), _SQUARE[1])
_NUMPY_SUM = (lambda x: (np.sum(np.square(x)), x), _SQUARE[1])
_FLOOR = (lambda x: (jnp.floor(x), x), lambda slope: lambda x, dy: jnp.where(x == jnp.round(x), slope, 0.0) * dy)
_ROOT = (
    lambda x: (jnp.sqrt(x), x),
    lambda slope: lambda x, dy: jnp.where(x == 0, slope, 0.5 / jnp.sqrt(jnp.where(x == 0, 1.0, x))) * dy,
)
_WRONG = {
    "one of 2,000 off by 10 % in NumPy": ((_NUMPY[0], _except(_NUMPY[1], 1234, lambda g: 1.1 * g)), (_MANY,), ""),
    "one of 2,000 lost in NumPy": ((_NUMPY_SUM[0], _except(_NUMPY_SUM[1], 777, lambda g: 0 * g)), (_MANY,), "x[777]"),
    "a small one lost beside a large": (
        (lambda x: (jnp.sum(x * x), x), lambda x, dy: jnp.where(jnp.abs(x) < 1, 0.0, 2 * x * dy)),
        (np.asarray([1e6, 0.5, 0.3]),),
        "",
    ),
    "a small one lost beside a large in NumPy": (
        (lambda x: (np.sum(np.square(x)), x), _except(_SQUARE[1], 1, lambda g: 0 * g)),
        (np.asarray([1e6, 0.5, 0.3]),),
        "",
    ),
    "a slope of floor": ((_FLOOR[0], lambda x, dy: 7 * dy), (np.asarray([0.3, 1.7]),), ""),
    "a slope of floor at a jump": (
        (_FLOOR[0], _FLOOR[1](7.0)),
        (np.asarray([0.3, 2.0]),),
        "at the kink x[1] the gradient",
    ),
    "a slope of the root at 0": ((_ROOT[0], _ROOT[1](5.0)), (np.asarray([0.0, 2.0]),), "at the kink x[0] the gradient"),
    "a forward that works in place": ((_in_place, _SQUARE[1]), (np.asarray([0.5, -2.0]),), "changes its arguments"),
    "float32 on 1e6": ((_float32, lambda x, dy: 3 * x * dy), (np.asarray([0.5, -2.0]),), "no witness can tell"),
    "float32 on 1e6, zero": ((_float32, lambda x, dy: 0 * x * dy), (np.asarray([0.5, -2.0]),), "no witness can tell"),
    "a Hessian lost": (
        (lambda x: (jnp.sum(x**3), x), lambda x, dy: 3 * jax.lax.stop_gradient(x) ** 2 * dy),
        (np.asarray([0.5, -2.0]),),
        "the derivative through backward is not that of the gradient at x[0]",
    ),
    "a Hessian lost in a custom rule": (_cube, (np.asarray([0.5, -2.0]),), "the derivative through backward"),
    "a saturated element": (
        (lambda z: (jnp.tanh(40 * z), z), lambda z, dy: _tanh40(z, dy).at[0].set(1e-6)),
        (np.asarray([0.6, -0.5, 0.01], np.float32),),
        "z[0]",
    ),
}


@pytest.mark.parametrize("name", sampled(_WRONG, lambda name: list(_WRONG).index(name) % 8 == 0))
def test_a_wrong_rule_fails_wherever_it_hides(name):
    rule, arguments, words = _WRONG[name]
    options = _FIRST if "Hessian" not in name else {"dtypes": ()}
    report = check(rule, *arguments, **options)
    assert not report
    assert words in str(report)


@pytest.mark.parametrize("slope", [0.0, 1e300])
def test_at_a_vertical_tangent_0_will_do_and_what_is_as_good_as_infinite(slope):
    assert check((_ROOT[0], _ROOT[1](slope)), np.asarray([0.0, 2.0]), **_FIRST)


@pytest.mark.every
def test_the_verdict_says_how_many_numbers_were_tried():
    whole = check(_NUMPY, _MANY)
    assert whole.tried == (2000, 2000)
    assert str(whole).splitlines()[0].endswith(">")
    some = check(_NUMPY, _MANY, max_elements=100)
    assert some
    assert some.tried == (100, 2000)
    assert str(some).splitlines()[0].endswith("(100 of 2000 numbers tried)")
    # Automatic differentiation tries every number, and so needs no more than a sample of differences.
    traced = check(_SQUARE, _MANY, **_FIRST)
    assert traced.tried == (2000, 2000)
    assert "64 of 2000 numbers differentiated numerically" in str(traced)


@pytest.mark.parametrize("size", [1e-250, 1e250])
def test_a_wrong_gradient_of_any_size_is_named_without_a_warning(size):
    """Squares of such numbers leave the range; the suite makes errors of NumPy's warnings."""
    wrong = (lambda x: (size * x, x), lambda x, dy: -size * dy)
    assert "the sign is wrong" in str(check(wrong, np.asarray([0.5, 2.0, -1.0]), **_FIRST))


def test_parameters_with_whole_numbers_are_named_leaf_by_leaf():
    with pytest.raises(TypeError, match=r"params\['w'\] must be a floating-point array .* int64\[2\]"):
        check(fn.L2(0.1), {"b": np.asarray([0.5]), "w": np.asarray([1, 2])})
