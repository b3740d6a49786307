r"""Generation: tokens drawn one after the other from what a causal network expects next.

    zₜ = network(tokens ≤ t),   tokenₜ₊₁ ~ softmax(zₜ / temperature)   the largest zₜ at temperature 0

A draw is an argmax: if uₖ is uniform, zₖ − log(−log uₖ) is largest for k with the probability softmax(z)ₖ.

With a memory   each token passes the network once, those of the prompt all together. An attention keeps the keys and
                values of the places before, and looks at them with one query; positions add their place's row; layers
                that treat each place by itself need nothing. This is for networks made of such layers alone, as
                transformers are, within the context.
In a window     any other causal network sees all tokens anew for each that is drawn, at most the last `context` of
                them, from place 0 on. Beyond its context a transformer goes on like this too.

Both give the same tokens where both can be used.

Source     Gumbel 1954 for the draw; Fan et al. 2018, section 5.4, for the largest k.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, is_concrete, raise_error, shown, whole_number
from funcnet.keys import check_key, fold, uniform
from funcnet.layers import as_layer
from funcnet.stepping import begin, context_of, remembers, step


def generate(
    network: Any,
    params: Any,
    prompt: Any,
    length: int,
    key: jax.Array,
    temperature: Any = 1.0,
    top_k: int | None = None,
) -> jax.Array:
    r"""Return the prompt and `length` more tokens.

    Args:
        network: a causal network from tokens (time,) to logits (time, vocabulary), such as `fn.transformer`.
        params: its parameters.
        prompt: tokens (time,) or (samples, time), at least one for each sample.
        length: how many tokens to draw, at least 1.
        key: a key; the same key gives the same tokens.
        temperature: what logits are divided by: below 1 draws are safer, at 0 the likeliest token is taken.
        top_k: draws among so many of the likeliest tokens only; None for all.

    Returns:
        int32 tokens (time + length,) or (samples, time + length).

    Raises:
        TypeError: for a prompt that is no array of whole numbers.
        ValueError: for an empty prompt, tokens outside the vocabulary, a network whose attention is not causal.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> network = fn.transformer(5, 8, 1, 2, 16)
    >>> params = network.init(jax.random.key(0), (16,))
    >>> print(fn.generate(network, params, jnp.asarray([1, 4]), 6, jax.random.key(1)).shape)
    (8,)

    """
    network = as_layer(network)
    length = whole_number(length, "length", at_least=1)
    check_key(key)
    tokens = prompt if isinstance(prompt, (jax.Array, np.ndarray)) else np.asarray(prompt)
    if tokens.ndim not in (1, 2) or not tokens.size or not jnp.issubdtype(tokens.dtype, jnp.integer):
        kind = ValueError if jnp.issubdtype(tokens.dtype, jnp.integer) else TypeError
        must = "prompt must be whole numbers (time,) or (samples, time), at least one token each"
        raise_error(must, f"got {describe(tokens)}", "jnp.asarray([0])", kind)
    if is_concrete(temperature) and not np.all(np.asarray(temperature) >= 0):
        raise_error("temperature must be 0 or above", f"got {shown(temperature)}", "temperature=1.0")
    seen = tokens.shape[-1] + length - 1
    shape = network.out_shape((min(seen, context_of(network) or seen),))
    if len(shape) != 2:
        arrived = f"the network gives {shape}"
        raise_error("there must be logits (time, vocabulary) for each place", arrived, "fn.transformer(…)")
    if is_concrete(tokens) and (np.min(tokens) < 0 or np.max(tokens) >= shape[-1]):
        must = f"tokens of the prompt must lie in 0 … {shape[-1] - 1}"
        raise_error(
            must, f"got {shown(int(np.min(tokens)))} … {shown(int(np.max(tokens)))}", "the network's vocabulary"
        )
    if top_k is not None:
        top_k = whole_number(top_k, "top_k", at_least=1, at_most=shape[-1])
    rows = jnp.asarray(tokens).astype(jnp.int32).reshape(-1, tokens.shape[-1])
    found = _generated(network, params, rows, key, jnp.asarray(temperature, jnp.float32), length, top_k)
    return found if tokens.ndim == 2 else found[0]


@functools.partial(jax.jit, static_argnames=("length", "top_k"))
def _generated(
    network: Any, params: Any, prompt: jax.Array, key: jax.Array, temperature: jax.Array, length: int, top_k: Any
) -> jax.Array:
    def draw(z: jax.Array, place: jax.Array) -> jax.Array:
        return drawn(z, fold(key, place), temperature, top_k)

    most, seen = context_of(network), prompt.shape[1] + length - 1
    if remembers(network) and (most is None or seen <= most):
        return with_memory(network, params, prompt, length, draw)
    return in_window(network, params, prompt, length, draw, min(seen, most or seen))


def drawn(z: jax.Array, key: jax.Array, temperature: jax.Array, top_k: int | None = None) -> jax.Array:
    """Draw a token for each row of logits."""
    z = z.astype(jnp.float32)
    if top_k is not None:
        z = jnp.where(z < jax.lax.top_k(z, top_k)[0][..., -1:], -jnp.inf, z)
    u = jnp.maximum(uniform(key, z.shape), 2.0**-25)  # the least that `uniform` gives is 0, whose logarithm is −∞
    heated = z / jnp.where(temperature > 0, temperature, 1) - jnp.log(-jnp.log(u))
    return jnp.argmax(jnp.where(temperature > 0, heated, z), axis=-1).astype(jnp.int32)


def with_memory(network: Any, params: Any, prompt: jax.Array, length: int, draw: Any) -> jax.Array:
    """Return prompt and continuation, each token having passed the network once."""
    samples, given = prompt.shape
    memory = begin(network, params, samples, given + length - 1)
    if given > 1:
        # In one pass. The last token of the prompt is left to the loop: of these logits none is used, or computed.
        _, memory = step(network, params, memory, prompt[:, :-1], jnp.zeros((), jnp.int32))

    def turn(carry: Any, place: jax.Array) -> Any:
        token, memory = carry
        z, memory = step(network, params, memory, token[:, None], place)
        token = draw(z[:, 0], place)
        return (token, memory), token

    _, found = jax.lax.scan(turn, (prompt[:, -1], memory), given - 1 + jnp.arange(length, dtype=jnp.int32))
    return jnp.concatenate([prompt, found.T], axis=1)


def in_window(network: Any, params: Any, prompt: jax.Array, length: int, draw: Any, window: int) -> jax.Array:
    """Return prompt and continuation, the last tokens having passed the network for each that is drawn."""
    samples, given = prompt.shape
    tokens = jnp.concatenate([prompt, jnp.zeros((samples, length), jnp.int32)], axis=1)

    def turn(tokens: jax.Array, place: jax.Array) -> Any:
        start = jnp.maximum(place + 1 - window, 0)
        z = network.apply(params, jax.lax.dynamic_slice_in_dim(tokens, start, window, axis=1))
        token = draw(jax.lax.dynamic_index_in_dim(z, place - start, axis=1, keepdims=False), place)
        return jax.lax.dynamic_update_slice_in_dim(tokens, token[:, None], place + 1, axis=1), None

    return jax.lax.scan(turn, tokens, given - 1 + jnp.arange(length, dtype=jnp.int32))[0]
