r"""A network as its layers in order, and where the parameters of each stand.

Layers made of layers are opened: those of this package by what they are; one from elsewhere by its own `init`, which is
run with marks in the places of its parts: each says where its parameters stand, in which order they come, and the shape
of what comes in.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

from funcnet import protocols
from funcnet.activations.base import Activation
from funcnet.errors import raise_error
from funcnet.keys import from_seed
from funcnet.layers import Chain, Parallel, Recompute, Repeat, Residual, Stepwise, Tied, as_layer
from funcnet.layers.activate import ForeignLayer, HeldLayer
from funcnet.layers.base import Layer
from funcnet.layers.sequences import shape_apart
from funcnet.records import children, choice, is_record, part, rebuilt, record
from funcnet.torch.orders import Flow, Placed
from funcnet.torch.rules import read


@dataclasses.dataclass
class Joined:
    """Layers one after the other, by the names of their places; `join` puts their parameters together, `split` back."""

    parts: list[tuple[str, Any]]
    join: Callable[[list[Any]], Any]
    split: Callable[[Any], Sequence[Any]]


@dataclasses.dataclass
class Turns:
    """A layer several times over; its parameters have an axis for it."""

    part: Any
    times: int


@dataclasses.dataclass
class TiedParts(Joined):
    """Layers behind a table that gives the scores too: a model may have it as a last entry once more."""


def plan(layer: Any, flow: Flow) -> Any:
    """Return the plan of a layer, and let what comes in flow through it."""
    layer = as_layer(layer)
    if isinstance(layer, (ForeignLayer, HeldLayer)):
        layer = layer.layer
    name = type(layer).__name__
    if isinstance(layer, Chain):
        parts = [(str(i), plan(own, flow)) for i, own in enumerate(layer.layers)]
        return Joined(parts, tuple, tuple)
    if isinstance(layer, Recompute):
        return plan(layer.layer, flow)
    shape = flow.shape
    if isinstance(layer, (Residual, Repeat, Parallel, Tied)) or _parts(layer):
        flow.settle(name)
    if isinstance(layer, Residual):
        found = plan(layer.body, flow)
    elif isinstance(layer, Stepwise):
        flow.shape = None if shape is None else shape_apart(shape, "Stepwise")[0]
        found = plan(layer.body, flow)
        flow.shape = None if shape is None else layer.out_shape(shape)
        return found
    elif isinstance(layer, Repeat):
        found = Turns(plan(layer.layer, flow), layer.times)
    elif isinstance(layer, Tied):
        parts = [("embedding", plan(layer.embedding, flow)), ("body", plan(layer.body, flow))]
        names = [name for name, _ in parts]
        found = TiedParts(parts, lambda p: dict(zip(names, p, strict=True)), lambda p: [p[name] for name in names])
    elif isinstance(layer, Parallel):
        flows = [flow.branch() for _ in layer.layers]
        parts = [(str(i), plan(own, flows[i])) for i, own in enumerate(layer.layers)]
        _meet(layer, flow, flows)
        found = Joined(parts, tuple, tuple)
    elif _parts(layer):
        found = _opened(layer, flow)
    else:
        return _leaf(layer, flow)
    flow.settle(name)
    flow.shape = None if shape is None else layer.out_shape(shape)
    return found


def _leaf(layer: Any, flow: Flow) -> Placed:
    """Return a layer that is made of no others; raise unless a rule is known for what parameters it has."""
    kind = type(layer)
    if kind not in read.registry and not (isinstance(layer, Layer) and kind.init is Layer.init):
        must = f"PyTorch's weights must have a rule for {kind.__name__}"
        raise_error(must, "none is registered", "funcnet.torch.read.register and write.register", TypeError)
    leaf = Placed(layer, flow.shape)
    flow.through(leaf)
    return leaf


def _meet(layer: Any, flow: Flow, flows: list[Flow]) -> None:
    """Let branches become one flow again."""
    for one in flows:
        one.settle(type(layer).__name__)
    places = {one.channels for one in flows}
    flow.channels = places.pop() if len(places) == 1 else "unknown"
    flow.image, flow.makers = None, None


def _parts(layer: Any) -> list[Any]:
    """List the layers that stand in the fields of a record that is no layer of this package."""
    ours = type(layer).__module__.startswith("funcnet.layers.")
    if not is_record(layer) or ours or type(layer) in read.registry:
        return []
    found: list[Any] = []
    _replaced(layer, found, [])
    return found


def _replaced(node: Any, found: list[Any], calls: list["Place"]) -> Any:
    """Return a record or tuple with marks in the places of the layers below it, which are added to those found."""

    def below(value: Any) -> Any:
        if isinstance(value, (Layer, Activation)) or protocols.fits(value, protocols.Layer):
            found.append(as_layer(value))
            return _Mark(found[-1], calls.append)
        return _replaced(value, found, calls) if isinstance(value, tuple) or is_record(value) else value

    fields = {name: below(value) for name, value in children(node).items()}
    return tuple(fields.values()) if isinstance(node, tuple) else rebuilt(node, fields, check=False)


class Place:
    """A leaf that stands for the parameters of a part."""

    def __init__(self, layer: Any, in_shape: Any) -> None:
        self.layer, self.in_shape = layer, in_shape


@record
class _Mark(Layer):
    """A part of a layer from elsewhere, whose parameters are a place."""

    layer: Any = part()
    note: Any = choice()  # gets a place for each call of `init`

    def out_shape(self, in_shape: Any) -> Any:
        return self.layer.out_shape(in_shape)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> Any:
        place = Place(self.layer, in_shape)
        self.note(place)
        return place


def _opened(layer: Any, flow: Flow) -> Joined:
    """Return the parts of a layer from elsewhere, by its own `init`."""
    name = type(layer).__name__
    if flow.shape is None:
        must = f"in_shape must be given for {name}, whose parts its own init tells"
        raise_error(must, "it is None", "in_shape=x.shape[1:]")
    calls: list[Place] = []
    try:
        found = jax.tree_util.tree_leaves_with_path(tree := _replaced(layer, [], calls).init(from_seed(0), flow.shape))
    except Exception:  # its init may do anything
        found, tree = [], None
    treedef: Any = jax.tree.structure(tree)
    leaves = [leaf for _, leaf in found]
    if not leaves or {id(leaf) for leaf in leaves} != {id(call) for call in calls} or len(leaves) != len(calls):
        must = f"the init of {name} must put together what those of its parts give"
        raise_error(must, "it does more", "funcnet.torch.read.register and write.register for it", TypeError)
    where = {id(leaf): i for i, leaf in enumerate(leaves)}
    turn = [where[id(call)] for call in calls]
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in found]
    flows = [dataclasses.replace(Flow.of(call.in_shape), channels="unknown", makers=None) for call in calls]
    parts = [(names[i], plan(call.layer, own)) for i, call, own in zip(turn, calls, flows, strict=True)]
    _meet(layer, flow, flows)

    def join(params: list[Any]) -> Any:
        placed = dict(zip(turn, params, strict=True))
        return jax.tree.unflatten(treedef, [placed[i] for i in range(len(placed))])

    def split(params: Any) -> list[Any]:
        own = treedef.flatten_up_to(params)
        return [own[i] for i in turn]

    return Joined(parts, join, split)
