r"""Tables with classes: wine, breast cancer, iris.

The three small tables of measurements that scikit-learn ships: 178 wines of three growers by 13 chemical measurements,
569 breast tumours, malignant or benign, by 30 measurements of cell nuclei, and 150 irises of three species by the
lengths and widths of their sepals and petals. Does a dense network (32 hidden units, ReLU) do better than logistic
regression, nearest neighbours, or scikit-learn's own network of the same size?

With so few samples one split says little, so there are 20, drawn at random and stratified by class: 60 % to learn
from, 20 % to choose by and 20 % to judge by. In each split every method has six settings, fitted to the same
standardized training part, with the split's number as its seed. The setting is chosen on the validation part: by log
loss, and for nearest neighbours, whose probabilities can be 0, by errors. The test part is measured once, with what
was chosen.

- funcnet's network and scikit-learn's: penalties (λ of `L2`, α) of 0.0001, 0.01 and 0.1 with learning rates of 0.001
  and 0.01; Adam, batches of 32, 100 epochs. funcnet keeps the epoch with the least validation loss, which
  scikit-learn's network cannot do without giving up training samples: a small advantage for funcnet.
- logistic regression: C of 0.01, 0.1, 1, 10, 100 and 1,000.
- nearest neighbours: 1, 3, 5, 9, 15 and 25.
"""

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, corrected, error, log_loss, spread
from experiments.study import Table

SETS = {"wine": "load_wine", "breast cancer": "load_breast_cancer", "iris": "load_iris"}
METHODS = ("funcnet", "scikit-learn's network", "logistic regression", "nearest neighbours", "most frequent class")
PENALTIES, RATES = (1e-4, 1e-2, 1e-1), (1e-3, 1e-2)


def measure(small):
    """Return the test accuracy of each method in each split, by data set."""
    from sklearn import datasets

    sets = {"wine": SETS["wine"]} if small else SETS
    splits, epochs = (1, 3) if small else (20, 100)
    numbers = {}
    for name, loader in sets.items():
        x, y = getattr(datasets, loader)(return_X_y=True)
        x, y = x.astype(np.float32), y.astype(np.int32)
        runs = [one_split(fn.data.split(x, y, seed=seed), seed, epochs) for seed in range(splits)]
        numbers[name] = {method: [run[method] for run in runs] for method in METHODS}
        numbers[name] |= {"samples": len(x), "features": x.shape[1], "classes": int(y.max()) + 1}
    return numbers


def one_split(parts, seed, epochs):
    """Choose each method's setting in a split, and return its accuracy on the test part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    scaled, _, _ = fn.data.standardize(*(x for x, _ in parts))
    train, validation, test = ((x, y) for x, (_, y) in zip(scaled, parts, strict=True))
    settings = [(penalty, rate) for penalty in PENALTIES for rate in RATES]
    networks = [
        MLPClassifier(32, alpha=a, learning_rate_init=r, batch_size=32, max_iter=epochs, random_state=seed)
        for a, r in settings
    ]
    regressions = [LogisticRegression(C=c, max_iter=5000) for c in (0.01, 0.1, 1, 10, 100, 1000)]
    neighbours = [KNeighborsClassifier(k) for k in (1, 3, 5, 9, 15, 25)]
    experiment = fn.Experiment(
        fn.mlp(32, int(train[1].max()) + 1),
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
    return {
        "funcnet": results.table()["test_accuracy"][results.best("validation_loss")],
        "scikit-learn's network": 1 - error(chosen(networks, train, validation, log_loss), *test),
        "logistic regression": 1 - error(chosen(regressions, train, validation, log_loss), *test),
        "nearest neighbours": 1 - error(chosen(neighbours, train, validation, error), *test),
        "most frequent class": float(np.mean(test[1] == np.bincount(train[1]).argmax())),
    }


def difference(found, method):
    """Return by how many points funcnet's network is better than a method, with the half width of its interval."""
    points = 100 * (np.asarray(found["funcnet"]) - np.asarray(found[method]))
    return corrected(points, ratio=0.2 / 0.6)


def tables(numbers):
    """Show accuracies, and differences to funcnet's network."""
    sizes = [f"{name} ({n['samples']}, {n['features']}, {n['classes']})" for name, n in numbers.items()]
    rows = [[method, *(spread(n[method]) for n in numbers.values())] for method in METHODS]
    compared = [
        [method, *("{:+.2f} ± {:.2f}".format(*difference(n, method)) for n in numbers.values())]
        for method in METHODS[1:-1]
    ]
    splits = len(numbers["iris"]["funcnet"])
    return [
        Table(
            f"Accuracy on the test part in percent: mean ± standard deviation over {splits} splits. In brackets: "
            "samples, features, classes.",
            ("", *sizes),
            rows,
        ),
        Table(
            "By how many points funcnet's network is better: mean over the splits, paired, ± half width of the 95 % "
            "interval with Nadeau & Bengio's correction for splits that share samples.",
            ("than", *numbers),
            compared,
        ),
    ]


def draw(numbers):
    """Draw each split's accuracy and the means, a panel a data set."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 3.6))
    panels = figure.subplots(1, len(numbers), sharey=True)
    rng = np.random.default_rng(0)
    for panel, (name, found) in zip(panels, numbers.items(), strict=True):
        for place, (method, colour) in enumerate(zip(METHODS[:-1], COLOURS, strict=False)):
            accuracies = 100 * np.asarray(found[method])
            at = place + rng.uniform(-0.22, 0.22, len(accuracies))
            panel.plot(at, accuracies, "o", ms=4, color=colour, alpha=0.45, mew=0)
            panel.plot([place - 0.35, place + 0.35], 2 * [accuracies.mean()], color=colour, lw=2.5)
        labels = ["funcnet", "scikit-learn's\nnetwork", "logistic\nregression", "nearest\nneighbours"]
        panel.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
        panel.set_title(f"{name}, {found['samples']} samples")
        panel.grid(axis="x", visible=False)
    panels[0].set_ylabel("test accuracy (%)")
    splits = len(numbers["iris"]["funcnet"])
    figure.suptitle(
        f"Small tables: {splits} random splits (dots), their means (lines); networks of 32 hidden units",
        x=0.01,
        ha="left",
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    ties = {name: difference(found, "logistic regression") for name, found in numbers.items()}
    assert all(abs(mean) < half for mean, half in ties.values())
    assert all(np.mean(found["funcnet"]) > np.mean(found["most frequent class"]) + 0.2 for found in numbers.values())
    widest = max(abs(mean) for mean, _ in ties.values())
    means = ", ".join(f"{100 * np.mean(found['funcnet']):.1f} % on {name}" for name, found in numbers.items())
    half = max(half for _, half in ties.values())
    return (
        f"**A dense network does well on all three, and not measurably better than logistic regression.** It reaches "
        f"{means}. Its mean is within {widest:.2f} points of logistic regression's on every table, and each interval "
        f"of the difference holds 0; with so few samples they are up to ±{half:.1f} points wide, so a smaller "
        "difference either way cannot be excluded. Where a linear model suffices, it is the simpler choice."
    )
