r"""K10: regularization, early stopping, and the variance of a model.

> Overfitting is caused by having high variance in the model due to excessive parameter tuning. […] Regularization
> techniques aim to reduce overfitting […] Common methods include L1/L2 regularization, dropout, and early stopping.
> (B2)

Variance is a statement about many training sets, of which one usually has one. Here there are many: each network is
trained anew on each of them, from new initial parameters, and its predictions are compared with their mean.

**Regression, where the truth f is known.** $y = \sin(2\,w\cdot x) + ½ε$ with $x, w ∈ ℝ^4$ and $ε ∼ N(0, 1)$; 40
training sets of 60 points. With $\hat y_s$ the prediction after set $s$ and $\bar y$ the mean over the $S$ sets, at
each of 1,000 test points

$$\frac1S\sum_s(\hat y_s-f)^2=\underbrace{(\bar y-f)^2}_{\text{bias}^2}
+\underbrace{\frac1S\sum_s(\hat y_s-\bar y)^2}_{\text{variance}},$$

exactly. A mean of $S$ has variance too: the bias² shown is less by what that adds, and the variance more, which makes
both unbiased and leaves the sum. The error of predicting a new $y$ is larger by the noise, ¼.

**Classification.** Handwritten digits, 25 training sets of 100 images drawn from the 1,077; 360 test images. Domingos
(2000): the main prediction of an image is the most frequent one. If it is right, a network that differs from it errs;
if it is wrong, one that differs may be right. So

$$\text{error} = \text{bias} + \text{unbiased variance} - \text{biased variance},$$

the fraction of images whose main prediction is wrong, the rate of errors on the others, and the rate of right answers
on those; exactly, again. The variance shown is the difference of the last two. Sets that share images are more alike
than independent ones, so this variance is somewhat too small; and no interval knows of other test images.

Networks have one hidden layer of ReLU units and train on the whole set at once with Adam at 0.01, for 1,000 epochs
(digits: 300). Early stopping has the same points: it trains on four fifths of them, watches the fifth, and waits for
100 epochs (digits: 30). The strength of each method is chosen for each width on validation points (1,000; digits: 360)
by their mean error over the training sets; everything shown is from test points. Intervals are Student's 95 % over the
training sets, by the jackknife for bias² and variance, and paired for differences.

In the tables "none, ⅘" is the network without a method on the four fifths on which early stopping trains. The gap is
the error on (noisy) test targets less that on training targets; the gain is what a method takes from the error of
"none", early stopping from that of "none, ⅘".
"""

import numpy as np

import funcnet as fn
from experiments.claims._resampling import train_all
from experiments.study import Table

GRIDS = {
    "regression": {"L2": (0.003, 0.01, 0.03, 0.1), "L1": (0.003, 0.01, 0.03), "dropout": (0.1, 0.25, 0.5)},
    "digits": {"L2": (0.001, 0.003, 0.01, 0.03), "L1": (0.0003, 0.001, 0.003), "dropout": (0.1, 0.25, 0.5)},
}
WHERE = {"L1": "regularizer.l1", "L2": "regularizer.l2", "dropout": "network.layers.2.rate"}
METHODS = ("none", "L2", "L1", "dropout", "early stopping", "none, ⅘")
FEATURES, POINTS, NOISE = 4, 60, 0.5
IMAGES = 100
BIAS = {"regression": "bias²", "digits": "bias"}


def measure(small):
    """Return the decompositions by width and method, of regression and of digits."""
    sets, held = (4, 100) if small else (40, 1000)
    x, y = fn.data.regression(sets * POINTS + 2 * held, FEATURES, NOISE, seed=0, shape="sine")
    truth = fn.data.regression(sets * POINTS + 2 * held, FEATURES, 0.0, seed=0, shape="sine")[1]
    last = sets * POINTS
    regression = problem(
        "regression",
        [(x[i : i + POINTS], y[i : i + POINTS]) for i in range(0, last, POINTS)],
        fn.data.Splits(None, (x[last : last + held], y[last : last + held]), (x[last + held :], y[last + held :])),
        truth[last + held :, 0],
        widths=(8,) if small else (2, 4, 8, 16, 32, 64, 128),
        epochs=20 if small else 1000,
    )
    digits = fn.data.digits()
    rng = np.random.default_rng(0)
    rows = [rng.permutation(len(digits.train[1]))[:IMAGES] for _ in range(3 if small else 25)]
    classification = problem(
        "digits",
        [(digits.train[0][own], digits.train[1][own]) for own in rows],
        digits,
        digits.test[1],
        widths=(8,) if small else (4, 16, 64, 128),
        epochs=20 if small else 300,
    )
    return {"regression": regression, "digits": classification}


def problem(name, drawn, held, truth, widths, epochs):
    """Train every width with every method on every set; return what the chosen strengths do."""
    classify = name == "digits"
    kept = len(drawn[0][0]) * 4 // 5
    first, rest = [(x[:kept], y[:kept]) for x, y in drawn], [(x[kept:], y[kept:]) for x, y in drawn]
    elsewhere = np.concatenate([held.validation[0], held.test[0]])
    found = {}
    for width in widths:
        plain = fn.Experiment(
            fn.mlp(width, 10 if classify else 1, dropout=0.0),
            fn.SoftmaxCrossEntropy() if classify else fn.MeanSquaredError(),
            fn.Adam(0.01),
            fn.ElasticNet(0.0, 0.0),
            batch_size=None,
            epochs=epochs,
        )
        settings = [(method, strength) for method, grid in GRIDS[name].items() for strength in grid]
        trials = [plain, *(fn.replace(plain, {WHERE[method]: strength}) for method, strength in settings)]
        # Without patience a run is as long as the others; its last parameters are those of no early stopping.
        rules = [fn.replace(plain, {"stopping": fn.EarlyStopping(patience)}) for patience in (epochs // 10, epochs)]
        whole = train_all(trials, drawn, predictions, elsewhere)
        watched = train_all(rules, first, predictions, elsewhere, rest)
        runs = {("none", 0.0): (whole[0][0], drawn)}
        runs |= {key: (last, drawn) for key, (last, _) in zip(settings, whole[1:], strict=True)}
        runs |= {("early stopping", 0.0): (watched[0][1], first), ("none, ⅘", 0.0): (watched[1][0], first)}
        judged = {key: judge(*run, held, truth, classify) for key, run in runs.items()}
        found[str(width)] = by_method = {}
        for method in METHODS:
            own = {strength: value for (kind, strength), value in judged.items() if kind == method}
            best = min(own, key=lambda strength: own[strength]["validation"])
            rival = judged["none, ⅘" if method == "early stopping" else "none", 0.0]
            by_method[method] = {key: value for key, value in own[best].items() if key != "errors"} | {
                "strength": best,
                "tried": [[value["variance"][0], value["gap"]] for value in own.values()],
                "gain": mean_and_half_width(rival["errors"] - own[best]["errors"]),
                "gain over all points": mean_and_half_width(judged["none", 0.0]["errors"] - own[best]["errors"]),
            }
    return found


def predictions(experiment, data, state, x):
    """Return what the last and the best parameters predict, on a run's own points and on others."""
    apply = experiment.network.apply
    return tuple((apply(params, data.x), apply(params, x)) for params in (state.params, state.best_params))


def judge(predicted, drawn, held, truth, classify):
    """Return errors, their decomposition over the sets, and the distance of test from training error."""
    own, elsewhere = (y.argmax(axis=-1) if classify else y[..., 0].astype(np.float64) for y in predicted)
    validation, test = np.split(elsewhere, [len(held.validation[1])], axis=1)

    def errors(predictions, targets):
        return (predictions != targets) if classify else (predictions - targets) ** 2

    decompose = zero_one if classify else squared
    parts = decompose(test, truth)
    # The jackknife: what each set changes. It needs a smooth function, which the most frequent class is not.
    without = [decompose(np.delete(test, s, axis=0), truth) for s in range(0 if classify else len(test))]
    spread = [None, None]
    if without:
        scale = np.sqrt((len(test) - 1) / len(test))
        spread = quantile(len(test)) * scale * np.sqrt(np.sum((without - np.mean(without, axis=0)) ** 2, axis=0))
    rates = errors(test, truth).mean(axis=1)
    train = errors(own, np.stack([y.reshape(-1) for _, y in drawn])).mean()
    return {
        "validation": errors(validation, held.validation[1].reshape(-1)).mean(),
        "train": train,
        "gap": errors(test, held.test[1].reshape(-1)).mean() - train,
        "errors": rates,
        "error": mean_and_half_width(rates),
        "bias": [parts[0], spread[0]],
        "variance": [parts[1], spread[1]],
        "residue": rates.mean() - sum(parts),
    }


def squared(predictions, truth):
    """Return bias² and variance, both unbiased; their sum is the mean squared error."""
    count = len(predictions)
    mean = predictions.mean(axis=0)
    variance = np.mean((predictions - mean) ** 2)
    return np.mean((mean - truth) ** 2) - variance / (count - 1), variance * count / (count - 1)


def zero_one(predictions, truth):
    """Return Domingos's bias, and the unbiased less the biased variance; their sum is the rate of errors."""
    votes = np.stack([(predictions == label).sum(axis=0) for label in range(10)])
    main = votes.argmax(axis=0)
    right = main == truth
    unbiased = np.mean((predictions != main) & right)
    biased = np.mean((predictions == truth) & ~right)
    return np.mean(~right), unbiased - biased


def quantile(count):
    """Return Student's two-sided 95 % quantile for a sample."""
    from funcnet.results.summary import t_quantile

    return t_quantile(0.975, count - 1)


def mean_and_half_width(values):
    """Return the mean and its 95 % half width."""
    return values.mean(), quantile(len(values)) * values.std(ddof=1) / np.sqrt(len(values))


def tables(numbers):
    """Show a network in the middle and the widest one, with every method."""
    found = []
    for name, unit, what in (("regression", 1, "squared error against the truth"), ("digits", 100, "error rate, %")):
        own = numbers[name]
        for width in (list(own)[len(own) // 2], list(own)[-1]):
            rows = [
                (
                    method,
                    f"{values['strength']:g}" if values["strength"] else "–",
                    *(plus_minus(values[kind], unit) for kind in ("error", "bias", "variance")),
                    unit * values["train"],
                    unit * values["gap"],
                    "–" if method == "none" else plus_minus(values["gain"], unit),
                )
                for method, values in own[width].items()
            ]
            header = ("method", "strength", "error", BIAS[name], "variance", "training error", "gap", "gain")
            found.append(Table(f"{name.capitalize()}, {width} hidden units: {what}.", header, rows))
    return found


def plus_minus(pair, unit=1):
    """Write a mean and its half width, if it has one."""
    digits = 3 if unit == 1 else 1
    return f"{unit * pair[0]:.{digits}f}" + ("" if pair[1] is None else f" ± {unit * pair[1]:.{digits}f}")


def draw(numbers):
    """Draw bias and variance by width, the gap against the variance, and the parts of the error by method."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 7.4))
    panels = figure.subplots(2, 2)
    colours = dict(zip(METHODS, ("#23272d", *COLOURS), strict=False))
    for panel, name, unit, top, label, title in (
        (panels[0][0], "regression", 1, 1.35, "mean squared error against truth", "Regression: 40 sets of 60 points"),
        (panels[1][0], "digits", 100, 42, "error rate on test images (%)", "Digits: 25 sets of 100 images"),
    ):
        own = numbers[name]
        widths = [int(width) for width in own]
        for method in ("none", "L2"):
            for kind, line in (("error", "-"), ("variance", "--"), ("bias", ":")):
                middle = unit * np.asarray([own[str(width)][method][kind][0] for width in widths])
                words = BIAS[name] if kind == "bias" else kind
                panel.plot(widths, middle, line, color=colours[method], label=f"{words}, {method}")
                if kind == "error":
                    half = unit * np.asarray([own[str(width)][method][kind][1] for width in widths])
                    panel.fill_between(widths, middle - half, middle + half, color=colours[method], alpha=0.12, lw=0)
        panel.set(xscale="log", xlabel="hidden units", ylabel=label, ylim=(0, top), title=title)
        panel.set_xticks(widths, [str(width) for width in widths])
        panel.minorticks_off()
        panel.legend(fontsize=8, ncols=2)

    panel, own = panels[0][1], numbers["regression"]
    for method in METHODS:
        pairs = np.asarray([pair for values in own.values() for pair in values[method]["tried"]])
        panel.plot(pairs[:, 0], pairs[:, 1], "o", ms=4, alpha=0.75, color=colours[method], label=method)
    panel.set(
        xlabel="variance",
        ylabel="test less training error (mean squared)",
        title="Regression: all widths and strengths",
    )
    panel.legend(fontsize=8)

    panel = panels[1][1]
    for name, shift in (("regression", -0.2), ("digits", 0.2)):
        own = list(numbers[name].values())[-1]
        whole = own["none"]["error"][0]
        for place, method in enumerate(METHODS):
            bias, variance = (own[method][kind][0] / whole for kind in ("bias", "variance"))
            middle, half = (value / whole for value in own[method]["error"])
            panel.bar(place + shift, bias, 0.36, color="#b5bbc2")
            panel.bar(
                place + shift,
                variance,
                0.36,
                bottom=bias,
                color=colours[method],
                alpha=1 if name == "regression" else 0.55,
            )
            panel.errorbar(place + shift, middle, half, color="#23272d", capsize=2, lw=1)
    panel.axhline(1, color="#23272d", lw=0.8, ls=":")
    panel.set_xticks(range(len(METHODS)), [name.replace(" ", "\n") for name in METHODS])
    panel.set(
        ylabel="error / error without a method",
        title="128 units: bias (grey) + variance;\nregression left, digits right (pale)",
    )
    panel.grid(axis="x", visible=False)
    figure.suptitle(
        "ReLU networks with one hidden layer, trained anew on every set; bands and bars: 95 % over the sets"
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    regression, digits = numbers["regression"], numbers["digits"]
    every = [values for own in numbers.values() for by_method in own.values() for values in by_method.values()]
    assert max(abs(values["residue"]) for values in every) < 1e-9

    def value(own, width, method, kind):
        return own[str(width)][method][kind][0]

    plain = {int(width): own["none"] for width, own in regression.items()}
    peak = max(plain, key=lambda width: plain[width]["variance"][0])
    widest, narrowest = max(plain), min(plain)
    assert narrowest < peak < widest
    assert plain[widest]["variance"][0] + plain[widest]["variance"][1] < plain[peak]["variance"][0]
    penalties = ("L2", "L1", "dropout")
    for own in regression.values():
        for method in penalties:
            assert own[method]["variance"][0] < own["none"]["variance"][0]
            assert own[method]["gap"] < own["none"]["gap"]
            assert own[method]["gain"][0] > 0
        assert own["early stopping"]["variance"][0] < own["none, ⅘"]["variance"][0]
        assert own["early stopping"]["gap"] < own["none, ⅘"]["gap"]
        assert own["early stopping"]["bias"][0] > own["none, ⅘"]["bias"][0]
    unsure = [
        f"{method} at {width} units"
        for width, own in regression.items()
        for method in penalties
        if own[method]["gain"][0] <= own[method]["gain"][1]
    ]
    assert 0 < len(unsure) <= 2
    for method in penalties:
        assert value(regression, 4, method, "bias") > plain[4]["bias"][0]
        assert value(regression, widest, method, "bias") < plain[widest]["bias"][0]
    stopped = {int(width): own["early stopping"] for width, own in regression.items()}
    sure = [str(width) for width, own in stopped.items() if own["gain"][0] > own["gain"][1]]
    lost = stopped[widest]["gain over all points"]
    assert lost[0] + lost[1] < 0
    pairs = [pair for own in regression.values() for values in own.values() for pair in values["tried"]]
    correlation = np.corrcoef(np.asarray(pairs).T)[0, 1]
    assert correlation > 0.9
    assert plain[peak]["train"] < 0.1 * NOISE**2 < plain[peak // 2]["train"]
    last, first = str(max(map(int, digits))), str(min(map(int, digits)))
    assert digits[last]["none"]["train"] == 0
    assert all(abs(digits[last][m]["gain"][0]) < digits[last][m]["gain"][1] for m in penalties)
    assert all(own["L2"]["gain"][0] > own["L2"]["gain"][1] for width, own in digits.items() if width != last)
    assert digits[first]["dropout"]["gain"][0] < -digits[first]["dropout"]["gain"][1]
    assert all(own["early stopping"]["gain"][0] < 0 for own in digits.values())
    gains = {m: [own[m]["gain"][0] / own["none"]["error"][0] for own in regression.values()] for m in penalties}
    shares = ", ".join(f"{100 * min(g):.0f} to {100 * max(g):.0f} % ({m})" for m, g in gains.items())
    return (
        "**Holds with conditions.** *Overfitting is variance:* in the regression the gap between test and training "
        f"error and the variance have a correlation of {correlation:.2f} over {len(pairs)} settings of width, method "
        "and strength. But variance does not simply grow with the size of the model: without a method it rises from "
        f"{plain[narrowest]['variance'][0]:.2f} at {narrowest} units to {plain[peak]['variance'][0]:.2f} at {peak}, "
        "where the network begins to fit every point, noise and all, and falls to "
        f"{plain[widest]['variance'][0]:.2f} at {widest}; and the widest networks have more bias², too "
        f"({plain[widest]['bias'][0]:.2f} at {widest} units, {plain[peak]['bias'][0]:.2f} at {peak}).\n\n"
        "*Regularization reduces it:* at every width L2, L1 and dropout, with strengths chosen on validation points, "
        f"lower the variance, the gap and the error against the truth, the error by {shares}, and by more than its "
        f"interval but for {' and '.join(unsure)}. Small networks pay with "
        f"bias; at {widest} units all three lower the bias as well.\n\n"
        "*Early stopping* takes points away to watch. Against the same four fifths of the points without it, it lowers "
        "the variance and the gap and raises the bias at every width, and lowers the error by more than its interval "
        f"at widths {', '.join(sure)}; against a network that trains on all points it loses at {widest} units, by "
        f"{-lost[0]:.2f} ± {lost[1]:.2f}.\n\n"
        "*Where there is no noise to fit it is different.* Digits have next to no wrong labels: networks of "
        f"{last} units fit all training images, the gap is the whole test error, and no penalty changes it by more "
        f"than its interval (the best is L2, {plus_minus(digits[last]['L2']['gain'], 100)} points of "
        f"{100 * digits[last]['none']['error'][0]:.1f} %). In smaller networks L2 helps, most in those of {first} "
        f"units, by {plus_minus(digits[first]['L2']['gain'], 100)} points, where dropout adds "
        f"{-100 * digits[first]['dropout']['gain'][0]:.1f} to the error: it takes units from a network that has too "
        "few. Early stopping gains nothing at any width."
    )
