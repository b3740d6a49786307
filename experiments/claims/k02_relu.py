r"""K2: ReLU, its cost and vanishing gradients.

> Its advantage is that it is computationally cheaper than sigmoid and avoids vanishing gradients. (B3.2)

*Cost*: the seconds of forward and backward of the elementwise rules over 10⁶ and 10⁷ numbers, and of a whole update
(forward, backward, plain gradient descent) of a 784-512-512-10 network on 128 samples, whose two hidden layers hold
131,072 numbers. All kinds are timed in turn, 15 rounds, on a machine that does nothing else; medians.

*Gradients*: networks of 20 hidden layers of 64 units on the shipped digits, so that every hidden kernel is 64 × 64,
normal with standard deviation g/√64. The *gain* g is what usual initializers choose: 1 is Glorot's and LeCun's on
square kernels, √2 He's, 0.08 a plain normal 0.01, and 4 makes up for the sigmoid's slope of at most ¼. At the initial
parameters of 20 seeds, the whole training set as one batch, a trace gives the norms of ∂L/∂Z and ∂L/∂W in each layer. A
signal that vanishes on its way back has a ratio of first to last layer far below 1. The two can differ: a ReLU network
without biases is homogeneous of degree 1 in every kernel, so the inner product of W and ∂L/∂W is the same number in all
layers. What then changes with g and depth is that number. In float32 what is below 10⁻³⁸ is 0.

*Training*: the same networks for 15 epochs of batches of 64, by momentum (0.9) and by Adam, four learning rates each;
the rate is chosen by the mean validation loss of three seeds, and the test accuracy at the best epoch is shown.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.study import Table
from funcnet.figures import COLOURS

ACTIVATIONS = {"sigmoid": fn.sigmoid, "tanh": fn.tanh, "ReLU": fn.relu}
GAINS = {"normal 0.01": 0.08, "Glorot, LeCun": 1.0, "He": 2**0.5, "gain 4": 4.0}
USUAL = {"sigmoid": "Glorot, LeCun", "tanh": "Glorot, LeCun", "ReLU": "He"}
OPTIMIZERS = {
    "momentum": (fn.SGD(0.1, momentum=0.9), (0.001, 0.00316, 0.01, 0.0316)),
    "Adam": (fn.Adam(0.001), (0.000316, 0.001, 0.00316, 0.01)),
}
WIDTH = 64


def measure(small):
    """Return seconds, gradient norms by layer, and accuracies after training."""
    names = ("ReLU",) if small else tuple(ACTIVATIONS)
    depth = 2 if small else 20
    return {
        "cost": cost((10_000,) if small else (2 * 512 * 128, 10**6, 10**7), names, 2 if small else 15),
        "steps": {} if small else steps(names, 128, 15),
        "norms": {name: norms(name, depth, 2 if small else 20) for name in names},
        "trained": trained(names, depth, small),
    }


def cost(sizes, names, rounds):
    """Return the median seconds of forward with backward over so many numbers."""

    @functools.partial(jax.jit, static_argnames="name")
    def both(z, dy, name):
        y, saved = ACTIVATIONS[name].forward(z)
        return y, ACTIVATIONS[name].backward(saved, dy)

    rng = np.random.default_rng(0)
    found = {}
    for size in sizes:
        z, dy = (jnp.asarray(rng.standard_normal(size), jnp.float32) for _ in range(2))
        found[str(size)] = medians({name: functools.partial(both, z, dy, name) for name in names}, rounds)
    return found


def steps(names, batch, rounds):
    """Return the median seconds of an update of a network, and of its activations alone at the same sizes."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((batch, 784)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 10, batch))
    optimizer = fn.SGD(0.01)

    @functools.partial(jax.jit, static_argnames="name")
    def update(params, name):
        network = fn.mlp(512, 512, 10, activation=ACTIVATIONS[name])
        _, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, y)
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        return jax.tree.map(jnp.add, params, updates)

    params = fn.mlp(512, 512, 10).init(jax.random.key(0), (784,), jnp.float32)
    return medians({name: functools.partial(update, params, name) for name in names}, rounds)


def medians(calls, rounds):
    """Return the median seconds of each call, timed in turn."""
    seconds = {name: [] for name in calls}
    for round_ in range(rounds + 2):
        for name, call in calls.items():
            started = time.perf_counter()
            jax.block_until_ready(call())
            if round_ >= 2:  # the first compile
                seconds[name].append(time.perf_counter() - started)
    return {f"seconds {name}": float(np.median(values)) for name, values in seconds.items()}


def network(name, depth, gain):
    """Return a network whose hidden kernels have standard deviation gain/√64."""
    dense = fn.Dense(WIDTH, kernel_init=fn.layers.RandomNormal(gain / WIDTH**0.5))
    return fn.Chain(*[dense, ACTIVATIONS[name]] * depth, fn.Dense(10))


def norms(name, depth, seeds):
    """Return the norms of ∂L/∂Z and ∂L/∂W by kind of kernel: seed × hidden layer."""
    x, y = map(jnp.asarray, fn.data.digits().train)

    @jax.jit
    def one(gain, seed):
        net = network(name, depth, gain)
        params = net.init(jax.random.key(seed), x.shape[1:], x.dtype)
        trace = fn.trace(net, fn.SoftmaxCrossEntropy(), params, x, y)
        layers = range(1, depth + 1)
        return {
            "Z": jnp.stack([jnp.linalg.norm(trace.delta[layer]) for layer in layers]),
            "W": jnp.stack([jnp.linalg.norm(trace.dW[layer]["kernel"]) for layer in layers]),
        }

    by_seed = jax.vmap(one, (None, 0))
    return {kind: by_seed(jnp.float32(gain), jnp.arange(seeds)) for kind, gain in GAINS.items()}


def trained(names, depth, small):
    """Return the rate chosen and the test accuracies by seed, for each activation, optimizer and gain."""
    digits, seeds = fn.data.digits(), 2 if small else 3
    kinds = ("He",) if small else tuple(GAINS)
    paths = tuple(f"network.layers.{2 * i}.kernel_init.deviation" for i in range(depth))
    found = {}
    for name in names:
        found[name] = {}
        for optimizer, (record, rates) in list(OPTIMIZERS.items())[: 1 if small else None]:
            rates = rates[2:3] if small else rates
            base = fn.Experiment(
                network(name, depth, 1.0),
                fn.SoftmaxCrossEntropy(),
                record,
                batch_size=64,
                epochs=1 if small else 15,
            )
            space = {
                paths: [(GAINS[kind] / WIDTH**0.5,) * depth for kind in kinds],
                "optimizer.learning_rate": rates,
                "seed": range(seeds),
            }
            results = fn.sweep(fn.grid(base, space), digits.train, digits.validation, digits.test, progress=False)
            table, shape = results.table(), (len(kinds), len(rates), seeds)
            loss = np.where(results.eligible("validation_loss"), table["validation_loss"], np.inf).reshape(shape)
            best = loss.mean(axis=2).argmin(axis=1)
            accuracy = table["test_accuracy"].reshape(shape)
            found[name][optimizer] = {
                kind: {"rate": rates[best[i]], "test_accuracy": accuracy[i, best[i]]} for i, kind in enumerate(kinds)
            }
    return found


def ratio(by_layer):
    """Return the geometric mean over seeds of first over last layer's norm."""
    of = np.asarray(by_layer)
    if (of[:, 0] == 0).any():
        return 0.0
    return float(np.exp(np.log(of[:, 0] / of[:, -1]).mean()))


def accuracies(numbers, name, optimizer, kind):
    """Return test accuracies in %, NaN where training diverged at once."""
    return 100 * np.asarray(numbers["trained"][name][optimizer][kind]["test_accuracy"], float)


def tables(numbers):
    """Show seconds, ratios of norms, and accuracies."""
    rows = [(f"{int(size):,} numbers", *(1e3 * s for s in row.values())) for size, row in numbers["cost"].items()]
    rows.append(("an update of 784-512-512-10, batch 128", *(1e3 * s for s in numbers["steps"].values())))
    ratios, trained = [], []
    for name in ACTIVATIONS:
        for kind, gain in GAINS.items():
            norms = numbers["norms"][name][kind]
            usual = f"{kind} (usual)" if USUAL[name] == kind else kind
            first = float(np.median(np.asarray(norms["W"])[:, 0]))
            ratios.append((name, usual, gain, ratio(norms["Z"]), ratio(norms["W"]), first))
            cells = []
            for optimizer in OPTIMIZERS:
                found = accuracies(numbers, name, optimizer, kind)
                words = f"{found.mean():.1f} ({found.min():.1f} to {found.max():.1f})"
                rate = numbers["trained"][name][optimizer][kind]["rate"]
                cells += [f"{rate:g}", words] if np.isfinite(found).all() else ["–", "diverges"]
            trained.append((name, usual, *cells))
    return [
        Table("Milliseconds of forward and backward, median.", ("of", *ACTIVATIONS), rows),
        Table(
            "First hidden layer over the 20th, at the initial parameters: geometric means over 20 seeds; and the "
            "median norm in the first.",
            ("activation", "kernels", "g", "‖∂L/∂Z‖, first / last", "‖∂L/∂W‖, first / last", "‖∂L/∂W‖, first"),
            ratios,
        ),
        Table(
            "Test accuracy in % of 20 hidden layers after training: mean and range of 3 seeds; there are ten classes.",
            ("activation", "kernels", *(f"{word} {o}" for o in OPTIMIZERS for word in ("rate,", "accuracy,"))),
            trained,
        ),
    ]


def draw(numbers):
    """Draw norms by layer, and accuracy after training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8.2))
    panels = figure.subplots(3, 3, sharey="row")
    for row, letter in enumerate("ZW"):
        for panel, name in zip(panels[row], ACTIVATIONS, strict=True):
            for k, kind in enumerate(GAINS):
                norms = np.maximum(np.asarray(numbers["norms"][name][kind][letter]), 1e-38)
                layers = np.arange(1, norms.shape[1] + 1)
                label = f"{kind}{', usual' if USUAL[name] == kind else ''}"
                panel.plot(layers, np.exp(np.log(norms).mean(axis=0)), color=COLOURS[k], label=label)
                panel.fill_between(layers, norms.min(axis=0), norms.max(axis=0), color=COLOURS[k], alpha=0.15, lw=0)
            panel.set(yscale="log", xlabel="hidden layer (1: next to the input)", xticks=(1, 5, 10, 15, 20))
            panel.set_ylim(1e-16, (1e19, 1e13)[row])  # normal 0.01 leaves the panel
        panels[row, 0].set_ylabel(f"‖∂L/∂{letter}‖, 20 seeds:\ngeometric mean, range")
    for panel, name in zip(panels[0], ACTIVATIONS, strict=True):
        panel.set_title(name)
        panel.legend(fontsize=8, loc="upper left")
    for panel, name in zip(panels[2], ACTIVATIONS, strict=True):
        for i, optimizer in enumerate(OPTIMIZERS):
            for k, kind in enumerate(GAINS):
                found = accuracies(numbers, name, optimizer, kind)
                style = {"ms": 4.5, "color": COLOURS[k], "mfc": "white" if i else None}
                label = optimizer if k == 0 else None
                panel.plot([k - 0.15 + 0.3 * i] * len(found), found, "os"[i], label=label, **style)
                if np.isnan(found).any():
                    panel.text(k - 0.15 + 0.3 * i, 2, "×", ha="center", color=COLOURS[k])
        panel.axhline(10, color="#777777", lw=0.8, ls=":")
        panel.set_xticks(range(len(GAINS)), [kind.replace(", ", ",\n").replace(" 0", "\n0") for kind in GAINS])
        panel.set(ylim=(0, 103), xlim=(-0.6, len(GAINS) - 0.4))
        panel.grid(axis="x", visible=False)
    panels[2, 0].legend(fontsize=8, loc="upper left")
    panels[2, 0].set_ylabel("test accuracy (%), 3 seeds\n(dotted: chance, ×: diverges)")
    figure.suptitle(
        "Digits, 20 hidden layers of 64 units: gradients at the initial parameters; accuracy after training"
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    seconds = {size: {n.removeprefix("seconds "): s for n, s in row.items()} for size, row in numbers["cost"].items()}
    step = {name.removeprefix("seconds "): s for name, s in numbers["steps"].items()}
    million, ten, hidden = (seconds[size] for size in ("1000000", "10000000", str(2 * 512 * 128)))
    assert all(row["ReLU"] < row["sigmoid"] for row in seconds.values())
    share = {name: 100 * hidden[name] / step[name] for name in ("sigmoid", "ReLU")}
    assert share["sigmoid"] < 15
    saved = 100 * (step["sigmoid"] / step["ReLU"] - 1)
    assert 0 < saved < 15
    back = {name: {kind: ratio(row["Z"]) for kind, row in numbers["norms"][name].items()} for name in ACTIVATIONS}
    first = {kind: np.median(np.asarray(row["W"])[:, 0]) for kind, row in numbers["norms"]["ReLU"].items()}
    glorot, he = "Glorot, LeCun", "He"
    assert back["sigmoid"][glorot] < 1e-10
    assert back["sigmoid"]["gain 4"] < 1e-2
    assert 0.3 < back["ReLU"][he] < 3
    assert 0.3 < back["tanh"][glorot] < 3
    assert back["ReLU"][glorot] < 3e-3
    assert back["ReLU"]["gain 4"] > 1e6
    assert all(0.3 < ratio(numbers["norms"]["ReLU"][kind]["W"]) < 3 for kind in (glorot, he, "gain 4"))
    worst = {n: {k: min(accuracies(numbers, n, o, k).mean() for o in OPTIMIZERS) for k in GAINS} for n in ACTIVATIONS}
    best = {n: {k: max(accuracies(numbers, n, o, k).mean() for o in OPTIMIZERS) for k in GAINS} for n in ACTIVATIONS}
    assert worst["ReLU"][he] > 85
    assert worst["tanh"][glorot] > 85
    assert max(best["sigmoid"].values()) < 50
    by = {optimizer: accuracies(numbers, "ReLU", optimizer, glorot).mean() for optimizer in OPTIMIZERS}
    assert by["momentum"] < by["Adam"] < best["ReLU"][he]
    return (
        "**Holds with conditions.** *Cheaper*: over 10⁶ numbers forward and backward of the sigmoid take "
        f"{million['sigmoid'] / million['ReLU']:.1f} times as long as ReLU's, over 10⁷, where memory is the limit, "
        f"{ten['sigmoid'] / ten['ReLU']:.1f} times. It hardly matters: in an update of a 784-512-512-10 network the "
        f"activations are {share['sigmoid']:.1f} % of the time with the sigmoid and {share['ReLU']:.1f} % with ReLU, "
        f"and the whole update takes {saved:.0f} % longer with the sigmoid. *Vanishing*: from the 20th layer back to "
        f"the first, ∂L/∂Z changes by a factor of {back['sigmoid'][glorot]:.0e} with the sigmoid and of "
        f"{back['ReLU'][he]:.1f} with ReLU, each with its usual kernels; none of the gains saves the sigmoid "
        f"({back['sigmoid']['gain 4']:.0e} at 4). But ReLU is not what is needed: tanh nearly keeps it too "
        f"({back['tanh'][glorot]:.1f}). And ReLU is not enough: with Glorot's kernels the factor is "
        f"{back['ReLU'][glorot]:.0e}, about 2⁻¹⁰ as half of the units pass nothing, and with a gain of 4 it is "
        f"{back['ReLU']['gain 4']:.0e}. The first layer's ∂L/∂W then is {first[glorot]:.0e} or {first['gain 4']:.0e}, "
        f"instead of {first[he]:.1f} with He's, though about as large as the last layer's in every case. In training, "
        f"ReLU with He's kernels reaches {worst['ReLU'][he]:.0f} % or more with both optimizers, tanh "
        f"{worst['tanh'][glorot]:.0f} %; with Glorot's, ReLU reaches {by['momentum']:.0f} % by momentum and "
        f"{by['Adam']:.0f} % by Adam, which rescales small gradients; the sigmoid does not get past "
        f"{max(best['sigmoid'].values()):.0f} % with any gain."
    )
