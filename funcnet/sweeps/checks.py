r"""What a sweep and a plan require of their arguments, before anything compiles."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.arrays import check_pair
from funcnet.errors import describe, raise_error, whole_number
from funcnet.records import canonical, replace
from funcnet.sweeps.halving import Halving
from funcnet.training.experiment import Experiment, stopping_rules
from funcnet.training.loop import prepare
from funcnet.training.state import Data, columns

KEEP = ("metrics", "params", "state")


def checked(experiments: Any, halving: Any, keep: Any, **counts: Any) -> list[Experiment]:
    """Require a list of experiments, with numbers that are known."""
    if isinstance(experiments, Experiment) or not isinstance(experiments, Sequence):
        raise_error(
            "experiments must be a list", f"got {describe(experiments)}", "fn.grid(…) or [experiment]", TypeError
        )
    if not experiments:
        raise_error("a sweep must have at least one experiment", "got none", "fn.grid(…)")
    for number, experiment in enumerate(experiments):
        if not isinstance(experiment, Experiment):
            raise_error(
                "a sweep takes experiments", f"trial {number} is {describe(experiment)}", "fn.Experiment(…)", TypeError
            )
    if halving is not None and not isinstance(halving, Halving):
        raise_error("halving must be a Halving", f"got {describe(halving)}", 'fn.Halving("validation_loss")', TypeError)
    if keep not in KEEP:
        raise_error(f"keep must be one of {', '.join(map(repr, KEEP))}", f"got {keep!r}", '"params"')
    for name, count in counts.items():
        if count is not None:
            whole_number(count, name, 1)
    return list(experiments)


def checked_data(
    experiments: Sequence[Experiment], train: Any, validation: Any, test: Any, halving: Any
) -> tuple[Data, Any]:
    """Check every structure against the data, once each, and the held-out set; return them as arrays."""
    data, seen = None, set()
    for number, experiment in enumerate(experiments):
        leaves, structure = jax.tree.flatten(experiment)
        if (kind := (structure, tuple(map(np.shape, leaves)))) in seen:
            continue
        seen.add(kind)
        try:
            _, data = prepare(experiment, train, validation)
            if test is not None:
                _, other = prepare(_unbatched(experiment), check_pair(test, "test"))
                _same_features(data, other)
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
    return data, None if test is None else (jnp.asarray(test[0]), jnp.asarray(test[1]))


def _unbatched(experiment: Experiment) -> Experiment:
    changes: dict[str, Any] = {"batch_size": None}
    return replace(experiment, changes | ({"stopping": None} if stopping_rules(experiment) else {}))


def _same_features(data: Data, other: Data) -> None:
    if data.x.shape[1:] != other.x.shape[1:] or data.x.dtype != other.x.dtype:
        raise_error(
            f"test features must be like those of train, {data.x.shape[1:]} of {data.x.dtype}",
            f"got {other.x.shape[1:]} of {other.x.dtype}",
            "the same preparation for both",
        )
