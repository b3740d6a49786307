r"""The perceptron criterion: the loss whose gradient step is the perceptron learning rule.

Forward    e = (H(z) − t) z,   H(z) = 1 where z ≥ 0, else 0;   l = (1/k) Σⱼ eⱼ
Backward   dz = (H(z) − t) dl / k

Derivation. With t = 1: e = −z for z < 0 and 0 beyond, that is max(0, −z), with slope −1 where the decision is wrong;
with t = 0: max(0, z), slope 1 where it is wrong. Through z = w·x + b a step of rate η adds η (t − H(z)) x to w:
Rosenblatt's rule. A network that ends in `Step` has derivative 0 and learns nothing; trained on the score before the
step, it does.

Shapes     z, t: (…, k), equal; t is 0 or 1; a rank-1 z is n samples of one output.
Kink       At z = 0 the unit fires (H = 1), so the stated subgradient is 1 − t: at one end of the subdifferential.
Source     Article A2.1 (the neuron and its threshold); Rosenblatt 1958; Duda, Hart & Stork 2001, section 5.5.
"""

from typing import Any, ClassVar

import jax

from funcnet.cases import Case
from funcnet.losses.base import OutputLoss
from funcnet.metrics import Accuracy, Metric
from funcnet.records import record
from funcnet.targets import check_binary


@record
class PerceptronCriterion(OutputLoss):
    r"""(H(z) − t) z, from the scores z before a step.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> print(fn.PerceptronCriterion()(jnp.asarray([-2.0, 2.0, 1.0]), jnp.asarray([1, 1, 0])))  # (2 + 0 + 1)/3
    1.0
    """

    FORMULA: ClassVar[str] = "Piecewise(((1 - t) * p, p >= 0), (-t * p, True))"
    DERIVATIVE: ClassVar[str] = "Piecewise((1 - t, p >= 0), (-t, True))"

    def check_target(self, prediction: jax.Array, target: Any) -> jax.Array:
        """Require labels 0 and 1 of the shape of the scores."""
        return super().check_target(prediction, check_binary(prediction, target))

    def element(self, prediction: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return (H(z) − t) z and the error H(z) − t."""
        error = (prediction >= 0).astype(prediction.dtype) - target
        return error * prediction, error

    def element_backward(self, saved: jax.Array) -> jax.Array:
        """Return H(z) − t."""
        return saved

    def metrics(self) -> tuple[Metric, ...]:
        """Return the accuracy by units that fire as they should."""
        return (Accuracy(threshold=0.0, inclusive=True),)


CASES = (
    Case("ordinary", PerceptronCriterion(), ([[0.3, -1.2]], [[0, 1]])),
    Case("batch", PerceptronCriterion(), ([[0.3, -1.2], [2.0, 0.7], [-0.4, 1.1]], [[1, 0], [0, 1], [1, 1]])),
    Case("kink", PerceptronCriterion(), ([0.0, 0.0], [0, 1]), 0.0, [0.5, 0.0], "stated: (H(0) − t)/2 with H(0) = 1"),
    Case("extreme", PerceptronCriterion(), ([1e30, -1e30], [0, 1]), 1e30, [0.5, -0.5], "|z|"),
    Case(
        "known",
        PerceptronCriterion(),
        ([-2.0, 2.0, 1.5], [1, 1, 1]),
        2 / 3,
        [-1 / 3, 0.0, 0.0],
        "one of three is wrong",
    ),
)
