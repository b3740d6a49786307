"""The peers of the sweep's race: Optax under vmap, the same with every trick, and loops over trials."""

import time
import warnings

import numpy as np

from experiments.benchmarks.sweep.job import BATCH, CLASSES, FEATURES, HIDDEN, batches_an_epoch, few, rates_and_seeds


def optax_program(options, own_order, epochs):
    """Return train(seed, rate, x, y) → losses by epoch: as one would write it, without funcnet."""
    import jax
    import jax.numpy as jnp
    import optax

    def draw(key):
        first, last = jax.random.split(key)
        bound = (6 / (HIDDEN + CLASSES)) ** 0.5
        return {
            "w1": jax.random.normal(first, (FEATURES, HIDDEN)) * (2 / FEATURES) ** 0.5,
            "b1": jnp.zeros(HIDDEN),
            "w2": jax.random.uniform(last, (HIDDEN, CLASSES), minval=-bound, maxval=bound),
            "b2": jnp.zeros(CLASSES),
        }

    def mean_loss(params, x, y, weight):
        hidden = jax.nn.relu(x @ params["w1"] + params["b1"])
        losses = optax.softmax_cross_entropy_with_integer_labels(hidden @ params["w2"] + params["b2"], y)
        return jnp.sum(weight * losses) / jnp.sum(weight)

    def train(seed, rate, x, y):
        samples = x.shape[0]
        count = batches_an_epoch(samples)
        weights = (jnp.arange(count * BATCH) < samples).astype(x.dtype).reshape(count, BATCH)
        optimizer = optax.adam(rate)
        params = draw(jax.random.key(seed))

        def update(carry, batch):
            params, state = carry
            rows, weight = batch
            loss, gradient = jax.value_and_grad(mean_loss)(params, x[rows], y[rows], weight)
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), loss * jnp.sum(weight)

        def epoch(carry, number):
            key = jax.random.fold_in(jax.random.key(seed if own_order else 0), number)
            rows = jnp.pad(jax.random.permutation(key, samples), (0, count * BATCH - samples)).reshape(count, BATCH)
            carry, losses = jax.lax.scan(update, carry, (rows, weights))
            return carry, jnp.sum(losses) / samples

        return jax.lax.scan(epoch, (params, optimizer.init(params)), jnp.arange(epochs))[1]

    return train


def optax_arguments(options):
    import jax.numpy as jnp

    import funcnet as fn

    rates, seeds = rates_and_seeds(options["trials"])
    x, y = fn.data.digits().train
    return jnp.asarray(seeds), jnp.asarray(rates, jnp.float32), jnp.asarray(x), jnp.asarray(y)


def compiled(function, arguments, **settings):
    """Compile a function and return the seconds that took, and a run."""
    import jax

    start = time.perf_counter()
    program = jax.jit(function, **settings).lower(*arguments).compile()
    compiling = time.perf_counter() - start

    def run():
        start = time.perf_counter()
        losses = np.asarray(program(*arguments))
        return {"seconds": time.perf_counter() - start, "loss": float(losses[:, -1].mean())}

    return compiling, run


def with_vmap(options, own_order=False):
    import jax

    jax.config.update("jax_num_cpu_devices", 1)
    train = optax_program(options, own_order, options["epochs"])
    return compiled(jax.vmap(train, (0, 0, None, None)), optax_arguments(options))


def with_vmap_own_orders(options):
    return with_vmap(options, own_order=True)


def with_map(options):
    """Every trick: find the best one on a tenth of the epochs, then compile it for all of them."""
    import jax
    from jax.sharding import Mesh
    from jax.sharding import PartitionSpec as Spec

    jax.config.update("jax_num_cpu_devices", options["cores"])
    mesh = Mesh(np.asarray(jax.devices()), ("trials",))
    arguments = optax_arguments(options)

    def program(epochs, size, threads):
        train = optax_program(options, False, epochs)

        def shard(seeds, rates, x, y):
            return jax.lax.map(lambda trial: train(*trial, x, y), (seeds, rates), batch_size=size)

        lane = Spec("trials")
        spread = jax.shard_map(shard, mesh=mesh, in_specs=(lane, lane, Spec(), Spec()), out_specs=lane, check_vma=False)
        cpu = jax.default_backend() == "cpu"
        settings = {"xla_cpu_multi_thread_eigen": threads} if cpu else {}
        return compiled(spread, arguments, compiler_options=settings)

    seconds = {}
    for size in (16, 32, 64):
        for threads in (True, False):
            run = program(max(1, options["epochs"] // 10), size, threads)[1]
            run()
            seconds[size, threads] = min(run()["seconds"] for _ in range(2))
    size, threads = min(seconds, key=seconds.get)
    compiling, run = program(options["epochs"], size, threads)
    note = f"C = {size}, {'with' if threads else 'without'} threads in a product"
    return compiling, lambda: run() | {"note": note}


def with_torch(options):
    import torch
    from torch import nn

    import funcnet as fn

    torch.set_num_threads(1)
    x, y = fn.data.digits().train
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    count = batches_an_epoch(len(x))

    def one(rate, seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
        nn.init.kaiming_normal_(model[0].weight)
        nn.init.xavier_uniform_(model[2].weight)
        for layer in (model[0], model[2]):
            nn.init.zeros_(layer.bias)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        criterion = nn.CrossEntropyLoss()
        for _ in range(options["epochs"]):
            order = torch.randperm(len(x))
            shuffled, labels = x[order], y[order]
            total = torch.zeros(())
            for i in range(count):
                part = slice(i * BATCH, (i + 1) * BATCH)
                optimizer.zero_grad(set_to_none=True)
                loss = criterion(model(shuffled[part]), labels[part])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(labels[part])
        return float(total) / len(x)

    one(1e-3, 0)
    return 0.0, looped(options, one)


def with_scikit_learn(options):
    from sklearn.neural_network import MLPClassifier

    import funcnet as fn

    warnings.filterwarnings("ignore")  # that 30 epochs are not enough to converge
    x, y = fn.data.digits().train

    def one(rate, seed):
        settings = {"batch_size": BATCH, "max_iter": options["epochs"], "alpha": 0.0, "random_state": seed}
        never = {"tol": 0.0, "n_iter_no_change": 10**9}
        return MLPClassifier((HIDDEN,), learning_rate_init=rate, **settings, **never).fit(x, y).loss_

    return 0.0, looped(options, one)


def looped(options, one):
    """Return a run that trains a few trials and multiplies up to all of them, spread over all cores without loss."""

    def run():
        start = time.perf_counter()
        losses = [one(rate, seed) for rate, seed in zip(*few(options), strict=True)]
        seconds = (time.perf_counter() - start) / len(losses) * options["trials"] / options["cores"]
        return {"seconds": seconds, "loss": float(np.mean(losses)), "note": f"from {len(losses)} trials"}

    return run
