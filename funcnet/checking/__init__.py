r"""The gradient checker: independent witnesses for gradients that were written by hand.

>>> import jax.numpy as jnp, funcnet as fn
>>> print(str(fn.check(fn.relu, jnp.asarray([-1.0, 0.0, 2.0]))).splitlines()[0])
PASS  activation ReLU()

This is the one folder of the package that differentiates automatically. Its parts are imported when a check is first
made, so that `import funcnet` does not wait for them.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcnet.checking.registry import Example as Example
    from funcnet.checking.registry import cases as cases
    from funcnet.checking.report import CheckFailed as CheckFailed
    from funcnet.checking.report import Report as Report

__all__ = ["CheckFailed", "Example", "Report", "cases", "check"]

_HOMES = {"CheckFailed": "report", "Report": "report", "Example": "registry", "cases": "registry"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"funcnet.checking.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check(
    rule: Any,
    *arguments: Any,
    gradient: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    known: Any = None,
    seed: int = 0,
    dtypes: Sequence[str] = ("float32", "bfloat16"),
    transforms: bool = True,
    second: bool = True,
    formula: bool = True,
    tolerance: float = 1e-12,
    max_elements: int = 64,
) -> "Report":
    r"""Check a gradient by independent witnesses and return a report, true when it passes.

    Args:
        rule: an activation, layer, chain, loss, regularizer or optimizer; anything with their methods; a pair
            `(forward, backward)` with `forward(*arguments) -> (y, saved)` and `backward(saved, dy) -> gradients`;
            a function with a claimed `gradient`; or a function whose own derivative in JAX is checked, such as a
            `jax.custom_vjp`.
        *arguments: example arguments of forward. A layer takes `params, x` and, for training, a key or a seed; a loss
            `prediction, target` and perhaps weights; an optimizer nothing, or parameters and, with `known`, a tuple of
            gradients.
        gradient: for a function that returns one number: what is claimed to be its gradient, called with the same
            arguments. For a function of each element alone: its derivative.
        argnums: which arguments a pair or a function is differentiated by; all floating-point ones by default.
        known: the gradient for a dy of ones, where it is known from elsewhere, or stated at a kink; of an optimizer the
            parameters after the given gradients.
        seed: decides cotangents and directions.
        dtypes: narrower dtypes in which to measure rounding.
        transforms: whether to repeat the gradient under `jit` and `vmap`.
        second: whether to compare Hessian-vector products.
        formula: whether SymPy differentiates `FORMULA` where a rule states one.
        tolerance: how far, relative to what was summed up, automatic differentiation may be away in 64 bits.
        max_elements: how many elements are differentiated numerically, spread over the leaves; in larger examples all
            others are judged by automatic differentiation and by directional derivatives.

    Returns:
        A `Report`.

    Raises:
        TypeError, ValueError: where there is nothing to check: integer inputs, empty arrays, a class for an instance.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> bool(fn.check(fn.relu, jnp.asarray([-1.0, 0.0, 2.0])))
    True
    >>> wrong = fn.check(jnp.sum, jnp.asarray([1.0, 2.0]), gradient=lambda x: x)
    >>> bool(wrong)
    False

    """
    from funcnet.checking.run import run_check

    return run_check(
        rule,
        arguments,
        gradient=gradient,
        argnums=argnums,
        known=known,
        seed=seed,
        dtypes=dtypes,
        transforms=transforms,
        second=second,
        formula=formula,
        tolerance=tolerance,
        max_elements=max_elements,
    )
