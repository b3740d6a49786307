"""The one walk through nested chains: what traces and costs see of a network."""

from typing import Any

from funcnet.keys import fold
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer
from funcnet.layers.chain import Chain


def walk(network: Any, params: Any, key: Any = None) -> list[tuple[Layer, Any, Any]]:
    """List the layers of a network in order, each with its parameters and the key that its chain gives it.

    A layer made of layers that is no chain is one of them: it alone knows how its parts are joined.

    >>> import funcnet as fn
    >>> network = fn.Chain(fn.mlp(3, 2), fn.Dropout(0.5))
    >>> [type(layer).__name__ for layer, _, _ in walk(network, (({}, (), {}), ()))]
    ['Dense', 'Activate', 'Dense', 'Dropout']
    """
    network = as_layer(network)
    if not isinstance(network, Chain):
        return [(network, params, key)]
    return [
        found
        for index, (layer, own) in enumerate(zip(network.layers, params, strict=True))
        for found in walk(layer, own, None if key is None else fold(key, index))
    ]
