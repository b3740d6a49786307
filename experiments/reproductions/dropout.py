r"""Dropout against plain networks, on digits.

Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), table 2: test errors on MNIST, without knowledge of
images. A standard network 1.60 % (two hidden layers of 800 logistic units, from Simard et al. 2003); with dropout
1.35 % (logistic units) and 1.25 % (ReLU); with dropout and max-norm 1.06 % (ReLU); these with three hidden layers of
1,024 units. Half of the hidden units and a fifth of the inputs are dropped out, and no unit's incoming weights are
longer than a chosen radius. These are quoted from memory and agree with what another reproduction quotes; we did not
have the paper before us.

**What is scaled down.** MNIST is not at hand. The digits here are the 1,797 images of 8 × 8 pixels that ship with the
package, against 70,000 of 28 × 28: 1,078 to learn from, so 56 times fewer, 360 to choose by and 359 to judge by. Three
hidden layers of 256 units in place of 1,024; 3,000 updates on batches of 50 in place of a million; Adam, from 0.003 to
0 along a cosine, in place of SGD with momentum 0.95. The standard network is the same network without dropout, which is
a stricter comparison than that of the table. An image of 64 pixels may not do without a fifth of them as one of 784
does: so every dropout network stands here a second time, with all inputs.

Every method runs on the same ten random splits, each with its own seed. The radius is chosen on the validation images,
by the mean error over the splits; what is shown is the error on the test images after the last update. Differences are
paired by split. The splits share images, so that the intervals (Student's 95 %) are somewhat too narrow.
"""

import numpy as np

import funcnet as fn
from experiments.claims._resampling import mean_and_half_width, train_all
from experiments.study import Table

# Test errors (%) of the paper's table 2.
PUBLISHED = {
    "standard, logistic": 1.60,
    "dropout, logistic": 1.35,
    "dropout, ReLU": 1.25,
    "dropout and max-norm, ReLU": 1.06,
}
RADII = (2.0, 3.0)
UNITS, BATCH = 256, 50
INPUTS, HIDDEN = "network.layers.0.rate", tuple(f"network.layers.{i}.rate" for i in (3, 6, 9))


def experiment(activation, regularizer, updates, epochs):
    """Return three hidden layers, with dropout of inputs and hidden units at rates that can vary."""
    layers = [fn.Dropout(0.0)]
    for _ in range(3):
        layers += [fn.Dense(UNITS), activation, fn.Dropout(0.0)]
    network = fn.Chain(*layers, fn.Dense(10))
    optimizer = fn.Adam(fn.Cosine(0.003, updates))
    return fn.Experiment(network, fn.SoftmaxCrossEntropy(), optimizer, regularizer, batch_size=BATCH, epochs=epochs)


def predicted(experiment, data, state, x):
    """Return the classes that the last parameters give to a run's own images, and to all."""
    apply = experiment.network.apply
    return apply(state.params, data.x).argmax(axis=1), apply(state.params, x).argmax(axis=1)


def measure(small):
    """Return the errors by method and split, with the radius chosen on the validation images."""
    digits = fn.data.digits()
    x = np.concatenate([part[0] for part in digits])
    y = np.concatenate([part[1] for part in digits])
    # The parts of a split as row numbers.
    splits = [fn.data.split(np.arange(len(y)), y, seed=seed) for seed in range(2 if small else 10)]
    drawn = [(x[parts.train[0]], parts.train[1]) for parts in splits]
    batches = -(-len(drawn[0][1]) // BATCH)
    epochs = 1 if small else round(3000 / batches)
    plain, whole, published = (0.0, (0.0,) * 3), (0.0, (0.5,) * 3), (0.2, (0.5,) * 3)
    rates = {"standard": plain, "dropout": published, "dropout, all inputs": whole}
    candidates = {}
    for units, activation in () if small else (("logistic", fn.sigmoid), ("ReLU", fn.relu)):
        base = experiment(activation, None, batches * epochs, epochs)
        trials = [fn.replace(base, {INPUTS: i, **dict(zip(HIDDEN, h, strict=True))}) for i, h in rates.values()]
        for name, outcome in zip(rates, train_all(trials, drawn, predicted, x), strict=True):
            candidates[f"{name}, {units}"] = [(None, outcome)]
    base = experiment(fn.relu, fn.MaxNorm(RADII[0]), batches * epochs, epochs)
    names, trials = [], []
    for name, (i, h) in list(rates.items())[1:]:
        for radius in RADII:
            names.append((name.replace("dropout", "dropout and max-norm") + ", ReLU", radius))
            numbers = {"regularizer.radius": radius, INPUTS: i, **dict(zip(HIDDEN, h, strict=True))}
            trials.append(fn.replace(base, numbers))
    for (name, radius), outcome in zip(names, train_all(trials, drawn, predicted, x), strict=True):
        candidates.setdefault(name, []).append((radius, outcome))
    found = {}
    for name, tried in candidates.items():
        errors = [{"radius": radius, **judged(*outcome, y, splits)} for radius, outcome in tried]
        found[name] = min(errors, key=lambda own: np.mean(own["validation"]))
    return found


def judged(own, every, y, splits):
    """Return the errors on the three parts by split."""
    wrong = every != y
    return {
        "train": [np.mean(mine != parts.train[1]) for mine, parts in zip(own, splits, strict=True)],
        "validation": [each[parts.validation[0]].mean() for each, parts in zip(wrong, splits, strict=True)],
        "test": [each[parts.test[0]].mean() for each, parts in zip(wrong, splits, strict=True)],
    }


def reductions(numbers):
    """Return how much of the error of the same units without dropout each method takes away: published, and ours."""
    found = {}
    for name, own in numbers.items():
        plain = numbers["standard, " + name.rsplit(", ", 1)[1]]
        published = 1 - PUBLISHED[name] / PUBLISHED["standard, logistic"] if name in PUBLISHED else None
        ours = mean_and_half_width(np.subtract(plain["test"], own["test"]))
        found[name] = published, ours, np.mean(plain["test"])
    return found


def tables(numbers):
    """Show the errors beside the published ones."""
    rows = []
    logistic = np.mean(numbers["standard, logistic"]["test"])
    for name, (published, (gain, half), plain) in reductions(numbers).items():
        own = numbers[name]
        mean, width = mean_and_half_width(own["test"])
        standard = name.startswith("standard")
        rows.append(
            (
                name + (f", radius {own['radius']:g}" if own["radius"] else ""),
                f"{PUBLISHED[name]:.2f}" if name in PUBLISHED else "–",
                "–" if not published else f"{100 * published:.0f}",
                f"{100 * mean:.2f} ± {100 * width:.2f}",
                "–" if name == "standard, logistic" else f"{100 * (1 - mean / logistic):.0f}",
                "–" if standard else f"{100 * gain:+.2f} ± {100 * half:.2f}",
                "–" if standard else f"{100 * gain / plain:.0f}",
                f"{100 * np.mean(own['train']):.2f}",
            )
        )
    header = (
        "method",
        "published",
        "reduction",
        "ours",
        "reduction",
        "gain on the same units",
        "reduction",
        "training error",
    )
    caption = (
        "Test errors in percent, and reductions of it in percent: the published ones and ours against the standard "
        "logistic network, as in the paper's table; then the gain in points, and the reduction, against the network "
        "of the same units without dropout."
    )
    return [Table(caption, header, rows)]


def draw(numbers):
    """Draw the published errors and ours, each with every split."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 3.8))
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(numbers)
    for place, name in enumerate(names):
        if name in PUBLISHED:
            left.plot(PUBLISHED[name], place, "D", color=COLOURS[1])
            left.annotate(
                f" {PUBLISHED[name]:.2f}", (PUBLISHED[name], place), xytext=(4, -3), textcoords="offset points"
            )
        errors = 100 * np.asarray(numbers[name]["test"])
        right.plot(
            errors,
            np.full(len(errors), place) + np.linspace(-0.15, 0.15, len(errors)),
            "o",
            ms=3,
            alpha=0.4,
            color=COLOURS[0],
        )
        mean, half = mean_and_half_width(errors)
        right.errorbar(mean, place, xerr=half, fmt="D", color=COLOURS[0], capsize=3)
    left.set_yticks(range(len(names)), names)
    left.set(xlabel="test error (%)", xlim=(0, 2), title="published: MNIST")
    right.set(xlabel="test error (%)", xlim=(0, None), title="ours: 1,078 small digits")
    left.invert_yaxis()
    figure.suptitle("Dropout against plain networks, three hidden layers; ours: ten splits, mean and 95 %")
    return figure


def verdict(numbers):
    """Say what follows."""
    found = reductions(numbers)
    errors = {name: 100 * np.mean(own["test"]) for name, own in numbers.items()}
    for name in ("dropout, logistic", "dropout, ReLU", "dropout and max-norm, ReLU"):
        gain, half = found[name][1]
        assert gain + half < 0
    kept = {units: found[f"dropout, all inputs, {units}"] for units in ("logistic", "ReLU")}
    for _, (gain, half), _ in kept.values():
        assert 0 < gain < half
    gained = {units: f"{100 * gain:.2f} ± {100 * half:.2f}" for units, (_, (gain, half), _) in kept.items()}
    shares = {units: 100 * gain / plain for units, (_, (gain, _), plain) in kept.items()}
    constrained = errors["dropout and max-norm, all inputs, ReLU"] - errors["dropout, all inputs, ReLU"]
    assert abs(constrained) < 0.2
    bound, free = numbers["dropout and max-norm, ReLU"], numbers["dropout, ReLU"]
    assert bound["test"] == free["test"]
    assert bound["train"] == free["train"]
    logistic, relu = errors["standard, logistic"], errors["standard, ReLU"]
    whole = 100 * (1 - errors["dropout, all inputs, ReLU"] / logistic)
    units = 100 * (1 - relu / logistic)
    assert whole > units > 20
    untrained = [100 * np.mean(numbers[name]["train"]) for name in ("dropout, logistic", "dropout, ReLU")]
    assert min(untrained) > 0.2
    return (
        "**Not reproduced at this scale.** With the published rates, a half of the hidden units and a fifth of the "
        f"inputs, dropout raises the error on the small digits, from {logistic:.1f} to "
        f"{errors['dropout, logistic']:.1f} % (logistic units) and from {relu:.1f} to {errors['dropout, ReLU']:.1f} % "
        "(ReLU), with or without max-norm, by more than the intervals of the differences. With all inputs it lowers "
        f"the error by {gained['logistic']} points (logistic) and {gained['ReLU']} points (ReLU), so by "
        f"{shares['logistic']:.0f} and {shares['ReLU']:.0f} %, where the paper's figures amount to 16 and 22 %: of the "
        "same sign and order, but within their intervals of zero. Max-norm, which takes the paper from 1.25 to 1.06 %, "
        f"changes ours by {constrained:+.2f} points; with the published rates the validation images choose a radius "
        f"of {bound['radius']:g}, which no unit reaches, so that the figures are those without it.\n\n"
        "*Why.* An image has 64 pixels, each of which stands for sixteen: a fifth of them is information that no other "
        f"pixel has, and networks that train without them do not even fit the training images ({untrained[0]:.1f} and "
        f"{untrained[1]:.1f} % training error). A thousand images are few; we remember the paper's own study of the "
        "size of the data set as finding no gain on the smallest sets and the largest on middling ones. And the "
        "resolution is coarse: a test set has 359 images, of which these networks miss five to fifteen.\n\n"
        "*A difference that the table hides.* Its standard network has logistic units, and fewer of them. Measured "
        f"like that, our dropout network of ReLU units with all inputs takes {whole:.0f} % of the error away, but ReLU "
        f"alone takes {units:.0f} %: most of it is not dropout's."
    )
