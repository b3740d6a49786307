r"""Lanes: many trials of one structure side by side in one compiled program.

    stack(experiments) -> experiment                        every number an array with a first axis of lanes
    programs.place_experiment, place_state                  put what the host holds where the programs expect it
    programs.begin(experiment, data, start) -> state        draw all parameters, but those to begin from
    programs.advance(experiment, state, data, until) -> (state, ran)
                                                            run epochs until `until`; a lane stops at its own last
                                                            epoch, or when a rule or a divergence ends it
    programs.measure(experiment, params, held) -> metrics   of a held-out set (x, y, weight)

All lanes of a program stand at the same epoch: they share the clock, hence the order of the samples, which is drawn and
gathered once for all. A lane that has ended is frozen: its state stays, bit for bit, whatever its neighbours do.

The width is fixed, and depends on nothing but the structure of the experiment, the shapes of the data and the platform.
So one executable serves every chunk of every sweep, and a trial's outcome does not depend on its company.

With several devices the lanes are spread over them by a mesh; each device runs the same program on its own lanes, and
nothing is exchanged. On a CPU a device is one core (see `use_cores`), and each product stays on it.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from funcnet.records import canonical, children, rebuilt
from funcnet.sweeps.columns import Columns, computes_in_columns, transposed
from funcnet.sweeps.hosts import spans_processes, to_devices
from funcnet.sweeps.side_by_side import side_by_side
from funcnet.training.experiment import Experiment
from funcnet.training.state import Data, State
from funcnet.training.steps import begin, measure, run_epoch

CACHE = {"cpu": 4 << 20}  # bytes of state that a device's lanes may take
LARGEST = {"cpu": 64}

_SHARED = ("epoch", "batch", "step")  # fields of a state that all lanes have in common


@dataclasses.dataclass(frozen=True)
class LanePrograms:
    """The compiled functions of one structure, and how many trials they take at once.

    Arrays that lie elsewhere would be taken too, but a program is compiled again for each way in which they lie.
    """

    place_experiment: Any
    place_state: Any
    begin: Any
    advance: Any
    measure: Any
    lanes: int  # of one device
    width: int  # of all devices
    everywhere: NamedSharding  # of what all lanes share


def lanes_for(experiment: Experiment, data: Data, platform: str) -> int:
    """Return how many lanes a device gets: a power of two whose states fit the cache of a core, or a GPU's memory.

    The numbers are measured on two-core machines: fewer lanes leave the vectors of a core empty, more push its
    parameters out of its cache.
    """
    state = jax.eval_shape(begin, experiment, data)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((state.params, state.slots)))
    room = CACHE.get(platform, 1 << 30) // max(4 * size // 3, 1)
    return int(2 ** np.clip(np.floor(np.log2(max(room, 1))), 0, np.log2(LARGEST.get(platform, 1024))))


def stack(experiments: Sequence[Experiment], own_order: bool = False) -> Experiment:
    """Return one experiment whose numbers have an axis of lanes; the seed of a shared order has none."""
    columns = zip(*(jax.tree.leaves(experiment) for experiment in experiments), strict=True)
    leaves = canonical([np.stack(column) for column in columns])
    stacked: Experiment = jax.tree.unflatten(jax.tree.structure(experiments[0]), leaves)
    return stacked if own_order else _with(stacked, data_seed=stacked.data_seed[0])


def _with(experiment: Any, **fields: Any) -> Any:
    """Replace fields without validating: a mapped experiment holds arrays, axes or specifications in their place."""
    return rebuilt(experiment, children(experiment) | fields, check=False)


def in_columns(experiment: Experiment, data: Data) -> bool:
    """Tell whether the lanes of an experiment may compute in columns: kernels transposed, the outcome the same."""
    alike = (experiment.optimizer, experiment.regularizer)
    free = all(rule.orientation_free for rule in alike if rule is not None)
    vectors = isinstance(data.x, jax.Array | np.ndarray | jax.ShapeDtypeStruct) and data.x.ndim == 2
    return free and vectors and computes_in_columns(experiment.network)


class _Lanes:
    """Training's functions for one structure, mapped over the lanes; nothing about training is written twice."""

    def __init__(self, structure: Any, columns: bool, own_order: bool) -> None:
        self.example = jax.tree.unflatten(structure, [0] * structure.num_leaves)
        self.columns, self.own_order = columns, own_order
        self.axes, self.state_axes = self.over(0, None)

    def over(self, value: Any, shared: Any) -> tuple[Any, Any]:
        """Return an experiment and a state that hold `value` where lanes differ, and `shared` where they do not."""
        experiment = jax.tree.map(lambda _: value, self.example)
        state = State(*[value] * len(State._fields))._replace(**dict.fromkeys(_SHARED, shared))
        return _with(experiment, data_seed=value if self.own_order else shared), state

    def turned(self, state: State) -> State:
        """Transpose the kernels in a state, where lanes compute in columns."""
        if not self.columns:
            return state
        params, slots, best, sums = transposed((state.params, state.slots, state.best_params, state.sums))
        return state._replace(params=params, slots=slots, best_params=best, sums=sums)

    def begin(self, experiment: Experiment, data: Data, start: Any) -> State:
        """Draw all parameters."""
        mapped = jax.vmap(lambda e: begin(e, data, start), in_axes=(self.axes,), out_axes=self.state_axes)
        return mapped(experiment)

    def advance(self, experiment: Experiment, state: State, data: Data, until: jax.Array) -> Any:
        """Run epochs until `until`; a lane that has ended keeps its state."""
        limit, axes = experiment.epochs, self.axes
        if self.columns:
            experiment = _with(experiment, network=Columns(experiment.network))
            axes = _with(axes, network=Columns(axes.network))
        else:
            experiment, axes = (_with(e, network=side_by_side(e.network)) for e in (experiment, axes))
        in_axes = (axes, self.state_axes)
        one = jax.vmap(lambda e, s: run_epoch(e, s, data), in_axes=in_axes, out_axes=self.state_axes)

        def active(state: State) -> jax.Array:
            return (state.reason == 0) & (state.epoch < limit)

        def body(carry: Any) -> Any:
            state, ran = carry
            going = active(state)
            return _frozen(going, one(experiment, state), state), ran + going.astype(ran.dtype)

        start = (self.turned(state), jnp.zeros(limit.shape, jnp.int32))
        state, ran = jax.lax.while_loop(lambda c: (c[0].epoch < until) & jnp.any(active(c[0])), body, start)
        # A device whose lanes have all ended leaves the loop early; the clock shows the same on every device.
        steps = state.step // jnp.maximum(state.epoch, 1)
        return self.turned(state._replace(epoch=until, step=steps * until)), ran

    def measure(self, experiment: Experiment, params: Any, held: Any) -> Any:
        """Measure a held-out set."""
        experiment, axes = (_with(e, network=side_by_side(e.network)) for e in (experiment, self.axes))
        return jax.vmap(lambda e, p: measure(e, p, held), in_axes=(axes, 0))(experiment, params)


def _frozen(going: jax.Array, after: State, before: State) -> State:
    """Return the state after an epoch, with lanes that do not go on as they were before; the clock goes on."""

    def one(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(going.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    shared: dict[str, Any] = dict.fromkeys(_SHARED)
    kept = {name: value for name, value in after._asdict().items() if name in shared}
    return jax.tree.map(one, after._replace(**shared), before._replace(**shared))._replace(**kept)


@functools.lru_cache(maxsize=64)
def programs_for(structure: Any, lanes: int, devices: tuple[Any, ...], columns: bool, own_order: bool) -> LanePrograms:
    """Return the compiled functions of a structure; asked for twice, they are the same, and compile once."""
    # A lane's products are too small to share among threads: each device keeps to its core.
    options = {"xla_cpu_multi_thread_eigen": False} if devices[0].platform == "cpu" else {}
    mesh, lane = Mesh(np.asarray(devices), ("lanes",)), Spec("lanes")
    mapped = _Lanes(structure, columns, own_order)
    specs, state_specs = mapped.over(lane, Spec())

    def compiled(function: Any, in_specs: Any, out_specs: Any, donate: tuple[int, ...] = ()) -> Any:
        spread = jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
        program = jax.jit(spread, compiler_options=options, donate_argnums=donate)
        if not spans_processes(devices):
            return program
        return lambda *arguments: program(*to_devices(mesh, in_specs, arguments))

    def placing(specs: Any) -> Any:
        if spans_processes(devices):
            return functools.partial(to_devices, mesh, specs)
        over = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda node: isinstance(node, Spec))
        return lambda tree: jax.device_put(tree, over)

    return LanePrograms(
        place_experiment=placing(specs),
        place_state=placing(state_specs),
        begin=compiled(mapped.begin, (specs, Spec(), Spec()), state_specs),
        advance=compiled(mapped.advance, (specs, state_specs, Spec(), Spec()), (state_specs, lane), (1,)),
        measure=compiled(mapped.measure, (specs, lane, Spec()), lane),
        lanes=lanes,
        width=lanes * len(devices),
        everywhere=NamedSharding(mesh, Spec()),
    )
