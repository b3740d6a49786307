r"""What an optimizer is: two pure functions of a gradient, in the protocol that the JAX world uses.

    init(params) -> state
    update(gradient, state, params=None) -> (updates, state)       new params = params + updates

A learning rate is a number or a schedule, which maps the number of updates made so far to a rate. State is kept in at
least float32; updates have the dtype of the parameters. Any pytree of real floating-point leaves will do; complex
parameters are refused (give real and imaginary parts). Parameters are needed by decay and by proximal steps alone;
without them updates have the dtype of the gradient. Rates are at least 0: to climb, negate the gradient. A momentum of
1, which forgets nothing, is allowed.

A concept gives `init` and `direction`; `update` is written here, once: it checks the gradient, widens it, asks for the
rate, counts, and rounds the updates to the parameters' dtype. The count stops at 2³¹ − 1, where schedules stay.

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
              updates, worked by hand from the recurrence or printed in a paper (None where they are not known).
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.errors import is_concrete, raise_error
from funcnet.records import cast
from funcnet.schedules.base import LAST
from funcnet.trees import dtypes, is_reached, root, wide_dtype, widen


class Steps(NamedTuple):
    """The state of an optimizer that remembers nothing else: the number of updates made."""

    step: jax.Array  # int32 ()


class Optimizer:
    """Base of all optimizers; a concept gives `init` and `direction`.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Signs(fn.Optimizer):
    ...     learning_rate: float = fn.number(default=0.1, at_least=0)
    ...     def direction(self, gradient, rate, state, params):
    ...         return jax.tree.map(lambda g: -rate * jnp.sign(g), gradient), state
    >>> optimizer, w = Signs(0.5), jnp.float32([1.0, 2.0])
    >>> updates, state = optimizer.update(jnp.float32([5.0, -3.0]), optimizer.init(w), w)
    >>> print(w + updates, state.step)
    [0.5 2.5] 1
    """

    # Whether gradients are squared; they are limited first, so that no square overflows.
    SQUARES: ClassVar[bool] = True

    learning_rate: Any

    def init(self, params: Any) -> Any:
        """Return the state before the first update: a named tuple whose first field is the step."""
        return Steps(no_steps())

    def direction(self, gradient: Any, rate: jax.Array, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the next state, whose step is left as it is.

        Args:
            gradient: a tree of at least float32.
            rate: the learning rate of this update, in the dtype of the state.
            state: what `init` or the last update returned.
            params: the parameters, or None if the caller gave none.

        """
        raise NotImplementedError

    def update(self, gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the next state."""
        wide = checked(gradient, params)
        if self.SQUARES:
            wide = squarable(wide)
        updates, state = self.direction(wide, rounded(self.rate(state), wide), state, params)
        return narrow(updates, gradient if params is None else params), state._replace(step=later(state.step))

    @property
    def has_rate(self) -> bool:
        """Tell whether the optimizer knows its learning rate, which proximal steps and decoupled decay need."""
        return True

    def rate(self, state: Any) -> Any:
        """Return the learning rate that the next update will use."""
        return rate_at(self.learning_rate, state.step)

    def proximal_update(self, regularizer: Any, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the next parameters and state: an update, then the proximal point with the learning rate as step."""
        step = self.rate(state)
        updates, state = self.update(gradient, state, params)
        return regularizer.prox(jax.tree.map(jnp.add, params, updates), step), state

    @property
    def watches(self) -> tuple[str, ...]:
        """Return the columns of the history that `judge` reads."""
        return ()

    def judge(self, state: Any, metrics: Mapping[str, jax.Array]) -> Any:
        """Return the state after an epoch with such metrics."""
        return state

    def settled(self, params: Any, state: Any) -> Any:
        """Return the parameters that are measured and kept, where they are not those that training goes on from."""
        return params

    @property
    def orientation_free(self) -> bool:
        """Tell whether the updates of a transposed gradient are the transposed updates; True unless overridden."""
        return True

    def check(self, shapes: Callable[[], Any]) -> None:
        """Raise a sentence unless parameters of such shapes and dtypes, asked for where in doubt, can be updated."""


def no_steps() -> jax.Array:
    """Return the count before the first update."""
    return jnp.zeros((), jnp.int32)


def later(step: jax.Array, by: int = 1) -> jax.Array:
    """Return the count after some updates more; it does not go beyond `LAST`."""
    return jnp.minimum(step, LAST - by) + by


def rate_at(rate: Any, step: jax.Array) -> Any:
    """Return a rate, asking the schedule if it is one."""
    return rate(step) if callable(rate) else rate


def scalar_zero(params: Any) -> jax.Array:
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


def filled(value: Any, params: Any) -> Any:
    """Return a tree of one number like the parameters, in the dtype of the state."""
    number = rounded(value, params)
    return jax.tree.map(lambda a: a + number.astype(a.dtype), zeros(params))


def squarable(gradient: Any) -> Any:
    """Return a gradient with its finite entries limited to the range whose squares are finite."""

    def one(g: jax.Array) -> jax.Array:
        limit = 2.0 ** (jnp.finfo(g.dtype).maxexp // 2 - 1)
        return jnp.where(jnp.isinf(g), g, jnp.clip(g, -limit, limit))

    return jax.tree.map(one, gradient)


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


def root_with(square: jax.Array, epsilon: jax.Array, inside: bool) -> jax.Array:
    """Return √(s + ε) or √s + ε."""
    epsilon = epsilon.astype(square.dtype)
    return root(square + epsilon) if inside else root(square) + epsilon


def average(beta: jax.Array, old: jax.Array, new: Any) -> jax.Array:
    """Return β old + (1 − β) new for a β that has been rounded."""
    beta = beta.astype(old.dtype)
    return beta * old + (1 - beta) * new


def averages(beta: jax.Array, old: Any, new: Any) -> Any:
    """Return the running averages of a tree."""
    return jax.tree.map(lambda a, b: average(beta, a, b), old, new)


def averages_of_squares(beta: jax.Array, old: Any, new: Any) -> Any:
    """Return the running averages of a tree's squares."""
    return averages(beta, old, jax.tree.map(jnp.square, new))


def scaled(scale: jax.Array, tree: Any) -> Any:
    """Return a tree times a number."""
    return jax.tree.map(lambda a: scale.astype(a.dtype) * a, tree)


def decay(updates: Any, params: Any, strength: jax.Array, biases: bool) -> Any:
    """Return updates − strength · parameters, on weights alone unless asked for biases too."""
    return _where_reached(lambda u, w: u - strength.astype(u.dtype) * w, updates, params, biases)


def penalized(gradient: Any, params: Any, strength: jax.Array, biases: bool) -> Any:
    """Return gradient + strength · parameters, on weights alone unless asked for biases too.

    Not `decay` with a sign turned: a compiler that knows the strength would turn it back, and round otherwise.
    """
    return _where_reached(lambda g, w: g + strength.astype(g.dtype) * w, gradient, params, biases)


def _where_reached(function: Callable[..., jax.Array], tree: Any, params: Any, biases: bool) -> Any:
    def one(path: Any, a: jax.Array, w: jax.Array) -> jax.Array:
        return function(a, jnp.asarray(w, a.dtype)) if is_reached(path, biases) else a

    return jax.tree_util.tree_map_with_path(one, tree, params)


def needs_params(rule: Any, strength: Any, params: Any) -> bool:
    """Tell whether to decay; a decay of 0 needs no parameters, any other raises without them."""
    if params is None and not (is_concrete(strength) and strength == 0):
        name = type(rule).__name__
        raise_error(f"{name} needs the parameters that it decays", "got None", "update(gradient, state, params)")
    return params is not None


def checked(gradient: Any, params: Any) -> Any:
    """Return the gradient in the dtype of the state; require the tree and the shapes of the parameters, if given."""
    if params is None:
        return widen(gradient)
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
    return widen(gradient)
