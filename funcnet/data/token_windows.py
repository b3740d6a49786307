r"""Windows: pieces of one long row of tokens, each beside the tokens that follow.

    xᵢ = tokens[s i : s i + T],   yᵢ = tokens[s i + 1 : s i + 1 + T]   for i = 0 … ⌊(N − T − 1) / s⌋

N tokens with a stride s of 1 have N − T windows of T places; as arrays they would take T times the memory of the text.
A source gathers those of a batch when it is asked for them.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcnet.arrays import as_array
from funcnet.errors import describe, raise_error, whole_number


@dataclass(frozen=True, eq=False)
class TokenWindows:
    r"""A source of windows of tokens, for `fn.train`: `len(windows)`, and `windows[rows]` for an array of row numbers.

    Args:
        tokens: whole numbers (time,), a memory map for instance; they are kept as they are, not copied.
        length: the places T of a window, at least 1.
        stride: how far each window begins behind the one before; None for `length`, windows side by side.

    Raises:
        TypeError: for tokens that are no whole numbers.
        ValueError: for tokens of another shape, or too few for one window and the token that follows it.
        IndexError: for rows that there are not.

    >>> import numpy as np
    >>> from funcnet import data
    >>> windows = data.TokenWindows(np.arange(10), length=4, stride=2)
    >>> len(windows)
    3
    >>> x, y = windows[np.asarray([2, 0])]
    >>> x.tolist(), y.tolist()
    ([[4, 5, 6, 7], [0, 1, 2, 3]], [[5, 6, 7, 8], [1, 2, 3, 4]])

    """

    tokens: Any
    length: int
    stride: int | None = None

    def __post_init__(self) -> None:
        tokens = as_array(self.tokens, "tokens")
        length = whole_number(self.length, "length", at_least=1)
        stride = length if self.stride is None else whole_number(self.stride, "stride", at_least=1)
        if not jnp.issubdtype(tokens.dtype, jnp.integer):
            attempt = "fn.data.encode(text, vocabulary)"
            raise_error("tokens must be whole numbers", f"got {describe(tokens)}", attempt, TypeError)
        if tokens.ndim != 1 or len(tokens) <= length:
            must = f"tokens must have shape (time,), at least {length + 1} of them"
            raise_error(must, f"got {describe(tokens)}", "a longer text, or shorter windows")
        for name, value in (("tokens", tokens), ("length", length), ("stride", stride)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return (len(self.tokens) - self.length - 1) // int(self.stride or self.length) + 1

    def __getitem__(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens of some windows and those that follow them, int32 (rows, length) both."""
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"rows must lie in 0 … {len(self) - 1}, but got {numbers.min()} … {numbers.max()}")
        starts = numbers.astype(np.int64)[..., None] * int(self.stride or self.length)
        found = np.asarray(self.tokens)[starts + np.arange(self.length + 1)].astype(np.int32)
        return found[..., :-1], found[..., 1:]
