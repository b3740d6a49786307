r"""A hand-written gradient beside the evidence, the sizes that its errors are measured by, and how witnesses speak."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from funcnet.checking.evidence import Evidence

MOST = 1e-4  # of a leaf's largest gradient: no rounding is more


class Testimony(NamedTuple):
    """What one witness says."""

    witness: str
    verdict: str  # agrees, objects, abstains, absent
    words: str
    elements: tuple[int, ...] = ()  # where it objects


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
        size = np.abs(e.jacobian)
        columns = np.where(np.isfinite(size) & (e.jacobian_error <= size), size, 0.0)
        sums = np.abs(e.channel_w) @ columns.T
        scale[:, e.tested] = np.maximum(scale[:, e.tested], sums)
        touched = columns > 0
        if e.derivative is not None:
            touched |= e.derivative[:, e.tested].T != 0
            scale = np.maximum(
                scale, np.abs(e.channel_w) @ np.where(np.isfinite(e.derivative), np.abs(e.derivative), 0.0)
            )
        if e.complex is not None:
            touched |= (e.complex != 0) & np.isfinite(e.complex)
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


class Comparison:
    """A gradient (K, inputs) beside the evidence, and the sizes that its errors are measured by.

    scale, floor, blur  see `sizes.magnitudes`
    rounding            what is allowed for the gradient's own rounding, (K, inputs)
    numeric             wᵀ J by differences at the tested elements, with `numeric_error`
    loose               what differences may be away; `useful` where that is little
    sided               tested elements at which the differences side with the gradient, whoever objects
    """

    def __init__(self, e: Evidence, hand: np.ndarray, tolerance: float, rounding: np.ndarray | float = 0.0) -> None:
        self.e, self.hand, self.tolerance = e, hand, tolerance
        self.scale, floor, blur = magnitudes(e, hand)
        self.floor, self.blur = floor + rounding, blur + rounding
        # Precision that the rule itself does not have is not asked of it.
        self.tight = max(tolerance, 64 * e.programs.epsilon if e.programs.epsilon > 1e-15 else 0.0)
        self.at = hand[:, e.tested]
        self.scale_at = self.scale[:, e.tested]
        with np.errstate(all="ignore"):
            self.numeric = e.contracted(e.jacobian)
            error = np.abs(e.channel_w) @ np.where(e.bounds.kinked, 0.0, e.jacobian_error).T
            self.numeric_error = np.where(np.isfinite(self.numeric), error, np.inf)
            self.loose = 8 * self.numeric_error + 1e-8 * self.scale_at + self.blur[:, e.tested]
            self.numeric_away = np.abs(self.at - self.numeric)
            self.numeric_bad = (self.numeric_away > self.loose) & np.isfinite(self.numeric_error) & e.smooth
            largest = np.maximum(self.scale_at, np.abs(self.at))
            self.useful = self.numeric_error <= 1e-3 * largest + self.blur[:, e.tested]
        # Where the numbers side with the rule against another witness (a tie of max and abs, say), the latter errs.
        self.sided = e.smooth & np.all(self.useful & ~self.numeric_bad, axis=0)

    def contradicted(self, values: np.ndarray) -> np.ndarray:
        """Tell at which tested elements the differences side with the rule against another witness's values."""
        with np.errstate(all="ignore"):
            return self.sided & np.any(~(np.abs(values - self.numeric) <= self.loose), axis=0)

    def over_leaves(self, bad: np.ndarray, witness: str, words: str) -> Testimony:
        """Make a testimony of where a witness objects, if anywhere."""
        e, elements = self.e, np.flatnonzero(bad)
        if not elements.size:
            return Testimony(witness, "agrees", words)
        where = ", ".join(e.layout.paths[leaf] for leaf in sorted({e.layout.leaf_of(int(i)) for i in elements}))
        words = f"at {elements.size} of {e.x.size} numbers, in {where}"
        return Testimony(witness, "objects", words, tuple(int(i) for i in elements))

    def everywhere(self, bad: np.ndarray) -> np.ndarray:
        """Return a mask over all inputs from one over those that were tested."""
        found = np.zeros(self.e.x.size, bool)
        found[self.e.tested] = bad
        return found

    @cached_property
    def plain(self) -> np.ndarray:
        """Tell where automatic differentiation is believed: not at kinks, nor where it alone is infinite."""
        e = self.e
        if e.rows is None:
            return np.zeros(e.x.size, bool)
        # An infinite input cannot be moved; there automatic differentiation, where it is finite, is the only witness.
        finite = np.all(np.isfinite(e.rows), axis=0)
        plain = e.movable | finite
        plain[e.tested[~e.smooth]] = False
        plain[e.tested[np.any(e.bounds.unknown, axis=1)]] &= finite[e.tested[np.any(e.bounds.unknown, axis=1)]]
        return plain & ~self.everywhere(self.contradicted(e.rows[:, e.tested]))


def largest_of_leaf(e: Evidence, scale: np.ndarray) -> np.ndarray:
    """Return the largest entry of each leaf, for each cotangent, at all of the leaf's places."""
    found = np.empty_like(scale)
    for part in map(e.layout.part, range(len(e.layout.shapes))):
        found[:, part] = np.max(scale[:, part], axis=1, keepdims=True, initial=0.0)
    return found


def worst_relative(away: np.ndarray, scale: np.ndarray) -> float:
    """Return the largest error relative to the size of what was summed up."""
    with np.errstate(all="ignore"):
        ratio = np.where(away > 0, away / np.maximum(scale, 1e-300), 0.0)
    return float(np.nanmax(ratio, initial=0.0))


def references(c: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Choose for each input the most precise witness that the numbers do not contradict; return it and its name."""
    e = c.e
    reference = np.full(c.hand.shape, np.nan) if e.rows is None else e.rows.copy()
    source = np.full(e.x.size, "" if e.rows is None else "automatic", dtype=object)
    with np.errstate(all="ignore"):
        held = np.all(np.abs(reference[:, e.tested] - c.numeric) <= c.loose, axis=0)
        choices = [("differences", np.where(c.useful, c.numeric, np.nan))]
        if e.complex is not None:
            stepped = e.contracted(e.complex)
            near = np.all(np.abs(stepped - c.numeric) <= c.loose, axis=0)
            choices.append(("complex step", np.where(near, stepped, np.nan)))
    for name, values in choices:
        take = e.smooth & ~held & np.all(np.isfinite(values), axis=0)
        reference[:, e.tested[take]] = values[:, take]
        source[e.tested[take]] = name
    return reference, source


def worst_elements(c: Comparison) -> tuple[np.ndarray, tuple[Worst, ...]]:
    """Return the best reference, and each leaf's worst element, relative to the size of what was summed up in it."""
    reference, source = references(c)
    found = []
    e = c.e
    for leaf in range(len(e.layout.shapes)):
        part = e.layout.part(leaf)
        if part.stop == part.start:
            continue
        usable = np.ones(e.x.size, bool)
        usable[e.tested[~e.smooth]] = False
        with np.errstate(all="ignore"):
            away = np.abs(c.hand[:, part] - reference[:, part])
            ratio = np.where(
                usable[part] & np.isfinite(reference[:, part]), away / np.maximum(c.scale[:, part], 1e-300), -1.0
            )
            ratio = np.where(np.isnan(ratio), np.inf, ratio)
        k, i = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
        element = part.start + int(i)
        if ratio[k, i] < 0:
            found.append(Worst(leaf, element, float(c.hand[k, element]), np.nan, 0.0, 0.0, "kink"))
            continue
        mine, theirs = float(c.hand[k, element]), float(reference[k, element])
        with np.errstate(all="ignore"):
            relative = abs(mine - theirs) / abs(theirs) if theirs else (0.0 if mine == theirs else np.inf)
            ulps = abs(mine - theirs) / np.spacing(abs(theirs)) if np.isfinite(theirs) else np.inf
        found.append(Worst(leaf, element, mine, theirs, float(relative), float(ulps), str(source[element])))
    return reference, tuple(found)
