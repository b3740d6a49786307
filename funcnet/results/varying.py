r"""What varies between experiments: a column for each field, under its dotted path, or of names where kinds differ."""

import dataclasses
import math
import operator
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from funcnet.activations.base import Activation
from funcnet.layers.activate import Activate
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.records import children, is_record
from funcnet.results.rows import Table
from funcnet.text import clipped

_MISSING = object()
_SIMPLE = (int, float, str, bool, type(None))


def varying_fields(experiments: Sequence[Any]) -> Table:
    """Return a column for every dotted path at which the experiments differ.

    >>> import funcnet as fn
    >>> varying_fields([fn.Adam(0.1), fn.SGD(0.1), fn.SGD(0.2)] )["learning_rate"].tolist()
    [0.1, 0.1, 0.2]
    """
    found: Table = {}
    _walk("", list(experiments), found, named=True)
    return found


def judged_apart(metric: str, experiments: Sequence[Any]) -> str:
    """Return the part by which a metric is measured and in which the experiments differ; "" if there is none.

    >>> import funcnet as fn
    >>> one = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.1))
    >>> two = fn.replace(one, {"loss": fn.SoftmaxCrossEntropy(label_smoothing=0.1)})
    >>> judged_apart("validation_loss", [one, two]), judged_apart("validation_accuracy", [one, two])
    ('loss', '')
    """
    own = {"objective": ("loss", "regularizer"), "gradient_norm": ("loss", "regularizer")}
    parts = own.get(metric, ("loss",) if metric.endswith("_loss") else ())
    for part in parts:
        found: Table = {}
        _walk(part, [operator.attrgetter(part)(experiment) for experiment in experiments], found)
        if found:
            return part
    return ""


def _walk(path: str, nodes: list[Any], found: Table, named: bool = False) -> None:
    """Add the columns of a path and of those below it; `named` if a column above tells the kinds apart already."""
    # Experiments made by `replace` share the parts that they do not change: most walks end here.
    if all(node is nodes[0] for node in nodes):
        return
    present = [node for node in nodes if node is not _MISSING]
    keys = [_key(node) for node in present]
    varies, parts = len(set(keys)) > 1, any(_is_part(node) for node in present)
    if varies and not named:
        simple = not parts and all(type(plain(node)) in _SIMPLE for node in present)
        found[path] = _values(nodes) if simple else _labels(nodes, dict(zip(map(id, present), keys, strict=True)))
    if not parts:
        return
    kinds = {type(node): node for node in present}
    longest = {type(node): node for node in sorted(present, key=_length)}
    steps = dict.fromkeys(step for kind in kinds for step in children(longest[kind]))
    for step in steps:
        below = [_step(node, step) for node in nodes]
        # A chain's name, such as 64-relu-10, says how many layers it has.
        _walk(f"{path}.{step}" if path else step, below, found, named=step == "layers" and varies and Chain in kinds)


def _is_part(node: Any) -> bool:
    return is_record(node) or isinstance(node, tuple)


def _length(node: Any) -> int:
    return len(node) if isinstance(node, tuple) else 0


def _step(node: Any, step: str) -> Any:
    if isinstance(node, tuple):
        return node[int(step)] if step.isdigit() and int(step) < len(node) else _MISSING
    return vars(node).get(step, _MISSING) if is_record(node) else _MISSING


def _key(node: Any) -> Any:
    """Return what two nodes of one kind share: a record's type, a chain's length, a value itself."""
    if isinstance(node, Chain):
        return Chain, len(node.layers)
    if isinstance(node, tuple):
        return type(node), len(node)
    if is_record(node):
        return type(node)
    node = plain(node)
    if isinstance(node, (np.ndarray, jax.Array)):
        return np.shape(node), np.asarray(node).tobytes()
    try:
        hash(node)
    except TypeError:
        return repr(node)
    return node


def plain(value: Any) -> Any:
    """Return a scalar array as a Python number, with as few digits as identify it at its own precision."""
    if type(value) in _SIMPLE or np.ndim(value) or not isinstance(value, (np.generic, np.ndarray, jax.Array)):
        return value
    scalar = np.asarray(value)[()]
    return float(str(scalar)) if scalar.dtype.kind not in "iub" else scalar.item()


def _values(nodes: list[Any]) -> np.ndarray:
    """Return a column of numbers, or of text; None among numbers is NaN."""
    values = [plain(node) for node in nodes]
    kinds = {type(value) for value in values}
    if kinds <= {int}:
        return np.asarray(values, np.int64)
    if kinds <= {int, float, type(None), object}:
        return np.asarray([v if isinstance(v, (int, float)) else math.nan for v in values], np.float64)
    return np.asarray(["" if v is _MISSING else str(v) for v in values], object)


def _labels(nodes: list[Any], keys: dict[int, Any]) -> np.ndarray:
    """Return a column of short names, of the first style that tells apart what differs in kind."""
    chains = any(isinstance(node, Chain) for node in nodes)
    once = {id(node): node for node in nodes}
    styles = [architecture] if chains else [_name]
    for style in [*styles, compact, repr]:
        names = {mark: "" if node is _MISSING else style(node) for mark, node in once.items()}
        pairs = {(name, keys.get(mark)) for mark, name in names.items()}
        if len(pairs) == len({name for name, _ in pairs}):
            break
    else:
        # Functions and the like, whose names are all alike, are numbered as they come.
        order = list(dict.fromkeys(keys.values()))
        names = {m: _name(node) + (f" {order.index(keys[m]) + 1}" if m in keys else "") for m, node in once.items()}
    return np.asarray([names[id(node)] for node in nodes], object)


def _name(node: Any) -> str:
    if is_record(node) or (isinstance(node, tuple) and type(node) is not tuple):
        return type(node).__name__
    if isinstance(node, tuple):
        return ", ".join(map(_name, node)) or "none"
    if isinstance(node, (np.ndarray, jax.Array)) and np.ndim(node):
        return clipped(f"[{', '.join(f'{v:.4g}' for v in np.ravel(np.asarray(node)))}]")
    return clipped(re.sub(r" at 0x[0-9a-fA-F]+", "", str(plain(node))))


def architecture(node: Any) -> str:
    """Name a network by its widths and activations.

    >>> import funcnet as fn
    >>> architecture(fn.mlp(64, 10, activation=fn.LeakyReLU(0.1), dropout=0.2))
    '64-leaky_relu-dropout-10'
    """
    if isinstance(node, Chain):
        inner = [architecture(layer) for layer in node.layers]
        return "-".join(f"({name})" if "-" in name else name for name in inner)
    if isinstance(node, Dense):
        return str(node.width)
    if isinstance(node, Activate):
        return architecture(node.activation)
    if isinstance(node, Activation) and type(node).__module__.startswith("funcnet."):
        return type(node).__module__.rsplit(".", 1)[1]
    return type(node).__name__.lower() if is_record(node) else _name(node)


def compact(node: Any) -> str:
    """Write a record with those of its fields that are not as they are by default."""
    if not is_record(node):
        return f"({', '.join(map(compact, node))})" if isinstance(node, tuple) else _name(node)
    defaults = {item.name: item.default for item in dataclasses.fields(node)}
    fields = [
        f"{name}={compact(value)}"
        for name, value in children(node).items()
        if _is_part(value) or _key(value) != _key(defaults[name])
    ]
    return f"{type(node).__name__}({', '.join(fields)})"
