r"""What each kind of rule must have: the protocols that the package is written against.

The bases of the kinds (`Layer`, `Loss`, `Optimizer`, …) fill in the defaults, so a rule that inherits from its base has
all of it. Whatever enters an `Experiment` from elsewhere is adopted there: what is missing and has a default is filled
in, what is missing and has none is refused in words. Below that door every rule has every method of its protocol.

Shapes     a sample is the leading axis of every array; `Shape` is that of one sample, or a tree of them where x is a
           tree.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax

Array: TypeAlias = jax.Array
Shape: TypeAlias = tuple[int, ...]
Params: TypeAlias = Any  # a pytree of arrays
Saved: TypeAlias = Any  # what a forward keeps for its backward


@runtime_checkable
class Activation(Protocol):
    """A function of an array without parameters."""

    def forward(self, z: Array) -> tuple[Array, Saved]:
        """Return y = f(z) and what `backward` needs."""
        ...

    def backward(self, saved: Saved, dy: Array) -> Array:
        """Return dz."""
        ...


@runtime_checkable
class Layer(Protocol):
    """A function of parameters and an input."""

    def out_shape(self, in_shape: Any) -> Any:
        """Return the shape of one output sample."""
        ...

    def init(self, key: Array, in_shape: Any, dtype: Any = None) -> Params:
        """Draw parameters, in JAX's default float dtype unless one is given."""
        ...

    def forward(self, params: Params, x: Any, key: Array | None = None) -> tuple[Any, Saved]:
        """Return y and what `backward` needs; with a key it trains, without one it evaluates."""
        ...

    def backward(self, params: Params, saved: Saved, dy: Any) -> tuple[Params, Any]:
        """Return dparams and dx; dx of whole numbers is None."""
        ...


@runtime_checkable
class Loss(Protocol):
    """A mean, or a sum, over weighted samples of what each of them costs."""

    def forward(self, prediction: Any, target: Any, weight: Any = None) -> tuple[Array, Saved]:
        """Return the value and what `backward` needs."""
        ...

    def backward(self, saved: Saved, dvalue: Any = 1.0) -> Any:
        """Return dprediction."""
        ...


@runtime_checkable
class Metric(Protocol):
    """A number that is reported and never differentiated, from sums that add up over batches."""

    @property
    def name(self) -> str:
        """Return the column's name, without train_, validation_ or test_."""
        ...

    def sums(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """Return a tree of sums over the samples: those of two batches add up to those of both together."""
        ...

    def value(self, sums: Any) -> Array:
        """Return the metric that such sums amount to."""
        ...


@runtime_checkable
class Regularizer(Protocol):
    """A penalty on parameters, which enters by its gradient, or by its proximal operator if `proximal`."""

    proximal: bool

    def __call__(self, params: Params) -> Array:
        """Return the penalty."""
        ...

    def gradient(self, params: Params) -> Params:
        """Return its gradient."""
        ...

    def prox(self, params: Params, step: Any) -> Params:
        """Return its proximal point."""
        ...


@runtime_checkable
class Optimizer(Protocol):
    """Two pure functions of a gradient; new params = params + updates."""

    def init(self, params: Params) -> Any:
        """Return the state before the first update."""
        ...

    def update(self, gradient: Params, state: Any, params: Params | None = None) -> tuple[Params, Any]:
        """Return what to add to the parameters, and the next state."""
        ...


@runtime_checkable
class Schedule(Protocol):
    """A rate by the number of updates made so far."""

    def __call__(self, step: Any) -> Array:
        """Return the rate of the update after `step` updates."""
        ...


@runtime_checkable
class StoppingRule(Protocol):
    """A pure judge of each epoch's metrics."""

    def start(self) -> Any:
        """Return what the rule remembers before the first epoch."""
        ...

    def judge(self, state: Any, metrics: Mapping[str, Array]) -> tuple[Any, Array]:
        """Return what it remembers now, and whether to stop."""
        ...


def takes(method: Callable[..., Any], count: int) -> bool:
    """Tell whether a function can be called with so many arguments and no others; what cannot be inspected is trusted.

    >>> takes(lambda gradient, state, params=None, *, value: None, 3)
    False
    """
    try:
        inspect.signature(method).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def fits(value: Any, *kinds: type) -> bool:
    """Tell whether a value from anywhere has what a protocol asks for; one that answers with an error has not.

    >>> import funcnet as fn
    >>> class Broken:
    ...     def __getattr__(self, name):
    ...         raise RuntimeError(name)
    >>> fits(Broken(), fn.Layer, fn.Loss)
    False
    """
    try:
        return isinstance(value, kinds)
    except Exception:
        return False
