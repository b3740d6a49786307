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

from typing import Any, NamedTuple

import numpy as np

from funcnet.check.evidence import Evidence
from funcnet.check.kinks import Kink, stated_slope
from funcnet.check.taylor import TaylorVerdict, taylor_verdict

WITNESSES = ("automatic differentiation", "complex step", "central differences", "Taylor remainder", "dot product")


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
    reference, source = _reference(e, numeric, loose, tight, scale, floor, hand)
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
    kinks = _kinks(e, hand, scale, floor)
    outside = [kink for kink in kinks if kink.problem]
    if outside:
        testimonies.append(
            Testimony("one-sided slopes", "objects", outside[0].problem, tuple(k.element for k in outside))
        )
    worst = _worst(e, hand, reference, source, scale)
    return Judgement(tuple(testimonies), kinks, worst, reference, taylor, tuple(overruled))


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


def _reference(
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


def _kinks(e: Evidence, hand: np.ndarray, scale: np.ndarray, floor: np.ndarray) -> tuple[Kink, ...]:
    """Compare the gradient at each kink with the slopes on either side, and with the stated one."""
    found = []
    for row in np.flatnonzero(~e.smooth):
        element = int(e.tested[row])
        low, high = e.bounds.low[row], e.bounds.high[row]
        values = hand[:, element]
        with np.errstate(all="ignore"):
            ends = np.stack([_times(e.channel_w, low), _times(e.channel_w, high)])
        bottom, top = np.min(ends, axis=0).sum(-1), np.max(ends, axis=0).sum(-1)
        slack = (
            1e-6 * scale[:, element]
            + floor[:, element]
            + 1e-12 * np.where(np.isfinite(top - bottom), np.abs(top - bottom), 0.0)
        )
        inside = (values >= bottom - slack) & (values <= top + slack)
        stated = None
        problem = ""
        if not np.all(np.isfinite(values)):
            problem = f"at the kink {e.layout.name(element)} the gradient is {values[~np.isfinite(values)][0]}"
        elif not np.all(inside) and not e.subject.composite:
            k = int(np.flatnonzero(~inside)[0])
            problem = (
                f"at the kink {e.layout.name(element)} the gradient {values[k]:.6g} "
                f"is not between {bottom[k]:.6g} and {top[k]:.6g}"
            )
        slope = _stated(e, element)
        if slope is not None:
            stated, wanted = slope
            if not np.allclose(values, wanted, rtol=1e-12, atol=0) and not problem:
                k = int(np.argmax(np.abs(values - wanted)))
                problem = (
                    f"at the kink {e.layout.name(element)} the rule states {wanted[k] + 0.0:.6g} "
                    f"and gives {values[k] + 0.0:.6g}"
                )
        found.append(
            Kink(element, float(e.x[element]), float(bottom[0]), float(top[0]), float(values[0]), stated, problem)
        )
    return tuple(found)


def _times(w: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Multiply cotangents by interval ends, 0 · ∞ being 0."""
    return np.where((w == 0) | (bound == 0), 0.0, w * bound)


def _stated(e: Evidence, element: int) -> tuple[float, np.ndarray] | None:
    """Return the slope that the rule states at an element, and the gradients that it means for the cotangents."""
    subject = e.subject
    if not subject.stated:
        return None
    value = float(e.x[element])
    if subject.kind == "loss":
        target = np.asarray(subject.constants[0])
        if target.size != e.x.size:
            return None
        value -= float(np.ravel(target)[element])
    slope = stated_slope(subject.stated, value)
    if slope is None:
        return None
    if subject.kind == "activation" and e.y_size == e.x.size:
        return slope, slope * e.w[:, element]
    # A loss or a penalty scales its slope by weights and a mean; 0 stays 0 under any scale.
    return (slope, np.zeros(len(e.w))) if slope == 0 else None


def _worst(e: Evidence, hand: np.ndarray, reference: np.ndarray, source: Any, scale: np.ndarray) -> tuple[Worst, ...]:
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
