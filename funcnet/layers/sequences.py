r"""What the layers of sequences share: the pair (x, lengths), and which steps of a batch there are.

A sequence is an array (…, time, features), or of tokens (…, time): all of its steps count. Where samples differ in
length it is the pair `(x, lengths)` with one whole number a sample, 0 included. What stands behind a sample's length
is never looked at, and what layers put there is 0.

Lengths that are known when they arrive are checked; under `jit` a length that the steps do not have makes its sample
NaN. The gradient of a pair is the pair `(dx, None)`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import check_floating, describe, is_concrete, raise_error, shown
from funcnet.layers.base import Shape, is_shape
from funcnet.targets import nan_unless

PAIR = "one array, or the pair (x, lengths)"


def parted(x: Any, label: str, features: int = 1) -> tuple[Any, Any]:
    """Return the array and the lengths of a sequence, None where all steps count; check the lengths.

    Args:
        x: an array (…, time, features), or the pair of one and its lengths (…,).
        label: the layer's name, for messages.
        features: the number of axes behind time, 0 for tokens.

    """
    if not isinstance(x, (tuple, list)):
        return x, None
    if len(x) != 2:
        raise_error(f"{label} takes {PAIR}", f"got {len(x)} arrays", "(x, lengths)", TypeError)
    values, lengths = x[0], x[1] if isinstance(x[1], jax.Array) else np.asarray(x[1])
    check_lengths(values, lengths, label, features)
    return values, jnp.asarray(lengths)


def check_lengths(values: Any, lengths: Any, label: str, features: int) -> None:
    """Require one whole number a sample, from 0 to the number of steps where it is known."""
    steps, lead = np.ndim(values) - features - 1, np.shape(values)
    attempt = "np.asarray([len(row) for row in rows]), one whole number a sample"
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise_error(f"lengths of {label} must be whole numbers", f"got {describe(lengths)}", attempt, TypeError)
    if steps < 0 or np.shape(lengths) != lead[:steps]:
        must = f"lengths of {label} must have the samples' shape {lead[: max(steps, 0)]}"
        raise_error(must, f"got {describe(lengths)} for {describe(values)}", attempt)
    if is_concrete(lengths):
        numbers = np.asarray(lengths).ravel()
        bad = np.flatnonzero((numbers < 0) | (numbers > lead[steps]))
        if bad.size:
            must = f"lengths of {label} must lie in 0 … {lead[steps]}, the number of steps"
            arrived = f"got {shown(int(numbers[bad[0]]))} at position {bad[0]} ({bad.size} of {numbers.size})"
            raise_error(must, arrived, "np.minimum(lengths, x.shape[1]), if longer ones were cut off")


def paired(y: Any, lengths: Any) -> Any:
    """Return y beside the lengths of the sequence that came in, alone where there were none."""
    return y if lengths is None else (y, lengths)


def paired_gradient(dx: Any, lengths: Any) -> Any:
    """Return the gradient of a sequence: of the pair it has None for the lengths."""
    return dx if lengths is None else (dx, None)


def apart(dy: Any) -> Any:
    """Return the derivatives by the array alone, of an array's or a pair's."""
    return dy[0] if isinstance(dy, (tuple, list)) else dy


def shape_apart(in_shape: Any, label: str) -> tuple[Any, bool]:
    """Return the shape of the array of one sample, and whether lengths stand beside it."""
    if is_shape(in_shape):
        return in_shape, False
    if not isinstance(in_shape, (tuple, list)) or len(in_shape) != 2 or tuple(in_shape[1]) != ():
        arrived = f"got a sample of {describe(in_shape)}"
        raise_error(f"{label} takes {PAIR}", arrived, "(x, lengths), with one whole number a sample", TypeError)
    return in_shape[0], True


def sample_apart(samples: Any, label: str) -> Any:
    """Return the `jax.ShapeDtypeStruct` of the array of one sample, alone or beside its length."""
    if isinstance(samples, jax.ShapeDtypeStruct):
        return samples
    leaves = jax.tree.leaves(samples)
    if not isinstance(samples, (tuple, list)) or len(leaves) != 2 or leaves[1].shape:
        raise_error(f"{label} takes {PAIR}", f"got {len(leaves)} arrays", "(x, lengths)", TypeError)
    return leaves[0]


def within(lengths: jax.Array, steps: int, features: int = 1) -> jax.Array:
    """Tell which steps lie within the lengths: (…, time), and an axis of 1 for each axis behind time.

    >>> import jax.numpy as jnp
    >>> print(within(jnp.asarray([2, 0]), 3, 0))
    [[ True  True False]
     [False False False]]
    """
    before = lengths[..., None] > jnp.arange(steps, dtype=lengths.dtype)[(None,) * lengths.ndim]
    return before.reshape(*before.shape, *(1,) * features)


def blanked(y: jax.Array, inside: jax.Array) -> jax.Array:
    """Return y with 0 at the steps that are not there, whatever stood there."""
    return jnp.where(inside, y, jnp.zeros((), y.dtype))


def spoiled(y: jax.Array, lengths: jax.Array, steps: int) -> jax.Array:
    """Return y with NaN in the samples whose length the steps do not have."""
    fits = (lengths >= 0) & (lengths <= steps)
    return y + nan_unless(fits, y.dtype).reshape(*fits.shape, *(1,) * (y.ndim - fits.ndim))


def masked(y: jax.Array, lengths: jax.Array | None, features: int = 1) -> jax.Array:
    """Return y (…, time, …) with 0 behind each length, and NaN in the samples whose length is none."""
    if lengths is None:
        return y
    steps = y.shape[lengths.ndim]
    return spoiled(blanked(y, within(lengths, steps, features)), lengths, steps)


def masked_backward(dy: jax.Array, lengths: jax.Array | None, features: int = 1) -> jax.Array:
    """Return the derivatives with 0 behind each length."""
    return dy if lengths is None else blanked(dy, within(lengths, dy.shape[lengths.ndim], features))


def check_steps(shape: Shape, label: str) -> Shape:
    """Return the shape of one sample, if it is that of a sequence."""
    if len(shape) < 2:
        must = f"{label} takes samples (time, features)"
        raise_error(must, f"got samples of shape {shape}", "x[..., None] for one feature, fn.Embedding for tokens")
    return shape


def sequence(x: Any, label: str) -> jax.Array:
    """Return x as an array, if it is one of floats with time and features."""
    check_floating(x, f"the input of {label}")
    x = jnp.asarray(x)
    if x.ndim < 2:
        must = f"the input of {label} must have the axes (…, time, features)"
        raise_error(must, f"got {describe(x)}", "x[..., None] for one feature, fn.Embedding for tokens")
    return x
