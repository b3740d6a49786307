"""Equinox as its users write it: a module, Optax, and a `filter_jit` step called from a Python loop.

The last batch is smaller, which compiles the step a second time.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.networks import Contestant, Job


class MLP(eqx.Module):
    """Linear layers with ReLU and, if asked, dropout between them; `eqx.nn.MLP` has no dropout."""

    layers: list
    dropout: eqx.nn.Dropout | None

    def __init__(self, job: Job):
        shapes = zip(job.widths[:-1], job.widths[1:], strict=True)
        layers = [eqx.nn.Linear(a, b, key=jax.random.key(0)) for a, b in shapes]
        for i, (kernel, bias) in enumerate(job.parameters):
            values = jnp.asarray(kernel.T), jnp.asarray(bias)
            layers[i] = eqx.tree_at(lambda layer: (layer.weight, layer.bias), layers[i], values)
        self.layers = layers
        self.dropout = eqx.nn.Dropout(job.dropout) if job.dropout else None

    def __call__(self, x, key=None):
        """Return the logits of one sample."""
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
            if self.dropout is not None and key is not None:
                key, own = jax.random.split(key)
                x = self.dropout(x, key=own)
        return self.layers[-1](x)


def contestant(job: Job) -> Contestant:
    """Return the peer's side of a job."""
    (x, y), (test_x, test_y) = job.data
    size, rate = job.network.batch, job.network.learning_rate
    optimizer = optax.sgd(rate) if job.variant == "SGD" else optax.adam(rate)

    def objective(model, x, y, key):
        logits = jax.vmap(model)(x, jax.random.split(key, x.shape[0])) if job.dropout else jax.vmap(model)(x)
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))
        squares = sum(jnp.sum(layer.weight**2) for layer in model.layers) if job.penalty else 0.0
        return loss + job.penalty / 2 * squares, loss

    @eqx.filter_jit(donate="all-except-first")
    def step(batch, model, state, key):
        key, own = jax.random.split(key)
        (_, loss), gradient = eqx.filter_value_and_grad(objective, has_aux=True)(model, *batch, own)
        updates, state = optimizer.update(gradient, state, model)
        return eqx.apply_updates(model, updates), state, key, loss

    first = MLP(job)
    start = (first, optimizer.init(eqx.filter(first, eqx.is_array)), jax.random.key(0))
    rng, carry = np.random.default_rng(0), None

    def reset():
        nonlocal carry
        carry = jax.block_until_ready(jax.tree.map(lambda a: jnp.copy(a) if eqx.is_array(a) else a, start))

    def train(orders):
        nonlocal carry
        found = []
        for rows in orders:
            total = 0.0
            for i in range(0, len(rows), size):
                part = rows[i : i + size]
                *carry, loss = step((x[part], y[part]), *carry)
                total += loss * len(part)
            found.append(total / len(rows))
        jax.block_until_ready(carry)
        return found

    def run():
        train([rng.permutation(job.samples) for _ in range(job.network.epochs)])

    def losses(orders):
        reset()
        return [float(loss) for loss in train(orders)]

    def accuracy():
        return float(np.mean(np.asarray(jax.vmap(carry[0])(test_x)).argmax(1) == test_y))

    return Contestant(reset, run, losses, accuracy)
