r"""K9: what dropout does to the hidden units, and to the error.

> Dropout randomly drops out some neurons during training to prevent co-adaptation among neurons. (B2) […] forces the
> model to learn robust representations that are invariant to noise. This helps reduce overfitting and improves
> generalization performance. (B3.8; A2.4 and A3.4 say the same)

Networks with one hidden layer of ReLU units learn the handwritten digits, with dropout of the hidden units at five
rates, for three widths and three sizes of the training set. Each of ten repetitions draws its own training images and
initial parameters; the five rates share them, so that differences between rates are paired. All train for 2,000 updates
of Adam at 0.002 on batches of 50, by when networks without dropout fit every training image. The rate is chosen on the
360 validation images, by their mean error over the repetitions, and its error is that of the 360 test images. Where no
rate is chosen, errors are those of all 720 images that no network has learned from.

Co-adaptation is measured in two ways, on the 720 images, without dropout:

- the **correlation** of activations: the mean of |r| over all pairs of hidden units that are not constant;
- **removal**: a random half of the hidden units is taken away, the others count double, and the error is taken again
  (mean over ten such halves). Units that rely on each other fail together.

The second is close to what dropout trains for, and says whether it succeeds; the first is nobody's objective.
"""

import numpy as np

import funcnet as fn
from experiments.claims._resampling import mean_and_half_width, train_all
from experiments.study import Table

RATES = (0.0, 0.1, 0.25, 0.5, 0.75)
REMOVED = (0.0, 0.25, 0.5, 0.75)
BATCH = 50


def measure(small):
    """Return errors and co-adaptation by size of the training set, width and rate."""
    digits = fn.data.digits()
    held = np.concatenate([digits.validation[0], digits.test[0]])
    labels = np.concatenate([digits.validation[1], digits.test[1]])
    repetitions, updates, rates = (3, 20, RATES[::3]) if small else (10, 2000, RATES)
    found = []
    for samples in (100,) if small else (100, 300, len(digits.train[1])):
        rows = [np.random.default_rng(r).permutation(len(digits.train[1]))[:samples] for r in range(repetitions)]
        drawn = [(digits.train[0][own], digits.train[1][own]) for own in rows]
        for width in (16,) if small else (16, 64, 256):
            base = fn.Experiment(
                fn.mlp(width, 10, dropout=0.0),
                fn.SoftmaxCrossEntropy(),
                fn.Adam(0.002),
                batch_size=BATCH,
                epochs=round(updates / -(-samples // BATCH)),
            )
            uniform = np.random.default_rng(0).random((10, width))
            # A mask keeps the units whose numbers rank above the fraction removed: fractions are exact and nested.
            ranks = uniform.argsort(axis=1).argsort(axis=1)
            masks = np.stack([(ranks >= part * width) / (1 - part) for part in REMOVED]).astype(np.float32)
            runs = train_all(fn.grid(base, {"network.layers.2.rate": rates}), drawn, looked_into, (held, masks))
            for rate, run in zip(rates, runs, strict=True):
                wrong = run["predicted"] != labels  # repetitions × fractions × masks × images
                found.append(
                    {
                        "samples": samples,
                        "width": width,
                        "rate": rate,
                        "validation": wrong[:, 0, 0, : len(digits.validation[1])].mean(axis=1),
                        "test": wrong[:, 0, 0, len(digits.validation[1]) :].mean(axis=1),
                        "train": run["train"],
                        "correlation": run["correlation"],
                        "removed": wrong.mean(axis=(2, 3)),
                    }
                )
    return {"cells": found}


def looked_into(experiment, data, state, x):
    """Return predictions with parts of the hidden units removed, their correlation, and the training error."""
    import jax
    import jax.numpy as jnp

    images, masks = x
    first, _, _, last = state.params
    hidden = jnp.maximum(images @ first["kernel"] + first["bias"], 0)
    logits = jax.vmap(jax.vmap(lambda mask: (hidden * mask) @ last["kernel"] + last["bias"]))(masks)
    centred = hidden - hidden.mean(axis=0)
    size = jnp.sqrt(jnp.sum(centred**2, axis=0))
    alive = size > 1e-6
    unit = jnp.where(alive, centred / jnp.where(alive, size, 1), 0)
    pairs = alive.sum() * (alive.sum() - 1)
    correlation = (jnp.abs(unit.T @ unit).sum() - alive.sum()) / pairs
    own = experiment.network.apply(state.params, data.x).argmax(axis=1)
    return {"predicted": logits.argmax(axis=-1), "correlation": correlation, "train": jnp.mean(own != data.y)}


def by_cell(numbers):
    """Return, for each size and width, the cells by rate."""
    found = {}
    for cell in numbers["cells"]:
        found.setdefault((cell["samples"], cell["width"]), {})[cell["rate"]] = cell
    return found


def chosen(cells):
    """Return the rate with the least mean validation error."""
    return min(cells, key=lambda rate: np.mean(cells[rate]["validation"]))


def held_out(cell, part=0.0):
    """Return the errors of the repetitions on all held-out images, with a part of the hidden units removed."""
    return np.asarray(cell["removed"])[:, REMOVED.index(part)]


def halved(cell):
    """Return the errors of the repetitions with half of the hidden units removed."""
    return held_out(cell, 0.5)


def change(cells, rate, measured=held_out):
    """Return how much more a rate has than no dropout: mean and half width of the paired differences."""
    return mean_and_half_width(np.subtract(measured(cells[rate]), measured(cells[0.0])))


def tested(cell):
    """Return the errors of the repetitions on the test images."""
    return cell["test"]


def percent(values):
    """Write mean and half width in percent."""
    return "{:.1f} ± {:.1f}".format(*(100 * v for v in mean_and_half_width(values)))


def points(pair):
    """Write a difference and its half width in points of percent."""
    return "{:+.1f} ± {:.1f}".format(*(100 * v for v in pair))


def tables(numbers):
    """Show the chosen rate beside none for every size and width, and all rates for the largest."""
    cells = by_cell(numbers)
    rows = [
        (
            samples,
            width,
            percent(held_out(own[0.0])),
            points(change(own, 0.1)),
            points(change(own, 0.5)),
            f"{chosen(own):g}",
            percent(tested(own[0.0])),
            points(change(own, chosen(own), tested)) if chosen(own) else "–",
        )
        for (samples, width), own in cells.items()
    ]
    header = (
        "images",
        "units",
        "no dropout",
        "rate 0.1",
        "rate 0.5",
        "chosen rate",
        "no dropout, test",
        "chosen, test",
    )
    last = list(cells)[-1]
    more = [
        (
            f"{rate:g}",
            percent(held_out(cell)),
            percent(cell["train"]),
            "{:.3f} ± {:.3f}".format(*mean_and_half_width(cell["correlation"])),
            percent(halved(cell)),
        )
        for rate, cell in cells[last].items()
    ]
    words = "mean and 95 % half width over ten repetitions"
    return [
        Table(f"Error without dropout (%), and its change with dropout (points): {words}, paired.", header, rows),
        Table(
            f"{last[0]:,} images, {last[1]} units; errors in percent.",
            ("rate", "error", "training error", "correlation", "error with half of the units removed"),
            more,
        ),
    ]


def draw(numbers):
    """Draw the test error by rate for each size, the two measures by rate, and the error by the part removed."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    cells = by_cell(numbers)
    sizes, widths = ([*dict.fromkeys(key[i] for key in cells)] for i in (0, 1))
    figure = Figure(figsize=(9, 6.2))
    panels = figure.subplots(2, 3)

    def lines(panel, samples, measured, unit):
        for colour, width in zip(COLOURS, widths, strict=False):
            own = cells[samples, width]
            values = np.asarray([mean_and_half_width(measured(cell)) for cell in own.values()]) * unit
            panel.errorbar(list(own), values[:, 0], values[:, 1], color=colour, capsize=2, label=f"{width} units")
        panel.set(xlabel="dropout rate", xlim=(-0.03, 0.78))

    for panel, samples in zip(panels[0], sizes, strict=True):
        lines(panel, samples, held_out, 100)
        panel.set(title=f"{samples:,} images", ylim=(0, None))
    panels[0][0].set_ylabel("error on held-out images (%)")
    panels[0][0].legend()
    lines(panels[1][0], sizes[-1], lambda cell: cell["correlation"], 1)
    panels[1][0].set(title=f"Correlation, {sizes[-1]:,} images", ylabel="mean |r| of two hidden units")
    lines(panels[1][1], sizes[-1], halved, 100)
    panels[1][1].set(title="Half of the units removed", ylabel="error (%)", ylim=(0, None))
    panel = panels[1][2]
    for colour, (rate, cell) in zip(COLOURS[2:] + COLOURS, cells[sizes[-1], widths[-1]].items(), strict=False):
        removed = 100 * np.asarray(cell["removed"])
        panel.plot([100 * part for part in REMOVED], removed.mean(axis=0), "o-", ms=3, color=colour, label=f"{rate:g}")
    panel.set(title=f"{widths[-1]} units, by dropout rate", xlabel="units removed (%)", ylabel="error (%)")
    panel.legend(title="rate", fontsize=8)
    figure.suptitle("Digits, one hidden layer of ReLU units, Adam; ten repetitions, bars: 95 %")
    return figure


def verdict(numbers):
    """Say what follows."""
    cells = by_cell(numbers)
    sizes, widths = ([*dict.fromkeys(key[i] for key in cells)] for i in (0, 1))
    most, narrow, wide = sizes[-1], widths[0], widths[-1]
    large = cells[most, wide]
    for own in cells.values():
        for rate in RATES[1:]:
            difference, half = change(own, rate, halved)
            assert difference + half < 0
    falls = {key: change(own, 0.5, lambda cell: cell["correlation"]) for key, own in cells.items()}
    sure = [key for key, (difference, half) in falls.items() if difference + half < 0]
    assert (most, wide) in sure
    assert len(sure) > len(cells) / 2
    assert all(-0.05 < difference < 0 for difference, _ in falls.values())
    plain, half_rate = large[0.0], large[0.5]
    for samples in sizes:
        difference, half = change(cells[samples, narrow], 0.5)
        assert difference - half > 0
    gains = {key: change(own, 0.5) for key, own in cells.items()}
    won = [
        f"{key[0]:,} images and {key[1]} units" for key, (difference, half) in gains.items() if difference + half < 0
    ]
    assert won
    assert all(key[1] > narrow for key, (difference, half) in gains.items() if difference < 0)
    best = min(gains.values())
    assert all(gains[samples, wide][0] < 0 for samples in sizes)
    helped = [own for own in cells.values() if chosen(own) and sum(change(own, chosen(own), tested)) < 0]
    hurt = np.mean(held_out(cells[most, narrow][0.5])) / np.mean(held_out(cells[most, narrow][0.0]))
    return (
        "**Holds with conditions.** *Co-adaptation:* yes, if it means that units need each other. With a random half "
        f"of its units removed, the largest network errs on {percent(halved(plain))} % of the images without dropout, "
        f"and on {percent(halved(half_rate))} % if it was trained at rate 0.5; every rate lowers this at every width "
        "and size. That is nearly what dropout trains for. Correlations between units, which it does not, move "
        f"little: at rate 0.5 they are lower by more than the interval in {len(sure)} of {len(cells)} cases, by "
        f"{-falls[most, wide][0]:.3f} from {np.mean(plain['correlation']):.3f} in the largest network.\n\n"
        f"*Generalization:* only if the network is large enough, and here by little. Networks of {narrow} units lose "
        f"at rate 0.5 at every size of the training set, with {most:,} images by a factor of {hurt:.1f}: it leaves "
        f"them {narrow // 2} units at a time. Those of {wide} units change by "
        + ", ".join(f"{points(gains[samples, wide])}" for samples in sizes)
        + f" points with {', '.join(f'{samples:,}' for samples in sizes)} images; at this rate the gain exceeds its "
        f"interval with {' and with '.join(won)}, and is {-100 * best[0]:.1f} points at most. With the rate chosen on "
        f"validation images it exceeds its interval on the test images in {len(helped)} of {len(cells)} cases. Digits "
        "are a mild case: networks without dropout fit the training images, and those of the largest kind still err on "
        f"{percent(held_out(plain))} % of the others only."
    )
