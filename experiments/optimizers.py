"""Compare all optimizers: on a curved valley, on an ill-conditioned regression, and on handwritten digits.

    python experiments/optimizers.py            under two minutes on two cores, most of it compiling
    python experiments/optimizers.py --small    a few seconds: fewer rates, steps and seeds

Each optimizer gets the learning rate that serves it best, out of the same grid of powers of √10 for all: in the valley
by the mean logarithm of the function along the path, on the regression by the loss at the end, on the digits by the
mean validation loss of the last third of the epochs, over all seeds. NAdam and AMSGrad are those of the papers;
everything else keeps its default. Prints a table of each study and saves three figures.
"""

import argparse
import functools
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from funcnet import optimizers

jax.config.update("jax_enable_x64", True)

PLAIN = {
    "gradient descent": lambda rate: optimizers.SGD(rate),
    "momentum 0.9": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "Nesterov 0.9": lambda rate: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "coordinate, cyclic": lambda rate: optimizers.CoordinateDescent(rate),
    "coordinate, greedy": lambda rate: optimizers.CoordinateDescent(rate, "greedy"),
    "coordinate, exact": lambda rate: optimizers.CoordinateDescent(rate, step="secant", largest=1e6),
}
ADAPTIVE = {
    "Adagrad": optimizers.Adagrad,
    "RMSprop": optimizers.RMSprop,
    "Adadelta": optimizers.Adadelta,
    "Adam": optimizers.Adam,
    "AdaMax": optimizers.AdaMax,
    "AdamW": optimizers.AdamW,
    "NAdam": functools.partial(optimizers.NAdam, literal=True),
    "AMSGrad": functools.partial(optimizers.AMSGrad, correction="none"),
    "Lion": optimizers.Lion,
}
ALL = PLAIN | ADAPTIVE
RATES = 10.0 ** np.arange(-5, 1.01, 0.5)

# On the digits one coordinate an update would take hours: there the method moves a block of 64.
DIGITS = {name: make for name, make in ALL.items() if not name.startswith("coordinate")} | {
    "coordinate, 64 random": lambda rate: optimizers.CoordinateDescent(rate, "random", 64),
}

START, MINIMUM = (-1.4, 1.8), (1.0, 1.0)


def valley(w):
    """Return Rosenbrock's function: a flat, curved valley between steep walls."""
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def valley_gradient(w):
    across = w[1] - w[0] ** 2
    return jnp.stack([-2 * (1 - w[0]) - 400 * w[0] * across, 200 * across])


@functools.partial(jax.jit, static_argnames="steps")
def descend(optimizer, steps):
    """Return the points that an optimizer visits in the valley."""

    def onward(carry, _):
        w, state = carry
        updates, state = optimizer.update(valley_gradient(w), state, w)
        return (w + updates, state), w + updates

    w = jnp.asarray(START)
    path = jax.lax.scan(onward, (w, optimizer.init(w)), None, length=steps)[1]
    return jnp.concatenate([w[None], path])


def study_valley(steps):
    """Return the best path of each optimizer, all rates in one program."""
    found = {}
    for name, make in ALL.items():
        lanes = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(v) for v in leaves]), *[make(r) for r in RATES])
        paths = np.asarray(jax.vmap(functools.partial(descend, steps=steps))(lanes))
        with np.errstate(over="ignore", invalid="ignore"):
            heights = np.log10(valley(np.moveaxis(paths, -1, 0)) + 1e-12).mean(axis=1)
        best = int(np.argmin(np.where(np.isfinite(heights), heights, np.inf)))
        found[name] = {"rate": RATES[best], "path": paths[best], "final": valley(paths[best][-1])}
    return found


def regression_data():
    """Return a least-squares problem with condition number 10⁴, and its smallest loss."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    x = np.linalg.qr(rng.normal(size=(200, 20)))[0] * np.sqrt(200) * np.logspace(0, -2, 20) @ turn
    y = x @ rng.normal(size=(20, 1)) * 3 + 0.1 * rng.normal(size=(200, 1))
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return x, y, float(np.mean(residual**2))


def study_regression(epochs):
    """Return each optimizer's excess loss by update, on the whole set."""
    x, y, least = regression_data()
    found = {}
    for name, make in ALL.items():
        runs = []
        for rate in RATES:
            trial = fn.Experiment(
                fn.Dense(1, bias=False, kernel_init=fn.layers.Filled(0.0)),
                fn.MeanSquaredError(),
                make(rate),
                batch_size=None,
                epochs=epochs,
            )
            loss = fn.train(trial, (x, y)).history["train_loss"]
            runs.append(loss - least if len(loss) == epochs and np.isfinite(loss).all() else np.full(epochs, np.inf))
        best = int(np.argmin([run[-1] for run in runs]))
        found[name] = {"rate": RATES[best], "curve": runs[best], "final": runs[best][-1]}
    return found


def study_digits(epochs, rates, seeds):
    """Return each optimizer's curves on the digits, mean over the seeds."""
    digits = fn.data.digits()
    found = {}
    for name, make in DIGITS.items():
        runs = []
        for rate in rates:
            histories = []
            for seed in range(seeds):
                trial = fn.Experiment(
                    fn.mlp(32, 10), fn.SoftmaxCrossEntropy(), make(rate), epochs=epochs, seed=seed, data_seed=seed
                )
                histories.append(fn.train(trial, digits.train, digits.validation).history)
            whole = [h for h in histories if len(h["train_loss"]) == epochs and np.isfinite(h["validation_loss"]).all()]
            if len(whole) == seeds:
                runs.append((rate, {key: np.mean([h[key] for h in whole], axis=0) for key in whole[0]}))
        rate, curve = min(runs, key=lambda run: run[1]["validation_loss"][-(epochs // 3 + 1) :].mean())
        found[name] = {
            "rate": rate,
            "curve": curve,
            "final": curve["validation_accuracy"][np.argmin(curve["validation_loss"])],
        }
    return found


COLOURS = ("#1f78b4", "#d95f02", "#33a02c", "#6a3d9a", "#e31a1c", "#111111", "#b8860b", "#17becf", "#e377c2")


def label(name, found):
    return f"{name} (η = {found[name]['rate']:.1g})"


def draw_valley(plt, found, path):
    """Draw each path on the contours."""
    figure, panels = plt.subplots(3, 5, figsize=(13, 7.6), sharex=True, sharey=True, layout="constrained")
    a, b = np.meshgrid(np.linspace(-2, 2.6, 200), np.linspace(-1.5, 5.2, 200))
    heights = np.log10(valley((a, b)) + 1e-3)
    for panel, name in zip(panels.ravel(), ALL, strict=True):
        steps = found[name]["path"]
        panel.contourf(a, b, heights, levels=14, cmap="Greys", alpha=0.22)
        panel.plot(*steps.T, color="#d95f02" if name in PLAIN else "#1f78b4", lw=1.1, marker=".", ms=2.2)
        panel.plot(*START, "k^", ms=5)
        panel.plot(*MINIMUM, "k*", ms=8)
        panel.set_title(f"{label(name, found)}\nends at f = {found[name]['final']:.1e}", fontsize=8.5)
        panel.set(xlim=(-2, 2.6), ylim=(-1.5, 5.2))
    for panel in panels[-1]:
        panel.set_xlabel("w₁")
    for panel in panels[:, 0]:
        panel.set_ylabel("w₂")
    count = len(found["Adam"]["path"]) - 1
    figure.suptitle(
        f"{count} updates in Rosenbrock's valley f, from ▲ to the minimum ★; orange: one rate for all, blue: adaptive\n"
        "(contours of log₁₀ f; no randomness; η: the best of 13 rates)"
    )
    figure.savefig(path, dpi=75)
    plt.close(figure)


def draw_curves(plt, found, groups, curve, title, ylabel, xlabel, path, **axes):
    """Draw curves in one panel a group."""
    figure, panels = plt.subplots(1, 2, figsize=(12, 4.6), sharey=True, sharex=True, layout="constrained")
    for panel, group in zip(panels, groups, strict=True):
        for colour, name in zip(COLOURS, group, strict=False):
            values = curve(found[name])
            panel.plot(np.arange(1, len(values) + 1), values, color=colour, lw=1.6, label=label(name, found))
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
        panel.set(xlabel=xlabel, **axes)
    panels[0].set_ylabel(ylabel)
    figure.suptitle(title)
    figure.savefig(path, dpi=75)
    plt.close(figure)


def print_table(title, found, column, form):
    print(f"\n{title}\n{'optimizer':<24}{'learning rate':>14}{column:>26}")
    for name, row in found.items():
        print(f"{name:<24}{row['rate']:>14.2g}{format(row['final'], form):>26}")


def main():
    """Run the three studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="fewer rates, steps and seeds")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/images"), help="folder for the figures")
    options = parser.parse_args()
    steps, epochs, passes, seeds = (100, 100, 2, 1) if options.small else (300, 1000, 15, 3)
    rates = RATES[4:9:2] if options.small else RATES[2:12]

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    found = study_valley(steps)
    print_table(f"Rosenbrock's valley, {steps} updates", found, "final value", ".2e")
    draw_valley(plt, found, options.out / "optimizers-surface.png")

    found = study_regression(epochs)
    print_table(f"Regression with condition number 10⁴, {epochs} updates", found, "excess loss", ".2e")
    draw_curves(
        plt,
        found,
        (PLAIN, ADAPTIVE),
        lambda row: np.maximum(row["curve"], 1e-16),
        "Least squares, 200 × 20, condition number 10⁴, whole set (seed 0; η: best of 13 rates)",
        "mean squared error above the minimum",
        "update (for coordinate descent: one weight)",
        options.out / "optimizers-regression.png",
        yscale="log",
        xscale="log",
    )

    found = study_digits(passes, rates, seeds)
    print_table(f"Digits, {passes} epochs, mean of {seeds} seeds", found, "validation accuracy", ".2%")
    draw_curves(
        plt,
        found,
        ([n for n in DIGITS if n not in ADAPTIVE], ADAPTIVE),
        lambda row: row["curve"]["validation_loss"],
        f"Handwritten digits, 64-32-10 ReLU network, batches of 32: mean of seeds 0 to {seeds - 1} "
        f"(η: best of {len(rates)} rates)",
        "validation cross-entropy (nats)",
        "epoch",
        options.out / "optimizers-digits.png",
        yscale="log",
    )
    print(f"\n{time.perf_counter() - started:.1f} s on {jax.devices()[0].device_kind}; figures in {options.out}/")


if __name__ == "__main__":
    main()
