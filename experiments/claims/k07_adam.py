r"""K7: Adam, Adagrad and RMSprop.

> The Adam optimizer … combines Adagrad and RMSprop, which makes it adaptive enough, and has good results on many tasks
> (A3.4, in Chinese there)

**The first half is a statement about recurrences.** A stream of 1,000 random gradients (20 coordinates, Student's
distribution with 3 degrees of freedom, 64 bits) goes through pairs of optimizers, and the updates are compared: the
largest difference over all coordinates, relative to the largest update of that time.

**The second half is about tasks.** Six of them: the shipped digits (a network), diamonds (log prices of 6,000 from
eighteen measures, a network), first names (bags of n-grams, 1 or 0, mostly 0; logistic regression), an ill-conditioned
regression (20 features, the Hessian's eigenvalues from 1 to 10⁻⁴; synthetic), an auto-encoder (digits, 64-32-8-32-64)
and three spirals (three layers of 24 tanh units; synthetic). Five optimizers with all other numbers at their defaults
and one grid for all: eleven rates from 10⁻⁴ to 10, in steps of √10. The rate is chosen by the mean validation loss of
three seeds, at each trial's best epoch; the test loss is that of eight other seeds. Seeds decide the initial
parameters; all trials see the samples in one order. The data, batches and epochs of a task are the same for all.

*Regret* is the mean test loss over the least mean of the five optimizers. *Ranks* are taken for each task and seed. A
rate of the grid is *near* if its mean validation loss is within 25 % of the lowest that any optimizer reaches on that
task. *One rate for all tasks* is the rate with the least geometric mean, over the tasks, of validation loss over the
lowest.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.study import Table
from funcnet.results.summary import mean_deviation_half_width

OPTIMIZERS = {
    "SGD": fn.SGD(0.1),
    "momentum 0.9": fn.SGD(0.1, momentum=0.9),
    "Adagrad": fn.Adagrad(0.1),
    "RMSprop": fn.RMSprop(0.1),
    "Adam": fn.Adam(0.1),
}
RATES = tuple(float(f"{rate:.3g}") for rate in 10.0 ** np.arange(-4, 1.1, 0.5))
TUNING, FRESH = 3, 8
NEAR = 1.25
DISTANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def measure(small):
    """Return how far Adam is from its predecessors' recurrences, and what all reach on the tasks."""
    with jax.enable_x64(True):
        found = {"recurrences": recurrences(50 if small else 1000)}
    return found | {"tasks": {name: compare(*task, small) for name, task in tasks(small).items()}}


@functools.partial(jax.jit, static_argnames="rule")
def updates(rule, numbers, gradients):
    """Return the updates that an optimizer makes of a stream of gradients; `rule` makes it of its numbers."""
    optimizer, w = rule(*numbers), gradients[0]

    def onward(state, gradient):
        update, state = optimizer.update(gradient, state, w)
        return state, update

    return jax.lax.scan(onward, optimizer.init(w), gradients)[1]


def adam(beta1, beta2):
    """Return Adam with rate 1 and no ε."""
    return fn.Adam(1.0, beta1, beta2, 0.0)


def rmsprop(decay):
    """Return RMSprop as the lecture has it, with rate 1 and no ε."""
    return fn.RMSprop(1.0, decay, 0.0)


def corrected(decay):
    """Return RMSprop whose mean is corrected for its start at 0."""
    return fn.RMSprop(1.0, decay, 0.0, bias_correction=True)


def pushed(decay, momentum):
    """Return RMSprop with momentum, corrected, at the rate that gives Adam's steps where all gradients are equal."""
    return fn.RMSprop(1 - momentum, decay, 0.0, momentum=momentum, bias_correction=True)


def adagrad():
    """Return Adagrad with rate 1 and no ε."""
    return fn.Adagrad(1.0, 0.0)


def recurrences(steps):
    """Return the differences between Adam's updates and those of the other two."""
    gradients = jnp.asarray(np.random.default_rng(0).standard_t(3, (steps, 20)))
    time = np.arange(1, steps + 1)[:, None]

    def run(rule, *numbers):
        return np.asarray(updates(rule, tuple(jnp.asarray(n) for n in numbers), gradients))

    def distance(a, b):
        return np.abs(a - b).max(axis=1) / np.abs(b).max(axis=1)

    plain = distance(run(adam, 0.0, 0.99), run(rmsprop, 0.99))
    with_momentum = distance(run(adam, 0.9, 0.99), run(pushed, 0.99, 0.9))
    sums = run(adagrad)
    limit = [distance(run(adam, 0.0, 1 - d) / np.sqrt(time), sums).max() for d in DISTANCES]
    # On equal gradients Adagrad's steps shrink as 1/√t, and Adam's stay.
    shrinking, staying = (
        np.abs(np.asarray(updates(rule, numbers, jnp.ones((steps, 1)))))[-1, 0]
        for rule, numbers in ((adagrad, ()), (adam, (jnp.asarray(0.9), jnp.asarray(0.999))))
    )
    return {
        "rmsprop_corrected": max(distance(run(adam, 0.0, 0.99), run(corrected, 0.99)).max(), 0.0),
        "rmsprop": {str(t): plain[t - 1] for t in (1, 10, 50, 100, 1000) if t <= steps},
        "rmsprop_momentum": np.median(with_momentum),
        "adagrad_limit": limit,
        "adagrad_last_step": shrinking,
        "adam_last_step": staying,
    }


def tasks(small):
    """Return by name a network, a loss, a batch size, epochs, and the three parts of the data."""
    digits = fn.data.digits()
    found = {"digits": (fn.mlp(32, 10), fn.SoftmaxCrossEntropy(), 32, 20, digits)}
    if small:
        return found
    images = [(x, x) for x, _ in digits]
    # Another seed than that of the points: both draw from one stream, and equal seeds would split by radius.
    spirals = fn.data.split(*fn.data.spirals(900, noise=0.03, seed=0), seed=1)
    return found | {
        "diamonds": (fn.mlp(32, 32, 1), fn.MeanSquaredError(), 64, 20, diamonds()),
        "first names": (fn.Dense(2), fn.SoftmaxCrossEntropy(), 64, 15, first_names()),
        "ill-conditioned": (fn.Dense(1), fn.MeanSquaredError(), 40, 200, ill_conditioned()),
        "auto-encoder": (fn.mlp(32, 8, 32, 64), fn.MeanSquaredError(), 32, 40, images),
        "spirals": (fn.mlp(24, 24, 24, 3, activation=fn.tanh), fn.SoftmaxCrossEntropy(), 32, 60, spirals),
    }


def diamonds():
    """Return a tenth of the diamonds, standardized, in three parts."""
    from experiments.problems import diamonds as problem

    x, y, _ = problem.diamonds()
    parts = fn.data.split(x[::9], y[::9], seed=0, stratify=False)
    inputs, targets = (fn.data.standardize(*columns).arrays for columns in zip(*parts, strict=True))
    return list(zip(inputs, targets, strict=True))


def first_names():
    """Return the names that stand in one list alone as bags of n-grams, in three parts."""
    from experiments.problems._letters import presence, vocabulary

    parts = [(names[y < 2], y[y < 2]) for names, y in fn.data.first_names()]
    grams = vocabulary(parts[0][0], (1, 2, 3), least=10)
    return [(presence(names, grams, (1, 2, 3)), y) for names, y in parts]


def ill_conditioned():
    """Return a regression in which every direction counts alike, though their variances differ by 10⁴."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    z, w = rng.normal(size=(1000, 20)), rng.normal(size=(20, 1)) / 20**0.5
    x = z * np.logspace(0, -2, 20) @ turn
    y = z @ w + 0.1 * rng.normal(size=(1000, 1))
    return fn.data.split(x.astype(np.float32), y.astype(np.float32), seed=0, stratify=False)


def compare(network, loss, size, epochs, parts, small):
    """Return by optimizer the validation losses by rate, and the test losses of fresh seeds at the chosen one."""
    names = ("SGD", "Adam") if small else tuple(OPTIMIZERS)
    rates, tuning, fresh = ((0.01,), 2, 2) if small else (RATES, TUNING, FRESH)
    base = fn.Experiment(network, loss, fn.SGD(0.1), batch_size=size, epochs=2 if small else epochs)

    def sweep(settings, seeds):
        """Return validation and test losses of (optimizer, rate) by seed, infinite where training diverged."""
        trials = [
            fn.replace(base, {"optimizer": fn.replace(OPTIMIZERS[name], {"learning_rate": rate}), "seed": seed})
            for name, rate in settings
            for seed in seeds
        ]
        results = fn.sweep(trials, *parts, keep="metrics", progress=False)
        there = results.eligible("validation_loss")
        columns = (np.where(there, results.table()[f"{part}_loss"], np.inf) for part in ("validation", "test"))
        return [column.reshape(len(settings), len(seeds)) for column in columns]

    validation, _ = sweep([(name, rate) for name in names for rate in rates], range(tuning))
    validation = validation.mean(axis=1).reshape(len(names), len(rates))
    chosen = [rates[i] for i in validation.argmin(axis=1)]
    _, test = sweep(list(zip(names, chosen, strict=True)), range(tuning, tuning + fresh))
    rows = zip(names, chosen, validation, test, strict=True)
    return {name: {"rate": rate, "validation": losses, "test": tested} for name, rate, losses, tested in rows}


def scores(numbers):
    """Return by optimizer: regrets by task, mean rank, near rates by task, and the best single rate with its price."""
    every = list(numbers["tasks"].values())
    names = list(every[0])
    lowest = [min(min(map(float, row["validation"])) for row in task.values()) for task in every]
    ranks = np.stack([np.argsort(np.argsort([task[n]["test"] for n in names], axis=0), axis=0) + 1 for task in every])
    found = {}
    for k, name in enumerate(names):
        validation = np.asarray([[float(v) for v in task[name]["validation"]] for task in every])
        excess = validation / np.asarray(lowest)[:, None]
        means = [[np.mean(task[n]["test"]) for n in names] for task in every]
        with np.errstate(over="ignore"):
            price = np.exp(np.log(excess).mean(axis=0))
        found[name] = {
            "regret": [mean[k] / min(mean) for mean in means],
            "rank": ranks[:, k].mean(),
            "near": (excess <= NEAR).sum(axis=1).tolist(),
            "single": RATES[int(price.argmin())],
            "price": price.min(),
        }
    return found


def tables(numbers):
    """Show the recurrences, the test losses, and the scores."""
    near = numbers["recurrences"]
    pairs = [
        ("Adam with β₁ = 0, and RMSprop corrected for its start", "all 1,000 updates", near["rmsprop_corrected"]),
        *(("Adam with β₁ = 0, and RMSprop", f"update {t}", value) for t, value in near["rmsprop"].items()),
        ("Adam, and RMSprop with momentum 0.9, corrected", "median update", near["rmsprop_momentum"]),
        *(
            ("Adam with β₁ = 0 and rate η/√t, and Adagrad", f"β₂ = 1 − {d:.0e}, all updates", value)
            for d, value in zip(DISTANCES, near["adagrad_limit"], strict=True)
        ),
    ]
    losses = []
    for task, rows in numbers["tasks"].items():
        for name, row in rows.items():
            mean, _, half = mean_deviation_half_width(np.asarray(row["test"], float))
            losses.append((task, name, row["rate"], f"{mean:.4g} ± {half:.1g}"))
    totals = [
        (
            name,
            row["rank"],
            float(np.exp(np.mean(np.log(row["regret"])))),
            max(row["regret"]),
            " ".join(map(str, row["near"])),
            sum(row["near"]) / len(row["near"]),
            row["single"],
            row["price"],
        )
        for name, row in scores(numbers).items()
    ]
    head = (
        "optimizer",
        "mean rank",
        "regret",
        "worst regret",
        "near rates by task",
        "mean",
        "one rate for all",
        "costs",
    )
    return [
        Table("How far apart the updates of two optimizers are.", ("pair", "where", "relative difference"), pairs),
        Table(
            "Test loss (cross-entropy in nats, or mean square) at the chosen rate; mean of eight seeds, 95 % interval.",
            ("task", "optimizer", "rate", "test loss"),
            losses,
        ),
        Table(
            f"Over the six tasks: ranks (1 is best, of five), regret (geometric mean), rates of the {len(RATES)} that "
            "are near, and what a single rate for all tasks costs (geometric mean of validation loss over the lowest).",
            head,
            totals,
        ),
    ]


def draw(numbers):
    """Draw validation loss against the rate for every task."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 6.2))
    panels = figure.subplots(2, 3, sharex=True)
    for panel, (task, rows) in zip(panels.flat, numbers["tasks"].items(), strict=True):
        lowest = min(min(map(float, row["validation"])) for row in rows.values())
        for (name, row), colour in zip(rows.items(), COLOURS, strict=False):
            values = np.asarray([float(v) for v in row["validation"]])
            panel.loglog(RATES, values, "o-", ms=3.5, color=colour, label=name, lw=2.4 if name == "Adam" else 1.3)
        panel.axhspan(lowest, NEAR * lowest, color="#23272d", alpha=0.1, lw=0)
        panel.set(title=task, ylim=(0.8 * lowest, 60 * lowest))
    for panel in panels[1]:
        panel.set_xlabel("learning rate")
    for panel in panels[:, 0]:
        panel.set_ylabel("validation loss (nats or mean square)")
    panels[0, 2].legend(fontsize=8, loc="upper left")
    figure.suptitle("Five optimizers by rate on six tasks; mean of seeds 0 to 2; grey: within 25 % of the lowest")
    return figure


def verdict(numbers):
    """Say what follows."""
    near, found = numbers["recurrences"], scores(numbers)
    assert near["rmsprop_corrected"] < 1e-14
    assert near["rmsprop"]["1"] > 0.5 > 1e-3 > near["rmsprop"]["1000"]
    assert near["adagrad_limit"][-1] < 1e-3
    assert near["adagrad_limit"][0] > 0.5
    adam = found["Adam"]
    others = {name: row for name, row in found.items() if name != "Adam"}
    geometric = {name: float(np.exp(np.mean(np.log(row["regret"])))) for name, row in found.items()}
    assert all(adam["rank"] < row["rank"] and max(adam["regret"]) < max(row["regret"]) for row in others.values())
    assert all(geometric["Adam"] < value for name, value in geometric.items() if name != "Adam")
    lowest = [task for task, regret in zip(numbers["tasks"], adam["regret"], strict=True) if regret == 1]
    assert 0 < len(lowest) <= len(adam["regret"]) / 2
    wins = {
        name: sum(
            a < b
            for rows in numbers["tasks"].values()
            for a, b in zip(rows["Adam"]["test"], rows[name]["test"], strict=True)
        )
        for name in others
    }
    pairs = sum(len(rows["Adam"]["test"]) for rows in numbers["tasks"].values())
    assert all(count > 0.6 * pairs for count in wins.values())
    closest = min(others, key=geometric.get)
    assert max(sum(row["near"]) for row in others.values()) < sum(adam["near"])
    near_mean = {name: sum(row["near"]) / len(row["near"]) for name, row in found.items()}
    assert (
        found["RMSprop"]["price"] < adam["price"] < min(found[n]["price"] for n in ("SGD", "momentum 0.9", "Adagrad"))
    )
    return (
        "**Holds with conditions.** *Combines*: in a sense that can be made exact. Adam without its momentum (β₁ = "
        f"0) is RMSprop whose mean is corrected for its start at 0, to {near['rmsprop_corrected']:.0e}; without that "
        f"correction the two differ by {near['rmsprop']['1']:.0%} at the first update and "
        f"{near['rmsprop']['1000']:.0e} at the thousandth. Adagrad is Adam's limit for β₁ = 0, β₂ → 1 and a rate "
        f"that falls as 1/√t: the difference shrinks with 1 − β₂, to {near['adagrad_limit'][-1]:.0e}. Adam as it is "
        "used is neither. It adds a "
        "momentum, taken of the gradients before they are divided (RMSprop with momentum takes it after: a median "
        f"difference of {near['rmsprop_momentum']:.0%}), and it does not have what is "
        f"Adagrad's own: after 1,000 equal gradients Adagrad's step has shrunk to {near['adagrad_last_step']:.2g} of "
        f"the first, Adam's to {near['adam_last_step']:.2g}.\n\n"
        "*Good results on many tasks*: yes, in the sense of never being far off. Of the five it has the best mean "
        f"rank ({adam['rank']:.1f}), the least regret ({geometric['Adam']:.2f}; next {closest}, "
        f"{geometric[closest]:.2f}) and the least worst regret ({max(adam['regret']):.2f}). But its mean test loss "
        f"is the lowest in {len(lowest)} of {len(adam['regret'])} tasks ({', '.join(lowest)}), and not every "
        "difference is beyond the spread of seeds: over tasks and seeds it is ahead of "
        + ", ".join(f"{name} {count} times" for name, count in wins.items())
        + f" of {pairs}. It still wants its rate: of eleven, {near_mean['Adam']:.1f} are near the best on average, "
        f"against {near_mean['RMSprop']:.1f} of RMSprop and {near_mean['SGD']:.1f} of SGD. With one rate for all six "
        f"tasks it costs a factor of {adam['price']:.2f}, a little more than RMSprop ({found['RMSprop']['price']:.2f}) "
        f"and less than momentum ({found['momentum 0.9']['price']:.2f}), Adagrad ({found['Adagrad']['price']:.2f}) and "
        f"SGD ({found['SGD']['price']:.2f}). These are small networks and short runs, and every optimizer but for its "
        "rate stands at its defaults."
    )
