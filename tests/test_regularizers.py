"""What regularizers owe training beyond their numbers: sums of several, and what others wrote."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import regularizers
from funcnet.regularizers import L1, L2, MaxNorm, Sum, as_regularizer

PARAMS = {"kernel": jnp.asarray([[3.0, -0.5], [4.0, 0.25]]), "bias": jnp.asarray([2.0, -1.0])}


def close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


def test_a_sum_is_the_elastic_net_where_it_is_one():
    """λ₁ Σ|w| + (λ₂/2) Σw² by two terms: value, gradient, and what training adds."""
    both, one = Sum(L1(0.3), L2(0.7)), regularizers.ElasticNet(0.3, 0.7)
    close((both(PARAMS), both.gradient(PARAMS), both.added(PARAMS)), (one(PARAMS), *[one.gradient(PARAMS)] * 2))
    assert not both.proximal
    with pytest.raises(ValueError, match="a proximal point if a term has proximal=True"):
        both.prox(PARAMS, 0.1)


def test_the_proximal_term_of_a_sum_is_left_out_of_what_training_adds():
    """The value has all terms, the gradient of training the smooth ones, the proximal step the other."""
    both = Sum(L2(0.7), L1(0.3, proximal=True))
    assert both.proximal
    close(both(PARAMS), L2(0.7)(PARAMS) + L1(0.3)(PARAMS))
    close(both.added(PARAMS), L2(0.7).gradient(PARAMS))
    close(both.prox(PARAMS, 2.0), L1(0.3).prox(PARAMS, 2.0))
    assert Sum(MaxNorm(1.0)).added(PARAMS) is None
    assert Sum(L2(1.0), L1(0.1)).orientation_free
    assert not Sum(L2(1.0), MaxNorm(1.0)).orientation_free


def test_training_with_weight_decay_and_a_bound():
    """One update by hand: w − η (g + λ w), then the projection of each unit."""
    x, y = np.asarray([[1.0, 2.0]]), np.asarray([[0.0, 5.0]])
    layer = fn.Dense(2, bias=False, kernel_init=fn.Filled(1.5))
    experiment = fn.Experiment(
        layer, fn.MeanSquaredError(), fn.SGD(0.25), Sum(L2(0.5), MaxNorm(1.0)), batch_size=None, epochs=1
    )
    run = fn.train(experiment, (x, y), progress=False)
    w = np.full((2, 2), 1.5)
    moved = w - 0.25 * (x.T @ (x @ w - y) + 0.5 * w)
    lengths = np.linalg.norm(moved, axis=0)
    np.testing.assert_allclose(run.params["kernel"], moved * np.minimum(1, 1 / lengths), rtol=1e-12)
    np.testing.assert_allclose(run.history["objective"][0] - run.history["train_loss"][0], 0.25 * 4 * 2.25, rtol=1e-12)


def test_a_sum_is_swept_by_its_terms():
    experiment = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1), Sum(L2(0.1), MaxNorm(1.0)), epochs=2)
    strengths, radii = "regularizer.terms.0.strength", "regularizer.terms.1.radius"
    trials = fn.grid(experiment, {strengths: [0.0, 0.5], radii: [0.01, 2.0]})
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    results = fn.sweep(trials, (x, 3 * x), progress=False)
    assert len(results) == 4
    # Within the small radius the strength makes no difference.
    assert len({round(row.metrics["train_loss"], 6) for row in results.rows}) == 3


class Plain:
    """A stranger's penalty that is no pytree: ½ Σ w⁴ over all leaves."""

    def __call__(self, params):
        return sum(jnp.sum(w**4) / 2 for w in jax.tree.leaves(params))

    def gradient(self, params):
        return jax.tree.map(lambda w: 2 * w**3, params)


class Proximal(Plain):
    proximal = True


def test_a_stranger_trains():
    """Its gradient is added, in back-propagation and in training; alone and in a sum."""
    x, y = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[0.5]])
    network = fn.Dense(1, bias=False)
    params = {"kernel": jnp.asarray([[1.0], [-1.0]])}
    bare = fn.backprop(network, fn.MeanSquaredError(), params, x, y)
    for penalty in (Plain(), Sum(Plain())):
        value, gradient = fn.backprop(network, fn.MeanSquaredError(), params, x, y, regularizer=penalty)
        added = jax.tree.map(jnp.subtract, gradient, bare[1])
        close((value - bare[0], added), (1.0, {"kernel": jnp.asarray([[2.0], [-2.0]])}))
    assert not as_regularizer(Plain()).proximal
    experiment = fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.1), Plain(), batch_size=None, epochs=3)
    assert np.isfinite(fn.train(experiment, (np.asarray(x), np.asarray(y)), progress=False).history["objective"]).all()


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: Sum(), ValueError, ("at least one term",)),
        (
            lambda: Sum(L1(0.1, proximal=True), MaxNorm(1.0)),
            ValueError,
            ("at most one proximal term", "L1 and MaxNorm"),
        ),
        (lambda: Sum(L2(0.1), 3.0), TypeError, ("Sum.terms[1] must be a penalty with gradient", "3.0")),
        (lambda: Sum(L2), TypeError, ("Sum.terms[0]", "the class L2")),
        (lambda: as_regularizer(Proximal()), TypeError, ("must have prox(params, step)", "Proximal")),
        (
            lambda: fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.1), "L2"),
            TypeError,
            ("regularizer must be a penalty",),
        ),
    ],
)
def test_errors(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in (*parts, "Try: ")), caught.value
    assert len(str(caught.value)) <= 300
