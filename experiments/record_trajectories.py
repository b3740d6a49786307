"""Record how PyTorch, Optax, Keras and scikit-learn move a few parameters, for the tests of `fn.preset`.

    pip install -e ".[bench]"
    python experiments/record_trajectories.py

Writes tests/recorded/trajectories.npz: for each run the parameters after every 20th of 240 updates, in float64, with
the versions of the libraries. The gradient is a formula in plain NumPy, handed to each library's own update; the
learning rate is halved after 100 updates, because some variants differ only where the rate changes. The rates are small
enough for the paths to be stable: near a minimum RMSprop and Adadelta may circle chaotically, and then the last bit
decides. The suite reads the file and needs none of the libraries.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib

import numpy as np

STEPS, EVERY, CHANGE = 240, 20, 100
SHAPES = {"kernel": (2, 2), "bias": (2,)}
START = np.array([0.9, -1.3, 0.4, 2.1, -0.7, 0.2])
TARGET = np.array([-0.5, 0.8, 1.7, -1.1, 0.3, -2.0])
SCALE = np.array([1.0, 0.3, 5.0, 0.02, 2.0, 0.7])


def gradient(w):
    """Return a gradient that is neither linear nor separable, with scales that differ by 250."""
    return SCALE * (w - TARGET) + 0.4 * SCALE * np.sin(3 * w) + 0.05 * np.sum(w) ** 3


# Library, name, and the numbers that differ from the library's defaults, under funcnet's names.
RUNS = [
    ("torch", "sgd", {"learning_rate": 0.02}),
    ("torch", "sgd", {"learning_rate": 0.02, "momentum": 0.9}),
    ("torch", "sgd", {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("torch", "sgd", {"learning_rate": 0.02, "momentum": 0.8, "dampening": 0.3}),
    ("torch", "adagrad", {"learning_rate": 0.1}),
    (
        "torch",
        "adagrad",
        {"learning_rate": 0.1, "lr_decay": 0.01, "initial": 0.5, "epsilon": 1e-3, "weight_decay": 0.05},
    ),
    ("torch", "rmsprop", {}),
    ("torch", "rmsprop", {"momentum": 0.8, "epsilon": 1e-3, "learning_rate": 0.003}),
    ("torch", "rmsprop", {"centered": True, "decay": 0.95, "weight_decay": 0.05}),
    ("torch", "adam", {"learning_rate": 0.02}),
    ("torch", "adam", {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("torch", "adamax", {"learning_rate": 0.02}),
    ("torch", "adamax", {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("torch", "adamw", {"learning_rate": 0.02}),
    ("torch", "adamw", {"learning_rate": 0.02, "weight_decay": 0.3, "epsilon": 1e-2}),
    ("torch", "nadam", {"learning_rate": 0.02}),
    ("torch", "nadam", {"learning_rate": 0.02, "momentum_decay": 0.1, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("torch", "amsgrad", {"learning_rate": 0.02}),
    ("torch", "amsgrad", {"learning_rate": 0.02, "beta2": 0.9, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("torch", "adadelta", {}),
    ("torch", "adadelta", {"learning_rate": 0.5, "decay": 0.95, "epsilon": 1e-5, "weight_decay": 0.05}),
    ("optax", "sgd", {"learning_rate": 0.02}),
    ("optax", "sgd", {"learning_rate": 0.02, "momentum": 0.9}),
    ("optax", "sgd", {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True}),
    ("optax", "adagrad", {"learning_rate": 0.1}),
    ("optax", "adagrad", {"learning_rate": 0.1, "initial": 0.5, "epsilon": 1e-2}),
    ("optax", "rmsprop", {"learning_rate": 0.005}),
    ("optax", "rmsprop", {"learning_rate": 0.003, "momentum": 0.8, "epsilon": 1e-3, "nesterov": True}),
    ("optax", "rmsprop", {"learning_rate": 0.001, "momentum": 0.8, "epsilon_inside": False, "initial": 1.0}),
    ("optax", "rmsprop", {"learning_rate": 0.003, "centered": True, "bias_correction": True, "epsilon": 1e-3}),
    ("optax", "adam", {"learning_rate": 0.02}),
    ("optax", "adam", {"learning_rate": 0.02, "beta1": 0.8, "epsilon": 1e-2, "epsilon_root": 1e-2}),
    ("optax", "adamax", {"learning_rate": 0.02, "epsilon": 1e-2}),
    ("optax", "adamw", {"learning_rate": 0.02}),
    ("optax", "adamw", {"learning_rate": 0.02, "weight_decay": 0.3, "epsilon": 1e-2}),
    ("optax", "nadam", {"learning_rate": 0.02}),
    ("optax", "nadam", {"learning_rate": 0.02, "beta1": 0.8, "epsilon": 1e-2}),
    ("optax", "amsgrad", {"learning_rate": 0.02}),
    ("optax", "amsgrad", {"learning_rate": 0.02, "beta2": 0.9, "epsilon": 1e-2, "epsilon_root": 1e-3}),
    ("optax", "adadelta", {"learning_rate": 1.0}),
    ("optax", "lion", {"learning_rate": 0.01}),
    ("optax", "lion", {"learning_rate": 0.01, "beta1": 0.8, "weight_decay": 0.3}),
    ("keras", "sgd", {}),
    ("keras", "sgd", {"momentum": 0.9}),
    ("keras", "sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("keras", "adagrad", {"learning_rate": 0.1}),
    ("keras", "adagrad", {"learning_rate": 0.1, "initial": 0.5, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("keras", "rmsprop", {"learning_rate": 0.005}),
    ("keras", "rmsprop", {"learning_rate": 0.003, "momentum": 0.8, "epsilon": 1e-3, "weight_decay": 0.05}),
    ("keras", "rmsprop", {"learning_rate": 0.01, "centered": True, "epsilon": 1e-3}),
    ("keras", "adam", {"learning_rate": 0.02}),
    ("keras", "adam", {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("keras", "adamax", {"learning_rate": 0.02}),
    ("keras", "adamax", {"learning_rate": 0.02, "beta2": 0.9, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("keras", "adamw", {"learning_rate": 0.02}),
    ("keras", "adamw", {"learning_rate": 0.02, "weight_decay": 0.3, "epsilon": 1e-2}),
    ("keras", "nadam", {"learning_rate": 0.02}),
    ("keras", "nadam", {"learning_rate": 0.02, "beta1": 0.8, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("keras", "amsgrad", {"learning_rate": 0.02}),
    ("keras", "amsgrad", {"learning_rate": 0.02, "beta2": 0.9, "epsilon": 1e-2, "weight_decay": 0.05}),
    ("keras", "adadelta", {"learning_rate": 1.0}),
    ("keras", "adadelta", {"learning_rate": 0.5, "decay": 0.9, "epsilon": 1e-5, "weight_decay": 0.05}),
    ("keras", "lion", {"learning_rate": 0.01}),
    ("keras", "lion", {"learning_rate": 0.01, "beta1": 0.8, "weight_decay": 0.3}),
    ("sklearn", "sgd", {"learning_rate": 0.02}),
    ("sklearn", "sgd", {"learning_rate": 0.02, "momentum": 0.8, "nesterov": False}),
    ("sklearn", "adam", {"learning_rate": 0.02}),
    ("sklearn", "adam", {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-2}),
]


def split(w):
    """Return the arrays of the two parameters."""
    return w[:4].reshape(2, 2), w[4:]


def join(*arrays):
    """Return the numbers of the two parameters in one array."""
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])


def renamed(numbers, **names):
    """Return numbers under a library's own names."""
    return {names.get(name, name): value for name, value in numbers.items()}


def record(w, move):
    """Return the parameters after every EVERY updates; `move(k, gradient)` makes update k and returns them."""
    kept = [w]
    for k in range(STEPS):
        w = move(k, gradient(w))
        if (k + 1) % EVERY == 0:
            kept.append(w)
    return np.array(kept)


def run_torch(name, numbers):
    import torch

    kinds = {
        "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamax": "Adamax",
        "adamw": "AdamW", "nadam": "NAdam", "amsgrad": "Adam", "adadelta": "Adadelta",
    }  # fmt: skip
    decay = {"rmsprop": "alpha", "adadelta": "rho"}.get(name, "decay")
    given = renamed(numbers, learning_rate="lr", epsilon="eps", initial="initial_accumulator_value", decay=decay)
    if "beta1" in given or "beta2" in given:
        given["betas"] = (given.pop("beta1", 0.9), given.pop("beta2", 0.999))
    if name == "amsgrad":
        given["amsgrad"] = True
    torch.set_default_dtype(torch.float64)  # else NAdam keeps its product of momenta in float32
    params = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in split(START)]
    optimizer = getattr(torch.optim, kinds[name])(params, **given)
    rate = optimizer.param_groups[0]["lr"]

    def move(k, g):
        optimizer.param_groups[0]["lr"] = rate if k < CHANGE else rate / 2
        for p, own in zip(params, split(g), strict=True):
            p.grad = torch.tensor(own)
        optimizer.step()
        return join(*(p.detach().numpy() for p in params))

    return record(START, move)


def run_optax(name, numbers):
    import jax
    import jax.numpy as jnp
    import optax

    given = renamed(
        numbers,
        beta1="b1",
        beta2="b2",
        epsilon="eps",
        epsilon_root="eps_root",
        epsilon_inside="eps_in_sqrt",
        decay="rho" if name == "adadelta" else "decay",
        initial="initial_scale" if name == "rmsprop" else "initial_accumulator_value",
    )
    rate = given.pop("learning_rate")
    optimizer = getattr(optax, name)(lambda k: jnp.where(k < CHANGE, rate, rate / 2), **given)
    params = {n: jnp.asarray(a) for n, a in zip(SHAPES, split(START), strict=True)}
    carried = {"params": params, "state": optimizer.init(params)}
    update = jax.jit(optimizer.update)

    def move(_, g):
        own = {n: jnp.asarray(a) for n, a in zip(SHAPES, split(g), strict=True)}
        updates, carried["state"] = update(own, carried["state"], carried["params"])
        carried["params"] = optax.apply_updates(carried["params"], updates)
        return join(*(carried["params"][n] for n in SHAPES))

    return record(START, move)


def run_keras(name, numbers):
    import keras

    kinds = {
        "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamax": "Adamax", "adamw": "AdamW",
        "nadam": "Nadam", "amsgrad": "Adam", "adadelta": "Adadelta", "lion": "Lion",
    }  # fmt: skip
    given = renamed(numbers, beta1="beta_1", beta2="beta_2", initial="initial_accumulator_value", decay="rho")
    if name == "amsgrad":
        given["amsgrad"] = True
    params = [keras.Variable(a, dtype="float64", name=n) for n, a in zip(SHAPES, split(START), strict=True)]
    optimizer = getattr(keras.optimizers, kinds[name])(**given)
    optimizer.build(params)
    assert optimizer._learning_rate.dtype == "float64"
    rate = given.get("learning_rate", float(optimizer._learning_rate.numpy()))

    def move(k, g):
        optimizer.learning_rate = rate if k < CHANGE else rate / 2
        optimizer.apply([keras.ops.convert_to_tensor(a, "float64") for a in split(g)])
        return join(*(np.asarray(p.value) for p in params))

    return record(START, move)


def run_sklearn(name, numbers):
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    given = renamed(numbers, learning_rate="learning_rate_init", beta1="beta_1", beta2="beta_2")
    params = [a.copy() for a in split(START)]
    optimizer = {"sgd": SGDOptimizer, "adam": AdamOptimizer}[name](params, **given)
    rate = given["learning_rate_init"]

    def move(k, g):
        optimizer.learning_rate = optimizer.learning_rate_init = rate if k < CHANGE else rate / 2
        optimizer.update_params(params, list(split(g)))
        return join(*params)

    return record(START, move)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).parent.parent / "tests" / "recorded" / "trajectories.npz"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    out = parser.parse_args().out
    os.environ["JAX_ENABLE_X64"] = "1"
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    keras.config.set_floatx("float64")
    libraries = {"torch": run_torch, "optax": run_optax, "keras": run_keras, "sklearn": run_sklearn}
    packages = {"torch": "torch", "optax": "optax", "keras": "keras", "sklearn": "scikit-learn"}
    paths = {}
    for index, (library, name, numbers) in enumerate(RUNS):
        path = libraries[library](name, dict(numbers))
        assert path.dtype == np.float64
        assert np.isfinite(path).all()
        assert np.abs(path[-1] - path[0]).max() > 0.05, (library, name)
        paths[f"run{index}"] = path[1:]
        print(f"{library:8}{name:10}{np.round(path[-1], 3)}")
    about = {
        "versions": {library: importlib.metadata.version(package) for library, package in packages.items()},
        "runs": RUNS,
        "steps": STEPS,
        "every": EVERY,
        "change": CHANGE,
        "start": START.tolist(),
        "target": TARGET.tolist(),
        "scale": SCALE.tolist(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, about=np.array(json.dumps(about)), **paths)
    print(f"{len(RUNS)} runs, {out.stat().st_size} bytes, {about['versions']}")


if __name__ == "__main__":
    main()
