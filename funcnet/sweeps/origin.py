r"""What a sweep is, in words for its report: data, devices and command. Sizes and names, no numbers of the data."""

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax

from funcnet.text import clipped, counted
from funcnet.training.state import Data


def origin_of(data: Data, test: Any, devices: Sequence[Any]) -> dict[str, str]:
    """Return lines of text by name.

    >>> import numpy as np, jax
    >>> origin_of(Data(np.zeros((1077, 64), np.float32), np.zeros(1077, np.int32)), None, jax.devices()[:1])["data"]
    'train: 1077 × 64 float32, targets 1077 int32'
    """
    sets = {"train": (data.x, data.y), "validation": data.validation, "test": test}
    sizes = [f"{name}: {_sizes(x[0])}, targets {_sizes(x[1])}" for name, x in sets.items() if x is not None]
    kinds = Counter(device.device_kind for device in devices)
    found = {"data": "; ".join(sizes), "devices": ", ".join(counted(n, f"{kind} device") for kind, n in kinds.items())}
    command = _command()
    return found | ({"command": command} if command else {})


def _sizes(tree: Any) -> str:
    leaves = jax.tree.leaves(tree)
    sizes = [" ".join(filter(None, (" × ".join(map(str, leaf.shape)), str(leaf.dtype)))) for leaf in leaves[:4]]
    return " and ".join(sizes) + (f" and {len(leaves) - 4} more" if len(leaves) > 4 else "")


def _command() -> str:
    """Return the command line that runs this process; none where a notebook or a prompt does."""
    words = sys.orig_argv[1:]
    if not words or any("ipykernel" in word for word in words) or not sys.argv[0] or words[0] == "-c":
        return ""
    return clipped(shlex.join(["python", *words]), 300)
