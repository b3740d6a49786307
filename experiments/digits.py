"""Train 1,152 networks on real handwritten digits: activations, penalties, optimizers, learning rates and seeds.

    python experiments/digits.py            about a minute on two cores
    python experiments/digits.py --small    96 trials of few epochs, for a quick look

Four activations and three optimizers make twelve structures, hence twelve compiled programs; penalties, dropout rates,
learning rates and seeds are numbers, and compile nothing. Training stops early on the validation images; the best
network is chosen there too, by its mean over the seeds; the test images decide nothing.

Writes a table of all trials, a figure of learning curves, and a report to be opened in a browser. What has been trained
is kept in the folder too: a second call starts from there, also after Ctrl-C.
"""

import argparse
import pathlib
import time

import numpy as np

import funcnet as fn

ACTIVATIONS = {"sigmoid": fn.sigmoid, "tanh": fn.tanh, "ReLU": fn.relu, "leaky ReLU": fn.LeakyReLU(0.1)}
OPTIMIZERS = {
    "momentum": (fn.SGD(0.1, momentum=0.9), (0.03, 0.1, 0.3)),
    "RMSprop": (fn.RMSprop(0.001), (3e-4, 1e-3, 3e-3)),
    "Adam": (fn.Adam(0.001), (1e-3, 3e-3, 1e-2)),
}
PENALTIES = ("regularizer.l1", "regularizer.l2", "network.layers.2.rate")
REGULARIZATION = {"none": (0.0, 0.0, 0.0), "L1": (3e-4, 0.0, 0.0), "L2": (0.0, 1e-3, 0.0), "dropout": (0.0, 0.0, 0.3)}
COLUMNS = {
    "network.layers.1": "activation",
    "optimizer.learning_rate": "rate",
    "regularizer.l1": "L1",
    "regularizer.l2": "L2",
    "network.layers.2.rate": "dropout",
}


def experiments(seeds, epochs):
    """Return the trials: every combination of the above, with each seed."""
    base = fn.Experiment(
        network=fn.mlp(64, 10, dropout=0.0),
        loss=fn.SoftmaxCrossEntropy(),
        optimizer=fn.Adam(),
        regularizer=fn.ElasticNet(l1=0.0, l2=0.0),
        stopping=fn.EarlyStopping(patience=5),
        batch_size=32,
        epochs=epochs,
    )
    trials = []
    for optimizer, rates in OPTIMIZERS.values():
        trials += fn.grid(
            base,
            {
                "network": [fn.mlp(64, 10, activation=f, dropout=0.0) for f in ACTIVATIONS.values()],
                "optimizer": [optimizer],
                "optimizer.learning_rate": rates,
                PENALTIES: list(REGULARIZATION.values()),
                "seed": range(seeds),
            },
        )
    return trials


def names(trial):
    """Return activation, optimizer, learning rate and regularization of a trial, in words."""
    activation = next(name for name, f in ACTIVATIONS.items() if trial.network.layers[1] == f)
    optimizer = next(name for name, (o, _) in OPTIMIZERS.items() if type(trial.optimizer) is type(o))
    numbers = (trial.regularizer.l1, trial.regularizer.l2, trial.network.layers[2].rate)
    kind = next(name for name, values in REGULARIZATION.items() if values == numbers)
    return activation, optimizer, trial.optimizer.learning_rate, kind


def grouped(results):
    """Return the rows of each setting, by its names: one row a seed."""
    groups = {}
    for i in range(len(results)):
        groups.setdefault(names(results.experiment(i)), []).append(i)
    return groups


def print_best(results, count=10):
    """Print the settings that do best on the validation images, and what they do on the test images."""
    table, groups = results.table(), grouped(results)
    validation = {name: table["validation_accuracy"][rows].mean() for name, rows in groups.items()}
    ranked = sorted(groups, key=lambda name: -validation[name])
    head = ("activation", "optimizer", "rate", "regularization", "validation", "test")
    print(f"\n{head[0]:<12}{head[1]:<11}{head[2]:>8}  {head[3]:<16}{head[4]:>18}{head[5]:>18}")
    for name in ranked[:count]:
        cells = [table[f"{kind}_accuracy"][groups[name]] for kind in ("validation", "test")]
        spreads = [f"{c.mean():.2%} ± {c.std(ddof=1):.2%}" for c in cells]
        print(f"{name[0]:<12}{name[1]:<11}{name[2]:>8g}  {name[3]:<16}{spreads[0]:>18}{spreads[1]:>18}")
    best = table["test_accuracy"][groups[ranked[0]]]
    print(
        f"\nChosen on the validation images, by the mean of {len(best)} seeds: {ranked[0][0]}, {ranked[0][1]} at "
        f"{ranked[0][2]:g}, regularization {ranked[0][3]}.\nIts test accuracy is {best.mean():.2%} ± "
        f"{best.std(ddof=1):.2%} (mean and standard deviation over the seeds)."
    )
    return ranked[0]


def draw(results, path):
    """Draw validation accuracy by epoch: a panel an activation, a colour a regularization, Adam at its best rate."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    table, groups = results.table(), grouped(results)
    figure, panels = plt.subplots(1, 4, figsize=(13, 3.6), sharey=True, layout="constrained")
    for panel, activation in zip(panels, ACTIVATIONS, strict=True):
        for colour, kind in zip(("#444444", "#d95f02", "#1f78b4", "#33a02c"), REGULARIZATION, strict=True):
            own = {name: rows for name, rows in groups.items() if name[0] == activation and name[3] == kind}
            own = {name: rows for name, rows in own.items() if name[1] == "Adam"}
            best = max(own, key=lambda name: table["validation_accuracy"][own[name]].mean())
            curves = [100 * results.curves(i)["validation_accuracy"] for i in own[best]]
            longest = max(map(len, curves))
            # A trial that has stopped stays at the accuracy it had.
            held = np.asarray([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves])
            epochs = np.arange(1, longest + 1)
            panel.plot(epochs, held.mean(axis=0), color=colour, lw=1.5, label=f"{kind} ({best[2]:g})")
            panel.fill_between(epochs, held.min(axis=0), held.max(axis=0), color=colour, alpha=0.12, lw=0)
        panel.set(title=activation, xlabel="epoch", ylim=(90, 100))
        panel.grid(alpha=0.3)
        panel.legend(title="regularization (rate)", fontsize=8, loc="lower right")
    panels[0].set_ylabel("validation accuracy (%)\nmean, band: lowest to highest seed")
    seeds = len(next(iter(groups.values())))
    figure.suptitle(f"Handwritten digits, 64-64-10 networks, Adam at its best rate, batches of 32, {seeds} seeds")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="2 seeds, one rate, 4 epochs, instead of 8, 3 and 30")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("results/digits"), help="folder for the results"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    fn.use_cores()
    digits = fn.data.digits()
    trials = experiments(2, 4) if options.small else experiments(8, 30)
    if options.small:
        middle = {name: rates[1] for name, (_, rates) in OPTIMIZERS.items()}
        trials = [trial for trial in trials if names(trial)[2] == middle[names(trial)[1]]]
    options.out.mkdir(parents=True, exist_ok=True)
    store = options.out / ("small.sqlite" if options.small else "sweep.sqlite")
    try:
        results = fn.sweep(trials, digits.train, digits.validation, digits.test, store=store)
    except fn.SweepInterrupted as stopped:
        raise SystemExit(f"\n{stopped}") from None
    print_best(results)
    results.to_csv(options.out / "table.csv")
    draw(results, options.out / "learning_curves.png")
    results.report(options.out / "report.html", COLUMNS, select="validation_accuracy", title="Handwritten digits")
    print(
        f"\n{len(results)} trials in {time.perf_counter() - started:.0f} s; table.csv, learning_curves.png and "
        f"report.html are in {options.out}/"
    )


if __name__ == "__main__":
    main()
