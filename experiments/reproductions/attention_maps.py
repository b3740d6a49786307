r"""Attention drawn: what reversing and sorting look at.

Ten different letters of 26, a bar, and the same letters once more: reversed, or in the order of the alphabet, as in
*qhbxa|abhqx*. Both tasks are answered by looking at one place, the one where the letter stands that is due; so the
right weights of attention are known, and can be held against those that were learned. But that place is found in two
ways. Reversing goes by places alone, whatever letters stand there. Sorting goes by letters alone: who has just said *b*
looks for the least letter above it, wherever it is. Graves et al. (2014, *Neural Turing machines*) have such tasks, and
look at what their networks look at.

The network is one layer of attention with one head, 64 wide, a normalisation before it and one behind, between an
embedding and the logits; with learned positions, and without. Batches of 64 sequences drawn anew, 600 updates, Adam at
0.003 with the gradient's norm held below 1; the loss has the places behind the bar alone, and 1,000 other sequences
judge it. One seed each.

Attention never holds its weights; but it keeps Q, K and the logarithm L of each sum for the backward pass, and
P = exp(Q Kᵀ − L) is one line.
"""

import math
import string

import numpy as np

import funcnet as fn
from experiments.study import Table

LETTERS, COUNT = string.ascii_lowercase + "|", 10
PLACES = 2 * COUNT
WIDTH, BATCH, UPDATES, EPOCHS = 64, 64, 25, 24
TASKS, POSITIONS = ("reversing", "sorting"), ("with positions", "without")
# Who knows which letters there are and which of them have been said: the mean of ln of how many are left.
GUESSING = math.log(math.factorial(COUNT)) / COUNT


def sequences(task, count, rng):
    """Return tokens (sequences, places), those that follow, weights of 1 behind the bar, and the places to look at."""
    alphabet = np.tile(np.arange(26, dtype=np.int32), (count, 1))
    letters = rng.permuted(alphabet, axis=1)[:, :COUNT]
    looks = np.tile(np.arange(COUNT)[::-1], (count, 1)) if task == TASKS[0] else np.argsort(letters, axis=1)
    due = np.take_along_axis(letters, looks, axis=1)
    tokens = np.concatenate([letters, np.full((count, 1), 26, np.int32), due], axis=1)
    weight = np.tile((np.arange(PLACES) >= COUNT).astype(np.float32), (count, 1))
    return tokens[:, :-1], tokens[:, 1:], weight, looks


class Endless:
    """A source of sequences drawn anew in each read; so many make an epoch."""

    def __init__(self, task, count, seed):
        self.task, self.count, self.rng = task, count, np.random.default_rng(seed)

    def __len__(self):
        return self.count

    def __getitem__(self, rows):
        return sequences(self.task, len(rows), self.rng)[:3]


def network(places, width):
    """Return one layer of attention between an embedding and the logits."""
    first = (fn.Embedding(len(LETTERS), width), *((fn.Positions(PLACES),) if places == POSITIONS[0] else ()))
    block = fn.Residual(fn.LayerNorm(), fn.Attention(1, causal=True))
    return fn.Chain(*first, block, fn.LayerNorm(), fn.Dense(len(LETTERS)))


def looked(model, params, x):
    """Return the weights of the layer of attention, (samples, queries, keys)."""
    import jax.numpy as jnp

    at = next(i for i, layer in enumerate(model.layers) if isinstance(layer, fn.Residual))
    h = fn.Chain(*model.layers[:at]).apply(params[:at], x)
    norm, attention = model.layers[at].body.layers
    q, k, log = (attention.forward(params[at][1], norm.apply(params[at][0], h))[1][i] for i in (3, 4, 7))
    p = jnp.exp(jnp.einsum("nighd,njgd->nghij", q, k) - log[..., None])
    return np.tril(np.asarray(p)[:, 0, 0])


def measure(small):
    """Return losses by epoch, the share of right letters, that of the weight at the right places, and one map each."""
    updates, epochs, count, width = (4, 1, 50, 8) if small else (UPDATES, EPOCHS, 1000, WIDTH)
    found = {}
    for task in TASKS:
        x, y, weight, looks = sequences(task, count, np.random.default_rng(1000))
        for places in POSITIONS[:1] if small else POSITIONS:
            model = network(places, width)
            experiment = fn.Experiment(
                model, fn.SoftmaxCrossEntropy(), fn.ClipByNorm(fn.Adam(0.003), 1.0), batch_size=BATCH, epochs=epochs
            )
            run = fn.train(experiment, Endless(task, updates * BATCH, 0), (x, y, weight), progress=False)
            p = looked(model, run.params, x)[:, COUNT:]
            at = np.take_along_axis(p, looks[..., None], axis=-1)[..., 0]
            found[f"{task}, {places}"] = {
                "loss": run.history["validation_loss"],
                "right": run.history["validation_accuracy"][-1],
                "weight": at.mean(),
                "map": [] if small else np.round(p[0], 3),
                "looks": [] if small else looks[0],
                "text": fn.data.decode(np.append(x[0], y[0, -1]), LETTERS),
            }
    return found


def tables(numbers):
    """Show losses, right letters, and how much weight lies at the right places."""
    rows = [
        (name, f"{own['loss'][-1]:.3f}", f"{100 * own['right']:.1f}", f"{100 * own['weight']:.0f}")
        for name, own in numbers.items()
    ]
    caption = (
        "On 1,000 other sequences, behind the bar: cross-entropy in nats, letters that are right, and how much of the "
        "weight lies at the place of the letter that is due. Who knows which letters are left and guesses among them "
        f"has {GUESSING:.3f} nats and is right in {100 * sum(1 / n for n in range(1, COUNT + 1)) / COUNT:.1f} %."
    )
    return [Table(caption, ("task", "loss", "right (%)", "weight (%)"), rows)]


def draw(numbers):
    """Draw the losses by update, and the weights of both tasks on one sequence."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS, INK

    figure = Figure(figsize=(13, 3.8))
    left, *panels = figure.subplots(1, 3, width_ratios=(1, 1.25, 1.25))
    for i, (name, own) in enumerate(numbers.items()):
        steps = UPDATES * np.arange(1, len(own["loss"]) + 1)
        left.plot(steps, own["loss"], "--" if i % 2 else "-", color=COLOURS[i // 2], label=name)
    left.axhline(GUESSING, color=INK, ls=":", lw=1, label="guessing among those left")
    left.set(xlabel="updates of 64 sequences", ylabel="cross-entropy behind the bar (nats)", ylim=(0, None))
    left.legend(fontsize=8, loc="center right", bbox_to_anchor=(1, 0.68))
    for axes, task in zip(panels, TASKS, strict=True):
        own = numbers[f"{task}, {POSITIONS[0]}"]
        axes.imshow(np.asarray(own["map"]), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.plot(own["looks"], range(COUNT), "s", ms=11, mfc="none", mec=COLOURS[1], mew=1)
        axes.set_xticks(range(PLACES), own["text"][:PLACES])
        axes.set_yticks(
            range(COUNT), [f"{a}→{b}" for a, b in zip(own["text"][COUNT:-1], own["text"][COUNT + 1 :], strict=True)]
        )
        axes.grid(visible=False)
        axes.set(xlabel="what is looked at", ylabel="who looks → what is due")
        axes.set_title(f"Weights of {task}; squares: the right places")
    return figure


def verdict(numbers):
    """Say what follows."""
    right = {name: 100 * own["right"] for name, own in numbers.items()}
    weight = {name: 100 * own["weight"] for name, own in numbers.items()}
    both = [f"{task}, {POSITIONS[0]}" for task in TASKS]
    solved = all(right[name] > 95 for name in both)
    seen = [task for task, name in zip(TASKS, both, strict=True) if weight[name] > 80]
    if solved and len(seen) == 2:
        bold = "Both tasks are solved, and the weights lie where the letters stand that are due"
    elif solved and seen:
        bold = f"Both tasks are solved; only {seen[0]} has nearly all of its weight where it must look"
    else:
        bold = "Not all of it is as expected"
    first, second = both
    without = [right[f"{task}, {POSITIONS[1]}"] for task in TASKS]
    lost = [right[name] - alone for name, alone in zip(both, without, strict=True)]
    places = "Reversing needs to know places" if lost[0] > 50 else "Reversing does not need to know places"
    letters = "sorting goes by letters, mostly" if lost[1] < 25 else "sorting needs them too"
    return (
        f"**{bold}.** With positions {right[first]:.1f} % of the letters are right when reversing, with "
        f"{weight[first]:.0f} % of the weight at the place of the letter that is due, and {right[second]:.1f} % when "
        f"sorting, with {weight[second]:.0f} %. {places}: without positions {without[0]:.1f} % are right; {letters}: "
        f"without positions {without[1]:.1f} %. Weights are a mean and not an answer: a letter can be right where "
        "other places have a part of the weight, so a map alone does not say what a network does."
    )
