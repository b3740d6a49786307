"""Keras 3 on its JAX backend: `Sequential`, `compile`, `fit`. The last batch is smaller, as `fit` makes it."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np

from experiments.benchmarks.networks import ANOTHER_EPSILON, Contestant, Job


def contestant(job: Job) -> Contestant:
    """Return the peer's side of a job."""
    (x, y), (test_x, test_y) = job.data
    rate, size = job.network.learning_rate, job.network.batch
    decay = keras.regularizers.L2(job.penalty / 2) if job.penalty else None
    layers = [keras.Input((job.widths[0],))]
    for width in job.widths[1:-1]:
        layers.append(keras.layers.Dense(width, activation="relu", kernel_regularizer=decay))
        if job.dropout:
            layers.append(keras.layers.Dropout(job.dropout))
    model = keras.Sequential([*layers, keras.layers.Dense(job.widths[-1], kernel_regularizer=decay)])
    optimizer = keras.optimizers.SGD(rate) if job.variant == "SGD" else keras.optimizers.Adam(rate, epsilon=1e-8)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model.trainable_variables)
    fresh = [np.zeros(v.shape, v.dtype) if "learning_rate" not in v.path else v.numpy() for v in optimizer.variables]

    def reset():
        model.set_weights([array for pair in job.parameters for array in pair])
        for variable, value in zip(optimizer.variables, fresh, strict=True):
            variable.assign(value)

    def fit(x, y, epochs, shuffle):
        return model.fit(x, y, batch_size=size, epochs=epochs, shuffle=shuffle, verbose=0).history["loss"]

    def losses(orders):
        reset()
        return [fit(x[order], y[order], 1, False)[0] for order in orders]

    def accuracy():
        return float(np.mean(model.predict(test_x, verbose=0).argmax(1) == test_y))

    return Contestant(reset, lambda: fit(x, y, job.network.epochs, True), losses, accuracy, True, ANOTHER_EPSILON)
