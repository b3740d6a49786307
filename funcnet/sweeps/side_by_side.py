r"""Convolutions of many lanes: one lane after the other, each as a product of windows laid side by side.

Mapped over lanes that have a kernel each, a convolution becomes one with a group for each lane, for which a CPU has no
fast form. Here `vmap` makes a loop over the lanes instead; within it each lane's windows fit the cache. On other
platforms the mapped convolution stays. Without lanes, and with groups, the products are the layer's own.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
from jax import lax
from jax.custom_batching import custom_vmap

from funcnet.layers.conv import Conv
from funcnet.layers.conv_transpose import ConvTranspose
from funcnet.layers.convolving import PLAIN, Products, spread, turned
from funcnet.layers.unfolding import correlate_unfolded, padded, to_kernel_unfolded
from funcnet.layers.windows import Windows
from funcnet.records import children, is_record, made, rebuilt, record


def _correlate(x: jax.Array, kernel: jax.Array, frame: Windows) -> jax.Array:
    return correlate_unfolded(padded(x, frame), kernel, frame)


def _to_input(dy: jax.Array, kernel: jax.Array, frame: Windows) -> jax.Array:
    inward = frame._replace(stride=(1,) * len(frame.space), places=frame.space)
    return correlate_unfolded(spread(dy, frame), turned(kernel), inward)


def _to_kernel(x: jax.Array, dy: jax.Array, frame: Windows) -> jax.Array:
    shape = (*frame.window, x.shape[-1], dy.shape[-1])
    return to_kernel_unfolded(x, dy, frame).reshape(shape).astype(x.dtype)


def _in_lanes(plain: Callable[..., jax.Array], unfolded: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return `plain`, which under `vmap` is a loop of `unfolded` over the lanes, on a CPU."""

    def product(a: jax.Array, b: jax.Array, frame: Windows, groups: int) -> jax.Array:
        def alone(a: jax.Array, b: jax.Array) -> jax.Array:
            return plain(a, b, frame, groups)

        if groups > 1:
            return alone(a, b)
        mapped = custom_vmap(alone)

        @mapped.def_vmap
        def over_lanes(size: int, batched: list[bool], *given: jax.Array) -> tuple[jax.Array, bool]:
            def loop(*given: jax.Array) -> jax.Array:
                def one(lane: tuple[jax.Array, ...]) -> jax.Array:
                    own = iter(lane)
                    pair = (next(own) if each else shared for each, shared in zip(batched, given, strict=True))
                    return unfolded(*pair, frame)

                return lax.map(one, tuple(array for array, each in zip(given, batched, strict=True) if each))

            axes = [0 if each else None for each in batched]
            return lax.platform_dependent(*given, cpu=loop, default=jax.vmap(alone, in_axes=axes, axis_size=size)), True

        found: jax.Array = mapped(a, b)
        return found

    return product


IN_LANES = Products(*(_in_lanes(*pair) for pair in zip(PLAIN, (_correlate, _to_input, _to_kernel), strict=True)))


@record
class ConvInLanes(Conv):
    """A convolution as a sweep's lanes compute it."""

    products: ClassVar[Products] = IN_LANES


@record
class ConvTransposeInLanes(ConvTranspose):
    """A transposed convolution as a sweep's lanes compute it."""

    products: ClassVar[Products] = IN_LANES


_FORMS: dict[type, type] = {Conv: ConvInLanes, ConvTranspose: ConvTransposeInLanes}


def side_by_side(node: Any) -> Any:
    """Return a network with every convolution in its form for lanes; parameters stay as they are.

    The leaves may be anything: numbers, axes, specifications.
    """
    if type(node) in _FORMS:
        return made(_FORMS[type(node)], children(node), check=False)
    if isinstance(node, tuple):
        return tuple(side_by_side(one) for one in node)
    if is_record(node):
        return rebuilt(node, {name: side_by_side(value) for name, value in children(node).items()}, check=False)
    return node
