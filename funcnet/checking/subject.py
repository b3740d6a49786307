r"""Subjects: what kind of rule was handed over, brought into the one form of `form.py`.

The package's kinds are known by their bases, layers of anyone by their protocol. A stranger's rule without a base is
what its methods take, as the protocols state it: a layer if `backward` takes (params, saved, dy), a loss if `forward`
takes a target second; else forward and backward are a pair like any other.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.activations.base import Activation
from funcnet.checking.form import Subject, hold, parameter_names, rule_name
from funcnet.checking.layout import as_arrays, is_floating, leaf_path
from funcnet.checking.strangers import claimed_gradient, differentiated, pair
from funcnet.errors import describe, raise_error
from funcnet.keys import from_seed
from funcnet.losses.base import Loss
from funcnet.protocols import Activation as AnyRule  # forward and backward are all that it asks for
from funcnet.protocols import Layer, Optimizer
from funcnet.regularizers.base import Regularizer


def is_optimizer(rule: Any) -> bool:
    """Tell whether `rule` speaks the optimizer protocol rather than having a forward and a backward."""
    return isinstance(rule, Optimizer) and not isinstance(rule, AnyRule)


def is_layer(rule: Any) -> bool:
    """Tell whether `rule` speaks the protocol of layers, or at least has its backward."""
    return isinstance(rule, Layer) or (isinstance(rule, AnyRule) and len(parameter_names(rule.backward)) >= 3)


def subject_of(rule: Any, arguments: tuple[Any, ...], gradient: Any = None, argnums: Any = None) -> Subject:
    """Recognise what was handed over and bring it into the one form; raise where nothing can be checked."""
    arguments = tuple(as_arrays(argument) for argument in arguments)
    if isinstance(rule, type):
        raise_error("a rule must be an instance", f"got the class {rule.__name__}", f"{rule.__name__}(…)", TypeError)
    if gradient is not None:
        subject = claimed_gradient(rule, arguments, gradient, argnums)
    elif isinstance(rule, (tuple, list)) and len(rule) == 2 and all(map(callable, rule)):
        subject = pair(rule_name(rule[0]), rule[0], rule[1], arguments, argnums, rule)
    elif isinstance(rule, AnyRule):
        subject = _record(rule, arguments, argnums)
    elif callable(rule):
        subject = differentiated(rule, arguments, argnums)
    else:
        raise_error(
            "a rule must have forward and backward, or init and update, or be a function",
            f"got {describe(rule)}",
            "fn.check((forward, backward), x) for two functions, fn.check(f, x, gradient=df) for a claimed gradient",
            TypeError,
        )
    _check_point(subject)
    return hold(subject)


def _record(rule: Any, arguments: tuple[Any, ...], argnums: Any) -> Subject:
    """Bring a rule with forward and backward into the form, by its kind."""
    names = parameter_names(rule.forward)
    if is_layer(rule):
        return _layer(rule, _with_key(arguments))
    if isinstance(rule, Loss) or names[1:2] == ["target"]:
        _require(rule, arguments, 2, "a prediction and a target", names)
        return _first(rule, "loss", "prediction", arguments)
    if isinstance(rule, (Activation, Regularizer)) or len(names) == 1:
        kind = "regularizer" if isinstance(rule, Regularizer) else "activation"
        _require(rule, arguments, 1, f"one argument, {names[0]}", names)
        return _first(rule, kind, names[0], arguments)
    return pair(rule_name(rule), rule.forward, rule.backward, arguments, argnums, rule)


def _layer(rule: Any, arguments: tuple[Any, ...]) -> Subject:
    _require(rule, arguments, 2, "params and x", parameter_names(rule.forward))

    def forward(point: Any, constants: Any) -> Any:
        return rule.forward(point["params"], point["x"], *constants)

    def backward(point: Any, saved: Any, dy: Any) -> Any:
        found = rule.backward(point["params"], saved, dy)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"backward of a layer must return (dparams, dx), but returned {describe(found)}")
        return dict(zip(("params", "x"), found, strict=True))

    point = {"params": arguments[0], "x": arguments[1]}
    return Subject(
        rule_name(rule), "layer", forward, backward, point, arguments[2:], rule, composite=_is_composite(rule)
    )


def _first(rule: Any, kind: str, name: str, arguments: tuple[Any, ...]) -> Subject:
    """Differentiate a rule by its first argument."""
    stated: Callable[[], Any] = getattr(rule, "kinks", tuple)
    return Subject(
        rule_name(rule),
        kind,
        lambda point, constants: rule.forward(point[name], *constants),
        lambda point, saved, dy: {name: rule.backward(saved, dy)},
        {name: arguments[0]},
        arguments[1:],
        rule,
        tuple(stated()),
    )


def _is_composite(rule: Any) -> bool:
    """Tell whether a layer holds other rules."""

    def is_rule(value: Any) -> bool:
        return isinstance(value, (Activation, Layer))

    return any(map(is_rule, jax.tree.leaves(getattr(rule, "__dict__", {}), is_leaf=is_rule)))


def _check_point(subject: Subject) -> None:
    """Require at least one number to differentiate, and parameters and single arrays that can be differentiated."""
    for name, tree in subject.point.items():
        leaves = jax.tree_util.tree_leaves_with_path({name: tree})
        whole = [(path, leaf) for path, leaf in leaves if not is_floating(leaf)]
        tokens = subject.kind == "layer" and name == "x"
        if whole and not tokens and (name == "params" or len(whole) == len(leaves)):
            path, leaf = whole[0]
            raise_error(
                f"{leaf_path(path)} must be a floating-point array to be differentiated",
                f"got {describe(leaf)}",
                "jnp.asarray(x, jnp.float32), or another argument",
                TypeError,
            )
    leaves = jax.tree.leaves(subject.point)
    if not sum(np.size(leaf) for leaf in leaves if is_floating(leaf)):
        shapes = ", ".join(str(np.shape(leaf)) for leaf in leaves) or "no arrays"
        raise_error(
            "there must be at least one number to differentiate", f"got {shapes}", "an example that is not empty"
        )


def _with_key(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make a key of a layer's third argument where it is a seed."""
    if (
        len(arguments) < 3
        or np.shape(arguments[2]) != ()
        or not jnp.issubdtype(jnp.result_type(arguments[2]), np.integer)
    ):
        return arguments
    return (*arguments[:2], from_seed(int(arguments[2])), *arguments[3:])


def _require(rule: Any, arguments: tuple[Any, ...], count: int, what: str, names: list[str]) -> None:
    if len(arguments) < count or len(arguments) > max(count, len(names)):
        raise_error(
            f"{rule_name(rule)} must be checked with {what}",
            f"got {len(arguments)} arguments",
            f"({', '.join(names)})",
            TypeError,
        )
