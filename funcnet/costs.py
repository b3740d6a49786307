r"""The cost of a network: operations of both passes, and bytes, from shapes alone.

For dense layers of widths n₀ (the features) to n_L and a batch of B samples,

    forward             2 B Σₗ nₗ₋₁ nₗ                         Z = A W, a layer
    backward            2 B (2 Σₗ nₗ₋₁ nₗ − n₀ n₁)             dW = Aᵀ δ and dA = δ Wᵀ; nobody asks for dA₀
    parameters          Σₗ (nₗ₋₁ nₗ + nₗ)                      numbers; their gradients are as many
    activations         B Σₗ (what the rules save)             see below

in operations of matrix products and in numbers, which have 4 bytes in float32. (A product over a single term, as dW for
a batch of 1, is a multiplication without addition and counts half.) Nothing here is special to dense layers: each
layer's own forward and backward are traced with abstract arrays and their operations counted (`operations`), so
activations, dropout and layers from elsewhere are counted alike, and nothing is compiled or computed. A layer made of
layers is opened into theirs if `opened` knows how, and is one row if not.

Kept       Between the passes lives what each rule saves: each array once, though two rules hold it (ReLU keeps its
           output, which is the next layer's input); not the network's input, which is the caller's; and not what
           depends on the key alone (a dropout mask), since the compiler draws it again.
Peak       The most bytes that live at one moment: arguments, results, and, walking back layer by layer, what is still
           kept, dy, dx and gradients. Without an optimizer that of `backprop`, all gradients being its result. With
           one, that of a training step whose parameters and state are updated in place: a layer's gradient lives
           until its update, or they all live to the end if an update needs them all, as clipping by the norm does.
Limits     Operations are exact; of elementwise work the compiler may do some twice to save memory, or once where two
           rules do the same. Bytes are those of arrays: not the program itself, nor the workspace of a library.

Source     Article B3.9, corrected (see the errata, C1). Goodfellow, Bengio & Courville 2016, section 6.5.4.
"""

import bisect
import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.errors import describe, raise_error
from funcnet.layers.base import Shape, as_layer
from funcnet.layers.chain import Chain
from funcnet.operations import Operations, dependencies, operations


@dataclasses.dataclass(frozen=True)
class Row:
    """What one layer, or the loss, costs for a batch."""

    name: str
    out_shape: Shape  # of one sample
    forward: Operations
    backward: Operations
    parameter_bytes: int
    activation_bytes: int  # kept for the backward pass, beside what a row above keeps


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one step costs; `print` shows it by layer."""

    rows: tuple[Row, ...]
    batch: int
    batch_bytes: int  # of the samples, and of the targets if a loss was given
    update: Operations  # of the optimizer; 0 without
    optimizer_bytes: int  # of the optimizer's state
    peak_bytes: int

    @property
    def forward(self) -> Operations:
        """Return the operations of the forward pass."""
        return sum((row.forward for row in self.rows), Operations())

    @property
    def backward(self) -> Operations:
        """Return the operations of the backward pass."""
        return sum((row.backward for row in self.rows), Operations())

    @property
    def parameter_bytes(self) -> int:
        """Return the bytes of all parameters."""
        return sum(row.parameter_bytes for row in self.rows)

    @property
    def gradient_bytes(self) -> int:
        """Return the bytes of all gradients: as many as of the parameters."""
        return self.parameter_bytes

    @property
    def activation_bytes(self) -> int:
        """Return the bytes that are kept between the two passes."""
        return sum(row.activation_bytes for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output", "products", "elementwise", "products", "elementwise", "parameters", "kept")
        cells = [_cells(row.name, row.out_shape, row) for row in self.rows]
        cells.append(_cells("all", None, self))
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        lines = [
            "  ".join([*map(str.ljust, row[:2], widths[:2]), *map(str.rjust, row[2:], widths[2:])])
            for row in (head, *cells)
        ]
        before, pass_width = sum(widths[:2]) + 4, sum(widths[2:4]) + 4
        titles = " " * before + "forward".ljust(pass_width) + "backward".ljust(sum(widths[4:6]) + 4) + "bytes"
        optimizer = f", optimizer {self.optimizer_bytes:,}" if self.optimizer_bytes or self.update.total else ""
        return "\n".join(
            [
                f"Operations and bytes of one step, batch {self.batch:,}",
                titles,
                *lines,
                *([f"update: {self.update.elementwise:,} elementwise operations"] if self.update.total else []),
                f"bytes: batch {self.batch_bytes:,}, parameters {self.parameter_bytes:,}, gradients"
                f" {self.gradient_bytes:,}{optimizer}, kept {self.activation_bytes:,}; peak {self.peak_bytes:,}",
            ]
        )


def _cells(name: str, shape: Shape | None, cost: Any) -> tuple[str, ...]:
    counts = (cost.forward.products, cost.forward.elementwise, cost.backward.products, cost.backward.elementwise)
    numbers = (*counts, cost.parameter_bytes, cost.activation_bytes)
    return (name, "" if shape is None else "×".join(map(str, shape)) or "number", *(f"{n:,}" for n in numbers))


def cost(
    network: Any, in_shape: Shape, batch: int, *, optimizer: Any = None, loss: Any = None, dtype: Any = None
) -> Cost:
    r"""Count the operations and bytes of one training step, from shapes alone.

    Args:
        network: a layer, chain or activation.
        in_shape: the shape of one sample, for instance `(784,)`.
        batch: the number of samples in a batch.
        optimizer: counts its state and update too, and makes `peak_bytes` that of a training step in place.
        loss: adds a row for the loss, and its targets to the batch.
        dtype: of parameters and samples; JAX's default float dtype unless one is given.

    Returns:
        A `Cost`: `forward` and `backward` with `.products` and `.elementwise` operations, `parameter_bytes`,
        `gradient_bytes`, `optimizer_bytes`, `activation_bytes`, `batch_bytes`, `peak_bytes`, and `rows` by layer.

    Raises:
        ValueError, TypeError: for arguments that do not fit, before anything compiles.

    >>> import funcnet as fn, jax.numpy as jnp
    >>> print(fn.cost(fn.mlp(3, 1), (2,), 10, dtype=jnp.float32))
    Operations and bytes of one step, batch 10
                   forward                backward               bytes
    layer  output  products  elementwise  products  elementwise  parameters  kept
    Dense  3            120           30       120           30          36     0
    ReLU   3              0           60         0           60           0   120
    Dense  1             60           10        90           10          16     0
    all                 180          100       210          100          52   120
    bytes: batch 80, parameters 52, gradients 52, kept 120; peak 464

    """
    layer, shape, dtype = _checked(network, in_shape, batch, optimizer, loss, dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(lambda key: layer.init(key, shape, dtype), key)
    x = jax.ShapeDtypeStruct((batch, *shape), dtype)

    steps: list[_Step] = []
    token, trained = _INPUT, False
    value = x
    for own, weights in opened(layer, params):
        step = _trace(own, weights, value, key, token, trained)
        steps.append(step)
        value, token, trained = step.y, step.out, trained or bool(jax.tree.leaves(weights))
    rows, seen = [], {_INPUT}
    for step in steps:
        new = {t: size for t, size in step.saved.items() if t not in seen}
        seen |= new.keys()
        name, weight = type(step.layer).__name__, _bytes(step.params)
        name = type(step.layer.activation).__name__ if name == "Activate" else name
        rows.append(Row(name, step.y.shape[1:], step.forward, step.backward, weight, sum(new.values())))
    residue, batch_bytes = 0, _bytes(x)
    if loss is not None:
        target, row = _loss(loss, value)
        rows.append(row)
        residue, batch_bytes = row.activation_bytes, batch_bytes + _bytes(target)

    update, state, gradients = Operations(), None, "results"
    if optimizer is not None:
        state = jax.eval_shape(optimizer.init, params)
        update, coupled = _update(optimizer, params, state)
        gradients = "held" if coupled else "updated"
    fixed = batch_bytes + _bytes(params) + _bytes(state) + (_bytes(params) if gradients == "results" else 0)
    peak = fixed + _peak(steps, residue, gradients)
    return Cost(tuple(rows), batch, batch_bytes, update, _bytes(state), peak)


def _checked(network: Any, in_shape: Any, batch: Any, optimizer: Any, loss: Any, dtype: Any) -> tuple[Any, Shape, Any]:
    layer = as_layer(network)
    whole = isinstance(in_shape, (tuple, list)) and all(
        isinstance(n, int) and not isinstance(n, bool) for n in in_shape
    )
    if not whole or any(n < 1 for n in in_shape):
        raise_error(
            "in_shape must be the shape of one sample, a tuple of whole numbers above 0",
            f"got {describe(in_shape)}",
            f"({in_shape},)" if isinstance(in_shape, int) and in_shape > 0 else "x.shape[1:]",
            ValueError if whole else TypeError,
        )
    if not isinstance(batch, int) or isinstance(batch, bool):
        raise_error("batch must be a whole number", f"got {describe(batch)}", "batch=32", TypeError)
    if batch < 1:
        raise_error("batch must be at least 1", f"got {batch}", "batch=32")
    for name, value, methods, attempt in (
        ("optimizer", optimizer, ("init", "update"), "fn.Adam(0.001)"),
        ("loss", loss, ("forward", "backward"), "fn.SoftmaxCrossEntropy()"),
    ):
        if value is not None and not all(callable(getattr(value, method, None)) for method in methods):
            raise_error(f"{name} must have {' and '.join(methods)}", f"got {describe(value)}", attempt, TypeError)
    dtype = jax.dtypes.canonicalize_dtype(float) if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise_error("dtype must be a floating-point dtype", f"got {dtype}", "jnp.float32", TypeError)
    layer.out_shape(tuple(in_shape))
    return layer, tuple(in_shape), dtype


@functools.singledispatch
def opened(layer: Any, params: Any) -> list[tuple[Any, Any]]:
    """Return the layers that a layer is made of, each with its parameters: itself, unless registered here."""
    return [(as_layer(layer), params)]


@opened.register
def _(layer: Chain, params: Any) -> list[tuple[Any, Any]]:
    return [pair for inner, own in zip(layer.layers, params, strict=True) for pair in opened(inner, own)]


# An array that lives between the passes goes by a token: two rules that keep the same array name the same token.
_INPUT: Any = "input"


@dataclasses.dataclass(frozen=True)
class _Step:
    """One layer as traced."""

    layer: Any
    params: Any
    y: Any  # abstract
    out: Any  # the token of y
    saved: dict[Any, int]  # token: bytes
    for_dx: frozenset[Any]  # the tokens that dx needs, besides dy
    forward: Operations
    backward: Operations
    dx_bytes: int  # 0 if no layer before has parameters


def _trace(layer: Any, params: Any, x: Any, key: Any, token: Any, needs_dx: bool) -> _Step:
    """Trace a layer's two passes, count them, and find out what is kept."""
    name = f"the layer {type(layer).__name__}"
    ahead, (y, saved) = _jaxpr(name, lambda params, x, key: layer.forward(params, x, key), params, x, key)
    back, (dparams, _) = _jaxpr(name, layer.backward, params, saved, y)
    invars, (result, *kept) = ahead.jaxpr.invars, ahead.jaxpr.outvars
    weights = len(jax.tree.leaves(params))
    unique = object()
    tokens = {invars[weights]: token}
    out = tokens.setdefault(result, (unique, "y")) if not hasattr(result, "val") else (unique, "y")
    bytes_of: dict[Any, int] = {}
    names: list[Any] = []
    for atom, leaf, inputs in zip(kept, jax.tree.leaves(saved), dependencies(ahead)[1:], strict=True):
        # Parameters are there anyway; what the key alone decides is drawn again.
        free = atom in invars[:weights] if not hasattr(atom, "val") else True
        free = free or not any(i <= weights for i in inputs)
        names.append(None if free else tokens.setdefault(atom, (unique, atom)))
        if not free:
            bytes_of[names[-1]] = _bytes(leaf)
    wanted = [True] * len(jax.tree.leaves(dparams)) + [needs_dx]
    read = dependencies(back)[-1]
    for_dx = frozenset(t for i, t in enumerate(names) if t is not None and i + weights in read)
    counted = operations(back, wanted) if any(wanted) else Operations()
    dx = _bytes(x) if needs_dx else 0
    return _Step(layer, params, y, out, bytes_of, for_dx, operations(ahead), counted, dx)


def _jaxpr(name: str, function: Any, *arguments: Any) -> tuple[Any, Any]:
    try:
        return jax.make_jaxpr(function, return_shape=True)(*arguments)
    except jax.errors.JAXTypeError as error:
        raise TypeError(
            f"{name} must compute with JAX alone, but it reads the numbers of an array. Try: jnp for np. ({error})"
        ) from None


def _loss(loss: Any, prediction: Any) -> tuple[Any, Row]:
    """Return the target that a loss takes, labels where it takes them, and its row."""
    like = jax.ShapeDtypeStruct(prediction.shape, prediction.dtype)
    candidates = [like]
    if getattr(loss, "CLASSIFIES", False):
        candidates.insert(0, jax.ShapeDtypeStruct(prediction.shape[:-1], jnp.int32))
    for target in candidates:
        try:
            ahead, (value, residue) = _jaxpr("the loss", loss.forward, prediction, target)
            break
        except (ValueError, TypeError):
            if target is candidates[-1]:
                raise
    back, _ = _jaxpr("the loss", loss.backward, residue)
    kept = {
        atom: _bytes(leaf)
        for atom, leaf, inputs in zip(
            ahead.jaxpr.outvars[1:], jax.tree.leaves(residue), dependencies(ahead)[1:], strict=True
        )
        if inputs
    }
    return target, Row(type(loss).__name__, value.shape, operations(ahead), operations(back), 0, sum(kept.values()))


def _update(optimizer: Any, params: Any, state: Any) -> tuple[Operations, bool]:
    """Return the operations of an update, and whether an update of one array needs the gradient of another."""

    def apply(gradient: Any, params: Any, state: Any) -> Any:
        updates, state = optimizer.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    traced, _ = _jaxpr("the optimizer", apply, params, params, state)
    count = len(jax.tree.leaves(params))
    read = dependencies(traced)[:count]
    return operations(traced), any(j != i for i, inputs in enumerate(read) for j in inputs if j < count)


def _peak(steps: Sequence[_Step], residue: int, gradients: str) -> int:
    """Return the most bytes that live at one moment beside arguments and results.

    Gradients are "results" of the program, "held" until all are there, or "updated", each as soon as it is there.
    """
    below: list[dict[Any, int]] = [{}]
    for step in steps:
        below.append(below[-1] | {t: size for t, size in step.saved.items() if t != _INPUT})
    own = [[_bytes(leaf) for leaf in jax.tree.leaves(step.params)] for step in steps]
    kept, last = list(below[-1].values()), _bytes(steps[-1].y)
    prediction = 0 if steps[-1].out in below[-1] else last
    moments = [(len(steps), [*kept, last if residue == 0 else prediction, residue])]
    for index in reversed(range(len(steps))):
        step, held = steps[index], below[index + 1]
        dy = _bytes(step.y)
        # An elementwise backward writes dx over dy; a product cannot, but what only dW reads is gone by then.
        moments.append((index, [*held.values(), dy]))
        if own[index] and step.dx_bytes:
            read = below[index] | {t: size for t, size in held.items() if t in step.for_dx}
            moments.append((index, [*read.values(), dy, step.dx_bytes]))
    if gradients == "results":
        return max(_beside(live, [size for sizes in own[:index] for size in sizes]) for index, live in moments)
    first = {"held": None, "updated": 1}[gradients]
    return max(sum(live) + sum(map(sum, own[index:][:first])) for index, live in moments)


def _beside(live: Sequence[int], unwritten: Sequence[int]) -> int:
    """Return the bytes of arrays that find no room in the buffers of results that are not written yet."""
    free, rest = sorted(unwritten), 0
    for size in sorted(live, reverse=True):
        place = bisect.bisect_left(free, size)
        if place < len(free):
            del free[place]
        else:
            rest += size
    return rest


def _bytes(tree: Any) -> int:
    """Return the bytes of the arrays in a tree; keys and the like count nothing."""
    leaves: Iterable[Any] = jax.tree.leaves(tree)
    return sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in leaves
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    )
