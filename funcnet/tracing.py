r"""Back-propagation made visible: every Z, A, δ and parameter gradient of one pass, by layer and name.

Forward    A₀ = x,   Zₗ = Aₗ₋₁ Wₗ + bₗ,   Aₗ = gₗ(Zₗ)
Backward   δ_L = ∂L/∂Z_L,   δₗ = (δₗ₊₁ Wₗ₊₁ᵀ) ∘ gₗ′(Zₗ),   dWₗ = Aₗ₋₁ᵀ δₗ,   dbₗ = Σ δₗ

A trace walks the layers' own forward and backward, one by one, and keeps what passes between them; it computes
nothing of its own, so that what it shows is what training does. A layer with parameters opens a new number l and
gives Zₗ; the activation after it gives Aₗ. Without one, Aₗ is Zₗ. What stands between (dropout) changes Aₗ. Chains are
opened; any other layer made of layers is one layer here, since it alone knows how gradients flow in it.

Rows are samples, so the articles' Z = W A + B is this transposed.

Source     Article A2.3 and B3.5, B3.6 (see the errata); Rumelhart, Hinton & Williams 1986.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.layers.activate import Activate
from funcnet.layers.base import Layer
from funcnet.layers.walk import walk
from funcnet.losses import as_loss, require_scalar
from funcnet.text import html_table, text_table


class Visit(NamedTuple):
    """What one layer took, gave and got back."""

    name: str  # the label of the layer
    number: int  # l, counted from 1 by the layers with parameters; 0 before the first
    params: Any
    x: Any  # what came in, an array or a tree of them
    y: Any  # what went out
    dy: Any  # ∂L/∂y
    dx: Any  # ∂L/∂x; None of whole numbers
    dparams: Any
    activates: bool


class Trace:
    """One pass through a network, forward and backward.

    Attributes:
        loss: the value of the loss.
        steps: one `Visit` a layer, in order.
        gradient: the parameter gradients, a tree like the parameters: what `fn.backprop` returns.
        Z, A, delta: dictionaries from l to arrays (to trees of them where layers pass trees); A[0] is the input.
        dW: the dictionary from l to that layer's parameter gradients.

    `trace["Z1"]`, `trace["A0"]`, `trace["δ2"]` (or "delta2"), `trace["dW1"]` and `trace["db1"]` name single arrays, and
    `trace.arrays()` gives all of them.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> network = fn.mlp(3, 2)
    >>> params = network.init(jax.random.key(0), (4,))
    >>> trace = fn.trace(network, fn.SoftmaxCrossEntropy(), params, jnp.ones((5, 4)), jnp.zeros(5, int))
    >>> trace["Z1"].shape, trace["delta2"].shape, trace["dW1"].shape
    ((5, 3), (5, 2), (4, 3))

    """

    def __init__(self, loss: jax.Array, steps: tuple[Visit, ...], gradient: Any) -> None:
        self.loss, self.steps, self.gradient = loss, steps, gradient
        self.Z: dict[int, Any] = {}
        self.A: dict[int, Any] = {0: steps[0].x}
        self.delta: dict[int, Any] = {}
        self.dW: dict[int, Any] = {}
        for step in steps:
            if jax.tree.leaves(step.params):
                self.Z[step.number], self.delta[step.number], self.dW[step.number] = step.y, step.dy, step.dparams
            elif step.activates and step.number not in self.Z:
                self.Z[step.number], self.delta[step.number] = step.x, step.dx
            self.A[step.number] = step.y

    def arrays(self) -> dict[str, jax.Array]:
        """Return every array by its name, in the order of the passes: A0, Z1, A1, …, δL, dbL, dWL, …, dW1."""
        return {name: array for name, array, _ in self._entries()}

    def __getitem__(self, name: str) -> jax.Array:
        found = self.arrays()
        name = name.replace("delta", "δ")
        if name not in found:
            raise KeyError(f"{name!r} is not in the trace, which has {', '.join(found)}")
        return found[name]

    def __repr__(self) -> str:
        head = ("array", "shape", "smallest", "largest", "norm", "what it is")
        return "\n".join([self._title(), *text_table(head, self._rows(), left=len(head))])

    def _repr_html_(self) -> str:
        head = ("array", "shape", "smallest", "largest", "norm", "what it is")
        return f"<p>{self._title()}</p>" + html_table(head, self._rows())

    def _title(self) -> str:
        return f"{' → '.join(step.name for step in self.steps)}; loss {float(self.loss):.6g}"

    def _entries(self) -> Iterator[tuple[str, jax.Array, str]]:
        """Give the name of each array, the array, and what it is."""

        def parts(name: str, tree: Any, words: str) -> Iterator[tuple[str, jax.Array, str]]:
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                of = jax.tree_util.keystr(path, simple=True, separator=".")
                yield f"{name}.{of}" if of else name, leaf, words

        for number in sorted({0, *self.Z, *self.A}):
            if number in self.Z:
                yield from parts(f"Z{number}", self.Z[number], f"weighted sums of layer {number}")
            by = " → ".join(step.name for step in self.steps if step.number == number)
            words = f"output of layer {number}: {by}" if number else "the input" + (f" after {by}" if by else "")
            yield from parts(f"A{number}", self.A[number], words)
        for number in sorted(self.delta, reverse=True):
            yield from parts(f"δ{number}", self.delta[number], f"∂L/∂Z{number}")
            for path, leaf in jax.tree_util.tree_leaves_with_path(self.dW.get(number, ())):
                of = jax.tree_util.keystr(path, simple=True, separator=".")
                of = {"kernel": "W", "bias": "b"}.get(of, f"{of} ")
                yield f"d{of}{number}", leaf, f"∂L/∂{of}{number}"

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for name, array, words in self._entries():
            values = np.asarray(array, np.float64)
            low, high = (f"{values.min():.4g}", f"{values.max():.4g}") if values.size else ("", "")
            shape = "×".join(map(str, values.shape)) or "number"
            rows.append((name, shape, low, high, f"{np.linalg.norm(values):.4g}", words))
        return rows


def trace(network: Any, loss: Any, params: Any, x: Any, y: Any, *, weight: Any = None, key: Any = None) -> Trace:
    r"""Run one forward and one backward pass and keep everything.

    Args:
        network: a layer, chain or activation.
        loss: a loss, with `reduction` "mean" or "sum".
        params: parameters as `network.init` makes them.
        x: inputs (…, features), or a tree of inputs, as the network takes them.
        y: targets, as the loss takes them.
        weight: one weight a sample, or None.
        key: a key for dropout, or None for evaluation.

    Returns:
        A `Trace`.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> network = fn.Chain(fn.Dense(2), fn.relu, fn.Dense(1))
    >>> first = {"kernel": jnp.asarray([[1.0, -1.0]]), "bias": jnp.zeros(2)}
    >>> params = (first, (), {"kernel": jnp.ones((2, 1)), "bias": jnp.zeros(1)})
    >>> fn.trace(network, fn.MeanSquaredError(), params, jnp.asarray([[1.0], [3.0]]), jnp.asarray([[0.0], [5.0]]))
    Dense → ReLU → Dense; loss 2.5
    array  shape  smallest  largest  norm   what it is
    A0     2×1    1         3        3.162  the input
    Z1     2×2    -3        3        4.472  weighted sums of layer 1
    A1     2×2    0         3        3.162  output of layer 1: Dense → ReLU
    Z2     2×1    1         3        3.162  weighted sums of layer 2
    A2     2×1    1         3        3.162  output of layer 2: Dense
    δ2     2×1    -2        1        2.236  ∂L/∂Z2
    db2    1      -1        -1       1      ∂L/∂b2
    dW2    2×1    -5        0        5      ∂L/∂W2
    δ1     2×2    -2        1        2.236  ∂L/∂Z1
    db1    2      -1        0        1      ∂L/∂b1
    dW1    1×2    -5        0        5      ∂L/∂W1

    """
    loss, x = as_loss(loss), jax.tree.map(jnp.asarray, x)
    require_scalar(loss)
    ahead: list[tuple[Layer, Any, Any, Any, Any]] = []
    for layer, own, own_key in walk(network, params, key):
        y_of, saved = layer.forward(own, x, own_key)
        ahead.append((layer, own, x, y_of, saved))
        x = y_of
    value, residue = loss.forward(x, y, weight)
    dy = loss.backward(residue)
    back: list[tuple[Any, Any, Any]] = []
    for layer, own, _, _, saved in reversed(ahead):
        dparams, dx = layer.backward(own, saved, dy)
        back.append((dy, dx, dparams))
        dy = dx
    steps, number = [], 0
    for (layer, own, into, out, _), (d_out, d_in, dparams) in zip(ahead, reversed(back), strict=True):
        activates = isinstance(layer, Activate)
        # An activation that no layer precedes is a layer of its own: its Z is the input.
        number += bool(jax.tree.leaves(own)) or (activates and number == 0)
        steps.append(Visit(layer.label, number, own, into, out, d_out, d_in, dparams, activates))
    gradients = jax.tree.leaves([step.dparams for step in steps])
    return Trace(value, tuple(steps), jax.tree.unflatten(jax.tree.structure(params), gradients))
