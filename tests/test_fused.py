"""Cross-entropy over many classes by blocks of rows: as with all logits at hand, in a fraction of their memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import fused
from funcnet.objective import terms
from tests.helpers import quick

KEY = jax.random.key(3)
NETWORKS = {
    "tied": (fn.Tied(fn.Embedding(11, 4), fn.Chain(fn.Dense(4), fn.tanh, fn.Dropout(0.2))), "mean", None),
    "dense": (fn.Chain(fn.Embedding(11, 4), fn.tanh, fn.Dense(11)), "mean", "steps"),
    "no bias": (fn.Chain(fn.Embedding(11, 4), fn.Dense(11, bias=False)), "sum", "samples"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_give_what_all_logits_give(name, rng, monkeypatch):
    """Value, gradient, weights and what was saved, with a last block that is not full and samples left out."""
    monkeypatch.setattr(fused, "LEAST", 0)
    monkeypatch.setattr(fused, "BLOCK", 0)
    monkeypatch.setattr(fused, "FEWEST", 4)
    network, reduction, weighted = NETWORKS[name]
    loss = fn.SoftmaxCrossEntropy(0.1, reduction=reduction)
    params = jax.tree.map(lambda a: a + 0.5 * rng.normal(size=a.shape), network.init(KEY, (5,), jnp.float64))
    x, y = rng.integers(0, 11, (3, 5)), rng.integers(0, 11, (3, 5))
    weight = {None: None, "steps": rng.uniform(0.5, 2, (3, 5)), "samples": np.asarray([2.0, 0.0, 0.7])}[weighted]
    if weighted == "steps":
        weight[0, 2:] = 0
        y[0, 2:] = -100  # what has weight 0 may have any label

    def both(params, x, y):
        return [
            terms(network, loss, params, x, y, regularizer=fn.L2(0.1), weight=weight, key=KEY, predicts=predicts)
            for predicts in (False, True)
        ]

    found, wanted = quick(both)(params, jnp.asarray(x), jnp.asarray(y))
    assert found.prediction is None
    found, wanted = (t._replace(prediction=()) for t in (found, wanted))
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        assert np.max(np.abs(a - b)) <= 1e-13 * max(np.max(np.abs(b)), 1e-3)


def test_when_it_is_taken():
    """With many logits of labels alone; never with metrics, class weights, distributions, another loss or pairs."""
    network, labels = fn.Tied(fn.Embedding(1 << 13, 2), fn.tanh), jnp.zeros((32, 64), jnp.int32)
    params, loss = network.init(KEY, (64,), jnp.float32), fn.SoftmaxCrossEntropy()
    x = jnp.zeros((32, 64), jnp.int32)
    assert fused.pays(network, loss, params, x, labels)
    assert not fused.pays(network, loss, params, x[:, :4], labels[:, :4])
    assert not fused.pays(network, fn.SoftmaxCrossEntropy(0.0, tuple([1.0] * (1 << 13))), params, x, labels)
    assert not fused.pays(network, fn.MeanSquaredError(), params, x, labels)
    assert not fused.pays(network, loss, params, (x, labels[:, 0]), labels)
    assert not fused.pays(fn.Dense(1 << 13), loss, {"kernel": params["embedding"]["table"].T}, x, labels)

    def memory(predicts):
        def run(params, x, y):
            found = terms(network, loss, params, x, y, predicts=predicts)
            return found.loss, found.gradient

        return jax.jit(run).lower(params, x, labels).compile().memory_analysis().temp_size_in_bytes

    held = 4 * 32 * 64 * (1 << 13)
    assert memory(False) < 0.8 * held < memory(True)


@pytest.mark.every
def test_an_experiment_trains_alike(monkeypatch):
    """The same history by blocks as with a metric, which needs the prediction; a label out of range is refused."""
    monkeypatch.setattr(fused, "LEAST", 0)
    calls, passes = [], fused.passes
    monkeypatch.setattr(fused, "passes", lambda *given: calls.append(1) or passes(*given))
    network, x = fn.Chain(fn.Embedding(5, 3), fn.Dense(5)), np.arange(24).reshape(8, 3) % 5
    found = []
    for metrics in ((), (fn.Accuracy(),)):
        experiment = fn.Experiment(
            network, fn.SoftmaxCrossEntropy(), fn.Adam(0.01), epochs=3, batch_size=4, metrics=metrics
        )
        found.append(fn.train(experiment, (x, x), progress=False))
        assert bool(calls) != bool(metrics)
        calls.clear()
    np.testing.assert_allclose(found[0].history["train_loss"], found[1].history["train_loss"], rtol=1e-5)
    with pytest.raises(ValueError, match="0 … 4"):
        fn.backprop(network, fn.SoftmaxCrossEntropy(), found[0].params, x, x + 1)
