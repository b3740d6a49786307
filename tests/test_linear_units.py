"""Linear models in any units and dtypes, without penalty, and where floating point ends."""

import warnings

import numpy as np
import pytest

import funcnet as fn
from funcnet import linear
from funcnet.linear import classification, paths, regression
from tests.helpers import sampled


def problem(seed=0, samples=50, features=3):
    """Return features of different sizes and means, targets and labels that overlap."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, features)) * np.geomspace(1, 4, features) + np.arange(features)
    y = x @ np.array([2.0, -1.0, 0.0][:features]) + 3 + 0.5 * rng.standard_normal(samples)
    return x, y, (y + 2 * rng.standard_normal(samples) > y.mean()).astype(int)


# --- Units

FACTORS = {np.float32: (1e-37, 1.6e-19, 1e-10, 1e6, 1e19, 1e36), np.float64: (1e-300, 1e-160, 1e-30, 1e154, 1e300)}
EACH = [(dtype, factor) for dtype, factors in FACTORS.items() for factor in factors]
# All ladders of this file have twelve penalties, like those of single fits, so that they share programs.
FITS = {
    "lasso": lambda x, y, labels, f, **o: linear.elastic_net(x, y, 0.1 * f, **o),
    "net": lambda x, y, labels, f, **o: linear.elastic_net(x, y, 0.1, l1_ratio=0.5, standardize=True, **o),
    "least squares": lambda x, y, labels, f, **o: linear.elastic_net(x, y, 0.0, **o),
    "logistic": lambda x, y, labels, f, **o: linear.logistic(x, labels, 0.05 * f, **o),
    "logistic, L2": lambda x, y, labels, f, **o: linear.logistic(x, labels, 0.05, l1_ratio=0.0, standardize=True, **o),
    "logistic alone": lambda x, y, labels, f, **o: linear.logistic(x, labels, 0.0, **o),
    "chosen": lambda x, y, labels, f, **o: linear.elastic_net_path(x, y, count=12, **o),
    "chosen classes": lambda x, y, labels, f, **o: linear.logistic_path(x, labels, count=12, smallest=0.05, **o),
}


@pytest.mark.parametrize("name", sampled(FITS, lambda name: list(FITS).index(name) % 3 == 0))
def test_units_of_the_features_do_not_matter(name):
    """Coefficients are those of ordinary features in float64, divided by the factor (F3: they were 0, with gap 0)."""
    x, y, labels = problem()
    options = {"tolerance": 1e-13}
    right = FITS[name](x, y, labels, 1.0, **options).coefficients
    assert np.abs(right).max() > 0.1
    for dtype, factor in EACH:
        small = (x * factor).astype(dtype)
        got = FITS[name](small, y.astype(dtype), labels, factor, **options)
        assert np.all(got.converged)
        scaled = got.coefficients.astype(np.longdouble) * np.longdouble(factor)
        limit = 1e-5 if dtype == np.float32 else 1e-6
        np.testing.assert_allclose(scaled.astype(float), right, rtol=limit, atol=limit, err_msg=f"{dtype} {factor}")


def test_the_charges_of_the_report():
    """Two features in coulomb in float32."""
    q = (np.random.default_rng(0).normal(size=(50, 2)) * 1.6e-19).astype(np.float32)
    y = 2 * q[:, 0] / np.float32(1.6e-19)
    fit = linear.elastic_net(q, y, 0.01, standardize=True)
    deviation = (q[:, 0].astype(float) / 1.6e-19).std()  # by hand: the other is orthogonal but for chance
    np.testing.assert_allclose(fit.coefficients[0] * 1.6e-19, 2 - 0.01 / deviation, rtol=1e-3)
    assert fit.coefficients.dtype == np.float32


@pytest.mark.parametrize("factor", [1e-200, 1e-160, 1e30, 1e250])
def test_units_of_the_target_do_not_matter(factor):
    """Coefficients follow y, of ridge by cross-validation too; errors follow its square where it is a number."""
    x, y, _ = problem()
    right = linear.elastic_net(x, y, 0.1, tolerance=1e-13)
    got = linear.elastic_net(x, y * factor, 0.1 * factor, tolerance=1e-13)
    np.testing.assert_allclose(got.coefficients / factor, right.coefficients, rtol=1e-9)
    np.testing.assert_allclose(got.intercept / factor, right.intercept, rtol=1e-9)
    options = {"l1_ratios": [0.0], "penalties": [1.0, 0.1, 0.01], "folds": 4}
    right, got = linear.cross_validate(x, y, **options), linear.cross_validate(x, y * factor, **options)
    assert (got.best_ratio, got.best_penalty) == (right.best_ratio, right.best_penalty)
    if 1e-100 < factor < 1e100:
        np.testing.assert_allclose(got.errors / factor**2, right.errors, rtol=1e-9)


def test_powers_of_two_change_no_bit():
    """x times 2^k and y times 2^m, with penalties to match: the same digits."""
    x, y, labels = problem()
    powers, m = np.array([-600, 40, 500]), -30
    first, second = (
        linear.elastic_net_path(x, y, count=12, standardize=True),
        linear.elastic_net_path(np.ldexp(x, powers), np.ldexp(y, m), count=12, standardize=True),
    )
    np.testing.assert_array_equal(np.ldexp(second.coefficients, powers - m), first.coefficients)
    np.testing.assert_array_equal(np.ldexp(second.gaps, -2 * m), first.gaps)
    penalties = np.geomspace(0.1, 0.01, 12)
    first = linear.logistic_path(x, labels, penalties=penalties)
    second = linear.logistic_path(np.ldexp(x, -900), labels, penalties=np.ldexp(penalties, -900))
    np.testing.assert_array_equal(np.ldexp(second.coefficients, -900), first.coefficients)


def test_columns_of_very_different_units(rng):
    """Without standardising, the penalty bears on the small column alone: the large one is least squares."""
    x = rng.standard_normal((40, 2)) * [1e-150, 1e150]
    y = x @ [3e150, 2e-150] + 0.1 * rng.standard_normal(40)
    for ratio in (1.0, 0.5, 0.0):
        fit = linear.elastic_net(x, y, 1e-130, l1_ratio=ratio, tolerance=1e-12)
        centred = x[:, 1] * 1e-150 - (x[:, 1] * 1e-150).mean()
        alone = centred @ (y - y.mean()) / (centred @ centred)
        np.testing.assert_allclose(fit.coefficients * [1e-150, 1e150], [0, alone], rtol=1e-8, atol=1e-12)


def test_numbers_that_no_float_holds_are_refused():
    """A slope of 1e600, and a penalty that would be chosen out of range."""
    x, y, _ = problem()
    with pytest.raises(ValueError, match=r"float64 can hold, but the scales .* Try: other units"):
        linear.elastic_net(x * 1e-300, y * 1e300, 0.1, standardize=True)
    with pytest.raises(ValueError, match=r"float32 can hold, but .* Try: other units"):
        linear.elastic_net((x * 1e-30).astype(np.float32), y * 1e15, 1e-9, standardize=True)
    with pytest.raises(ValueError, match=r"leaves the range of float64, but .* Try: penalties="):
        linear.elastic_net_path(x * 1e200, y * 1e200)


@pytest.mark.parametrize("scale", [1e-320, 1e-100, 1e308, np.longdouble("1e400")])
def test_weights_are_relative(scale, rng):
    """Their sums may leave the range; samples of weight 0 may hold anything."""
    x, y, labels = problem()
    weight = rng.uniform(0.5, 1.5, 50)
    weight[7] = 0
    wild = x.copy()
    wild[7] = 1e300
    for fit, target in ((linear.elastic_net, y), (linear.logistic, labels)):
        right = fit(x, target, 0.05, weight=weight, tolerance=1e-13).coefficients
        got = fit(wild, target, 0.05, weight=weight * scale, tolerance=1e-13).coefficients
        np.testing.assert_allclose(got, right, rtol=1e-2 if scale == 1e-320 else 1e-7)
    got = linear.elastic_net(x.astype(np.float32), y, 0.05, weight=weight * 1e39, tolerance=1e-13).coefficients
    np.testing.assert_allclose(got, linear.elastic_net(x, y, 0.05, weight=weight).coefficients, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("factor", [1e-300, 1e-160, 1.0, 1e154, 1e300])
def test_standardizing_data_in_any_units(factor, rng):
    """Mean 0 and variance 1, and others by the same numbers, as without the factor."""
    train, other = rng.standard_normal((30, 2)) * [1, 5] + 3, rng.standard_normal((4, 2))
    (right, moved), means, scales = fn.data.standardize(train, other)
    (got, shifted), got_means, got_scales = fn.data.standardize(train * factor, other * factor)
    np.testing.assert_allclose(got.std(axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shifted, moved, rtol=1e-9)
    np.testing.assert_allclose(got_means / factor, means, rtol=1e-12)
    np.testing.assert_allclose(got_scales / factor, scales, rtol=1e-12)


# --- Without penalty


@pytest.mark.every
def test_penalty_zero_is_least_squares(rng):
    """NumPy's solution, weighted and at the end of a path; with repeated features the same predictions."""
    x, y, _ = problem()
    weight = rng.uniform(0.5, 2, 50)
    root = np.sqrt(weight)[:, None]
    right = np.linalg.lstsq(np.column_stack([x, np.ones(50)]) * root, y * root[:, 0])[0]
    fit = linear.elastic_net(x, y, 0.0, weight=weight)
    np.testing.assert_allclose(np.append(fit.coefficients, fit.intercept), right, rtol=1e-10)
    path = linear.elastic_net_path(x, y, penalties=[0.1, 0.01, 0.0], weight=weight, standardize=True)
    np.testing.assert_allclose(path.coefficients[-1], right[:-1], rtol=1e-10)
    assert path.converged.all()
    assert (path.gaps[-1] < 1e-12).all()
    twice = linear.elastic_net(np.column_stack([x, x[:, :1]]), y, 0.0, weight=weight)
    np.testing.assert_allclose(twice.predict(np.column_stack([x, x[:, :1]])), fit.predict(x), rtol=1e-10)
    assert linear.elastic_net_path(x, y, penalties=0, weight=weight).coefficients.shape == (1, 3)


def test_penalty_zero_with_few_samples(rng):
    """The shortest solution of those that fit exactly."""
    x, y = rng.standard_normal((7, 20)), rng.standard_normal(7)
    centred = x - x.mean(0)
    fit = linear.elastic_net(x, y, 0.0)
    np.testing.assert_allclose(fit.coefficients, np.linalg.pinv(centred) @ (y - y.mean()), rtol=1e-8)
    np.testing.assert_allclose(fit.predict(x), y, rtol=1e-9)


@pytest.mark.parametrize("shape", [(30, 6), (6, 30)])
def test_ridge_solves_its_equations(shape, rng):
    """(XᵀX/n + λ) w = Xᵀy/n for penalties from strong to hardly any, with features that nearly repeat each other."""
    x, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    x[:, 1] = x[:, 0] + 1e-6 * x[:, 1]
    path = linear.elastic_net_path(
        x, y, l1_ratio=0.0, penalties=[10.0, 0.1, 1e-6, 1e-14], intercept=False, tolerance=1e-20
    )
    for penalty, w in zip(path.penalties, path.coefficients, strict=True):
        normal = x.T @ (y - x @ w) / len(y) - penalty * w
        assert np.abs(normal).max() < 1e-11
    assert path.converged.all()


def newton(x, y, classes):
    """Return coefficients of logistic regression without penalty, by Newton's method on all of them."""
    design = np.column_stack([x, np.ones(len(x))])
    w = np.zeros((classes - 1) * design.shape[1])
    onehot = np.eye(classes)[y]
    for _ in range(30):
        z = np.column_stack([np.zeros(len(x)), design @ w.reshape(classes - 1, -1).T])
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        gradient = ((onehot - p)[:, 1:].T @ design).ravel()
        blocks = [
            [design.T @ (design * (p[:, i] * ((i == j) - p[:, j]))[:, None]) for j in range(1, classes)]
            for i in range(1, classes)
        ]
        w = w + np.linalg.solve(np.block(blocks), gradient)
    return w.reshape(classes - 1, -1)


@pytest.mark.every
def test_logistic_regression_without_penalty(rng):
    """Newton's solution; of three classes the differences to the first; and classes without overlap are refused."""
    x, _, labels = problem()
    fit = linear.logistic(x, labels, 0.0, tolerance=1e-12)
    np.testing.assert_allclose(np.append(fit.coefficients, fit.intercept), newton(x, labels, 2)[0], rtol=1e-6)
    three = rng.integers(0, 3, 50)
    fit = linear.logistic(x, three, 0.0, tolerance=1e-12)
    got = np.column_stack([fit.coefficients, fit.intercept])
    np.testing.assert_allclose(got[1:] - got[0], newton(x, three, 3), rtol=1e-5, atol=1e-7)
    with pytest.raises(
        ValueError, match=r"classes must overlap .*, but they can be told apart .* Try: a small penalty"
    ):
        linear.logistic(x, (x[:, 0] > 0).astype(int), 0.0, max_sweeps=300)


# --- Tolerance


def test_a_single_penalty_is_swept_at_least_once():
    """F22: λ = 1e-8 and a tolerance that the last penalty on the way had met already; scikit-learn gives 0.99999998."""
    x = np.array([[-1.0], [0.0], [1.0]])
    np.testing.assert_allclose(
        linear.elastic_net(x, x[:, 0], 1e-8, tolerance=1e-4).coefficients, 1 - 1.5e-8, rtol=1e-12
    )
    with pytest.MonkeyPatch.context() as patch:  # the test can fail: without that sweep the gap alone decides
        solve = regression.solve
        patch.setattr(regression, "solve", lambda *arguments, least: solve(*arguments))
        assert linear.elastic_net(x, x[:, 0], 1e-8, tolerance=1e-4).coefficients[0] < 0.999


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_classes_with_l2_alone_have_coefficients_of_sum_zero(ratio, rng):
    """At the default tolerance; with L1 beside it zeros matter more."""
    x, labels = rng.standard_normal((50, 3)), rng.integers(0, 3, 50)
    total = linear.logistic(x, labels, 0.02, l1_ratio=ratio).coefficients.sum(axis=0)
    if ratio == 0:
        assert np.abs(total).max() < 1e-15
    else:
        assert np.abs(total).max() > 1e-6


def test_a_tolerance_beyond_floating_point_ends(rng):
    """No smaller gap can be had: it stops, far from `max_sweeps`, and 1e-12 counts as converged."""
    x, y, labels = problem()
    for fit in (linear.elastic_net(x, y, 0.01, tolerance=1e-300), linear.logistic(x, labels, 0.01, tolerance=1e-300)):
        assert fit.converged
        assert fit.sweeps < 60_000


@pytest.mark.every
def test_what_has_not_converged_is_said():
    """One sweep is too few: a warning with the gap, and `converged` is False; the gap is true."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 20)) + 5 * rng.standard_normal((40, 1))
    y = x @ rng.standard_normal(20)
    with pytest.warns(RuntimeWarning, match=r"12 of 12 penalties ended above .* gap of up to .* max_sweeps"):
        path = linear.elastic_net_path(x, y, penalties=np.geomspace(10, 1e-4, 12), max_sweeps=1)
    assert not path.converged.any()
    with pytest.warns(RuntimeWarning, match="the solution ended above the tolerance, with a gap of"):
        fit = linear.elastic_net(x, y, 1e-3, max_sweeps=1)
    assert "not converged" in repr(fit)
    right = linear.elastic_net(x, y, 1e-3, tolerance=1e-12)

    def objective(fit):
        return 0.5 * np.mean((y - fit.predict(x)) ** 2) + 1e-3 * np.abs(fit.coefficients).sum()

    assert 0 < objective(fit) - objective(right) <= fit.gap
    with pytest.warns(RuntimeWarning, match="ended above"):
        linear.logistic_path(x, (y > 0).astype(int), penalties=np.geomspace(0.1, 1e-3, 12), max_sweeps=1)


# --- Segments


@pytest.mark.parametrize("module", [regression, classification])
def test_python_comes_by_between_segments(module, monkeypatch):
    """Ctrl-C ends a path where a segment ends; many segments give what one gives."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 20)) + 3 * rng.standard_normal((40, 1))
    y = x @ rng.standard_normal(20) + rng.standard_normal(40)
    y = y if module is regression else (y > 0).astype(int)
    path = linear.elastic_net_path if module is regression else linear.logistic_path
    options = {"penalties": np.geomspace(1, 1e-2, 12), "tolerance": 1e-10}
    right = path(x, y, **options)
    calls = []
    program = module.path_program

    def spy(*arguments, **settings):
        calls.append(1)
        if len(calls) == limit:
            raise KeyboardInterrupt
        return program(*arguments, **settings)

    monkeypatch.setattr(module, "path_program", spy)
    monkeypatch.setattr(module, "SEGMENT", 1)
    limit = None
    got = path(x, y, **options)
    assert len(calls) > 3
    np.testing.assert_allclose(got.coefficients, right.coefficients, rtol=0, atol=1e-4)
    calls, limit = [], 3
    with pytest.raises(KeyboardInterrupt):
        path(x, y, **options)


# --- Dtypes and words


def test_other_dtypes():
    """Big-endian and arrays of other libraries are taken; what would lose digits or is none is refused in words."""
    x, y, labels = problem()
    right = linear.elastic_net(x, y, 0.1).coefficients

    class Tensor:
        """What PyTorch's looks like."""

        shape, dtype, data, indices = x.shape, "torch.float64", None, None

        def __array__(self, dtype=None, copy=None):
            return x

    for other in (x.astype(">f8"), Tensor(), np.asfortranarray(x)):
        np.testing.assert_array_equal(linear.elastic_net(other, y.astype(">f8"), 0.1).coefficients, right)
    assert linear.elastic_net(x.astype(">f4"), list(y), 0.1).coefficients.dtype == np.float32
    np.testing.assert_array_equal(
        linear.logistic(x, labels.astype(bool), 0.1).coefficients, linear.logistic(x, labels, 0.1).coefficients
    )
    for bad in (x.astype(np.longdouble), x.astype(np.float16), x.astype(complex), x.tolist(), "x", x.astype(object)):
        with pytest.raises(TypeError, match=r"x must be .*, but .* Try: ") as caught:
            linear.elastic_net(bad, y, 0.1)
        assert len(str(caught.value)) < 120
    with pytest.raises(ValueError, match="y must be finite"):
        linear.elastic_net(x, np.full(50, np.longdouble("1e400")), 0.1)


def test_results_are_shown_in_a_line():
    """Whatever their size."""
    x, y, labels = problem()
    assert repr(linear.elastic_net(x, y, 0.1)).startswith("Fit(3 coefficients, 3 not 0, gap ")
    path = linear.elastic_net_path(x, y, count=12)
    assert repr(path).startswith("Path(12 penalties from 2.")
    assert repr(path).endswith("3 coefficients, 12 converged)")
    assert "2 × 3 coefficients" not in repr(linear.logistic(x, labels, 0.1))
    assert repr(linear.logistic(x, labels + 1, 0.1, intercept=False)).startswith("Fit(3 × 3 coefficients")
    result = linear.cross_validate(x, y, l1_ratios=[0.0], penalties=[1.0, 0.1, 0.01], folds=4)
    assert repr(result).startswith("CrossValidation(1 ratios × 3 penalties × 4 folds, best: ratio 0")


def test_one_default_for_the_mixing_ratio():
    """All four begin with L1 alone."""
    x, y, labels = problem()
    assert paths.APPROACH
    for fit, path, target in (
        (linear.elastic_net, linear.elastic_net_path, y),
        (linear.logistic, linear.logistic_path, labels),
    ):
        right = fit(x, target, 0.05, l1_ratio=1.0, tolerance=1e-12).coefficients
        np.testing.assert_array_equal(fit(x, target, 0.05, tolerance=1e-12).coefficients, right)
        along = path(x, target, penalties=[0.05], tolerance=1e-12).coefficients[0]
        np.testing.assert_allclose(along, right, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match="unexpected keyword"):
            linear.elastic_net(x, y, 0.05, ratio=1.0)
