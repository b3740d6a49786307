r"""Speech in order: who says ae, by a recurrent network.

[The first page on these data](speech.md) interpolates each utterance at eight moments, for networks and models that
want inputs of one length. Here the frames are read as they are, 7 to 29 of them with 12 coefficients each: a
bidirectional GRU of 32 units in each direction takes utterances and their lengths, what both directions have at their
ends goes to a dense layer, with dropout between. Each sample is read backwards from its own last frame, so that the
zeros behind the shorter ones count nowhere. Coefficients are standardized on the frames of the training part.

The data, the split into 198 to learn from, 72 to choose by and 370 to judge by, and the five draws of it are those of
the first page, and so is logistic regression on its 96 inputs, the best of the methods there. The GRU has six settings,
chosen by the log loss: dropout of 0, 0.25 and 0.5 with learning rates of 0.003 and 0.01 (Adam, batches of 32, 60
epochs, of which the one with the least validation loss is kept). Beside it, the same GRU with its frames shuffled
within each utterance, by the setting that was chosen: what it loses is what the order tells. Other work shared the
machine, and the seconds below.
"""

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, log_loss, paired, spread
from experiments.problems.speech import SPEAKERS, inputs, utterances
from experiments.study import Table

RATES, DROPOUTS = (3e-3, 1e-2), (0.0, 0.25, 0.5)
METHODS = ("GRU, both directions", "the same, frames shuffled", "logistic regression")


def padded(pieces):
    """Return utterances (samples, frames, 12), zeros behind the shorter ones, and their lengths."""
    lengths = np.asarray([piece.shape[1] for piece in pieces], np.int32)
    x = np.zeros((len(pieces), lengths.max(), pieces[0].shape[0]), np.float32)
    for row, piece in zip(x, pieces, strict=True):
        row[: piece.shape[1]] = piece.T
    return x, lengths


def shuffled(pieces, seed):
    """Return utterances with their frames in another order."""
    rng = np.random.default_rng(seed)
    return [piece[:, rng.permutation(piece.shape[1])] for piece in pieces]


def measure(small):
    """Return accuracies by method and draw, and the difference from logistic regression, utterance by utterance."""
    pieces, y, judged = utterances()
    draws, epochs = (1, 3) if small else (5, 60)
    flat = np.asarray([inputs(piece) for piece in pieces])
    runs = [one_draw(pieces, flat, y, judged, seed, epochs) for seed in range(draws)]
    right = [[run[method] == y[judged] for run in runs] for method in METHODS]
    gap = [paired([ours], theirs) for ours, theirs in zip(right[0], right[2], strict=True)]
    return {
        "accuracy": {method: [row.mean() for row in rows] for method, rows in zip(METHODS, right, strict=True)},
        "gap": np.mean(gap, axis=0),
        "settings": [run["setting"] for run in runs],
        "test": int(judged.sum()),
    }


def one_draw(pieces, flat, y, judged, seed, epochs):
    """Choose each method's setting with one draw of the validation part; return what each says of the test part."""
    from sklearn.linear_model import LogisticRegression

    rows = np.flatnonzero(~judged)
    kept, *held = fn.data.split(rows[:, None], y[rows], (198 / 270, 36 / 270, 36 / 270), seed=seed)
    first, rest = kept[0][:, 0], np.concatenate([part[0][:, 0] for part in held])

    def parts(pieces):
        x, lengths = padded(pieces)
        frames = np.concatenate([pieces[i].T for i in first])
        x = (x - frames.mean(axis=0, dtype=np.float64)) / frames.std(axis=0, dtype=np.float64)
        x = x.astype(np.float32)
        return [((x[i], lengths[i]), y[i]) for i in (first, rest, np.flatnonzero(judged))]

    def trained(sets, rate, dropout):
        network = fn.Chain(fn.Bidirectional(fn.GRU(32, sequence=False)), fn.Dropout(dropout), fn.Dense(SPEAKERS))
        experiment = fn.Experiment(
            network, fn.SoftmaxCrossEntropy(), fn.Adam(rate), batch_size=32, epochs=epochs, seed=seed, data_seed=seed
        )
        return fn.train(experiment, *sets[:2], progress=False)

    sets = parts(pieces)
    settings = [(rate, dropout) for rate in RATES for dropout in DROPOUTS]
    runs = [trained(sets, *setting) for setting in settings]
    best = int(np.argmin([run.history["validation_loss"].min() for run in runs]))
    mixed = parts(shuffled(pieces, seed))
    again = trained(mixed, *settings[best])
    scaled, _, _ = fn.data.standardize(flat[first], flat[rest], flat[judged])
    regressions = [LogisticRegression(C=c, max_iter=2000) for c in (0.001, 0.01, 0.1, 1, 10, 100)]
    model = chosen(regressions, (scaled[0], y[first]), (scaled[1], y[rest]), log_loss)
    return {
        METHODS[0]: runs[best].labels(sets[2][0]),
        METHODS[1]: again.labels(mixed[2][0]),
        METHODS[2]: model.predict(scaled[2]),
        "setting": list(settings[best]),
    }


def tables(numbers):
    """Show accuracies."""
    caption = (
        f"Accuracy in percent on the {numbers['test']} test utterances: mean ± standard deviation over "
        f"{len(numbers['settings'])} draws of the validation part. Guessing is right in 11 %."
    )
    rows = [[method, spread(numbers["accuracy"][method])] for method in METHODS]
    chosen_ones = "; ".join(f"{rate:g} and {dropout:g}" for rate, dropout in numbers["settings"])
    settings = Table("What the GRU's draws chose.", ("learning rate and dropout, draw by draw",), [[chosen_ones]])
    return [Table(caption, ("", "accuracy (%)"), rows), settings]


def draw(numbers):
    """Draw the accuracies of all draws."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(7.5, 2.6)
    for place, (colour, method) in enumerate(zip(COLOURS, METHODS, strict=False)):
        accuracy = 100 * np.asarray(numbers["accuracy"][method])
        axes.plot(accuracy, [place] * len(accuracy), "o", color=colour, alpha=0.6)
        axes.plot([accuracy.mean()], [place], "|", color=colour, ms=18, mew=2)
    axes.set_yticks(range(len(METHODS)), METHODS)
    axes.invert_yaxis()
    axes.margins(y=0.2)
    axes.set(xlabel=f"accuracy on {numbers['test']} test utterances (%)")
    axes.set_title("Who says ae: each draw of the validation part, and the mean")
    return figure


def verdict(numbers):
    """Say what follows."""
    gru, mixed, linear = (100 * np.mean(numbers["accuracy"][method]) for method in METHODS)
    gap, half = numbers["gap"]
    assert gru > 90
    if gap > half:
        found = f"A recurrent network is right in {gru:.1f} of 100 cases, above the linear model's {linear:.1f}"
    elif gap < -half:
        found = f"Here a recurrent network gains nothing: {gru:.1f} of 100 right, the linear model {linear:.1f}"
    else:
        found = (
            f"Frame by frame a recurrent network gets {gru:.1f} of 100 right, no better than a linear model's "
            f"{linear:.1f}"
        )
    order = gru - mixed
    told = "the order of the frames tells much of it" if order > half else "most of it is in the frames themselves"
    return (
        f"**{found}.** The difference from logistic regression is {gap:+.1f} ± {half:.1f} points (95 % interval, "
        "utterance by utterance, mean of the draws). With its frames shuffled within each utterance the same network "
        f"is right in {mixed:.1f} %: {told}. It reads 12 numbers a frame, whatever the length; the linear model's 96 "
        "inputs are interpolated first."
    )
