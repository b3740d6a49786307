r"""Batch and group normalisation by the size of the batch.

Batch normalisation takes its mean and variance from the batch, so that a small batch makes them noisy; group
normalisation takes them from groups of the channels of one sample. Wu & He (2018) find, for a ResNet-50 on ImageNet,
24.1 % of errors with groups whatever the batch, against 34.7 % with batch normalisation at two images a worker, while
at 32 the batch is the better by half a point.

**What is scaled down.** The digits here are the 1,077 + 360 + 360 images of 8 × 8 pixels that ship with the package.
Three convolutions of 3 × 3 pixels with 8, 16 and 16 features, the last two with a stride of 2, a normalisation and ReLU
after each; the mean over the 2 × 2 places that are left, and ten logits. Groups are of four channels. Batches are of
4, 16 or 64 images, 6 epochs each; gradient descent with momentum 0.9 at a rate that goes with the batch, 0.1 at 64,
as in the paper; four seeds. The error is that on the 360 test images at the epoch of the least validation loss. Other
work shared the machine.
"""

import numpy as np

import funcnet as fn
from experiments.claims._resampling import mean_and_half_width
from experiments.study import Table

KINDS, BATCHES, SEEDS, EPOCHS, RATE = ("batch", "group"), (4, 16, 64), 4, 6, 0.1


def network(kind, widths=(8, 16, 16)):
    """Return the network with a normalisation of a kind."""
    layers = []
    for i, width in enumerate(widths):
        norm = fn.BatchNorm() if kind == "batch" else fn.GroupNorm(width // 4)
        layers += [fn.Conv(width, 3, stride=2 if i else 1, bias=False), norm, fn.relu]
    return fn.Chain(*layers, fn.GlobalAveragePool(), fn.Dense(10))


def measure(small):
    """Return test errors, validation errors and training losses by kind, batch and seed."""
    parts = [(x.reshape(-1, 8, 8, 1), y) for x, y in fn.data.digits()]
    batches, seeds, epochs = ((64,), 2, 1) if small else (BATCHES, SEEDS, EPOCHS)
    found = {"batches": batches}
    for kind in KINDS[1:] if small else KINDS:
        found[kind] = []
        for batch in batches:
            rule = fn.SGD(RATE * batch / 64, momentum=0.9)
            net = network(kind, (4, 4) if small else (8, 16, 16))
            base = fn.Experiment(net, fn.SoftmaxCrossEntropy(), rule, batch_size=batch, epochs=epochs)
            table = fn.sweep(fn.grid(base, {"seed": range(seeds)}), *parts, progress=False).table()
            found[kind].append(
                {
                    "test": 1 - np.asarray(table["test_accuracy"]),
                    "validation": 1 - np.asarray(table["validation_accuracy"]),
                    "loss": table["validation_loss"],
                }
            )
    return found


def tables(numbers):
    """Show errors by batch."""
    rows = []
    for i, batch in enumerate(numbers["batches"]):
        cells = []
        for kind in KINDS:
            mean, half = mean_and_half_width(numbers[kind][i]["test"])
            cells.append(f"{100 * mean:.2f} ± {100 * half:.2f}")
        rows.append((batch, *cells))
    header = ("images in a batch", "batch normalisation", "group normalisation")
    return [Table("Test error (%), mean of four seeds and Student's 95 % half width.", header, rows)]


def draw(numbers):
    """Draw the error by batch."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(6.8, 4.0)
    for colour, kind in zip(COLOURS, KINDS, strict=False):
        errors = 100 * np.asarray([own["test"] for own in numbers[kind]])
        axes.plot(numbers["batches"], errors.mean(axis=1), "o-", color=colour, label=f"{kind} normalisation")
        axes.fill_between(numbers["batches"], errors.min(axis=1), errors.max(axis=1), color=colour, alpha=0.15, lw=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers["batches"], [str(batch) for batch in numbers["batches"]])
    axes.set(xlabel="images in a batch", ylabel="error on 360 test images (%)", ylim=(0, None))
    axes.legend()
    axes.set_title("Small digits, three convolutions; mean of four seeds, lowest to highest")
    return figure


def verdict(numbers):
    """Say what follows."""
    first, last = ({kind: 100 * np.mean(numbers[kind][i]["test"]) for kind in KINDS} for i in (0, -1))
    small, large = numbers["batches"][0], numbers["batches"][-1]
    rise = {kind: first[kind] - last[kind] for kind in KINDS}
    if rise["batch"] <= 1:
        word = "Does not hold at this scale"
    else:
        word = "Holds" if rise["batch"] > 2 * abs(rise["group"]) else "Holds in part"
    return (
        f"**{word}: from batches of {large} images to batches of {small}, batch normalisation goes from "
        f"{last['batch']:.1f} to {first['batch']:.1f} % of errors, group normalisation from {last['group']:.1f} to "
        f"{first['group']:.1f} %.** One error on the 360 test images is 0.3 points: differences of less than a point "
        "say little."
    )
