r"""The judgement: a hand-written gradient against the evidence, element by element.

Each witness has its own tolerance, since each has its own error:

    automatic differentiation   1e-12 of Σ |w J|, the sum whose rounding it is (more where the rule itself computes
    in fewer bits) complex step                1e-11 of the same
    central differences         8 times their own error estimate, and 1e-8
    Taylor remainder            order 2, or a first-order part below 1e-6
    dot product                 ⟨J v, w⟩ = ⟨v, Jᵀ w⟩ to 1e-11

Below the rounding of y itself, ε Σ |w y| / |x|, nothing is held against a gradient: no difference of y could show it.
Automatic differentiation that the numbers contradict is overruled, and the report says so.
"""

from typing import NamedTuple

import numpy as np

from funcnet.checking.at_kinks import judge_kinks
from funcnet.checking.evidence import Evidence
from funcnet.checking.kinks import Kink
from funcnet.checking.sizes import Worst, best_reference, magnitudes, worst_elements
from funcnet.checking.taylor import TaylorVerdict, taylor_verdict

WITNESSES = ("automatic differentiation", "complex step", "central differences", "Taylor remainder", "dot product")


class Testimony(NamedTuple):
    """What one witness says."""

    witness: str
    verdict: str  # agrees, objects, abstains, absent
    words: str
    elements: tuple[int, ...] = ()  # where it objects


class Judgement(NamedTuple):
    """All testimonies, the kinks, and the worst element of each leaf."""

    testimonies: tuple[Testimony, ...]
    kinks: tuple[Kink, ...]
    worst: tuple[Worst, ...]
    reference: np.ndarray  # (K, inputs), NaN where nothing is known
    taylor: TaylorVerdict
    overruled: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Tell whether no witness objects."""
        return all(one.verdict != "objects" for one in self.testimonies)


def judge(evidence: Evidence, hand: np.ndarray, tolerance: float = 1e-12) -> Judgement:
    """Judge a gradient (K, inputs) given for the evidence's cotangents."""
    _look_closer(evidence, hand, tolerance)
    e, tested, smooth = evidence, evidence.tested, evidence.smooth
    scale, floor, blur = magnitudes(e, hand)
    # Precision that the rule itself does not have is not asked of it.
    tight = max(tolerance, 64 * e.programs.epsilon if e.programs.epsilon > 1e-15 else 0.0)
    # An infinite input cannot be moved; there automatic differentiation, where it is finite, is the only witness.
    plain = e.movable.copy() if e.rows is None else e.movable | np.all(np.isfinite(e.rows), axis=0)
    plain[tested[~smooth]] = False
    with np.errstate(all="ignore"):
        numeric, numeric_error = (
            e.contracted(e.jacobian),
            np.abs(e.channel_w) @ np.where(e.bounds.kinked, 0.0, e.jacobian_error).T,
        )
    numeric_error = np.where(np.isfinite(numeric), numeric_error, np.inf)
    at = np.where(smooth)[0]
    loose = 8 * numeric_error + 1e-8 * scale[:, tested] + blur[:, tested]
    useful = numeric_error <= 1e-3 * np.maximum(scale[:, tested], np.abs(hand[:, tested])) + blur[:, tested]
    numeric_bad = (np.abs(hand[:, tested] - numeric) > loose) & np.isfinite(numeric_error)
    numeric_bad &= smooth
    reference, source = best_reference(e, numeric, loose, tight, scale, floor, hand)
    testimonies: list[Testimony] = []
    overruled: list[int] = []
    # Where the numbers side with the rule against another witness (a tie of max and abs, say), it is the latter that
    # errs.
    sided = smooth & np.all(useful & ~numeric_bad, axis=0)

    if e.rows is None:
        testimonies.append(Testimony(WITNESSES[0], "absent", e.rows_absent))
    else:
        with np.errstate(all="ignore"):
            away = np.abs(hand - e.rows)
            bad = np.any((away > tight * scale + floor) | (~np.isfinite(e.rows) & np.isfinite(hand)), axis=0) & plain
            wrong = np.zeros_like(bad)
            wrong[tested] = sided & np.any(~(np.abs(e.rows[:, tested] - numeric) <= loose), axis=0)
        overruled = np.flatnonzero(bad & wrong).tolist()
        bad &= ~wrong
        spread = _worst_relative(np.where(plain & ~wrong, away, 0.0), scale)
        testimonies.append(_testimony(WITNESSES[0], bad, f"worst {spread:.1e} relative", e))

    if e.complex is None:
        testimonies.append(Testimony(WITNESSES[1], "absent", e.complex_absent))
    else:
        with np.errstate(all="ignore"):
            stepped = e.contracted(e.complex)
            away = np.abs(hand[:, tested] - stepped)
            bad = np.zeros(e.x.size, bool)
            believed = smooth & ~(sided & np.any(~(np.abs(stepped - numeric) <= loose), axis=0))
            bad[tested] = (
                np.any((away > 10 * tight * scale[:, tested] + floor[:, tested]) & np.isfinite(stepped), axis=0)
                & believed
            )
        spread = _worst_relative(np.where(believed & np.isfinite(stepped), away, 0.0), scale[:, tested])
        testimonies.append(_testimony(WITNESSES[1], bad, f"worst {spread:.1e} relative", e))

    bad = np.zeros(e.x.size, bool)
    bad[tested] = np.any(numeric_bad, axis=0)
    if at.size and np.any(useful[:, at]):
        ratio = np.abs(hand[:, tested] - numeric)[:, at]
        spread = _worst_relative(np.where(useful[:, at], ratio, 0.0), scale[:, tested][:, at])
        own = _worst_relative(np.where(useful[:, at], numeric_error[:, at], 0.0), scale[:, tested][:, at])
        blind = int(at.size - np.sum(np.all(useful[:, at], axis=0)))
        words = f"worst {spread:.1e} relative, own error {own:.1e}" + (f", {blind} too noisy to tell" if blind else "")
        testimonies.append(_testimony(WITNESSES[2], bad, words, e))
    elif np.any(bad):
        testimonies.append(_testimony(WITNESSES[2], bad, "", e))
    else:
        testimonies.append(
            Testimony(WITNESSES[2], "abstains", "kinks everywhere" if not at.size else "too noisy to tell")
        )

    taylor = taylor_verdict(e, hand)
    testimonies.append(Testimony(WITNESSES[3], taylor.verdict, taylor.words))
    testimonies.append(_dot_product(e, hand, tight))
    kinks = judge_kinks(e, hand, scale, floor)
    outside = [kink for kink in kinks if kink.problem]
    if outside:
        testimonies.append(
            Testimony("one-sided slopes", "objects", outside[0].problem, tuple(k.element for k in outside))
        )
    worst = worst_elements(e, hand, reference, source, scale)
    return Judgement(tuple(testimonies), kinks, worst, reference, taylor, tuple(overruled))


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


def _worst_relative(away: np.ndarray, scale: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        ratio = np.where(away > 0, away / np.maximum(scale, 1e-300), 0.0)
    return float(np.nanmax(ratio, initial=0.0))


def _testimony(witness: str, bad: np.ndarray, words: str, e: Evidence) -> Testimony:
    elements = np.flatnonzero(bad)
    if not elements.size:
        return Testimony(witness, "agrees", words)
    leaves = sorted({e.layout.leaf_of(int(i)) for i in elements})
    where = ", ".join(e.layout.paths[leaf] for leaf in leaves)
    return Testimony(
        witness, "objects", f"at {elements.size} of {e.x.size} numbers, in {where}", tuple(int(i) for i in elements)
    )


def _dot_product(e: Evidence, hand: np.ndarray, tight: float) -> Testimony:
    """Compare ⟨J v, w⟩, from forward mode or complex steps, with ⟨v, hand⟩."""
    along = e.columns if e.columns is not None else e.complex_along
    if along is None:
        return Testimony(WITNESSES[4], "absent", "neither forward mode nor complex steps are at hand")
    with np.errstate(all="ignore"):
        forward = e.channel_w @ along.T
        terms = np.where(e.directions == 0, 0.0, hand[:, None, :] * e.directions)
        backward = terms.sum(-1)
        size = np.abs(terms).sum(-1) + np.abs(e.channel_w) @ np.abs(along).T
        # Rounding that each term may carry, as in the elementwise witnesses.
        scale, floor, _ = magnitudes(e, hand)
        slack = (np.abs(e.directions) @ (10 * tight * scale + floor).T).T
        gap = np.abs(forward - backward)
        bad = (gap > 10 * tight * size + slack) & np.isfinite(forward)
        # As in every court, the numbers may overrule forward mode.
        numeric, error = e.channel_w @ e.along.central.T, np.abs(e.channel_w) @ e.along.central_error.T
        believed = ~(np.abs(forward - numeric) > 8 * error + 1e-8 * size)
        bad &= believed
        spread = float(np.nanmax(np.where(believed & (size > 0), gap / np.maximum(size, 1e-300), 0.0), initial=0.0))
    if np.any(bad):
        return Testimony(WITNESSES[4], "objects", f"⟨J v, w⟩ and ⟨v, Jᵀ w⟩ differ by {spread:.1e} relative")
    return Testimony(WITNESSES[4], "agrees", f"worst {spread:.1e} relative")
