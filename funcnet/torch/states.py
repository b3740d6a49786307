r"""State dicts as they are met: entries gathered by module, whatever they are called; arrays of any library; files."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, near_misses, raise_error, shown
from funcnet.extras import import_extra
from funcnet.files import as_path

_KNOWN = re.compile(
    r"(?:(?P<module>.+)\.)?(?:(?P<own>weight|bias|running_mean|running_var|num_batches_tracked|in_proj_weight"
    r"|in_proj_bias)|(?P<kind>(?:weight|bias)_(?:ih|hh|hr))(?:_l(?P<level>\d+))?(?P<back>_reverse)?)"
)
_ORDER = "order=[…], names of modules in the order of the layers"


@runtime_checkable
class _Tensor(Protocol):
    def detach(self) -> Any: ...
    def cpu(self) -> Any: ...


def loaded(state: Any) -> dict[str, Any]:
    """Return a state dict, or the content of a `.safetensors` file, whose entries it sorts by name."""
    if isinstance(state, (str, os.PathLike)):
        place = as_path(state)
        if place.suffix != ".safetensors":
            attempt = "torch.load(path, weights_only=True), and its dict"
            raise_error("a file of weights must be one of safetensors", f"got {shown(place.name)}", attempt)
        library = import_extra("safetensors.numpy", "torch")
        if not place.is_file():
            raise_error(f"{place} must exist", "nothing is there", "the path of a file", FileNotFoundError)
        try:
            found = library.load_file(place)
        except Exception as error:
            raise_error(f"{place} must be a whole file of safetensors", shown(str(error)), "a copy of it")
        return {name: found[name] for name in sorted(found, key=_as_counted)}
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        must = "a state dict must be a dict from names to arrays"
        raise_error(must, f"got {describe(state)}", "model.state_dict()", TypeError)
    return dict(state)


def _as_counted(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which "2.weight" comes before "10.bias"."""
    parts = re.split(r"([0-9]+)", name)
    return [(i % 2 == 0, int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]


def arranged(names: Iterable[str], order: Sequence[str] | None) -> list[str]:
    """Return names in an order given by names or by their beginnings, those of modules; what it leaves out is last."""
    rest, found = list(names), []
    if isinstance(order, str):
        raise_error("order must be a list of names", f"got {describe(order)}", f"[{shown(order)}]", TypeError)
    for start in order or ():
        own = [name for name in rest if name == start or name.startswith(f"{start}.")]
        if not own:
            arrived = f"nothing begins with {shown(start)}"
            raise_error("order must name modules of the state dict", arrived, near_misses(start, rest))
        found += own
        rest = [name for name in rest if name not in own]
    return found + rest


def as_array(value: Any, name: str) -> np.ndarray:
    """Return a tensor or array of any library as one of NumPy, 16-bit floats included."""
    try:
        if isinstance(value, _Tensor):
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":
                return np.asarray(value.float().numpy()).astype(jnp.bfloat16)
            value = value.numpy()
        array = np.asarray(value)
    except Exception:
        array = np.asarray(None)
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        must = f"{name} must be an array of numbers"
        raise_error(must, f"got {describe(value)}", "a state dict of plain tensors, on any device", TypeError)
    return array


class Module:
    """The entries of one module: their full names by what they are called within it."""

    def __init__(self, name: str) -> None:
        self.name, self.entries = name, dict[str, str]()


def modules(names: Iterable[str]) -> list[Module]:
    """Gather names by their modules, in the order in which these come first.

    A recurrent module of several layers is taken for as many; an attention has its output's dense layer.

    >>> [(m.name, list(m.entries)) for m in modules(["0.weight", "0.bias", "rnn.weight_ih_l0", "rnn.weight_ih_l1"])]
    [('0', ['weight', 'bias']), ('rnn', ['weight_ih_l0']), ('rnn', ['weight_ih_l0'])]
    """
    names = list(names)
    ends = "in_proj_weight"
    heads = [name.removesuffix(ends) for name in names if name == ends or name.endswith(f".{ends}")]
    found: dict[Any, Module] = {}
    for name in names:
        known = _KNOWN.fullmatch(name)
        module, level, own = name, "", name.rpartition(".")[2]
        for head in heads:
            if name in (f"{head}out_proj.weight", f"{head}out_proj.bias"):
                module, own, known = head.removesuffix("."), name.removeprefix(head), None
                level = "known"
        if known:
            module, level = known["module"] or "", known["level"] or "known"
            own = known["own"] or f"{known['kind']}_l0{known['back'] or ''}"
        level = "known" if level == "0" else level
        found.setdefault((module, level), Module(module)).entries[own] = name
    return list(found.values())


class StateDict:
    """The modules of a state dict, taken one after the other by the rules of `read`.

    `entries(name, shape)` is an array of the module that a layer has taken. `in_shape` is that of the layer's samples,
    None where it is not known.
    """

    def __init__(self, state: Mapping[str, Any], order: Sequence[str] | None) -> None:
        self._state, self._modules = state, modules(arranged(state, order))
        self._label, self._now, self._left = "", Module(""), dict[str, str]()
        self._last = "its beginning"
        self.in_shape: Any = None

    def take(self, label: str, in_shape: Any = None) -> None:
        """Take the next module for a layer."""
        self.done()
        self._label, self.in_shape = label, in_shape
        self._now = self._modules.pop(0) if self._modules else Module("")
        self._left = dict(self._now.entries)

    def done(self) -> None:
        """Raise if the module has entries that its layer did not ask for."""
        for name in self._left.values():
            must, arrived = f"{self._label} must use all that its module has", f"{name} is left over"
            raise_error(must, arrived, f"layers and options like the model's, or {_ORDER}")
        self._last = next(reversed(self._now.entries.values()), self._last)

    def finish(self) -> None:
        """Raise if modules are left."""
        self.done()
        names = [name for module in self._modules for name in module.entries.values()]
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            must, verb = "every entry of the state dict must find its layer", "is" if len(names) == 1 else "are"
            arrived = f"{', '.join(names[:4])}{more} {verb} left over"
            raise_error(must, arrived, "a network like the model, or a dict without what it does not need")

    def ahead(self) -> Module | None:
        """Return the module that comes next."""
        return self._modules[0] if self._modules else None

    def value(self, module: Module) -> np.ndarray:
        """Return the first entry of a module."""
        name = next(iter(module.entries.values()))
        return as_array(self._state[name], name)

    def has(self, name: str) -> bool:
        """Tell whether the module has an entry."""
        return name in self._now.entries

    def only(self) -> str:
        """Return what the module's one entry is called; "weight" if it has none or several."""
        return next(iter(self._now.entries)) if len(self._now.entries) == 1 else "weight"

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an entry of the module, () if it is not there."""
        return as_array(self._state[full], full).shape if (full := self._now.entries.get(name)) else ()

    def skip(self, *names: str) -> None:
        """Leave entries aside that carry no weights."""
        for name in names:
            self._left.pop(name, None)

    def __call__(self, name: str, shape: Sequence[int | None], absent: float | None = None) -> np.ndarray:
        """Return an entry of the module as an array of a shape, None standing for any size.

        Args:
            name: the last part of its name, such as "weight".
            shape: what it must be.
            absent: what it is filled with where it is missing; None if it must be there.

        """
        full = self._now.entries.get(name)
        if full is None:
            if absent is None or not self._now.entries:
                self._refuse(name, shape)
            return np.full([n or 0 for n in shape], absent, self._dtype())
        array = as_array(self._state[full], full)
        fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits:
            must = f"{full} must be {_sized(shape)} for {self._label}"
            raise_error(must, f"it is {_sized(array.shape)}", f"a network like the model, or {_ORDER}")
        self._left.pop(name, None)
        return array

    def _dtype(self) -> Any:
        """Return the dtype of the module's first floating entry."""
        arrays = (as_array(self._state[name], name) for name in self._now.entries.values())
        return next((a.dtype for a in arrays if jnp.issubdtype(a.dtype, jnp.floating)), np.float32)

    def _refuse(self, name: str, shape: Sequence[int | None]) -> NoReturn:
        there = ", ".join(self._now.entries.values())
        arrived = f"the next entries are {there}" if there else f"the state dict ends after {self._last}"
        must = f"{self._label} must have a {name} {_sized(shape)}"
        raise_error(must, arrived, f"a network like the model, or {_ORDER}")


def _sized(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if n is None else str(n) for n in shape)}{',' * (len(shape) == 1)})"
