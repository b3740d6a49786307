r"""The diagnosis: which pattern an error has, in words.

A wrong gradient seldom is wrong at random. Each pattern compares the hand-written gradient h of one leaf with the
reference r, over all cotangents at once, and the first that fits to 1e-6 names the error.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from funcnet.checking.evidence import Evidence

_CLOSE = 1e-6


class Pattern(NamedTuple):
    """What is wrong with the gradient of one leaf."""

    path: str
    name: str  # a word for tests and tables
    words: str


class Wrong(NamedTuple):
    """A leaf's gradient and its reference, (K, usable elements), divided by the reference's largest entry."""

    e: Evidence
    leaf: int
    keep: np.ndarray  # which of the leaf's elements are usable
    unit: float
    h: np.ndarray
    r: np.ndarray
    stale: np.ndarray | None  # the reference at the point of an earlier call

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the leaf's shape."""
        return self.e.layout.shapes[self.leaf]

    def near(self, other: np.ndarray) -> bool:
        """Tell whether the gradient is another array."""
        return _near(self.h, other)


def diagnose(
    e: Evidence, hand: np.ndarray, reference: np.ndarray, leaves: list[int], stale: np.ndarray | None = None
) -> list[Pattern]:
    """Name the pattern of each wrong leaf; `stale` is the reference at the point of an earlier call."""
    found = []
    usable = np.ones(e.x.size, bool)
    usable[e.tested[~e.smooth]] = False
    usable &= np.all(np.isfinite(reference), axis=0)
    for leaf in leaves:
        part = e.layout.part(leaf)
        keep = usable[part]
        if not keep.any():
            continue
        h, r = hand[:, part][:, keep], reference[:, part][:, keep]
        unit = float(np.max(np.abs(r)))
        names: tuple[Callable[[Wrong], tuple[str, str] | None], ...] = _PATTERNS if unit else (_beside_zero,)
        with np.errstate(all="ignore"):
            other = None if stale is None else stale[:, part][:, keep] / (unit or 1.0)
            wrong = Wrong(e, leaf, keep, unit, h / (unit or 1.0), r / (unit or 1.0), other)
            name, words = next(found for found in (pattern(wrong) for pattern in names) if found)
        found.append(Pattern(e.layout.paths[leaf], name, words))
    return found


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= _CLOSE * max(1.0, float(np.max(np.abs(b))))))


# -- the patterns, the plainest first ---------------------------------------------------------------


def _beside_zero(w: Wrong) -> tuple[str, str]:
    return "nonzero", "it should be 0"


def _zero(w: Wrong) -> tuple[str, str] | None:
    if np.any(w.h):
        return None
    bias = w.e.layout.paths[w.leaf].endswith(("['bias']", ".bias"))
    return "zero", f"{'the bias gradient is dropped' if bias else 'it is zero'}: every number is 0"


def _sign(w: Wrong) -> tuple[str, str] | None:
    return ("sign", "the sign is wrong: it is −1 times the reference") if w.near(-w.r) else None


def _factor(w: Wrong) -> tuple[str, str] | None:
    factor = float(np.sum(w.h * w.r) / np.sum(w.r * w.r))
    if not factor or not w.near(factor * w.r) or abs(factor - 1) < _CLOSE:
        return None
    return "factor", _factor_words(w.e, factor)


def _transposed(w: Wrong) -> tuple[str, str] | None:
    if len(w.shape) < 2 or not w.keep.all() or min(w.shape[-2:]) == 1:
        return None
    if not w.near(np.swapaxes(w.r.reshape(-1, *w.shape), -1, -2).reshape(w.r.shape)):
        return None
    path = w.e.layout.paths[w.leaf]
    if w.shape[-1] == w.shape[-2]:
        return "transposed", f"it is transposed: {path}[…, i, j] holds what belongs at […, j, i]"
    return "transposed", "it is transposed and then reshaped"


def _of_the_batch(w: Wrong) -> tuple[str, str] | None:
    if w.e.masked_rows is None:
        return None
    first, but_last, ones = (row[w.e.layout.part(w.leaf)][w.keep] / w.unit for row in w.e.masked_rows)
    if _near(w.h[0], first) and not _near(w.r[0], first):
        return "first", "the sum over the batch is missing: it holds the first sample's part alone"
    if _near(w.h[0], but_last) and not _near(w.r[0], but_last):
        return "short", "the sum over the batch stops one short: the last sample's part is missing"
    if len(w.h) > 1 and np.ptp(w.h, axis=0).max(initial=0.0) <= _CLOSE and _near(w.h[0], ones):
        return "cotangent", "it ignores dy: it is right for a dy of ones alone"
    return None


def _not_linear(w: Wrong) -> tuple[str, str] | None:
    factors = np.sum(w.h * w.r, axis=1) / np.sum(w.r * w.r, axis=1)
    if len(w.h) > 1 and np.all(factors) and np.ptp(factors) > _CLOSE and w.near(factors[:, None] * w.r):
        return "cotangent", "its factor changes with dy: it is not linear in dy"
    return None


def _shifted(w: Wrong) -> tuple[str, str] | None:
    reference = w.r.reshape(-1, *w.shape) if w.keep.all() else np.zeros(0)
    for axis in range(reference.ndim - 1):
        for shift, word in ((1, "forwards"), (-1, "backwards")):
            if w.shape[axis] > 1 and w.near(np.roll(reference, shift, axis + 1).reshape(w.r.shape)):
                return "shifted", f"it is shifted by one {word} along axis {axis}: an index is off by one"
    return None


def _stale(w: Wrong) -> tuple[str, str] | None:
    if w.stale is None or not w.near(w.stale):
        return None
    return "stale", "it is the gradient at another point: the saved values are stale"


def _element(w: Wrong) -> tuple[str, str] | None:
    away = np.abs(w.h - w.r)
    wrong = np.flatnonzero(np.any((away > _CLOSE * np.abs(w.r)) & (away > 1e-3 * np.max(away)), axis=0))
    count = w.r.shape[1]
    if not 0 < wrong.size <= max(1, count // 8) or count == 1:
        return None
    name = w.e.layout.name(w.e.layout.part(w.leaf).start + int(np.flatnonzero(w.keep)[wrong[0]]))
    off = 100 * float(np.nanmax(np.abs(w.h[:, wrong[0]] / w.r[:, wrong[0]] - 1)))
    return "element", f"{wrong.size} of {count} numbers wrong, {name} by {off:.3g} %; the rest is right"


def _mask(w: Wrong) -> tuple[str, str] | None:
    if np.any(w.r == 0) and np.any(w.h == 0) and np.array_equal(w.h == 0, w.r != 0):
        return "mask", "the mask is inverted: it is 0 where the reference is not, and the reverse"
    return None


def _offset(w: Wrong) -> tuple[str, str] | None:
    if np.ptp(w.h - w.r) > _CLOSE:
        return None
    return "offset", f"it is off by the constant {float((w.h - w.r).mean()) * w.unit:.6g}"


def _permuted(w: Wrong) -> tuple[str, str] | None:
    if np.allclose(np.sort(w.h, axis=1), np.sort(w.r, axis=1), rtol=_CLOSE, atol=_CLOSE):
        return "permuted", "the right numbers stand in the wrong places"
    if np.allclose(np.abs(w.h), np.abs(w.r), rtol=_CLOSE, atol=_CLOSE):
        return "signs", "the magnitudes are right, some signs are not"
    return None


def _none(w: Wrong) -> tuple[str, str]:
    norms = np.linalg.norm(w.h) * np.linalg.norm(w.r)
    cosine = float(np.sum(w.h * w.r) / norms) if norms else 0.0
    return "none", f"no simple pattern; the cosine with the reference is {cosine:.3f}"


_PATTERNS = (
    _zero,
    _sign,
    _factor,
    _transposed,
    _of_the_batch,
    _not_linear,
    _shifted,
    _stale,
    _element,
    _mask,
    _offset,
    _permuted,
    _none,
)


def _factor_words(e: Evidence, factor: float) -> str:
    """Say what a constant factor may be: the number of samples or outputs, a half, a few per cent."""
    counts: dict[int, str] = {}
    for layout in (e.layout, e.programs.y_layout):
        for shape in layout.shapes:
            for axis, length in enumerate(shape):
                counts.setdefault(length, "the batch size" if axis == 0 and len(shape) > 1 else "the length of an axis")
            counts.setdefault(int(np.prod(shape, dtype=int)), "the number of elements")
    for count, what in counts.items():
        if count < 2:
            continue
        if abs(factor / count - 1) < _CLOSE:
            return f"it is {count} times too large, {what}: a factor 1/N is missing" + (
                " (or it is counted twice)" if count == 2 else ""
            )
        if abs(factor * count - 1) < _CLOSE:
            return f"it is {count} times too small, {what}: there is one 1/N too many" + (
                " (or a factor 2 is missing)" if count == 2 else ""
            )
    if abs(factor - 2) < _CLOSE or abs(factor - 0.5) < _CLOSE:
        return f"it is {factor:.3g} times the reference: a factor 2 is {'too much' if factor > 1 else 'missing'}"
    if factor < 0:
        return f"it is {factor:.6g} times the reference: sign and size are wrong"
    if abs(factor - 1) < 0.2:
        return f"it is off by a constant {100 * (factor - 1):+.3g} %"
    return f"it is {factor:.6g} times the reference: a constant factor is wrong"
