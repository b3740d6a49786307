"""Weights from PyTorch and back: outputs of recorded models, both ways where PyTorch is there, and what is refused."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strange_layers import Centred, Sum

import funcnet as fn
from funcnet.records import choice
from funcnet.torch import read, write
from funcnet.torch.carrying import written
from tests.helpers import quick

FOLDER = pathlib.Path(__file__).parent / "recorded"
RECORDED, GPT = np.load(FOLDER / "torch.npz"), np.load(FOLDER / "gpt.npz")
KEY = jax.random.key(5)
BLOCK = fn.Chain(
    fn.Residual(fn.LayerNorm(), fn.Attention(3)), fn.Residual(fn.LayerNorm(), fn.Dense(7), fn.gelu, fn.Dense(12))
)
PARTS = ("norm1", "self_attn", "norm2", "linear1", "linear2")
# Each network with the shape of a sample, and the order of modules where a model declares them in another one.
NETWORKS = {
    "images": (
        fn.Chain(
            *(fn.Conv(4, 3), fn.BatchNorm(), fn.relu, fn.MaxPool(2)),
            *(fn.Conv(6, (3, 2), groups=2, padding="valid"), fn.relu, fn.Flatten()),
            *(fn.BatchNorm(), fn.Dropout(0.3), fn.Dense(5, bias=False)),
        ),
        (8, 6, 3),
    ),
    "signals": (
        fn.Chain(
            *(fn.Conv(8, 3, groups=4), fn.GroupNorm(2), fn.relu),
            *(fn.Conv(6, 2, stride=2, padding="valid"), fn.Flatten(), fn.LayerNorm(), fn.Dense(3)),
        ),
        (9, 4),
    ),
    "volumes": (
        fn.Chain(fn.Conv(3, (2, 1, 3), stride=(1, 2, 1), padding="valid"), fn.tanh, fn.Flatten(), fn.Dense(5)),
        (4, 3, 6, 2),
    ),
    "decoder": (
        fn.Chain(
            *(fn.Dense(24), fn.BatchNorm(), fn.relu, fn.Reshape((3, 2, 4))),
            *(fn.ConvTranspose(3, (3, 2), stride=2, padding=((1, 1), (0, 0))), fn.BatchNorm()),
        ),
        (5,),
    ),
    "lstm": (fn.Chain(fn.Bidirectional(fn.LSTM(4)), fn.Bidirectional(fn.LSTM(4)), fn.Dense(5)), (6, 3)),
    "gru": (fn.Chain(fn.GRU(4), fn.Recompute(fn.Chain(fn.GRU(2), fn.Stepwise(fn.Dense(5))))), (6, 3)),
    "rnn": (fn.Chain(fn.RNN(4, fn.relu), fn.Dense(5)), (6, 3)),
    "encoder": (
        fn.Chain(fn.Embedding(11, 12), fn.Positions(9), fn.Repeat(BLOCK, 2), fn.LayerNorm(), fn.Dense(5)),
        (6,),
        ["tokens", "places", *(f"body.layers.{i}.{part}" for i in range(2) for part in PARTS), "body.norm", "head"],
    ),
    "branches": (
        fn.Chain(
            fn.Residual(fn.RMSNorm(), fn.Dense(7), fn.tanh, fn.Dense(6)),
            fn.Parallel(fn.Attention(2, bias=False), fn.Dense(5, bias=False)),
        ),
        (4, 6),
    ),
}


def found(name):
    """Return a network, its samples' shape, the order of modules, and the recorded state dict."""
    network, shape, *order = NETWORKS[name]
    start = f"{name}/state/"
    state = {entry.removeprefix(start): RECORDED[entry] for entry in RECORDED.files if entry.startswith(start)}
    return network, shape, order[0] if order else None, state


def first(array):
    """Return a batch of PyTorch with channels in the last axis, unless it is of sequences, vectors or tokens."""
    return np.moveaxis(array, 1, -1)


def taken(name, x):
    """Return PyTorch's batch as the network takes it."""
    images = name in ("images", "signals", "volumes")
    return jnp.asarray(first(x) if images else x)


def given(name, y):
    """Return PyTorch's output as the network gives it."""
    return first(y) if name == "decoder" else y


@pytest.mark.parametrize("name", NETWORKS)
def test_recorded_models_give_the_same(name):
    """To 1e-10, channels flattened and put back, with the shape and, where nothing is flattened, without."""
    network, shape, order, state = found(name)
    params = fn.from_torch(network, state, shape, order=order)
    y = quick(network.apply)(params, taken(name, RECORDED[f"{name}/x"]))
    np.testing.assert_allclose(y, given(name, RECORDED[f"{name}/y"]), rtol=1e-10, atol=1e-10)
    if name in ("images", "signals", "volumes", "decoder"):
        with pytest.raises(ValueError, match="in_shape must be given"):
            fn.from_torch(network, state)
        return
    again = fn.from_torch(network, state, order=order)
    assert jax.tree.structure(again) == jax.tree.structure(params)
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(params)))


@pytest.mark.parametrize("name", NETWORKS)
def test_models_of_pytorch_both_ways(name, rng):
    """Parameters of our own, written for a model that takes them strictly, which then gives what we give."""
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("experiments.record_torch")
    torch.backends.mha.set_fastpath_enabled(False)
    network, shape, order, _ = found(name)
    model, sample = models.models()[name]
    model = models.randomized(model, rng)
    x = models.batch(name, sample, rng)
    params = fn.from_torch(network, model.state_dict(), shape, order=order)
    other = models.randomized(models.models()[name][0], rng)
    before = other.state_dict()
    state = fn.to_torch(network, params, shape, like=before, order=order)
    assert list(state) == list(before)
    other.load_state_dict(state, strict=True)
    with torch.no_grad():
        wanted, same = (m(torch.tensor(x)).numpy() for m in (model, other))
    np.testing.assert_allclose(same, wanted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        quick(network.apply)(params, taken(name, x)), given(name, wanted), rtol=1e-10, atol=1e-10
    )
    if isinstance(model, torch.nn.Sequential):
        plain = fn.to_torch(network, params, shape)
        assert set(before) <= set(plain)
        assert all(torch.equal(plain[entry], tensor) for entry, tensor in state.items() if "batches" not in entry)
    else:
        back = fn.from_torch(network, fn.to_torch(network, params, shape), shape)
        assert all(map(np.array_equal, jax.tree.leaves(back), jax.tree.leaves(params)))


def arrays(tree):
    """Return nested lists of a case as arrays."""
    if isinstance(tree, dict):
        return {name: arrays(value) for name, value in tree.items()}
    return tuple(map(arrays, tree)) if isinstance(tree, tuple) else np.asarray(tree, np.float64)


def test_every_layer_goes_out_and_comes_back():
    """The examples of each layer, by entries of its own names; what has no counterpart says so."""
    kinds = set()
    for case in (case for module in fn.layers.REGISTRY for case in module.CASES):
        params = arrays(case.arguments[0])
        if isinstance(case.rule, fn.GRU) and not case.rule.reset_after:
            with pytest.raises(ValueError, match="resets after the product"):
                written(case.rule, params)
            continue
        state = written(case.rule, params)
        assert all(entry.rpartition(".")[2] for entry in state)
        again = fn.from_torch(case.rule, state)
        assert jax.tree.structure(again) == jax.tree.structure(params), case.rule
        assert jax.tree.all(jax.tree.map(np.array_equal, again, params)), case.rule
        kinds |= {type(case.rule)} if state else set()
    assert len(kinds) >= 20


def test_orders_of_numbers():
    """Flattened sequences keep theirs, images do not, nor do branches put side by side; one channel changes nothing."""
    weight = np.arange(24.0).reshape(2, 12)
    state = {"a.weight": np.zeros((5, 3)), "b.weight": weight, "b.bias": np.zeros(2)}
    sequence = fn.Chain(fn.Embedding(5, 3), fn.Flatten(), fn.Dense(2))
    for shape in ((4,), None):
        assert np.array_equal(fn.from_torch(sequence, state, shape)[2]["kernel"].T, weight)
    del state["a.weight"]
    flat = fn.Chain(fn.Parallel(fn.MaxPool(1), fn.MaxPool(1)), fn.Flatten(), fn.Dropout(0.5), fn.tanh, fn.Dense(2))
    kernel = fn.from_torch(flat, state, (2, 3, 1))[4]["kernel"]
    assert np.array_equal(kernel, np.moveaxis(weight.T.reshape(2, 2, 3, 2), 0, 2).reshape(12, 2))
    assert np.array_equal(
        written(flat, (((), ()), (), (), (), {"kernel": kernel, "bias": np.zeros(2)}), (2, 3, 1))["4.weight"], weight
    )
    plain = fn.Chain(fn.Flatten(), fn.Dense(2))
    assert np.array_equal(fn.from_torch(plain, state, (4, 3, 1))[1]["kernel"].T, weight)
    assert np.array_equal(fn.from_torch(plain, state, (4, 3))[1]["kernel"].T, weight)
    assert not np.array_equal(fn.from_torch(plain, state, (2, 2, 3))[1]["kernel"].T, weight)


def gpt():
    sizes = json.loads(str(GPT["about"]))["sizes"]
    state = {name.removeprefix("weights/"): GPT[name] for name in GPT.files if name.startswith("weights/")}
    return fn.transformer(**sizes), state


def test_a_gpt_with_one_product_for_three_and_a_table_named_twice():
    """The logits of the recorded GPT; a last entry that is the table again belongs to it, another one does not."""
    network, state = gpt()
    params = fn.from_torch(network, state, (9,))
    z = quick(network.apply)(params, jnp.asarray(GPT["tokens"]))
    np.testing.assert_allclose(z, GPT["logits"], rtol=1e-10, atol=1e-10)
    fn.from_torch(network, state | {"lm_head.weight": state["wte.weight"]})
    with pytest.raises(ValueError, match=r"lm_head\.weight is left over"):
        fn.from_torch(network, state | {"lm_head.weight": state["wte.weight"] + 1})


def test_forms_of_an_attention_and_the_table_twice(rng):
    """Written for what the model has: one, two or four modules, and the table's second name."""
    torch = pytest.importorskip("torch")
    network, state = gpt()
    like = state | {"lm_head.weight": state["wte.weight"]}
    tensors = fn.to_torch(network, fn.from_torch(network, state), like=like)
    assert list(tensors) == list(like)
    assert all(np.array_equal(tensors[name], like[name]) for name in like)
    layer = fn.Attention(4, groups=2)
    params = quick(lambda: layer.init(KEY, (3, 8), jnp.float64))()
    apart = fn.to_torch(layer, params)
    assert [tuple(tensor.shape) for name, tensor in apart.items() if "weight" in name] == [
        (8, 8),
        (4, 8),
        (4, 8),
        (8, 8),
    ]
    joint = {
        "qkv.weight": np.zeros((16, 8)),
        "qkv.bias": np.zeros(16),
        "o.weight": np.zeros((8, 8)),
        "o.bias": np.zeros(8),
    }
    for form in (apart, fn.to_torch(layer, params, like=joint)):
        assert all(torch.is_tensor(tensor) for tensor in form.values())
        again = fn.from_torch(layer, form)
        assert jax.tree.all(jax.tree.map(np.array_equal, again, params))


def test_files_of_safetensors(tmp_path):
    """Written and read; the file's order is by name, counted, and `order` says another."""
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    network = fn.Chain(*(fn.Dense(width) for width in range(2, 14)))
    params = quick(lambda: network.init(KEY, (1,), jnp.bfloat16))()
    state = fn.to_torch(network, params, path=tmp_path / "model.safetensors")
    assert str(state["11.weight"].dtype) == "torch.bfloat16"
    again = fn.from_torch(network, tmp_path / "model.safetensors")
    assert jax.tree.all(jax.tree.map(np.array_equal, again, params))
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-3])
    for name, kind, words in (("cut", ValueError, "a whole file"), ("none", FileNotFoundError, "must exist")):
        with pytest.raises(kind, match=words):
            fn.from_torch(network, tmp_path / f"{name}.safetensors")
    named = {"second.weight": np.ones((3, 2)), "first.weight": np.zeros((2, 5))}
    two = fn.Chain(fn.Dense(2, bias=False), fn.Dense(3, bias=False))
    assert fn.from_torch(two, named, order=["first", "second"])[1]["kernel"].shape == (2, 3)


@fn.record
class Gain(fn.layers.Layer):
    width: int = choice()

    def out_shape(self, in_shape):
        return in_shape

    def init(self, key, in_shape, dtype=None):
        return {"gain": jnp.ones(self.width, dtype)}


def test_layers_from_elsewhere():
    """One made of layers is opened by its own init; one that is not must be registered."""
    network = fn.Chain(Sum((fn.Dense(3), fn.Chain(fn.Dense(2), fn.tanh, fn.Dense(3)))), fn.Dense(4))
    state = {
        f"{name}.{part}": np.arange(float(np.prod(shape))).reshape(shape) + i
        for i, (name, out, into) in enumerate((("a", 3, 5), ("b", 2, 5), ("c", 3, 2), ("d", 4, 3)))
        for part, shape in (("weight", (out, into)), ("bias", (out,)))
    }
    params = fn.from_torch(network, state, (5,))
    for name, own in zip("abcd", (params[0][0], params[0][1][0], params[0][1][2], params[1]), strict=True):
        assert np.array_equal(own["kernel"].T, state[f"{name}.weight"])
    with pytest.raises(ValueError, match="in_shape must be given for Sum"):
        fn.from_torch(network, state)
    with pytest.raises(ValueError, match="a Dense must follow a Flatten"):
        fn.from_torch(fn.Chain(fn.Flatten(), Sum((fn.Dense(2),))), state, (2, 2, 3))
    with pytest.raises(TypeError, match="must have a rule for Centred"):
        fn.from_torch(fn.Chain(fn.Dense(3), Centred()), state)
    read.register(Gain)(lambda layer, entries: {"gain": entries("weight", (layer.width,))})
    write.register(Gain)(lambda layer, params: {"weight": params["gain"]})
    assert fn.from_torch(fn.Chain(Gain(3), fn.relu), {"own.weight": np.ones(3)}, (3,))[0]["gain"].shape == (3,)


STATE = {"a.weight": np.zeros((3, 5)), "a.bias": np.zeros(3), "b.weight": np.zeros((2, 3)), "b.bias": np.zeros(2)}
TWO = fn.Chain(fn.Dense(3), fn.relu, fn.Dense(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fn.from_torch(TWO, STATE, (4,)), r"a.weight must be \(3, 4\) for Dense, but it is \(3, 5\)"),
        (lambda: fn.from_torch(fn.Chain(fn.Dense(3), fn.Dense(4)), STATE), r"b.weight must be \(4, any\)"),
        (lambda: fn.from_torch(fn.Dense(3), STATE), "b.weight, b.bias are left over"),
        (lambda: fn.from_torch(fn.Dense(3, bias=False), STATE), "a.bias is left over"),
        (lambda: fn.from_torch(fn.Chain(TWO, fn.LayerNorm()), STATE), "ends after b.bias"),
        (lambda: fn.from_torch(fn.LSTM(3), STATE), r"LSTM must have a weight_ih_l0 \(12, any\), but .* a.weight"),
        (lambda: fn.from_torch(fn.Conv(3, 2), STATE), r"a.weight must be \(3, any, 2\) for Conv"),
        (lambda: fn.from_torch(fn.GRU(3, reset_after=False), STATE), "resets after the product"),
        (lambda: fn.from_torch(TWO, STATE, order=["c"]), "nothing begins with 'c'"),
        (lambda: fn.from_torch(TWO, STATE, order="a"), "order must be a list"),
        (lambda: fn.from_torch(TWO, "model.pt"), "one of safetensors"),
        (lambda: fn.from_torch(TWO, fn.relu), "model.state_dict"),
        (lambda: fn.from_torch(TWO, {**STATE, "a.bias": "text"}), "a.bias must be an array of numbers"),
        (
            lambda: fn.from_torch(fn.Chain(fn.Flatten(), fn.Residual(fn.Dense(12))), STATE, (2, 2, 3)),
            "follow a Flatten",
        ),
        (lambda: fn.from_torch(fn.Chain(fn.Flatten(), fn.Dense(3)), STATE), "in_shape must be given"),
        (lambda: fn.from_torch(fn.Chain(fn.Conv(3, 1), fn.Reshape((6, 2))), {}, (2, 2, 5)), "must keep their place"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        call()
    assert len(str(caught.value)) <= 300


def test_likes_that_do_not_fit():
    """A module too few, one too many, another shape, a bias that would be lost, parameters of another network."""
    params = jax.tree.map(lambda a: a + 1, fn.from_torch(TWO, STATE))
    without = {name: array for name, array in STATE.items() if name != "b.bias"}
    for like, words in (
        ({"a.weight": STATE["a.weight"], "a.bias": STATE["a.bias"]}, "it ends before Dense, number 2"),
        (STATE | {"c.weight": np.zeros((1, 2))}, "c.weight .* would stay"),
        (STATE | {"b.weight": np.zeros((3, 3))}, r"b.weight of like .*\(3, 3\), not \(2, 3\)"),
        (without, "like must have a bias"),
    ):
        with pytest.raises(ValueError, match=words):
            written(TWO, params, like=like)
    for wrong in (params[::2], params[:2], ((), *params[1:])):
        with pytest.raises(ValueError, match="params must be those"):
            written(TWO, wrong)
    with pytest.raises(ValueError, match=r"0.kernel must have the shape \(4, 3\), but got \(5, 3\)"):
        written(TWO, params, (4,))
    plain = fn.from_torch(TWO, STATE)
    assert list(written(TWO, plain, like=without)) == list(without)


@pytest.mark.every
def test_without_pytorch(monkeypatch):
    """Reading needs it not, nor does importing funcnet load it; writing says that it is missing."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="torch must be installed"):
        fn.to_torch(TWO, fn.from_torch(TWO, STATE))
    code = "import sys, funcnet as fn; fn.from_torch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
