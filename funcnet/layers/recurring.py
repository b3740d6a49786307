r"""What recurrent layers share: the loop over time, the loop back, and everything that needs no loop.

Forward    aₜ = xₜ W + b for all t at once;   sₜ = cell(aₜ, sₜ₋₁);   yₜ = hₜ, the first part of the state sₜ
Backward   for all t at once, the slopes of the cell, which no derivative enters
           from the last step to the first: ds = dsₜ + (dyₜ, 0);   Δₜ, dsₜ₋₁ = ds times slopes, and through U
           then, for all t at once, dW = Σ xₜᵀ Δₜ,  db = Σ Δₜ,  dxₜ = Δₜ Wᵀ,  dU = Σ hₜ₋₁ᵀ Δₜ

Derivation. The same W, U and b stand in every step, so that their gradients are sums over steps. A state reaches the
loss by its own yₜ and by the next step: what flows back is the sum of both. Δₜ, the derivative by all that is summed up
before the gates, is all that the sums need: the loop back makes nothing else, and each sum is one product. What Δₜ is
multiplied by is known from the forward pass: σ and tanh are taken in one wide pass, and the loop back only multiplies.

Lengths. A step behind a sample's length changes no state, and its y is 0: the state at the end is that of the last step
there is, s₀ = 0 for a sample of length 0. Backward: dy is masked, Δₜ = 0 there, and ds passes through as it is. With
`reverse` the loops run from the last step to the first; a sample is then read from its own last step on, since its
state is 0 until there, and yₜ stands where xₜ stands.

Of σ and tanh the arguments are kept: in float32 y (1 − y) is 0 from 17 on, and σ(−|a|), of which slopes are made, is
not.

Shapes     x: (…, time, in); W: (in, k·width); U: (width, k·width); b: (k·width,), k blocks in the order of the gates;
           y: (…, time, width), or the last state (…, width) with sequence=False.
Source     Werbos 1990; the product outside the loop: Appleyard et al. 2016, section 3.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.errors import describe, raise_error
from funcnet.keys import fold
from funcnet.layers.base import Layer, check_init, one_array_of_floats, shapes_of
from funcnet.layers.initializers import Filled, Glorot, Joint, Orthogonal, drawn_bias
from funcnet.layers.sequences import (
    apart,
    blanked,
    check_steps,
    masked,
    paired,
    paired_gradient,
    parted,
    sample_apart,
    sequence,
    shape_apart,
    spoiled,
    within,
)
from funcnet.records import choice, part, record

State = tuple[jax.Array, ...]  # h, and what else a cell carries; (samples, width) each


@record
class Recurrent(Layer):
    """Base of the recurrent layers; a cell says `blocks`, `parts`, `advance`, `slopes`, `retreat` and `gradients`.

    Args:
        width: how many numbers the state has.
        sequence: whether the state of every step goes out, or the last one alone.
        reverse: whether steps are read from the last to the first.
        input_init: how W, which meets the input, begins.
        recurrent_init: how U, which meets the state, begins.
        bias_init: how b begins.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> gru, x = fn.GRU(4), jnp.ones((2, 6, 3))
    >>> params = gru.init(jax.random.key(0), x.shape[1:])
    >>> gru.step(params, gru.initial(params, batch=2), x[:, 0])[1].shape  # y of one step
    (2, 4)

    """

    width: int = choice(at_least=1)
    sequence: bool = choice(default=True, options=(False, True), kw_only=True)
    reverse: bool = choice(default=False, options=(False, True), kw_only=True)
    input_init: Any = part(default=Glorot(), kw_only=True)
    recurrent_init: Any = part(default=Orthogonal(), kw_only=True)
    bias_init: Any = part(default=Filled(0.0), kw_only=True)

    blocks: ClassVar[int] = 1  # k, of `width` columns each
    parts: ClassVar[int] = 1  # arrays of a state

    def advance(self, params: Any, a: jax.Array, state: State) -> tuple[State, Any]:
        """Return the next state, from a = x W + b, and what `slopes` needs besides states."""
        raise NotImplementedError

    def slopes(self, kept: Any, before: State, after: State) -> Any:
        """Return what `retreat` multiplies by, of all steps at once: time first, no derivative in it."""
        return kept

    def retreat(self, back: jax.Array, slopes: Any, dstate: State) -> tuple[Any, State]:
        """Return the derivatives by what is summed up in a step, and by the state before it; `back` is Uᵀ."""
        raise NotImplementedError

    def gradients(self, params: Any, kept: Any, before: jax.Array, deltas: Any) -> tuple[jax.Array, Any]:
        """Return Δ by x W + b of all steps, and the gradients of the other parameters; h of all steps is `before`."""
        return deltas, {"recurrent": product(before, deltas)}

    def out_shape(self, in_shape: Any) -> Any:
        """Return (time, width) or (width,), beside () for the length where one goes in and a sequence goes out."""
        shape, lengths = shape_apart(in_shape, self.label)
        shape = check_steps(shape, self.label)
        if not self.sequence:
            return (*shape[:-2], self.width)
        y = (*shape[:-1], self.width)
        return (y, ()) if lengths else y

    def check_input(self, samples: Any) -> None:
        """Raise unless one sample is an array (time, in) of floats, alone or beside its length."""
        one_array_of_floats(sample_apart(samples, self.label), self.label)
        self.out_shape(shapes_of(samples))

    def check_values(self, x: Any) -> None:
        """Raise unless the lengths are such as the steps have."""
        parted(x, self.label)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw input kernel, recurrent kernel and bias, each gate's block by itself unless they are `Joint`."""
        check_init(key, in_shape)
        self.out_shape(in_shape)
        features = shape_apart(in_shape, self.label)[0][-1]
        return {
            "input": self._by_gate(self.input_init, fold(key, 0), features, dtype),
            "recurrent": self._by_gate(self.recurrent_init, fold(key, 1), self.width, dtype),
            "bias": self._bias(fold(key, 2), dtype),
        }

    def _bias(self, key: jax.Array, dtype: Any) -> jax.Array:
        return drawn_bias(self.bias_init, key, (self.blocks * self.width,), (self.width, self.width), dtype)

    def _by_gate(self, draw: Any, key: jax.Array, rows: int, dtype: Any) -> jax.Array:
        if isinstance(draw, Joint):
            return draw(key, (rows, self.blocks * self.width), dtype)
        each = jax.vmap(lambda gate: draw(fold(key, gate), (rows, self.width), dtype))(jnp.arange(self.blocks))
        return jnp.moveaxis(each, 0, 1).reshape(rows, self.blocks * self.width)

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return y, and x, lengths, h and what each step kept: the gates come back without a product."""
        x, lengths = self._taken(params, x)
        flat, own = _flat(x, lengths)
        end, h, kept = self._loop(params, flat, own, self.initial(params, len(flat)))
        h = h.reshape(*x.shape[:-1], self.width)
        if self.sequence:
            y = h if lengths is None else spoiled(h, lengths, x.shape[-2])
            return paired(y, lengths), (x, lengths, h, kept)
        y = end[0].reshape(*x.shape[:-2], self.width)
        return y if lengths is None else spoiled(y, lengths, x.shape[-2]), (x, lengths, h, kept)

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[dict[str, jax.Array], Any]:
        """Return the gradients of the parameters and dx: a loop for Δ, then one product for each."""
        x, lengths, h, kept = saved
        flat, own = _flat(x, lengths)
        # Time first, which turns x and h round, and not the derivatives, which are k times as wide.
        flat, h = jnp.moveaxis(flat, 1, 0), jnp.moveaxis(h.reshape(*flat.shape[:2], self.width), 1, 0)
        before = _shifted(h, self.reverse)
        deltas = self._loop_back(params, kept, before, own, apart(dy))
        # For all steps at once:  a = x @ input + bias
        delta, dparams = self.gradients(params, kept[0], before, deltas)
        dparams |= {"input": product(flat, delta), "bias": jnp.sum(delta, axis=(0, 1))}
        dx = jnp.moveaxis(delta @ params["input"].T, 0, 1).reshape(x.shape)
        return dparams, paired_gradient(dx, lengths)

    def _loop(self, params: Any, x: jax.Array, lengths: Any, state: State) -> tuple[State, jax.Array, Any]:
        """Return the state at the end, h of all steps (samples, time, width), and (kept, other states), time first."""
        a = jnp.moveaxis(x, 1, 0) @ params["input"]
        a = a + jnp.broadcast_to(params["bias"], a.shape)
        there = None if lengths is None else within(lengths, x.shape[1]).swapaxes(0, 1)

        def step(state: State, own: tuple[jax.Array, Any]) -> tuple[State, Any]:
            a, there = own
            after, kept = self.advance(params, a, state)
            if there is None:
                return after, (after, kept)
            carried = tuple(jnp.where(there, new, old) for new, old in zip(after, state, strict=True))
            return carried, (tuple(blanked(new, there) for new in after), kept)

        end, ((h, *others), kept) = jax.lax.scan(step, state, (a, there), reverse=self.reverse)
        return end, jnp.moveaxis(h, 0, 1), (kept, tuple(others))

    def _loop_back(self, params: Any, kept: Any, before: jax.Array, lengths: Any, dy: jax.Array) -> Any:
        """Return the derivatives by what each step sums up, time first."""
        kept, others = kept
        time, samples, _ = before.shape
        there = None if lengths is None else within(lengths, time).swapaxes(0, 1)
        states = (before, *(_shifted(other, self.reverse) for other in others))
        # Else the compiler takes them into the loop: σ and tanh, step by step, and U to be turned in each.
        slopes, back = jax.lax.optimization_barrier((self.slopes(kept, states, others), params["recurrent"].T))
        nothing = tuple(jnp.zeros((samples, self.width), dy.dtype) for _ in range(self.parts))
        if self.sequence:
            dy = jnp.moveaxis(dy.reshape(samples, time, self.width), 1, 0)
            start, each = nothing, dy if there is None else blanked(dy, there)
        else:
            start, each = (dy.reshape(samples, self.width), *nothing[1:]), None

        def step(dstate: State, own: Any) -> tuple[State, Any]:
            slopes, dy, there = own
            through = dstate if dy is None else (dstate[0] + dy, *dstate[1:])
            deltas, dbefore = self.retreat(back, slopes, through)
            if there is None:
                return dbefore, deltas
            passed = tuple(jnp.where(there, new, old) for new, old in zip(dbefore, dstate, strict=True))
            return passed, jax.tree.map(lambda delta: blanked(delta, there), deltas)

        return jax.lax.scan(step, start, (slopes, each, there), length=time, reverse=not self.reverse)[1]

    def _taken(self, params: Any, x: Any) -> tuple[jax.Array, Any]:
        """Return x and the lengths, if they are as the parameters take them."""
        x, lengths = parted(x, self.label)
        x, kernel = sequence(x, self.label), params["input"]
        if x.shape[-1] != kernel.shape[0]:
            must = f"the input of {self.label} must have {kernel.shape[0]} features in its last axis"
            raise_error(must, f"got {describe(x)}", f"parameters from init(key, {x.shape[-2:]})")
        _check_dtype(x, kernel, self.label)
        if lengths is not None:  # a NaN behind a length times 0 is NaN
            x = blanked(x, within(lengths, x.shape[-2], 1))
        return x, lengths

    def initial(self, params: Any, batch: int) -> State:
        """Return the state before the first step of so many streams: zeros, a tuple of h and what the cell carries."""
        zeros = jnp.zeros((batch, self.width), params["recurrent"].dtype)
        return (zeros,) * self.parts

    def step(self, params: Any, state: State, x: jax.Array) -> tuple[State, jax.Array]:
        """Return the next state and y of one step of a stream, for x (batch, in); forward only.

        Raises:
            ValueError: for a layer that reads from the end.

        """
        if self.reverse:
            arrived = "it has reverse=True"
            raise_error(f"{self.label} must read forward to go step by step", arrived, "run(params, x, state)")
        x = jnp.asarray(x)
        _check_dtype(x, params["input"], self.label)
        a = x @ params["input"]
        state, _ = self.advance(params, a + jnp.broadcast_to(params["bias"], a.shape), state)
        return state, state[0]

    def run(self, params: Any, x: Any, state: State) -> tuple[State, Any]:
        """Return the state after a piece of a stream and what `forward` gives, from a state before it; forward only.

        x is (batch, time, in), or a pair with lengths. Pieces one after the other give what the whole gives.
        """
        x, lengths = self._taken(params, x)
        if x.ndim != 3:
            must = f"a piece of a stream for {self.label} must have the axes (batch, time, in)"
            raise_error(must, f"got {describe(x)}", "x[None] for a single stream")
        end, h, _ = self._loop(params, x, lengths, state)
        y = masked(h, lengths) if self.sequence else end[0]
        return end, paired(y, lengths) if self.sequence else y


def _flat(x: jax.Array, lengths: Any) -> tuple[jax.Array, Any]:
    """Return x as (samples, time, in), and lengths as (samples,)."""
    samples = math.prod(x.shape[:-2])
    return x.reshape(samples, *x.shape[-2:]), None if lengths is None else lengths.reshape(samples)


def _shifted(states: jax.Array, reverse: bool) -> jax.Array:
    """Return the states before each step, time first: those after the step that was read before it, and zeros."""
    time = len(states)
    first = jnp.zeros_like(states[:1])
    return jnp.concatenate([states[1:], first] if reverse else [first, states[: max(time - 1, 0)]])


def _check_dtype(x: jax.Array, kernel: jax.Array, label: str) -> None:
    if x.dtype != kernel.dtype:
        must = f"the input of {label} and its kernels must have the same dtype"
        raise_error(must, f"got {x.dtype} and {kernel.dtype}", "x.astype(kernel.dtype)", TypeError)


def product(rows: jax.Array, deltas: jax.Array) -> jax.Array:
    """Return Σ rowsᵀ Δ over steps and samples, as one product."""
    # Not by a reshape: samples that are spread over devices, merged with steps, would be gathered on each.
    return jax.lax.dot_general(rows, deltas, (((0, 1), (0, 1)), ((), ())))
