r"""The sweep engine against what else trains many small networks.

512 trials of 64-64-10 ReLU on the handwritten digits, 1,077 images in batches of 32, Adam, 30 epochs. All contestants
do the same work: the last batch of an epoch is incomplete and takes part with its true weight, kernels are drawn as
`fn.mlp` draws them, learning rates are the same 512. Each contestant has a process of its own, of which one works at a
time. Compilation is outside the timing and reported apart. Our time is that of the whole call: checks, hashes, and a
store with a row, curves and parameters of each trial; the others return their losses alone. PyTorch and scikit-learn
train a few of the trials; their time is multiplied up to all of them and divided by the number of cores, as if they
scaled perfectly.
"""

import tempfile

import numpy as np

from experiments.benchmarks import machine
from experiments.benchmarks.processes import ONE_CORE, ONE_THREAD, Process, fresh, serve, surroundings
from experiments.benchmarks.sweep import once, ours, parts, peers
from experiments.benchmarks.sweep.page import aims, show
from experiments.benchmarks.timing import race, say

__all__ = ["aims", "measure", "show"]

AGREEMENT = 0.1  # how far a mean final training loss may be from ours, relative
TURNS = 2

# name: (contestant, whether its losses must agree with ours)
CONTESTANTS = {
    "sweep": (ours.ours, True),
    "vmap": (peers.with_vmap, True),
    "vmap, own orders": (peers.with_vmap_own_orders, True),
    "map": (peers.with_map, True),
    "torch": (peers.with_torch, False),
    "scikit-learn": (peers.with_scikit_learn, False),
    "sweep, one core": (ours.ours_on_one_device, True),
    "sweep, own orders": (ours.ours_own_orders, True),
}


def measure(toy):
    """Race the contestants, then the kinds of sweep; measure memory and the start of a process."""
    import funcnet as fn

    options = {"trials": 512, "epochs": 30, "few": 4, "cores": machine.cores()}
    options |= {"trials": 2 * options["cores"], "epochs": 2, "few": 1} if toy else {}
    options["samples"] = len(fn.data.digits().train[0])
    if toy:
        return {"options": options, "contest": contest(options, ["sweep"], 1)}
    found = {"options": options, "floor": once.floor(options, machine.limits([]))}
    found["contest"] = contest(options, list(CONTESTANTS), TURNS)
    found["parts"] = fresh(parts.parts, environment=ONE_CORE)
    found["variants"] = variants(options, TURNS)
    with tempfile.TemporaryDirectory() as folder:
        found["first_epoch"] = [fresh(once.first_segment, options | {"folder": folder}) for _ in range(3)]
    found["memory"] = memory(options, (1024, 4096, 16384))
    say("  16,384 trials")
    short = options | {"epochs": 5}
    found["large_epochs"] = short["epochs"]
    large = contest(short | {"trials": 16_384}, ["sweep"], 1)["sweep"]["seconds"] / 16_384
    found["large"] = large / (contest(short, ["sweep"], TURNS)["sweep"]["seconds"] / options["trials"])
    return found


def contest(options, names, turns):
    """Return a row for each contestant, in turns; the mean final losses agree, or nothing is believed."""
    rows, processes, last = {}, {}, {}
    for name in names:
        say(f"  preparing {name}")
        with surroundings(ONE_CORE if name == "sweep, one core" else ONE_THREAD):
            processes[name] = Process(serve, CONTESTANTS[name][0], options)
            rows[name] = processes[name].hear()  # one at a time, so that compilation has the machine to itself

    def runner(name):
        def run():
            last[name] = processes[name].ask()
            return last[name].get("seconds", float("nan"))

        return run

    for name, found in race({n: runner(n) for n in names if "missing" not in rows[n]}, turns, "sweep", 0).items():
        rows[name] |= last[name] | found
    for process in processes.values():
        process.end()
    for name, row in rows.items():
        if CONTESTANTS[name][1] and "loss" in row and abs(row["loss"] / rows["sweep"]["loss"] - 1) > AGREEMENT:
            raise SystemExit(
                f"the final losses of {name}, {row['loss']:.4f}, are not ours, {rows['sweep']['loss']:.4f}"
            )
    return rows


def variants(options, turns):
    """Return a row for each kind of sweep, with the share of the plain time and of the plain epochs."""
    say("  preparing the kinds of sweep")
    with surroundings(ONE_THREAD):
        process = Process(serve, ours.ours_with_variants, options)
        if "missing" in process.hear():
            raise SystemExit("the process of the kinds of sweep ended, by the error above")
    last = {}

    def runner(name):
        def run():
            last[name] = process.ask(name)
            return last[name]["seconds"]

        return run

    found = race({name: runner(name) for name in ours.VARIANTS}, turns, "plain", 0)
    process.end()
    return {name: last[name] | row for name, row in found.items()}


def memory(options, counts):
    """Return what sweeps of several sizes hold, and a straight line through their peaks at 100,000 trials."""
    rows = []
    for count in counts:
        say(f"  memory of {count} trials")
        rows.append(fresh(once.memory, options | {"trials": count, "epochs": 2}))
    line = np.polyfit([row["trials"] for row in rows], [row["most"] for row in rows], 1)
    return {"rows": rows, "kibibytes_a_trial": 1024 * line[0], "at_100000": float(np.polyval(line, 1e5))}
