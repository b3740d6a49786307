r"""K5: mini-batches, convergence and oscillation.

> SGD uses mini-batches of training data to update the weights efficiently and adaptively, leading to faster convergence
> and reduced oscillations compared to batch gradient descent (B3.7)

Batches of 1, 4, 16, 64 and 256 samples and the whole set (1,077 of the shipped digits), plain `fn.SGD` with a constant
rate, on the two objectives of [K4](k04_sgd_and_batch.md): logistic regression of odd against even digits, which is
convex, and a network with 32 hidden units.

*Convergence* is what it takes to bring the loss of the whole set to a target, 0.16 and 0.03 nats: in updates, in
gradients of samples (epochs) and in seconds, for a run alone on this machine. Each batch size takes its own rate from
one grid, powers of two from 2⁻⁸ to 16: the one that needs the fewest epochs by the mean of five seeds. Reported are ten
other seeds.

*Oscillation* is measured on the loss of the whole set after every single one of 1,000 updates, over the last 500 of
them, for every second rate of the grid and three seeds. Two measures: the share of updates that raise that loss (0 for
a smooth descent, a half for noise), and the roughness, the standard deviation of its logarithm about its moving mean of
51 updates. Both depend on the rate, so all rates are shown, and the rate that converges fastest is marked.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import funcnet as fn
from experiments.claims._descent import RATES, problems, race, seconds_an_epoch
from experiments.study import Table
from funcnet.layers.activate import as_layer
from funcnet.training.state import Data
from funcnet.training.steps import batches, begin
from funcnet.training.updates import take, update

SIZES = {"1": 1, "4": 4, "16": 16, "64": 64, "256": 256, "whole set": None}
TARGETS = {"logistic regression": 0.16, "network": 0.03}
EPOCHS = {"logistic regression": (20, 20, 20, 30, 60, 80), "network": (15, 15, 25, 40, 120, 400)}
UPDATES, WINDOW = 1000, 51


def measure(small):
    """Return by objective and batch size what convergence takes, and the oscillation by rate."""
    found = {}
    for name, (experiment, data) in problems().items():
        if small and name == "logistic regression":
            continue
        rows = {}
        for (label, size), epochs in zip(SIZES.items(), EPOCHS[name], strict=True):
            if small and size != 64:
                continue
            settings = {"rates": (0.5,), "tuning": 2, "fresh": 2} if small else {}
            row = race(experiment, data, size, 4 if small else epochs, (1.2 if small else TARGETS[name],), **settings)
            updates = -(-len(data[0]) // (size or len(data[0])))
            rows[label] = {
                "rate": row["rates"][0],
                "epochs": row["epochs"][0],
                "half_width": row["half_widths"][0],
                "updates": updates * row["epochs"][0],
            } | oscillation(fn.replace(experiment, {"batch_size": size}), data, small)
        if not small:
            trials = [
                fn.replace(experiment, {"batch_size": size, "epochs": epochs})
                for size, epochs in zip(SIZES.values(), (5, 10, 20, 50, 100, 300), strict=True)
            ]
            for row, seconds in zip(rows.values(), seconds_an_epoch(trials, data), strict=True):
                row["seconds"] = seconds * row["epochs"]
        found[name] = rows
    return found


@functools.partial(jax.jit, static_argnames="epochs")
def losses_by_update(experiments, data, epochs):
    """Return the loss of the whole set after every update, for stacked experiments: trials × updates."""

    def one(experiment):
        network = as_layer(experiment.network)

        def one_update(carry, batch):
            params, slots = carry
            params, slots, _ = update(experiment, jax.random.key(0), params, slots, 0, take(data, *batch))
            return (params, slots), experiment.loss(network.apply(params, data.x), data.y)

        def epoch(carry, number):
            chosen = batches(experiment, number, data.x.shape[0])
            if chosen[0] is None:
                return one_update(carry, chosen)
            return jax.lax.scan(one_update, carry, chosen)

        state = begin(experiment, data)
        return jax.lax.scan(epoch, (state.params, state.slots), jnp.arange(epochs))[1].ravel()

    return jax.vmap(one)(experiments)


def oscillation(experiment, data, small):
    """Return by rate the share of updates that raise the loss, and the roughness; None where a seed diverges."""
    rates, seeds, updates, window = ((0.5,), 2, 60, 11) if small else (RATES[::2], 3, UPDATES, WINDOW)
    size = experiment.batch_size or len(data[0])
    trials = fn.grid(
        experiment, {"optimizer.learning_rate": rates, ("seed", "data_seed"): [(i, i) for i in range(seeds)]}
    )
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trials)
    epochs = -(-updates // -(-len(data[0]) // size))
    curves = np.asarray(losses_by_update(stacked, Data(*map(jnp.asarray, data)), epochs))[:, :updates]
    curves = curves.reshape(len(rates), seeds, updates)[:, :, updates // 2 :]
    raised, rough = [], []
    for curve in curves:
        if not np.isfinite(curve).all():
            raised, rough = [*raised, None], [*rough, None]
            continue
        logs = np.log(curve)
        mean = np.stack([np.convolve(row, np.ones(window) / window, "valid") for row in logs])
        raised.append(float((np.diff(curve, axis=1) > 0).mean()))
        rough.append(float((logs[:, window // 2 : -(window // 2)] - mean).std()))
    return {"raised": raised, "rough": rough, "level": [float(np.median(curve)) for curve in curves]}


def at_own_rate(row, key):
    """Return an oscillation at the measured rate nearest to the one that converges fastest, from below."""
    rates = [rate for rate in RATES[::2] if rate <= row["rate"]]
    return row[key][len(rates) - 1]


def tables(numbers):
    """Show convergence and oscillation by batch size."""
    head = (
        "objective",
        "batch",
        "rate",
        "epochs",
        "updates",
        "milliseconds",
        "updates that raise the loss",
        "roughness",
    )
    rows = [
        (
            name,
            label,
            row["rate"],
            f"{row['epochs']:.3g} ± {row['half_width']:.1g}",
            round(row["updates"]),
            1e3 * row["seconds"],
            f"{at_own_rate(row, 'raised'):.1%}",
            at_own_rate(row, "rough"),
        )
        for name, sizes in numbers.items()
        for label, row in sizes.items()
    ]
    goals = " and ".join(f"{target} ({name})" for name, target in TARGETS.items())
    return [
        Table(
            f"What it takes to reach a loss of {goals}, each batch size at its best rate; and the oscillation at that "
            "rate, or at the measured one below it.",
            head,
            rows,
        )
    ]


def draw(numbers):
    """Draw what convergence takes by batch size, and the oscillation by rate."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 9.2))
    panels = figure.subplots(3, 2)
    for column, (name, sizes) in zip(panels.T, numbers.items(), strict=True):
        places = range(len(sizes))
        for key, label, scale, colour in (
            ("updates", "updates", 1, COLOURS[0]),
            ("epochs", "epochs", 1, COLOURS[1]),
            ("seconds", "milliseconds", 1e3, COLOURS[2]),
        ):
            column[0].plot(places, [scale * row[key] for row in sizes.values()], "o-", color=colour, label=label)
        column[0].set(yscale="log", xticks=places, xticklabels=list(sizes), xlabel="samples in a batch")
        column[0].set_title(f"{name}: to a loss of {TARGETS[name]}")
        for (label, row), colour in zip(sizes.items(), COLOURS, strict=False):
            for panel, key in zip(column[1:], ("raised", "rough"), strict=True):
                there = [(r, v) for r, v in zip(RATES[::2], row[key], strict=True) if v is not None]
                panel.plot(*zip(*there, strict=True), "o-", color=colour, ms=3, label=label)
                panel.plot(row["rate"], np.interp(row["rate"], *zip(*there, strict=True)), "*", color=colour, ms=12)
                panel.set(xscale="log", xlabel="learning rate (★: the one that converges fastest)")
        column[2].set(yscale="log", ylim=(1e-7, 1))
    panels[0, 0].legend()
    handles, labels = panels[1, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=6, title="samples in a batch, for the lower panels"
    )
    panels[0, 0].set_ylabel("to the target")
    panels[1, 0].set_ylabel("share of updates that raise the loss")
    panels[2, 0].set_ylabel("roughness of log loss")
    figure.suptitle(
        "Batch size, convergence and oscillation; digits, 64-32-10 network; seeds 5 to 14, and 0 to 2 below"
    )
    return figure


def verdict(numbers):
    """Say what follows."""
    minis = [label for label in SIZES if label not in ("1", "whole set")]
    convex, network = numbers.values()
    for sizes in (convex, network):
        whole = sizes["whole set"]
        assert all(sizes[label]["epochs"] < whole["epochs"] < whole["updates"] * 1.001 for label in minis)
        assert all(sizes[label]["updates"] > whole["updates"] for label in minis)
        assert at_own_rate(whole, "raised") == 0
        assert all(at_own_rate(sizes[label], "raised") > 0.3 for label in minis)
        assert all(at_own_rate(sizes[label], "rough") > 100 * at_own_rate(whole, "rough") for label in minis)
        # At one rate below the edge larger batches are smoother: the first three of the seven rates.
        for k in range(3):
            rough = [row["rough"][k] for row in sizes.values()]
            assert sorted(rough, reverse=True) == rough
    soonest = {name: min(minis, key=lambda m, s=sizes: s[m]["seconds"]) for name, sizes in numbers.items()}
    slower = convex[soonest["logistic regression"]]["seconds"] / convex["whole set"]["seconds"]
    faster = network["whole set"]["seconds"] / network[soonest["network"]]["seconds"]
    assert slower > 2
    assert faster > 4
    epochs = {
        name: [sizes["whole set"]["epochs"] / sizes[label]["epochs"] for label in minis]
        for name, sizes in numbers.items()
    }
    shares = [at_own_rate(sizes[label], "raised") for sizes in numbers.values() for label in minis]
    last = convex["whole set"]["raised"][-1]
    assert last > 0.3
    assert all(float(convex[label]["level"][-1]) > 2 * TARGETS["logistic regression"] for label in minis)
    for sizes, stable in ((convex, 6), (network, 5)):
        assert not any(sizes["whole set"]["raised"][:stable])
        assert all(sizes[label]["rough"][k] > sizes["whole set"]["rough"][k] for label in minis for k in range(stable))
    return (
        "**Does not hold.** The first half does, with conditions; the second is the wrong way round.\n\n"
        f"*Faster* is true of the work. For the same loss mini-batches need {min(epochs['logistic regression']):.1f} "
        f"to {max(epochs['logistic regression']):.1f} times fewer gradients of samples than the whole set on the "
        f"regression and {min(epochs['network']):.1f} to {max(epochs['network']):.0f} times fewer on the network. It "
        "is not true of updates, of which the whole set needs the fewest on both. By the clock it depends: on the "
        f"network the best mini-batch ({soonest['network']} samples) is {faster:.0f} times faster, on the convex "
        f"problem the whole set is {slower:.0f} times faster than the best one ({soonest['logistic regression']}), "
        "as its updates are few and each is one large product.\n\n"
        f"*Less oscillation*: no. At the rate at which each converges fastest, {min(shares):.0%} to "
        f"{max(shares):.0%} of the updates of mini-batches raise the loss of the whole set, and none of those of "
        "batch gradient descent; the roughness is more than a hundred times larger. It is larger at every rate at "
        f"which batch gradient descent is stable, up to {RATES[::2][5]:g} on the regression and {RATES[::2][4]:g} on "
        f"the network. Only beyond does it oscillate, too: at a rate of {RATES[::2][-1]:g} on the regression "
        f"{last:.0%} of its updates raise the loss, as many as of mini-batches of 16 and more, none of which "
        "converges there. What is true is that mini-batches oscillate less than single samples at the same rate: at "
        "each of the three smallest rates the roughness falls with every larger batch."
    )
