r"""Features that are an array, as classes meet them: products, and the quadratic of a working set.

About the current z, with weights hᵢ and residuals ρᵢ, the quadratic of coefficients w + d is

    ½ dᵀG d − gᵀd + penalty(w + d),   G = X̃ᵀ diag(h) X̃,  g = X̃ᵀρ,  X̃ = X − 1 mᵀ,  m = Xᵀh / Σh

where m takes the intercept out: for given d its best move is Σρ/Σh − mᵀd. (Without one, X̃ = X and it stays.) G is made
in tiles of its lower half, as far as the working set reaches.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnet.linear.descent import Quadratic

TILE = 64


class DenseRows(NamedTuple):
    """Features, of which at most `capacity` are in a working set; `wide` is the form of the descent."""

    values: jax.Array  # (features, samples)
    capacity: int
    wide: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (features, samples)."""
        return self.values.shape

    def times(self, w: jax.Array) -> jax.Array:
        """Return w Xᵀ, (…, samples), of w (…, features)."""
        return w @ self.values

    def onto(self, rho: jax.Array) -> jax.Array:
        """Return ρ X, (…, features), of ρ (…, samples)."""
        return rho @ self.values.T

    def variances(self, weight: jax.Array, intercept: bool) -> jax.Array:
        """Return Σ sᵢxᵢⱼ² of features that are centred if there is an intercept."""
        return (self.values * self.values) @ weight

    def quadratic(
        self, rho: jax.Array, h: jax.Array, w: jax.Array, t: jax.Array, u: jax.Array, inside: jax.Array, intercept: bool
    ) -> tuple[Quadratic, tuple[jax.Array, jax.Array], Callable]:
        """Return the quadratic over the features inside, where it stands, and how to read its end.

        The last is (w, g) -> all coefficients and the move of the intercept.
        """
        total = self.shape[0]
        size = -(-self.capacity // TILE) * TILE
        members = jnp.nonzero(inside, size=size, fill_value=total)[0].astype(jnp.int32)
        taken = jnp.sum(inside, dtype=jnp.int32)
        m = self.onto(h) / jnp.sum(h) if intercept else jnp.zeros_like(w)

        def among(values: jax.Array) -> jax.Array:
            return values.at[members].get(mode="fill", fill_value=0)

        gram = self.gram(members, taken, h, m)
        g, held = among(self.onto(rho) - m * jnp.sum(rho)), among(w)
        problem = Quadratic(gram, g + gram @ held, among(t), among(u), taken, self.wide)

        def finish(new: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
            everywhere = w.at[members].set(new, mode="drop")
            shift = jnp.sum(rho) / jnp.sum(h) - m @ (everywhere - w) if intercept else jnp.zeros((), w.dtype)
            return everywhere, shift

        return problem, (held, g), finish

    def gram(self, members: jax.Array, taken: jax.Array, h: jax.Array, m: jax.Array) -> jax.Array:
        """Return X̃ᵀ diag(h) X̃ of the first `taken` members."""
        total = self.shape[0]

        def strip(start: jax.Array) -> jax.Array:
            place = lax.dynamic_slice(members, (start,), (TILE,))
            near = jnp.minimum(place, total - 1)
            return jnp.where((place < total)[:, None], self.values[near] - m[near][:, None], 0)

        def row(state: tuple) -> tuple:
            i, gram = state
            left = strip(i) * h[None]

            def tile(state: tuple) -> tuple:
                j, gram = state
                product = left @ strip(j).T
                gram = lax.dynamic_update_slice(gram, product, (i, j))
                return j + TILE, lax.dynamic_update_slice(gram, product.T, (j, i))

            return i + TILE, lax.while_loop(lambda state: state[0] <= i, tile, (jnp.int32(0), gram))[1]

        empty = jnp.zeros((len(members), len(members)), h.dtype)
        return lax.while_loop(lambda state: state[0] < taken, row, (jnp.int32(0), empty))[1]
