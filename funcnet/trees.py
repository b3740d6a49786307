r"""Trees of arrays: what the package asks of pytrees, in one place.

Parameters are trees whose leaves have names, the last step of their path. One predicate, `is_weight`, says which of
them penalties and decay reach: kernels, tables and whatever has another name; not biases, scales and offsets, nor
numbers that follow the data (a running mean, a running variance), whose gradient is 0 by declaration: these nothing
but their layer ever moves.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error

# The names of leaves that follow the data, and of all that penalties and decay spare.
FOLLOWING = frozenset({"mean", "variance"})
SPARED = frozenset({"bias", "recurrent_bias", "scale", "offset"}) | FOLLOWING


def leaf_name(path: tuple[Any, ...]) -> str:
    """Return the last step of a leaf's path as text; "" for a tree that is one leaf.

    >>> import jax
    >>> [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(({"kernel": 1.0, "bias": 2.0}, 3.0))]
    ['bias', 'kernel', '1']
    """
    return jax.tree_util.keystr(path[-1:], simple=True) if path else ""


def is_weight(path: tuple[Any, ...]) -> bool:
    """Tell whether penalties and decay reach the leaf at a path.

    >>> import jax
    >>> tree = {"kernel": 1.0, "bias": 2.0, "norm": {"scale": 3.0, "mean": 4.0}}
    >>> [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if is_weight(path)]
    [1.0]
    """
    return leaf_name(path) not in SPARED


def is_reached(path: tuple[Any, ...], biases: bool) -> bool:
    """Tell whether a penalty or a decay reaches a leaf: the weights, and with `biases` all that are trained."""
    return leaf_name(path) not in (FOLLOWING if biases else SPARED)


def leaves_by_path(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by their dotted paths.

    >>> leaves_by_path(({"kernel": 1.0}, (), {"bias": 2.0}))
    {'0.kernel': 1.0, '2.bias': 2.0}
    """
    return {dotted(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def map_leaves(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """Return a tree with `function(dotted path, leaf)` in the place of each leaf."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: function(dotted(path), leaf), tree)


def dotted(path: tuple[Any, ...]) -> str:
    """Return the path of a leaf as text, its steps joined by dots."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def is_tree_of_numbers(value: Any) -> bool:
    """Tell whether a value is a pytree, other than one leaf, whose leaves are numbers, arrays or stand-ins for them.

    >>> is_tree_of_numbers({"rate": 0.1}), is_tree_of_numbers(print), is_tree_of_numbers(0.1)
    (True, False, False)
    """
    leaves = jax.tree.leaves(value)
    return all(leaf is not value and not callable(leaf) and not isinstance(leaf, str) for leaf in leaves)


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


def default_real() -> np.dtype[Any]:
    """Return the dtype of floats where none is asked for: float32, or float64 in JAX's 64-bit mode."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))


def wide_dtype(leaf: Any) -> Any:
    """Return the dtype to compute in for a parameter: its own, or float32 for 16-bit leaves."""
    dtype = jnp.result_type(leaf)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise_error(
            "parameters must be floating-point arrays",
            f"got {describe(leaf)}",
            "keep other leaves outside the parameters",
            TypeError,
        )
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits <= 16 else dtype


def widen(tree: Any) -> Any:
    """Return a tree with 16-bit leaves in float32."""
    return jax.tree.map(lambda w: jnp.asarray(w, wide_dtype(w)), tree)


def dtypes(tree: Any) -> tuple[Any, Any]:
    """Return the narrowest and the widest dtype of a widened tree."""
    found = sorted({wide_dtype(leaf) for leaf in jax.tree.leaves(tree)}, key=lambda dtype: jnp.finfo(dtype).bits)
    return (found[0], found[-1]) if found else (default_real(),) * 2


def root(square: jax.Array) -> jax.Array:
    """Return √s, as a constant where s is 0.

    So whoever differentiates a training step gets the recurrence's derivative there, not 0 · ∞. Both choices are
    between equals: the compiler drops them.
    """
    nothing = square == 0
    found = jnp.sqrt(jnp.where(nothing, jax.lax.stop_gradient(square), square))
    return jnp.where(nothing, jax.lax.stop_gradient(found), found)


def norm_parts(tree: Any) -> tuple[jax.Array, jax.Array]:
    """Return √M and ‖g‖/M, M being the largest element: together the norm of a tree, as √M √M (‖g‖/M)."""
    wide = dtypes(tree)[1]
    leaves = [leaf.astype(wide) for leaf in jax.tree.leaves(tree) if leaf.size]
    if not leaves:
        return jnp.zeros((), wide), jnp.zeros((), wide)
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    half = root(largest)
    inverse = jnp.where(half == 0, 0.0, 1.0) / jnp.where(half == 0, 1.0, half)
    # 1/M may underflow where 1/√M, applied twice, does not; the compiler must not merge the two factors.
    twice = [jax.lax.optimization_barrier(leaf * inverse) * inverse for leaf in leaves]
    return half, root(jnp.sum(jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in twice])))


def global_norm(tree: Any) -> jax.Array:
    r"""Return √Σ g² over all leaves; it is finite wherever the norm itself can be represented.

    Args:
        tree: a gradient, or any tree of arrays.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.global_norm({"a": jnp.asarray([3.0]), "b": jnp.asarray(4.0)}))
    5.0

    """
    half, relative = norm_parts(widen(tree))
    return half * relative * half
