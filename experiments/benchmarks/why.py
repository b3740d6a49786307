"""Why aims are missed: the words under their list, which the page writes from the numbers. Profiles go here."""

from typing import Any

from experiments.benchmarks.words import prose


def why(record: dict[str, Any]) -> str:
    """Return the paragraphs, each with the numbers of its group."""
    parts = []
    sweep = record.get("sweep", {}).get("numbers", {})
    if "variants" in sweep:
        parts.append(_sweep(sweep))
    return "\n\n".join(parts)


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
