r"""The simple recurrent layer: a dense layer of the input and of its own last output.

Forward    aₜ = xₜ W + hₜ₋₁ U + b,   hₜ = φ(aₜ),   h₀ = 0
Backward   δₜ = φ′(aₜ) dhₜ,   dhₜ₋₁ = dyₜ₋₁ + δₜ Uᵀ
           dW = Σ xₜᵀ δₜ,  dU = Σ hₜ₋₁ᵀ δₜ,  db = Σ δₜ,  dxₜ = δₜ Wᵀ

Derivation. hₜ₋₁ enters aₜ by U, and the loss by yₜ₋₁: both derivatives add up. The rest is the dense layer's, summed
over steps as over samples, since W, U and b are the same in each. See `recurring` for the loops, lengths and shapes.

Source     Elman 1990; Werbos 1990.
"""

from typing import Any

import jax

from funcnet.activations.relu import ReLU
from funcnet.activations.sigmoid import Sigmoid
from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.layers.activate import Activate, as_layer
from funcnet.layers.conv import numbers
from funcnet.layers.recurring import Recurrent, State
from funcnet.layers.sequences import paired
from funcnet.records import part, record


@record
class RNN(Recurrent):
    r"""φ(x W + h U + b) from step to step; `{"input": W, "recurrent": U, "bias": b}`.

    Args:
        width: numbers in h.
        activation: φ.
        sequence: whether y holds every step, (…, time, width), or the last one alone, (…, width).
        reverse: whether the steps are read from the last to the first; yₜ stands where xₜ stands.
        input_init: how W begins.
        recurrent_init: how U begins.
        bias_init: how b begins.

    Raises:
        ValueError, TypeError: for inputs without time and features, and lengths that the steps do not have; under
            `jit` these make their sample NaN.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.RNN(4, sequence=False)
    >>> params = layer.init(jax.random.key(0), (10, 3))
    >>> x, lengths = jnp.ones((2, 10, 3)), jnp.asarray([7, 0])
    >>> print(layer.apply(params, x).shape, layer.apply(params, (x, lengths))[1])
    (2, 4) [0. 0. 0. 0.]

    """

    activation: Any = part(default=Tanh())

    def __post_init__(self) -> None:
        adopted = as_layer(self.activation)
        if not isinstance(adopted, Activate):
            arrived = f"got {describe(self.activation)}"
            raise_error("the activation of RNN must be one", arrived, "fn.RNN(64, fn.tanh)", TypeError)
        object.__setattr__(self, "activation", adopted.activation)

    def advance(self, params: Any, a: jax.Array, state: State) -> tuple[State, Any]:
        """Return h = φ(a + h₋ U), and what φ saved."""
        (before,) = state
        h, kept = self.activation.forward(a + before @ params["recurrent"])
        return (h,), kept

    def retreat(self, back: jax.Array, slopes: Any, dstate: State) -> tuple[Any, State]:
        """Return δ = φ′ dh, and dh₋ = δ Uᵀ; φ may be one that looks at all units of a step."""
        delta = self.activation.backward(slopes, dstate[0])
        return delta, (delta @ back,)


def _case(rule: RNN, *shape: int, lengths: Any = None) -> Case:
    params = {"input": numbers(shape[-1], rule.width), "recurrent": numbers(rule.width, rule.width)}
    return Case("batch", rule, (params | {"bias": numbers(rule.width)}, paired(numbers(*shape), lengths)))


_ONE = {"input": [[2.0]], "recurrent": [[0.5]], "bias": [1.0]}
CASES = (
    _case(RNN(3), 2, 4, 2),
    _case(RNN(2, sequence=False, reverse=True), 4, 3, 3, lengths=[2, 0, 3, 1]),
    Case("ordinary", RNN(1, Sigmoid()), (_ONE, [[0.3], [-1.2]])),
    Case("extreme", RNN(1), (_ONE, [[[1e30], [-1e30], [1e30]]]), [[[1.0], [-1.0], [1.0]]]),
    Case(
        "known",
        RNN(1, ReLU()),
        (_ONE, [[[1.0], [-1.0], [2.0]]]),
        [[[3.0], [0.5], [5.25]]],
        (
            {"input": [[1.0 * 1.75 - 1.5 + 2.0]], "recurrent": [[3.0 * 1.5 + 0.5]], "bias": [4.25]},
            [[[3.5], [3.0], [2.0]]],
        ),
        "2·1 + 1; −2 + 1.5 + 1; 4 + 0.25 + 1; δ = 1 + ½ 1.5, 1 + ½, 1",
    ),
)
