r"""One perceptron: AND, but not XOR.

A perceptron fires if its weighted sum reaches a threshold: y = H(w₁x₁ + w₂x₂ + b), with the step H(z) = 1 for z ≥ 0
(`fn.step`; article A2.1). The derivative of a step is 0 almost everywhere, so back-propagation through it learns
nothing. Rosenblatt's rule of 1958 learns all the same: take one sample after the other, and if the unit is wrong, add
the sample to the weights (t = 1) or take it away (t = 0):

$$w \leftarrow w + (t - y)\,x, \qquad b \leftarrow b + (t - y)$$

That is gradient descent with rate 1 and batches of one sample on `fn.PerceptronCriterion`, a loss of the sum before the
step. Its weights start at 0. The study trains it on each of the 16 functions of two bits, in several orders of the
samples, and carries out the rule in NumPy beside it, on the same order.

**Why it cannot learn XOR.** It would need, one line a sample:

| x₁, x₂ | XOR | needed |
|---|---|---|
| 0, 0 | 0 | b < 0 |
| 0, 1 | 1 | w₂ + b ≥ 0 |
| 1, 0 | 1 | w₁ + b ≥ 0 |
| 1, 1 | 0 | w₁ + w₂ + b < 0 |

The second and third line add up to w₁ + w₂ + 2b ≥ 0, the first and fourth to w₁ + w₂ + 2b < 0: a contradiction. In the
plane, w₁x₁ + w₂x₂ + b = 0 is a straight line, and no straight line has both ones of XOR on one side and both zeros on
the other (Minsky & Papert 1969).

**The smallest network that can.** One hidden layer is enough; how wide must it be? A hidden unit with a monotone
activation followed by an output unit is again a straight line with two sides, so sigmoid, tanh and ReLU need two units.
SiLU, z·sigmoid(z), is not monotone: it falls to its least value near z = −1.28 and rises on both sides of it, so that a
single unit can tell x₁ + x₂ = 1 from 0 and 2. Being able to is not the same as learning it: networks of several widths
are trained from many random starts, all samples in each step, by Adam on the cross-entropy. The learning rate is chosen
for each network on 50 seeds; 100 others give the success rate, which is the share of runs that have
all four samples right at the epoch of the least loss. Intervals are Wilson's, of 95 %.
"""

import numpy as np

import funcnet as fn
from experiments.study import Table
from funcnet.layers.initializers import Filled
from funcnet.training.steps import batches

CORNERS = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
NAMED = {"AND": 8, "OR": 14, "NAND": 7, "XOR": 6, "not XOR": 9}  # bit i is the value at corner i
ACTIVATIONS = {"sigmoid": fn.sigmoid, "tanh": fn.tanh, "ReLU": fn.relu, "SiLU": fn.silu}
RATES = (0.01, 0.03, 0.1, 0.3)


def truth(number):
    """Return the values of a function of two bits at the corners."""
    return (number >> np.arange(4)) & 1


def by_hand(order, y):
    """Carry out Rosenblatt's rule in NumPy; return w₁, w₂, b after each epoch, and how many corrections were made."""
    w, b, corrections, path = np.zeros(2), 0, 0, []
    for epoch in order:
        for i in epoch:
            error = y[i] - (CORNERS[i] @ w + b >= 0)
            w, b = w + error * CORNERS[i], b + error
            corrections += abs(int(error))
        path.append([*w, b])
    return np.asarray(path), corrections


def perceptrons(functions, orders, epochs):
    """Train a perceptron on each function in several orders; return what it gets right after each epoch."""
    unit = fn.Experiment(
        fn.Dense(1, kernel_init=Filled(0.0)), fn.PerceptronCriterion(), fn.SGD(1.0), batch_size=1, epochs=epochs
    )
    trials, found = fn.grid(unit, {"data_seed": range(orders)}), {}
    seen = [[np.ravel(batches(trial, epoch, 4)[0]) for epoch in range(epochs)] for trial in trials]
    for number in functions:
        y = truth(number)
        data = (CORNERS, y[:, None])
        results = fn.sweep(trials, data, data, own_order=True, progress=False)
        curves = np.asarray([results.curves(i)["validation_accuracy"] for i in range(orders)])
        paths, corrections = zip(*(by_hand(order, y) for order in seen), strict=True)
        paths = np.asarray(paths)
        fires = paths[..., :2] @ CORNERS.T + paths[..., 2:] >= 0
        found[number] = {
            "learned": int((curves[:, -1] == 1).sum()),
            "most_right": float(4 * curves.max()),
            "epochs": int(1 + np.argmax(curves == 1, axis=1).max()) if (curves[:, -1] == 1).all() else None,
            "corrections": max(corrections),
            "as_by_hand": bool(np.array_equal(curves, (fires == y).mean(axis=-1))),
            "lines": {NAMED["AND"]: paths[:, -1], NAMED["XOR"]: paths[0]}.get(number),
        }
    return found


def networks(activations, widths, choosing, seeds, epochs):
    """Train networks on XOR from many starts; return success rates by activation and width, and one network."""
    base = fn.Experiment(fn.mlp(2, 1), fn.SigmoidCrossEntropy(), fn.Adam(), batch_size=None, epochs=epochs)
    data = (CORNERS, truth(NAMED["XOR"])[:, None])
    rates, shown = [], None
    for name in activations:
        for width in widths:
            network = fn.mlp(width, 1, activation=ACTIVATIONS[name])
            settings = {"network": [network], "optimizer.learning_rate": RATES, "seed": range(choosing + seeds)}
            results = fn.sweep(fn.grid(base, settings), data, data, progress=False)
            right = (results.table()["validation_accuracy"] == 1).reshape(len(RATES), -1)
            chosen = int(np.argmax(right[:, :choosing].mean(axis=1)))
            row = {"activation": name, "width": width, "rate": RATES[chosen]}
            rates.append(row | {"success": float(right[chosen, choosing:].mean()), "of": seeds})
            if (name, width) == ("tanh", 2) and right[chosen].any():
                first, _, last = results.params(right.shape[1] * chosen + int(np.argmax(right[chosen])))
                shown = [first["kernel"], first["bias"], last["kernel"], last["bias"]]
    return rates, shown


def measure(small):
    """Return what perceptrons learn of the 16 functions, and how often networks learn XOR."""
    gates = perceptrons((8, 6), 2, 8) if small else perceptrons(range(16), 20, 40)
    if small:
        rates, shown = networks(("tanh",), (2,), 1, 2, 60)
    else:
        rates, shown = networks(ACTIVATIONS, (1, 2, 3, 4, 8), 50, 100, 1000)
    return {"gates": gates, "networks": rates, "shown": shown}


def wilson(share, count):
    """Return the 95 % interval of a share found in so many runs (Wilson 1927)."""
    z = 1.96
    middle, half = share + z * z / (2 * count), z * np.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def tables(numbers):
    """Show the functions by name, and the networks."""
    gates = []
    for name, number in NAMED.items():
        gate = numbers["gates"][str(number)]
        gates.append((name, gate["learned"], gate["most_right"], gate["epochs"], gate["corrections"]))
    rows = []
    for row in numbers["networks"]:
        low, high = wilson(row["success"], row["of"])
        interval = f"{100 * row['success']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        rows.append((f"2-{row['width']}-1", row["activation"], row["rate"], interval))
    return [
        Table(
            "One perceptron, 20 orders of the samples, 40 epochs of 4 samples.",
            ("function", "orders in which it is learned", "most samples ever right", "epochs needed at most",
             "corrections at most"),
            gates,
        ),
        Table(
            f"Networks on XOR: success in {numbers['networks'][0]['of']} runs, %, with the interval.",
            ("network", "activation", "learning rate chosen", "success"),
            rows,
        ),
    ]  # fmt: skip


def draw(numbers):
    """Draw the lines for AND and XOR, the regions of a network, and success by width."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 7.4))
    axes = figure.subplots(2, 2)
    ends = np.asarray([-0.6, 1.6])
    for axis, name, said in (
        (axes[0, 0], "AND", "20 orders"),
        (axes[0, 1], "XOR", "40 epochs"),
    ):
        for first, second, bias in np.unique(np.asarray(numbers["gates"][str(NAMED[name])]["lines"]), axis=0):
            if second:
                axis.plot(ends, -(first * ends + bias) / second, color=COLOURS[2], lw=1.2, alpha=0.6)
            elif first:
                axis.axvline(-bias / first, color=COLOURS[2], lw=1.2, alpha=0.6)
        axis.set_title(f"One perceptron on {name}: lines of {said}")
    grid = np.stack(np.meshgrid(*[np.linspace(*ends, 120)] * 2), axis=-1)
    kernel, bias, last, offset = (np.asarray(part) for part in numbers["shown"])
    score = np.tanh(grid @ kernel + bias) @ last + offset
    axes[1, 0].contourf(*grid.T, score[..., 0].T, levels=[-1e9, 0, 1e9], colors=["#ffffff", COLOURS[4]], alpha=0.35)
    axes[1, 0].set_title("A 2-2-1 tanh network on XOR: 1 where shaded")
    for axis, name in zip(axes.flat, ("AND", "XOR", "XOR"), strict=False):
        for value, marker, colour in ((0, "o", COLOURS[0]), (1, "s", COLOURS[1])):
            points = CORNERS[truth(NAMED[name]) == value]
            axis.scatter(*points.T, s=90, marker=marker, color=colour, zorder=3, label=f"target {value}")
        axis.set(xlim=ends, ylim=ends, xlabel="x₁", ylabel="x₂", aspect="equal")
        axis.grid(visible=False)
        axis.legend(loc="upper left", ncols=2, frameon=True, edgecolor="none")
    axis = axes[1, 1]
    for colour, name in zip(COLOURS, ACTIVATIONS, strict=False):
        rows = [row for row in numbers["networks"] if row["activation"] == name]
        success = np.asarray([row["success"] for row in rows])
        low, high = wilson(success, rows[0]["of"])
        place = np.arange(len(rows)) + 0.07 * (list(ACTIVATIONS).index(name) - 1.5)
        axis.errorbar(
            place, 100 * success, 100 * np.abs([success - low, high - success]), color=colour, marker="o", ms=4,
            capsize=2, label=name,
        )  # fmt: skip
    axis.set_xticks(np.arange(len(rows)), [str(row["width"]) for row in rows])
    axis.set(xlabel="hidden units", ylabel="runs that learn XOR (%)", title="Success of 100 starts, 95 % intervals")
    axis.legend(loc="lower right")
    return figure


def verdict(numbers):
    """Say what follows."""
    gates = numbers["gates"]
    never = [number for number, gate in gates.items() if gate["learned"] == 0]
    assert sorted(never) == sorted(str(NAMED[name]) for name in ("XOR", "not XOR"))
    assert all(gate["learned"] == 20 for number, gate in gates.items() if number not in never)
    assert all(gate["as_by_hand"] for gate in gates.values())
    learned = [gate for number, gate in gates.items() if number not in never]
    gate, cannot = gates[str(NAMED["AND"])], gates[str(NAMED["XOR"])]
    assert gate["corrections"] <= 51
    assert cannot["most_right"] == 3
    success = {(row["activation"], row["width"]): row["success"] for row in numbers["networks"]}
    assert all(success[name, 1] == 0 for name in ("sigmoid", "tanh", "ReLU"))
    assert success["SiLU", 1] > 0.95
    assert 0.1 < success["ReLU", 2] < min(success["sigmoid", 2], success["tanh", 2]) < 0.7
    two = ", ".join(f"{100 * success[name, 2]:.0f} % with {name}" for name in ("sigmoid", "tanh", "ReLU"))
    eight = ", ".join(f"{100 * success[name, 8]:.0f} %" for name in ("sigmoid", "tanh", "ReLU"))
    assert min(success[name, 8] for name in ("sigmoid", "tanh", "ReLU")) > 0.8
    return (
        f"**A perceptron learns {len(learned)} of the 16 functions of two bits, AND among them, in every order of the "
        f"samples; XOR and its negation it cannot learn.** AND takes at most {gate['epochs']} epochs and "
        f"{gate['corrections']} corrections; Novikoff's theorem of 1962 allows 51. On XOR the line never comes to "
        f"rest, and after no epoch are more than {cannot['most_right']:.0f} of the 4 samples right. In all "
        f"{20 * len(gates)} runs funcnet has as many samples right, after every epoch, as the rule in NumPy.\n\n"
        "**The smallest network that learns XOR has two hidden units if the activation is monotone, and one if it is "
        f"SiLU.** But two are barely enough to learn it: of 100 random starts {two} end with all samples right. "
        f"Width makes learning easy long after it has made the solution possible: with eight units it is {eight}. "
        f"A single SiLU unit learns it from {100 * success['SiLU', 1]:.0f} % of the starts."
    )
