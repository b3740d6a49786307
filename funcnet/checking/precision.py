r"""Rounding, told apart from bugs: the rule in float32 or bfloat16 against 64 bits at the same rounded inputs.

A gradient is proven in 64 bits. What a narrower dtype adds is rounding, and it is stated on a line of its own in
units in the last place of that dtype: first of the element itself, then of the largest number summed up in its leaf,
which is what an algorithm without cancellation can promise. The check fails only where the narrow gradient is no
rounding of the true one any more: NaN or infinite, of another dtype, or without a correct digit relative to its leaf. A
forward that refuses a dtype (a decomposition in 16 bits, say) has no gradient in it to be measured.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from funcnet.checking.evidence import Evidence
from funcnet.checking.form import first_line
from funcnet.checking.layout import cast_tree, wide
from funcnet.checking.programs import Programs


class Rounding(NamedTuple):
    """How much a rule rounds in one dtype."""

    dtype: str
    ulps: float  # of the element, at the worst element
    leaf_ulps: float  # of the largest number in the leaf
    where: str  # which element, or why there is none
    problem: str  # in words, or empty


def lost_digits(e: Evidence, hand: np.ndarray, reference: np.ndarray) -> Rounding:
    """Measure a gradient in 64 bits against its reference, where they differ by rounding alone."""
    return _measure(e, "float64", np.float64, hand, reference, np.full_like(hand, np.inf))


def rounding(e: Evidence, dtype: Any, overruled: tuple[int, ...] = ()) -> Rounding:
    """Run the rule in a dtype, its inputs rounded, and measure it in units in the last place."""
    name = jnp.dtype(dtype).name
    subject = e.subject
    narrow = subject._replace(point=cast_tree(subject.point, dtype), constants=cast_tree(subject.constants, dtype))
    try:
        programs = Programs(narrow, dtype)
    except Exception as error:  # whatever a forward that does not know the dtype raises
        return Rounding(name, np.nan, np.nan, f"forward refuses it: {first_line(error)}", "")
    # The cotangent is rounded too, so that both sides are given the same numbers.
    widest = _widest(programs.y_dtypes)
    rounded = [cast_tree(programs.y_layout.unflatten(row), widest) for row in e.w]
    w = np.stack([programs.y_layout.flatten(row) for row in rounded])
    try:
        mine = programs.hand(programs.x, w.astype(widest))
    except Exception as error:
        if _refuses(programs):
            return Rounding(name, np.nan, np.nan, f"forward refuses it: {first_line(error)}", "")
        # A backward must know what its forward knows.
        return Rounding(name, np.nan, np.nan, "", f"backward fails in {name}: {first_line(error)}")
    w = w.astype(np.float64)
    theirs, spread = _reference(e, programs, w)
    if theirs is None:
        return Rounding(name, np.nan, np.nan, "no reference to measure it by", "")
    # Where automatic differentiation was overruled it is no reference.
    theirs[:, list(overruled)] = np.nan
    return _measure(e, name, dtype, mine, theirs, spread)


def _refuses(programs: Programs) -> bool:
    """Tell whether the forward alone fails when it is run, as it may though it can be traced."""
    try:
        with wide():
            programs.forward(programs.arrays(programs.layout.unflatten(programs.x)), programs.constants)
    except Exception:
        return True
    return False


def _widest(dtypes: Any) -> Any:
    return max(dtypes, key=lambda d: jnp.finfo(d).bits)


def _reference(e: Evidence, programs: Programs, w: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the 64-bit gradient at the rounded point, and how far it moves when inputs move by their rounding."""
    if e.rows is None:
        return None, np.zeros(0)
    x = programs.x.astype(np.float64)
    constants = cast_tree(programs.constants, np.float64)
    padded = np.concatenate([w, e.masked])
    none = np.zeros_like(e.directions)
    rows, _ = e.programs.reference(x, padded, none, constants)
    rows = rows[: len(w)].copy()
    epsilon = float(jnp.finfo(programs.dtype).eps)
    rng = np.random.default_rng([e.seed, 31])
    spread = np.zeros_like(rows)
    for _ in range(3):
        with np.errstate(all="ignore"):
            moved, _ = e.programs.reference(
                x * (1 + epsilon * rng.choice([-1.0, 1.0], x.size)), padded, none, constants
            )
            spread = np.fmax(spread, np.abs(moved[: len(w)] - rows))
    return rows, spread


def _measure(e: Evidence, name: str, dtype: Any, mine: np.ndarray, theirs: np.ndarray, spread: np.ndarray) -> Rounding:
    info = jnp.finfo(dtype)
    epsilon, tiny, most = float(info.eps), float(info.tiny), float(info.max)
    usable = np.ones(e.x.size, bool)
    usable[e.tested[~e.smooth]] = False
    usable &= np.all(np.isfinite(theirs) & (np.abs(theirs) < most), axis=0)
    ulps = leaf_ulps = 0.0
    where, problem = "", ""
    for leaf in range(len(e.layout.shapes)):
        part = e.layout.part(leaf)
        keep = usable[part]
        if not keep.any():
            continue
        h, r = mine[:, part][:, keep], theirs[:, part][:, keep]
        names = np.flatnonzero(keep) + part.start
        if not np.all(np.isfinite(h)):
            k, i = np.argwhere(~np.isfinite(h))[0]
            problem = (
                f"in {name} the gradient at {e.layout.name(int(names[i]))} is {h[k, i]}, and {r[k, i]:.6g} in float64"
            )
            continue
        top = np.max(np.abs(r), axis=1, keepdims=True)
        gap = np.abs(h - r)
        own = gap / (epsilon * np.maximum(np.abs(r), tiny))
        whole = gap / (epsilon * np.maximum(top, tiny))
        k, i = np.unravel_index(int(np.argmax(own)), own.shape)
        if own[k, i] >= ulps:
            ulps, where = float(own[k, i]), e.layout.name(int(names[i]))
        leaf_ulps = max(leaf_ulps, float(np.max(whole)))
        # Half of the largest number is no rounding, unless inputs that differ by their rounding do as much.
        share = 0.5 if info.bits <= 16 else 0.01
        moved = spread[:, part][:, keep]
        lost = gap > share * top + 8 * moved + 64 * tiny
        # Where inputs that differ by their rounding have gradients with nothing in common, there is none to miss.
        lost &= np.max(moved, axis=1, keepdims=True) < 0.5 * top
        if np.any(lost):
            k, i = np.argwhere(lost)[0]
            problem = (
                f"in {name} the gradient at {e.layout.name(int(names[i]))} is {h[k, i]:.6g}, "
                f"and {r[k, i]:.6g} in float64: no rounding explains it"
            )
    return Rounding(name, ulps, leaf_ulps, where, problem)
