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

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as Spec

from funcnet.keys import fold, from_seed, order
from funcnet.layers.activate import as_layer
from funcnet.layers.base import samples_of, shapes_of
from funcnet.objective import Terms, evaluate, mean, penalised, terms
from funcnet.training.experiment import Experiment, stopping_rules, watches_gradient
from funcnet.training.state import DIVERGED, NEVER, WINDOW, Data, Moving, State, Sums, columns, monitored
from funcnet.training.stopping import oriented, worst
from funcnet.trees import all_finite, global_norm, leaves_by_path, map_leaves, select

TRANSFORM = 0x7472  # apart from the numbers by which chains fold keys for their layers


def begin(experiment: Experiment, data: Data, start: Any = None) -> State:
    r"""Return the state before the first update.

    Args:
        experiment: what to train.
        data: what it will be trained on; its shapes decide those of the parameters.
        start: parameters to begin from, by the dotted paths of their leaves ("0.kernel"); what is not among them is
            drawn from the seed.

    Returns:
        A `State`.

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


def real_dtype(experiment: Experiment) -> Any:
    """Return the dtype of the parameters, in which floating features are read."""
    return jnp.zeros(()).dtype if experiment.dtype is None else jnp.dtype(experiment.dtype)


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


def read(experiment: Experiment, x: Any, key: Any = None) -> Any:
    """Return features as the network gets them: transformed, floating ones in the dtype of the parameters."""
    return in_dtype(experiment, x if experiment.transform is None else experiment.transform(x, key))


def in_dtype(experiment: Experiment, tree: Any) -> Any:
    """Return features or targets with floating ones in the dtype of the parameters."""
    dtype = real_dtype(experiment)
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def features(experiment: Experiment, x: Any) -> Any:
    """Return shapes and dtypes of one sample as the network gets it."""
    two = jax.tree.map(lambda a: jax.ShapeDtypeStruct((2, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)), x)
    return samples_of(jax.eval_shape(lambda x: read(experiment, x), two))


def advance(experiment: Experiment, state: State, data: Data, until: Any) -> State:
    r"""Run epochs until `until` have been finished in all, or the experiment's last, or a rule ends the run.

    Args:
        experiment: what is trained.
        state: from `begin`, or from an earlier call.
        data: what it is trained on.
        until: epochs finished in all. The state's history holds the last 64 epochs: read it before more have passed.

    Returns:
        The next `State`.

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
            lambda state: close_epoch(experiment, state, held_out(experiment, state.params, data.validation)),
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
    return close_epoch(experiment, state, held_out(experiment, state.params, data.validation))


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


def take(data: Data, rows: Any, present: Any) -> tuple[Any, Any, Any]:
    """Return features, targets and weights of some samples, all without `rows`; those not present weigh 0."""

    # The numbers of an order are in range: nothing is to be checked or clipped.
    def of(a: jax.Array) -> jax.Array:
        return a if rows is None else a.at[rows].get(mode="promise_in_bounds")

    x, y, weight = spread(jax.tree.map(of, (data.x, data.y, data.weight)))
    if present is None:
        return x, y, weight
    real = jnp.zeros(()).dtype
    if weight is None:
        return x, y, present.astype(real)
    return x, y, jnp.where(present.reshape(-1, *[1] * (weight.ndim - 1)), weight, 0)


_MESH: contextvars.ContextVar[Any] = contextvars.ContextVar("mesh", default=None)


@contextlib.contextmanager
def spread_over(mesh: Any) -> Iterator[None]:
    """Spread batches over the devices of a mesh, in functions traced inside; None for one device."""
    token = _MESH.set(mesh)
    try:
        yield
    finally:
        _MESH.reset(token)


def spread(batch: Any) -> Any:
    """Return a batch whose samples are spread over the devices; the compiler adds up what they find."""
    mesh = _MESH.get()
    return batch if mesh is None else jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, Spec("batch")))


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
    each = tuple(metric.sums(found.prediction, batch[1], batch[2]) for metric in experiment.metrics)
    bad = jnp.where(jnp.isfinite(found.loss), moving.first_bad_step, jnp.minimum(moving.first_bad_step, moving.step))
    return Moving(
        params,
        slots,
        moving.step + 1,
        bad,
        Sums(
            sums.loss + found.loss.astype(sums.loss.dtype) * share,
            sums.penalty + found.penalty.astype(sums.loss.dtype) * weight,
            sums.weight + weight,
            gradient,
            jax.tree.map(jnp.add, sums.metrics, each),
        ),
    )


def update(
    experiment: Experiment, key: jax.Array, params: Any, slots: Any, step: jax.Array, batch: tuple[Any, Any, Any]
) -> tuple[Any, Any, Terms]:
    """Return the next parameters and slots, and the terms of the batch before the update."""
    optimizer, regularizer, before = experiment.optimizer, experiment.regularizer, params
    x, y, weight = batch
    y = in_dtype(experiment, y)
    key = fold(key, step)
    turned = None if experiment.transform is None else fold(key, TRANSFORM)
    found = passes(experiment, params, read(experiment, x, turned), y, weight, key)
    found = penalised(found, regularizer, params)
    if experiment.freeze:
        still = map_leaves(lambda path, g: jnp.zeros_like(g) if frozen(experiment, path) else g, found.gradient)
        found = found._replace(gradient=still)
    if regularizer is not None and regularizer.proximal:
        params, slots = optimizer.proximal_update(regularizer, found.gradient, slots, params)
    else:
        updates, slots = optimizer.update(found.gradient, slots, params)
        params = jax.tree.map(jnp.add, params, updates)
    params = as_layer(experiment.network).refresh(params, found.saved)
    if experiment.freeze:
        held = leaves_by_path(before)
        params = map_leaves(lambda path, w: held[path] if frozen(experiment, path) else w, params)
    return params, slots, found


def frozen(experiment: Experiment, path: str) -> bool:
    """Tell whether a leaf of the parameters lies at or below a frozen path."""
    return any(path == above or path.startswith(f"{above}.") for above in experiment.freeze)


def passes(experiment: Experiment, params: Any, x: Any, y: Any, weight: Any, key: Any) -> Terms:
    """Run both passes, in the dtype that the experiment computes in; the gradient has that of the parameters."""
    if experiment.compute is None:
        return terms(experiment.network, experiment.loss, params, x, y, weight=weight, key=key)
    low, x = computing(experiment, (params, x))
    found = terms(experiment.network, experiment.loss, low, x, y, weight=weight, key=key)
    return found._replace(gradient=jax.tree.map(lambda g, w: g.astype(w.dtype), found.gradient, params))


def computing(experiment: Experiment, tree: Any) -> Any:
    """Return a tree with floating leaves in the dtype that the passes compute in."""
    if experiment.compute is None:
        return tree
    dtype = jnp.dtype(experiment.compute)
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def measure(experiment: Experiment, params: Any, held: tuple[Any, Any, Any]) -> dict[str, jax.Array]:
    """Return loss and metrics of a held-out set by their names."""
    x, y, weight = held
    low, x = computing(experiment, (params, read(experiment, x)))
    y = in_dtype(experiment, y)
    return evaluate(experiment.network, experiment.loss, low, x, y, weight, metrics=experiment.metrics)


def held_out(experiment: Experiment, params: Any, validation: Any) -> dict[str, jax.Array]:
    """Return loss and metrics of the validation set, if there is one, under the names of their columns."""
    if validation is None:
        return {}
    return {f"validation_{name}": value for name, value in measure(experiment, params, validation).items()}


def close_epoch(experiment: Experiment, state: State, found: dict[str, jax.Array]) -> State:
    """Write an epoch, with what was found on the validation set, into the history; keep the best, ask the rules."""
    sums, params = state.sums, state.params
    real = sums.loss.dtype
    bad = jnp.where(all_finite(params), state.first_bad_step, jnp.minimum(state.first_bad_step, state.step - 1))
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
