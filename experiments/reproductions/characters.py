r"""A character model of 0.8 million parameters: a transformer on one novel.

nanoGPT's page gives a recipe for a computer without a GPU: a transformer of 4 layers with 4 heads, 128 wide, that reads
64 characters; 2,000 steps with 12 windows each, no dropout. On a megabyte of Shakespeare it ends with a validation loss
of 1.88 nats a character.

The same here, on the 84 chapters of *Moby-Dick* that ship with funcnet (`fn.data.moby_dick()`): 637 thousand characters
to learn from, nine other chapters of 69 thousand to validate, nine to test. The recipe's other numbers: AdamW with β₂ =
0.99 and a decay of 0.1, the gradient's norm held below 1, a rate that rises to 0.001 in 100 steps and falls to 0.0001
along a cosine. Windows begin at places drawn anew for each step. Every gradient is by the hand-derived backward passes.

Counting is the baseline: the probability of a character after the last k ones, from how often it followed them in the
training text, mixed with that after the last k − 1, and so on (5 imagined occurrences each). At the end the network
goes on with a text, character by character, at a temperature of 0.8.
"""

import time

import numpy as np

import funcnet as fn
from experiments.reproductions._texts import Drawn, counted, novel
from experiments.study import Table

PUBLISHED = 1.88  # nats, on another text
UPDATES, BATCH, ORDER = 100, 12, 6  # an epoch's; windows in each; characters counted before the next
PROMPTS = ("The whale", "CHAPTER 200. The ")


def experiment_of(kinds, small):
    """Return the recipe."""
    width, depth, heads, context = (16, 1, 2, 16) if small else (128, 4, 4, 64)
    epochs = 2 if small else 20
    rate = fn.Warmup(100, fn.Cosine(1e-3, 1900, final=1e-4))
    return context, fn.Experiment(
        fn.transformer(kinds, width, depth, heads, context),
        fn.SoftmaxCrossEntropy(),
        fn.ClipByNorm(fn.AdamW(rate, beta2=0.99, weight_decay=0.1), 1.0),
        batch_size=BATCH,
        epochs=epochs,
    )


def measure(small):
    """Return losses by epoch, those of counting, and what the network writes."""
    import jax

    kinds, (train, validation, test) = novel()
    context, experiment = experiment_of(len(kinds), small)
    updates = 5 if small else UPDATES
    source = Drawn(train, context, updates * BATCH, seed=0)
    # A quarter of the validation windows is enough for a curve.
    curve = fn.data.TokenWindows(validation, context, stride=4 * context)
    started = time.perf_counter()
    run = fn.train(experiment, source, curve, progress=False)
    seconds = time.perf_counter() - started
    found = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(run.params)),
        "kinds": len(kinds),
        "train": run.history["train_loss"],
        "validation": run.history["validation_loss"],
        "seconds": seconds,
        "counted": counted(train, validation, len(kinds), 2 if small else ORDER),
    }
    if small:
        return found
    for name, tokens in (("last_validation", validation), ("last_test", test)):
        windows = fn.data.TokenWindows(tokens, context)[:]
        found[name] = fn.evaluate(experiment.network, experiment.loss, run.params, *windows)["loss"]
    prompts = [fn.data.encode(prompt, kinds) for prompt in PROMPTS]
    draws = [
        fn.generate(experiment.network, run.params, prompt, 400, jax.random.key(0), temperature=0.8)
        for prompt in prompts
    ]
    found["samples"] = [fn.data.decode(drawn, kinds) for drawn in draws]
    return found


def tables(numbers):
    """Show the losses, and the time of a step as the benchmarks have it."""
    from experiments.benchmarks.page import read

    rows = [("uniform", float(np.log(numbers["kinds"])), np.log2(numbers["kinds"]))]
    for order, loss in enumerate(numbers["counted"]):
        rows.append(
            (f"counting, after the last {order}" if order else "counting, by frequency", loss, loss / np.log(2))
        )
    rows.append(("transformer", numbers["last_validation"], numbers["last_validation"] / np.log(2)))
    rows = [(name, f"{nats:.3f}", f"{bits:.3f}") for name, nats, bits in rows]
    losses = Table("Loss on the nine validation chapters.", ("model", "nats a character", "bits a character"), rows)
    names = {
        "funcnet": "`fn.train`, one device",
        "optax": "`jax.grad` and Optax, as Flax compiles it",
        "torch": "PyTorch, all threads",
    }
    times = read()["models"]["numbers"]["GPT"]["times"]
    steps = [
        (who, f"{1e3 * times[side]['seconds']:.0f}", f"{times[side]['ratio']:.2f}")
        for side, who in names.items()
        if side in times
    ]
    caption = (
        "The time of a step beside other libraries, 65 characters and plain Adam, in turns on a machine that did "
        "nothing else: from the [benchmarks](../benchmarks-in-detail.md#networks-of-layers)."
    )
    return [losses, Table(caption, ("who", "a step, ms", "time / ours"), steps)]


def draw(numbers):
    """Draw the loss by step, with counting and the published number."""
    from funcnet.figures import COLOURS, INK, figure_of

    figure, axes = figure_of(7.5, 4.4)
    steps = UPDATES * np.arange(1, len(numbers["validation"]) + 1)
    axes.plot(steps, numbers["train"], "--", color=COLOURS[0], label="training, mean of 100 steps")
    axes.plot(steps, numbers["validation"], "-o", ms=3, color=COLOURS[0], label="validation, a quarter of the windows")
    for order in (1, 2, len(numbers["counted"]) - 1):
        loss = numbers["counted"][order]
        axes.axhline(loss, color=COLOURS[1], lw=1)
        axes.text(2030, loss, f"counting,\nafter {order}", color=COLOURS[1], va="center", fontsize=8)
    axes.axhline(PUBLISHED, color=INK, ls=":", lw=1)
    axes.text(20, PUBLISHED, "nanoGPT, on Shakespeare", va="bottom", fontsize=8)
    axes.set(xlabel="steps of 12 windows of 64 characters", ylabel="loss (nats a character)", xlim=(0, 2000))
    axes.legend(loc="upper right")
    axes.set_title(f"A transformer of {numbers['parameters']:,} parameters on 84 chapters of Moby-Dick")
    return figure


def verdict(numbers):
    """Say what follows."""
    from experiments.benchmarks.page import read

    step = read()["models"]["numbers"]["GPT"]["times"]["funcnet"]["seconds"]
    last, best = numbers["last_validation"], min(numbers["counted"])
    order = numbers["counted"].index(best)
    texts = "\n\n".join(f"```text\n{sample}\n```" for sample in numbers["samples"])
    assert last < PUBLISHED
    assert best < last < numbers["counted"][2]
    return (
        f"**The recipe works as well here: {last:.2f} nats a character ({last / np.log(2):.2f} bits) on chapters that "
        f"it has not seen, where nanoGPT's page reports {PUBLISHED} on another text; but counting does better.** "
        "On the test chapters it is "
        f"{numbers['last_test']:.2f}. The best that counting finds, after the last {order} characters, is {best:.2f}: "
        "so few steps teach the network words of three letters or so. "
        f"The 2,000 steps, with the losses of the curve and compiling, took {numbers['seconds']:.0f} s on two cores "
        "that other work shared; at the time of a step on a quiet machine, in the last table, they take "
        f"{2000 * step:.0f} s.\n\nHow it goes on after *The whale*, and after the heading of a chapter that there is "
        f"not:\n\n{texts}"
    )
