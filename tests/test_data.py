"""The shipped digits and names, the generators, splitting and scaling, and the loaders with what they must refuse."""

import gzip
import hashlib
import math
import re
import struct
import subprocess
import sys
import tracemalloc
from importlib.resources import files
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from funcnet import data

FASHION = Path("/usr/share/datasets/fashion-mnist")
HOUSE = re.compile(r".+ must .+, but .+\. Try: .+\.", re.DOTALL)


def refusal(kind, call):
    """Return the message with which `call` is refused, of exactly this kind and in the house wording."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    assert HOUSE.fullmatch(message), message
    return message


def assert_refused(kind, call, *parts):
    message = refusal(kind, call)
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"


# ---------------------------------------------------------------- the digits


@pytest.fixture(scope="module")
def stored():
    with (files("funcnet.data") / "digits.npz").open("rb") as file, np.load(file) as archive:
        return dict(archive)


DIGESTS = {
    "pixels": "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
    "labels": "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
    "part": "b436178faab5ec667a9fd6366e2d2f2695a5c34cca1a73efd948f0bf2e25b870",
}


class Flowers:
    """A table: whatever has columns by name."""

    columns = ("length", "width", "species", "gaps")

    def __getitem__(self, name):
        columns = {
            "length": [5.0, 7.0, 6.0],
            "width": [3, 2, 1],
            "species": ["b", "a", "b"],
            "gaps": [1.0, np.nan, 2.0],
        }
        return columns[name]


def test_a_table_by_column():
    found = data.frame(Flowers(), "species", features=["width", "length"], classes=True)
    assert found.x.tolist() == [[3, 5], [2, 7], [1, 6]]
    assert found.x.dtype == np.float32
    assert (found.y.tolist(), found.classes, found.targets) == ([1, 0, 1], ("a", "b"), ("species",))
    for arguments, options, words in (
        (("specie",), {}, "'specie' is none. Try: 'species'"),
        (("length",), {"features": ["species"]}, "column 'species' must hold numbers alone, but .*ColumnTransformer"),
        (("length",), {"features": ["gaps"]}, "column 'gaps' must hold numbers alone, but 1 are missing"),
        (("length",), {"features": ["length"]}, "no column in common"),
        ((["length", "width"],), {"features": ["gaps"], "classes": True}, "one column when classes=True"),
    ):
        with pytest.raises(ValueError, match=words):
            data.frame(Flowers(), *arguments, **options)
    with pytest.raises(TypeError, match="table must have columns by name, but got a list of 2"):
        data.frame([1, 2], "a")


def test_stored_digits_are_the_recorded_ones(stored):
    assert {name: array.dtype for name, array in stored.items()} == dict.fromkeys(DIGESTS, np.dtype(np.uint8))
    assert {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in stored.items()} == DIGESTS
    # The first image of the test part as UCI publishes it, a zero.
    assert stored["labels"][0] == 0
    assert stored["pixels"][0].reshape(8, 8).tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]


def test_digits_have_the_published_class_counts_and_pixel_sum():
    parts = data.digits(np.float64)
    labels = np.concatenate([y for _, y in parts])
    # optdigits.names lists these counts for the test part.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert sum(float(x.sum()) for x, _ in parts) * 16 == 561718


def test_digits_are_scaled_rows_with_labels():
    parts = data.digits()
    assert isinstance(parts, data.Splits)
    assert [x.shape for x, _ in parts] == [(1077, 64), (360, 64), (360, 64)]
    for x, y in parts:
        assert x.dtype == np.float32
        assert y.dtype == np.int32
        assert y.shape == (len(x),)
        assert x.min() == 0
        assert x.max() == 1
        assert np.array_equal(16 * x, np.round(16 * x))


def test_digits_follow_the_stored_parts_in_order(stored):
    for number, (x, y) in enumerate(data.digits(np.float64)):
        chosen = stored["part"] == number
        assert np.array_equal(16 * x, stored["pixels"][chosen])
        assert np.array_equal(y, stored["labels"][chosen])


def test_digits_parts_are_stratified_and_are_what_split_draws(stored):
    for _, y in data.digits():
        share = np.bincount(stored["labels"]) * len(y) / 1797
        assert np.abs(np.bincount(y) - share).max() < 1
    drawn = data.split(np.arange(1797), stored["labels"], (1077 / 1797, 360 / 1797, 360 / 1797), seed=0)
    for number, (rows, _) in enumerate(drawn):
        assert np.array_equal(rows, np.flatnonzero(stored["part"] == number))


def test_digits_labels_belong_to_their_images():
    (x, y), _, (x_test, y_test) = data.digits(np.float64)
    centres = np.stack([x[y == digit].mean(axis=0) for digit in range(10)])
    nearest = ((x_test[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.85 < (nearest == y_test).mean() < 0.97


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16], ids=str)
def test_digits_are_exact_in_every_floating_dtype(dtype):
    for (x, _), (reference, _) in zip(data.digits(dtype), data.digits(np.float64), strict=True):
        assert x.dtype == np.dtype(dtype)
        assert np.array_equal(x.astype(np.float64), reference)


def test_digits_are_fresh_arrays_in_every_call():
    first = data.digits()
    first.train[0][:] = -1
    assert data.digits().train[0].min() == 0


def test_digits_agree_with_scikit_learn(stored):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    source = datasets.load_digits()
    assert np.array_equal(stored["pixels"], source.data)
    assert np.array_equal(stored["labels"], source.target)


def test_digits_are_small_and_attributed():
    folder = files("funcnet.data")
    assert len((folder / "digits.npz").read_bytes()) < 60_000
    attribution = (folder / "DIGITS.md").read_text(encoding="utf-8")
    for fact in ("Alpaydin", "Kaynak", "CC BY 4.0", "archive.ics.uci.edu/dataset/80", "What was changed"):
        assert fact in attribution


def test_importing_opens_no_data():
    program = """
import sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
import funcnet.data as data
print(sum(path.endswith(".npz") for path in opened))
data.digits()
print(sum(path.endswith(".npz") for path in opened))
data.first_names()
print(sum(path.endswith(".npz") for path in opened))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1", "2"]


# ---------------------------------------------------------------- the first names


@pytest.fixture(scope="module")
def first_names():
    return data.first_names()


def test_first_names_are_the_recorded_ones(first_names):
    names, labels = (np.concatenate(arrays) for arrays in zip(*first_names, strict=True))
    order = np.argsort(names)
    listing = "\n".join(f"{name} {label}" for name, label in zip(names[order], labels[order], strict=True))
    digest = hashlib.sha256(listing.encode()).hexdigest()
    assert digest == "bc3c67cf368bd75a08ff3239cda3d2e1e9130a1ac8b33bf5f9cc80b5acb7bd3d"
    # The lines of the source: 4,951 less 7 that occur twice, and 3,898 less one.
    assert np.bincount(labels).tolist() == [4525, 3478, 419]
    assert (4525 + 419, 3478 + 419) == (4951 - 7, 3898 - 1)


def test_first_names_are_text_with_labels_in_alphabetical_order(first_names):
    assert isinstance(first_names, data.Splits)
    assert [names.shape for names, _ in first_names] == [(5053,), (1685,), (1684,)]
    for names, y in first_names:
        assert names.dtype.kind == "U"
        assert y.dtype == np.int32
        assert y.shape == names.shape
        assert names.tolist() == sorted(names)
        assert all(re.fullmatch(r"[A-Z][A-Za-z]*(-[A-Z][a-z]+)?", name) for name in names)


def test_no_first_name_is_in_two_parts(first_names):
    names = np.concatenate([names for names, _ in first_names])
    # Not in other letters, either: a name with two spellings of one sound is two names, but ANN and Ann are one.
    assert len({name.lower() for name in names}) == len(names) == 8422


def test_first_names_of_both_lists_are_a_class_of_their_own(first_names):
    label = {name: y for names, labels in first_names for name, y in zip(names.tolist(), labels.tolist(), strict=True)}
    assert [label[name] for name in ("Mary", "Elizabeth", "John", "William", "Leslie", "Robin", "Terry")] == [
        *(0, 0, 1, 1, 2, 2, 2)
    ]


def test_first_names_parts_are_stratified_and_fixed(first_names):
    for _, y in first_names:
        assert np.abs(np.bincount(y) - np.array([4525, 3478, 419]) * len(y) / 8422).max() < 1
    digests = [hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] for names, _ in first_names]
    assert digests == ["108d51d2e59c874c", "1082562f215ba6f2", "b5087c9b8596eb3e"]


def test_first_names_are_small_and_attributed():
    folder = files("funcnet.data")
    assert len((folder / "first_names.npz").read_bytes()) < 16_000
    attribution = (folder / "FIRST_NAMES.md").read_text(encoding="utf-8")
    for fact in ("Stdlib Authors", "Moby Word II", "Ward", "CC0 1.0", "PDDL 1.0", "What was changed"):
        assert fact in attribution


# ---------------------------------------------------------------- generators

GENERATORS = {
    "xor": data.xor,
    "spirals": data.spirals,
    "moons": data.moons,
    "regression": data.regression,
}
EVERY_GENERATOR = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)


@EVERY_GENERATOR
def test_same_seed_same_data_other_seed_other_data(make):
    first, again, other = make(samples=40, seed=5), make(samples=40, seed=5), make(samples=40, seed=6)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.any(first[0] == other[0])


@EVERY_GENERATOR
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_generators_honour_dtype_and_round_once(make, dtype):
    x, y = make(samples=11, seed=2, dtype=dtype)
    exact_x, exact_y = make(samples=11, seed=2, dtype=np.float64)
    assert x.dtype == dtype
    assert np.array_equal(x, exact_x.astype(dtype))
    assert len(x) == len(y) == 11
    assert np.array_equal(y, exact_y.astype(y.dtype))


@pytest.mark.parametrize("make", [data.xor, data.spirals, data.moons, data.regression])
def test_a_split_by_the_seed_of_the_data_is_random(make):
    """Parts have equal means of every feature and of its square, up to six standard errors."""
    for seed in range(3):
        x, y = make(samples=2000, seed=seed)
        parts = data.split(x, y, seed=seed, stratify=y.dtype.kind == "i")
        for values in (lambda a: a, np.square, lambda a: np.sum(a * a, axis=1, keepdims=True)):
            for part, _ in parts:
                error = values(x).std(axis=0) / np.sqrt(len(part))
                assert np.all(np.abs(values(part).mean(axis=0) - values(x).mean(axis=0)) < 6 * error)


@pytest.mark.parametrize("make", [data.xor, data.spirals, data.moons], ids=["xor", "spirals", "moons"])
def test_noise_is_added_after_the_labels_and_in_proportion(make):
    clean, some, more = (make(samples=2000, noise=noise, seed=3, dtype=np.float64) for noise in (0.0, 0.1, 0.3))
    assert np.array_equal(clean[1], some[1])
    assert np.allclose(3 * (some[0] - clean[0]), more[0] - clean[0], atol=1e-12)
    assert some[1].dtype == np.int32
    assert abs((more[0] - clean[0]).std() - 0.3) < 0.02
    assert abs((more[0] - clean[0]).mean()) < 0.02


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_xor_labels_are_the_sign_product_before_the_noise(noise):
    clean, _ = data.xor(samples=401, noise=0.0, seed=9)
    _, y = data.xor(samples=401, noise=noise, seed=9)
    assert np.array_equal(y, (np.prod(clean, axis=1) < 0).astype(np.int32))
    assert np.abs(clean).min() > 0
    assert np.abs(clean).max() <= 1
    assert np.bincount(y).tolist() == [201, 200]
    quadrants = np.unique(np.sign(clean), axis=0, return_counts=True)[1]
    assert sorted(quadrants.tolist()) == [100, 100, 100, 101]
    assert abs(np.abs(clean).mean() - 0.5) < 0.03


@pytest.mark.parametrize(("classes", "turns"), [(2, 1.0), (3, 0.0), (5, 1.75)])
def test_spirals_lie_on_their_arms(classes, turns):
    x, y = data.spirals(samples=10 * classes + 1, classes=classes, turns=turns, noise=0.0, seed=1, dtype=np.float64)
    radius = np.hypot(x[:, 0], x[:, 1])
    assert 0.9 < radius.max() < 1
    assert radius.min() < 0.2
    angle = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) - turns * radius - y / classes
    assert np.abs(angle - np.round(angle)).max() < 1e-12
    assert np.bincount(y).tolist() == [11] + [10] * (classes - 1)


def test_moons_are_two_half_circles_of_radius_one():
    x, y = data.moons(samples=301, noise=0.0, seed=2, dtype=np.float64)
    upper, lower = x[y == 0], x[y == 1]
    assert (len(upper), len(lower)) == (151, 150)
    assert np.allclose(np.hypot(upper[:, 0], upper[:, 1]), 1, atol=1e-12)
    assert np.allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, atol=1e-12)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5
    # Each moon is covered from end to end.
    assert upper[:, 0].min() < -0.95 < 0.95 < upper[:, 0].max()
    assert lower[:, 0].min() < 0.05 < 1.95 < lower[:, 0].max()


@pytest.mark.parametrize(("shape", "function"), [("linear", lambda z: z), ("sine", lambda z: np.sin(2 * z))])
def test_regression_follows_its_coefficients(shape, function):
    options = {
        "samples": 4000,
        "features": 6,
        "seed": 8,
        "informative": 2,
        "shape": shape,
        "dtype": np.float64,
    }
    x, y = data.regression(noise=0.0, **options)
    truth = data.regression_coefficients(6, seed=8, informative=2)
    assert y.shape == (4000, 1)
    assert np.allclose(y[:, 0], function(x @ truth), atol=1e-12)
    assert abs((x @ truth).std() - 1) < 0.05
    noisy_x, noisy_y = data.regression(noise=0.25, **options)
    assert np.array_equal(noisy_x, x)
    assert abs((noisy_y - y).std() - 0.25) < 0.02


@pytest.mark.parametrize("informative", [None, 1, 4, 9])
def test_regression_coefficients_are_sparse_as_asked(informative):
    truths = [data.regression_coefficients(9, seed=seed, informative=informative) for seed in range(30)]
    for truth in truths:
        assert truth.shape == (9,)
        assert np.count_nonzero(truth) == (informative or 9)
        assert math.isclose(np.linalg.norm(truth), 1, rel_tol=1e-12)
        sizes = np.abs(truth[truth != 0])
        assert sizes.max() < 3 * sizes.min()
    # Over many seeds every place and both signs occur.
    assert np.all(np.any(np.array(truths) != 0, axis=0))
    assert np.min(truths) < 0 < np.max(truths)


BAD_ARGUMENTS = {
    "no samples": (ValueError, lambda: data.xor(samples=0), "samples must be at least 1", "got 0"),
    "negative samples": (ValueError, lambda: data.moons(samples=-3), "got -3", "samples=1 or more"),
    "half a sample": (
        TypeError,
        lambda: data.moons(samples=2.5),
        "samples must be a whole number",
        "2.5 (float)",
    ),
    "samples as bool": (TypeError, lambda: data.xor(samples=True), "samples", "True (bool)"),
    "negative noise": (
        ValueError,
        lambda: data.xor(noise=-0.1),
        "noise must be finite and at least 0",
        "got -0.1",
    ),
    "noise that is no number": (ValueError, lambda: data.spirals(noise=math.nan), "noise", "got nan"),
    "infinite noise": (ValueError, lambda: data.regression(noise=math.inf), "noise", "got inf"),
    "noise as text": (TypeError, lambda: data.moons(noise="much"), "noise must be a number", "'much' (str)"),
    "one class": (ValueError, lambda: data.spirals(classes=1), "classes must be at least 2", "got 1"),
    "negative turns": (ValueError, lambda: data.spirals(turns=-1), "turns", "got -1"),
    "negative seed": (ValueError, lambda: data.xor(seed=-1), "seed must be at least 0", "got -1"),
    "no seed": (TypeError, lambda: data.xor(seed=None), "seed must be a whole number", "None"),
    "no features": (ValueError, lambda: data.regression(features=0), "features must be at least 1"),
    "too many informative": (
        ValueError,
        lambda: data.regression(features=3, informative=4),
        "informative must be at most 3",
        "got 4",
    ),
    "none informative": (
        ValueError,
        lambda: data.regression_coefficients(3, informative=0),
        "at least 1",
        "got 0",
    ),
    "unknown shape": (
        ValueError,
        lambda: data.regression(shape="cosine"),
        "'linear' or 'sine'",
        "got 'cosine'",
    ),
    "whole-number dtype": (
        TypeError,
        lambda: data.moons(dtype=np.int32),
        "dtype must be a floating",
        "int32",
    ),
    "dtype of digits": (TypeError, lambda: data.digits(np.uint8), "dtype must be a floating", "np.float32"),
    "dtype that is none": (TypeError, lambda: data.digits("float31"), "dtype must name", "'float31'"),
    "no dtype": (TypeError, lambda: data.digits(None), "dtype must be a floating", "got None"),
    "rows that differ": (
        ValueError,
        lambda: data.split(np.ones((5, 2)), np.zeros(4, int)),
        "equally many rows",
        "float64[5, 2] and int64[4]",
    ),
    "stratify by real numbers": (
        ValueError,
        lambda: data.split(np.ones((9, 2)), np.ones((9, 1))),
        "class labels of shape (n,)",
        "float64[9, 1]",
        "stratify=False",
    ),
    "stratify as number": (
        TypeError,
        lambda: data.split([1], [1], stratify=1),
        "stratify must be True or False",
    ),
    "fractions beyond one": (
        ValueError,
        lambda: data.split(np.ones(9), np.ones(9, int), (0.5, 0.5, 0.5)),
        "sum 1",
        "(0.5, 0.5, 0.5)",
    ),
    "two fractions": (
        ValueError,
        lambda: data.split(np.ones(9), np.ones(9, int), (0.5, 0.5)),
        "three positive",
    ),
    "one fraction": (
        ValueError,
        lambda: data.split(np.ones(9), np.ones(9, int), 0.5),
        "three positive",
        "(0.5,)",
    ),
    "fraction of zero": (
        ValueError,
        lambda: data.split(np.ones(9), np.ones(9, int), (0.5, 0.5, 0.0)),
        "positive",
    ),
    "negative fraction": (
        ValueError,
        lambda: data.split(np.ones(9), np.ones(9, int), (1.5, -1, 0.5)),
        "got -1",
    ),
    "part without a sample": (
        ValueError,
        lambda: data.split(np.ones(4), np.zeros(4, int), (0.8, 0.1, 0.1)),
        "at least one sample",
        "4 samples",
        "3, 1 and 0",
    ),
    "nothing to split": (ValueError, lambda: data.split([], [], stratify=False), "0 samples", "0, 0 and 0"),
    "class that cannot be learnt": (
        ValueError,
        lambda: data.split(np.ones(9), np.array([0] * 4 + [7] + [8] * 4), (0.2, 0.4, 0.4)),
        "a sample to learn from",
        "class 7 with 1",
    ),
    "seed of split": (
        TypeError,
        lambda: data.split(np.ones(9), np.ones(9, int), seed=0.5),
        "seed",
        "0.5 (float)",
    ),
    "whole numbers to scale": (
        TypeError,
        lambda: data.standardize(np.ones((3, 2), int)),
        "train",
        "int64[3, 2]",
    ),
    "one axis to scale": (
        ValueError,
        lambda: data.standardize(np.ones(3)),
        "train must have shape",
        "float64[3]",
    ),
    "no rows to scale": (ValueError, lambda: data.standardize(np.ones((0, 3))), "train", "float64[0, 3]"),
    "columns that differ": (
        ValueError,
        lambda: data.standardize(np.ones((4, 3)), np.ones((4, 3)), np.ones((4, 2))),
        "others[1]",
        "float64[4, 2] beside float64[4, 3]",
    ),
    "nan to scale": (
        ValueError,
        lambda: data.standardize(np.ones((2, 2)), np.array([[1.0, 2.0], [np.nan, 0.0]])),
        "others[0] must be finite",
        "others[0][1, 0] is nan",
    ),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_refused(name):
    kind, call, *parts = BAD_ARGUMENTS[name]
    assert_refused(kind, call, *parts)


# ---------------------------------------------------------------- splitting and scaling


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize(
    ("count", "fractions", "sizes"),
    [
        (10, (0.6, 0.2, 0.2), [6, 2, 2]),
        (101, (0.6, 0.2, 0.2), [61, 20, 20]),
        (50, (0.1, 0.1, 0.8), [5, 5, 40]),
        (7, (1 / 3, 1 / 3, 1 / 3), [2, 3, 2]),
        (3, (0.4, 0.3, 0.3), [1, 1, 1]),
    ],
)
def test_splits_are_disjoint_cover_all_and_keep_pairs_and_order(count, fractions, sizes, stratify):
    labels = np.arange(count, dtype=np.int32) * 7 % 5 if stratify and count > 9 else np.zeros(count, np.int32)
    x = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    parts = data.split(x, labels, fractions, seed=4, stratify=stratify)
    assert [len(rows) for rows, _ in parts] == sizes
    numbers = [(rows[:, 0] / 2).astype(int) for rows, _ in parts]
    assert sorted(np.concatenate(numbers).tolist()) == list(range(count))
    for (rows, found), number in zip(parts, numbers, strict=True):
        assert rows.dtype == np.float32
        assert found.dtype == np.int32
        assert np.array_equal(found, labels[number])
        assert np.all(np.diff(number) > 0)


def test_stratified_split_shares_every_class_in_proportion():
    drawn = 0
    for trial in range(150):
        generator = np.random.default_rng(trial)
        count, classes = int(generator.integers(30, 300)), int(generator.integers(2, 8))
        labels = (generator.random(count) ** 2 * classes).astype(int)
        fractions = generator.dirichlet([4, 4, 4])
        if np.bincount(labels).min() * fractions[0] < 3 or fractions.min() * count < 1:
            continue
        drawn += 1
        for _, found in data.split(labels, labels, fractions, seed=trial):
            share = np.bincount(labels) * len(found) / count
            assert np.abs(np.bincount(found, minlength=classes)[: len(share)] - share).max() < 2
    assert drawn > 40


def test_split_without_stratification_ignores_the_labels():
    labels = np.repeat([0, 1], 100)
    counts = {int(data.split(labels, labels, seed=seed, stratify=False).test[1].sum()) for seed in range(20)}
    assert len(counts) > 4
    assert {int(data.split(labels, labels, seed=seed).test[1].sum()) for seed in range(20)} == {20}


def test_split_is_fixed_by_its_seed_for_good():
    rows = np.arange(12)
    drawn = data.split(rows, rows % 2, seed=0)
    assert [part.tolist() for part, _ in drawn] == [[0, 1, 4, 5, 7, 9, 10], [3, 6, 8], [2, 11]]
    drawn = data.split(rows, rows % 2, seed=1, stratify=False)
    assert [part.tolist() for part, _ in drawn] == [[0, 1, 3, 6, 8, 10, 11], [4, 5, 7], [2, 9]]
    tests = {tuple(data.split(rows, rows % 2, seed=seed).test[0].tolist()) for seed in range(12)}
    assert len(tests) > 6


def test_split_chooses_every_sample_equally_often():
    labels = np.array([0] * 30 + [1] * 10)
    hits = np.zeros(40)
    for seed in range(600):
        hits[data.split(np.arange(40), labels, seed=seed).test[0]] += 1
    # One part in five, 600 times: 120 expected, standard deviation 9.8.
    assert np.abs(hits - 120).max() < 45


def test_split_takes_text_labels_jax_arrays_and_outputs_of_regression():
    names = np.array(["cat", "dog"] * 10)
    parts = data.split(jnp.ones((20, 3)), names)
    assert [sorted(set(y.tolist())) for _, y in parts] == [["cat", "dog"]] * 3
    assert isinstance(parts.train[0], np.ndarray)
    parts = data.split(*data.regression(20), stratify=False)
    assert [y.shape for _, y in parts] == [(12, 1), (4, 1), (4, 1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_standardize_measures_on_the_training_part_alone(rng, dtype):
    train = (rng.standard_normal((200, 3)) * [1.0, 1e-3, 1e4] + [5.0, -2.0, 1e5]).astype(dtype)
    other = (rng.standard_normal((50, 3)) * 9 + 1).astype(np.float64)
    (scaled, moved), means, scales = data.standardize(train, other)
    exact = train.astype(np.float64)
    assert scaled.dtype == means.dtype == scales.dtype == dtype
    assert moved.dtype == np.float64
    assert np.allclose(scaled.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    assert np.allclose(scaled.std(axis=0, dtype=np.float64), 1, rtol=1e-6)
    assert np.allclose(means, exact.mean(axis=0), rtol=1e-6)
    assert np.allclose(scales, exact.std(axis=0), rtol=1e-6)
    assert np.allclose(moved, (other - exact.mean(axis=0)) / exact.std(axis=0), rtol=1e-12)
    alone = data.standardize(train)
    assert len(alone.arrays) == 1
    assert np.array_equal(alone.arrays[0], scaled)


@pytest.mark.parametrize("value", [0.1, -3e-8, 7e20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_standardize_gives_constant_columns_scale_one(value, dtype):
    # The mean of many equal numbers is off by a rounding error, and dividing by that makes noise of nothing.
    train = np.full((1001, 1), value, dtype)
    (scaled, moved), means, scales = data.standardize(train, train + dtype(4))
    assert np.array_equal(scaled, np.zeros_like(train))
    assert scales.tolist() == [1]
    assert means[0] == dtype(value)
    assert np.array_equal(moved, (train + dtype(4)) - train)


def test_standardize_survives_spreads_too_small_to_square():
    scaled = data.standardize(np.array([[1e-300], [2e-300]])).arrays[0]
    assert np.all(np.isfinite(scaled))


# ---------------------------------------------------------------- CSV


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file and return its path."""

    def to(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path

    return to


def test_csv_reads_features_and_one_target(write):
    table = data.csv(write("height,width,price\n1.5,2,10\n-3e-2, 4 ,20.25\n"), target="price")
    assert table.x.dtype == table.y.dtype == np.float32
    assert table.x.tolist() == [[1.5, 2], [np.float32(-0.03), 4]]
    assert table.y.tolist() == [[10], [20.25]]
    assert table[2:] == (("height", "width"), ("price",), ())


@pytest.mark.parametrize(
    ("target", "features", "y", "x"),
    [
        (0, None, [[1], [4]], [[2, 3], [5, 6]]),
        (-1, None, [[3], [6]], [[1, 2], [4, 5]]),
        (np.int64(1), None, [[2], [5]], [[1, 3], [4, 6]]),
        (["c", "a"], None, [[3, 1], [6, 4]], [[2], [5]]),
        (("a", -1), None, [[1, 3], [4, 6]], [[2], [5]]),
        ("b", ["c"], [[2], [5]], [[3], [6]]),
        ("b", [2, "a"], [[2], [5]], [[3, 1], [6, 4]]),
    ],
)
def test_csv_chooses_columns_by_name_and_index(write, target, features, y, x):
    table = data.csv(write("a,b,c\n1,2,3\n4,5,6\n"), target, features=features)
    assert (table.y.tolist(), table.x.tolist()) == (y, x)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("1,2\n3,4\n", {"header": False}),
        ("1;2\n3;4\n", {"header": False, "delimiter": ";"}),
        ("a\tb\n1\t2\n3\t4\n", {"delimiter": "\t"}),
        ("\ufeffa,b\r\n1,2\r\n3,4", {"target": "b", "features": ["a"]}),
        ("\na,b\n\n1,2\n   \n3,4\n\n", {}),
        ('"a, or ""one""","b\nc"\n"1",2\n3,"4"\n', {"target": "b\nc", "features": ['a, or "one"']}),
        ("a,b\r1,2\r3,4\r", {}),
    ],
    ids=["no header", "semicolon", "tab", "mark and CRLF", "blank lines", "quoted", "old Macintosh"],
)
def test_csv_reads_every_usual_form(write, text, options):
    table = data.csv(write(text), **{"target": -1, **options})
    assert (table.x.tolist(), table.y.tolist()) == ([[1], [3]], [[2], [4]])


def test_csv_without_header_calls_columns_by_number(write):
    assert data.csv(write("1,2,3\n"), 1, header=False)[2:] == (("0", "2"), ("1",), ())


def test_csv_keeps_float64_to_the_last_bit(write, rng):
    numbers = rng.standard_normal((50, 3)) * 10.0 ** rng.integers(-200, 200, (50, 3))
    text = "\n".join(",".join(map(repr, row)) for row in numbers.tolist())
    table = data.csv(write(text), 2, header=False, dtype=np.float64)
    assert np.array_equal(np.hstack([table.x, table.y]), numbers)


@pytest.mark.parametrize(
    ("column", "names", "labels"),
    [
        (["rose", " ivy", "rose", "oak "], ("ivy", "oak", "rose"), [2, 0, 2, 1]),
        (["10", "9", "-1", "9"], ("-1", "9", "10"), [2, 1, 0, 1]),
        (["10", "9", "b", "9"], ("10", "9", "b"), [0, 1, 2, 1]),
        (["nan", "yes", "nan", "no"], ("nan", "no", "yes"), [0, 2, 0, 1]),
    ],
    ids=["text", "numbers by value", "mixed as text", "nan is a text"],
)
def test_csv_numbers_classes_in_sorted_order(write, column, names, labels):
    table = data.csv(write("x,kind\n" + "".join(f"{n},{c}\n" for n, c in enumerate(column))), "kind", classes=True)
    assert table.classes == names
    assert table.y.dtype == np.int32
    assert table.y.tolist() == labels
    assert table.x.tolist() == [[0], [1], [2], [3]]


BAD_TABLES = {
    "malformed number": (
        "a,b\n1,2\n3,x7\n",
        {"target": "a"},
        ("finite numbers", "line 3, column 1 ('b')", "'x7'", "features=[…]"),
    ),
    "first fault first": ("a,b\n1,2\n3,oops\ninf,4\n5\n", {}, ("line 3, column 1", "'oops'")),
    "first column first": ("a,b\nfirst,second\n", {}, ("line 2, column 0 ('a')", "'first'")),
    "decimal comma": ('a;b\n1;2\n3;"4,5"\n', {"delimiter": ";"}, ("line 3, column 1 ('b')", "'4,5'")),
    "digits apart": ("a,b\n1_000,2\n", {}, ("line 2, column 0 ('a')", "'1_000'")),
    "text as target": ("a,kind\n1,cat\n", {"target": "kind"}, ("column 1 ('kind')", "'cat'", "classes=True")),
    "missing field": (
        "a,b\n1,2\n,4\n",
        {},
        ("no missing field", "line 3, column 0 ('a'), is empty", "filling"),
    ),
    "blank field": ("a,b\n1,2\n3,  \n", {}, ("line 3, column 1 ('b'), is empty",)),
    "missing class": ("a,b\n1,cat\n2,\n", {"classes": True}, ("line 3, column 1 ('b'), is empty",)),
    "not a number": ("a,b\n1,nan\n", {}, ("finite", "line 2, column 1 ('b')", "'nan'", "deleting")),
    "infinite": ("a,b\n1,2\n-Infinity,2\n", {}, ("finite", "line 3, column 0 ('a')", "'-Infinity'")),
    "beyond float64": ("a,b\n1,1e999\n", {"dtype": np.float64}, ("finite", "line 2, column 1", "'1e999'")),
    "beyond float32": (
        "a,b\n1,2\n1,1e39\n",
        {},
        ("range of float32", "line 3, column 1 ('b')", "np.float64"),
    ),
    "too few fields": ("a,b,c\n1,2,3\n4,5\n", {}, ("3 fields", "line 3 has 2")),
    "too many fields": ("1,2\n1,2\n4,5,6\n", {"header": False}, ("2 fields", "line 3 has 3")),
    "line after a quoted line end": ('a,b\n"1\n",2\n3,4,5\n', {}, ("2 fields", "line 4 has 3")),
    "line after blank lines": ("a,b\n\n\n1,2\n\n3,z\n", {}, ("line 6, column 1",)),
    "empty file": ("", {}, ("at least one record", "it is empty")),
    "only blank lines": ("\n \n\n", {}, ("at least one record", "it is empty")),
    "only a header": ("a,b\n", {}, ("at least one record", "only its header")),
    "one column": ("a\n1\n", {"target": 0}, ("at least two columns", "line 1", "'a'")),
    "another delimiter": ("a;b\n1;2\n", {}, ("two columns", "'a;b'", "delimiter=';'")),
    "unknown target": (
        "height,weight,age\n1,2,3\n",
        {"target": "wieght"},
        ("target must be a column of", "'wieght' is none", "Try: 'weight', 'height'"),
    ),
    "unknown target, none near": ("a,b\n1,2\n", {"target": "price"}, ("'price' is none", "Try: 'a', 'b'.")),
    "unknown feature": ("a,b\n1,2\n", {"features": ["c"]}, ("features must be a column", "'c' is none")),
    "index too large": ("a,b\n1,2\n", {"target": 2}, ("from -2 to 1", "got 2")),
    "index too small": ("a,b\n1,2\n", {"target": -3}, ("from -2 to 1", "got -3")),
    "name without header": (
        "1,2\n",
        {"target": "b", "header": False},
        ("must be an index", "'b'", "header=True"),
    ),
    "column twice": ("a,b\n1,2\n", {"target": ["b", -1]}, ("each once", "['b', -1]")),
    "no target": ("a,b\n1,2\n", {"target": []}, ("at least one column", "got []")),
    "target among features": ("a,b\n1,2\n", {"features": ["a", "b"]}, ("in common", "column 1 ('b')")),
    "nothing but targets": ("a,b\n1,2\n", {"target": ["a", "b"]}, ("a feature beside", "all 2 columns")),
    "two columns of classes": (
        "a,b,c\n1,2,3\n",
        {"target": [0, 1], "classes": True},
        ("exactly one", "got 2"),
    ),
    "equal names": ("a,b,a\n1,2,3\n", {}, ("name its columns apart", "'a' occurs 2 times")),
    "data for a header": ("1,2\n3,4\n", {}, ("names of its columns", "line 1", "header=False")),
    "open quotation": ('a,b\n1,2\n3,"4\n', {}, ("well-formed", "line 3", "quotation")),
    "text after a quotation": ('a,b\n1,"2"3\n', {}, ("well-formed", "line 2", "expected after")),
    "bytes that are no text": (
        b"a,b\n1,2\n3,caf\xe9\n",
        {},
        ("UTF-8", "byte 13, in line 3, is 0xe9", "iconv"),
    ),
    "sixteen-bit text": ("a,b\n1,2\n".encode("utf-16"), {}, ("UTF-8", "begins as UTF-16 does", "iconv -f UTF-16 ")),
    "sixteen-bit text, big end first": (b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"), {}, ("UTF-16", "iconv")),
    "sixteen-bit text without a mark": (
        "a,b\n1,2\n".encode("utf-16-le"),
        {},
        ("byte 1, in line 1, is NUL", "UTF-16LE"),
    ),
    "a NUL": ("a,b\n1,2\n3,\0\n", {}, ("byte 10, in line 3, is NUL",)),
    "a compressed table": (gzip.compress(b"a,b\n1,2\n"), {}, ("begins as gzip does", "gunzip")),
    "a spreadsheet": (b"PK\x03\x04" + bytes(30), {}, ("a spreadsheet", "as CSV")),
    "long delimiter": ("a,b\n1,2\n", {"delimiter": ", "}, ("delimiter must be one character", "', '")),
    "quote as delimiter": ("a,b\n1,2\n", {"delimiter": '"'}, ("delimiter must be one character",)),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_refused(write, name):
    content, options, parts = BAD_TABLES[name]
    path = write(content)
    assert_refused(ValueError, lambda: data.csv(path, **{"target": -1, **options}), *parts)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"target": None}, "target must be the name or index"),
        ({"target": 1.0}, "1.0 (float)"),
        ({"target": True}, "True (bool)"),
        ({"target": 0, "header": 0}, "header must be True or False"),
        ({"target": 0, "classes": "yes"}, "classes must be True or False"),
        ({"target": 0, "dtype": int}, "dtype must be a floating"),
    ],
)
def test_csv_refuses_arguments_of_other_types(write, options, part):
    path = write("a,b\n1,2\n")
    assert_refused(TypeError, lambda: data.csv(path, **options), part)


ODD_FIELDS = (
    "1 ", " 1", "+1", "1.", ".5", "1e5", "1E-5", "1e400", "-0", "1_0", "nan", "inf", "-Infinity", "", " ", "0x10", "1j",
    "1d5", "1f", "\u0661", "\u00a01", "1\u2009", "one", "True", "None", "--1", "1e", "#1", "1#", "'1'", "1\t",
)  # fmt: skip


@pytest.mark.parametrize("field", ODD_FIELDS)
def test_lines_and_quoted_records_read_the_same(write, field):
    """A table without quotation marks is read by NumPy, one with them field by field: the same numbers and faults."""

    def read(text):
        try:
            return data.csv(write(text), "b", dtype=np.float64).x.tolist()
        except ValueError as error:
            return str(error)

    plain = read(f"a,b\n1,2\n{field},3\n")
    quoted = read(f'a,b\n1,2\n"{field}","3"\n')
    assert plain == quoted
    try:
        wanted = [[1.0], [float(field)]] if np.isfinite(float(field)) and "_" not in field else None
    except ValueError:
        wanted = None
    assert plain == wanted if wanted else "line 3, column 0 ('a')" in plain


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines_and_blank_lines(write, end):
    """All three ends are known; blank lines are left out, and counted."""
    lines = ["", "a\tb\tc", " ", "1\t2\tx", "", "3\t4\ty", ""]
    table = data.csv(write(end.join(lines)), "c", classes=True, delimiter="\t")
    assert (table.x.tolist(), table.classes) == ([[1, 2], [3, 4]], ("x", "y"))
    for broken, words in (("3\t4", "line 6 has 2"), ("\t\t", "line 6, column 0 ('a'), is empty")):
        path = write(end.join([*lines[:5], broken]))
        with pytest.raises(ValueError, match=re.escape(words)):
            data.csv(path, "c", classes=True, delimiter="\t")
    assert data.csv(write(f'"a ""b""",c{end}1,2{end}'), "c").features == ('a "b"',)


LOADERS = pytest.mark.parametrize("load", [data.idx, lambda path: data.csv(path, 0)], ids=["idx", "csv"])


@LOADERS
def test_paths_are_checked_before_reading(load, tmp_path, write):
    write("a,b\n1,2\n", "measured.csv")
    assert_refused(FileNotFoundError, lambda: load(tmp_path / "mesured.csv"), "nothing is there", "measured.csv")
    assert_refused(FileNotFoundError, lambda: load(tmp_path / "no" / "a.csv"), f"{tmp_path / 'no'} is none")
    assert_refused(IsADirectoryError, lambda: load(tmp_path), "it is a folder", "measured.csv")
    assert_refused(TypeError, lambda: load(3), "a path must be a string", "3 (int)")
    assert_refused(ValueError, lambda: load("/dev/null"), "must be a regular file")


# ---------------------------------------------------------------- IDX

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array):
    """Write an array as IDX, by the description of the format alone."""
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def extremes(dtype, shape, rng):
    """Return random items of a dtype with its extreme values among them."""
    dtype = np.dtype(dtype)
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    items = (rng.standard_normal(shape) * 50).astype(np.int8).astype(dtype)
    items.flat[0], items.flat[-1] = limits.min, limits.max
    return items


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 1, 3, 1, 2)], ids=str)
@pytest.mark.parametrize("dtype", CODES)
def test_idx_round_trip(write, rng, dtype, shape, compressed):
    array = extremes(dtype, shape, rng)
    content = idx_bytes(array)
    # The name says the opposite of the content.
    path = write(gzip.compress(content), "items-ubyte") if compressed else write(content, "items-ubyte.gz")
    found = data.idx(path)
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    assert found.shape == shape
    assert np.array_equal(found, array)
    found[...] = 0  # the array is the caller's own


def test_idx_reads_bytes_worked_out_by_hand(write):
    path = write(bytes.fromhex("00000b02 00000001 00000002 0102fffe"))
    assert data.idx(str(path)).tolist() == [[258, -2]]
    path = write(bytes.fromhex("00000d01 00000001 3fc00000"))
    assert data.idx(path).tolist() == [1.5]


def test_idx_reads_files_longer_than_any_buffer(write, rng):
    # Random items fill many chunks of a gzip file; zeros make one chunk grow to several megabytes.
    array = np.concatenate([np.zeros(4_700_000, np.uint8), rng.integers(0, 256, 1_300_000, np.uint8)])
    content = idx_bytes(array.reshape(1000, 6000))
    for stored in (content, gzip.compress(content, 9)):
        assert np.array_equal(data.idx(write(stored)).ravel(), array)


def test_idx_reads_gzip_of_several_members_and_padding(write):
    content = idx_bytes(np.arange(100, dtype=np.int32))
    stored = gzip.compress(content[:50]) + gzip.compress(content[50:]) + bytes(9000)
    assert data.idx(write(stored)).tolist() == list(range(100))


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(GOOD, mtime=0)
BAD_FILES = {
    "empty": (b"", ("must be an IDX file", "it is empty")),
    "gzip of nothing": (gzip.compress(b""), ("must be an IDX file", "it is empty")),
    "web page": (b"<!DOCTYPE html>", ("two zero bytes at offset 0", "3c 21 44 4f (b'<!DO')")),
    "one byte": (b"\0", ("magic number of 4 bytes", "ends after 1 bytes (00)")),
    "three bytes": (b"\0\0\x08", ("magic number of 4 bytes", "ends after 3 bytes (00 00 08)")),
    "unknown code": (b"\0\0\x0a\x01\0\0\0\x01\0", ("type code at offset 2", "got 0x0a", "0x08, 0x09, 0x0b")),
    "no dimension": (b"\0\0\x08\0\x07", ("1 to 64 dimensions", "offset 3 says 0")),
    "too many dimensions": (b"\0\0\x08\x41" + b"\0\0\0\x01" * 65, ("1 to 64 dimensions", "offset 3 says 65")),
    "header cut": (GOOD[:13], ("a header of 16 bytes", "ends after 13 bytes")),
    "header only": (GOOD[:16], ("40 bytes", "uint8[2, 3, 4]", "at most 16 bytes")),
    "one item short": (GOOD[:-1], ("40 bytes", "uint8[2, 3, 4]", "at most 39 bytes", "fetching")),
    "one item short, gzip": (gzip.compress(GOOD[:-1]), ("40 bytes", "uint8[2, 3, 4]", "ends after 39 bytes")),
    "one byte more": (GOOD + b"\0", ("must hold 40 bytes", "goes on at byte 40")),
    "one byte more, gzip": (gzip.compress(GOOD + b"\0"), ("must hold 40 bytes", "goes on at byte 40")),
    "empty dimension": (b"\0\0\x08\x02\0\0\0\x03\0\0\0\0", ("dimension 1, at byte 8, is 0 in [3, 0]",)),
    "absurd sizes": (b"\0\0\x0e\x03" + b"\xff" * 12 + b"data", ("float64[4294967295, ", "at most 20 bytes")),
    "absurd sizes, gzip": (
        gzip.compress(b"\0\0\x08\x01\x7f\xff\xff\xff" + b"data"),
        ("2147483655 bytes", "at most"),
    ),
    "gzip cut": (PACKED[:-9], ("complete gzip", f"breaks off at byte {len(PACKED) - 9}", "gunzip -t")),
    "gzip without its checksum": (PACKED[:-8], ("complete gzip", f"at byte {len(PACKED) - 8}")),
    "gzip cut in its last byte": (PACKED[:-1], ("complete gzip", f"at byte {len(PACKED) - 1}")),
    "gzip magic alone": (b"\x1f\x8b", ("complete gzip", "at byte 2")),
    "wrong checksum": (
        PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:],
        ("intact gzip", f"between byte 0 and byte {len(PACKED)}", "incorrect data check"),
    ),
    "wrong length in gzip": (PACKED[:-1] + b"\x07", ("intact gzip", "incorrect length check")),
    "damaged gzip": (PACKED[:10] + b"\xff" * 10 + PACKED[20:], ("intact gzip", "invalid block type")),
    "rubbish after gzip": (PACKED + b"rubbish", ("intact gzip", "incorrect header check")),
    "gzip in gzip": (gzip.compress(PACKED), ("two zero bytes at offset 0", "1f 8b 08")),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_idx_files_are_refused(write, name):
    content, parts = BAD_FILES[name]
    path = write(content, "images")
    assert_refused(ValueError, lambda: data.idx(path), str(path), *parts)


@pytest.mark.parametrize("content", [GOOD, PACKED], ids=["plain", "gzip"])
def test_idx_refuses_a_file_cut_anywhere(write, content):
    assert data.idx(write(content)).shape == (2, 3, 4)
    for length in range(len(content)):
        refusal(ValueError, lambda length=length: data.idx(write(content[:length])))


def test_idx_never_returns_other_items_from_damaged_gzip(write):
    accepted = []
    for position in range(8 * len(PACKED)):
        damaged = bytearray(PACKED)
        damaged[position // 8] ^= 1 << position % 8
        path = write(bytes(damaged))
        try:
            found = data.idx(path)
        except ValueError:
            refusal(ValueError, lambda path=path: data.idx(path))
        else:
            assert np.array_equal(found.ravel(), np.arange(24))
            accepted.append(position)
    # The first ten bytes hold the time, the system and the like; a few bits fill up the last byte of data.
    assert len([position for position in accepted if position >= 80]) <= 7
    assert len(accepted) < 64


def test_idx_tells_where_a_long_gzip_file_is_damaged(write, rng):
    content = idx_bytes(rng.integers(0, 256, 100_000, np.uint8))
    first, second = gzip.compress(content[:50_000]), bytearray(gzip.compress(content[50_000:]))
    assert len(first) > 50_000
    second[1] ^= 0xFF
    message = refusal(ValueError, lambda: data.idx(write(first + bytes(second))))
    low, high = map(int, re.search(r"between byte (\d+) and byte (\d+)", message).groups())
    assert low <= len(first) + 1 < high
    assert high - low <= 4096


def peak_of_refusal(path):
    tracemalloc.start()
    try:
        refusal(ValueError, lambda: data.idx(path))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_idx_reserves_nothing_for_what_is_not_there(write):
    header = b"\0\0\x08\x01\x70\0\0\0"
    assert peak_of_refusal(write(header + bytes(100))) < 2_000_000
    assert peak_of_refusal(write(gzip.compress(header + bytes(100)))) < 2_000_000
    # Thirty-two million zeros in a few kilobytes, where the header promises five items.
    bomb = write(gzip.compress(b"\0\0\x08\x01\0\0\0\x05" + bytes(32_000_000), 1))
    assert peak_of_refusal(bomb) < 8_000_000


# ---------------------------------------------------------------- folders of four files


@pytest.fixture
def folder(tmp_path):
    """Write a tiny set of 12 training and 4 test images of 2 × 3 pixels in a folder of its own."""
    place = tmp_path / "set"
    place.mkdir()
    pixels = np.arange(96, dtype=np.uint8).reshape(16, 2, 3)
    pixels[0, 0, 0] = 255
    labels = np.arange(16, dtype=np.uint8) % 10
    (place / "train-images-idx3-ubyte").write_bytes(idx_bytes(pixels[:12]))
    (place / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels[:12])))
    (place / "t10k-images.idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(pixels[12:])))
    (place / "t10k-labels.idx1-ubyte").write_bytes(idx_bytes(labels[12:]))
    return place


def test_image_set_reads_and_scales_the_four_files(folder):
    parts = data.image_set(folder, validation=0.25)
    assert isinstance(parts, data.Splits)
    assert [x.shape for x, _ in parts] == [(9, 6), (3, 6), (4, 6)]
    assert [y.tolist() for _, y in parts] == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 0, 1], [2, 3, 4, 5]]
    assert all(x.dtype == np.float32 and y.dtype == np.int32 for x, y in parts)
    assert parts.train[0][0].tolist() == [np.float32(k) / np.float32(255) for k in (255, 1, 2, 3, 4, 5)]
    assert parts.validation[0][0, 0] == np.float32(54) / np.float32(255)
    assert parts.test[0][-1, -1] == np.float32(95) / np.float32(255)
    assert [len(x) for x, _ in data.image_set(str(folder))] == [10, 2, 4]
    assert [len(x) for x, _ in data.image_set(folder, validation=0.3)] == [8, 4, 4]
    assert data.image_set(folder, dtype=np.float64).test[0][-1, -1] == 95 / 255


@pytest.mark.parametrize("name", ["train-images", "train-labels", "t10k-images", "t10k-labels"])
def test_image_set_names_the_missing_file(folder, name):
    next(folder.glob(f"{name}*")).unlink()
    message = refusal(FileNotFoundError, lambda: data.image_set(folder))
    ending = "idx3-ubyte" if name.endswith("images") else "idx1-ubyte"
    assert f"must hold {name}-{ending} or {name}-{ending}.gz, but it holds " in message
    assert all(path.name in message for path in folder.iterdir())


def test_image_set_refuses_files_that_do_not_belong_together(folder, tmp_path):
    def with_file(name, array):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(idx_bytes(array))
        message = refusal(ValueError, lambda: data.image_set(folder))
        (folder / name).write_bytes(kept)
        return message

    images, labels = "train-images-idx3-ubyte", "t10k-labels.idx1-ubyte"
    assert "must have equally many items, but they have 11 and 12" in with_file(images, np.ones((11, 2, 3), np.uint8))
    assert "they have 4 and 5" in with_file(labels, np.ones(5, np.uint8))
    assert "they have 4 and 6 pixels" in with_file(images, np.ones((12, 2, 2), np.uint8))
    assert "must hold images as bytes, but it holds float32" in with_file(images, np.ones((12, 2, 3), np.float32))
    assert "must hold images as bytes, but it holds uint8[12]" in with_file(images, np.ones(12, np.uint8))
    assert "one whole number an image, but it holds float64[4]" in with_file(labels, np.ones(4))
    assert "whole number an image, but it holds uint8[4, 1]" in with_file(labels, np.ones((4, 1), np.uint8))
    assert_refused(NotADirectoryError, lambda: data.image_set(tmp_path / "elsewhere"), "nothing is there")
    assert_refused(NotADirectoryError, lambda: data.image_set(folder / images), "it is a file")
    assert_refused(TypeError, lambda: data.image_set(None), "a path must be a string")
    assert len(data.image_set(folder).train[0]) == 10


@pytest.mark.parametrize(
    ("validation", "part"),
    [(0.0, "0.0 puts 0"), (1, "1.0 puts 12"), (0.01, "puts 0"), (-0.5, "got -0.5"), (2, "24")],
)
def test_image_set_refuses_an_empty_part(folder, validation, part):
    assert_refused(ValueError, lambda: data.image_set(folder, validation=validation), "validation", part)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_image_set_reads_fashion_mnist():
    train, validation, test = data.image_set(FASHION, dtype=np.float32)
    assert [x.shape for x, _ in (train, validation, test)] == [(50000, 784), (10000, 784), (10000, 784)]
    labels = np.concatenate([train[1], validation[1]])
    assert np.bincount(labels).tolist() == [6000] * 10
    assert np.bincount(test[1]).tolist() == [1000] * 10
    # The first training labels and the mean pixel that are published with the set: an ankle boot, 0.2860.
    assert train[1][:5].tolist() == [9, 0, 0, 3, 0]
    total = train[0].sum(dtype=np.float64) + validation[0].sum(dtype=np.float64)
    assert abs(total / (60000 * 784) - 0.2860) < 5e-5


@pytest.mark.parametrize(("samples", "count"), [(23, 5), (10, 2), (7, 7)])
def test_folds_are_a_partition_with_every_class_in_proportion(samples, count):
    """Every row is held out once and with its target; sizes, and those of classes, differ by one at most."""
    x, y = np.arange(samples)[:, None] * 1.0, np.arange(samples) % 3
    found = data.folds(x, y, count, seed=4)
    assert sorted(np.concatenate([held[0][:, 0] for _, held in found]).tolist()) == list(range(samples))
    for (left_x, left_y), (held_x, held_y) in found:
        assert sorted([*left_x[:, 0], *held_x[:, 0]]) == list(range(samples))
        assert np.array_equal(left_x[:, 0] % 3, left_y)
        assert np.array_equal(held_x[:, 0] % 3, held_y)
        assert np.all(np.diff(held_x[:, 0]) > 0)
    sizes = [len(held[1]) for _, held in found]
    assert max(sizes) - min(sizes) <= 1
    each = np.array([np.bincount(held[1], minlength=3) for _, held in found])
    assert np.all(each.max(axis=0) - each.min(axis=0) <= 1)
    other = data.folds(x, y, count, seed=5)
    assert count == samples or any(not np.array_equal(a[1][0], b[1][0]) for a, b in zip(found, other, strict=True))


def test_folds_refuse_what_cannot_be_dealt():
    with pytest.raises(ValueError, match="count must be at least 2"):
        data.folds(np.zeros((4, 1)), np.arange(4), 1)
    with pytest.raises(ValueError, match="count must be at most 4"):
        data.folds(np.zeros((4, 1)), np.arange(4), 5)
    with pytest.raises(ValueError, match="class labels"):
        data.folds(np.zeros((4, 1)), np.zeros((4, 2)), 2)
    assert len(data.folds(np.zeros((4, 1)), np.zeros((4, 2)), 2, stratify=False)) == 2


def test_weights_by_class():
    """n/(K m), so that classes weigh alike; a dictionary names those that are not 1."""
    labels = np.array([2, 2, 2, 7, 7, 9])
    found = data.sample_weight(labels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [6 / 9] * 3 + [1.0] * 2 + [2.0], rtol=1e-7)
    assert [found[labels == k].sum() for k in (2, 7, 9)] == pytest.approx([2.0] * 3)
    assert data.sample_weight(labels, {np.int64(7): 3, 9: 0}).tolist() == [1, 1, 1, 3, 3, 0]
    assert data.sample_weight([True, False, False]).tolist() == pytest.approx([1.5, 0.75, 0.75])
    for wrong, kind, words in (
        ({8: 1.0}, ValueError, "labels that occur in y, but got 8. Try: one of"),
        ({7: -1.0}, ValueError, "at least 0"),
        ({7: float("nan")}, ValueError, "finite"),
        ("even", TypeError, "dictionary"),
    ):
        with pytest.raises(kind, match=words):
            data.sample_weight(labels, wrong)
    with pytest.raises(ValueError, match="class labels"):
        data.sample_weight(np.zeros((3, 2)))
