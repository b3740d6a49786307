r"""In which order PyTorch has the numbers of a sample, layer by layer.

An image (height, width, channels) is (channels, height, width) there, and Flatten gives its numbers in another order:
number j here is number `order[j]` there. A dense layer behind it has its rows in that order; normalisations between
them, what they keep for each number. A Reshape of flat numbers to an image is the same the other way round: the columns
of the dense layer before it, and of the normalisations between, are in that order.

A sample of three or four axes is taken for an image or a volume, as is whatever has passed a convolution or a pool; one
of two axes for a sequence, which both libraries have time first. `Flow` is what is known at one place of the network.
"""

import copy
import dataclasses
import math
from typing import Any, NoReturn

import numpy as np

from funcnet.errors import raise_error
from funcnet.layers import (
    Activate,
    Attention,
    AveragePool,
    BatchNorm,
    Bidirectional,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    LayerNorm,
    MaxPool,
    Noise,
    Positions,
    RandomFlip,
    RandomShift,
    Reshape,
    RMSNorm,
    Sinusoids,
)
from funcnet.layers.base import is_shape
from funcnet.layers.recurring import Recurrent

IMAGES = (Conv, ConvTranspose, MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, GroupNorm)
SEQUENCES = (Recurrent, Bidirectional, Attention, Embedding, Positions, Sinusoids)
EACH = (Activate, Dropout, Noise, RandomFlip, RandomShift)  # whatever the order of numbers
NORMS = (BatchNorm, LayerNorm, RMSNorm)
_WHY = "PyTorch flattens channels first"


@dataclasses.dataclass(eq=False)
class Placed:
    """A layer that is made of no others, where it stands."""

    layer: Any
    in_shape: Any  # of a sample, None where it is not known
    rows: np.ndarray | None = None  # the order of its inputs, and of what it keeps for each of them
    columns: np.ndarray | None = None  # the order of its outputs


@dataclasses.dataclass
class Flow:
    """What passes between two layers: its shape, where PyTorch has its channels, in which order its numbers stand."""

    shape: Any  # None where it is not known
    channels: str  # "first", "last", "unknown"
    order: np.ndarray | None = None  # of flat numbers
    blind: bool = False  # flattened without a shape: the order is not known
    makers: list[Placed] | None = dataclasses.field(default_factory=list)  # the last dense layer, and norms behind it
    image: Any = None  # after a Reshape of flat numbers: (makers, shape), until it is seen what for

    @classmethod
    def of(cls, shape: Any) -> "Flow":
        """Return what comes into a network."""
        if shape is None:
            return cls(None, "unknown")
        return cls(shape, "first" if is_shape(shape) and len(shape) > 2 else "last")

    def branch(self) -> "Flow":
        """Return a flow that goes its own way from here."""
        return copy.copy(self)

    def settle(self, label: str) -> None:
        """Raise where flattened channels would go on into, or out of, what is made of layers."""
        if self.blind:
            _ask(label)
        if self.order is not None:
            must = f"a Dense must follow a Flatten of channels directly, since {_WHY}"
            raise_error(must, f"{label} is between them", "fn.Chain(…, fn.Flatten(), fn.Dense(…)) in one place")
        self.makers = None

    def through(self, leaf: Placed) -> None:
        """Pass a layer: note the orders that it needs, and those behind it."""
        layer, shape = leaf.layer, self.shape
        flat = is_shape(shape) and len(shape) == 1
        if isinstance(layer, (Flatten, Reshape)):
            self._reshape(layer, flat)
        elif isinstance(layer, Dense):
            if self.blind:
                _ask("Dense")
            leaf.rows, self.order, self.image = self.order, None, None
            self.makers, self.channels = [leaf], "last"
        elif isinstance(layer, NORMS):
            if self.blind:
                _ask(layer.label)
            leaf.rows = self.order
            if isinstance(layer, BatchNorm) and not flat and (self.image or self.channels == "unknown"):
                self._is_image()
            elif self.makers is not None:
                self.makers.append(leaf)
        elif isinstance(layer, IMAGES):
            self.settle(layer.label)
            self._is_image()
            if isinstance(layer, (GlobalAveragePool, GlobalMaxPool)):
                self.channels = "last"
        elif isinstance(layer, SEQUENCES):
            self.settle(layer.label)
            self.image, self.channels = None, "last"
        elif not isinstance(layer, EACH):
            self.settle(type(layer).__name__)
            self.channels = "unknown"
        self.shape = None if shape is None else layer.out_shape(shape)

    def _is_image(self) -> None:
        """Note that here is an image: if it was reshaped, its makers have their columns in PyTorch's order."""
        if self.image:
            makers, shape = self.image
            if shape is None and makers != []:
                _ask("Reshape")
            order = None if shape is None else channels_first(shape)
            if order is not None and makers is None:
                must = "a Reshape to an image must follow a Dense directly, since PyTorch has channels first"
                raise_error(must, "other layers are between them", "fn.Chain(…, fn.Dense(…), fn.Reshape(…))")
            for leaf in makers or ():
                leaf.rows, leaf.columns = (leaf.rows, order) if isinstance(leaf.layer, Dense) else (order, None)
        self.image, self.channels, self.makers = None, "first", None

    def _reshape(self, layer: Any, flat: bool) -> None:
        shape = self.shape
        out = (0,) if isinstance(layer, Flatten) else layer.shape
        if len(out) == 1:
            if shape is None:
                self.blind |= self.channels != "last"
            elif not flat and self.image is None and self.channels != "last":
                order = channels_first(shape)
                if order is not None and self.channels == "unknown":
                    must = "it must be known where channels are before they are flattened"
                    raise_error(must, "what comes in may be an image or a sequence", "a chain of funcnet's layers")
                self.order = order
            self.makers = None if not flat else self.makers
            self.image = None
            return
        if self.blind:
            _ask("Reshape")
        if self.order is not None or (not flat and self.channels == "first" and channels_first(shape) is not None):
            must, arrived = "channels of an image must keep their place", f"a Reshape to {out} mixes them"
            raise_error(must, arrived, "fn.Flatten() and fn.Dense(…) before it")
        if flat or shape is None:
            self.image = self.makers, layer.out_shape(shape) if shape else None
            self.channels = "unknown"
        self.makers = None


def channels_first(shape: tuple[int, ...]) -> np.ndarray | None:
    """Return which number of a flattened image (channels, …) each number of one (…, channels) is; None if the same.

    >>> print(channels_first((2, 1, 3)))
    [0 2 4 1 3 5]
    """
    if shape[-1] == 1 or math.prod(shape[:-1]) == 1:
        return None
    return np.moveaxis(np.arange(math.prod(shape)).reshape(shape[-1], *shape[:-1]), 0, -1).ravel()


def _ask(label: str) -> NoReturn:
    must = f"in_shape must be given, since {_WHY} and the order of a {label}'s numbers depends on their shape"
    raise_error(must, "it is None", "in_shape=x.shape[1:], channels last")
