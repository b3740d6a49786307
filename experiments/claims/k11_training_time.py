r"""K11: what the time of training depends on.

> […] Therefore, the overall training time complexity of the ANN would depend on the size of the dataset, the choice of
> activation functions, and the optimization method used. (B3.9)

Width, depth and batch size, and the article's O(LdNd), are the matter of [the cost model](../complexity.md). Here are
the three that the sentence names, and a question that it leaves out: whether they act through the time of an epoch, or
through the number of epochs.

**Seconds an epoch.** `fn.train` after a first call has compiled it, on two cores. Data size: 64 inputs, a 64-64-10
network, Adam, 500 to 32,000 samples, in batches of 32 and in one batch; the same amount of work for every size, as many
epochs as that takes. Activation and optimizer: a 64-256-256-10 network, 4,096 samples in batches of 128; every
activation with Adam, every optimizer with ReLU. Settings take turns, five rounds; the median is shown, with the lowest
and the highest. The exponent is that of a power law through the medians, by least squares on the logarithms, with the
95 % interval that its residuals give.

**Epochs.** How many it takes until the 64-64-10 network has 97 % of the digits' 360 validation images right, in batches
of 32, at most 60: for every activation with Adam, and for every optimizer with ReLU, at five learning rates each. The
rate is the one that takes the fewest epochs on five seeds; the epochs shown are those of ten other seeds, with 95 %
intervals. The same ten give the epochs at the worst of the five rates, where a run without success counts as 61.
"""

import time

import numpy as np

import funcnet as fn
from experiments.claims._resampling import mean_and_half_width
from experiments.study import Table

ACTIVATIONS = {
    "ReLU": fn.relu,
    "leaky ReLU": fn.LeakyReLU(0.1),
    "sigmoid": fn.sigmoid,
    "tanh": fn.tanh,
    "ELU": fn.elu,
    "GELU": fn.gelu,
}
# Optimizers with the learning rates that are tried.
OPTIMIZERS = {
    "SGD": (fn.SGD(0.1), (0.03, 0.1, 0.3, 1.0, 3.0)),
    "momentum": (fn.SGD(0.1, momentum=0.9), (0.003, 0.01, 0.03, 0.1, 0.3)),
    "Adagrad": (fn.Adagrad(0.1), (0.003, 0.01, 0.03, 0.1, 0.3)),
    "RMSprop": (fn.RMSprop(0.001), (0.0003, 0.001, 0.003, 0.01, 0.03)),
    "Adam": (fn.Adam(0.001), (0.0003, 0.001, 0.003, 0.01, 0.03)),
    "AdaMax": (fn.AdaMax(0.002), (0.001, 0.003, 0.01, 0.03, 0.1)),
}
GOAL, MOST = 0.97, 60


def measure(small):
    """Return seconds an epoch, and epochs to the goal."""
    sizes = (500,) if small else (500, 1000, 2000, 4000, 8000, 16000, 32000)
    activations = {} if small else ACTIVATIONS
    optimizers = {"Adam": OPTIMIZERS["Adam"]} if small else OPTIMIZERS
    rounds, updates = (2, 32) if small else (5, 8000)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((max(sizes), 64), dtype=np.float32)
    y = rng.integers(0, 10, max(sizes)).astype(np.int32)

    def experiment(network, optimizer, batch_size, epochs):
        return fn.Experiment(network, fn.SoftmaxCrossEntropy(), optimizer, batch_size=batch_size, epochs=epochs)

    small_network = fn.mlp(64, 64, 10)
    settings = {}
    for size in sizes:
        train = (x[:size], y[:size])
        settings["batches", size] = experiment(small_network, fn.Adam(), 32, max(1, 32 * updates // size)), train
        if not small:
            settings["whole", size] = experiment(small_network, fn.Adam(), None, max(4, 400_000 // size)), train
    samples = 512 if small else 4096
    train, epochs = (x[:samples], y[:samples]), 1 if small else 8
    for name, activation in activations.items():
        network = fn.mlp(256, 256, 10, activation=activation)
        settings["activation", name] = experiment(network, fn.Adam(), 128, epochs), train
    for name, (optimizer, _) in optimizers.items():
        settings["optimizer", name] = experiment(fn.mlp(256, 256, 10), optimizer, 128, epochs), train
    seconds = {key: [] for key in settings}
    for number in range(rounds + 1):
        for key, (trial, own) in settings.items():
            started = time.perf_counter()
            fn.train(trial, own)
            if number:  # the first round compiles
                seconds[key].append((time.perf_counter() - started) / trial.epochs)
    kinds = ("batches", "whole", "activation", "optimizer")
    timed = {kind: {str(name): values for (own, name), values in seconds.items() if own == kind} for kind in kinds}
    return {"seconds": timed, "epochs": epochs_to_goal(activations, optimizers, 3 if small else MOST, small)}


def epochs_to_goal(activations, optimizers, most, small):
    """Return, by activation and by optimizer, the chosen rate and the epochs that ten new seeds take."""
    digits = fn.data.digits()
    found = {"activation": {}, "optimizer": {}}
    adam, rates = OPTIMIZERS["Adam"]
    trials = {("activation", name): (activation, adam, rates) for name, activation in activations.items()}
    trials |= {("optimizer", name): (fn.relu, *own) for name, own in optimizers.items()}
    for (kind, name), (activation, optimizer, rates_) in trials.items():
        base = fn.Experiment(
            fn.mlp(64, 64, 10, activation=activation), fn.SoftmaxCrossEntropy(), optimizer, batch_size=32, epochs=most
        )
        grid = fn.grid(base, {"optimizer.learning_rate": rates_, "seed": range(2 if small else 15)})
        results = fn.sweep(grid, digits.train, digits.validation, progress=False)
        curves = [results.curves(i) for i in range(len(grid))]
        if small:
            found[kind][name] = {"loss": [curve["validation_loss"][-1] for curve in curves]}
            continue
        taken = np.asarray([reach(curve["validation_accuracy"]) for curve in curves]).reshape(len(rates_), 15)
        best = int(taken[:, :5].mean(axis=1).argmin())
        later = taken[:, 5:].mean(axis=1)
        found[kind][name] = {"rate": rates_[best], "epochs": taken[best, 5:], "by_rate": later}
    return found


def reach(accuracy):
    """Return the epochs until the goal, or one more than the most."""
    there = np.flatnonzero(accuracy >= GOAL)
    return there[0] + 1 if there.size else MOST + 1


def exponents(numbers):
    """Return the exponent of the data size with its 95 % half width, over all sizes and over the larger ones."""
    from funcnet.results.summary import t_quantile

    found = {}
    for kind in ("batches", "whole"):
        own = numbers["seconds"][kind]
        sizes = np.log([int(size) for size in own])
        medians = np.log(np.median(list(own.values()), axis=1))
        for words, first in (("all", 0), ("large", 2)):
            at, values = sizes[first:] - sizes[first:].mean(), medians[first:]
            slope = at @ values / (at @ at)
            residuals = values - values.mean() - slope * at
            error = np.sqrt(residuals @ residuals / (len(at) - 2) / (at @ at))
            found[kind, words] = slope, t_quantile(0.975, len(at) - 2) * error
    return found


def tables(numbers):
    """Show the exponents, and the time and the epochs by activation and by optimizer."""
    seconds = numbers["seconds"]
    found = exponents(numbers)
    sizes = list(seconds["batches"])
    rows = [
        (f"{int(size):,}", *(f"{1e3 * np.median(seconds[kind][size]):.3g}" for kind in ("batches", "whole")))
        for size in sizes
    ]
    for words, label in (("all", "exponent, all sizes"), ("large", f"exponent, from {int(sizes[2]):,}")):
        rows.append((label, *("{:.3f} ± {:.3f}".format(*found[kind, words]) for kind in ("batches", "whole"))))
    result = [Table("Milliseconds an epoch by the number of samples.", ("samples", "batches of 32", "one batch"), rows)]
    for kind, first in (("activation", "ReLU"), ("optimizer", "SGD")):
        base = np.median(seconds[kind][first])
        rows = []
        for name, values in seconds[kind].items():
            own = numbers["epochs"][kind][name]
            epochs = own["epochs"]
            mean, half = mean_and_half_width(epochs)
            rows.append(
                (
                    name,
                    f"{1e3 * np.median(values):.1f} ({1e3 * min(values):.1f} to {1e3 * max(values):.1f})",
                    f"{np.median(values) / base:.2f}",
                    f"{own['rate']:g}",
                    f"{mean:.1f} ± {half:.1f}" + (" (not all reached it)" if max(epochs) > MOST else ""),
                    f"{np.median(values) / base * mean:.1f}",
                    f"{max(own['by_rate']):.0f}",
                )
            )
        header = (
            kind,
            "ms an epoch",
            f"over {first}",
            "rate",
            "epochs to the goal",
            f"both, in epochs of {first}",
            "at the worst rate",
        )
        result.append(Table(f"By {kind}.", header, rows))
    return result


def draw(numbers):
    """Draw seconds an epoch by size, and the time of an epoch and the epochs by activation and optimizer."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 4.2))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 0.9, 1))
    found = exponents(numbers)
    for colour, (kind, label) in zip(COLOURS, (("batches", "batches of 32"), ("whole", "one batch")), strict=False):
        own = numbers["seconds"][kind]
        rounds = 1e3 * np.asarray(list(own.values()))
        median = np.median(rounds, axis=1)
        span = [median - rounds.min(axis=1), rounds.max(axis=1) - median]
        words = "{}: {:.2f} ± {:.2f}".format(label, *found[kind, "all"])
        left.errorbar(list(map(int, own)), median, span, fmt="o-", ms=4, capsize=2, color=colour, label=words)
    left.set(xscale="log", yscale="log", xlabel="training samples", ylabel="milliseconds an epoch")
    left.set_title("Data size: 64-64-10, Adam")
    left.legend(title="exponent")
    middle.sharey(right)
    names = [(kind, name) for kind in ("optimizer", "activation") for name in numbers["seconds"][kind]]
    base = np.median(numbers["seconds"]["optimizer"]["SGD"])
    for place, (kind, name) in enumerate(names):
        colour = COLOURS[2] if kind == "activation" else COLOURS[3]
        values = np.asarray(numbers["seconds"][kind][name]) / base
        span = [[np.median(values) - values.min()], [values.max() - np.median(values)]]
        middle.errorbar(np.median(values), place, xerr=span, fmt="o", ms=5, capsize=2, color=colour)
        own = numbers["epochs"][kind][name]
        mean, half = mean_and_half_width(own["epochs"])
        right.plot([min(own["by_rate"]), max(own["by_rate"])], [place, place], color=colour, lw=5, alpha=0.2)
        right.errorbar(mean, place, xerr=half, fmt="o", ms=5, capsize=2, color=colour)
    middle.set_yticks(range(len(names)), [name for _, name in names])
    right.tick_params(labelleft=False)
    right.invert_yaxis()
    middle.set(xlabel="SGD with ReLU = 1", title="Time of an epoch")
    right.set(xlabel="pale: from best to worst rate", title=f"Epochs to {100 * GOAL:.0f} %")
    right.set_xlim(0, None)
    figure.suptitle(
        "Training on two cores: medians of five rounds, lowest to highest; epochs on the digits: ten seeds, 95 %",
        fontsize=11,
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    found, seconds, epochs = exponents(numbers), numbers["seconds"], numbers["epochs"]
    slope, half = found["batches", "all"]
    whole, width = found["whole", "large"]
    assert 0.95 < slope < 1.15
    assert abs(whole - 1) < width
    ratios = {}
    for kind, first in (("activation", "ReLU"), ("optimizer", "SGD")):
        base = np.median(seconds[kind][first])
        ratios[kind] = {name: np.median(values) / base for name, values in seconds[kind].items()}
    dearest = {kind: max(own, key=own.get) for kind, own in ratios.items()}
    span = {kind: max(own.values()) / min(own.values()) for kind, own in ratios.items()}
    assert span["optimizer"] < 1.15 < span["activation"] < 1.5
    intervals = {kind: {n: mean_and_half_width(v["epochs"]) for n, v in own.items()} for kind, own in epochs.items()}
    optimizers, activations = intervals["optimizer"].values(), intervals["activation"]
    assert max(mean - half for mean, half in optimizers) < min(mean + half for mean, half in optimizers)
    quickest, slowest = (pick(activations, key=lambda n: activations[n][0]) for pick in (min, max))
    by_rate = [max(v["by_rate"]) / min(v["by_rate"]) for own in epochs.values() for v in own.values()]
    assert min(by_rate) > 3
    relu = activations["ReLU"][0]
    assert all(activations[n][0] < relu and ratios["activation"][n] > 1.1 for n in ("tanh", "GELU"))
    return (
        "**Holds with conditions.** Time depends on all three, but not alike, and not most on what the sentence names. "
        f"*Data size:* the time of an epoch grows like size to the power {slope:.2f} ± {half:.2f} in batches of 32, "
        "from 500 to 32,000 samples: an update more for each batch, and a little more than that, probably as the "
        f"samples leave the cache. In one batch the exponent is {whole:.2f} ± {width:.2f} from 2,000 on; below, "
        "the fixed cost of an update shows. *Activation:* with exponentials an epoch takes up to "
        f"{ratios['activation'][dearest['activation']]:.2f} times that of ReLU ({dearest['activation']}), in a network "
        f"of 256 units a layer. *Optimizer:* within {100 * (span['optimizer'] - 1):.0f} %, {dearest['optimizer']} the "
        "dearest.\n\n"
        "*How many epochs* it takes makes more of a difference, and there the learning rate rules: from the best to "
        f"the worst of five rates the epochs to {100 * GOAL:.0f} % differ by factors of {min(by_rate):.1f} to "
        f"{max(by_rate):.1f}, though some runs are cut off at {MOST}. At the rates chosen on other seeds, the six "
        "optimizers cannot be told apart (their intervals have a point in common); of the activations "
        f"{quickest} takes {activations[quickest][0]:.1f} ± {activations[quickest][1]:.1f} epochs and {slowest} "
        f"{activations[slowest][0]:.1f} ± {activations[slowest][1]:.1f}. So a cheap epoch is not a short training: "
        "tanh and GELU have dearer epochs than ReLU, and in the mean fewer. The goal is close to what these networks "
        "can reach, which is why the seeds differ so much. All of it is of one machine, and of networks this small."
    )
