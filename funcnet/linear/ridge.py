r"""Squares with L2 alone, or with no penalty at all, in closed form: along a path of penalties, one solve each.

    P(w) = ½‖b − Aw‖² + ½ Σⱼ uⱼwⱼ²,     q = Aᵀ(b − Aw) − u w  (minus its gradient),     H = AᵀA + diag(u)

For samples ≥ features H is solved, with its diagonal scaled to 1. For fewer samples, with u = τ v (τ the number that
the path changes),

    w = v⁻¹Aᵀβ,     (A diag(v)⁻¹ Aᵀ + τ I) β = b

which is a system of as many unknowns as samples, and of them all the one with the least Σ vⱼwⱼ² if τ = 0.

Refinement. A matrix of features that repeat each other is singular but for rounding. So δ, a few units of rounding, is
added before it is factorised, and w ← w + (H + δ)⁻¹q is repeated with a fresh q: each direction converges by the
factor δ/(eigenvalue + δ) a step, and directions that floating point cannot tell from nothing stay at 0.

Gap. P(w) − minimum = ½ qᵀH⁻¹q. Reported is qᵀ(H + δ)⁻¹q, which is at least that wherever eigenvalues exceed δ.

Source   Hoerl & Kennard 1970; Golub & Van Loan, sections 3.5.3 (refinement) and 6.1.4 (fewer samples).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve

FEWEST, MOST = 3, 50  # steps of refinement


def ridge(
    a: jax.Array, b: jax.Array, l2: jax.Array, level: jax.Array, spread: jax.Array, goal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Solve for each penalty; return the solutions (penalties, features) and gaps (penalties,).

    Args:
        a: (samples, features).
        b: (samples,).
        l2: (penalties, features), u of each penalty.
        level: (penalties,), τ.
        spread: (features,), v.
        goal: the gap that is small enough.

    """
    if a.shape[0] >= a.shape[1]:
        gram = a.T @ a
        return lax.map(lambda u: tall(a, b, gram, u, goal), l2)
    scaled = a / jnp.sqrt(spread)[None]
    kernel = scaled @ scaled.T
    w, gaps = lax.map(lambda t: flat(scaled, b, kernel, t, goal), level)
    return w / jnp.sqrt(spread)[None], gaps


def tall(a: jax.Array, b: jax.Array, gram: jax.Array, u: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Solve one penalty from H, scaled to a diagonal of 1."""
    diagonal = jnp.diagonal(gram) + u
    root = jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1))
    shift = 8 * len(u) * jnp.finfo(a.dtype).eps
    matrix = gram / root[:, None] / root[None] + jnp.diag(u / root / root + shift)
    factor = cho_factor(matrix)

    def step(w: jax.Array) -> tuple[jax.Array, jax.Array]:
        q = ((b - a @ w) @ a - u * w) / root
        d = cho_solve(factor, q)
        return d / root, q @ d

    return refined(step, jnp.zeros_like(u), goal)


def flat(a: jax.Array, b: jax.Array, kernel: jax.Array, t: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Solve one penalty from the matrix of samples, features being scaled to v = 1."""
    largest = jnp.max(jnp.diagonal(kernel)) + t
    shift = 8 * len(b) * jnp.finfo(a.dtype).eps * jnp.where(largest > 0, largest, 1)
    factor = cho_factor(kernel + (t + shift) * jnp.eye(len(b), dtype=a.dtype))

    def step(beta: jax.Array) -> tuple[jax.Array, jax.Array]:
        rest = b - a @ (beta @ a) - t * beta  # q = Aᵀ rest, and (AᵀA + τ + δ)⁻¹Aᵀ = Aᵀ(AAᵀ + τ + δ)⁻¹
        d = cho_solve(factor, rest)
        return d, (rest @ a) @ (d @ a)

    beta, gap = refined(step, jnp.zeros_like(b), goal)
    return beta @ a, gap


def refined(step: Callable, start: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Add steps until the gap is at most `goal`, or it no longer falls."""

    def going(state: tuple) -> jax.Array:
        n, _, _, gap, last = state
        return (n < MOST) & ((gap > goal) | (n < FEWEST)) & (gap < last)

    def more(state: tuple) -> tuple:
        n, w, d, gap, _ = state
        w = w + d
        d, new = step(w)
        return n + jnp.int32(1), w, d, new, gap

    d, gap = step(start)
    first = (jnp.int32(0), start, d, gap, jnp.full_like(gap, jnp.inf))
    _, w, _, gap, _ = lax.while_loop(going, more, first)
    return w, jnp.maximum(gap, 0)
