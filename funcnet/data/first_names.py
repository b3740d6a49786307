r"""The first names that ship with the package.

8,422 first names of English-speaking countries, from the lists "Female First Names" and "Male First Names" of
stdlib (https://github.com/stdlib-js), which come from Moby Word II (G. Ward, 2002); public domain (CC0 1.0);
FIRST_NAMES.md beside this file tells the source and what was changed. 4,525 names stand in the female list
alone, 3,478 in the male list alone, and 419 in both: those are a class of their own, since neither label would
be true. A list says that a name is given, not how often.

The split is fixed: 5,053 names for training, 1,685 for validation, 1,684 for testing, stratified by class. It
was drawn once, by `split(…, seed=0)`, and is stored in the file. Every name occurs once in all of it, so none
is both learned from and judged by; but Abbey may be in one part and Abby in another, as with any list of names.

The file is front-coded: for each name in alphabetical order it holds how many letters the name shares with the
one before it, and the letters that follow.
"""

import itertools
from importlib.resources import files

import numpy as np

from funcnet.data.splits import Splits


def first_names() -> Splits:
    r"""Return first names as `Splits(train, validation, test)` of pairs (names, y).

    names    text, shape (5053,), (1685,), (1684,), in alphabetical order, in letters A–Z, a–z and hyphens
    y        int32, shape (n,): 0 in the female list alone, 1 in the male list alone, 2 in both

    Every call returns fresh arrays.

    >>> from funcnet import data
    >>> (names, y), validation, test = data.first_names()
    >>> names[:3].tolist(), y[:3].tolist(), np.bincount(y).tolist()
    (['Aaren', 'Abagael', 'Abagail'], [0, 0, 0], [2715, 2087, 251])
    >>> names[y == 2][:4].tolist()
    ['Abbe', 'Abbey', 'Abbie', 'Adrian']
    """
    with (files("funcnet.data") / "first_names.npz").open("rb") as file, np.load(file) as stored:
        endings = stored["letters"].tobytes().decode("ascii").split("\n")
        steps = zip(stored["shared"].tolist(), endings, strict=True)
        y, part = stored["label"].astype(np.int32), stored["part"]
    names = np.array(list(itertools.accumulate(steps, lambda name, step: name[: step[0]] + step[1], initial=""))[1:])
    train, validation, test = ((names[part == number], y[part == number]) for number in range(3))
    return Splits(train, validation, test)
