"""What fresh processes measure: imports, a first step, tracing and compiling, recompiling, memory.

Nothing is imported at the top that would be imported before a clock starts.
"""

import time
from typing import Any

from experiments.benchmarks.networks import Job
from experiments.benchmarks.peers import peer

RATES = [0.001 * 1.5**i for i in range(10)]


def seconds_of_imports(package: str) -> dict[str, float]:
    """Return how long it takes to import jax, and then a package."""
    start = time.perf_counter()
    import jax  # noqa: F401

    between = time.perf_counter()
    __import__(package)
    return {"jax": between - start, "above": time.perf_counter() - between}


def first_step(name: str, network: Any, data: Any) -> dict[str, float]:
    """Import what a side needs, and train one epoch."""
    job = Job(network, "Adam")
    job.__dict__.update(data=data, start=None if name == "funcnet" else _drawn(job))
    start = time.perf_counter()
    if name == "funcnet":
        import funcnet as fn

        imported = time.perf_counter()
        fn.train(job.experiment, job.data[0])
    else:
        module = peer(name)
        imported = time.perf_counter()
        side = module.contestant(job)
        if name != "torch":  # which has trained already, to choose its number of threads
            side.reset()
            side.run()
    return {"seconds": time.perf_counter() - start, "imports": imported - start}


def _drawn(job: Job) -> Any:
    """Return initial parameters without compiling anything."""
    import types

    import numpy as np

    rng, shapes = np.random.default_rng(0), zip(job.widths[:-1], job.widths[1:], strict=True)
    draw = [
        {"kernel": rng.standard_normal(shape, np.float32) * (2 / shape[0]) ** 0.5, "bias": np.zeros(shape[1], "f")}
        for shape in shapes
    ]
    return types.SimpleNamespace(params=draw)


def our_programs(job: Any) -> list[tuple[Any, Any]]:
    """Return what a run of ours compiles: the program that begins, and the one that goes on, with their arguments."""
    import jax
    import numpy as np

    from funcnet.training.runners import begin_program, walk_program
    from funcnet.training.steps import begin

    experiment, data = job.prepared
    state = jax.eval_shape(begin, experiment, data)
    walk = walk_program(tuple(jax.local_devices()[:1]))
    return [
        (begin_program("cpu"), (experiment, data, None)),
        (walk, (experiment, state, data, np.int32(1), np.int32(1))),
    ]


def trace_and_compile(name: str, network: Any) -> dict[str, float]:
    """Return seconds of tracing and of compiling all that trains from a seed."""
    import jax

    job = Job(network, "Adam")
    if name == "funcnet":
        programs = our_programs(job)
    else:
        job.__dict__["start"] = _drawn(job)
        programs = peer("optax").from_a_seed(job)
    jax.block_until_ready(jax.jit(lambda x: x + 1)(1.0))  # starts the backend
    start = time.perf_counter()
    lowered = [program.lower(*arguments) for program, arguments in programs]
    traced = time.perf_counter()
    for program in lowered:
        program.compile()
    return {"trace": traced - start, "compile": time.perf_counter() - traced, "seconds": time.perf_counter() - start}


def without_llvm(network: Any) -> dict[str, float]:
    """Return how many loops our program for a network has, and the seconds of compiling it with LLVM's passes off."""
    program, arguments = our_programs(Job(network, "Adam"))[-1]
    lowered = program.lower(*arguments)
    loops = lowered.compile().as_text().count("kind=kLoop")
    start = time.perf_counter()
    lowered.compile({"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True})
    return {"loops": loops, "seconds": time.perf_counter() - start}


def compilations(name: str, network: Any) -> dict[str, int]:
    """Return how many programs are compiled for the first of ten learning rates, and for the nine others."""
    import jax

    count = 0

    def listen(event: str, duration: float, **_: Any) -> None:
        nonlocal count
        count += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(listen)
    first = 0
    for rate in RATES:
        job = Job(network._replace(learning_rate=rate), "Adam")
        if name == "funcnet":
            import funcnet as fn

            fn.train(job.experiment, job.data[0])
        else:
            job.__dict__["start"] = _drawn(job)
            side = peer(name).contestant(job)
            side.reset()
            side.run()
        first = first or count
    return {"first": first, "others": count - first}


def peak_memory(network: Any) -> dict[str, Any]:
    """Return the bytes of a compiled gradient and training step, ours and with jax.grad of our objective."""
    import jax
    import jax.numpy as jnp

    import funcnet as fn

    job = Job(network, "Adam")
    experiment, data = job.prepared
    rule, loss, optimizer = experiment.network, experiment.loss, experiment.optimizer

    def by_hand(params, x, y):
        return fn.backprop(rule, loss, params, x, y)

    def by_jax(params, x, y):
        return jax.value_and_grad(lambda params: loss(rule.forward(params, x)[0], y))(params)

    def step(differentiate):
        def update(params, slots, x, y):
            value, gradient = differentiate(params, x, y)
            updates, slots = optimizer.update(gradient, slots, params)
            return jax.tree.map(jnp.add, params, updates), slots, value

        return update

    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(lambda key: rule.init(key, data.x.shape[1:]), key)
    slots = jax.eval_shape(optimizer.init, params)
    x, y = (jax.ShapeDtypeStruct((network.batch, *a.shape[1:]), a.dtype) for a in (data.x, data.y))
    found: dict[str, Any] = {"title": network.title}
    for name, differentiate in (("ours", by_hand), ("jax", by_jax)):
        gradient = jax.jit(differentiate).lower(params, x, y).compile()
        update = jax.jit(step(differentiate), donate_argnums=(0, 1)).lower(params, slots, x, y).compile()
        found[name] = {"gradient": _peak(gradient), "step": _peak(update)}
    return found


def _peak(program: Any) -> int:
    """Return the bytes of arguments, results and temporaries, those that share a buffer once."""
    found = program.memory_analysis()
    sizes = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return int(sizes - found.alias_size_in_bytes)
