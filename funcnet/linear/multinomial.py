r"""Logistic regression for two classes or more, with L1 and L2, along a path of penalties.

Minimised  1/(Σᵢ sᵢ) Σᵢ sᵢ (log Σₖ e^(zᵢₖ) − Σₖ Yᵢₖ zᵢₖ) + λ Σₖ (r ‖wₖ‖₁ + (1 − r)/2 ‖wₖ‖²)
With       zᵢₖ = w₀ₖ + xᵢᵀ wₖ; Y holds the labels as 0 and 1, r is the ratio, `l1_ratio`.

Intercepts are not penalised. Of two classes, class 0 has zᵢ₀ = 0 and class 1 alone has coefficients, which is
the sigmoid; of more, each class has its own. scikit-learn's LogisticRegression minimises C Σᵢ sᵢ(…) + ratio
‖w‖₁ + (1 − ratio)/2 ‖w‖²: its C is 1/(λ Σsᵢ). Without L2 and with more than two classes, the
coefficients of a feature may share a constant at no cost, if none of the middle ones is 0: then probabilities
and the objective are unique, and coefficients are not.

Derivation. With P = softmax(z), ∂/∂zᵢₖ of the first term is −ρᵢₖ, ρᵢₖ = sᵢ(Yᵢₖ −
Pᵢₖ), and ∂²/∂zᵢₖ² is hᵢₖ = sᵢPᵢₖ(1 − Pᵢₖ). About the current w of class k this gives the quadratic

    −ρₖᵀdz + ½ dzᵀdiag(hₖ)dz + penalty(w + d),     dz = X d + db

whose intercept db is eliminated (`linear/dense.py`, `linear/sparse.py`), and which `linear/descent.py` minimises. The
step to its minimum lowers the objective f, at a rate of at least Δ = −ρᵀdz + penalty(w + d) − penalty(w) ≤ 0 at its
start, so halving it until f(step) ≤ f + 0.01 Δ ends. (A few units of rounding are granted: close to the minimum f
cannot tell a good step from a bad one, while the gap still can.) Classes take turns; the shape of a quadratic is fresh
each time, which converges fast where the bound h ≤ ¼ would be cheap and slow.

A working set holds features with |xⱼᵀρₖ| > t for some k (entered and checked as in `linear/least_squares.py`).
Before each look at the gap, the intercepts alone go to their joint optimum, as the gap needs (see `gap`), by
Newton steps on the matrix Σᵢ sᵢ(diag Pᵢ − PᵢPᵢᵀ); of several classes it is singular along (1, …, 1), which
changes no P: intercepts have sum 0. With L2 alone the coefficients of a feature have sum 0 at the optimum, and so they
have after every turn: taking their mean from them changes no P, and lowers the penalty.

Stopping   gap ≤ tolerance × the loss of the model without coefficients, after one turn at least; or `PATIENCE` turns
           that bring neither a smaller gap nor a lower objective.
Source     Friedman, Hastie & Tibshirani 2010, section 3 and 4; Lee, Sun & Saunders 2014 for inexact proximal
           Newton steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.linear.descent import sweeps
from funcnet.linear.gap import classes, penalty
from funcnet.linear.least_squares import Found

INNER = 50  # sweeps of a quadratic at most
HALVINGS = 30  # of a step
NEWTON = 20  # steps of the intercepts
PATIENCE = 5  # turns without progress
SLIGHT = 1e-12  # λ₂ of standardised features in the place of no penalty at all, without which there is no gap


class Model(NamedTuple):
    """Coefficients and what follows from them."""

    w: jax.Array  # (rows, features); rows = classes, or 1 of two classes
    b: jax.Array  # (rows,)
    z: jax.Array  # (rows, samples)


class Samples(NamedTuple):
    """What stays the same along the path."""

    features: Any  # (features, samples): DenseRows or SparseColumns
    labels: jax.Array  # (classes, samples), 0 and 1
    weight: jax.Array  # (samples,), of sum 1


def logits(z: jax.Array, labels: jax.Array) -> jax.Array:
    """Put the row of zeros before the only row of two classes."""
    return z if len(z) == len(labels) else jnp.concatenate([jnp.zeros_like(z), z])


def spread(z: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return P = softmax(z), (classes, samples), and log Σₖ exp zᵢₖ, (samples,)."""
    z = logits(z, labels)
    largest = jnp.max(z, axis=0)
    e = jnp.exp(z - largest[None])
    total = jnp.sum(e, axis=0)
    return e / total[None], largest + jnp.log(total)


def loss(z: jax.Array, samples: Samples) -> jax.Array:
    """Return Σ sᵢ (log Σ exp zᵢ − zᵢ,yᵢ)."""
    own = jnp.sum(samples.labels * logits(z, samples.labels), axis=0)
    return samples.weight @ (spread(z, samples.labels)[1] - own)


def probabilities(z: jax.Array, samples: Samples) -> jax.Array:
    """Return P, (classes, samples)."""
    return spread(z, samples.labels)[0]


def residual(z: jax.Array, samples: Samples) -> jax.Array:
    """Return ρ = s (Y − P), (rows, samples): minus the derivative of `loss`."""
    return (samples.weight[None] * (samples.labels - probabilities(z, samples)))[-len(z) :]


def settle(model: Model, samples: Samples) -> Model:
    """Bring the intercepts to their optimum for the coefficients at hand."""
    rows = len(model.z)
    eye = jnp.eye(rows, dtype=model.z.dtype)

    def slope(z: jax.Array) -> jax.Array:
        return jnp.sum(residual(z, samples), axis=1)

    def going(state: tuple) -> jax.Array:
        n, _, _, g, last = state
        return (n < NEWTON) & (jnp.max(jnp.abs(g)) < last)

    def step(state: tuple) -> tuple:
        n, b, z, g, _ = state
        p = probabilities(z, samples)[-rows:]
        hessian = jnp.diag(p @ samples.weight) - (p * samples.weight[None]) @ p.T
        if rows > 1:
            hessian = hessian + jnp.mean(jnp.diagonal(hessian))
        floor = jnp.finfo(z.dtype).eps * eye
        d = jnp.clip(jnp.linalg.solve(hessian + floor, g), -1, 1)
        better = jnp.max(jnp.abs(slope(z + d[:, None]))) < jnp.max(jnp.abs(g))
        b, z = jnp.where(better, b + d, b), jnp.where(better, z + d[:, None], z)
        return n + jnp.int32(1), b, z, slope(z), jnp.max(jnp.abs(g))

    first = (jnp.int32(0), model.b, model.z, slope(model.z), jnp.full((), jnp.inf, model.z.dtype))
    _, b, z, _, _ = lax.while_loop(going, step, first)
    center = jnp.mean(b) if rows > 1 else jnp.zeros_like(b[0])
    return Model(model.w, b - center, z - center)


def improve_class(
    model: Model,
    k: jax.Array,
    samples: Samples,
    inside: jax.Array,
    t: jax.Array,
    u: jax.Array,
    near: jax.Array,
    intercept: bool,
) -> tuple[Model, jax.Array]:
    """Minimise the quadratic of class k over the working set, and go there as far as the objective falls."""
    held = model.w[k]
    rho = residual(model.z, samples)[k]
    p = probabilities(model.z, samples)[k - len(model.z)]
    h = jnp.maximum(samples.weight * p * (1 - p), 1e-6 * samples.weight)
    problem, start, finish = samples.features.quadratic(rho, h, held, t, u, inside, intercept)
    w, g, n = sweeps(problem, start, near, INNER)
    w, shift = finish(w, g)
    dz = samples.features.times(w - held) + shift

    before = loss(model.z, samples) + jnp.sum(penalty(held, t, u))
    slope = jnp.sum(penalty(w, t, u) - penalty(held, t, u)) - rho @ dz
    rounding = 8 * jnp.finfo(w.dtype).eps * before

    def objective(share: jax.Array) -> jax.Array:
        return loss(model.z.at[k].add(share * dz), samples) + jnp.sum(penalty(held + share * (w - held), t, u))

    def too_far(state: tuple) -> jax.Array:
        tried, share = state
        return (tried < HALVINGS) & ~(objective(share) <= before + 0.01 * share * slope + rounding)

    tried, share = lax.while_loop(
        too_far, lambda s: (s[0] + jnp.int32(1), s[1] / 2), (jnp.int32(0), jnp.ones((), w.dtype))
    )
    share = jnp.where(tried < HALVINGS, share, 0)
    # At full length take the quadratic's own zeros, which held + (w − held) would give back only if nothing were
    # rounded.
    new = jnp.where(share == 1, w, held + share * (w - held))
    moved = Model(model.w.at[k].set(new), model.b.at[k].add(share * shift), model.z.at[k].add(share * dz))
    return moved, n


def null_model(samples: Samples, rows: int, intercept: bool) -> Model:
    """Return the model without coefficients, whose probabilities are the shares of the classes."""
    features, count = samples.features.shape
    b = jnp.log(samples.labels @ samples.weight)
    b = b - (b[0] if rows == 1 else jnp.mean(b))
    b = b[-rows:] if intercept else jnp.zeros_like(b[-rows:])
    return Model(jnp.zeros((rows, features), b.dtype), b, jnp.broadcast_to(b[:, None], (rows, count)))


class Course(NamedTuple):
    """What goes from one turn to the next."""

    model: Model
    v: jax.Array  # (rows, features), Xᵀρ
    inside: jax.Array  # bool (features,): the working set
    k: jax.Array  # int32 (): the class whose turn it is
    gap: jax.Array  # (): the last that was measured
    best: jax.Array  # (): the least gap at this penalty
    value: jax.Array  # (): the least objective at this penalty
    idle: jax.Array  # int32 (): turns since one of the two fell


def outset(model: Model, samples: Samples) -> Course:
    """Stand before the first penalty with the model without coefficients."""
    v = samples.features.onto(residual(model.z, samples))
    unknown = jnp.full((), jnp.inf, v.dtype)
    nobody = jnp.zeros(samples.features.shape[0], bool)
    return Course(model, v, nobody, jnp.int32(0), unknown, unknown, unknown, jnp.int32(0))


def turns(samples: Samples, rows: int, capacity: int, goal: jax.Array, intercept: bool) -> Callable:
    """Return the step of a walk along the penalties: the turn of one class."""
    infinity = jnp.full_like(goal, jnp.inf)
    slight = SLIGHT * samples.features.variances(samples.weight, intercept)

    def measured(model: Model, v: jax.Array, t: jax.Array, u: jax.Array) -> jax.Array:
        return classes(model.w, v, probabilities(model.z, samples), samples.labels, samples.weight, t[None], u[None])

    def close(at: Course, t: jax.Array, u: jax.Array) -> Course:
        """End a turn: centre, settle, look."""
        w, b, _ = at.model
        if rows > 1:
            w = jnp.where(jnp.any(t > 0), w, w - jnp.mean(w, axis=0, keepdims=True))
        # Fresh, as z gathers rounding errors.
        model = Model(w, b, samples.features.times(w) + b[:, None])
        model = settle(model, samples) if intercept else model
        v = samples.features.onto(residual(model.z, samples))
        gap = measured(model, v, t, u)
        value = loss(model.z, samples) + jnp.sum(penalty(model.w, t[None], u[None]))
        idle = jnp.where((gap < at.best) | (value < at.value), jnp.int32(0), at.idle + jnp.int32(1))
        best, least = jnp.minimum(gap, at.best), jnp.minimum(value, at.value)
        return Course(model, v, at.inside, jnp.int32(0), gap, best, least, idle)

    def one(at: Course, t: jax.Array, u: jax.Array, used: jax.Array, most: jax.Array) -> tuple[Course, Found]:
        u = jnp.where(jnp.any((t > 0) | (u > 0)), u, slight)
        fresh = used == 0
        at = at._replace(
            k=jnp.where(fresh, jnp.int32(0), at.k),
            gap=jnp.where(fresh, measured(at.model, at.v, t, u), at.gap),
            best=jnp.where(fresh, infinity, at.best),
            value=jnp.where(fresh, infinity, at.value),
            idle=jnp.where(fresh, jnp.int32(0), at.idle),
            inside=at.inside | jnp.any(jnp.abs(at.v) > t[None], axis=0),
        )
        model, n = improve_class(at.model, at.k, samples, at.inside, t, u, 0.01 * at.gap, intercept)
        at = at._replace(model=model, k=at.k + jnp.int32(1))
        ends = at.k == rows
        at = lax.cond(ends, lambda: close(at, t, u), lambda: at)
        done = ends & ((at.gap <= goal) | (at.idle >= PATIENCE))
        full = jnp.sum(at.inside, dtype=jnp.int32) > capacity
        return at, Found((at.model.w, at.model.b), at.gap, used + n, done, full)

    return one
