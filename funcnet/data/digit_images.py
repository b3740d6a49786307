r"""The handwritten digits that ship with the package.

1,797 images of 8 × 8 pixels with the digit that each shows, from 13 writers: the test part of "Optical
Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49), CC BY 4.0; `data/DIGITS.md` is the attribution. A pixel counts the
inked points in a 4 × 4 block of a 32 × 32 bitmap, 0 to 16, and is divided by 16 here, which is exact in
binary.

The split is fixed: 1,077 images for training, 360 for validation, 360 for testing, stratified by class. It
was drawn once, by `split(…, seed=0)`, and is stored in the file, so it depends on no random generator. It is
a split by image, not by writer (who wrote what is not recorded), so every part mixes the same 13 hands: test
accuracy here is higher than on the writing of somebody new.
"""

from importlib.resources import files
from typing import Any

import numpy as np

from funcnet.data.checks import floating_dtype
from funcnet.data.splits import Splits


def digits(dtype: Any = np.float32) -> Splits:
    r"""Return the handwritten digits as `Splits(train, validation, test)` of pairs (x, y).

    x    shape (1077, 64), (360, 64), (360, 64), dtype as asked, k/16 in [0, 1], row by row from the top left;
         `x.reshape(-1, 8, 8)` gives the images
    y    int32, shape (n,), the digits 0 to 9

    The rows of a part keep the order of the source. Every call returns fresh arrays. `TypeError` unless
    `dtype` is floating.

    Args:
        dtype: the floating dtype of the images.

    >>> from funcnet import data
    >>> (x, y), validation, test = data.digits()
    >>> x.shape, x.dtype, y.dtype
    ((1077, 64), dtype('float32'), dtype('int32'))
    >>> y[:4].tolist(), (16 * x[0].reshape(8, 8)[0]).astype(int).tolist()
    ([0, 4, 5, 6], [0, 0, 5, 13, 9, 1, 0, 0])

    """
    dtype = floating_dtype(dtype)
    with (files("funcnet.data") / "digits.npz").open("rb") as file, np.load(file) as stored:
        x = stored["pixels"].astype(dtype) / np.asarray(16, dtype)
        y = stored["labels"].astype(np.int32)
        part = stored["part"]
    train, validation, test = ((x[part == number], y[part == number]) for number in range(3))
    return Splits(train, validation, test)
