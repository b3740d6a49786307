r"""One sweep over the devices of several processes, as `jax.distributed` joins them.

Every process runs the same host program on the same experiments, and so takes the same decisions; each device works on
its own lanes; what the host needs to know is gathered by all. The first process writes the store.
"""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec


def spans_processes(devices: Any) -> bool:
    """Tell whether some of the devices belong to another process."""
    return any(device.process_index != jax.process_index() for device in devices)


def to_host(leaf: Any) -> np.ndarray:
    """Return an array's numbers, gathered from all processes if need be."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return np.asarray(leaf) if leaf.is_fully_replicated else multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(leaf)


def to_devices(mesh: Mesh, specs: Any, arguments: Any) -> Any:
    """Spread arrays that every process holds whole over the devices of all of them."""

    def one(spec: Spec, leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return leaf
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, NamedSharding(mesh, spec), lambda index: array[index])

    def below(spec: Spec, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: one(spec, leaf), tree)

    return jax.tree.map(below, specs, arguments, is_leaf=lambda spec: isinstance(spec, Spec))


def agreed(known: np.ndarray) -> np.ndarray:
    """Return the first process's array on all of them."""
    return np.asarray(multihost_utils.broadcast_one_to_all(known))
