r"""Speech: who says ae.

Spoken digits are the usual small example, but no real and free set of them was found in the package indexes of Python,
npm and Debian: what they hold are programs that fetch one from elsewhere, voices for telephones that say each digit
once, and test files of recognizers with a few strings of digits. A small real set of another kind serves instead.

Nine men said the vowels /ae/: 270 times to learn from, 30 each, and 370 times on other occasions, to judge by (Kudo,
Toyama & Shimbo 1999, [UCI Machine Learning Repository](https://doi.org/10.24432/C5NS47), CC BY 4.0; the copy is that
of the Python package aeon, rounded to three decimals, in `experiments/problems/japanese_vowels.npz`). Who is it? An
utterance is a series of 7 to 29 frames of 6.4 milliseconds, each of 12 LPC cepstrum coefficients: the shape of the
vocal tract, the loudness left out. Each coefficient is interpolated at 8 evenly spaced moments from the first to the
last frame, so that an utterance has 96 inputs, whatever its length; they are standardized on the training part.

Of the 270, 72, drawn at random and stratified by speaker, are to choose by, 198 to learn from: five times, with
another draw and another seed. Each method has six settings, chosen by the log loss (nearest neighbours: by the
errors).

- funcnet's network and scikit-learn's: 64 hidden units, ReLU, Adam, batches of 32, 60 epochs; penalties (λ of `L2`, α)
  of 0.0001, 0.01 and 0.1 with learning rates of 0.001 and 0.005. funcnet keeps the epoch with the least validation
  loss.
- logistic regression: C of 0.001, 0.01, 0.1, 1, 10 and 100.
- nearest neighbours: 1, 3, 5, 9, 15 and 25.
"""

import pathlib

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, error, log_loss, spread
from experiments.study import Table

METHODS = ("funcnet", "scikit-learn's network", "logistic regression", "nearest neighbours")
PENALTIES, RATES = (1e-4, 1e-2, 1e-1), (1e-3, 5e-3)
MOMENTS, SPEAKERS = 8, 9


def utterances():
    """Return the utterances, arrays (12, frames), their speakers 0 to 8, and which ones are to judge by."""
    with np.load(pathlib.Path(__file__).parent / "japanese_vowels.npz") as stored:
        # Stored are the steps from frame to frame in thousandths, by their low and high bytes.
        steps = stored["low"].astype(np.int16) | stored["high"].astype(np.int16) << 8
        frames = np.cumsum(steps, axis=1, dtype=np.int64) / 1000
        pieces = np.split(frames, np.cumsum(stored["lengths"], dtype=np.int64)[:-1], axis=1)
        return pieces, stored["speaker"].astype(np.int32), stored["test"].astype(bool)


def inputs(utterance):
    """Interpolate each coefficient at evenly spaced moments."""
    last = utterance.shape[1] - 1
    at = np.linspace(0, last, MOMENTS)
    return np.concatenate([np.interp(at, np.arange(last + 1), curve) for curve in utterance]).astype(np.float32)


def measure(small):
    """Return accuracies by method and draw, the confusion matrix, and the mean curves of two coefficients."""
    pieces, y, judged = utterances()
    x = np.asarray([inputs(piece) for piece in pieces])
    draws, epochs = (1, 3) if small else (5, 60)
    runs = [one_draw(x, y, judged, seed, epochs) for seed in range(draws)]
    confusion = np.zeros((SPEAKERS, SPEAKERS), int)
    for run in runs:
        np.add.at(confusion, (y[judged], run["found"]), 1)
    numbers = {method: [run[method] for run in runs] for method in METHODS}
    curves = [x[(y == speaker) & ~judged].reshape(-1, 12, MOMENTS)[:, :2].mean(axis=0) for speaker in range(SPEAKERS)]
    return {"accuracy": numbers, "confusion": confusion, "curves": curves, "test": int(judged.sum())}


def one_draw(x, y, judged, seed, epochs):
    """Choose each method's setting with one draw of the validation part; return accuracies on the test part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    # A third, small part of the split joins the validation part.
    kept, *held = fn.data.split(x[~judged], y[~judged], (198 / 270, 36 / 270, 36 / 270), seed=seed)
    held_x, held_y = (np.concatenate(pair) for pair in zip(*held, strict=True))
    scaled, _, _ = fn.data.standardize(kept[0], held_x, x[judged])
    train, validation, test = zip(scaled, (kept[1], held_y, y[judged]), strict=True)
    networks = [
        MLPClassifier(64, alpha=a, learning_rate_init=r, batch_size=32, max_iter=epochs, random_state=seed)
        for a in PENALTIES
        for r in RATES
    ]
    regressions = [LogisticRegression(C=c, max_iter=2000) for c in (0.001, 0.01, 0.1, 1, 10, 100)]
    neighbours = [KNeighborsClassifier(k) for k in (1, 3, 5, 9, 15, 25)]
    experiment = fn.Experiment(
        fn.mlp(64, SPEAKERS),
        fn.SoftmaxCrossEntropy(),
        fn.Adam(RATES[0]),
        regularizer=fn.L2(PENALTIES[0]),
        batch_size=32,
        epochs=epochs,
        seed=seed,
        data_seed=seed,
    )
    trials = fn.grid(experiment, {"regularizer.strength": PENALTIES, "optimizer.learning_rate": RATES})
    results = fn.sweep(trials, train, validation, test, progress=False, lanes=3)
    best = results.best("validation_loss")
    return {
        "funcnet": results.table()["test_accuracy"][best],
        "scikit-learn's network": 1 - error(chosen(networks, train, validation, log_loss), *test),
        "logistic regression": 1 - error(chosen(regressions, train, validation, log_loss), *test),
        "nearest neighbours": 1 - error(chosen(neighbours, train, validation, error), *test),
        "found": np.asarray(experiment.network.apply(results.params(best), test[0])).argmax(axis=-1),
    }


def interval(numbers):
    """Return the half width of the 95 % interval of the network's accuracy, for the number of test utterances."""
    accuracy = np.mean(numbers["accuracy"]["funcnet"])
    return 196 * np.sqrt(accuracy * (1 - accuracy) / numbers["test"])


def tables(numbers):
    """Show accuracies."""
    return [
        Table(
            f"Accuracy in percent on the {numbers['test']} test utterances: mean ± standard deviation over "
            f"{len(numbers['accuracy']['funcnet'])} draws of the validation part. With so many test utterances the 95 "
            f"% interval of funcnet's accuracy is ±{interval(numbers):.1f} points; guessing is right in 11 %.",
            ("", "accuracy (%)"),
            [[method, spread(numbers["accuracy"][method])] for method in METHODS],
        )
    ]


def draw(numbers):
    """Draw the first two coefficients of each speaker, and who is taken for whom."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    for speaker, (first, second) in enumerate(numbers["curves"]):
        colour = (*COLOURS, "black")[speaker]
        left.plot(first, second, "-", color=colour, lw=1.6)
        left.plot(first[:1], second[:1], "o", color=colour, ms=5)
        left.annotate(
            str(speaker + 1),
            (first[-1], second[-1]),
            color=colour,
            weight="bold",
            xytext=(-11, -3),
            textcoords="offset points",
        )
    left.margins(x=0.08)
    left.set(xlabel="first coefficient", ylabel="second coefficient")
    left.set_title("From a (dot) to e (number of the speaker),\nmean of 30 utterances")
    confusion = np.asarray(numbers["confusion"], float)
    confusion *= 100 / confusion.sum(axis=1, keepdims=True)
    right.imshow(confusion, cmap="Blues", vmin=0, vmax=100)
    for i, row in enumerate(confusion):
        for j, share in enumerate(row):
            if share:
                colour = "white" if share > 60 else "black"
                right.text(
                    j, i, f"{share:.0f}" if share >= 0.5 else "<1", ha="center", va="center", fontsize=8, color=colour
                )
    right.set_xticks(range(SPEAKERS), range(1, SPEAKERS + 1))
    right.set_yticks(range(SPEAKERS), range(1, SPEAKERS + 1))
    right.set(xlabel="the network says", ylabel="the speaker is")
    right.grid(visible=False)
    right.set_title(
        f"In % of a speaker's test utterances,\n{len(numbers['accuracy']['funcnet'])} networks of 64 hidden units"
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    mean = {method: 100 * np.mean(numbers["accuracy"][method]) for method in METHODS}
    gap = mean["funcnet"] - mean["logistic regression"]
    assert mean["funcnet"] > 90
    assert abs(gap) < interval(numbers)
    return (
        f"**From two vowels a network tells which of nine men speaks in {mean['funcnet']:.0f} of 100 cases, as does "
        f"a linear model.** On utterances of other occasions the network is right in {mean['funcnet']:.1f} %, "
        f"scikit-learn's in {mean[METHODS[1]]:.1f} %, logistic regression in {mean['logistic regression']:.1f} %, "
        f"nearest neighbours in {mean['nearest neighbours']:.1f} %. The {gap:+.1f} points between the network and "
        f"logistic regression are within the ±{interval(numbers):.1f} that {numbers['test']} utterances leave open. "
        "All this is about these nine: nothing is said of a tenth."
    )
