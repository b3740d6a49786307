r"""The transposed convolution: the adjoint of a convolution, from its places back to its space.

Forward    y[q] = Σₜ x[(q + lo − t)/s] W[t]ᵀ + b   per axis: over the taps t for which that is a place of x
Backward   dx[p] = Σₜ dy⁺[p s + t] W[t]            the convolution itself
           dW[t] = Σ dy⁺[p s + t]ᵀ x[p]            over samples and places
           db    = Σ dy                            over samples and places

Derivation. Take the convolution C with this kernel that reads a large y and gives a small x. Its backward pass applies
Cᵀ: that is this layer's forward pass, with x in the place of a gradient. The transpose of Cᵀ is C, so this layer's
backward pass is that convolution of dy; and W, in which both are linear, meets the same pairs (y's number, x's number).
⟨C v, x⟩ = ⟨v, Cᵀ x⟩ for all v and x: the tests say so.

Sizes      of an axis of n numbers, s apart, k taps: "same" n s; "valid" (n − 1) s + k; a pair (lo, hi) crops that.
Shapes     x: (samples, *space, in)   y: (samples, *larger space, features)
           W: (*window, features, in), that of the convolution it transposes   b: (features,)
Source     Zeiler et al. 2010; Dumoulin & Visin 2016, chapter 4. PyTorch and Keras transpose likewise; Flax does not
           turn the kernel round unless `transpose_kernel=True`.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.keys import fold
from funcnet.layers.base import Layer, Shape
from funcnet.layers.conv import images, numbers
from funcnet.layers.convolving import PLAIN, Products
from funcnet.layers.initializers import Filled, drawn_bias, initializer_for
from funcnet.layers.windows import Windows, check_channels_last, check_numbers, check_padding, check_space, each_axis
from funcnet.records import choice, part, record, replace


@record
class ConvTranspose(Layer):
    r"""The adjoint of a convolution, with parameters `{"kernel": W, "bias": b}`.

    Args:
        features: channels of the output.
        window: taps along every axis, or a tuple with a number for each.
        stride: by how much each axis grows.
        padding: "same" (n numbers become n times the stride), "valid", or pairs that crop.
        bias: whether a bias is added.
        kernel_init: how W begins; None for what fits the activation behind it (He for ReLU, Glorot or LeCun
            else).
        bias_init: how b begins.

    Raises:
        ValueError: for pairs that crop everything, and channels that come first.

    >>> import jax, funcnet as fn
    >>> layer = fn.ConvTranspose(8, 3, stride=2)
    >>> print(layer.out_shape((7, 7, 16)), layer.init(jax.random.key(0), (7, 7, 16))["kernel"].shape)
    (14, 14, 8) (3, 3, 8, 16)

    """

    features: int = choice(at_least=1)
    window: Any = choice()
    stride: Any = choice(default=1, kw_only=True)
    padding: Any = choice(default="same", kw_only=True)
    bias: bool = choice(default=True, options=(False, True), kw_only=True)
    kernel_init: Any = part(default=None, kw_only=True)
    bias_init: Any = part(default=Filled(0.0), kw_only=True)

    products: ClassVar[Products] = PLAIN  # the lanes of a sweep have others

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            check_numbers(vars(self)[name], f"ConvTranspose.{name}")
        check_padding(self.padding, "ConvTranspose.padding", "same", "valid")

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array of floats, with its channels in the last axis."""
        super().check_input(samples)
        check_channels_last(tuple(samples.shape), self.window, "ConvTranspose")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the larger space, and the features."""
        check_space(in_shape, "ConvTranspose")
        return (*self._frame(in_shape[:-1]).space, self.features)

    def _frame(self, places: Shape) -> Windows:
        """Lay the windows of the convolution that gives these places."""
        rank = len(places)
        wide = each_axis(self.window, rank, "ConvTranspose.window")
        steps = each_axis(self.stride, rank, "ConvTranspose.stride")
        beyond = [max(k - s, 0) for k, s in zip(wide, steps, strict=True)]
        if self.padding == "same":
            pads = [(b // 2, b - b // 2) for b in beyond]
            space = [n * s for n, s in zip(places, steps, strict=True)]
        else:
            pads = [(0, 0)] * rank if self.padding == "valid" else list(self.padding)
            if len(pads) != rank:
                must = f"ConvTranspose.padding must be a pair for each of the {rank} axes"
                raise_error(must, f"got {len(pads)}", f"padding={((1, 1),) * rank}")
            each = zip(places, wide, steps, pads, strict=True)
            space = [max(n - 1, 0) * s + k - lo - hi for n, k, s, (lo, hi) in each]
        if min(*places, *space) < 1:
            must = "ConvTranspose must have numbers to read and to give"
            raise_error(must, f"{places} would become {tuple(space)}", 'less padding, or padding="same"')
        return Windows(wide, steps, (1,) * rank, tuple(pads), tuple(space), tuple(places))

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the kernel (*window, features, in) and the bias (features)."""
        self.out_shape(in_shape)
        draw = self.kernel_init or initializer_for(None)
        window = each_axis(self.window, len(in_shape) - 1, "ConvTranspose.window")
        shape = (*window, in_shape[-1], self.features)  # in × out, as initializers count them
        params = {"kernel": jnp.swapaxes(draw(key, shape, dtype), -1, -2)}
        if self.bias:
            params["bias"] = drawn_bias(self.bias_init, fold(key, 1), (self.features,), shape, dtype)
        return params

    def feeding(self, activation: Any) -> "ConvTranspose":
        """Let the kernel suit the activation behind it, unless its initializer was chosen."""
        return self if self.kernel_init else replace(self, {"kernel_init": initializer_for(activation)})

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the transposed convolution plus b, and x, which dW needs."""
        x = images(x, params["kernel"], 1, "ConvTranspose", axis=-1)
        y = self.products.to_input(x, params["kernel"], self._frame(x.shape[1:-1]), 1)
        return (y + jnp.broadcast_to(params["bias"], y.shape) if self.bias else y), x

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dW, db and dx, which is the convolution of dy."""
        x = saved
        frame = self._frame(x.shape[1:-1])
        # y = to_input(x, kernel) + bias
        dparams = {"kernel": self.products.to_kernel(dy, x, frame, 1)}
        if self.bias:
            dparams["bias"] = jnp.sum(dy, axis=tuple(range(dy.ndim - 1)))
        return dparams, self.products.correlate(dy, params["kernel"], frame, 1)


def _case(kind: str, rule: ConvTranspose, channels: int, *shape: int, window: tuple[int, ...]) -> Case:
    params = {"kernel": numbers(*window, rule.features, channels)}
    params |= {"bias": numbers(rule.features)} if rule.bias else {}
    return Case(kind, rule, (params, numbers(*shape, channels)))


CASES = (
    _case("ordinary", ConvTranspose(3, 2), 2, 1, 4, window=(2,)),
    _case("batch", ConvTranspose(2, 4, stride=3), 3, 2, 5, window=(4,)),
    _case("batch", ConvTranspose(3, (2, 3), stride=(3, 2), bias=False), 2, 2, 3, 4, window=(2, 3)),
    _case("batch", ConvTranspose(2, (3, 2), stride=(2, 1), padding="valid"), 4, 3, 2, 3, window=(3, 2)),
    _case("batch", ConvTranspose(2, (3, 4), stride=2, padding=((1, 0), (0, 2))), 3, 2, 3, 2, window=(3, 4)),
    Case(
        "known",
        ConvTranspose(1, 3, stride=2, padding="valid"),
        ({"kernel": [[[1.0]], [[2.0]], [[-1.0]]], "bias": [0.5]}, [[[3.0], [4.0]]]),
        [[[3.5], [6.5], [1.5], [8.5], [-3.5]]],
        ({"kernel": [[[7.0]], [[7.0]], [[7.0]]], "bias": [5.0]}, [[[2.0], [2.0]]]),
        "3·(1, 2, −1) from 0 on and 4·(1, 2, −1) from 2 on",
    ),
)
