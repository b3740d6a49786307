r"""K8: L1, L2, sparsity and large jumps.

> L1/L2 regularization encourages sparsity in the learned weights … By adding this penalty term to the cost function,
> the SGD optimizer discourages the model from taking large jumps in the weight space (B3.8)

*Sparsity*: 64-64-10 ReLU networks learn the shipped digits by plain gradient descent (rate 0.2, batches of 32, 40
epochs) under L1 by its subgradient, L1 by its proximal operator, L2, the elastic net (proximal, both strengths equal),
and nothing, at nine strengths in steps of √10 from 10⁻⁵ to 0.1, five seeds each. Strong penalties make anything sparse,
so kinds are compared at equal accuracy: each at the largest strength whose mean validation accuracy is at most one
point below that without a penalty. Counted are the kernels' exact zeros and those below 10⁻³ in size; and the test
accuracy that is left when the smallest 50, 80 or 90 % of all weights are set to 0. Parameters are those of the epoch of
least validation loss. Intervals are 95 %, over seeds.

*Jumps*: the Euclidean length of every step of all parameters in the same training, and the norm of the kernels at its
end, for strengths of L2 from 0 to 0.1 and two learning rates, five seeds.

*L2 or weight decay*: under plain gradient descent, a gradient of (λ/2)‖w‖² is the same as shrinking each weight by ηλ
a step. Under Adam it is not: there the penalty's gradient is divided by √ŝ like the loss's. Both forms train at equal λ
under both optimizers; compared are the distance of the two solutions, and the weights of the pixels that are empty in
every training image, on which the penalty alone acts. Adam at 0.003, 20 epochs.
"""

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.study import Table
from funcnet.figures import COLOURS
from funcnet.results.summary import mean_deviation_half_width
from funcnet.sweeps.lanes import stack
from funcnet.training.state import Data
from funcnet.training.steps import batches, begin
from funcnet.training.updates import take, update

NETWORK = fn.mlp(64, 10)
STRENGTHS = tuple(float(f"{strength:.3g}") for strength in 10.0 ** np.arange(-5, -0.9, 0.5))
PENALTIES = {
    "L1, subgradient": (fn.L1(0.0), ("regularizer.strength",)),
    "L1, proximal": (fn.L1(0.0, proximal=True), ("regularizer.strength",)),
    "elastic net, proximal": (fn.ElasticNet(0.0, 0.0, proximal=True), ("regularizer.l1", "regularizer.l2")),
    "L2": (fn.L2(0.0), ("regularizer.strength",)),
}
REMOVED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SLACK = 0.01
JUMP_STRENGTHS, JUMP_RATES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1), (0.2, 1.0)
DECAYS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)


def measure(small):
    """Return what is sparse, how long steps are, and how L2 differs from decay."""
    digits = fn.data.digits()
    found = {"sparsity": sparsity(digits, small), "jumps": jumps(digits, small)}
    return found if small else found | {"decay": decay(digits)}


def run(digits, base, space):
    """Return validation accuracy, test accuracy and parameters, with a first axis of trials."""
    results = fn.sweep(fn.grid(base, space), digits.train, digits.validation, digits.test, progress=False)
    table = results.table()
    assert set(table["stopped"]) == {"epochs"}
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *(results.params(i) for i in range(len(results))))
    return table["validation_accuracy"], table["test_accuracy"], params


def weights(params):
    """Return the weights of all kernels in a row, for each trial."""
    return np.concatenate([np.asarray(p["kernel"]).reshape(len(p["kernel"]), -1) for p in params if p], axis=1)


def sparsity(digits, small):
    """Return accuracies, zeros and what removing weights does, by penalty, strength and seed."""
    kinds, strengths, seeds = (("L1, proximal",), STRENGTHS[6:7], 2) if small else (tuple(PENALTIES), STRENGTHS, 5)
    base = fn.Experiment(NETWORK, fn.SoftmaxCrossEntropy(), fn.SGD(0.2), epochs=2 if small else 40)
    found = {}
    for kind in kinds:
        penalty, paths = PENALTIES[kind]
        own = (0.0, *strengths) if kind == "L2" else strengths
        space = {"regularizer": [penalty], paths: [(strength,) * len(paths) for strength in own], "seed": range(seeds)}
        validation, test, params = run(digits, base, space)
        w, shape = np.abs(weights(params)), (len(own), seeds)
        found[kind] = {
            "strengths": own,
            "validation": validation.reshape(shape),
            "test": test.reshape(shape),
            "zero": (w == 0).mean(axis=1).reshape(shape),
            "small": (w < 1e-3).mean(axis=1).reshape(shape),
            "removed": removed(digits, params).reshape(*shape, len(REMOVED)),
        }
        if not small:
            found[kind]["histogram"] = histogram(w).reshape(*shape, -1).sum(axis=1)
    if not small:
        found["none"] = {key: found["L2"][key][:1] for key in found["L2"]}
        found["L2"] = {key: found["L2"][key][1:] for key in found["L2"]}
    return found


def histogram(w):
    """Count sizes of weights by trial: bins of a quarter of a power of ten, from 10⁻⁸; the first holds exact zeros."""
    bins = np.where(w > 0, np.clip(np.floor(4 * np.log10(np.maximum(w, 1e-30))) + 33, 1, 36), 0).astype(int)
    return np.stack([np.bincount(row, minlength=37) for row in bins])


@jax.jit
def removed(digits, params):
    """Return the test accuracy of each trial without the smallest share of its weights, for each share."""

    def one(own, share):
        sizes = jnp.concatenate([jnp.abs(p["kernel"]).ravel() for p in own if p])
        least = jnp.sort(sizes)[(share * (sizes.size - 1)).astype(int)]
        kept = tuple(p and p | {"kernel": jnp.where(jnp.abs(p["kernel"]) < least, 0, p["kernel"])} for p in own)
        return fn.evaluate(NETWORK, fn.SoftmaxCrossEntropy(), kept, *digits.test)["accuracy"]

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(params, jnp.asarray(REMOVED))


def jumps(digits, small):
    """Return the largest step, the mean step of the first and last epoch and the last norm, by rate, strength, seed."""
    data = Data(*map(jnp.asarray, digits.train))
    rates, strengths, seeds, epochs = (
        (JUMP_RATES[:1], (0.0, 0.1), 2, 1) if small else (JUMP_RATES, JUMP_STRENGTHS, 5, 40)
    )

    def length(tree):
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))

    def walk(experiment):
        def one_update(carry, batch):
            params, slots, _ = update(experiment, jax.random.key(0), *carry, 0, take(data, *batch))
            return (params, slots), length(jax.tree.map(jnp.subtract, params, carry[0]))

        def epoch(carry, number):
            return jax.lax.scan(one_update, carry, batches(experiment, number, len(data.x)))

        state = begin(experiment, data)
        (params, _), steps = jax.lax.scan(epoch, (state.params, state.slots), jnp.arange(epochs))
        return steps, length([p["kernel"] for p in params if p])

    base = fn.Experiment(NETWORK, fn.SoftmaxCrossEntropy(), fn.SGD(0.2), fn.L2(0.0))
    space = {"optimizer.learning_rate": rates, "regularizer.strength": strengths, "seed": range(seeds)}
    trials = stack(fn.grid(base, space))
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, trials)
    steps, norm = map(np.asarray, jax.jit(jax.vmap(walk, (axes,)))(trials))
    shape = (len(rates), len(strengths), seeds)
    return {
        "largest": steps.max(axis=(1, 2)).reshape(shape),
        "first": steps[:, 0].mean(axis=1).reshape(shape),
        "last": steps[:, -1].mean(axis=1).reshape(shape),
        "norm": norm.reshape(shape),
    }


def decay(digits):
    """Return how L2 and decoupled decay of equal strength differ, under gradient descent and under Adam."""
    empty = digits.train[0].max(axis=0) == 0
    optimizers = {
        "gradient descent": (fn.SGD(0.2), fn.WeightDecay(fn.SGD(0.2), 0.0, coupled=False), "optimizer.strength"),
        "Adam": (fn.Adam(0.003), fn.AdamW(0.003, weight_decay=0.0), "optimizer.weight_decay"),
    }
    found = {"empty_pixels": int(empty.sum())}
    shape = (len(DECAYS), 5)
    for name, (coupled, decoupled, path) in optimizers.items():
        forms = {}
        for form, optimizer, penalty, where in (
            ("L2", coupled, fn.L2(0.0), "regularizer.strength"),
            ("decay", decoupled, None, path),
        ):
            base = fn.Experiment(NETWORK, fn.SoftmaxCrossEntropy(), optimizer, penalty, epochs=20)
            validation, test, params = run(digits, base, {where: DECAYS, "seed": range(shape[1])})
            first = np.asarray(params[0]["kernel"])
            forms[form] = {
                "validation": validation.reshape(shape),
                "test": test.reshape(shape),
                "empty": np.sqrt((first[:, empty] ** 2).mean(axis=(1, 2))).reshape(shape),
                "inked": np.sqrt((first[:, ~empty] ** 2).mean(axis=(1, 2))).reshape(shape),
            } | {"weights": weights(params)}
        a, b = (forms[form].pop("weights") for form in ("L2", "decay"))
        distance = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
        found[name] = forms | {"distance": distance.reshape(shape)}
    return found


def interval(values, form=".3g"):
    """Write mean and 95 % half width."""
    mean, _, half = mean_deviation_half_width(np.asarray(values, float))
    return f"{mean:{form}} ± {half:.2g}"


def chosen(sparse):
    """Return the place of each penalty's largest strength that costs at most a point of validation accuracy."""
    floor = np.mean(sparse["none"]["validation"]) - SLACK
    means = {kind: np.mean(row["validation"], axis=1) for kind, row in sparse.items()}
    return {kind: int(np.flatnonzero(mean >= floor)[-1]) for kind, mean in means.items()}


def tables(numbers):
    """Show sparsity, jumps, and the two forms of decay."""
    sparse, lines = numbers["sparsity"], []
    for kind, i in chosen(sparse).items():
        row = sparse[kind]
        kept = [np.asarray(row["removed"])[i, :, REMOVED.index(share)] for share in (0.5, 0.8, 0.9)]
        shares = [interval(100 * np.asarray(values), ".4g") for values in (row["zero"][i], row["small"][i])]
        accuracies = [interval(100 * np.asarray(values), ".4g") for values in (row["validation"][i], row["test"][i])]
        lines.append((kind, row["strengths"][i], *accuracies, *shares, *(interval(100 * v, ".4g") for v in kept)))
    steps, moves = numbers["jumps"], []
    for i, rate in enumerate(JUMP_RATES):
        for k, strength in enumerate(JUMP_STRENGTHS):
            moves.append(
                (rate, strength, *(interval(steps[key][i][k]) for key in ("largest", "first", "last", "norm")))
            )
    forms = []
    for name in ("gradient descent", "Adam"):
        row = numbers["decay"][name]
        for k, strength in enumerate(DECAYS):
            cells = [interval(row[form][key][k], ".2g") for key in ("empty", "inked") for form in ("L2", "decay")]
            test = [interval(100 * np.asarray(row[form]["test"][k]), ".4g") for form in ("L2", "decay")]
            forms.append((name, strength, interval(row["distance"][k], ".2g"), *cells, *test))
    return [
        Table(
            "At equal accuracy: the largest strength that costs at most one point of validation accuracy; all in %.",
            (
                *("penalty", "strength", "validation", "test", "weights 0", "below 10⁻³"),
                *(f"test, smallest {share} % removed" for share in (50, 80, 90)),
            ),
            lines,
        ),
        Table(
            "Gradient descent with L2: lengths of steps of all parameters, and the norm of the kernels after training.",
            ("rate", "strength", "largest step", "mean step, epoch 1", "mean step, epoch 40", "norm of the kernels"),
            moves,
        ),
        Table(
            "L2 and decoupled decay of equal strength: the distance of the solutions, ‖a − b‖/‖a‖; the root mean "
            f"square of the weights of the {numbers['decay']['empty_pixels']} pixels that are always empty, and of "
            "the others; test accuracy in %.",
            (
                *("optimizer", "strength", "distance", "empty, L2", "empty, decay", "others, L2", "others, decay"),
                *("test, L2", "test, decay"),
            ),
            forms,
        ),
    ]


def draw(numbers):
    """Draw sizes of weights, zeros by strength, accuracy without small weights, and steps and norms by strength."""
    from matplotlib.figure import Figure

    sparse, places = numbers["sparsity"], chosen(numbers["sparsity"])
    figure = Figure(figsize=(9, 6.8))
    (sizes, zeros), (pruned, moves) = figure.subplots(2, 2)
    edges = -8 + 0.25 * np.arange(37)
    for k, (kind, i) in enumerate(places.items()):
        row, colour = sparse[kind], COLOURS[k] if kind != "none" else "#333333"
        counts = np.asarray(row["histogram"][i], float)
        share = 100 * counts / counts.sum()
        sizes.stairs(share[1:], edges, color=colour, lw=1.4, label=f"{kind} ({row['strengths'][i]:g})")
        sizes.plot(-9 + 0.12 * (k - 2), share[0], "o", ms=5, color=colour)
        if kind != "none":
            strengths = row["strengths"]
            zeros.plot(strengths, 100 * np.mean(row["zero"], axis=1), color=colour, label=f"{kind}: 0")
            zeros.plot(strengths, 100 * np.mean(row["small"], axis=1), ":", color=colour)
            zeros.plot(strengths[i], 100 * np.mean(row["zero"][i]), "o", ms=6, color=colour)
        accuracy = 100 * np.asarray(row["removed"])[i]
        pruned.plot(100 * np.asarray(REMOVED), accuracy.mean(axis=0), color=colour, marker=".", label=kind)
        pruned.fill_between(
            100 * np.asarray(REMOVED), accuracy.min(axis=0), accuracy.max(axis=0), color=colour, alpha=0.12, lw=0
        )
    sizes.set(yscale="symlog", ylim=(0, 150), xlabel="size |w| of a weight", ylabel="share of weights (%) by size")
    sizes.set_yticks([0, 1, 3, 10, 30, 100], ["0", "1", "3", "10", "30", "100"])
    sizes.set_xticks([-9, -6, -4, -2, 0], ["exactly 0", "10⁻⁶", "10⁻⁴", "10⁻²", "1"])
    sizes.set_xlim(-10, 0.8)
    sizes.legend(title="penalty (strength)", fontsize=8, loc="upper left", bbox_to_anchor=(0.12, 1.04))
    zeros.set(xscale="log", xlabel="strength", ylabel="weights that are 0 (%)\ndotted: below 10⁻³ in size")
    zeros.legend(fontsize=8, title="● chosen, as in the other panels", loc="upper left")
    pruned.set(xlabel="smallest weights set to 0 (%)", ylabel="test accuracy (%)\nmean and range", ylim=(0, 102))
    pruned.legend(fontsize=8, loc="lower left")
    steps = numbers["jumps"]
    ticks = range(len(JUMP_STRENGTHS))
    for k, (key, label) in enumerate(
        (
            ("norm", "norm of the kernels"),
            ("largest", "largest step"),
            ("first", "mean step, first epoch"),
            ("last", "mean step, last epoch"),
        )
    ):
        for i in range(len(JUMP_RATES)):
            mean = np.mean(steps[key][i], axis=1)
            moves.plot(ticks, mean, "-o" if i == 0 else "--s", ms=4, color=COLOURS[k], label=None if i else label)
    moves.set_xticks(ticks, [f"{strength:g}" for strength in JUMP_STRENGTHS])
    rates = f"solid: rate {JUMP_RATES[0]:g}, dashed: {JUMP_RATES[1]:g}"
    moves.set(yscale="log", xlabel="strength of L2", ylabel=f"Euclidean length\n{rates}")
    moves.set_ylim(bottom=0.003)
    moves.legend(fontsize=8, ncols=2, loc="lower left")
    seeds = len(sparse["none"]["test"][0])
    figure.suptitle(f"Digits, 64-64-10 ReLU network, plain gradient descent, {seeds} seeds")
    return figure


def verdict(numbers):
    """Say what follows."""
    sparse, places = numbers["sparsity"], chosen(numbers["sparsity"])
    strengths = {kind: sparse[kind]["strengths"][i] for kind, i in places.items()}
    zero, small = (
        {kind: 100 * np.mean(sparse[kind][key][i]) for kind, i in places.items()} for key in ("zero", "small")
    )
    share = REMOVED.index(0.8)
    left = {kind: 100 * np.asarray(sparse[kind]["removed"])[i, :, share].mean() for kind, i in places.items()}
    assert all(not np.any(sparse[kind]["zero"]) for kind in ("none", "L2", "L1, subgradient"))
    assert min(zero["L1, proximal"], zero["elastic net, proximal"]) > 30
    assert small["L1, subgradient"] > 10 * small["L2"] > small["none"]
    assert min(left["L1, proximal"], left["L1, subgradient"]) > left["L2"] > left["none"]
    steps = {key: np.mean(value, axis=2)[0] for key, value in numbers["jumps"].items()}
    place = JUMP_STRENGTHS.index(strengths["L2"])
    assert abs(steps["largest"][place] / steps["largest"][0] - 1) < 0.05
    assert steps["last"][place] > 1.5 * steps["last"][0]
    assert steps["norm"][place] < 0.6 * steps["norm"][0]
    rough = np.mean(numbers["jumps"]["largest"], axis=2)[1]
    assert rough[place] > rough[0]
    plain, adam = numbers["decay"]["gradient descent"], numbers["decay"]["Adam"]
    middle = DECAYS.index(1e-3)
    same, apart = np.max(plain["distance"][middle]), np.mean(adam["distance"][middle])
    assert same < 1e-5
    assert apart > 0.3
    empty = {form: np.mean(adam[form]["empty"][middle]) for form in ("L2", "decay")}
    start = np.mean(adam["L2"]["empty"][0])
    assert empty["L2"] < 1e-3 * start
    assert abs(empty["decay"] / start - 1) < 0.02
    worse = [100 * np.mean(adam[form]["test"][-1]) for form in ("L2", "decay")]
    assert worse[0] < worse[1] - 5
    return (
        "**Holds with conditions.** Of L1 alone, as to sparsity; and L2 makes weights small, not steps. At equal "
        f"accuracy L1 at {strengths['L1, proximal']:g} makes {zero['L1, proximal']:.0f} % of the weights exactly 0 in "
        f"its proximal form and none by its subgradient, which leaves {small['L1, subgradient']:.0f} % below 10⁻³, "
        f"hopping about 0 by the learning rate times the strength. L2 at {strengths['L2']:g} makes no weight 0 and "
        f"{small['L2']:.1f} % small. The elastic net has its zeros ({zero['elastic net, proximal']:.0f} %) from L1. "
        f"Without their smallest 80 % of weights networks keep a test accuracy of {left['L1, proximal']:.1f} % with "
        f"L1, {left['L2']:.1f} % with L2 and {left['none']:.1f} % with nothing (intervals of the last two overlap). "
        f"*Jumps*: the largest step is {steps['largest'][0]:.2f} without L2 and {steps['largest'][place]:.2f} with "
        f"it; in the last epoch steps are longer with it ({steps['last'][place]:.2f} against {steps['last'][0]:.2f}), "
        "since the penalty keeps the loss's gradient from vanishing, while the norm of the kernels falls from "
        f"{steps['norm'][0]:.0f} to {steps['norm'][place]:.1f}; at the rate {JUMP_RATES[1]:g} even the largest step "
        f"is longer ({rough[place]:.1f} against {rough[0]:.1f}). *L2 or decay*: under gradient descent both give the "
        f"same network (distance at λ = 0.001: {same:.0e}), under Adam not ({apart:.2f}). The weights of empty pixels "
        f"show why: Adam's L2 steps by the learning rate however small λ is, and takes them from {start:.2f} to "
        f"{empty['L2']:.0e}, where decay leaves {empty['decay']:.2f}. So one strength does not mean the same in both: "
        f"at 0.1 the test accuracy is {worse[0]:.0f} % with L2 and {worse[1]:.0f} % with decay."
    )
