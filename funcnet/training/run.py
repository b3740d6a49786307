r"""What a training run leaves."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.arrays import arrays_of, check_set
from funcnet.errors import raise_error
from funcnet.io import save
from funcnet.layers.activate import as_layer
from funcnet.metrics.accuracy import Accuracy
from funcnet.metrics.base import as_metric
from funcnet.objective import block_rows
from funcnet.records import canonical
from funcnet.training.drawing import curves, table
from funcnet.training.experiment import Experiment, endings
from funcnet.training.state import DIVERGED, NEVER, WINDOW, State, columns, gather_history
from funcnet.training.steps import measure
from funcnet.training.updates import computing, features, read
from funcnet.trees import default_real


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Run:
    r"""How a run went, and the parameters that it found.

    Attributes:
        experiment: what was trained.
        params: the last parameters; of a run that diverged, the best ones.
        best_params: the parameters of the best epoch, or their average if the optimizer keeps one; before there is one,
            the initial ones.
        history: one array a column, one number an epoch: train_loss (mean over the epoch's batches as they were
            trained, dropout included), objective (with the penalty, if there is one), gradient_norm (of the epoch's
            mean gradient, if a rule watches it), train_ and validation_ columns of the metrics, validation_loss.
        best_epoch: the index of the best epoch in the history, −1 if there is none.
        stopped: why the run ended: epochs, patience, tolerance, diverged, or the name of another stopping rule.
        first_bad_step: the update (from 0) whose loss was not finite, or None.
        state: what the run carries, from which training can go on.
        extra: what was kept with the run when it was saved.

    >>> import funcnet as fn
    >>> x, y = fn.data.moons(samples=100)
    >>> run = fn.train(fn.Experiment(fn.mlp(8, 2), fn.SoftmaxCrossEntropy(), fn.Adam(0.1)), (x, y), progress=False)
    >>> run.epochs, run.stopped, run.history["train_loss"].shape, run.labels(x).shape
    (20, 'epochs', (20,), (100,))

    """

    experiment: Experiment
    params: Any
    best_params: Any
    history: dict[str, np.ndarray]
    best_epoch: int
    stopped: str
    first_bad_step: int | None
    state: State
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Return the number of epochs that were run."""
        return int(self.state.epoch)

    def predict(self, x: Any) -> np.ndarray:
        r"""Return what the network gives for features, with the best parameters, without dropout.

        Args:
            x: features like those of training, an array or tree of arrays; any number of samples, walked in blocks.

        Returns:
            Outputs (samples, …) as the loss takes them: logits for a loss of logits.

        >>> import numpy as np, funcnet as fn
        >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
        >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
        >>> run = fn.train(line, (x, 3 * x + 1))
        >>> print(np.round(run.predict(np.float32([[2.0]])), 3))
        [[7.]]

        """
        return predictions(self.experiment, self.best_params, x)

    def probabilities(self, x: Any) -> np.ndarray:
        """Return the probability of each class, (samples, classes), for losses of logits or probabilities."""
        return np.asarray(self.experiment.loss.probabilities(jnp.asarray(self.predict(x))))

    def labels(self, x: Any) -> np.ndarray:
        """Return the likeliest class of each sample, by its number, or by its name if `extra` holds "classes".

        Where each output is a yes or no of its own, whether it is yes.
        """
        rules = [metric for metric in self.experiment.loss.metrics() if isinstance(metric, Accuracy)]
        if not rules:
            must, attempt = "labels need a loss that classifies", "run.predict"
            raise_error(must, f"got {type(self.experiment.loss).__name__}", attempt, TypeError)
        outputs = self.predict(x)
        if rules[0].threshold is not None:
            return np.asarray(outputs >= rules[0].threshold if rules[0].inclusive else outputs > rules[0].threshold)
        found = np.argmax(outputs, axis=-1)
        return np.asarray(self.extra["classes"])[found] if "classes" in self.extra else found

    def save(self, path: Any, *, state: bool = False, **extra: Any) -> None:
        r"""Write the whole run to a file: experiment, parameters, history; `fn.load` reads it and runs no code.

        Args:
            path: the file; an old one stays until the new one is whole.
            state: whether to write the optimizer's state too, from which training can go on.
            extra: what else is to be kept with the run: `classes=["cat", "dog"]`, means and scales of features.

        >>> import numpy as np, funcnet as fn, tempfile, os
        >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
        >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=30)
        >>> run = fn.train(line, (x, 3 * x + 1))
        >>> path = os.path.join(tempfile.mkdtemp(), "line.run")
        >>> run.save(path, unit="metre")
        >>> again = fn.load(path)
        >>> print(np.array_equal(again.predict(x), run.predict(x)), again.extra["unit"])
        True metre

        """
        kept = self.state if state else self.state._replace(slots=(), params=(), best_params=())
        save(path, dataclasses.replace(self, state=kept, extra=self.extra | extra))

    def evaluate(self, x: Any, y: Any, weight: Any = None, *, metrics: tuple[Any, ...] = ()) -> dict[str, Any]:
        """Return loss and metrics of a set, with the best parameters; `metrics` are reported too."""
        x, y, weight = check_set((x, y) if weight is None else (x, y, weight), "the set")
        held = jax.tree.map(jnp.asarray, (x, y, weight))
        further = tuple(as_metric(metric) for metric in metrics)
        found = _measured(canonical(self.experiment), self.best_params, held, further)
        return {name: float(value) if np.ndim(value) == 0 else np.asarray(value) for name, value in found.items()}

    def plot(self) -> Any:
        """Draw loss and metrics by epoch, the first is 1, training and validation together, the best epoch marked.

        Returns:
            A `matplotlib.figure.Figure`, which belongs to no window: `run.plot().savefig("run.png")`.

        Raises:
            ImportError: without Matplotlib.

        """
        return curves(self.history, self.best_epoch, self._heading())

    def _repr_html_(self) -> str:
        return table(self.history, self.best_epoch, self._heading())

    def _heading(self) -> str:
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        network = type(self.experiment.network).__name__
        return f"Run of {network}, {count:,} parameters: {self.epochs} epochs, stopped by {self.stopped}"

    def __repr__(self) -> str:
        best = "no best epoch"  # a run was interrupted in its first
        if self.best_epoch >= 0:
            best = f"best epoch {self.best_epoch + 1} of {self.epochs}"
            values = (f"{name} {float(column[self.best_epoch]):.4g}" for name, column in self.history.items())
            best += f": {', '.join(values)}"
        return "\n".join([self._heading(), best, f"history: {', '.join(self.history)}"])


def finish(
    experiment: Experiment, state: State, history: dict[str, np.ndarray] | None = None, stopped: str | None = None
) -> Run:
    r"""Read a state on the host.

    Args:
        experiment: what was trained.
        state: where it stands.
        history: the columns of all epochs; None reads those that the state still holds, the last 64.
        stopped: why the run ended, if not by itself.

    Returns:
        A `Run`.

    Raises:
        ValueError: without `history` after more epochs than a state holds.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> from funcnet.training.state import Data
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> data = Data(jnp.ones((4, 1)), jnp.full((4, 1), 3.0))
    >>> state = jax.jit(fn.advance)(line, fn.begin(line, data), data, 10)
    >>> run = fn.finish(line, state)
    >>> run.epochs, run.stopped
    (10, 'epochs')

    """
    epochs, bad, reason = int(state.epoch), int(state.first_bad_step), int(state.reason)
    if history is None:
        if epochs > WINDOW:
            raise_error(
                f"a state holds the history of {WINDOW} epochs",
                f"this one has run {epochs}",
                "gather the history between calls of advance, or fn.train",
            )
        history = gather_history({}, state.history, 0, epochs)
    order = {name: history[name] for name in columns(experiment, any(c.startswith("validation_") for c in history))}
    return Run(
        experiment=experiment,
        params=state.best_params if reason == DIVERGED else state.params,
        best_params=state.best_params,
        history=order | history,
        best_epoch=int(state.best_epoch),
        stopped=stopped or endings(experiment)[reason],
        first_bad_step=None if bad == NEVER else bad,
        state=state,
    )


_measured = jax.jit(measure)


@jax.jit
def _outputs(experiment: Experiment, params: Any, x: Any) -> Any:
    low, x = computing(experiment, (params, read(experiment, x)))
    return as_layer(experiment.network).apply(low, x)


_ROWS: dict[Any, int] = {}


def _block_rows(network: Any, params: Any, one: Any) -> int:
    """Return `block_rows`, which traces a pass, once for all networks of a structure."""
    leaves, structure = jax.tree.flatten((network, params, one))
    key = structure, default_real(), tuple((np.shape(leaf), str(jnp.result_type(leaf))) for leaf in leaves)
    if key not in _ROWS:
        _ROWS[key] = block_rows(network, params, one)
    return _ROWS[key]


def predictions(experiment: Experiment, params: Any, x: Any) -> Any:
    """Return what a network gives for features, walked in blocks, the last one filled up so that one program serves."""
    x = arrays_of(x, "x")
    samples = len(jax.tree.leaves(x)[0])
    if samples == 0:
        raise_error("x must hold at least one sample", "it is empty", "a set that is not empty")
    network, experiment = as_layer(experiment.network), canonical(experiment)
    one = jax.tree.map(lambda s: jax.ShapeDtypeStruct((1, *s.shape), s.dtype), features(experiment, x))
    network.check_input(features(experiment, x))
    if experiment.transform is None:
        network.check_values(x)
    rows = min(_block_rows(network, params, one), 1 << (samples - 1).bit_length())
    found = []
    for start in range(0, samples, rows):
        block = jax.tree.map(lambda a: np.take(a, np.arange(start, start + rows), axis=0, mode="clip"), x)  # noqa: B023
        found.append(jax.tree.map(lambda a: np.asarray(a)[: samples - start], _outputs(experiment, params, block)))  # noqa: B023
    return jax.tree.map(lambda *blocks: np.concatenate(blocks), *found)
