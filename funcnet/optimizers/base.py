r"""What an optimizer is: two pure functions of a gradient, in the protocol that the JAX world uses.

    init(params) -> state
    update(gradient, state, params) -> (updates, state)       new params = params + updates

A learning rate is a number or a schedule, a record that maps the number of updates made so far to a rate. Numbers are
rounded to the dtype in which they are used before anything is computed from them: 1 − β is taken of the rounded β, so a
constant and a traced β give the same bits. State is kept in at least float32; updates have the dtype of the parameters.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.errors import raise_error


class Optimizer:
    """Base of all optimizers."""

    def init(self, params: Any) -> Any:
        """Return the state before the first update."""
        raise NotImplementedError

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the next state."""
        raise NotImplementedError

    def rate(self, state: Any) -> Any:
        """Return the learning rate that the next update will use."""
        return rate_at(self.learning_rate, state.step)  # type: ignore[attr-defined]


def rate_at(rate: Any, step: jax.Array) -> Any:
    """Return a rate, asking the schedule if it is one."""
    return rate(step) if callable(rate) else rate


def wide_dtype(leaf: Any) -> Any:
    """Return the dtype to compute a leaf's update in: its own, or float32 for 16-bit leaves."""
    dtype = jnp.result_type(leaf)
    return jnp.float32 if jnp.finfo(dtype).bits <= 16 else dtype


def zeros(params: Any) -> Any:
    """Return a tree of zeros like the parameters, in the dtype of the state."""
    return jax.tree.map(lambda w: jnp.zeros(jnp.shape(w), wide_dtype(w)), params)


def widen(tree: Any) -> Any:
    """Return a tree in the dtype of the state."""
    return jax.tree.map(lambda w: jnp.asarray(w, wide_dtype(w)), tree)


def narrow(updates: Any, params: Any) -> Any:
    """Return updates in the dtypes of the parameters."""
    return jax.tree.map(lambda u, w: u.astype(jnp.result_type(w)), updates, params)


def check_tree(gradient: Any, params: Any) -> None:
    """Require that the gradient has the tree and the shapes of the parameters; name the first difference."""
    here = {jax.tree_util.keystr(path): w for path, w in jax.tree_util.tree_leaves_with_path(params)}
    there = {jax.tree_util.keystr(path): g for path, g in jax.tree_util.tree_leaves_with_path(gradient)}
    for path in [*here, *there]:
        if path not in there or path not in here:
            where = "parameters" if path in here else "gradient"
            raise_error("gradient and parameters must be trees alike", f"{path or 'the root'} is in the {where} alone", "the gradient of these parameters")
        if jnp.shape(here[path]) != jnp.shape(there[path]):
            raise_error(
                "gradient and parameters must have equal shapes",
                f"{path or 'the root'} has {jnp.shape(there[path])} against {jnp.shape(here[path])}",
                "the gradient of these parameters",
            )
