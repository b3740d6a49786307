"""The networks that are trained side by side, and the job that each contestant is given."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

VARIANTS = ("SGD", "Adam", "dropout", "L2")  # the last two with Adam
PENALTY, RATE_LEFT_OUT = 1e-4, 0.2
# Losses of every epoch of a turn agree with ours to this, relative: sums in another order, amplified by the updates.
ROUNDING = 1e-3
# Keras and scikit-learn add ε of Adam before they correct the bias of v, which moves the smallest gradients.
ANOTHER_EPSILON = 5e-3


class Network(NamedTuple):
    """A row of the benchmark: a network, its data, and how long a turn is."""

    name: str
    title: str
    hidden: tuple[int, ...]
    batch: int
    samples: int | None  # None: the digits that ship with the package
    epochs: int  # of a turn
    turns: int
    learning_rate: float
    peers: tuple[str, ...]
    features: int = 784


ALL = ("optax", "equinox", "keras", "torch", "sklearn")  # those on JAX first: threads of another library linger
NETWORKS = (
    Network("a", "64-64-10, batch 32, the digits", (64,), 32, None, 10, 7, 1e-3, ALL, 64),
    Network("b", "784-512-512-10, batch 128", (512, 512), 128, 2560, 2, 5, 1e-3, ALL),
    Network("c", "784, 20 × 256, 10, batch 256", (256,) * 20, 256, 4096, 1, 3, 1e-4, ("optax", "equinox", "torch")),
    Network("d", "784-4096-4096-10, batch 256", (4096, 4096), 256, 2048, 1, 3, 1e-4, ("optax", "torch")),
)
TOY = (Network("a", "5-8-3, batch 8, a toy", (8,), 8, 20, 2, 1, 1e-3, ALL, 5),)


class Contestant(NamedTuple):
    """One side: `run` trains the epochs of a turn from the initial parameters, which `reset` puts back."""

    reset: Callable[[], Any]
    run: Callable[[], Any]
    losses: Callable[[np.ndarray], list[float]] | None  # by epoch, for an order of the samples for each epoch
    accuracy: Callable[[], float]  # on the test set, after a run
    with_penalty: bool = False  # the losses include it
    rounding: float = ROUNDING  # how far the losses may be from ours, relative
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be trained."""

    network: Network
    variant: str

    @functools.cached_property
    def data(self) -> Any:
        """Return train and test pairs: the digits, or labels that a random linear map gives to normal noise."""
        import funcnet as fn

        if self.network.samples is None:
            digits = fn.data.digits()
            return digits.train, digits.test
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.network.samples + 1000, self.network.features), np.float32)
        y = (x @ rng.standard_normal((self.network.features, self.classes), np.float32)).argmax(1).astype(np.int32)
        return (x[:-1000], y[:-1000]), (x[-1000:], y[-1000:])

    @property
    def classes(self) -> int:
        """Return the number of outputs."""
        return 10 if self.network.features != 5 else 3

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the number of features and the width of each dense layer."""
        return (self.network.features, *self.network.hidden, self.classes)

    @property
    def samples(self) -> int:
        """Return the number of training samples."""
        return len(self.data[0][0])

    @property
    def batches(self) -> int:
        """Return the updates of an epoch."""
        return -(-self.samples // self.network.batch)

    @property
    def updates(self) -> int:
        """Return the updates of a turn."""
        return self.network.epochs * self.batches

    @property
    def dropout(self) -> float:
        """Return the dropout rate, 0 for none."""
        return RATE_LEFT_OUT if self.variant == "dropout" else 0.0

    @property
    def penalty(self) -> float:
        """Return λ of λ/2 Σ w² over the kernels, 0 for none."""
        return PENALTY if self.variant == "L2" else 0.0

    @functools.cached_property
    def experiment(self) -> Any:
        """Return the experiment of funcnet."""
        import funcnet as fn

        rate, network = self.network.learning_rate, self.network
        return fn.Experiment(
            fn.mlp(*self.widths[1:], dropout=self.dropout or None),
            fn.SoftmaxCrossEntropy(),
            fn.SGD(rate) if self.variant == "SGD" else fn.Adam(rate),
            regularizer=fn.L2(self.penalty) if self.penalty else None,
            batch_size=network.batch,
            epochs=network.epochs,
        )

    @functools.cached_property
    def prepared(self) -> Any:
        """Return experiment and data as arrays."""
        from funcnet.training.preparing import prepare

        return prepare(self.experiment, self.data[0])

    @functools.cached_property
    def start(self) -> Any:
        """Return the state of funcnet before the first update."""
        import jax

        return jax.block_until_ready(begun(*self.prepared))

    @property
    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the initial kernel (in × out) and bias of each dense layer, from which everybody starts."""
        return [(np.asarray(own["kernel"]), np.asarray(own["bias"])) for own in self.start.params if own]

    @functools.cached_property
    def orders(self) -> np.ndarray:
        """Return the order in which funcnet visits the samples, epochs × samples."""
        from funcnet.training.steps import batches

        experiment, _ = self.prepared
        found = []
        for epoch in range(self.network.epochs):
            numbers, _ = batches(experiment, np.int32(epoch), self.samples)
            found.append(np.arange(self.samples) if numbers is None else np.ravel(numbers)[: self.samples])
        return np.stack(found).astype(np.int32)


def begun(experiment: Any, data: Any) -> Any:
    """Return the state of an experiment before its first update."""
    from funcnet.training.runners import begin_program

    return begin_program("cpu")(experiment, data, None)


def walked(experiment: Any, state: Any, data: Any, until: Any) -> Any:
    """Return the state after so many epochs in all."""
    import jax

    from funcnet.training.runners import walk_program

    return walk_program(tuple(jax.local_devices()[:1]))(experiment, state, data, np.int32(until), np.int32(2**30))
