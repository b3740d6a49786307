r"""Duality gaps: a certificate of how far a point is from the optimum, without knowing the optimum.

For P(w) = F(Xw) + Σⱼ φ(wⱼ) with φ(w) = λ₁|w| + ½λ₂w², Fenchel duality gives P(w) ≥ D(θ) = −F*(−θ) − Σⱼ
φ*(xⱼᵀθ) for every θ, so that P(w) − P(optimum) ≤ P(w) − D(θ), the gap. The conjugate is φ*(v) = (|v| −
λ₁)₊²/(2λ₂); with λ₂ = 0 it is 0 where |v| ≤ λ₁ and infinite elsewhere. θ is the negative gradient of F at Xw,
scaled by some c to be feasible. λ₁ and λ₂ may differ from feature to feature (`units` makes them so).

Every gap below is written as a sum of terms that are ≥ 0 by Fenchel–Young, so none is the small difference of
two large numbers, and float32 serves as well as float64.

Least squares, F(z) = ½‖y − z‖², r = y − Xw, g = Xᵀr:

    A   with the ridge term moved into the squares (rows √λ₂ I below X, zeros below y), it is a lasso with v =
        g − λ₂w and R = ‖r‖² + λ₂‖w‖². For θ = c (r, −√λ₂ w) the gap is ½(1 − c)²R + λ₁‖w‖₁ − c wᵀv. It is
        least at c = 1 + wᵀv/R, to be clipped to |c| ≤ minⱼ λ₁/|vⱼ|, where θ is feasible.
    B   for λ₂ > 0, θ = r itself: Σⱼ φ(wⱼ) + φ*(gⱼ) − wⱼgⱼ.

`squares` takes the smaller one (for the lasso B holds only where no |gⱼ| exceeds λ₁; ridge has B alone, as its A is
feasible at c = 0 only).

Classes, F(z) = Σᵢ sᵢ (log Σₖ exp zᵢₖ − zᵢ,yᵢ), Σᵢ sᵢ = 1, P = softmax(z), Y the labels as rows of 0 and 1:
for θ = c s (Y − P), Fenchel–Young of F is a Kullback–Leibler divergence, and with v = c Xᵀ(s (Y − P)) the gap
is

    Σᵢ sᵢ KL((1 − c)Yᵢ + cPᵢ ‖ Pᵢ) + Σⱼ φ(wⱼ) + φ*(vⱼ) − wⱼvⱼ

with the largest c ≤ 1 that is feasible, which is 1 for λ₂ > 0. An intercept has φ = 0, whose conjugate is
infinite off 0: the gap holds where the intercept is at its own optimum, Σᵢ sᵢ(Yᵢ − Pᵢ) = 0.

Source   Kim, Koh, Lustig, Boyd & Gorinevsky 2007 (A for the lasso); Boyd & Vandenberghe 2004, section 5.1.6
         (entropy); Fercoq, Gramfort & Salmon 2015 for the scaling of the residual.
"""

import jax
import jax.numpy as jnp


def penalty(w: jax.Array, l1: jax.Array, l2: jax.Array) -> jax.Array:
    """Return φ(w) = λ₁|w| + ½λ₂w², element by element."""
    return l1 * jnp.abs(w) + 0.5 * l2 * w * w


def conjugate(v: jax.Array, l1: jax.Array, l2: jax.Array) -> jax.Array:
    """Return φ*(v) for λ₂ > 0, and 0 for λ₂ = 0, where v is taken to be feasible."""
    beyond = jnp.maximum(jnp.abs(v) - l1, 0)
    return jnp.where(l2 > 0, 0.5 * beyond * beyond / jnp.where(l2 > 0, l2, jnp.ones_like(l2)), jnp.zeros_like(v))


def feasible(v: jax.Array, l1: jax.Array) -> jax.Array:
    """Return the largest c with c |vⱼ| ≤ λ₁ for all j, infinite where v = 0."""
    v = jnp.abs(v)
    excess = jnp.max(jnp.where(v > 0, v / jnp.where(l1 > 0, l1, jnp.finfo(v.dtype).tiny), 0))
    return jnp.where(excess > 0, 1 / jnp.where(excess > 0, excess, 1), jnp.inf)


def squares(w: jax.Array, g: jax.Array, residual: jax.Array, l1: jax.Array, l2: jax.Array) -> jax.Array:
    r"""Return the gap of ½‖y − Xw‖² + Σ φ(w), from w and g = Xᵀr, (features,) each, and residual = ‖r‖².

    >>> import jax.numpy as jnp  # X = 1, y = 2, λ₁ = 1: the optimum is w = 1 with r = 1
    >>> one, zero = jnp.ones(()), jnp.zeros(())
    >>> print(squares(jnp.ones(1), jnp.ones(1), one, one, zero))
    0.0
    """
    v = g - l2 * w
    enlarged = residual + jnp.sum(l2 * w * w)
    wv = jnp.sum(w * v)
    limit = feasible(v, l1)
    c = jnp.clip(1 + jnp.where(enlarged > 0, wv / jnp.where(enlarged > 0, enlarged, 1), 0), -limit, limit)
    lasso = 0.5 * (1 - c) ** 2 * enlarged + jnp.sum(l1 * jnp.abs(w)) - c * wv
    fenchel = jnp.sum(penalty(w, l1, l2) + conjugate(g, l1, l2) - w * g)
    allowed = jnp.all((l2 > 0) | (jnp.abs(g) <= l1))
    return jnp.maximum(jnp.where(allowed, jnp.minimum(lasso, fenchel), lasso), 0)


def classes(
    w: jax.Array,
    v: jax.Array,
    p: jax.Array,
    labels: jax.Array,
    weight: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
) -> jax.Array:
    r"""Return the gap of Σ sᵢ (log Σ exp zᵢ − zᵢ,yᵢ) + Σ φ(w).

    w, v       (rows, features), the coefficients and Xᵀ(s (Y − P)) at them
    p, labels  (classes, samples), softmax and labels as 0 and 1
    weight     (samples,), of sum 1
    """
    c = jnp.minimum(feasible(jnp.where(l2 > 0, 0, v), l1), 1)
    moved = (1 - c) * labels + c * p
    positive = (moved > 0) & (p > 0)
    ratio = jnp.where(positive, moved, 1) / jnp.where(positive, p, 1)
    divergence = weight @ jnp.sum(moved * jnp.log(ratio), axis=0)
    return jnp.maximum(divergence + jnp.sum(penalty(w, l1, l2) + conjugate(c * v, l1, l2) - c * w * v), 0)
