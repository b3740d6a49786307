r"""Fashion-MNIST, mirrored: three convolutions.

[Two convolutions](convolutions.md) with batch normalisation end at 91.6 % of the test images: most of their 93,378
numbers sit in a dense layer, and they learn the training images better than they know others. This network is changed
where that points to. A third convolution takes the place of the hidden dense layer: 24, 48 and 96 features of 3 × 3
pixels, batch normalisation and ReLU after each, 2 × 2 max-pooling after the first two, dropout of 0.3, and 10 logits.
And while it learns, each image is mirrored left to right with probability ½: a shirt stays a shirt.

As there, 50,000 images to learn from, 10,000 to choose the epoch by, 10,000 to judge by, batches of 128, and Adam at
0.002, which falls to 0 along half a cosine, here over twenty epochs. A first recipe, with 16, 32 and 64 features and
twelve epochs, had 91.84 % of the test images; the widths and epochs of this one were settled by the validation images
alone, before its test accuracy was seen. One seed: an accuracy on 10,000 images has a standard error of 0.27 points at
92 %. Other work shared the machine, and the seconds below.

The picture shows the kernels of the first layer (blue below 0, red above), and what the second and the third
convolution make of one boot.
"""

import jax
import numpy as np

import funcnet as fn
from experiments.problems.convolutions import as_images, panel, picture
from experiments.problems.fashion import KINDS, images
from experiments.study import Table

WIDTHS, EPOCHS, RATE, BATCH = (24, 48, 96), 20, 0.002, 128
BEFORE, NORMALISED = "problems/convolutions", "with batch normalisation"  # the record of two convolutions


def network(widths=WIDTHS):
    """Return the network."""
    layers = [fn.RandomFlip(1)]
    for i, width in enumerate(widths):
        layers += [fn.Conv(width, 3, bias=False), fn.BatchNorm(), fn.relu]
        layers += [fn.MaxPool(2)] if i < 2 else []
    return fn.Chain(*layers, fn.Flatten(), fn.Dropout(0.3), fn.Dense(10))


def measure(small):
    """Return accuracies, what is confused, kernels and feature maps."""
    train, validation, test = map(as_images, images(small))
    net, epochs = network((2, 2, 3)) if small else network(), 1 if small else EPOCHS
    falling = fn.Adam(fn.Cosine(RATE, steps=epochs * -(-len(train[0]) // BATCH)))
    experiment = fn.Experiment(net, fn.SoftmaxCrossEntropy(), falling, batch_size=BATCH, epochs=epochs)
    run = fn.train(experiment, train, validation, progress=False, devices=None if small else jax.local_devices())
    classes = run.predict(test[0]).argmax(axis=1)
    found = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(run.params)),
        "accuracy": float((classes == test[1]).mean()),
        "epoch": run.best_epoch + 1,
        "validation": run.history["validation_accuracy"],
        "loss": run.history["train_loss"],
    }
    if small:
        return found
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (test[1], classes), 1)
    boot = test[0][np.flatnonzero(test[1] == KINDS.index("ankle boot"))[:1]]
    return found | {"confusion": confusion, "seen": seen(net, run.best_params, boot)}


def seen(net, params, image):
    """Return the kernels of the first convolution, and the maps of the last two, in 256 steps each."""
    active = [i + 1 for i, layer in enumerate(net.layers) if layer == fn.relu]
    kernels = np.asarray(params[1]["kernel"])[:, :, 0]
    shown = {"kernels": 0.5 + 0.5 * kernels / np.abs(kernels).max()}
    for number, end in zip((2, 3), active[1:], strict=True):
        maps = np.asarray(fn.Chain(*net.layers[:end]).apply(params[:end], image))[0]
        shown[f"convolution {number}"] = maps / maps.max()
    return {
        name: {"shape": array.shape, "bytes": np.rint(255 * array).astype(np.uint8).tobytes().hex()}
        for name, array in shown.items()
    }


def tables(numbers):
    """Show accuracies, beside those of two convolutions."""
    from experiments.study import record_of

    rows = []
    named = {"two convolutions, normalised": record_of(BEFORE)["full"][NORMALISED], "three, mirrored": numbers}
    for name, own in named.items():
        accuracies = own["validation"][own["epoch"] - 1], own["accuracy"]
        shown = [f"{100 * value:.2f}" for value in accuracies]
        rows.append((name, own["parameters"], own["epoch"], *shown, own["loss"][-1]))
    header = ("network", "numbers in it", "epoch kept", "validation, %", "test, %", "last training loss")
    return [Table("Accuracy on the 10,000 validation and the 10,000 test images, by the epoch kept.", header, rows)]


def draw(numbers):
    """Draw the validation accuracy by epoch, the kernels, and the maps of a boot."""
    from matplotlib.figure import Figure

    from experiments.study import record_of
    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 7.4))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    left, right = top.subfigures(1, 2, width_ratios=(1.5, 1))
    axis = left.subplots()
    curves = {
        "two convolutions, normalised": record_of(BEFORE)["full"][NORMALISED]["validation"],
        "three, mirrored": numbers["validation"],
    }
    for colour, (name, curve) in zip(COLOURS[1:], curves.items(), strict=False):
        axis.plot(1 + np.arange(len(curve)), 100 * np.asarray(curve), "o-", color=colour, label=name)
    axis.set(xlabel="epoch", ylabel="validation accuracy (%)", title="Fashion-MNIST, 50,000 images an epoch")
    axis.set_xticks(range(2, EPOCHS + 1, 2))
    axis.legend()
    panel(right, "24 kernels of 3 × 3, first layer", picture(numbers["seen"]["kernels"]), (4, 6), "RdBu_r")
    two, three = bottom.subfigures(1, 2)
    panel(
        two, "a boot after convolution 2: 48 maps, 14 × 14", picture(numbers["seen"]["convolution 2"]), (6, 8), "gray_r"
    )
    panel(three, "after convolution 3: 96 maps, 7 × 7", picture(numbers["seen"]["convolution 3"]), (8, 12), "gray_r")
    return figure


def verdict(numbers):
    """Say what follows."""
    from experiments.study import record_of

    before = record_of(BEFORE)["full"]
    was, now = 100 * before[NORMALISED]["accuracy"], 100 * numbers["accuracy"]
    chosen = 100 * numbers["validation"][numbers["epoch"] - 1]
    shirts = [np.asarray(own["confusion"])[6, 6] / 10 for own in (before, numbers)]
    assert numbers["parameters"] < 100_000
    aim = "past the 92 % that we aimed at" if now > 92 else "short of the 92 % that we aimed at"
    # Two standard errors of a difference of two accuracies on 10,000 images.
    clear = "more than" if abs(now - was) > 2 * 2**0.5 * 0.27 else "no more than"
    return (
        f"**{now:.1f} % of the test images in {numbers['parameters']:,} numbers, {aim}.** Two convolutions "
        f"with a hidden dense layer have {was:.1f} % in {before[NORMALISED]['parameters']:,}; the difference is "
        f"{clear} two of its standard errors. The list that comes with the set has 90.3 to 93.4 % for networks of two "
        "and three convolutions with batch normalisation.\n\n"
        f"The training loss ends at {numbers['loss'][-1]:.3f} instead of {before[NORMALISED]['loss'][-1]:.3f}. "
        f"{shirts[1]:.0f} % of the shirts are recognised, with two convolutions {shirts[0]:.0f} %. On the validation "
        f"images, by which the epoch is chosen, the network has {chosen:.1f} %."
    )
