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

>>> import jax
>>> @record
... class Spring:
...     stiffness: Number = number(above=0)
...     sides: int = choice(default=2)
>>> jax.tree.leaves(Spring(3.0))
[3.0]
>>> jax.tree.structure(Spring(3.0)) == jax.tree.structure(Spring(4.0))
True
>>> Spring(-1.0)
Traceback (most recent call last):
...
ValueError: Spring.stiffness must be above 0, but got -1.0. Try: a number above 0.
"""

import dataclasses
import difflib
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, is_concrete, raise_error

Number: TypeAlias = float | jax.Array | np.ndarray
Vector: TypeAlias = Sequence[float] | jax.Array | np.ndarray
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class _Bounds:
    """What a field may hold; `role` is one of number, integer, choice, part."""

    role: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    optional: bool = False
    schedule: bool = False
    vector: bool = False
    options: tuple[Any, ...] = ()

    def words(self) -> str:
        """Say the interval in words, for instance 'at least 0 and below 1'."""
        limits = [("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below)]
        return " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None) or "finite"

    def admits(self, value: np.ndarray) -> bool:
        """Tell whether every element is finite and inside the interval (an infinity must be asked for)."""
        inside = np.isfinite(value)
        if self.at_least is not None:
            inside &= value >= self.at_least
        if self.above is not None:
            inside &= value > self.above
        if self.at_most is not None:
            inside &= value <= self.at_most
        if self.below is not None:
            inside &= value < self.below
        return bool(np.all(inside))


def _field(default: Any, bounds: _Bounds, kw_only: bool = False) -> Any:
    return dataclasses.field(default=default, metadata={"bounds": bounds}, kw_only=kw_only)


def number(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    optional: bool = False,
    schedule: bool = False,
    vector: bool = False,
) -> Any:
    """Declare a field that is a real number, hence a leaf.

    `schedule` lets a schedule stand in its place, `vector` a list of numbers, one for each class or the like.
    """
    optional = optional or default is None
    return _field(default, _Bounds("number", at_least, above, at_most, below, optional, schedule, vector))


def integer(default: Any = dataclasses.MISSING, *, at_least: int = 0, at_most: int = 2**31 - 1) -> Any:
    """Declare a field that is a whole number which may vary in a sweep, hence a leaf."""
    return _field(default, _Bounds("integer", at_least=at_least, at_most=at_most))


def choice(
    default: Any = dataclasses.MISSING,
    *,
    options: tuple[Any, ...] = (),
    at_least: int | None = None,
    optional: bool = False,
    kw_only: bool = False,
) -> Any:
    """Declare a static field: a flag, a name out of `options`, or a whole number of `at_least` so much."""
    bounds = _Bounds("choice", at_least=at_least, options=options, optional=optional or default is None)
    return _field(default, bounds, kw_only)


def part(default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that holds a record, a tuple of records or None, hence a subtree."""
    return _field(default, _Bounds("part"))


def _checked(owner: str, name: str, value: Any, bounds: _Bounds) -> Any:
    """Validate one field's value and return it in its plain form (a Python number where it was one)."""
    label = f"{owner}.{name}"
    if value is None and bounds.optional:
        return None
    if bounds.role == "choice":
        return _checked_choice(label, value, bounds)
    if bounds.vector and isinstance(value, (list, tuple)):
        value = np.asarray(value)
    if bounds.schedule and is_record(value) and callable(value):
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.ndarray, jax.Array)):
        wanted = "a number or a schedule" if bounds.schedule else "a number"
        raise_error(f"{label} must be {wanted}", f"got {describe(value)}", f"{wanted} {bounds.words()}", TypeError)
    if not is_concrete(value):
        return value
    array = np.asarray(value)
    kinds = "iu" if bounds.role == "integer" else "iuf"
    if array.dtype.kind not in kinds and not jnp.issubdtype(array.dtype, jnp.floating):
        raise_error(
            f"{label} must be a {bounds.role}", f"got {describe(value)}", f"a {bounds.role} {bounds.words()}", TypeError
        )
    if bounds.role == "integer" and array.dtype.kind not in "iu":
        raise_error(f"{label} must be a whole number", f"got {describe(value)}", f"an int {bounds.words()}", TypeError)
    if not bounds.admits(array.astype(np.float64)):
        raise_error(f"{label} must be {bounds.words()}", f"got {value}", f"a number {bounds.words()}")
    if isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, np.generic):
        return value
    return int(array) if bounds.role == "integer" else float(array)


def _checked_choice(label: str, value: Any, bounds: _Bounds) -> Any:
    if bounds.options and value not in bounds.options:
        offered = ", ".join(map(repr, bounds.options))
        close = difflib.get_close_matches(str(value), [str(o) for o in bounds.options], n=1)
        raise_error(f"{label} must be one of {offered}", f"got {value!r}", f"{close[0]!r}" if close else offered)
    if bounds.at_least is not None:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise_error(
                f"{label} must be a whole number",
                f"got {describe(value)}",
                f"an int of at least {bounds.at_least}",
                TypeError,
            )
        if value < bounds.at_least:
            raise_error(
                f"{label} must be at least {bounds.at_least}",
                f"got {value}",
                f"{label.split('.')[-1]}={bounds.at_least} or more",
            )
        return int(value)
    try:
        hash(value)
    except TypeError:
        raise_error(
            f"{label} is structure and must be hashable",
            f"got {describe(value)}",
            "a tuple instead of a list or array",
            TypeError,
        )
    return value


@dataclass_transform(frozen_default=True, field_specifiers=(number, integer, choice, part))
def record(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass that is a pytree and validates its plain numbers at construction.

    A `__post_init__` of the class runs after its fields have been checked one by one.
    """
    relations = cls.__dict__.get("__post_init__")

    def __post_init__(self: Any) -> None:
        for name, bounds in specifications:
            if bounds.role != "part":
                object.__setattr__(self, name, _checked(cls.__name__, name, getattr(self, name), bounds))
        if relations is not None:
            relations(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    own_init = "__init__" in cls.__dict__
    cls = dataclasses.dataclass(frozen=True, init=not own_init)(cls)
    specifications = []
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        if "bounds" not in item.metadata:
            raise TypeError(f"{cls.__name__}.{item.name} must be declared with number, integer, choice or part.")
        specifications.append((item.name, item.metadata["bounds"]))
    inner = tuple(name for name, bounds in specifications if bounds.role != "choice")
    static = tuple(name for name, bounds in specifications if bounds.role == "choice")
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in inner)

    def flatten(self: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(self, name) for name in inner), tuple(getattr(self, name) for name in static)

    def flatten_with_keys(self: Any) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
        children, choices = flatten(self)
        return tuple(zip(keys, children, strict=True)), choices

    # JAX rebuilds records around tracers, None and placeholders, so this way in validates nothing.
    def unflatten(choices: Any, children: Any) -> Any:
        self = object.__new__(cls)
        self.__dict__.update(zip(inner, children, strict=True))
        self.__dict__.update(zip(static, choices, strict=True))
        return self

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    cls.__is_record__ = True  # type: ignore[attr-defined]
    return cls


def is_record(value: Any) -> bool:
    """Tell whether `value` is an instance of a class made by `record`."""
    return getattr(type(value), "__is_record__", False)


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
        return {item.name: getattr(node, item.name) for item in dataclasses.fields(node)}
    if isinstance(node, tuple):
        return {str(index): value for index, value in enumerate(node)}
    return {}


def paths(node: Any, prefix: str = "") -> list[str]:
    """List the dotted path of every field below `node`, choices and parts included.

    >>> import funcnet as fn
    >>> paths(fn.SGD(0.1))
    ['learning_rate', 'momentum', 'nesterov', 'dampening', 'rate_inside']
    """
    found = []
    for name, value in children(node).items():
        found += [prefix + name, *paths(value, f"{prefix}{name}.")]
    return found


def replace(root: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of the record with the fields at the dotted paths replaced, in the order given.

    Raises
    ------
    ValueError
        When a path leads nowhere; the message lists the paths that do, near misses first.

    >>> import funcnet as fn
    >>> replace(fn.SGD(0.1), {"learning_rate": 0.5}).learning_rate
    0.5

    """
    for path, value in changes.items():
        root = _replace_one(root, root, path, path.split("."), value)
    return root


def _replace_one(root: Any, node: T, path: str, steps: list[str], value: Any) -> T:
    below = children(node)
    head, rest = steps[0], steps[1:]
    if head not in below:
        known = paths(root)
        near = difflib.get_close_matches(path, known, n=3, cutoff=0.4)
        shown = ", ".join(near + [p for p in known if p not in near])
        raise_error(f"a path must name a field of {type(root).__name__}", f"{path!r} leads nowhere", f"one of {shown}")
    new = _replace_one(root, below[head], path, rest, value) if rest else value
    if isinstance(node, tuple):
        return tuple(new if name == head else old for name, old in below.items())  # type: ignore[return-value]
    # Not dataclasses.replace: a record such as Chain(*layers) has a constructor of its own.
    copy = object.__new__(type(node))
    copy.__dict__.update(below | {head: new})
    copy.__post_init__()  # type: ignore[attr-defined]
    return copy


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
