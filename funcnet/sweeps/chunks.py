r"""Trials on their way through the lanes, chunks of them at one epoch, and states parked on the host."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from funcnet.training.describe import hashes_of
from funcnet.training.experiment import Experiment
from funcnet.training.state import State


@dataclasses.dataclass(slots=True)
class Trial:
    """One experiment on its way through the lanes."""

    experiment: Experiment
    key: str
    trajectory: str
    curves: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, experiments: Sequence[Experiment]) -> "list[Trial]":
        """Describe experiments and hash them."""
        # The description is made anew when the trial has ended: kept for all, it would be most of the memory.
        return [cls(experiment, *found) for experiment, found in zip(experiments, hashes_of(experiments), strict=True)]

    def column(self, name: str) -> np.ndarray:
        """Return a column of the history as far as it goes."""
        pieces = self.curves.get(name, [])
        return np.concatenate(pieces) if pieces else np.zeros(0)


@dataclasses.dataclass
class Chunk:
    """Trials in lanes, all at one epoch."""

    trials: list[Trial]
    state: State  # on the devices, or on the host while parked
    epoch: int
    experiment: Experiment | None = None  # of all lanes, where it has been made


def groups(trials: Sequence[Trial], own_order: bool) -> list[list[Trial]]:
    """Group trials by program, and by the order of the samples that they share; in the order of their first trial."""
    found: dict[Any, list[Trial]] = {}
    for trial in trials:
        seed = None if own_order else int(trial.experiment.data_seed)
        found.setdefault((kind_of(trial.experiment), seed), []).append(trial)
    return list(found.values())


def kind_of(experiment: Experiment) -> Any:
    """Return what experiments have in common that run in one program: the structure, and the shapes of the numbers."""
    leaves, structure = jax.tree.flatten(experiment)
    return structure, tuple(() if type(leaf) in (int, float) else np.shape(leaf) for leaf in leaves)


def rows_of(leaf: Any, index: Any) -> Any:
    """Take lanes out of a leaf; what all lanes share has none."""
    return leaf[index] if np.ndim(leaf) else leaf


def joined(states: Sequence[State]) -> State:
    """Put parked states side by side."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves) if np.ndim(leaves[0]) else leaves[0], *states)


def gathered(states: Sequence[State], width: int) -> State:
    """Put parked states into the lanes, the rest of them filled with copies that never run."""

    def one(*leaves: Any) -> Any:
        if not np.ndim(leaves[0]):
            return leaves[0]
        rows = np.concatenate(leaves)[:width]
        return np.concatenate([rows, np.repeat(rows[:1], width - len(rows), axis=0)])

    return jax.tree.map(one, *states)


def by_number(state: State) -> dict[str, np.ndarray]:
    """Return the leaves of a state by their numbers, as a store keeps them, and the step."""
    leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    return leaves | {"step": np.asarray(state.step)}
