r"""Features that are mostly 0, kept by columns: products, and coordinate minimisation on residuals.

A sweep needs no Gram matrix here. With weights hᵢ, the quadratic about the current z is

    −ρᵀdz + ½ Σᵢ hᵢ dzᵢ² + Σⱼ tⱼ|wⱼ| + ½ uⱼwⱼ²,      dz = (X − 1 mᵀ) dw

where mⱼ = Σᵢ hᵢxᵢⱼ / Σᵢ hᵢ takes the intercept out: for given dw its best move is −mᵀdw. (m = 0 without one.) With the
residuals ρᵢ ← ρᵢ − hᵢ dzᵢ kept up to date, coordinate j has the slope gⱼ = Σᵢ xᵢⱼρᵢ, as Σᵢρᵢ = 0, and the curvature
Σᵢ hᵢxᵢⱼ² − mⱼ² Σᵢ hᵢ. A move by d changes ρ where xᵢⱼ ≠ 0, and everywhere by hᵢ d mⱼ: that part is kept as one number
c, ρᵢ + hᵢ c being the residual; its part of gⱼ is c mⱼ Σ hᵢ. So a visit costs as many steps as the column has numbers.

Speed. The loops over a column's numbers compile to native code on a CPU (6 ns a number to look, 4 to move).
Accelerators are no good at them: sparse features are solved on the CPU.

Source   Friedman, Hastie & Tibshirani 2010, sections 2.3 (sparse updates) and 2.1 (naive updates).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.linear.descent import inverses, read, write
from funcnet.linear.gap import squares
from funcnet.regularizers.l1 import soft_threshold


class SparseColumns(NamedTuple):
    """The numbers of a sparse matrix, sorted by column, no place twice."""

    rows: Any  # int32 (numbers,)
    columns: Any  # int32 (numbers,)
    values: Any  # (numbers,)
    starts: Any  # int32 (features + 1,): where each column begins
    samples: Any  # (samples,), 1

    @property
    def shape(self) -> tuple[int, int]:
        """Return (features, samples), as of dense features."""
        return len(self.starts) - 1, len(self.samples)

    def along(self, a: jax.Array) -> jax.Array:
        """Return the values with as many axes as `a`."""
        return jnp.expand_dims(self.values, tuple(range(a.ndim - 1)))

    def times(self, w: jax.Array) -> jax.Array:
        """Return w Xᵀ, (…, samples), of w (…, features)."""
        zeros = jnp.zeros((*w.shape[:-1], self.shape[1]), w.dtype)
        return zeros.at[..., self.rows].add(w[..., self.columns] * self.along(w))

    def onto(self, rho: jax.Array) -> jax.Array:
        """Return ρ X, (…, features), of ρ (…, samples)."""
        zeros = jnp.zeros((*rho.shape[:-1], self.shape[0]), rho.dtype)
        return zeros.at[..., self.columns].add(rho[..., self.rows] * self.along(rho), indices_are_sorted=True)

    def summed(self, h: jax.Array, power: int) -> jax.Array:
        """Return Σᵢ hᵢ xᵢⱼ^power, (features,)."""
        zeros = jnp.zeros(self.shape[0], h.dtype)
        return zeros.at[self.columns].add(h[self.rows] * self.values**power, indices_are_sorted=True)

    def centres(self, h: jax.Array, intercept: bool) -> tuple[jax.Array, jax.Array]:
        """Return m and the curvatures; what is 0 but for rounding is 0."""
        squared = self.summed(h, 2)
        if not intercept:
            return jnp.zeros_like(squared), squared
        total = jnp.sum(h)
        m = self.summed(h, 1) / total
        curvature = squared - total * m * m
        return m, jnp.where(curvature > 100 * jnp.finfo(h.dtype).eps * squared, curvature, 0)

    def variances(self, weight: jax.Array, intercept: bool) -> jax.Array:
        """Return Σ sᵢxᵢⱼ², about the mean if there is an intercept."""
        return self.centres(weight, intercept)[1]

    def quadratic(
        self, rho: jax.Array, h: jax.Array, w: jax.Array, t: jax.Array, u: jax.Array, inside: jax.Array, intercept: bool
    ) -> tuple["Residuals", tuple[jax.Array, jax.Array], Callable]:
        """Return the quadratic over the features inside, where it stands, and how to read its end.

        The last is (w, g) -> all coefficients and the move of the intercept.
        """
        m, curvature = self.centres(h, intercept)
        shift = -jnp.sum(rho) / jnp.sum(h) if intercept else jnp.zeros((), rho.dtype)
        problem = Residuals(self, h, m, curvature, t, u, *listed(inside))
        return problem, (w, jnp.append(rho, shift)), lambda w, g: (w, -g[-1])


def listed(inside: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the features that a mask marks, first those, and how many they are."""
    order = jnp.nonzero(inside, size=len(inside), fill_value=0)[0].astype(jnp.int32)
    return order, jnp.sum(inside, dtype=jnp.int32)


class Residuals(NamedTuple):
    """The quadratic of this module, over the first `end` of `members`; what follows w is (ρ₁, …, ρₙ, c)."""

    x: SparseColumns
    h: jax.Array  # (samples,)
    m: jax.Array  # (features,)
    curvature: jax.Array  # (features,)
    threshold: jax.Array  # (features,), t
    ridge: jax.Array  # (features,), u
    members: jax.Array  # int32 (features,)
    end: jax.Array  # int32 ()

    def sweep(self, w: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Visit each member once; return coefficients, residuals, and Σ (curvature + u) d²."""
        x, h = self.x, self.h
        total, inverse = inverses(self.curvature, self.ridge)
        all_h = jnp.sum(h)

        def visit(carry: tuple) -> tuple:
            k, w, g, c, moved = carry
            j = read(self.members, k)
            begins, ends = read(x.starts, j), read(x.starts, j + jnp.int32(1))

            def look(state: tuple) -> tuple:
                p, slope = state
                i = read(x.rows, p)
                return p + jnp.int32(1), slope + read(x.values, p) * read(g, i)

            _, slope = lax.while_loop(lambda state: state[0] < ends, look, (begins, c * read(self.m, j) * all_h))
            old = read(w, j)
            z = slope + read(self.curvature, j) * old
            d = soft_threshold(z, read(self.threshold, j)) * read(inverse, j) - old

            def move(state: tuple) -> tuple:
                p, g = state
                i = read(x.rows, p)
                return p + jnp.int32(1), write(g, i, read(g, i) - d * read(x.values, p) * read(h, i))

            _, g = lax.while_loop(lambda state: state[0] < ends, move, (jnp.where(d == 0, ends, begins), g))
            c = c + d * read(self.m, j)
            return k + jnp.int32(1), write(w, j, old + d), g, c, moved + read(total, j) * d * d

        # c has a place of its own here: read and written in g, it would have g copied at every visit.
        start = (jnp.int32(0), w, g, g[-1], jnp.zeros((), w.dtype))
        _, w, g, c, moved = lax.while_loop(lambda carry: carry[0] < self.end, visit, start)
        return w, g.at[-1].set(c), moved

    def value(self, w: jax.Array, g: jax.Array) -> jax.Array:
        """Return the objective but for a constant: −ρᵀdz + ½ h dz² is ½ρ²/h now less ½ρ²/h before."""
        rest = g[:-1] + g[-1] * self.h
        squared = rest * rest / jnp.where(self.h > 0, self.h, 1)
        return 0.5 * jnp.sum(squared) + jnp.sum(self.threshold * jnp.abs(w) + 0.5 * self.ridge * w * w)


class Marked(NamedTuple):
    """A working set that is a mask."""

    inside: jax.Array  # bool (features,)
    full: jax.Array  # bool (), False


class Scattered(NamedTuple):
    """The source of a working set (see `least_squares.growing`) for sparse features; weights are h."""

    x: SparseColumns
    weight: jax.Array  # (samples,)
    target: jax.Array  # (samples,), centred
    intercept: bool

    def start(self) -> tuple[Marked, jax.Array, jax.Array, jax.Array]:
        """Return the empty set, coefficients, residuals and the correlations of all features with them."""
        rho = self.weight * self.target
        inside = jnp.zeros(self.x.shape[0], bool)
        return Marked(inside, jnp.asarray(False)), jnp.zeros(self.x.shape[0], rho.dtype), rho, self.x.onto(rho)

    def enter(self, working: Marked, newcomers: jax.Array) -> Marked:
        """Mark the newcomers."""
        return Marked(working.inside | newcomers, working.full)

    def everywhere(self, working: Marked, w: jax.Array) -> jax.Array:
        """Return the coefficients of all features, which are these."""
        return w

    def problem(self, working: Marked, t: jax.Array, u: jax.Array) -> tuple[Residuals, Callable]:
        """Return the quadratic of the members and its gap."""
        m, curvature = self.x.centres(self.weight, self.intercept)

        def gap_at(w: jax.Array, g: jax.Array, moved: jax.Array) -> jax.Array:
            rest = g[:-1] + g[-1] * self.weight
            return squares(w, jnp.where(working.inside, self.x.onto(rest), 0), self.squared(rest), t, u)

        return Residuals(self.x, self.weight, m, curvature, t, u, *listed(working.inside)), gap_at

    def stand(self, working: Marked, rest: jax.Array, g: jax.Array) -> jax.Array:
        """Return what a descent begins with: the residuals."""
        return jnp.pad(rest, (0, 1))

    def look(self, working: Marked, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return residuals and the correlations of all features with them, afresh."""
        z = self.target - self.x.times(w)
        rest = self.weight * (z - self.weight @ z if self.intercept else z)
        return rest, self.x.onto(rest)

    def squared(self, rest: jax.Array) -> jax.Array:
        """Return Σ sᵢrᵢ² of residuals ρ = s r."""
        return jnp.sum(rest * rest / jnp.where(self.weight > 0, self.weight, 1))
