r"""How a path is solved, whatever the model: in float64, in segments, with a working set that is doubled if it must."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from funcnet.linear.least_squares import Walk
from funcnet.linear.results import Fit, Path, row
from funcnet.linear.units import LARGEST

RESOLVED = 1e-12  # relative gap that counts as converged whatever the tolerance: float64 hardly tells less
APPROACH = 12  # penalties on the way to a single one, itself included


@contextlib.contextmanager
def precision(sparse: bool = False) -> Iterator[None]:
    """Run the body in 64-bit mode, and on the CPU if features are sparse; both are as they were afterwards."""
    where = jax.default_device(jax.local_devices(backend="cpu")[0]) if sparse else contextlib.nullcontext()
    with jax.enable_x64(True), where:
        yield


def is_wide(sparse: bool = False) -> bool:
    """Tell which form of the descent suits: rows at a time on an accelerator, native loops on a CPU."""
    return jax.default_backend() != "cpu" and not sparse


def doubled(solve: Callable[[int], Any], capacity: int, features: int) -> Any:
    """Return solve(capacity), the capacity of the working set doubled until it suffices."""
    while True:
        result, full = solve(capacity)
        if not full:
            return result
        capacity = min(2 * capacity, features)


def travel(state: Walk, advance: Callable[[Walk], Walk], penalties: int) -> tuple[Walk, bool]:
    """Walk to the last penalty in segments, between which Python can act on Ctrl-C; say if the set was full."""
    while int(state.at) < penalties:
        state = advance(state)
    return state, bool(state.found.full)


def approach(largest: float, penalty: float) -> np.ndarray:
    """Return penalties on the way to a single one, from the largest that matters."""
    if penalty == 0 or largest <= penalty:
        return np.asarray([penalty])
    return penalty * np.geomspace(min(float(largest) / penalty, LARGEST), 1, APPROACH)


def report(path: Path) -> Path:
    """Warn of penalties that ended above the gap asked for; return the path."""
    failed = np.flatnonzero(~path.converged)
    if len(failed):
        i = failed[np.argmax(path.gaps[failed])]
        warnings.warn(
            f"{len(failed)} of {len(path.penalties)} penalties ended above the tolerance, with a gap of up to "
            f"{path.gaps[i]:.1e} (at penalty {path.penalties[i]:.3g}): max_sweeps, or as far as float64 goes",
            RuntimeWarning,
            stacklevel=3,
        )
    return path


def last(path: Path) -> Fit:
    """Return the solution at the last penalty of a path, with the sweeps of the way to it; warn as `report` does."""
    if not path.converged[-1]:
        warnings.warn(
            f"the solution ended above the tolerance, with a gap of {path.gaps[-1]:.1e}: max_sweeps, or as far as "
            "float64 goes",
            RuntimeWarning,
            stacklevel=3,
        )
    return row(path, len(path.penalties) - 1)
