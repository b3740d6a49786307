r"""Known gradients: numbers worked by hand, or stated at a kink, for a dy of ones.

At a kink several slopes are admissible and one is stated; a known gradient says which. Elsewhere it is one witness
more, and the only one that knows nothing of the forward.
"""

from typing import Any

import jax
import numpy as np

from funcnet.checking.comparison import Testimony
from funcnet.checking.evidence import Evidence
from funcnet.checking.layout import as_arrays

_NAME = "known gradient"


def known_vector(e: Evidence, known: Any) -> np.ndarray | str:
    """Return a known gradient as a vector, or say why its form does not fit."""
    expected = as_arrays(known)
    # A layer's is (dparams, dx); the rest has one differentiated argument, or a tuple like them.
    names = list(e.subject.point)
    parts = expected if isinstance(expected, tuple) and len(expected) == len(names) > 1 else (expected,)
    if len(parts) != len(names):
        return f"it has {len(parts)} parts for {', '.join(names)}"
    leaves, wanted = jax.tree.leaves(e.subject.moving(dict(zip(names, parts, strict=True)))), e.layout.shapes
    if len(leaves) != len(wanted) or any(
        np.size(leaf) != int(np.prod(shape, dtype=int)) for leaf, shape in zip(leaves, wanted, strict=False)
    ):
        return f"it has shapes {[np.shape(leaf) for leaf in leaves]} for inputs {list(wanted)}"
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in leaves])


def compare_known(e: Evidence, hand: np.ndarray, known: Any) -> Testimony:
    """Compare the gradient for a dy of ones, a vector, with the known one."""
    expected = known_vector(e, known)
    if isinstance(expected, str):
        return Testimony(_NAME, "objects", f"the known gradient does not fit: {expected}")
    precise = max(1e-12, 64 * e.programs.epsilon)
    with np.errstate(all="ignore"):
        bad = ~((np.abs(hand - expected) <= precise * np.abs(expected) + 1e-300) | (np.abs(hand - expected) <= precise))
    if np.any(bad):
        i = int(np.flatnonzero(bad)[0])
        return Testimony(
            _NAME,
            "objects",
            f"at {e.layout.name(i)}, for a dy of ones, {hand[i]:.8g} where {expected[i]:.8g} is known",
            tuple(np.flatnonzero(bad).tolist()),
        )
    return Testimony(_NAME, "agrees", "for a dy of ones")
