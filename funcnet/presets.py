r"""One door to the presets: an optimizer or a layer by the name that a library, or a paper, has for it.

    preset("torch", "adam", learning_rate=0.01)     see `funcnet.optimizers.presets`
    preset("keras", "lstm", 128, sequence=True)     see `funcnet.layers.presets`

The names of optimizers and of layers differ, so that the name says which.
"""

from typing import Any

from funcnet.errors import near_misses, raise_error, shown
from funcnet.layers import presets as layers
from funcnet.optimizers import presets as optimizers

LIBRARIES = tuple(dict.fromkeys((*optimizers.LIBRARIES, *layers.LIBRARIES)))


def preset(library: str, name: str, *sizes: Any, **numbers: Any) -> Any:
    r"""Return the optimizer or the layer that a library, or a paper, means by a name.

    Args:
        library: "torch", "keras"; for optimizers "paper", "optax" or "sklearn" as well, for layers "flax".
        name: an optimizer ("sgd", "adagrad", "rmsprop", "adam", "adamax", "adamw", "nadam", "amsgrad", "adadelta",
            "lion") or a layer ("batch_norm", "layer_norm", "rms_norm", "group_norm", "dense", "conv",
            "conv_transpose", "embedding", "rnn", "lstm", "gru", "attention"), in any case.
        *sizes: of layers, what they take by position: a width, features and a window, groups, heads.
        **numbers: the numbers and options of ours, by their names; what is left out is the library's.

    Returns:
        An optimizer or a layer: a record like any other.

    Raises:
        ValueError: for a library, name or argument that does not exist; the message lists those that do.
        TypeError: for sizes where they are missing or not taken, and where the library knows no default.

    >>> import funcnet as fn
    >>> fn.preset("torch", "rmsprop").epsilon_inside, fn.preset("keras", "rmsprop").epsilon_inside
    (False, True)
    >>> fn.preset("keras", "lstm", 128, sequence=True).forget_bias, fn.preset("torch", "lstm", 128).forget_bias
    (1.0, 0.0)

    """
    if not isinstance(library, str) or library not in LIBRARIES:
        near = near_misses(library.lower() if isinstance(library, str) else None, LIBRARIES, 3, quoted=True)
        raise_error(f"the library must be one of {', '.join(LIBRARIES)}", f"got {shown(library)}", near)
    key = name.lower() if isinstance(name, str) else None
    here = [own for where, own in (*optimizers.VARIANTS, *layers.VARIANTS) if where == library]
    if key not in here:
        elsewhere = [where for where, own in (*optimizers.VARIANTS, *layers.VARIANTS) if own == key]
        hint = f" ({key} is a preset of {', '.join(elsewhere)})" if elsewhere else ""
        near = near_misses(key, here, 3, quoted=True)
        raise_error(f"the name of {library}'s presets{hint} must be one there is", f"got {shown(name)}", near)
    if key in layers.NAMES:
        return layers.preset(library, name, *sizes, **numbers)
    if sizes:
        must, attempt = f'preset("{library}", "{key}") takes its numbers by name', f"learning_rate={shown(sizes[0])}"
        raise_error(must, f"got {len(sizes)} by position", attempt, TypeError)
    return optimizers.preset(library, name, **numbers)
