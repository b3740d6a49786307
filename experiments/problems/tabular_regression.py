r"""A table with numbers to predict: diabetes.

The 442 patients of Efron, Hastie, Johnstone & Tibshirani (2004), which scikit-learn ships: age, sex, body mass index,
blood pressure and six blood measurements at first, and a measure of how far the disease had gone a year later (25 to
346). Does a dense network (32 hidden units, ReLU) predict it better than a linear model?

One split of 442 samples says little, so there are 20, drawn at random: 60 % to learn from, 20 % to choose by and 20 %
to judge by. In each split every method has six settings, fitted to the same training part, features and target
standardized there; the one with the least squared error on the validation part is measured once on the test part. R²
is 1 minus the squared error by that of the mean of the test part, so predicting a constant gives at most 0.

- funcnet's network and scikit-learn's: penalties (λ of `L2`, α) of 0.01, 0.1 and 1 with learning rates of 0.001 and
  0.01; Adam, batches of 32, 100 epochs, the split's number as seed. funcnet keeps the epoch with the least validation
  loss, which scikit-learn's network cannot do without giving up training samples.
- ridge regression: α of 0.1, 1, 10, 30, 100 and 300; lasso, by funcnet's coordinate descent: penalties of 0.003, 0.01,
  0.03, 0.1, 0.2 and 0.3 (on targets of variance 1).
- nearest neighbours: 3, 5, 9, 15, 25 and 40.
"""

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, corrected, error
from experiments.study import Table

METHODS = ("funcnet", "scikit-learn's network", "ridge regression", "lasso", "nearest neighbours", "the mean")
PENALTIES, RATES = (1e-2, 1e-1, 1.0), (1e-3, 1e-2)
LASSO = np.asarray([0.3, 0.2, 0.1, 0.03, 0.01, 0.003])


def measure(small):
    """Return R² and the root of the mean squared error on the test part, by method and split, and the lasso's sizes."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    x, y = x.astype(np.float32), y.astype(np.float32)[:, None]
    splits, epochs = (1, 3) if small else (20, 100)
    runs = [one_split(fn.data.split(x, y, seed=seed, stratify=False), seed, epochs) for seed in range(splits)]
    numbers = {key: {method: [run[key][method] for run in runs] for method in METHODS} for key in ("r2", "error")}
    return numbers | {"features": [run["features"] for run in runs]}


def one_split(parts, seed, epochs):
    """Choose each method's setting in a split; return R² and error on the test part, in the target's own unit."""
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor

    inputs, _, _ = fn.data.standardize(*(x for x, _ in parts))
    targets, _, (unit,) = fn.data.standardize(*(y for _, y in parts))
    train, validation, test = zip(inputs, targets, strict=True)
    flat_train, flat_validation, flat_test = ((x, y[:, 0]) for x, y in (train, validation, test))
    networks = [
        MLPRegressor(
            hidden_layer_sizes=32, alpha=a, learning_rate_init=r, batch_size=32, max_iter=epochs, random_state=seed
        )
        for a in PENALTIES
        for r in RATES
    ]
    ridges = [Ridge(a) for a in (0.1, 1, 10, 30, 100, 300)]
    neighbours = [KNeighborsRegressor(k) for k in (3, 5, 9, 15, 25, 40)]

    experiment = fn.Experiment(
        fn.mlp(32, 1),
        fn.MeanSquaredError(),
        fn.Adam(RATES[0]),
        regularizer=fn.L2(PENALTIES[0]),
        batch_size=32,
        epochs=epochs,
        seed=seed,
        data_seed=seed,
    )
    trials = fn.grid(experiment, {"regularizer.strength": PENALTIES, "optimizer.learning_rate": RATES})
    results = fn.sweep(trials, train, validation, test, progress=False, lanes=3)
    squared = {"funcnet": results.table()["test_loss"][results.best("validation_loss")]}
    families = {METHODS[1]: networks, "ridge regression": ridges, "nearest neighbours": neighbours}
    for method, models in families.items():
        squared[method] = error(chosen(models, flat_train, flat_validation, error), *flat_test)

    path = fn.linear.elastic_net_path(*flat_train, penalties=LASSO)
    residuals = [y - (x @ path.coefficients.T + path.intercepts).T for x, y in (flat_validation, flat_test)]
    validation_error, test_error = (np.square(r).mean(axis=1) for r in residuals)
    best = int(validation_error.argmin())
    squared |= {"lasso": test_error[best], "the mean": np.mean(np.square(flat_test[1]))}
    return {
        "r2": {method: 1 - value / flat_test[1].var() for method, value in squared.items()},
        "error": {method: float(unit) * np.sqrt(value) for method, value in squared.items()},
        "features": int(np.count_nonzero(path.coefficients[best])),
    }


def difference(numbers, method):
    """Return by how much the network's R² is above a method's, with the half width of its interval."""
    return corrected(np.subtract(numbers["r2"]["funcnet"], numbers["r2"][method]), ratio=0.2 / 0.6)


def tables(numbers):
    """Show R² and errors, and differences to the network."""

    def spread(values):
        return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"

    rows = []
    for method in METHODS:
        errors, mean = numbers["error"][method], difference(numbers, method)
        behind = "" if method == "funcnet" else f"{mean[0]:+.3f} ± {mean[1]:.3f}"
        rows.append([method, spread(numbers["r2"][method]), f"{np.mean(errors):.1f}", behind])
    splits = len(numbers["features"])
    return [
        Table(
            f"On the test part, mean ± standard deviation over {splits} splits. The last column is by how much "
            "funcnet's R² is above the method's: mean over the splits, paired, ± half width of the 95 % interval with "
            "Nadeau & Bengio's correction for splits that share samples.",
            ("", "R²", "root mean squared error", "difference of R²"),
            rows,
        )
    ]


def draw(numbers):
    """Draw each split's R² and the means."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(7.2, 3.6)
    rng = np.random.default_rng(0)
    for place, (method, colour) in enumerate(zip(METHODS[:-1], COLOURS, strict=False)):
        values = np.asarray(numbers["r2"][method])
        axes.plot(place + rng.uniform(-0.2, 0.2, len(values)), values, "o", ms=4.5, color=colour, alpha=0.5, mew=0)
        axes.plot([place - 0.32, place + 0.32], 2 * [values.mean()], color=colour, lw=2.5)
    axes.set_xticks(range(len(METHODS) - 1), [method.replace(" ", "\n", 1) for method in METHODS[:-1]])
    axes.set_ylabel("R² on the test part")
    axes.grid(axis="x", visible=False)
    axes.set_title(f"Diabetes, 442 patients: {len(numbers['features'])} random splits (dots), their means (lines)")
    return figure


def verdict(numbers):
    """Say what follows."""
    network, ridge, lasso = (np.mean(numbers["r2"][method]) for method in ("funcnet", "ridge regression", "lasso"))
    mean, half = difference(numbers, "ridge regression")
    assert abs(mean) < half
    assert max(np.mean(values) for values in numbers["r2"].values()) < 0.5
    return (
        f"**A dense network does as well as a linear model here, not measurably better.** R² is {network:.3f} on "
        f"average, {ridge:.3f} with ridge regression and {lasso:.3f} with the lasso, which keeps "
        f"{np.mean(numbers['features']):.1f} of the ten features on average; the difference to ridge regression is "
        f"{mean:+.3f} ± {half:.3f}. Every method leaves more than half of the variance unexplained."
    )
