"""The layers that are raced: ours, the plain forward pass in JAX with the same parameters, and PyTorch's module."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import funcnet as fn

# What backward passes alone should be at least, against that of automatic differentiation.
BACKWARD_AIMS = {"MaxPool(2)": 15, "MaxPool(3, stride=2)": 5, "Conv, depthwise": 8}


class Contest(NamedTuple):
    """One layer: its input, its plain form, and PyTorch's (torch -> module, inputs)."""

    name: str
    layer: Any
    x: Any
    plain: Callable[[Any, Any], Any]
    torch: Callable[[Any], tuple[Any, list[Any]]] | None = None
    what: str = ""
    backward: bool = False
    key: bool = False
    loop: bool = False  # raced inside a loop of one program too, as steps of training are

    @property
    def whole_numbers(self) -> bool:
        """Tell whether the input is tokens."""
        return bool(jnp.issubdtype(self.x.dtype, jnp.integer))


def contests(toy: bool) -> list[Contest]:
    """Return all contests; toy sizes keep ranks."""
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> jax.Array:
        sizes = [shape[0], *(min(size, 16) for size in shape[1:])] if toy else shape
        return jnp.asarray(rng.standard_normal(sizes, np.float32))

    batch = 2 if toy else 64
    images, sequences = floats(batch, 28, 28, 32), floats(batch, 100, 64)
    rows, width = floats(4 if toy else 1024, 768), 8 if toy else 128
    return [
        *_convolutions(images, floats(batch, 40, 25)),
        *_pools(images),
        *_norms(images, rows),
        *_sequences(sequences, width, toy, floats),
    ]


def _convolution(groups: int = 1, space: int = 2) -> Callable[[Any, Any], Any]:
    letters = "DHW"[3 - space :]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")

    def plain(params: Any, x: Any) -> Any:
        y = lax.conv_general_dilated(
            x, params["kernel"], (1,) * space, "SAME", dimension_numbers=numbers, feature_group_count=groups
        )
        return y + jnp.broadcast_to(params["bias"], y.shape)

    return plain


def _convolutions(images: jax.Array, signals: jax.Array) -> list[Contest]:
    channels, depth = images.shape[-1], signals.shape[-1]

    def transposed(params: Any, x: Any) -> Any:
        kernel = jnp.swapaxes(params["kernel"][::-1, ::-1], 2, 3)
        y = lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y + jnp.broadcast_to(params["bias"], y.shape)

    def in_torch(kind: str, like: jax.Array, window: int, **options: Any) -> Any:
        def make(torch: Any) -> Any:
            size = like.shape[-1]
            module = getattr(torch.nn, kind)(size, size, window, padding=window // 2, **options)
            return module, [_channels_first(torch, like)]

        return make

    return [
        Contest(
            "Conv(32, 3)", fn.Conv(channels, 3), images, _convolution(), in_torch("Conv2d", images, 3), _of(images)
        ),
        Contest(
            "Conv(25, 5)",
            fn.Conv(depth, 5),
            signals,
            _convolution(space=1),
            in_torch("Conv1d", signals, 5),
            _of(signals),
            loop=True,
        ),
        Contest(
            "Conv, depthwise",
            fn.Conv(channels, 3, groups=channels),
            images,
            _convolution(channels),
            in_torch("Conv2d", images, 3, groups=channels),
            f"{_of(images)}, 3 × 3, groups=32",
            backward=True,
        ),
        Contest(
            "ConvTranspose(32, 2, stride=2)",
            fn.ConvTranspose(channels, 2, stride=2),
            images[:, :14, :14],
            transposed,
            lambda torch: (
                torch.nn.ConvTranspose2d(channels, channels, 2, 2),
                [_channels_first(torch, images[:, :14, :14])],
            ),
            _of(images[:, :14, :14]),
        ),
    ]


def _pools(images: jax.Array) -> list[Contest]:
    def pool(window: int, stride: int, mean: bool = False) -> Callable[[Any, Any], Any]:
        sizes, steps = (1, window, window, 1), (1, stride, stride, 1)
        if mean:
            return lambda params, x: lax.reduce_window(x, 0.0, lax.add, sizes, steps, "VALID") / window**2
        return lambda params, x: lax.reduce_window(x, -jnp.inf, lax.max, sizes, steps, "VALID")

    def in_torch(kind: str, *arguments: Any) -> Any:
        return lambda torch: (getattr(torch.nn, kind)(*arguments), [_channels_first(torch, images)])

    what = _of(images)
    return [
        Contest("MaxPool(2)", fn.MaxPool(2), images, pool(2, 2), in_torch("MaxPool2d", 2), what, backward=True),
        Contest(
            "MaxPool(3, stride=2)",
            fn.MaxPool(3, stride=2),
            images,
            pool(3, 2),
            in_torch("MaxPool2d", 3, 2),
            what,
            backward=True,
        ),
        Contest(
            "AveragePool(2)", fn.AveragePool(2), images, pool(2, 2, True), in_torch("AvgPool2d", 2), what, backward=True
        ),
        Contest(
            "GlobalAveragePool()",
            fn.GlobalAveragePool(),
            images,
            lambda params, x: jnp.mean(x, axis=(1, 2)),
            in_torch("AdaptiveAvgPool2d", 1),
            what,
        ),
    ]


def _normal(x: Any, axes: Any, epsilon: float) -> Any:
    mean = jnp.mean(x, axes, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, axes, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + epsilon)


def _scaled(params: Any, y: Any) -> Any:
    return y * jnp.broadcast_to(params["scale"], y.shape) + jnp.broadcast_to(params["offset"], y.shape)


def _norms(images: jax.Array, rows: jax.Array) -> list[Contest]:
    channels, width = images.shape[-1], rows.shape[-1]

    def grouped(params: Any, x: Any) -> Any:
        cut = x.reshape(*x.shape[:3], 8, x.shape[3] // 8)
        return _scaled(params, _normal(cut, (1, 2, 4), 1e-5).reshape(x.shape))

    def root(params: Any, x: Any) -> Any:
        return x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * jnp.broadcast_to(params["scale"], x.shape)

    def of_images(kind: str, *arguments: Any) -> Any:
        return lambda torch: (getattr(torch.nn, kind)(*arguments), [_channels_first(torch, images)])

    def of_rows(kind: str) -> Any:
        return lambda torch: (getattr(torch.nn, kind)(width), [_tensor(torch, rows)])

    return [
        Contest(
            "BatchNorm()",
            fn.BatchNorm(),
            images,
            lambda params, x: _scaled(params, _normal(x, (0, 1, 2), 1e-5)),
            of_images("BatchNorm2d", channels),
            _of(images),
            key=True,
        ),
        Contest(
            "LayerNorm()",
            fn.LayerNorm(),
            rows,
            lambda p, x: _scaled(p, _normal(x, -1, 1e-5)),
            of_rows("LayerNorm"),
            _of(rows),
        ),
        Contest("RMSNorm()", fn.RMSNorm(), rows, root, of_rows("RMSNorm"), _of(rows)),
        Contest("GroupNorm(8)", fn.GroupNorm(8), images, grouped, of_images("GroupNorm", 8, channels), _of(images)),
    ]


def _sequences(x: jax.Array, width: int, toy: bool, floats: Any) -> list[Contest]:
    vocabulary, rng = 11 if toy else 4096, np.random.default_rng(2)
    tokens = jnp.asarray(rng.integers(0, vocabulary, x.shape[:2]))

    def in_torch(kind: str) -> Any:
        return lambda torch: (getattr(torch.nn, kind)(x.shape[-1], width, batch_first=True), [_tensor(torch, x)])

    cells = [
        Contest("RNN(128)", fn.RNN(width), x, _scan(_rnn, width, 1), in_torch("RNN"), _of(x)),
        Contest("LSTM(128)", fn.LSTM(width), x, _scan(_lstm, width, 2), in_torch("LSTM"), _of(x)),
        Contest("GRU(128)", fn.GRU(width), x, _scan(_gru, width, 1), in_torch("GRU"), _of(x)),
    ]
    table = Contest(
        "Embedding(4096, 128)",
        fn.Embedding(vocabulary, width),
        tokens,
        lambda params, x: params["table"][x],
        lambda torch: (torch.nn.Embedding(vocabulary, width), [torch.from_numpy(np.array(tokens)).long()]),
        _of(tokens),
    )
    looks = []
    for samples, time, heads, size in ((1, 2, 2, 4),) if toy else ((4, 256, 6, 64), (1, 2048, 8, 64)):
        there = floats(samples, 16 if toy else time, heads * size)
        looks.append(
            Contest(
                f"Attention({heads}, causal=True), {time} long",
                fn.Attention(heads, causal=True),
                there,
                plain_attention(heads),
                _attention_of_torch(there, heads),
                _of(there),
            )
        )
    return [table, *cells, *looks]


def _scan(cell: Any, width: int, states: int) -> Callable[[Any, Any], Any]:
    """Return the plain loop over time; the input's product is one, as a reader of Flax's manual writes it."""

    def plain(params: Any, x: Any) -> Any:
        into = x @ params["input"]
        into = into + jnp.broadcast_to(params["bias"], into.shape)
        zero = (jnp.zeros((len(x), width), x.dtype),) * states
        _, y = lax.scan(lambda state, a: cell(params, state, a), zero, jnp.swapaxes(into, 0, 1))
        return jnp.swapaxes(y, 0, 1)

    return plain


def plain_lstm(params: Any, x: Any) -> Any:
    """Return h of all steps."""
    return _scan(_lstm, params["recurrent"].shape[0], 2)(params, x)


def plain_norm(params: Any, x: Any) -> Any:
    """Return the layer normalisation of the last axis."""
    return _scaled(params, _normal(x, -1, 1e-5))


def _rnn(params: Any, state: Any, a: Any) -> Any:
    h = jnp.tanh(a + state[0] @ params["recurrent"])
    return (h,), h


def _lstm(params: Any, state: Any, a: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(a + h @ params["recurrent"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(params: Any, state: Any, a: Any) -> Any:
    (h,) = state
    inner = h @ params["recurrent"]
    inner = inner + jnp.broadcast_to(params["recurrent_bias"], inner.shape)
    (ar, az, an), (ir, iz, n) = jnp.split(a, 3, axis=-1), jnp.split(inner, 3, axis=-1)
    r, z = jax.nn.sigmoid(ar + ir), jax.nn.sigmoid(az + iz)
    h = (1 - z) * jnp.tanh(an + r * n) + z * h
    return (h,), h


def plain_attention(heads: int) -> Callable[[Any, Any], Any]:
    def plain(params: Any, x: Any) -> Any:
        def dense(name: str, x: Any) -> Any:
            y = x @ params[name]["kernel"]
            return y + jnp.broadcast_to(params[name]["bias"], y.shape)

        q, k, v = (dense(name, x).reshape(*x.shape[:2], heads, -1) for name in ("query", "key", "value"))
        return dense("output", jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape))

    return plain


def _attention_of_torch(x: jax.Array, heads: int) -> Any:
    def make(torch: Any) -> Any:
        class Block(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                width = x.shape[-1]
                self.into, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)

            def forward(self, x: Any) -> Any:
                q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in self.into(x).chunk(3, dim=-1))
                found = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                return self.out(found.transpose(1, 2).flatten(-2))

        return Block(), [_tensor(torch, x)]

    return make


def _tensor(torch: Any, x: Any) -> Any:
    return torch.from_numpy(np.array(x)).requires_grad_()


def _channels_first(torch: Any, x: Any) -> Any:
    return _tensor(torch, np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1)))


def _of(x: jax.Array) -> str:
    return " × ".join(map(str, x.shape))
