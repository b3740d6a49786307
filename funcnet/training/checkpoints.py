r"""Checkpoints: where a run stands, in one file that is whole or absent; and starting parameters by their paths.

A checkpoint holds the state, the history, the experiment in words and a hash of the data. The same call with it goes
on from there, bit for bit the run that was not interrupted; with another experiment or other data it is refused.
"""

import hashlib
import json
import os
import pathlib
import time
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, near_misses, raise_error
from funcnet.io import load, save
from funcnet.records import replace
from funcnet.training.describe import describe_experiment
from funcnet.training.experiment import Experiment, Transform
from funcnet.training.sources import Stream
from funcnet.training.state import State
from funcnet.trees import default_real, leaves_by_path

SECONDS = 10.0  # between two checkpoints


def words_of(experiment: Experiment) -> dict[str, Any]:
    """Describe what decides a run's bits: the experiment, but for the number of epochs, and the precision.

    A transform that is a function is known by its name alone.
    """
    plain = isinstance(experiment.transform, Transform)
    words: dict[str, Any] = describe_experiment(replace(experiment, {"transform": None}) if plain else experiment)
    if plain:
        function = experiment.transform.function
        named = function if isinstance(function, types.FunctionType) else type(function)
        words["transform"] = f"{named.__module__}.{named.__qualname__}"
    return words | {"epochs": None, "precision": str(default_real())}


def data_words(data: Any) -> str:
    """Return a hash of arrays; of a source its length and first rows."""
    found = hashlib.sha256()
    parts = [(part.samples, part.example) if isinstance(part, Stream) else part for part in data]
    for path, leaf in jax.tree_util.tree_leaves_with_path(parts):
        array = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)}{array.dtype}{array.shape}".encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()[:32]


class Checkpoint:
    """A file that a run writes now and then."""

    def __init__(self, path: Any, experiment: Experiment, data: Any) -> None:
        if not isinstance(path, (str, os.PathLike)):
            must = "checkpoint must be the path of a file"
            raise_error(must, f"got {describe(path)}", 'checkpoint="run.checkpoint"', TypeError)
        self.path = pathlib.Path(path).expanduser()
        self.words = {"experiment": words_of(experiment), "data": data_words(data)}
        self._written = time.monotonic()

    def read(self, like: State) -> tuple[State, dict[str, np.ndarray]] | None:
        """Return state and history of an earlier call, None without one."""
        return read_checkpoint(self.path, self.words, like) if self.path.exists() else None

    def write(self, state: State, history: dict[str, np.ndarray], now: bool = False) -> None:
        """Write the file, if it is time."""
        if not now and time.monotonic() - self._written < SECONDS:
            return
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        save(self.path, {"checkpoint": json.dumps(self.words), "leaves": leaves, "history": history})
        self._written = time.monotonic()


def read_checkpoint(path: Any, words: dict[str, Any], like: State) -> tuple[State, dict[str, np.ndarray]]:
    """Return state and history, if a file holds those of such a run."""
    found = load(path)
    if not isinstance(found, dict) or "checkpoint" not in found:
        raise_error(f"{path} must be a checkpoint", f"it holds {describe(found)}", "checkpoint=path in fn.train")
    there = json.loads(found["checkpoint"])
    if there["experiment"] != words["experiment"]:
        where = first_difference(there["experiment"], words["experiment"])
        raise_error(f"{path} must be of this experiment", f"they differ in {where}", "another path, or start=params")
    if there["data"] != words["data"]:
        raise_error(f"{path} must be of these data", "they differ", "the same arrays, another path, or start=params")
    shapes, tree = jax.tree.flatten(like)
    leaves = found["leaves"]
    if [(np.shape(a), np.asarray(a).dtype) for a in leaves] != [(a.shape, a.dtype) for a in shapes]:
        raise_error(f"{path} must be of this version of funcnet", "its state has other arrays", "another path")
    return jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in leaves]), dict(found["history"])


def first_difference(a: Any, b: Any, path: str = "") -> str:
    """Return the path at which two descriptions first differ."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next((first_difference(a[k], b[k], f"{path}.{k}" if path else k) for k in a if a[k] != b[k]), path)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        differ = (i for i in range(len(a)) if a[i] != b[i])
        return next((first_difference(a[i], b[i], f"{path}.{i}") for i in differ), path)
    return path or "kind"


def starting(start: Any, params: Any) -> dict[str, Any]:
    """Return starting parameters by the paths of their leaves.

    `start` is a tree like the parameters, or a dictionary from dotted paths to parts of one.

    Raises:
        ValueError: for a path that leads nowhere or a leaf of another shape; the message names the first.

    """
    wanted = leaves_by_path(params)
    given: dict[str, Any] = {}
    dotted = isinstance(start, dict) and any(_leads(key, wanted) for key in start)
    for above, part in start.items() if dotted else [("", start)]:
        for below, leaf in leaves_by_path(part).items():
            given[".".join(step for step in (str(above), below) if step)] = leaf
    for path, leaf in given.items():
        if path not in wanted:
            must = "start must have the paths of the network's parameters"
            raise_error(must, f"{path!r} leads nowhere", f"one of {near_misses(path, wanted)}")
        if np.shape(leaf) != np.shape(wanted[path]):
            arrived = f"{path} has {list(np.shape(leaf))} where {list(np.shape(wanted[path]))} is due"
            raise_error("start must have the shapes of the network's parameters", arrived, "the same architecture")
    if not dotted and len(given) < len(wanted):
        missing = next(path for path in wanted if path not in given)
        attempt = f'{{"{missing}": …}}, a dictionary of the paths to begin with'
        raise_error("start must hold every parameter", f"{missing} is missing", attempt)
    return given


def _leads(key: Any, wanted: dict[str, Any]) -> bool:
    return isinstance(key, str) and any(path == key or path.startswith(f"{key}.") for path in wanted)


def check_frozen(freeze: tuple[str, ...], params: Any) -> None:
    """Require that each frozen path leads to parameters."""
    wanted = leaves_by_path(params)
    for path in freeze:
        if not _leads(path, wanted):
            must = "freeze must hold paths of the network's parameters"
            raise_error(must, f"{path!r} leads nowhere", f"one of {near_misses(str(path), wanted)}")
