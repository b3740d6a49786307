r"""From a run, or a network and its parameters, to a file in ONNX: what other runtimes and languages read."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.errors import describe, raise_error
from funcnet.files import write_whole
from funcnet.layers.activate import as_layer
from funcnet.layers.base import is_shape, shapes_of
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.layers.noise import Noise
from funcnet.onnx.graph import TRANSLATIONS, Graph, Size, Value, emit
from funcnet.training.run import Run

BATCH = 2  # samples of the pass that is only traced
STAND_IN = 64  # for the size of a free axis, where the dtype of x is found out


def to_onnx(
    model: Any, params: Any = None, in_shape: Any = None, path: Any = None, *, probabilities: bool = False
) -> Any:
    r"""Return a network as an ONNX model, and write it to a file.

    The model computes what `network.apply`, or `run.predict`, gives: evaluation, without dropout, in float32. Its
    input is "x", with "lengths" beside it where a sample is a pair; its output is "y". The number of samples is free.
    Tokens and lengths are int64. Parameters keep the names that `fn.paths` shows, though some lie in another order.

    Args:
        model: a `Run`, or any layer or network.
        params: the parameters; of a run its best ones unless given.
        in_shape: the shape of one sample, ((time,), ()) for a pair with lengths. None or a word in the place of a
            number leaves an axis free. It may be left out where rows of features go into a dense layer first.
        path: where the file goes, "model.onnx" for instance; None writes none.
        probabilities: of a run, whether what its loss takes for probabilities is given, under the name "probabilities",
            in the place of logits.

    Returns:
        An `onnx.ModelProto`; of a run that keeps class names, `metadata_props` holds them as JSON under "classes".

    Raises:
        TypeError: for a layer without translation, which the message names; for what is no network.
        ValueError: for parameters or a shape that do not fit, and a run with a transform.
        ImportError: without the package `onnx`.

    >>> import onnx, jax, funcnet as fn
    >>> network = fn.mlp(4, 2)
    >>> model = fn.to_onnx(network, network.init(jax.random.key(0), (3,)))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm']

    """
    loss, facts = None, {}
    if isinstance(model, Run):
        if model.experiment.transform is not None:
            must, attempt = "a run goes to ONNX without a transform", "fn.to_onnx(network, run.best_params, in_shape)"
            raise_error(must, "its experiment has one, a function of JAX", attempt)
        params = model.best_params if params is None else params
        loss = model.experiment.loss
        if "classes" in model.extra:
            facts["classes"] = json.dumps(np.asarray(model.extra["classes"]).tolist())
        model = model.experiment.network
    network = as_layer(model)
    if params is None:
        raise_error(
            "a network needs its parameters", "got none", "fn.to_onnx(network, params, in_shape, path)", TypeError
        )
    params = jax.tree.map(_single, params)
    in_shape = _first_shape(network, params) if in_shape is None else in_shape
    graph = Graph()
    inputs = _inputs(network, params, in_shape, graph)
    y = emit(network, graph, params, inputs[0] if len(inputs) == 1 else tuple(inputs))
    y = y if isinstance(y, Value) else y[0]
    if probabilities:
        _check_probabilities(loss)
        y = emit(loss, graph, (), y)
    made = graph.finish(inputs, {"probabilities" if probabilities else "y": y}, facts)
    if path is not None:
        write_whole(path, lambda file: file.write(made.SerializeToString()), binary=True)
    return made


def _single(leaf: Any) -> Any:
    """Return a leaf in float32, if it is of floats."""
    array = np.asarray(leaf)
    return array.astype(np.float32) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _check_probabilities(loss: Any) -> None:
    if type(loss) not in TRANSLATIONS:
        arrived = "got a network alone" if loss is None else f"got {type(loss).__name__}"
        attempt = "a run of fn.SoftmaxCrossEntropy, or probabilities=False"
        raise_error("probabilities need a run whose loss knows them", arrived, attempt, TypeError)


def _first_shape(network: Any, params: Any) -> tuple[int, ...]:
    """Return the shape of a sample where a dense layer tells it."""
    while isinstance(network, Chain):
        own = [
            (layer, its)
            for layer, its in zip(network.layers, params, strict=True)
            if not isinstance(layer, (Dropout, Noise))
        ]
        if not own:
            break
        network, params = as_layer(own[0][0]), own[0][1]
    if not isinstance(network, Dense):
        must, attempt = "in_shape, the shape of one sample, must be given", "in_shape=x.shape[1:]"
        raise_error(must, f"{network.label} does not tell it", attempt)
    return (params["kernel"].shape[0],)


def _inputs(network: Any, params: Any, in_shape: Any, graph: Graph) -> list[Value]:
    """Return the inputs of the graph, checked by the network's own checks where all sizes are known."""
    shapes = list(in_shape) if _is_pair(in_shape) else [in_shape]
    if not all(isinstance(shape, tuple) and all(map(_is_size, shape)) for shape in shapes):
        must = "in_shape must be the shape of one sample, or the pair of one and () for lengths"
        raise_error(must, f"got {describe(in_shape)}", "x.shape[1:], with None for an axis of free size", TypeError)
    free = any(not isinstance(n, (int, np.integer)) for shape in shapes for n in shape)
    sizes = [tuple(STAND_IN if not isinstance(n, (int, np.integer)) else int(n) for n in shape) for shape in shapes]
    kind = _kind(network, sizes)
    samples = _samples(sizes, kind)
    if not free:
        network.check_input(samples)
        batch = jax.tree.map(lambda s: jax.ShapeDtypeStruct((BATCH, *s.shape), s.dtype), samples)
        network.out_shape(shapes_of(samples))
        jax.eval_shape(network.apply, params, batch)
    asked: list[tuple[Size, ...]] = [("batch", *map(_size, shape, range(len(shape)))) for shape in shapes]
    dtypes = (np.float32 if kind == jnp.float32 else np.int64, np.int64)
    return [graph.input(*own) for own in zip(("x", "lengths"), asked, dtypes, strict=False)]


def _is_pair(in_shape: Any) -> bool:
    return isinstance(in_shape, (tuple, list)) and len(in_shape) == 2 and in_shape[1] == ()


def _is_size(size: Any) -> bool:
    return size is None or isinstance(size, str) or (is_shape((size,)) and size > 0)


def _size(size: Any, axis: int) -> Size:
    return f"axis{axis + 1}" if size is None else size if isinstance(size, str) else int(size)


def _samples(sizes: list[tuple[int, ...]], kind: Any) -> Any:
    x = jax.ShapeDtypeStruct(sizes[0], kind)
    return x if len(sizes) == 1 else (x, jax.ShapeDtypeStruct((), jnp.int32))


def _kind(network: Any, sizes: list[tuple[int, ...]]) -> Any:
    """Return the dtype of x that the network takes: whole numbers where it refuses floats."""
    try:
        network.check_input(_samples(sizes, jnp.float32))
    except TypeError:
        return jnp.int32
    except ValueError:
        return jnp.float32
    return jnp.float32
