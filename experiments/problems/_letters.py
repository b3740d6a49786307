r"""Words as features: which n-grams of letters they hold."""

from collections import Counter

import numpy as np


def ngrams(word, lengths):
    """Return the set of n-grams of a word in small letters, its ends marked: of "Eve" with n = 2 ^e, ev, ve and e$."""
    marked = f"^{word.lower()}$"
    return {marked[i : i + n] for n in lengths for i in range(len(marked) - n + 1)} - {"^", "$"}


def vocabulary(words, lengths, least):
    """Return the n-grams that at least so many of the words hold, in alphabetical order."""
    counts = Counter(gram for word in words for gram in ngrams(word, lengths))
    return sorted(gram for gram, count in counts.items() if count >= least)


def presence(words, grams, lengths):
    """Return an array (words, grams), float32, of 1 where a word holds an n-gram and 0 elsewhere."""
    column = {gram: i for i, gram in enumerate(grams)}
    x = np.zeros((len(words), len(grams)), np.float32)
    for row, word in zip(x, words, strict=True):
        row[[column[gram] for gram in ngrams(word, lengths) if gram in column]] = 1
    return x
