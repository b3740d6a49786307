r"""What a sweep and a plan require of their arguments, before anything compiles."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnet.errors import describe, raise_error, shown, whole_number
from funcnet.layers.base import samples_of
from funcnet.records import canonical, replace
from funcnet.results.varying import judged_apart
from funcnet.sweeps.chunks import kind_of
from funcnet.sweeps.devices import checked_devices
from funcnet.sweeps.halving import Halving
from funcnet.training.checkpoints import starting
from funcnet.training.experiment import Experiment, stopping_rules
from funcnet.training.preparing import kinds, prepare
from funcnet.training.state import Data, columns
from funcnet.training.steps import begin

KEEP = ("metrics", "params", "state")


class Job(NamedTuple):
    """What a sweep and a plan are asked for, checked."""

    given: list[Experiment]
    data: Data
    test: Any
    devices: tuple[jax.Device, ...]
    start: Any = None  # parameters to begin from, by path


def checked_job(
    experiments: Any,
    sets: tuple[Any, Any, Any],
    devices: Any,
    *,
    halving: Any = None,
    keep: str = "params",
    flags: Mapping[str, Any],
    counts: Mapping[str, Any],
    start: Any = None,
) -> Job:
    """Check all arguments: experiments against the sets for training, validation and test; options; devices."""
    if isinstance(experiments, (Experiment, str, Mapping)) or not isinstance(experiments, Iterable):
        must, arrived = "experiments must be a list", f"got {describe(experiments)}"
        raise_error(must, arrived, "fn.grid(…) or [experiment]", TypeError)
    given = list(experiments)
    if not given:
        raise_error("a sweep must have at least one experiment", "got none", "fn.grid(…)")
    for number, experiment in enumerate(given):
        if not isinstance(experiment, Experiment):
            arrived = f"trial {number} is {describe(experiment)}"
            raise_error("a sweep takes experiments", arrived, "fn.Experiment(…)", TypeError)
    if halving is not None and not isinstance(halving, Halving):
        raise_error("halving must be a Halving", f"got {describe(halving)}", 'fn.Halving("validation_loss")', TypeError)
    if halving is not None and (part := judged_apart(halving.metric, given)):
        raise_error(
            f"halving by {halving.metric} must compare trials by one measure",
            f"they differ in {part}, and each is judged by its own",
            'fn.Halving("validation_accuracy"), or another metric than the loss',
        )
    if not isinstance(keep, str) or keep not in KEEP:
        raise_error(f"keep must be one of {', '.join(map(repr, KEEP))}", f"got {shown(keep)}", '"params"')
    for name, flag in flags.items():
        if not isinstance(flag, (bool, np.bool_)):
            raise_error(f"{name} must be True or False", f"got {describe(flag)}", f"{name}=True", TypeError)
    for name, count in counts.items():
        if count is not None:
            whole_number(count, name, 1)
    chosen = checked_devices(devices)
    data, test = checked_data(given, *sets, halving)
    return Job(given, data, test, chosen, None if start is None else checked_start(given, data, start))


def checked_start(experiments: Sequence[Experiment], data: Data, start: Any) -> dict[str, np.ndarray]:
    """Check parameters to begin from against the network of every structure; return them by the paths of leaves."""
    given: dict[str, Any] = {}
    # Numbers of a network, such as dropout rates, change no shape: one experiment of each structure is asked.
    for one in {jax.tree.structure(canonical(e).network): canonical(e) for e in reversed(experiments)}.values():
        given = starting(start, jax.eval_shape(begin, one, data).params)
    return {path: np.asarray(leaf) for path, leaf in given.items()}


def checked_data(
    experiments: Sequence[Experiment], train: Any, validation: Any, test: Any, halving: Any
) -> tuple[Data, Any]:
    """Check every structure against the data, once each, and the held-out set; return them as arrays."""
    data, tested, seen = None, None, set()
    for number, experiment in enumerate(experiments):
        if (kind := kind_of(experiment)) in seen:
            continue
        seen.add(kind)
        try:
            _, data = prepare(experiment, train, validation)
            if test is not None:
                _, other = prepare(_unbatched(experiment), test, name="test")
                _same_features(data, other)
                tested = (other.x, other.y, other.weight)
            if halving is not None and halving.metric not in columns(canonical(experiment), validation is not None):
                known = columns(canonical(experiment), validation is not None)
                raise_error(
                    f"halving compares {halving.metric}, which must be measured",
                    f"the columns are {', '.join(known)}",
                    "validation=(x, y), or one of these",
                )
        except (ValueError, TypeError) as error:
            raise type(error)(f"trial {number}: {error}") from None
    assert data is not None
    return data, tested


def _unbatched(experiment: Experiment) -> Experiment:
    changes: dict[str, Any] = {"batch_size": None}
    return replace(experiment, changes | ({"stopping": None} if stopping_rules(experiment) else {}))


def _same_features(data: Data, other: Data) -> None:
    if samples_of(data.x) != samples_of(other.x):
        must, attempt = "test features must be like those of train", "the same preparation for both"
        raise_error(must, f"they are {kinds(data.x)} and {kinds(other.x)}", attempt)
