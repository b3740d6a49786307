r"""Tokens: a text as whole numbers, one for each character or one for each byte, and back.

The vocabulary of characters is a text itself, in which each of them stands once; the token of a character is its place
there. Without a vocabulary tokens are the bytes of UTF-8, 0 … 255, which every text has: a character outside ASCII is
two to four of them.

>>> from funcnet import data
>>> kinds = data.vocabulary("banana")
>>> kinds, data.encode("nab", kinds).tolist(), data.decode([1, 0, 2], kinds)
('abn', [2, 0, 1], 'ban')
>>> data.encode("né").tolist()
[110, 195, 169]
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from funcnet.arrays import as_array
from funcnet.errors import describe, raise_error, shown

BYTES = 256


def vocabulary(text: str) -> str:
    """Return the different characters of a text in the order of their code points.

    Args:
        text: of at least one character.

    Raises:
        TypeError: for what is no text.
        ValueError: for an empty one.

    >>> import funcnet as fn
    >>> fn.data.vocabulary("a whale")
    ' aehlw'

    """
    if not _points(text, "text").size:
        raise_error("text must hold a character", "it is empty", "fn.data.moby_dick().train")
    return "".join(sorted(set(text)))


def encode(text: str, vocabulary: str | None = None) -> np.ndarray:
    r"""Return the tokens of a text, int32 of shape (characters,), or (bytes,) without a vocabulary.

    Args:
        text: any text.
        vocabulary: a text of different characters, such as `vocabulary` returns; None for the bytes of UTF-8.

    Raises:
        TypeError: for what is no text.
        ValueError: for a character outside the vocabulary, or a vocabulary that has one twice.

    >>> import funcnet as fn
    >>> fn.data.encode("a whale", vocabulary=" aehlw").tolist(), fn.data.encode("é").tolist()
    ([1, 0, 5, 3, 1, 4, 2], [195, 169])

    """
    points = _points(text, "text")
    if vocabulary is None:
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)
    known = _kinds(vocabulary)
    places = np.full(max(int(points.max(initial=0)), int(known.max())) + 1, -1, np.int32)
    places[known] = np.arange(len(known), dtype=np.int32)
    tokens = places[points]
    if tokens.min(initial=0) < 0:
        at = int(np.argmin(tokens))
        must = f"text must consist of the {len(known)} characters of the vocabulary"
        arrived = f"got {shown(text[at])} at {at} ({np.count_nonzero(tokens < 0)} of {len(tokens)} outside)"
        raise_error(must, arrived, "the vocabulary of all texts, or None for bytes")
    return tokens


def decode(tokens: Any, vocabulary: str | None = None) -> str:
    r"""Return the text of tokens (time,); bytes that are no UTF-8, as a model may draw them, become �.

    Args:
        tokens: whole numbers, one for each character of the vocabulary, or bytes without one.
        vocabulary: what the text was encoded with.

    Raises:
        TypeError: for what is no array of whole numbers.
        ValueError: for another shape, or tokens that no character has.

    >>> import numpy as np, funcnet as fn
    >>> fn.data.decode(np.array([5, 3, 1, 4, 2]), vocabulary=" aehlw")
    'whale'

    """
    numbers = np.asarray(as_array(tokens, "tokens"))
    if not numbers.size:
        return ""
    if not jnp.issubdtype(numbers.dtype, jnp.integer):
        raise_error("tokens must be whole numbers", f"got {describe(numbers)}", "tokens.astype(int)", TypeError)
    if numbers.ndim != 1:
        raise_error("tokens must have shape (time,)", f"got {describe(numbers)}", "a row at a time")
    count = BYTES if vocabulary is None else len(_kinds(vocabulary))
    if numbers.min() < 0 or numbers.max() >= count:
        arrived = f"got {shown(int(numbers.min()))} … {shown(int(numbers.max()))}"
        raise_error(f"tokens must lie in 0 … {count - 1}", arrived, "the vocabulary that the text was encoded with")
    if vocabulary is None:
        return numbers.astype(np.uint8).tobytes().decode("utf-8", "replace")
    return "".join(map(vocabulary.__getitem__, numbers.tolist()))


def _points(text: Any, name: str) -> np.ndarray:
    """Return the code points of a text."""
    if not isinstance(text, str):
        raise_error(f"{name} must be text", f"got {describe(text)}", "open(path, encoding='utf-8').read()", TypeError)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _kinds(vocabulary: Any) -> np.ndarray:
    """Return the code points of a vocabulary, which must be different."""
    points = _points(vocabulary, "vocabulary")
    if not points.size or len(np.unique(points)) < len(points):
        arrived = f"got {len(points)} characters, {len(np.unique(points))} different ones"
        raise_error("vocabulary must hold each of its characters once", arrived, "fn.data.vocabulary(text)")
    return points
