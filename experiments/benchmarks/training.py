"""Training: every network with every optimizer and regularizer, against the peers and the floor of the machine."""

import time
from typing import Any

import numpy as np

import funcnet as fn
from experiments.benchmarks import machine, ours, parts
from experiments.benchmarks.networks import (
    ANOTHER_EPSILON,
    NETWORKS,
    PENALTY,
    RATE_LEFT_OUT,
    ROUNDING,
    TOY,
    VARIANTS,
    Contestant,
    Job,
)
from experiments.benchmarks.peers import TITLES, peer
from experiments.benchmarks.timing import LONGEST, STEADY, Aim, Probe, race, say, timed
from experiments.benchmarks.words import digits, prose, spread
from experiments.study import Table

# With dropout masks differ, so the losses can agree only about.
NOISE = 0.2

NAMES = {"funcnet": "funcnet", "call": "funcnet, the whole call of `fn.train`"} | TITLES
# By network: the least ratio to the time of funcnet, or the name of "all".
LEAST = {
    "a": {"optax": 1.8, "torch": 8, "sklearn": 8},
    "b": {"optax": 1.05, "torch": 2.3},
    "c": {"optax": 1, "equinox": 1, "torch": 1},
    "d": {"optax": 1, "torch": 1},
}
SHARE = {"b": 0.75}  # of the floor in the time of an update


def measure(toy: bool) -> dict[str, Any]:
    """Race every network and variant."""
    networks, kinds = (TOY, ("Adam",)) if toy else (NETWORKS, VARIANTS)
    costs = {network.name: {v: cost(Job(network, v)) for v in kinds} for network in networks}
    sizes = {(name, v): _size(found) for name, row in costs.items() for v, found in row.items()}
    limits = machine.limits(sorted(set(sizes.values())), quick=toy)
    probe = None if toy else machine.probe()
    rows = {}
    for network in networks:
        variants = {}
        for variant in kinds:
            start = time.perf_counter()
            variants[variant] = contest(Job(network, variant), 1 if toy else network.turns, probe)
            floor = machine.floor(costs[network.name][variant], limits, sizes[network.name, variant])
            variants[variant]["floor"] = floor
            again = variants[variant]["contestants"]["funcnet"].get("again", 0)
            say(f"  {network.name} {variant}: {time.perf_counter() - start:.0f} s, {again} turns left out")
        job = Job(network, "Adam")
        shape = {"title": network.title, "epochs": network.epochs, "updates": job.updates, "batches": job.batches}
        shape["parts"] = parts.measure(job, 1 if toy else network.turns, probe)
        rows[network.name] = shape | {"variants": variants}
    return {"limits": limits, "networks": rows}


def cost(job: Job) -> fn.Cost:
    """Count the operations and bytes of an update."""
    experiment, shape = job.experiment, (job.widths[0],)
    return fn.cost(
        experiment.network,
        shape,
        job.network.batch,
        optimizer=experiment.optimizer,
        loss=experiment.loss,
        dtype=np.float32,
    )


def _size(cost: fn.Cost) -> int:
    """Return the bytes that an update passes through: parameters, gradient and state."""
    return cost.parameter_bytes + cost.gradient_bytes + cost.optimizer_bytes


def contestants(job: Job) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Return those that take part, and why others do not."""
    found, missing = {"funcnet": ours.contestant(job), "call": ours.whole_call(job)}, {}
    for name in job.network.peers:
        try:
            side = peer(name).contestant(job)
        except ImportError as error:
            missing[name] = str(error)
            continue
        if side is not None:
            found[name] = side
    return found, missing


def contest(job: Job, turns: int, probe: Probe | None = None) -> dict[str, Any]:
    """Check that all losses agree, then race, and return a row for each contestant."""
    sides, missing = contestants(job)
    rows: dict[str, Any] = {name: {} for name in sides}
    mine = ours.history(job)
    for name, side in sides.items():
        if side.losses is not None:
            wanted = np.asarray(mine["objective" if side.with_penalty else "loss"])
            apart = float(np.max(np.abs(np.asarray(side.losses(job.orders)) / wanted - 1)))
            rows[name]["apart"] = apart
            if not apart <= (NOISE if job.dropout else side.rounding):
                raise SystemExit(f"{job.network.name} {job.variant}: the losses of {name} are {apart:.1e} from ours")
    times = race({n: timed(s.run, s.reset) for n, s in sides.items()}, turns, "funcnet", probe=probe)
    for name, side in sides.items():
        rows[name] |= times[name] | {"accuracy": side.accuracy(), "note": side.note}
    return {"contestants": rows, "missing": missing}


def _apart(numbers: dict[str, Any]) -> float:
    """Return the largest relative difference of a loss from ours, where masks do not differ."""
    rows = [
        row
        for network in numbers["networks"].values()
        for variant, found in network["variants"].items()
        for row in found["contestants"].values()
        if variant != "dropout"
    ]
    return max((row["apart"] for row in rows if "apart" in row), default=0.0)


def _again(numbers: dict[str, Any]) -> str:
    """Count the turns that fell into a slow phase of the machine."""
    rows = [
        v["contestants"]["funcnet"] for network in numbers["networks"].values() for v in network["variants"].values()
    ]
    return f"{sum(row.get('again', 0) for row in rows)} turns beside the {sum(row['turns'] for row in rows)}"


def _worst(network: dict[str, Any], name: str) -> float:
    """Return the smallest ratio of a contestant over the variants."""
    rows = [row["contestants"] for row in network["variants"].values()]
    return min((row[name]["ratio"] for row in rows if name in row), default=float("nan"))


def _share(network: dict[str, Any]) -> float:
    """Return the smallest share of the floor in the time of an update, over the variants without dropout."""
    rows = [row for variant, row in network["variants"].items() if variant != "dropout"]
    return min(network["updates"] * row["floor"]["seconds"] / row["contestants"]["funcnet"]["seconds"] for row in rows)


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """Return what was aimed at, over all variants of a network."""
    found = []
    for key, network in numbers["networks"].items():
        measured = set(network["variants"]["Adam"]["contestants"])
        for name, least in LEAST.get(key, {}).items():
            if name in measured:
                found.append(Aim(f"({key}) time of {NAMES[name]} / ours", _worst(network, name), at_least=least))
        if key in SHARE:
            found.append(Aim(f"({key}) the floor / our time", _share(network), at_least=SHARE[key]))
    return found


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    limits = numbers["limits"]
    band = ", ".join(
        f"{rate / 1e9:.0f} GB/s over {_bytes(int(size))}"
        for size, rate in sorted(limits["bytes_a_second"].items(), key=lambda pair: int(pair[0]))
    )
    sections = [
        "## Training",
        prose(f"""
            Each contestant trains the epochs of a turn from the same initial parameters, shuffles its samples anew in
            every epoch, and makes the same number of updates. Before a time is believed, all train on the batches of
            our order, and the mean loss of every epoch agrees with ours within {ROUNDING:g}, relative (Keras and
            scikit-learn, whose Adam has its ε in another place, within {ANOTHER_EPSILON:g}); the largest difference was
            {_apart(numbers):.1g}. With dropout, whose masks differ, they agree within {NOISE:g}. The digits' 1,077
            images do not divide by 32: the last batch of an epoch has 21. The whole call of `fn.train` also checks its
            data and draws the initial parameters. Ours and the scan of Optax fill it up with
            samples of weight 0; the others run a smaller batch. Dropout is at {RATE_LEFT_OUT:g}, L2 is
            {PENALTY:g}/2 Σ w² over the kernels, both with Adam. JAX peers
            donate their buffers; PyTorch has its fused optimizers, and one thread or all, whichever was faster.
            scikit-learn has no dropout, and divides its penalty by the size of a batch, so it is left out there. (c)
            and (d) leave out the slowest. Data of (b), (c) and (d) are normal noise of Fashion-MNIST's width, labelled
            by a random linear map. The machine has phases of down to half its speed: a turn counts if a product of
            1,024 × 1,024 squares takes at most {STEADY:g} times its least before and after it, and is run again
            otherwise, up to {LONGEST} times as often; {_again(numbers)} that are counted here were not.

            The floor is what the arithmetic of an update would take alone: its matrix products (`fn.cost`) at the rate
            of large ones, {limits["flops_all_cores"] / 1e9:.0f} GFLOP/s on all cores
            ({limits["flops_one_core"] / 1e9:.0f} on one), and the optimizer's traffic at the bandwidth of a sum of two
            arrays, all three together of the size that an update walks through: {band}.
        """),
    ]
    for key, network in sorted(numbers["networks"].items()):
        sections += [_table(key, network), _epochs(key, network)]
    return "\n\n".join([*sections, parts.show(numbers["networks"])])


def _bytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _table(key: str, network: dict[str, Any]) -> str:
    variants, updates = network["variants"], network["updates"]
    rows = []
    for name, title in NAMES.items():
        if name not in variants["Adam"]["contestants"]:
            if name in variants["Adam"]["missing"]:
                rows.append([f"{title} (not installed)", *[""] * (len(variants) + 2)])
            continue
        cells, note = [], ""
        for variant in variants.values():
            found = variant["contestants"].get(name)
            ratio = "" if found is None or name == "funcnet" else f" ({found['ratio']:.2f})"
            cells.append("" if found is None else f"{digits(1e6 * found['seconds'] / updates)}{ratio}")
            note = note or (found or {}).get("note", "")
        least = LEAST.get(key, {}).get(name)
        worst = "" if name == "funcnet" else f"{_worst(network, name):.2f}"
        rows.append([title + (f", {note}" if note else ""), *cells, worst, "" if least is None else f"≥ {least:g}"])
    floors = [variant["floor"]["seconds"] for variant in variants.values()]
    share = SHARE.get(key)
    aim = "" if share is None else f"≥ {share:g} of our time"
    rows.append(["floor", *[digits(1e6 * floor) for floor in floors], f"{_share(network):.2f} of our time", aim])
    caption = f"### ({key}) {network['title']}\n\nµs an update, and in brackets the ratio to funcnet."
    return Table(caption, ["contestant", *variants, "smallest ratio", "aim"], rows).markdown()


def _epochs(key: str, network: dict[str, Any]) -> str:
    rows = []
    for name, title in NAMES.items():
        found = network["variants"]["Adam"]["contestants"].get(name)
        if found is not None:
            scale = 1e3 / network["epochs"]
            accuracies = [v["contestants"].get(name, {}).get("accuracy") for v in network["variants"].values()]
            cells = ["" if a is None else f"{a:.3f}" for a in accuracies]
            rows.append([title, digits(scale * found["seconds"]), spread(found, scale), *cells])
    caption = (
        f"Milliseconds an epoch of {network['batches']} updates with Adam, and the accuracy on the test set after"
        f" {network['epochs']} epoch{'s' if network['epochs'] > 1 else ''} of each."
    )
    return Table(caption, ["contestant", "ms", "quartiles", *network["variants"]], rows).markdown()
