"""Linear models of sparse features: the solutions of the same features as an array, and what sparse matrices may be."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import sparse as jax_sparse

from funcnet import linear
from funcnet.linear import classification, descent
from funcnet.linear.checks import entries
from funcnet.linear.sparse import Residuals, Scattered, SparseColumns, listed
from tests.helpers import sampled


def text(samples=120, features=30, terms=4, seed=0):
    """Return features like those of tf-idf: at least 0, rows of norm 1, few terms a row, some terms common."""
    rng = np.random.default_rng(seed)
    shares = 1 / (np.arange(features) + 3.0)
    x = np.zeros((samples, features))
    for row in x:
        chosen = rng.choice(features, terms, p=shares / shares.sum())
        row[chosen] = rng.gamma(1, 1, terms) / np.sqrt(shares[chosen])
        row /= np.linalg.norm(row)
    w = 4 * rng.standard_normal((features, 3)) * (rng.random((features, 1)) < 0.5)
    z = x @ w + 0.3
    return x, z[:, 0] + 0.3 * rng.standard_normal(samples), np.argmax(z + rng.gumbel(size=z.shape), axis=1)


def compressed(x, by="csr", **more):
    """Return a matrix as SciPy keeps it, without SciPy."""
    a = x if by == "csr" else x.T
    rows, indices = np.nonzero(a)
    pointers = np.searchsorted(rows, np.arange(len(a) + 1))
    return types.SimpleNamespace(
        shape=x.shape, indptr=pointers, indices=indices, data=a[rows, indices], format=by, **more
    )


KINDS = {
    "csr": compressed,
    "csc": lambda x: compressed(x, "csc"),
    "bcoo": lambda x: jax_sparse.BCOO.fromdense(jnp.asarray(x), nse=int(np.count_nonzero(x)) + 5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_same_numbers(kind):
    """Sorted by column, places that are given twice added up, places outside left out."""
    x = text(17, 6, 2)[0]
    found = entries(KINDS[kind](x))
    back = np.zeros(x.shape)
    np.add.at(back, (found.rows, found.columns), found.values)
    np.testing.assert_array_equal(back, x)
    assert (np.diff(found.columns) >= 0).all()
    twice = types.SimpleNamespace(
        shape=(2, 3), nse=3, indices=np.array([[0, 2], [1, 0], [0, 2]]), data=np.array([1.0, 5.0, 2.0])
    )
    assert entries(twice).values.tolist() == [5.0, 3.0]
    unnamed = compressed(x)
    del unnamed.format
    np.testing.assert_array_equal(entries(unnamed).values, found.values)


@pytest.mark.every
def test_scipy_as_it_is():
    """Where it is installed: CSR and CSC, also with places given twice; others in words."""
    scipy = pytest.importorskip("scipy.sparse")
    x, y, _ = text()
    right = linear.elastic_net(x, y, 0.01, tolerance=1e-12).coefficients
    for kind in (scipy.csr_matrix, scipy.csc_array):
        got = linear.elastic_net(kind(x), y, 0.01, tolerance=1e-12)
        np.testing.assert_allclose(got.coefficients, right, atol=1e-7)
        np.testing.assert_allclose(got.predict(kind(x)), got.predict(x), rtol=1e-12)
    with pytest.raises(TypeError, match=r"x must be an array, but got a coo_matrix. Try: x.tocsr\(\)"):
        linear.elastic_net(scipy.coo_matrix(x), y, 0.01)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("standardize", sampled([True, False], lambda yes: yes))
@pytest.mark.parametrize("ratio", sampled([1.0, 0.5, 0.0], lambda ratio: ratio == 0.5))
def test_squares_equal_those_of_an_array(ratio, standardize, intercept, rng):
    """Paths with weights, one column always the same."""
    x, y, _ = text()
    x[:, 4] = 0.25
    weight = rng.uniform(0.5, 2, len(y))
    weight[3] = 0
    options = {"l1_ratio": ratio, "weight": weight, "standardize": standardize, "intercept": intercept}
    options |= {"penalties": np.geomspace(0.3, 0.003, 7), "tolerance": 1e-15}
    right, got = linear.elastic_net_path(x, y, **options), linear.elastic_net_path(compressed(x), y, **options)
    np.testing.assert_allclose(got.coefficients, right.coefficients, atol=2e-6)
    np.testing.assert_allclose(got.intercepts, right.intercepts, atol=1e-6)
    assert got.converged.all()
    assert (got.coefficients[:, 4] == 0).all() == intercept
    np.testing.assert_allclose(got.predict(compressed(x)), right.predict(x), atol=1e-5)


@pytest.mark.parametrize("classes", sampled([2, 3], lambda classes: classes == 2))
@pytest.mark.parametrize("ratio", sampled([1.0, 0.5, 0.0], lambda ratio: ratio == 0.5))
def test_classes_equal_those_of_an_array(ratio, classes, rng, monkeypatch):
    """With weights, standardised or (three of them) without an intercept; the array is not compressed on the way."""
    monkeypatch.setattr(classification, "SPARSE", 0)
    x, _, labels = text()
    labels = np.minimum(labels, classes - 1)
    weight = rng.uniform(0.5, 2, len(labels))
    for more in ({"standardize": True}, {"intercept": False})[: classes - 1]:
        options = {"l1_ratio": ratio, "weight": weight, "tolerance": 1e-12, **more}
        options["penalties"] = np.geomspace(0.1, 0.003, 6)
        right, got = linear.logistic_path(x, labels, **options), linear.logistic_path(compressed(x), labels, **options)
        np.testing.assert_allclose(got.coefficients, right.coefficients, atol=3e-5)
        np.testing.assert_allclose(got.intercepts, right.intercepts, atol=1e-5)
        assert got.converged.all()
        assert right.converged.all()


@pytest.mark.every
def test_penalties_are_chosen_alike(monkeypatch):
    """The largest correlations of sparse features are those of an array."""
    x, y, labels = text()
    monkeypatch.setattr(classification, "SPARSE", 0)
    # As many as in the tests above, whose programs these are.
    for path, target, count in ((linear.elastic_net_path, y, 7), (linear.logistic_path, labels, 6)):
        options = {"count": count, "smallest": 0.3, "standardize": True}
        right = path(x, target, **options)
        np.testing.assert_allclose(path(compressed(x), target, **options).penalties, right.penalties)


def test_a_sweep_is_exact_minimisation_one_coordinate_at_a_time(rng):
    """Against the formula as a loop over centred columns; members alone move; the value is that of the objective."""
    x = text(23, 9, 3)[0]
    found = entries(compressed(x))
    starts = np.searchsorted(found.columns, np.arange(10)).astype(np.int32)
    columns = SparseColumns(*map(jnp.asarray, (found.rows, found.columns, found.values, starts, np.ones(23))))
    h, rho = rng.uniform(0.1, 1, 23), rng.standard_normal(23)
    rho -= rho.sum() * h / h.sum()
    t, u, inside = rng.uniform(0, 0.1, 9), rng.uniform(0, 0.3, 9), np.arange(9) != 5
    m, curvature = columns.centres(jnp.asarray(h), True)
    centred = x - np.asarray(m)
    np.testing.assert_allclose(h @ centred, 0, atol=1e-14)
    np.testing.assert_allclose(curvature, h @ centred**2, rtol=1e-12)
    problem = Residuals(columns, *map(jnp.asarray, (h, m, curvature, t, u)), *listed(jnp.asarray(inside)))
    w, rest = np.zeros(9), rho.copy()
    state = problem.sweep(jnp.zeros(9), jnp.append(rho, 0.0))
    for j in np.flatnonzero(inside):
        z = centred[:, j] @ rest + curvature[j] * w[j]
        new = np.sign(z) * max(abs(z) - t[j], 0) / (curvature[j] + u[j])
        rest -= h * centred[:, j] * (new - w[j])
        w[j] = new
    np.testing.assert_allclose(state[0], w, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(state[1][:-1] + state[1][-1] * h, rest, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(state[2], (curvature + u) @ w**2, rtol=1e-11)

    def objective(w):
        dz = centred @ w
        return -rho @ dz + 0.5 * h @ dz**2 + t @ np.abs(w) + 0.5 * u @ w**2

    fall = problem.value(*state[:2]) - problem.value(jnp.zeros(9), jnp.append(rho, 0.0))
    np.testing.assert_allclose(fall, objective(w), rtol=1e-10)
    dense = descent.Quadratic(*map(jnp.asarray, (centred.T @ (h[:, None] * centred), centred.T @ rho, t, u)), 9)
    np.testing.assert_allclose(dense.value(jnp.asarray(w), jnp.asarray(centred.T @ rest)), objective(w), rtol=1e-9)


@pytest.mark.every
def test_an_array_that_is_mostly_zero_is_kept_by_columns():
    """F25: tf-idf in float32 with L1 at the defaults ends, with the gap asked for, and as the array solves it."""
    x, _, labels = text(300, 40, 3)
    x, labels = x.astype(np.float32), np.minimum(labels, 1)
    assert np.count_nonzero(x) < 0.1 * x.size
    path = linear.logistic_path(x, labels)
    assert path.converged.all()
    assert (path.sweeps < 200).all()
    some = slice(9, None, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification, "SPARSE", 0)
        right = linear.logistic_path(x, labels, penalties=path.penalties[some], tolerance=1e-10)
    null = -np.log([labels.mean(), 1 - labels.mean()]) @ [labels.mean(), 1 - labels.mean()]

    def objective(path):
        z, sign = path.predict(x), 2 * labels - 1
        return np.logaddexp(0, -sign * z).mean(axis=1) + path.penalties * np.abs(path.coefficients).sum(axis=1)

    assert (objective(path)[some] - objective(right) <= 1e-6 * null + 1e-7).all()


def test_bad_sparse_matrices_stop_at_the_door():
    """In words."""
    x, y, _ = text()
    wrong = compressed(x)
    wrong.data = np.where(np.arange(len(wrong.data)) == 3, np.nan, wrong.data)
    cases = [
        (ValueError, lambda: linear.elastic_net(wrong, y, 0.1), r"x must be finite, but got nan \(1 not finite\)"),
        (TypeError, lambda: linear.elastic_net(compressed(x.astype(int)), y, 0.1), "x must be a floating-point"),
        (ValueError, lambda: linear.elastic_net(compressed(x), y[:-1], 0.1), "y must have shape"),
        (ValueError, lambda: linear.elastic_net(compressed(x), y, 0.0), "sparse x must have penalties above 0"),
        (TypeError, lambda: linear.cross_validate(compressed(x), y), "x must not be sparse in cross-validation"),
        (ValueError, lambda: linear.elastic_net(compressed(x, shape_=1) and _flat(x), y, 0.1), "sparse x must be"),
    ]
    for kind, call, words in cases:
        with pytest.raises(kind, match=words):
            call()


def _flat(x):
    """Return a sparse vector."""
    return types.SimpleNamespace(shape=(len(x),), nse=1, indices=np.array([[0]]), data=np.array([1.0]))


def test_sparse_programs_lower_for_every_platform():
    """Though only a CPU is asked to run them."""
    found = entries(compressed(text(23, 9, 3)[0]))
    starts = np.searchsorted(found.columns, np.arange(10)).astype(np.int32)
    columns = SparseColumns(*map(jnp.asarray, (found.rows, found.columns, found.values, starts, np.ones(23))))

    def run(columns, h):
        source = Scattered(columns, h, h, True)
        working, w, rest, g = source.start()
        working = source.enter(working, g > 0)
        problem, gap_at = source.problem(working, w, w)
        w, rest, moved = problem.sweep(w, source.stand(working, rest, g))
        return gap_at(w, rest, moved)

    exported = jax.export.export(jax.jit(run), platforms=["cpu", "cuda", "tpu"])(columns, jnp.ones(23) / 23)
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
