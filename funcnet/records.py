r"""Records: frozen dataclasses that are pytrees, in which a number is a leaf and a choice is structure.

A record's fields are declared by what they are:

=============  ==========================================  ==========================
specifier      holds                                       in the pytree
=============  ==========================================  ==========================
`number`       a real number: float, array, tracer         a leaf
`integer`      a whole number that may vary: seed, …       a leaf
`choice`       a width, a flag, a name                     structure (static)
`part`         another record, a tuple of records, None    a subtree
=============  ==========================================  ==========================

Two records with equal choices have equal tree structure, whatever their numbers, so `jax.jit` compiles one
program for both and `jax.vmap` runs many at once. Plain numbers are validated when a record is constructed;
tracers and abstract values pass in silence, and rebuilding a record from its leaves validates nothing.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, is_concrete, near_misses, raise_error, shown
from funcnet.fields import Bounds, Number, Vector, checked, choice, integer, number, part

T = TypeVar("T")

_RECORDS: set[type[Any]] = set()

__all__ = [
    "Number",
    "Vector",
    "canonical",
    "cast",
    "children",
    "choice",
    "integer",
    "is_record",
    "is_record_class",
    "made",
    "number",
    "part",
    "paths",
    "rebuilt",
    "record",
    "replace",
]


@dataclass_transform(frozen_default=True, field_specifiers=(number, integer, choice, part))
def record(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass that is a pytree and validates its plain numbers at construction.

    A `__post_init__` of the class runs after its fields have been checked one by one, and after those of its bases.
    Records of one class are equal, and have one hash, if their fields are, arrays by value.

    Args:
        cls: a class whose fields are declared by `number`, `integer`, `choice` and `part`.

    >>> import jax, funcnet as fn
    >>> @fn.record
    ... class Spring:
    ...     stiffness: float = fn.number(above=0)
    ...     sides: int = fn.choice(default=2)
    >>> jax.tree.leaves(Spring(3.0))
    [3.0]
    >>> jax.tree.structure(Spring(3.0)) == jax.tree.structure(Spring(4.0))
    True
    >>> Spring(-1.0)
    Traceback (most recent call last):
    ...
    ValueError: Spring.stiffness must be above 0, but got -1.0. Try: a number above 0.

    """
    if is_record_class(cls):
        return cls
    made: Any = cls
    own_init = vars(cls).get("__init__")
    # A subclass without fields of its own keeps a constructor such as that of Chain(*layers).
    inherits = not inspect.get_annotations(cls) and any(map(is_record_class, cls.__mro__))
    relations = [vars(base).get("__relation__", vars(base).get("__post_init__")) for base in reversed(cls.__mro__)]
    made.__relation__ = vars(cls).get("__post_init__")

    def __post_init__(self: Any) -> None:
        if not is_record(self):
            must = f"{type(self).__name__} inherits from a record and must be one itself"
            raise_error(must, "it is not", "@fn.record in the line above the class", TypeError)
        for name, bounds in specifications.items():
            object.__setattr__(self, name, checked(f"{cls.__name__}.{name}", vars(self)[name], bounds))
        for relation in relations:
            if relation is not None:
                relation(self)

    made.__post_init__ = __post_init__
    if "__eq__" not in vars(cls):
        made.__eq__, made.__hash__ = _equal, _hash
    cls = dataclasses.dataclass(frozen=True, eq=False, init=own_init is None and not inherits)(cls)
    specifications: dict[str, Bounds] = {}
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        if "bounds" not in item.metadata:
            raise TypeError(f"{cls.__name__}.{item.name} must be declared with number, integer, choice or part.")
        specifications[item.name] = item.metadata["bounds"]
    if own_init is not None:
        made.__init__ = _also_by_fields(own_init, set(specifications))
    _register(cls, specifications)
    return cls


def _also_by_fields(init: Callable[..., None], names: set[str]) -> Callable[..., None]:
    """Let a constructor such as Chain(*layers) take its fields by name as well, as `dataclasses.replace` does."""

    @functools.wraps(init)
    def either(self: Any, *values: Any, **fields: Any) -> None:
        if values or set(fields) != names:
            init(self, *values, **fields)
        else:
            self.__dict__.update(fields)
            self.__post_init__()

    return either


def _register(cls: type[Any], specifications: Mapping[str, Bounds]) -> None:
    """Tell JAX how the class is flattened: choices are structure, all else is below."""
    inner = tuple(name for name, bounds in specifications.items() if bounds.role != "choice")
    static = tuple(name for name, bounds in specifications.items() if bounds.role == "choice")
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in inner)

    def flatten(self: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(vars(self)[name] for name in inner), tuple(vars(self)[name] for name in static)

    def flatten_with_keys(self: Any) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
        children, choices = flatten(self)
        return tuple(zip(keys, children, strict=True)), choices

    # JAX rebuilds records around tracers, None and placeholders, so this way in validates nothing.
    def unflatten(choices: Any, children: Any) -> Any:
        return made(cls, dict(zip(inner + static, (*children, *choices), strict=True)), check=False)

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    _RECORDS.add(cls)


def _equal(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return self is other or _plain(self) == _plain(other)


def _hash(self: Any) -> int:
    return hash(_plain(self))


def _plain(value: Any) -> Any:
    """Return what a field is compared and hashed by: of an array its shape and numbers, of a tracer its identity."""
    if is_record(value):
        return type(value), *map(_plain, children(value).values())
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return frozenset((key, _plain(inner)) for key, inner in value.items())
    if isinstance(value, jax.core.Tracer):
        return id(value)
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        array = np.asarray(value)
        return array.item() if array.ndim == 0 else (array.shape, *array.ravel().tolist())
    return value


def is_record_class(value: Any) -> bool:
    """Tell whether `value` is a class made by `record`, not merely one that inherits from such."""
    return isinstance(value, type) and value in _RECORDS


def is_record(value: Any) -> bool:
    """Tell whether `value` is an instance of a class made by `record`."""
    return type(value) in _RECORDS


def cast(value: Any, like: jax.Array) -> jax.Array:
    """Round a hyper-parameter to the dtype of the array it works on, the same way for a constant and a tracer.

    Inside a compiled function the number passes an optimization barrier: a compiler that knows a constant folds it into
    its neighbours, in another order of roundings than the one it uses for a traced number.
    """
    rounded = jnp.asarray(value, dtype=like.dtype)
    if isinstance(like, jax.core.Tracer) or isinstance(rounded, jax.core.Tracer):
        return jax.lax.optimization_barrier(rounded)
    return rounded


def children(node: Any) -> dict[str, Any]:
    """Map the next step of a dotted path to what it leads to: a record's fields, a tuple's positions."""
    if is_record(node):
        return {item.name: vars(node)[item.name] for item in dataclasses.fields(node)}
    if isinstance(node, tuple):
        return {str(index): value for index, value in enumerate(node)}
    return {}


def paths(node: Any, prefix: str = "") -> list[str]:
    """List the dotted path of every field below `node`, choices and parts included.

    Args:
        node: a record, or a tuple of records.
        prefix: what stands before every path.

    >>> import funcnet as fn
    >>> fn.paths(fn.SGD(0.1))
    ['learning_rate', 'momentum', 'nesterov', 'dampening', 'rate_inside']

    """
    found = []
    for name, value in children(node).items():
        found += [prefix + name, *paths(value, f"{prefix}{name}.")]
    return found


def replace(root: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of the record with the fields at the dotted paths replaced, in the order given.

    Args:
        root: a record.
        changes: new values by dotted path, such as {"optimizer.learning_rate": 0.5}.

    Raises:
        ValueError: when a path leads nowhere; the message lists paths that do, near misses first.
        TypeError: when `changes` is no dict from paths to values, or `root` no record.

    >>> import funcnet as fn
    >>> fn.replace(fn.SGD(0.1), {"learning_rate": 0.5}).learning_rate
    0.5

    """
    if not isinstance(root, tuple) and not is_record(root):
        raise_error("replace takes a record", f"got {describe(root)}", "fn.replace(experiment, {…})", TypeError)
    if not isinstance(changes, Mapping) or not all(isinstance(path, str) for path in changes):
        must = "changes must be a dict from dotted paths to values"
        raise_error(must, f"got {describe(changes)}", '{"optimizer.learning_rate": 0.1}', TypeError)
    for path, value in changes.items():
        root = _replace_one(root, root, path, path.split("."), value)
    return root


def _replace_one(root: Any, node: T, path: str, steps: list[str], value: Any) -> T:
    below = children(node)
    head, rest = steps[0], steps[1:]
    if head not in below:
        attempt = f"one of {near_misses(path, paths(root))}"
        raise_error(f"a path must name a field of {type(root).__name__}", f"{shown(path)} leads nowhere", attempt)
    new = _replace_one(root, below[head], path, rest, value) if rest else value
    if isinstance(node, tuple):
        return tuple(new if name == head else old for name, old in below.items())  # type: ignore[return-value]
    return rebuilt(node, {head: new})


def rebuilt(node: T, fields: Mapping[str, Any], check: bool = True) -> T:
    """Return a copy of a record with some fields replaced, all at once; `check` asks whether they may stand so."""
    return made(type(node), children(node) | dict(fields), check)


def made(kind: type[T], fields: Mapping[str, Any], check: bool = True) -> T:
    """Return a record of a kind with these fields; not by its constructor, which may be one such as Chain(*layers)."""
    node = object.__new__(kind)
    node.__dict__.update(fields)
    if check:
        node.__post_init__()  # type: ignore[attr-defined]
    return node


def canonical(node: T) -> T:
    """Turn plain numbers into arrays of JAX's default precision, so that equal structure means equal programs.

    Integers become int32, real numbers float32 (float64 where 64-bit mode is on).
    """
    real = jax.dtypes.canonicalize_dtype(np.float64)

    def one(leaf: Any) -> Any:
        if not is_concrete(leaf):
            return leaf
        whole = np.issubdtype(np.asarray(leaf).dtype, np.integer)
        return np.asarray(leaf, np.int32 if whole else real)

    return jax.tree.map(one, node)
