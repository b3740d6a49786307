r"""One update from one batch: features as the network reads them, both passes, the optimizer, what follows the data.

    take(data, rows, present) -> batch                             features, targets and weights of some samples
    update(experiment, key, params, slots, step, batch) -> …       the next parameters and slots, and what was found

Features are transformed and read in the dtype of the parameters; the passes compute in the experiment's dtype for that,
if it names one, with parameters and updates in their own.
"""

from typing import Any

import jax
import jax.numpy as jnp

from funcnet.keys import fold
from funcnet.layers.activate import as_layer
from funcnet.layers.base import samples_of
from funcnet.objective import Terms, penalised, terms
from funcnet.spreading import spread
from funcnet.training.experiment import Experiment
from funcnet.training.state import Data
from funcnet.trees import default_real, leaves_by_path, map_leaves

TRANSFORM = 0x7472  # apart from the numbers by which chains fold keys for their layers


def real_dtype(experiment: Experiment) -> Any:
    """Return the dtype of the parameters, in which floating features are read."""
    return default_real() if experiment.dtype is None else jnp.dtype(experiment.dtype)


def read(experiment: Experiment, x: Any, key: Any = None) -> Any:
    """Return features as the network gets them: transformed, floating ones in the dtype of the parameters."""
    return in_dtype(experiment, x if experiment.transform is None else experiment.transform(x, key))


def in_dtype(experiment: Experiment, tree: Any) -> Any:
    """Return features or targets with floating ones in the dtype of the parameters."""
    dtype = real_dtype(experiment)
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def features(experiment: Experiment, x: Any) -> Any:
    """Return shapes and dtypes of one sample as the network gets it."""
    if experiment.transform is None:
        real = real_dtype(experiment)

        def one(a: Any) -> jax.ShapeDtypeStruct:
            kept = jax.dtypes.canonicalize_dtype(a.dtype)
            return jax.ShapeDtypeStruct(a.shape[1:], real if jnp.issubdtype(kept, jnp.floating) else kept)

        return jax.tree.map(one, x)
    two = jax.tree.map(lambda a: jax.ShapeDtypeStruct((2, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)), x)
    return samples_of(jax.eval_shape(lambda x: read(experiment, x), two))


def take(data: Data, rows: Any, present: Any) -> tuple[Any, Any, Any]:
    """Return features, targets and weights of some samples, all without `rows`; those not present weigh 0."""

    # The numbers of an order are in range: nothing is to be checked or clipped.
    def of(a: jax.Array) -> jax.Array:
        return a if rows is None else a.at[rows].get(mode="promise_in_bounds")

    x, y, weight = spread(jax.tree.map(of, (data.x, data.y, data.weight)))
    if present is None:
        return x, y, weight
    real = default_real()
    if weight is None:
        return x, y, present.astype(real)
    return x, y, jnp.where(present.reshape(-1, *[1] * (weight.ndim - 1)), weight, 0)


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
    predicts = bool(experiment.metrics)
    if experiment.compute is None:
        return terms(experiment.network, experiment.loss, params, x, y, weight=weight, key=key, predicts=predicts)
    low, x = computing(experiment, (params, x))
    found = terms(experiment.network, experiment.loss, low, x, y, weight=weight, key=key, predicts=predicts)
    return found._replace(gradient=jax.tree.map(lambda g, w: g.astype(w.dtype), found.gradient, params))


def computing(experiment: Experiment, tree: Any) -> Any:
    """Return a tree with floating leaves in the dtype that the passes compute in."""
    if experiment.compute is None:
        return tree
    dtype = jnp.dtype(experiment.compute)
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)
