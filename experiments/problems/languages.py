r"""Language: which language a word is of.

Ten languages in Latin script. From each, the 2,000 most frequent words of at least three letters, by the lists of the
package wordfreq, that are not among the 6,000 most frequent words of one of the other nine: a word that several
languages share (*hotel*, *animal*) has no single right answer, and foreign words are in all such lists. So the words
are easier than those of a text, where the shared ones come too. What remains are single words without any context, and
languages that are near each other: Spanish, Portuguese and Italian, or Dutch and German.

A word becomes the n-grams of its letters, of one to three letters, its beginning marked `^` and its end `$`; each of
those that at least 8 training words hold is an input, 1 or 0. The words are split at random, stratified by language:
60 % to learn from, 20 % to choose by, 20 % to judge by. Forms of one word may be in different parts, which helps every
method.

Each method has four settings; the one with the least log loss on the validation part is chosen.

- funcnet's network: 64 hidden units, ReLU, half of them dropped out, Adam with a learning rate of 0.002, batches of
  128, 8 epochs of which the best is kept; penalties (λ of `L2`) of 0.000003, 0.00001, 0.00003 and 0.0001, each with 5
  seeds, chosen by their mean.
- logistic regression: C of 0.03, 0.1, 0.3 and 1.
- naive Bayes (Bernoulli): pseudo-counts of 0.03, 0.1, 0.3 and 1.
- the special letters alone: logistic regression on which letters outside a–z a word holds.
"""

from collections import Counter

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, log_loss, paired
from experiments.problems._letters import presence, vocabulary
from experiments.study import Table

LANGUAGES = {
    **{"en": "English", "nl": "Dutch", "de": "German", "sv": "Swedish", "fr": "French"},
    **{"it": "Italian", "es": "Spanish", "pt": "Portuguese", "pl": "Polish", "fi": "Finnish"},
}
LENGTHS = (1, 2, 3)
PENALTIES = (3e-6, 1e-5, 3e-5, 1e-4)
# scikit-learn's solver stops elsewhere on another processor: one word of the small run's 200 more, or fewer.
TOLERANCE = 0.05
METHODS = ("funcnet", "logistic regression", "naive Bayes", "special letters alone")


def words(count):
    """Return the most frequent words that one language has alone, their languages, and the share that was left out."""
    import wordfreq

    lists = [wordfreq.top_n_list(language, 6000, wordlist="small") for language in LANGUAGES]
    languages = Counter(word for known in lists for word in set(known))
    # ASCII apostrophes and digits would give a language away, or none: words of letters only.
    proper = [[word for word in known if word.isalpha() and len(word) >= 3] for known in lists]
    alone = [[word for word in known if languages[word] == 1][:count] for known in proper]
    shared = 1 - sum(languages[word] == 1 for known in proper for word in known) / sum(map(len, proper))
    labels = np.repeat(np.arange(len(LANGUAGES)), list(map(len, alone))).astype(np.int32)
    return np.asarray([word for known in alone for word in known]), labels, shared


def measure(small):
    """Return accuracies and log losses by method, and the network's confusion matrix."""
    from scipy.sparse import csr_array
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import BernoulliNB

    count, seeds, epochs = (100, 2, 6) if small else (2000, 5, 8)
    listed, labels, shared = words(count)
    parts = fn.data.split(listed, labels, seed=0)
    grams = vocabulary(parts.train[0], LENGTHS, least=8)
    train, validation, test = ((presence(known, grams, LENGTHS), y) for known, y in parts)

    experiment = fn.Experiment(
        fn.mlp(64, len(LANGUAGES), dropout=0.5),
        fn.SoftmaxCrossEntropy(),
        fn.Adam(0.002),
        regularizer=fn.L2(PENALTIES[0]),
        batch_size=128,
        epochs=epochs,
    )
    trials = fn.grid(experiment, {"regularizer.strength": PENALTIES, "seed": range(seeds)})
    results = fn.sweep(trials, train, validation, test, progress=False)
    best = int(results.table()["validation_loss"].reshape(-1, seeds).mean(axis=1).argmin())
    own = range(best * seeds, best * seeds + seeds)
    logits = np.asarray([experiment.network.apply(results.params(i), test[0]) for i in own])
    families = {
        "logistic regression": [LogisticRegression(C=c, max_iter=200) for c in (0.03, 0.1, 0.3, 1)],
        "naive Bayes": [BernoulliNB(alpha=a) for a in (0.03, 0.1, 0.3, 1)],
    }
    sparse = [(csr_array(x), y) for x, y in (train, validation, test)]
    accuracy = {"funcnet": results.table()["test_accuracy"][own.start : own.stop]}
    losses = {"funcnet": results.table()["test_loss"][own.start : own.stop]}
    for method, candidates in families.items():
        model = chosen(candidates, *sparse[:2], log_loss)
        accuracy[method], losses[method] = [model.score(*sparse[2])], [log_loss(model, *sparse[2])]
        if method == "logistic regression":
            gap = paired(logits.argmax(axis=-1) == test[1], model.predict(sparse[2][0]) == test[1])
    special = [i for i, gram in enumerate(grams) if len(gram) == 1 and not "a" <= gram <= "z"]
    few = [(x[:, special], y) for x, y in (train, validation, test)]
    model = chosen([LogisticRegression(C=c) for c in (0.1, 1, 10, 100)], *few[:2], log_loss)
    accuracy[METHODS[3]], losses[METHODS[3]] = [model.score(*few[2])], [log_loss(model, *few[2])]
    confusion = np.zeros((len(LANGUAGES), len(LANGUAGES)))
    for found in logits.argmax(axis=-1):
        np.add.at(confusion, (test[1], found), 1)
    by_length = np.asarray([min(len(word), 10) for word in parts.test[0]])
    right = (logits.argmax(axis=-1) == test[1]).mean(axis=0)
    return {
        "accuracy": accuracy,
        "log_loss": losses,
        "paired": gap,
        "penalty": PENALTIES[best],
        "confusion": confusion / confusion.sum(axis=1, keepdims=True),
        "by_length": {str(n): float(right[by_length == n].mean()) for n in np.unique(by_length)},
        "sizes": {"inputs": len(grams), "train": len(train[1]), "test": len(test[1])},
        "shared": shared,
    }


def tables(numbers):
    """Show accuracies and log losses, what is taken for what, and accuracy by length."""
    sizes, rows = numbers["sizes"], []
    for method in METHODS:
        accuracy, loss = 100 * np.asarray(numbers["accuracy"][method]), np.asarray(numbers["log_loss"][method])
        seeds = f" ± {accuracy.std(ddof=1):.2f}" if len(accuracy) > 1 else ""
        rows.append([method, f"{accuracy.mean():.2f}{seeds}", f"{loss.mean():.3f}"])
    accuracy = np.mean(numbers["accuracy"]["funcnet"])
    error = 196 * np.sqrt(accuracy * (1 - accuracy) / sizes["test"])
    lengths = list(numbers["by_length"])
    return [
        Table(
            f"On {sizes['test']:,} test words, after learning from {sizes['train']:,}, with {sizes['inputs']:,} "
            "inputs: accuracy in percent (funcnet: mean ± standard deviation over "
            f"{len(numbers['accuracy']['funcnet'])} seeds) and mean log loss. With so many test words the 95 % "
            f"interval of funcnet's accuracy is ±{error:.1f} points; guessing is right in 10 %. funcnet's penalty is "
            f"{numbers['penalty']:g}. {100 * numbers['shared']:.0f} % of the words listed stand in several of the "
            "lists and were left out.",
            ("", "accuracy (%)", "log loss"),
            rows,
        ),
        Table(
            "The network's mistakes: the six most frequent ones.",
            ("a word of", "taken for", "in % of the words"),
            [[a, b, f"{100 * share:.1f}"] for a, b, share in mistakes(numbers)[:6]],
        ),
        Table(
            "The network's accuracy by the length of the word, in letters.",
            ("", *lengths[:-1], f"{lengths[-1]} and more"),
            [["accuracy (%)", *(f"{100 * numbers['by_length'][n]:.1f}" for n in lengths)]],
        ),
    ]


def mistakes(numbers):
    """List the pairs of languages by how often the network takes the first for the second."""
    names = list(LANGUAGES.values())
    pairs = [
        (names[i], names[j], share)
        for i, row in enumerate(numbers["confusion"])
        for j, share in enumerate(row)
        if i != j
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def draw(numbers):
    """Draw the confusion matrix."""
    from funcnet.figures import figure_of

    figure, axes = figure_of(7.4, 6)
    confusion = 100 * np.asarray(numbers["confusion"])
    # The scale ends where the mistakes do: the diagonal is written, the colours are for what is beside it.
    top = np.max(confusion[~np.eye(len(confusion), dtype=bool)])
    image = axes.imshow(np.where(np.eye(len(confusion)) > 0, np.nan, confusion), cmap="Blues", vmin=0, vmax=top)
    for i, row in enumerate(confusion):
        for j, share in enumerate(row):
            colour, weight = (
                ("white", "normal") if i != j and share > 0.6 * top else ("black", "bold" if i == j else "normal")
            )
            axes.text(j, i, f"{share:.1f}", ha="center", va="center", fontsize=8.5, color=colour, weight=weight)
    names = list(LANGUAGES.values())
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="the network says", ylabel="the word is")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, shrink=0.8, label="mistakes, % of the words of a language")
    seeds = len(numbers["accuracy"]["funcnet"])
    axes.set_title(
        f"Single words, {numbers['sizes']['test']:,} of the test part; network with 64 hidden units, {seeds} seeds"
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    mean = {method: 100 * np.mean(numbers["accuracy"][method]) for method in METHODS}
    gap, half = numbers["paired"]
    assert abs(gap) < half
    assert 70 < mean["funcnet"] < 85
    assert mean["funcnet"] > mean["special letters alone"] + 10
    first, second, share = mistakes(numbers)[0]
    lengths = numbers["by_length"]
    assert lengths["10"] > lengths["3"] + 0.1
    return (
        f"**From one word a network tells the language in {mean['funcnet']:.0f} of 100 cases, and so does a linear "
        f"model.** The network is right in {mean['funcnet']:.1f} %, logistic regression in "
        f"{mean['logistic regression']:.1f} %: a difference of {gap:+.1f} ± {half:.1f} points (95 % interval, word by "
        f"word). Naive Bayes is right in {mean['naive Bayes']:.1f} %, the special letters alone in "
        f"{mean['special letters alone']:.1f} %. The network takes {100 * share:.1f} % of the {first} words for "
        f"{second}, its most frequent mistake. Of words of three letters it gets {100 * lengths['3']:.0f} % right, of "
        f"those of ten and more {100 * lengths['10']:.0f} %."
    )
