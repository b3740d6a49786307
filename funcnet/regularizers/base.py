r"""What a regularizer is: a penalty R(params) with its gradient and its proximal operator, over any pytree.

A concept file treats one array w; this file carries it over the tree. The weights are reached (`trees.is_weight`), not
biases, scales and offsets, unless `biases=True`: shrinking an offset biases the predictions without making the function
simpler. What follows the data (a running mean or variance) is never reached.

Forward    R = Σ over the leaves of r(w);  leaves of 16 bits are summed in float32
Backward   dw = r′(w) dvalue, and 0 for exempt leaves
Proximal   prox(params, s) = argmin over v of ½‖v − w‖² + s r(v), leaf by leaf

Training adds the gradient to that of the loss (`added`); with `proximal=True` it applies `prox` with the learning rate
as s after each update instead (proximal gradient: Parikh & Boyd 2014, section 4.2), which is what makes zeros exact.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from funcnet import protocols
from funcnet.errors import describe, raise_error
from funcnet.records import cast, choice, part, record
from funcnet.trees import is_reached, is_tree_of_numbers, widen


@runtime_checkable
class _Penalizes(Protocol):
    """What is a penalty, at the least."""

    def __call__(self, params: Any) -> Any: ...

    def gradient(self, params: Any) -> Any: ...


@runtime_checkable
class _Proximal(Protocol):
    """What says whether it enters by its proximal operator."""

    proximal: bool


class Regularizer:
    """Base of all regularizers; a concept of arrays gives `leaf` and so on (`Leafwise`), another one these methods.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Sum(fn.Regularizer):
    ...     strength: float = fn.number(at_least=0)
    ...     proximal = False
    ...     def forward(self, params):
    ...         return self.strength * sum(jnp.sum(w) for w in jax.tree.leaves(params)), params
    ...     def backward(self, saved, dvalue=1.0):
    ...         return jax.tree.map(lambda w: jnp.full_like(w, self.strength * dvalue), saved)
    >>> params = {"kernel": jnp.float32([[1.0, 2.0]])}
    >>> print(Sum(0.5)(params), Sum(0.5).gradient(params)["kernel"])
    1.5 [[0.5 0.5]]
    """

    proximal: bool

    def forward(self, params: Any) -> tuple[jax.Array, Any]:
        """Return the penalty, and what `backward` needs: the parameters themselves."""
        raise NotImplementedError

    def backward(self, saved: Any, dvalue: Any = 1.0) -> Any:
        """Return dparams, a tree like the parameters."""
        raise NotImplementedError

    def __call__(self, params: Any) -> jax.Array:
        """Evaluate the penalty."""
        return self.forward(params)[0]

    def gradient(self, params: Any) -> Any:
        """Return the gradient of the penalty (a subgradient where there is a kink)."""
        return self.backward(params)

    def added(self, params: Any) -> Any:
        """Return what training adds to the gradient of the loss: the gradient; None for a proximal one."""
        return None if self.proximal else self.gradient(params)

    def prox(self, params: Any, step: Any) -> Any:
        """Return the proximal point of the parameters for a step size."""
        raise NotImplementedError

    @property
    def orientation_free(self) -> bool:
        """Tell whether the step on a transposed kernel is the transposed step; True unless overridden."""
        return True


@record
class Leafwise(Regularizer):
    """A sum over the leaves; a concept gives `leaf`, `leaf_backward` and `leaf_prox` for one array.

    `FORMULA` states r as a Python expression over the list w of an array's numbers and the fields, for the tests.

    Args:
        biases: whether vectors (biases, scales) are reached too, not the weights alone.
        proximal: whether the penalty enters by its proximal operator after each step, which gives exact zeros
            or an exact constraint, and not by its gradient.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Quartic(fn.Leafwise):
    ...     def leaf(self, w):
    ...         return jnp.sum(w**4)
    ...     def leaf_backward(self, w):
    ...         return 4 * w**3
    >>> params = {"kernel": jnp.float32([[1.0, 2.0]]), "bias": jnp.float32([3.0])}  # biases are spared
    >>> print(Quartic()(params), Quartic().gradient(params)["kernel"], Quartic().gradient(params)["bias"])
    17.0 [[ 4. 32.]] [0.]

    """

    FORMULA: ClassVar[str]

    biases: bool = choice(default=False, options=(False, True), kw_only=True)
    proximal: bool = choice(default=False, options=(False, True), kw_only=True)

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


class _Elsewhere(Regularizer):
    """A regularizer from elsewhere, with what it lacks filled in."""

    regularizer: Any

    @property
    def proximal(self) -> bool:  # type: ignore[override]
        """Tell whether it enters by its proximal operator; not unless it says so."""
        return isinstance(self.regularizer, _Proximal) and bool(self.regularizer.proximal)

    def forward(self, params: Any) -> tuple[Any, Any]:
        """Return its penalty, and the parameters themselves."""
        return self.regularizer(params), params

    def backward(self, saved: Any, dvalue: Any = 1.0) -> Any:
        """Return its gradient times dvalue."""
        return jax.tree.map(lambda g: g * cast(dvalue, g), self.regularizer.gradient(saved))

    def prox(self, params: Any, step: Any) -> Any:
        """Return its proximal point."""
        return self.regularizer.prox(params, step)

    @property
    def orientation_free(self) -> bool:
        """Return False: nothing is known about it."""
        return False


@record
class ForeignRegularizer(_Elsewhere):
    """A regularizer from elsewhere that is a pytree of numbers."""

    regularizer: Any = part()


@record
class HeldRegularizer(_Elsewhere):
    """A regularizer from elsewhere that is none, held as structure."""

    regularizer: Any = choice()


def as_regularizer(regularizer: Any, name: str = "regularizer") -> Regularizer:
    """Return the regularizer itself, or one from elsewhere with the protocol filled in.

    Args:
        regularizer: one of funcnet, or anything that maps parameters to a penalty and has `gradient(params)`; with
            `proximal` True, and `prox(params, step)`, it enters by its proximal operator.
        name: what to call it in errors.

    Raises:
        TypeError: where a method is missing.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> class Squares:  # knows nothing of funcnet
    ...     def __call__(self, params):
    ...         return sum(jnp.sum(w * w) for w in jax.tree.leaves(params))
    ...     def gradient(self, params):
    ...         return jax.tree.map(lambda w: 2 * w, params)
    >>> print(fn.regularizers.as_regularizer(Squares())({"kernel": jnp.float32([[1.0, 2.0]])}))
    5.0

    """
    if isinstance(regularizer, Regularizer) and is_tree_of_numbers(regularizer):
        return regularizer
    if isinstance(regularizer, type) or not isinstance(regularizer, _Penalizes):
        arrived = f"the class {regularizer.__name__}" if isinstance(regularizer, type) else describe(regularizer)
        raise_error(f"{name} must be a penalty with gradient(params)", f"got {arrived}", "fn.L2(1e-4)", TypeError)
    adopted = (ForeignRegularizer if is_tree_of_numbers(regularizer) else HeldRegularizer)(regularizer)
    if adopted.proximal and not protocols.fits(regularizer, protocols.Regularizer):
        arrived = f"{describe(regularizer)} has none"
        raise_error(f"a proximal {name} must have prox(params, step)", arrived, "proximal=False", TypeError)
    return adopted
