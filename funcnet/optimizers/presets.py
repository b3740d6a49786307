r"""Presets: the algorithm that a library, or a paper, means by a name.

    preset(library, name, **numbers) -> optimizer

A preset fixes the choices in which the libraries differ and takes the library's defaults for the numbers; arguments
change the numbers. Each is tested against a trajectory recorded from that library (tests/recorded,
experiments/record_trajectories).

What differs, as recorded (η the rate, c a bias correction):

========  ===================  =================  ==================  ===================  =============
name      paper                torch              optax               keras                sklearn
========  ===================  =================  ==================  ===================  =============
sgd       η inside the         η outside          η outside           η inside             η inside,
          velocity                                                                         Nesterov, 0.9
adagrad   √a + ε               √a + ε             √(a + ε), a₀ = 0.1  √(a + ε), a₀ = 0.1
rmsprop   √s                   √s + ε, ρ = 0.99,  √(s + ε), ρ = 0.9,  √(s + ε), ρ = 0.9,
                               η outside          η inside            η inside
adam      √ŝ + ε               √ŝ + ε             √(ŝ + ρ) + ε        √s + ε               √s + ε
adamax    max(βn, |g|)         max(βn, |g| + ε)   max(βn, |g| + ε)    n + ε
adamw     λ without η          λη, biases too     λη, biases too      λη, biases too
nadam     μₜ in m; ŝ times β₂  μₜ, ψ = 0.004      μₜ = β₁             μₜ, ψ = 1
amsgrad   no correction        max, then c        c, then max         max, then c, √s + ε
adadelta  η = 1, ρ = 0.95      η = 1, ρ = 0.9     ρ = 0.9             η = 0.001, ρ = 0.95
lion      λη                                      λη, biases too      λη, biases too
========  ===================  =================  ==================  ===================  =============

`weight_decay` adds what the library does under that name: in PyTorch λθ joins the gradient (except in AdamW), in Keras
ηλθ is taken off beside the update; both include biases.
"""

import difflib
from typing import Any, NamedTuple

from funcnet.errors import near_misses, raise_error, shown
from funcnet.optimizers.adadelta import Adadelta
from funcnet.optimizers.adagrad import Adagrad
from funcnet.optimizers.adam import Adam
from funcnet.optimizers.adamax import AdaMax
from funcnet.optimizers.adamw import AdamW
from funcnet.optimizers.amsgrad import AMSGrad
from funcnet.optimizers.lion import Lion
from funcnet.optimizers.nadam import NAdam
from funcnet.optimizers.rmsprop import RMSprop
from funcnet.optimizers.sgd import SGD
from funcnet.optimizers.weight_decay import WeightDecay
from funcnet.schedules.composition import Product
from funcnet.schedules.inverse_time import InverseTime

LIBRARIES = ("paper", "torch", "optax", "keras", "sklearn")
REQUIRED = object()


class Variant(NamedTuple):
    """One library's algorithm: the record, the numbers that a caller may give (with defaults), and the choices."""

    kind: type
    numbers: dict[str, Any]
    choices: dict[str, Any]
    weight_decay: str | None = None  # coupled, decoupled, or None where the library offers none


def _moments(rate: Any, epsilon: float, beta2: float = 0.999) -> dict[str, Any]:
    return {"learning_rate": rate, "beta1": 0.9, "beta2": beta2, "epsilon": epsilon}


def _velocity(rate: Any, momentum: float | None = None, nesterov: bool = False) -> dict[str, Any]:
    return {"learning_rate": rate, "momentum": momentum, "nesterov": nesterov}


def _mean(rate: Any, decay: float, epsilon: float) -> dict[str, Any]:
    return {"learning_rate": rate, "decay": decay, "epsilon": epsilon, "momentum": None, "centered": False}


_HAT, _INSIDE = {"epsilon_hat": True}, {"epsilon_inside": True}
_INSIDE_BOTH = {"epsilon_inside": True, "rate_inside": True}
_TORCH, _KERAS = "coupled", "decoupled"

VARIANTS = {
    ("paper", "sgd"): Variant(SGD, _velocity(REQUIRED), {"rate_inside": True}),
    ("paper", "adagrad"): Variant(Adagrad, {"learning_rate": REQUIRED, "epsilon": 0.0}, {}),
    ("paper", "rmsprop"): Variant(RMSprop, _mean(0.001, 0.9, 0.0), _INSIDE_BOTH),
    ("paper", "adam"): Variant(Adam, _moments(0.001, 1e-8), {}),
    ("paper", "adamax"): Variant(AdaMax, {"learning_rate": 0.002, "beta1": 0.9, "beta2": 0.999}, {}),
    ("paper", "adamw"): Variant(
        AdamW, _moments(0.001, 1e-8) | {"weight_decay": REQUIRED}, {"decay_with_rate": False, "biases": True}
    ),
    ("paper", "nadam"): Variant(NAdam, _moments(0.002, 1e-8) | {"momentum_decay": 0.004}, {"literal": True}),
    ("paper", "amsgrad"): Variant(AMSGrad, _moments(REQUIRED, 0.0), {"correction": "none"}),
    ("paper", "adadelta"): Variant(Adadelta, {"decay": 0.95, "epsilon": 1e-6}, {}),
    ("paper", "lion"): Variant(
        Lion, {"learning_rate": REQUIRED, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}, {"biases": True}
    ),
    ("torch", "sgd"): Variant(SGD, _velocity(0.001) | {"dampening": None}, {}, _TORCH),
    ("torch", "adagrad"): Variant(
        Adagrad, {"learning_rate": 0.01, "lr_decay": None, "initial": 0.0, "epsilon": 1e-10}, {}, _TORCH
    ),
    ("torch", "rmsprop"): Variant(RMSprop, _mean(0.01, 0.99, 1e-8), {}, _TORCH),
    ("torch", "adam"): Variant(Adam, _moments(0.001, 1e-8), {}, _TORCH),
    ("torch", "adamax"): Variant(AdaMax, _moments(0.002, 1e-8), {"epsilon_at": "maximum"}, _TORCH),
    ("torch", "adamw"): Variant(AdamW, _moments(0.001, 1e-8) | {"weight_decay": 0.01}, {"biases": True}),
    ("torch", "nadam"): Variant(NAdam, _moments(0.002, 1e-8) | {"momentum_decay": 0.004}, {"literal": False}, _TORCH),
    ("torch", "amsgrad"): Variant(AMSGrad, _moments(0.001, 1e-8), {"correction": "after"}, _TORCH),
    ("torch", "adadelta"): Variant(Adadelta, {"learning_rate": 1.0, "decay": 0.9, "epsilon": 1e-6}, {}, _TORCH),
    ("optax", "sgd"): Variant(SGD, _velocity(REQUIRED), {}),
    ("optax", "adagrad"): Variant(Adagrad, {"learning_rate": REQUIRED, "initial": 0.1, "epsilon": 1e-7}, _INSIDE),
    ("optax", "rmsprop"): Variant(
        RMSprop,
        _mean(REQUIRED, 0.9, 1e-8)
        | {"initial": 0.0, "epsilon_inside": True, "bias_correction": False, "nesterov": False},
        {"rate_inside": True},
    ),
    ("optax", "adam"): Variant(Adam, _moments(REQUIRED, 1e-8) | {"epsilon_root": None}, {}),
    ("optax", "adamax"): Variant(AdaMax, _moments(REQUIRED, 1e-8), {"epsilon_at": "maximum"}),
    ("optax", "adamw"): Variant(
        AdamW, _moments(REQUIRED, 1e-8) | {"weight_decay": 1e-4, "epsilon_root": None}, {"biases": True}
    ),
    ("optax", "nadam"): Variant(NAdam, _moments(REQUIRED, 1e-8), {"momentum_decay": None, "literal": False}),
    ("optax", "amsgrad"): Variant(AMSGrad, _moments(REQUIRED, 1e-8) | {"epsilon_root": None}, {"correction": "before"}),
    ("optax", "adadelta"): Variant(Adadelta, {"learning_rate": REQUIRED, "decay": 0.9, "epsilon": 1e-6}, {}),
    ("optax", "lion"): Variant(
        Lion, {"learning_rate": REQUIRED, "beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-3}, {"biases": True}
    ),
    ("keras", "sgd"): Variant(SGD, _velocity(0.01), {"rate_inside": True}, _KERAS),
    ("keras", "adagrad"): Variant(Adagrad, {"learning_rate": 0.001, "initial": 0.1, "epsilon": 1e-7}, _INSIDE, _KERAS),
    ("keras", "rmsprop"): Variant(RMSprop, _mean(0.001, 0.9, 1e-7), _INSIDE_BOTH, _KERAS),
    ("keras", "adam"): Variant(Adam, _moments(0.001, 1e-7), _HAT, _KERAS),
    ("keras", "adamax"): Variant(AdaMax, _moments(0.001, 1e-7), {"epsilon_at": "divisor"}, _KERAS),
    ("keras", "adamw"): Variant(AdamW, _moments(0.001, 1e-7) | {"weight_decay": 0.004}, _HAT | {"biases": True}),
    ("keras", "nadam"): Variant(NAdam, _moments(0.001, 1e-7), {"momentum_decay": 1.0, "literal": False}, _KERAS),
    ("keras", "amsgrad"): Variant(AMSGrad, _moments(0.001, 1e-7), _HAT | {"correction": "after"}, _KERAS),
    ("keras", "adadelta"): Variant(Adadelta, {"learning_rate": 0.001, "decay": 0.95, "epsilon": 1e-7}, {}, _KERAS),
    ("keras", "lion"): Variant(
        Lion, {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}, {"biases": True}
    ),
    ("sklearn", "sgd"): Variant(SGD, _velocity(0.001, 0.9, True), {"rate_inside": True}),
    ("sklearn", "adam"): Variant(Adam, _moments(0.001, 1e-8), _HAT),
}

# What other libraries call the arguments.
SPELLINGS = {
    **dict.fromkeys(("lr", "learning_rate_init", "alpha", "step_size", "eta"), "learning_rate"),
    **dict.fromkeys(("b1", "beta_1"), "beta1"),
    **dict.fromkeys(("b2", "beta_2"), "beta2"),
    **dict.fromkeys(("eps", "delta"), "epsilon"),
    **dict.fromkeys(("rho", "smoothing"), "decay"),
    **dict.fromkeys(("initial_accumulator_value", "initial_scale"), "initial"),
    "betas": "beta1 and beta2",
    "eps_root": "epsilon_root",
    "eps_in_sqrt": "epsilon_inside",
    "nesterovs_momentum": "nesterov",
}


def preset(library: str, name: str, **numbers: Any) -> Any:
    r"""Return the optimizer that a library, or the paper, means by a name.

    Args:
        library: "paper", "torch", "optax", "keras" or "sklearn".
        name: "sgd", "adagrad", "rmsprop", "adam", "adamax", "adamw", "nadam", "amsgrad", "adadelta" or "lion", in any
            case.
        **numbers: learning_rate (a number or a schedule) and the other numbers, under the names of the optimizer's
            fields; where the library has it, weight_decay. What is left out has the library's default.

    Returns:
        An optimizer: a record like any other.

    Raises:
        ValueError: for a library, name or argument that does not exist; the message lists those that do.
        TypeError: where the library knows no default and none was given.

    >>> import funcnet as fn
    >>> fn.preset("torch", "rmsprop").epsilon_inside, fn.preset("keras", "rmsprop").epsilon_inside
    (False, True)
    >>> fn.preset("sklearn", "sgd", learning_rate=0.1).nesterov
    True

    """
    if not isinstance(library, str) or library not in LIBRARIES:
        _unknown("library", library, LIBRARIES)
    names = [own for where, own in VARIANTS if where == library]
    key = name.lower() if isinstance(name, str) else None
    if key not in names:
        elsewhere = [where for where, own in VARIANTS if own == key]
        hint = f" ({key} is a preset of {', '.join(elsewhere)})" if elsewhere else ""
        _unknown(f"name of {library}'s presets{hint}", name, names)
    variant = VARIANTS[library, key]
    title = f'preset("{library}", "{key}")'
    allowed = [*variant.numbers, *(["weight_decay"] if variant.weight_decay else [])]
    for argument, value in numbers.items():
        if argument not in allowed:
            meant = SPELLINGS.get(argument, next(iter(difflib.get_close_matches(argument, allowed, n=1)), None))
            attempt = f"{meant}={value}" if meant in allowed else meant or ", ".join(allowed)
            raise_error(f"an argument of {title} must be one of {', '.join(allowed)}", f"got {argument!r}", attempt)
    given = variant.numbers | numbers
    strength = given.pop("weight_decay", None) if variant.weight_decay else None
    for argument, value in given.items():
        if value is REQUIRED:
            raise_error(f"{title} needs {argument}", "got none, and there is no default", f"{argument}=0.01", TypeError)
    speed = given.pop("lr_decay", None)
    if speed is not None:
        given["learning_rate"] = Product(given["learning_rate"], InverseTime(1.0, speed))
    optimizer = variant.kind(**given, **variant.choices)
    if strength is None:
        return optimizer
    return WeightDecay(optimizer, strength, coupled=variant.weight_decay == "coupled", biases=True)


def _unknown(what: str, arrived: Any, known: Any) -> None:
    near = near_misses(arrived.lower() if isinstance(arrived, str) else None, known, 3, quoted=True)
    raise_error(f"the {what} must be one of {', '.join(known)}", f"got {shown(arrived)}", near)
