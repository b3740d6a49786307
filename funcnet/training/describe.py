r"""Experiments in words: a readable form in JSON, and the hashes by which a store knows them.

describe_experiment   records as {"kind": name, field: …}, the rest as JSON has it
experiment_of         the way back; experiments_of for many that have parts in common
hashes                of everything that decides the outcome of a trial, and of the same without `epochs`; hashes_of
                      for many experiments
data_hash             of shapes, dtypes and bytes
"""

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.records import children, is_record, made
from funcnet.trees import default_real


def describe_experiment(node: Any) -> Any:
    """Return a record as dicts, lists, text and numbers; numbers as training rounds them, in as few digits as identify.

    Raises
    ------
    TypeError
        For what has no readable form, such as the functions of an optimizer from elsewhere.

    >>> import funcnet as fn, numpy as np
    >>> describe_experiment(fn.SGD(np.float32(0.1)))["learning_rate"]
    0.1

    """
    if node is None or isinstance(node, (str, bool, int)):
        return node
    if isinstance(node, float):
        return _digits(node)
    if is_record(node):
        return {"kind": _name(type(node))} | {
            field: describe_experiment(value) for field, value in children(node).items()
        }
    if isinstance(node, (tuple, list)):
        return [describe_experiment(value) for value in node]
    if isinstance(node, dict):
        return {str(key): describe_experiment(value) for key, value in node.items()}
    if isinstance(node, (np.generic, np.ndarray, jax.Array)):
        found = np.asarray(node).tolist()
        return describe_experiment(found)
    raise_error(
        "an experiment to be swept or kept must be made of records, numbers and names",
        f"got {describe(node)}",
        "a record in its place, whose numbers are fields, or fn.train without a checkpoint",
        TypeError,
    )


def _name(kind: type[Any]) -> str:
    """Return the name of a record's class, with its module if it is not of the package."""
    return kind.__name__ if kind.__module__.startswith("funcnet.") else f"{kind.__module__}.{kind.__qualname__}"


def experiment_of(description: Any) -> Any:
    """Return the record that a description stands for; of classes that are imported, so that reading runs no code.

    Raises
    ------
    ValueError
        When it names a class that is not there, or that has other fields by now.

    >>> import funcnet as fn
    >>> base = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.5))
    >>> experiment_of(describe_experiment(base)) == base
    True

    """
    return experiments_of([description])[0]


def experiments_of(descriptions: Iterable[Any]) -> list[Any]:
    """Return the record of each description, equal parts made once; raises as `experiment_of` does."""
    kinds, known = functools.cache(_kinds), {}

    def read(node: Any) -> tuple[Any, Any]:
        """Return what a node stands for, and what nodes have in common that stand for the same."""
        if isinstance(node, list):
            found = [read(value) for value in node]
            return tuple(value for value, _ in found), tuple(mark for _, mark in found)
        if not isinstance(node, dict):
            return node, repr(node)  # which tells 1, 1.0 and True apart, and 0 from −0
        fields = {name: read(value) for name, value in node.items() if name != "kind"}
        mark = node.get("kind"), tuple((name, inner) for name, (_, inner) in fields.items())
        if mark not in known:
            values = {name: value for name, (value, _) in fields.items()}
            known[mark] = _record(str(node["kind"]), values, kinds) if "kind" in node else values
        return known[mark], id(known[mark])

    return [read(description)[0] for description in descriptions]


def _record(label: str, fields: dict[str, Any], kinds: Callable[[str, str], list[Any]]) -> Any:
    """Return a record with these fields, of the first class of this name that has them."""
    module, _, name = label.rpartition(".")
    for kind in kinds(module, name):
        # A field that is younger than the description has its default.
        items = {item.name: item.default for item in dataclasses.fields(kind)}
        complete = items | fields
        if set(complete) == set(items) and not any(value is dataclasses.MISSING for value in complete.values()):
            return made(kind, complete)
    raise_error(
        "the experiments of a store must be made of records that are imported",
        f"there is no {label} with the fields {', '.join(fields)}",
        f"import {module or 'funcnet'} before, of the version that wrote the store",
    )


def _kinds(module: str, name: str) -> list[Any]:
    """Return the records of a name in a module, or anywhere in the package."""
    package = [place for path, place in sorted(sys.modules.items()) if path.startswith("funcnet.")]
    places = [sys.modules.get(module)] if module else package
    found = [vars(place).get(name) for place in places if place is not None]
    return [kind for kind in dict.fromkeys(found) if isinstance(kind, type) and dataclasses.is_dataclass(kind)]


def _digits(value: float) -> float:
    return float(str(default_real().type(value)))


def hashes(description: dict[str, Any]) -> tuple[str, str]:
    """Return the hash of a described experiment, and that of its trajectory, in which `epochs` does not count.

    Trials on one trajectory differ in nothing but when they end.
    """
    return _hashed({name: json.dumps(value, sort_keys=True) for name, value in description.items()})


def hashes_of(experiments: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Return the hashes of each experiment; a part that the one before has too is not put into words again."""
    known: dict[str, tuple[Any, str]] = {}
    for experiment in experiments:
        pieces = {"kind": json.dumps(_name(type(experiment)))}
        for name, value in children(experiment).items():
            if name not in known or known[name][0] is not value:
                known[name] = value, json.dumps(describe_experiment(value), sort_keys=True)
            pieces[name] = known[name][1]
        yield _hashed(pieces)


def _hashed(pieces: dict[str, str]) -> tuple[str, str]:
    """Return the hashes of an experiment whose fields are in words, keys sorted, as JSON writes a whole of them."""
    precision = str(default_real())

    def one(pieces: dict[str, str]) -> str:
        words = ", ".join(f"{json.dumps(name)}: {pieces[name]}" for name in sorted(pieces))
        return hashlib.sha256(f"{precision} {{{words}}}".encode()).hexdigest()[:32]

    return one(pieces), one(pieces | {"epochs": "null"})


def data_hash(data: Any) -> str:
    """Return a hash of arrays; None counts too."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(data, is_leaf=lambda leaf: leaf is None):
        found.update(jax.tree_util.keystr(path).encode())
        if leaf is not None:
            array = np.ascontiguousarray(leaf)
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()[:32]
