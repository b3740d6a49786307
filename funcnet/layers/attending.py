r"""Attention's inner part: softmax(Q Kᵀ) V by blocks of queries, so that the matrix of scores is never held.

Forward    S = Q Kᵀ,   P = softmax S over the keys seen,   O = (P ∘ D) V,   L = log Σ exp S, a number for each query
Backward   P = exp(S − L) once more, block by block;   dP = (dO Vᵀ) ∘ D,   δᵢ = Oᵢ · dOᵢ,   dS = P ∘ (dP − δ)
           dV = Σ (P ∘ D)ᵀ dO,   dQ = dS K,   dK = Σ dSᵀ Q   the sums over blocks, and over the queries of a group

Derivation. dsⱼ = pⱼ (dpⱼ − Σₖ pₖ dpₖ) is softmax's; and Σₖ pₖ dpₖ = Σₖ pₖ Dₖ dO·Vₖ = dO · O, dropout included. All
that a block needs of the softmax is L: Q, K, V, O and L are kept, and the scores computed twice.

D is 0 with the probability of dropout, else 1/(1 − rate), drawn from a key and the block's place: both passes draw the
same. A query that sees no key has P = 0 and O = 0, and gives nothing back.

A causal block sees the keys up to its last query. Blocks are run in at most `SEGMENTS` loops, each over as many keys as
its last block sees, so that five eighths of the scores are computed.

Shapes     Q, O: (samples, queries, groups, heads of a group, size)   K, V: (samples, keys, groups, size)
           L: (samples, groups, heads of a group, queries)            Q comes scaled
Extremes   Sixteen bits: scores, P and L in float32.
Source     Rabe & Staats 2021; Dao et al. 2022, algorithms 1 and 4; Dao 2023; Ainslie et al. 2023 for groups.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.keys import fold, uniform
from funcnet.records import cast
from funcnet.targets import wide

ROWS = 128  # queries of a block
SEGMENTS = 4  # loops of a causal attention: more leave out more, and compile longer


class Sight(NamedTuple):
    """Which keys a query sees, and how dropout is drawn."""

    causal: bool = False
    lengths: Any = None  # (samples,) keys and queries that count, or None for all
    rate: Any = None
    key: Any = None  # None: no dropout


class Piece(NamedTuple):
    """Blocks of queries that are run in one loop."""

    start: int
    blocks: int
    rows: int
    keys: int


def pieces(queries: int, keys: int, causal: bool) -> list[Piece]:
    """Cut the queries into loops of equal blocks; few queries are one block.

    >>> print(*[tuple(piece) for piece in pieces(2000, 2000, True)])
    (0, 4, 128, 512) (512, 4, 128, 1024) (1024, 4, 128, 1536) (1536, 3, 128, 1920) (1920, 1, 80, 2000)
    """
    if queries <= 2 * ROWS:
        return [Piece(0, 1, queries, keys)]
    whole, rest = divmod(queries, ROWS)
    each = -(-whole // SEGMENTS) if causal else whole
    found = []
    for first in range(0, whole, each):
        blocks = min(each, whole - first)
        found.append(Piece(first * ROWS, blocks, ROWS, (first + blocks) * ROWS if causal else keys))
    return [*found, Piece(whole * ROWS, 1, rest, keys)] if rest else found


def attend(q: jax.Array, k: jax.Array, v: jax.Array, sight: Sight) -> tuple[jax.Array, jax.Array]:
    """Return O and L."""
    keys, values = by_group(k), by_group(v)
    outputs, logs = [], []
    for piece in pieces(q.shape[1], k.shape[1], sight.causal):
        seen_keys, seen_values = keys[:, :, : piece.keys], values[:, :, : piece.keys]

        def block(own: Any, k: jax.Array = seen_keys, v: jax.Array = seen_values) -> Any:
            return look(own[1], k, v, own[0], sight)

        o, log = _over_blocks(block, piece, blocks_of(q, piece))
        outputs.append(rows_of(o))
        logs.append(jnp.moveaxis(log, 0, -2).reshape(*log.shape[1:-1], -1))
    return jnp.concatenate(outputs, axis=1), jnp.concatenate(logs, axis=-1)


def look(q: jax.Array, k: jax.Array, v: jax.Array, start: Any, sight: Sight) -> tuple[jax.Array, jax.Array]:
    """Return O and L of one block of queries, the first of which is query `start`."""
    s = scores(q, k, start, sight)
    largest = jnp.max(s, axis=2, keepdims=True)
    largest = jnp.where(largest == -jnp.inf, 0, largest)  # no key is seen
    e = jnp.exp(s - largest)
    total = jnp.sum(e, axis=2, keepdims=True)
    total = jnp.where(total == 0, 1, total)
    o = product("bhsd,bhsgt->bhdgt", v, thinned(e, start, sight).astype(v.dtype)) / total
    return jnp.moveaxis(o, 2, -1).astype(q.dtype), (largest + jnp.log(total))[:, :, 0]


def attend_backward(
    q: jax.Array, k: jax.Array, v: jax.Array, o: jax.Array, log: jax.Array, do: jax.Array, sight: Sight
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return dQ, dK and dV."""
    keys, values = by_group(k), by_group(v)
    delta = jnp.sum(o.astype(log.dtype) * do.astype(log.dtype), axis=-1, keepdims=True)
    dk, dv, queries = jnp.zeros(keys.shape, log.dtype), jnp.zeros(values.shape, log.dtype), []
    log = jnp.moveaxis(log, -1, 1)[..., None]  # as δ lies
    for piece in pieces(q.shape[1], k.shape[1], sight.causal):
        seen_keys, seen_values = keys[:, :, : piece.keys], values[:, :, : piece.keys]

        def block(sums: Any, own: Any, k: jax.Array = seen_keys, v: jax.Array = seen_values) -> Any:
            start, q, log, delta, do = own
            log, delta = (jnp.expand_dims(a[..., 0], 2) for a in (log, delta))
            p = jnp.exp(scores(q, k, start, sight) - log)
            dp = thinned(product("bhsd,bhgtd->bhsgt", v, do), start, sight)
            ds = (p * (dp - delta)).astype(q.dtype)
            dv = sums[1] + product("bhsgt,bhgtd->bhsd", thinned(p, start, sight).astype(q.dtype), do)
            dk = sums[0] + product("bhsgt,bhgtd->bhsd", ds, q)
            return (dk, dv), jnp.moveaxis(product("bhsd,bhsgt->bhdgt", k, ds), 2, -1).astype(q.dtype)

        each = tuple(blocks_of(a, piece) for a in (q, log, delta, do))
        sums, dq = _summed(block, piece, (dk[:, :, : piece.keys], dv[:, :, : piece.keys]), each)
        dk, dv = (a.at[:, :, : piece.keys].set(own) for a, own in zip((dk, dv), sums, strict=True))
        queries.append(rows_of(dq))
    dk, dv = (jnp.moveaxis(a, 1, 2).astype(k.dtype) for a in (dk, dv))
    return jnp.concatenate(queries, axis=1), dk, dv


def product(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Return a product that is summed in float32 at least."""
    return jnp.einsum(subscripts, a, b, preferred_element_type=wide(a.dtype))


def scores(q: jax.Array, k: jax.Array, start: Any, sight: Sight) -> jax.Array:
    """Return the scores of a block of queries (…, keys, heads of a group, rows), −∞ where a key is not seen.

    Keys lie in front of queries: then no product of either pass has a large factor to be transposed.
    """
    s = product("bhsd,bhgtd->bhsgt", k, q)
    row = start + jax.lax.broadcasted_iota(jnp.int32, (1, 1, 1, 1, q.shape[3]), 4)
    column = jax.lax.broadcasted_iota(jnp.int32, (1, 1, k.shape[2], 1, 1), 2)
    if sight.causal:
        s = jnp.where(column <= row, s, -jnp.inf)
    if sight.lengths is not None:
        length = sight.lengths.astype(jnp.int32).reshape(-1, 1, 1, 1, 1)
        s = jnp.where((column < length) & (row < length), s, -jnp.inf)
    return s


def thinned(p: jax.Array, start: Any, sight: Sight) -> jax.Array:
    """Return P ∘ D for a block of queries."""
    if sight.key is None:
        return p
    key, rate = fold(sight.key, start), jnp.asarray(sight.rate, jnp.float32)
    factor = 1 / (1 - cast(sight.rate, p))

    def draw() -> jax.Array:
        return jnp.where(uniform(key, p.shape) >= rate, factor, 0)

    # A rate of 0 is not known before the run, and must not cost a random number for each score.
    return p * jax.lax.cond(rate > 0, draw, lambda: jnp.ones_like(p))


def by_group(a: jax.Array) -> jax.Array:
    """Return keys or values (samples, groups, keys, size)."""
    return jnp.moveaxis(a, 2, 1)


def blocks_of(a: jax.Array, piece: Piece) -> jax.Array:
    """Return the rows of a piece, (blocks, samples, groups, heads of a group, rows, …)."""
    own = a[:, piece.start : piece.start + piece.blocks * piece.rows]
    return own.reshape(a.shape[0], piece.blocks, piece.rows, *a.shape[2:]).transpose(1, 0, 3, 4, 2, 5)


def rows_of(a: jax.Array) -> jax.Array:
    """Return blocks as rows again, (samples, rows of all blocks, groups, heads of a group, size)."""
    blocks, samples, groups, heads, rows, size = a.shape
    return a.transpose(1, 0, 4, 2, 3, 5).reshape(samples, blocks * rows, groups, heads, size)


def _over_blocks(block: Any, piece: Piece, each: Any) -> Any:
    """Run a piece's blocks one after the other; their results lie in front."""
    starts = piece.start + piece.rows * jnp.arange(piece.blocks, dtype=jnp.int32)
    if piece.blocks > 1:
        return jax.lax.map(block, (starts, each))
    return jax.tree.map(lambda a: a[None], block((starts[0], each[0])))


def _summed(block: Any, piece: Piece, sums: Any, each: Any) -> Any:
    """Run a piece's blocks one after the other, handing sums on."""
    starts = piece.start + piece.rows * jnp.arange(piece.blocks, dtype=jnp.int32)
    if piece.blocks > 1:
        return jax.lax.scan(block, sums, (starts, *each))
    sums, found = block(sums, (starts[0], *(a[0] for a in each)))
    return sums, found[None]
