r"""A folder of four IDX files, as MNIST and the sets made in its image (Fashion-MNIST, KMNIST, …) come."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.data.checks import floating_dtype, real_number
from funcnet.data.files import names_in
from funcnet.data.idx_files import idx
from funcnet.data.splits import Splits
from funcnet.errors import describe, raise_error
from funcnet.files import as_path


def image_set(folder: str | os.PathLike[str], *, validation: float = 1 / 6, dtype: Any = np.float32) -> Splits:
    r"""Read `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-…` and `t10k-labels-…`.

    Each file may be gzipped, may end in `.gz`, and may have a dot in place of its last hyphen but one
    (`train-images.idx3-ubyte`). Returns `Splits` of pairs (x, y): x of shape (n, pixels), dtype as asked,
    k/255 in [0, 1], row by row from the top left; y int32 of shape (n,). The test part is that of the set;
    the validation part is the fraction `validation` of the training images, the last ones in the file (10,000
    of 60,000).

    Raises `FileNotFoundError` or `NotADirectoryError` for a folder or file that is not there, `ValueError`
    when images and labels do not match, or a part would be empty, and whatever `idx` raises.

    Args:
        folder: where the four files lie.
        validation: the share of the training images that is set apart, the last ones.
        dtype: the floating dtype of the images.

    >>> import funcnet as fn
    >>> fn.data.image_set("nowhere")
    Traceback (most recent call last):
    ...
    NotADirectoryError: nowhere must be a folder, but nothing is there. Try: the folder of the four files.

    """
    dtype, held_out = floating_dtype(dtype), real_number(validation, "validation")
    place = as_path(folder)
    if not os.path.isdir(place):
        arrived = "it is a file" if os.path.exists(place) else "nothing is there"
        raise_error(f"{place} must be a folder", arrived, "the folder of the four files", NotADirectoryError)
    found = {name: _find(place, name) for name in ("train-images", "train-labels", "t10k-images", "t10k-labels")}
    x, y = _pair(found["train-images"], found["train-labels"], dtype)
    test = _pair(found["t10k-images"], found["t10k-labels"], dtype)
    if x.shape[1] != test[0].shape[1]:
        raise_error(
            f"the training and test images in {place} must be equally large",
            f"they have {x.shape[1]} and {test[0].shape[1]} pixels",
            "the four files of one set",
        )
    kept = len(x) - int(held_out * len(x) + 0.5)
    if not 0 < kept < len(x):
        raise_error(
            f"validation must leave at least one of {len(x)} training images on each side",
            f"{held_out} puts {len(x) - kept} into the validation part",
            "validation=0.5" if len(x) > 1 else "a larger set",
        )
    return Splits((x[:kept], y[:kept]), (x[kept:], y[kept:]), test)


def _find(folder: Path, name: str) -> Path:
    """Return the path of one of the four files under any of its usual names."""
    ending = "idx3-ubyte" if name.endswith("images") else "idx1-ubyte"
    for candidate in (f"{name}-{ending}", f"{name}.{ending}"):
        for suffix in ("", ".gz"):
            path = folder / (candidate + suffix)
            if path.is_file():
                return path
    inside = ", ".join(names_in(folder)[:8]) or "nothing"
    raise_error(
        f"{folder} must hold {name}-{ending} or {name}-{ending}.gz",
        f"it holds {inside}",
        "the folder in which the four files lie",
        FileNotFoundError,
    )


def _pair(images: Path, labels: Path, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of images and its file of labels, and see that they belong together."""
    pixels, classes = idx(images), idx(labels)
    if pixels.dtype != np.uint8 or pixels.ndim < 2:
        raise_error(
            f"{images} must hold images as bytes",
            f"it holds {describe(pixels)}",
            "fn.data.idx to read it as it is",
        )
    if classes.dtype.kind not in "iu" or classes.ndim != 1:
        raise_error(f"{labels} must hold one whole number an image", f"it holds {describe(classes)}", "fn.data.idx")
    if len(pixels) != len(classes):
        raise_error(
            f"{images.name} and {labels.name} must have equally many items",
            f"they have {len(pixels)} and {len(classes)}",
            "the two files of one set",
        )
    x = pixels.reshape(len(pixels), -1).astype(dtype)
    x /= np.asarray(255, dtype)
    return x, classes.astype(np.int32)
