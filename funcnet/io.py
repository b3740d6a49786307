r"""Parameters on disk: one NumPy archive, which never runs code when it is read.

A tree is stored as its leaves, in order, beside a description of its containers in JSON: dicts with text keys, tuples,
lists and None. Reading does not unpickle.
"""

import json
import pathlib
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error

_FORMAT = "funcnet-1"


def outline(tree: Any, leaves: list[np.ndarray], dtypes: list[str]) -> Any:
    """Describe a tree's containers, collecting its leaves."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        for key in tree:
            if not isinstance(key, str):
                raise_error("keys of saved dicts must be text", f"got {key!r}", "str(key)", TypeError)
        return {"dict": {key: outline(value, leaves, dtypes) for key, value in tree.items()}}
    if isinstance(tree, (tuple, list)) and type(tree) in (tuple, list):
        return {type(tree).__name__: [outline(value, leaves, dtypes) for value in tree]}
    if isinstance(tree, (jax.Array, np.ndarray, np.generic, float, int)) and not isinstance(tree, bool):
        array = np.asarray(tree)
        dtypes.append(str(array.dtype))
        # NumPy's format does not know bfloat16: its bits travel as whole numbers.
        leaves.append(array.view(np.uint16) if array.dtype == jnp.bfloat16 else array)
        return len(leaves) - 1
    raise_error(
        "parameters must be dicts, tuples, lists and arrays",
        f"got {describe(tree)}",
        "run.params of a trained network",
        TypeError,
    )


def rebuild(tree: Any, leaves: list[Any]) -> Any:
    """Put leaves back into the tree that `outline` described."""
    if tree is None:
        return None
    if isinstance(tree, int):
        return leaves[tree]
    ((kind, inner),) = tree.items()
    if kind == "dict":
        return {key: rebuild(value, leaves) for key, value in inner.items()}
    return {"tuple": tuple, "list": list}[kind](rebuild(value, leaves) for value in inner)


def save(path: str | pathlib.Path, params: Any) -> None:
    """Write parameters to a file, under exactly the name given.

    Raises
    ------
    TypeError
        When the tree holds anything but dicts with text keys, tuples, lists, None and arrays.

    >>> import funcnet as fn, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "params.npz")
    >>> fn.save(path, ({"kernel": np.ones((2, 3), np.float32)}, ()))
    >>> fn.load(path)[0]["kernel"].shape
    (2, 3)

    """
    leaves: list[np.ndarray] = []
    dtypes: list[str] = []
    tree = outline(params, leaves, dtypes)
    header = json.dumps({"format": _FORMAT, "tree": tree, "dtypes": dtypes})
    with open(path, "wb") as file:
        arrays: dict[str, Any] = {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
        np.savez(file, header=np.asarray(header), **arrays)


def load(path: str | pathlib.Path) -> Any:
    """Read parameters that `save` wrote; arrays have the dtypes that they were saved with.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, was not written by `save`, or holds 64-bit numbers while JAX runs in 32-bit mode.

    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            if header["format"] != _FORMAT:
                raise KeyError(header["format"])
            arrays = [archive[f"leaf{i}"] for i in range(len(header["dtypes"]))]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise_error(
            f"{path} must be a file that fn.save wrote",
            f"reading it failed with {type(error).__name__}: {error}",
            "fn.save(path, params)",
        )
    leaves = []
    for array, name in zip(arrays, header["dtypes"], strict=True):
        array = array.view(jnp.bfloat16) if name == "bfloat16" else array
        if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
            raise_error(
                f"{path} holds {name} numbers, which JAX must be configured for",
                "64-bit mode is off",
                'jax.config.update("jax_enable_x64", True)',
            )
        leaves.append(jnp.asarray(array))
    return rebuild(header["tree"], leaves)
