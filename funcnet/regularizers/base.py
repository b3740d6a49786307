r"""What a regularizer is: a penalty R(params) with its gradient and its proximal operator, over any pytree.

A concept file treats one array w; this file carries it over the tree. The weights are reached (`trees.is_weight`), not
biases, scales and offsets, unless `biases=True`: shrinking an offset biases the predictions without making the function
simpler. What follows the data (a running mean or variance) is never reached.

Forward    R = Σ over the leaves of r(w);  16-bit leaves are summed in float32
Backward   dw = r′(w) dvalue, and 0 for exempt leaves
Proximal   prox(params, s) = argmin over v of ½‖v − w‖² + s r(v), leaf by leaf

Training adds the gradient to that of the loss; with `proximal=True` it applies `prox` with the learning rate as s after
each update instead (proximal gradient: Parikh & Boyd 2014, section 4.2), which is what makes zeros exact.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.records import cast, choice, record
from funcnet.trees import is_reached, widen


@record
class Regularizer:
    """Base of all regularizers; a concept gives `leaf`, `leaf_backward` and `leaf_prox` for one array.

    `FORMULA` states r as a Python expression over the list w of an array's numbers and the fields, for the tests.
    """

    FORMULA: ClassVar[str]
    # Whether the penalty's step on a transposed kernel is the transposed step: each number is treated alike.
    ORIENTATION_FREE: ClassVar[bool] = False

    biases: bool = choice(default=False, options=(False, True), kw_only=True)
    proximal: bool = choice(default=False, options=(False, True), kw_only=True)

    def __call__(self, params: Any) -> jax.Array:
        """Evaluate the penalty."""
        return self.forward(params)[0]

    def forward(self, params: Any) -> tuple[jax.Array, Any]:
        """Return the penalty, and the parameters themselves."""
        values = [
            self.leaf(widen(w))
            for path, w in jax.tree_util.tree_leaves_with_path(params)
            if is_reached(path, self.biases)
        ]
        return sum(values[1:], values[0]) if values else jnp.zeros(()), params

    def backward(self, saved: Any, dvalue: Any = 1.0) -> Any:
        """Return dparams, a tree like the parameters."""

        def one(_: Any, w: jax.Array) -> jax.Array:
            wide = widen(w)
            return (self.leaf_backward(wide) * cast(dvalue, wide)).astype(jnp.asarray(w).dtype)

        return self._map(one, jnp.zeros_like, saved)

    def gradient(self, params: Any) -> Any:
        """Return the gradient of the penalty (a subgradient where there is a kink)."""
        return self.backward(params)

    def prox(self, params: Any, step: Any) -> Any:
        """Return the proximal point of the parameters for a step size."""

        def one(_: Any, w: jax.Array) -> jax.Array:
            wide = widen(w)
            return self.leaf_prox(wide, cast(step, wide)).astype(jnp.asarray(w).dtype)

        return self._map(one, lambda w: w, params)

    def _map(self, function: Callable[..., Any], exempt: Callable[..., Any], params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, w: function(path, w) if is_reached(path, self.biases) else exempt(w), params
        )

    def leaf(self, w: jax.Array) -> jax.Array:
        """Return r(w)."""
        raise NotImplementedError

    def leaf_backward(self, w: jax.Array) -> jax.Array:
        """Return r′(w)."""
        raise NotImplementedError

    def leaf_prox(self, w: jax.Array, step: jax.Array) -> jax.Array:
        """Return argmin over v of ½‖v − w‖² + step r(v)."""
        raise NotImplementedError
