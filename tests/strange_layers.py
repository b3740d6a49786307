"""Layers that stretch the protocol: parts side by side, whole numbers, two inputs, numbers that follow the data."""

import jax
import jax.numpy as jnp

import funcnet as fn
from funcnet.layers import Layer
from funcnet.records import integer, part


@fn.record
class Sum(Layer):
    """The sum of what its parts say of one input: has `layers`, as a chain has, and is none."""

    layers: tuple = part()

    def out_shape(self, in_shape):
        return self.layers[0].out_shape(in_shape)

    def init(self, key, in_shape, dtype=None):
        return tuple(layer.init(jax.random.fold_in(key, i), in_shape, dtype) for i, layer in enumerate(self.layers))

    def forward(self, params, x, key=None):
        given = [layer.forward(own, x) for layer, own in zip(self.layers, params, strict=True)]
        return sum(y for y, _ in given), tuple(saved for _, saved in given)

    def backward(self, params, saved, dy):
        taken = [f.backward(own, kept, dy) for f, own, kept in zip(self.layers, params, saved, strict=True)]
        return tuple(down for down, _ in taken), sum(dx for _, dx in taken)


@fn.record
class Table(Layer):
    """A row of a table for each whole number: (…) to (…, width)."""

    vocabulary: int = integer(1)
    width: int = integer(1)

    def check_input(self, samples):
        assert samples.dtype.kind == "i"

    def out_shape(self, in_shape):
        return (*in_shape, self.width)

    def init(self, key, in_shape, dtype=None):
        return {"table": jax.random.normal(key, (self.vocabulary, self.width), dtype)}

    def forward(self, params, x, key=None):
        return params["table"][x], x

    def backward(self, params, saved, dy):
        return {"table": jnp.zeros_like(params["table"]).at[saved].add(dy)}, None


@fn.record
class Weighed(Layer):
    """Two inputs, {"left": (batch, n), "right": (batch, n)}: left + right · gain."""

    def check_input(self, samples):
        assert samples["left"].shape == samples["right"].shape

    def out_shape(self, in_shape):
        return in_shape["left"]

    def init(self, key, in_shape, dtype=None):
        return {"gain": jnp.full(in_shape["right"], 0.5, dtype)}

    def forward(self, params, x, key=None):
        right = x["right"].astype(params["gain"].dtype)
        return x["left"] + right * params["gain"][None], right

    def backward(self, params, saved, dy):
        return {"gain": jnp.sum(saved * dy, axis=0)}, {"left": dy, "right": dy * params["gain"][None]}


@fn.record
class Centred(Layer):
    """x − mean of the batch when it trains, − the running mean when it does not; the mean follows by `refresh`."""

    def out_shape(self, in_shape):
        return in_shape

    def init(self, key, in_shape, dtype=None):
        return {"mean": jnp.zeros(in_shape, dtype)}

    def forward(self, params, x, key=None):
        mean = params["mean"] if key is None else jnp.mean(x, axis=0)
        return x - mean[None], (mean, jnp.full((), key is not None, x.dtype))

    def backward(self, params, saved, dy):
        return jax.tree.map(jnp.zeros_like, params), dy - saved[1] * jnp.mean(dy, axis=0)[None]

    def refresh(self, params, saved):
        return {"mean": 0.9 * params["mean"] + 0.1 * saved[0]}
