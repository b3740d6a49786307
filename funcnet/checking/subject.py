r"""Subjects: what kind of rule was handed over, brought into the one form of `form.py`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.checking.form import Subject, parameter_names, rule_name
from funcnet.checking.layout import as_arrays, is_floating
from funcnet.checking.strangers import claimed_gradient, differentiated, pair
from funcnet.errors import describe, raise_error


def is_optimizer(rule: Any) -> bool:
    """Tell whether `rule` speaks the optimizer protocol rather than having a forward and a backward."""
    return hasattr(rule, "init") and hasattr(rule, "update") and not hasattr(rule, "forward")


def subject_of(rule: Any, arguments: tuple[Any, ...], gradient: Any = None, argnums: Any = None) -> Subject:
    """Recognise what was handed over and bring it into the one form; raise where nothing can be checked."""
    arguments = tuple(as_arrays(argument) for argument in arguments)
    if isinstance(rule, type):
        raise_error("a rule must be an instance", f"got the class {rule.__name__}", f"{rule.__name__}(…)", TypeError)
    if gradient is not None:
        subject = claimed_gradient(rule, arguments, gradient, argnums)
    elif isinstance(rule, (tuple, list)) and len(rule) == 2 and all(map(callable, rule)):
        subject = pair(rule_name(rule[0]), rule[0], rule[1], arguments, argnums, rule)
    elif hasattr(rule, "forward") and hasattr(rule, "backward"):
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
    _check_point(subject.point)
    return subject


def _record(rule: Any, arguments: tuple[Any, ...], argnums: Any) -> Subject:
    """Recognise funcnet's kinds by the names of the parameters of forward and backward."""
    name = rule_name(rule)
    names = parameter_names(rule.forward)
    before = parameter_names(rule.backward)
    stated = tuple(rule.kinks()) if hasattr(rule, "kinks") else ()
    if len(before) >= 3:
        arguments = _with_key(arguments)
        _require(arguments, 2, name, "params and x", names)
        return Subject(
            name,
            "layer",
            lambda point, constants: rule.forward(point["params"], point["x"], *constants),
            lambda point, saved, dy: dict(
                zip(("params", "x"), _two(rule.backward(point["params"], saved, dy)), strict=True)
            ),
            {"params": arguments[0], "x": arguments[1]},
            arguments[2:],
            rule,
            composite=_is_composite(rule),
        )
    if len(names) >= 2 and names[1] in ("target", "targets", "label", "labels", "y_true"):
        _require(arguments, 2, name, "a prediction and a target", names)
        return Subject(
            name,
            "loss",
            lambda point, constants: rule.forward(point["prediction"], *constants),
            lambda point, saved, dy: {"prediction": rule.backward(saved, dy)},
            {"prediction": arguments[0]},
            arguments[1:],
            rule,
            stated,
        )
    if len(names) == 1:
        _require(arguments, 1, name, f"one argument, {names[0]}", names)
        kind = "regularizer" if names[0] == "params" else "activation"
        return Subject(
            name,
            kind,
            lambda point, constants: rule.forward(point[names[0]]),
            lambda point, saved, dy: {names[0]: rule.backward(saved, dy)},
            {names[0]: arguments[0]},
            (),
            rule,
            stated,
        )
    return pair(name, rule.forward, rule.backward, arguments, argnums, rule)


def _check_point(point: dict[str, Any]) -> None:
    """Require floating leaves, and at least one number."""
    leaves = jax.tree_util.tree_leaves_with_path(point)
    for path, leaf in leaves:
        if not is_floating(leaf):
            name = str(path[0].key) + jax.tree_util.keystr(path[1:])
            raise_error(
                f"{name} must be a floating-point array to be differentiated",
                f"got {describe(leaf)}",
                "jnp.asarray(x, jnp.float32), or another argument",
                TypeError,
            )
    if not sum(np.size(leaf) for _, leaf in leaves):
        shapes = ", ".join(str(np.shape(leaf)) for _, leaf in leaves) or "no arrays"
        raise_error(
            "there must be at least one number to differentiate", f"got {shapes}", "an example that is not empty"
        )


def _with_key(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make a key of a layer's third argument where it is a seed."""
    if len(arguments) < 3 or np.shape(arguments[2]) != ():
        return arguments
    seed = arguments[2]
    dtype = seed.dtype if hasattr(seed, "dtype") else np.asarray(seed).dtype
    if not jnp.issubdtype(dtype, np.integer):
        return arguments
    return (*arguments[:2], jax.random.key(int(seed)), *arguments[3:])


def _is_composite(rule: Any) -> bool:
    return bool(getattr(rule, "layers", ()))


def _require(arguments: tuple[Any, ...], count: int, name: str, what: str, names: list[str]) -> None:
    if len(arguments) < count or len(arguments) > max(count, len(names)):
        raise_error(
            f"{name} must be checked with {what}", f"got {len(arguments)} arguments", f"({', '.join(names)})", TypeError
        )


def _two(found: Any) -> Any:
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"backward of a layer must return (dparams, dx), but returned {describe(found)}")
    return found
