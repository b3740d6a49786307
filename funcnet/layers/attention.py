r"""Attention: each place of a sequence looks at the others, and takes a mean of what it finds there.

Forward    Q = (x W_q + b_q)/√d,   K = x W_k + b_k,   V = x W_v + b_v   cut into heads of size d
           P = softmax(Q Kᵀ) over the keys a query sees,   O = (P ∘ D) V,   y = O W_o + b_o
Backward   dO, dW_o as of a dense layer;   δᵢ = Oᵢ · dOᵢ;   dV = (P ∘ D)ᵀ dO,   dS = P ∘ ((dO Vᵀ) ∘ D − δ)
           dQ = dS K/√d,   dK = dSᵀ Q;   dx = the sum of what the three dense layers give back

Derivation. See `attending`, which computes O and its backward by blocks of queries, and never holds the matrix P: x, Q,
K, V, O and one number for each query are kept. D is dropout's mask. With `groups`, heads share keys and values: a
group's dK and dV are sums over its heads.

Shapes     x, y: (…, time, width)   W: (width, width), for keys and values (width, groups d).
           With a pair (x, lengths), lengths (…,) whole numbers: keys behind a sample's length are not seen, and y is 0
           there; the pair (y, lengths) comes out. dx is 0 behind the length.
Extremes   The bias of keys moves all scores of a query alike: its gradient is exactly 0, unless heads are turned. A
           query that sees no key gives O = 0 and no gradient. A length outside 0 … time is refused where it is known,
           and makes its sample NaN under `jit`. Sixteen bits: scores in float32.
Source     Vaswani et al. 2017, equation 1 and section 3.2.2; Ainslie et al. 2023 for groups; Dao et al. 2022.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.keys import fold
from funcnet.layers.attending import Sight, attend, attend_backward
from funcnet.layers.base import Layer, check_init, one_array_of_floats, shapes_of
from funcnet.layers.dense import Dense
from funcnet.layers.rotary import angles, turned
from funcnet.layers.sequences import (
    apart,
    blanked,
    check_steps,
    masked,
    masked_backward,
    paired,
    paired_gradient,
    parted,
    sample_apart,
    sequence,
    shape_apart,
    within,
)
from funcnet.records import Number, choice, number, part, record
from funcnet.targets import wide

NAMES = ("query", "key", "value")


@record
class Attention(Layer):
    r"""Attention of a sequence (time, width) to itself; `query`, `key`, `value`, `output` are each a dense layer's.

    Args:
        heads: how many heads share the width, a divisor of it.
        causal: whether a place sees those before it and itself alone.
        groups: how many heads of keys and values there are, a divisor of `heads`; None for as many as heads.
        rotary: whether queries and keys are turned by an angle that grows with their place.
        dropout: the rate at which weights of the mean are left out while training.
        bias: whether the four dense layers have one.
        kernel_init: how the kernels of queries, keys and values are drawn.
        output_init: how the kernel of the output is drawn.

    Raises:
        ValueError: for heads that do not divide the width, groups that do not divide the heads, an odd size of heads
            with `rotary`.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.Attention(4, causal=True)
    >>> params = layer.init(jax.random.key(0), (10, 32))
    >>> print(layer.apply(params, jnp.ones((2, 10, 32))).shape, sorted(params))
    (2, 10, 32) ['key', 'output', 'query', 'value']

    """

    heads: int = choice(at_least=1)
    causal: bool = choice(default=False, options=(False, True), kw_only=True)
    groups: int | None = choice(default=None, kw_only=True)
    rotary: bool = choice(default=False, options=(False, True), kw_only=True)
    dropout: Number = number(default=0.0, at_least=0, below=1, kw_only=True)
    bias: bool = choice(default=True, options=(False, True), kw_only=True)
    kernel_init: Any = part(default=None, kw_only=True)
    output_init: Any = part(default=None, kw_only=True)

    def __post_init__(self) -> None:
        whole = self.groups is None or (isinstance(self.groups, int) and not isinstance(self.groups, bool))
        if not whole or (self.groups is not None and (self.groups < 1 or self.heads % self.groups)):
            must = f"Attention.groups must be None or a divisor of the {self.heads} heads"
            raise_error(must, f"got {self.groups!r:.40}", "groups=1 for one head of keys and values")

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input, a pair's if it is a pair."""
        width = check_steps(shape_apart(in_shape, "Attention")[0], "Attention")[-1]
        if width % self.heads:
            attempt = "heads among the divisors of the width"
            raise_error(f"the width must be a multiple of the {self.heads} heads", f"got {width}", attempt)
        if self.rotary and width // self.heads % 2:
            arrived = f"{width}/{self.heads} = {width // self.heads}"
            raise_error("heads must be of an even size to be turned", arrived, "a width of 2 · heads · a whole number")
        return in_shape

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array (time, width) of floats, alone or beside its length."""
        one_array_of_floats(sample_apart(samples, "Attention"), "Attention")
        self.out_shape(shapes_of(samples))

    def check_values(self, x: Any) -> None:
        """Raise for lengths that the steps do not have."""
        parted(x, "Attention")

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, Any]:
        """Draw the parameters of the four dense layers."""
        check_init(key, in_shape)
        shape, _ = shape_apart(self.out_shape(in_shape), "Attention")
        layers = self.layers(shape[-1])
        return {name: layer.init(fold(key, i), shape, dtype) for i, (name, layer) in enumerate(layers.items())}

    def layers(self, width: int) -> dict[str, Dense]:
        """Return the four dense layers for a width."""
        inner = width // self.heads * (self.groups or self.heads)
        first = {"bias": self.bias, "kernel_init": self.kernel_init}
        return {
            "query": Dense(width, **first),
            "key": Dense(inner, **first),
            "value": Dense(inner, **first),
            "output": Dense(width, bias=self.bias, kernel_init=self.output_init),
        }

    def split(self, q: jax.Array, k: jax.Array, v: jax.Array, table: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Cut into heads, turn, and scale the queries: (samples, time, groups[, heads of a group], size)."""
        size, groups = q.shape[-1] // self.heads, self.groups or self.heads
        q = q.reshape(*q.shape[:2], groups, self.heads // groups, size)
        k, v = (a.reshape(*a.shape[:2], groups, size) for a in (k, v))
        if table is not None:
            q, k = turned(q, table), turned(k, table)
        return q * jnp.asarray(size**-0.5, q.dtype), k, v

    def table(self, places: int, width: int, dtype: Any) -> Any:
        """Return the angles of the places, None unless heads are turned."""
        return angles(places, width // self.heads, wide(dtype)) if self.rotary else None

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return y, and x, Q, K, V, O, log Σ exp S: scores are computed again, since they are time² numbers."""
        x, lengths = parted(x, "Attention")
        x = sequence(x, "Attention")
        shape, each = x.shape, None if lengths is None else lengths.reshape(-1)
        self.out_shape(shape[-2:])
        x = x.reshape(math.prod(shape[:-2]), *shape[-2:])
        x = x if each is None else blanked(x, within(each, shape[-2]))
        layers, sight = self.layers(shape[-1]), Sight(self.causal, each, self.dropout, key)
        q, k, v = (layers[name].forward(params[name], x)[0] for name in NAMES)
        q, k, v = self.split(q, k, v, self.table(shape[-2], shape[-1], x.dtype))
        o, log = attend(q, k, v, sight)
        y = layers["output"].forward(params["output"], o.reshape(x.shape))[0].reshape(shape)
        return paired(masked(y, lengths), lengths), (x, lengths, key, q, k, v, o, log)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[dict[str, Any], Any]:
        """Return the gradients of the four dense layers and dx; None for lengths."""
        x, lengths, key, q, k, v, o, log = saved
        dy = masked_backward(apart(dy), lengths)
        shape, each = dy.shape, None if lengths is None else lengths.reshape(-1)
        dy = dy.reshape(x.shape)
        layers, sight = self.layers(x.shape[-1]), Sight(self.causal, each, self.dropout, key)
        dparams = {}
        dparams["output"], do = layers["output"].backward(params["output"], o.reshape(x.shape), dy)
        dq, dk, dv = attend_backward(q, k, v, o, log, do.reshape(o.shape), sight)
        dq = dq * jnp.asarray(q.shape[-1] ** -0.5, dq.dtype)
        if self.rotary:
            table = self.table(x.shape[1], x.shape[2], x.dtype)
            dq, dk = turned(dq, table, back=True), turned(dk, table, back=True)
        dx = jnp.zeros_like(x)
        for name, da in zip(NAMES, (dq, dk, dv), strict=True):
            dparams[name], own = layers[name].backward(params[name], x, da.reshape(*x.shape[:2], -1))
            dx = dx + own
        if self.bias and not self.rotary:
            # It moves all scores of a query alike, and the softmax not at all; the sum would be rounding, which Adam
            # takes for a direction.
            dparams["key"]["bias"] = jnp.zeros_like(dparams["key"]["bias"])
        return dparams, paired_gradient(masked_backward(dx.reshape(shape), lengths), lengths)


def _dense(rows: Any, bias: Any) -> dict[str, Any]:
    return {"kernel": rows, "bias": bias}


_P = {
    "query": _dense([[0.5, -1.0], [1.5, 0.25]], [0.1, -0.2]),
    "key": _dense([[0.7, 0.4], [-0.3, 0.9]], [0.0, 0.3]),
    "value": _dense([[1.0, -0.6], [0.2, 0.8]], [-0.1, 0.2]),
    "output": _dense([[0.3, 1.1], [-0.9, 0.6]], [0.4, -0.3]),
}
_ONE = {name: {"kernel": p["kernel"]} for name, p in _P.items()}
_ONE |= {"key": {"kernel": [[0.7], [-0.3]]}, "value": {"kernel": [[1.0], [0.8]]}}
_X = [[[1.0, 2.0], [-0.5, 0.3], [0.6, -1.0]], [[0.7, 0.7], [0.2, -0.6], [-1.2, 0.4]]]
_I = {"kernel": [[1.0]]}
CASES = (
    Case("ordinary", Attention(1), (_P, [[[1.0, 2.0], [-0.5, 0.3]]])),
    Case("batch", Attention(1, causal=True, rotary=True), (_P, _X)),
    Case("batch", Attention(2, groups=1, dropout=0.3, bias=False), (_ONE, _X, 7)),
    Case("batch", Attention(2, causal=True), (_P, ([*_X, _X[0]], [2, 0, 3]))),
    Case("extreme", Attention(1), (_P, [[[1e4, -1e4], [0.0, 0.0]]])),
    Case(
        "known",
        Attention(1, bias=False),
        ({"query": _I, "key": {"kernel": [[0.0]]}, "value": _I, "output": {"kernel": [[2.0]]}}, [[[1.0], [3.0]]]),
        [[[4.0], [4.0]]],
        (
            {
                "query": {"kernel": [[0.0]]},
                "key": {"kernel": [[8.0]]},
                "value": {"kernel": [[8.0]]},
                "output": {"kernel": [[4.0]]},
            },
            [[[2.0], [2.0]]],
        ),
        "keys of 0: plain means; dV = 2, dK = ∓4",
    ),
)
