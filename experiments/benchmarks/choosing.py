"""The page for whoever chooses, from the record: three sentences, one chart, short tables, how it was measured."""

from typing import Any

import numpy as np

from experiments.benchmarks.models import TITLES, WHAT
from experiments.benchmarks.timing import Aim
from experiments.benchmarks.words import digits, prose
from experiments.study import Table

DETAIL = "benchmarks-in-detail.md"
# Who is shown, by the names of the record: of single networks, and of the sweep.
SINGLE = {
    "funcnet": "funcnet",
    "optax": "Optax in lax.scan",
    "equinox": "Equinox",
    "torch": "PyTorch",
    "keras": "Keras on JAX",
    "sklearn": "scikit-learn",
}
SWEEP = {
    "sweep": "funcnet",
    "map": "Optax, vmap with every trick",
    "vmap": "Optax, jit(vmap(train))",
    "torch": "PyTorch, in a loop",
    "scikit-learn": "scikit-learn, in a loop",
}

HEAD = """
# Benchmarks

Many small networks side by side are where funcnet is fast: take it for sweeps, seeds, searches and folds. A single
network trains about as fast as Optax in one compiled loop, and faster than a loop in Python where the network is small.
Of single layers on a CPU, PyTorch's large convolutions, its LSTM and group normalisation are faster than ours.

![Four panels of bars, time to train by library: a sweep of 512 networks, and single networks of three
sizes.](images/benchmarks.png)
"""


def page(record: dict[str, Any], aims: list[Aim]) -> str:
    """Return the page that a record makes."""
    parts = [prose(HEAD)]
    numbers = {name: entry["numbers"] for name, entry in record.items()}
    if "sweep" in numbers:
        parts.append(_sweep(numbers["sweep"]))
    if "training" in numbers:
        parts.append(_single(numbers["training"]))
    if "models" in numbers:
        parts.append(_models(numbers["models"]))
    if "layers" in numbers:
        parts.append(_layers(numbers["layers"]))
    if "linear" in numbers or (numbers.get("search") or {}).get("searches"):
        parts.append(_others(numbers))
    days = sorted({entry["date"] for entry in record.values()})
    where = sorted({f"{entry['machine']}, {entry['cores']} cores" for entry in record.values()})
    met = sum(aim.met for aim in aims)
    parts.append(
        prose(f"""
        ## How it was measured

        By `python -m experiments.benchmarks`, everything side by side in one run: contestants do the same work, checked
        by their losses, and take turns after a warm-up; a time is a median, a ratio the median of the ratios within a
        turn. On {" and ".join(where)}, {" to ".join(dict.fromkeys((days[0], days[-1])))}; no GPU was at hand. [In
        detail]({DETAIL}) has every contestant, option and quartile, versions, where the time goes, and the aims that we
        set ourselves before measuring: {met} of {len(aims)} are met, and those missed are explained.
    """)
    )
    return "\n\n".join(parts) + "\n"


def _times(ratio: float) -> str:
    return "1" if ratio == 1 else f"{ratio:.2f}"


def _sweep(numbers: dict[str, Any]) -> str:
    options, contest = numbers["options"], numbers["contest"]
    rows = [
        [title, digits(contest[name]["seconds"]), _times(contest[name]["ratio"])]
        for name, title in SWEEP.items()
        if "seconds" in contest.get(name, {})
    ]
    caption = prose(f"""
        ## A sweep

        {options["trials"]} networks of 64-64-10 on the digits, {options["epochs"]} epochs each, Adam. Ours is the whole
        call, results stored; a loop is granted both cores. [In detail]({DETAIL}#the-sweep)
    """)
    return Table(caption, ["who", "seconds", "times funcnet's"], rows).markdown()


def _single(numbers: dict[str, Any]) -> str:
    networks = numbers["networks"]
    rows = []
    for name, title in SINGLE.items():
        found = [n["variants"]["Adam"]["contestants"].get(name) for n in networks.values()]
        if any(found):
            updates = [n["updates"] for n in networks.values()]
            cells = [
                "" if one is None else f"{digits(1e6 * one['seconds'] / count)} ({_times(one['ratio'])})"
                for one, count in zip(found, updates, strict=True)
            ]
            rows.append([title, *cells])
    caption = prose(f"""
        ## One dense network

        Microseconds an update with Adam, and in brackets the multiple of funcnet's. [In detail]({DETAIL}#training)
    """)
    return Table(caption, ["who", *(network["title"] for network in networks.values())], rows).markdown()


def _models(numbers: dict[str, Any]) -> str:
    what = "; ".join(f"{name}: {WHAT[name]}" for name in numbers)
    names = list(dict.fromkeys(side for model in numbers.values() for side in model["times"]))
    rows = []
    for side in names:
        found = [model["times"].get(side) for model in numbers.values()]
        rows.append([TITLES.get(side, side), *("" if one is None else digits(1e3 * one["seconds"]) for one in found)])
    caption = prose(f"""
        ## Networks of layers

        Milliseconds a step of training with Adam. {what}. One device uses all cores by itself, two have one
        each. [In detail]({DETAIL}#networks-of-layers)
    """)
    return Table(caption, ["who", *numbers], rows).markdown()


def _layers(numbers: dict[str, Any]) -> str:
    ratios = sorted((found["times"]["jax"]["ratio"], name) for name, found in numbers.items())
    best = ", ".join(f"{name} {ratio:.3g}" for ratio, name in reversed(ratios[-3:]))
    worst = ", ".join(f"{name} {ratio:.3g}" for ratio, name in ratios[:3])
    return prose(f"""
        ## Layer by layer

        Forward and backward by hand beside automatic differentiation of the same forward, time of the latter as a
        multiple of ours: from {worst} at one end to {best} at the other, and {np.median([r for r, _ in ratios]):.2g} in
        the middle. [A chart of all, with memory and PyTorch]({DETAIL}#by-hand-pays)
    """)


def _others(numbers: dict[str, Any]) -> str:
    parts = ["## Linear models and searches\n"]
    if "linear" in numbers:
        parts.append(
            f"Linear paths and their cross-validation beside scikit-learn's: [in detail]({DETAIL}#linear-models)."
        )
    job = (numbers.get("search") or {}).get("searches")
    if job:
        ratio = job["times"]["GridSearchCV"]["ratio"]
        parts.append(
            f"`SweepSearchCV` searches {job['candidates']} candidates {digits(ratio)} times as fast as `GridSearchCV`"
            f" over `MLPClassifier`: [in detail]({DETAIL}#searches)."
        )
    return parts[0] + "\n" + prose(" ".join(parts[1:]))


def draw(record: dict[str, Any], path: Any) -> None:
    """Draw the time to train by library: the sweep, and single networks."""
    from funcnet.figures import COLOURS, figure_of, style

    panels = []
    contest = record["sweep"]["numbers"]["contest"]
    panels.append(
        (
            "512 networks of 64-64-10, 30 epochs: seconds",
            {title: contest[name]["seconds"] for name, title in SWEEP.items() if "seconds" in contest.get(name, {})},
        )
    )
    for key, network in record["training"]["numbers"]["networks"].items():
        if key != "c":
            rows = network["variants"]["Adam"]["contestants"]
            panels.append(
                (
                    f"{network['title']}: microseconds an update",
                    {
                        title: 1e6 * rows[name]["seconds"] / network["updates"]
                        for name, title in SINGLE.items()
                        if name in rows
                    },
                )
            )
    with style():
        figure, first = figure_of(7.2, 0.9 * len(panels) + 0.27 * sum(len(bars) for _, bars in panels))
        figure.delaxes(first)
        grid = figure.add_gridspec(len(panels), 1, height_ratios=[len(bars) + 1 for _, bars in panels])
        for place, (title, bars) in enumerate(panels):
            axes = figure.add_subplot(grid[place])
            names, values = list(bars), list(bars.values())
            colours = [COLOURS[0] if name == "funcnet" else COLOURS[-1] for name in names]
            drawn = axes.barh(range(len(names)), values, 0.7, color=colours)
            axes.bar_label(drawn, [digits(value) for value in values], padding=3, fontsize=8)
            axes.set(yticks=range(len(names)), yticklabels=names, title=title, xlim=(0, 1.12 * max(values)))
            axes.invert_yaxis()
            axes.tick_params(labelsize=8)
        figure.savefig(path, dpi=150)
