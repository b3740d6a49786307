r"""Training as pure functions of one state: an epoch is opened, stepped through and closed.

    begin(experiment, data) -> state                       draw parameters, empty slots, sums and history
    advance(experiment, state, data, until) -> state       run epochs until one is reached, or a rule stops the run

    open_epoch(state) -> state                             sums to 0
    step(experiment, moving, batch) -> moving              one update from one batch
    close_epoch(experiment, state, found) -> state         write the history, keep the best, ask the rules

Every random number is derived from a seed and the position in the run, never carried, so a run that is interrupted
between epochs and resumed from its state is bit for bit the run that was not.

An epoch visits the samples in a random order, in batches; each batch is one update. If the batch size does not divide
the number of samples, the last batch is filled up by the first samples of the order, at weight 0: its mean is over its
own samples, and what a layer measures of a batch is measured on true samples.

A run diverges at the first update whose loss is not finite, or at the end of an epoch whose parameters are not, and
ends with that epoch. The best parameters stay; before there are any, those are the initial ones.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.keys import fold, from_seed, order
from funcnet.layers.activate import as_layer
from funcnet.layers.base import shapes_of
from funcnet.objective import evaluate, mean
from funcnet.training.experiment import Experiment, stopping_rules, watches_gradient
from funcnet.training.state import DIVERGED, NEVER, WINDOW, Data, Moving, State, Sums, columns, monitored
from funcnet.training.stopping import oriented, worst
from funcnet.training.updates import computing, features, in_dtype, read, real_dtype, take, update
from funcnet.trees import all_finite, global_norm, map_leaves, select


def begin(experiment: Experiment, data: Data, start: Any = None) -> State:
    r"""Return the state before the first update.

    Args:
        experiment: what to train.
        data: what it will be trained on; its shapes decide those of the parameters.
        start: parameters to begin from, by the dotted paths of their leaves ("0.kernel"); what is not among them is
            drawn from the seed.

    Returns:
        A `State`.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> from funcnet.training.state import Data
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5))
    >>> state = fn.begin(line, Data(jnp.ones((4, 2)), jnp.ones((4, 1))))
    >>> print(state.params["kernel"].shape, state.epoch)
    (2, 1) 0

    """
    params = as_layer(experiment.network).init(
        fold(from_seed(experiment.seed), 0), shapes_of(features(experiment, data.x)), real_dtype(experiment)
    )
    if start:
        params = map_leaves(lambda path, leaf: jnp.asarray(start.get(path, leaf), leaf.dtype), params)
    zero, none = jnp.zeros((), jnp.int32), jnp.zeros(())
    names = columns(experiment, data.validation is not None)
    return State(
        params=params,
        slots=experiment.optimizer.init(params),
        epoch=zero,
        batch=zero,
        step=zero,
        best_params=params,
        best_value=worst(),
        best_epoch=jnp.full((), -1, jnp.int32),
        stopping=tuple(rule.start() for rule in stopping_rules(experiment)),
        reason=zero,
        first_bad_step=jnp.full((), NEVER, jnp.int32),
        sums=no_sums(experiment, data, params),
        history={name: jnp.zeros((WINDOW,), none.dtype) for name in names},
    )


def no_sums(experiment: Experiment, data: Data, params: Any) -> Sums:
    """Return the sums of no batch."""
    none = jnp.zeros(())
    gradient = jax.tree.map(jnp.zeros_like, params) if watches_gradient(stopping_rules(experiment)) else ()
    metrics: Any = ()
    if experiment.metrics:
        few = jax.tree.map(lambda a: jax.ShapeDtypeStruct((2, *a.shape[1:]), a.dtype), (data.x, data.y))

        def measured(params: Any, x: Any, y: Any) -> Any:
            prediction = as_layer(experiment.network).apply(params, read(experiment, x))
            return tuple(metric.sums(prediction, y) for metric in experiment.metrics)

        metrics = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(measured, params, *few))
    return Sums(none, none, none, gradient, metrics)


def advance(experiment: Experiment, state: State, data: Data, until: Any) -> State:
    r"""Run epochs until `until` have been finished in all, or the experiment's last, or a rule ends the run.

    Args:
        experiment: what is trained.
        state: from `begin`, or from an earlier call.
        data: what it is trained on.
        until: epochs finished in all. The state's history holds the last 64 epochs: read it before more have passed.

    Returns:
        The next `State`.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> from funcnet.training.state import Data
    >>> line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=10)
    >>> data = Data(jnp.ones((4, 1)), jnp.full((4, 1), 3.0))
    >>> state = jax.jit(fn.advance)(line, fn.begin(line, data), data, 5)  # one program, as often as you like
    >>> print(state.epoch)
    5

    """
    last = jnp.minimum(jnp.asarray(until, jnp.int32), jnp.asarray(experiment.epochs, jnp.int32))
    return jax.lax.while_loop(
        lambda state: (state.reason == 0) & (state.epoch < last),
        lambda state: run_epoch(experiment, state, data),
        state,
    )


def walk(experiment: Experiment, state: State, data: Data, until: Any, updates: Any) -> State:
    """Advance, but by at most so many updates: a segment may end inside an epoch, and the next one goes on there.

    However a run is cut into segments, its bits are the same.
    """
    last = jnp.minimum(jnp.asarray(until, jnp.int32), jnp.asarray(experiment.epochs, jnp.int32))
    count = batch_count(experiment, sample_count(data))

    def onward(carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, left = carry
        state = state._replace(sums=jax.tree.map(lambda s: jnp.where(state.batch == 0, 0, s), state.sums))
        rows, present = batches(experiment, state.epoch, sample_count(data))
        stop = jnp.minimum(count, state.batch + left)

        def one(place: jax.Array, moving: Moving) -> Moving:
            return step(experiment, moving, take(data, *jax.tree.map(lambda a: a[place], (rows, present))))

        left = left - (stop - state.batch)
        state = state.moved(jax.lax.fori_loop(state.batch, stop, one, state.moving))._replace(batch=stop)
        closed = jax.lax.cond(
            stop == count,
            lambda state: close_epoch(experiment, state, held_out(experiment, state, data.validation)),
            lambda state: state,
            state,
        )
        return closed, left

    return jax.lax.while_loop(
        lambda carry: (carry[0].reason == 0) & (carry[0].epoch < last) & (carry[1] > 0),
        onward,
        (state, jnp.asarray(updates, jnp.int32)),
    )[0]


def batch_count(experiment: Experiment, samples: int) -> int:
    """Return the number of batches of an epoch."""
    return -(-samples // min(experiment.batch_size or samples, samples))


def run_epoch(experiment: Experiment, state: State, data: Data) -> State:
    """Run one epoch of data in memory: every batch, in one loop of the program."""
    state = open_epoch(state)
    rows, present = batches(experiment, state.epoch, sample_count(data))
    if rows is None:
        moving = step(experiment, state.moving, take(data, None, None))
    else:
        moving, _ = jax.lax.scan(
            lambda moving, batch: (step(experiment, moving, take(data, *batch)), None), state.moving, (rows, present)
        )
    state = state.moved(moving)
    return close_epoch(experiment, state, held_out(experiment, state, data.validation))


def sample_count(data: Data) -> int:
    """Return the number of training samples."""
    return int(jax.tree.leaves(data.x)[0].shape[0])


def batches(experiment: Experiment, epoch: jax.Array, samples: int) -> tuple[jax.Array | None, jax.Array | None]:
    """Return the sample numbers of each batch of an epoch (batches × batch size), and which count if one is filled."""
    size = experiment.batch_size or samples
    if size >= samples:
        return None, None
    count = -(-samples // size)
    rows = order(fold(from_seed(experiment.data_seed), epoch), samples)
    if count * size == samples:
        return rows.reshape(count, size), None
    rows = jnp.concatenate([rows, rows[: count * size - samples]])
    return rows.reshape(count, size), (jnp.arange(count * size) < samples).reshape(count, size)


def open_epoch(state: State) -> State:
    """Return the state with its sums at 0."""
    return state._replace(sums=jax.tree.map(jnp.zeros_like, state.sums))


def step(experiment: Experiment, moving: Moving, batch: tuple[Any, Any, Any]) -> Moving:
    """Make one update from one batch, and add what it found to the sums."""
    key = fold(from_seed(experiment.seed), 1)
    params, slots, found = update(experiment, key, moving.params, moving.slots, moving.step, batch)
    sums = moving.sums
    weight = found.total_weight.astype(sums.loss.dtype)
    # A sum over samples adds up as it is; a mean is weighed by its batch.
    share = jnp.ones_like(weight) if experiment.loss.reduction == "sum" else weight
    gradient: Any = ()
    if watches_gradient(stopping_rules(experiment)):
        gradient = jax.tree.map(lambda a, g: a + share.astype(g.dtype) * g, sums.gradient, found.gradient)
    counted = experiment.loss.counted(batch[1], batch[2])
    each = tuple(metric.sums(found.prediction, batch[1], counted) for metric in experiment.metrics)
    # Without a regularizer it stays 0: a loop less of a small network's fifty.
    penalty = 0 if experiment.regularizer is None else found.penalty.astype(sums.loss.dtype) * weight
    bad = jnp.where(jnp.isfinite(found.loss), moving.first_bad_step, jnp.minimum(moving.first_bad_step, moving.step))
    return Moving(
        params,
        slots,
        moving.step + 1,
        bad,
        Sums(
            sums.loss + found.loss.astype(sums.loss.dtype) * share,
            sums.penalty + penalty,
            sums.weight + weight,
            gradient,
            jax.tree.map(jnp.add, sums.metrics, each),
        ),
    )


def settled(experiment: Experiment, state: State) -> Any:
    """Return the parameters that are measured and kept: those of the state, or an average that the optimizer keeps."""
    return experiment.optimizer.settled(state.params, state.slots)


def measure(
    experiment: Experiment, params: Any, held: tuple[Any, Any, Any], further: tuple[Any, ...] = ()
) -> dict[str, jax.Array]:
    """Return loss and metrics of a held-out set by their names; `further` metrics may be arrays, which no column is."""
    x, y, weight = held
    low, x = computing(experiment, (params, read(experiment, x)))
    y = in_dtype(experiment, y)
    return evaluate(experiment.network, experiment.loss, low, x, y, weight, metrics=(*experiment.metrics, *further))


def held_out(experiment: Experiment, state: State, validation: Any) -> dict[str, jax.Array]:
    """Return loss and metrics of the validation set, if there is one, under the names of their columns."""
    if validation is None:
        return {}
    return {
        f"validation_{name}": value
        for name, value in measure(experiment, settled(experiment, state), validation).items()
    }


def close_epoch(experiment: Experiment, state: State, found: dict[str, jax.Array]) -> State:
    """Write an epoch, with what was found on the validation set, into the history; keep the best, ask the rules."""
    sums, params = state.sums, settled(experiment, state)
    real = sums.loss.dtype
    bad = jnp.where(all_finite(state.params), state.first_bad_step, jnp.minimum(state.first_bad_step, state.step - 1))
    diverged = bad < NEVER
    metrics = epoch_metrics(experiment, sums) | {name: value.astype(real) for name, value in found.items()}
    place = state.epoch % WINDOW
    history = {name: column.at[place].set(metrics[name]) for name, column in state.history.items()}

    metric = monitored(experiment, bool(found))
    value = oriented(metric, metrics[metric])
    better = (value < state.best_value) & ~diverged
    reason, memories = state.reason, []
    for number, (rule, memory) in enumerate(zip(stopping_rules(experiment), state.stopping, strict=True)):
        memory, stop = rule.judge(memory, metrics)
        reason = jnp.where((reason == 0) & stop, DIVERGED + 1 + number, reason)
        memories.append(memory)
    return state._replace(
        slots=experiment.optimizer.judge(state.slots, metrics),
        epoch=state.epoch + 1,
        batch=jnp.zeros_like(state.batch),
        best_params=select(better, params, state.best_params),
        best_value=jnp.where(better, value, state.best_value),
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        stopping=tuple(memories),
        reason=jnp.where(diverged, DIVERGED, reason).astype(jnp.int32),
        first_bad_step=bad,
        history=history,
    )


def epoch_metrics(experiment: Experiment, sums: Sums) -> dict[str, jax.Array]:
    """Return what an epoch's sums say about it, as it was trained."""
    summed = experiment.loss.reduction == "sum"
    loss = sums.loss if summed else mean(sums.loss, sums.weight)
    metrics = {"train_loss": loss, "objective": loss + mean(sums.penalty, sums.weight)}
    if watches_gradient(stopping_rules(experiment)):
        length = global_norm(sums.gradient).astype(loss.dtype)
        metrics["gradient_norm"] = length if summed else mean(length, sums.weight)
    each = zip(experiment.metrics, sums.metrics, strict=True)
    return metrics | {f"train_{metric.name}": metric.value(own).astype(loss.dtype) for metric, own in each}
