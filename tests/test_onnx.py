"""Networks as ONNX files, run by onnxruntime: every layer and activation at its cases, runs, and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet
import funcnet as fn
from funcnet import activations, layers
from funcnet.activations.base import Activation
from funcnet.layers.activate import as_layer
from funcnet.layers.base import samples_of, shapes_of
from funcnet.registry import concepts
from tests.helpers import quick

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from funcnet.onnx import TRANSLATIONS, to_onnx, translates  # noqa: E402

LIMIT = 1e-5


def gather(registry):
    """List (module, case) for every case of a registry."""
    return [
        pytest.param(module, case, id=f"{module.__name__.split('.')[-1]}-{index}-{case.kind}")
        for module in registry
        for index, case in enumerate(module.CASES)
    ]


def single(tree):
    """Turn nested lists into arrays as a user has them: float32, and int32 for whole numbers."""
    if isinstance(tree, dict):
        return {name: single(value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(single(value) for value in tree)
    array = np.asarray(tree)
    return jnp.asarray(array.astype(np.int32 if array.dtype.kind == "i" else np.float32))


def session(model):
    """Open a model after the checker has inferred all of its shapes, strictly."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def answer(run, x):
    """Return what a session gives for an array, or a pair."""
    arrays = [np.asarray(a) for a in (x if isinstance(x, tuple) else (x,))]
    arrays = [a.astype(np.int64) if a.dtype.kind == "i" else a for a in arrays]
    (found,) = run.run(None, dict(zip((i.name for i in run.get_inputs()), arrays, strict=True)))
    return found


def difference(found, wanted):
    """Return the largest difference relative to the largest number."""
    wanted = np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    assert not np.isnan(found).any()
    finite = np.isfinite(wanted)
    assert np.array_equal(found[~finite], wanted[~finite])
    found, wanted = found[finite].astype(float), wanted[finite].astype(float)
    return float(np.max(np.abs(found - wanted), initial=0.0) / max(np.max(np.abs(wanted), initial=0.0), 1e-30))


def held(network, params, x, in_shape=None, limit=LIMIT):
    """Export a network, and hold it to its own evaluation: for a batch, and for three samples of it."""
    network = as_layer(network)
    run = session(to_onnx(network, params, shapes_of(samples_of(x)) if in_shape is None else in_shape))
    wanted = quick(network.apply)(params, x)
    wanted = np.asarray(wanted[0] if isinstance(wanted, tuple) else wanted)
    rows = np.arange(len(wanted) + 1) % len(wanted)  # a batch of another size, of the same samples
    for own in (rows[:-1], rows):
        assert difference(answer(run, jax.tree.map(lambda a: np.asarray(a)[own], x)), wanted[own]) < limit  # noqa: B023
    return run


@pytest.mark.parametrize(("module", "case"), gather(activations.REGISTRY) + gather(layers.REGISTRY))
def test_every_case(module, case):
    """The file gives what the layer gives; what has no translation is refused in a sentence that names it."""
    params, x = single(((), case.arguments[0]) if isinstance(case.rule, Activation) else tuple(case.arguments[:2]))
    x = jnp.atleast_2d(x) if isinstance(case.rule, Activation) else x
    if not hasattr(module, "__file__") and type(case.rule) not in TRANSLATIONS:  # a concept of the tests
        with pytest.raises(TypeError, match=type(case.rule).__name__):
            to_onnx(case.rule, params, (1,))
        return
    try:
        as_layer(case.rule).check_input(samples_of(x))
    except ValueError:  # a sample without its batch
        x = jax.tree.map(lambda a: a[None], x)
    held(case.rule, params, x)


def test_all_concepts_have_translations():
    """What the loop above might have taken for a concept of the tests is none of the package's."""
    own = [module for kind in (activations, layers) for module in kind.REGISTRY if hasattr(module, "__file__")]
    homes = {module.__name__ for module in own}
    found = concepts("funcnet.activations") | concepts("funcnet.layers")
    missing = {name for name, kind in found.items() if kind.__module__ in homes and kind not in TRANSLATIONS}
    assert missing - {"Glorot", "He", "LeCun", "Filled", "Orthogonal", "RandomNormal", "RandomUniform"} == set()


def drawn(network, in_shape, seed=0):
    """Draw parameters with nothing at 0 or 1, so that no initializer may be left out or mistaken for another."""
    params = network.init(jax.random.key(seed), in_shape, jnp.float32)
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    moved = [leaf + jnp.asarray(rng.uniform(-0.2, 0.2, leaf.shape), leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(structure, moved)


def test_images_keep_channels_first_between_convolutions():
    """Transpositions cancel: two are left, into the first convolution and out of the last pool."""
    block = fn.Residual(fn.Conv(4, 3), fn.BatchNorm(), fn.silu, fn.Dropout(0.3), fn.Conv(4, (3, 2)))
    network = fn.Chain(
        fn.RandomShift(1),
        fn.Conv(4, 3, stride=2),
        fn.BatchNorm(),
        fn.relu,
        block,
        fn.MaxPool(2),
        fn.Flatten(),
        fn.Dense(3),
    )
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 2)), jnp.float32)
    params = drawn(network, (9, 8, 2))
    run = held(network, params, x)
    model = to_onnx(network, params, (9, 8, 2))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("Transpose") == 2
    assert {"1.kernel", "2.variance", "4.0.kernel", "7.bias"} <= {own.name for own in model.graph.initializer}
    assert run.get_inputs()[0].shape == ["batch", 9, 8, 2]


@pytest.mark.parametrize("options", [{"tied": True, "groups": 2}, {"tied": False, "rotary": True}])
def test_transformers_of_any_length(options):
    """Tokens in, logits out, for sequences of a length that the file leaves open."""
    network = fn.transformer(11, 16, 2, 4, 12, dropout=0.1, **options)
    params = drawn(network, (12,))
    tokens = np.random.default_rng(0).integers(0, 11, (2, 7)).astype(np.int32)
    held(network, params, tokens)
    run = session(to_onnx(network, params, ("time",)))
    assert (run.get_inputs()[0].type, run.get_inputs()[0].shape) == ("tensor(int64)", ["batch", "time"])
    for batch in (tokens, tokens[:1, :5]):
        assert difference(answer(run, batch), quick(network.apply)(params, batch)) < LIMIT


def test_pairs_with_lengths():
    """Through every layer of sequences; what stands behind a length is not looked at, tokens that are none included."""
    network = fn.Chain(
        fn.Embedding(9, 8),
        fn.Positions(7),
        fn.Sinusoids(),
        fn.Bidirectional(fn.LSTM(4, reverse=True)),
        fn.Residual(fn.Stepwise(fn.LayerNorm()), fn.Attention(2, rotary=True)),
        fn.GRU(5, reset_after=False),
        fn.Stepwise(fn.Dense(3), fn.gelu, lengths=False),
    )
    params = drawn(network, ((6,), ()))
    tokens = np.random.default_rng(0).integers(0, 9, (4, 6)).astype(np.int32)
    lengths = np.asarray([4, 0, 6, 1], np.int32)
    wanted = quick(network.apply)(params, (tokens, lengths))
    spoiled = np.where(np.arange(6) < lengths[:, None], tokens, 10**6)
    for in_shape in (((6,), ()), ((None,), ())):
        run = session(to_onnx(network, params, in_shape))
        assert difference(answer(run, (spoiled, lengths)), wanted) < LIMIT


def test_axes_of_free_size():
    """Images of any size and signals of any length, where the layers allow it."""
    rng = np.random.default_rng(0)
    images = fn.Chain(
        fn.Conv(3, 3, stride=2),
        fn.relu,
        fn.AveragePool(2, padding="same"),
        fn.ConvTranspose(2, 3),
        fn.GroupNorm(2),
        fn.GlobalMaxPool(),
        fn.Dense(2),
    )
    params = drawn(images, (8, 9, 2))
    run = session(to_onnx(images, params, (None, None, 2)))
    for size in ((8, 9), (7, 5)):
        x = rng.normal(size=(2, *size, 2)).astype(np.float32)
        assert difference(answer(run, x), quick(images.apply)(params, x)) < LIMIT
    signals = fn.Chain(fn.Conv(4, 3, padding="causal"), fn.Sinusoids(), fn.Attention(2, causal=True), fn.GRU(3))
    params = drawn(signals, (5, 2))
    run = session(to_onnx(signals, params, ("time", 2)))
    for time in (5, 8):
        x = rng.normal(size=(2, time, 2)).astype(np.float32)
        assert difference(answer(run, x), quick(signals.apply)(params, x)) < LIMIT
    with pytest.raises(ValueError, match="Reshape needs samples of known size"):
        to_onnx(fn.Reshape((4, 2)), (), ("time", 2))


def test_windows_of_padding_alone():
    """Pools of ONNX do not take them; the largest number of none is −∞, and the mean 0."""
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    two = x[:, :4].reshape(2, 2, 2, 3)
    for pool, middle, nothing in ((fn.MaxPool, two.max(axis=2), -np.inf), (fn.AveragePool, two.mean(axis=2), 0.0)):
        found = answer(held(pool(2, stride=2, padding=((2, 3),)), (), jnp.asarray(x)), x)
        assert (found[:, [0, 4]] == nothing).all()
        np.testing.assert_allclose(found[:, 1:4], np.concatenate([middle, x[:, 4:]], axis=1), rtol=1e-6)
    counted = answer(held(fn.AveragePool(2, padding=((2, 1),), count_padding=True), (), jnp.asarray(x)), x)
    by_hand = np.concatenate([0 * x[:, :1], two.mean(axis=2), x[:, 4:] / 2], axis=1)
    np.testing.assert_allclose(counted, by_hand, rtol=1e-6)


def test_axes_before_time():
    """Recurrence and attention in samples of several sequences."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5, 4)), jnp.float32)
    shapes = {fn.LSTM(3): (5, 3), fn.GRU(2, sequence=False): (2,), fn.Attention(2): (5, 4), fn.Positions(6): (5, 4)}
    for layer, shape in shapes.items():
        params = drawn(layer, (3, 5, 4))
        found = answer(held(layer, params, x), x)
        # Each sequence of a sample is what it is by itself.
        assert found.shape == (2, 3, *shape)
        assert difference(found[1, 2], quick(layer.apply)(params, x[1, 2][None])[0]) < LIMIT


def test_a_run_with_probabilities_and_classes(tmp_path):
    """What a run predicts, from a file alone: logits or probabilities, and the names of the classes."""
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    experiment = fn.Experiment(
        fn.mlp(4, 3, dropout=0.2), fn.SoftmaxCrossEntropy(), fn.Adam(0.1), epochs=2, batch_size=6, dtype="float32"
    )
    run = fn.train(experiment, (x, np.arange(12) % 3), progress=False)
    run.extra["classes"] = ["a", "b", "é"]
    model = fn.to_onnx(run, path=tmp_path / "logits.onnx")
    assert difference(answer(session(onnx.load(tmp_path / "logits.onnx")), x), run.predict(x)) < LIMIT
    assert json.loads({own.key: own.value for own in model.metadata_props}["classes"]) == ["a", "b", "é"]
    found = session(fn.to_onnx(run, probabilities=True))
    assert found.get_outputs()[0].name == "probabilities"
    assert difference(answer(found, x), run.probabilities(x)) < LIMIT
    moved = fn.replace(experiment, {"transform": lambda x, key: x / 2})
    with pytest.raises(ValueError, match="without a transform"):
        fn.to_onnx(dataclasses.replace(run, experiment=moved))
    line = dataclasses.replace(run, experiment=fn.replace(experiment, {"loss": fn.MeanSquaredError()}))
    with pytest.raises(TypeError, match="whose loss knows them, but got MeanSquaredError"):
        fn.to_onnx(line, probabilities=True)


class Half(fn.Dense):
    """A layer that is no longer dense."""

    def forward(self, params, x, key=None):
        return x / 2, ()


class Softsign(fn.activations.Activation):
    """z/(1 + |z|), from elsewhere."""

    def forward(self, z):
        return z / (1 + jnp.abs(z)), z

    def backward(self, saved, dy):
        return dy / (1 + jnp.abs(saved)) ** 2


def test_what_has_no_translation_is_refused_by_name(monkeypatch):
    """Subclasses too: what they change is not guessed. A translation that is registered serves."""
    with pytest.raises(TypeError, match=r"to ONNX, but Half at 1 has none. Try: @funcnet.onnx.translates\(Half\)"):
        to_onnx(fn.Chain(fn.Dense(2), fn.record(Half)(2)), drawn(fn.mlp(2, 2, activation=fn.Dense(2)), (2,))[:2], (2,))
    layer = fn.RNN(2, fn.gelu)
    with pytest.raises(TypeError, match="but RNN has GELU"):
        to_onnx(layer, drawn(layer, (3, 2)), (3, 2))
    monkeypatch.setitem(TRANSLATIONS, Softsign, None)

    @translates(Softsign)
    def softsign(rule, graph, params, x, name):
        return graph.add("Softsign", x)

    held(fn.Chain(fn.Dense(2), Softsign()), drawn(fn.Chain(fn.Dense(2)), (3,)) + ((),), jnp.ones((2, 3), jnp.float32))


def test_bad_input():
    network = fn.Chain(fn.Dropout(0.1), fn.mlp(4, 2))
    params = drawn(network, (3,))
    assert to_onnx(network, params).graph.input[0].type.tensor_type.shape.dim[1].dim_value == 3
    with pytest.raises(TypeError, match="needs its parameters"):
        to_onnx(network)
    with pytest.raises(ValueError, match="3 features in its last axis"):
        to_onnx(network, params, (5,))
    with pytest.raises(TypeError, match="in_shape must be the shape of one sample"):
        to_onnx(network, params, 3)
    with pytest.raises(ValueError, match="GlobalMaxPool does not tell it"):
        to_onnx(fn.GlobalMaxPool(), ())
    with pytest.raises(TypeError, match="got a network alone"):
        to_onnx(network, params, probabilities=True)


def test_the_comparison_can_fail(monkeypatch):
    """Gates in another order, a kernel turned round and a forgotten padding are seen."""
    monkeypatch.setitem(funcnet.onnx.recurring.ORDERS, fn.LSTM, (0, 1, 2, 3))
    lstm, x = fn.LSTM(3), jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 2)), jnp.float32)
    params = drawn(lstm, (4, 2))
    run = session(to_onnx(lstm, params, (4, 2)))
    assert difference(answer(run, x), quick(lstm.apply)(params, x)) > 100 * LIMIT
    conv = fn.Conv(3, 2)
    params = drawn(conv, (4, 2))
    wanted, model = quick(conv.apply)(params, x), to_onnx(conv, params, (4, 2))
    (node,) = [node for node in model.graph.node if node.op_type == "Conv"]
    (pads,) = [own for own in node.attribute if own.name == "pads"]
    pads.ints[:] = pads.ints[::-1]
    assert difference(answer(session(model), x), wanted) > 100 * LIMIT
