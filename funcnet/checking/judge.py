r"""The judgement: a hand-written gradient against the evidence, element by element, one function a witness.

Each witness has its own tolerance, since each has its own error:

    automatic differentiation   1e-12 of Σ |w J|, the sum whose rounding it is (more where the rule itself computes in
                                fewer bits)
    complex step                1e-11 of the same
    central differences         8 times their own error estimate, and 1e-8
    Taylor remainder            order 2, or a first-order part below 1e-6
    dot product                 ⟨J v, w⟩ = ⟨v, Jᵀ w⟩ to 1e-11
    one-sided slopes            between those on either side of a kink, and as stated

Below the rounding of y itself, ε Σ |w y| / |x|, nothing is held against a gradient: no difference of y could show it.
Automatic differentiation that the numbers contradict is overruled, and the report says so. Where an objection is so
small that it may be rounding, the rounding of the gradient is measured and allowed for.

Silence proves nothing: where no witness can tell any number of an input from another, the check fails.
"""

from typing import NamedTuple

import numpy as np

from funcnet.checking.at_kinks import judge_kinks
from funcnet.checking.comparison import (
    MOST,
    Comparison,
    Testimony,
    Worst,
    largest_of_leaf,
    magnitudes,
    worst_elements,
    worst_relative,
)
from funcnet.checking.evidence import Evidence
from funcnet.checking.kinks import Kink
from funcnet.checking.taylor import taylor_verdict


class Judgement(NamedTuple):
    """All testimonies, the kinks, and the worst element of each leaf."""

    testimonies: tuple[Testimony, ...]
    kinks: tuple[Kink, ...]
    worst: tuple[Worst, ...]
    reference: np.ndarray  # (K, inputs), NaN where nothing is known
    overruled: tuple[int, ...]
    tried: np.ndarray  # bool (inputs,): which numbers a witness judged one by one
    rounded: bool  # whether objections were found to be rounding

    @property
    def passed(self) -> bool:
        """Tell whether no witness objects."""
        return all(one.verdict != "objects" for one in self.testimonies)


def judge(evidence: Evidence, hand: np.ndarray, tolerance: float = 1e-12) -> Judgement:
    """Judge a gradient (K, inputs) given for the evidence's cotangents."""
    _look_closer(evidence, hand, tolerance)
    strict = Comparison(evidence, hand, tolerance)
    verdict = _hear(strict)
    if verdict.passed:
        return verdict
    most = MOST * largest_of_leaf(evidence, strict.scale)
    if not _hear(Comparison(evidence, hand, tolerance, most)).passed:
        return verdict
    rounding = np.minimum(16 * evidence.gradient_noise, most)
    lenient = _hear(Comparison(evidence, hand, tolerance, rounding))
    return lenient._replace(rounded=True) if lenient.passed else verdict


def _hear(c: Comparison) -> Judgement:
    """Hear all witnesses."""
    kinks = judge_kinks(c.e, c.hand, c.scale, c.floor)
    tried = _tried(c, kinks)
    testimonies = [_automatic(c), _complex_step(c), _central_differences(c), _taylor(c), _dot_product(c)]
    testimonies += [one for one in (_one_sided(kinks), _silence(c, tried)) if one]
    overruled: tuple[int, ...] = ()
    if c.e.rows is not None:
        away = np.abs(c.hand - c.e.rows)[:, c.e.tested]
        doubted = c.contradicted(c.e.rows[:, c.e.tested]) & np.any(~(away <= c.tight * c.scale_at), axis=0)
        overruled = tuple(c.e.tested[doubted].tolist())
    reference, worst = worst_elements(c)
    return Judgement(tuple(testimonies), kinks, worst, reference, overruled, tried, rounded=False)


def _look_closer(e: Evidence, hand: np.ndarray, tolerance: float) -> None:
    """Differentiate numerically where automatic differentiation objects: there may be a kink."""
    if e.rows is None:
        return
    scale, floor, _ = magnitudes(e, hand)
    with np.errstate(all="ignore"):
        away = np.max((np.abs(hand - e.rows) - floor) / np.maximum(scale, 1e-300), axis=0)
    away[e.tested] = 0
    objecting = np.flatnonzero(~(away <= max(tolerance, 64 * e.programs.epsilon)))
    if objecting.size and e.tested.size < 512:
        e.extend(objecting[np.argsort(-away[objecting])][:64])


# -- the witnesses ----------------------------------------------------------------------------------


def _automatic(c: Comparison) -> Testimony:
    e, name = c.e, "automatic differentiation"
    if e.rows is None:
        return Testimony(name, "absent", e.rows_absent)
    with np.errstate(all="ignore"):
        away = np.abs(c.hand - e.rows)
        bad = (away > c.tight * c.scale + c.floor) | (~np.isfinite(e.rows) & np.isfinite(c.hand))
    spread = worst_relative(np.where(c.plain, away, 0.0), c.scale)
    return c.over_leaves(np.any(bad, axis=0) & c.plain, name, f"worst {spread:.1e} relative")


def _complex_step(c: Comparison) -> Testimony:
    e, name = c.e, "complex step"
    if e.complex is None:
        return Testimony(name, "absent", e.complex_absent)
    with np.errstate(all="ignore"):
        stepped = e.contracted(e.complex)
        away = np.abs(c.at - stepped)
        bad = (away > 10 * c.tight * c.scale_at + c.floor[:, e.tested]) & np.isfinite(stepped)
    believed = e.smooth & ~c.contradicted(stepped)
    spread = worst_relative(np.where(believed & np.isfinite(stepped), away, 0.0), c.scale_at)
    return c.over_leaves(c.everywhere(np.any(bad, axis=0) & believed), name, f"worst {spread:.1e} relative")


def _central_differences(c: Comparison) -> Testimony:
    name, smooth, bad = "central differences", c.e.smooth, np.any(c.numeric_bad, axis=0)
    useful = c.useful[:, smooth]
    if not np.any(useful) and not np.any(bad):
        return Testimony(name, "abstains", "too noisy to tell" if np.any(smooth) else "kinks everywhere")
    scale = c.scale_at[:, smooth]
    spread = worst_relative(np.where(useful, c.numeric_away[:, smooth], 0.0), scale)
    own = worst_relative(np.where(useful, c.numeric_error[:, smooth], 0.0), scale)
    blind = int(np.sum(~np.all(useful, axis=0)))
    words = f"worst {spread:.1e} relative, own error {own:.1e}" + (f", {blind} too noisy to tell" if blind else "")
    return c.over_leaves(c.everywhere(bad), name, words)


def _dot_product(c: Comparison) -> Testimony:
    """Compare ⟨J v, w⟩, from forward mode or complex steps, with ⟨v, hand⟩."""
    e, name = c.e, "dot product"
    along = e.columns if e.columns is not None else e.complex_along
    if along is None:
        return Testimony(name, "absent", "neither forward mode nor complex steps are at hand")
    with np.errstate(all="ignore"):
        forward = e.channel_w @ along.T
        terms = np.where(e.directions == 0, 0.0, c.hand[:, None, :] * e.directions)
        size = np.abs(terms).sum(-1) + np.abs(e.channel_w) @ np.abs(along).T
        # Rounding that each term may carry, as in the elementwise witnesses.
        slack = (np.abs(e.directions) @ (10 * c.tight * c.scale + c.floor).T).T
        gap = np.abs(forward - terms.sum(-1))
        # As in every court, the numbers may overrule forward mode.
        numeric, error = e.channel_w @ e.along.central.T, np.abs(e.channel_w) @ e.along.central_error.T
        believed = ~(np.abs(forward - numeric) > 8 * error + 1e-8 * size)
        bad = (gap > 10 * c.tight * size + slack) & np.isfinite(forward) & believed
        spread = worst_relative(np.where(believed & (size > 0), gap, 0.0), size)
    if np.any(bad):
        return Testimony(name, "objects", f"⟨J v, w⟩ and ⟨v, Jᵀ w⟩ differ by {spread:.1e} relative")
    return Testimony(name, "agrees", f"worst {spread:.1e} relative")


def _taylor(c: Comparison) -> Testimony:
    """Judge the order of the Taylor remainder."""
    verdict = taylor_verdict(c.e, c.hand, c.floor)
    return Testimony("Taylor remainder", verdict.verdict, verdict.words)


def _one_sided(kinks: tuple[Kink, ...]) -> Testimony | None:
    outside = [kink for kink in kinks if kink.problem]
    if not outside:
        return None
    return Testimony("one-sided slopes", "objects", outside[0].problem, tuple(kink.element for kink in outside))


def _tried(c: Comparison, kinks: tuple[Kink, ...]) -> np.ndarray:
    """Tell which numbers a witness could judge, each by itself."""
    e = c.e
    with np.errstate(all="ignore"):
        told = np.all(c.loose <= 0.1 * largest_of_leaf(e, np.maximum(c.scale, np.abs(c.hand)))[:, e.tested], axis=0)
        told |= ~e.smooth & ~np.any(e.bounds.unknown, axis=1)
        if e.complex is not None:
            told |= e.smooth & np.all(np.isfinite(e.contracted(e.complex)), axis=0)
    return c.plain | c.everywhere(told)


def _silence(c: Comparison, tried: np.ndarray) -> Testimony | None:
    """Object where nothing is known of a whole input."""
    for leaf, path in enumerate(c.e.layout.paths):
        part = c.e.layout.part(leaf)
        if part.stop > part.start and not np.any(tried[part]) and np.any(c.e.movable[part]):
            return Testimony("evidence", "objects", f"no witness can tell a right gradient of {path} from a wrong one")
    return None
