r"""From a state dict to parameters, and from parameters to a state dict."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.extras import import_extra
from funcnet.files import as_path, write_whole
from funcnet.keys import from_seed
from funcnet.layers import Attention, Dense, Positions, as_layer
from funcnet.torch.orders import Flow, Placed
from funcnet.torch.plans import Joined, TiedParts, Turns, plan
from funcnet.torch.rules import attention_form, attention_modules, read, write
from funcnet.torch.states import Module, StateDict, arranged, as_array, loaded, modules
from funcnet.trees import leaves_by_path


def from_torch(network: Any, state_dict: Any, in_shape: Any = None, *, order: Sequence[str] | None = None) -> Any:
    r"""Return parameters for a network from the weights of a PyTorch model with the same layers in the same order.

    Args:
        network: a layer, chain or activation.
        state_dict: `model.state_dict()`, or a dict from names to arrays of any library, or the path of a
            `.safetensors` file. PyTorch itself is not needed.
        in_shape: the shape of one sample, channels last: with it every shape is checked. It must be given where
            channels are flattened, and for layers from elsewhere that are made of layers.
        order: names of entries or of modules in the order of the network's layers, where the model declares them in
            another one, or a file has sorted them.

    Returns:
        Parameters like those of `network.init`, in the dtype of the entries.

    Raises:
        ValueError: for a state dict that does not fit; the message names the first entry that differs.
        TypeError: for layers that PyTorch's weights have no rule for.

    >>> import numpy as np, funcnet as fn
    >>> weights = {"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)}
    >>> fn.from_torch(fn.Chain(fn.Dense(2), fn.relu), weights)[0]["kernel"].shape
    (3, 2)

    """
    network = as_layer(network)
    whole = plan(network, Flow.of(in_shape))
    entries = StateDict(loaded(state_dict), order)
    params = jax.tree.map(jnp.asarray, _read(whole, entries))
    entries.finish()
    if in_shape is not None:
        _compare(network, params, in_shape, "the state dict gives")
    return params


def _read(node: Any, entries: StateDict) -> Any:
    """Return the parameters of a plan, from the next modules."""
    if isinstance(node, Placed):
        if type(node.layer) not in read.registry:
            return ()
        entries.take(type(node.layer).__name__, node.in_shape)
        params = read(node.layer, entries)
        entries.done()
        return _ordered(node, params, back=False)
    if isinstance(node, Turns):
        turns = [_read(node.part, entries) for _ in range(node.times)]
        return jax.tree.map(lambda *each: np.stack(each), *turns)
    params = [_read(own, entries) for _, own in node.parts]
    if isinstance(node, TiedParts) and (ahead := entries.ahead()) and list(ahead.entries) == ["weight"]:
        table = params[0]["table"]
        if np.array_equal(entries.value(ahead), table):
            entries.take("Tied", None)
            entries.skip("weight")
    return node.join(params)


def _ordered(leaf: Placed, params: Any, back: bool) -> Any:
    """Return parameters with their numbers in our order, or back in PyTorch's."""

    def along(array: Any, order: np.ndarray | None, axis: int) -> Any:
        return array if order is None else np.take(array, np.argsort(order) if back else order, axis)

    if isinstance(leaf.layer, Dense):
        kernel = along(along(params["kernel"], leaf.rows, 0), leaf.columns, 1)
        return (
            params | {"kernel": kernel} | ({"bias": along(params["bias"], leaf.columns, 0)} if leaf.layer.bias else {})
        )
    return params if leaf.rows is None else {name: along(array, leaf.rows, 0) for name, array in params.items()}


def _compare(network: Any, params: Any, in_shape: Any, verb: str) -> None:
    """Raise unless parameters are such as the network itself would make."""
    wanted = jax.eval_shape(lambda: network.init(from_seed(0), in_shape))
    structure: Any = jax.tree.structure(wanted)
    if structure == jax.tree.structure(params):
        both = zip(leaves_by_path(wanted).items(), jax.tree.leaves(params), strict=True)
        wrong = [(path, leaf.shape, np.shape(own)) for (path, leaf), own in both if leaf.shape != np.shape(own)]
        if not wrong:
            return
        must, arrived = f"{wrong[0][0]} must have the shape {wrong[0][1]}", f"{verb} {wrong[0][2]}"
    else:
        names, found = (", ".join(leaves_by_path(tree)) or "none" for tree in (wanted, params))
        must = f"parameters must be {names}, nested as those of network.init"
        arrived = f"{verb} {found if found != names else 'another nesting'}"
    raise_error(must, arrived, "a network like the model, or another in_shape")


def to_torch(
    network: Any,
    params: Any,
    in_shape: Any = None,
    *,
    like: Mapping[str, Any] | None = None,
    order: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    r"""Return a state dict with the parameters of a network: what `from_torch` undoes.

    Args:
        network: a layer, chain or activation.
        params: its parameters.
        in_shape: the shape of one sample, channels last; it must be given where channels are flattened.
        like: `model.state_dict()` of the model it is for: its names and shapes. Without it names are those of an
            `nn.Sequential` with a module for each layer.
        order: names of entries or modules of `like` in the order of the network's layers, where it has another one.
        path: a `.safetensors` file to write it to as well.

    Returns:
        Tensors by name. The second bias of `RNN` and `LSTM` is 0; the count of batches of a `BatchNorm` is 0.

    Raises:
        ImportError: without PyTorch, or with `path` without safetensors.
        ValueError: where `like` differs; the message names the first entry that does.
        TypeError: for layers that PyTorch's weights have no rule for.

    >>> import torch, jax, funcnet as fn
    >>> network = fn.mlp(4, 2)
    >>> state = fn.to_torch(network, network.init(jax.random.key(0), (3,)))
    >>> {name: tuple(tensor.shape) for name, tensor in state.items()}
    {'0.weight': (4, 3), '0.bias': (4,), '2.weight': (2, 4), '2.bias': (2,)}

    """
    torch = import_extra("torch", "torch")
    arrays = written(network, params, in_shape, like, order)
    state = {name: _tensor(torch, array) for name, array in arrays.items()}
    if path is not None:
        content = import_extra("safetensors.torch", "torch").save(state)
        write_whole(as_path(path), lambda file: file.write(content), binary=True)
    return state


def written(network: Any, params: Any, in_shape: Any = None, like: Any = None, order: Any = None) -> dict[str, Any]:
    """Return the entries of `to_torch` as arrays of NumPy."""
    network = as_layer(network)
    whole, found = plan(network, Flow.of(in_shape)), _Written(like, order)
    if in_shape is not None:
        _compare(network, params, in_shape, "got")
    try:
        found.add(whole, jax.tree.map(np.asarray, params), "")
    except (KeyError, TypeError, IndexError, AttributeError):
        must = "params must be those of this network"
        raise_error(must, f"got {', '.join(leaves_by_path(params)) or 'none'}", "network.init(key, in_shape)")
    return found.finished()


def _tensor(torch: Any, array: Any) -> Any:
    """Return an array as a tensor of its own."""
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(np.array(array, np.float32, order="C")).to(torch.bfloat16)
    return torch.from_numpy(np.array(array, order="C"))


class _Written:
    """The entries written so far, under names of their own or those of another state dict."""

    def __init__(self, like: Mapping[str, Any] | None, order: Sequence[str] | None) -> None:
        self.entries: dict[str, Any] = {}
        self._like = None if like is None else loaded(like)
        self._modules = modules(arranged(self._like or {}, order))

    def add(self, node: Any, params: Any, place: str) -> None:
        """Write the parameters of a plan."""
        if isinstance(node, Placed):
            if type(node.layer) in read.registry:
                self._module(node.layer, _ordered(node, params, back=True), place)
        elif isinstance(node, Turns):
            for turn in range(node.times):
                own = jax.tree.map(lambda a: a[turn], params)  # noqa: B023
                self.add(node.part, own, f"{place}{turn}.")
        elif isinstance(node, Joined):
            split = node.split(params)
            if len(split) != len(node.parts):
                raise IndexError
            for (name, part), own in zip(node.parts, split, strict=True):
                self.add(part, own, f"{place}{name}.")
            if isinstance(node, TiedParts) and self._modules and list(self._modules[0].entries) == ["weight"]:
                table = node.split(params)[0]["table"]
                if self._shape(self._modules[0], "weight") == table.shape:
                    self._copy(self._modules.pop(0), {"weight": table}, "Tied")

    def _module(self, layer: Any, params: Any, place: str) -> None:
        """Write a layer's parameters, in the next modules of `like` if there is one."""
        label = type(layer).__name__
        if self._like is None:
            self.entries |= {f"{place}{own}": array for own, array in write(layer, params).items()}
            return
        if not self._modules:
            arrived = f"it ends before {label}, number {place.rstrip('.') or '0'}"
            raise_error("like must have a module for each layer", arrived, "the model with the same layers")
        if isinstance(layer, Attention):
            first = self._modules[0]
            form = attention_form(layer, params, first, self._shape(first, "weight"))
            found = attention_modules(layer, params, form)
        elif isinstance(layer, Positions):
            own = next(iter(self._modules[0].entries))
            shape = self._shape(self._modules[0], own)
            found = [{own: params["table"][None] if len(shape) == 3 else params["table"]}]
        else:
            found = [dict(write(layer, params))]
        for arrays in found:
            self._copy(self._modules.pop(0) if self._modules else Module(""), arrays, label)

    def _shape(self, module: Module, own: str) -> tuple[int, ...]:
        name = module.entries.get(own)
        return () if name is None or self._like is None else tuple(np.shape(as_array(self._like[name], name)))

    def _copy(self, module: Module, arrays: dict[str, Any], label: str) -> None:
        """Write arrays under a module's names; what it lacks must be such as it would have anyway."""
        for own, name in module.entries.items():
            array, shape = arrays.pop(own, None), self._shape(module, own)
            if array is None or array.shape != shape:
                must = f"{name} of like must fit a {label}"
                arrived = f"its shape is {shape}, not {array.shape}" if array is not None else f"{label} has none"
                raise_error(must, arrived, "the model with the same layers, or order=[…] in their order")
            self.entries[name] = array
        for own, array in arrays.items():
            plain = own == "num_batches_tracked" or (np.all(array == 0) if "bias" in own else np.all(array == 1))
            if not plain:
                arrived = f"{module.name or 'it'} has none, and that of {label} is not plain"
                raise_error(f"like must have a {own}", arrived, "the model with the same options")

    def finished(self) -> dict[str, Any]:
        """Return all entries, in the order of `like`; raise if it has more."""
        left = [name for module in self._modules for name in module.entries.values()]
        if left:
            arrived = f"{', '.join(left[:4])} of {describe(self._like)} would stay as they are"
            raise_error("every entry of like must belong to a layer", arrived, "a network like the model")
        names = self._like if self._like is not None else self.entries
        return {name: self.entries[name] for name in names}
