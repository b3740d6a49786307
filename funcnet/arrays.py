r"""Data at the door: arrays of any library, trees of them, and sets of samples.

`as_array` says what counts as an array; `check_set` what counts as a set of samples. All is checked before anything
compiles, and nothing is copied that is an array of native numbers already.
"""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import abridged, check_floating, describe, is_concrete, raise_error
from funcnet.protocols import fits

_BLOCK = 2**22  # numbers that are looked at together, so that a memory map is never copied whole


@runtime_checkable
class _Frame(Protocol):
    """A table or a column of pandas, Polars and their kin."""

    def to_numpy(self) -> Any: ...


@runtime_checkable
class _Sparse(Protocol):
    """A sparse array of SciPy or JAX."""

    def todense(self) -> Any: ...


def as_array(value: Any, name: str, *, text: bool = False) -> Any:
    """Return numbers from anywhere as a NumPy or JAX array: nested lists, tables, tensors, memory maps.

    What is an array of native numbers already is returned as it is, without a copy. `text` takes text as well.

    Raises:
        TypeError: for what holds anything but floats, whole numbers and truth values of at most 64 bits, or is sparse
            or masked; the message says how to convert it.

    """
    must = f"{name} must be an array of numbers"
    if isinstance(value, (jax.Array, jax.core.Tracer)):
        array: Any = value
    elif fits(value, _Sparse):
        raise_error(must, f"got a sparse {describe(value)}", "x.toarray(), or x.todense()", TypeError)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise_error(must, f"got {describe(value)} with masked entries", "x.filled(0.0) and weights", TypeError)
    else:
        try:
            array = np.asarray(value.to_numpy() if fits(value, _Frame) else value)
        except Exception:  # whatever a ragged list, or a tensor on a device or with a gradient, answers
            attempt = "np.asarray(value), with rows of one length; x.detach().cpu().numpy() for a tensor"
            raise_error(must, f"got {describe(value)} that NumPy cannot read", attempt, TypeError)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
    numeric = any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))
    kind = array.dtype.kind if isinstance(array.dtype, np.dtype) else ""
    if (not numeric or array.dtype.itemsize > 8) and not (text and kind == "U"):
        attempts = {
            "O": "columns of numbers alone, and .astype(float); text as numbers, one for each kind",
            "c": "real and imaginary parts side by side",
            "f": "x.astype(np.float64)",
        }
        attempts |= dict.fromkeys("UST", "np.unique(y, return_inverse=True)[1], which numbers the texts")
        attempt = attempts.get(kind, "x.astype(np.float32)")
        raise_error(must, f"got {describe(value if array.dtype == object else array)}", attempt, TypeError)
    return array


def arrays_of(tree: Any, name: str) -> Any:
    """Return a tree with every leaf as an array by `as_array`; a list of numbers, nested or not, is one array."""
    try:
        leaves, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_array)
    except (TypeError, ValueError):  # keys of two types
        raise_error(f"{name} must be an array or a tree of arrays", f"got {describe(tree)}", "dicts with text as keys")
    if not leaves:
        raise_error(f"{name} must hold an array", f"got {describe(tree)}", "np.asarray(…)", TypeError)
    arrays = [as_array(leaf, name + jax.tree_util.keystr(path)) for path, leaf in leaves]
    return jax.tree.unflatten(structure, arrays)


def _is_array(node: Any) -> bool:
    """Tell a list of numbers or texts, nested or not, and None, from a tree of arrays."""
    for _ in range(32):
        if not isinstance(node, (list, tuple)) or not node:
            break
        node = node[0]
    return node is None or isinstance(node, (bool, int, float, complex, str, bytes, np.generic))


def check_features(x: Any, name: str) -> Any:
    """Require samples × features of a floating dtype, at least one sample, all finite where they can be read."""
    x = as_array(x, name)
    check_floating(x, name)
    return _check_samples(x, name)


def _check_samples(x: Any, name: str) -> Any:
    """Require an array whose leading axis is the sample, with no axis of length 0, and finite."""
    whole = not jnp.issubdtype(x.dtype, jnp.floating)
    if x.dtype == bool:
        raise_error(f"{name} must be floats or whole numbers", f"got {describe(x)}", "x.astype(np.float32)", TypeError)
    if x.ndim < (1 if whole else 2):
        must = f"{name} must have shape (samples, features)"
        raise_error(must, f"got {describe(x)}", "x.reshape(-1, 1) for one feature")
    if x.shape[0] == 0:
        raise_error(f"{name} must hold at least one sample", f"got {describe(x)}", "a set that is not empty")
    if 0 in x.shape:
        raise_error(f"{name} must hold at least one number a sample", f"got {describe(x)}", "a feature or more")
    place = None if whole else _first_not_finite(x, None)
    if place is not None:
        arrived = f"got {np.asarray(x[place])} at {list(place)}"
        raise_error(f"{name} must be finite, at weight 0 too", arrived, "removing or imputing these samples")
    return x


def _first_not_finite(x: Any, weight: Any) -> tuple[int, ...] | None:
    """Return the place of the first NaN or infinity, of those whose weight is above 0 if there are weights."""
    if not is_concrete(x) or (weight is not None and not is_concrete(weight)):
        return None
    rows = max(1, _BLOCK // max(1, math.prod(x.shape[1:])))
    for start in range(0, x.shape[0], rows):
        bad = ~np.isfinite(np.asarray(x[start : start + rows]))
        if weight is not None:
            counts = np.asarray(weight[start : start + rows]) > 0
            bad &= counts.reshape(counts.shape + (1,) * (bad.ndim - counts.ndim))
        if bad.any():
            row, *inner = (int(i) for i in np.argwhere(bad)[0])
            return (start + row, *inner)
    return None


def check_set(value: Any, name: str) -> tuple[Any, Any, Any]:
    """Check a set of samples, (x, y) or (x, y, weight), before anything compiles; return all three, None for no weight.

    Args:
        value: features, a tree of arrays; targets, a tree of arrays; weights, an array whose shape begins like that of
            the targets. The leading axis of each is the sample. Arrays are those that `as_array` takes.
        name: of the set, for messages.

    Raises:
        TypeError, ValueError: unless lengths agree, features are finite (at weight 0 too: layers see them), targets are
            finite wherever the weight is above 0, and weights are finite, at least 0 and not all 0.

    """
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        must = f"{name} must be a pair (x, y), or (x, y, weight)"
        raise_error(must, f"got {describe(value)}", f"{name}=(x, y)", TypeError)
    x = arrays_of(value[0], f"the features of {name}")
    y = arrays_of(value[1], f"the targets of {name}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(x):
        _check_samples(leaf, f"the features of {name}{jax.tree_util.keystr(path)}")
    leaves = jax.tree.leaves((x, y))
    for leaf in leaves:
        if leaf.ndim == 0 or leaf.shape[0] != leaves[0].shape[0]:
            must = f"features and targets of {name} must have the same length"
            raise_error(must, f"got {describe(leaves[0])} and {describe(leaf)}", "one target for each sample")
    weight = None if len(value) == 2 or value[2] is None else _check_weight(value[2], y, f"the weights of {name}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(y):
        place = _first_not_finite(leaf, weight) if jnp.issubdtype(leaf.dtype, jnp.floating) else None
        if place is not None:
            must = f"the targets of {name}{jax.tree_util.keystr(path)} must be finite"
            arrived = f"got {np.asarray(leaf[place])} at {list(place)}"
            raise_error(must, arrived, "removing these samples, or weight 0 for them")
    return x, y, weight


def _check_weight(weight: Any, y: Any, name: str) -> Any:
    """Require weights for the samples of y; whole numbers and truth values become float32."""
    weight = as_array(weight, name)
    if not jnp.issubdtype(weight.dtype, jnp.floating):
        weight = weight.astype(np.float32)
    for leaf in jax.tree.leaves(y):
        if weight.ndim == 0 or weight.shape != leaf.shape[: weight.ndim]:
            must = f"{name} must have shape {abridged(str(leaf.shape[:1]))}, or begin like the targets"
            raise_error(must, f"got {describe(weight)} beside {describe(leaf)}", "one weight for each sample")
    if is_concrete(weight):
        found = np.asarray(weight)
        if not (np.isfinite(found) & (found >= 0)).all():
            bad = float(found[~(np.isfinite(found) & (found >= 0))][0])
            raise_error(f"{name} must be finite and at least 0", f"got {bad}", "0 for samples that shall not count")
        if not (found > 0).any():
            raise_error(f"{name} must not all be 0", "all are", "weight=None for equal weights")
    return weight
