r"""Training: one experiment, one compiled program.

Training is three pure functions of one state:

    begin(experiment, data) -> state                       draw parameters, empty slots and history
    advance(experiment, state, data, until) -> state       run epochs until one is reached, or a rule stops the run
    finish(experiment, state) -> Run                       read the state on the host

`train` compiles the first two into one program. Every random number is derived from a seed and the position in the run,
never carried, so a run that is interrupted between epochs and resumed from its state is bit for bit the run that was
not.

An epoch visits the samples in a random order, in batches; each batch is one update. If the batch size does not
divide the number of samples, the last batch is filled up with samples of weight 0: its mean is over its true samples.

A run diverges at the first update whose loss is not finite, or at the end of an epoch whose parameters are not, and
ends with that epoch. No copies are kept for that case: the state ends with parameters that are of no use, but for the
best ones, and `train` runs once more, by `rewind`, up to the last parameters whose loss was finite.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.arrays import check_pair
from funcnet.errors import describe, raise_error
from funcnet.keys import fold, order
from funcnet.layers.base import as_layer
from funcnet.objective import Terms, evaluate, terms
from funcnet.optimizers.base import proximal_update
from funcnet.records import canonical
from funcnet.training.experiment import Experiment, stopping_rules
from funcnet.training.state import NEVER, Data, Run, State, columns, monitored
from funcnet.training.stopping import REASONS, lower_is_better
from funcnet.trees import global_norm


def begin(experiment: Experiment, data: Data) -> State:
    """Draw parameters from the seed and set everything else to its start."""
    key = fold(jax.random.key(experiment.seed), 0)
    params = as_layer(experiment.network).init(key, data.x.shape[1:], data.x.dtype)
    validated = data.validation is not None
    real = jnp.zeros(()).dtype
    return State(
        params=params,
        slots=experiment.optimizer.init(params),
        epoch=jnp.zeros((), jnp.int32),
        step=jnp.zeros((), jnp.int32),
        best_params=params,
        best_value=jnp.full((), jnp.inf, real),
        best_epoch=jnp.full((), -1, jnp.int32),
        stopping=tuple(rule.start() for rule in stopping_rules(experiment)),
        reason=jnp.zeros((), jnp.int32),
        first_bad_step=jnp.full((), NEVER, jnp.int32),
        history={name: jnp.full((experiment.epochs,), jnp.nan, real) for name in columns(experiment, validated)},
    )


def advance(experiment: Experiment, state: State, data: Data, until: Any) -> State:
    """Run epochs until `until` have been finished in all, or a rule ends the run."""
    last = jnp.minimum(jnp.asarray(until, jnp.int32), experiment.epochs)
    return jax.lax.while_loop(
        lambda state: (state.reason == 0) & (state.epoch < last),
        lambda state: run_epoch(experiment, state, data),
        state,
    )


def batches(experiment: Experiment, epoch: jax.Array, samples: int) -> tuple[jax.Array | None, jax.Array | None]:
    """Return the sample numbers of each batch of an epoch (batches × batch size), and weights if one is incomplete."""
    size = experiment.batch_size or samples
    if size == samples:
        return None, None
    count = -(-samples // size)
    rows = order(fold(jax.random.key(experiment.data_seed), epoch), samples)
    if count * size == samples:
        return rows.reshape(count, size), None
    rows = jnp.pad(rows, (0, count * size - samples))
    return rows.reshape(count, size), (jnp.arange(count * size) < samples).reshape(count, size)


def run_epoch(experiment: Experiment, state: State, data: Data) -> State:
    """Run one epoch: every batch, then validation, the history, the best so far, and the stopping rules."""
    numbers, present = batches(experiment, state.epoch, data.x.shape[0])
    dropout_key = fold(jax.random.key(experiment.seed), 1)
    summed = experiment.loss.reduction == "sum"

    def update(carry: Any, batch: Any) -> tuple[Any, None]:
        params, slots, step, sums, first_bad, gathered = carry
        params, slots, found = update_batch(experiment, data, dropout_key, params, slots, step, batch)
        first_bad = jnp.where(jnp.isfinite(found.loss), first_bad, jnp.minimum(first_bad, step))
        count = found.total_weight.astype(sums[0].dtype)
        loss, penalty = found.loss.astype(count.dtype), found.penalty.astype(count.dtype)
        share = jnp.ones_like(count) if summed else count
        sums = (sums[0] + loss * share, sums[1] + penalty * count, sums[2] + count)
        if gathered is not None:
            gathered = jax.tree.map(lambda a, g: a + share.astype(g.dtype) * g, gathered, found.gradient)
        return (params, slots, step + 1, sums, first_bad, gathered), None

    none = jnp.zeros((), state.best_value.dtype)
    gathered = jax.tree.map(jnp.zeros_like, state.params) if "gradient_norm" in state.history else None
    carry = (state.params, state.slots, state.step, (none, none, none), state.first_bad_step, gathered)
    if numbers is None:
        carry, _ = update(carry, (None, None))
    else:
        carry, _ = jax.lax.scan(update, carry, (numbers, present))
    params, slots, step, (loss, penalty, count), first_bad, gathered = carry

    first_bad = jnp.where(_finite(params), first_bad, jnp.minimum(first_bad, step - 1))
    diverged = first_bad < NEVER
    count = jnp.maximum(count, jnp.finfo(count.dtype).tiny)
    train_loss = loss if summed else loss / count
    metrics = {"train_loss": train_loss, "objective": train_loss + penalty / count}
    if gathered is not None:
        length = global_norm(gathered).astype(none.dtype)
        metrics["gradient_norm"] = length if summed else length / count
    if data.validation is not None:
        found = evaluate(experiment.network, experiment.loss, params, *data.validation)
        metrics |= {f"validation_{name}": value.astype(none.dtype) for name, value in found.items()}
    # A sweep keeps a window of the history here, and the rest on the host.
    place = {name: state.epoch % column.shape[0] for name, column in state.history.items()}
    history = {name: column.at[place[name]].set(metrics[name]) for name, column in state.history.items()}

    metric = monitored(experiment, data.validation is not None)
    value = lower_is_better(metric, metrics[metric])
    better = (value < state.best_value) & ~diverged
    reason, stopping = state.reason, []
    for rule, memory in zip(stopping_rules(experiment), state.stopping, strict=True):
        memory, stop = rule.judge(memory, metrics)
        reason = jnp.where((reason == 0) & stop, REASONS.index(rule.REASON), reason)
        stopping.append(memory)
    return State(
        params=params,
        slots=slots,
        epoch=state.epoch + 1,
        step=step,
        best_params=_select(better, params, state.best_params),
        best_value=jnp.where(better, value, state.best_value),
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        stopping=tuple(stopping),
        reason=jnp.where(diverged, REASONS.index("diverged"), reason).astype(jnp.int32),
        first_bad_step=first_bad,
        history=history,
    )


def update_batch(
    experiment: Experiment, data: Data, dropout_key: jax.Array, params: Any, slots: Any, step: jax.Array, batch: Any
) -> tuple[Any, Any, Terms]:
    """Make one update from one batch; return the next parameters and slots, and the terms before it."""
    rows, weight = batch
    # The numbers of an order are in range: nothing is to be checked or clipped.
    x, y = (a if rows is None else a.at[rows].get(mode="promise_in_bounds") for a in (data.x, data.y))
    found = terms(
        experiment.network,
        experiment.loss,
        params,
        x,
        y,
        regularizer=experiment.regularizer,
        weight=None if weight is None else weight.astype(x.dtype),
        key=fold(dropout_key, step),
    )
    optimizer, regularizer = experiment.optimizer, experiment.regularizer
    if regularizer is not None and regularizer.proximal:
        params, slots = proximal_update(optimizer, regularizer, found.gradient, slots, params)
    else:
        updates, slots = optimizer.update(found.gradient, slots, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params, slots, found


def rewind(experiment: Experiment, state: State, data: Data) -> State:
    """Walk on from a state, two epochs at most, to the last parameters whose loss is finite."""
    epochs = [batches(experiment, state.epoch + later, data.x.shape[0]) for later in range(2)]
    count = 1 if epochs[0][0] is None else epochs[0][0].shape[0]
    numbers, present = jax.tree.map(lambda *columns: jnp.concatenate(columns), *epochs)
    dropout_key = fold(jax.random.key(experiment.seed), 1)

    def onward(carry: Any) -> Any:
        good, (params, slots), index, _ = carry
        batch = jax.tree.map(lambda column: column[index], (numbers, present))
        *ahead, found = update_batch(experiment, data, dropout_key, params, slots, state.step + index, batch)
        sound = jnp.isfinite(found.loss) & _finite(params)
        return _select(sound, (params, slots), good), tuple(ahead), index + 1, sound

    start = (state.params, state.slots)
    first = (start, start, jnp.zeros((), jnp.int32), jnp.asarray(True))
    (params, slots), *_ = jax.lax.while_loop(lambda carry: carry[3] & (carry[2] < 2 * count), onward, first)
    return state._replace(params=params, slots=slots)


def _finite(params: Any) -> jax.Array:
    """Tell whether all parameters are finite: 0 · x is 0 if x is, else NaN, and sums of it are fast.

    Leaves of one shape are added up, to compile less.
    """
    zeros: dict[Any, jax.Array] = {}
    for leaf in jax.tree.leaves(params):
        group = leaf.shape, leaf.dtype
        zeros[group] = zeros[group] + 0 * leaf if group in zeros else 0 * leaf
    finite = [jnp.all(jnp.isfinite(jnp.sum(zero, axis=tuple(range(zero.ndim - 1))))) for zero in zeros.values()]
    return jnp.all(jnp.stack(finite or [jnp.asarray(True)]))


def _select(condition: jax.Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def finish(experiment: Experiment, state: State) -> Run:
    """Read a state on the host; the history is cut to the epochs that were run."""
    epochs, bad = int(state.epoch), int(state.first_bad_step)
    return Run(
        params=state.params,
        best_params=state.best_params,
        history={name: np.asarray(column)[:epochs] for name, column in state.history.items()},
        best_epoch=int(state.best_epoch),
        stopped=REASONS[int(state.reason)],
        stopped_epoch=epochs - 1,
        first_bad_step=None if bad == NEVER else bad,
        state=state,
    )


# On a CPU the compiler else copies a kernel before it updates it, in every step.
_compiled = functools.partial(jax.jit, compiler_options={"xla_cpu_copy_insertion_use_region_analysis": True})


@_compiled
def run_program(experiment: Experiment, data: Data, until: Any = NEVER) -> State:
    """Run a whole experiment as one program, or its first epochs."""
    return advance(experiment, begin(experiment, data), data, until)


rewind_program = jax.jit(rewind)


@functools.partial(_compiled, donate_argnames="state")
def advance_program(experiment: Experiment, state: State, data: Data, until: jax.Array) -> State:
    """Run a segment as one program; the buffers of the old state are reused for the new one."""
    return advance(experiment, state, data, until)


def prepare(experiment: Experiment, train: Any, validation: Any = None) -> tuple[Experiment, Data]:
    """Check experiment and data against each other, before anything compiles, and return both as arrays.

    Raises
    ------
    ValueError, TypeError
        When something does not fit; the message says what must hold, what arrived and what to try.

    """
    if not isinstance(experiment, Experiment):
        raise_error("experiment must be an Experiment", f"got {describe(experiment)}", "fn.Experiment(…)", TypeError)
    x, y = check_pair(train, "train")
    samples = x.shape[0]
    if experiment.batch_size is not None and experiment.batch_size > samples:
        raise_error(
            f"batch_size must be at most the number of training samples, {samples}",
            f"got {experiment.batch_size}",
            "batch_size=None for the whole set",
        )
    _check_targets(experiment, x, y, "train")
    pair = None
    if validation is not None:
        pair = check_pair(validation, "validation")
        if pair[0].shape[1:] != x.shape[1:] or pair[0].dtype != x.dtype:
            raise_error(
                "training and validation features must have the same width and dtype",
                f"got {describe(x)} and {describe(pair[0])}",
                "the same columns, in the same order, for both",
            )
        _check_targets(experiment, *pair, "validation")
    for rule in stopping_rules(experiment):
        metric = getattr(rule, "metric", "train_loss")
        if metric not in (*columns(experiment, validation is not None), "train_loss"):
            attempt = (
                'metric="validation_loss"' if validation is not None else 'validation=(x, y), or metric="train_loss"'
            )
            raise_error(
                f"{type(rule).__name__} watches {metric}, which must be measured",
                "this run has no such column",
                attempt,
            )
    data = jax.tree.map(jnp.asarray, Data(x, y, pair))
    return canonical(experiment), data


def _check_targets(experiment: Experiment, x: Any, y: Any, name: str) -> None:
    """Check targets against what the network would predict for these features."""
    shape = (x.shape[0], *as_layer(experiment.network).out_shape(tuple(x.shape[1:])))
    try:
        experiment.loss.check_target(jax.ShapeDtypeStruct(shape, jnp.asarray(x[:1]).dtype), y)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None


def train(experiment: Experiment, train: tuple[Any, Any], validation: tuple[Any, Any] | None = None) -> Run:
    r"""Train an experiment: the whole run is one compiled program.

    Experiments with equal structure and data of equal shape share one program, whatever their numbers.

    Args:
        experiment: what to train, and how.
        train: features (samples, features) of a floating dtype, and targets (samples, …).
        validation: features and targets of a held-out set, or None; measured after every epoch.

    Returns:
        A `Run`: parameters, best parameters, history by epoch, and why it ended.

    Raises:
        ValueError, TypeError: before anything compiles, when data and experiment do not fit.

    >>> import numpy as np, funcnet as fn
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=100)
    >>> run = fn.train(line, (x, 3 * x + 1))
    >>> print(np.round(float(run.params["kernel"][0, 0]), 3), run.stopped)
    3.0 epochs

    """
    experiment, data = prepare(experiment, train, validation)
    state = run_program(experiment, data, NEVER)
    if REASONS[int(state.reason)] == "diverged":
        # The same program has the same bits: it stops short of the epoch before, where the last good update may be.
        before = run_program(experiment, data, int(state.epoch) - 2)
        found = rewind_program(experiment, before, data)
        state = state._replace(params=found.params, slots=found.slots)
    return finish(experiment, state)
