r"""Degradation: plain and residual networks by depth.

He, Zhang, Ren & Sun (2016) saw that a plain network of 56 layers ends with a higher *training* error than one of 20, on
images, with batch normalisation in both; they call it degradation, since it is no overfitting. With a path around every
two layers, $x + f(x)$, the deeper network is at least as good.

**What is scaled down.** Dense layers of 40 units in place of convolutions, [digits of one dimension](mnist1d.md) in
place of colour pictures. A block is two dense layers, each with batch normalisation, and ReLU after the first and after
the block; in the residual network the path leads around both, to before the last ReLU, as in the paper. There are 1, 4
or 16 blocks, that is 4, 10 or 34 layers with the first and the last. Momentum of 0.9 as in the paper, at rates of
0.01 and 0.1, batches of 100, 1,200 updates, four seeds. What is compared is the training loss of the last epoch, at the
better rate of the two, by the mean over the seeds. The blocks of a network are one `fn.Repeat`. Other work shared the
machine.
"""

import numpy as np

import funcnet as fn
from experiments.reproductions.mnist1d import data, mean_and_half_width
from experiments.study import Table

KINDS, BLOCKS, RATES, WIDTH, SEEDS, EPOCHS = ("plain", "residual"), (1, 4, 16), (0.01, 0.1), 40, 4, 30


def network(kind, blocks, width=WIDTH):
    """Return a network of so many blocks."""
    body = [fn.Dense(width, bias=False), fn.BatchNorm(), fn.relu, fn.Dense(width, bias=False), fn.BatchNorm()]
    block = fn.Chain(*(body if kind == "plain" else [fn.Residual(*body)]), fn.relu)
    first = fn.Dense(width, bias=False), fn.BatchNorm(), fn.relu
    return fn.Chain(*first, fn.Repeat(block, blocks), fn.Dense(10))


def measure(small):
    """Return training losses by epoch and test accuracies, by kind, number of blocks, rate and seed."""
    train, test = data()
    blocks, seeds, epochs = ((2,), 2, 1) if small else (BLOCKS, SEEDS, EPOCHS)
    found = {"blocks": blocks}
    for kind in KINDS[1:] if small else KINDS:
        found[kind] = []
        for count in blocks:
            net = network(kind, count, 5 if small else WIDTH)
            base = fn.Experiment(
                net, fn.SoftmaxCrossEntropy(), fn.SGD(0.1, momentum=0.9), batch_size=100, epochs=epochs
            )
            trials = fn.grid(base, {"optimizer.learning_rate": RATES, "seed": range(seeds)})
            results = fn.sweep(trials, train, test=test, progress=False)
            curves = [results.curves(i)["train_loss"] for i in range(len(trials))]
            shape = (len(RATES), seeds)
            found[kind].append(
                {
                    "loss": np.reshape(curves, (*shape, epochs)).mean(axis=1),
                    "last": np.reshape([curve[-1] for curve in curves], shape),
                    "test": results.table()["test_accuracy"].reshape(shape),
                }
            )
    return found


def better(own):
    """Return which rate ends at the least mean training loss."""
    return int(np.argmin(np.nan_to_num(np.asarray(own["last"], float).mean(axis=1), nan=np.inf)))


def layers(blocks):
    """Return the number of dense layers."""
    return 2 + 2 * blocks


def tables(numbers):
    """Show losses by depth."""
    rows = []
    for kind in KINDS:
        for blocks, own in zip(numbers["blocks"], numbers[kind], strict=True):
            best = better(own)
            loss, half = (value / 100 for value in mean_and_half_width(own["last"][best]))
            accuracy, around = mean_and_half_width(own["test"][best])
            rows.append(
                (kind, layers(blocks), RATES[best], f"{loss:.3f} ± {half:.3f}", f"{accuracy:.1f} ± {around:.1f}")
            )
    header = ("network", "layers", "rate", "training loss at the end", "test accuracy, %")
    return [Table("Four seeds, mean and Student's 95 % half width, at the rate that ends lower.", header, rows)]


def draw(numbers):
    """Draw the training loss by epoch and by depth."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(10, 4.2))
    panels = figure.subplots(1, 3, sharey=True)
    for axis, kind, line in zip(panels, KINDS, ("o-", "s-"), strict=False):
        for colour, blocks, own in zip(COLOURS, numbers["blocks"], numbers[kind], strict=False):
            curve = own["loss"][better(own)]
            axis.semilogy(1 + np.arange(len(curve)), curve, color=colour, label=f"{layers(blocks)} layers")
        axis.set(xlabel="epoch of 40 updates", title=kind)
        depth = [layers(blocks) for blocks in numbers["blocks"]]
        last = [np.asarray(own["last"][better(own)]) for own in numbers[kind]]
        colour = COLOURS[4 + KINDS.index(kind)]
        panels[2].plot(depth, [each.mean() for each in last], line, color=colour, label=kind)
        panels[2].fill_between(
            depth, [each.min() for each in last], [each.max() for each in last], color=colour, alpha=0.2, lw=0
        )
        axis.legend()
    panels[0].set_ylabel("training loss (nats)")
    panels[2].set(xlabel="layers", title="at the end; lowest to highest seed")
    panels[2].legend()
    return figure


def verdict(numbers):
    """Say what follows."""
    last = {kind: [float(np.mean(own["last"][better(own)])) for own in numbers[kind]] for kind in KINDS}
    depth = [layers(blocks) for blocks in numbers["blocks"]]
    least = {kind: int(np.argmin(last[kind])) for kind in KINDS}
    degrades = {kind: last[kind][-1] / min(last[kind]) for kind in KINDS}
    plain, residual = last["plain"][-1], last["residual"][-1]
    assert degrades["plain"] > 1.2
    assert max(numbers["residual"][-1]["last"][better(numbers["residual"][-1])]) < min(
        np.ravel(numbers["plain"][-1]["last"])
    )
    whole = degrades["residual"] < 1.2
    assert whole or least["residual"] == 0
    word = "Holds" if whole else "Holds in part"
    rest = "" if whole else ", though it too learns its samples best when shallow"
    return (
        f"**{word}: the plain network degrades with depth, the residual one far less.** The plain network learns its "
        f"samples best with {depth[least['plain']]} layers (training loss {min(last['plain']):.2f}); with {depth[-1]} "
        f"it ends at {plain:.2f}. The residual network goes from {last['residual'][0]:.2f} with {depth[0]} layers to "
        f"{residual:.2f} with {depth[-1]}: every seed of it is below every plain one of that depth{rest}.\n\n"
        f"All losses still fall when training ends, after {len(numbers['plain'][0]['loss'][0])} epochs: this is how "
        "fast networks of a depth learn, and what they would come to in the end is not measured. As in the paper, "
        "normalisation alone does not make a deep plain network trainable: here it stands behind every hidden layer "
        "of both."
    )
