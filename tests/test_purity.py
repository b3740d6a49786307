"""Automatic differentiation stays in the checker, optax stays out, and nothing is tied to a platform."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import pytest

import funcnet as fn
from funcnet import activations, layers, losses, optimizers, regularizers
from funcnet.records import canonical
from funcnet.training.state import NEVER, Data
from funcnet.training.steps import advance, begin
from tests.helpers import sampled

PACKAGE = pathlib.Path(fn.__file__).parent
FORBIDDEN = {
    *(
        "grad",
        "value_and_grad",
        "vjp",
        "jvp",
        "linearize",
        "linear_transpose",
        "jacfwd",
        "jacrev",
        "jacobian",
        "hessian",
    ),
    *("custom_vjp", "custom_jvp", "custom_gradient", "defvjp", "defjvp", "elementwise_grad", "checkpoint", "remat"),
}


def violations(source: str) -> list[str]:
    """List uses of automatic differentiation, and of optax, in a module's syntax tree."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN:
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in ("jax", "api", "ad", "autodiff", "interpreters"):
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jax":
            found += [f"line {node.lineno}: {a.name}" for a in node.names if a.name in FORBIDDEN or a.name == "ad"]
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in ("optax", "flax", "equinox")]
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and "jax" in ast.unparse(node.args[0]):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def modules():
    """List the package's source files outside the checker."""
    return [p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] != "checking"]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_automatic_differentiation(path):
    """Every gradient outside the checker is written by hand."""
    assert violations(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import jax\njax.grad(f)",
        "from jax import vjp",
        "import optax",
        "from jax.interpreters import ad",
        "import jax\njax.custom_vjp",
        "getattr(jax, 'grad')",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    """The test above can fail."""
    assert violations(source)


def rules():
    """List every case of every registry."""
    return [
        c for r in (activations, losses, regularizers, layers) for m in r.REGISTRY for c in m.CASES if c.kind == "batch"
    ]


def arrays(tree):
    """Turn nested lists into float32 arrays, whole numbers into int32."""
    if isinstance(tree, dict):
        return {k: arrays(v) for k, v in tree.items()}
    if isinstance(tree, tuple):
        return tuple(arrays(v) for v in tree)
    array = jnp.asarray(tree)
    return array.astype(jnp.int32 if jnp.issubdtype(array.dtype, jnp.integer) else jnp.float32)


def exports(function, *arguments):
    """Lower a function, compiled already or not, for all three platforms and return their names."""
    program = function if hasattr(function, "lower") else jax.jit(function)
    return set(jax.export.export(program, platforms=["cpu", "cuda", "tpu"])(*arguments).platforms)


@pytest.mark.parametrize("part", sampled(range(4), lambda part: part == 0))
def test_every_rule_lowers_for_cpu_gpu_and_tpu(part):
    """Forward and backward of one batch case of each rule, in one exported function a rule; a fourth of the rules."""
    for case in rules()[part::4]:
        rule, arguments = case.rule, [arrays(a) for a in case.arguments]
        if isinstance(rule, layers.Layer) and len(arguments) == 3:
            arguments[2] = jax.random.key(0)

        def both(*arguments, rule=rule):
            value, saved = rule.forward(*arguments)
            dy = jnp.ones_like(value[0] if isinstance(value, tuple) else value)  # lengths go on beside y
            return value, rule.backward(arguments[0], saved, dy) if isinstance(rule, layers.Layer) else rule.backward(
                saved, dy
            )

        assert exports(both, *arguments) == {"cpu", "cuda", "tpu"}


_OPTIMIZERS = [module.CASES[0].rule for module in optimizers.REGISTRY]
_KINDS = fn.SGD, fn.Adam, fn.CoordinateDescent, fn.ClipByNorm  # with and without a state, by coordinates, around others


@pytest.mark.parametrize(
    "optimizer", sampled(_OPTIMIZERS, lambda o: isinstance(o, _KINDS)), ids=lambda o: type(o).__name__
)
def test_training_lowers_for_cpu_gpu_and_tpu(optimizer):
    """The whole run, and once a segment of one, with dropout, regularizer, validation and early stopping."""
    network = fn.mlp(4, 3, dropout=0.2)
    experiment = fn.Experiment(
        network, fn.SoftmaxCrossEntropy(), optimizer, fn.L2(1e-4), fn.EarlyStopping(2), batch_size=4, epochs=3
    )
    x, y = jnp.ones((10, 5), jnp.float32), jnp.zeros(10, jnp.int32)
    data = Data(x, y, (x, y, None))
    experiment = canonical(experiment)
    whole = jax.jit(lambda experiment, data: advance(experiment, begin(experiment, data), data, NEVER))
    assert exports(whole, experiment, data) == {"cpu", "cuda", "tpu"}
    if isinstance(optimizer, fn.Adam):
        state = jax.eval_shape(begin, experiment, data)
        assert exports(jax.jit(advance), experiment, state, data, jnp.int32(2)) == {"cpu", "cuda", "tpu"}
