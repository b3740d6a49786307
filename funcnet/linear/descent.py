r"""Exact coordinate minimisation of a quadratic with L1 and L2: the loop under every model of this package.

Objective   f(w) = ½ wᵀG w − cᵀw + Σⱼ tⱼ|wⱼ| + Σⱼ ½ uⱼ wⱼ²      (G symmetric and semi-definite, tⱼ, uⱼ ≥ 0)
Update      wⱼ ← S(gⱼ + Gⱼⱼ wⱼ, tⱼ) / (Gⱼⱼ + uⱼ),   g = c − G w,   S(z, t) = sign(z) max(|z| − t, 0)
            g  ← g − (new wⱼ − old wⱼ) Gⱼ

Derivation. With all coordinates but the j-th held, f is ½(Gⱼⱼ + uⱼ) v² − (gⱼ + Gⱼⱼ wⱼ) v + tⱼ|v| + constant:
gⱼ + Gⱼⱼ wⱼ is what the rest leaves for coordinate j to explain. Its minimum v satisfies (Gⱼⱼ + uⱼ) v = z − tⱼ
∂|v|; for v ≠ 0 this gives v = (z − tⱼ sign v)/(Gⱼⱼ + uⱼ), which has the sign of z only if |z| > tⱼ, and
otherwise v = 0, since then z/tⱼ lies in [−1, 1] = ∂|0|. Hence zeros are exact. Along j, f has curvature Gⱼⱼ +
uⱼ at least, so a move by d lowers f by ½(Gⱼⱼ + uⱼ) d² or more: the sum of (Gⱼⱼ + uⱼ) d² over a sweep measures
what the sweep was worth.

A coordinate without curvature (a constant column: Gⱼⱼ = 0) has inverse 0 here and keeps the coefficient 0.

Extrapolation. Sweeps converge linearly, and slowly where features correlate. After every five, the iterates
wᵢ are combined to Σ αᵢ wᵢ with Σ αᵢ = 1 and ‖Σ αᵢ (wᵢ − wᵢ₋₁)‖ least, and the combination is taken if f is
lower there (Anderson 1965). It costs next to nothing, as g is affine in w and combines by the same αᵢ. Sweeps
follow, so that zeros are exact again.

Stopping. `descend` looks at the gap after five sweeps, or as soon as one moves little, and ends when the gap is small
enough, when a sweep moves nothing, or when `PATIENCE` looks in a row have neither found a smaller gap nor a sweep that
moved less than any before: then floating point can do no more, and the gap says what was reached.

Speed. Two forms do the same arithmetic. The narrow one is written in steps of 128 bytes and skips a
coordinate that stays: XLA's CPU compiler turns a loop that touches less than 1 kB a step into one native
routine, without which each of its steps costs five dispatches (97 ns a coordinate against 220 at 200
features). The wide one updates a row at a time and never skips: for accelerators, and for many problems side
by side under `vmap`.

Shapes      G (k, k), everything else (k,), with k a multiple of `block(dtype)`
Source      Friedman, Hastie & Tibshirani 2010, equations 5 and 8 ("covariance updates", section 2.2);
            Bertrand & Massias 2021 for the extrapolation of coordinate descent.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.regularizers.l1 import soft_threshold

DEPTH = 5  # sweeps between two looks at the gap, and iterates that are combined
PATIENCE = 100  # looks in a row without progress


class Progress(NamedTuple):
    """Where a descent stands."""

    w: jax.Array  # (k,)
    g: jax.Array  # what follows from w and is affine in it: c − G w, or residuals
    gap: jax.Array  # ()
    enough: jax.Array  # (): when a sweep moves no more than this, it is time to look at the gap
    sweeps: jax.Array  # int32 ()
    moved: jax.Array  # (): Σ (Gⱼⱼ + uⱼ) d² of the last sweep; 0 says that nothing can be gained any more
    best: jax.Array  # (): the least gap so far
    least: jax.Array  # (): the least that a sweep before a look moved
    idle: jax.Array  # int32 (): looks since one of the two fell

    def stuck(self) -> jax.Array:
        """Tell whether floating point can do no more."""
        return (self.moved <= 0) | (self.idle >= PATIENCE)


def begin(w: jax.Array, g: jax.Array, enough: jax.Array, made: jax.Array, gap: jax.Array) -> Progress:
    """Stand at w after some sweeps; no look has been taken yet."""
    unknown = jnp.full_like(enough, jnp.inf)
    return Progress(w, g, gap, enough, made, unknown, unknown, unknown, jnp.int32(0))


def block(dtype: Any) -> int:
    """Return how many numbers one step of the narrow form handles: 128 bytes."""
    return 128 // jnp.dtype(dtype).itemsize


def padded(size: int, dtype: Any) -> int:
    """Round a number of features up to a whole number of blocks."""
    step = block(dtype)
    return max(-(-size // step), 1) * step


def read(a: jax.Array, j: jax.Array) -> jax.Array:
    """Return number j of a vector."""
    return lax.dynamic_slice(a, (j,), (1,), allow_negative_indices=False)[0]


def write(a: jax.Array, j: jax.Array, value: jax.Array) -> jax.Array:
    """Return the vector with another number j."""
    return lax.dynamic_update_slice(a, value[None], (j,), allow_negative_indices=False)


def _subtract_row(gram: jax.Array, g: jax.Array, j: jax.Array, d: jax.Array, end: jax.Array) -> jax.Array:
    """Return g − d Gⱼ up to `end`, in steps of one block; no step at all when d is 0."""
    width = block(g.dtype)
    stop = jnp.where(d == 0, jnp.int32(0), end)

    def step(carry: tuple) -> tuple:
        k, g = carry
        part = lax.dynamic_slice(g, (k,), (width,), allow_negative_indices=False)
        row = lax.dynamic_slice(gram, (j, k), (1, width), allow_negative_indices=False)[0]
        return k + jnp.int32(width), lax.dynamic_update_slice(g, part - row * d, (k,), allow_negative_indices=False)

    return lax.while_loop(lambda carry: carry[0] < stop, step, (jnp.int32(0), g))[1]


def without(target: jax.Array, w: jax.Array, rows: jax.Array, taken: jax.Array, wide: bool) -> jax.Array:
    """Return target − Σ wⱼ rowsⱼ over j below `taken`; the narrow form passes over the zeros among the wⱼ."""
    if wide:
        return target - w @ rows

    def step(carry: tuple) -> tuple:
        j, rest = carry
        return j + jnp.int32(1), _subtract_row(rows, rest, j, read(w, j), jnp.int32(len(target)))

    return lax.while_loop(lambda carry: carry[0] < taken, step, (jnp.int32(0), target))[1]


class Quadratic(NamedTuple):
    """½ wᵀG w − cᵀw + Σ tⱼ|wⱼ| + Σ ½ uⱼwⱼ²; `wide` says which form sweeps."""

    gram: jax.Array  # (k, k)
    correlation: jax.Array  # (k,)
    threshold: jax.Array  # (k,), t
    ridge: jax.Array  # (k,), u
    end: jax.Array  # int32 (): coordinates from here on are left alone
    wide: bool = False

    def sweep(self, w: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Visit each coordinate once; return the coefficients, g = c − G w, and Σ (Gⱼⱼ + uⱼ) d²."""
        gram, _, threshold, ridge, end, wide = self
        curvature = jnp.diagonal(gram)
        total, inverse = inverses(curvature, ridge)
        end = jnp.int32(w.shape[0]) if wide else end

        def visit(carry: tuple) -> tuple:
            j, w, g, moved = carry
            old = read(w, j)
            z = read(g, j) + read(curvature, j) * old
            d = soft_threshold(z, read(threshold, j)) * read(inverse, j) - old
            # old + d, not the new value: XLA sees that the old one is read before it is overwritten, and makes no
            # copy. A zero stays exact: old + (0 − old) = 0.
            w = write(w, j, old + d)
            g = g - d * lax.dynamic_index_in_dim(gram, j, keepdims=False) if wide else _subtract_row(gram, g, j, d, end)
            return j + jnp.int32(1), w, g, moved + read(total, j) * d * d

        start = (jnp.int32(0), w, g, jnp.zeros((), w.dtype))
        return lax.while_loop(lambda carry: carry[0] < end, visit, start)[1:]

    def value(self, w: jax.Array, g: jax.Array) -> jax.Array:
        """Return the objective, with wᵀG w = wᵀ(c − g)."""
        smooth = 0.5 * self.ridge * w * w - 0.5 * w * (self.correlation + g)
        return jnp.sum(smooth + self.threshold * jnp.abs(w))


def inverses(curvature: jax.Array, ridge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return Gⱼⱼ + uⱼ and its inverse, which is 0 where there is no curvature."""
    total = curvature + ridge
    return total, jnp.where(curvature > 0, 1 / jnp.where(total > 0, total, 1), 0)


def sweeps(problem: Any, start: tuple, enough: jax.Array, most: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sweep until one moves no more than `enough`, or `most` are made; return w, g, and how many."""

    def going(state: tuple) -> jax.Array:
        n, _, _, moved = state
        return (n < most) & (moved > enough)

    def one(state: tuple) -> tuple:
        n, w, g, _ = state
        return (n + jnp.int32(1), *problem.sweep(w, g))

    n, w, g, _ = lax.while_loop(going, one, (jnp.int32(0), *start, jnp.full_like(enough, jnp.inf)))
    return w, g, n


def solve_small(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve a small positive definite system by Gauss–Jordan elimination, written out for its size."""
    table = jnp.concatenate([matrix, right[:, None]], axis=1)
    for k in range(len(right)):
        row = table[k] / table[k, k]
        table = (table - table[:, k, None] * row[None]).at[k].set(row)
    return table[:, -1]


def extrapolate(problem: Any, ws: jax.Array, gs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Combine the iterates ws and their g, DEPTH + 1 of each, or keep the last where that is better."""
    steps = ws[1:] - ws[:-1]
    products = steps @ steps.T
    # α minimises αᵀMα under Σα = 1, so Mα = constant; a touch of ridge for steps that are all alike.
    floor = jnp.finfo(ws.dtype).eps * jnp.trace(products) * jnp.eye(DEPTH, dtype=ws.dtype)
    alpha = solve_small(products + floor, jnp.ones(DEPTH, ws.dtype))
    alpha = alpha / jnp.sum(alpha)
    w, g = alpha @ ws[1:], alpha @ gs[1:]
    better = problem.value(w, g) < problem.value(ws[-1], gs[-1])  # false for NaN
    return jnp.where(better, w, ws[-1]), jnp.where(better, g, gs[-1])


def descend(problem: Any, start: Progress, gap_at: Callable, goal: jax.Array, most: jax.Array) -> Progress:
    """Sweep until gap_at(w, g, moved) ≤ goal, or `most` sweeps are made, or nothing is gained any more."""

    def unsolved(state: tuple) -> jax.Array:
        at = state[0]
        return (at.gap > goal) & (at.sweeps < most) & ~at.stuck()

    def improve(state: tuple) -> tuple:
        at, ws, gs, filled = state
        w, g = lax.cond(filled, lambda: extrapolate(problem, ws, gs), lambda: (at.w, at.g))
        ws, gs = ws.at[0].set(w), gs.at[0].set(g)

        def again(inner: tuple) -> jax.Array:
            n, _, _, moved, _, _ = inner
            return (n < DEPTH) & (at.sweeps + n < most) & (moved > at.enough)

        def one(inner: tuple) -> tuple:
            n, w, g, _, ws, gs = inner
            w, g, moved = problem.sweep(w, g)
            return n + jnp.int32(1), w, g, moved, ws.at[n + 1].set(w), gs.at[n + 1].set(g)

        n, w, g, moved, ws, gs = lax.while_loop(
            again, one, (jnp.int32(0), w, g, jnp.full_like(at.gap, jnp.inf), ws, gs)
        )
        gap = gap_at(w, g, moved)
        idle = jnp.where((gap < at.best) | (moved < at.least), jnp.int32(0), at.idle + jnp.int32(1))
        best, least = jnp.minimum(gap, at.best), jnp.minimum(moved, at.least)
        return Progress(w, g, gap, at.enough / 4, at.sweeps + n, moved, best, least, idle), ws, gs, n == DEPTH

    memory = [jnp.zeros((DEPTH + 1, *a.shape), a.dtype) for a in (start.w, start.g)]
    end: Any = lax.while_loop(unsolved, improve, (start, *memory, jnp.asarray(False)))[0]
    return end
