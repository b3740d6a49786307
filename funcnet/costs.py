r"""The cost of a network: operations of both passes, and bytes, from shapes alone.

For dense layers of widths n₀ (the features) to n_L and a batch of B samples,

    forward             2 B Σₗ nₗ₋₁ nₗ                         Z = A W, a layer
    backward            2 B (2 Σₗ nₗ₋₁ nₗ − n₀ n₁)             dW = Aᵀ δ and dA = δ Wᵀ; nobody asks for dA₀
    parameters          Σₗ (nₗ₋₁ nₗ + nₗ)                      numbers; their gradients are as many
    activations         B Σₗ (what the rules save)             see below

in operations of matrix products and in numbers, which have 4 bytes in float32. (A product over a single term, as dW for
a batch of 1, is a multiplication without addition and counts half.) Nothing here is special to dense layers: each
layer's own forward and backward are traced with abstract arrays and their operations counted (`operations`), so
activations, dropout and layers from elsewhere are counted alike, and nothing is compiled or computed. Chains are opened
into their layers; any other layer made of layers is one row.

Kept       Between the passes lives what each rule saves: each array once, though two rules hold it (ReLU keeps its
           output, which is the next layer's input); not the network's input, which is the caller's; and not what
           depends on the key alone (a dropout mask), since the compiler draws it again.
Peak       The most bytes that live at one moment: arguments, results, and, walking back layer by layer, what is still
           kept, dy, dx and gradients. Without an optimizer that of `backprop`, all gradients being its result. With
           one, that of a training step whose parameters and state are updated in place: a layer's gradient lives
           until its update, or they all live to the end if an update needs them all, as clipping by the norm does.
Limits     Operations are exact; of elementwise work the compiler may do some twice to save memory, or once where two
           rules do the same. Bytes are those of arrays: not the program itself, nor the workspace of a library.
           Logits over many classes count as held, though a step without metrics makes them by blocks (`fused`).

Source     Article B3.9, corrected (see the errata, C1). Goodfellow, Bengio & Courville 2016, section 6.5.4.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from funcnet import protocols
from funcnet.errors import describe, raise_error
from funcnet.keys import from_seed
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer, Shape, samples_of
from funcnet.layers.walk import walk
from funcnet.losses import as_loss
from funcnet.memory import INPUT, Passed, passed, peak, sizes, traced
from funcnet.operations import Operations, dependencies, operations
from funcnet.text import html_table, text_table


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one layer, or the loss, costs for a batch."""

    name: str
    out_shape: tuple[Shape, ...]  # of one sample, for each output
    forward: Operations
    backward: Operations
    parameter_bytes: int
    activation_bytes: int  # kept for the backward pass, beside what a row above keeps


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one step costs; `print` shows it by layer.

    Attributes:
        rows: the cost of each layer, in order.
        batch: how many samples a step has.
        batch_bytes: of the samples, and of the targets if a loss was given.
        update: the operations of the optimizer; 0 without one.
        optimizer_bytes: of the optimizer's state.
        peak_bytes: the most bytes that are alive at once.

    >>> import funcnet as fn, jax.numpy as jnp
    >>> cost = fn.cost(fn.mlp(512, 10), (784,), 32, optimizer=fn.Adam(0.001), dtype=jnp.float32)
    >>> cost.forward.products, cost.backward.products, cost.parameter_bytes
    (26017792, 26345472, 1628200)

    """

    rows: tuple[LayerCost, ...]
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

    def __repr__(self) -> str:
        lines = text_table(
            ("layer", "output", *("products", "elementwise") * 2, "parameters", "kept"), self._cells(), left=2
        )
        first, last = lines[0].index("products"), lines[0].index("parameters")
        second = lines[0].index("products", first + 1)
        titles = " " * first + "forward".ljust(second - first) + "backward".ljust(last - second) + "bytes"
        return "\n".join([f"Operations and bytes of one step, batch {self.batch:,}", titles, *lines, *self._totals()])

    def _repr_html_(self) -> str:
        passes = [f"{way} {kind}" for way in ("forward", "backward") for kind in ("products", "elementwise")]
        table = html_table(("layer", "output", *passes, "parameter bytes", "kept bytes"), self._cells())
        return table + "".join(f"<p>{line}</p>" for line in self._totals())

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the cells of the table: a row a layer, and their sums."""
        rows: list[tuple[str, str, Any]] = [
            (row.name, ", ".join("×".join(map(str, s)) or "number" for s in row.out_shape), row) for row in self.rows
        ]
        cells = []
        for name, shape, of in [*rows, ("all", "", self)]:
            ahead, back = of.forward, of.backward
            counts = (ahead.products, ahead.elementwise, back.products, back.elementwise)
            cells.append((name, shape, *(f"{n:,}" for n in (*counts, of.parameter_bytes, of.activation_bytes))))
        return cells

    def _totals(self) -> list[str]:
        update = [f"update: {self.update.elementwise:,} elementwise operations"] if self.update.total else []
        optimizer = f", optimizer {self.optimizer_bytes:,}" if self.optimizer_bytes or self.update.total else ""
        sums = f"parameters {self.parameter_bytes:,}, gradients {self.gradient_bytes:,}{optimizer}"
        kept = f"kept {self.activation_bytes:,}; peak {self.peak_bytes:,}"
        return [*update, f"bytes: batch {self.batch_bytes:,}, {sums}, {kept}"]


def cost(
    network: Any,
    in_shape: Any,
    batch: int,
    *,
    optimizer: Any = None,
    loss: Any = None,
    dtype: Any = None,
    input_dtype: Any = None,
) -> Cost:
    r"""Count the operations and bytes of one training step, from shapes alone.

    Args:
        network: a layer, chain or activation.
        in_shape: the shape of one sample, for instance `(784,)`; a tree of shapes where the network takes a tree.
        batch: the number of samples in a batch.
        optimizer: counts its state and update too, and makes `peak_bytes` that of a training step in place.
        loss: adds a row for the loss, and its targets to the batch.
        dtype: of the parameters; JAX's default float dtype unless one is given.
        input_dtype: of the samples, one for all or a tree like `in_shape`; that of the parameters unless one is given.

    Returns:
        A `Cost`, with `forward` and `backward`, each of `.products` and `.elementwise` operations, `parameter_bytes`,
        `gradient_bytes`, `optimizer_bytes`, `activation_bytes`, `batch_bytes`, `peak_bytes`, and `rows` by layer.

    Raises:
        ValueError, TypeError: for arguments that do not fit, before anything compiles.

    >>> import funcnet as fn, jax.numpy as jnp
    >>> fn.cost(fn.mlp(3, 1), (2,), 10, dtype=jnp.float32)
    Operations and bytes of one step, batch 10
                   forward                backward               bytes
    layer  output  products  elementwise  products  elementwise  parameters  kept
    Dense  3            120           30       120           30          36     0
    ReLU   3              0           60         0           60           0   120
    Dense  1             60           10        90           10          16     0
    all                 180          100       210          100          52   120
    bytes: batch 80, parameters 52, gradients 52, kept 120; peak 464

    """
    layer, dtype = _checked(network, batch, optimizer, loss, dtype)
    x = _samples(in_shape, batch, dtype if input_dtype is None else input_dtype)
    shape = jax.tree.map(lambda leaf: leaf.shape[1:], x)
    layer.check_input(samples_of(x))
    key = jax.eval_shape(lambda: from_seed(0))
    params = jax.eval_shape(lambda key: layer.init(key, shape, dtype), key)

    rows: list[LayerCost] = []
    steps: list[Passed] = []
    tokens = [(INPUT, place) for place in range(len(jax.tree.leaves(x)))]
    seen, value, trained = set(tokens), x, False
    for own, weights, _ in walk(layer, params):
        step = passed(f"the layer {own.label}", own, weights, value, key, tokens, trained)
        new = {token: size for token, size in step.saved.items() if token not in seen}
        shapes = tuple(leaf.shape[1:] for leaf in jax.tree.leaves(step.y))
        rows.append(LayerCost(own.label, shapes, step.forward, step.backward, sum(step.weights), sum(new.values())))
        steps.append(step)
        seen |= new.keys()
        value, tokens, trained = step.y, step.out, trained or bool(step.weights)
    residue, batch_bytes = 0, sum(sizes(x))
    if loss is not None:
        target, row = _loss(loss, value)
        rows.append(row)
        residue, batch_bytes = row.activation_bytes, batch_bytes + sum(sizes(target))

    update, state, gradients, weights = Operations(), 0, "results", sum(sizes(params))
    if optimizer is not None:
        update, state, coupled = _update(optimizer, params)
        update = sum((step.refresh for step in steps), update)
        gradients = "held" if coupled else "updated"
    fixed = batch_bytes + weights + state + (weights if gradients == "results" else 0)
    return Cost(tuple(rows), batch, batch_bytes, update, state, fixed + peak(steps, residue, gradients))


def _checked(network: Any, batch: Any, optimizer: Any, loss: Any, dtype: Any) -> tuple[Layer, Any]:
    layer = as_layer(network)
    if not isinstance(batch, int) or isinstance(batch, bool):
        raise_error("batch must be a whole number", f"got {describe(batch)}", "batch=32", TypeError)
    if batch < 1:
        raise_error("batch must be at least 1", f"got {batch}", "batch=32")
    if optimizer is not None and not protocols.fits(optimizer, protocols.Optimizer):
        raise_error("optimizer must have init and update", f"got {describe(optimizer)}", "fn.Adam(0.001)", TypeError)
    dtype = jax.dtypes.canonicalize_dtype(float) if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise_error("dtype must be a floating-point dtype", f"got {dtype}", "jnp.float32", TypeError)
    return layer, dtype


def _samples(in_shape: Any, batch: int, dtype: Any) -> Any:
    """Return a tree of abstract arrays, a batch of samples, by the shapes and dtypes of one."""
    shapes, structure = jax.tree.flatten(in_shape, is_leaf=is_shape)
    if not shapes or not all(is_shape(shape) and all(n > 0 for n in shape) for shape in shapes):
        raise_error(
            "in_shape must be the shape of one sample, a tuple of whole numbers above 0, or a tree of such",
            f"got {describe(in_shape)}",
            f"({in_shape},)" if isinstance(in_shape, int) and in_shape > 0 else "x.shape[1:]",
            ValueError if shapes and all(map(is_shape, shapes)) else TypeError,
        )
    dtypes = jax.tree.leaves(dtype)
    if len(dtypes) not in (1, len(shapes)):
        raise_error(
            "input_dtype must be one dtype, or one for each input",
            f"got {len(dtypes)} for {len(shapes)} inputs",
            "input_dtype=jnp.int32",
        )
    dtypes = dtypes * len(shapes) if len(dtypes) == 1 else dtypes
    arrays = [jax.ShapeDtypeStruct((batch, *s), jnp.dtype(d)) for s, d in zip(shapes, dtypes, strict=True)]
    return jax.tree.unflatten(structure, arrays)


def is_shape(shape: Any) -> bool:
    """Tell a shape from a tree of shapes: a tuple or list of whole numbers."""
    return isinstance(shape, tuple | list) and all(isinstance(n, int) and not isinstance(n, bool) for n in shape)


def _loss(loss: Any, prediction: Any) -> tuple[Any, LayerCost]:
    """Return the target that a loss takes, labels where it takes them, and its row."""
    candidates = [prediction]
    if as_loss(loss).metrics():  # it classifies
        candidates.insert(0, jax.ShapeDtypeStruct(prediction.shape[:-1], jnp.int32))
    for target in candidates:
        try:
            ahead, (value, residue) = traced("the loss", loss.forward, prediction, target)
            break
        except (ValueError, TypeError):
            if target is candidates[-1]:
                raise
    back, _ = traced("the loss", loss.backward, residue)
    # Each array once, and none that depends on nothing.
    atoms = zip(ahead.jaxpr.outvars[1:], sizes(residue), dependencies(ahead)[1:], strict=True)
    kept = {atom: size for atom, size, inputs in atoms if inputs}
    name = type(loss).__name__
    return target, LayerCost(name, (value.shape,), operations(ahead), operations(back), 0, sum(kept.values()))


def _update(optimizer: Any, params: Any) -> tuple[Operations, int, bool]:
    """Return an update's operations, its state's bytes, and whether the update of one array needs another gradient."""
    state = jax.eval_shape(optimizer.init, params)

    def apply(gradient: Any, params: Any, state: Any) -> Any:
        updates, state = optimizer.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    program, _ = traced("the optimizer", apply, params, params, state)
    count = len(jax.tree.leaves(params))
    read = dependencies(program)[:count]
    coupled = any(j != i for i, inputs in enumerate(read) for j in inputs if j < count)
    return operations(program), sum(sizes(state)), coupled
