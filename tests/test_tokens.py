"""A text as tokens and back, windows of it, and what training says of tokens that no character has."""

import hashlib
from importlib.resources import files

import jax
import numpy as np
import pytest

import funcnet as fn
from funcnet import data
from funcnet.training.sources import SourceError


def test_the_novel_is_the_recorded_one_small_and_attributed():
    """84 chapters, split between chapters; every character is one of 82, and the file is small."""
    text = data.moby_dick()
    assert hashlib.sha256("".join(text).encode()).hexdigest().startswith("715f9ecafabaaaaf")
    assert [len(part) for part in text] == [636517, 68594, 68887]
    assert [part[:12] for part in text] == ["CHAPTER 1. L", "CHAPTER 67. ", "CHAPTER 76. "]
    assert len(data.vocabulary("".join(text))) == len(data.vocabulary(text.train)) == 82
    assert text.train.count("\nCHAPTER ") == 65
    folder = files("funcnet.data")
    assert len((folder / "moby_dick.txt.bz2").read_bytes()) < 230_000
    attribution = (folder / "MOBY_DICK.md").read_text(encoding="utf-8")
    for fact in ("Melville", "Stdlib Authors", "CC0 1.0", "PDDL 1.0", "What was changed"):
        assert fact in attribution


def test_tokens_are_places_in_the_vocabulary_or_bytes():
    """Both ways, worked by hand; any text has bytes, and every row of bytes has a text."""
    assert data.vocabulary("whale — Whale") == " Waehlw—"
    tokens = data.encode("hale—", " Waehlw—")
    assert tokens.tolist() == [4, 2, 5, 3, 7]
    assert tokens.dtype == np.int32
    assert data.decode(jax.numpy.asarray(tokens), " Waehlw—") == "hale—"
    assert data.encode("cab", "bca").tolist() == [1, 2, 0]  # in the order of the vocabulary, whatever it is
    text = "naïve 🐳\x00"
    assert data.encode(text).tolist() == list(text.encode())
    assert data.decode(data.encode(text)) == text
    assert data.decode(data.encode(text, data.vocabulary(text)), data.vocabulary(text)) == text
    assert data.decode(np.asarray([72, 0xF0, 105], np.uint8)) == "H�i"
    assert data.decode(data.encode("")) == data.decode([]) == ""
    assert data.encode("", "ab").shape == (0,)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: data.vocabulary(""), ValueError, "text must hold a character"),
        (lambda: data.vocabulary(b"whale"), TypeError, "text must be text, but got a bytes"),
        (lambda: data.encode(["a"], "ab"), TypeError, "text must be text, but got a list"),
        (lambda: data.encode("abcaé", "ab"), ValueError, r"got 'c' at 2 \(2 of 5 outside\)"),
        (lambda: data.encode("ab", "aba"), ValueError, "got 3 characters, 2 different"),
        (lambda: data.encode("ab", ""), ValueError, "each of its characters once"),
        (lambda: data.decode([0.5], "ab"), TypeError, "whole numbers"),
        (lambda: data.decode([[0]], "ab"), ValueError, "a row at a time"),
        (lambda: data.decode([0, 2], "ab"), ValueError, r"tokens must lie in 0 … 1, but got 0 … 2"),
        (lambda: data.decode([-1]), ValueError, "0 … 255"),
        (lambda: data.TokenWindows(np.arange(4.0), 2), TypeError, "whole numbers"),
        (lambda: data.TokenWindows(np.zeros((4, 4), int), 2), ValueError, r"shape \(time,\)"),
        (lambda: data.TokenWindows(np.arange(4), 4), ValueError, "at least 5 of them"),
        (lambda: data.TokenWindows(np.arange(4), 2, stride=0), ValueError, "stride"),
        (lambda: data.TokenWindows(np.arange(4), 2)[np.asarray([-1])], IndexError, "rows must lie in 0 … 0"),
        (lambda: data.TokenWindows(np.arange(5), 2)[np.asarray([0, 2])], IndexError, "got 0 … 2"),
    ],
)
def test_what_is_no_text_or_no_token_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_windows_are_views_of_a_row(tmp_path):
    """All windows of each stride, by hand; a memory map stays one, and is read where it is asked for."""
    tokens = np.lib.format.open_memmap(tmp_path / "tokens.npy", "w+", np.uint8, (50,))
    tokens[:] = np.random.default_rng(0).integers(0, 256, 50)
    for length, stride in [(7, 1), (7, 3), (7, None), (49, None), (1, 1)]:
        windows = data.TokenWindows(tokens, length, stride)
        starts = range(0, 50 - length, stride or length)
        assert len(windows) == len(starts)
        x, y = windows[np.arange(len(windows))]
        assert x.dtype == y.dtype == np.int32
        np.testing.assert_array_equal(x, [tokens[s : s + length] for s in starts])
        np.testing.assert_array_equal(y, [tokens[s + 1 : s + length + 1] for s in starts])
        assert np.shares_memory(windows.tokens, tokens)
    np.testing.assert_array_equal(
        data.TokenWindows(tokens, 7)[2:4][0], data.TokenWindows(tokens, 7)[np.asarray([2, 3])][0]
    )


def experiment(vocabulary):
    network = fn.Chain(fn.Embedding(vocabulary, 4), fn.Dense(vocabulary))
    return fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.Adam(0.05), batch_size=8, epochs=3)


@pytest.mark.every
def test_a_network_learns_from_windows():
    """As from the same windows in memory, and a cycle of letters is learnt."""
    tokens = data.encode("abc" * 60, "abc")
    windows = data.TokenWindows(tokens, 5)
    run = fn.train(experiment(3), windows, data.TokenWindows(tokens, 5, stride=1))
    memory = fn.train(experiment(3), windows[:], data.TokenWindows(tokens, 5, stride=1)[:])
    np.testing.assert_allclose(run.history["validation_loss"], memory.history["validation_loss"], rtol=1e-9)
    assert run.history["validation_loss"][-1] < run.history["validation_loss"][0] < np.log(3)


@pytest.mark.parametrize("where", ["train", "validation"])
def test_a_token_outside_the_vocabulary_is_named(where):
    """Where it is read, instead of a run that ends as diverged."""
    good, bad = np.arange(60) % 3, np.arange(60) % 3
    bad[47] = 7
    sets = {"train": good, "validation": good} | {where: bad}
    with pytest.raises(SourceError, match=rf"{where} at rows .*: tokens must lie in 0 … 2, but got 7 at ") as caught:
        fn.train(experiment(3), *(data.TokenWindows(tokens, 5) for tokens in sets.values()))
    assert len(str(caught.value)) <= 300
    assert caught.value.run.epochs == 0
