r"""The Taylor remainder: its order tells a right gradient from one that is off by a few per cent, whatever the step.

R(h) = ⟨w, f(x + h v) − f(x)⟩ − h ⟨g, v⟩ = h (⟨Jᵀw, v⟩ − ⟨g, v⟩) + ½ h² vᵀ H v + …

With the right g the first term is absent and R falls with h²; with a wrong one R falls with h once h is small. The
steps go from 1/8 of the inputs' size down to 2⁻²⁵; those at which R is rounding are left out. A remainder that
vanishes into rounding while h is still large (a linear function, a kink crossed by the larger steps alone) needs no
order: the first-order part is then bounded by R/h itself.
"""

from typing import NamedTuple

import numpy as np

from funcnet.checking.evidence import Evidence


class TaylorVerdict(NamedTuple):
    """What the remainders say: the lowest order over directions and cotangents, and in words."""

    verdict: str  # agrees, objects, abstains
    order: float  # inf where every remainder is rounding
    words: str


def taylor_verdict(e: Evidence, hand: np.ndarray) -> TaylorVerdict:
    """Judge a gradient (K, inputs) by the order of its remainder along the evidence's directions."""
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
        floor = 4 * rounding[:, :, None] + 1e-13 * size[:, :, None] * h
        steepness = np.maximum(size, np.abs(np.abs(e.channel_w) @ np.abs(e.along.central).T))
        defect = np.min(np.where(np.isfinite(remainder), remainder + floor, np.inf) / h, axis=-1)
    orders: list[float] = []
    objections = undecided = 0
    worst_defect = 0.0
    for k, d in np.ndindex(*slope.shape):
        if not np.any(e.directions[d]):
            continue
        order = _order(h, remainder[k, d], floor[k, d])
        if order is not None:
            orders.append(order)
        relative = (
            defect[k, d] / steepness[k, d] if steepness[k, d] > 0 else (0.0 if defect[k, d] <= 1e-300 else np.inf)
        )
        if relative <= 1e-6 or defect[k, d] * h[-1] <= 2 * floor[k, d, -1]:
            continue
        if order is None or not np.isfinite(relative):
            undecided += 1
        elif 0.5 < order < 1.5:  # below, the steps leap over a jump: that tells nothing of the slope
            objections += 1
            worst_defect = max(worst_defect, float(relative))
        else:
            undecided += 1
    lowest = min(orders, default=np.inf)
    if objections:
        return TaylorVerdict(
            "objects",
            lowest,
            f"order {lowest:.2f} where 2 is due: the gradient is off to first order by {worst_defect:.1e}",
        )
    if not orders:
        return TaylorVerdict(
            "abstains" if undecided else "agrees",
            np.inf,
            "too noisy to tell" if undecided else "nothing left but rounding",
        )
    return TaylorVerdict(
        "agrees",
        lowest,
        f"order {np.median(orders):.2f}" + (f", {undecided} directions undecided" if undecided else ""),
    )


def _order(h: np.ndarray, remainder: np.ndarray, floor: np.ndarray) -> float | None:
    """Fit the order to the smallest four steps at which the remainder stands clear of rounding, if there are three."""
    clear = np.flatnonzero(np.isfinite(remainder) & (remainder > 8 * floor))
    if clear.size < 3:
        return None
    last = clear[-1]
    run = [i for i in range(last, max(last - 4, -1), -1) if i in set(clear.tolist())]
    if len(run) < 3:
        return None
    return float(np.polyfit(np.log(h[run]), np.log(remainder[run]), 1)[0])
