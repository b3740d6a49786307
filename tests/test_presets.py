"""Presets against trajectories recorded from the libraries, and those of the papers against loops in plain Python."""

import functools
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnet import optimizers, schedules
from funcnet.optimizers.presets import REQUIRED, SPELLINGS, VARIANTS
from funcnet.records import replace
from tests.helpers import one_in

FILE = pathlib.Path(__file__).parent / "recorded" / "trajectories.npz"
RECORDED = np.load(FILE)
ABOUT = json.loads(str(RECORDED["about"]))
RUNS = [(index, *run) for index, run in enumerate(ABOUT["runs"])]
STEPS, EVERY, CHANGE = ABOUT["steps"], ABOUT["every"], ABOUT["change"]
START, TARGET, SCALE = (np.asarray(ABOUT[name]) for name in ("start", "target", "scale"))


def gradient(w):
    """The recorded runs' gradient, of six numbers."""
    return SCALE * (w - TARGET) + 0.4 * SCALE * jnp.sin(3 * w) + 0.05 * jnp.sum(w) ** 3


def split(w):
    return {"kernel": w[:4].reshape(2, 2), "bias": w[4:]}


def join(tree):
    return jnp.concatenate([tree["kernel"].ravel(), tree["bias"]])


@functools.partial(jax.jit, static_argnames="named")
def trajectory(optimizer, named):
    """Return the six parameters after every update; optimizers of one structure share a program."""
    part, whole = (split, join) if named else (lambda w: w, lambda w: w)

    def onward(carry, _):
        params, state = carry
        updates, state = optimizer.update(part(gradient(whole(params))), state, params)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, state), whole(params)

    params = part(jnp.asarray(START))
    return jax.lax.scan(onward, (params, optimizer.init(params)), None, length=STEPS)[1]


def path(optimizer, named=False):
    """Return the six parameters after every EVERY updates, as one array or as a kernel and a bias."""
    return np.asarray(trajectory(optimizer, named))[EVERY - 1 :: EVERY]


def halved(rate):
    """A rate that is halved where the recorded runs' is."""
    return schedules.Piecewise((rate, rate / 2), (CHANGE,))


def build(library, name, numbers):
    """The preset of a recorded run, with its halved rate."""
    rate = numbers.get("learning_rate", VARIANTS[library, name].numbers["learning_rate"])
    return optimizers.preset(library, name, **numbers | {"learning_rate": halved(rate)})


def apart(found, wanted):
    """Return the largest difference at any recorded step, relative to the largest parameter at that step."""
    return float(np.max(np.max(np.abs(found - wanted), axis=1) / np.max(np.abs(wanted), axis=1)))


@pytest.mark.parametrize(
    ("index", "library", "name", "numbers"), one_in(3, RUNS), ids=lambda v: str(v) if not isinstance(v, dict) else ""
)
def test_preset_follows_the_library(index, library, name, numbers):
    """240 steps of the library's own update, from numbers recorded in float64: equal to 1e-10."""
    assert apart(path(build(library, name, numbers)), RECORDED[f"run{index}"]) < 1e-10


def test_every_preset_of_a_library_is_recorded():
    """No preset without a trajectory, at least 200 steps, and the versions are known."""
    assert {(library, name) for _, library, name, _ in RUNS} == {key for key in VARIANTS if key[0] != "paper"}
    assert STEPS >= 200
    assert set(ABOUT["versions"]) == {"torch", "optax", "keras", "sklearn"}
    assert FILE.stat().st_size < 200_000


# What tells the libraries apart: each of these single changes must leave the recorded path.
CHANGES = [
    ("torch", "sgd", {"rate_inside": True}),
    ("sklearn", "sgd", {"rate_inside": False}),
    ("torch", "adagrad", {"epsilon_inside": True, "epsilon": 1e-2}),
    ("optax", "adagrad", {"initial": 0.0}),
    ("optax", "adagrad", {"epsilon_inside": False}),
    ("torch", "rmsprop", {"epsilon_inside": True}),
    ("keras", "rmsprop", {"optimizer.epsilon_inside": False}),
    ("sklearn", "adam", {"epsilon_hat": False}),
    ("torch", "adam", {"optimizer.epsilon_hat": True}),
    ("torch", "adam", {"coupled": False}),
    ("torch", "adam", {"biases": False}),
    ("torch", "adamax", {"optimizer.epsilon_at": "divisor"}),
    ("torch", "adamw", {"biases": False}),
    ("torch", "nadam", {"optimizer.literal": True}),
    ("torch", "amsgrad", {"optimizer.correction": "before"}),
    ("optax", "amsgrad", {"correction": "none"}),
    ("keras", "amsgrad", {"optimizer.epsilon_hat": False}),
    ("optax", "lion", {"biases": False}),
]


@pytest.mark.parametrize(("library", "name", "changes"), CHANGES, ids=lambda v: str(v))
def test_the_comparison_sees_each_variant(library, name, changes):
    """With one choice of another library the path is off by more than a hundred tolerances, in some run."""
    worst = 0.0
    for index, where, own, numbers in RUNS:
        if (where, own) == (library, name):
            optimizer = build(library, name, numbers)
            try:
                other = replace(optimizer, changes)
            except ValueError:  # this run lacks the wrapper, or the momentum, that the change is about
                continue
            worst = max(worst, apart(path(other, named=True), RECORDED[f"run{index}"]))
            if worst > 1e-8:
                return
    assert worst > 1e-8


# The papers' recurrences, letter by letter, on Python floats; t counts from 1, `a` is the rate.
def paper_sgd(a, g, s, t, w):
    s["v"] = 0.9 * s.get("v", 0.0) - a * g
    return s["v"]


def paper_adagrad(a, g, s, t, w):
    s["G"] = s.get("G", 0.0) + g * g
    return -a * g / math.sqrt(s["G"])


def paper_rmsprop(a, g, s, t, w):
    s["r"] = 0.9 * s.get("r", 0.0) + 0.1 * g**2
    return -a * g / math.sqrt(s["r"])


def paper_graves(a, g, s, t, w):
    s["n"] = 0.95 * s.get("n", 0.0) + 0.05 * g**2
    s["g"] = 0.95 * s.get("g", 0.0) + 0.05 * g
    s["d"] = 0.9 * s.get("d", 0.0) - a * g / math.sqrt(s["n"] - s["g"] ** 2 + 1e-4)
    return s["d"]


def paper_adam(a, g, s, t, w):
    s["m"] = 0.9 * s.get("m", 0.0) + (1 - 0.9) * g
    s["v"] = 0.999 * s.get("v", 0.0) + (1 - 0.999) * g**2
    return -a * (s["m"] / (1 - 0.9**t)) / (math.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def paper_adamax(a, g, s, t, w):
    s["m"] = 0.9 * s.get("m", 0.0) + (1 - 0.9) * g
    s["u"] = max(0.999 * s.get("u", 0.0), abs(g))
    return -(a / (1 - 0.9**t)) * s["m"] / s["u"]


def paper_adamw(a, g, s, t, w):
    return paper_adam(a, g, s, t, w) - 0.003 * w


def paper_nadam(a, g, s, t, w):
    def mu(t):
        return 0.9 * (1 - 0.5 * 0.96 ** (t * 0.004))

    s["p"] = s.get("p", 1.0) * mu(t)
    s["m"] = mu(t) * s.get("m", 0.0) + (1 - mu(t)) * g
    s["n"] = 0.999 * s.get("n", 0.0) + (1 - 0.999) * g**2
    m = mu(t + 1) * s["m"] / (1 - s["p"] * mu(t + 1)) + (1 - mu(t)) * g / (1 - s["p"])
    n = 0.999 * s["n"] / (1 - 0.999**t)
    return -a / (math.sqrt(n) + 1e-8) * m


def paper_amsgrad(a, g, s, t, w):
    s["m"] = 0.9 * s.get("m", 0.0) + (1 - 0.9) * g
    s["v"] = 0.999 * s.get("v", 0.0) + (1 - 0.999) * g**2
    s["h"] = max(s.get("h", 0.0), s["v"])
    return -a * s["m"] / math.sqrt(s["h"])


def paper_adadelta(a, g, s, t, w):
    s["g"] = 0.95 * s.get("g", 0.0) + 0.05 * g**2
    d = -math.sqrt(s.get("x", 0.0) + 1e-6) / math.sqrt(s["g"] + 1e-6) * g
    s["x"] = 0.95 * s.get("x", 0.0) + 0.05 * d**2
    return d


def paper_lion(a, g, s, t, w):
    c = 0.9 * s.get("m", 0.0) + (1 - 0.9) * g
    s["m"] = 0.99 * s.get("m", 0.0) + (1 - 0.99) * g
    return -a * ((c > 0) - (c < 0) + 0.1 * w)


PAPERS = {
    "sgd": (paper_sgd, {"learning_rate": 0.02, "momentum": 0.9}),
    "adagrad": (paper_adagrad, {"learning_rate": 0.1}),
    "rmsprop": (paper_rmsprop, {"learning_rate": 0.002}),
    "rmsprop of Graves": (
        paper_graves,
        {"learning_rate": 0.001, "decay": 0.95, "epsilon": 1e-4, "momentum": 0.9, "centered": True},
    ),
    "adam": (paper_adam, {"learning_rate": 0.02}),
    "adamax": (paper_adamax, {"learning_rate": 0.02}),
    "adamw": (paper_adamw, {"learning_rate": 0.02, "weight_decay": 0.003}),
    "nadam": (paper_nadam, {"learning_rate": 0.02}),
    "amsgrad": (paper_amsgrad, {"learning_rate": 0.02}),
    "adadelta": (paper_adadelta, {}),
    "lion": (paper_lion, {"learning_rate": 0.01, "weight_decay": 0.1}),
}


def reference(rule, rate):
    """Return the path of a recurrence on Python floats."""
    w, states, kept = START.tolist(), [{} for _ in START], []
    for t in range(1, STEPS + 1):
        a = rate if t <= CHANGE else rate / 2
        total = sum(w)
        slopes = [
            k * (v - b) + 0.4 * k * math.sin(3 * v) + 0.05 * total**3
            for v, b, k in zip(w, TARGET.tolist(), SCALE.tolist(), strict=True)
        ]
        w = [v + rule(a, g, s, t, v) for v, g, s in zip(w, slopes, states, strict=True)]
        kept.append(w)
    return np.asarray(kept[EVERY - 1 :: EVERY])


@pytest.mark.parametrize("name", PAPERS)
def test_paper_presets_follow_the_papers(name):
    """240 steps of the recurrence as printed."""
    rule, numbers = PAPERS[name]
    key = name.split()[0]
    rate = numbers.get("learning_rate", 1.0)
    given = numbers | ({"learning_rate": halved(rate)} if "learning_rate" in numbers else {})
    assert apart(path(optimizers.preset("paper", key, **given)), reference(rule, rate)) < 1e-10


def test_every_paper_preset_is_compared():
    assert {name.split()[0] for name in PAPERS} == {name for library, name in VARIANTS if library == "paper"}


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (
            lambda: optimizers.preset("pytorch", "adam"),
            ValueError,
            ("paper, torch, optax, keras, sklearn", "'pytorch'", "Try: 'torch'"),
        ),
        (lambda: optimizers.preset("torch", "adamm"), ValueError, ("adam", "'adamm'", "Try: 'adam'")),
        (lambda: optimizers.preset("torch", "lion"), ValueError, ("lion is a preset of paper, optax, keras", "'lion'")),
        (lambda: optimizers.preset("sklearn", "rmsprop"), ValueError, ("sgd, adam", "'rmsprop'")),
        (
            lambda: optimizers.preset("torch", "adam", lr=0.1),
            ValueError,
            ("learning_rate, beta1, beta2, epsilon, weight_decay", "'lr'", "learning_rate=0.1"),
        ),
        (lambda: optimizers.preset("torch", "adam", betas=(0.9, 0.99)), ValueError, ("'betas'", "beta1 and beta2")),
        (lambda: optimizers.preset("torch", "adam", epsilom=1.0), ValueError, ("'epsilom'", "epsilon=1.0")),
        (lambda: optimizers.preset("torch", "adam", epsilon_hat=True), ValueError, ("'epsilon_hat'",)),
        (lambda: optimizers.preset("sklearn", "adam", weight_decay=0.1), ValueError, ("'weight_decay'",)),
        (lambda: optimizers.preset("optax", "adam"), TypeError, ("learning_rate", "no default")),
        (
            lambda: optimizers.preset("torch", "adam", epsilon=-1e-8),
            ValueError,
            ("Adam.epsilon must be at least 0", "-1e-08"),
        ),
        (
            lambda: optimizers.preset("torch", "adam", beta2=1.0),
            ValueError,
            ("Adam.beta2 must be at least 0 and below 1", "1.0"),
        ),
    ],
)
def test_errors_say_what_is_right(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in parts), caught.value


def test_defaults_and_spellings():
    """Every preset is built from its defaults; names may be in any case; other spellings lead to existing arguments."""
    for (library, name), variant in VARIANTS.items():
        missing = {key: 0.1 for key, value in variant.numbers.items() if value is REQUIRED}
        built = optimizers.preset(library, name.upper(), **missing)
        assert isinstance(built, variant.kind)
        inner = [key for key in variant.numbers if key not in ("lr_decay",)]
        assert all(hasattr(built, key) for key in [*inner, *variant.choices])
    known = {key for variant in VARIANTS.values() for key in variant.numbers}
    assert all(word in known for meant in SPELLINGS.values() for word in meant.split(" and "))
