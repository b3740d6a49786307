"""Optax with `jax.grad`: epochs and batches in `lax.scan`, the whole turn one compiled call, buffers donated.

The last batch is filled up with samples of weight 0, as on our side.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.networks import Contestant, Job


def program(job: Job):
    """Return (jitted train(carry, orders, key), initial carry): one would write it so without funcnet."""
    (x, y), _ = job.data
    x, y = jnp.asarray(x), jnp.asarray(y)
    samples, size = job.samples, job.network.batch
    rate = job.network.learning_rate
    optimizer = optax.sgd(rate) if job.variant == "SGD" else optax.adam(rate)
    room = job.batches * size - samples
    weights = jnp.asarray(np.arange(job.batches * size) < samples, x.dtype).reshape(job.batches, size)

    def mean_loss(params, x, y, weight, key):
        losses = optax.softmax_cross_entropy_with_integer_labels(predict(params, x, job.dropout, key), y)
        loss = jnp.mean(losses) if weight is None else jnp.sum(weight * losses) / jnp.sum(weight)
        squares = sum(jnp.sum(layer["kernel"] ** 2) for layer in params) if job.penalty else 0.0
        return loss + job.penalty / 2 * squares, loss

    def update(carry, batch):
        params, state, key = carry
        rows, weight = batch
        key, own = jax.random.split(key) if job.dropout else (key, key)
        (_, loss), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params, x[rows], y[rows], weight, own)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state, key), loss * (size if weight is None else weight.sum())

    def epoch(carry, rows):
        rows = jnp.pad(rows, (0, room)).reshape(job.batches, size)
        carry, losses = jax.lax.scan(update, carry, (rows, weights if room else None))
        return carry, jnp.sum(losses) / samples

    @functools.partial(jax.jit, donate_argnums=0)
    def train(carry, orders):
        return jax.lax.scan(epoch, carry, orders)

    params = [{"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)} for kernel, bias in job.parameters]
    return train, (params, optimizer.init(params), jax.random.key(0))


def predict(params, x, dropout, key):
    """Return the logits."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
        if dropout:
            key, own = jax.random.split(key)
            x = jnp.where(jax.random.bernoulli(own, 1 - dropout, x.shape), x / (1 - dropout), 0)
    return x @ params[-1]["kernel"] + params[-1]["bias"]


def shuffler(job: Job):
    """Return the compiled function of a key that draws an order of the samples for each epoch."""
    epochs, samples = job.network.epochs, job.samples
    return jax.jit(lambda key: jax.vmap(lambda k: jax.random.permutation(k, samples))(jax.random.split(key, epochs)))


def from_a_seed(job: Job):
    """Return what must be compiled to train from a seed, as our program does: (function, arguments) each."""

    def init(key):
        keys = jax.random.split(key, len(job.widths) - 1)
        draw = jax.nn.initializers.he_normal()
        shapes = zip(keys, job.widths[:-1], job.widths[1:], strict=True)
        return [{"kernel": draw(own, (a, b)), "bias": jnp.zeros(b)} for own, a, b in shapes]

    train, carry = program(job)
    key = jax.random.key(0)
    return [(jax.jit(init), (key,)), (shuffler(job), (key,)), (train, (carry, jnp.asarray(job.orders)))]


def contestant(job: Job) -> Contestant:
    """Return the peer's side of a job."""
    train, start = program(job)
    shuffle, key, carry = shuffler(job), jax.random.key(1), None

    def reset():
        nonlocal carry
        carry = jax.block_until_ready(jax.tree.map(jnp.copy, start))

    def run():
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, shuffle(key)))
        return losses

    def losses(orders):
        reset()
        return np.asarray(train(carry, jnp.asarray(orders))[1]).tolist()

    def accuracy():
        x, y = job.data[1]
        return float(np.mean(np.asarray(predict(carry[0], jnp.asarray(x), 0.0, None)).argmax(1) == y))

    return Contestant(reset, run, losses, accuracy)
