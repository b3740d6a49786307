"""Why aims are missed: the words under their list, which the page writes from the numbers. Profiles go here."""

from typing import Any

from experiments.benchmarks.words import prose


def why(record: dict[str, Any]) -> str:
    """Return the paragraphs, each with the numbers of its group."""
    parts = [_TRAINING] if "training" in record else []
    parts += [_BEFORE] if "compiling" in record else []
    parts += [_RULES] if "elementwise" in record else []
    sweep = record.get("sweep", {}).get("numbers", {})
    if "variants" in sweep:
        parts.append(_sweep(sweep))
    return "\n\n".join(parts)


_TRAINING = prose("""
    - Training, the small network (a), against Optax in a scan: both are the same five matrix products and some
    forty loops over few numbers, each of which XLA calls one by one. Alone, the products of these shapes take
    about half of an update; the rest are calls of a tenth to a few tenths of a microsecond, which neither side
    can join. What could be removed has been: orders are drawn by one sort of packed words (a fifth of the
    sort's time), narrow kernel gradients are transposed products, no kernel is copied in the loop. The aim was
    set on a machine where the peer took twice as long as here.

    - Training, the others, against the floor and against PyTorch: the time is that of the matrix products as
    the library beneath XLA runs them, 120 to 180 GFLOP/s in these shapes against the rate of large ones, and of
    memory: XLA walks through parameters and state in three loops, where one would do.

    - Training, short epochs: at the end of each epoch the state is looked over for numbers that are not finite,
    and what it was at the beginning, and at its best, is kept. In (c) and (d) an epoch has few updates, so that
    this is a visible part of the time; less so with the number of updates that
    real data give.
""")
_BEFORE = prose("""
    - Compiling takes time by the number of loops, about 2 ms each, and each dense layer has a dozen: products,
    bias, activation, and the optimizer's three for kernel and bias. Equal layers draw their parameters in one
    loop; a loop over the layers themselves would need their kernels in one array, and copies in every step: 8 %
    of the time of an update in a trial at (c).

    - Importing: 120 modules of one concept each, and a frozen record for each concept. The linear models are
    loaded on demand; the sweep is not, since `fn.sweep` is a function and a package at once.
""")
_RULES = prose("""
    - Elementwise rules: those slower than `jax.nn` are more exact. The largest errors over the range, in units
    in the last place of float32, ours against `jax.nn`: tanh 1.7 against 4.7, SiLU 2.03 against 2.7, and the
    approximate GELU within 2, where `jax.nn.gelu` loses all digits in the left tail.
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
