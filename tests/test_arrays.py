"""Data at the door: what counts as an array, as a tree of arrays, and as a set of samples."""

import datetime
import decimal

import jax
import jax.experimental.sparse
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from funcnet.arrays import arrays_of, as_array, check_set

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8, dtype=np.int32) % 4
NAN = float("nan")


class Tensor:
    """A tensor of another library: not NumPy's, but it can become an array, or says why not."""

    shape, dtype = (8, 3), "torch.float32"

    def __init__(self, fault=None):
        self.fault = fault

    def __len__(self):
        return 8

    def __array__(self, dtype=None, copy=None):
        if self.fault:
            raise self.fault
        return X


def with_nan(x, *place):
    """Return a float copy with one NaN."""
    x = np.array(x, np.float32)
    x[place] = NAN
    return x


def frame(**changes):
    """Return a table of pandas."""
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"a": X[:, 0], "b": np.arange(8)} | changes)


def test_arrays_of_native_numbers_are_not_copied(tmp_path):
    """What is an array already comes back as it is, and a memory map stays one."""
    for array in (X, Y, Y > 1, X.astype(np.float64), X.astype(jnp.bfloat16), Y.astype(np.uint8), np.float32(3.0)):
        assert np.shares_memory(as_array(array, "x"), array) or array.ndim == 0
    device = jnp.asarray(X)
    assert as_array(device, "x") is device
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(8, 3))
    assert np.shares_memory(as_array(mapped, "x"), mapped)
    assert jax.jit(lambda x: as_array(x, "x") * 2)(device).shape == (8, 3)


def test_numbers_of_other_libraries_are_taken():
    """Lists, tables, columns, tensors and big-endian numbers come in with the numbers that they hold."""
    assert np.array_equal(as_array(X.tolist(), "x"), X)
    assert as_array([0, 2, 1], "y").dtype == np.int64
    assert np.array_equal(as_array((True, False), "y"), [True, False])
    assert np.array_equal(as_array(frame(), "x"), np.column_stack([X[:, 0], np.arange(8)]))
    assert np.array_equal(as_array(frame()["b"], "y"), np.arange(8))
    assert np.array_equal(as_array(Tensor(), "x"), X)
    assert np.array_equal(as_array(np.ma.masked_array(X, mask=False), "x"), X)
    big = as_array(X.astype(">f4"), "x")
    assert big.dtype == np.float32
    assert big.dtype.isnative
    assert np.array_equal(big, X)


REFUSED = {
    "text": (np.array(["one", "two"]), "numbers the texts"),
    "text in a list": (["one", "two"], "numbers the texts"),
    "text in a table": (lambda: frame(c=list("abcdefgh")), "columns of numbers alone"),
    "bytes": (np.array([b"one"]), "numbers the texts"),
    "objects": (np.array([decimal.Decimal(1)], object), "astype"),
    "ragged lists": ([[1.0, 2.0], [3.0]], "rows of one length"),
    "complex numbers": (X.astype(complex), "real and imaginary"),
    "128-bit floats": (X.astype(np.longdouble), "float64"),
    "dates": (np.array([datetime.date(2024, 2, 29)], "datetime64[D]"), "float32"),
    "a structured array": (np.zeros(2, [("a", "f4"), ("b", "i4")]), "float32"),
    "a sparse matrix": (scipy.sparse.csr_matrix(X), r"toarray\(\)"),
    "a sparse array of JAX": (jax.experimental.sparse.BCOO.fromdense(jnp.asarray(X)), r"todense\(\)"),
    "masked entries": (np.ma.masked_array(X, X > 0), "filled"),
    "a tensor with a gradient": (Tensor(RuntimeError("Can't call numpy() on Tensor that requires grad.")), "detach"),
    "a tensor on a device": (Tensor(TypeError("can't convert cuda:0 device type tensor")), r"cpu\(\)"),
    "keys": (jax.random.key(0), "float32"),
    "None": (None, "astype"),
    "a function": (len, "astype"),
    "a generator": ((i for i in range(3)), "astype"),
    "a set": ({1.0, 2.0}, "astype"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_of_numbers_is_refused_in_words(name):
    """The message names the argument and its kind, says what to try, and holds no data and no words of others."""
    value, words = REFUSED[name]
    value = value() if name == "text in a table" else value
    with pytest.raises(TypeError, match=r"^the data must be an array of numbers, but got .*Try: ") as caught:
        as_array(value, "the data")
    caught.match(words)
    assert len(str(caught.value)) <= 300
    assert not any(foreign in str(caught.value) for foreign in ("requires grad", "cuda", "inhomogeneous", "two'"))
    assert caught.value.__suppress_context__


def test_trees_of_arrays():
    """Dicts, tuples and lists of arrays are trees; a list of numbers, however deep, is one array."""
    tree = arrays_of({"words": Y[:, None], "more": (X, [X, X.tolist()])}, "x")
    assert list(tree) == ["more", "words"]
    assert [leaf.shape for leaf in jax.tree.leaves(tree)] == [(8, 3)] * 3 + [(8, 1)]
    assert arrays_of([[1, 2], [3, 4]], "x").shape == (2, 2)
    with pytest.raises(TypeError, match=r"^x\['a'\]\[1\] must be an array of numbers, but got None"):
        arrays_of({"a": (X, None)}, "x")
    for empty in ((), {}, []):
        with pytest.raises(TypeError, match=r"x must hold an array, but got a (tuple|dict|list) of 0"):
            arrays_of(empty, "x")
    with pytest.raises(ValueError, match="dicts with text as keys"):
        arrays_of({1: X, "a": X}, "x")


def test_sets_that_are_right():
    """Two or three things; x and y may be trees; images, tokens and bools are fine; NaN targets at weight 0 as well."""
    x, y, weight = check_set((X, Y), "train")
    assert x is X
    assert y is Y
    assert weight is None
    assert check_set([X.tolist(), Y.tolist(), None], "train")[0].shape == (8, 3)
    check_set((np.ones((8, 28, 28), np.float32), Y > 1), "train")
    check_set(({"words": Y[:, None], "numbers": X}, {"class": Y, "value": X[:, :1]}), "train")
    check_set((Y, Y), "train")
    counts = np.arange(8)
    assert check_set((X, with_nan(X[:, :1], 0, 0), counts), "train")[2].dtype == np.float32
    each = np.ones((8, 5), np.float32)
    each[2, 3] = 0
    check_set((X, with_nan(np.ones((8, 5, 2)), 2, 3, 1), each), "train")
    jax.eval_shape(lambda x, y, w: check_set((x, y, w), "train"), X, X[:, 0], X[:, 0])


WRONG = {
    "an array alone": (X, TypeError, r"pair \(x, y\), or \(x, y, weight\), but got float32\[8, 3\]"),
    "four things": ((X, Y, None, None), TypeError, "a tuple of 4"),
    "other lengths": ((X, Y[:7]), ValueError, r"same length, but got float32\[8, 3\] and int32\[7\]"),
    "other lengths in a tree": (({"a": X, "b": X[:5]}, Y), ValueError, "same length"),
    "a target for all": ((X, np.float32(1.0)), ValueError, "same length"),
    "one number a sample": ((X[:, 0], Y), ValueError, r"reshape\(-1, 1\)"),
    "no samples": ((X[:0], Y[:0]), ValueError, "at least one sample"),
    "no features": ((X[:, :0], Y), ValueError, "at least one number a sample"),
    "truth values as features": ((X > 0, Y), TypeError, "floats or whole numbers"),
    "NaN in features": ((with_nan(X, 2, 1), Y), ValueError, r"features of train must be finite.*got nan at \[2, 1\]"),
    "NaN in features at weight 0": ((with_nan(X, 2, 1), Y, Y == 0), ValueError, "at weight 0 too"),
    "NaN in a leaf": (({"a": with_nan(X, 7, 0)}, Y), ValueError, r"train\['a'\] must be finite.*\[7, 0\]"),
    "NaN targets": ((X, with_nan(X, 3, 0)), ValueError, r"targets of train must be finite, but got nan at \[3, 0\]"),
    "NaN targets that count": ((X, with_nan(X, 3, 0), np.arange(8) != 2), ValueError, r"at \[3, 0\]"),
    "a NaN weight": ((X, Y, with_nan(np.ones(8), 5)), ValueError, "finite and at least 0, but got nan"),
    "a weight below 0": ((X, Y, np.arange(8) - 1.0), ValueError, "at least 0, but got -1.0"),
    "weights that are all 0": ((X, Y, np.zeros(8)), ValueError, "not all be 0"),
    "too few weights": ((X, Y, np.ones(7)), ValueError, r"got float64\[7\] beside int32\[8\]"),
    "weights with an axis too many": ((X, Y, np.ones((8, 1))), ValueError, "begin like the targets"),
    "one weight": ((X, Y, 1.0), ValueError, "begin like the targets"),
    "weights as text": ((X, Y, "balanced"), TypeError, "weights of train must be an array"),
}


@pytest.mark.parametrize("name", WRONG)
def test_sets_that_are_wrong(name):
    """The message says which of the three, what arrived and what to try."""
    value, kind, words = WRONG[name]
    with pytest.raises(kind, match=words) as caught:
        check_set(value, "train")
    assert len(str(caught.value)) <= 300


def test_the_first_bad_number_is_found_in_a_later_block(monkeypatch):
    """Large arrays are looked at block by block; the place is that in the whole."""
    monkeypatch.setattr("funcnet.arrays._BLOCK", 7)
    with pytest.raises(ValueError, match=r"got nan at \[6, 2\]"):
        check_set((with_nan(X, 6, 2), Y), "train")
    check_set((X, with_nan(X, 6, 2), np.arange(8) < 6), "train")
