"""Where the time of a sweep's update goes: its products and Adam in programs of their own, on one core."""

import numpy as np

from experiments.benchmarks.sweep.job import BATCH, CLASSES, FEATURES, HIDDEN
from experiments.benchmarks.timing import race, timed

LANES, UPDATES, TURNS = 32, 500, 9


def parts():
    """Return the seconds an update and trial of the products and of Adam, so many trials side by side."""
    import jax
    import jax.numpy as jnp

    import funcnet as fn

    rng = np.random.default_rng(0)

    def drawn(*shape):
        return jnp.asarray(0.1 * rng.standard_normal(shape, np.float32))

    # Samples are columns, and all trials see the same batch.
    x, first, second = drawn(FEATURES, BATCH), drawn(LANES, HIDDEN, FEATURES), drawn(LANES, CLASSES, HIDDEN)
    optimizer = fn.Adam(1e-3)

    def products(x, first, second):
        def trial(x, first, second):
            hidden = first @ x
            dy = second @ hidden
            dhidden = second.T @ dy
            return dhidden @ x.T, dy @ hidden.T

        def update(carry, _):
            x, _ = carry
            found = jax.vmap(trial, in_axes=(None, 0, 0))(x, first, second)
            # The next round waits for this one, and no product can be left out.
            x, found = jax.lax.optimization_barrier((x, found))
            return (x + 0 * (found[0][0, 0, 0] + found[1][0, 0, 0]), found), None

        start = (jnp.zeros_like(first), jnp.zeros_like(second))
        return jax.lax.scan(update, (x, start), None, UPDATES)[0]

    def adam(params, slots, gradient):
        def update(carry, _):
            params, slots = carry
            updates, slots = jax.vmap(optimizer.update)(gradient, slots, params)
            return (jax.tree.map(jnp.add, params, updates), slots), None

        return jax.lax.scan(update, (params, slots), None, UPDATES)[0]

    params = {"first": first, "second": second, "bias": drawn(LANES, HIDDEN + CLASSES)}
    slots = jax.vmap(optimizer.init)(params)
    gradient = jax.tree.map(lambda leaf: 1e-3 * jnp.ones_like(leaf), params)
    one_thread = {"xla_cpu_multi_thread_eigen": False}
    jobs = {
        "products": (jax.jit(products, compiler_options=one_thread), (x, first, second)),
        "adam": (jax.jit(adam, compiler_options=one_thread), (params, slots, gradient)),
    }
    found = race({n: timed(lambda p=p, a=a: jax.block_until_ready(p(*a))) for n, (p, a) in jobs.items()}, TURNS)
    return {name: row["seconds"] / (UPDATES * LANES) for name, row in found.items()}
