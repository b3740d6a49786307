r"""The Taylor remainder: its order tells a right gradient from one that is off by a few per cent, whatever the step.

R(h) = ⟨w, f(x + h v) − f(x)⟩ − h ⟨g, v⟩ = h (⟨Jᵀw, v⟩ − ⟨g, v⟩) + ½ h² vᵀ H v + …

With the right g the first term is absent and R falls with h²; with a wrong one R falls with h once h is small. The
steps go from 1/8 of the inputs' size down to 2⁻²⁵; those at which R is rounding are left out. A remainder that
vanishes into rounding while h is still large (a linear function, a kink crossed by the larger steps alone) needs no
order: the first-order part is then bounded by R/h itself. Where the difference quotients along the direction do not
settle, the function is still wild at the smallest step, and nothing is held against the gradient.
"""

from typing import NamedTuple

import numpy as np

from funcnet.checking.evidence import Evidence


class TaylorVerdict(NamedTuple):
    """What the remainders say: the lowest order over directions and cotangents, and in words."""

    verdict: str  # agrees, objects, abstains
    order: float  # inf where every remainder is rounding
    words: str


def taylor_verdict(e: Evidence, hand: np.ndarray, slack: np.ndarray) -> TaylorVerdict:
    """Judge a gradient (K, inputs), right to within a slack, by the order of its remainder along the directions."""
    h = e.direction_steps[0]
    with np.errstate(all="ignore"):
        # (K, directions, rungs)
        change = np.einsum("kc,drc->kdr", e.channel_w, e.along_plus - e.base)
        terms = np.where(e.directions == 0, 0.0, hand[:, None, :] * e.directions)
        slope, size = terms.sum(-1), np.abs(terms).sum(-1)
        remainder = np.abs(change - slope[:, :, None] * h)
        moved = np.any(e.along_plus != e.base, axis=1)  # (directions, channels)
        for other in (e.columns, e.complex_along):
            # An output may depend on the direction and yet be too large to show it.
            moved |= False if other is None else other != 0
        rounding = np.abs(e.channel_w) @ np.where(moved, e.noise, 0.0).T
        off = slack @ np.abs(e.directions).T
        floor = 4 * rounding[:, :, None] + (1e-13 * size + off)[:, :, None] * h
        steepness = np.maximum(size, np.abs(np.abs(e.channel_w) @ np.abs(e.along.central).T))
        defect = np.min(np.where(np.isfinite(remainder), remainder + floor, np.inf) / h, axis=-1)
        relative = np.where(defect <= 1e-300, 0.0, defect / steepness)
        wild = ~(8 * np.abs(e.channel_w) @ e.along.central_error.T < defect)
    small = (relative <= 1e-6) | (defect * h[-1] <= 2 * floor[:, :, -1])
    used = np.any(e.directions, axis=1)[None] & np.ones_like(small)
    orders = np.full(small.shape, np.nan)
    for k, d in np.argwhere(used):
        orders[k, d] = _order(h, remainder[k, d], floor[k, d])
    # An order below a half leaps over a jump: that tells nothing of the slope.
    first = used & ~small & (orders > 0.5) & (orders < 1.5) & np.isfinite(relative) & ~wild
    undecided = int(np.sum(used & ~small & ~first))
    known = orders[np.isfinite(orders)]
    if np.any(first):
        words = f"order {np.min(known):.2f} where 2 is due: the gradient is off to first order"
        return TaylorVerdict("objects", float(np.min(known)), f"{words} by {np.max(relative[first]):.1e}")
    if not known.size:
        words = "too noisy to tell" if undecided else "nothing left but rounding"
        return TaylorVerdict("abstains" if undecided else "agrees", np.inf, words)
    words = f"order {np.median(known):.2f}" + (f", {undecided} directions undecided" if undecided else "")
    return TaylorVerdict("agrees", float(np.min(known)), words)


def _order(h: np.ndarray, remainder: np.ndarray, floor: np.ndarray) -> float:
    """Fit the order to the smallest four steps at which the remainder stands clear of rounding; NaN if not three."""
    clear = np.flatnonzero(np.isfinite(remainder) & (remainder > 8 * floor))
    if clear.size < 3:
        return np.nan
    last = clear[-1]
    run = [i for i in range(last, max(last - 4, -1), -1) if i in set(clear.tolist())]
    if len(run) < 3:
        return np.nan
    return float(np.polyfit(np.log(h[run]), np.log(remainder[run]), 1)[0])
