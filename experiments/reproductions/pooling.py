r"""Pooling: help where samples are few.

Greydanus (2020; with Kobak, ICML 2024) uses [digits of one dimension](mnist1d.md) to ask when pooling pays. The answer
in his notebook: it is better than a stride, or than nothing, where samples are few, and the difference shrinks as they
grow in number. The notebook trains two convolutions of 20 features, windows of 3, ReLU and pooling of one kind or none
after each, and a linear layer, on sets of 1,000 to 50,000 samples, 6,000 updates and one seed each; the output that it
prints is set beside ours.

The network, its initial values, batches of 100, Adam at 0.01 and the sets are his: three of his six sizes, each made
anew from the published defaults with 1,000 further samples to test on. So are four of his five kinds: no pooling,
every second place left out (a stride of 2 in the convolutions), the maximum and the average of every two places; the
root of the sum of squares is left out. Two things differ: we stop after 1,000 updates, of which his output has a line
too, and have four seeds, lanes of one sweep. The accuracy is that on the test samples at the last update; nothing is
chosen by it.
"""

import numpy as np

import funcnet as fn
from experiments.reproductions.mnist1d import dense, mean_and_half_width
from experiments.study import Table
from funcnet.layers.initializers import RandomUniform

KINDS = ("no pooling", "stride of 2", "maximum", "average")
SIZES, SEEDS, UPDATES, BATCH, TEST = (1000, 5000, 20_000), 4, 1000, 100, 1000
# Test accuracy (%) that the published notebook prints after 1,000 updates, by kind and size.
PUBLISHED = {
    "no pooling": (59.9, 89.5, 93.9),
    "stride of 2": (57.4, 85.8, 91.2),
    "maximum": (78.2, 92.4, 96.7),
    "average": (77.8, 88.6, 94.7),
}


def network(kind, width=20):
    """Return two convolutions with pooling of a kind, and a linear layer."""
    stride = 2 if kind == "stride of 2" else 1
    pool = {"maximum": [fn.MaxPool(2)], "average": [fn.AveragePool(2)]}.get(kind, [])
    layers = []
    for inputs in (1, width):
        start = RandomUniform((3 * inputs) ** -0.5)  # as PyTorch starts
        convolution = fn.Conv(width, 3, stride=stride, padding=((1, 1),), kernel_init=start, bias_init=start)
        layers += [convolution, fn.relu, *pool]
    places = 40 if kind == "no pooling" else 10
    return fn.Chain(*layers, fn.Flatten(), dense(places * width, 10))


def data(size):
    """Return so many training samples and the test samples, made here as the notebook makes them."""
    from mnist1d.data import get_dataset_args, make_dataset

    args = get_dataset_args()
    args.num_samples, args.train_split = size + TEST, 1 - TEST / (size + TEST)
    made = make_dataset(args)
    pairs = ((made["x"], made["y"]), (made["x_test"], made["y_test"]))
    return [(x[..., None].astype(np.float32), y.astype(np.int32)) for x, y in pairs]


def measure(small):
    """Return test accuracies and training losses by kind, size and seed."""
    sizes, seeds = ((100,), 2) if small else (SIZES, SEEDS)
    found = {"sizes": sizes}
    for size in sizes:
        train, test = data(size)
        assert len(train[1]) == size
        for kind in KINDS[2:3] if small else KINDS:
            base = fn.Experiment(
                network(kind, 3 if small else 20),
                fn.SoftmaxCrossEntropy(),
                fn.Adam(0.01),
                batch_size=BATCH,
                epochs=2 if small else UPDATES * BATCH // size,
                stopping=None,
            )
            # The test set takes the place of a validation set: it is watched, and decides nothing.
            results = fn.sweep(fn.grid(base, {"seed": range(seeds)}), train, test, progress=False)
            curves = [results.curves(i) for i in range(seeds)]
            own = found.setdefault(kind, {"accuracy": [], "train_loss": []})
            own["accuracy"].append([curve["validation_accuracy"][-1] for curve in curves])
            own["train_loss"].append([curve["train_loss"][-1] for curve in curves])
    return found


def tables(numbers):
    """Show accuracies by kind and size, the published ones beside ours."""
    rows = []
    for kind in KINDS:
        cells = []
        for published, own in zip(PUBLISHED[kind], numbers[kind]["accuracy"], strict=True):
            mean, half = mean_and_half_width(own)
            cells += [str(published), f"{mean:.1f} ± {half:.1f}"]
        rows.append((kind, *cells))
    header = ["pooling"]
    for size in numbers["sizes"]:
        header += [f"{size:,} samples: published", "ours"]
    return [Table("Test accuracy (%); ours the mean of four seeds with Student's 95 % half width.", header, rows)]


def draw(numbers):
    """Draw accuracy by the number of samples, and what pooling adds to it."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9.5, 4.2))
    left, right = figure.subplots(1, 2)
    sizes, none = numbers["sizes"], 100 * np.asarray(numbers[KINDS[0]]["accuracy"]).mean(axis=1)
    for colour, kind in zip(COLOURS, KINDS, strict=False):
        accuracy, published = 100 * np.asarray(numbers[kind]["accuracy"]), np.asarray(PUBLISHED[kind])
        left.plot(sizes, accuracy.mean(axis=1), "o-", color=colour, label=kind)
        left.fill_between(sizes, accuracy.min(axis=1), accuracy.max(axis=1), color=colour, alpha=0.15, lw=0)
        right.plot(sizes, accuracy.mean(axis=1) - none, "o-", color=colour)
        for axis, shown in ((left, published), (right, published - PUBLISHED[KINDS[0]])):
            axis.plot(sizes, shown, "x:", color=colour, lw=1)
    left.plot([], [], "kx:", lw=1, label="published notebook")
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set_xlabel("training samples")
    left.set_ylabel("accuracy on 1,000 test samples (%)")
    right.set_ylabel("points above no pooling")
    left.legend()
    figure.suptitle("MNIST-1D, two convolutions of 20 features; mean of four seeds, lowest to highest")
    return figure


def verdict(numbers):
    """Say what follows."""
    means = {kind: 100 * np.mean(numbers[kind]["accuracy"], axis=1) for kind in KINDS}
    gains = {kind: means[kind] - means[KINDS[0]] for kind in KINDS[1:]}
    pooled = np.stack([gains["maximum"], gains["average"]])
    shrinks = bool((np.diff(pooled, axis=1) < 0).all())
    few, many = numbers["sizes"][0], numbers["sizes"][-1]
    helps = min(min(numbers[kind]["accuracy"][0]) for kind in KINDS[2:]) > max(
        max(numbers[kind]["accuracy"][0]) for kind in KINDS[:2]
    )
    assert helps
    word = "Reproduced" if shrinks else "Reproduced in part"
    furthest = max(abs(means[kind][i] - PUBLISHED[kind][i]) for kind in KINDS for i in range(len(numbers["sizes"])))
    least = min(min(numbers[kind]["train_loss"][0]) for kind in KINDS)
    most = max(max(numbers[kind]["train_loss"][0]) for kind in KINDS)
    return (
        f"**{word}.** With {few:,} samples the maximum adds {gains['maximum'][0]:.1f} points to the test accuracy and "
        f"the average {gains['average'][0]:.1f}: every pooled network is ahead of every one without. With {many:,} "
        f"they add {gains['maximum'][-1]:.1f} and {gains['average'][-1]:.1f}. A stride of 2, which leaves as few "
        f"numbers to the linear layer as pooling does, changes it by {gains['stride of 2'][0]:+.1f} and "
        f"{gains['stride of 2'][-1]:+.1f}. No mean is further than {furthest:.1f} points from the published seed.\n\n"
        f"All networks have learned the {few:,} samples (training loss {least:.1g} to {most:.1g}), so that what "
        "differs is what they make of others. The stride shows that fewer numbers are not what helps: looking at "
        "every place, and then forgetting a little of where something was, is."
    )
