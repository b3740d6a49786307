r"""Convolution in one, two or three dimensions: the same small kernel at every place.

Forward    y[p] = Σₜ x⁺[p s + t d] W[t] + b       per axis: t a tap, p a place, x⁺ = x with zeros around
Backward   dW[t] = Σ x⁺[p s + t d]ᵀ dy[p]          over samples and places
           dx[q] = Σₜ dy[(q + lo − t d)/s] W[t]ᵀ   over the taps for which that is a place
           db    = Σ dy                            over samples and places

Derivation. y is linear in x and in W. Tap t of place p reads q = p s + t d − lo: dy[p] arrives there through W[t], and
x⁺[q] is what W[t] was multiplied by; each is summed over all pairs that meet. `convolving` says why both sums are
convolutions again. x alone is saved: patches of it (im2col) are k² times as large, and slower.

The kernel is not turned round ("cross-correlation"), as in every library. With groups, group j reads its share of the
channels and writes its share of the features.

Shapes     x: (samples, *space, in)   y: (samples, *places, features)
           W: (*window, in/groups, features)   b: (features,)
Source     LeCun et al. 1998, section II; Dumoulin & Visin 2016.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import check_floating, describe, raise_error
from funcnet.keys import fold
from funcnet.layers.base import Layer, Shape
from funcnet.layers.convolving import PLAIN, Products
from funcnet.layers.initializers import Filled, drawn_bias, initializer_for
from funcnet.layers.windows import Windows, check_channels_last, check_numbers, check_padding, check_space, windows
from funcnet.records import choice, part, record, replace


@record
class Conv(Layer):
    r"""A convolution over all axes of a sample but the last, which holds the channels; `{"kernel": W, "bias": b}`.

    Args:
        features: channels of the output.
        window: taps along every axis, or a tuple with a number for each.
        stride: how far one window lies from the next.
        padding: "same" (an even window reaches one further to the end), "valid", "causal" for one axis, or pairs.
        dilation: how far one tap lies from the next.
        groups: into how many groups the channels fall that do not see each other.
        bias: whether a bias is added.
        kernel_init: how W begins; None for what fits the activation behind it (He for ReLU, Glorot or LeCun
            else).
        bias_init: how b begins.

    Raises:
        ValueError: for windows larger than the padded input, groups that do not divide, channels that come first.

    >>> import jax, funcnet as fn
    >>> layer = fn.Conv(8, 3, stride=2)
    >>> print(layer.out_shape((28, 28, 1)), layer.init(jax.random.key(0), (28, 28, 1))["kernel"].shape)
    (14, 14, 8) (3, 3, 1, 8)

    """

    features: int = choice(at_least=1)
    window: Any = choice()
    stride: Any = choice(default=1, kw_only=True)
    padding: Any = choice(default="same", kw_only=True)
    dilation: Any = choice(default=1, kw_only=True)
    groups: int = choice(default=1, at_least=1, kw_only=True)
    bias: bool = choice(default=True, options=(False, True), kw_only=True)
    kernel_init: Any = part(default=None, kw_only=True)
    bias_init: Any = part(default=Filled(0.0), kw_only=True)

    products: ClassVar[Products] = PLAIN  # the lanes of a sweep have others

    def __post_init__(self) -> None:
        for name in ("window", "stride", "dilation"):
            check_numbers(vars(self)[name], f"Conv.{name}")
        check_padding(self.padding, "Conv.padding", "same", "valid", "causal")
        if self.features % self.groups:
            arrived = f"got {self.features} for {self.groups} groups"
            raise_error("the features of Conv must be a multiple of its groups", arrived, "features that divide evenly")

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array of floats, with its channels in the last axis."""
        super().check_input(samples)
        check_channels_last(tuple(samples.shape), self.window, "Conv")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the places of the window in each axis, and the features."""
        check_space(in_shape, "Conv")
        if in_shape[-1] % self.groups:
            must = f"the channels of the input must be a multiple of the {self.groups} groups of Conv"
            arrived = f"the last axis has {in_shape[-1]}, channels come last"
            raise_error(must, arrived, "np.moveaxis(x, 1, -1), or groups=1")
        return (*self.frame(in_shape[:-1]).places, self.features)

    def frame(self, space: Shape) -> Windows:
        """Lay the windows over a space."""
        return windows(self.window, self.stride, self.padding, self.dilation, space, "Conv")

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the kernel (*window, in/groups, features) and the bias (features)."""
        self.out_shape(in_shape)
        draw = self.kernel_init or initializer_for(None)
        shape = (*self.frame(in_shape[:-1]).window, in_shape[-1] // self.groups, self.features)
        params = {"kernel": draw(key, shape, dtype)}
        if self.bias:
            params["bias"] = drawn_bias(self.bias_init, fold(key, 1), (self.features,), shape, dtype)
        return params

    def feeding(self, activation: Any) -> "Conv":
        """Let the kernel suit the activation behind it, unless its initializer was chosen."""
        return self if self.kernel_init else replace(self, {"kernel_init": initializer_for(activation)})

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the convolution plus b, and x, which dW needs."""
        x, kernel = images(x, params["kernel"], self.groups, "Conv"), params["kernel"]
        y = self.products.correlate(x, kernel, self.frame(x.shape[1:-1]), self.groups)
        return (y + jnp.broadcast_to(params["bias"], y.shape) if self.bias else y), x

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dW, db and dx, each of them a convolution or a sum."""
        x = saved
        frame = self.frame(x.shape[1:-1])
        # y = correlate(x, kernel) + bias
        dparams = {"kernel": self.products.to_kernel(x, dy, frame, self.groups)}
        if self.bias:
            dparams["bias"] = jnp.sum(dy, axis=tuple(range(dy.ndim - 1)))
        return dparams, self.products.to_input(dy, params["kernel"], frame, self.groups)


def images(x: Any, kernel: jax.Array, groups: int, label: str, axis: int = -2) -> jax.Array:
    """Return x as an array, if it is a batch of samples as the kernel takes them: its `axis` counts their channels."""
    check_floating(x, f"the input of {label}")
    x, channels = jnp.asarray(x), kernel.shape[axis] * groups
    if x.ndim != kernel.ndim or x.shape[-1] != channels:
        last = f"the last axis has {x.shape[-1]}, channels come last" if x.ndim == kernel.ndim else f"got {describe(x)}"
        must = f"the input of {label} must have {kernel.ndim} axes, the last of {channels} channels"
        attempt = "np.moveaxis(x, 1, -1) if channels come first, or parameters made for this input"
        if x.ndim < kernel.ndim:
            attempt = "x[None] for a single sample, x[..., None] for samples without an axis of channels"
        raise_error(must, last, attempt)
    if x.dtype != kernel.dtype:
        must, attempt = "input and kernel must have the same dtype", "x.astype(kernel.dtype)"
        raise_error(must, f"got {x.dtype} and {kernel.dtype}", attempt, TypeError)
    return x


def numbers(*shape: int) -> list[Any]:
    """Return nested lists of numbers between −1.5 and 1.5, all different for the first 37 of them."""
    count = 1
    for size in shape:
        count *= size
    array: Any = [((14 * i + 5) % 37 - 18) / 12 for i in range(count)]
    for size in reversed(shape[1:]):
        array = [array[i : i + size] for i in range(0, len(array), size)]
    return list(array)


def _case(kind: str, rule: Conv, channels: int, *shape: int, window: tuple[int, ...]) -> Case:
    kernel = numbers(*window, channels // rule.groups, rule.features)
    params = {"kernel": kernel} | ({"bias": numbers(rule.features)} if rule.bias else {})
    return Case(kind, rule, (params, numbers(*shape, channels)))


_UNEVEN = ((0, 2), (1, 0))
CASES = (
    _case("ordinary", Conv(3, 2), 2, 1, 5, window=(2,)),
    _case("batch", Conv(3, 4, padding="causal", dilation=2), 2, 3, 7, window=(4,)),
    _case("batch", Conv(4, 3, stride=3, padding="valid", groups=2, bias=False), 6, 2, 9, window=(3,)),
    _case("batch", Conv(3, (3, 2), stride=(2, 3), padding=_UNEVEN, dilation=(1, 2)), 2, 2, 6, 7, window=(3, 2)),
    _case("batch", Conv(6, (2, 3), stride=2, groups=2), 4, 3, 4, 5, window=(2, 3)),
    _case("batch", Conv(3, (3, 2), stride=(1, 2), dilation=(2, 1), groups=3), 3, 2, 5, 6, window=(3, 2)),
    _case("batch", Conv(2, (2, 3, 1), stride=(2, 1, 3)), 3, 2, 3, 4, 5, window=(2, 3, 1)),
    Case("extreme", Conv(1, 1, bias=False), ({"kernel": [[[1.0]]]}, [[[1e30], [-1e30]]]), [[[1e30], [-1e30]]]),
    Case(
        "known",
        Conv(1, 3),
        ({"kernel": [[[1.0]], [[2.0]], [[-1.0]]], "bias": [0.5]}, [[[1.0], [2.0], [4.0]]]),
        [[[0.5], [1.5], [10.5]]],
        ({"kernel": [[[3.0]], [[7.0]], [[6.0]]], "bias": [3.0]}, [[[3.0], [2.0], [1.0]]]),
        "2·1 − 2, 1 + 2·2 − 4, 2 + 2·4; the taps see 0 1 2, 1 2 4, 2 4 0",
    ),
)
