r"""SiLU, the sigmoid-weighted linear unit, also called swish.

Forward    y = z σ(z),  σ(z) = 1 / (1 + e^(−z))
Backward   dz = (σ(z) + z σ(z) (1 − σ(z))) dy

Derivation. The product rule, with σ′ = σ (1 − σ).

Shapes     z, y, dz: any, equal.
Extremes   Far out y is z on the right and 0 on the left, where σ underflows from z = −88 in float32.
Source     Hendrycks & Gimpel 2016 and Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017 (swish, β =
           1).
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from funcnet.activations.base import Elementwise, bounded
from funcnet.cases import Case
from funcnet.records import record


@record
class SiLU(Elementwise):
    r"""z σ(z).

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.SiLU()(jnp.asarray([-1e4, 0.0, 1e4])))
    [   -0.     0. 10000.]
    """

    FORMULA: ClassVar[str] = "z / (1 + exp(-z))"
    DERIVATIVE: ClassVar[str] = "1 / (1 + exp(-z)) + z * exp(-z) / (1 + exp(-z))**2"
    INITIALIZER: ClassVar[str] = "he"

    def forward(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return z σ(z), and z: y takes some values twice, so z does not follow from it."""
        return jnp.maximum(z, -1000) * jax.lax.logistic(z), z

    def backward(self, saved: jax.Array, dy: jax.Array) -> jax.Array:
        """Return dz = (σ + z σ (1 − σ)) dy."""
        z = bounded(saved)
        s = jax.lax.logistic(z)
        return (s + z * (s * (1 - s))) * dy


CASES = (
    Case("ordinary", SiLU(), ([0.7],)),
    Case("batch", SiLU(), ([[-2.0, -0.1, 0.3], [1.5, 4.0, -6.0]],)),
    Case("extreme", SiLU(), ([-1e30, -1e4, 1e4, 1e30],), [0.0, 0.0, 1e4, 1e30], [0.0, 0.0, 1.0, 1.0], "limits"),
    Case("known", SiLU(), ([0.0, 1.0986122886681098],), [0.0, 0.8239592165010823], None, "σ(log 3) = ¾"),
)
