r"""K3: ReLU, sensitivity and dead units.

> it cannot propagate negative values very effectively, which means that small changes in the inputs may cause large
> changes in the outputs (B3.2)

Three questions. *The function*: what is the Lipschitz constant L of each activation, the largest ratio of a change of
the output to the change of the input: the supremum of |f′|, by calculus, against the largest slope that the backward
rule gives on 400,001 points from −20 to 20, and the largest difference quotient of 100,000 random pairs.

*The network*: how sensitive are trained 64-64-64-10 networks? At each test image the Jacobian of the outputs by the
inputs comes from back-propagation, a one-hot cotangent for each output; its largest singular value is the largest
ratio of a small change of the output to that of the input. It is taken of logits and of probabilities, before and after
training, beside the bound that the product of the kernels' spectral norms and the L gives. Two measures do not
depend on the scale of the logits: the distance to the decision boundary to first order, (largest logit − second) over
the norm of its gradient; and the share of predictions that change under normal noise of deviation 0.1 on every pixel
(pixels are in [0, 1]). Momentum (0.9), batches of 64, 30 epochs, four rates; the rate is chosen by the mean validation
loss, eight seeds, parameters of the best epoch. Intervals are 95 %, over seeds.

*Dead units*: a hidden unit is *silent* if its weighted sum is at most 0 for all training images, and *dead* if moreover
no training image gives its weights a gradient, so that training by the loss can never wake it unless other layers
change. Both are counted over 30 epochs, for three optimizers and four rates, with ReLU and, as the control, leaky ReLU
(0.01); five seeds.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.study import Table
from funcnet.figures import COLOURS
from funcnet.results.summary import mean_deviation_half_width
from funcnet.sweeps.lanes import stack
from funcnet.training.state import Data
from funcnet.training.steps import advance, begin

ACTIVATIONS = {"sigmoid": fn.sigmoid, "tanh": fn.tanh, "ReLU": fn.relu, "leaky ReLU": fn.LeakyReLU(0.01)}
# GELU′ = Φ(z) + z φ(z) is largest where its derivative (2 − z²) φ(z) is 0.
GELU_SLOPE = (1 + math.erf(1)) / 2 + math.exp(-1) / math.sqrt(math.pi)
LIPSCHITZ = {"sigmoid": 0.25, "tanh": 1.0, "ReLU": 1.0, "leaky ReLU": 1.0, "GELU": GELU_SLOPE}
RATES = (0.01, 0.0316, 0.1, 0.316)
OPTIMIZERS = {
    "gradient descent": (fn.SGD(0.1), (0.03, 0.1, 0.3, 1.0)),
    "momentum 0.9": (fn.SGD(0.1, momentum=0.9), (0.01, 0.03, 0.1, 0.3)),
    "Adam": (fn.Adam(0.001), (0.001, 0.003, 0.01, 0.03)),
}
CHECKPOINTS = (0, 1, 2, 4, 8, 16, 30)
NOISE = 0.1


def measure(small):
    """Return slopes of activations, sensitivities of networks, and counts of silent and dead units."""
    return {"slopes": slopes(small), "networks": networks(small), "dead": dead(small)}


def slopes(small):
    """Return the largest slope and difference quotient of each activation."""
    rng = np.random.default_rng(0)
    z = jnp.linspace(-20, 20, 400_001, dtype=jnp.float32)
    a, b = rng.uniform(-5, 5, (2, 100_000)).astype(np.float32)
    found = {}
    for name, f in ({"sigmoid": fn.sigmoid} if small else ACTIVATIONS | {"GELU": fn.gelu}).items():
        slope = jnp.abs(f.backward(f.forward(z)[1], jnp.ones_like(z))).max()
        apart = np.abs(a - b) > 0.1  # closer pairs measure rounding
        quotient = np.abs(np.asarray(f(a)) - np.asarray(f(b)))[apart] / np.abs(a - b)[apart]
        found[name] = {"exact": LIPSCHITZ[name], "slope": float(slope), "quotient": float(quotient.max())}
    return found


def networks(small):
    """Return accuracy and sensitivities of trained networks, by activation and seed."""
    digits = fn.data.digits()
    if small:
        net, x = fn.mlp(64, 10), jnp.asarray(digits.test[0][:20])
        found = sensitivity(net, [net.init(jax.random.key(seed), x.shape[1:], x.dtype) for seed in range(2)], x, 1.0)
        del found["changed"]  # a few of 200: too few to be found again on another machine
        return {"ReLU": {"untrained": found}}
    names, rates, seeds = tuple(ACTIVATIONS), RATES, 8
    base = fn.Experiment(fn.mlp(10), fn.SoftmaxCrossEntropy(), fn.SGD(0.1, momentum=0.9), batch_size=64, epochs=30)
    nets = [fn.mlp(64, 64, 10, activation=ACTIVATIONS[name]) for name in names]
    space = {"network": nets, "optimizer.learning_rate": rates, "seed": range(seeds)}
    results = fn.sweep(fn.grid(base, space), digits.train, digits.validation, digits.test, progress=False)
    table, shape = results.table(), (len(names), len(rates), seeds)
    loss = np.where(results.eligible("validation_loss"), table["validation_loss"], np.inf).reshape(shape)
    numbers = np.arange(len(results)).reshape(shape)
    x = jnp.asarray(digits.test[0])
    found = {}
    for i, (name, net) in enumerate(zip(names, nets, strict=True)):
        best = int(loss[i].mean(axis=1).argmin())
        rows = numbers[i, best]
        first = [net.init(jax.random.key(1000 + seed), x.shape[1:], x.dtype) for seed in range(seeds)]
        found[name] = {
            "rate": rates[best],
            "test_accuracy": table["test_accuracy"][rows],
            "untrained": sensitivity(net, first, x, LIPSCHITZ[name]),
            "trained": sensitivity(net, [results.params(row) for row in rows], x, LIPSCHITZ[name]),
        }
    return found


def sensitivity(net, params, x, lipschitz):
    """Return measures of how much outputs change with inputs, each by seed."""
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    rng = np.random.default_rng(0)
    noisy = x + NOISE * jnp.asarray(rng.standard_normal((10, *x.shape)), x.dtype)
    end = fn.Chain(*net.layers, fn.softmax)

    @jax.jit
    @jax.vmap
    def one(own):
        return jacobian(net, own, x), jacobian(end, (*own, ()), x), net.apply(own, x), net.apply(own, noisy)

    of_logits, of_probabilities, logits, moved = map(np.asarray, one(params))
    order = np.argsort(logits, axis=-1)
    top, second = order[..., -1:], order[..., -2:-1]
    margin = np.take_along_axis(logits, top, -1) - np.take_along_axis(logits, second, -1)
    slope = [np.take_along_axis(of_logits, which[..., None], 2)[:, :, 0] for which in (top, second)]
    spectral = [np.linalg.norm(np.asarray(layer["kernel"]), 2, axis=(1, 2)) for layer in params[::2]]
    largest = np.linalg.norm(of_logits, 2, axis=(2, 3))
    return {
        "logits": largest.mean(axis=1),
        "logits_most": largest.max(axis=1),
        "bound": np.prod(spectral, axis=0) * lipschitz ** (len(spectral) - 1),
        "probabilities": np.linalg.norm(of_probabilities, 2, axis=(2, 3)).mean(axis=1),
        "distance": np.median(margin[..., 0] / np.linalg.norm(slope[0] - slope[1], axis=-1), axis=1),
        "changed": (moved.argmax(axis=-1) != logits.argmax(axis=-1)[:, None]).mean(axis=(1, 2)),
    }


def jacobian(net, params, x):
    """Return the Jacobian at each sample, samples × outputs × inputs: a backward pass for each output."""
    y, saved = net.forward(params, x)
    cotangents = jnp.broadcast_to(jnp.eye(y.shape[-1], dtype=y.dtype)[:, None], (y.shape[-1], *y.shape))
    return jnp.moveaxis(jax.vmap(lambda dy: net.backward(params, saved, dy)[1])(cotangents), 0, 1)


def dead(small):
    """Return silent and dead units by activation, optimizer, rate, seed and checkpoint, and the last train loss."""
    digits = fn.data.digits()
    data = Data(*map(jnp.asarray, digits.train))
    seeds, checkpoints = (2, CHECKPOINTS[:2]) if small else (5, CHECKPOINTS)

    def walk(experiment):
        """Return the units' state at each checkpoint of one run."""

        def onward(state, until):
            state = advance(experiment, state, data, until)
            return state, units(experiment.network, state.params, data)

        state, counted = jax.lax.scan(onward, begin(experiment, data), jnp.asarray(checkpoints))
        final = fn.evaluate(experiment.network, experiment.loss, state.params, *map(jnp.asarray, digits.validation))
        return *counted, final["accuracy"]

    found = {}
    for name in ("ReLU",) if small else ("ReLU", "leaky ReLU"):
        found[name] = {}
        for optimizer, (record, rates) in list(OPTIMIZERS.items())[-1 if small else 0 :]:
            rates = rates[:1] if small else rates
            net = fn.mlp(*[64] * (1 if small else 2), 10, activation=ACTIVATIONS[name])
            base = fn.Experiment(net, fn.SoftmaxCrossEntropy(), record, batch_size=64, epochs=CHECKPOINTS[-1])
            trials = stack(fn.grid(base, {"optimizer.learning_rate": rates, "seed": range(seeds)}))
            axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, trials)
            silent, starved, accuracy = map(np.asarray, jax.jit(jax.vmap(walk, (axes,)))(trials))
            shape = (len(rates), seeds, len(checkpoints))
            still = starved & starved[:, -1:]
            found[name][optimizer] = {
                "rates": rates,
                "silent": silent.mean(axis=2).reshape(shape),
                "dead": starved.mean(axis=2).reshape(shape),
                "stays_dead": still.mean(axis=2).reshape(shape),
                "accuracy": accuracy.reshape(shape[:2]),
            }
    return found


def units(net, params, data):
    """Tell of each hidden unit whether it is silent, and whether it is dead."""
    _, gradient = fn.backprop(net, fn.SoftmaxCrossEntropy(), params, data.x, data.y)
    a, silent, starved = data.x, [], []
    for i in range(0, len(net.layers) - 1, 2):
        z = net.layers[i].apply(params[i], a)
        a = net.layers[i + 1](z)
        silent.append(z.max(axis=0) <= 0)
        starved.append((jnp.abs(gradient[i]["kernel"]).max(axis=0) == 0) & (gradient[i]["bias"] == 0))
    silent = jnp.concatenate(silent)
    return silent, silent & jnp.concatenate(starved)


def interval(values, form=".3g"):
    """Write mean and 95 % half width."""
    mean, _, half = mean_deviation_half_width(np.asarray(values, float))
    return f"{mean:{form}} ± {half:.2g}"


def tables(numbers):
    """Show slopes, sensitivities and counts."""
    slopes = [(name, row["exact"], row["slope"], row["quotient"]) for name, row in numbers["slopes"].items()]
    networks = numbers["networks"]
    columns = ("logits", "logits_most", "bound", "probabilities", "distance", "changed")
    header = (
        *("activation", "test accuracy, %", "logits: mean", "logits: largest", "product bound", "probabilities: mean"),
        *("distance to the boundary: median", "predictions changed by noise, %"),
    )
    rows = {}
    for stage in ("untrained", "trained"):
        rows[stage] = [
            (
                f"{name} (rate {row['rate']:g})" if stage == "trained" else name,
                interval(100 * np.asarray(row["test_accuracy"]), ".2f") if stage == "trained" else "–",
                *(interval(np.asarray(row[stage][c]) * (100 if c == "changed" else 1)) for c in columns),
            )
            for name, row in networks.items()
        ]
    counts = []
    for name, by_optimizer in numbers["dead"].items():
        for optimizer, row in by_optimizer.items():
            silent, starved, accuracy = (100 * np.asarray(row[key]) for key in ("silent", "dead", "accuracy"))
            for i, rate in enumerate(row["rates"]):
                ends = (silent[i, :, 0], silent[i, :, -1], starved[i, :, -1], accuracy[i])
                counts.append((name, optimizer, rate, *(interval(end) for end in ends)))
    seeds = len(networks["ReLU"]["test_accuracy"])
    return [
        Table("The largest slopes.", ("activation", "L", "largest |f′|", "largest quotient"), slopes),
        Table(f"Trained networks: largest singular values of Jacobians, {seeds} seeds.", header, rows["trained"]),
        Table("The same before training.", header, rows["untrained"]),
        Table(
            "Shares of the 128 hidden units, in %, and the accuracy on the validation images after 30 epochs.",
            (
                *("activation", "optimizer", "rate", "silent at first", "silent at last", "dead at last"),
                "validation accuracy, %",
            ),
            counts,
        ),
    ]


def draw(numbers):
    """Draw sensitivities by activation and seed, and silent units by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.2))
    panels = figure.subplots(2, 3, height_ratios=(1, 1.1))
    networks = numbers["networks"]
    shown = (
        ("logits", "sensitivity of the logits", 1),
        ("distance", "distance to the decision boundary", 1),
        ("changed", "predictions changed by noise (%)", 100),
    )
    for panel, (key, label, factor) in zip(panels[0], shown, strict=True):
        stages = ("untrained", "trained") if key == "logits" else ("trained",)
        for stage in stages:
            for i, row in enumerate(networks.values()):
                values = factor * np.asarray(row[stage][key])
                places = i + np.linspace(-0.2, 0.2, len(values))
                colour = COLOURS[0] if stage == "trained" else "#999999"
                panel.plot(places, values, "o", ms=4, color=colour, mew=0, label=None if i else stage)
        if key == "logits":
            bounds = [np.mean(row["trained"]["bound"]) for row in networks.values()]
            panel.plot(range(len(bounds)), bounds, "_", ms=22, mew=1.6, color=COLOURS[1], label="bound, trained")
            panel.set(yscale="log", ylim=(0.05, 4000))
            panel.legend(loc="upper left", fontsize=8)
        else:
            panel.set_ylim(bottom=0)
        panel.set_xticks(range(len(networks)), [name.replace(" ", "\n") for name in networks])
        panel.set_title(label, fontsize=9.5)
        panel.grid(axis="x", visible=False)
    for panel, optimizer in zip(panels[1], OPTIMIZERS, strict=True):
        for name, style in (("ReLU", "-"), ("leaky ReLU", ":")):
            row = numbers["dead"][name][optimizer]
            for k, rate in enumerate(row["rates"]):
                silent = 100 * np.asarray(row["silent"][k]).mean(axis=0)
                label = f"{rate:g}" if name == "ReLU" else None
                panel.plot(CHECKPOINTS, silent, style, marker=".", color=COLOURS[k], label=label)
        panel.set(xlabel="epoch", title=optimizer, ylim=(0, 80))
        panel.legend(title="learning rate", fontsize=8, ncols=2, loc="upper left")
    panels[1, 0].set_ylabel("silent hidden units (%)\nReLU —, leaky ReLU ···")
    seeds = len(networks["ReLU"]["test_accuracy"])
    figure.suptitle(
        f"Digits, 64-64-64-10 networks. Above: {seeds} seeds, each a dot; below: mean of "
        f"{len(numbers['dead']['ReLU']['Adam']['accuracy'][0])} seeds"
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    slopes, networks = numbers["slopes"], numbers["networks"]
    for row in slopes.values():
        assert abs(row["slope"] / row["exact"] - 1) < 1e-4
        assert row["quotient"] <= row["exact"] * (1 + 1e-4)
    mean = {
        name: {key: float(np.mean(values)) for key, values in row["trained"].items()} for name, row in networks.items()
    }
    relu, leaky, others = mean["ReLU"], mean["leaky ReLU"], [mean["sigmoid"], mean["tanh"]]
    assert relu["logits"] > max(row["logits"] for row in others)
    assert relu["probabilities"] < min(row["probabilities"] for row in others)
    assert abs(leaky["logits"] / relu["logits"] - 1) < 0.1
    for key in ("distance", "changed"):
        values = [row[key] for row in mean.values()]
        assert max(values) < 1.4 * min(values)
    assert all(row["logits_most"] <= row["bound"] for row in mean.values())
    dead = numbers["dead"]

    def at_end(name, optimizer, place, key="dead"):
        return 100 * float(np.asarray(dead[name][optimizer][key])[place, ..., -1].mean())

    def accuracy(name, optimizer, place):
        return 100 * float(np.mean(dead[name][optimizer]["accuracy"][place]))

    usual = [at_end("ReLU", o, i) for o in ("gradient descent", "momentum 0.9") for i in range(3)]
    assert max(usual) < 10
    assert not any(np.any(row["dead"]) for row in dead["leaky ReLU"].values())
    assert min(at_end("ReLU", o, -1) for o in ("gradient descent", "momentum 0.9")) > 30
    assert accuracy("leaky ReLU", "momentum 0.9", -1) - accuracy("ReLU", "momentum 0.9", -1) > 5
    adam = [at_end("ReLU", "Adam", i) for i in range(4)]
    assert adam == sorted(adam)
    assert accuracy("ReLU", "Adam", -1) > accuracy("leaky ReLU", "Adam", -1)
    early, still = (np.asarray(dead["ReLU"]["Adam"][key])[-1, :, 1].mean() for key in ("dead", "stays_dead"))
    return (
        "**Does not hold.** That negative values do not pass is true; that small changes of the input therefore "
        "cause large changes of the output is not. ReLU is 1-Lipschitz, like tanh: no change grows in passing it. In "
        f"trained networks of equal accuracy the logits are more sensitive with ReLU ({relu['logits']:.0f}) than with "
        f"tanh ({mean['tanh']['logits']:.0f}) or the sigmoid ({mean['sigmoid']['logits']:.0f}), yet with leaky ReLU, "
        f"which lets negative values pass, they are just as much so ({leaky['logits']:.0f}): the missing negative "
        "values are not the cause. And logits have no scale of their own: probabilities are least sensitive with "
        f"ReLU, the boundary is as far away ({relu['distance']:.2f} against "
        f"{min(row['distance'] for row in others):.2f} and {max(row['distance'] for row in others):.2f}), and noise "
        f"changes as few predictions ({100 * relu['changed']:.1f} % against "
        f"{100 * min(row['changed'] for row in others):.1f} and {100 * max(row['changed'] for row in others):.1f} %). "
        "What does follow from passing nothing is dead units, under conditions. With gradient descent and momentum "
        f"at the three smaller rates at most {max(usual):.0f} % of the units are dead at the end, and "
        f"{at_end('ReLU', 'Adam', 0, 'dead'):.0f} to {adam[-1]:.0f} % with Adam, where the accuracy does not suffer. "
        f"At the largest rates {at_end('ReLU', 'gradient descent', -1):.0f} % and "
        f"{at_end('ReLU', 'momentum 0.9', -1):.0f} % die, and the mean validation accuracy falls to "
        f"{accuracy('ReLU', 'gradient descent', -1):.0f} and {accuracy('ReLU', 'momentum 0.9', -1):.0f} %, with leaky "
        f"ReLU {accuracy('leaky ReLU', 'gradient descent', -1):.0f} and "
        f"{accuracy('leaky ReLU', 'momentum 0.9', -1):.0f} %. Leaky units fall silent too, but none is ever dead. "
        "Death is mostly for good: of the units that Adam at its largest rate killed in the first epoch, "
        f"{100 * still / early:.0f} % are dead at that and the last look."
    )
