r"""Long short-term memory: a recurrent layer whose cell adds, so that derivatives need not shrink.

Forward    (aᵢ, a_f, a_g, a_o) = xₜ W + hₜ₋₁ U + b;   i, f, o = σ(aᵢ), σ(a_f), σ(a_o),   g = tanh a_g
           cₜ = f cₜ₋₁ + i g,   hₜ = o tanh cₜ,   h₀ = c₀ = 0
Backward   dc += dh o (1 − tanh² c)
           δᵢ = dc g i (1 − i),   δ_f = dc c₋ f (1 − f),   δ_g = dc i (1 − g²),   δ_o = dh tanh c · o (1 − o)
           dc₋ = dc f,   dh₋ = δ Uᵀ, to which dyₜ₋₁ is added

Derivation. cₜ reaches the loss by hₜ and by cₜ₊₁: dcₜ = dhₜ oₜ tanh′(cₜ) + fₜ₊₁ dcₜ₊₁. Each gate is a factor of cₜ or
hₜ: its derivative is the other factor times σ′ or tanh′. From there on it is the dense layer. Along c the derivative is
multiplied by f alone: with f near 1 it lives long, which is why the bias of f starts at 1.

One bias: the two of cuDNN are their sum. See `recurring` for the loops, lengths and shapes.

Extremes   σ′ and tanh′ are made from σ(−|a|), which does not round to 0: a gate that is shut still learns. c is
           not bounded: it grows by 1 a step at most.
Source     Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000 for f; Jozefowicz et al. 2015 for its bias.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.layers.conv import numbers
from funcnet.layers.gates import gate, gate_slope, tail, tanh_slope
from funcnet.layers.recurring import Recurrent, State
from funcnet.layers.sequences import paired
from funcnet.records import Number, number, record


@record
class LSTM(Recurrent):
    r"""A recurrent layer with a cell and three gates; `{"input": W, "recurrent": U, "bias": b}`, gates i f g o.

    Args:
        width: numbers in h, and in c.
        sequence: whether y holds every step, (…, time, width), or the last one alone, (…, width).
        reverse: whether the steps are read from the last to the first; yₜ stands where xₜ stands.
        forget_bias: what the bias of f starts with, beside `bias_init`; 1 unless told otherwise.
        input_init: how the kernel of each gate in W begins.
        recurrent_init: how the kernel of each gate in U begins.
        bias_init: how b begins.

    Raises:
        ValueError, TypeError: for inputs without time and features, and lengths that the steps do not have; under
            `jit` these make their sample NaN.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.LSTM(4)
    >>> params = layer.init(jax.random.key(0), (10, 3))
    >>> print(params["input"].shape, params["bias"][4:8], layer.apply(params, jnp.ones((2, 10, 3))).shape)
    (3, 16) [1. 1. 1. 1.] (2, 10, 4)

    """

    forget_bias: Number = number(default=1.0, kw_only=True)

    blocks: ClassVar[int] = 4
    parts: ClassVar[int] = 2

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the kernels and the bias, that of f with `forget_bias` added."""
        params = super().init(key, in_shape, dtype)
        forget = (jnp.arange(4 * self.width) // self.width == 1).astype(params["bias"].dtype)
        params["bias"] = params["bias"] + forget * jnp.asarray(self.forget_bias, forget.dtype)
        return params

    def advance(self, params: Any, a: jax.Array, state: State) -> tuple[State, Any]:
        """Return h and c, and a of all gates."""
        h, c = state
        a = a + h @ params["recurrent"]
        i, f, _, o = jnp.split(jax.nn.sigmoid(a), 4, axis=-1)  # one pass over all four is faster than three
        c = f * c + i * jnp.tanh(a[..., 2 * self.width : 3 * self.width])
        return (o * jnp.tanh(c), c), a

    def slopes(self, kept: Any, before: State, after: State) -> Any:
        """Return those of δ by dc and, for o, by dh; and those of dc by dh, and of dc₋ by dc."""
        (_, c_before), (c,) = before, after
        i, f, g, o = jnp.split(kept, 4, axis=-1)
        i, f, o = tail(i), tail(f), tail(o)
        # h = σ(o) tanh(c);  c = σ(f) c₋ + σ(i) tanh(g)
        each = (
            jnp.tanh(g) * gate_slope(i),
            c_before * gate_slope(f),
            gate(i) * tanh_slope(g),
            jnp.tanh(c) * gate_slope(o),
        )
        return jnp.concatenate(each, axis=-1), gate(o) * tanh_slope(c), gate(f)

    def retreat(self, back: jax.Array, slopes: Any, dstate: State) -> tuple[Any, State]:
        """Return δ by a, dh₋ = δ Uᵀ and dc₋ = dc f."""
        (dh, dc), (each, through, f) = dstate, slopes
        dc = dc + dh * through
        delta = each * jnp.concatenate([dc, dc, dc, dh], axis=-1)
        return delta, (delta @ back, dc * f)


def _case(rule: LSTM, *shape: int, lengths: Any = None) -> Case:
    params = {"input": numbers(shape[-1], 4 * rule.width), "recurrent": numbers(rule.width, 4 * rule.width)}
    return Case("batch", rule, (params | {"bias": numbers(4 * rule.width)}, paired(numbers(*shape), lengths)))


_HALF = 0.5493061443340549  # tanh⁻¹ ½
_ONE = {"input": [[0.7, -0.4, 1.2, 0.3]], "recurrent": [[-0.6, 0.9, 0.5, -0.2]], "bias": [0.1, 1.0, -0.3, 0.2]}
_STILL = {"input": [[0.0] * 4], "recurrent": [[0.0] * 4], "bias": [0.0, 0.0, _HALF, 0.0]}
CASES = (
    _case(LSTM(3), 2, 4, 2),
    _case(LSTM(2, sequence=False, reverse=True), 4, 3, 3, lengths=[2, 0, 3, 1]),
    Case("ordinary", LSTM(1), (_ONE, [[0.3], [-1.2]])),
    Case("extreme", LSTM(1), (_ONE, [[[1e4], [-1e4], [1e4]]])),
    Case(
        "known",
        LSTM(1, sequence=False),
        (_STILL, [[[1.0], [2.0]]]),
        [[0.5 * 0.3583573983507859]],
        None,
        "gates ½ and g ½: c = ¼, then ⅜; h = ½ tanh ⅜",
    ),
)
