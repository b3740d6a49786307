r"""The judgement at kinks: between the one-sided slopes, and as stated."""

import numpy as np

from funcnet.checking.evidence import Evidence
from funcnet.checking.kinks import Kink, stated_slope


def judge_kinks(e: Evidence, hand: np.ndarray, scale: np.ndarray, floor: np.ndarray) -> tuple[Kink, ...]:
    """Compare the gradient at each kink with the slopes on either side, and with the stated one."""
    found = []
    for row in np.flatnonzero(~e.smooth):
        element, values, problem = int(e.tested[row]), hand[:, int(e.tested[row])], ""
        low, high = _ends(e, e.bounds.low[row], e.bounds.high[row])
        bottom, top = _ends(e, e.bounds.finite_low[row], e.bounds.finite_high[row])
        slack = 1e-6 * scale[:, element] + floor[:, element] + 1e-12 * np.abs(top - bottom)
        inside = (values >= bottom - slack) & (values <= top + slack)
        steep = np.abs(e.channel_w) @ e.bounds.steepest[row]
        beyond = (steep > 0) & (np.abs(values) >= steep) & (values >= low) & (values <= high)
        name = e.layout.name(element)
        if not np.all(np.isfinite(values)):
            problem = f"at the kink {name} the gradient is {values[~np.isfinite(values)][0]}"
        elif not np.all(inside | beyond) and not e.subject.composite:
            k = int(np.flatnonzero(~(inside | beyond))[0])
            problem = f"at the kink {name} the gradient {values[k]:.6g} is not between {bottom[k]:.6g} and {top[k]:.6g}"
        stated, wanted = _stated(e, element)
        if wanted is not None and not np.allclose(values, wanted, rtol=1e-12, atol=0) and not problem:
            k = int(np.argmax(np.abs(values - wanted)))
            problem = f"at the kink {name} the rule states {wanted[k] + 0.0:.6g} and gives {values[k] + 0.0:.6g}"
        found.append(
            Kink(element, float(e.x[element]), float(low[0]), float(high[0]), float(values[0]), stated, problem)
        )
    return tuple(found)


def _ends(e: Evidence, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of an interval for each cotangent from those for each output, 0 · ∞ being 0."""
    with np.errstate(all="ignore"):
        ends = np.stack(
            [np.where((e.channel_w == 0) | (bound == 0), 0.0, e.channel_w * bound) for bound in (low, high)]
        )
        return np.min(ends, axis=0).sum(-1), np.max(ends, axis=0).sum(-1)


def _stated(e: Evidence, element: int) -> tuple[float | None, np.ndarray | None]:
    """Return the slope that the rule states at an element, and the gradients that it means for the cotangents."""
    subject = e.subject
    if not subject.stated:
        return None, None
    value = float(e.x[element])
    if subject.kind == "loss":
        target = np.asarray(subject.constants[0])
        if target.size != e.x.size:
            return None, None
        value -= float(np.ravel(target)[element])
    slope = stated_slope(subject.stated, value)
    if slope is None:
        return None, None
    if subject.kind == "activation" and e.y_size == e.x.size:
        return slope, slope * e.w[:, element]
    # A loss or a penalty scales its slope by weights and a mean; 0 stays 0 under any scale.
    return (slope, np.zeros(len(e.w))) if slope == 0 else (None, None)
