r"""Kinks: points where one-sided slopes disagree, and what may stand for a derivative there.

At a kink no derivative exists; a rule states one number out of those between the slopes on either side (a subgradient
where the function is convex). Every number between them is accepted, and where the rule states which one it takes
(`rule.kinks()`), that one must come out.

A side whose quotients keep growing as the step shrinks has no slope: a jump (Step at its threshold), a vertical
tangent (√ at 0), or a logarithm's foot (q log q at 0). Its end of the interval is infinite.
"""

from typing import Any, NamedTuple

import numpy as np

from funcnet.checking.differences import Slopes


class Intervals(NamedTuple):
    """Bounds of the derivative of each output by each element, and where they are proper intervals."""

    low: np.ndarray  # (elements, outputs)
    high: np.ndarray
    kinked: np.ndarray  # bool (elements, outputs)


def intervals(
    found: Slopes, base: np.ndarray, plus: np.ndarray, minus: np.ndarray, steps: np.ndarray, noise: np.ndarray
) -> Intervals:
    """Bound the derivatives from both sides; the arguments are those of `differences.slopes`."""
    right, left = found.right, found.left
    right_end = _divergence((plus - base) / steps[:, :, None], steps, noise)
    left_end = _divergence((base - minus) / steps[:, :, None], steps, noise)
    right_ok = np.isfinite(found.right_error) & (right_end == 0)
    left_ok = np.isfinite(found.left_error) & (left_end == 0)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(right), np.abs(left))
        column = np.nanmax(np.where(np.isfinite(size), size, 0.0), axis=1, keepdims=True, initial=0.0)
        slack = 8 * (found.right_error + found.left_error) + 1e-5 * size + 1e-9 * column
        apart = right_ok & left_ok & (np.abs(right - left) > slack)
    # Where one side lies outside the domain, the other is the derivative; where both do, nothing is known.
    right_slope = np.where(right_ok, right, np.where(left_ok, left, 0.0))
    left_slope = np.where(left_ok, left, np.where(right_ok, right, 0.0))
    right_slope = np.where(right_end != 0, right_end * np.inf, right_slope)
    left_slope = np.where(left_end != 0, left_end * np.inf, left_slope)
    unknown = ~right_ok & ~left_ok & (right_end == 0) & (left_end == 0)
    error = np.where(right_ok, found.right_error, 0.0) + np.where(left_ok, found.left_error, 0.0)
    low = np.minimum(right_slope, left_slope) - 8 * error
    high = np.maximum(right_slope, left_slope) + 8 * error
    low, high = np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high)
    one_sided = right_ok != left_ok
    return Intervals(low, high, apart | (right_end != 0) | (left_end != 0) | unknown | one_sided)


def _divergence(quotients: np.ndarray, steps: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return ±1 where the quotients keep moving up or down as the step shrinks, 0 where they settle."""
    with np.errstate(all="ignore"):
        moves = np.diff(quotients, axis=1)[:, -4:]
        loud = np.abs(moves) > 50 * noise / steps[:, -4:, None] + 1e-6 * np.abs(quotients[:, -4:])
        keeps = np.abs(moves[:, 1:]) > 0.7 * np.abs(moves[:, :-1])
        same = np.sign(moves[:, 1:]) == np.sign(moves[:, :-1])
        growing = np.all(loud, axis=1) & np.all(keeps & same, axis=1)
    return np.where(growing & np.isfinite(moves[:, -1]), np.sign(moves[:, -1]), 0.0)


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
