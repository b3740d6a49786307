r"""Trees of arrays: what the package asks of pytrees, in one place.

Parameters are trees whose leaves have names, the last step of their path. One predicate, `is_weight`, says which of
them penalties and decay reach: kernels, tables and whatever has another name; not biases, scales and offsets, nor
numbers that follow the data (a running mean, a running variance), whose gradient is 0 by declaration.
"""

from typing import Any

import jax
import jax.numpy as jnp

# The names of leaves that penalties and decay spare.
SPARED = frozenset({"bias", "recurrent_bias", "scale", "offset", "mean", "variance"})


def leaf_name(path: tuple[Any, ...]) -> str:
    """Return the last step of a leaf's path as text; "" for a tree that is one leaf.

    >>> [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(({"kernel": 1.0, "bias": 2.0}, 3.0))]
    ['bias', 'kernel', '1']
    """
    return jax.tree_util.keystr(path[-1:], simple=True) if path else ""


def is_weight(path: tuple[Any, ...]) -> bool:
    """Tell whether penalties and decay reach the leaf at a path.

    >>> tree = {"kernel": 1.0, "bias": 2.0, "norm": {"scale": 3.0, "mean": 4.0}}
    >>> [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if is_weight(path)]
    [1.0]
    """
    return leaf_name(path) not in SPARED


def select(condition: jax.Array, yes: Any, no: Any) -> Any:
    """Return one tree or another like it."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def all_finite(tree: Any) -> jax.Array:
    """Tell whether all floating leaves are finite: 0 · x is 0 if x is, else NaN, and sums of it are fast.

    Leaves of one shape are added up, to compile less.
    """
    zeros: dict[Any, jax.Array] = {}
    for leaf in jax.tree.leaves(tree):
        group = leaf.shape, leaf.dtype
        zeros[group] = zeros[group] + 0 * leaf if group in zeros else 0 * leaf
    finite = [jnp.all(jnp.isfinite(jnp.sum(zero, axis=tuple(range(zero.ndim - 1))))) for zero in zeros.values()]
    return jnp.all(jnp.stack(finite or [jnp.asarray(True)]))
