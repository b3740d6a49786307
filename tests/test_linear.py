"""Linear models: scikit-learn's solutions, optimality, duality gaps, and what a bad input meets."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet.linear as linear
from funcnet.linear import classification, cross_validation, gap, regression
from funcnet.linear.dense import DenseRows
from funcnet.linear.descent import DEPTH, Quadratic, extrapolate, padded, solve_small, without
from funcnet.linear.least_squares import Gathered, growing, padded_rows, set_out, walk, whole
from funcnet.linear.multinomial import Samples, null_model, outset, turns
from funcnet.linear.ridge import ridge
from tests.helpers import sampled

RECORDED = dict(np.load(pathlib.Path(__file__).parent / "recorded" / "linear.npz"))
SETS = ("dense", "correlated", "wide")
RATIOS = (1.0, 0.5, 0.1)
# The gap of an objective with an L2 part is quadratic in the error, so 1e-6 in coefficients asks for much less in it.
TIGHT = {"tolerance": 1e-15, "max_sweeps": 100_000}


def recorded(name):
    """Return features and targets of a recorded set."""
    return RECORDED[f"{name}/x"], RECORDED[f"{name}/y"]


# --- The same solutions as scikit-learn's


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", SETS)
def test_path_equals_enet_path(name, ratio):
    """Coefficients within 1e-6, with the same zeros."""
    x, y = recorded(name)
    path = linear.elastic_net_path(x, y, l1_ratio=ratio, count=12, smallest=0.01, **TIGHT)
    np.testing.assert_allclose(path.penalties, RECORDED[f"{name}/penalties {ratio}"], rtol=1e-12)
    expected = RECORDED[f"{name}/path {ratio}"]
    np.testing.assert_allclose(path.coefficients, expected, rtol=0, atol=1e-6)
    assert ((path.coefficients == 0) == (np.abs(expected) < 1e-9)).all()
    np.testing.assert_allclose(path.intercepts, y.mean() - expected @ x.mean(0), rtol=0, atol=1e-6)
    assert path.converged.all()


@pytest.mark.parametrize("name", SETS)
def test_single_penalties_equal_lasso_elastic_net_and_ridge(name):
    """Lasso and ElasticNet at α = λ, Ridge at α = n λ."""
    x, y = recorded(name)
    for label, ratio, penalty in (("lasso", 1.0, 0.1), ("net", 0.5, 0.1), ("ridge", 0.0, 2.0 / len(x))):
        fit = linear.elastic_net(x, y, penalty, l1_ratio=ratio, **TIGHT)
        got = np.append(fit.coefficients, fit.intercept)
        np.testing.assert_allclose(got, RECORDED[f"{name}/{label}"], rtol=0, atol=1e-6, err_msg=label)
        assert fit.converged, label


def test_path_equals_scikit_learn_of_today():
    """The recorded comparison, live, where scikit-learn is installed."""
    models = pytest.importorskip("sklearn.linear_model")
    x, y = recorded("correlated")
    path = linear.elastic_net_path(x, y, l1_ratio=0.5, count=12, smallest=0.01, **TIGHT)
    centred = (x - x.mean(0), y - y.mean())
    _, expected, _ = models.enet_path(*centred, l1_ratio=0.5, alphas=path.penalties, tol=1e-15, max_iter=1_000_000)
    np.testing.assert_allclose(path.coefficients, expected.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", sampled(["tall", "flat"], lambda shape: shape == "flat"))
def test_logistic_equals_logistic_regression(shape, classes):
    """Ridge, elastic net and lasso at λ = 1/(nC); several classes have intercepts of sum 0."""
    x, y = recorded(f"{shape} {classes}")
    for ratio in (0.0, 0.5, 1.0):
        fit = linear.logistic(x, y, 0.02, l1_ratio=ratio, tolerance=1e-14)
        expected = RECORDED[f"{shape} {classes}/{ratio}"]
        got = np.column_stack([np.atleast_2d(fit.coefficients), np.atleast_1d(fit.intercept)])
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6, err_msg=f"ratio {ratio}")
        assert fit.converged


# --- Optimality


def squares_kkt(x, y, weight, path, ratio, intercept=True):
    """Return how far each solution of a path is from the optimality conditions."""
    share = weight / weight.sum()
    worst = []
    for penalty, w, b in zip(path.penalties, path.coefficients, path.intercepts, strict=True):
        rest = y - b - x @ w
        g = x.T @ (share * rest) - penalty * (1 - ratio) * w
        l1 = penalty * ratio
        off = np.where(w != 0, np.abs(g - l1 * np.sign(w)), np.maximum(np.abs(g) - l1, 0))
        worst.append(max(off.max(), abs(share @ rest) if intercept else abs(b)))
    return np.asarray(worst)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("name", SETS)
def test_solutions_are_optimal(name, intercept, rng):
    """λ₁ sign(w) where w ≠ 0, at most λ₁ elsewhere, with weights; and a moved coefficient is found out."""
    x, y = recorded(name)
    weight = rng.uniform(0.1, 3, len(y))
    for ratio in (1.0, 0.5):
        path = linear.elastic_net_path(
            x, y, l1_ratio=ratio, count=12, smallest=0.01, weight=weight, intercept=intercept, **TIGHT
        )
        assert (path.coefficients == 0).any()
        assert squares_kkt(x, y, weight, path, ratio, intercept).max() < 1e-6
    moved = path.coefficients.copy()
    moved[-1, np.argmax(np.abs(moved[-1]))] += 1e-4
    wrong = linear.Path(path.penalties, moved, path.intercepts, path.gaps, path.converged, path.sweeps)
    assert squares_kkt(x, y, weight, wrong, ratio, intercept)[-1] > 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_solutions_are_optimal(classes, rng):
    """The same conditions with the residual Y − P, and a moved coefficient is found out."""
    x, y = recorded(f"flat {classes}")
    weight = rng.uniform(0.1, 3, len(y))
    grid = {"count": 12, "smallest": 0.05} if classes == 2 else {"penalties": np.geomspace(1, 0.01, 12)}
    path = linear.logistic_path(x, y, l1_ratio=0.9, weight=weight, tolerance=1e-14, **grid)

    def off(w, b, penalty):
        z = x @ np.atleast_2d(w).T + np.atleast_1d(b)
        z = np.column_stack([np.zeros(len(z)), z]) if classes == 2 else z
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        rho = (weight / weight.sum())[:, None] * (np.eye(classes)[y] - p)
        rho = rho[:, 1:] if classes == 2 else rho
        w = np.atleast_2d(w)
        g = rho.T @ x - penalty * 0.1 * w
        bad = np.where(w != 0, np.abs(g - 0.9 * penalty * np.sign(w)), np.maximum(np.abs(g) - 0.9 * penalty, 0))
        return max(bad.max(), np.abs(rho.sum(0)).max())

    for w, b, penalty in zip(path.coefficients, path.intercepts, path.penalties, strict=True):
        assert off(w, b, penalty) < 1e-6
    assert (path.coefficients[0] == 0).all()
    assert off(path.coefficients[-1] + 1e-3, path.intercepts[-1], path.penalties[-1]) > 1e-6


def test_coefficients_are_exactly_zero_down_to_the_largest_penalty():
    """At λ_max all are 0; a little below, one is not."""
    x, y = recorded("dense")
    top = linear.elastic_net_path(x, y, count=12, **TIGHT).penalties[0]
    path = linear.elastic_net_path(x, y, penalties=top * np.geomspace(1.001, 0.999, 12), **TIGHT)
    assert (path.coefficients[0] == 0).all()
    assert (path.coefficients[-1] != 0).sum() == 1


# --- Duality gaps


def test_the_gap_bounds_the_distance_from_the_minimum():
    """A loose path: P(w) − P* ≤ gap ≤ tolerance × mean square; the bound is not vacuous."""
    for name in SETS:
        x, y = recorded(name)
        for ratio in (1.0, 0.5):

            def objective(path, x=x, y=y, ratio=ratio):
                rest = y - path.predict(x)
                w = path.coefficients
                penalty = ratio * np.abs(w).sum(1) + (1 - ratio) / 2 * (w * w).sum(1)
                return 0.5 * (rest * rest).mean(1) + path.penalties * penalty

            options = {"l1_ratio": ratio, "count": 12, "smallest": 0.01}
            loose = linear.elastic_net_path(x, y, tolerance=1e-3, **options)
            distance = objective(loose) - objective(linear.elastic_net_path(x, y, **options, **TIGHT))
            assert (distance <= loose.gaps + 1e-13).all()
            assert (loose.gaps <= 1e-3 * y.var()).all()
            assert loose.gaps.max() > 1e-5 * y.var()


def test_gaps_equal_their_definition(rng):
    """Primal minus dual, both written out, at points that are not solutions."""
    x, y, w = rng.standard_normal((7, 4)), rng.standard_normal(7), rng.standard_normal(4)
    rest = y - x @ w
    g = x.T @ rest
    for l1, l2 in ((0.3, 0.0), (0.3, 0.7), (0.0, 0.7)):
        primal = 0.5 * rest @ rest + l1 * np.abs(w).sum() + 0.5 * l2 * w @ w
        v, enlarged = g - l2 * w, rest @ rest + l2 * w @ w
        limit = l1 / np.abs(v).max()
        scales = np.clip(y @ rest / enlarged, -limit, limit) + np.linspace(-1e-3, 1e-3, 3)
        # ½‖y‖² − ½‖(y, 0) − c (r, −√λ₂w)‖², at the best feasible c
        duals = [c * y @ rest - 0.5 * c**2 * enlarged for c in scales if abs(c) <= limit + 1e-12]
        if l2 > 0:
            duals.append(y @ rest - 0.5 * rest @ rest - (np.maximum(np.abs(g) - l1, 0) ** 2).sum() / (2 * l2))
        got = gap.squares(*map(jnp.asarray, (w, g, rest @ rest, l1, l2)))
        assert primal > 0
        np.testing.assert_allclose(got, primal - max(duals), rtol=1e-10)

    z, labels, share = (
        rng.standard_normal((3, 7)),
        np.eye(3)[[0, 1, 2, 0, 1, 2, 0]].T,
        rng.dirichlet(np.ones(7)),
    )
    w = rng.standard_normal((3, 4))
    z = w @ x.T
    p = np.exp(z) / np.exp(z).sum(0)
    v = (share * (labels - p)) @ x
    for l1, l2 in ((0.02, 0.0), (0.02, 0.3)):
        c = 1.0 if l2 else min(1.0, l1 / np.abs(v).max())
        primal = (
            share @ (np.log(np.exp(z).sum(0)) - (labels * z).sum(0)) + l1 * np.abs(w).sum() + l2 / 2 * (w * w).sum()
        )
        mixed = (1 - c) * labels + c * p
        entropy = -(share * np.where(mixed > 0, mixed * np.log(np.where(mixed > 0, mixed, 1)), 0)).sum()
        conjugate = (np.maximum(np.abs(c * v) - l1, 0) ** 2).sum() / (2 * l2) if l2 else 0.0
        got = gap.classes(*map(jnp.asarray, (w, v, p, labels, share, l1, l2)))
        np.testing.assert_allclose(got, primal - (entropy - conjugate), rtol=1e-10)


# --- The descent itself


def quadratic(rng, k=32, real=27):
    """Return a random problem of `real` coordinates, padded, with its start."""
    a = rng.standard_normal((40, real))
    gram, c = np.zeros((k, k)), np.zeros(k)
    gram[:real, :real], c[:real] = a.T @ a / 40, a.T @ rng.standard_normal(40) / 10
    t, u = rng.uniform(0.01, 0.2, k), rng.uniform(0, 0.2, k)
    return Quadratic(*map(jnp.asarray, (gram, c, t, u)), jnp.int32(real))


def test_a_sweep_is_exact_minimisation_one_coordinate_at_a_time(rng):
    """Both forms equal the formula written as a loop, and each step is a minimum along its coordinate."""
    problem = quadratic(rng)
    gram, c, t, u = map(np.asarray, problem[:4])
    w = np.zeros(32)
    for j in range(27):
        rest = c[j] - gram[j] @ w + gram[j, j] * w[j]
        w[j] = np.sign(rest) * max(abs(rest) - t[j], 0) / (gram[j, j] + u[j])

        def f(v, j=j):
            z = w.copy()
            z[j] = v
            return 0.5 * z @ gram @ z - c @ z + t @ np.abs(z) + 0.5 * u @ (z * z)

        assert all(f(w[j]) <= f(w[j] + step) for step in (-1e-3, 1e-3))
    for wide in (False, True):
        got, g, moved = problem._replace(wide=wide).sweep(jnp.zeros(32), problem.correlation)
        np.testing.assert_allclose(got, w, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(g[:27], (c - gram @ w)[:27], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(moved, (np.diagonal(gram) + u) @ (w * w), rtol=1e-12)
    assert (w == 0).any()


def test_small_helpers_of_the_descent(rng):
    """Rows taken off a target, zeros among the coefficients; and elimination on a positive definite system."""
    rows, w, target = (
        rng.standard_normal((7, 32)),
        np.asarray([1.5, 0, -2, 0, 0.5, 9, 9]),
        rng.standard_normal(32),
    )
    for wide, taken in ((False, 5), (True, 7)):
        w_here = np.where(np.arange(7) < taken, w, 0)
        got = without(*map(jnp.asarray, (target, w_here, rows)), jnp.int32(taken), wide)
        np.testing.assert_allclose(got, target - w_here @ rows, rtol=0, atol=1e-13)
    a = rng.standard_normal((8, 5))
    got = solve_small(jnp.asarray(a.T @ a), jnp.ones(5))
    np.testing.assert_allclose(got, np.linalg.solve(a.T @ a, np.ones(5)), rtol=1e-10)


def test_extrapolation_never_raises_the_objective(rng):
    """It jumps ahead of slow sweeps, and keeps the last iterate where the combination is worse or not a number."""
    problem = quadratic(rng)._replace(threshold=jnp.zeros(32), ridge=jnp.zeros(32), wide=True)
    w, g, ws, gs = jnp.zeros(32), problem.correlation, [jnp.zeros(32)], [problem.correlation]
    for _ in range(DEPTH):
        w, g, _ = problem.sweep(w, g)
        ws.append(w)
        gs.append(g)
    before = problem.value(w, g)
    new_w, new_g = extrapolate(problem, jnp.stack(ws), jnp.stack(gs))
    assert problem.value(new_w, new_g) < before
    np.testing.assert_allclose(new_g, problem.correlation - problem.gram @ new_w, rtol=0, atol=1e-12)
    assert before == pytest.approx(float(0.5 * w @ problem.gram @ w - problem.correlation @ w), rel=1e-10)
    still = jnp.stack([w] * (DEPTH + 1))
    same, _ = extrapolate(problem, still, jnp.stack([g] * (DEPTH + 1)))
    np.testing.assert_array_equal(same, w)


def test_a_working_set_that_is_too_small_is_doubled(monkeypatch):
    """The program says so, and the answer is the same."""
    x, y = recorded("wide")
    options = {"count": 12, "smallest": 0.01, **TIGHT}
    expected = linear.elastic_net_path(x, y, **options)
    monkeypatch.setattr(regression, "first_capacity", lambda *shape: 50)
    asked = []
    program = regression.path_program

    def spy(*arguments, settings):
        asked.append(settings.capacity) if settings.capacity not in asked else None
        return program(*arguments, settings=settings)

    monkeypatch.setattr(regression, "path_program", spy)
    got = linear.elastic_net_path(x, y, **options)
    assert asked == [50, 100]
    np.testing.assert_allclose(got.coefficients, expected.coefficients, rtol=0, atol=1e-7)


# --- Properties


def test_a_weight_is_a_number_of_copies():
    """Weights 0, 1, 2 equal rows left out and repeated: squares and classes, standardised by weight."""
    copies = np.tile([0, 1, 2, 1], 15)
    x, y = recorded("dense")
    _, labels = recorded("tall 2")
    for solve, target, more in (
        (linear.elastic_net_path, y, {"tolerance": 1e-15, "standardize": True}),
        (linear.logistic_path, labels, {"tolerance": 1e-14}),
    ):
        options = {"l1_ratio": 0.5, "penalties": np.geomspace(1, 0.01, 12), **more}
        weighted = solve(x, target, weight=copies.astype(float), **options)
        repeated = solve(np.repeat(x, copies, axis=0), np.repeat(target, copies), **options)
        assert np.abs(weighted.coefficients).max() > 0.1
        np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, rtol=0, atol=2e-6)
        np.testing.assert_allclose(weighted.intercepts, repeated.intercepts, rtol=0, atol=2e-6)


def test_standardizing_is_dividing_by_standard_deviations():
    """And coefficients come back in the units of the features."""
    x, y = recorded("dense")
    x = x * np.geomspace(0.1, 10, 20)
    scale = x.std(0)
    options = {"penalties": np.geomspace(1, 0.01, 12), **TIGHT}
    got = linear.elastic_net_path(x, y, standardize=True, **options)
    by_hand = linear.elastic_net_path(x / scale, y, **options)
    np.testing.assert_allclose(got.coefficients, by_hand.coefficients / scale, rtol=0, atol=1e-8)
    assert not np.allclose(got.coefficients, linear.elastic_net_path(x, y, **options).coefficients, atol=1e-3)


def test_float64_keeps_its_precision_without_64_bit_mode():
    """The same numbers inside and outside of JAX's 64-bit mode, which stays as it was."""
    x, y = recorded("dense")
    options = {"l1_ratio": 0.5, "count": 12, **TIGHT}
    inside = linear.elastic_net_path(x, y, **options)
    with jax.enable_x64(False):
        outside = linear.elastic_net_path(x, y, **options)
        assert jnp.zeros(()).dtype == np.float32
    assert outside.coefficients.dtype == np.float64
    np.testing.assert_array_equal(outside.coefficients, inside.coefficients)


@pytest.mark.parametrize("name", ["dense", "wide"])
def test_float32_stays_float32(name):
    """And is as good as float32 can be."""
    x, y = recorded(name)
    options = {"l1_ratio": 0.5, "penalties": np.geomspace(1, 0.1, 12)}
    expected = linear.elastic_net_path(x, y, **options, **TIGHT)
    got = linear.elastic_net_path(x.astype(np.float32), y.astype(np.float32), tolerance=1e-9, **options)
    assert {a.dtype for a in (got.coefficients, got.intercepts)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(got.coefficients, expected.coefficients, rtol=0, atol=1e-4)


def test_numbers_do_not_recompile():
    """Another ratio, tolerance, penalty, weight: the same program."""
    x, y = recorded("dense")
    linear.elastic_net_path(x, y, penalties=np.geomspace(1, 0.1, 12))
    before = regression.path_program._cache_size()
    weight = np.linspace(1, 2, 60)
    linear.elastic_net_path(x, y, penalties=np.geomspace(2, 0.2, 12), l1_ratio=0.3, tolerance=1e-3, weight=weight)
    assert regression.path_program._cache_size() == before


# --- Cross-validation


@pytest.mark.every
def test_cross_validation_equals_elastic_net_cv():
    """Errors of every fold, the chosen pair and the final model; one compiled program."""
    x, y = recorded("dense")
    penalties = RECORDED["validation/penalties"]
    before = cross_validation.cross_validation_program._cache_size()
    got = linear.cross_validate(x, y, l1_ratios=[0.5, 1.0], penalties=penalties, folds=5, **TIGHT)
    assert cross_validation.cross_validation_program._cache_size() == before + 1
    np.testing.assert_allclose(got.errors, RECORDED["validation/errors"], rtol=0, atol=2e-5)
    best = RECORDED["validation/best"]
    np.testing.assert_allclose([got.best_ratio, got.best_penalty], best[:2], rtol=1e-12)
    np.testing.assert_allclose(np.append(got.fit.intercept, got.fit.coefficients), best[2:], rtol=0, atol=1e-6)
    assert got.converged.all()
    options = {"l1_ratios": [0.5, 1.0], "penalties": penalties, "folds": 5, "tolerance": 1e-12}
    together = linear.cross_validate(x, y, together=True, **options)
    np.testing.assert_allclose(together.errors, got.errors, rtol=0, atol=2e-5)


@pytest.mark.every
def test_a_fold_does_not_see_what_it_leaves_out(rng):
    """Folds by label, with weights, equal paths of the samples outside, by a working set too."""
    x, y = recorded("wide")
    weight, labels = rng.uniform(0.5, 2, 40), rng.permutation(np.repeat([3, 7], [13, 27]))
    options = {"penalties": np.geomspace(1, 0.1, 12), **TIGHT}
    got = linear.cross_validate(x, y, l1_ratios=[0.5], folds=labels, weight=weight, **options)
    for i, label in enumerate((3, 7)):
        out = labels == label
        masked = np.where(out, 0, weight)
        path = linear.elastic_net_path(x, y, l1_ratio=0.5, weight=masked, **options)
        wrong = (path.predict(x[out]) - y[out]) ** 2 @ weight[out] / weight[out].sum()
        np.testing.assert_allclose(got.errors[0, :, i], wrong, rtol=1e-6)


# --- Limits, and bad input


def test_constant_columns_single_samples_and_constant_targets():
    """Coefficient 0, the intercept alone, never NaN."""
    x, y = recorded("dense")
    flat = x.copy()
    flat[:, 3], flat[:, 7] = 0.1, 1e6
    for standardize in (False, True):
        path = linear.elastic_net_path(flat, y, penalties=np.geomspace(1, 0.01, 12), standardize=standardize)
        assert (path.coefficients[:, [3, 7]] == 0).all()
        assert (path.coefficients[-1] != 0).any()
        assert np.isfinite(path.coefficients).all()
    shrunk = linear.elastic_net(flat, y, 0.1, l1_ratio=0.0).coefficients
    np.testing.assert_array_equal(shrunk == 0, np.isin(np.arange(20), [3, 7]))
    level = linear.elastic_net_path(x, np.full(60, 7.0), penalties=np.geomspace(1, 0.01, 12))
    assert (level.coefficients == 0).all()
    np.testing.assert_allclose(level.intercepts, 7, rtol=1e-15)
    one = linear.elastic_net_path(x[:1, :3], y[:1], penalties=[1.0], standardize=True)
    assert (one.coefficients == 0).all()
    assert one.intercepts == y[0]
    assert one.converged.all()
    _, labels = recorded("tall 2")
    sigmoid = linear.logistic_path(flat, labels, penalties=np.geomspace(1, 0.01, 12))
    assert (sigmoid.coefficients[:, [3, 7]] == 0).all()
    assert np.isfinite(sigmoid.coefficients).all()


X, Y, L = np.arange(12.0).reshape(6, 2) % 5, np.arange(6.0) % 4, np.arange(6) % 2


def nan(a):
    """Return a copy whose second number is not one."""
    a = a.copy()
    a.flat[1] = np.nan
    return a


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (ValueError, {"l1_ratio": 1.5}, "l1_ratio must be between 0 and 1"),
        (ValueError, {"l1_ratio": -0.1}, "l1_ratio must be between 0 and 1"),
        (ValueError, {"l1_ratio": float("nan")}, "l1_ratio must be between 0 and 1"),
        (TypeError, {"l1_ratio": "lasso"}, "l1_ratio must be a number"),
        (ValueError, {"l1_ratio": 0.0}, "penalties must be given where l1_ratio is 0"),
        (ValueError, {"penalties": [1.0, -0.1]}, "penalties must be finite and at least 0, but got -0.1"),
        (ValueError, {"penalties": [1.0, np.nan]}, "penalties must be finite and at least 0, but got nan"),
        (ValueError, {"penalties": [0.1, 1.0]}, "penalties must fall"),
        (ValueError, {"penalties": [1.0, 1.0]}, "penalties must fall"),
        (TypeError, {"penalties": []}, "penalties must be a list of numbers"),
        (TypeError, {"penalties": "few"}, "penalties must be a list of numbers"),
        (ValueError, {"count": 0}, "count must be at least 1"),
        (ValueError, {"smallest": 0.0}, "smallest must be above 0"),
        (ValueError, {"tolerance": 0.0}, "tolerance must be above 0"),
        (ValueError, {"tolerance": -1e-3}, "tolerance must be above 0"),
        (TypeError, {"max_sweeps": 2.5}, "max_sweeps must be a whole number"),
        (ValueError, {"x": X[:5]}, "y must have shape"),
        (ValueError, {"y": "column"}, "ravel"),
        (ValueError, {"x": X[:, 0]}, "x must have shape"),
        (ValueError, {"x": X[:0], "y": Y[:0]}, "at least one sample"),
        (ValueError, {"x": X[:, :0]}, "one feature or more"),
        (ValueError, {"x": nan(X)}, "x must be finite"),
        (ValueError, {"x": np.where(X == 4, np.inf, X)}, "x must be finite"),
        (TypeError, {"x": X.astype(int)}, "x must be a floating-point array"),
        (TypeError, {"x": X.astype(np.float16)}, "x must be float32 or float64"),
        (TypeError, {"x": X.tolist()}, "x must be an array"),
        (ValueError, {"weight": -np.ones(6)}, "weights must be finite and at least 0"),
        (ValueError, {"weight": nan(np.ones(6))}, "weights must be finite"),
        (ValueError, {"weight": np.zeros(6)}, "at least one weight must be above 0"),
        (ValueError, {"weight": np.ones(5)}, "weight must be a number for each sample"),
    ],
)
def test_bad_input_stops_at_the_door(kind, change, words):
    """The same checks before squares, classes and cross-validation; nothing is compiled."""
    programs = (
        regression.path_program,
        classification.path_program,
        cross_validation.cross_validation_program,
    )
    before = [p._cache_size() for p in programs]
    for function, target in (
        (linear.elastic_net_path, Y),
        (linear.logistic_path, L),
        (linear.cross_validate, Y),
    ):
        arguments = {"x": X, "y": target} | change
        if isinstance(arguments["y"], str):
            arguments["y"] = target[:, None]
        if function is linear.cross_validate:
            arguments["folds"] = 2
            if "l1_ratio" in arguments:
                arguments["l1_ratios"] = [arguments.pop("l1_ratio")]
        with pytest.raises(kind, match=r".*, but .* Try: ") as caught:
            function(**arguments)
        if "l1_ratios" not in arguments:
            assert words in str(caught.value)
    assert [p._cache_size() for p in programs] == before


@pytest.mark.parametrize(
    ("kind", "call", "words"),
    [
        (ValueError, lambda: linear.elastic_net_path(X, nan(Y)), "y must be finite"),
        (TypeError, lambda: linear.elastic_net_path(X, Y.astype(str)), "y must hold real numbers"),
        (ValueError, lambda: linear.elastic_net_path(X, np.ones(6)), "no feature varies with y"),
        (ValueError, lambda: linear.elastic_net_path(X[:1], Y[:1]), "a single sample"),
        (ValueError, lambda: linear.elastic_net(X, Y, -1.0), "penalty must be between 0 and inf"),
        (TypeError, lambda: linear.logistic_path(X, Y), "labels must be whole numbers"),
        (ValueError, lambda: linear.logistic_path(X, L - 1), "labels must lie in 0 … 1, but got -1"),
        (ValueError, lambda: linear.logistic_path(X, L, classes=3), "class 2 has none"),
        (
            ValueError,
            lambda: linear.logistic_path(X, L + 1, classes=2),
            "labels must lie in 0 … 1, but got 2",
        ),
        (ValueError, lambda: linear.logistic_path(X, L, weight=1.0 * L), "class 0 has none"),
        (ValueError, lambda: linear.cross_validate(X, Y, folds=1), "folds must be at least 2"),
        (ValueError, lambda: linear.cross_validate(X, Y, folds=7), "a sample for each fold"),
        (ValueError, lambda: linear.cross_validate(X, Y, folds=np.zeros(6, int)), "two folds or more"),
        (
            ValueError,
            lambda: linear.cross_validate(X, Y, folds=np.zeros(5, int)),
            "a whole number for each sample",
        ),
        (
            ValueError,
            lambda: linear.cross_validate(X, Y, folds=2, weight=(np.arange(6.0) > 2)),
            "weight must be",
        ),
        (
            ValueError,
            lambda: linear.cross_validate(X, Y, folds=2, weight=1.0 * (np.arange(6) > 2)),
            "in each fold and outside",
        ),
        (ValueError, lambda: linear.cross_validate(X, Y, l1_ratios=[]), "l1_ratios must not be empty"),
        (TypeError, lambda: jax.jit(linear.elastic_net_path)(X, Y), "while tracing"),
    ],
)
def test_each_function_checks_its_own(kind, call, words):
    """Targets, labels, folds."""
    with pytest.raises(kind, match=r".*, but .* Try: ") as caught:
        call()
    assert words in str(caught.value)


# --- Every platform


def test_programs_lower_for_cpu_gpu_and_tpu():
    """Squares with both Gram matrices, ridge, and classes, in both forms."""
    x, y, t, goal, most = jnp.ones((6, 4)), jnp.ones(6), jnp.ones((3, 4)), jnp.asarray(1e-3), jnp.int32(10)
    labels = jnp.ones((3, 6))
    for wide in (False, True):

        def along(start, one, like, t, wide=wide):
            return walk(set_out(start, 3, like, goal), one, t, t, most, most).found.gap

        def run(x, y, t, labels, wide=wide):
            squares = (
                along(*whole(x.T @ x, y @ x, y @ y, goal, most, wide), x[0], t),
                along(*growing(Gathered(*padded_rows(x, y), y @ x, 4, wide), goal, most), x[0], t),
                ridge(x, y, t, t[:, 0], t[0], goal)[1],
                ridge(x[:2], y[:2], t, t[:, 0], t[0], goal)[1],
            )
            samples = Samples(DenseRows(x.T, 4, wide), labels, y)
            model = null_model(samples, 3, True)
            one = turns(samples, 3, 4, goal, True)
            return squares, along(outset(model, samples), one, (model.w, model.b), t)

        exported = jax.export.export(jax.jit(run), platforms=["cpu", "cuda", "tpu"])(x, y, t, labels)
        assert set(exported.platforms) == {"cpu", "cuda", "tpu"}


def test_padding_is_to_whole_blocks():
    """16 numbers of float64, 32 of float32."""
    assert [padded(n, np.float64) for n in (1, 16, 17)] == [16, 16, 32]
    assert [padded(n, np.float32) for n in (1, 32, 33)] == [32, 32, 64]
