r"""What an optimizer is: two pure functions of a gradient, in the protocol that the JAX world uses.

    init(params) -> state
    update(gradient, state, params) -> (updates, state)       new params = params + updates

A learning rate is a number or a schedule, a record that maps the number of updates made so far to a rate. State is kept
in at least float32; updates have the dtype of the parameters. Any pytree of floating-point leaves will do.

Numbers       The same bits come out whether a number is a constant, traced, or one lane of many:
              - a number is rounded to the dtype it is used in before anything is computed from it, so 1 − β is taken of
                the rounded β (where dtypes are mixed, of the narrowest: all leaves then share one β);
              - `cast` hides constants from the compiler, which would fold them;
              - an array is never divided by a scalar, but multiplied by the scalar's reciprocal: the compiler replaces
                some of these divisions and not others.

Extremes      Gradients of 0, 1e30 and 1e-30 leave states and updates finite:
              - optimizers that square the gradient first limit it to ±2⁶³ (float32; 2⁵¹¹ in float64), so that no square
                overflows. Steps that do not depend on the gradient's scale thereby stay what they are. Infinite and NaN
                gradients are left as they are: a failure stays visible;
              - a sum of squares (Adagrad) saturates at half of the largest finite number;
              - a quotient with denominator 0 is 0: without ε, a coordinate whose gradients were all 0 does not move.

Cases         `CASES` hold a rule, (parameters, (first gradient, second gradient, …)), and the parameters after these
              updates, worked by hand from the recurrence or printed in a paper.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.errors import describe, raise_error
from funcnet.optimizers.foreign import adopt
from funcnet.records import cast
from funcnet.trees import dtypes, is_reached, wide_dtype, widen


class Optimizer:
    """Base of all optimizers."""

    # Whether the updates of a transposed gradient are the transposed updates: each coordinate is treated alike.
    ORIENTATION_FREE: ClassVar[bool] = False

    def init(self, params: Any) -> Any:
        """Return the state before the first update."""
        raise NotImplementedError

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the next state."""
        raise NotImplementedError

    def rate(self, state: Any) -> Any:
        """Return the learning rate that the next update will use."""
        return rate_at(self.learning_rate, state.step)  # type: ignore[attr-defined]

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the next parameters and state: an update, then the proximal point with the learning rate as step."""
        return update_then_prox(self, regularizer, gradient, state, params)


def update_then_prox(optimizer: Any, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Return prox(params + updates) and the next state."""
    step = rate_of(optimizer, state)
    updates, state = optimizer.update(gradient, state, params)
    return regularizer.prox(jax.tree.map(jnp.add, params, updates), step), state


def proximal_update(optimizer: Any, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Return the next parameters and state, for an optimizer with or without a proximal update of its own."""
    if hasattr(optimizer, "proximal_update"):
        return optimizer.proximal_update(regularizer, gradient, state, params)
    return update_then_prox(optimizer, regularizer, gradient, state, params)


def rate_at(rate: Any, step: jax.Array) -> Any:
    """Return a rate, asking the schedule if it is one."""
    return rate(step) if callable(rate) else rate


def scalar(params: Any) -> jax.Array:
    """Return a zero in the widest dtype of the state."""
    return jnp.zeros((), dtypes(params)[1])


def rounded(value: Any, tree: Any) -> jax.Array:
    """Round a number to the narrowest dtype of the state, so that all leaves share it; hold it in the widest."""
    narrow, wide = dtypes(tree)
    like = next(iter(jax.tree.leaves(tree)), jnp.zeros(()))
    return cast(value, jnp.asarray(like).astype(narrow)).astype(wide)


def zeros(params: Any) -> Any:
    """Return a tree of zeros like the parameters, in the dtype of the state."""
    return jax.tree.map(lambda w: jnp.zeros(jnp.shape(w), wide_dtype(w)), params)


def limited(gradient: Any) -> Any:
    """Return the gradient in the dtype of the state, finite entries within the range whose squares are finite."""

    def one(g: jax.Array) -> jax.Array:
        limit = 2.0 ** (jnp.finfo(g.dtype).maxexp // 2 - 1)
        return jnp.where(jnp.isinf(g), g, jnp.clip(g, -limit, limit))

    return jax.tree.map(one, widen(gradient))


def narrow(updates: Any, params: Any) -> Any:
    """Return updates in the dtypes of the parameters."""
    return jax.tree.map(lambda u, w: u.astype(jnp.result_type(w)), updates, params)


def ratio(above: jax.Array, below: jax.Array) -> jax.Array:
    """Return above / below, and 0 where below is 0.

    The quotient comes last, which a compiler computes once; a choice it would repeat for the step and for the state,
    and copy the state for it.
    """
    nothing = below == 0
    return jnp.where(nothing, jnp.zeros_like(above), above) / jnp.where(nothing, jnp.ones_like(below), below)


def average(beta: jax.Array, old: jax.Array, new: Any) -> jax.Array:
    """Return β old + (1 − β) new for a β that has been rounded."""
    beta = beta.astype(old.dtype)
    return beta * old + (1 - beta) * new


def averages(beta: jax.Array, old: Any, new: Any) -> Any:
    """Return the running averages of a tree."""
    return jax.tree.map(lambda a, b: average(beta, a, b), old, new)


def scaled(scale: jax.Array, tree: Any) -> Any:
    """Return a tree times a number."""
    return jax.tree.map(lambda a: scale.astype(a.dtype) * a, tree)


def decay(updates: Any, params: Any, strength: jax.Array, biases: bool) -> Any:
    """Return updates − strength · parameters, on weights alone unless asked for biases too."""

    def one(path: Any, u: jax.Array, w: jax.Array) -> jax.Array:
        return u - strength.astype(u.dtype) * jnp.asarray(w, u.dtype) if is_reached(path, biases) else u

    return jax.tree_util.tree_map_with_path(one, updates, params)


def check_tree(gradient: Any, params: Any) -> None:
    """Require that the gradient has the tree and the shapes of the parameters; name the first difference."""
    here = {jax.tree_util.keystr(path): w for path, w in jax.tree_util.tree_leaves_with_path(params)}
    there = {jax.tree_util.keystr(path): g for path, g in jax.tree_util.tree_leaves_with_path(gradient)}
    for path in [*here, *there]:
        if path not in there or path not in here:
            where = "parameters" if path in here else "gradient"
            raise_error(
                "gradient and parameters must be trees alike",
                f"{path or 'the root'} is in the {where} alone",
                "the gradient of these parameters",
            )
        if jnp.shape(here[path]) != jnp.shape(there[path]):
            raise_error(
                "gradient and parameters must have equal shapes",
                f"{path or 'the root'} has {jnp.shape(there[path])} against {jnp.shape(here[path])}",
                "the gradient of these parameters",
            )
    kinds = [str(jax.tree.structure(tree)) for tree in (gradient, params)]
    if kinds[0] != kinds[1]:
        arrived = f"got {kinds[0]} and {kinds[1]}"
        raise_error("gradient and parameters must be trees alike", arrived, "the gradient of these parameters")


def check_optimizer(wrapper: Any) -> None:
    """Require that a wrapper wraps an optimizer, and adopt a foreign one."""
    name, optimizer = type(wrapper).__name__, wrapper.optimizer
    if isinstance(optimizer, type) or not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        arrived = f"the class {optimizer.__name__}" if isinstance(optimizer, type) else describe(optimizer)
        raise_error(f"{name}.optimizer must have init and update", f"got {arrived}", f"{name}(fn.Adam(), …)", TypeError)
    object.__setattr__(wrapper, "optimizer", adopt(optimizer))


def rate_of(optimizer: Any, state: Any) -> Any:
    """Return the learning rate of an optimizer, which a proximal step and a decoupled decay need."""
    if not hasattr(optimizer, "rate"):
        raise_error(
            "the optimizer must tell its learning rate, by a method rate(state)",
            f"got {describe(optimizer)}",
            "an optimizer of funcnet",
        )
    return optimizer.rate(state)
