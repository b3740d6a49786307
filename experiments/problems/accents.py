r"""Accents: a tagger that gives letters their marks back.

Typed in a hurry, *déjà* becomes *deja* and *señal* becomes *senal*. Which letter had a mark is to be told from the bare
word alone, whose language is not told either. The words are those of the [study of languages](languages.md): of each of
ten languages all that are among its 6,000 most frequent, have at least three letters and are not among those of
another; split at random, 60 % to learn from, 20 % to choose by, 20 % to judge by. Marks are those that Unicode takes
off a letter (é, ñ, ż, å); ł and ß are letters of their own. A letter is doubtful if the training words have it in more
than one form.

- funcnet: the letters are tokens with 32 numbers each; a GRU of 96 units reads the word forwards and another backwards;
  what both know at a letter goes to a dense layer with an output for each letter with its mark. Words differ in length:
  the lengths go with them, and letters behind a word's end do not count in the loss (`ignore`). Dropout of 0.25 behind
  the GRUs, Adam at 0.003 which falls to 0 along half a cosine, batches of 64, 12 epochs of which the best is kept, 3
  seeds. Nothing was chosen by its result. The three are judged each by itself, and together, by the mean of what their
  last layers say.
- a linear model for each doubtful letter: logistic regression on which letters stand at each place up to four to the
  left and to the right, and which groups of two to four letters touch the letter, all of those that three training
  words have at that place; C of 0.1, 0.3, 1 or 3, by the words right in the validation part.
- no marks at all.

Other work shared the machine, and the seconds below.
"""

import unicodedata
from collections import Counter, defaultdict

import numpy as np

import funcnet as fn
from experiments.problems._baselines import paired, spread
from experiments.problems.languages import LANGUAGES, words
from experiments.study import Table

WIDTH, TABLE, DROPOUT, EPOCHS, SEEDS, IGNORED = 96, 32, 0.25, 12, 3, -100
REACH, LONGEST = 4, 4  # letters to each side, and letters of a group, that the linear model sees
STRENGTHS = (0.1, 0.3, 1, 3)
METHODS = ("both ways, letter by letter", "three together", "logistic regression", "no marks")
SHOWN = ("señal", "français", "straßenbahn", "hyvää", "świat", "coração", "größe", "għid")


def bare(word):
    """Return a word without marks, letter for letter."""
    return "".join(unicodedata.normalize("NFD", letter)[0] for letter in word)


def forms(known):
    """Return the forms of each bare letter, in alphabetical order."""
    found = defaultdict(set)
    for word in known:
        for letter, form in zip(bare(word), word, strict=True):
            found[letter].add(form)
    return {letter: sorted(found[letter]) for letter in sorted(found)}


def tokens(known, plain, marked, longest):
    """Return bare letters as tokens beside the lengths, 0 for others and behind the end, and the forms to be found."""
    x = np.zeros((len(known), longest), np.int32)
    y = np.full((len(known), longest), IGNORED, np.int32)
    token = {letter: i for i, letter in enumerate(plain, start=1)}
    label = {form: i for i, form in enumerate(marked)}
    for i, word in enumerate(known):
        x[i, : len(word)] = [token.get(letter, 0) for letter in bare(word)]
        y[i, : len(word)] = [label.get(form, IGNORED) for form in word]
    return (x, np.asarray([len(word) for word in known], np.int32)), y


def experiment_of(kinds, width, outputs, seed, steps):
    """Return the recipe; steps are those of all epochs."""
    both = fn.Bidirectional(fn.GRU(width))
    last = fn.Stepwise(fn.Dropout(DROPOUT), fn.Dense(outputs), lengths=False)
    return fn.Experiment(
        fn.Chain(fn.Embedding(kinds, TABLE), both, last),
        fn.SoftmaxCrossEntropy(ignore=IGNORED),
        fn.Adam(fn.Cosine(0.003, steps=steps)),
        batch_size=64,
        epochs=1,
        seed=seed,
        data_seed=seed,
    )


def restored(scores, known, known_forms, marked):
    """Return words with the likeliest forms of their letters."""
    label = {form: i for i, form in enumerate(marked)}
    found = []
    for row, word in zip(scores, known, strict=True):
        letters = []
        for place, letter in enumerate(bare(word)):
            several = known_forms.get(letter, [letter])
            letters.append(max(several, key=lambda form, at=row[place]: at[label[form]]) if several[1:] else letter)
        found.append("".join(letters))
    return found


def neighbours(word, place):
    """List what the linear model sees of a bare word at a place: groups of letters, and where they begin."""
    wide, place = "^" * REACH + word + "$" * REACH, place + REACH
    groups = []
    for size in range(1, LONGEST + 1):
        nearest = range(-REACH, REACH + 1) if size == 1 else range(-size, 2)
        groups += [(start, wide[place + start : place + start + size]) for start in nearest]
    return groups


class Linear:
    """Logistic regressions on the letters around, one for each doubtful letter."""

    def __init__(self, known, known_forms, strength):
        from sklearn.linear_model import LogisticRegression

        self.models = {}
        for letter in (letter for letter, several in known_forms.items() if several[1:]):
            places = [(bare(word), i, word[i]) for word in known for i, own in enumerate(bare(word)) if own == letter]
            counts = Counter(group for word, i, _ in places for group in neighbours(word, i))
            columns = {group: i for i, group in enumerate(g for g, count in counts.items() if count >= 3)}
            x = self.seen([place[:2] for place in places], columns)
            model = LogisticRegression(C=strength, max_iter=300)
            self.models[letter] = columns, model.fit(x, [form for *_, form in places])

    @staticmethod
    def seen(places, columns):
        """Return a sparse array (places, groups) of 1 where a group is there."""
        from scipy.sparse import csr_array

        found = [[columns[group] for group in neighbours(*place) if group in columns] for place in places]
        ends = np.cumsum([0, *map(len, found)])
        flat = np.concatenate([np.asarray(row, int) for row in found])
        return csr_array((np.ones(len(flat)), flat, ends), shape=(len(places), len(columns)))

    def restored(self, known):
        """Return words with the likeliest forms of their letters."""
        found = [list(bare(word)) for word in known]
        for letter, (columns, model) in self.models.items():
            places = [(i, j) for i, word in enumerate(found) for j, own in enumerate(bare(known[i])) if own == letter]
            if places:
                seen = self.seen([(bare(known[i]), j) for i, j in places], columns)
                for (i, j), form in zip(places, model.predict(seen), strict=True):
                    found[i][j] = form
        return ["".join(word) for word in found]


def measure(small):
    """Return shares of words and of doubtful letters that are right, by method, and some examples."""
    listed, labels, _ = words(60 if small else 6000)
    listed = np.asarray([unicodedata.normalize("NFC", word) for word in listed])
    parts = fn.data.split(listed, labels, seed=0)
    learned, chosen_by, judged = ([str(word) for word in part[0]] for part in parts)
    known_forms, longest = forms(learned), max(map(len, listed))
    plain, marked = list(known_forms), sorted(set("".join(learned)))
    sets = [tokens(part, plain, marked, longest) for part in (learned, chosen_by, judged)]
    seeds, epochs, width = (1, 1, 4) if small else (SEEDS, EPOCHS, WIDTH)
    found, said = {METHODS[0]: [], METHODS[3]: [[bare(word) for word in judged]]}, []
    for seed in range(seeds):
        steps = epochs * -(-len(learned) // 64)
        recipe = experiment_of(len(plain) + 1, width, len(marked), seed, steps)
        run = fn.train(fn.replace(recipe, {"epochs": epochs}), sets[0], sets[1], progress=False)
        said.append(np.asarray(run.predict(sets[2][0])))
        found[METHODS[0]].append(restored(said[-1], judged, known_forms, marked))
        if seed == 0:
            asked = [word for word in SHOWN if all(letter in known_forms for letter in bare(word))]
            scores = np.asarray(run.predict(tokens(asked, plain, marked, longest)[0]))
            examples = [
                [bare(word), word, own]
                for word, own in zip(asked, restored(scores, asked, known_forms, marked), strict=True)
            ]
    linear = [Linear(learned, known_forms, strength) for strength in ((1,) if small else STRENGTHS)]
    held = [np.mean([a == b for a, b in zip(model.restored(chosen_by), chosen_by, strict=True)]) for model in linear]
    found[METHODS[1]] = [restored(np.mean(said, axis=0), judged, known_forms, marked)]
    found[METHODS[2]] = [linear[int(np.argmax(held))].restored(judged)]

    right = {name: [[a == b for a, b in zip(own, judged, strict=True)] for own in found[name]] for name in METHODS}
    language = np.asarray(parts.test[1])
    return {
        "words": {name: np.mean(rows, axis=1) for name, rows in right.items()},
        "letters": {name: [doubtful(own, judged, known_forms) for own in found[name]] for name in METHODS},
        "gap": [paired(right[name], np.asarray(right[METHODS[2]][0], float)) for name in METHODS[:2]],
        "by_language": {
            name: [float(np.mean(rows, axis=0)[language == i].mean()) for i in range(len(LANGUAGES))]
            for name, rows in right.items()
        },
        "examples": examples,
        "sizes": {"train": len(learned), "test": len(judged), "marked": float(np.mean([bare(w) != w for w in judged]))},
    }


def doubtful(found, judged, known_forms):
    """Return the share of the letters with several forms that are right."""
    pairs = [
        (own, true)
        for word, wanted in zip(found, judged, strict=True)
        for own, true, letter in zip(word, wanted, bare(wanted), strict=True)
        if len(known_forms.get(letter, ())) > 1
    ]
    return float(np.mean([own == true for own, true in pairs]))


def tables(numbers):
    """Show what is right, by method and by language."""
    sizes, rows = numbers["sizes"], []
    for method in METHODS:
        own = numbers["words"][method], numbers["letters"][method]
        rows.append([method, *(spread(v) if len(v) > 1 else f"{100 * v[0]:.2f}" for v in own)])
    caption = (
        f"On {sizes['test']:,} test words, after learning from {sizes['train']:,}; {100 * sizes['marked']:.0f} % have "
        f"a mark. Percent right; of the GRUs mean ± standard deviation over {SEEDS} seeds."
    )
    each = [
        [language, *(f"{100 * numbers['by_language'][method][i]:.1f}" for method in METHODS)]
        for i, language in enumerate(LANGUAGES.values())
    ]
    return [
        Table(caption, ("", "words", "doubtful letters"), rows),
        Table("Words right by language (%).", ("", *METHODS), each),
        Table(
            "Some words, seed 0; they may be among those learned from.",
            ("typed", "meant", "restored"),
            numbers["examples"],
        ),
    ]


def draw(numbers):
    """Draw the words right by language."""
    from funcnet.figures import COLOURS, figure_of

    figure, axes = figure_of(8, 4.2)
    for i, (colour, method) in enumerate(zip(COLOURS, METHODS, strict=False)):
        places = np.arange(len(LANGUAGES)) + 0.21 * (i - 1.5)
        axes.bar(places, 100 * np.asarray(numbers["by_language"][method]), 0.19, color=colour, label=method)
    axes.set_xticks(range(len(LANGUAGES)), list(LANGUAGES.values()), rotation=30, ha="right")
    axes.set(ylabel="words right (%)", ylim=(50, 108), yticks=range(50, 101, 10))
    axes.set_title(f"Marks restored in {numbers['sizes']['test']:,} test words")
    axes.legend(loc="upper center", ncols=4)
    return figure


def verdict(numbers):
    """Say what follows."""
    own, three, linear, none = (100 * np.mean(numbers["words"][method]) for method in METHODS)
    letters = [100 * np.mean(numbers["letters"][method]) for method in METHODS]
    (gap, half), (many, wide) = numbers["gap"]

    def side(difference, bound):
        if abs(difference) <= bound:
            return "as often as"
        return "more often than" if difference > 0 else "less often than"

    return (
        f"**Read from both ends, a word gets its marks back {side(gap, half)} by a linear model of the letters around "
        f"each: {own:.1f} and {linear:.1f} of 100 words are right.** The difference is {gap:+.1f} ± {half:.1f} points "
        f"(95 % interval, word by word, mean of the seeds). Three networks together have {three:.1f} of 100 right, "
        f"{side(many, wide)} the linear model ({many:+.1f} ± {wide:.1f} points). Leaving all marks off is right for "
        f"{none:.1f} of 100 words, since most have none. Of the letters that may have a mark one network has "
        f"{letters[0]:.1f} % right, three {letters[1]:.1f} %, the linear model {letters[2]:.1f} %, and no marks "
        f"{letters[3]:.1f} %."
    )
