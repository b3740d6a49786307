r"""Layouts: a tree of arrays seen as one vector, in 64-bit arithmetic whatever the caller's setting.

The witnesses think in vectors: x is the point, J the derivative, w a cotangent. A layout knows which element of
which leaf each entry of x is, so that a report can name it.
"""

import importlib
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


def wide() -> AbstractContextManager[Any]:
    """Switch 64-bit arithmetic on inside a `with` block, and back to the caller's setting after it."""
    # It moved here from jax.experimental in jax 0.8.
    home = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    return getattr(home, "enable_x64")(True)  # noqa: B009 (the type checker knows one home of the two)


def is_floating(leaf: Any) -> bool:
    """Tell whether a leaf holds real numbers: a float or an array of a floating dtype, 16-bit ones included."""
    if isinstance(leaf, (np.ndarray, np.generic, jax.Array, jax.ShapeDtypeStruct)):
        return bool(jnp.issubdtype(leaf.dtype, jnp.floating))
    return isinstance(leaf, float)


def is_symmetric(leaf: Any) -> bool:
    """Tell whether an array is of square matrices that equal their transposes, and not diagonal ones."""
    a = np.asarray(leaf)
    square = a.ndim >= 2 and a.shape[-1] == a.shape[-2] > 1
    return square and bool(np.array_equal(a, a.swapaxes(-1, -2)) and np.any(np.triu(a, 1)))


def as_arrays(tree: Any) -> Any:
    """Turn nested lists of plain numbers into arrays; leave every other container as it is.

    >>> as_arrays(({"kernel": [[1.0, 2.0]]}, [3, 4]))
    ({'kernel': array([[1., 2.]])}, array([3, 4]))
    """
    if isinstance(tree, float):
        return np.asarray(tree)
    if isinstance(tree, np.ndarray):
        return tree.astype(tree.dtype.newbyteorder("="), copy=False)
    if isinstance(tree, list) and tree and _all_numbers(tree):
        return np.asarray(tree)
    if isinstance(tree, dict):
        return {key: as_arrays(value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        parts = [as_arrays(value) for value in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def _all_numbers(tree: Any) -> bool:
    if isinstance(tree, list):
        return all(_all_numbers(item) for item in tree)
    return isinstance(tree, (bool, int, float, np.number))


def cast_tree(tree: Any, dtype: Any) -> Any:
    """Round the floating leaves of a tree to a dtype; integers, keys and the rest stay."""

    def one(leaf: Any) -> Any:
        return np.asarray(leaf).astype(dtype) if is_floating(leaf) else leaf

    return jax.tree.map(one, tree)


class Layout(NamedTuple):
    """Where each leaf of a tree lies in the vector."""

    treedef: Any
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    offsets: tuple[int, ...]  # one more than leaves: the last is the length of the vector

    @property
    def size(self) -> int:
        """Return the length of the vector."""
        return self.offsets[-1]

    def leaf_of(self, element: int) -> int:
        """Return the number of the leaf in which an entry of the vector lies."""
        return int(np.searchsorted(self.offsets, element, side="right")) - 1

    def index_of(self, element: int) -> tuple[int, ...]:
        """Return the index, within its leaf, of an entry of the vector."""
        leaf = self.leaf_of(element)
        return tuple(int(i) for i in np.unravel_index(element - self.offsets[leaf], self.shapes[leaf]))

    def name(self, element: int) -> str:
        """Return path and index of an entry, as one would write it."""
        index = self.index_of(element)
        return self.paths[self.leaf_of(element)] + (f"[{', '.join(map(str, index))}]" if index else "")

    def part(self, leaf: int) -> slice:
        """Return the slice of the vector that a leaf takes up."""
        return slice(self.offsets[leaf], self.offsets[leaf + 1])

    def flatten(self, tree: Any) -> Any:
        """Return the vector of a tree."""
        leaves = [np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)]
        return np.concatenate(leaves) if leaves else np.zeros(0)

    def flatten_traced(self, tree: Any) -> jax.Array:
        """Return the vector of a tree, inside a traced function, in the dtype of its first leaf."""
        leaves = [jnp.ravel(jnp.asarray(leaf)) for leaf in jax.tree.leaves(tree)]
        return jnp.concatenate([leaf.astype(leaves[0].dtype) for leaf in leaves])

    def unflatten(self, vector: Any) -> Any:
        """Return the tree of a vector."""
        pieces = [vector[self.part(i)].reshape(shape) for i, shape in enumerate(self.shapes)]
        return jax.tree.unflatten(self.treedef, pieces)


def layout_of(tree: Any) -> Layout:
    """Return the layout of a tree; a leading dictionary key, the argument's name, opens each path.

    >>> import numpy as np
    >>> layout_of({"params": {"bias": np.zeros(2)}, "x": np.zeros((3, 1))}).paths
    ("params['bias']", 'x')
    """
    found, treedef = jax.tree_util.tree_flatten_with_path(tree)
    shapes = tuple(np.shape(leaf) for _, leaf in found)
    sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]
    paths = tuple(leaf_path(path) for path, _ in found)
    return Layout(treedef, paths, shapes, tuple(int(o) for o in np.cumsum([0, *sizes])))


def leaf_path(path: tuple[Any, ...]) -> str:
    """Return a path as one would write it, the name of the argument first."""
    if path and isinstance(path[0], jax.tree_util.DictKey):
        return str(path[0].key) + jax.tree_util.keystr(path[1:])
    return jax.tree_util.keystr(path) or "y"
