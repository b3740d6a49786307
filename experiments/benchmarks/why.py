"""Why aims are missed: the words under their list, which the page writes from the numbers. Profiles go here."""

from typing import Any

from experiments.benchmarks.peers import TITLES
from experiments.benchmarks.sweep.job import updates
from experiments.benchmarks.training import LEAST
from experiments.benchmarks.words import digits, prose

_PLAIN = "2026-11-25"  # when the rules took the forms that the words below speak of


def why(record: dict[str, Any]) -> str:
    """Return the paragraphs, each with the numbers of its group."""
    numbers = {name: entry["numbers"] for name, entry in record.items()}
    parts = [_training(numbers["training"]["networks"])] if "training" in numbers else []
    parts += [_compiling(numbers["compiling"])] if "compiling" in numbers else []
    parts += [_rules(record["elementwise"]["date"])] if "elementwise" in numbers else []
    if "variants" in numbers.get("sweep", {}):
        parts.append(_sweep(numbers["sweep"]))
    return "\n\n".join(parts)


def _training(networks: dict[str, Any]) -> str:
    """Hold what the aims ask for against the floor and the parts of an update."""
    found = []
    for key, network in sorted(networks.items()):
        sides, parts = network["variants"]["Adam"]["contestants"], network["parts"]
        wanted = LEAST.get(key, {})
        asked = {name: sides[name]["seconds"] / network["updates"] / wanted[name] for name in wanted if name in sides}
        if not asked:
            continue
        name = min(asked, key=lambda side: asked[side])
        least, products = asked[name], parts["products"]
        found.append(
            f"({key}): {wanted[name]:g} times as fast as {TITLES[name]} would be {_micro(least)} an update with Adam;"
            f" the products alone take {_micro(products)}, {products / parts['update']:.0%} of our"
            f" {_micro(parts['update'])}, and the floor is {_micro(network['variants']['Adam']['floor']['seconds'])}."
        )
    return prose(f"""
        - Training. What the steepest aim of each network asks for, beside the profile above. {" ".join(found)} All
        contestants on JAX share these products, which run in the library beneath XLA. In (a) the rest is some forty
        loops over few numbers, a tenth to a few tenths of a microsecond each, which XLA calls one by one. In the
        others it is memory: XLA walks through parameters and state in three loops, where one would do. Ratios to
        Optax within 3 % of 1 are the noise of this machine.
    """)


def _micro(seconds: float) -> str:
    return f"{digits(1e6 * seconds)} µs"


def _compiling(numbers: dict[str, Any]) -> str:
    """Explain the time of compiling (c)."""
    ours, plainly = numbers["compile"].get("c", {}).get("funcnet"), numbers["without_llvm"]
    if ours is None:
        return ""
    return prose(f"""
        - Compiling (c), {ours["compile"]["seconds"]:.1f} s after {ours["trace"]["seconds"]:.1f} s of tracing. XLA makes
        {plainly["loops"]:.0f} loops of the program, each apart: each dense layer has a dozen, for products, bias,
        activation, and the optimizer's three for kernel and bias. Compiler options change little: with the passes of
        LLVM off it still takes {plainly["seconds"]:.1f} s. Equal layers draw their parameters in one loop; a loop over
        the layers themselves compiles faster, but its kernels must lie in one array, which each update then pays for.
    """)


def _rules(date: str) -> str:
    """Explain the ratios of the rules."""
    older = "The table is from before the rules were made that plain: it is to be measured again."
    return prose(f"""
        - Elementwise rules: each is the plainest stable form of its formula, no more wrong than that of `jax.nn`
        (`tests/test_activations.py`; the table has both errors). {older if date < _PLAIN else ""} `jax.nn.gelu` as it
        is called by default loses all digits in the left tail; ours, by the sigmoid, does not. A backward pass of ours
        starts from input or output, and keeps nothing else, so that it computes an exponential, or an error function,
        again; `jax.vjp` keeps derivatives or masks, which spares it that and costs memory. Most rules compile to the
        same programs as those of `jax.nn`: what is left there is noise.
    """)


def _sweep(numbers: dict[str, Any]) -> str:
    """Explain the ratios of the sweep."""
    contest, stopping = numbers["contest"], numbers["variants"]["early stopping"]
    ratio = {name: f"{row['ratio']:.1f}" if "ratio" in row else "–" for name, row in contest.items()}
    rate, options = numbers["floor"]["gigaflops_a_core"], numbers["options"]
    count = updates(options)
    one = contest["sweep, one core"]["seconds"] / count
    both = options["cores"] * contest["sweep"]["seconds"] / count
    few, *_, many = (row["most"] for row in numbers["memory"]["rows"])
    memory = many / few
    return prose(f"""
        - The sweep against a plain `jit(vmap(train))`, {ratio["vmap"]} with a shared order and
        {ratio["vmap, own orders"]} with an order for each trial: that peer lets XLA's thread pool use both cores here,
        and on this machine products run at {rate:.0f} GFLOP/s a core, so that arithmetic that all contestants share is
        a larger part of the time than where the aims were set.

        - The sweep against PyTorch and scikit-learn, granted both cores, {ratio["torch"]} and {ratio["scikit-learn"]}:
        the second reason again.

        - One core, {ratio["sweep, one core"]} times the time of both: a core alone takes
        {1e6 * one:.1f} µs an update and trial, each of both {1e6 * both:.1f} µs, and they are busy for 97 % of the
        time. Two such sweeps in processes of their own, with one core each, keep 0.95 of the speed of one alone: memory
        and clock are not what is lost. Inside one process XLA hands the loops of both devices' programs to one pool of
        threads, so that the lanes of a device can move between the cores and their caches; no option of the compiler
        keeps them apart. [A process a core](sweeps.md#cores-devices-machines) is therefore a tenth faster, once it is
        warm.

        - Fewer and longer loops: an update has 54, each of one pass over the lanes. Tried, and no help: YNNPACK off for
        products (0.9 to 1 of the time of a program, level in a whole sweep), transposed factors handed to the product
        instead of copied (1 to 1.2), bodies in calls of their own (1.5 to 2.2), a whole loop in one function (8),
        8 to 64 lanes side by side (1.6 to 1), and the memory-saving scheduler (level).

        - Memory, {memory:.2f} times as much for 16 times the trials: {numbers["memory"]["kibibytes_a_trial"]:.1f} KiB a
        trial, for the experiment itself, its hash and its row of the table; the peak of a process moves by some 20 MiB
        from run to run.

        - Early stopping saves {1 - stopping["ratio"]:.0%} of the time where it saves {1 - stopping["ran"]:.0%} of the
        epochs. A trial that ends leaves its lane at the next segment, and a chunk goes on while three quarters of its
        lanes are busy. The rest is the host between segments: sending, reading, parking, writing; while it works for
        one chunk the devices compute another, but on {options["cores"]} cores it takes its time from them.
    """)
