"""What the page says of the sweep."""

from experiments.benchmarks.sweep.job import updates
from experiments.benchmarks.timing import Aim
from experiments.benchmarks.words import digits, prose
from experiments.study import Table

TITLES = {
    "sweep": "`fn.sweep`",
    "vmap": "`jit(vmap(train))`, Optax and `jax.grad`, one order of the samples",
    "vmap, own orders": "the same, an order for each trial",
    "map": "the same with one order and every trick: a device a core, chunks of the best size",
    "torch": "PyTorch in a loop, granted both cores",
    "scikit-learn": "scikit-learn's `MLPClassifier` in a loop, granted both cores",
    "sweep, one core": "`fn.sweep` on one core",
    "sweep, own orders": "`fn.sweep`, an order for each trial",
}
LEAST = {
    "vmap": 3,
    "vmap, own orders": 6,
    "map": 1.3,
    "torch": 30,
    "scikit-learn": 30,
    "sweep, one core": 1.8,
}
MOST = {"dropout 0.2": 1.5, "early stopping": 0.6, "halving by 3": 0.45}
LARGE, MEMORY = 1.15, 1.1


def aims(numbers):
    """Return what was aimed at."""
    contest, found = numbers["contest"], []
    for name, least in LEAST.items():
        if "ratio" in contest.get(name, {}):
            found.append(Aim(f"time of {TITLES[name]} / `fn.sweep`", contest[name]["ratio"], at_least=least))
    for name, most in MOST.items():
        if name in numbers.get("variants", {}):
            found.append(Aim(f"sweep with {name} / plain", numbers["variants"][name]["ratio"], at_most=most))
    if "large" in numbers:
        found.append(Aim("time a trial of 16,384 trials / of 512", numbers["large"], at_most=LARGE))
    if "memory" in numbers:
        few, *_, many = (row["most"] for row in numbers["memory"]["rows"])
        found.append(Aim("memory of 16,384 trials / of 1,024", many / few, at_most=MEMORY))
    return found


def show(numbers):
    """Return the section of the page."""
    options, contest = numbers["options"], numbers["contest"]
    count = updates(options)
    rows = []
    for name, row in contest.items():
        if "seconds" not in row:
            rows.append([f"{TITLES[name]} (not installed)", "", "", "", "", ""])
            continue
        least = LEAST.get(name)
        spread = f"{row['low']:.3g} … {row['high']:.3g}" if "low" in row else ""
        cells = [f"{row['seconds']:.3g}", spread, f"{1e6 * row['seconds'] / count:.3g}", f"{row['ratio']:.2f}"]
        rows.append([TITLES[name], *cells, "" if least is None else f"≥ {least:g}"])
    caption = prose(f"""
        ## The sweep

        {options["trials"]} trials of 64-64-10, ReLU, on the handwritten digits ({options["samples"]:,} images, batches
        of 32), Adam, {options["epochs"]} epochs. All contestants do the same work, each in a process of its own, and
        their final losses agree within 10 %. Our time is that of the whole call: checks, hashes, and a store with a
        row, curves and parameters of each trial; the others return their losses alone. PyTorch and scikit-learn train
        {options["few"]} of the trials, one after the other on one thread; their time is multiplied up and divided by
        the cores.
    """)
    head = ["contestant", "s", "quartiles", "µs an update and trial", "against `fn.sweep`", "aim"]
    parts = [Table(caption, head, rows).markdown()]
    if "variants" in numbers:
        parts += _rest(numbers)
    return "\n\n".join(parts)


def _rest(numbers):
    rows = [
        [name, f"{row['ratio']:.2f}", f"{row['ran']:.2g}", f"≤ {MOST[name]:g}"]
        for name, row in numbers["variants"].items()
        if name in MOST
    ]
    large = [
        f"16,384 trials instead of 512, {numbers['large_epochs']} epochs, time a trial",
        f"{numbers['large']:.2f}",
        "1",
        f"≤ {LARGE:g}",
    ]
    caption = f"Kinds of sweep of {numbers['options']['trials']} trials."
    kinds = Table(caption, ["sweep", "of the plain time", "of the plain epochs", "aim"], [*rows, large]).markdown()

    first, *again = (start["sweep"] for start in numbers["first_epoch"])
    memory = numbers["memory"]
    peaks = [row["most"] for row in memory["rows"]]
    text = prose(f"""
        A new process finishes the first epoch of such a sweep {first:.1f} s after its imports, and {min(again):.1f} s
        with a compilation cache. The memory of the process peaks at {", ".join(f"{peak:.0f}" for peak in peaks[:-1])}
        and {peaks[-1]:.0f} MiB for 1,024, 4,096 and 16,384 trials ({peaks[-1] / peaks[0] - 1:.0%} more at most; the aim
        is 10 %), which is {memory["kibibytes_a_trial"]:.1f} KiB a trial: about {memory["at_100000"]:.0f} MiB for
        100,000. It is the experiments themselves, their hashes and the rows of the table.
    """)

    return [kinds, text, *_parts(numbers)]


def _parts(numbers):
    """Show an update of a trial on one core beside its floor."""
    options, floor, contest = numbers["options"], numbers["floor"], numbers["contest"]
    least = floor["products"] + floor["adam"]
    # The floor is that of the job on all cores; an update of a trial has one.
    count = updates(options)
    lower = {part: floor[part] * options["cores"] / count for part in ("products", "adam")}
    whole = contest["sweep, one core"]["seconds"] / count
    parts = numbers["parts"]
    rest = whole - sum(parts.values())
    rows = [
        [
            "the products in these shapes, 64 × 64 by 64 × 32 and smaller",
            parts["products"],
            lower["products"],
        ],
        ["Adam", parts["adam"], lower["adam"]],
        [
            "all else: bias, ReLU, softmax, loss, gathered batch, sums, bookkeeping, begin, store",
            rest,
            None,
        ],
        ["an update in the whole call on one core", whole, sum(lower.values())],
    ]
    cells = [[name, digits(1e6 * took), "" if low is None else digits(1e6 * low)] for name, took, low in rows]
    caption = prose(f"""
        ### Where the time of an update goes

        The floor of the whole job is {least:.2f} s: {floor["products"]:.2f} s of products at the
        {floor["gigaflops_a_core"]:.0f} GFLOP/s of one large product on a core, and {floor["adam"]:.2f} s of Adam at
        {floor["adam_nanoseconds"]:.2f} ns a parameter; the floor is {least / contest["sweep"]["seconds"]:.2f} of the
        time of the whole call. In µs an update and trial on one core, by programs of these parts alone, 32 trials side
        by side:
    """)
    ending = prose("""
        The largest part above the floor are the elementwise passes between the products: XLA makes a loop of each
        group, and each loop goes through the cache.
    """)
    return [Table(caption, ["part", "µs", "floor"], cells).markdown(), ending]
