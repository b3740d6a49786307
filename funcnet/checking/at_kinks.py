r"""The judgement at kinks: between the one-sided slopes, and as stated."""

import numpy as np

from funcnet.checking.evidence import Evidence
from funcnet.checking.kinks import Kink, stated_slope


def judge_kinks(e: Evidence, hand: np.ndarray, scale: np.ndarray, floor: np.ndarray) -> tuple[Kink, ...]:
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
