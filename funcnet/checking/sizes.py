r"""The sizes that errors of a gradient are measured by, and the element of each leaf that is furthest off."""

from typing import Any, NamedTuple

import numpy as np

from funcnet.checking.evidence import Evidence


class Worst(NamedTuple):
    """The element of a leaf that is furthest from its reference."""

    leaf: int
    element: int
    hand: float
    reference: float
    relative: float
    ulps: float
    source: str


def magnitudes(e: Evidence, hand: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, by cotangent and input, three sizes to measure errors by.

    Σ |w J|; the rounding of y, below which nothing is judged; and the rounding of differences of y.
    """
    with np.errstate(all="ignore"):
        known = np.abs(hand if e.rows is None else e.rows)
        known = np.where(np.isfinite(known), known, 0.0)
        scale = known.copy()
        columns = np.where(np.isfinite(e.jacobian), np.abs(e.jacobian), 0.0)
        sums = np.abs(e.channel_w) @ columns.T
        scale[:, e.tested] = np.maximum(scale[:, e.tested], sums)
        touched = (columns > 0) & (e.jacobian_error < columns)
        if e.derivative is not None:
            touched |= e.derivative[:, e.tested].T != 0
            scale = np.maximum(
                scale, np.abs(e.channel_w) @ np.where(np.isfinite(e.derivative), np.abs(e.derivative), 0.0)
            )
        # What saturates shows in the least noisy output that it reaches, if anywhere.
        each = np.abs(e.channel_w)[:, None, :] * np.where(touched, e.noise, np.inf)
        least = np.min(each, axis=-1, initial=np.inf)
        # What reaches no output at all, as far as any number shows, may still reach one below its rounding.
        anywhere = np.min(np.where(e.noise > 1e-299, np.abs(e.channel_w) * e.noise, np.inf), axis=1, initial=np.inf)
        least = np.where(np.any(touched, axis=1), least, anywhere[:, None])
        floor, blur = np.zeros_like(scale), np.zeros_like(scale)
        floor[:, e.tested] = np.where(np.isfinite(least), least, 0.0) / e.sizes[e.tested]
        blur[:, e.tested] = np.maximum(
            np.where(np.isfinite(each), each, 0.0).sum(-1) / e.sizes[e.tested], floor[:, e.tested]
        )
        others = np.ones(e.x.size, bool)
        others[e.tested] = False
        for part in map(e.layout.part, range(len(e.layout.shapes))):
            # What was not differentiated numerically may cancel as much as its neighbours do.
            top = np.max(scale[:, part], axis=1, keepdims=True, initial=0.0)
            scale[:, part] = np.where(others[part], np.maximum(scale[:, part], 1e-2 * top), scale[:, part])
    return scale, floor, blur


def best_reference(
    e: Evidence,
    numeric: np.ndarray,
    loose: np.ndarray,
    tight: float,
    scale: np.ndarray,
    floor: np.ndarray,
    hand: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose for each input the most precise witness that the numbers do not contradict."""
    reference = np.full(hand.shape, np.nan) if e.rows is None else e.rows.copy()
    source = np.full(e.x.size, "" if e.rows is None else "automatic", dtype=object)
    with np.errstate(all="ignore"):
        held = np.all(np.abs(reference[:, e.tested] - numeric) <= loose, axis=0)
        choices = [("differences", numeric)]
        if e.complex is not None:
            stepped = e.contracted(e.complex)
            near = np.all(np.abs(stepped - numeric) <= loose, axis=0)
            choices.append(("complex step", np.where(near, stepped, np.nan)))
    for name, values in choices:
        take = e.smooth & ~held & np.all(np.isfinite(values), axis=0)
        reference[:, e.tested[take]] = values[:, take]
        source[e.tested[take]] = name
    return reference, source


def worst_elements(
    e: Evidence, hand: np.ndarray, reference: np.ndarray, source: Any, scale: np.ndarray
) -> tuple[Worst, ...]:
    """Return the worst element of each leaf, relative to the size of what was summed up in it."""
    found = []
    for leaf in range(len(e.layout.shapes)):
        part = e.layout.part(leaf)
        if part.stop == part.start:
            continue
        usable = np.ones(e.x.size, bool)
        usable[e.tested[~e.smooth]] = False
        with np.errstate(all="ignore"):
            away = np.abs(hand[:, part] - reference[:, part])
            ratio = np.where(
                usable[part] & np.isfinite(reference[:, part]), away / np.maximum(scale[:, part], 1e-300), -1.0
            )
            ratio = np.where(np.isnan(ratio), np.inf, ratio)
        k, i = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
        element = part.start + int(i)
        if ratio[k, i] < 0:
            found.append(Worst(leaf, element, float(hand[k, element]), np.nan, 0.0, 0.0, "kink"))
            continue
        mine, theirs = float(hand[k, element]), float(reference[k, element])
        with np.errstate(all="ignore"):
            relative = abs(mine - theirs) / abs(theirs) if theirs else (0.0 if mine == theirs else np.inf)
            ulps = abs(mine - theirs) / np.spacing(abs(theirs)) if np.isfinite(theirs) else np.inf
        found.append(Worst(leaf, element, mine, theirs, float(relative), float(ulps), str(source[element])))
    return tuple(found)
