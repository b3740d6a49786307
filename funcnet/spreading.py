r"""A batch whose samples are spread over devices: where it is, and sums over it.

The compiler divides the work on a batch among the devices by itself, as long as the axis of samples stays an axis.
Where samples are merged with other axes before them, or gone through some at a time in a loop, it gathers the whole
batch on every device instead, and each does all the work. There `shared` divides it by hand.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as Spec

AXIS = "batch"
_MESH: contextvars.ContextVar[Any] = contextvars.ContextVar("mesh", default=None)


@contextlib.contextmanager
def spread_over(mesh: Any) -> Iterator[None]:
    """Spread batches over the devices of a mesh, in functions traced inside; None for one device."""
    token = _MESH.set(mesh)
    try:
        yield
    finally:
        _MESH.reset(token)


def spread(batch: Any) -> Any:
    """Return a batch whose samples are spread over the devices; the compiler adds up what they find."""
    mesh = _MESH.get()
    return batch if mesh is None else jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, Spec(AXIS)))


def shared(function: Callable[..., tuple[Any, Any]], samples: tuple[jax.Array, ...], whole: Any = ()) -> Any:
    """Return function(samples, whole), a pair: what each sample has of its own, and sums over samples.

    Each device works on its own samples, and the sums of all are added up.
    """
    mesh = _MESH.get()
    if mesh is None or any(len(a) % mesh.size for a in samples):
        return function(samples, whole)

    def own(samples: tuple[jax.Array, ...], whole: Any) -> tuple[Any, Any]:
        each, sums = function(samples, whole)
        return each, jax.lax.psum(sums, AXIS)

    there = Spec(AXIS), Spec()
    return jax.shard_map(own, mesh=mesh, in_specs=there, out_specs=there, check_vma=False)(samples, whole)
