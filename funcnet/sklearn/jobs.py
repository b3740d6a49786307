r"""One training: what it is of, and what it found; and how a search trains many of them in lanes.

An estimator that fits asks `trained(job)`. Outside a search that trains. Inside one it is asked twice: first under
`collecting`, where the job is noted and the fit given up; then, after the search has run all jobs in lanes, under
`answering`, where what was found for an equal job is handed out. A job that nobody foresaw is trained there and then,
so a search is right whatever its estimators do, and fast where they do the same twice.
"""

import contextlib
import contextvars
import hashlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from sklearn.utils import check_random_state

from funcnet.errors import raise_error
from funcnet.training.experiment import Experiment
from funcnet.training.loop import train


class Training(NamedTuple):
    """What to train."""

    experiment: Experiment
    data: Any  # (x, y, weight) of the part to train on
    held: Any  # of the part that is held out, or None
    start: Any = None  # parameters to begin from


class Outcome(NamedTuple):
    """What a training found."""

    params: Any  # of the best epoch, NumPy's
    history: dict[str, np.ndarray]
    epochs: int
    stopped: str
    first_bad_step: int | None
    seconds: float


class Noted(Exception):
    """A fit was given up, since its job has been noted."""


_NOTES: contextvars.ContextVar[Any] = contextvars.ContextVar("notes", default=None)
_ANSWERS: contextvars.ContextVar[Any] = contextvars.ContextVar("answers", default=None)
_MEMORY: contextvars.ContextVar[Any] = contextvars.ContextVar("memory", default=None)
_SEED: contextvars.ContextVar[Any] = contextvars.ContextVar("seed", default=None)


@contextlib.contextmanager
def precision(dtype: Any) -> Iterator[None]:
    """Compute in a dtype inside: 64-bit mode for float64, 32-bit mode for float32, whatever it is outside."""
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        yield


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Let estimators remember inside what they found in checking data, for others that get the same data."""
    token = _MEMORY.set({})
    try:
        yield
    finally:
        _MEMORY.reset(token)


def memory() -> dict[Any, Any] | None:
    """Return what estimators remember, None outside a search."""
    found: dict[Any, Any] | None = _MEMORY.get()
    return found


@contextlib.contextmanager
def collecting(notes: dict[Any, Training], seed: int) -> Iterator[None]:
    """Note jobs by their keys, and train none."""
    tokens = _NOTES.set(notes), _SEED.set(seed)
    try:
        yield
    finally:
        _NOTES.reset(tokens[0])
        _SEED.reset(tokens[1])


@contextlib.contextmanager
def answering(answers: dict[Any, Outcome], seconds: list[float], seed: int) -> Iterator[None]:
    """Hand out what was found; `seconds` tells of each fit how long its training took."""
    tokens = _ANSWERS.set((answers, seconds)), _SEED.set(seed)
    try:
        yield
    finally:
        _ANSWERS.reset(tokens[0])
        _SEED.reset(tokens[1])


def random_seed() -> int:
    """Return the seed of a fit that was given none: inside a search that of the search, so that it can be repeated."""
    seed = _SEED.get()
    return int(check_random_state(None).randint(2**31 - 1)) if seed is None else int(seed)


def trained(job: Training) -> Outcome:
    """Return what training finds, raise if it diverges."""
    notes, answers = _NOTES.get(), _ANSWERS.get()
    key = None if (notes is None and answers is None) or job.start is not None else key_of(job)
    if notes is not None and key is not None:
        notes[key] = job
        raise Noted
    found = answers[0].get(key) if answers is not None else None
    if found is None:
        found = _train(job)
    if answers is not None:
        answers[1].append(found.seconds)
    if found.stopped == "diverged":
        diverged(job.experiment, found.first_bad_step)
    return found


def diverged(experiment: Experiment, step: int | None) -> NoReturn:
    """Raise for a training whose numbers became infinite."""
    attempt = "a lower learning_rate, or features scaled by StandardScaler"
    raise_error("training must stay finite", f"it diverged at update {step}", attempt)


def _train(job: Training) -> Outcome:
    began = time.perf_counter()
    with precision(job.data[0].dtype):
        run = train(job.experiment, job.data, job.held, start=job.start, progress=False)
        params = jax.tree.map(np.asarray, run.best_params)
    if run.stopped == "interrupted":
        raise KeyboardInterrupt
    seconds = time.perf_counter() - began
    return Outcome(params, run.history, run.epochs, run.stopped, run.first_bad_step, seconds)


Key = tuple[str, Experiment]


def key_of(job: Training) -> Key:
    """Return what equal jobs have in common: a hash of the data, and the experiment."""
    return data_key(job), job.experiment


def data_key(job: Training) -> str:
    """Return a hash of what a job is trained on."""
    return arrays_key(*job.data, *(job.held or ()))


def arrays_key(*arrays: Any) -> str:
    """Return a hash of arrays, None among them."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is None:
            found.update(b"none")
        else:
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()
