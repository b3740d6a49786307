r"""Trees as data: a description in JSON beside arrays, and the way back, which runs no code.

    None, bool, int, float, text      themselves
    tuple, list                       {"tuple": [...]}, {"list": [...]}
    dict, OrderedDict                 {"dict": {...}}, {"OrderedDict": {...}}, with text as keys
    arrays                            {"jax": name}, {"numpy": name}, {"scalar": name}: of JAX, of NumPy, of rank 0
    records, named tuples             {"kind": "module:Class", "fields": {...}}; data classes of funcnet as well

A class is found by its name among what is imported; nothing is imported for it.
"""

import collections
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.records import children, is_record, is_record_class, made

DTYPES: dict[str, np.dtype[Any]] = {
    code: np.dtype(kind)
    for code, kind in {
        **{"BOOL": np.bool_, "F16": np.float16, "BF16": jnp.bfloat16, "F32": np.float32, "F64": np.float64},
        **{"F8_E4M3": jnp.float8_e4m3fn, "F8_E5M2": jnp.float8_e5m2},
        **{f"{kind.upper()}{8 * size}": f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
    }.items()
}
_MUST = "what is saved must be arrays, numbers, text, dicts, tuples, lists and records"


def outline(tree: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the description of a tree and its arrays, by their places in it.

    Raises:
        TypeError: for what `restored` could not give back; the message names its place.

    >>> import numpy as np
    >>> outline({"rate": 0.1, "kernel": np.ones(3)})
    ({'dict': {'rate': 0.1, 'kernel': {'numpy': 'kernel'}}}, {'kernel': array([1., 1., 1.])})

    """
    arrays: dict[str, np.ndarray] = {}
    try:
        return _outline(tree, "", arrays), arrays
    except RecursionError:
        raise_error(_MUST, "this holds itself, or is nested too deeply", "a tree of a few hundred levels", TypeError)


def _outline(node: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """Describe a tree in JSON, collecting its arrays under their places."""

    def below(entries: Any) -> Iterator[tuple[str, Any]]:
        return ((name, _outline(value, f"{place}.{name}".lstrip("."), arrays)) for name, value in entries)

    kind = type(node)
    if node is None or kind in (bool, str, float) or (kind is int and -(2**63) <= node < 2**64):
        return node
    if kind in (tuple, list):
        return {kind.__name__: [value for _, value in below(enumerate(node))]}
    if kind in (dict, collections.OrderedDict):
        for key in node:
            if not isinstance(key, str):
                must = "keys of saved dicts must be text"
                raise_error(must, f"got {describe(key)} in {_at(place)}", "str(key)", TypeError)
        return {kind.__name__: dict(below(node.items()))}
    if isinstance(node, (jax.Array, np.ndarray, np.generic)):
        library = "jax" if isinstance(node, jax.Array) else "scalar" if isinstance(node, np.generic) else "numpy"
        name = place or "array"
        while name in arrays or name == "__metadata__":
            name += "_"
        arrays[name] = _native(node, place)
        return {library: name}
    fields = _fields(node)
    if fields is None:
        attempt = "its parts that are such, or run.params of a trained network"
        raise_error(_MUST, f"got {describe(node)} at {_at(place)}", attempt, TypeError)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if class_named(name) is not kind:
        must = "the class of what is saved must stand at the top level of a module"
        raise_error(must, f"{name.replace(':', '.')} does not", "defining it there, under its own name", TypeError)
    return {"kind": name, "fields": dict(below(fields.items()))}


def _at(place: str) -> str:
    return place or "the top"


def _native(value: Any, place: str) -> np.ndarray:
    """Return an array that a file can carry, its numbers little end first."""
    known = type(value) in (np.ndarray, np.memmap) or isinstance(value, (jax.Array, np.generic))
    if not known or isinstance(value, jax.core.Tracer) or not isinstance(value.dtype, np.dtype):
        raise_error(_MUST, f"got {describe(value)} at {_at(place)}", "plain arrays, outside of jit", TypeError)
    try:
        array = np.asarray(value, order="C")
    except RuntimeError:
        raise_error(_MUST, f"the array at {_at(place)} is deleted, or on other hosts", "an array at hand", TypeError)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in DTYPES.values():
        must, attempt = f"saved arrays must be of {', '.join(DTYPES)}", ".tolist() for text, .astype for numbers"
        raise_error(must, f"got {describe(value)} at {_at(place)}", attempt, TypeError)
    return array


def _fields(node: Any) -> dict[str, Any] | None:
    """Return the fields of a record, a named tuple or a data class of funcnet by name; None for all else."""
    kind = type(node)
    if is_record(node):
        return children(node)
    if _is_named_tuple(kind):
        return dict(zip(kind._fields, node, strict=True))
    if _is_data_class(kind):
        return {item.name: vars(node)[item.name] for item in dataclasses.fields(kind)}
    return None


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and isinstance(vars(kind).get("_fields"), tuple)


def _is_data_class(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__.startswith("funcnet.")


def restored(node: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    """Return the tree that `outline` described.

    Args:
        node: the description.
        arrays: those that it refers to.
        name: where they are from, for messages.

    Raises:
        ValueError: for classes that are not imported or have other fields, and for arrays of JAX with 64 bits while
            JAX runs in 32-bit mode.
        KeyError, TypeError, AttributeError: for what `outline` does not describe so.

    """
    if not isinstance(node, dict):
        return node
    if "kind" in node:
        fields = {key: restored(value, arrays, name) for key, value in node["fields"].items()}
        return _made(node["kind"], fields, name)
    kind, inner = next(iter(node.items()))
    if kind in ("tuple", "list"):
        found = [restored(value, arrays, name) for value in inner]
        return tuple(found) if kind == "tuple" else found
    if kind in ("dict", "OrderedDict"):
        entries = {key: restored(value, arrays, name) for key, value in inner.items()}
        return entries if kind == "dict" else collections.OrderedDict(entries)
    array = {"jax": arrays, "numpy": arrays, "scalar": arrays}[kind][inner]
    if kind != "jax":
        return array if kind == "numpy" else array[()]
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        must = f"{name} holds {array.dtype} arrays of JAX, which JAX must be configured for"
        raise_error(must, "64-bit mode is off", 'jax.config.update("jax_enable_x64", True)')
    return jnp.asarray(array)


def class_named(name: str) -> Any:
    """Return the class of a name like "module:Class" among what is imported, or None; one of funcnet may have moved."""
    module, _, path = name.partition(":")
    others = [key for key in sorted(sys.modules) if key.startswith("funcnet.")] if module.startswith("funcnet.") else []
    for key in (module, *others):
        found: Any = sys.modules.get(key)
        for step in path.split("."):
            found = vars(found).get(step) if isinstance(found, (type, type(sys))) else None
        if isinstance(found, type):
            return found
    return None


def _made(name: str, fields: dict[str, Any], origin: str) -> Any:
    """Return an instance of an imported class; fields that an older file lacks have their defaults."""
    kind = class_named(name)
    if kind is None or not (is_record_class(kind) or _is_named_tuple(kind) or _is_data_class(kind)):
        module = name.partition(":")[0]
        must = f"the classes in {origin} must be imported before it is read"
        attempt = f"import {module}"
        if module == "__main__":  # the script that wrote it, which is not the script that reads
            attempt = "a module for that class, which both scripts import; or its definition in this script too"
        raise_error(must, f"there is no {name.replace(':', '.')}", attempt)
    if _is_named_tuple(kind):
        if set(fields) != set(kind._fields):
            _other_fields(name, kind._fields, fields, origin)
        return tuple.__new__(kind, (fields[field] for field in kind._fields))
    items = {item.name: item.default for item in dataclasses.fields(kind)}
    complete = items | fields
    if set(complete) != set(items) or any(value is dataclasses.MISSING for value in complete.values()):
        _other_fields(name, items, fields, origin)
    return made(kind, complete, check=is_record_class(kind))


def _other_fields(name: str, mine: Any, fields: Any, origin: str) -> NoReturn:
    must = f"{name.replace(':', '.')} must have the fields {', '.join(mine)}"
    raise_error(must, f"{origin} has {', '.join(fields)}", "the version that wrote it")
