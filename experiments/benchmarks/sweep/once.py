"""What is measured once: the floor of the arithmetic, the memory of a process, the first epoch of a new one."""

import time

from experiments.benchmarks.processes import fresh
from experiments.benchmarks.sweep.job import (
    BATCH,
    CLASSES,
    FEATURES,
    HIDDEN,
    PARAMETERS,
    batches_an_epoch,
    rates_and_seeds,
)


def adam_nanoseconds():
    """Return the nanoseconds of Adam's update of a parameter, in a compiled loop, its state in the cache."""
    import jax
    import jax.numpy as jnp

    def adam(carry, g):
        p, m, v = carry
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return p - 1e-3 * m / (jnp.sqrt(v) + 1e-8), m, v

    nanoseconds = []
    for lanes in (1, 4, 16):
        size, steps = lanes * PARAMETERS, 4000 // lanes
        g = jnp.full(size, 0.01)
        program = jax.jit(
            lambda c, g, steps=steps: jax.lax.fori_loop(0, steps, lambda _, c: adam(c, g), c),
            compiler_options={"xla_cpu_multi_thread_eigen": False},
        )
        start = (g, g, g)
        jax.block_until_ready(program(start, g))
        for _ in range(5):
            begin = time.perf_counter()
            jax.block_until_ready(program(start, g))
            nanoseconds.append((time.perf_counter() - begin) / (steps * size) * 1e9)
    return min(nanoseconds)


def floor(options, rates):
    """Return the seconds that the job's arithmetic takes: products at the rate of large ones, and Adam's updates."""
    samples = options["samples"]
    # Forward and the kernels' gradients for both layers, the gradient of the hidden values for the last.
    flops = 2 * samples * (2 * (FEATURES * HIDDEN + HIDDEN * CLASSES) + HIDDEN * CLASSES)
    updates = batches_an_epoch(samples) * PARAMETERS
    an_update = fresh(adam_nanoseconds)
    job = options["trials"] * options["epochs"] / options["cores"]
    parts = {"products": job * flops / rates["flops_one_core"], "adam": job * updates * an_update / 1e9}
    return {"gigaflops_a_core": rates["flops_one_core"] / 1e9, "adam_nanoseconds": an_update} | parts


def resident(field="VmRSS"):
    """Return the memory that this process holds now, or has held at most, in MiB."""
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith(field)).split()[1]) / 1024


def memory(options):
    """Sweep so many trials in a fresh process, and return what it held before, after, and at most, in MiB."""
    import funcnet as fn

    fn.use_cores(options["cores"])
    train = fn.data.digits().train
    base = fn.Experiment(
        fn.mlp(HIDDEN, CLASSES), fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=BATCH, epochs=options["epochs"]
    )
    before = resident()
    together = list(zip(*rates_and_seeds(options["trials"]), strict=True))
    experiments = fn.grid(base, {("optimizer.learning_rate", "seed"): together})
    listed = resident()
    results = fn.sweep(experiments, train=train, progress=False)
    outcome = {"trials": len(results), "before": before, "listed": listed, "after": resident()}
    return outcome | {"most": resident("VmHWM")}


def first_segment(options):
    """Sweep one epoch in a fresh process with a folder of compiled programs, and return the seconds that took."""
    began = time.perf_counter()
    import funcnet as fn

    imported = time.perf_counter()
    fn.use_cores(options["cores"])
    fn.use_compilation_cache(options["folder"])
    base = fn.Experiment(fn.mlp(HIDDEN, CLASSES), fn.SoftmaxCrossEntropy(), fn.Adam(), batch_size=BATCH, epochs=1)
    fn.sweep(fn.grid(base, {"seed": range(16)}), train=fn.data.digits().train, progress=False)
    return {"import": imported - began, "sweep": time.perf_counter() - imported}
