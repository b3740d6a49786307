r"""The elastic net along a path of penalties: warm starts, a working set that grows, a gap that stops.

    P(w) = ½‖b − Aw‖² + λ₁‖w‖₁ + ½λ₂‖w‖²,     λ₁ = λ ratio,  λ₂ = λ (1 − ratio)

for prepared data (centred, scaled, rows multiplied by √(weight/total), so that ½‖b − Aw‖² is half the
weighted mean square). Penalties descend, and each solution starts from the last.

`whole`     computes the Gram matrix AᵀA once and sweeps over all features. For features ≤ samples.
`ridge`     solves a path without L1 in closed form, from one eigendecomposition.
`growing`   keeps a working set of at most `capacity` features and their Gram matrix, and adds rows to it as
            features enter. At a new penalty, features with |aⱼᵀr| ≥ λ₁ at the last solution enter. When the
            working set is solved, the correlations of all features are computed afresh; whoever violates
            |aⱼᵀr| ≤ λ₁ enters, and it goes on until none does or the gap of the whole problem is small enough.
            (The sequential strong rule, |aⱼᵀr| ≥ 2λ₁ − last λ₁, lets more features in and saves few of these
            rounds: it was slower on 500 × 2,000.)

Stopping. Sweeps go on until one moves no more than a share of what the gap may be; then the gap is computed,
and while it is above `tolerance` ‖b‖² the share is cut to a quarter. The gap of `growing` is over all
features, not the working set. A problem whose sweeps move nothing at all while the gap is too wide has met
its floating-point precision, and is left.

Source   Friedman, Hastie & Tibshirani 2010, section 2; Tibshirani et al. 2012 for strong rules and their checks.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.linear.descent import Progress, Quadratic, descend, padded, without
from funcnet.linear.gap import squares

FRESH = 10  # penalties between two computations of g = c − G w from scratch
ENTER = 16  # features that enter the working set at a time
STRIP = 128  # rows of the working set that meet them at a time


class Solutions(NamedTuple):
    """What a path leaves behind, by penalty."""

    w: jax.Array  # (penalties, features)
    gap: jax.Array  # (penalties,)
    sweeps: jax.Array  # int32 (penalties,)
    full: jax.Array  # bool (): the working set's capacity did not suffice, and nothing else here is valid


class Limits(NamedTuple):
    """When to stop: the gap that is small enough, and the number of sweeps a penalty that is too many."""

    gap: jax.Array
    sweeps: jax.Array  # int32 ()


def begin(w: jax.Array, g: jax.Array, gap: jax.Array, enough: jax.Array) -> Progress:
    """Stand at w, with all sweeps still to make."""
    return Progress(w, g, gap, enough, jnp.int32(0), jnp.full_like(gap, jnp.inf))


def whole(
    gram: jax.Array,
    correlation: jax.Array,
    energy: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
    limits: Limits,
    wide: bool,
) -> Solutions:
    """Solve along the penalties l1, l2 (penalties,) from G = AᵀA, c = Aᵀb and ‖b‖²."""
    features = correlation.shape[0]
    extra = padded(features, gram.dtype) - features
    gram, correlation = jnp.pad(gram, (0, extra)), jnp.pad(correlation, (0, extra))

    def one(carry: tuple, step: tuple) -> tuple[tuple, Solutions]:
        k, first, second = step
        w, g = carry
        g = lax.cond(k % FRESH == 0, lambda: correlation - gram @ w, lambda: g)
        problem = Quadratic(gram, correlation, jnp.full_like(w, first), jnp.full_like(w, second), jnp.int32(features))

        def gap_at(w: jax.Array, g: jax.Array) -> jax.Array:
            return squares(w, g, jnp.maximum(energy - jnp.sum(w * (correlation + g)), 0), first, second)

        start = begin(w, g, gap_at(w, g), limits.gap)
        at = descend(problem, start, gap_at, limits.gap, limits.sweeps, wide)
        return (at.w, at.g), Solutions(at.w[:features], at.gap, at.sweeps, jnp.asarray(False))

    start = (jnp.zeros_like(correlation), correlation)
    _, found = lax.scan(one, start, (jnp.arange(l1.shape[0], dtype=jnp.int32), l1, l2))
    return found._replace(full=jnp.asarray(False))


def ridge(a: jax.Array, b: jax.Array, l2: jax.Array) -> Solutions:
    """Solve without L1: w = (AᵀA + λ₂I)⁻¹Aᵀb = Aᵀ(AAᵀ + λ₂I)⁻¹b, by eigenvectors of the smaller matrix."""
    tall = a.shape[0] >= a.shape[1]
    values, vectors = jnp.linalg.eigh(a.T @ a if tall else a @ a.T)
    parts = (vectors.T @ (a.T @ b if tall else b))[None] / (jnp.maximum(values, 0)[None] + l2[:, None])
    w = parts @ vectors.T if tall else parts @ vectors.T @ a
    # Rounding in the eigenvectors would leave a trace where a column is zero.
    w = jnp.where(jnp.any(a != 0, axis=0)[None], w, 0)
    rest = b[None] - w @ a.T
    gap = jax.vmap(lambda w, g, l2: squares(w, g, jnp.zeros_like(l2), jnp.zeros_like(l2), l2))(w, rest @ a, l2)
    return Solutions(w, gap, jnp.zeros(l2.shape, jnp.int32), jnp.asarray(False))


class Working(NamedTuple):
    """The working set: the first `taken` of `capacity` places are taken."""

    members: jax.Array  # int32 (capacity,): which feature
    inside: jax.Array  # bool (features,)
    taken: jax.Array  # int32 ()
    rows: jax.Array  # (capacity, samples): their columns of A, zeros in free places
    gram: jax.Array  # (capacity, capacity)
    full: jax.Array  # bool (): a feature found no place


def enter(working: Working, features: jax.Array, newcomers: jax.Array, capacity: int) -> Working:
    """Append the features that the mask `newcomers` marks, with their rows of the Gram matrix."""
    total = features.shape[0]
    wanted = jnp.sum(newcomers, dtype=jnp.int32)
    full = working.full | (working.taken + wanted > capacity)
    wanted = jnp.where(full, 0, wanted)
    order = jnp.nonzero(newcomers, size=capacity + ENTER, fill_value=total)[0].astype(jnp.int32)

    def append(state: tuple) -> tuple:
        done, members, rows, gram = state
        chosen = lax.dynamic_slice(order, (done,), (ENTER,))
        place = working.taken + done
        # A place beyond the last newcomer gets zeros: whoever comes next takes it.
        real = (jnp.arange(ENTER, dtype=jnp.int32) + done < wanted)[:, None]
        columns = jnp.where(real, features[jnp.minimum(chosen, total - 1)], 0)
        rows = lax.dynamic_update_slice(rows, columns, (place, jnp.int32(0)))

        def multiply(state: tuple) -> tuple:
            start, gram = state
            products = lax.dynamic_slice(rows, (start, jnp.int32(0)), (STRIP, rows.shape[1])) @ columns.T
            gram = lax.dynamic_update_slice(gram, products, (start, place))
            return start + STRIP, lax.dynamic_update_slice(gram, products.T, (place, start))

        _, gram = lax.while_loop(lambda state: state[0] < place + ENTER, multiply, (jnp.int32(0), gram))
        return done + ENTER, lax.dynamic_update_slice(members, chosen, (place,)), rows, gram

    start = (jnp.int32(0), working.members, working.rows, working.gram)
    _, members, rows, gram = lax.while_loop(lambda state: state[0] < wanted, append, start)
    inside = jnp.where(full, working.inside, working.inside | newcomers)
    return Working(members, inside, working.taken + wanted, rows, gram, full)


def growing(
    features: jax.Array,
    target: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
    limits: Limits,
    capacity: int,
    wide: bool,
) -> Solutions:
    """Solve along the penalties l1, l2 (penalties,) from Aᵀ, (features, samples), and b, (samples,)."""
    dtype = features.dtype
    extra = padded(len(target), dtype) - len(target)
    features, target = jnp.pad(features, ((0, 0), (0, extra))), jnp.pad(target, (0, extra))
    total, samples = features.shape
    size = -(-(capacity + ENTER) // STRIP) * STRIP
    correlation, energy = features @ target, target @ target
    working = Working(
        members=jnp.full(size, total, jnp.int32),
        inside=jnp.zeros(total, bool),
        taken=jnp.int32(0),
        rows=jnp.zeros((size, samples), dtype),
        gram=jnp.zeros((size, size), dtype),
        full=jnp.asarray(False),
    )

    def among(values: jax.Array, members: jax.Array) -> jax.Array:
        return values.at[members].get(mode="fill", fill_value=0)

    def everywhere(w: jax.Array, members: jax.Array) -> jax.Array:
        return jnp.zeros(total, dtype).at[members].set(w, mode="drop")

    def one(carry: tuple, step: tuple) -> tuple[tuple, Solutions]:
        working, w, g, residual = carry
        first, second = step
        threshold, ridge = jnp.full_like(w, first), jnp.full_like(w, second)

        def unsolved(state: tuple) -> jax.Array:
            working, at, _, _, _ = state
            return (at.gap > limits.gap) & (at.sweeps < limits.sweeps) & (at.moved > 0) & ~working.full

        def improve(state: tuple) -> tuple:
            working, at, g, _, newcomers = state
            working = enter(working, features, newcomers, capacity)
            part = among(correlation, working.members)
            problem = Quadratic(working.gram, part, threshold, ridge, working.taken)

            def gap_within(w: jax.Array, h: jax.Array) -> jax.Array:
                return squares(w, h, jnp.maximum(energy - jnp.sum(w * (part + h)), 0), first, second)

            here = at._replace(g=among(g, working.members), gap=jnp.full_like(first, jnp.inf))
            at = descend(problem, here, gap_within, limits.gap, limits.sweeps, wide)
            rest = without(target, at.w, working.rows, working.taken, wide)
            residual, g = rest @ rest, features @ rest
            gap = squares(everywhere(at.w, working.members), g, residual, first, second)
            newcomers = (jnp.abs(g) > first) & ~working.inside
            moved = jnp.where(jnp.any(newcomers), jnp.full_like(first, jnp.inf), at.moved)
            return working, at._replace(gap=gap, moved=moved), g, residual, newcomers

        gap = squares(everywhere(w, working.members), g, residual, first, second)
        newcomers = (jnp.abs(g) > first) & ~working.inside
        start = (working, begin(w, w, gap, limits.gap), g, residual, newcomers)
        working, at, g, residual, _ = lax.while_loop(unsolved, improve, start)
        found = Solutions(everywhere(at.w, working.members), at.gap, at.sweeps, working.full)
        return (working, at.w, g, residual), found

    start = (working, jnp.zeros(size, dtype), correlation, energy)
    _, found = lax.scan(one, start, (l1, l2))
    return found._replace(full=found.full[-1])
