r"""Dropout: each unit is left out with probability `rate` while training.

Forward    training, inverted (the default)   y = r ∘ x / (1 − rate),   rᵢ ~ Bernoulli(1 − rate)
           training, standard                 y = r ∘ x
           evaluation, inverted               y = x
           evaluation, standard               y = (1 − rate) x
Backward   dx = m ∘ dy with the same factor m = y/x that the forward pass used

Derivation. Given r, dropout is multiplication by a constant, so its derivative is that constant. E[r] = 1 − rate: both
forms have the same expectation in training and evaluation, E[y] = x and E[y] = (1 − rate) x.

A pass with a key is training, without one evaluation. The rate is a leaf; at rate 0 every unit is kept, bit for bit.

Shapes     any; each element has its own r.
Source     Article A2.4, A3.4, B3.8 (A's formula is unreadable: see the errata); Srivastava et al. 2014, sections 4
           and 10, for the standard form.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import check_floating
from funcnet.keys import uniform
from funcnet.layers.base import Layer, Shape
from funcnet.records import Number, cast, choice, number, record


@record
class Dropout(Layer):
    r"""Leave each unit out with probability `rate` while training.

    Args:
        rate: the probability with which a unit is left out; 0.1 to 0.5 are usual.
        inverted: whether what is kept is scaled up in training, so that evaluation changes nothing; else
            evaluation scales down.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> y, _ = fn.Dropout(0.5).forward((), jnp.ones(6), jax.random.key(1))
    >>> print(sorted(set(y.tolist())))
    [0.0, 2.0]

    """

    rate: Number = number(default=0.5, at_least=0, below=1)
    inverted: bool = choice(default=True, options=(False, True))

    @property
    def passes_on(self) -> bool:
        """Tell that units are scaled, and no more."""
        return True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return in_shape

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return m ∘ x, and m: drawn anew it would cost more than the memory it saves."""
        check_floating(x, "the input of Dropout")
        x = jnp.asarray(x)
        keep = 1 - cast(self.rate, x)
        if key is None:
            factor = jnp.ones((), x.dtype) if self.inverted else keep
        else:
            # Uniform numbers in [0, 1): below the rate a unit is dropped, so rate 0 drops none.
            kept = uniform(key, x.shape) >= jnp.asarray(self.rate, jnp.float32)
            factor = jnp.where(kept, 1 / keep if self.inverted else jnp.ones((), x.dtype), jnp.zeros((), x.dtype))
        return x * factor, factor

    def backward(self, params: Any, saved: jax.Array, dy: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Return no parameter gradient, and dx = m ∘ dy."""
        factor = saved
        return (), factor * dy


_X = [[0.3, -1.2, 2.0], [0.7, -0.4, 1.1]]
_KEY = (7,)  # the seed of the key: the tests turn it into one
CASES = (
    Case("ordinary", Dropout(0.4), ((), [0.3, -1.2])),
    Case("batch", Dropout(0.4), ((), _X, *_KEY)),
    Case("batch", Dropout(0.4, inverted=False), ((), _X, *_KEY)),
    Case("extreme", Dropout(0.0), ((), _X, *_KEY), _X, ((), [[1.0] * 3] * 2), "rate 0 keeps all"),
    Case("extreme", Dropout(0.5), ((), [[1e30, -1e30]], *_KEY)),
    Case("known", Dropout(0.4), ((), _X), _X, ((), [[1.0] * 3] * 2), "evaluation, inverted"),
    Case(
        "known",
        Dropout(0.5, inverted=False),
        ((), [[2.0, -4.0]]),
        [[1.0, -2.0]],
        ((), [[0.5, 0.5]]),
        "evaluation, standard",
    ),
)
