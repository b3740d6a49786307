r"""Plain, LSTM, GRU and transformer at equal size on one text.

Karpathy, Johnson & Li (2015, *Visualizing and understanding recurrent networks*, table 1) compare recurrent networks of
matched sizes as character models of *War and Peace*, and find LSTM and GRU better than the plain network; with one
layer of the size of 64 LSTM units not by much yet: 1.446 nats for the plain one, 1.449 for the LSTM, 1.398 for the
GRU. Their text is not here, and the transformer is younger; so the order is what there is to see.

Four networks of 96 to 98 thousand parameters read windows of 64 characters of the 84 chapters of *Moby-Dick* that ship
with funcnet: an embedding of 32 and one layer of 256 plain units, of 128 LSTM or 148 GRU units, and a dense layer; and
a transformer of two blocks, 60 wide, with 4 heads. Each begins every window without memory. 500 steps of 16 windows
at places drawn anew, Adam, the gradient's norm held below 1, a rate that rises in 100 steps and falls to a tenth along
a cosine; rates of 0.003 and 0.01, of which the validation chapters choose; the test chapters judge.
"""

import numpy as np

import funcnet as fn
from experiments.reproductions._texts import Drawn, counted, novel
from experiments.study import Table

CONTEXT, BATCH, UPDATES, EPOCHS, RATES = 64, 16, 100, 5, (3e-3, 1e-2)


def networks(kinds, small):
    """Return the networks by name, all of about one size."""
    if small:
        layers, stack = {"GRU": fn.GRU(4)}, (8, 1, 2)
    else:
        layers, stack = {"plain (tanh)": fn.RNN(256), "LSTM": fn.LSTM(128), "GRU": fn.GRU(148)}, (60, 2, 4)
    chains = {name: fn.Chain(fn.Embedding(kinds, 32), layer, fn.Dense(kinds)) for name, layer in layers.items()}
    return chains | {"transformer": fn.transformer(kinds, *stack, CONTEXT)}


def measure(small):
    """Return parameters, losses by epoch and rate, and the test loss at the rate that was chosen."""
    import jax

    kinds, (train, validation, test) = novel()
    updates, epochs, batch = (2, 1, 4) if small else (UPDATES, EPOCHS, BATCH)
    curve = fn.data.TokenWindows(validation, CONTEXT, stride=(40 if small else 4) * CONTEXT)
    judged = fn.data.TokenWindows(test, CONTEXT)[: 10 if small else None]
    found = {}
    for name, network in networks(len(kinds), small).items():
        runs = []
        for rate in RATES[:1] if small else RATES:
            schedule = fn.Warmup(100, fn.Cosine(rate, 400, final=rate / 10))
            experiment = fn.Experiment(
                network,
                fn.SoftmaxCrossEntropy(),
                fn.ClipByNorm(fn.Adam(schedule), 1.0),
                batch_size=batch,
                epochs=epochs,
            )
            source = Drawn(train, CONTEXT, updates * batch, seed=0)
            runs.append(fn.train(experiment, source, curve, progress=False))
        last = [run.history["validation_loss"][-1] for run in runs]
        best = runs[int(np.argmin(last))]
        found[name] = {
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(best.params)),
            "rate": RATES[int(np.argmin(last))],
            "last": last,
            "curve": best.history["validation_loss"],
            "test": fn.evaluate(network, fn.SoftmaxCrossEntropy(), best.params, *judged)["loss"],
        }
    return {"models": found, "counted": counted(train, test, len(kinds), 1 if small else 3)}


def tables(numbers):
    """Show the losses."""
    rows = [
        (name, own["parameters"], *(f"{loss:.3f}" for loss in own["last"]), f"{own['rate']:g}", f"{own['test']:.3f}")
        for name, own in numbers["models"].items()
    ]
    header = ("network", "parameters", *(f"at {rate:g}" for rate in RATES), "chosen", "test")
    counting = ", ".join(f"{loss:.3f}" for loss in numbers["counted"])
    caption = (
        "Loss in nats a character after 500 steps: on the validation chapters by rate, and on the test chapters at "
        f"the rate that was chosen. Counting has, on the test chapters, after the last 0, 1, … characters: {counting}."
    )
    return [Table(caption, header, rows)]


def draw(numbers):
    """Draw the validation loss by step at the rates that were chosen."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(7.5, 4.2)
    for colour, (name, own) in zip(COLOURS, numbers["models"].items(), strict=False):
        steps = UPDATES * np.arange(1, len(own["curve"]) + 1)
        axes.plot(steps, own["curve"], "-o", ms=3, color=colour, label=f"{name}, rate {own['rate']:g}")
    axes.set(xlabel="steps of 16 windows of 64 characters", ylabel="validation loss (nats a character)", xlim=(0, 520))
    axes.legend()
    axes.set_title("Four networks of 96 to 98 thousand parameters on 84 chapters of Moby-Dick")
    return figure


def verdict(numbers):
    """Say what follows."""
    test = {name: own["test"] for name, own in numbers["models"].items()}
    sizes = [own["parameters"] for own in numbers["models"].values()]
    assert max(sizes) < 1.05 * min(sizes)
    plain, gated = test["plain (tanh)"], [test["LSTM"], test["GRU"]]
    order = ", ".join(f"{name} {loss:.3f}" for name, loss in sorted(test.items(), key=lambda item: item[1]))
    margin = plain - max(gated)
    if margin > 0.02:
        gain = f"{margin:.2f} to {plain - min(gated):.2f}"
        bold = f"The order holds: LSTM and GRU end {gain} nats below the plain network"
    elif margin < -0.02:
        bold = "The order does not hold here: a gated network ends above the plain one"
    else:
        bold = "Not told apart here: the worse of the gated networks is within 0.02 nats of the plain one"
    others = min(loss for name, loss in test.items() if name != "transformer")
    gap = test["transformer"] - others
    words = "ends above all three" if test["transformer"] > max(*gated, plain) else "is among them"
    words = f"ends {-gap:.2f} nats below all three" if gap < 0 else words
    counted = numbers["counted"]
    beaten = [order for order, loss in enumerate(counted) if loss > min(test.values())]
    return (
        f"**{bold}; the transformer {words}.** Nats a character on the test chapters: {order}. After 500 updates, "
        f"512,000 characters read, the best of them does better than counting after the last {beaten[-1]} "
        f"{'character' if beaten[-1] == 1 else 'characters'} ({counted[beaten[-1]]:.3f}). One seed each; which of two "
        "that end within some hundredths of each other is the better is not to be said."
    )
