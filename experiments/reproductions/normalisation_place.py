r"""Where a transformer is normalised: warm-up before and after.

The transformer of 2017 normalises behind each residual sum, LN(x + f(x)); GPT-2 before each part, x + f(LN(x)), and
once at the end. Xiong et al. (2020, *On layer normalization in the transformer architecture*) show that the first needs
a rate that rises slowly at the beginning, and that the second does without: at the start the gradients near the output
are large in the one, and well-behaved in the other.

In small: six blocks 64 wide with 4 heads on the characters of *Moby-Dick* (`fn.data.moby_dick()`), windows of 32,
batches of 16, Adam, no clipping, 300 steps; rates of 0.001 and 0.01, at once or risen to in 100 steps. Both begin with
the same kind of values. Judged is the loss on windows of the validation chapters.
"""

import numpy as np

import funcnet as fn
from experiments.reproductions._texts import Drawn, counted, novel
from experiments.study import Table

CONTEXT, WIDTH, HEADS, DEPTH, BATCH, UPDATES = 32, 64, 4, 6, 16, 50
RATES, WARMUPS = (1e-3, 1e-2), (0, 100)
PLACES = ("behind (post-norm)", "before (pre-norm)")


def network(kinds, place, width=WIDTH, depth=DEPTH):
    """Return a transformer that is normalised behind each sum, or before each part."""
    attention = fn.Attention(HEADS, causal=True)
    dense = (fn.Dense(4 * width), fn.GELU(approximate=True), fn.Dense(width))
    if place == PLACES[0]:
        block = fn.Chain(fn.Residual(attention), fn.LayerNorm(), fn.Residual(*dense), fn.LayerNorm())
        last = ()
    else:
        block = fn.Chain(fn.Residual(fn.LayerNorm(), attention), fn.Residual(fn.LayerNorm(), *dense))
        last = (fn.LayerNorm(),)
    first = (fn.Embedding(kinds, width), fn.Positions(CONTEXT))
    return fn.Chain(*first, fn.Repeat(block, depth), *last, fn.Dense(kinds))


def measure(small):
    """Return validation losses by place, warm-up, rate and epoch of 50 steps."""
    kinds, (train, validation, _) = novel()
    held = fn.data.TokenWindows(validation, CONTEXT, stride=(100 if small else 8) * CONTEXT)
    updates, epochs, size = (2, 1, (8, 1)) if small else (UPDATES, 6, (WIDTH, DEPTH))
    found = {}
    for place in PLACES:
        for warmup in WARMUPS[:1] if small else WARMUPS:
            for rate in RATES[:1] if small else RATES:
                experiment = fn.Experiment(
                    network(len(kinds), place, *size),
                    fn.SoftmaxCrossEntropy(),
                    fn.Adam(fn.Warmup(warmup, rate)),
                    batch_size=4 if small else BATCH,
                    epochs=epochs,
                )
                source = Drawn(train, CONTEXT, updates * experiment.batch_size, seed=0)
                run = fn.train(experiment, source, held, progress=False)
                losses = run.history["validation_loss"]
                # A run that diverged ends early: what it had is not a result.
                own = list(losses) if run.stopped != "diverged" else [*losses, float("nan")]
                found.setdefault(place, {}).setdefault(str(warmup), {})[f"{rate:g}"] = own
    return {"losses": found, "counted": counted(train, validation, len(kinds), 1)}


def tables(numbers):
    """Show the last losses."""
    rows = [
        (place, f"{warmup} steps" if warmup != "0" else "none", *(f"{float(own[-1]):.2f}" for own in by_rate.values()))
        for place, by_warmup in numbers["losses"].items()
        for warmup, by_rate in by_warmup.items()
    ]
    frequency, pair = numbers["counted"]
    runs = [own for found in numbers["losses"].values() for by in found.values() for own in by.values()]
    highest = np.nanmax([float(loss) for own in runs for loss in own])
    caption = (
        f"Validation loss in nats a character after {UPDATES * 6} steps. By the frequency of characters alone it is "
        f"{frequency:.2f}, by that of pairs {pair:.2f}. The picture ends at 3.4; the highest loss on the way is "
        f"{highest:.1f}."
    )
    return [Table(caption, ("normalised", "warm-up", *(f"rate {rate:g}" for rate in RATES)), rows)]


def draw(numbers):
    """Draw the loss by step, a panel for each rate."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 3.8))
    panels = figure.subplots(1, len(RATES), sharey=True)
    for axes, rate in zip(panels, RATES, strict=True):
        for colour, place in zip(COLOURS, PLACES, strict=False):
            for warmup, line in zip(WARMUPS, ("-", "--"), strict=True):
                losses = np.asarray(numbers["losses"][place][str(warmup)][f"{rate:g}"], float)
                steps = UPDATES * np.arange(1, len(losses) + 1)
                words = "warm-up of 100" if warmup else "no warm-up"
                axes.plot(steps, losses, line, color=colour, label=f"{place.split()[0]}, {words}")
        axes.axhline(numbers["counted"][0], color="#23272d", ls=":", lw=1, label="frequency of characters")
        axes.set(xlabel="steps", title=f"rate {rate:g}", xlim=(0, 310), ylim=(2.2, 3.4))
    panels[0].set(ylabel="validation loss (nats a character)")
    panels[0].legend(fontsize=7.5)
    return figure


def verdict(numbers):
    """Say what follows."""
    last = {
        place: {warmup: {rate: float(own[-1]) for rate, own in by_rate.items()} for warmup, by_rate in found.items()}
        for place, found in numbers["losses"].items()
    }
    without, slow = (str(warmup) for warmup in WARMUPS)
    frequency = numbers["counted"][0]
    best = {(place, warmup): min(by.values()) for place, found in last.items() for warmup, by in found.items()}
    # Stuck: hardly better than who knows the frequencies alone, a tenth of a nat.
    stuck = {key: [rate for rate, loss in last[key[0]][key[1]].items() if not loss < frequency - 0.1] for key in best}
    behind, before = PLACES
    gained = {place: best[place, without] - best[place, slow] for place in PLACES}
    needs, does_without = len(stuck[behind, without]) > len(stuck[behind, slow]), not stuck[before, without]
    if needs and does_without:
        bold = "Holds in small: without warm-up pre-norm learns at every rate, and post-norm does not"
    elif gained[behind] > 0.05 > gained[before]:
        bold = "Holds in part: warm-up lowers the loss of post-norm, and not that of pre-norm"
    elif does_without and stuck[behind, without] == stuck[behind, slow] != []:
        bold = (
            "Half of it holds: pre-norm learns at both rates without warm-up, and post-norm at the lower one alone; "
            "but warm-up does not help it"
        )
    else:
        bold = "Not reproduced at this size"

    def rates(place, warmup):
        return f"at {' and '.join(stuck[place, warmup])}" if stuck[place, warmup] else "at no rate"

    return (
        f"**{bold}.** Post-norm ends within a tenth of a nat of the frequencies of characters, or above, "
        f"{rates(behind, without)} without warm-up and {rates(behind, slow)} with it; pre-norm "
        f"{rates(before, without)} without and {rates(before, slow)} with. At the better of the two rates post-norm "
        f"ends at {best[behind, without]:.2f} nats without warm-up and {best[behind, slow]:.2f} with it, pre-norm at "
        f"{best[before, without]:.2f} and {best[before, slow]:.2f}. At 0.01 warm-up is worth "
        f"{last[before][without]['0.01'] - last[before][slow]['0.01']:.2f} nats to pre-norm. One seed each, six "
        "blocks, one length of warm-up: a longer one, or a deeper network, is another question."
    )
