r"""Language: is a first name in the female list or in the male one.

`fn.data.first_names()`: 8,003 names that stand in one of two public lists alone, and 419 that stand in both. The
letters of a name say something about its list. How much, can a dense network read it better than simpler models, and
what does it say of the names in both lists, which it never sees?

A name becomes the n-grams of its letters, of one to four letters, its beginning marked `^` and its end `$`: *Eve*
holds `^e`, `ev`, `ve`, `e$`, `^ev` and so on. Each of those that at least 6 training names hold is an input, 1 or 0.
The split is the fixed one, 60 % to learn from, 20 % to choose by, 20 % to judge by, and no name is in two parts;
but relatives are (*Abbey*, *Abby*), as they would be with any new name.

Each method has six settings; the one with the least log loss on the validation part is chosen (of nearest neighbours
the one with the fewest errors).

- funcnet's network: 64 hidden units, ReLU, half of them dropped out at a time, Adam with a learning rate of 0.001,
  batches of 64, 15 epochs of which the best is kept; penalties (λ of `L2`) of 0.0001, 0.0003, 0.001, 0.003, 0.01 and
  0.03, each with 5 seeds and chosen by their mean.
- logistic regression: C of 0.01, 0.03, 0.1, 0.3, 1 and 3.
- naive Bayes (Bernoulli): pseudo-counts of 0.01, 0.03, 0.1, 0.3, 1 and 3.
- nearest neighbours by the angle between the rows of n-grams: 1, 3, 5, 9, 15 and 25 of them.
- the last letter alone: the list in which it is more frequent.
"""

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, error, log_loss, paired
from experiments.problems._letters import presence, vocabulary
from experiments.study import Table

LENGTHS = (1, 2, 3, 4)
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
METHODS = ("funcnet", "logistic regression", "naive Bayes", "nearest neighbours", "last letter alone")
TELLING = 30  # training names that must hold an n-gram for its effect to be shown


def measure(small):
    """Return errors of each method, what the network says of the names in both lists, and the telling n-grams."""
    from scipy.sparse import csr_array
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import BernoulliNB
    from sklearn.neighbors import KNeighborsClassifier

    seeds, epochs, step = (2, 1, 8) if small else (5, 15, 1)
    parts = [(names[::step], y[::step]) for names, y in fn.data.first_names()]
    grams = vocabulary(parts[0][0][parts[0][1] < 2], LENGTHS, least=6)
    train, validation, test = ((presence(names[y < 2], grams, LENGTHS), y[y < 2]) for names, y in parts)
    both = presence([name for names, y in parts for name in names[y == 2]], grams, LENGTHS)

    experiment = fn.Experiment(
        fn.mlp(64, 2, dropout=0.5),
        fn.SoftmaxCrossEntropy(),
        fn.Adam(0.001),
        regularizer=fn.L2(PENALTIES[0]),
        batch_size=64,
        epochs=epochs,
    )
    ways = {"regularizer.strength": PENALTIES, "seed": range(seeds)}
    results = fn.sweep(fn.grid(experiment, ways), train, validation, test, progress=False)
    losses = results.table()["validation_loss"].reshape(-1, seeds).mean(axis=1)
    best = int(losses.argmin())
    own = [results.params(i) for i in range(best * seeds, best * seeds + seeds)]

    def log_odds(x):
        logits = np.asarray([experiment.network.apply(params, x) for params in own], np.float64)
        return logits[..., 1] - logits[..., 0]

    families = {
        "logistic regression": (
            [LogisticRegression(C=c, max_iter=1000) for c in (0.01, 0.03, 0.1, 0.3, 1, 3)],
            log_loss,
        ),
        "naive Bayes": ([BernoulliNB(alpha=a) for a in (0.01, 0.03, 0.1, 0.3, 1, 3)], log_loss),
        "nearest neighbours": ([KNeighborsClassifier(k, metric="cosine") for k in (1, 3, 5, 9, 15, 25)], error),
    }
    odds, models = log_odds(test[0]), {}
    sparse = [(csr_array(x), y) for x, y in (train, validation, test)]
    for method, (candidates, loss) in families.items():
        models[method] = chosen(candidates, *sparse[:2], loss)
    predicted = {"funcnet": list(odds > 0)} | {method: [m.predict(sparse[2][0])] for method, m in models.items()}
    last, last_test = (np.asarray([n[-1] for n in names[y < 2]]) for names, y in (parts[0], parts[2]))
    male = {letter: train[1][last == letter].mean() > train[1].mean() for letter in set(last)}
    predicted["last letter alone"] = [np.asarray([male.get(letter, False) for letter in last_test])]
    linear = models["logistic regression"]
    return {
        "accuracy": {method: [np.mean(p == test[1]) for p in found] for method, found in predicted.items()},
        "log_loss": {"funcnet": np.mean(np.logaddexp(0, -odds * (2 * test[1] - 1)), axis=1)}
        | {method: [log_loss(models[method], *sparse[2])] for method in METHODS[1:3]},
        "chosen": {
            "penalty": PENALTIES[best],
            "C": models["logistic regression"].C,
            "pseudo-count": models["naive Bayes"].alpha,
            "neighbours": models["nearest neighbours"].n_neighbors,
        },
        "paired": paired([p == test[1] for p in predicted["funcnet"]], predicted["logistic regression"][0] == test[1]),
        "sizes": {"inputs": len(grams), "train": len(train[1]), "test": len(test[1]), "both": len(both)},
        "shares": [
            shares(odds, test[1] == 0),
            shares(odds, test[1] == 1),
            shares(log_odds(both), np.ones(len(both)) > 0),
        ],
        "grams": telling(grams, train, test[0], log_odds, linear.coef_[0]) if not small else [],
    }


def shares(odds, rows):
    """Return the share of names in each tenth of the probability of the male list, mean over the seeds."""
    probability = 1 / (1 + np.exp(-odds[:, rows]))
    return np.histogram(probability, np.linspace(0, 1, 11))[0] / probability.size


def telling(grams, train, x, log_odds, coefficients):
    """Return the eight n-grams on each side whose being there moves the network most, on the test names that hold them.

    The effect is the mean of the log odds of male less those of the same name with this one input set to 0.
    """
    often = np.flatnonzero((train[0].sum(axis=0) >= TELLING) & (x.sum(axis=0) >= 5))
    effects, there, whole = [], x > 0, log_odds(x).mean(axis=0)
    for gram in often:
        without = x.copy()  # all names, not only those that hold it: one shape, so that nothing is compiled anew
        without[:, gram] = 0
        effects.append(np.mean((whole - log_odds(without).mean(axis=0))[there[:, gram]]))
    order = np.argsort(effects)
    return [
        {
            "gram": grams[often[i]],
            "female": int(train[0][train[1] == 0, often[i]].sum()),
            "male": int(train[0][train[1] == 1, often[i]].sum()),
            "effect": effects[i],
            "coefficient": coefficients[often[i]],
        }
        for i in [*order[:8], *order[:-9:-1]]
    ]


def tables(numbers):
    """Show accuracies and log losses, and the telling n-grams."""
    sizes, rows = numbers["sizes"], []
    for method in METHODS:
        accuracy, loss = 100 * np.asarray(numbers["accuracy"][method]), numbers["log_loss"].get(method)
        seeds = f" ± {accuracy.std(ddof=1):.2f}" if len(accuracy) > 1 else ""
        rows.append([method, f"{accuracy.mean():.2f}{seeds}", f"{np.mean(loss):.3f}" if loss else "–"])
    chosen, accuracy = numbers["chosen"], np.mean(numbers["accuracy"]["funcnet"])
    error = 196 * np.sqrt(accuracy * (1 - accuracy) / sizes["test"])
    return [
        Table(
            f"On {sizes['test']:,} test names of one list alone, after learning from {sizes['train']:,}, with "
            f"{sizes['inputs']:,} inputs: accuracy in percent (funcnet: mean ± standard deviation over "
            f"{len(numbers['accuracy']['funcnet'])} seeds) and mean log loss. With so many test names the 95 % "
            f"interval of funcnet's accuracy is ±{error:.1f} points. Chosen: λ = {chosen['penalty']:g}, C = "
            f"{chosen['C']:g}, pseudo-counts of {chosen['pseudo-count']:g}, {chosen['neighbours']} neighbours.",
            ("", "accuracy (%)", "log loss"),
            rows,
        ),
        Table(
            f"The most telling n-grams, among those that at least {TELLING} training names hold: how many of the "
            "female and male training names hold it; the mean change in the network's log odds of *male* by its being "
            "there, in test names that hold it; and the coefficient of logistic regression. An effect is beyond that "
            "of the other n-grams of the same names, so it need not go with the counts.",
            ("n-gram", "female", "male", "effect in the network", "coefficient"),
            [
                [f"`{g['gram']}`", g["female"], g["male"], f"{g['effect']:+.2f}", f"{g['coefficient']:+.2f}"]
                for g in numbers["grams"]
            ],
        ),
    ]


def draw(numbers):
    """Draw accuracies, and the probabilities that the network gives to names of each kind."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 3.8))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    test = numbers["sizes"]["test"]
    for place, (method, colour) in enumerate(zip(METHODS, COLOURS, strict=False)):
        accuracy = np.mean(numbers["accuracy"][method])
        half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / test)
        left.errorbar(100 * accuracy, place, xerr=100 * half, fmt="o", ms=7, lw=2, color=colour)
        left.annotate(f"{100 * accuracy:.1f}", (100 * accuracy, place - 0.18), ha="center", va="bottom", color=colour)
    left.set(yticks=range(len(METHODS)), yticklabels=METHODS, xlim=(72, 90), xlabel="accuracy (%)")
    left.set_ylim(len(METHODS) - 0.6, -0.7)
    left.grid(axis="y", visible=False)
    left.set_title(f"{test:,} test names, with 95 % intervals")
    centres = np.arange(10) / 10 + 0.05
    for counts, label, colour, mark in zip(
        numbers["shares"],
        ("female list alone", "male list alone", "both lists"),
        (COLOURS[0], COLOURS[1], COLOURS[2]),
        "o^s",
        strict=True,
    ):
        right.plot(centres, 100 * np.asarray(counts), mark + "-", color=colour, label=label)
    right.set(xlabel="the network's probability of the male list", ylabel="share of the names (%)", xlim=(0, 1))
    right.set_ylim(bottom=0)
    right.set_title(f"What the network says of names (mean of {len(numbers['accuracy']['funcnet'])} seeds)")
    right.legend()
    return figure


def verdict(numbers):
    """Say what follows."""
    mean = {method: 100 * np.mean(numbers["accuracy"][method]) for method in METHODS}
    gap, half = numbers["paired"]
    assert mean["funcnet"] > max(mean["nearest neighbours"], mean["last letter alone"])
    assert abs(gap) < half
    female, male, both = (np.asarray(counts) for counts in numbers["shares"])
    unsure = [100 * counts[2:8].sum() for counts in (female, male, both)]
    assert unsure[2] > max(unsure[:2])
    return (
        f"**From its letters a network tells the list of {mean['funcnet']:.0f} names in a hundred, as does a linear "
        f"model.** On new names the network is right in {mean['funcnet']:.1f} %, logistic regression in "
        f"{mean['logistic regression']:.1f} %: a difference of {gap:+.1f} ± {half:.1f} points (95 % interval, name by "
        f"name). Nearest neighbours are right in {mean['nearest neighbours']:.1f} %, the last letter alone in "
        f"{mean['last letter alone']:.1f} %. Of the names in both lists, of which it has seen none, the network gives "
        f"{unsure[2]:.0f} % a probability between 0.2 and 0.8, against {unsure[0]:.0f} % of the female and "
        f"{unsure[1]:.0f} % of the male ones: less sure, but far from knowing that they are both."
    )
