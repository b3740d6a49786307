r"""MNIST-1D: logistic regression and a multilayer perceptron.

Greydanus (2020, *Scaling down deep learning*; with Kobak, ICML 2024) makes digits of one dimension: ten templates of
twelve points, padded, shifted, scaled, sheared, made noisy and sampled at 40 places; 4,000 for training and 1,000 for
testing. The table that comes with the data gives 32 % test accuracy for logistic regression and 68 % for a multilayer
perceptron; the authors' notebook, as published, ends with 31.5 % and 64.6 % after 6,000 steps, one seed each.

The package `mnist1d` makes the data from its published defaults without any connection; they agree with the authors'
published file to 1e-15. The set-up is that of their code: batches of 100, Adam at 0.01, 6,000 updates, no
regularization, the accuracy at the last step. Their perceptron has two hidden layers of 100 units, the second one with
a path around it, $h_2 = h_1 + \mathrm{relu}(W_2 h_1 + b_2)$; all kernels and biases start uniform on
$±1/\sqrt{n_\mathrm{in}}$, PyTorch's default. Two things differ: we draw the order of the samples anew in every epoch
where they keep it, and we repeat with ten seeds. The path around a layer is a layer of our own, in this file, whose
backward pass is one line.

Beside it, the same perceptron without the path around, one with He's initial kernels (our default), and one stopped
early on a sixth of the training set, since the authors' figures are of networks that have fitted every training sample.
Of the baselines that use the order of the 40 places, [the convolutional network](mnist1d_convolution.md) (94 %) and
[the GRU](mnist1d_gru.md) (91 %) have pages of their own.
"""

from typing import Any

import numpy as np

import funcnet as fn
from experiments.study import Table
from funcnet.layers.base import Layer
from funcnet.layers.initializers import RandomUniform
from funcnet.records import part, record

# Test accuracy (%): the table that comes with the data, and the end of the published notebook.
PUBLISHED = {"logistic regression": (32, 31.5), "perceptron": (68, 64.6)}
FEATURES, UNITS, CLASSES = 40, 100, 10


@record
class Around(Layer):
    r"""A layer with a path around it.

    Forward    y = x + f(x)
    Backward   dx = dy + the dx of f
    """

    inner: Any = part()

    def out_shape(self, in_shape):
        """Return the shape of the input, which that of the output must be."""
        return self.inner.out_shape(in_shape)

    def init(self, key, in_shape, dtype=None):
        """Draw the parameters of the layer inside."""
        return self.inner.init(key, in_shape, dtype)

    def forward(self, params, x, key=None):
        """Return x + f(x)."""
        y, saved = self.inner.forward(params, x, key)
        return x + y, saved

    def backward(self, params, saved, dy):
        """Return the parameters' gradient, and dy + the dx of f."""
        dparams, dx = self.inner.backward(params, saved, dy)
        return dparams, dy + dx


def dense(inputs, outputs):
    """Return a dense layer that starts as PyTorch's does."""
    start = RandomUniform(inputs**-0.5)
    return fn.Dense(outputs, kernel_init=start, bias_init=start)


def networks():
    """Return the networks by name."""
    first, second, last = dense(FEATURES, UNITS), dense(UNITS, UNITS), dense(UNITS, CLASSES)
    return {
        "logistic regression": fn.Chain(dense(FEATURES, CLASSES)),
        "perceptron": fn.Chain(first, fn.relu, Around(fn.Chain(second, fn.relu)), last),
        "perceptron, no path around": fn.Chain(first, fn.relu, second, fn.relu, last),
        "perceptron, He's start": fn.Chain(
            fn.Dense(UNITS), fn.relu, Around(fn.Chain(fn.Dense(UNITS), fn.relu)), fn.Dense(CLASSES)
        ),
    }


def data():
    """Return the training and the test pair, made here from the published defaults."""
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    pairs = ((made["x"], made["y"]), (made["x_test"], made["y_test"]))
    return [(x.astype(np.float32), y.astype(np.int32)) for x, y in pairs]


def measure(small):
    """Return test accuracies by epoch, network and seed, and those of early stopping."""
    train, test = data()
    seeds, epochs = (2, 2) if small else (10, 150)  # 40 updates an epoch: 6,000 in all
    found = {}
    for name, network in list(networks().items())[: 2 if small else None]:
        base = fn.Experiment(
            network, fn.SoftmaxCrossEntropy(), fn.Adam(0.01), batch_size=100, epochs=epochs, stopping=None
        )
        # The test set takes the place of a validation set: it is watched, and decides nothing.
        results = fn.sweep(fn.grid(base, {"seed": range(seeds)}), train, test, progress=False)
        curves = [results.curves(i) for i in range(seeds)]
        found[name] = {
            "accuracy": [c["validation_accuracy"][:: 1 if small else 5] for c in curves],
            "last": [c["validation_accuracy"][-1] for c in curves],
            "train_loss": [c["train_loss"][-1] for c in curves],
        }
    if not small:
        kept = len(train[0]) * 5 // 6
        first, rest = tuple(a[:kept] for a in train), tuple(a[kept:] for a in train)
        base = fn.Experiment(
            networks()["perceptron"],
            fn.SoftmaxCrossEntropy(),
            fn.Adam(0.01),
            batch_size=100,
            epochs=epochs,
            stopping=fn.EarlyStopping(10),
        )
        trials = fn.grid(base, {"seed": range(seeds)})
        table = fn.sweep(trials, first, rest, test, progress=False).table()
        found["perceptron, stopped early"] = {"last": table["test_accuracy"], "epochs": table["best_epoch"] + 1}
    return found


def mean_and_half_width(values):
    """Return the mean and Student's 95 % half width, in percent."""
    from funcnet.results.summary import mean_deviation_half_width

    mean, _, half = mean_deviation_half_width(100 * np.asarray(values, float))
    return mean, half


def tables(numbers):
    """Show the published accuracies beside ours."""
    rows = []
    for name, own in numbers.items():
        mean, half = mean_and_half_width(own["last"])
        low, high = 100 * min(own["last"]), 100 * max(own["last"])
        published = PUBLISHED.get(name, ("–", "–"))
        rows.append((name, *map(str, published), f"{mean:.1f} ± {half:.1f}", f"{low:.1f} to {high:.1f}"))
    header = ("network", "their table", "their notebook", "ours, mean ± 95 %", "ours, lowest to highest seed")
    return [Table("Test accuracy (%).", header, rows)]


def draw(numbers):
    """Draw the test accuracy by step, with the published figures."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(7.5, 4.4)
    for colour, name in zip(COLOURS, list(networks())[:3], strict=False):
        accuracy = 100 * np.asarray(numbers[name]["accuracy"])
        steps = 40 * (1 + 5 * np.arange(accuracy.shape[1]))
        axes.plot(steps, accuracy.mean(axis=0), color=colour, label=name)
        axes.fill_between(steps, accuracy.min(axis=0), accuracy.max(axis=0), color=colour, alpha=0.15, lw=0)
        for figure_, line in zip(PUBLISHED.get(name, ()), ("--", ":"), strict=False):
            axes.axhline(figure_, color=colour, ls=line, lw=1)
    axes.plot([], [], "--", color="#23272d", lw=1, label="their table")
    axes.plot([], [], ":", color="#23272d", lw=1, label="the end of their notebook")
    axes.set(xlabel="updates", ylabel="accuracy on 1,000 test samples (%)", ylim=(20, 75), xlim=(0, 6000))
    axes.legend(loc="center right")
    axes.set_title("MNIST-1D, Adam at 0.01, batches of 100; mean of ten seeds, lowest to highest")
    return figure


def verdict(numbers):
    """Say what follows."""
    found = {name: mean_and_half_width(own["last"]) for name, own in numbers.items()}
    logistic, perceptron = found["logistic regression"], found["perceptron"]
    rows = 100 * np.asarray(numbers["perceptron"]["last"])
    assert abs(logistic[0] - 32) < 0.5
    assert rows.min() < PUBLISHED["perceptron"][1] < rows.max()
    assert rows.max() < PUBLISHED["perceptron"][0]
    plain, he = found["perceptron, no path around"], found["perceptron, He's start"]
    highest = 100 * max(max(own["last"]) for own in numbers.values())
    stopped = found["perceptron, stopped early"]
    assert stopped[0] + stopped[1] < perceptron[0] - perceptron[1]
    assert all(loss < 1e-3 for loss in numbers["perceptron"]["train_loss"])
    sampling = 100 * np.sqrt(perceptron[0] / 100 * (1 - perceptron[0] / 100) / 1000)
    epochs = numbers["perceptron, stopped early"]["epochs"]
    return (
        f"**Reproduced.** Logistic regression reaches {logistic[0]:.1f} ± {logistic[1]:.1f} %, where they report 32 % "
        f"(31.5 % in the notebook). Their perceptron reaches {perceptron[0]:.1f} ± {perceptron[1]:.1f} % with us "
        f"({rows.min():.1f} to {rows.max():.1f} % by seed), where their notebook ends with 64.6 % and their table says "
        "68 %.\n\nThe notebook's figure lies among our seeds; the table's 68 % lies above all of them, and what we "
        "could read does not say how many runs it stands for, nor at which step. Neither the path around the second "
        f"layer nor the start explains it: {plain[0]:.1f} ± {plain[1]:.1f} % without the path, {he[0]:.1f} ± "
        f"{he[1]:.1f} % from He's kernels, though the best seed of all reaches {highest:.1f} %. Two things move such a "
        f"figure by points: a thousand test samples leave a standard error of {sampling:.1f} points, which all seeds "
        f"here share, and the seeds spread by {rows.std(ddof=1):.1f}. Stopping early does not help: by validation loss "
        f"it keeps epoch {min(epochs)} to {max(epochs)}, and {stopped[0]:.1f} ± {stopped[1]:.1f} %, since the accuracy "
        "goes on growing long after that loss has turned, while the network fits the last training samples."
    )
