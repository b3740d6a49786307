r"""The elastic net along a path of penalties: warm starts, a working set that grows, a gap that stops.

    P(w) = ½‖b − Aw‖² + Σⱼ tⱼ|wⱼ| + ½ Σⱼ uⱼwⱼ²

for prepared data (centred, scaled, rows multiplied by √(weight/total), so that ½‖b − Aw‖² is half the
weighted mean square); t and u are λ ratio and λ (1 − ratio) in the units of each feature. Penalties descend, and each
solution starts from the last.

`whole`     computes the Gram matrix AᵀA once and sweeps over all features. For features ≤ samples.
`growing`   keeps a working set, and adds features to it. At a new penalty, features with |aⱼᵀr| > tⱼ at the last
            solution enter. When the working set is solved, the correlations of all features are computed afresh;
            whoever violates |aⱼᵀr| ≤ tⱼ enters, and it goes on until none does or the gap of the whole problem is
            small enough. (The sequential strong rule, |aⱼᵀr| ≥ 2λ₁ − last λ₁, lets more features in and saves few of
            these rounds: it was slower on 500 × 2,000.) The set is `Gathered` here, with the Gram matrix of at most
            `capacity` features, or `sparse.Marked`.

Stopping. Each penalty is swept `least` times at least. Sweeps go on until one moves no more than a share of what the
gap may be; then the gap is computed, and while it is above `tolerance` ‖b‖² the share is cut to a quarter. The gap of
`growing` is over all features, not the working set. What floating point cannot bring further is left (see `descent`).

Segments. `walk` goes along the penalties and comes back when it has spent its quota of sweeps, to be called again with
the state that it returned: between two segments Python can act on Ctrl-C.

Source   Friedman, Hastie & Tibshirani 2010, section 2; Tibshirani et al. 2012 for strong rules and their checks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.linear.descent import Quadratic, begin, descend, padded, without
from funcnet.linear.gap import squares

FRESH = 10  # penalties between two computations of g = c − G w from scratch
ENTER = 16  # features that enter the working set at a time
ROUNDS = 3  # in a row with a fresh g that bring neither a newcomer nor a smaller gap
STRIP = 128  # rows of the working set that meet them at a time


class Solutions(NamedTuple):
    """What a path leaves behind, by penalty."""

    w: Any  # (penalties, features), or a tree of arrays
    gap: jax.Array  # (penalties,)
    sweeps: jax.Array  # int32 (penalties,)
    full: jax.Array  # bool (): the working set's capacity did not suffice, and nothing else here is valid


class Found(NamedTuple):
    """What is known of one penalty after some sweeps."""

    w: Any  # (features,), or a tree of arrays
    gap: jax.Array
    sweeps: jax.Array  # int32 ()
    done: jax.Array  # bool ()
    full: jax.Array  # bool ()


class Walk(NamedTuple):
    """Where a walk along the penalties stands."""

    at: jax.Array  # int32 (): the penalty at hand
    used: jax.Array  # int32 (): sweeps spent on it
    carry: Any  # what goes from one penalty to the next
    found: Solutions


def set_out(carry: Any, penalties: int, w: Any, goal: jax.Array) -> Walk:
    """Stand before the first penalty; solutions have the shapes of w, gaps the dtype of goal."""
    found = Solutions(
        jax.tree.map(lambda a: jnp.zeros((penalties, *a.shape), a.dtype), w),
        jnp.full(penalties, jnp.inf, goal.dtype),
        jnp.zeros(penalties, jnp.int32),
        jnp.asarray(False),
    )
    return Walk(jnp.int32(0), jnp.int32(0), carry, found)


def walk(state: Walk, one: Callable, l1: jax.Array, l2: jax.Array, most: jax.Array, quota: jax.Array) -> Walk:
    """Go along the penalties until the last is done, or `quota` sweeps are made.

    Args:
        state: where to begin.
        one: (carry, t, u, used, most) -> (carry, Found): goes on with one penalty until it is done or `most` sweeps
            are made, `used` of them before.
        l1: (penalties, features), t of each penalty.
        l2: (penalties, features), u of each penalty.
        most: how many sweeps a penalty may take.
        quota: how many all may take now.

    """

    def going(state: tuple) -> jax.Array:
        here, left = state
        return (here.at < len(l1)) & (left > 0)

    def step(state: tuple) -> tuple:
        (at, used, carry, found), left = state
        carry, new = one(carry, l1[at], l2[at], used, jnp.minimum(most, used + left))
        done = new.done | (new.sweeps >= most)
        kept, latest = (found.w, found.gap, found.sweeps), (new.w, new.gap, new.sweeps)
        w, gap, sweeps = jax.tree.map(lambda a, b: a.at[at].set(b), kept, latest)
        found = Solutions(w, gap, sweeps, new.full)
        after = jnp.where(new.full, jnp.int32(len(l1)), at + done.astype(jnp.int32))
        left = left - jnp.maximum(new.sweeps - used, 1)
        return Walk(after, jnp.where(done, jnp.int32(0), new.sweeps), carry, found), left

    return lax.while_loop(going, step, (state, quota))[0]


def whole(
    gram: jax.Array, correlation: jax.Array, energy: jax.Array, goal: jax.Array, least: jax.Array, wide: bool
) -> tuple[tuple, Callable]:
    """Return the start and the step of a walk with G = AᵀA, c = Aᵀb and ‖b‖²."""
    features = correlation.shape[0]
    extra = padded(features, gram.dtype) - features
    gram, correlation = jnp.pad(gram, (0, extra)), jnp.pad(correlation, (0, extra))

    def one(carry: tuple, t: jax.Array, u: jax.Array, used: jax.Array, most: jax.Array) -> tuple[tuple, Found]:
        k, tries, w, g = carry
        g = lax.cond((k % FRESH == 0) | (used > 0), lambda: correlation - gram @ w, lambda: g)
        t, u = jnp.pad(t, (0, extra)), jnp.pad(u, (0, extra))
        problem = Quadratic(gram, correlation, t, u, jnp.int32(features), wide)

        def gap_at(w: jax.Array, g: jax.Array, moved: jax.Array) -> jax.Array:
            return squares(w, g, jnp.maximum(energy - jnp.sum(w * (correlation + g)), 0), t, u)

        start = begin(w, g, goal, used, jnp.where(used < least, jnp.inf, gap_at(w, g, goal)))
        at = descend(problem, start, gap_at, goal, most)
        # Whoever is stuck tries again with a fresh g.
        tries = jnp.where(used > 0, tries, 0) + at.stuck().astype(jnp.int32)
        done = (at.gap <= goal) | (tries >= ROUNDS)
        return (k + 1, tries, at.w, at.g), Found(at.w[:features], at.gap, at.sweeps, done, jnp.asarray(False))

    return (jnp.int32(0), jnp.int32(0), jnp.zeros_like(correlation), correlation), one


def growing(source: Any, goal: jax.Array, least: jax.Array) -> tuple[tuple, Callable]:
    """Return the start and the step of a walk with a working set, whose kind is that of `source`."""

    def one(carry: tuple, t: jax.Array, u: jax.Array, used: jax.Array, most: jax.Array) -> tuple[tuple, Found]:
        def unsolved(state: tuple) -> jax.Array:
            working, at, _, _, _, _, idle = state
            return (at.gap > goal) & (at.sweeps < most) & (idle < ROUNDS) & ~working.full

        def improve(state: tuple) -> tuple:
            working, at, rest, g, newcomers, best, idle = state
            working = source.enter(working, newcomers)
            problem, gap_at = source.problem(working, t, u)
            here = begin(at.w, source.stand(working, rest, g), at.enough, at.sweeps, jnp.full_like(goal, jnp.inf))
            at = descend(problem, here, gap_at, goal, most)
            rest, g = source.look(working, at.w)
            w = source.everywhere(working, at.w)
            gap = squares(w, g, source.squared(rest), t, u)
            newcomers = (jnp.abs(g) > t) & ~working.inside
            idle = jnp.where(jnp.any(newcomers) | (gap < best), jnp.int32(0), idle + jnp.int32(1))
            return working, at._replace(gap=gap), rest, g, newcomers, jnp.minimum(gap, best), idle

        working, w, rest, g = carry
        gap = squares(source.everywhere(working, w), g, source.squared(rest), t, u)
        at = begin(w, source.stand(working, rest, g), goal, used, jnp.where(used < least, jnp.inf, gap))
        newcomers = (jnp.abs(g) > t) & ~working.inside
        start = (working, at, rest, g, newcomers, jnp.full_like(goal, jnp.inf), jnp.int32(0))
        working, at, rest, g, _, _, idle = lax.while_loop(unsolved, improve, start)
        done = (at.gap <= goal) | (idle >= ROUNDS)
        found = Found(source.everywhere(working, at.w), at.gap, at.sweeps, done, working.full)
        return (working, at.w, rest, g), found

    return source.start(), one


class Working(NamedTuple):
    """The members of a working set: the first `taken` places are taken."""

    members: jax.Array  # int32 (size,): which feature
    inside: jax.Array  # bool (features,)
    taken: jax.Array  # int32 ()
    rows: jax.Array  # (size, samples): their columns of A, zeros in free places
    gram: jax.Array  # (size, size)
    full: jax.Array  # bool (): a feature found no place


class Gathered(NamedTuple):
    """The source of a working set of at most `capacity` features and their Gram matrix."""

    features: jax.Array  # (features, samples), Aᵀ, samples filled up to whole blocks
    target: jax.Array  # (samples,), b
    correlation: jax.Array  # (features,), Aᵀb
    capacity: int
    wide: bool

    def start(self) -> tuple[Working, jax.Array, jax.Array, jax.Array]:
        """Return the empty set, its coefficients, residuals and the correlations of all features with them."""
        total, samples = self.features.shape
        size = -(-(self.capacity + ENTER) // STRIP) * STRIP
        dtype = self.features.dtype
        working = Working(
            members=jnp.full(size, total, jnp.int32),
            inside=jnp.zeros(total, bool),
            taken=jnp.int32(0),
            rows=jnp.zeros((size, samples), dtype),
            gram=jnp.zeros((size, size), dtype),
            full=jnp.asarray(False),
        )
        return working, jnp.zeros(size, dtype), self.target, self.correlation

    def enter(self, working: Working, newcomers: jax.Array) -> Working:
        """Append the features that the mask `newcomers` marks, with their rows of the Gram matrix."""
        total = self.features.shape[0]
        wanted = jnp.sum(newcomers, dtype=jnp.int32)
        full = working.full | (working.taken + wanted > self.capacity)
        wanted = jnp.where(full, 0, wanted)
        order = jnp.nonzero(newcomers, size=self.capacity + ENTER, fill_value=total)[0].astype(jnp.int32)

        def append(state: tuple) -> tuple:
            done, members, rows, gram = state
            chosen = lax.dynamic_slice(order, (done,), (ENTER,))
            place = working.taken + done
            # A place beyond the last newcomer gets zeros: whoever comes next takes it.
            real = (jnp.arange(ENTER, dtype=jnp.int32) + done < wanted)[:, None]
            columns = jnp.where(real, self.features[jnp.minimum(chosen, total - 1)], 0)
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

    def among(self, working: Working, values: jax.Array) -> jax.Array:
        """Return the values of the members."""
        return values.at[working.members].get(mode="fill", fill_value=0)

    def everywhere(self, working: Working, w: jax.Array) -> jax.Array:
        """Return the coefficients of all features from those of the members."""
        return jnp.zeros_like(self.correlation).at[working.members].set(w, mode="drop")

    def problem(self, working: Working, t: jax.Array, u: jax.Array) -> tuple[Quadratic, Callable]:
        """Return the quadratic of the members and its gap."""
        part, t, u = (self.among(working, values) for values in (self.correlation, t, u))
        energy = self.target @ self.target

        def gap_at(w: jax.Array, h: jax.Array, moved: jax.Array) -> jax.Array:
            return squares(w, h, jnp.maximum(energy - jnp.sum(w * (part + h)), 0), t, u)

        return Quadratic(working.gram, part, t, u, working.taken, self.wide), gap_at

    def stand(self, working: Working, rest: jax.Array, g: jax.Array) -> jax.Array:
        """Return what a descent begins with: the correlations of the members."""
        return self.among(working, g)

    def look(self, working: Working, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return residuals and the correlations of all features with them, afresh."""
        rest = without(self.target, w, working.rows, working.taken, self.wide)
        return rest, self.features @ rest

    def squared(self, rest: jax.Array) -> jax.Array:
        """Return ‖r‖²."""
        return rest @ rest


def padded_rows(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return Aᵀ and b of `Gathered`."""
    extra = padded(len(b), b.dtype) - len(b)
    return jnp.pad(a.T, ((0, 0), (0, extra))), jnp.pad(b, (0, extra))
