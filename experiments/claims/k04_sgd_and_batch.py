r"""K4: one sample, a mini-batch, or the whole set.

> SGD … draws a single sample at each iteration … easy to implement, inefficient, rather robust to noise.
> Batch gradient descent … uses the whole training set … efficient, easily caught in local minima (A3.1, A3.2, in
> Chinese there)

Every method is `fn.SGD` with a constant rate; only the batch size differs. Each method takes its own rate from one
grid, the thirteen powers of two from 2⁻⁸ to 16.

*Efficiency* can mean three things, so all three are counted: updates, gradients of single samples (an epoch is one
gradient of each of the 1,077 samples, whatever the batch), and seconds on this machine, for a run alone. Two objectives
on the digits: logistic regression of odd against even (convex, minimum known) and a network with 32 hidden units. The
rate of each method and target is the one that needs the fewest epochs, by the mean of five seeds; what is reported
comes from ten other seeds, with 95 % intervals. No regularizer, no momentum, no schedule: training loss alone.

*Noise* comes in two kinds. Labels: of the network's training images 30 % get another label, drawn evenly; each method
takes the rate (of every second of the grid) with the least loss on clean validation images, at its best epoch.
Gradients: every update of the logistic regression gets normal noise of a standard deviation σ in each coordinate, and
the rate is chosen anew for each σ.

*Local minima* must be there to be caught in. The first objective has them for certain: fit sin(θx) to 100 noisy samples
of sin(5x) by θ alone, from 128 starts θ ∈ [0, 12]; the squared error has one deep minimum and three shallow ones. The
second is a network with three tanh units on 200 noisy samples of exclusive or, which is known for bad starts. Both are
run to rest: the rate falls to 0 along half a cosine. The rate, of every second of the
grid, is the best by 64 starts, and counts are over the other
64, with Wilson's 95 % intervals; a start counts if its loss ends within 0.05 (sine) or 0.1 (network) of the lowest that
any run found.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.claims._descent import RATES, least_loss, losses, problems, race, seconds_an_epoch
from experiments.study import Table
from funcnet.activations.base import Activation
from funcnet.keys import fold, normal, uniform
from funcnet.records import Number, number, part

METHODS = {"one sample": 1, "mini-batch of 32": 32, "whole set": None}
TARGETS = {"logistic regression": (0.2, 0.16, 0.15), "network": (0.3, 0.1, 0.03)}
EPOCHS = {"logistic regression": (30, 40, 400), "network": (15, 30, 500)}
NOISE = (0.0, 0.1, 0.3)
STARTS, TUNING = 128, 64


@fn.record
class Sine(Activation):
    """y = sin z, dz = cos(z) dy."""

    def forward(self, z):
        """Return sin z, and z."""
        return jnp.sin(z), z

    def backward(self, saved, dy):
        """Return cos(z) dy."""
        return jnp.cos(saved) * dy


@fn.record
class Between:
    """An initializer: uniform numbers from `low` to `high`."""

    low: Number = number()
    high: Number = number()

    def __call__(self, key, shape, dtype=None):
        """Draw an array."""
        return (self.low + (self.high - self.low) * uniform(key, shape)).astype(dtype)


@fn.record
class Shaken:
    """An optimizer whose gradients get normal noise of standard deviation `noise`."""

    optimizer: fn.SGD = part()
    noise: Number = number(at_least=0)

    def init(self, params):
        """Return the state of the optimizer inside."""
        return self.optimizer.init(params)

    def update(self, gradient, state, params):
        """Return what the optimizer inside makes of the gradient and its noise."""
        leaves, tree = jax.tree.flatten(gradient)
        keys = [fold(fold(jax.random.key(7), state.step), i) for i in range(len(leaves))]
        shaken = [g + self.noise * normal(key, g.shape) for g, key in zip(leaves, keys, strict=True)]
        return self.optimizer.update(jax.tree.unflatten(tree, shaken), state, params)


def measure(small):
    """Return epochs, updates and seconds to each target, the price of noise, and where descents end."""
    if small:
        efficient = efficiency("logistic regression", small)
        return {"efficiency": efficient, "labels": noisy_labels(small), "minima": ends(sine(), small, 0.05)}
    return {
        "least": least_loss(),
        "efficiency": {name: efficiency(name, small) for name in problems()},
        "labels": noisy_labels(small),
        "gradients": noisy_gradients(),
        "minima": {"sine": ends(sine(), small, 0.05), "exclusive or": ends(exclusive_or(), small, 0.1)},
        "landscape": landscape(),
    }


def efficiency(name, small):
    """Return by method what each target takes."""
    experiment, data = problems()[name]
    settings = {"rates": (0.03125,), "tuning": 2, "fresh": 2} if small else {}
    targets, found = (0.6, 0.5) if small else TARGETS[name], {}
    for (method, size), epochs in zip(METHODS.items(), EPOCHS[name], strict=True):
        if small and size != 1:
            continue
        found[method] = race(experiment, data, size, 3 if small else epochs, targets, **settings)
        updates = 1 if size is None else -(-len(data[0]) // size)
        found[method]["updates"] = [updates * epochs for epochs in found[method]["epochs"]]
    if not small:
        timed = [
            fn.replace(experiment, {"batch_size": size, "epochs": epochs})
            for size, epochs in zip(METHODS.values(), (5, 50, 300), strict=True)
        ]
        for row, seconds in zip(found.values(), seconds_an_epoch(timed, data), strict=True):
            row["seconds"] = [seconds * epochs for epochs in row["epochs"]]
    return found


def noisy_labels(small):
    """Return by share of wrong labels and method: test accuracy at the best epoch, and what training on loses."""
    digits, found = fn.data.digits(), {}
    x, y = digits.train
    rng = np.random.default_rng(0)
    wrong = np.where(rng.random(len(y)) < 0.3, (y + rng.integers(1, 10, len(y))) % 10, y).astype(np.int32)
    for share, labels in (("30 %", wrong),) if small else (("0 %", y), ("30 %", wrong)):
        found[share] = {}
        for (method, size), epochs in zip(METHODS.items(), (30, 60, 800), strict=True):
            if small and size is not None:
                continue
            base, _ = problems()["network"]
            base = fn.replace(base, {"batch_size": size, "epochs": 3 if small else epochs})
            rates = (0.5,) if small else RATES[::2]
            trials = fn.grid(base, {"optimizer.learning_rate": rates, "seed": range(2 if small else 5)})
            results = fn.sweep(trials, (x, labels), digits.validation, digits.test, progress=False)
            table = results.table()
            loss = np.where(results.eligible("validation_loss"), table["validation_loss"], np.inf)
            best = int(loss.reshape(len(rates), -1).mean(axis=1).argmin())
            rows = np.flatnonzero(np.arange(len(trials)) // (len(trials) // len(rates)) == best)
            curves = [results.curves(i)["validation_accuracy"] for i in rows]
            accuracy = table["test_accuracy"][rows]
            found[share][method] = {
                "rate": rates[best],
                "accuracy": accuracy.mean(),
                "deviation": accuracy.std(ddof=1),
                "lost": np.mean([curve.max() - curve[-1] for curve in curves]),
                "final_train_loss": np.mean([results.curves(i)["train_loss"][-1] for i in rows]),
            }
    return found


def noisy_gradients():
    """Return by method and σ the fewest epochs to a loss of 0.16, and the rate."""
    experiment, data = problems()["logistic regression"]
    experiment = fn.replace(experiment, {"optimizer": Shaken(fn.SGD(0.1), 0.0)})
    found, path = {}, "optimizer.optimizer.learning_rate"
    for (method, size), epochs in zip(METHODS.items(), (40, 100, 1800), strict=True):
        found[method] = {}
        for sigma in NOISE:
            trial = fn.replace(experiment, {"optimizer.noise": sigma})
            row = race(trial, data, size, epochs, (0.16,), tuning=3, path=path)
            keys = {"rate": "rates", "epochs": "epochs", "half_width": "half_widths"}
            found[method][str(sigma)] = {key: row[of][0] for key, of in keys.items()}
    return found


def sine():
    """Return a model sin(θx) with θ from 0 to 12, 100 samples of sin(5x) with noise 0.3, and sizes with epochs."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (100, 1))
    y = np.sin(5 * x) + 0.3 * rng.standard_normal(x.shape)
    network = fn.Chain(fn.Dense(1, bias=False, kernel_init=Between(0.0, 12.0)), Sine())
    experiment = fn.Experiment(network, fn.MeanSquaredError(), fn.SGD(0.1))
    return experiment, (x.astype(np.float32), y.astype(np.float32)), {1: 60, 10: 200, None: 600}


def landscape():
    """Return the squared error of the sine by θ."""
    _, (x, y), _ = sine()
    theta = np.linspace(0, 12, 241)
    return {"theta": theta, "loss": ((np.sin(theta * x) - y) ** 2).mean(axis=0)}


def exclusive_or():
    """Return a network of three tanh units, 200 noisy samples of exclusive or, and sizes with epochs."""
    x, y = fn.data.xor(200, noise=0.1, seed=0)
    experiment = fn.Experiment(fn.mlp(3, 1, activation=fn.tanh), fn.SigmoidCrossEntropy(), fn.SGD(0.1))
    return experiment, (x, y[:, None].astype(np.float32)), {1: 100, 20: 400, None: 1500}


def ends(problem, small, near):
    """Return by batch size and rate the share of starts whose loss comes to rest near the lowest of all."""
    experiment, data, sizes = problem
    rates, starts = ((0.25,), 4) if small else (RATES[::2], STARTS)
    last = {}
    for size, epochs in ({1: 3} if small else sizes).items():
        updates = epochs * (1 if size is None else len(data[0]) // size)
        trial = fn.replace(experiment, {"batch_size": size, "optimizer": fn.SGD(fn.Cosine(0.1, updates))})
        space = {"optimizer.learning_rate.rate": rates, "seed": range(starts)}
        name = {1: "one sample", None: "whole set"}.get(size, f"mini-batch of {size}")
        last[name] = losses(trial, data, space, epochs)[:, -1].reshape(len(rates), starts)
    if small:
        return {"mean": last["one sample"].mean()}
    lowest, found = min(loss.min() for loss in last.values()), {}
    for name, loss in last.items():
        there = loss < lowest + near
        best = int(there[:, :TUNING].mean(axis=1).argmax())
        hits = there[best, TUNING:]
        found[name] = {"rate": rates[best], "hits": int(hits.sum()), "of": len(hits), "by_rate": there.mean(axis=1)}
    return {"lowest": lowest} | found


def wilson(hits, of):
    """Return Wilson's 95 % interval of a share."""
    z = 1.96
    middle, half = hits + z * z / 2, z * math.sqrt(hits * (of - hits) / of + z * z / 4)
    return (middle - half) / (of + z * z), (middle + half) / (of + z * z)


def tables(numbers):
    """Show what each target takes, what noise costs, and where descents end."""
    efficient = [
        (name, method, target, row["rates"][i], spread(row, i), row["updates"][i], 1e3 * row["seconds"][i])
        for name, methods in numbers["efficiency"].items()
        for i, target in enumerate(TARGETS[name])
        for method, row in methods.items()
    ]
    labels = [
        (share, method, row["rate"], f"{row['accuracy']:.1%} ± {row['deviation']:.1%}", f"{100 * row['lost']:.1f}")
        for share, methods in numbers["labels"].items()
        for method, row in methods.items()
    ]
    gradients = [
        (method, float(sigma), row["rate"] if reached(row) else "–", price(numbers, method, sigma))
        for method, by_sigma in numbers["gradients"].items()
        for sigma, row in by_sigma.items()
    ]
    minima = [
        (name, method, row["rate"], f"{row['hits']} of {row['of']}", "{:.0%} to {:.0%}".format(*interval(row)))
        for name, methods in numbers["minima"].items()
        for method, row in methods.items()
        if method != "lowest"
    ]
    return [
        Table(
            "Efficiency: what it takes to bring the loss of the whole training set to a target; mean of ten seeds. An "
            f"epoch is 1,077 gradients of one sample. The minimum of the regression is {numbers['least']:.4f}.",
            ("objective", "method", "target", "rate", "epochs", "updates", "milliseconds"),
            efficient,
        ),
        Table(
            "Wrong labels, network: test accuracy at the epoch of least validation loss (mean and standard deviation "
            "of five seeds), and the points of validation accuracy lost from the best epoch to the last.",
            ("wrong labels", "method", "rate", "test accuracy", "lost by training on"),
            labels,
        ),
        Table(
            "Noise in every update, regression: epochs to a loss of 0.16.",
            ("method", "σ", "rate", "epochs"),
            gradients,
        ),
        Table(
            "Starts that come to rest at the lowest minimum.",
            ("problem", "method", "rate", "starts", "95 % interval"),
            minima,
        ),
    ]


def spread(row, i):
    """Write epochs with their interval."""
    return f"{row['epochs'][i]:.3g} ± {row['half_widths'][i]:.1g}"


def reached(row):
    """Tell whether all seeds reached the target."""
    return row["epochs"] != "inf"


def price(numbers, method, sigma):
    """Write the epochs that a noise costs."""
    row = numbers["gradients"][method][sigma]
    return f"{row['epochs']:,.3g} ± {row['half_width']:.1g}" if reached(row) else "not within the budget"


def interval(row):
    """Return Wilson's interval of a row."""
    return wilson(row["hits"], row["of"])


def draw(numbers):
    """Draw the races, the price of noise, the landscape of the sine, and the ends by rate."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 9.6))
    panels = figure.subplots(3, 2)
    colours = dict(zip(METHODS, COLOURS, strict=False))
    lows = {"logistic regression": numbers["least"], "network": 0.0}
    for panel, (name, methods) in zip(panels[0], numbers["efficiency"].items(), strict=True):
        for method, row in methods.items():
            loss = np.asarray(row["curve"]["loss"]) - lows[name]
            panel.loglog(
                row["curve"]["epoch"], loss, color=colours[method], label=f"{method}, η = {row['rates'][-1]:g}"
            )
        panel.set(title=f"{name}, by gradients", xlabel="epochs (1,077 sample gradients each)")
        panel.legend()
    panels[0, 0].set_ylabel("training loss above the minimum (nats)")
    panels[0, 1].set_ylabel("training loss (nats)")
    panel = panels[1, 0]
    places = np.arange(2)
    for k, method in enumerate(METHODS):
        rows = [methods[method] for methods in numbers["efficiency"].values()]
        panel.bar(places + 0.27 * (k - 1), [1e3 * row["seconds"][-1] for row in rows], 0.25, color=colours[method])
    goals = [f"{name}\nto {TARGETS[name][-1]}" for name in numbers["efficiency"]]
    panel.set(yscale="log", xticks=places, xticklabels=goals, ylabel="milliseconds", title="the same, by the clock")
    panel = panels[1, 1]
    for method, by_sigma in numbers["gradients"].items():
        there = [(float(sigma), row["epochs"]) for sigma, row in by_sigma.items() if reached(row)]
        panel.plot(*zip(*there, strict=True), "o-", color=colours[method], label=method)
    panel.set(yscale="log", xlabel="σ of the noise in every update", ylabel="epochs to a loss of 0.16")
    panel.set_title("regression with noisy gradients")
    panel = panels[2, 0]
    panel.plot(numbers["landscape"]["theta"], numbers["landscape"]["loss"], color="#23272d")
    panel.set(xlabel="θ", ylabel="mean squared error", title="fit of sin(θx) to sin(5x)")
    panel = panels[2, 1]
    for (name, methods), line in zip(numbers["minima"].items(), ("o-", "s:"), strict=True):
        for (method, row), colour in zip(list(methods.items())[1:], COLOURS, strict=False):
            panel.plot(RATES[::2], row["by_rate"], line, color=colour, ms=4, label=f"{name}, {method}")
    panel.set(xscale="log", xlabel="first learning rate η", ylabel="share of 128 starts", ylim=(-0.03, 1.75))
    panel.set(title="starts that end at the lowest minimum", yticks=np.linspace(0, 1, 6))
    panel.legend(fontsize=8, loc="upper left")
    figure.suptitle("Gradient descent by batch size; digits, 64-32-10 network; seeds 5 to 14, rates chosen on 0 to 4")
    return figure


def verdict(numbers):
    """Say what follows."""
    convex, network = numbers["efficiency"].values()
    one, mini, whole = METHODS
    for methods in (convex, network):
        assert all(
            methods[whole]["updates"][i] < methods[mini]["updates"][i] < methods[one]["updates"][i] for i in range(3)
        )
        assert all(2 * methods[one]["epochs"][i] < methods[whole]["epochs"][i] for i in range(3))
    assert convex[whole]["seconds"][-1] < convex[mini]["seconds"][-1] < convex[one]["seconds"][-1]
    assert network[mini]["seconds"][-1] < network[one]["seconds"][-1] < network[whole]["seconds"][-1]
    at = {key: [methods[m]["seconds"][-1] for m in METHODS] for key, methods in numbers["efficiency"].items()}
    wrong, right = numbers["labels"]["30 %"], numbers["labels"]["0 %"]
    best = [wrong[m]["accuracy"] for m in METHODS]
    assert max(best) - min(best) < max(wrong[m]["deviation"] for m in METHODS)
    assert wrong[one]["lost"] < wrong[mini]["lost"] < wrong[whole]["lost"]
    fewer = [
        min(a / b for a, b in zip(methods[whole]["epochs"], methods[one]["epochs"], strict=True))
        for methods in (convex, network)
    ]
    noisy = {m: by["0.1"]["epochs"] / by["0.0"]["epochs"] for m, by in numbers["gradients"].items()}
    assert noisy[one] < 1.5 < 3 < noisy[mini] < noisy[whole]
    assert reached(numbers["gradients"][one]["0.3"])
    assert not reached(numbers["gradients"][whole]["0.3"])
    sine, xor = ({name: row for name, row in rows.items() if name != "lowest"} for rows in numbers["minima"].values())
    assert interval(sine[one])[0] > 0.9 > interval(sine[whole])[1]
    assert interval(sine[one])[0] > interval(sine["mini-batch of 10"])[1] > interval(sine[whole])[1]
    spans = [interval(row) for row in xor.values()]
    assert max(low for low, _ in spans) < min(high for _, high in spans)
    text = {m: f"{sine[m]['hits']} of {sine[m]['of']}" for m in sine}
    drop = right[one]["accuracy"] - wrong[one]["accuracy"]
    by_clock = {name: [1e3 * seconds for seconds in row] for name, row in at.items()}
    flat, bent = by_clock["logistic regression"], by_clock["network"]
    return (
        "**Holds with conditions.** *Easy*: the methods differ in one number, the batch size. *Inefficient* depends "
        "on what is counted. By updates the whole set is the most efficient everywhere: "
        f"{network[whole]['updates'][-1]:.0f} against {network[one]['updates'][-1]:,.0f} on the network, to a loss "
        f"of {TARGETS['network'][-1]}. By gradients of samples, the work that a larger data set multiplies, one "
        f"sample is: it needs {fewer[0]:.1f} times fewer on the regression and {fewer[1]:.0f} times fewer on the "
        f"network, or better. By the clock the whole set wins where the objective is convex ({flat[2]:.1f} ms "
        f"against {flat[0]:.0f} ms) and loses on the network ({bent[2]:.0f} ms against {bent[0]:.0f} ms), where the "
        f"mini-batch is the fastest of all ({bent[1]:.0f} ms).\n\n"
        f"*Robust to noise*: of gradients, clearly. Noise of 0.1 in every update costs one sample {noisy[one]:.2g} "
        f"times the epochs, as it lives with noise and a small rate anyway, the mini-batch {noisy[mini]:.2g} times "
        f"and the whole set {noisy[whole]:.2g} times. (Noise that comes with each sample is averaged by the whole "
        f"set; that is the case of labels.) Of wrong labels, hardly: 30 % of them cost one sample {100 * drop:.0f} "
        "points of test accuracy at the best epoch, and the others as much within the spread of seeds. Training on "
        f"after the best epoch loses {100 * wrong[one]['lost']:.0f}, {100 * wrong[mini]['lost']:.0f} and "
        f"{100 * wrong[whole]['lost']:.0f} points: within these budgets the steps of one sample, at the rate that "
        "validation chose, are too rough to learn the wrong labels by heart.\n\n"
        f"*Caught in local minima*: where they are shallow, yes. On the sine {text[one]} starts of one sample end in "
        f"the deep minimum, {text['mini-batch of 10']} of mini-batches and {text[whole]} of the whole set, which "
        "ends in the basin where it began. It takes a rate at which the noise climbs out of the shallow minima, "
        "though, and holds in the deep one: at smaller rates one sample is caught as often. On the network it makes "
        f"no difference that {xor[one]['of']} starts could show: {xor[one]['hits']} of one sample, "
        f"{xor['mini-batch of 20']['hits']} of mini-batches and {xor[whole]['hits']} of the whole set end at the "
        "lowest loss."
    )
