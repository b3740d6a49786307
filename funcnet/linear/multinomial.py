r"""Logistic regression for two classes or more, with L1 and L2, along a path of penalties.

    minimise   1/Σsᵢ Σᵢ sᵢ (log Σₖ exp zᵢₖ − zᵢ,yᵢ) + λ Σₖ (ratio ‖wₖ‖₁ + (1 − ratio)/2 ‖wₖ‖²)
    with       zᵢₖ = w₀ₖ + xᵢᵀwₖ

Intercepts are not penalised. Of two classes, class 0 has zᵢ₀ = 0 and class 1 alone has coefficients, which is
the sigmoid; of more, each class has its own. scikit-learn's LogisticRegression minimises C Σᵢ sᵢ(…) + ratio
‖w‖₁ + (1 − ratio)/2 ‖w‖²: its C is 1/(λ Σsᵢ). Without L2 and with more than two classes, the
coefficients of a feature may share a constant at no cost, if none of the middle ones is 0: then probabilities
and the objective are unique, and coefficients are not.

Derivation. With P = softmax(z) and Y the labels as 0 and 1, ∂/∂zᵢₖ of the first term is −ρᵢₖ, ρᵢₖ = sᵢ(Yᵢₖ −
Pᵢₖ), and ∂²/∂zᵢₖ² is hᵢₖ = sᵢPᵢₖ(1 − Pᵢₖ). About the current w of class k, with features X and a leading 1
for the intercept, this gives the quadratic

    ½ wᵀH w − cᵀw + penalty(w),     H = Xᵀdiag(hₖ)X,   c = Xᵀρₖ + H w(now)

which is the form that `descent` minimises. The step D to its minimum lowers the objective, at a rate of at
least Δ = −ρᵀXD + penalty(w + D) − penalty(w) ≤ 0 at its start, so halving it until f(w + tD) ≤ f(w) + 0.01 tΔ
ends. Classes take turns; the shape of a quadratic is fresh each time, which converges fast where the bound h
≤ ¼ would be cheap and slow.

A working set holds features with |xⱼᵀρₖ| > λ₁ for some k (entered and checked as in `least_squares`).
Before each look at the gap, the intercepts alone go to their joint optimum, as the gap needs (see `gap`), by
Newton steps on the matrix Σᵢ sᵢ(diag Pᵢ − PᵢPᵢᵀ); of several classes it is singular along (1, …, 1), which
changes no P: intercepts have sum 0.

Stopping   gap ≤ tolerance × the loss of the model without coefficients
Source     Friedman, Hastie & Tibshirani 2010, section 3 and 4; Lee, Sun & Saunders 2014 for inexact proximal
           Newton steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.linear.descent import Quadratic, padded, sweep
from funcnet.linear.gap import classes, penalty
from funcnet.linear.least_squares import Limits, Solutions

INNER = 50  # sweeps of a quadratic at most
HALVINGS = 30  # of a step
NEWTON = 20  # steps of the intercepts


class Model(NamedTuple):
    """Coefficients and what follows from them."""

    w: jax.Array  # (rows, features); rows = classes, or 1 of two classes
    b: jax.Array  # (rows,)
    z: jax.Array  # (rows, samples)


class Samples(NamedTuple):
    """What stays the same along the path."""

    features: jax.Array  # (features, samples)
    labels: jax.Array  # (classes, samples), 0 and 1
    weight: jax.Array  # (samples,), of sum 1


def logits(z: jax.Array, labels: jax.Array) -> jax.Array:
    """Put the row of zeros before the only row of two classes."""
    return z if len(z) == len(labels) else jnp.concatenate([jnp.zeros_like(z), z])


def loss(z: jax.Array, samples: Samples) -> jax.Array:
    """Return Σ sᵢ (log Σ exp zᵢ − zᵢ,yᵢ)."""
    z = logits(z, samples.labels)
    return samples.weight @ (jax.nn.logsumexp(z, axis=0) - jnp.sum(samples.labels * z, axis=0))


def softmax(z: jax.Array, samples: Samples) -> jax.Array:
    """Return P, (classes, samples)."""
    return jax.nn.softmax(logits(z, samples.labels), axis=0)


def residual(z: jax.Array, samples: Samples) -> jax.Array:
    """Return ρ = s (Y − P), (rows, samples): minus the derivative of `loss`."""
    return (samples.weight[None] * (samples.labels - softmax(z, samples)))[-len(z) :]


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
        p = softmax(z, samples)[-rows:]
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
    members: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
    near: jax.Array,
    intercept: bool,
    wide: bool,
) -> tuple[Model, jax.Array]:
    """Minimise the quadratic of class k over the working set, and go there as far as the objective falls."""
    total = samples.features.shape[0]
    dtype = model.w.dtype
    rows = jnp.where((members < total)[:, None], samples.features[jnp.minimum(members, total - 1)], 0)
    extra = padded(len(members) + 1, dtype) - len(members) - 1
    head = jnp.full((1, rows.shape[1]), 1 if intercept else 0, dtype)
    rows = jnp.pad(jnp.concatenate([head, rows]), ((0, extra), (0, 0)))
    held = jnp.concatenate([model.b[k][None], model.w[k].at[members].get(mode="fill", fill_value=0)])
    held = jnp.pad(held, (0, extra))
    penalised = jnp.arange(len(held)) > 0
    t, u = jnp.where(penalised, l1, 0), jnp.where(penalised, l2, 0)

    rho = residual(model.z, samples)[k]
    p = softmax(model.z, samples)[k - len(model.z)]
    h = jnp.maximum(samples.weight * p * (1 - p), 1e-6 * samples.weight)
    gram, g = (rows * h[None]) @ rows.T, rows @ rho
    problem = Quadratic(gram, g + gram @ held, t, u, jnp.int32(len(held)))

    def far(state: tuple) -> jax.Array:
        n, _, _, moved = state
        return (n < INNER) & (moved > near)

    def once(state: tuple) -> tuple:
        n, w, g, _ = state
        return (n + jnp.int32(1), *sweep(problem, w, g, wide))

    n, w, _, _ = lax.while_loop(far, once, (jnp.int32(0), held, g, jnp.full((), jnp.inf, dtype)))
    d = w - held
    dz = d @ rows
    before = loss(model.z, samples) + jnp.sum(penalty(held, t, u))
    slope = jnp.sum(penalty(w, t, u) - penalty(held, t, u)) - g @ d

    def objective(share: jax.Array) -> jax.Array:
        return loss(model.z.at[k].add(share * dz), samples) + jnp.sum(penalty(held + share * d, t, u))

    def too_far(state: tuple) -> jax.Array:
        tried, share = state
        return (tried < HALVINGS) & ~(objective(share) <= before + 0.01 * share * slope)

    tried, share = lax.while_loop(
        too_far, lambda s: (s[0] + jnp.int32(1), s[1] / 2), (jnp.int32(0), jnp.ones((), dtype))
    )
    share = jnp.where(tried < HALVINGS, share, 0)
    # At full length take the quadratic's own zeros, which held + d would give back only if nothing were
    # rounded.
    new = jnp.where(share == 1, w, held + share * d)
    new_w = model.w.at[k, members].set(new[1 : len(members) + 1], mode="drop")
    return Model(new_w, model.b.at[k].set(new[0]), model.z.at[k].add(share * dz)), n


def null_model(samples: Samples, rows: int, intercept: bool) -> Model:
    """Return the model without coefficients."""
    features, count = samples.features.shape
    dtype = samples.features.dtype
    model = Model(jnp.zeros((rows, features), dtype), jnp.zeros(rows, dtype), jnp.zeros((rows, count), dtype))
    return settle(model, samples) if intercept else model


def descend_path(
    samples: Samples,
    l1: jax.Array,
    l2: jax.Array,
    tolerance: jax.Array,
    most: jax.Array,
    rows: int,
    capacity: int,
    intercept: bool,
    wide: bool,
) -> tuple[Solutions, jax.Array, jax.Array]:
    """Solve along the penalties; return solutions (w: penalties × rows × features), intercepts, the goal."""
    total = samples.features.shape[0]
    null = null_model(samples, rows, intercept)
    limits = Limits(tolerance * loss(null.z, samples), most)

    def measured(model: Model, first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
        v = residual(model.z, samples) @ samples.features.T
        gap = classes(model.w, v, softmax(model.z, samples), samples.labels, samples.weight, first, second)
        return gap, jnp.max(jnp.abs(v), axis=0)

    def one(carry: tuple, step: tuple) -> tuple[tuple, tuple]:
        model, inside, largest, full = carry
        first, second = step
        inside = inside | (largest >= first)
        gap, largest = measured(model, first, second)

        def unsolved(state: tuple) -> jax.Array:
            _, inside, _, gap, used, turns = state
            fits = jnp.sum(inside, dtype=jnp.int32) <= capacity
            return (gap > limits.gap) & (used < limits.sweeps) & (turns < limits.sweeps) & fits & ~full

        def improve(state: tuple) -> tuple:
            model, inside, _, gap, used, turns = state
            members = jnp.nonzero(inside, size=capacity, fill_value=total)[0].astype(jnp.int32)

            def turn(k: jax.Array, state: tuple) -> tuple:
                model, used = state
                model, n = improve_class(model, k, samples, members, first, second, 0.01 * gap, intercept, wide)
                return model, used + n

            model, used = lax.fori_loop(jnp.int32(0), jnp.int32(rows), turn, (model, used))
            # Fresh, as z gathers rounding errors.
            model = model._replace(z=model.w @ samples.features + model.b[:, None])
            model = settle(model, samples) if intercept else model
            gap, largest = measured(model, first, second)
            inside = inside | ((largest > first) & (gap > limits.gap))
            return model, inside, largest, gap, used, turns + jnp.int32(1)

        start = (model, inside, largest, gap, jnp.int32(0), jnp.int32(0))
        model, inside, largest, gap, used, _ = lax.while_loop(unsolved, improve, start)
        full = full | (jnp.sum(inside, dtype=jnp.int32) > capacity)
        return (model, inside, largest, full), (Solutions(model.w, gap, used, full), model.b)

    _, largest = measured(null, l1[0], l2[0])
    start = (null, jnp.zeros(total, bool), largest, jnp.asarray(False))
    _, (found, b) = lax.scan(one, start, (l1, l2))
    return found._replace(full=found.full[-1]), b, limits.gap
