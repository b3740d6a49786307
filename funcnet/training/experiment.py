r"""The experiment: everything that decides a run, but for the data, in one record.

Its numbers (rates, strengths, patience, seeds) are leaves, its choices (kinds, widths, batch size, epochs)
structure. Two experiments with equal structure train in one compiled program.
"""

from typing import Any

from funcnet.errors import describe, raise_error
from funcnet.layers.base import as_layer
from funcnet.losses import as_loss, require_scalar
from funcnet.optimizers.foreign import adopt
from funcnet.records import choice, integer, part, record
from funcnet.training.stopping import watches_gradient


@record
class Experiment:
    r"""A network, a loss, an optimizer, and how to train.

    Args:
        network: a layer, chain or activation.
        loss: what to minimise.
        optimizer: anything with `init(params)` and `update(gradient, state, params)`.
        regularizer: a penalty on the parameters, or None.
        stopping: a rule such as `EarlyStopping(5)`, a tuple of rules, or None.
        batch_size: samples an update; None is the whole set. A last incomplete batch takes part with its true weight.
        epochs: passes over the training set, at most.
        seed: decides initial parameters and dropout.
        data_seed: decides the order of the samples; apart from `seed`, so that experiments can share one order.

    Raises:
        ValueError, TypeError: when a part is not what it should be.

    >>> import jax, funcnet as fn
    >>> a = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.1), seed=1)
    >>> b = fn.replace(a, {"optimizer.learning_rate": 0.2, "seed": 2})
    >>> jax.tree.structure(a) == jax.tree.structure(b)
    True

    """

    network: Any = part()
    loss: Any = part()
    optimizer: Any = part()
    regularizer: Any = part(default=None)
    stopping: Any = part(default=None)
    batch_size: int | None = choice(default=32, at_least=1, optional=True)
    epochs: int = choice(default=20, at_least=1)
    seed: Any = integer(default=0)
    data_seed: Any = integer(default=0)

    def __post_init__(self) -> None:
        as_layer(self.network)
        object.__setattr__(self, "loss", as_loss(self.loss))
        require_scalar(self.loss)
        _require("optimizer", self.optimizer, ("init", "update"), "fn.SGD(0.1)")
        object.__setattr__(self, "optimizer", adopt(self.optimizer))
        if self.regularizer is not None:
            _require("regularizer", self.regularizer, ("gradient", "prox", "proximal"), "fn.L2(1e-4)")
            if self.regularizer.proximal and not hasattr(self.optimizer, "rate"):
                raise_error(
                    "a proximal regularizer needs the optimizer's learning rate, from a method rate(state)",
                    f"got {type(self.optimizer).__name__} without one",
                    "an optimizer of funcnet, or proximal=False",
                )
        for rule in stopping_rules(self):
            _require("stopping", rule, ("start", "judge"), "fn.EarlyStopping(5)")
        if watches_gradient(stopping_rules(self)) and self.regularizer is not None and self.regularizer.proximal:
            raise_error(
                "the gradient's norm vanishes at a solution only without a proximal regularizer",
                f"got {type(self.regularizer).__name__} with proximal=True",
                'Convergence(of="objective")',
            )


def stopping_rules(experiment: Experiment) -> tuple[Any, ...]:
    """Return the stopping rules as a tuple, empty without any."""
    rules = experiment.stopping
    return () if rules is None else rules if isinstance(rules, tuple) else (rules,)


def _require(role: str, value: Any, methods: tuple[str, ...], example: str) -> None:
    if isinstance(value, type) or not all(hasattr(value, name) for name in methods):
        arrived = f"the class {value.__name__}" if isinstance(value, type) else describe(value)
        raise_error(f"{role} must have {' and '.join(methods)}", f"got {arrived}", example, TypeError)
