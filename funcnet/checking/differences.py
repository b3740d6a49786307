r"""Difference quotients over a ladder of steps, extrapolated to step 0 with an error estimate.

Central     C(h) = (f(x + h v) − f(x − h v)) / 2h     = J v + c₂ h² + c₄ h⁴ + …
One-sided   D±(h) = ±(f(x ± h v) − f(x)) / h          = J v + c₁ h  + c₂ h² + …

Richardson: T(k, l) = T(k, l−1) + (T(k, l−1) − T(k−1, l−1)) / (r^{pl} − 1) removes one power after another, with
r = h(k−1)/h(k) and p = 2 or 1. Each entry's error is the larger distance to the two entries that it was made of, plus
the rounding of f over h; the entry with the smallest one is taken (Ridders 1982). No step has to be chosen: a kink,
the edge of a domain or a scale of its own only makes some rungs of the ladder bad. Finer quotients must bear the entry
out: by as much as they move away from it, beyond rounding, it is uncertain, and where that is half of it, it is
unknown: a function that is still wild at the smallest step, or coarsely rounded.

Steps follow each input's own size: from about an eighth of it down to 2⁻²⁶ of it, in powers of two, so that x ± h is
exact.
"""

from typing import NamedTuple

import numpy as np

RUNGS = 12
_COLUMNS = 6


class Slopes(NamedTuple):
    """Extrapolated derivatives along some directions, by output, with error estimates (inf where there is none)."""

    central: np.ndarray  # (directions, outputs)
    central_error: np.ndarray
    right: np.ndarray
    right_error: np.ndarray
    left: np.ndarray
    left_error: np.ndarray


def typical_sizes(values: np.ndarray) -> np.ndarray:
    """Return the size by which to step at each element of a leaf: its own, or that of its leaf (1 at most) next to 0.

    A step much larger than the element would see the function from afar, and a kink at 0 beside it as if it were here.
    """
    finite = np.abs(values[np.isfinite(values)])
    nonzero = finite[finite > 0]
    leaf = min(float(np.median(nonzero)), 1.0) if nonzero.size else 1.0
    sizes = np.where(np.isfinite(values), np.abs(values), 1.0)
    return np.where(sizes < 1e-7 * leaf, leaf, sizes)


def ladders(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the steps (elements, rungs), largest first, for elements of given values and sizes."""
    small = np.where(values == 0, sizes, np.minimum(sizes, np.abs(values)))
    top = np.floor(np.log2(sizes)) - 3
    bottom = np.floor(np.log2(small)) - 25
    stride = np.maximum(np.ceil((top - bottom) / (RUNGS - 1)), 1)
    return np.exp2(top[:, None] - stride[:, None] * np.arange(RUNGS))


def slopes(base: np.ndarray, plus: np.ndarray, minus: np.ndarray, steps: np.ndarray, noise: np.ndarray) -> Slopes:
    """Extrapolate values f(x ± h v).

    base (outputs,), plus and minus (directions, rungs, outputs), steps (directions, rungs), noise (outputs,).
    """
    h = steps[:, :, None]
    with np.errstate(all="ignore"):
        right, left = (plus - base) / h, (base - minus) / h
        # An output that no step moves is not reached, and has no rounding either.
        reached = np.any((plus != base) | (minus != base), axis=1, keepdims=True)
        grain = np.maximum(noise, quantum(np.fmax(np.abs(plus - base), np.abs(minus - base)))[:, None])
        rounding = np.where(reached, grain, 0.0) / h
        central, central_error = _extrapolate((plus - minus) / (2 * h), steps, 2, rounding)
        right, right_error = _extrapolate(right, steps, 1, rounding)
        left, left_error = _extrapolate(left, steps, 1, rounding)
    return Slopes(central, central_error, right, right_error, left, left_error)


def _extrapolate(
    quotients: np.ndarray, steps: np.ndarray, power: int, rounding: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    ratio = (steps[:, 0] / steps[:, 1])[:, None, None]
    column = quotients
    best, error = quotients[:, -1], np.full(quotients[:, -1].shape, np.inf)
    finest = np.full(best.shape, steps.shape[1] - 1)
    for level in range(1, min(_COLUMNS, steps.shape[1])):
        finer, coarser = column[:, 1:], column[:, :-1]
        column = finer + (finer - coarser) / (ratio ** (power * level) - 1)
        errors = np.maximum(np.abs(column - finer), np.abs(column - coarser)) + 2 * rounding[:, level:]
        errors = np.where(np.isfinite(errors), errors, np.inf)
        pick = np.argmin(errors, axis=1)[:, None]
        found = np.take_along_axis(errors, pick, axis=1)[:, 0]
        better = found < error
        best = np.where(better, np.take_along_axis(column, pick, axis=1)[:, 0], best)
        error, finest = np.where(better, found, error), np.where(better, pick[:, 0] + level, finest)
    away = np.where(np.isfinite(quotients), np.abs(quotients - best[:, None]), 0.0)
    beyond = np.arange(steps.shape[1])[None, :, None] > finest[:, None]
    allowed = 2 * np.take_along_axis(away, finest[:, None], axis=1) + 8 * rounding
    doubt = np.max(np.where(beyond, away - allowed, 0.0), axis=1)
    size = np.abs(np.where(np.isfinite(best), best, 0.0))
    gross = doubt > 0.5 * np.maximum(size, 1e-6 * np.max(size, initial=0.0))
    return best, np.where(gross, np.inf, np.fmax(error, doubt))


def quantum(changes: np.ndarray) -> np.ndarray:
    """Return the unit of which the changes (directions, rungs, outputs) are whole multiples, 0 where there is none.

    What is rounded coarsely, 1 − cos x near 0, say, does not move at small steps and moves by whole units at larger.
    """
    size = np.abs(changes)
    least = np.min(np.where(size > 0, size, np.inf), axis=1, keepdims=True)
    multiples = np.where(np.isfinite(least), 12 * size / least, 0.0)
    whole = np.all(np.abs(multiples - np.round(multiples)) <= 1e-9 * multiples, axis=1)
    coarse = np.any(size == 0, axis=1) & (least[:, 0] <= 1e-2 * np.max(size, axis=1))
    return np.where(whole & coarse, least[:, 0], 0.0)


def noise_of(samples: np.ndarray) -> np.ndarray:
    r"""Estimate the rounding noise of each output from its values at equally spaced points.

    Differences of order k wipe out the smooth part and leave noise of standard deviation σ √((2k)!/(k!)²) (Hamming
    1971; Moré & Wild 2011). samples (points, outputs), at least 7 points.

    >>> import numpy as np
    >>> x = np.linspace(1.0, 1.0 + 1e-6, 9)[:, None]
    >>> bool(noise_of(x * x)[0] < 1e-15), bool(noise_of((x * x).astype(np.float32).astype(float))[0] > 1e-8)
    (True, True)
    """
    found = np.zeros(samples.shape[1])
    differences, factor = samples, 1.0
    for order in range(1, 6):
        with np.errstate(all="ignore"):
            differences = np.diff(differences, axis=0)
        factor *= (2 * order) * (2 * order - 1) / order**2
        if order >= 3:
            with np.errstate(all="ignore"):
                found = np.maximum(found, np.sqrt(np.mean(differences**2, axis=0) / factor))
    return np.where(np.isfinite(found), found, 0.0)
