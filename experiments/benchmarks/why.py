"""Why aims are missed: the words under their list, which the page writes from the numbers. Profiles go here."""

from typing import Any

from experiments.benchmarks.peers import TITLES
from experiments.benchmarks.training import LEAST
from experiments.benchmarks.words import digits, prose


def why(record: dict[str, Any]) -> str:
    """Return the paragraphs, each with the numbers of its group."""
    numbers = {name: entry["numbers"] for name, entry in record.items()}
    parts = [_training(numbers["training"]["networks"])] if "training" in numbers else []
    parts += [_compiling(numbers["compiling"])] if "compiling" in numbers else []
    parts += [_RULES] if "elementwise" in numbers else []
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
    ours = numbers["compile"].get("c", {}).get("funcnet")
    if ours is None:
        return ""
    return prose(f"""
        - Compiling (c), {ours["seconds"]["seconds"]:.1f} s. By XLA's own trace of its passes (24 November 2026): of
        1.5 s, passes over the whole program take 0.3 s and copy insertion 0.1 s; the other 1.1 s make some 120 loops,
        each apart, about 6 ms in the fusion compiler and as much in LLVM, on two threads. Each dense layer has a
        dozen of them: products, bias, activation, the optimizer's three for kernel and bias. Equal layers draw their
        parameters in one loop; a loop over the layers themselves, tried, compiles in two thirds of the time, and
        costs 8 % of an update at (c), since its kernels must lie in one array. Compiler options change little:
        without any optimization of LLVM it still takes 1.2 s.
    """)


_RULES = prose("""
    - Elementwise rules: GELU, SiLU, sigmoid, tanh and log-softmax are slower than those of `jax.nn` and more exact:
    within 2 units in the last place of float32 (`tests/test_activations.py`), which takes an exponential of two
    parts, and more divisions; the table has both errors. `jax.nn.gelu` as it is called by default loses all digits in
    the left tail. Log-softmax sums the other classes apart from the largest, so that the logarithm of a probability
    near 1 is not rounded to 0; XLA has a fast kernel for the plain sum alone. A backward pass of ours starts from
    input or output, and keeps nothing else; `jax.vjp` keeps derivatives or masks, which saves it reading in the
    backward pass and costs memory: so with the hard sigmoid. ReLU and softmax compile to the same programs as those of
    `jax.nn`, softmax to one fused kernel: what is left there is noise.
""")


def _sweep(numbers: dict[str, Any]) -> str:
    """Explain the ratios of the sweep."""
    contest, stopping = numbers["contest"], numbers["variants"]["early stopping"]
    ratio = {name: f"{row['ratio']:.1f}" if "ratio" in row else "–" for name, row in contest.items()}
    rate = numbers["floor"]["gigaflops_a_core"]
    return prose(f"""
        - The sweep against a plain `jit(vmap(train))`, {ratio["vmap"]} with a shared order and
        {ratio["vmap, own orders"]} with an order for each trial: that peer lets XLA's thread pool use both cores here,
        and on this machine products run at {rate:.0f} GFLOP/s a core, so that arithmetic that all contestants share is
        a larger part of the time than where the aims were set.

        - The sweep against PyTorch and scikit-learn, granted both cores, {ratio["torch"]} and {ratio["scikit-learn"]}:
        the second reason again.

        - Early stopping saves {1 - stopping["ratio"]:.0%} of the time where it saves {1 - stopping["ran"]:.0%} of the
        epochs. A trial that ends leaves its lane at the next segment, and a chunk goes on while three quarters of its
        lanes are busy. The rest is the host between segments: reading, parking, writing.
    """)
