"""The peers, one file each: `contestant(job)` raises ImportError where the peer is not installed."""

import importlib
from typing import Any

TITLES = {
    "optax": "Optax and `jax.grad` in `lax.scan`",
    "equinox": "Equinox, a jitted step in a loop",
    "torch": "PyTorch, eager",
    "keras": "Keras on JAX, `fit`",
    "sklearn": "scikit-learn, `MLPClassifier`",
}


def peer(name: str) -> Any:
    """Import a peer's module."""
    return importlib.import_module(f"experiments.benchmarks.peers.{name}_")
