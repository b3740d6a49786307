r"""The same gradient under jit, under vmap over a batch of points, and along a curve (second order).

Second order: along x + t v the hand-written gradient must go on being that of automatic differentiation, since one
that is right at x for the wrong reason, stale residuals say, does not follow; and its own derivative by t, by forward
mode through `backward`, must be that of its differences, since people differentiate through gradients.
"""

import numpy as np

from funcnet.checking.comparison import MOST, Testimony, largest_of_leaf, magnitudes
from funcnet.checking.contract import elsewhere
from funcnet.checking.differences import slopes
from funcnet.checking.evidence import Evidence
from funcnet.checking.form import first_line

_STEPS = np.exp2(-5.0 - 3 * np.arange(5))


def under_jit(e: Evidence, hand: np.ndarray) -> Testimony:
    """Compare the compiled backward with the eager one, for every cotangent."""
    if e.programs.untraceable:
        return Testimony("jit", "absent", f"forward cannot be traced ({e.programs.untraceable})")
    try:
        compiled = e.programs.hand(e.x, e.w)
    except Exception as error:  # whatever a stranger's backward raises on tracers
        return Testimony("jit", "objects", f"backward fails under jit: {first_line(error)}")
    return _compare("jit", e, compiled, hand)


def under_vmap(e: Evidence) -> Testimony:
    """Compare vmap over a batch of points with the points one by one."""
    if e.programs.untraceable:
        return Testimony("vmap", "absent", "forward cannot be traced")
    other = elsewhere(e.programs)
    try:
        single = np.stack([e.programs.hand(point, e.w)[0] for point in (e.x, other)])
        lanes = e.programs.hand_lanes(_curve(e)[0], e.w[0])[[0, -1]]
    except Exception as error:  # whatever a stranger's backward raises on batched tracers
        return Testimony("vmap", "objects", f"backward fails under vmap: {first_line(error)}")
    return _compare("vmap", e, lanes, single)


def second_order(e: Evidence) -> Testimony:
    """Follow the hand-written gradient along two curves, and differentiate it along them."""
    name = "second order"
    if e.programs.untraceable:
        return Testimony(name, "absent", e.programs.untraceable)
    points, directions = _curve(e)
    try:
        lanes = e.programs.hand_lanes(points, e.w[0])
    except Exception as error:
        return Testimony(name, "absent", first_line(error))
    if e.rows is not None:
        lost = _leaves_reference(e, points, lanes)
        if lost.size:
            words = f"away from x the gradient leaves automatic differentiation, first at {e.layout.name(int(lost[0]))}"
            return Testimony(name, "objects", words, tuple(lost.tolist()))
    try:
        derivative = e.programs.curvature(e.x, e.w[0], directions)
    except Exception as error:  # whatever a stranger's backward raises when it is differentiated
        return Testimony(name, "absent", first_line(error))
    return _compare_curvature(e, lanes, derivative)


def _leaves_reference(e: Evidence, points: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """Return the elements at which the gradient at some point of the curves is not that of the reference."""
    w, none = np.concatenate([e.w, e.masked]), np.zeros_like(e.directions)
    rows = np.stack([e.programs.reference(point, w, none)[0][0] for point in points[1:-1]])
    with np.errstate(all="ignore"):
        away = np.abs(lanes[1:-1] - rows)
        allowed = max(1e-7, 64 * e.programs.epsilon) * largest_of_leaf(e, np.abs(rows))
        bad = (away > allowed) & np.isfinite(rows)
        if np.any(bad):
            bad &= away > allowed + 16 * e.gradient_noise[0]
    bad[:, ~e.free] = False
    # Kinks may lie on the way; a gradient that does not follow is wrong at most points.
    return np.flatnonzero(np.sum(bad, axis=0) > len(rows) // 2)


def _compare_curvature(e: Evidence, lanes: np.ndarray, derivative: np.ndarray) -> Testimony:
    """Compare the derivative of the hand-written gradient along two directions with its differences."""
    name, rungs = "second order", len(_STEPS)
    moved = lanes[1:-1].reshape(2, 2, rungs, e.x.size)  # sides, directions, rungs
    scale, _, _ = magnitudes(e, lanes[:1])
    noise = 64 * e.programs.epsilon * np.maximum(np.abs(lanes[0]), scale[0]) + 1e-300
    with np.errstate(all="ignore"):
        found = slopes(lanes[0], moved[0], moved[1], np.repeat(_STEPS[None], 2, axis=0), noise)
        own = np.abs(derivative)
        seen = np.where(found.central_error < np.abs(found.central), np.abs(found.central), 0.0)
        size = np.max(np.maximum(np.where(np.isfinite(own), own, 0.0), seen), axis=1, keepdims=True)
        loose = 8 * found.central_error + 1e-5 * own + 1e-7 * size + noise
        # A kink beside the curve shows as one-sided slopes that differ: there is no second derivative to compare.
        sides = found.right_error + found.left_error
        apart = np.abs(found.right - found.left) > 8 * sides + 1e-3 * (own + size)
        useful = found.central_error < 1e-2 * np.maximum(np.maximum(own, seen), 1e-3 * size) + noise
        useful &= np.isfinite(derivative) & ~apart & e.free
        away = np.abs(found.central - derivative)
        bad = np.flatnonzero(np.any(useful & (away > loose), axis=0))
    if not np.any(useful):
        return Testimony(name, "abstains", "too noisy to tell")
    if bad.size:
        words = f"the derivative through backward is not that of the gradient at {e.layout.name(int(bad[0]))}"
        return Testimony(name, "objects", words, tuple(bad.tolist()))
    spread = float(np.max(np.where(useful, away / np.maximum(own + size, 1e-300), 0.0)))
    return Testimony(name, "agrees", f"Hessian-vector products, worst {spread:.1e} relative")


def _curve(e: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return x, the points x ± h v for two directions, and one point elsewhere; and the directions."""
    rng = np.random.default_rng([e.seed, 29])
    directions = rng.normal(size=(2, e.x.size)) * np.where(e.free, e.own, 0.0)
    moves = (_STEPS[None, :, None] * directions[:, None, :]).reshape(-1, e.x.size)
    last = elsewhere(e.programs)
    return np.concatenate([e.x[None], e.x + moves, e.x - moves, last[None]]), directions


def _compare(name: str, e: Evidence, mine: np.ndarray, theirs: np.ndarray) -> Testimony:
    """Allow two ways of running one rule as much as two orders of summation may differ, and its own rounding."""
    scale, floor, _ = magnitudes(e, e.w[:, :1] * 0 + theirs[0])
    with np.errstate(all="ignore"):
        gap = np.abs(mine - theirs)
        size = np.maximum(np.abs(theirs), np.max(scale, axis=0))
        allowed = max(1e-12, 64 * e.programs.epsilon) * size + np.max(floor, axis=0)
        same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        bad = ~(same | (gap <= allowed))
        if np.any(bad) and not np.any(~same & ~(gap <= allowed + MOST * np.max(largest_of_leaf(e, scale), axis=0))):
            bad = ~(same | (gap <= allowed + 16 * np.max(e.gradient_noise, axis=0)))
        spread = float(np.nanmax(np.where(gap > 0, gap / np.maximum(size, 1e-300), 0.0), initial=0.0))
    if np.any(bad):
        elements = np.flatnonzero(np.any(bad, axis=0))
        words = f"the gradient changes under {name}, first at {e.layout.name(int(elements[0]))}"
        return Testimony(name, "objects", words, tuple(elements.tolist()))
    return Testimony(name, "agrees", "bit for bit" if spread == 0 else f"worst {spread:.1e} relative")
