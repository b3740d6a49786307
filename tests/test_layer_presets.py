"""Presets of layers against what PyTorch, Keras and Flax computed and drew: random weights, inputs and derivatives."""

import functools
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import presets
from funcnet.layers.presets import LIBRARIES, NAMES, SPELLINGS, VARIANTS
from funcnet.trees import leaves_by_path, map_leaves
from tests.helpers import quick, sampled

FILE = pathlib.Path(__file__).parent / "recorded" / "layers.npz"
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "guides" / "presets.md"
RECORDED = np.load(FILE)
ABOUT = json.loads(str(RECORDED["about"]))
CASES, LAWS = ABOUT["cases"], ABOUT["laws"]
KEY = jax.random.key(3)


def hashable(value):
    """Tuples in the place of the lists that JSON made of them."""
    return tuple(map(hashable, value)) if isinstance(value, list) else value


def cut(numbers, *shapes):
    """Cut a row of numbers into arrays."""
    parts = np.split(numbers, np.cumsum([math.prod(shape) for shape in shapes]))
    assert parts[-1].size == 0
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=False)]


def recorded(index):
    """Return the layer, x, parameters and dy of a case, and what the library made of them."""
    library, name, sizes, numbers, wrap, x_shape, y_shape, shapes = CASES[index]
    layer = fn.preset(library, name, *map(hashable, sizes), **{key: hashable(v) for key, v in numbers.items()})
    layer = fn.Bidirectional(layer) if wrap else layer
    tokens = name == "embedding"
    own = [shape for shape in shapes.values() for _ in range(2)]
    dxs = [] if tokens else [x_shape]
    x, dy, y, *rest = cut(RECORDED[f"case{index}"], x_shape, y_shape, y_shape, *dxs, *own)
    dx = None if tokens else rest.pop(0)
    params, dparams = dict(zip(shapes, rest[::2], strict=True)), dict(zip(shapes, rest[1::2], strict=True))
    like = jax.eval_shape(lambda: layer.init(KEY, tuple(x_shape[1:]), jnp.float64))
    assert {path: list(leaf.shape) for path, leaf in leaves_by_path(like).items()} == shapes
    params = map_leaves(lambda path, _: jnp.asarray(params[path]), like)
    return layer, params, jnp.asarray(x.astype(np.int32) if tokens else x), jnp.asarray(dy), (y, dx, dparams)


def compared(found, wanted, what):
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10 * scale, err_msg=what)


def ours(layer, params, x, dy):
    y, saved = layer.forward(params, x)
    return y, layer.backward(params, saved, dy)


@pytest.mark.parametrize("library", sampled(LIBRARIES, lambda library: library == "torch"))
def test_layers_are_the_librarys(library):
    """Outputs, dx and the gradients of all parameters, of weights under our names."""
    mine = [recorded(index) for index, case in enumerate(CASES) if case[0] == library]
    labels = [str(case[:5]) for case in CASES if case[0] == library]
    found = quick(lambda inputs: [ours(layer, *own) for (layer, *_), own in zip(mine, inputs, strict=True)])(
        [(params, x, dy) for _, params, x, dy, _ in mine]
    )
    for label, (y, (dparams, dx)), (*_, wanted) in zip(labels, found, mine, strict=True):
        compared(y, wanted[0], f"{label}: y")
        if wanted[1] is not None:
            compared(dx, wanted[1], f"{label}: dx")
        gradients = leaves_by_path(dparams)
        assert set(gradients) == set(wanted[2])
        for path, gradient in gradients.items():
            compared(gradient, wanted[2][path], f"{label}: {path}")


@pytest.mark.parametrize("library", sampled(LIBRARIES, lambda library: library == "torch"))
def test_batch_normalisation_is_the_librarys(library):
    """Three batches in training, each moving the running numbers, and one in evaluation."""
    big, small = (5, 3, 4), (4,)
    each = (big, big, small, small, small, small)
    arrays = cut(RECORDED[f"{library} batches"], *[small] * 4, *[big] * 8, *each * 4)
    layer = fn.preset(library, "batch_norm")

    @quick
    def run(params, xs, dys):
        found = []
        for index, (x, dy) in enumerate(zip(xs, dys, strict=True)):
            y, saved = layer.forward(params, x, KEY if index < 3 else None)
            dparams, dx = layer.backward(params, saved, dy)
            params = layer.refresh(params, saved)
            found += [y, dx, dparams["scale"], dparams["offset"], params["mean"], params["variance"]]
        return found

    start = dict(zip(("scale", "offset", "mean", "variance"), arrays[:4], strict=True))
    start = {name: jnp.asarray(own) for name, own in start.items()}
    found = run(start, [jnp.asarray(a) for a in arrays[4:8]], [jnp.asarray(a) for a in arrays[8:12]])
    for index, (one, wanted) in enumerate(zip(found, arrays[12:], strict=True)):
        compared(one, wanted, f"batch {index // 6}, array {index % 6}")
    # The libraries' choices show in what was recorded: one batch moves the variance by 0.1 of N/(N−1) v, or by 0.01 v.
    x, keep = arrays[4], 0.9 if library == "torch" else 0.99
    variance = x.reshape(-1, 4).var(0, ddof=1 if library == "torch" else 0)
    np.testing.assert_allclose(arrays[17], keep * arrays[3] + (1 - keep) * variance, rtol=1e-10)


def test_every_preset_is_recorded():
    """Each preset has a case with numbers, and each that draws has the law of its draws; sizes of a case differ."""
    numbers = {(library, name) for library, name, *_ in CASES} | {(library, "batch_norm") for library in LIBRARIES}
    assert numbers == set(VARIANTS) == {(library, name) for library in LIBRARIES for name in NAMES}
    drawing = {key for key, (_, known) in VARIANTS.items() if any(name.endswith("_init") for name in known)}
    assert {(library, name) for library, name, *_ in LAWS} == drawing
    assert set(ABOUT["versions"]) == set(LIBRARIES)
    assert FILE.stat().st_size < 200_000
    assert all(np.isfinite(RECORDED[name]).all() for name in RECORDED.files if name != "about")


# Choices that tell the libraries apart: the recorded numbers must refuse each change.
CHANGES = [
    ("keras", "layer_norm", {"epsilon": 1e-5}),
    ("flax", "group_norm", {"epsilon": 1e-5}),
    ("torch", "rms_norm", {"epsilon": 1e-6}),
    ("keras", "gru", {"reset_after": True}),
    ("keras", "conv", {"padding": ((1, 1), (1, 1))}),
    ("flax", "conv_transpose", {"padding": ((1, 0), (1, 0))}),
]


@pytest.mark.parametrize(("library", "name", "changes"), CHANGES, ids=lambda v: str(v))
def test_the_comparison_sees_each_choice(library, name, changes):
    worst = 0.0
    for index, (where, own, _, numbers, *_) in enumerate(CASES):
        if (where, own) == (library, name) and ("reset_after" in numbers or name != "gru"):
            layer, params, x, _, (y, *_) = recorded(index)
            try:
                other = fn.replace(layer, changes)
                zeros = {"recurrent_bias": jnp.zeros_like(params["bias"])} if "reset_after" in changes else {}
                found = quick(lambda p, x, other=other: other.forward(p, x)[0])(params | zeros, x)
            except ValueError:  # of a case with other axes
                continue
            worst = max(worst, np.abs(found - y).max() if found.shape == y.shape else 1.0)
    assert worst > 1e-8


@functools.cache
def initial(library):
    """Return draws of the initial values of all presets of a library, from as many keys as were recorded."""
    wanted = {name: (sizes, in_shape) for where, name, sizes, in_shape, _ in LAWS if where == library}
    layers = {name: fn.preset(library, name, *sizes) for name, (sizes, _) in wanted.items()}

    @quick
    def draw(keys):
        return {
            name: jax.vmap(lambda key, n=name, own=layer: own.init(key, tuple(wanted[n][1]), jnp.float64))(keys)
            for name, layer in layers.items()
        }

    drawn = draw(jax.random.split(jax.random.key(5), ABOUT["repeats"]))
    return {name: leaves_by_path(params) for name, params in drawn.items()}


@pytest.mark.parametrize("library", sampled(LIBRARIES, lambda library: library == "torch"))
def test_initial_values_follow_the_librarys_law(library):
    """Deviation, shape and ends of the draws; ends of uniform laws to a thousandth; lengths of recurrent kernels."""
    for index, (where, name, _, _, leaf) in enumerate(LAWS):
        if where != library:
            continue
        label, own = f"{library} {name} {leaf}", np.asarray(initial(library)[name][leaf])
        if leaf == "recurrent_bias" and library == "flax":
            own = own[:, 2 * own.shape[1] // 3 :]  # theirs is that of n alone
        if (library, name, leaf) == ("keras", "gru", "bias"):  # theirs are both
            own = np.concatenate([own, initial(library)[name]["recurrent_bias"]])
        count, deviation, kurtosis, *rest = RECORDED["laws"][index]
        quantiles, values = np.asarray(rest[: len(ABOUT["quantiles"])]), rest[len(ABOUT["quantiles"]) :]
        assert own.size == count, label
        near = 5 / np.sqrt(count)
        assert own.std() == pytest.approx(deviation, rel=near, abs=1e-300), label
        found = np.quantile(own, ABOUT["quantiles"])
        np.testing.assert_allclose(found[1:-1], quantiles[1:-1], rtol=0, atol=3 * near * deviation, err_msg=label)
        ends = 1e-3 if count > 20_000 and kurtosis < 1.9 else 0.35
        np.testing.assert_allclose(found[[0, -1]], quantiles[[0, -1]], rtol=ends, atol=1e-12, err_msg=label)
        if deviation > 0:
            # Of four equal numbers or more the kurtosis is that of the law; its error is about √(24/n) for normal ones.
            shape = np.mean((own - own.mean()) ** 4) / own.var() ** 2
            assert shape == pytest.approx(kurtosis, abs=25 / np.sqrt(count)), label
        if leaf != "recurrent":
            continue
        for columns, (low, high) in zip(own.shape[:0:-1], (values[:2], values[2:]), strict=True):
            lengths, near = np.linalg.svd(own[0][:, :columns], compute_uv=False), 1e-5 if high - low < 1e-6 else 0.12
            np.testing.assert_allclose([lengths.min(), lengths.max()], [low, high], rtol=0, atol=near, err_msg=label)


def test_laws_are_told_apart():
    """What was recorded differs where the presets do: the bounds of the test above are not so wide as to hide it."""

    def law(library, name, leaf):
        index = [(where, own, path) for where, own, *_, path in LAWS].index((library, name, leaf))
        return RECORDED["laws"][index]

    # PyTorch: ±1/√n, kernel and bias; the bias of an LSTM is a sum of two. Keras: Glorot's; Flax: cut normal.
    bound = law("torch", "dense", "kernel")[11]
    assert bound == pytest.approx(30**-0.5, rel=1e-4)
    assert law("torch", "dense", "bias")[11] == pytest.approx(30**-0.5, rel=5e-3)
    assert law("keras", "dense", "kernel")[11] == pytest.approx((6 / 330) ** 0.5, rel=1e-4)
    assert law("flax", "dense", "kernel")[1] == pytest.approx(30**-0.5, rel=1e-2)
    assert law("flax", "dense", "kernel")[11] == pytest.approx(2 / 0.8796256610342398 * 30**-0.5, rel=5e-3)
    assert law("torch", "conv_transpose", "kernel")[11] == pytest.approx((5 * 120) ** -0.5, rel=1e-4)
    assert law("torch", "lstm", "bias")[1] == pytest.approx((2 / 3 / 40) ** 0.5, rel=0.1)
    assert law("torch", "gru", "bias")[1] == pytest.approx((1 / 3 / 40) ** 0.5, rel=0.1)
    assert law("torch", "attention", "query.kernel")[11] == pytest.approx((6 / (80 + 240)) ** 0.5, rel=1e-3)
    assert law("keras", "attention", "query.kernel")[11] == pytest.approx((6 / (80 + 80)) ** 0.5, rel=1e-3)
    # Rows of Keras's recurrent kernel are of length 1 through all gates, Flax's in each.
    np.testing.assert_allclose(law("keras", "lstm", "recurrent")[-4:-2], 1, atol=1e-5)
    np.testing.assert_allclose(law("flax", "lstm", "recurrent")[-2:], 1, atol=1e-5)


def test_two_biases_move_twice_as_far():
    """With a rate of 2 for the sum, it follows both of PyTorch's, as the presets say: db is the same for each."""
    layer = fn.preset("torch", "rnn", 2)
    params = layer.init(KEY, (4, 3), jnp.float64)
    optimizer = fn.RatesByPath(fn.SGD(0.1), ("bias",), (2.0,))
    gradient = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(updates["bias"], -0.2)
    np.testing.assert_allclose(updates["input"], -0.1)


def test_arguments_come_through():
    """By position or by name; what is given counts, what is not is the library's."""
    assert fn.preset("torch", "Dense", 64) == fn.preset("torch", "dense", width=64)
    layer = fn.preset("keras", "lstm", 12, sequence=True, forget_bias=0.5)
    assert (layer.width, layer.sequence, layer.forget_bias) == (12, True, 0.5)
    assert not fn.preset("keras", "lstm", 12).sequence
    assert fn.preset("torch", "lstm", 12).sequence
    assert fn.preset("keras", "group_norm").groups == 32
    assert fn.preset("keras", "group_norm", 4) == fn.GroupNorm(4, 1e-3)
    assert fn.preset("torch", "batch_norm", 0.5) == fn.BatchNorm(0.5, 1e-5, unbiased=True)
    assert fn.preset("torch", "rms_norm").epsilon == np.finfo(np.float64).eps
    assert fn.preset("torch", "adam", learning_rate=0.5) == fn.optimizers.preset("torch", "adam", learning_rate=0.5)
    known = {name for kind, _ in VARIANTS.values() for name in kind.__dataclass_fields__}
    assert set(SPELLINGS.values()) <= known


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: fn.preset("tensorflow", "dense"), ValueError, ("torch, optax, keras, sklearn, flax", "'tensorflow'")),
        (lambda: presets.preset("optax", "dense"), ValueError, ("torch, keras, flax", "'optax'")),
        (lambda: presets.preset("torch", "adam"), ValueError, ("dense, conv", "'adam'")),
        (lambda: fn.preset("torch", "batchnorm"), ValueError, ("'batchnorm'", "Try: 'batch_norm'")),
        (lambda: fn.preset("flax", "adam"), ValueError, ("adam is a preset of paper, torch, optax, keras", "'adam'")),
        (lambda: fn.preset("optax", "lstm", 3), ValueError, ("lstm is a preset of torch, keras, flax",)),
        (lambda: fn.preset("torch", "dense"), TypeError, ("needs width", "width=8")),
        (lambda: fn.preset("torch", "conv", 3), TypeError, ("needs window",)),
        (lambda: fn.preset("torch", "dense", 3, True, None, None, 5), TypeError, ("by position", "got 5")),
        (lambda: fn.preset("torch", "dense", 3, width=4), TypeError, ("width once", "width=4 alone")),
        (lambda: fn.preset("keras", "dense", units=3), ValueError, ("'units'", "width=3")),
        (lambda: fn.preset("torch", "conv", 3, kernel_size=5), ValueError, ("'kernel_size'", "window=5")),
        (lambda: fn.preset("torch", "adam", 0.1), TypeError, ("by name", "learning_rate=0.1")),
        (lambda: fn.preset("torch", "dense", 0), ValueError, ("Dense.width must be at least 1",)),
    ],
)
def test_errors_say_what_is_right(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in parts), caught.value
    assert len(str(caught.value)) <= 300


def said(value):
    """Return a value as the page shows it: records by position, without defaults at their end."""
    if value is presets.OF_DTYPE:
        return "that of the dtype"
    if not hasattr(value, "__dataclass_fields__"):
        return json.dumps(value) if isinstance(value, str) else "⅓" if value == 1 / 3 else repr(value)
    fields = list(value.__dataclass_fields__.values())
    while fields and vars(value)[fields[-1].name] == fields[-1].default:
        fields.pop()
    return f"{type(value).__name__}({', '.join(said(vars(value)[field.name]) for field in fields)})"


def table():
    """Return the guide's table, a row for each argument that a preset sets."""
    rows = ["| layer | " + " | ".join(LIBRARIES) + " |", "|---" * (1 + len(LIBRARIES)) + "|"]
    for name in NAMES:
        known = [VARIANTS[library, name][1] for library in LIBRARIES]
        for key in dict.fromkeys(key for numbers in known for key in numbers):
            cells = [said(numbers[key]) if key in numbers else "" for numbers in known]
            rows.append(f"| {name} `{key}` | " + " | ".join(f"`{cell}`" if cell else "" for cell in cells) + " |")
    return "\n".join(rows)


def test_the_page_lists_what_the_presets_set():
    assert table() in PAGE.read_text(), f"put this into {PAGE.name}:\n{table()}"
