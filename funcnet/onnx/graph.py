r"""An ONNX graph that grows node by node, and the table of who translates what.

A translation is a function `(rule, graph, params, x, name) -> y`: it adds nodes to the graph and returns what they
give. x and y are `Value`s, or the pair of one and its lengths; `name` is the dotted path of the rule's parameters, "2."
for those of the third layer of a chain, so that initializers have the names that parameters have in files.

The kind must be the very class: what a subclass changes is not guessed.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from funcnet.errors import abridged, raise_error
from funcnet.extras import import_extra

OPSET, IR_VERSION = 20, 9  # what runtimes since the end of 2023 read; 20 has Gelu

Size: TypeAlias = int | str  # a word where the size is free


class Value(NamedTuple):
    """What flows along an edge of the graph."""

    name: str
    shape: tuple[Size, ...]  # of the whole array, the batch included
    dtype: Any = np.dtype(np.float32)


Translation: TypeAlias = Callable[..., Any]
TRANSLATIONS: dict[type, Translation] = {}


def translates(*kinds: type) -> Callable[[Translation], Translation]:
    """Register a function as the translation of rules of these very classes.

    Args:
        *kinds: the classes, one argument each; what inherits from them is not meant.

    >>> import onnx, funcnet as fn, funcnet.onnx
    >>> @fn.record
    ... class Absolute(fn.activations.Activation):
    ...     def forward(self, z):
    ...         return abs(z), z
    >>> @funcnet.onnx.translates(Absolute)
    ... def absolute(rule, graph, params, x, name): return graph.add("Abs", x)
    >>> fn.to_onnx(Absolute(), (), in_shape=(3,)).graph.node[0].op_type
    'Abs'

    """

    def register(translation: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(kinds, translation))
        return translation

    return register


def emit(rule: Any, graph: "Graph", params: Any, x: Any, name: str = "") -> Any:
    """Add a layer, an activation or the probabilities of a loss to a graph, and return what comes out.

    Args:
        rule: the layer, activation or loss.
        graph: what it is added to.
        params: its parameters.
        x: the name of its input in the graph, or a tuple of names.
        name: what its constants are called by.

    Raises:
        TypeError: for a rule without translation.

    >>> import onnx, numpy as np, funcnet as fn, funcnet.onnx
    >>> graph = funcnet.onnx.Graph()
    >>> funcnet.onnx.emit(fn.relu, graph, (), graph.input("x", ("batch", 3), np.float32)).shape
    ('batch', 3)

    """
    kind = type(rule)
    if kind not in TRANSLATIONS:
        where = f" at {abridged(name[:-1], 40)}" if name else ""
        attempt = f"@funcnet.onnx.translates({abridged(kind.__name__, 40)}) over a function that adds its nodes"
        raise_error(
            "each layer must have a translation to ONNX", f"{kind.__name__}{where} has none", attempt, TypeError
        )
    with graph.at(f"{name}{kind.__name__}"):
        return TRANSLATIONS[kind](rule, graph, params, x, name)


class Graph:
    """Nodes and constants of a graph in the making.

    >>> import onnx, numpy as np, funcnet.onnx
    >>> graph = funcnet.onnx.Graph()
    >>> y = graph.add("Relu", graph.input("x", ("batch", 3), np.float32))
    >>> y.shape, [node.op_type for node in graph.nodes]
    (('batch', 3), ['Relu'])
    """

    def __init__(self) -> None:
        self.onnx = import_extra("onnx", "onnx")
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self._place, self._taken = "", set[str]()
        self._turned: dict[str, tuple[Value, tuple[int, ...]]] = {}  # by name: what was transposed, and how

    @contextlib.contextmanager
    def at(self, place: str) -> Any:
        """Let nodes added inside bear the name of a place in the network."""
        before, self._place = self._place, place
        try:
            yield
        finally:
            self._place = before

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name

    def input(self, name: str, shape: tuple[Size, ...], dtype: Any) -> Value:
        """Return an input of the graph."""
        return Value(self._free(name), shape, np.dtype(dtype))

    def add(
        self,
        operator: str,
        *inputs: Value | None,
        shape: Sequence[Size] | None = None,
        dtype: Any = None,
        output: int = 0,
        **attributes: Any,
    ) -> Value:
        """Add a node and return one of its outputs.

        Args:
            operator: an operator of ONNX.
            inputs: what it reads; None for one that is left out.
            shape: of the output; that of the first input unless given, and so for dtype.
            dtype: of the output.
            output: which of the operator's outputs is meant.
            attributes: of the operator.

        """
        like = inputs[0]
        assert like is not None
        name = self._free(f"{self._place}/{operator}")
        read = ["" if value is None else value.name for value in inputs]
        self.nodes.append(self.onnx.helper.make_node(operator, read, [""] * output + [name], name=name, **attributes))
        own = like.shape if shape is None else tuple(shape)
        return Value(name, own, like.dtype if dtype is None else np.dtype(dtype))

    def parameter(self, name: str, array: Any) -> Value:
        """Return a constant with the name of a parameter; floats are float32, one array of one name stands once."""
        numbers = np.asarray(array)
        if jnp.issubdtype(numbers.dtype, jnp.floating):
            with np.errstate(over="ignore", under="ignore"):
                numbers = np.ascontiguousarray(numbers.astype(np.float32))
        if name not in self.constants or not np.array_equal(self.constants[name], numbers):
            name = self._free(name)
            self.constants[name] = numbers
        return Value(name, self.constants[name].shape, self.constants[name].dtype)

    def constant(self, array: Any, dtype: Any = np.float32) -> Value:
        """Return a constant that is no parameter."""
        numbers = np.ascontiguousarray(np.asarray(array, dtype)).reshape(np.shape(array))
        for name, known in self.constants.items():
            same = name.startswith("constant") and (known.dtype, known.shape) == (numbers.dtype, numbers.shape)
            if same and known.tobytes() == numbers.tobytes():
                return Value(name, known.shape, known.dtype)
        name = self._free("constant")
        self.constants[name] = numbers
        return Value(name, numbers.shape, numbers.dtype)

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """Return x with its axes in another order; what was turned there and back is x itself."""
        axes = tuple(axes)
        if x.name in self._turned:
            before, earlier = self._turned[x.name]
            if tuple(earlier[axis] for axis in axes) == tuple(range(len(axes))):
                return before
        y = self.add("Transpose", x, shape=[x.shape[axis] for axis in axes], perm=list(axes))
        self._turned[y.name] = x, axes
        return y

    def elementwise(self, function: Callable[..., Value], *inputs: Value) -> Value:
        """Return a function of each element of arrays alike, ahead of a transposition that all of them come from."""
        turned = [self._turned.get(x.name) for x in inputs]
        first = turned[0]
        if first is None or any(one is None or one[1] != first[1] for one in turned):
            return function(*inputs)
        return self.transpose(function(*(one[0] for one in turned if one is not None)), first[1])

    def total(self, *terms: Value) -> Value:
        """Return the sum of arrays of one shape."""
        found = terms[0]
        for term in terms[1:]:
            found = self.elementwise(lambda a, b: self.add("Add", a, b), found, term)
        return found

    def size(self, x: Value, axis: int) -> Value:
        """Return the size of an axis as a vector of one whole number."""
        if isinstance(x.shape[axis], int):
            return self.constant([x.shape[axis]], np.int64)
        place = axis % len(x.shape)
        return self.add("Shape", x, shape=(1,), dtype=np.int64, start=place, end=place + 1)

    def reshape(self, x: Value, shape: Sequence[Size]) -> Value:
        """Return x in another shape; of its words all but one must be words of x's own shape."""
        shape = tuple(shape)
        if shape == x.shape:
            return x
        if sum(isinstance(size, str) for size in shape) < 2:
            asked = self.constant([-1 if isinstance(size, str) else size for size in shape], np.int64)
        else:
            parts = [
                self.size(x, x.shape.index(size))
                if isinstance(size, str) and size in x.shape
                else self.constant([-1 if isinstance(size, str) else size], np.int64)
                for size in shape
            ]
            asked = self.add("Concat", *parts, shape=(len(shape),), axis=0)
        return self.add("Reshape", x, asked, shape=shape)

    def part(self, x: Value, start: int, end: int, axis: int) -> Value:
        """Return the numbers from start to end along an axis of known size."""
        axis %= len(x.shape)
        bounds = (self.constant([number], np.int64) for number in (start, end, axis))
        return self.add("Slice", x, *bounds, shape=(*x.shape[:axis], end - start, *x.shape[axis + 1 :]))

    def places(self, x: Value, axis: int) -> Value:
        """Return the whole numbers 0, 1, … along an axis."""
        size = x.shape[axis]
        if isinstance(size, int):
            return self.constant(np.arange(size), np.int64)
        none = self.constant([0], np.int64)
        end = self.add("Squeeze", self.size(x, axis), none, shape=())
        zero, one = (self.constant(number, np.int64) for number in (0, 1))
        return self.add("Range", zero, end, one, shape=(size,))

    def known(self, x: Value, label: str, axes: slice = slice(1, None)) -> tuple[int, ...]:
        """Return the sizes of axes, if none of them is free."""
        sizes = x.shape[axes]
        found = tuple(size for size in sizes if isinstance(size, int))
        if len(found) < len(sizes):
            must = f"{label} needs samples of known size"
            raise_error(must, f"in_shape leaves it open: {sizes}", "in_shape with a number for each axis")
        return found

    def finish(self, inputs: Sequence[Value], outputs: dict[str, Value], facts: dict[str, str]) -> Any:
        """Return the model with these inputs and outputs, and facts as its metadata; what is not needed is left out."""
        helper = self.onnx.helper
        for name, value in outputs.items():
            self._rename(value, name)
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        if sum(array.nbytes for array in self.constants.values()) > 2**31 - 2**20:
            raise_error("an ONNX file must be below 2 GB", "the parameters are larger", "a network in parts")
        model = helper.make_model(
            helper.make_graph(
                kept[::-1],
                "funcnet",
                [self._described(value.name, value) for value in inputs],
                [self._described(name, value) for name, value in outputs.items()],
                [self.onnx.numpy_helper.from_array(a, name) for name, a in self.constants.items() if name in needed],
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="funcnet",
        )
        helper.set_model_props(model, facts)
        self.onnx.checker.check_model(model)
        return model

    def _rename(self, value: Value, name: str) -> None:
        made = [node for node in self.nodes if value.name in node.output]
        if not made:  # an input goes out as it is
            self.nodes.append(self.onnx.helper.make_node("Identity", [value.name], [name], name=name))
        for node in self.nodes if made else ():
            node.input[:] = [name if read == value.name else read for read in node.input]
            node.output[:] = [name if given == value.name else given for given in node.output]

    def _described(self, name: str, value: Value) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, list(value.shape))


def product(sizes: Sequence[Size]) -> Size:
    """Return the product of sizes, a word if one of them is free."""
    if all(isinstance(size, int) for size in sizes):
        return math.prod(int(size) for size in sizes)
    return "*".join(map(str, sizes))
