r"""MNIST-1D: a convolutional network, and what it knows of order.

[Greydanus's digits of one dimension](mnist1d.md) are 40 numbers in a row. His notebook gives a small convolutional
network 92.3 % of the 1,000 test samples after 6,000 updates (the table that comes with the data says 94 %), and 58.7 %
(56 %) when the 40 places are shuffled, by one permutation for all samples: what is left is what can be said without
knowing which numbers lie side by side.

The network is that of his code: three convolutions of 25 features with a stride of 2 and one zero on either side,
windows of 5, 3 and 3, ReLU after each, and ten logits from the 5 × 25 numbers that are left: 5,210 parameters, which
start uniform on $±1/\sqrt{n_\mathrm{in}}$. Adam at 0.01, batches of 100, 6,000 updates, the accuracy at the last one.
Two things differ: the order of the samples is drawn anew in every epoch where he keeps it, and there are 32 seeds,
trained side by side in the lanes of one sweep, where he has one. Our permutation is not his. Other work shared the
machine, and had most of the seconds below.
"""

import numpy as np

import funcnet as fn
from experiments.reproductions.mnist1d import data, dense, mean_and_half_width
from experiments.study import Table
from funcnet.layers.initializers import RandomUniform

# Test accuracy (%): the table that comes with the data, and the end of the published notebook.
PUBLISHED = {"in order": (94, 92.3), "shuffled": (56, 58.7)}
SEEDS = 32


def convolution(inputs, features, window):
    """Return a convolution that starts as PyTorch's does."""
    start = RandomUniform((inputs * window) ** -0.5)
    padding = ((1, 1),)
    return fn.Conv(features, window, stride=2, padding=padding, kernel_init=start, bias_init=start)


def network(width=25):
    """Return the network."""
    layers = [convolution(1, width, 5), fn.relu, convolution(width, width, 3), fn.relu, convolution(width, width, 3)]
    return fn.Chain(*layers, fn.relu, fn.Flatten(), dense(5 * width, 10))


def measure(small):
    """Return test accuracies by epoch and seed, for places in order and shuffled, and a count of parameters."""
    seeds, epochs = (2, 1) if small else (SEEDS, 150)  # 40 updates an epoch: 6,000 in all
    places = {"in order": np.arange(40), "shuffled": np.random.default_rng(0).permutation(40)}
    found = {}
    for name, order in list(places.items())[: 1 if small else None]:
        train, test = ((x[:, order, None], y) for x, y in data())
        adam = fn.Adam(0.01)
        base = fn.Experiment(
            network(2 if small else 25), fn.SoftmaxCrossEntropy(), adam, batch_size=100, epochs=epochs, stopping=None
        )
        # The test set takes the place of a validation set: it is watched, and decides nothing.
        results = fn.sweep(fn.grid(base, {"seed": range(seeds)}), train, test, progress=False)
        curves = [results.curves(i) for i in range(seeds)]
        found[name] = {
            "accuracy": [c["validation_accuracy"][:: 1 if small else 5] for c in curves],
            "last": [c["validation_accuracy"][-1] for c in curves],
            "train_loss": [c["train_loss"][-1] for c in curves],
        }
    sizes = [np.size(leaf) for layer in results.params(0) if layer for leaf in layer.values()]
    return found | {"parameters": int(sum(sizes))}


def tables(numbers):
    """Show the published accuracies beside ours."""
    rows = []
    for name, (table, notebook) in PUBLISHED.items():
        last = numbers[name]["last"]
        mean, half = mean_and_half_width(last)
        low, high = 100 * min(last), 100 * max(last)
        rows.append((name, str(table), str(notebook), f"{mean:.1f} ± {half:.1f}", f"{low:.1f} to {high:.1f}"))
    header = ("places", "their table", "their notebook", "ours, mean ± 95 %", "ours, lowest to highest seed")
    return [Table(f"Test accuracy (%) of the convolutional network, {SEEDS} seeds.", header, rows)]


def draw(numbers):
    """Draw the test accuracy by step, with the published figures."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(7.5, 4.4)
    for colour, (name, published) in zip(COLOURS, PUBLISHED.items(), strict=False):
        accuracy = 100 * np.asarray(numbers[name]["accuracy"])
        steps = 40 * (1 + 5 * np.arange(accuracy.shape[1]))
        axes.plot(steps, accuracy.mean(axis=0), color=colour, label=f"places {name}")
        axes.fill_between(steps, accuracy.min(axis=0), accuracy.max(axis=0), color=colour, alpha=0.15, lw=0)
        for figure_, line in zip(published, ("--", ":"), strict=True):
            axes.axhline(figure_, color=colour, ls=line, lw=1)
    axes.plot([], [], "--", color="#23272d", lw=1, label="their table")
    axes.plot([], [], ":", color="#23272d", lw=1, label="the end of their notebook")
    axes.set(xlabel="updates", ylabel="accuracy on 1,000 test samples (%)", ylim=(20, 100), xlim=(0, 6000))
    axes.legend(loc="lower right", ncols=2)
    axes.set_title(f"MNIST-1D, three convolutions; mean of {SEEDS} seeds, lowest to highest")
    return figure


def verdict(numbers):
    """Say what follows."""
    assert numbers["parameters"] == 5210
    order, shuffled = (mean_and_half_width(numbers[name]["last"]) for name in PUBLISHED)
    rows = 100 * np.asarray(numbers["in order"]["last"])
    mixed = 100 * np.asarray(numbers["shuffled"]["last"])
    assert len(rows) == SEEDS
    assert rows.min() <= 92.3 <= rows.max()
    below = float(np.mean(rows < 92.3))
    sampling = 100 * np.sqrt(order[0] / 100 * (1 - order[0] / 100) / 1000)
    assert order[0] - shuffled[0] > 25
    inside = "among" if mixed.min() <= 58.7 <= mixed.max() else "outside"
    return (
        f"**Reproduced.** The convolutional network reaches {order[0]:.1f} ± {order[1]:.1f} % over {SEEDS} seeds "
        f"({rows.min():.1f} to {rows.max():.1f} %), where the notebook ends with 92.3 %: {100 * below:.0f} % of our "
        f"seeds end below that. The table's 94 % is {'above all' if rows.max() < 94 else 'among the highest'} of them. "
        f"With the places shuffled {shuffled[0]:.1f} ± {shuffled[1]:.1f} % are left ({mixed.min():.1f} to "
        f"{mixed.max():.1f} %); the notebook's 58.7 % is {inside} our seeds.\n\n"
        "So the network owes a third of its accuracy to the order of the places. A thousand test samples leave a "
        f"standard error of {sampling:.1f} points, which all seeds share; the seeds themselves spread by "
        f"{rows.std(ddof=1):.1f}. One seed, as published, says little about the second digit."
    )
