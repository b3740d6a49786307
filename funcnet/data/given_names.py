r"""The first names that ship with the package.

8,422 first names of English-speaking countries, from the lists "Female First Names" and "Male First Names" of
stdlib (https://github.com/stdlib-js), which come from Moby Word II (G. Ward, 2002); public domain (CC0 1.0);
`data/FIRST_NAMES.md` tells the source and what was changed. 4,525 names stand in the female list
alone, 3,478 in the male list alone, and 419 in both: those are a class of their own, since neither label would
be true. A list says that a name is given, not how often.

The split is fixed: 5,053 names for training, 1,685 for validation, 1,684 for testing, stratified by class: what
`split(…, seed=0)` draws. Every name occurs once in all of it, so none is both learned from and judged by; but Abbey
may be in one part and Abby in another, as with any list of names.

The file is front-coded. A name, in alphabetical order, is the letters that it does not share with the beginning of
the one before it, then a byte of 128 + 3 s + y: the next name shares its first s letters, and its own class is y.
"""

import re
from importlib.resources import files

import numpy as np

from funcnet.data.splits import Splits, split


def first_names() -> Splits:
    r"""Return first names as `Splits(train, validation, test)` of pairs (names, y).

    names    text, shape (5053,), (1685,), (1684,), in alphabetical order, in letters A–Z, a–z and hyphens
    y        int32, shape (n,): 0 in the female list alone, 1 in the male list alone, 2 in both

    Every call returns fresh arrays.

    >>> import numpy as np
    >>> from funcnet import data
    >>> (names, y), validation, test = data.first_names()
    >>> names[:3].tolist(), y[:3].tolist(), np.bincount(y).tolist()
    (['Aaren', 'Abagael', 'Abagail'], [0, 0, 0], [2715, 2087, 251])
    >>> names[y == 2][:4].tolist()
    ['Abbe', 'Abbey', 'Abbie', 'Adrian']
    """
    with (files("funcnet.data") / "first_names.npz").open("rb") as file, np.load(file) as stored:
        packed = stored["packed"].tobytes()
    names, labels, shared = [""], [], 0
    for letters, (last,) in re.findall(rb"([^\x80-\xff]+)([\x80-\xff])", packed):
        names.append(names[-1][:shared] + letters.decode("ascii"))
        shared, label = divmod(last - 128, 3)
        labels.append(label)
    return split(np.array(names[1:]), np.array(labels, np.int32), (0.6, 0.2, 0.2), seed=0)
