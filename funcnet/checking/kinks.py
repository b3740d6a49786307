r"""Kinks: points where one-sided slopes disagree, and what may stand for a derivative there.

At a kink no derivative exists; a rule states one number out of those between the slopes on either side (a subgradient
where the function is convex). Every number between them is accepted, and where the rule states which one it takes
(`rule.kinks()`), that one must come out.

A side whose quotients keep growing as the step shrinks has no slope: a jump (Step at its threshold), a vertical
tangent (√ at 0), or a logarithm's foot (q log q at 0). Its end of the interval is infinite. There is no number between
a slope and infinity that a gradient should be: it is 0, a slope on either side, the jump left out, or beyond every
quotient that was seen, as good as infinite.
"""

from typing import Any, NamedTuple

import numpy as np

from funcnet.checking.differences import Slopes


class Intervals(NamedTuple):
    """Bounds of the derivative of each output by each element, and where they are proper intervals."""

    low: np.ndarray  # (elements, outputs)
    high: np.ndarray
    kinked: np.ndarray  # bool (elements, outputs)
    unknown: np.ndarray  # bool: neither side has numbers
    finite_low: np.ndarray  # the bounds without infinity
    finite_high: np.ndarray
    steepest: np.ndarray  # quotients up to which an infinite side was followed, 0 where both are finite


def intervals(
    found: Slopes, base: np.ndarray, plus: np.ndarray, minus: np.ndarray, steps: np.ndarray, noise: np.ndarray
) -> Intervals:
    """Bound the derivatives from both sides; the arguments are those of `differences.slopes`, with two deep steps more.

    At the deep steps, far below the last rung, a quotient that grows for ever is still growing.
    """
    h = steps[:, :, None]
    right_side, left_side = (plus - base) / h, (base - minus) / h
    right_end, left_end = (_divergence(q, steps, noise) for q in (right_side, left_side))
    right_ok = np.isfinite(found.right_error) & (right_end == 0)
    left_ok = np.isfinite(found.left_error) & (left_end == 0)
    right, left = found.right, found.left
    size = np.maximum(np.abs(right), np.abs(left))
    column = np.nanmax(np.where(np.isfinite(size), size, 0.0), axis=1, keepdims=True, initial=0.0)
    slack = 8 * (found.right_error + found.left_error) + 1e-5 * size + 1e-9 * column
    apart = right_ok & left_ok & (np.abs(right - left) > slack)
    infinite = (right_end != 0) | (left_end != 0)
    unknown = ~right_ok & ~left_ok & ~infinite
    error = np.where(right_ok, found.right_error, 0.0) + np.where(left_ok, found.left_error, 0.0)
    ends = [_ends(right_ok, right, right_side, right_end), _ends(left_ok, left, left_side, left_end)]
    low, high = np.fmin(ends[0][0], ends[1][0]) - 8 * error, np.fmax(ends[0][1], ends[1][1]) + 8 * error
    # What a slope can be beside an infinite one: 0, the other side's, or that of the piece behind the jump.
    pieces = [np.where(ok, slope, 0.0) for ok, slope in ((right_ok, right), (left_ok, left))]
    pieces += [np.where(end != 0, _piece(values, h), 0.0) for end, values in ((right_end, plus), (left_end, -minus))]
    finite_low = np.where(infinite, np.minimum(np.min(pieces, axis=0), 0.0) - 8 * error, low)
    finite_high = np.where(infinite, np.maximum(np.max(pieces, axis=0), 0.0) + 8 * error, high)
    return Intervals(
        np.where(unknown, -np.inf, np.minimum(low, finite_low)),
        np.where(unknown, np.inf, np.maximum(high, finite_high)),
        (apart | infinite | (right_ok != left_ok)) & ~unknown,
        unknown,
        finite_low,
        finite_high,
        np.where(infinite, np.fmax(np.abs(right_side[:, -3]), np.abs(left_side[:, -3])), 0.0),
    )


def _ends(ok: np.ndarray, slope: np.ndarray, quotients: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and largest slope on one side: NaN outside the domain, its quotients if unsettled."""
    inside = np.all(np.isfinite(quotients), axis=1)
    bounds = np.min(quotients, axis=1), np.max(quotients, axis=1)
    low, high = (np.where(ok, slope, np.where(inside, bound, np.nan)) for bound in bounds)
    return np.where(end != 0, end * np.inf, low), np.where(end != 0, end * np.inf, high)


def _divergence(quotients: np.ndarray, steps: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return ±1 where the quotients keep moving up or down, each time by as much more, as the step shrinks; else 0."""
    deeper, deepest = np.abs(np.diff(quotients[:, -3:], axis=1)).swapaxes(0, 1)
    depth = steps[:, -1, None]
    quotients, steps = quotients[:, :-2], steps[:, :-2]
    moves = np.diff(quotients, axis=1)[:, -5:]
    loud = np.abs(moves) > 50 * noise / steps[:, -5:, None] + 1e-6 * np.abs(quotients[:, -5:])
    ratios = moves[:, 1:] / moves[:, :-1]
    steady = (np.min(ratios, axis=1) > 0.7) & (np.max(ratios, axis=1) < 1.5 * np.min(ratios, axis=1))
    lasting = (deepest >= 0.2 * deeper) & (deepest * depth > 50 * noise)
    growing = np.all(loud, axis=1) & steady & lasting
    return np.where(growing & np.isfinite(moves[:, -1]), np.sign(moves[:, -1]), 0.0)


def _piece(values: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the slope on one side, the point itself left out, or 0 where there is none."""
    slopes = np.diff(values, axis=1) / np.diff(h, axis=1)
    coarse, fine = slopes[:, 5], slopes[:, 6]
    settled = np.abs(fine - coarse) <= 1e-3 * np.abs(fine)
    return np.where(settled & np.isfinite(fine), 1.001 * fine, 0.0)


def stated_slope(stated: tuple[tuple[Any, Any], ...], value: float) -> float | None:
    """Return the slope that a rule states at a value of its input, or None.

    >>> stated_slope(((0.0, 0.0), (6.0, 0.5)), 6.0)
    0.5
    """
    for where, slope in stated:
        if float(where) == value:
            return float(slope)
    return None


class Kink(NamedTuple):
    """One element at which no derivative exists."""

    element: int
    value: float
    low: float  # bounds of the gradient for a cotangent of ones
    high: float
    hand: float
    stated: float | None
    problem: str  # in words, empty where the rule's choice is admissible
