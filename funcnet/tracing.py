r"""Back-propagation made visible: every Z, A, δ and parameter gradient of one pass, by layer and name.

Forward    A₀ = x,   Zₗ = Aₗ₋₁ Wₗ + bₗ,   Aₗ = gₗ(Zₗ)
Backward   δ_L = ∂L/∂Z_L,   δₗ = (δₗ₊₁ Wₗ₊₁ᵀ) ∘ gₗ′(Zₗ),   dWₗ = Aₗ₋₁ᵀ δₗ,   dbₗ = Σ δₗ

A trace walks the layers' own forward and backward, one by one, and keeps what passes between them; it computes
nothing of its own, so that what it shows is what training does. A layer with parameters opens a new number l and
gives Zₗ; the activation after it gives Aₗ. Without one, Aₗ is Zₗ. What stands between (dropout) changes Aₗ.

Rows are samples, so the articles' Z = W A + B is this transposed.

Source     Article A2.3 and B3.5, B3.6 (see the errata); Rumelhart, Hinton & Williams 1986.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.activations.base import Activation
from funcnet.keys import fold
from funcnet.layers.base import as_layer


class Step(NamedTuple):
    """What one layer took, gave and got back."""

    name: str  # the class of the layer
    number: int  # l, counted from 1 by the layers with parameters; 0 before the first
    params: Any
    x: jax.Array  # what came in
    y: jax.Array  # what went out
    dy: jax.Array  # ∂L/∂y
    dx: jax.Array  # ∂L/∂x
    dparams: Any
    activates: bool


class Trace:
    """One pass through a network, forward and backward.

    Attributes:
        loss: the value of the loss.
        steps: one `Step` a layer, in order.
        gradient: the parameter gradients, a tree like the parameters: what `fn.backprop` returns.
        Z, A, delta: dictionaries from l to arrays; A[0] is the input.
        dW: the dictionary from l to that layer's parameter gradients.

    `trace["Z1"]`, `trace["A0"]`, `trace["δ2"]` (or "delta2"), `trace["dW1"]` and `trace["db1"]` name single arrays, and
    `trace.arrays()` gives all of them.

    """

    def __init__(self, loss: jax.Array, steps: tuple[Step, ...], gradient: Any) -> None:
        self.loss, self.steps, self.gradient = loss, steps, gradient
        self.Z: dict[int, jax.Array] = {}
        self.A: dict[int, jax.Array] = {0: steps[0].x}
        self.delta: dict[int, jax.Array] = {}
        self.dW: dict[int, Any] = {}
        for step in steps:
            if jax.tree.leaves(step.params):
                self.Z[step.number], self.delta[step.number], self.dW[step.number] = step.y, step.dy, step.dparams
            elif step.activates and step.number not in self.Z:
                self.Z[step.number], self.delta[step.number] = step.x, step.dx
            self.A[step.number] = step.y

    def arrays(self) -> dict[str, jax.Array]:
        """Return every array by its name, in the order of the passes: A0, Z1, A1, …, δL, dbL, dWL, …, dW1."""
        named = {"A0": self.A[0]}
        for number in sorted(set(self.Z) | set(self.A) - {0}):
            if number in self.Z:
                named[f"Z{number}"] = self.Z[number]
            named[f"A{number}"] = self.A[number]
        for number in sorted(self.delta, reverse=True):
            named[f"δ{number}"] = self.delta[number]
            for path, leaf in jax.tree_util.tree_leaves_with_path(self.dW.get(number, ())):
                named[_gradient_name(path, number)] = leaf
        return named

    def __getitem__(self, name: str) -> jax.Array:
        found = self.arrays()
        name = name.replace("delta", "δ")
        if name not in found:
            raise KeyError(f"{name!r} is not in the trace, which has {', '.join(found)}")
        return found[name]

    def __str__(self) -> str:
        rows = [("array", "shape", "smallest", "largest", "norm", "what it is")]
        for name, array in self.arrays().items():
            values = np.asarray(array, np.float64)
            low, high = (f"{values.min():.4g}", f"{values.max():.4g}") if values.size else ("", "")
            shape = "×".join(map(str, values.shape)) or "number"
            rows.append((name, shape, low, high, f"{np.linalg.norm(values):.4g}", self._words(name)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        chain = " → ".join(step.name for step in self.steps)
        return "\n".join([f"{chain}; loss {float(self.loss):.6g}", *lines])

    __repr__ = __str__

    def _words(self, name: str) -> str:
        kind, number = name.rstrip("0123456789"), int(name[len(name.rstrip("0123456789")) :])
        by = " → ".join(step.name for step in self.steps if step.number == number)
        return {
            "Z": f"weighted sums of layer {number}",
            "A": f"output of layer {number}: {by}" if number else "the input" + (f" after {by}" if by else ""),
            "δ": f"∂L/∂Z{number}",
        }.get(kind, f"∂L/∂{kind[1:]}{number}")


def _gradient_name(path: tuple[Any, ...], number: int) -> str:
    key = str(getattr(path[-1], "key", getattr(path[-1], "name", path[-1])))
    return f"d{ {'kernel': 'W', 'bias': 'b'}.get(key, key + ' ') }{number}"


def trace(network: Any, loss: Any, params: Any, x: jax.Array, y: Any, *, weight: Any = None, key: Any = None) -> Trace:
    r"""Run one forward and one backward pass and keep everything.

    Args:
        network: a layer, chain or activation.
        loss: a loss, with `reduction` "mean" or "sum".
        params: parameters as `network.init` makes them.
        x: inputs (…, features).
        y: targets, as the loss takes them.
        weight: one weight a sample, or None.
        key: a key for dropout, or None for evaluation.

    Returns:
        A `Trace`.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> from funcnet.tracing import trace
    >>> network = fn.Chain(fn.Dense(2), fn.relu, fn.Dense(1))
    >>> first = {"kernel": jnp.asarray([[1.0, -1.0]]), "bias": jnp.zeros(2)}
    >>> params = (first, (), {"kernel": jnp.ones((2, 1)), "bias": jnp.zeros(1)})
    >>> print(trace(network, fn.MeanSquaredError(), params, jnp.asarray([[1.0], [3.0]]), jnp.asarray([[0.0], [5.0]])))
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
    layers, own, keys = _flat(network, params, key)
    x = jnp.asarray(x)
    ahead: list[tuple[Any, jax.Array, jax.Array, Any]] = []
    for layer, params_of, key_of in zip(layers, own, keys, strict=True):
        out, saved = as_layer(layer).forward(params_of, x, key_of)
        ahead.append((layer, x, out, saved))
        x = out
    value, residue = loss.forward(x, y, weight)
    dy = loss.backward(residue)
    back: list[tuple[jax.Array, jax.Array, Any]] = []
    for (layer, _, _, saved), params_of in zip(reversed(ahead), reversed(own), strict=True):
        dparams, dx = as_layer(layer).backward(params_of, saved, dy)
        back.append((dy, dx, dparams))
        dy = dx
    back.reverse()
    steps, number = [], 0
    for (layer, into, out, _), (d_out, d_in, dparams), params_of in zip(ahead, back, own, strict=True):
        activates = isinstance(layer, Activation)
        # An activation that no layer precedes is a layer of its own: its Z is the input.
        number += bool(jax.tree.leaves(params_of)) or (activates and number == 0)
        steps.append(Step(type(layer).__name__, number, params_of, into, out, d_out, d_in, dparams, activates))
    return Trace(value, tuple(steps), _nested(network, iter([dparams for _, _, dparams in back])))


def _flat(network: Any, params: Any, key: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """List the layers of a network with their parameters and keys; chains inside chains are opened."""
    inner = getattr(network, "layers", None)
    if inner is None:
        return [network], [params], [key]
    found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for index, (layer, own) in enumerate(zip(inner, params, strict=True)):
        # Each layer's key is the one that the chain itself would give it.
        own_key = None if key is None else fold(key, index)
        for total, part in zip(found, _flat(layer, own, own_key), strict=True):
            total += part
    return found


def _nested(network: Any, gradients: Any) -> Any:
    inner = getattr(network, "layers", None)
    return next(gradients) if inner is None else tuple(_nested(layer, gradients) for layer in inner)
