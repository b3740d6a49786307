r"""The experiment: everything that decides a run, but for the data, in one record.

Its numbers (rates, strengths, patience, epochs, seeds) are leaves, its choices (kinds, widths, batch size) structure.
Two experiments with equal structure train in one compiled program.

This is the door: what enters an experiment is adopted here, with the defaults of its protocol filled in, or refused.
"""

from typing import Any

from funcnet.activations.base import Activation
from funcnet.errors import describe, raise_error
from funcnet.layers.activate import as_layer
from funcnet.losses import as_loss, require_scalar
from funcnet.metrics import as_metric
from funcnet.optimizers.foreign import as_optimizer
from funcnet.records import choice, integer, is_record, part, record
from funcnet.regularizers.base import as_regularizer
from funcnet.training.stopping import StoppingRule, as_rule

PRECISIONS = (None, "bfloat16", "float16", "float32", "float64")


@record
class Experiment:
    r"""A network, a loss, an optimizer, and how to train.

    Args:
        network: a layer, chain or activation.
        loss: what to minimise.
        optimizer: anything with `init(params)` and `update(gradient, state, params)`.
        regularizer: a penalty on the parameters, or None.
        stopping: a rule such as `EarlyStopping(5)`, a tuple of rules, or None.
        batch_size: samples an update, at least 1; None, or more than there are, is the whole set. The last incomplete
            batch is filled up by the next samples of the order at weight 0.
        epochs: passes over the training set, at most; at least 1.
        seed: decides initial parameters and dropout.
        data_seed: decides the order of the samples; apart from `seed`, so that experiments can share one order.
        metrics: what to report beside the loss, a tuple of metrics: of the epoch as it was trained, dropout included,
            and of the validation set.
        best_by: the column of the history by which the best epoch is chosen; None: that of the first `EarlyStopping`,
            else the validation loss, else the train loss.
        freeze: dotted paths of the parameters, such as "0" or "2.kernel", that keep the values they begin with; numbers
            that follow the data included.
        transform: a pure function `transform(x, key)` of a batch's features, inside the program: from bytes to floats,
            for instance. The key is None except in training. None leaves features as they are.
        dtype: of the parameters, JAX's default float dtype unless one is named. Features are read in it.
        compute: the dtype in which the passes compute, "bfloat16" for instance, with parameters, updates and sums in
            `dtype`; None computes in `dtype`.

    Raises:
        ValueError, TypeError: when a part is not what it should be.

    >>> import jax, funcnet as fn
    >>> a = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.SGD(0.1), seed=1)
    >>> b = fn.replace(a, {"optimizer.learning_rate": 0.2, "epochs": 7, "seed": 2})
    >>> jax.tree.structure(a) == jax.tree.structure(b)
    True

    """

    network: Any = part()
    loss: Any = part()
    optimizer: Any = part()
    regularizer: Any = part(default=None)
    stopping: Any = part(default=None)
    batch_size: int | None = choice(default=32, at_least=1, optional=True)
    epochs: Any = integer(default=20, at_least=1)
    seed: Any = integer(default=0)
    data_seed: Any = integer(default=0)
    metrics: tuple[Any, ...] = part(default=())
    best_by: str | None = choice(default=None, optional=True)
    freeze: tuple[str, ...] = choice(default=())
    transform: Any = part(default=None)
    dtype: str | None = choice(default=None, options=PRECISIONS)
    compute: str | None = choice(default=None, options=PRECISIONS)

    def __post_init__(self) -> None:
        network = self.network if isinstance(self.network, Activation) else as_layer(self.network)
        loss = as_loss(self.loss)
        require_scalar(loss)
        rules = self.stopping
        if rules is not None:
            rules = tuple(map(as_rule, rules)) if isinstance(rules, tuple) else as_rule(rules)
        listed = self.metrics if isinstance(self.metrics, (tuple, list)) else (self.metrics,)
        adopted = {
            "network": network,
            "loss": loss,
            "optimizer": as_optimizer(self.optimizer),
            "regularizer": None if self.regularizer is None else as_regularizer(self.regularizer),
            "stopping": rules,
            "metrics": tuple(as_metric(metric, column=True) for metric in listed),
            "transform": None if self.transform is None else as_transform(self.transform),
        }
        for name, value in adopted.items():
            object.__setattr__(self, name, value)
        self._check_proximal()

    def _check_proximal(self) -> None:
        if self.regularizer is None or not self.regularizer.proximal:
            return
        name = type(self.regularizer).__name__
        if not self.optimizer.has_rate:
            raise_error(
                "a proximal regularizer needs the optimizer's learning rate, from a method rate(state)",
                f"got {type(self.optimizer).__name__} without one",
                "an optimizer of funcnet, or proximal=False",
            )
        if watches_gradient(stopping_rules(self)):
            raise_error(
                "the gradient's norm vanishes at a solution only without a proximal regularizer",
                f"got {name} with proximal=True",
                'Convergence(of="objective")',
            )


@record
class Transform:
    """A function of a batch's features and a key, held as structure."""

    function: Any = choice()

    def __call__(self, x: Any, key: Any) -> Any:
        """Apply the function."""
        return self.function(x, key)


def as_transform(transform: Any) -> Any:
    """Return a record that is callable, or a function as one."""
    if callable(transform) and not isinstance(transform, type):
        return transform if is_record(transform) else Transform(transform)
    must, attempt = "transform must be a function of (x, key)", "lambda x, key: x.astype(jnp.float32) / 255"
    raise_error(must, f"got {describe(transform)}", attempt, TypeError)


def stopping_rules(experiment: Experiment) -> tuple[StoppingRule, ...]:
    """Return the stopping rules as a tuple, empty without any."""
    rules = experiment.stopping
    return () if rules is None else rules if isinstance(rules, tuple) else (rules,)


def watches_gradient(rules: tuple[StoppingRule, ...]) -> bool:
    """Tell whether a rule needs the norm of the gradient, which training computes on demand only."""
    return any("gradient_norm" in rule.watches for rule in rules)


def endings(experiment: Experiment) -> tuple[str, ...]:
    """Return why runs of an experiment may end, in the order of the codes that its state holds."""
    return ("epochs", "diverged", *(rule.REASON for rule in stopping_rules(experiment)))
