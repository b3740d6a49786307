r"""Step, the threshold of the first artificial neurons (Heaviside's function).

Forward    y = 1 where z ≥ threshold, else 0
Backward   dz = 0

Derivation. y is constant on both sides of the threshold, so its slope there is 0; at the jump there is none,
and the backward rule is declared to be 0 as well. Gradient descent learns nothing through a step. The
perceptron rule does: w ← w + rate · (target − y) x uses the error of the output itself and never asks for
this derivative.

Shapes     z, y, dz: any, equal.
Kink       At z = threshold the neuron fires: y = 1. The stated derivative is 0.
Extremes   Exact for every finite input.
Source     Article A2.1; McCulloch & Pitts 1943 for the neuron, Rosenblatt 1958 for the rule that trains it.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.cases import Case
from funcnet.records import Number, cast, number, record


@record
class Step(Elementwise):
    r"""1 from the threshold upwards, 0 below it; the derivative is declared 0 everywhere.

    Args:
        threshold: the input from which on the unit fires.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Step(threshold=1.0)(jnp.asarray([0.9, 1.0, 1.1])))
    [0. 1. 1.]

    """

    threshold: Number = number(default=0.0)

    FORMULA: ClassVar[str] = "Piecewise((1, z >= threshold), (0, True))"
    DERIVATIVE: ClassVar[str] = "0"

    def forward(self, z: jax.Array) -> tuple[jax.Array, tuple[()]]:
        """Return [z ≥ threshold], and nothing: no derivative needs it."""
        threshold = cast(self.threshold, z)
        return jnp.where(z >= threshold, 1, jnp.where(z < threshold, 0, z)), ()  # NaN is neither

    def backward(self, saved: tuple[()], dy: jax.Array) -> jax.Array:
        """Return dz = 0, the declared derivative."""
        return jnp.zeros_like(dy)

    def kinks(self) -> tuple[tuple[Any, Any], ...]:
        """State the derivative at the jump: 0."""
        return ((self.threshold, 0.0),)


CASES = (
    Case("ordinary", Step(), ([0.7],), [1.0]),
    Case("batch", Step(0.5), ([[-2.0, 0.4, 0.6], [1.5, 4.0, -6.0]],), [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
    Case("kink", Step(), ([0.0, -0.0],), [1.0, 1.0], [0.0, 0.0], "stated"),
    Case("kink", Step(0.5), ([0.5],), [1.0], [0.0], "stated"),
    Case("extreme", Step(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1.0, 1.0], [0.0] * 4, "definition"),
    Case("known", Step(1.5), ([0.0, 1.0, 2.0],), [0.0, 0.0, 1.0], [0.0] * 3, "McCulloch & Pitts: a and b"),
)
