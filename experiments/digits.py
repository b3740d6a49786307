"""Train networks on real handwritten digits: four activations, four kinds of regularization, several seeds.

    python experiments/digits.py            under a minute on two cores
    python experiments/digits.py --small    a few seconds: fewer seeds and epochs, for a quick look

Training uses the training images; the best epoch and the best network are chosen on the validation images; the test
images are looked at once, at the end. A run's regularization is only numbers (two penalty strengths and a dropout rate,
0 where unused), so that each activation compiles one program, whatever the regularization and the seed.

Prints a table (mean ± standard deviation over the seeds) and saves it with the learning curves.
"""

import argparse
import csv
import pathlib
import sys
import time

import jax
import numpy as np

import funcnet as fn

ACTIVATIONS = {"sigmoid": fn.sigmoid, "tanh": fn.tanh, "ReLU": fn.relu, "leaky ReLU": fn.LeakyReLU(0.1)}
REGULARIZATION = {
    "none": {},
    "L1": {"regularizer.l1": 3e-4},
    "L2": {"regularizer.l2": 1e-3},
    "dropout": {"network.layers.2.rate": 0.3},
}


def experiment(activation, settings, seed, epochs):
    """Return a 64-128-10 network with its training; `settings` are dotted paths to numbers."""
    trial = fn.Experiment(
        network=fn.mlp(128, 10, activation=activation, dropout=0.0),
        loss=fn.SoftmaxCrossEntropy(),
        optimizer=fn.Adam(learning_rate=2e-3),
        regularizer=fn.ElasticNet(l1=0.0, l2=0.0),
        batch_size=32,
        epochs=epochs,
        seed=seed,
        data_seed=seed,
    )
    return fn.replace(trial, settings)


def accuracy(trial, params, pair):
    """Return the share of images that the network reads right."""
    return float(fn.evaluate(trial.network, trial.loss, params, *pair)["accuracy"])


def run_all(seeds, epochs, digits):
    """Train every combination and return a row for each run."""
    rows, started = [], time.perf_counter()
    total = len(ACTIVATIONS) * len(REGULARIZATION) * seeds
    for activation_name, activation in ACTIVATIONS.items():
        for kind, settings in REGULARIZATION.items():
            for seed in range(seeds):
                trial = experiment(activation, settings, seed, epochs)
                run = fn.train(trial, digits.train, digits.validation)
                rows.append(
                    {
                        "activation": activation_name,
                        "regularization": kind,
                        "seed": seed,
                        "validation": float(run.history["validation_accuracy"][run.best_epoch]),
                        "test": accuracy(trial, run.best_params, digits.test),
                        "best epoch": run.best_epoch + 1,
                        "history": run.history,
                    }
                )
                progress(len(rows), total, time.perf_counter() - started, rows)
    return rows


def progress(done, total, seconds, rows):
    """Show how far the study is: one line that rewrites itself in a terminal, ten lines in a log."""
    best = max(row["validation"] for row in rows)
    text = f"{done:3d}/{total} runs  {seconds:5.1f} s  best validation accuracy {best:.1%}"
    if sys.stderr.isatty():
        print(f"\r{text}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done % max(total // 10, 1) == 0:
        print(text, file=sys.stderr, flush=True)


def summarize(rows):
    """Return one line a network: means and standard deviations over the seeds."""
    lines = []
    for name in ACTIVATIONS:
        for kind in REGULARIZATION:
            own = [row for row in rows if (row["activation"], row["regularization"]) == (name, kind)]
            line = {"activation": name, "regularization": kind}
            for column in ("validation", "test", "best epoch"):
                values = np.asarray([row[column] for row in own])
                spread = values.std(ddof=1) if len(values) > 1 else 0.0
                line[column], line[f"{column} spread"] = float(values.mean()), float(spread)
            lines.append(line)
    return lines


def print_table(lines, best):
    """Print the summary; an arrow marks the network chosen on the validation images."""
    print(
        f"\n{'activation':<12}{'regularization':<16}{'validation accuracy':>20}{'test accuracy':>18}{'best epoch':>14}"
    )
    for line in lines:
        print(
            f"{line['activation']:<12}{line['regularization']:<16}"
            f"{line['validation']:>12.2%} ± {line['validation spread']:.2%}"
            f"{line['test']:>10.2%} ± {line['test spread']:.2%}"
            f"{line['best epoch']:>9.0f} ± {line['best epoch spread']:<3.0f}" + ("  ← chosen" if line is best else "")
        )


def draw(rows, seeds, path):
    """Draw the mean learning curves, a panel an activation, a colour a kind of regularization."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 4, figsize=(13, 6), sharex=True, sharey="row", layout="constrained")
    for column, name in enumerate(ACTIVATIONS):
        for colour, kind in zip(("#444444", "#d95f02", "#1f78b4", "#33a02c"), REGULARIZATION, strict=True):
            own = [row["history"] for row in rows if (row["activation"], row["regularization"]) == (name, kind)]
            epochs = np.arange(1, len(own[0]["train_loss"]) + 1)
            top, bottom = panels[:, column]
            top.plot(epochs, np.mean([h["train_loss"] for h in own], axis=0), color=colour, lw=1, ls=":")
            top.plot(epochs, np.mean([h["validation_loss"] for h in own], axis=0), color=colour, lw=1.5, label=kind)
            curves = 100 * np.asarray([h["validation_accuracy"] for h in own])
            bottom.plot(epochs, curves.mean(axis=0), color=colour, lw=1.5)
            bottom.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.12, lw=0)
        top.set(title=name, yscale="log")
        bottom.set(xlabel="epoch", ylim=(90, 100))
        for panel in (top, bottom):
            panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("cross-entropy (nats)\nsolid: validation, dotted: training")
    panels[1, 0].set_ylabel("validation accuracy (%)\nband: lowest to highest seed")
    panels[0, 0].legend(title="regularization", fontsize=8, loc="upper right")
    figure.suptitle(f"Handwritten digits, 64-128-10 networks, Adam, batches of 32: mean of seeds 0 to {seeds - 1}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="2 seeds and 5 epochs instead of 5 and 40")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("results/digits"), help="folder for the results"
    )
    options = parser.parse_args()
    seeds, epochs = (2, 5) if options.small else (5, 40)

    digits = fn.data.digits()
    started = time.perf_counter()
    rows = run_all(seeds, epochs, digits)
    lines = summarize(rows)
    best = max(lines, key=lambda line: line["validation"])
    print_table(lines, best)
    print(
        f"\nChosen on the validation images: {best['activation']} with {best['regularization']}; its test accuracy is "
        f"{best['test']:.2%} ± {best['test spread']:.2%} over {seeds} seeds ({len(digits.test[1])} images)."
    )
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    draw(rows, seeds, options.out / "learning_curves.png")
    print(
        f"{len(rows)} runs in {time.perf_counter() - started:.1f} s on {jax.devices()[0].device_kind}; "
        f"table and figure in {options.out}/"
    )


if __name__ == "__main__":
    main()
