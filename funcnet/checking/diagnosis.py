r"""The diagnosis: which pattern an error has, in words.

A wrong gradient seldom is wrong at random. Each pattern compares the hand-written gradient h of one leaf with the
reference r, over all cotangents at once, and the first that fits to 1e-6 names the error.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from funcnet.checking.evidence import Evidence

_CLOSE = 1e-6


class Pattern(NamedTuple):
    """What is wrong with the gradient of one leaf."""

    leaf: int
    name: str  # a word for tests and tables
    words: str


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
        h, r = hand[:, part][:, keep], reference[:, part][:, keep]
        if not r.size:
            continue
        for name, words in _patterns(e, leaf, h, r, keep, stale):
            found.append(Pattern(leaf, name, words))
            break
    return found


def _patterns(
    e: Evidence, leaf: int, h: np.ndarray, r: np.ndarray, keep: np.ndarray, stale: np.ndarray | None
) -> Iterator[tuple[str, str]]:
    path, shape = e.layout.paths[leaf], e.layout.shapes[leaf]
    part = e.layout.part(leaf)
    size = float(np.max(np.abs(r)))
    if not np.any(h) and size:
        what = "the bias gradient is dropped" if path.endswith("['bias']") or path.endswith(".bias") else "it is zero"
        yield "zero", f"{what}: every number is 0"
    if size and _near(h, -r, size):
        yield "sign", "the sign is wrong: it is −1 times the reference"
    if size:
        factor = float(np.sum(h * r) / np.sum(r * r))
        if factor and _near(h, factor * r, size * max(abs(factor), 1.0)):
            yield "factor", _factor_words(e, factor)
    if len(shape) >= 2 and keep.all() and min(shape[-2:]) > 1:
        turned = np.swapaxes(r.reshape(-1, *shape), -1, -2).reshape(r.shape)
        if size and _near(h, turned, size):
            yield (
                "transposed",
                f"it is transposed: {path}[…, i, j] holds what belongs at […, j, i]"
                if shape[-1] == shape[-2]
                else "it is transposed and then reshaped",
            )
    if e.masked_rows is not None and size:
        first, but_last, ones = (row[part][keep] for row in e.masked_rows)
        if _near(h[0], first, size) and not _near(r[0], first, size):
            yield "first", "the sum over the batch is missing: it holds the first sample's part alone"
        if _near(h[0], but_last, size) and not _near(r[0], but_last, size):
            yield "short", "the sum over the batch stops one short: the last sample's part is missing"
        if len(h) > 1 and np.ptp(h, axis=0).max(initial=0.0) <= _CLOSE * size and _near(h[0], ones, size):
            yield "cotangent", "it ignores dy: it is right for a dy of ones alone"
    if len(h) > 1 and size:
        factors = np.sum(h * r, axis=1) / np.sum(r * r, axis=1)
        if np.all(factors) and _near(h, factors[:, None] * r, size):
            yield "cotangent", "its factor changes with dy: it is not linear in dy"
    away = np.abs(h - r) > _CLOSE * np.maximum(np.abs(r), 1e-3 * size)
    wrong = np.flatnonzero(np.any(away, axis=0))
    if keep.all() and size:
        for axis in range(len(shape)):
            for shift, word in ((1, "forwards"), (-1, "backwards")):
                if shape[axis] > 1 and _near(h, np.roll(r.reshape(-1, *shape), shift, axis + 1).reshape(r.shape), size):
                    yield "shifted", f"it is shifted by one {word} along axis {axis}: an index is off by one"
    if stale is not None and size and _near(h, stale[:, part][:, keep], size):
        yield "stale", "it is the gradient at another point: the saved values are stale"
    if 0 < wrong.size <= max(1, r.shape[1] // 8) and r.shape[1] > 1:
        at = int(np.flatnonzero(keep)[wrong[0]])
        with np.errstate(all="ignore"):
            off = float(np.nanmax(np.abs(h[:, wrong[0]] / r[:, wrong[0]] - 1)))
        name = e.layout.name(part.start + at)
        yield "element", f"{wrong.size} of {r.shape[1]} numbers wrong, {name} by {100 * off:.3g} %; the rest is right"
    zero_h, zero_r = h == 0, r == 0
    if np.any(zero_r) and np.any(zero_h) and np.array_equal(zero_h, ~zero_r):
        yield "mask", "the mask is inverted: it is 0 where the reference is not, and the reverse"
    shift_by = h - r
    if size and np.ptp(shift_by) <= _CLOSE * size:
        yield "offset", f"it is off by the constant {float(shift_by.mean()):.6g}"
    if size and np.allclose(np.sort(h, axis=1), np.sort(r, axis=1), rtol=_CLOSE, atol=_CLOSE * size):
        yield "permuted", "the right numbers stand in the wrong places"
    if size and np.allclose(np.abs(h), np.abs(r), rtol=_CLOSE, atol=_CLOSE * size):
        yield "signs", "the magnitudes are right, some signs are not"
    if size:
        norms = np.linalg.norm(h) * np.linalg.norm(r)
        cosine = float(np.sum(h * r) / norms) if norms else 0.0
        yield "none", f"no simple pattern; the cosine with the reference is {cosine:.3f}"
    else:
        yield "nonzero", "it should be 0"


def _near(a: np.ndarray, b: np.ndarray, size: float) -> bool:
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= _CLOSE * size))


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
