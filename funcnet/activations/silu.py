r"""SiLU, the sigmoid-weighted linear unit, also called swish.

Forward    y = z σ(z),  σ(z) = 1 / (1 + e^(−z))
Backward   dz = (σ(z) + z σ(z) (1 − σ(z))) dy

Derivation. The product rule, with σ′ = σ (1 − σ).

Forms      `special.times_sigmoid` and its slope, which keep every factor in [0, 1] and scale by the power of
           two of e^(−|z|) last: at z = −90 in float32, e^z is too small a number while z e^z is not. A little
           less exact than the other activations: within 2.04 units in the last place (at z = −0.81).
Shapes     z, y, dz: any, equal.
Extremes   Finite for all finite z: y is z far out on the right and underflows to 0 on the left.
Source     Hendrycks & Gimpel 2016 and Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017 (swish, β =
           1).
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise
from funcnet.activations.special import times_sigmoid, times_sigmoid_slope, vanishing
from funcnet.cases import Case
from funcnet.records import record


@record
class SiLU(Elementwise):
    r"""z σ(z).

    >>> import jax.numpy as jnp
    >>> print(SiLU()(jnp.asarray([-1e4, 0.0, 1e4])))
    [   -0.     0. 10000.]
    """

    FORMULA: ClassVar[str] = "z / (1 + exp(-z))"
    DERIVATIVE: ClassVar[str] = "1 / (1 + exp(-z)) + z * exp(-z) / (1 + exp(-z))**2"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return z σ(z), and z: y takes some values twice, so z does not follow from it."""
        return times_sigmoid(z, z), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (σ + z σ (1 − σ)) dy."""
        z = saved
        return times_sigmoid_slope(jnp.maximum(z, -vanishing(z)), z) * dy


CASES = (
    Case("ordinary", SiLU(), ([0.7],)),
    Case("batch", SiLU(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", SiLU(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1e4, 1e30], [0.0, 0.0, 1.0, 1.0], "limits"),
    Case("known", SiLU(), ([0.0, 1.0986122886681098],), [0.0, 0.8239592165010823], None, "σ(log 3) = ¾"),
)
