r"""What the studies of tables and words share: fitting the models of scikit-learn, choosing, and comparing."""

import warnings

import numpy as np

from funcnet.results.summary import mean_deviation_half_width, t_quantile


def chosen(models, train, validation, loss):
    """Fit each model, and return the one with the least loss(model, *validation), the first among equals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network that has used up its iterations says so, and an old name is one
        return min((model.fit(*train) for model in models), key=lambda model: loss(model, *validation))


def log_loss(model, x, y):
    """Return the mean of −log p(the true class)."""
    return float(-np.log(np.maximum(model.predict_proba(x)[np.arange(len(y)), y], 1e-15)).mean())


def error(model, x, y):
    """Return the share of wrong classes, or for a regression the mean squared error."""
    return float(np.mean(np.square(model.predict(x) - y)) if y.dtype.kind == "f" else np.mean(model.predict(x) != y))


def spread(values):
    """Write mean ± standard deviation, of accuracies in percent."""
    mean, deviation, _ = mean_deviation_half_width(100 * np.asarray(values))
    return f"{mean:.2f} ± {deviation:.2f}"


def paired(ours, theirs):
    """Return by how many points one method is right more often than another, and the half width of its 95 % interval.

    ours: for each of several networks, which samples it has right; theirs: the same of one model. The interval is over
    the samples.
    """
    difference = 100 * (np.mean(ours, axis=0) - theirs)
    return float(difference.mean()), float(1.96 * difference.std(ddof=1) / np.sqrt(len(difference)))


def corrected(differences, ratio):
    r"""Return the mean of differences over random splits, and the half width of its 95 % interval.

    The splits share samples, so s²/n is too small a variance of the mean; Nadeau & Bengio (2003) take
    (1/n + ratio) s², where ratio is the number of test samples by that of the samples learned from.
    """
    d = np.asarray(differences)
    half = t_quantile(0.975, len(d) - 1) * np.sqrt((1 / len(d) + ratio) * d.var(ddof=1))
    return float(d.mean()), float(half)
