r"""The usual stack: dense layers with an activation, and dropout if asked, between them.

`mlp(64, 10)` maps any number of features to 64 hidden units and 10 outputs: the widths are those of the dense
layers, the number of features comes with the data. The last layer has no activation: losses take logits.

Source     Article B2.
"""

from typing import Any

from funcnet.activations.relu import ReLU
from funcnet.errors import describe, raise_error
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout

_RELU = ReLU()


def mlp(*widths: int, activation: Any = _RELU, dropout: Any = None) -> Chain:
    r"""Return Chain(Dense(w₁), activation, [Dropout,] …, Dense(w_L)).

    Args:
        widths: the width of each dense layer; the last is the number of outputs.
        activation: what follows each hidden layer.
        dropout: the rate at which hidden units are left out, or a `Dropout`, or None.

    Raises:
        ValueError: without widths, or with one below 1.
        TypeError: for an activation that is none.

    >>> print([type(layer).__name__ for layer in mlp(32, 10, dropout=0.2).layers])
    ['Dense', 'ReLU', 'Dropout', 'Dense']

    """
    if not widths:
        raise_error("mlp needs at least one width", "got none", "fn.mlp(64, 10): 64 hidden units, 10 outputs")
    if isinstance(widths[0], (tuple, list)):
        raise_error("widths must be separate arguments", f"got {describe(widths[0])}", "fn.mlp(*widths)", TypeError)
    layers: list[Any] = []
    for width in widths[:-1]:
        layers += [Dense(width), activation]
        if dropout is not None:
            layers.append(dropout if isinstance(dropout, Dropout) else Dropout(dropout))
    return Chain(*layers, Dense(widths[-1]))
