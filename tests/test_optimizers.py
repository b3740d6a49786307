"""Every optimizer of the registry at every one of its cases, and what all of them promise.

Values by hand; the same bits for constant, traced and batched numbers; finite at extremes; one trace; any pytree;
theirs in our training and ours in theirs; relations between optimizers; coordinate descent against loops in plain
Python.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet import optimizers, schedules
from funcnet.keys import fold, from_seed
from funcnet.optimizers import (
    SGD,
    Accumulate,
    Adadelta,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    Averaged,
    ClipByNorm,
    ClipByValue,
    CoordinateDescent,
    Lion,
    RMSprop,
    WeightDecay,
)
from funcnet.optimizers.presets import VARIANTS
from funcnet.records import canonical
from funcnet.trees import global_norm
from tests.helpers import one_in, quick, renumbered, sampled

CASES = [
    pytest.param(c, id=f"{m.__name__.split('.')[-1]}-{i}") for m in optimizers.REGISTRY for i, c in enumerate(m.CASES)
]

# Numbers that no rounding leaves as they are.
AWKWARD = {
    **{"learning_rate": 0.037, "momentum": 0.87, "dampening": 0.13, "decay": 0.93, "beta1": 0.91, "beta2": 0.9987},
    **{"epsilon": 3e-8, "epsilon_root": 1e-9, "initial": 0.011, "weight_decay": 0.013, "strength": 0.013},
    **{"momentum_decay": 0.0041, "limit": 0.37},
}


# One of each structure among the cases, and some combinations: what must be true of any optimizer is tried on all.
EVERY = {}
for _module in optimizers.REGISTRY:
    for _rule in {jax.tree.structure(c.rule): c.rule for c in _module.CASES}.values():
        EVERY[f"{_module.__name__.split('.')[-1]}-{len(EVERY)}"] = renumbered(_rule, AWKWARD)
EVERY |= {
    "clipped Adam": ClipByValue(Adam(0.037), 0.37),
    "accumulated Adam": Accumulate(Adam(0.037), 3),
    "Adam on a plateau": optimizers.ReduceOnPlateau(Adam(0.037)),
    "averaged Adam": Averaged(Adam(0.037), 0.873),
    "coupled decay of Adam": WeightDecay(Adam(0.037), 0.013, coupled=True),
    "decoupled decay of RMSprop": WeightDecay(RMSprop(0.0037), 0.013),
    "a schedule": Adam(schedules.Warmup(7, schedules.Cosine(0.037, 31)), 0.91, 0.9987),
    "a schedule from elsewhere": Adam(lambda step: 0.037 / (1.0 + 0.013 * step), 0.91, 0.9987),
    "a schedule of momentum": SGD(0.037, schedules.Linear(0.5, 31, 0.87)),
    "two schedules": RMSprop(schedules.Cosine(0.0037, 97), momentum=schedules.Warmup(7, 0.87)),
}
ALL = pytest.mark.parametrize("name", EVERY)
# The first case of each optimizer in each run.
FIRST = {type(rule): name for name, rule in reversed(EVERY.items())}.values()
SOME = pytest.mark.parametrize("name", sampled(EVERY, lambda name: name in FIRST))


def floats(tree: Any, dtype: Any) -> Any:
    """Turn nested lists into arrays; dicts stay trees."""
    if isinstance(tree, dict):
        return {key: floats(value, dtype) for key, value in tree.items()}
    return jnp.asarray(tree, dtype)


def leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def follow(optimizer: Any, params: Any, gradients: Any) -> tuple[Any, Any]:
    """Return parameters and state after one update for each gradient."""
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params, state


def options(kind: type) -> set[tuple[str, Any]]:
    """The name and each value of the choices among a few that a record has."""
    declared = {field.name: field.metadata["bounds"].options for field in dataclasses.fields(kind)}
    return {(name, value) for name, values in declared.items() for value in values}


def test_every_choice_of_every_optimizer_has_a_case():
    """So the loops over the structures of the cases below see all that there is."""
    found = {type(c.rule): set() for m in optimizers.REGISTRY for c in m.CASES}
    for case in (c for m in optimizers.REGISTRY for c in m.CASES):
        found[type(case.rule)] |= {(n, v) for n, v in vars(case.rule).items() if isinstance(v, (bool, str))}
    given = {value for value in vars(optimizers).values() if isinstance(value, type)}
    assert set(found) == given - {optimizers.Optimizer, optimizers.Wrapper}
    for kind, seen in found.items():
        assert options(kind) <= seen, (kind, options(kind) - seen)
    assert ("nesterov", True) in options(SGD)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [pytest.param(*p.values, np.float64, id=p.id) for p in CASES]
    + [pytest.param(m.CASES[0], np.float32, id=m.__name__) for m in optimizers.REGISTRY],
)
def test_cases(case, dtype):
    """What was worked by hand comes out."""
    params, gradients = case.arguments
    if case.value is None:
        return
    found, _ = follow(case.rule, floats(params, dtype), [floats(g, dtype) for g in gradients])
    wanted = floats(case.value, np.float64)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(leaves(found), leaves(wanted), strict=True):
        assert a.dtype == dtype
        # Hand values leave out ε = 1e-8 beside gradients of order 1.
        np.testing.assert_allclose(a, b, rtol=2e-8 if dtype == np.float64 else 1e-6, atol=1e-8)


def test_the_cases_see_each_number():
    """A case fails when a number of its rule is off by a tenth (the comparison above can fail)."""
    for module in optimizers.REGISTRY:
        case = module.CASES[0]
        path = next(p for p in fn.paths(case.rule) if p.endswith("learning_rate"))
        rate = functools.reduce(getattr, path.split("."), case.rule)
        params, gradients = case.arguments
        off, _ = follow(
            fn.replace(case.rule, {path: rate * 1.1}),
            floats(params, np.float64),
            [floats(g, np.float64) for g in gradients],
        )
        assert any(
            np.max(np.abs(a - b)) > 1e-3
            for a, b in zip(leaves(off), leaves(floats(case.value, np.float64)), strict=True)
        )


def problem(dtype):
    """A start and a nonlinear gradient over one array of odd size."""
    rng = np.random.default_rng(5)
    start, target = ({"kernel": rng.normal(size=(5, 7))} for _ in range(2))
    start, target = floats(start, dtype), floats(target, dtype)
    return start, lambda w: jax.tree.map(lambda a, b: (a - b) * (1 + 0.31 * (a - b) * (a - b)), w, target)


def fifty(optimizer, dtype=np.float32):
    """Return parameters and state after 50 updates in one scan."""
    params, slope = problem(dtype)

    def onward(carry, _):
        params, state = carry
        updates, state = optimizer.update(slope(params), state, params)
        return (jax.tree.map(jnp.add, params, updates), state), None

    return jax.lax.scan(onward, (params, optimizer.init(params)), None, length=50)[0]


def bits(tree: Any) -> list[np.ndarray]:
    return [np.ravel(leaf).view(np.uint8) for leaf in leaves(tree)]


# Code as it is made for users: without optimisation, a product and a sum are contracted to one rounding at random.
AS_USERS = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


@SOME
def test_constant_traced_and_lane_give_the_same_bits(name):
    """50 float32 updates with the numbers compiled in, passed as an argument, and as one of three lanes."""
    optimizer = EVERY[name]

    def three(numbers, lanes):
        return fifty(optimizer), fifty(numbers), jax.tree.map(lambda a: a[1], jax.vmap(fifty)(lanes))

    with jax.enable_x64(False):
        numbers = canonical(optimizer)
        lanes = jax.tree.map(lambda a: np.stack([np.asarray(a)] * 3), numbers)
        constant, traced, lane = jax.jit(three, compiler_options=AS_USERS)(numbers, lanes)
    for other in (traced, lane):
        for a, b in zip(bits(constant), bits(other), strict=True):
            np.testing.assert_array_equal(a, b)
    start, slope = problem(np.float32)
    assert all(np.isfinite(leaf).all() for leaf in leaves(constant))
    assert float(global_norm(slope(constant[0]))) < float(global_norm(slope(start)))  # it went somewhere, and down


def test_the_comparison_of_bits_sees_the_last_one():
    """One unit in the last place of one number shows."""
    a = Adam(np.float32(0.037))
    b = Adam(np.nextafter(np.float32(0.037), np.float32(1)))
    a, b = jax.jit(fifty)(canonical(a)), jax.jit(fifty)(canonical(b))
    assert any(np.any(x != y) for x, y in zip(bits(a), bits(b), strict=True))


STREAMS = {
    "zero": [0.0] * 6,
    "one huge": [1.0, 1e30, 1.0, -1.0, 0.0, 1.0],
    "huge at first": [1e30, 0.0, 0.0, 1e-3, 0.0, 0.0],
    "huge throughout": [1e30, -1e30, 1e30, 1e30, -1e30, 1e30],
    "tiny": [1e-30, -1e-30, 1e-30, 0.0, 1e-30, 1e-30],
    "tiny, then huge": [1e-30, 1e30, 1e-30, 1e30, 1e-30, 0.0],
}


@SOME
def test_extreme_gradients_and_one_trace(name):
    """Gradients of 0, 1e30 and 1e-30, with and without ε, in float32: finite updates and states, no movement without a
    gradient; and all of it in one trace, whatever the numbers.
    """
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def update(optimizer, gradient, state, params):
        return optimizer.update(gradient, state, params)

    with jax.enable_x64(False):
        optimizer = EVERY[name]
        epsilons = [p for p in fn.paths(optimizer) if p.split(".")[-1] == "epsilon"]
        variants = [optimizer, fn.replace(optimizer, dict.fromkeys(epsilons, 0.0))] if epsilons else [optimizer]
        for variant in map(canonical, variants):
            for label, stream in STREAMS.items():
                params = {"kernel": jnp.asarray([[0.5, -0.25]]), "bias": jnp.asarray([1.0])}
                state = optimizer.init(params)
                for size in stream:
                    gradient = {"kernel": np.full((1, 2), size, np.float32), "bias": np.full(1, size, np.float32)}
                    updates, state = update(variant, gradient, state, params)
                    assert all(np.isfinite(leaf).all() for leaf in leaves((updates, state))), (label, variant)
                    if label == "zero" and not any(
                        p.split(".")[-1] in ("weight_decay", "strength") for p in fn.paths(optimizer)
                    ):
                        assert all(np.all(leaf == 0) for leaf in leaves(updates))
                    params = jax.tree.map(lambda w, u: w + np.clip(u, -1, 1), params, updates)


def hides(optimizer: Any) -> bool:
    """Tell whether an optimizer takes a sign, limits or waits, or may look at another block."""
    if isinstance(optimizer, CoordinateDescent):
        return optimizer.order == "random" or optimizer.block == "leaf"
    return isinstance(optimizer, (Lion, ClipByValue, Accumulate))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("name", one_in(3, [name for name, optimizer in EVERY.items() if not hides(optimizer)]))
def test_failures_stay_visible(name, bad):
    """A gradient that is not finite is not smoothed over: within three updates the update is not finite."""
    params = {"kernel": jnp.asarray([[0.5, -0.25]]), "bias": jnp.asarray([1.0])}
    optimizer = EVERY[name]
    state, seen = optimizer.init(params), []
    for size in (1.0, bad, bad, bad):
        updates, state = optimizer.update(
            jax.tree.map(lambda w, size=size: jnp.full(w.shape, size), params), state, params
        )
        seen.append(all(np.isfinite(leaf).all() for leaf in leaves(updates)))
    assert seen[0]
    assert not seen[-1]


class Block(NamedTuple):
    weight: Any
    extra: Any


def foreign_tree():
    """Somebody else's parameters: dicts of dicts, a named tuple, a list, a scalar, empty subtrees, two dtypes."""
    rng = np.random.default_rng(1)

    def draw(*shape, dtype=jnp.float32):
        return jnp.asarray(rng.normal(size=shape), dtype)

    return {
        "encoder": {"block": Block(draw(3, 2, dtype=jnp.bfloat16), [draw(2), None]), "nothing": {}},
        "scale": draw(),
    }


@pytest.mark.parametrize("name", {type(optimizer): name for name, optimizer in EVERY.items()}.values())
def test_any_pytree_in_a_plain_loop(name):
    """Ours in somebody else's loop: structure and dtypes of the parameters are kept, the state is float32 at least."""
    optimizer = EVERY[name]
    params = first = foreign_tree()
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(params, state, params)  # the gradient of half the squares
        return jax.tree.map(lambda w, u: w + u, params, updates), state

    shapes = jax.tree.map(lambda a: (a.shape, a.dtype), state)
    for _ in range(12):
        params, state = step(params, state)
    assert jax.tree.structure(params) == jax.tree.structure(first)
    assert [a.dtype for a in leaves(params)] == [a.dtype for a in leaves(first)]
    assert jax.tree.map(lambda a: (a.shape, a.dtype), state) == shapes
    assert {a.dtype for a in leaves(state)} <= {np.dtype(np.float32), np.dtype(np.int32)}
    assert float(global_norm(params)) < float(global_norm(first))


FOLLOWING = {"mean": jnp.asarray([3.0, -4.0]), "variance": jnp.asarray([2.0, 0.5])}


def everything_decays(optimizer: Any) -> Any:
    """The optimizer with decay switched on, biases included, wherever it has any."""
    strong = {"weight_decay": 0.3, "strength": 0.3, "biases": True}
    return fn.replace(
        optimizer, {p: strong[p.split(".")[-1]] for p in fn.paths(optimizer) if p.split(".")[-1] in strong}
    )


@pytest.mark.every
@pytest.mark.parametrize(
    "penalty",
    sampled([None, fn.L1, fn.L2, fn.MaxNorm], lambda kind: kind is fn.L2),
    ids=lambda kind: kind and kind.__name__,
)
def test_what_follows_the_data_is_left_alone(penalty):
    """A running mean has gradient 0: no optimizer, preset, decay or proximal step moves it, biases=True or not."""
    named = {
        f"{library} {name}": optimizers.preset(library, name, learning_rate=0.1)
        for library, name in VARIANTS
        if (library, name) not in {("paper", "adadelta"), ("paper", "adamw")}
    }
    regularizer = penalty and penalty(0.5, biases=True, proximal=True)
    start = {"kernel": jnp.asarray([[0.5, -0.25]]), "scale": jnp.asarray([1.0, 1.5])} | FOLLOWING

    @quick
    def walk(optimizer):
        def onward(carry, _):
            params, state = carry
            gradient = {k: jnp.full_like(w, k not in FOLLOWING) for k, w in params.items()}
            if regularizer is not None:
                return optimizer.proximal_update(regularizer, gradient, state, params), None
            updates, state = optimizer.update(gradient, state, params)
            return (jax.tree.map(jnp.add, params, updates), state), None

        return jax.lax.scan(onward, (start, optimizer.init(start)), None, length=4)[0][0]

    tried = EVERY | named
    if penalty is not None:  # the options of a type have no part in a proximal step, but for coordinate descent's
        each = {type(optimizer): optimizer for optimizer in EVERY.values()}
        tried = each | {name: o for name, o in EVERY.items() if isinstance(o, CoordinateDescent)}
    for name, optimizer in tried.items():
        params = walk(canonical(everything_decays(optimizer)))
        same = {key: np.array_equal(params[key], start[key]) for key in params}
        assert all(same[key] for key in FOLLOWING), (name, same)
        assert not (same["kernel"] and same["scale"]), name


def data(samples=24):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(samples, 4)).astype(np.float32)
    return x, (x @ rng.normal(size=(4, 1)) + 0.3).astype(np.float32)


class Theirs(NamedTuple):
    """The shape in which others hand over an optimizer: a pair of functions."""

    init: Any
    update: Any


class Plain:
    """Another shape: an object that is no pytree."""

    def init(self, params):
        return ()

    def update(self, gradient, state, params):
        return jax.tree.map(lambda g: -0.125 * g, gradient), state


@pytest.mark.parametrize(
    "theirs", [Theirs(Plain().init, Plain().update), Plain(), "pytree"], ids=["functions", "object", "pytree"]
)
def test_an_optimizer_by_somebody_else_trains_our_networks(theirs):
    """Of the protocol's two functions alone; its run is, bit for bit, that of the same algorithm of ours."""
    if theirs == "pytree":

        @jax.tree_util.register_dataclass
        @dataclasses.dataclass(frozen=True)
        class Descent:
            speed: Any

            def init(self, params):
                return ()

            def update(self, gradient, state, params):
                return jax.tree.map(lambda g: -self.speed.astype(g.dtype) * g, gradient), state

        theirs = Descent(jnp.float32(0.125))

    def run(optimizer):
        experiment = fn.Experiment(fn.mlp(5, 1), fn.MeanSquaredError(), optimizer, batch_size=8, epochs=4)
        return fn.train(experiment, data())

    for a, b in zip(leaves(run(theirs).params), leaves(run(SGD(0.125)).params), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"learning rate, from a method rate\(state\)"):
        fn.Experiment(fn.mlp(5, 1), fn.MeanSquaredError(), theirs, fn.L1(0.1, proximal=True))
    wrapped = ClipByNorm(theirs, 1e-3)
    assert float(global_norm(wrapped.update(jnp.ones(3), wrapped.init(jnp.ones(3)), jnp.ones(3))[0])) < 1.3e-4


def test_relations():
    """AdamW is Adam with decoupled decay; coupled decay is L2 in the gradient; the two agree under plain descent
    alone."""
    start, slope = problem(np.float64)

    def walk(optimizer, gradient=slope):
        state, params = optimizer.init(start), start
        for _ in range(5):
            updates, state = optimizer.update(gradient(params), state, params)
            params = jax.tree.map(jnp.add, params, updates)
        return params

    def apart(a, b):
        return max(float(np.max(np.abs(x - y))) for x, y in zip(leaves(a), leaves(b), strict=True))

    def with_penalty(w):
        return jax.tree.map(jnp.add, slope(w), fn.L2(0.3).gradient(w))

    assert apart(walk(AdamW(0.1, weight_decay=0.3)), walk(WeightDecay(Adam(0.1), 0.3))) < 1e-14
    assert apart(walk(WeightDecay(Adam(0.1), 0.3, coupled=True)), walk(Adam(0.1), with_penalty)) < 1e-14
    assert (
        apart(walk(WeightDecay(SGD(0.1), 0.3, coupled=True)), walk(WeightDecay(SGD(0.1), 0.3, coupled=False))) < 1e-14
    )
    assert apart(walk(WeightDecay(Adam(0.1), 0.3, coupled=True)), walk(AdamW(0.1, weight_decay=0.3))) > 1e-2
    assert apart(walk(ClipByNorm(Adam(0.1), 1e6)), walk(Adam(0.1))) == 0
    assert apart(walk(ClipByValue(Adam(0.1), 1e6)), walk(Adam(0.1))) == 0
    assert apart(walk(RMSprop(0.1, 0.9, rate_inside=True)), walk(RMSprop(0.1, 0.9))) == 0
    assert apart(walk(Lion(0.1, weight_decay=0.0)), walk(Lion(0.1, weight_decay=0.1))) > 1e-3


@pytest.mark.parametrize("regularizer", [None, fn.L1(0.05, proximal=True)], ids=["plain", "proximal"])
def test_accumulated_batches_are_one_large_batch(regularizer):
    """Three batches of 8 a step, or one of 24: the same run, one update an epoch."""
    x, y = (a.astype(np.float64) for a in data())
    base = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), Adam(0.05), regularizer, batch_size=None, epochs=5)
    pieces = fn.replace(base, {"batch_size": 8, "optimizer": Accumulate(Adam(0.05), 3)})
    whole, parts = fn.train(base, (x, y)), fn.train(pieces, (x, y))
    for a, b in zip(leaves(whole.params), leaves(parts.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)
    assert int(parts.state.slots.inner.step) == int(whole.state.slots.step) == 5


def test_global_norm_at_extremes():
    """√Σg² wherever the norm can be represented in float32, and clipping at such norms."""
    with jax.enable_x64(False):
        for size in (1e-30, 1.0, 1e30, 2e38):
            tree = {"a": jnp.full((2,), size, jnp.float32), "b": jnp.asarray(-size, jnp.float32)}
            wanted = np.sqrt(3.0) * float(np.float32(size))
            found = float(jax.jit(global_norm)(tree))
            assert abs(found / wanted - 1) < 1e-6 if wanted < 3.4e38 else np.isinf(found)
            clipped = jax.jit(ClipByNorm(SGD(1.0), 1e-3).seen, static_argnums=1)(tree, None)
            length = np.sqrt(sum(float(v) ** 2 for leaf in leaves(clipped) for v in leaf.ravel()))
            assert abs(length / min(wanted, 1e-3) - 1) < 1e-6
        assert float(global_norm({"a": jnp.zeros(3)})) == 0
        assert float(global_norm(())) == 0


# Coordinate descent.


def regression(samples=40, features=6):
    rng = np.random.default_rng(11)
    x = rng.normal(size=(samples, features)) @ (np.eye(features) + 0.3 * rng.normal(size=(features, features)))
    truth = np.asarray([1.5, 0.0, -2.0, 0.0, 0.7, 0.0])
    return x, x @ truth + 0.1 * rng.normal(size=samples)


def lasso_loop(x, y, penalty, sweeps):
    """Exact cyclic coordinate descent for mean (y − xw)² + penalty ‖w‖₁, in plain Python."""
    n, d = x.shape
    w = [0.0] * d
    for _ in range(sweeps):
        for j in range(d):
            curvature = 2 * sum(x[i, j] ** 2 for i in range(n)) / n
            slope = -2 * sum(x[i, j] * (y[i] - sum(x[i, k] * w[k] for k in range(d))) for i in range(n)) / n
            u = w[j] - slope / curvature
            w[j] = max(abs(u) - penalty / curvature, 0.0) * (1 if u > 0 else -1)
    return np.asarray(w)


def linear_run(optimizer, penalty, epochs, dtype=np.float64):
    x, y = regression()
    network = fn.Dense(1, bias=False, kernel_init=fn.layers.Filled(0.0))
    experiment = fn.Experiment(
        network, fn.MeanSquaredError(), optimizer, fn.L1(penalty, proximal=True), batch_size=None, epochs=epochs
    )
    return fn.train(experiment, (x.astype(dtype), y[:, None].astype(dtype)))


@pytest.mark.parametrize(
    ("order", "step", "block"),
    one_in(
        4,
        [(o, s, 1) for o in ("cyclic", "random", "greedy") for s in ("fixed", "secant")]
        + [("cyclic", "fixed", "leaf"), ("random", "fixed", 2), ("greedy", "fixed", 4)],
    ),
)
def test_coordinate_descent_solves_the_lasso(order, step, block):
    """Every order, block and step reaches the minimum that exact coordinate descent finds, zeros exact."""
    x, y = regression()
    wanted = lasso_loop(x, y, 0.8, 400)
    rate = 0.45 / np.linalg.eigvalsh(x.T @ x / len(x))[-1]
    run = linear_run(CoordinateDescent(rate, order, block, step), 0.8, 1200)
    found = np.ravel(run.params["kernel"])
    np.testing.assert_allclose(found, wanted, atol=1e-7)
    assert np.array_equal(found == 0, wanted == 0)
    assert 0 < np.sum(found == 0) < 6


def test_the_secant_step_is_the_exact_one():
    """After a first sweep with the fixed rate has shown the curvature, cyclic sweeps are those of the exact loop."""
    x, y = regression()
    rate = 0.001
    run = linear_run(CoordinateDescent(rate, step="secant", largest=1e6), 0.8, 6 * 41)
    wanted = lasso_loop(x, y, 0.8, 400)
    np.testing.assert_allclose(np.ravel(run.params["kernel"]), lasso_loop(x, y, 0.8, 40), atol=2e-2)
    moved = wanted != 0  # the curvature of a coordinate that never left 0 is never needed
    np.testing.assert_allclose(
        np.ravel(run.state.slots.curvature["kernel"])[moved], 2 * np.mean(x**2, axis=0)[moved], rtol=1e-6
    )
    fixed = linear_run(CoordinateDescent(rate), 0.8, 6 * 41)
    assert np.max(np.abs(np.ravel(fixed.params["kernel"]) - wanted)) > 10 * np.max(
        np.abs(np.ravel(run.params["kernel"]) - wanted)
    )


def test_a_first_order_greedy_choice_would_stall():
    """With L1, the largest |g| is not the coordinate to move: at the minimum active ones keep |g| = λ. Ours goes on."""
    regularizer = fn.L1(1.0, proximal=True)
    params, gradient = {"kernel": jnp.asarray([3.0, 2.0])}, {"kernel": jnp.asarray([-1.0, 0.5])}
    optimizer = CoordinateDescent(0.1, "greedy")
    new, _ = optimizer.proximal_update(regularizer, gradient, optimizer.init(params), params)
    np.testing.assert_allclose(new["kernel"], [3.0, 2.0 - 0.15], rtol=1e-15)  # the first is at rest: −1 + 1 = 0


@pytest.mark.parametrize(
    ("order", "block"),
    [("cyclic", 1), ("random", 5), ("greedy", 1), ("greedy", 5), ("cyclic", "leaf"), ("greedy", "leaf")],
)
def test_only_the_chosen_block_moves(order, block):
    """On a network with L1: all other parameters keep their bits, cyclic and random visit every block."""
    network = fn.Dense(2)
    params = network.init(jax.random.key(0), (3,), jnp.float32)
    x, y = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32), np.arange(8) % 2
    optimizer, regularizer = CoordinateDescent(0.5, order, block), fn.L1(0.01, proximal=True)

    @jax.jit
    def onward(params, state):
        _, gradient = fn.backprop(network, fn.SoftmaxCrossEntropy(), params, x, y, regularizer=regularizer)
        return optimizer.proximal_update(regularizer, gradient, state, params)

    state, moved = optimizer.init(params), set()
    sizes = [leaf.size for leaf in leaves(params)]
    owner = (
        np.concatenate([np.full(n, i) for i, n in enumerate(sizes)])
        if block == "leaf"
        else np.arange(sum(sizes)) // block
    )
    for _ in range(20):
        new, state = onward(params, state)
        changed = np.concatenate([np.ravel(a) for a in leaves(params)]) != np.concatenate(
            [np.ravel(a) for a in leaves(new)]
        )
        assert len(set(owner[changed])) <= 1
        moved |= set(owner[changed])
        params = new
    assert len(moved) > 1 or (order, block) == ("greedy", "leaf")
    if order != "greedy" and block != 1:
        assert moved == set(owner)


@pytest.mark.every
def test_coordinate_descent_trains_a_network():
    """Each order lowers the objective of a small network by more than a third in 400 single-coordinate steps."""
    x, y = data()
    for optimizer in (
        CoordinateDescent(0.3),
        CoordinateDescent(0.3, "random"),
        CoordinateDescent(0.3, "greedy"),
        CoordinateDescent(0.1, step="secant", largest=10.0),
    ):
        experiment = fn.Experiment(
            fn.mlp(5, 1, activation=fn.tanh), fn.MeanSquaredError(), optimizer, batch_size=None, epochs=400
        )
        loss = fn.train(experiment, (x, y)).history["train_loss"]
        assert loss[-1] < 0.67 * loss[0]
        assert np.all(np.isfinite(loss))


W = {"a": jnp.zeros(2), "b": {"c": jnp.zeros((2, 3))}}
BAD = {
    "negative rate": (lambda: Adam(-0.1), ValueError, ("Adam.learning_rate must be at least 0", "-0.1")),
    "rate is infinite": (lambda: Adam(np.inf), ValueError, ("Adam.learning_rate must be", "inf")),
    "beta1 = 1": (lambda: Adam(beta1=1.0), ValueError, ("Adam.beta1 must be at least 0 and below 1", "1.0")),
    "beta2 < 0": (lambda: AdamW(beta2=-0.1), ValueError, ("AdamW.beta2 must be at least 0 and below 1", "-0.1")),
    "decay = 1": (lambda: RMSprop(decay=1.0), ValueError, ("RMSprop.decay must be at least 0 and below 1",)),
    "rho": (lambda: Adadelta(decay=1.5), ValueError, ("Adadelta.decay",)),
    "momentum > 1": (lambda: SGD(0.1, 1.1), ValueError, ("SGD.momentum must be at least 0 and at most 1",)),
    "epsilon < 0": (lambda: Adagrad(epsilon=-1e-8), ValueError, ("Adagrad.epsilon must be at least 0", "-1e-08")),
    "weight decay < 0": (lambda: AdamW(weight_decay=-1.0), ValueError, ("AdamW.weight_decay must be at least 0",)),
    "nesterov alone": (lambda: SGD(0.1, nesterov=True), ValueError, ("needs a momentum", "momentum=0.9")),
    "dampened nesterov": (lambda: SGD(0.1, 0.9, True, dampening=0.1), ValueError, ("dampening belongs to",)),
    "epsilon twice": (lambda: Adam(epsilon_hat=True, epsilon_root=1.0), ValueError, ("epsilon_root",)),
    "epsilon twice in AdamW": (lambda: AdamW(epsilon_hat=True, epsilon_root=1.0), ValueError, ("epsilon_root",)),
    "hat without correction": (
        lambda: AMSGrad(epsilon_hat=True, correction="none"),
        ValueError,
        ('correction="after"',),
    ),
    "unknown place": (lambda: AdaMax(epsilon_at="root"), ValueError, ("AdaMax.epsilon_at must be one of",)),
    "clip at 0": (lambda: ClipByNorm(SGD(0.1), 0.0), ValueError, ("ClipByNorm.limit must be above 0", "0.0")),
    "clip below 0": (lambda: ClipByValue(SGD(0.1), -1.0), ValueError, ("ClipByValue.limit must be above 0",)),
    "clip nothing": (lambda: ClipByNorm(0.1, 1.0), TypeError, ("ClipByNorm.optimizer must have init and update",)),
    "clip a class": (lambda: ClipByNorm(SGD, 1.0), TypeError, ("the class SGD",)),
    "accumulate 0": (lambda: Accumulate(SGD(0.1), 0), ValueError, ("Accumulate.batches must be at least 1",)),
    "accumulate 1.5": (lambda: Accumulate(SGD(0.1), 1.5), TypeError, ("must be a whole number",)),
    "order": (lambda: CoordinateDescent(0.1, "greddy"), ValueError, ("'greddy'", "'greedy'")),
    "block of 0": (lambda: CoordinateDescent(0.1, block=0), ValueError, ('(unless "leaf") must be at least 1',)),
    "secant block": (lambda: CoordinateDescent(0.1, block=2, step="secant"), ValueError, ("one coordinate at a time",)),
    "a leaf is missing": (
        lambda: step_with({"a": jnp.zeros(2), "b": {}}),
        ValueError,
        ("['b']['c'] is in the parameters alone",),
    ),
    "a leaf too many": (lambda: step_with(W | {"d": jnp.zeros(1)}), ValueError, ("['d'] is in the gradient alone",)),
    "another shape": (
        lambda: step_with({"a": jnp.zeros(2), "b": {"c": jnp.zeros((3, 2))}}),
        ValueError,
        ("['b']['c'] has (3, 2) against (2, 3)",),
    ),
    "another container": (lambda: step_with([jnp.zeros(1)], (jnp.zeros(1),)), ValueError, ("trees alike", "PyTreeDef")),
    "whole numbers": (
        lambda: step_with(jnp.zeros(2, int), jnp.zeros(2, int)),
        TypeError,
        ("parameters must be floating-point",),
    ),
}


def step_with(gradient, params=None):
    params = W if params is None else params
    return Adam().update(gradient, Adam().init(params), params)


@pytest.mark.parametrize("name", BAD)
def test_errors(name):
    """What must hold, what arrived, what to try."""
    call, kind, parts = BAD[name]
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in (*parts, "Try: ")), caught.value


@ALL
def test_every_optimizer_names_the_first_path_that_differs(name):
    """A gradient of another tree is refused by all, also behind wrappers."""
    with pytest.raises(ValueError, match=r"\['b'\]\['c'\] is in the parameters alone"):
        EVERY[name].update({"a": jnp.zeros(2)}, EVERY[name].init(W), W)


def test_an_average_is_measured_kept_and_given_back():
    """Validation and best parameters are of the weighted mean of past ones, by hand; training goes on from the last."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    held = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    base = fn.Experiment(fn.Dense(2), fn.MeanSquaredError(), Averaged(SGD(0.1), 0.7), batch_size=None, epochs=3)
    start = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    run = fn.train(base, (x, y), held, start=start)
    plain = fn.train(fn.replace(base, {"optimizer": SGD(0.1)}), (x, y), held, start=start)
    chex.assert_trees_all_equal(run.params, plain.params)

    w, b = start["kernel"], start["bias"]
    past = []
    for epoch in range(3):
        slope = (x @ w + b - y) / len(x)
        w, b = w - 0.1 * x.T @ slope, b - 0.1 * slope.sum(axis=0)
        past.append((w, b))
        share = 0.7 ** np.arange(epoch, -1, -1)
        mean = [np.tensordot(share / share.sum(), np.stack(each), 1) for each in zip(*past, strict=True)]
        loss = np.mean(np.sum((held[0] @ mean[0] + mean[1] - held[1]) ** 2, axis=1) / 2)
        np.testing.assert_allclose(run.history["validation_loss"][epoch], loss, rtol=1e-12)
        if epoch == run.best_epoch:
            np.testing.assert_allclose(run.best_params["kernel"], mean[0], rtol=1e-12)
            np.testing.assert_allclose(run.best_params["bias"], mean[1], rtol=1e-12)


def test_a_rate_shrinks_when_a_metric_stands_still():
    """Two epochs with the full rate, then two with a half, as if trained so by hand; in the slots stands how far."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    start = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    reduced = optimizers.ReduceOnPlateau(SGD(0.1), 0.5, 1, min_delta=1e3, metric="train_loss", at_least=0.2)
    base = fn.Experiment(fn.Dense(2), fn.MeanSquaredError(), reduced, batch_size=None, epochs=4)
    run = fn.train(base, (x, y), start=start)
    # The first epoch is better than nothing at all; every later one waits in vain, and the scale ends at its least.
    assert float(run.state.slots.scale) == 0.2
    for rate in (0.1, 0.1, 0.05, 0.025):
        once = fn.replace(base, {"optimizer": SGD(rate), "epochs": 1})
        start = fn.train(once, (x, y), start=start).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14), run.params, start)
    rising = optimizers.ReduceOnPlateau(SGD(0.1), 0.5, 1, metric="validation_accuracy")
    state = rising.init(start)
    for accuracy, scale in ((0.5, 1), (0.6, 1), (0.6, 0.5)):
        state = rising.judge(state, {"validation_accuracy": jnp.asarray(accuracy)})
        assert float(state.scale) == scale
    with pytest.raises(ValueError, match="the optimizer watches validation_accuracy, which must be measured"):
        fn.train(fn.replace(base, {"optimizer": rising}), (x, y))


def test_rates_by_path_reach_the_network():
    """A factor of 0 freezes, and others scale SGD's step; paths that lead nowhere are named before training."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    paths = optimizers.RatesByPath(SGD(0.1), ("0", "1.bias"), (0.0, 3.0))
    base = fn.Experiment(fn.Chain(fn.Dense(4), fn.Dense(2)), fn.MeanSquaredError(), paths, batch_size=None, epochs=1)
    plain = fn.train(fn.replace(base, {"optimizer": SGD(0.1)}), (x, y))
    run, before = fn.train(base, (x, y)), plain.experiment.network.init(fold(from_seed(0), 0), (3,))
    chex.assert_trees_all_equal(run.params[0], before[0])
    chex.assert_trees_all_equal(run.params[1]["kernel"], plain.params[1]["kernel"])
    np.testing.assert_allclose(run.params[1]["bias"], 3 * np.asarray(plain.params[1]["bias"]), rtol=1e-14)
    with pytest.raises(ValueError, match="'2' leads nowhere"):
        fn.train(fn.replace(base, {"optimizer": optimizers.RatesByPath(SGD(0.1), ("2",), (1.0,))}), (x, y))
    with pytest.raises(ValueError, match="2 paths and 1 factors"):
        optimizers.RatesByPath(SGD(0.1), ("0", "1"), (1.0,))
