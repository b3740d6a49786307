r"""Language in order: which language a word is of, letter by letter.

[The first page on these words](languages.md) gives each word as the set of its n-grams, of one to three letters, and
there a dense network is right no more often than a linear model. Here the letters are read in order: each is a token, a
table has 32 numbers for it, and a bidirectional GRU reads the word from both ends, however long it is; what both
directions have at their ends goes to a dense layer. A letter that no training word holds has a token of its own, which
is never trained.

The words, their split and logistic regression on n-grams, the better of the linear models there, are those of the first
page; so is the way to choose: the least log loss on the validation part. The GRU has 96 units in each direction; its
settings are dropout, behind the table and behind the GRU, of 0.25 or 0.5, with Adam at 0.003, batches of 64 and 12
epochs, of which the best is kept. Three seeds of the chosen setting are judged, each by itself and all together, by the
mean of their probabilities. Other work shared the machine, and the seconds below.
"""

import numpy as np

import funcnet as fn
from experiments.problems._baselines import chosen, log_loss, paired, spread
from experiments.problems._letters import presence, vocabulary
from experiments.problems.languages import LANGUAGES, LENGTHS, words
from experiments.study import Table

WIDTH, DROPOUTS, SEEDS = 96, (0.25, 0.5), 3
TABLE = 32  # numbers for a letter
METHODS = ("GRU on letters", "three GRUs together", "logistic regression on n-grams")


def letters(known, alphabet, longest):
    """Return words as tokens (words, letters), 0 for a letter outside the alphabet and behind the end, and lengths."""
    lengths = np.asarray([len(word) for word in known], np.int32)
    tokens = np.zeros((len(known), longest), np.int32)
    place = {letter: i for i, letter in enumerate(alphabet, start=1)}
    for row, word in zip(tokens, known, strict=True):
        row[: len(word)] = [place.get(letter, 0) for letter in word]
    return tokens, lengths


def experiment_of(kinds, width, dropout, seed, epochs):
    """Return the recipe of a setting."""
    first = (fn.Embedding(kinds, TABLE), fn.Stepwise(fn.Dropout(dropout)))
    both = fn.Bidirectional(fn.GRU(width, sequence=False))
    return fn.Experiment(
        fn.Chain(*first, both, fn.Dropout(dropout), fn.Dense(len(LANGUAGES))),
        fn.SoftmaxCrossEntropy(),
        fn.Adam(0.003),
        batch_size=64,
        epochs=epochs,
        seed=seed,
        data_seed=seed,
    )


def measure(small):
    """Return accuracies and log losses by method, and what is right by length."""
    from scipy.sparse import csr_array
    from sklearn.linear_model import LogisticRegression

    listed, labels, _ = words(20 if small else 2000)
    parts = fn.data.split(listed, labels, seed=0)
    alphabet = "".join(sorted(set("".join(parts.train[0]))))
    longest = max(map(len, listed))
    train, validation, test = ((letters(known, alphabet, longest), y) for known, y in parts)
    kinds, epochs = len(alphabet) + 1, 1 if small else 12

    def trained(width, dropout, seed):
        return fn.train(experiment_of(kinds, width, dropout, seed, epochs), train, validation, progress=False)

    settings = [(8, 0.25)] if small else [(WIDTH, dropout) for dropout in DROPOUTS]
    runs = [trained(*setting, 0) for setting in settings]
    losses = [run.history["validation_loss"].min() for run in runs]
    best = int(np.argmin(losses))
    own = [runs[best], *(trained(*settings[best], seed) for seed in range(1, 1 if small else SEEDS))]
    p = np.asarray([run.probabilities(test[0]) for run in own], np.float64)

    grams = vocabulary(parts.train[0], LENGTHS, least=8)
    sparse = [(csr_array(presence(known, grams, LENGTHS)), y) for known, y in parts]
    regressions = [LogisticRegression(C=c, max_iter=200) for c in ((1,) if small else (0.03, 0.1, 0.3, 1))]
    model = chosen(regressions, *sparse[:2], log_loss)

    y, together = test[1], p.mean(axis=0)
    right = [p.argmax(axis=-1) == y, [together.argmax(axis=-1) == y], [model.predict(sparse[2][0]) == y]]
    taken = [own_p[np.arange(len(y)), y] for own_p in (*p, together)]
    logs = [float(-np.log(np.maximum(one, 1e-15)).mean()) for one in taken]
    by_length = np.asarray([min(len(word), 10) for word in parts.test[0]])
    return {
        "accuracy": {name: np.mean(rows, axis=1) for name, rows in zip(METHODS, right, strict=True)},
        "log_loss": dict(zip(METHODS, (logs[:-1], logs[-1:], [log_loss(model, *sparse[2])]), strict=True)),
        "gap": [paired(rows, right[2][0]) for rows in right[:2]],
        "settings": [[*setting, loss] for setting, loss in zip(settings, losses, strict=True)],
        "by_length": {
            str(n): [float(np.mean(rows, axis=0)[by_length == n].mean()) for rows in right]
            for n in np.unique(by_length)
        },
        "sizes": {"kinds": kinds, "longest": longest, "train": len(train[1]), "test": len(y)},
    }


def tables(numbers):
    """Show accuracies and log losses, and what was chosen from."""
    sizes, rows = numbers["sizes"], []
    for method in METHODS:
        accuracy, loss = numbers["accuracy"][method], np.mean(numbers["log_loss"][method])
        shown = spread(accuracy) if len(accuracy) > 1 else f"{100 * accuracy[0]:.2f}"
        rows.append([method, shown, f"{loss:.3f}"])
    caption = (
        f"On {sizes['test']:,} test words, after learning from {sizes['train']:,}: accuracy in percent (of the GRU, "
        f"mean ± standard deviation over {SEEDS} seeds) and mean log loss. {sizes['kinds'] - 1} letters; guessing is "
        "right in 10 %."
    )
    settings = [(width, f"{dropout:g}", f"{loss:.3f}") for width, dropout, loss in numbers["settings"]]
    lengths = list(numbers["by_length"])
    each = [
        [method, *(f"{100 * numbers['by_length'][n][i]:.1f}" for n in lengths)]
        for i, method in enumerate(METHODS)
        if i != 1
    ]
    return [
        Table(caption, ("", "accuracy (%)", "log loss"), rows),
        Table("What was chosen from, seed 0.", ("units", "dropout", "validation log loss"), settings),
        Table("Accuracy (%) by the length of the word.", ("", *lengths[:-1], f"{lengths[-1]} and more"), each),
    ]


def draw(numbers):
    """Draw the accuracy by length."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(7.5, 4.2)
    lengths = list(numbers["by_length"])
    for colour, (i, method) in zip(COLOURS, [(0, METHODS[0]), (2, METHODS[2])], strict=False):
        accuracy = [100 * numbers["by_length"][n][i] for n in lengths]
        axes.plot(range(len(lengths)), accuracy, "-o", color=colour, label=method)
    axes.set_xticks(range(len(lengths)), [*lengths[:-1], f"{lengths[-1]} and more"])
    axes.set(xlabel="letters of the word", ylabel="accuracy (%)")
    axes.legend()
    axes.set_title(f"Which of ten languages a word is of: {numbers['sizes']['test']:,} test words")
    return figure


def verdict(numbers):
    """Say what follows."""
    one, three, linear = (100 * np.mean(numbers["accuracy"][method]) for method in METHODS)
    (gap, half), (many, wide) = numbers["gap"]
    assert one > 60

    def side(difference, bound):
        if abs(difference) <= bound:
            return "no more often than"
        return "more often than" if difference > 0 else "less often than"

    lengths, last = numbers["by_length"], list(numbers["by_length"])[-1]
    return (
        f"**Read letter by letter, a word tells its language {side(gap, half)} by its n-grams to a linear model: "
        f"{one:.1f} and {linear:.1f} of 100 right.** The difference of one GRU is {gap:+.1f} ± {half:.1f} points (95 % "
        f"interval, word by word, mean of the seeds). Three of them together are right in {three:.1f} %, "
        f"{side(many, wide)} the linear model ({many:+.1f} ± {wide:.1f} points). Of words of three letters the "
        f"GRU has {100 * lengths['3'][0]:.0f} % right and the linear model {100 * lengths['3'][2]:.0f} %, of those of "
        f"ten and more {100 * lengths[last][0]:.0f} % and {100 * lengths[last][2]:.0f} %."
    )
