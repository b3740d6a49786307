r"""Learned positions: a vector for each step, added.

Forward    yₜ = xₜ + Pₜ,                     t = 0 … time − 1
Backward   dPₜ = Σ dyₜ over the samples,  0 for steps that no sample has;   dx = dy

Derivation. Pₜ stands once in step t of every sample, with the factor 1.

Shapes     x, y: (…, time, width), or the pair (x, lengths), which gives the pair (y, lengths) with 0 behind each
           length; P: (length, width), of which the first `time` rows are read.
Source     Gehring et al. 2017, section 3.1; Radford et al. 2018 for transformers, and the deviation of 0.02.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.layers.base import Layer, Shape, check_init, one_array_of_floats, shapes_of
from funcnet.layers.initializers import RandomNormal
from funcnet.layers.sequences import (
    apart,
    check_steps,
    masked,
    masked_backward,
    paired,
    paired_gradient,
    parted,
    sample_apart,
    sequence,
    shape_apart,
)
from funcnet.records import choice, part, record


@record
class Positions(Layer):
    r"""Add a learned vector to each step, `{"table": P}`.

    Args:
        length: the most steps that there may be, the context.
        table_init: how the table is drawn: normal with a deviation of 0.02 unless told otherwise.

    Raises:
        ValueError: for more steps than that.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.Positions(64)
    >>> params = layer.init(jax.random.key(0), (16, 8))
    >>> print(params["table"].shape, layer.apply(params, jnp.zeros((4, 10, 8))).shape)
    (64, 8) (4, 10, 8)

    """

    length: int = choice(at_least=1)
    table_init: Any = part(default=RandomNormal(0.02), kw_only=True)

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of the input."""
        self._check_steps(check_steps(shape_apart(in_shape, "Positions")[0], "Positions"))
        return in_shape

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array (time, width) of floats, alone or beside its length."""
        one_array_of_floats(sample_apart(samples, "Positions"), "Positions")
        self.out_shape(shapes_of(samples))

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the table (length, width)."""
        check_init(key, in_shape)
        width = check_steps(shape_apart(self.out_shape(in_shape), "Positions")[0], "Positions")[-1]
        return {"table": self.table_init(key, (self.length, width), dtype)}

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return x + P, and the lengths."""
        x, lengths = parted(x, "Positions")
        x, table = sequence(x, "Positions"), params["table"]
        self._check_steps(x.shape)
        if x.shape[-1] != table.shape[-1] or x.dtype != table.dtype:
            must = f"the input of Positions must be {table.dtype} of width {table.shape[-1]}"
            raise_error(must, f"got {describe(x)}", "x.astype(table.dtype), or parameters made for this input")
        y = x + jnp.broadcast_to(table[: x.shape[-2]], x.shape)
        return paired(masked(y, lengths), lengths), lengths

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[dict[str, jax.Array], Any]:
        """Return dP, the sum of dy over the samples, and dx = dy."""
        lengths, table = saved, params["table"]
        dy = masked_backward(apart(dy), lengths)
        # y = x + table[:time]
        dtable = jnp.sum(dy, axis=tuple(range(dy.ndim - 2)))
        rest = jnp.zeros((self.length - dy.shape[-2], dy.shape[-1]), dy.dtype)
        dparams = {"table": jnp.concatenate([dtable, rest]).astype(table.dtype)}
        return dparams, paired_gradient(dy, lengths)

    def _check_steps(self, shape: Shape) -> None:
        if shape[-2] > self.length:
            must = f"Positions has {self.length} steps: a sequence must not be longer"
            raise_error(must, f"got {shape[-2]} steps", f"fn.Positions({shape[-2]}), or x[:, -{self.length}:]")


_P = {"table": [[0.5, -1.0, 0.2], [2.0, 0.3, -0.4], [-0.7, 1.1, 0.9], [0.2, 0.9, -1.6], [1.3, -0.6, 0.8]]}
_X = [[[0.3, -1.2, 2.0], [0.7, -0.4, 1.1]], [[-0.2, 0.5, -1.4], [1.9, 0.1, 0.6]], [[0.4, 0.8, -0.9], [-1.1, 0.2, 1.5]]]
CASES = (
    Case("ordinary", Positions(5), (_P, _X[0])),
    Case("batch", Positions(5), (_P, _X)),
    Case("batch", Positions(5), (_P, [_X, _X[::-1]])),
    Case("extreme", Positions(1), ({"table": [[1e30]]}, [[[1e30]], [[-5e29]]]), [[[2e30]], [[5e29]]]),
    Case(
        "known",
        Positions(3),
        ({"table": [[1.0], [2.0], [4.0]]}, [[[0.5], [0.25]], [[-1.0], [0.0]]]),
        [[[1.5], [2.25]], [[0.0], [2.0]]],
        ({"table": [[2.0], [2.0], [0.0]]}, [[[1.0], [1.0]], [[1.0], [1.0]]]),
        "two samples have steps 0 and 1, none has step 2",
    ),
)
