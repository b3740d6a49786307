r"""Embedding: the rows of a table for whole numbers, the tokens.

Forward    yₜ = E[iₜ]
Backward   dE[v] = Σ_{t: iₜ = v} dyₜ    over samples and steps;   no dx

Derivation. yₜ is row iₜ of E and no other: dE has dyₜ in that row for each t, and a token that comes twice has the sum
of both. It is what a dense layer would do with one-hot rows, x E and xᵀ dy, without the zeros. Tokens are whole
numbers: nothing can be derived by them.

Shapes     tokens: (…,), for sequences (…, time); E: (vocabulary, width); y: (…, width). Or the pair (tokens, lengths):
           then tokens behind a length are not looked at, y is 0 there, and what goes out is the pair (y, lengths).
Extremes   Tokens outside the vocabulary are refused where they are known; under `jit` they make their whole sample
           NaN, and send nothing to the table.
Source     Bengio et al. 2003, section 2; the initial deviation of 0.02 is that of GPT-2, Radford et al. 2019.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.cases import Case
from funcnet.errors import describe, is_concrete, raise_error, shown
from funcnet.layers.base import Layer, check_init, shapes_of
from funcnet.layers.initializers import RandomNormal
from funcnet.layers.sequences import apart, blanked, paired, parted, sample_apart, shape_apart, spoiled, within
from funcnet.records import choice, part, record
from funcnet.targets import in_range, nan_unless, whole


@record
class Embedding(Layer):
    r"""A row of a table for each token, `{"table": E}`.

    Args:
        vocabulary: how many tokens there are, 0 … vocabulary − 1.
        width: numbers in a row.
        table_init: how the table is drawn: normal with a deviation of 0.02 unless told otherwise.

    Raises:
        TypeError: for tokens that are no whole numbers.
        ValueError: for tokens outside the vocabulary, where they are known.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.Embedding(65, 8)
    >>> params = layer.init(jax.random.key(0), (16,))
    >>> print(params["table"].shape, layer.apply(params, jnp.zeros((4, 16), int)).shape)
    (65, 8) (4, 16, 8)

    """

    vocabulary: int = choice(at_least=1)
    width: int = choice(at_least=1)
    table_init: Any = part(default=RandomNormal(0.02), kw_only=True)

    def out_shape(self, in_shape: Any) -> Any:
        """Return the tokens' shape and the width, beside () for the length if there is one."""
        tokens, lengths = shape_apart(in_shape, "Embedding")
        y = (*tokens, self.width)
        return (y, ()) if lengths else y

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array of whole numbers, alone or beside its length."""
        check_tokens(sample_apart(samples, "Embedding"))
        self.out_shape(shapes_of(samples))

    def check_values(self, x: Any) -> None:
        """Raise unless all tokens that are there lie in the vocabulary."""
        self._check_range(*parted(x, "Embedding", features=0))

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the table (vocabulary, width)."""
        check_init(key, in_shape)
        self.out_shape(in_shape)
        return {"table": self.table_init(key, (self.vocabulary, self.width), dtype)}

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        """Return the rows of the tokens, and the tokens, one past the table where there is none."""
        tokens, lengths = parted(x, "Embedding", features=0)
        check_tokens(tokens)
        steps = 0 if lengths is None else np.shape(tokens)[-1]
        # NumPy's tokens are read as they are: JAX would cut 64 bits to 32 where its 64-bit mode is off.
        self._check_range(tokens, lengths)
        tokens, table = whole(jnp.asarray(tokens)), params["table"]
        there = jnp.ones_like(tokens, bool) if lengths is None else within(lengths, steps, 0)
        known = in_range(tokens, self.vocabulary)
        rows = jnp.where(there & known, tokens, self.vocabulary)
        y = table.at[rows].get(mode="fill", fill_value=0)
        right = jnp.all(known | ~there, axis=tuple(range(1, tokens.ndim)), keepdims=True)
        y = y + nan_unless(right, y.dtype)[..., None]
        if lengths is not None:
            y = spoiled(blanked(y, there[..., None]), lengths, steps)
        return paired(y, lengths), rows

    def backward(self, params: Any, saved: jax.Array, dy: Any) -> tuple[dict[str, jax.Array], None]:
        """Return dE, the sum of dy over each token's places, and no dx."""
        rows, table = saved, params["table"]
        # y = table[rows]
        return {"table": jnp.zeros_like(table).at[rows].add(apart(dy).astype(table.dtype), mode="drop")}, None

    def _check_range(self, tokens: Any, lengths: Any) -> None:
        """Require that tokens that are known, and within their lengths, lie in the vocabulary."""
        if not is_concrete(tokens) or not (lengths is None or is_concrete(lengths)) or not np.size(tokens):
            return
        numbers = np.asarray(tokens)
        bad = (numbers < 0) | (numbers >= self.vocabulary)
        if lengths is not None:
            bad &= np.asarray(lengths)[..., None] > np.arange(numbers.shape[-1])
        if np.any(bad):
            place = tuple(int(n) for n in np.argwhere(bad)[0])
            must = f"tokens must lie in 0 … {self.vocabulary - 1}"
            arrived = f"got {shown(int(numbers[place]))} at {place} ({np.count_nonzero(bad)} of {bad.size} outside)"
            raise_error(must, arrived, "a larger vocabulary, or (tokens, lengths) for steps that are not there")


def check_tokens(tokens: Any) -> None:
    """Raise `TypeError` unless tokens are an array of whole numbers."""
    known = isinstance(tokens, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct))
    if not known or not jnp.issubdtype(tokens.dtype, jnp.integer):
        attempt = "x.astype(np.int32), or fn.Dense for features"
        raise_error("Embedding takes tokens, an array of whole numbers", f"got {describe(tokens)}", attempt, TypeError)


_P = {"table": [[0.5, -1.0, 0.2], [2.0, 0.3, -0.4], [-0.7, 1.1, 0.9], [0.2, 0.9, -1.6], [1.3, -0.6, 0.8]]}
CASES = (
    Case("ordinary", Embedding(5, 3), (_P, [3])),
    Case("batch", Embedding(5, 3), (_P, [4, 0, 4, 2])),
    Case("batch", Embedding(5, 3), (_P, [[0, 2, 2, 1], [3, 1, 2, 0]])),
    Case("extreme", Embedding(2, 1), ({"table": [[1e30], [-1e30]]}, [[1, 0]]), [[[-1e30], [1e30]]]),
    Case(
        "known",
        Embedding(4, 2),
        ({"table": [[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1], [0.2, 0.9]]}, [[0, 2, 2], [3, 1, 2]]),
        [[[0.5, -1.0], [-0.7, 1.1], [-0.7, 1.1]], [[0.2, 0.9], [2.0, 0.3], [-0.7, 1.1]]],
        ({"table": [[1.0, 1.0], [1.0, 1.0], [3.0, 3.0], [1.0, 1.0]]}, None),
        "token 2 comes three times",
    ),
)
