r"""The same gradient under jit, under vmap over a batch of points, and along a curve (second order).

Second order: g(x + t v) differentiated by t, once by central differences of the hand-written gradient, once by
`jax.jvp` of `jax.grad`. A gradient that is right at x for the wrong reason, stale residuals say, does not follow.
"""

import numpy as np

from funcnet.checking.contract import elsewhere
from funcnet.checking.differences import slopes
from funcnet.checking.evidence import Evidence
from funcnet.checking.judge import Testimony
from funcnet.checking.programs import first_line
from funcnet.checking.sizes import magnitudes

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
    """Compare differences of the hand-written gradient with forward-over-reverse differentiation."""
    name = "second order"
    if e.programs.untraceable or e.rows is None:
        return Testimony(name, "absent", e.programs.untraceable or e.rows_absent)
    points, directions = _curve(e)
    try:
        reference = e.programs.curvature(e.x, e.w[0], directions)
        lanes = e.programs.hand_lanes(points, e.w[0])
    except Exception as error:
        return Testimony(name, "absent", first_line(error))
    rungs = len(_STEPS)
    moved = lanes[1:-1].reshape(2, 2, rungs, e.x.size)  # sides, directions, rungs
    steps = np.repeat(_STEPS[None], 2, axis=0)
    scale, _, _ = magnitudes(e, lanes[:1])
    noise = 64 * e.programs.epsilon * np.maximum(np.abs(lanes[0]), scale[0]) + 1e-300
    with np.errstate(all="ignore"):
        found = slopes(lanes[0], moved[0], moved[1], steps, noise)
        size = np.max(np.where(np.isfinite(reference), np.abs(reference), 0.0), axis=1, keepdims=True)
        loose = 8 * found.central_error + 1e-5 * np.abs(reference) + 1e-7 * size + noise
        # A kink beside the curve shows as one-sided slopes that differ: there the second derivative is not theirs to
        # compare.
        apart = np.abs(found.right - found.left) > 8 * (found.right_error + found.left_error) + 1e-3 * (
            np.abs(reference) + size
        )
        useful = (
            (found.central_error < 1e-2 * np.maximum(np.abs(reference), 1e-3 * size) + noise)
            & np.isfinite(reference)
            & ~apart
        )
        away = np.abs(found.central - reference)
        bad = useful & (away > loose)
        bad[:, ~_free(e)] = False
    if not np.any(useful):
        return Testimony(name, "abstains", "too noisy to tell")
    if np.any(bad):
        elements = np.flatnonzero(np.any(bad, axis=0))
        return Testimony(
            name,
            "objects",
            f"differences of the gradient leave jvp of grad at {e.layout.name(int(elements[0]))}",
            tuple(elements.tolist()),
        )
    spread = float(np.max(np.where(useful, away / np.maximum(np.abs(reference) + size, 1e-300), 0.0)))
    return Testimony(name, "agrees", f"Hessian-vector products, worst {spread:.1e} relative")


def _free(e: Evidence) -> np.ndarray:
    free = e.movable.copy()
    free[e.tested[~e.smooth]] = False
    return free


def _curve(e: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return x, the points x ± h v for two directions, and one point elsewhere; and the directions."""
    rng = np.random.default_rng([e.seed, 29])
    directions = rng.normal(size=(2, e.x.size)) * np.where(_free(e), e.own, 0.0)
    moves = (_STEPS[None, :, None] * directions[:, None, :]).reshape(-1, e.x.size)
    last = elsewhere(e.programs)
    return np.concatenate([e.x[None], e.x + moves, e.x - moves, last[None]]), directions


def _compare(name: str, e: Evidence, mine: np.ndarray, theirs: np.ndarray) -> Testimony:
    """Allow two ways of running one rule as much as two orders of summation may differ."""
    scale, floor, _ = magnitudes(e, e.w[:, :1] * 0 + theirs[0])
    with np.errstate(all="ignore"):
        gap = np.abs(mine - theirs)
        size = np.maximum(np.abs(theirs), np.max(scale, axis=0))
        allowed = max(1e-12, 64 * e.programs.epsilon) * size + np.max(floor, axis=0)
        bad = ~((gap <= allowed) | (mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
    if np.any(bad):
        elements = np.flatnonzero(np.any(bad, axis=0))
        return Testimony(
            name,
            "objects",
            f"the gradient changes under {name}, first at {e.layout.name(int(elements[0]))}",
            tuple(elements.tolist()),
        )
    with np.errstate(all="ignore"):
        spread = float(np.nanmax(np.where(gap > 0, gap / np.maximum(size, 1e-300), 0.0), initial=0.0))
    return Testimony(name, "agrees", "bit for bit" if spread == 0 else f"worst {spread:.1e} relative")
