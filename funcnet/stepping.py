r"""One place at a time: what a causal network makes of the next token, and what it remembers of those before.

    memory = begin(layer, params, samples, places)              of nothing yet, with room for all places
    y, memory = step(layer, params, memory, x, place)           x, y: (samples, 1, …), or (samples, n, …) at place 0

An attention remembers the keys and values of the places before, and looks at them with one query; the first n places
look at each other, by blocks of queries. Positions add their places' rows. Layers that treat each place by itself
remember nothing; layers made of layers, what their parts do.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.errors import raise_error
from funcnet.layers import (
    Activate,
    Attention,
    Chain,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    Positions,
    Recompute,
    Repeat,
    Residual,
    RMSNorm,
    Tied,
    as_layer,
)
from funcnet.layers.attending import Sight, attend, by_group, look
from funcnet.layers.attention import NAMES

BY_THEMSELVES = (Activate, Dense, Dropout, Embedding, LayerNorm, RMSNorm)


def parts_of(layer: Any) -> tuple[Any, ...]:
    """Return the layers that a layer is made of, as far as generation looks into them.

    >>> import funcnet as fn
    >>> [type(part).__name__ for part in parts_of(fn.Residual(fn.LayerNorm(), fn.Attention(2, causal=True)).body)]
    ['LayerNorm', 'Attention']
    """
    if isinstance(layer, Chain):
        return tuple(as_layer(own) for own in layer.layers)
    if isinstance(layer, (Repeat, Recompute)):
        return (layer.layer,)
    if isinstance(layer, Residual):
        return (layer.body,)
    return (layer.embedding, layer.body) if isinstance(layer, Tied) else ()


def context_of(layer: Any) -> int | None:
    """Return how many places the positions of a network have, None without such."""
    if isinstance(layer, Positions):
        return layer.length
    found = [n for n in map(context_of, parts_of(layer)) if n is not None]
    return min(found, default=None)


def remembers(layer: Any) -> bool:
    """Tell whether all layers of a network can take one token at a time; refuse attentions that are not causal."""
    if isinstance(layer, Attention) and not layer.causal:
        raise_error("generation needs a causal network", "an Attention sees what comes later", "causal=True")
    parts = parts_of(layer)
    known = isinstance(layer, (Attention, Positions, *BY_THEMSELVES))
    return all([remembers(part) for part in parts]) if parts else known


def begin(layer: Any, params: Any, samples: int, places: int) -> Any:
    """Return what a layer remembers of no token yet, with room for all places."""
    if isinstance(layer, Attention):
        widths = {name: params[name]["kernel"].shape[1] for name in NAMES}
        size = widths["query"] // layer.heads
        empty = jnp.zeros((samples, places, widths["key"] // size, size), params["key"]["kernel"].dtype)
        return {"key": empty, "value": empty}
    if isinstance(layer, Repeat):
        return jax.vmap(lambda own: begin(layer.layer, own, samples, places))(params)
    if isinstance(layer, Chain):
        each = zip(parts_of(layer), params, strict=True)
        return tuple(begin(own, weights, samples, places) for own, weights in each)
    if isinstance(layer, (Residual, Tied)):
        return begin(layer.body, params["body"] if isinstance(layer, Tied) else params, samples, places)
    return begin(layer.layer, params, samples, places) if isinstance(layer, Recompute) else ()


def step(layer: Any, params: Any, memory: Any, x: jax.Array, place: jax.Array) -> tuple[jax.Array, Any]:
    """Return what a layer makes of one place (samples, 1, …) or of the first ones, and what it remembers now."""
    if isinstance(layer, Attention):
        return attention_step(layer, params, memory, x, place)
    if isinstance(layer, Chain):
        kept = []
        for own, weights, before in zip(parts_of(layer), params, memory, strict=True):
            x, after = step(own, weights, before, x, place)
            kept.append(after)
        return x, tuple(kept)
    if isinstance(layer, Repeat):
        return jax.lax.scan(lambda x, own: step(layer.layer, *own, x, place), x, (params, memory), length=layer.times)
    if isinstance(layer, Residual):
        y, memory = step(layer.body, params, memory, x, place)
        return x + y, memory
    if isinstance(layer, Recompute):
        return step(layer.layer, params, memory, x, place)
    if isinstance(layer, Tied):
        inner = layer.embedding.apply(params["embedding"], x)
        h, memory = step(layer.body, params["body"], memory, inner, place)
        return h @ params["embedding"]["table"].T, memory
    if isinstance(layer, Positions):
        rows = jax.lax.dynamic_slice_in_dim(params["table"], place, x.shape[1])
        return x + jnp.broadcast_to(rows, x.shape), memory
    return layer.apply(params, x), memory


def attention_step(layer: Attention, params: Any, memory: Any, x: jax.Array, place: jax.Array) -> tuple[jax.Array, Any]:
    """Return y of one place, or of the first ones: each query looks at the keys of all places up to its own."""
    layers, (samples, places, groups, size) = layer.layers(x.shape[-1]), memory["key"].shape
    q, k, v = (layers[name].apply(params[name], x) for name in NAMES)
    table = layer.table(places, x.shape[-1], x.dtype)
    if table is not None:
        cos, sin = (jax.lax.dynamic_slice_in_dim(part, place, x.shape[1]) for part in table)
        table = cos, sin
    q, k, v = layer.split(q, k, v, table)
    memory = {
        name: jax.lax.dynamic_update_slice_in_dim(memory[name], own, place, axis=1)
        for name, own in (("key", k), ("value", v))
    }
    if x.shape[1] > 1:  # nothing stands before the first places but they themselves
        o, _ = attend(q, k, v, Sight(causal=True))
    else:
        query = q.reshape(samples, groups, -1, 1, size)
        o, _ = look(query, by_group(memory["key"]), by_group(memory["value"]), place, Sight(causal=True))
    return layers["output"].apply(params["output"], o.reshape(x.shape)), memory
