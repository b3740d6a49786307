r"""Softmax, and its class-weighted form.

Forward    y_k = e^(z_k) / Σ_j e^(z_j), over the last axis
           y_k = w_k e^(z_k) / Σ_j w_j e^(z_j), with class weights w
Backward   dz = y ∘ (dy − ⟨dy, y⟩)

Derivation. log y_k = z_k − log Σ_j e^(z_j), so ∂y_k/∂z_i = y_k ([k = i] − y_i); summing dy_k ∂y_k/∂z_i over k
gives dz_i = y_i (dy_i − Σ_k dy_k y_k). Since w_k e^(z_k) = e^(z_k + log w_k), weighting is adding the
constant log w to the logits, and the formula in y is unchanged.

Erratum    Multiplying each y_k by w_k, as article B3.3 suggests, gives numbers that do not sum to 1; dividing
           them by their sum is this class-weighted softmax.
Forms      The largest logit m is subtracted first; it cancels in the quotient.
Shapes     z, y, dz: (…, classes); class_weight: (classes,).
Extremes   Classes far below the largest get probability 0, ∞ counts as the largest number.
Source     Article B3.3; Bridle 1990.
"""

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.activations.base import Activation, shifted
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.records import Vector, cast, number, record


@record
class Softmax(Activation):
    r"""The distribution with probabilities proportional to e^z, or to w e^z with class weights w.

    Args:
        class_weight: a positive number for each class, by which its probability is multiplied before all are
            divided by their sum; None for equal ones.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.Softmax()(jnp.log(jnp.asarray([1.0, 1.0, 2.0]))))
    [0.25 0.25 0.5 ]
    >>> print([f"{y:.2f}" for y in fn.Softmax(class_weight=[3.0, 1.0])(jnp.zeros(2))])
    ['0.75', '0.25']

    """

    class_weight: Vector | None = number(default=None, above=0, vector=True)

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return y twice: the derivative is a function of y alone."""
        if self.class_weight is not None:
            weight = cast(self.class_weight, z)
            if weight.ndim != 1 or weight.shape != z.shape[-1:]:
                raise_error(
                    "Softmax.class_weight must hold one number per class",
                    f"it is {describe(weight)} for logits {describe(z)}",
                    "a vector as long as the last axis",
                )
            z = z + jnp.broadcast_to(jnp.log(weight), z.shape)
        e = jnp.exp(shifted(z, "Softmax"))
        y = e / jnp.sum(e, axis=-1, keepdims=True)
        return y, y

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = y ∘ (dy − ⟨dy, y⟩)."""
        y = saved
        return y * (dy - jnp.sum(dy * y, axis=-1, keepdims=True))


CASES = (
    Case("ordinary", Softmax(), ([0.7, -0.2, 0.1],)),
    Case("batch", Softmax(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("batch", Softmax(np.asarray([0.5, 2.0, 3.0])), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case(
        "extreme",
        Softmax(),
        ([[-1e4, 1e4, 0.0], [1e30, -1e30, 0.0]],),
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
        None,
        "limits",
    ),
    Case("known", Softmax(), ([0.0, 0.0, 0.0],), [1 / 3] * 3, [0.0] * 3, "equal logits; the sum is always 1"),
    Case("known", Softmax(np.asarray([1.0, 3.0, 4.0])), ([0.0] * 3,), [0.125, 0.375, 0.5], [0.0] * 3, "w/Σw"),
)
