r"""Convolutions of many lanes: one lane after the other, each as a product of windows laid side by side.

Mapped over lanes that have a kernel each, a convolution becomes one with a group for each lane, for which a CPU has no
fast form. Here `vmap` makes a loop over the lanes instead; within it each lane's windows fit the cache. On other
platforms the mapped convolution stays. Without lanes the layer computes what the one inside computes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from funcnet.layers.base import Layer, Shape
from funcnet.layers.conv import Conv, images
from funcnet.layers.convolving import correlate, spread, to_input, to_kernel, turned
from funcnet.layers.unfolding import correlate_unfolded, padded, to_kernel_unfolded
from funcnet.records import children, is_record, part, rebuilt, record


@record
class SideBySide(Layer):
    r"""A convolution without groups as a sweep's lanes compute it; parameters, shapes and values are the layer's.

    >>> import jax, funcnet as fn
    >>> layer = SideBySide(fn.Conv(8, 3))
    >>> layer.init(jax.random.key(0), (10, 2))["kernel"].shape
    (3, 2, 8)
    """

    layer: Conv = part()

    @property
    def spreads(self) -> bool:
        """Tell what the convolution tells."""
        return self.layer.spreads

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of one output sample."""
        return self.layer.out_shape(in_shape)

    def init(self, key: jax.Array, in_shape: Shape, dtype: Any = None) -> Any:
        """Draw what the convolution draws."""
        return self.layer.init(key, in_shape, dtype)

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the convolution plus b, and x, which dW needs."""
        x = images(x, params["kernel"], 1, "Conv")
        frame = self.layer.frame(x.shape[1:-1])
        y = _in_lanes(
            lambda x, kernel: correlate(x, kernel, frame, 1),
            lambda x, kernel: correlate_unfolded(padded(x, frame), kernel, frame),
        )(x, params["kernel"])
        return (y + jnp.broadcast_to(params["bias"], y.shape) if self.layer.bias else y), x

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return dW, db and dx."""
        x, kernel = saved, params["kernel"]
        frame = self.layer.frame(x.shape[1:-1])
        inward = frame._replace(stride=(1,) * len(frame.space), places=frame.space)
        # y = correlate(x, kernel) + bias
        dparams = {
            "kernel": _in_lanes(
                lambda x, dy: to_kernel(x, dy, frame, 1),
                lambda x, dy: to_kernel_unfolded(x, dy, frame).reshape(kernel.shape).astype(x.dtype),
            )(x, dy)
        }
        if self.layer.bias:
            dparams["bias"] = jnp.sum(dy, axis=tuple(range(dy.ndim - 1)))
        dx = _in_lanes(
            lambda dy, kernel: to_input(dy, kernel, frame, 1),
            lambda dy, kernel: correlate_unfolded(spread(dy, frame), turned(kernel), inward),
        )(dy, kernel)
        return dparams, dx


def side_by_side(node: Any) -> Any:
    """Return a network with every convolution without groups in its form for lanes; parameters stay as they are.

    The leaves may be anything: numbers, axes, specifications.
    """
    if type(node) is Conv and node.groups == 1:
        return SideBySide(node)
    if isinstance(node, tuple):
        return tuple(side_by_side(one) for one in node)
    if is_record(node):
        found = {name: side_by_side(value) for name, value in children(node).items()}
        return rebuilt(node, found, check=False)
    return node


def _in_lanes(plain: Callable[..., jax.Array], unfolded: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return `plain`, which under `vmap` is a loop of `unfolded` over the lanes, on a CPU."""
    mapped = custom_vmap(plain)

    @mapped.def_vmap
    def over_lanes(size: int, batched: list[bool], *given: jax.Array) -> tuple[jax.Array, bool]:
        def loop(*given: jax.Array) -> jax.Array:
            def one(lane: tuple[jax.Array, ...]) -> jax.Array:
                own = iter(lane)
                return unfolded(*(next(own) if each else shared for each, shared in zip(batched, given, strict=True)))

            return lax.map(one, tuple(array for array, each in zip(given, batched, strict=True) if each))

        axes = [0 if each else None for each in batched]
        return lax.platform_dependent(*given, cpu=loop, default=jax.vmap(plain, in_axes=axes, axis_size=size)), True

    return mapped
