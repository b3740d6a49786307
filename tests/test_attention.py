"""Attention against sums written out in NumPy and automatic differentiation, by blocks; what is kept and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import attending, rotary
from tests.helpers import quick

KEY = jax.random.key(3)
OPTIONS = {  # layer, time, lengths: widths of 12, three samples
    "plain": (fn.Attention(3), 7, None),
    "causal, grouped, turned": (fn.Attention(6, causal=True, groups=2, rotary=True), 11, None),
    "lengths": (fn.Attention(2, groups=1), 8, (8, 0, 3)),
    "causal, lengths, no bias": (fn.Attention(3, causal=True, bias=False), 10, (4, 10, 1)),
}


def by_loops(layer, params, x, lengths):
    """Return y, head by head and query by query."""
    dense = {
        name: x @ np.asarray(p["kernel"]) + np.asarray(p.get("bias", 0))
        for name, p in params.items()
        if name != "output"
    }
    size, share = x.shape[-1] // layer.heads, layer.heads // (layer.groups or layer.heads)

    def head(name, sample, place, index):
        row = dense[name][sample, place, index * size : (index + 1) * size]
        if layer.rotary and name != "value":
            pairs = row[: size // 2] + 1j * row[size // 2 :]
            pairs = pairs * np.exp(1j * place * 10000.0 ** (-2 * np.arange(size // 2) / size))
            row = np.concatenate([pairs.real, pairs.imag])
        return row

    o = np.zeros_like(x)
    for n, i, h in np.ndindex(len(x), x.shape[1], layer.heads):
        length = x.shape[1] if lengths is None else lengths[n]
        seen = range(min(length, i + 1) if layer.causal else length)
        if i < length:
            e = np.exp([head("query", n, i, h) @ head("key", n, j, h // share) / np.sqrt(size) for j in seen])
            o[n, i, h * size : (h + 1) * size] = sum(
                a * head("value", n, j, h // share) for a, j in zip(e / e.sum(), seen, strict=True)
            )
    y = o @ np.asarray(params["output"]["kernel"]) + np.asarray(params["output"].get("bias", 0))
    return y if lengths is None else np.where(np.arange(x.shape[1])[:, None] < np.reshape(lengths, (-1, 1, 1)), y, 0)


def naive(layer, params, x, lengths, kept=None):
    """Return y with the whole matrix of scores; `kept` is dropout's mask."""
    q, k, v = (
        x @ params[n]["kernel"] + (params[n]["bias"][None, None] if layer.bias else 0)
        for n in ("query", "key", "value")
    )
    size, groups = x.shape[-1] // layer.heads, layer.groups or layer.heads
    q = q.reshape(*q.shape[:2], groups, -1, size)
    k, v = (a.reshape(*a.shape[:2], groups, size) for a in (k, v))
    if layer.rotary:
        q, k = (rotary.turned(a, rotary.angles(x.shape[1], size, jnp.float64)) for a in (q, k))
    s = jnp.einsum("bthgd,bshd->bhgts", q, k) / np.sqrt(size)
    place = np.arange(x.shape[1])
    seen = np.ones((len(x), x.shape[1], x.shape[1]), bool)
    seen &= (place[None, None, :] <= place[None, :, None]) if layer.causal else True
    if lengths is not None:
        seen &= (place < lengths[:, None])[:, None, :]
    seen = seen[:, None, None]
    e = jnp.where(seen, jnp.exp(jnp.where(seen, s, 0)), 0)
    p = e / jnp.maximum(e.sum(-1, keepdims=True), 1e-300)
    o = jnp.einsum("bhgts,bshd->bthgd", p if kept is None else p * kept, v).reshape(x.shape)
    y = o @ params["output"]["kernel"] + (params["output"]["bias"][None, None] if layer.bias else 0)
    return y if lengths is None else jnp.where(place[None, :, None] < lengths[:, None, None], y, 0)


def drawn(layer, shape, rng):
    """Return parameters with biases that are not 0."""
    params = layer.init(KEY, shape, jnp.float64)
    return jax.tree.map(lambda a: a + 0.2 * rng.normal(size=a.shape), params)


def whole_mask(layer, samples, time, key):
    """Return dropout's mask of all blocks, (samples, groups, heads of a group, time, time)."""
    sight = attending.Sight(layer.causal, None, layer.dropout, key)
    groups = layer.groups or layer.heads
    mask = jnp.zeros((samples, groups, layer.heads // groups, time, time))
    for piece in attending.pieces(time, time, layer.causal):
        for start in range(piece.start, piece.start + piece.blocks * piece.rows, piece.rows):
            ones = jnp.ones((*mask.shape[:2], piece.keys, mask.shape[2], piece.rows))
            own = jnp.moveaxis(attending.thinned(ones, start, sight), 2, -1)
            mask = mask.at[..., start : start + piece.rows, : piece.keys].set(own)
    return mask


@pytest.mark.parametrize("name", OPTIONS)
def test_values_and_gradients_by_blocks(name, rng, monkeypatch):
    """Several blocks and a rest: y as by loops, and all gradients as automatic differentiation of the whole matrix."""
    monkeypatch.setattr(attending, "ROWS", 3)
    monkeypatch.setattr(attending, "SEGMENTS", 2)
    layer, time, lengths = OPTIONS[name]
    x, params, dy = rng.normal(size=(3, time, 12)), drawn(layer, (time, 12), rng), rng.normal(size=(3, time, 12))
    beyond = np.zeros((3, time, 1), bool)
    if lengths is not None:
        lengths = np.asarray(lengths)
        beyond = np.arange(time)[:, None] >= lengths[:, None, None]

    def both(params, x, dy):
        dirty = jnp.where(beyond, jnp.nan, x)  # what stands behind a length is never looked at
        y, saved = layer.forward(params, dirty if lengths is None else (dirty, jnp.asarray(lengths)))
        own = layer.backward(params, saved, dy if lengths is None else (dy, None))
        value, back = jax.vjp(lambda params, x: naive(layer, params, x, lengths), params, x)
        return y, own, value, back(dy)

    y, (dparams, dx), value, wanted = quick(both)(params, x, dy)
    if lengths is not None:
        (y, same), (dx, none) = y, dx
        assert none is None
        assert np.array_equal(same, lengths)
        assert not np.any(np.where(beyond, y, 0))
        assert not np.any(np.where(beyond, dx, 0))
    np.testing.assert_allclose(y, by_loops(layer, params, x, lengths), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(y, value, rtol=1e-12, atol=1e-13)
    for a, b in zip(jax.tree.leaves((dparams, dx)), jax.tree.leaves(wanted), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-12 * np.max(np.abs(b)) + 1e-13  # the bias of keys has rounding alone
    if layer.bias and not layer.rotary:
        assert not np.any(dparams["key"]["bias"])


def test_dropout_is_drawn_alike_in_both_passes(rng, monkeypatch):
    """Gradients under the mask that the forward drew; the same key the same, another key another; evaluation none."""
    monkeypatch.setattr(attending, "ROWS", 3)
    layer = fn.Attention(4, causal=True, groups=2, dropout=0.4)
    x, params, dy = rng.normal(size=(2, 7, 8)), drawn(layer, (7, 8), rng), rng.normal(size=(2, 7, 8))
    keys = jnp.stack([KEY, KEY, jax.random.key(4)])

    def both(key):
        mask = whole_mask(layer, 2, 7, key)
        y, saved = layer.forward(params, x, key)
        value, back = jax.vjp(lambda params, x: naive(layer, params, x, None, mask), params, x)
        return y, layer.backward(params, saved, dy), value, back(dy), mask, layer.apply(params, x)

    y, own, value, wanted, mask, still = quick(lambda keys: jax.lax.map(both, keys))(keys)
    np.testing.assert_allclose(y, value, rtol=1e-12, atol=1e-13)
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(wanted), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-12 * np.max(np.abs(b)) + 1e-13
    assert np.array_equal(y[0], y[1])
    assert not np.array_equal(y[0], y[2])
    assert set(np.round(np.unique(mask), 12)) == {0, round(1 / 0.6, 12)}
    np.testing.assert_allclose(still[0], by_loops(layer, params, x, None), rtol=1e-12, atol=1e-13)


def test_the_matrix_of_scores_is_never_held():
    """At 2,048 steps both passes need a fraction of one matrix a head; what is kept grows with time, not its square."""
    layer, time = fn.Attention(4), 2048
    x = jax.ShapeDtypeStruct((1, time, 8), jnp.float32)
    params = jax.eval_shape(lambda: layer.init(KEY, (time, 8), jnp.float32))

    def both(params, x, dy):
        return layer.backward(params, layer.forward(params, x)[1], dy)

    temporary = jax.jit(both).lower(params, x, x).compile().memory_analysis().temp_size_in_bytes
    assert temporary < 0.3 * layer.heads * time * time * 4
    whole, causal = (
        fn.cost(own, (time, 8), 3, dtype=jnp.float32) for own in (layer, fn.Attention(4, causal=True, groups=2))
    )
    assert whole.activation_bytes == 3 * time * (4 * 8 + 4) * 4  # Q, K, V, O and L
    assert causal.activation_bytes == 3 * time * (2 * 8 + 2 * 4 + 4) * 4
    assert causal.forward.products < 0.65 * whole.forward.products
    assert causal.backward.products < 0.65 * whole.backward.products


def test_turned_heads(rng):
    """Scores depend on distances alone; neighbours in pairs, reordered, are halves; far angles keep their digits."""
    q, k = rng.normal(size=(1, 1, 6)), rng.normal(size=(1, 1, 6))
    table = rotary.angles(9, 6, jnp.float64)
    turn = quick(lambda a: rotary.turned(jnp.broadcast_to(a, (1, 9, 6)), table)[0])
    scores = np.asarray(turn(q)) @ np.asarray(turn(k)).T
    for distance in range(-8, 9):
        assert np.ptp(np.diagonal(scores, distance)) < 1e-13
    order = [0, 2, 4, 1, 3, 5]
    pairs = q[0, 0].reshape(3, 2) @ [1, 1j] * np.exp(1j * 7 * 10000.0 ** (-np.arange(3) / 3))
    neighbours = np.stack([pairs.real, pairs.imag], axis=1).ravel()
    np.testing.assert_allclose(np.asarray(turn(q[..., order]))[7], neighbours[order], rtol=1e-13)
    cos, _ = rotary.angles(100_001, 8, jnp.float32)
    assert abs(float(cos[100_000, 1]) - np.cos(100_000 * 10000.0**-0.25)) < 1e-7


def test_sixteen_bits_and_what_no_query_sees(rng):
    """Bfloat16 in and out with float32 scores; a length that the steps do not have is NaN in its sample alone."""
    layer = fn.Attention(2, causal=True)
    x, params = rng.normal(size=(3, 5, 4)), drawn(layer, (5, 4), rng)
    lengths = jnp.asarray([5, 6, 0])

    def run(params, x, lengths):
        short = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, x))
        y, saved = layer.forward(*short)
        return y, saved[-1], layer.backward(short[0], saved, y), layer.apply(params, (x, lengths))[0]

    y, log, back, masked = quick(run)(params, jnp.asarray(x), lengths)
    assert log.dtype == jnp.float32
    assert {a.dtype for a in jax.tree.leaves((y, back))} == {jnp.dtype(jnp.bfloat16)}
    wanted = by_loops(layer, params, x, None)
    assert np.max(np.abs(np.asarray(y, float) - wanted)) < 0.05 * np.max(np.abs(wanted))
    np.testing.assert_allclose(masked[0], wanted[0], rtol=1e-12)
    assert np.all(np.isnan(masked[1]))
    assert not np.any(masked[2])


def test_what_does_not_fit_is_refused():
    """Heads, groups, odd sizes, samples without time, lengths that are no whole numbers or too long."""
    x = jnp.ones((2, 3, 6))
    params = fn.Attention(2).init(KEY, (3, 6))
    for wrong, words in (
        (lambda: fn.Attention(4).out_shape((3, 6)), "multiple of the 4 heads"),
        (lambda: fn.Attention(6, groups=4), "divisor of the 6 heads"),
        (lambda: fn.Attention(4, groups=0), "divisor of the 4 heads"),
        (lambda: fn.Attention(2, rotary=True).init(KEY, (3, 6)), "even size"),
        (lambda: fn.Attention(2).out_shape((6,)), r"\(time, features\)"),
        (lambda: fn.Attention(2).forward(params, (x, jnp.asarray([1, 4]))), "number of steps"),
        (lambda: fn.Attention(2).check_values((x, np.asarray([-1, 2]))), "number of steps"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    sample = jax.ShapeDtypeStruct((3, 6), jnp.int32)
    with pytest.raises(TypeError, match="floating-point"):
        fn.Attention(2).check_input(sample)
    with pytest.raises(TypeError, match="whole numbers"):
        fn.Attention(2).forward(params, (x, jnp.ones(2)))
