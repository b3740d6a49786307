r"""A novel that ships with the package, for models of language.

The first 84 of the 135 chapters of Herman Melville's "Moby-Dick; or, The Whale" (1851), 774 thousand characters of 82
kinds, from stdlib (https://github.com/stdlib-js); public domain (CC0 1.0). `data/MOBY_DICK.md` tells the
source and what was changed. A paragraph is one line, an empty line follows it; verses keep their lines.

The split is fixed, and by chapters, so that what is judged by is a stretch of the book that was never seen: chapters 1
to 66 for training, 67 to 75 for validation, 76 to 84 for testing.
"""

import bz2
from importlib.resources import files
from typing import NamedTuple


class Texts(NamedTuple):
    """Three stretches of a text: to learn from, to choose by, and to judge by.

    Attributes:
        train: the first stretch, to learn from.
        validation: the next, to choose by.
        test: the last, to judge by, once.

    >>> import funcnet as fn
    >>> texts = fn.data.moby_dick()
    >>> texts.train[22:39], len(texts.validation) < len(texts.train)
    ('Call me Ishmael. ', True)

    """

    train: str
    validation: str
    test: str


def moby_dick() -> Texts:
    r"""Return 84 chapters of "Moby-Dick" as `Texts(train, validation, test)`, which together are the whole.

    >>> from funcnet import data
    >>> text = data.moby_dick()
    >>> [len(part) for part in text]
    [636517, 68594, 68887]
    >>> text.train[22:39]
    'Call me Ishmael. '
    """
    packed = (files("funcnet.data") / "moby_dick.txt.bz2").read_bytes()
    text = bz2.decompress(packed).decode("cp1252")
    first, second = (text.index(f"\nCHAPTER {number}. ") + 1 for number in (67, 76))
    return Texts(text[:first], text[first:second], text[second:])
