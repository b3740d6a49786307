r"""Spaces of experiments: a grid, or independent draws.

A space maps dotted paths to what should stand there. `grid` takes every combination, `sample` draws each path by
itself. A path may lead to any number, choice or part: "optimizer.learning_rate", "batch_size", "network". A tuple of
paths varies them together, by tuples of as many values.

All changes of a trial are made at once: a part is replaced before what lies below it, in whatever order they are given,
and only the finished experiment must be valid. So {"optimizer": …, "optimizer.learning_rate": …} works either way
round.

Draws. Each key of the space has a stream of its own, PCG64 seeded with a hash of seed and key, of which each draw takes
one raw number u of 64 bits, 53 of them used. Hence another key changes no draw of this one, the first m of n draws are
those of m, and a seed means the same with every version of NumPy. With v = u/2⁶⁴, 0 ≤ v < 1:

    Uniform       low (1 − v) + high v
    LogUniform    exp of the same between log low and log high
    Integers      low + ⌊(high − low) v⌋, high left out, as in NumPy
    Choice        the first value whose running sum of weights, divided by their total, exceeds v
"""

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from funcnet.errors import describe, raise_error, shown, whole_number
from funcnet.records import children, paths, rebuilt, replace
from funcnet.sweeps.distributions import DISTRIBUTIONS, MOST, Choice, listed
from funcnet.training.experiment import Experiment


def grid(experiment: Experiment, space: Mapping[Any, Iterable[Any]]) -> list[Experiment]:
    r"""Return every combination of values as an experiment; the last path varies fastest.

    Args:
        experiment: what all trials have in common.
        space: dotted paths, each with its values: a list, range, array or generator. A tuple of paths has tuples as its
            values, and varies together.

    Returns:
        The experiments, as many as the product of the numbers of values.

    Raises:
        ValueError, TypeError: when a path leads nowhere, or a value does not fit; the message says which one.

    >>> import funcnet as fn
    >>> base = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.1))
    >>> trials = fn.grid(base, {"optimizer.learning_rate": [0.1, 0.2], "seed": range(3)})
    >>> [(trial.optimizer.learning_rate, trial.seed) for trial in trials]
    [(0.1, 0), (0.1, 1), (0.1, 2), (0.2, 0), (0.2, 1), (0.2, 2)]
    >>> len(fn.grid(base, {("optimizer.learning_rate", "batch_size"): [(0.1, 32), (0.2, 64)]}))
    2

    """
    axes = []
    for key, together in _checked_keys(experiment, space).items():
        if isinstance(space[key], DISTRIBUTIONS):
            must, arrived = f"the values of {key!r} must be listed for a grid", f"got {describe(space[key])}"
            raise_error(must, arrived, "fn.sample, or a list", TypeError)
        axes.append(_axis(key, together, listed(space[key], f"the values of {key!r}")))
    counts = [len(axis.values) for axis in axes]
    if math.prod(counts) > MOST:
        arrived = f"{' × '.join(map(str, counts))} = {math.prod(counts)}"
        raise_error(f"a grid must have at most {MOST} trials", arrived, "fn.sample, or fewer values")
    return _build(experiment, axes, itertools.product(*map(range, counts)))


def sample(experiment: Experiment, space: Mapping[Any, Any], n: int, seed: int = 0) -> list[Experiment]:
    r"""Return `n` experiments whose values are drawn independently.

    Args:
        experiment: what all trials have in common.
        space: dotted paths, each with a distribution: `Uniform`, `LogUniform`, `Integers`, `Choice`, or the values to
            choose from. A tuple of paths has tuples as its values, and varies together.
        n: how many; the first of more draws are the same.
        seed: decides the draws of every path, each by itself.

    Returns:
        The experiments, in the order of the draws.

    Raises:
        ValueError, TypeError: when a path leads nowhere, or a value does not fit; the message says which one.

    >>> import funcnet as fn
    >>> base = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.1))
    >>> space = {"optimizer.learning_rate": fn.LogUniform(1e-3, 1.0), "batch_size": [16, 32]}
    >>> trials = fn.sample(base, space, 100, seed=1)
    >>> trials[:10] == fn.sample(base, space, 10, seed=1)
    True

    """
    keys = _checked_keys(experiment, space)
    n, seed = whole_number(n, "n", at_least=1, at_most=MOST), whole_number(seed, "seed", at_least=0)
    axes = []
    for key, together in keys.items():
        distribution = space[key]
        if not isinstance(distribution, DISTRIBUTIONS):
            distribution = Choice(listed(distribution, f"the values of {key!r}"))
        axes.append(_axis(key, together, distribution.draw(_fractions(n, seed, key))))
    return _build(experiment, axes, ((i,) * len(axes) for i in range(n)))


def _fractions(n: int, seed: int, key: Any) -> np.ndarray:
    """Return numbers of [0, 1) that depend on seed and key alone."""
    digest = hashlib.sha256(f"{seed} {key!r}".encode()).digest()
    raw = np.random.PCG64(int.from_bytes(digest, "little")).random_raw(n)
    return (raw >> np.uint64(11)) * 2.0**-53


# -- checks ----------------------------------------------------------------------------------------------------------


def _checked_keys(experiment: Any, space: Any) -> dict[Any, tuple[str, ...]]:
    """Return the paths of each key, after all checks that need no values."""
    if not isinstance(experiment, Experiment):
        raise_error("experiment must be an Experiment", f"got {describe(experiment)}", "fn.Experiment(…)", TypeError)
    example = '{"optimizer.learning_rate": [0.1, 0.01]}'
    if not isinstance(space, Mapping):
        raise_error("a space must be a dict from paths to values", f"got {describe(space)}", example, TypeError)
    if not space:
        raise_error("a space must have at least one path", "it is empty", example)
    found = {key: key if isinstance(key, tuple) else (key,) for key in space}
    for key, together in found.items():
        if not together or not all(isinstance(path, str) for path in together):
            must, arrived = "a key of a space must be a dotted path, or a tuple of them", f"got {describe(key)}"
            raise_error(must, arrived, '"optimizer.learning_rate"', TypeError)
    every, known = [path for together in found.values() for path in together], paths(experiment)
    for path in every:
        if every.count(path) > 1:
            raise_error("a path must stand once in a space", f"{path!r} is there {every.count(path)} times", "one key")
        # What lies below another path of the space may come only with that one's values.
        if path not in known and not any(path.startswith(f"{other}.") for other in every):
            replace(experiment, {path: None})  # which lists the paths there are
    return found


class _Axis(NamedTuple):
    """A key of a space and all its values; `zipped` if each value is a tuple, one entry for each path."""

    name: str
    paths: tuple[str, ...]
    values: list[Any]
    zipped: bool


def _axis(key: Any, together: tuple[str, ...], values: list[Any]) -> _Axis:
    if isinstance(key, tuple):
        for position, value in enumerate(values):
            if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != len(key):
                must, arrived = f"each value of {key!r} must be a tuple of {len(key)}", f"got {shown(value)}"
                raise_error(must, f"{arrived} at position {position}", "one entry for each path")
    return _Axis(repr(key), together, values, isinstance(key, tuple))


# -- trials ----------------------------------------------------------------------------------------------------------


class _Step:
    """A place in an experiment: which axis gives its value, if one does, and what changes below."""

    def __init__(self) -> None:
        self.axis: int | None = None
        self.entry: int | None = None  # of a zipped axis' tuples
        self.below: dict[str, _Step] = {}
        self.axes: list[int] = []  # all that decide this place and what is below


def _plan(axes: Sequence[_Axis], chosen: Iterable[int]) -> _Step:
    """Return the tree of places that the chosen axes change."""
    root = _Step()
    for i in chosen:
        for entry, path in enumerate(axes[i].paths):
            step, above = root, [root]
            for name in path.split("."):
                step = step.below.setdefault(name, _Step())
                above.append(step)
            step.axis, step.entry = i, entry if axes[i].zipped else None
            for step in above:
                step.axes += [i] * (i not in step.axes)
    return root


def _changed(node: Any, step: _Step, axes: Sequence[_Axis], row: Sequence[int], parts: dict[Any, Any]) -> Any:
    """Return `node` with the values of one row; `parts` remembers what was built, so that trials share it."""
    if step.axis is not None:
        node = axes[step.axis].values[row[step.axis]]
        node = node if step.entry is None else node[step.entry]
    if not step.below:
        return node
    known = (id(step), *(row[i] for i in step.axes))
    if known in parts:
        return parts[known]
    below = children(node)
    for name, inner in step.below.items():
        if name not in below:
            replace(node, {name: None})  # which lists the fields there are
        below[name] = _changed(below[name], inner, axes, row, parts)
    if isinstance(node, tuple):
        return tuple(below.values())
    # All fields at once: what must hold between them is asked of the outcome alone.
    parts[known] = rebuilt(node, below)
    return parts[known]


def _build(experiment: Experiment, axes: Sequence[_Axis], rows: Iterable[tuple[int, ...]]) -> list[Experiment]:
    """Return one experiment for each row, which holds the positions of its values on the axes."""
    plan, parts = _plan(axes, range(len(axes))), {}  # type: _Step, dict[Any, Any]
    found = []
    for row in rows:
        try:
            found.append(_changed(experiment, plan, axes, row, parts))
        except (ValueError, TypeError) as error:
            _blame(experiment, axes, row, error)
    return found


def _blame(experiment: Experiment, axes: Sequence[_Axis], row: Sequence[int], error: Exception) -> NoReturn:
    """Raise an error again, with the value that makes it by itself, or else with all that make it together."""

    def upon(i: int) -> list[int]:
        """Return the axes that replace what a path of this one lies in."""
        others = [(j, other) for j, axis in enumerate(axes) for other in axis.paths if j != i]
        return sorted({j for j, other in others for path in axes[i].paths if path.startswith(f"{other}.")})

    groups = sorted(([i, *upon(i)] for i in range(len(axes))), key=len)
    pairs = map(list, itertools.combinations(range(len(axes)), 2))
    for chosen in [*groups, *pairs, list(range(len(axes)))]:
        try:
            _changed(experiment, _plan(axes, chosen), axes, row, {})
        except (ValueError, TypeError) as alone:
            if str(alone) == str(error):
                break
    words = [f"value {shown(axes[i].values[row[i]])} at position {row[i]} of {axes[i].name}" for i in chosen]
    raise type(error)(f"{' with '.join(words)}: {error}") from None
