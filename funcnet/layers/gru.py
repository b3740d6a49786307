r"""The gated recurrent unit: a state that is a mean of its last value and a new one.

Forward    r, z = σ(xₜ W_rz + hₜ₋₁ U_rz + b_rz);   hₜ = (1 − z) n + z hₜ₋₁,   h₀ = 0
           reset after:    q = hₜ₋₁ U + b′,   n = tanh(xₜ W_n + b_n + r q_n)   (q has parts for r and z too: see below)
           reset before:   n = tanh(xₜ W_n + b_n + (r hₜ₋₁) U_n)
Backward   δ_n = dh (1 − z)(1 − n²),   δ_z = dh (h₋ − n) z (1 − z)
           after:    dq = r δ_n,   δ_r = δ_n q_n r (1 − r),   dh₋ = dh z + (δ_r, δ_z, dq) Uᵀ
                     dU = Σ h₋ᵀ (δ_r, δ_z, dq),   db′ = Σ (δ_r, δ_z, dq)
           before:   e = δ_n U_nᵀ,   δ_r = e h₋ r (1 − r),   dh₋ = dh z + r e + (δ_r, δ_z) U_rzᵀ
                     dU_rz = Σ h₋ᵀ (δ_r, δ_z),   dU_n = Σ (r h₋)ᵀ δ_n

Derivation. h is linear in z with the factor h₋ − n, in n with 1 − z and in h₋ with z; n passes tanh and r multiplies
what comes from h₋: after its product with U_n, or before. What reaches h₋ is the sum over its four ways.

Reset after is cuDNN's, PyTorch's, Flax's and Keras's; it makes all three products with U one. Its second bias b′ is for
all three gates, as theirs is; for r and z it adds to b. Reset before is the paper's. See `recurring` for the rest.

Extremes   Slopes, 1 − z among them, are made from σ(−|a|), which does not round to 0: a gate that is shut still
           learns.
Source     Cho et al. 2014, equations 5 to 8 (z and 1 − z as there); Chung et al. 2014.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.keys import fold
from funcnet.layers.conv import numbers
from funcnet.layers.gates import gate, gate_slope, tail, tanh_slope
from funcnet.layers.recurring import Recurrent, State, product
from funcnet.layers.sequences import paired
from funcnet.records import choice, record


@record
class GRU(Recurrent):
    r"""A recurrent layer with two gates; `{"input": W, "recurrent": U, "bias": b, "recurrent_bias": b′}`, blocks r z n.

    Args:
        width: numbers in h.
        reset_after: whether r multiplies h U_n + b′ (then there is `recurrent_bias`), or h itself.
        sequence: whether y holds every step, (…, time, width), or the last one alone, (…, width).
        reverse: whether the steps are read from the last to the first; yₜ stands where xₜ stands.
        input_init: how the kernel of each gate in W begins.
        recurrent_init: how the kernel of each gate in U begins.
        bias_init: how b and b′ begin.

    Raises:
        ValueError, TypeError: for inputs without time and features, and lengths that the steps do not have; under
            `jit` these make their sample NaN.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> layer = fn.GRU(4)
    >>> params = layer.init(jax.random.key(0), (10, 3))
    >>> print({name: leaf.shape for name, leaf in params.items()})
    {'input': (3, 12), 'recurrent': (4, 12), 'bias': (12,), 'recurrent_bias': (12,)}

    """

    reset_after: bool = choice(default=True, options=(False, True), kw_only=True)

    blocks: ClassVar[int] = 3

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, jax.Array]:
        """Draw the kernels and the biases."""
        params = super().init(key, in_shape, dtype)
        if self.reset_after:
            params["recurrent_bias"] = self._bias(fold(key, 3), dtype)
        return params

    def advance(self, params: Any, a: jax.Array, state: State) -> tuple[State, Any]:
        """Return h, and the arguments of the gates and of n, with q_n where it is reset after."""
        (before,) = state
        own, recurrent = a[..., : 2 * self.width], params["recurrent"]
        if self.reset_after:
            q = before @ recurrent
            q = q + jnp.broadcast_to(params["recurrent_bias"], q.shape)
            gates = own + q[..., : 2 * self.width]
            kept = q[..., 2 * self.width :]
            r, z = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)
            new = a[..., 2 * self.width :] + r * kept
        else:
            gates, kept = own + before @ recurrent[:, : 2 * self.width], None
            r, z = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)
            new = a[..., 2 * self.width :] + (r * before) @ recurrent[:, 2 * self.width :]
        return ((1 - z) * jnp.tanh(new) + z * before,), (gates, new, kept)

    def slopes(self, kept: Any, before: State, after: State) -> Any:
        """Return those of (δ_r, δ_z, dq), or else of (δ_n, e r, r, δ_z), by dh, and z; and that of δ_n by dq last."""
        (h,), (gates, new, q) = before, kept
        r, z = jnp.split(tail(gates), 2, axis=-1)
        # h = (1 − z) tanh(new) + z h₋
        by_z, by_new = (h - jnp.tanh(new)) * gate_slope(z), gate(-z) * tanh_slope(new)
        if self.reset_after:
            # new = a_n + r q
            by_r, by_q = by_new * q * gate_slope(r), by_new * gate(r)
            return jnp.concatenate([by_r, by_z, by_q], axis=-1), gate(z), by_new
        # new = a_n + (r h₋) U_n
        return by_new, h * gate_slope(r), gate(r), by_z, gate(z)

    def retreat(self, back: jax.Array, slopes: Any, dstate: State) -> tuple[Any, State]:
        """Return (δ_r, δ_z), δ_n, and dq or nothing; and dh₋."""
        (dh,), inner = dstate, 2 * self.width
        if self.reset_after:
            each, z, by_new = slopes
            delta = each * jnp.concatenate([dh, dh, dh], axis=-1)
            return (delta, dh * by_new), (dh * z + delta @ back,)
        by_new, by_r, r, by_z, z = slopes
        dnew = dh * by_new
        e = dnew @ back[inner:]
        gates = jnp.concatenate([e * by_r, dh * by_z], axis=-1)
        return (gates, dnew), (dh * z + e * r + gates @ back[:inner],)

    def gradients(self, params: Any, kept: Any, before: jax.Array, deltas: Any) -> tuple[jax.Array, Any]:
        """Return δ of all steps, dU, and db′ where it is reset after."""
        first, dnew = deltas
        delta = jnp.concatenate([first[..., : 2 * self.width], dnew], axis=-1)
        if self.reset_after:
            return delta, {"recurrent": product(before, first), "recurrent_bias": jnp.sum(first, axis=(0, 1))}
        gates, r = first, jax.nn.sigmoid(kept[0][..., : self.width])
        dnew = product(r * before, dnew)
        return delta, {"recurrent": jnp.concatenate([product(before, gates), dnew], axis=-1)}


def _case(rule: GRU, *shape: int, lengths: Any = None) -> Case:
    params = {"input": numbers(shape[-1], 3 * rule.width), "recurrent": numbers(rule.width, 3 * rule.width)}
    biases = numbers(2, 3 * rule.width)
    params |= {"bias": biases[0]} | ({"recurrent_bias": biases[1]} if rule.reset_after else {})
    return Case("batch", rule, (params, paired(numbers(*shape), lengths)))


_ONE = {"input": [[0.7, -0.4, 1.2]], "recurrent": [[-0.6, 0.9, 0.5]], "bias": [0.1, 0.4, -0.3]}
_BOTH = {"recurrent_bias": [0.2, -0.1, 0.6]}
_STILL = {"input": [[0.0, 0.0, 0.0]], "recurrent": [[0.0, 0.0, 0.0]], "bias": [0.0, 0.0, 0.5493061443340549]}
CASES = (
    _case(GRU(3), 2, 4, 2),
    _case(GRU(2, sequence=False, reverse=True, reset_after=False), 4, 3, 3, lengths=[2, 0, 3, 1]),
    Case("ordinary", GRU(1), (_ONE | _BOTH, [[0.3], [-1.2]])),
    Case("extreme", GRU(1, reset_after=False), (_ONE, [[[1e4], [-1e4], [1e4]]])),
    Case(
        "known",
        GRU(1, reset_after=False),
        (_STILL, [[[1.0], [2.0]]]),
        [[[0.25], [0.375]]],
        None,
        "z = n = ½: ½ · ½, then ½ · ½ + ½ · ¼",
    ),
)
