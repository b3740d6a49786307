r"""The sweep engine against what else trains many small networks: `python -m experiments.benchmarks.sweep`.

512 trials of 64-64-10 ReLU on the handwritten digits, 1,077 images in batches of 32, Adam, 30 epochs. All contestants
do the same work: the last batch of an epoch is incomplete and takes part with its true weight, kernels are drawn as
`fn.mlp` draws them, learning rates are the same 512. Each contestant has a process of its own, of which one works at a
time, in turns A B C A B C; a row shows the median over the turns, their range, and the median of the ratios to
`fn.sweep` in the same turn. Compilation is outside the timing and reported apart. Our time is that of the whole call:
checks, hashes, and a store with a row, curves and parameters of each trial; the others return their losses alone.

    sweep               fn.sweep, a device a core; also on one device, and with an order of the samples for each trial
    vmap                jit(vmap(train)), with Optax and jax.grad, all trials sharing one order of the samples
    vmap, own orders    the same, each trial with its own order
    map                 vmap with every trick: a device a core by shard_map, lax.map(batch_size=C) with the best C of
                        16, 32 and 64, threads within a product or not, whichever is faster
    torch               PyTorch, eager, a loop over trials on one thread with the fused Adam
    scikit-learn        MLPClassifier, a loop over trials on one thread

The last two train a few of the trials; their time is multiplied up to all of them and divided by the number of cores,
as if they scaled perfectly. The floor is what the arithmetic alone would take: all matrix products of the training at
the rate of one large product (768³, float32) on one core, and Adam's update at the speed of a compiled loop over
parameters in the cache, divided by the number of cores.

Peers need the `bench` extra; one that is not installed is a row that says so.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import sys
import tempfile
import threading
import time
import warnings

import numpy as np

FEATURES, HIDDEN, CLASSES, BATCH = 64, 64, 10, 32
PARAMETERS = FEATURES * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
AGREEMENT = 0.1  # how far a mean final training loss may be from ours, relative


# -- the job ---------------------------------------------------------------------------------------------------------


def rates_and_seeds(trials):
    return np.geomspace(1e-3, 1e-2, trials).tolist(), list(range(trials))


def few(options):
    """Return the rates and seeds of the trials that a slow contestant trains: the middles of equal parts of all."""
    rates, seeds = rates_and_seeds(options["trials"])
    count = min(options["few"], options["trials"])
    places = ((np.arange(count) + 0.5) * options["trials"] / count).astype(int)
    return [rates[i] for i in places], [seeds[i] for i in places]


def batches_an_epoch(samples):
    return -(-samples // BATCH)


# -- contestants: each takes the options and returns (seconds of compilation, run); run() returns a dict ---------------


def ours(options, variants=(), own_order=False):
    """Our side; `variants` are further sweeps, by name, that `run` can be asked for."""
    import funcnet as fn

    fn.use_cores(options["cores"])
    train = fn.data.digits().train

    def trials_of(epochs, **changes):
        network = fn.mlp(HIDDEN, CLASSES, dropout=changes.pop("dropout", None))
        base = fn.Experiment(network, fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=BATCH, epochs=epochs, **changes)
        together = [
            (rate, seed, seed if own_order else 0)
            for rate, seed in zip(*rates_and_seeds(options["trials"]), strict=True)
        ]
        return fn.grid(base, {("optimizer.learning_rate", "seed", "data_seed"): together})

    def timed(experiments, halving=None):
        start = time.perf_counter()
        results = fn.sweep(experiments, train=train, progress=False, halving=halving, own_order=own_order)
        return time.perf_counter() - start, results

    def found(seconds, results):
        curves = [results.curves(i)["train_loss"] for i in range(len(results))]
        ran = sum(map(len, curves)) / (len(curves) * options["epochs"])
        return {"seconds": seconds, "loss": float(np.mean([c[-1] for c in curves])), "ran": ran, "curves": curves}

    once = trials_of(1)
    compiling = timed(once)[0] - timed(once)[0]
    jobs = {"plain": (trials_of(options["epochs"]), None)}
    if variants:
        curves = found(*timed(jobs["plain"][0]))["curves"]
        rule, share = half_way(fn, curves)
        print(f"  early stopping: {rule}, which should run {share:.0%} of the epochs", file=sys.stderr)
        jobs |= {
            "dropout 0.2": (trials_of(options["epochs"], dropout=0.2), None),
            "early stopping": (trials_of(options["epochs"], stopping=rule), None),
            "halving by 3": (jobs["plain"][0], fn.Halving("train_loss", factor=3, first=3)),
        }
        for name in variants:  # compiles what is not compiled yet
            timed(*jobs[name])

    def run(variant="plain"):
        outcome = found(*timed(*jobs[variant]))
        return {name: value for name, value in outcome.items() if name != "curves"}

    return compiling, run


def half_way(fn, curves):
    """Return the early stopping under which about half of all epochs would be run, and how many would be."""

    def epochs(curve, patience, least):
        best, waited = math.inf, 0
        for epoch, loss in enumerate(curve):
            best, waited = (loss, 0) if loss < best - least else (best, waited + 1)
            if waited >= patience:
                return epoch + 1
        return len(curve)

    total, found = sum(map(len, curves)), []
    for patience in (1, 2, 3, 5):
        for least in np.geomspace(1e-4, 0.1, 13):
            share = sum(epochs(curve, patience, least) for curve in curves) / total
            found.append((abs(share - 0.5), share, patience, float(least)))
    _, share, patience, least = min(found)
    return fn.EarlyStopping(patience, min_delta=round(least, 6), metric="train_loss"), share


def ours_on_one_device(options):
    return ours(options | {"cores": 1})


def ours_own_orders(options):
    return ours(options, own_order=True)


def optax_program(options, own_order, epochs):
    """Return train(seed, rate, x, y) → losses by epoch: as one would write it, without funcnet."""
    import jax
    import jax.numpy as jnp
    import optax

    def draw(key):
        first, last = jax.random.split(key)
        bound = (6 / (HIDDEN + CLASSES)) ** 0.5
        return {
            "w1": jax.random.normal(first, (FEATURES, HIDDEN)) * (2 / FEATURES) ** 0.5,
            "b1": jnp.zeros(HIDDEN),
            "w2": jax.random.uniform(last, (HIDDEN, CLASSES), minval=-bound, maxval=bound),
            "b2": jnp.zeros(CLASSES),
        }

    def mean_loss(params, x, y, weight):
        hidden = jax.nn.relu(x @ params["w1"] + params["b1"])
        losses = optax.softmax_cross_entropy_with_integer_labels(hidden @ params["w2"] + params["b2"], y)
        return jnp.sum(weight * losses) / jnp.sum(weight)

    def train(seed, rate, x, y):
        samples = x.shape[0]
        count = batches_an_epoch(samples)
        weights = (jnp.arange(count * BATCH) < samples).astype(x.dtype).reshape(count, BATCH)
        optimizer = optax.adam(rate)
        params = draw(jax.random.key(seed))

        def update(carry, batch):
            params, state = carry
            rows, weight = batch
            loss, gradient = jax.value_and_grad(mean_loss)(params, x[rows], y[rows], weight)
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), loss * jnp.sum(weight)

        def epoch(carry, number):
            key = jax.random.fold_in(jax.random.key(seed if own_order else 0), number)
            rows = jnp.pad(jax.random.permutation(key, samples), (0, count * BATCH - samples)).reshape(count, BATCH)
            carry, losses = jax.lax.scan(update, carry, (rows, weights))
            return carry, jnp.sum(losses) / samples

        return jax.lax.scan(epoch, (params, optimizer.init(params)), jnp.arange(epochs))[1]

    return train


def optax_arguments(options):
    import jax.numpy as jnp

    import funcnet as fn

    rates, seeds = rates_and_seeds(options["trials"])
    x, y = fn.data.digits().train
    return jnp.asarray(seeds), jnp.asarray(rates, jnp.float32), jnp.asarray(x), jnp.asarray(y)


def compiled(function, arguments, **settings):
    """Compile a function and return the seconds that took, and a run."""
    import jax

    start = time.perf_counter()
    program = jax.jit(function, **settings).lower(*arguments).compile()
    compiling = time.perf_counter() - start

    def run():
        start = time.perf_counter()
        losses = np.asarray(program(*arguments))
        return {"seconds": time.perf_counter() - start, "loss": float(losses[:, -1].mean())}

    return compiling, run


def with_vmap(options, own_order=False):
    import jax

    jax.config.update("jax_num_cpu_devices", 1)
    train = optax_program(options, own_order, options["epochs"])
    return compiled(jax.vmap(train, (0, 0, None, None)), optax_arguments(options))


def with_vmap_own_orders(options):
    return with_vmap(options, own_order=True)


def with_map(options):
    """Every trick: find the best one on a tenth of the epochs, then compile it for all of them."""
    import jax
    from jax.sharding import Mesh
    from jax.sharding import PartitionSpec as Spec

    jax.config.update("jax_num_cpu_devices", options["cores"])
    mesh = Mesh(np.asarray(jax.devices()), ("trials",))
    arguments = optax_arguments(options)

    def program(epochs, size, threads):
        train = optax_program(options, False, epochs)

        def shard(seeds, rates, x, y):
            return jax.lax.map(lambda trial: train(*trial, x, y), (seeds, rates), batch_size=size)

        lane = Spec("trials")
        spread = jax.shard_map(shard, mesh=mesh, in_specs=(lane, lane, Spec(), Spec()), out_specs=lane, check_vma=False)
        cpu = jax.default_backend() == "cpu"
        settings = {"xla_cpu_multi_thread_eigen": threads} if cpu else {}
        return compiled(spread, arguments, compiler_options=settings)

    seconds = {}
    for size in (16, 32, 64):
        for threads in (True, False):
            run = program(max(1, options["epochs"] // 10), size, threads)[1]
            run()
            seconds[size, threads] = min(run()["seconds"] for _ in range(2))
    size, threads = min(seconds, key=seconds.get)
    compiling, run = program(options["epochs"], size, threads)
    note = f"C = {size}, {'with' if threads else 'without'} threads in a product"
    return compiling, lambda: run() | {"note": note}


def with_torch(options):
    import torch
    from torch import nn

    import funcnet as fn

    torch.set_num_threads(1)
    x, y = fn.data.digits().train
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    count = batches_an_epoch(len(x))

    def one(rate, seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
        nn.init.kaiming_normal_(model[0].weight)
        nn.init.xavier_uniform_(model[2].weight)
        for layer in (model[0], model[2]):
            nn.init.zeros_(layer.bias)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        criterion = nn.CrossEntropyLoss()
        for _ in range(options["epochs"]):
            order = torch.randperm(len(x))
            shuffled, labels = x[order], y[order]
            total = torch.zeros(())
            for i in range(count):
                part = slice(i * BATCH, (i + 1) * BATCH)
                optimizer.zero_grad(set_to_none=True)
                loss = criterion(model(shuffled[part]), labels[part])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(labels[part])
        return float(total) / len(x)

    one(1e-3, 0)
    return 0.0, looped(options, one)


def with_scikit_learn(options):
    from sklearn.neural_network import MLPClassifier

    import funcnet as fn

    warnings.filterwarnings("ignore")  # that 30 epochs are not enough to converge
    x, y = fn.data.digits().train

    def one(rate, seed):
        settings = {"batch_size": BATCH, "max_iter": options["epochs"], "alpha": 0.0, "random_state": seed}
        never = {"tol": 0.0, "n_iter_no_change": 10**9}
        return MLPClassifier((HIDDEN,), learning_rate_init=rate, **settings, **never).fit(x, y).loss_

    return 0.0, looped(options, one)


def looped(options, one):
    """Return a run that trains a few trials and multiplies up to all of them, spread over all cores without loss."""

    def run():
        start = time.perf_counter()
        losses = [one(rate, seed) for rate, seed in zip(*few(options), strict=True)]
        seconds = (time.perf_counter() - start) / len(losses) * options["trials"] / options["cores"]
        return {"seconds": seconds, "loss": float(np.mean(losses)), "note": f"from {len(losses)} trials"}

    return run


# -- the floor and what is measured once -------------------------------------------------------------------------------


def floor(options):
    """Measure the rates of matrix products and of Adam, and return the seconds that the job's arithmetic takes."""
    import jax
    import jax.numpy as jnp

    import funcnet as fn

    a = np.random.default_rng(0).standard_normal((768, 768), np.float32)

    def products(out):
        for _ in range(30):
            start = time.perf_counter()
            a @ a
            out.append(2 * 768**3 / (time.perf_counter() - start) / 1e9)

    alone, together = [], [[] for _ in range(options["cores"])]
    products(alone)
    threads = [threading.Thread(target=products, args=(out,)) for out in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def adam(carry, g):
        p, m, v = carry
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return p - 1e-3 * m / (jnp.sqrt(v) + 1e-8), m, v

    nanoseconds = []
    for lanes in (1, 4, 16):
        size, steps = lanes * PARAMETERS, 4000 // lanes
        g = jnp.full(size, 0.01)
        program = jax.jit(
            lambda c, g, steps=steps: jax.lax.fori_loop(0, steps, lambda _, c: adam(c, g), c),
            compiler_options={"xla_cpu_multi_thread_eigen": False},
        )
        start = (g, g, g)
        jax.block_until_ready(program(start, g))
        for _ in range(5):
            begin = time.perf_counter()
            jax.block_until_ready(program(start, g))
            nanoseconds.append((time.perf_counter() - begin) / (steps * size) * 1e9)

    samples = len(fn.data.digits().train[0])
    # Forward and the kernels' gradients for both layers, the gradient of the hidden values for the last.
    flops = 2 * samples * (2 * (FEATURES * HIDDEN + HIDDEN * CLASSES) + HIDDEN * CLASSES)
    updates = batches_an_epoch(samples) * PARAMETERS
    gigaflops, an_update = float(np.median(alone)), min(nanoseconds)
    job = options["trials"] * options["epochs"] / options["cores"]
    parts = {"products": job * flops / gigaflops / 1e9, "adam": job * updates * an_update / 1e9}
    return {
        "gigaflops_a_core": gigaflops,
        "gigaflops_all_cores_at_once": float(sum(np.median(out) for out in together)),
        "adam_nanoseconds_a_parameter": an_update,
        "seconds": sum(parts.values()),
        **{f"{name}_seconds": value for name, value in parts.items()},
    }


def resident(field="VmRSS"):
    """Return the memory that this process holds now, or has held at most, in MiB."""
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith(field)).split()[1]) / 1024


def memory(options):
    """Sweep so many trials in a fresh process, and return what it held before, after, and at most, in MiB."""
    import funcnet as fn

    fn.use_cores(options["cores"])
    train = fn.data.digits().train
    base = fn.Experiment(
        fn.mlp(HIDDEN, CLASSES), fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=BATCH, epochs=options["epochs"]
    )
    before = resident()
    together = list(zip(*rates_and_seeds(options["trials"]), strict=True))
    experiments = fn.grid(base, {("optimizer.learning_rate", "seed"): together})
    listed = resident()
    results = fn.sweep(experiments, train=train, progress=False)
    outcome = {"trials": len(results), "before": before, "listed": listed, "after": resident()}
    return outcome | {"most": resident("VmHWM")}


def first_segment(options):
    """Sweep one epoch in a fresh process with a folder of compiled programs, and return the seconds that took."""
    began = time.perf_counter()
    import funcnet as fn

    imported = time.perf_counter()
    fn.use_cores(options["cores"])
    fn.use_compilation_cache(options["folder"])
    base = fn.Experiment(fn.mlp(HIDDEN, CLASSES), fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=BATCH, epochs=1)
    fn.sweep(fn.grid(base, {"seed": range(16)}), train=fn.data.digits().train, progress=False)
    return {"import": imported - began, "sweep": time.perf_counter() - imported}


# -- processes ---------------------------------------------------------------------------------------------------------


def serve(pipe, contestant, options):
    """Prepare a contestant, then run it as often as asked: the body of its process."""
    try:
        compiling, run = contestant(options)
        pipe.send({"compile": compiling})
    except ImportError as error:
        pipe.send({"missing": str(error)})
        return
    while (arguments := pipe.recv()) is not None:
        pipe.send(run(*arguments))


def answer(pipe, function, options):
    """Call a function once: the body of a process that measures one thing."""
    pipe.send(function(options))


LOST = {"missing": "its process ended, by the error above"}


class Process:
    """A process of its own for one contestant or one measurement."""

    def __init__(self, body, function, options):
        # A fresh interpreter: a forked one would share the threads and the memory of this one.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=body, args=(theirs, function, options), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, *arguments):
        """Let a contestant run once."""
        try:
            self.pipe.send(arguments)
        except BrokenPipeError:
            return LOST
        return self.hear()

    def hear(self):
        """Wait for what the process says."""
        try:
            return self.pipe.recv()
        except EOFError:
            return LOST

    def end(self):
        """Let the process end."""
        if self.process.is_alive():
            self.pipe.send(None)
        self.process.join()


def measure(function, options):
    """Return what a function says in a fresh process."""
    process = Process(answer, function, options)
    found = process.hear()
    process.process.join()
    if found is LOST:
        sys.exit(f"{function.__name__}: {LOST['missing']}")
    return found


# name: (contestant, whether its losses must agree with ours, the most turns)
CONTESTANTS = {
    "sweep": (ours, True, 99),
    "vmap": (with_vmap, True, 99),
    "vmap, own orders": (with_vmap_own_orders, True, 99),
    "map": (with_map, True, 99),
    "torch": (with_torch, False, 99),
    "scikit-learn": (with_scikit_learn, False, 99),
    "sweep, one device": (ours_on_one_device, True, 3),
    "sweep, own orders": (ours_own_orders, True, 2),
}
VARIANTS = ("plain", "dropout 0.2", "early stopping", "halving by 3")


def ours_with_variants(options):
    return ours(options, variants=VARIANTS[1:])


# -- turns and tables --------------------------------------------------------------------------------------------------


def say(*words):
    """Tell how far it is, beside the tables."""
    print(*words, file=sys.stderr, flush=True)


def in_turns(jobs, repeats):
    """Run jobs, name → (run, most turns), one after the other, `repeats` times; return outcomes by name."""
    outcomes = {name: [] for name in jobs}
    for turn in range(repeats):
        for name, (run, most) in jobs.items():
            if turn < most:
                outcomes[name].append(run())
                say(f"  turn {turn + 1}: {name}: {outcomes[name][-1].get('seconds', math.nan):.2f} s")
    return outcomes


def summary(outcomes, reference):
    """Return median and range of the seconds, the median of the ratios to the reference, and the rest of the last."""
    if any("seconds" not in outcome for outcome in outcomes):
        return outcomes[-1]
    seconds = [outcome["seconds"] for outcome in outcomes]
    # Turn by turn, since what else the machine does changes slowly.
    ratios = [mine / theirs["seconds"] for mine, theirs in zip(seconds, reference, strict=False) if "seconds" in theirs]
    return outcomes[-1] | {
        "seconds": float(np.median(seconds)),
        "ratio": float(np.median(ratios)) if ratios else math.nan,
        "turns": seconds,
    }


def contest(options, names, repeats):
    """Return a row for each contestant."""
    rows, processes = {}, {}
    for name in names:
        say(f"preparing {name}")
        processes[name] = Process(serve, CONTESTANTS[name][0], options)
        rows[name] = processes[name].hear()  # one at a time, so that compilation has the machine to itself
    jobs = {name: (processes[name].ask, CONTESTANTS[name][2]) for name in names if "missing" not in rows[name]}
    outcomes = in_turns(jobs, repeats)
    for name, found in outcomes.items():
        rows[name] |= summary(found, outcomes.get("sweep", []))
    for process in processes.values():
        process.end()
    return rows


def vary(options, repeats):
    """Return a row for each kind of sweep."""
    say("preparing the variants")
    process = Process(serve, ours_with_variants, options)
    if "missing" in process.hear():
        sys.exit(f"variants: {LOST['missing']}")
    rows = in_turns({name: (lambda name=name: process.ask(name), 99) for name in VARIANTS}, repeats)
    process.end()
    return {name: summary(outcomes, rows["plain"]) for name, outcomes in rows.items()}


def table(head, rows):
    """Print a table in Markdown."""
    print("\n|", " | ".join(head), "|\n|", " | ".join(["---"] + ["---:"] * (len(head) - 1)), "|")
    for row in rows:
        print("|", " | ".join(row), "|", flush=True)


def print_contest(options, rows, least):
    updates = options["trials"] * options["epochs"] * batches_an_epoch(options["samples"])
    lines = []
    for name, row in rows.items():
        if "seconds" not in row:
            lines.append([name, f"missing: {row['missing']}"] + [""] * 7)
            continue
        seconds, turns = row["seconds"], row["turns"]
        lines.append(
            [
                name,
                f"{seconds:.2f}",
                f"{min(turns):.2f} … {max(turns):.2f} ({len(turns)})",
                f"{1e6 * seconds / updates:.2f}",
                f"{row['ratio']:.2f}",
                f"{least['seconds'] / seconds:.0%}",
                f"{row['compile']:.1f}",
                f"{row['loss']:.4f}",
                row.get("note", ""),
            ]
        )
    head = ["contestant", "s", "range (turns)", "µs an update", "of sweep's time", "floor's share", "compile s"]
    table([*head, "final loss", "note"], lines)


def agreement(rows):
    """Return the contestants whose mean final training loss is too far from ours."""
    ours = rows.get("sweep", {}).get("loss")
    held = {name: row["loss"] for name, row in rows.items() if CONTESTANTS[name][1] and "loss" in row}
    return [name for name, loss in held.items() if ours and not abs(loss / ours - 1) <= AGREEMENT]


def print_variants(rows):
    lines = [
        [
            name,
            f"{row['seconds']:.2f}",
            f"{min(row['turns']):.2f} … {max(row['turns']):.2f}",
            f"{row['ratio']:.2f}",
            f"{row['ran']:.2f}",
        ]
        for name, row in rows.items()
    ]
    table(["sweep", "s", "range", "of the plain time", "of the plain epochs"], lines)


def measure_memory(options, counts):
    """Return what sweeps of several sizes hold, and a straight line through their peaks at 100,000 trials."""
    found = []
    for count in counts:
        say(f"memory of {count} trials")
        found.append(measure(memory, options | {"trials": count, "epochs": 2}))
    line = np.polyfit([row["trials"] for row in found], [row["most"] for row in found], 1)
    return {"rows": found, "kibibytes_a_trial": 1024 * line[0], "at_100000": float(np.polyval(line, 1e5))}


def print_memory(found):
    columns = ("before", "listed", "after", "most")
    lines = [[f"{row['trials']:,}"] + [f"{row[column]:.0f}" for column in columns] for row in found["rows"]]
    table(["trials", "MiB before", "with the experiments", "after the sweep", "at most"], lines)
    print(f"\n{found['kibibytes_a_trial']:.1f} KiB a trial; 100,000 trials: {found['at_100000']:.0f} MiB at most")


def main():
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3, help="turns of each contestant, at most")
    parser.add_argument("--few", type=int, default=4, help="trials from which a loop over all is multiplied up")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", help=f"contestants alone, separated by semicolons: {'; '.join(CONTESTANTS)}")
    parser.add_argument("--small", action="store_true", help="64 trials, 4 epochs, 2 turns: does everything run?")
    parser.add_argument("--large", action="store_true", help="also 16,384 trials, whose time grows in proportion")
    parser.add_argument("--json", help="a file for all numbers")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.trials, arguments.epochs, arguments.repeats, arguments.few = 64, 4, 2, 2
    names = [name.strip() for name in arguments.only.split(";")] if arguments.only else list(CONTESTANTS)
    if arguments.trials % arguments.cores or not set(names) <= set(CONTESTANTS):
        parser.error("--trials must be a multiple of --cores, and --only name contestants")
    # Loops on one thread use one, as do the products by which the floor is measured; XLA has threads of its own.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    # Imported here alone, and without starting JAX: what is measured runs in other processes.
    import funcnet as fn

    options = {"trials": arguments.trials, "epochs": arguments.epochs, "few": arguments.few, "cores": arguments.cores}
    options["samples"] = len(fn.data.digits().train[0])
    began = time.perf_counter()
    machine = {"machine": platform.processor() or platform.machine(), "cores": arguments.cores, "load": os.getloadavg()}
    machine |= {"versions": versions()}
    print(f"{machine['machine']}, {machine['cores']} cores, load {machine['load'][0]:.1f}, {machine['versions']}")
    print(f"{arguments.trials} trials, {arguments.epochs} epochs")
    found = {"machine": machine, "options": options, "floor": measure(floor, options)}
    least = found["floor"]
    print(
        f"floor: {least['products_seconds']:.2f} s of products at {least['gigaflops_a_core']:.0f} GFLOP/s a core"
        f" ({least['gigaflops_all_cores_at_once']:.0f} all cores at once) and {least['adam_seconds']:.2f} s of Adam at"
        f" {least['adam_nanoseconds_a_parameter']:.2f} ns a parameter = {least['seconds']:.2f} s"
    )
    found["contest"] = contest(options, names, arguments.repeats)
    print_contest(options, found["contest"], least)
    astray = agreement(found["contest"])
    if "loss" in found["contest"].get("sweep", {}):
        print(f"\nfinal losses agree within {AGREEMENT:.0%}: {'no: ' + ', '.join(astray) if astray else 'yes'}")
    if not arguments.only:
        found["variants"] = vary(options, arguments.repeats)
        print_variants(found["variants"])
        with tempfile.TemporaryDirectory() as folder:
            starts = [measure(first_segment, options | {"folder": folder}) for _ in range(3)]
        found["first_segment"] = starts
        words = [f"{start['sweep']:.2f}" for start in starts]
        print(f"\nfirst epoch of a new process, after {starts[-1]['import']:.2f} s of imports: {words[0]} s;", end=" ")
        print(f"with the programs that it left in a folder: {words[1]}, {words[2]} s")
        found["memory"] = measure_memory(options, (128, 256, 512) if arguments.small else (1024, 4096, 16384))
        print_memory(found["memory"])
    if arguments.large and "seconds" in found["contest"].get("sweep", {}):
        large = contest(options | {"trials": 16_384}, ["sweep"], 1)["sweep"]
        share = large["seconds"] / 16_384 / (found["contest"]["sweep"]["seconds"] / arguments.trials)
        found["large"] = large
        print(f"\n16,384 trials: {large['seconds']:.1f} s, {share:.3f} of the time a trial of {arguments.trials}")
    found["minutes"] = (time.perf_counter() - began) / 60
    print(f"\n{found['minutes']:.1f} minutes in all, load {os.getloadavg()[0]:.1f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(found, file, indent=1)
    return 1 if astray else 0


def versions():
    """Return the versions of what is installed, or that it is not."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("jax", "numpy", "optax", "torch", "scikit-learn"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
