r"""An auto-encoder of convolutions that takes noise away.

A network that is shown noisy images and asked for the clean ones learns what images look like (Vincent et al. 2008).
Here the images are those of [clothes](fashion.md), 28 × 28 pixels between 0 (white) and 1 (black); the noise is normal,
with a deviation of 0.4 a pixel, drawn anew in every epoch by `fn.Noise`, the first layer, which does nothing once
training is over. No label takes part.

Two convolutions with a stride of 2 take an image to 14 × 14 × 16 and to 7 × 7 × 32 numbers; two transposed ones
(`fn.ConvTranspose`) lead back. Windows are of 4 × 4 pixels, with batch normalisation and ReLU between the layers. The
network sees 10,000 images, in batches of 32, Adam at 0.005, falling to 0 along half a cosine, for four epochs: one
seed. 1,000 test images with noise of their own judge. A first network without normalisation, with a path around it and
half as many updates, ended behind principal components on them: the figure is that much less blind.

The baselines know the clean training images as well: the mean image; a blur with a Gaussian, whose width is the best on
500 training images; and the first principal components of the clean training images, as many as are best there.
"""

import jax
import numpy as np

import funcnet as fn
from experiments.problems.fashion import images
from experiments.study import Table

NOISE, WIDTHS, RATE, BATCH, EPOCHS = 0.4, (16, 32), 0.005, 32, 4
BLURS, COUNTS = (0.6, 0.8, 1.0, 1.2, 1.4), (10, 20, 40, 60, 80, 100, 150)
METHODS = ("noisy", "mean image", "Gaussian blur", "principal components", "auto-encoder")


def network(widths=WIDTHS):
    """Return the network: noise while training, two layers down and two up."""
    down = [part for width in widths for part in (fn.Conv(width, 4, stride=2, bias=False), fn.BatchNorm(), fn.relu)]
    up = [fn.ConvTranspose(widths[0], 4, stride=2, bias=False), fn.BatchNorm(), fn.relu]
    return fn.Chain(fn.Noise(NOISE), *down, *up, fn.ConvTranspose(1, 4, stride=2))


def measure(small):
    """Return errors by method, and some images with what each method makes of them."""
    from scipy.ndimage import gaussian_filter

    parts, rng = images(small), np.random.default_rng(0)
    train = parts.train[0][: 100 if small else 10_000].reshape(-1, 28, 28)
    test = parts.test[0][: 50 if small else 1_000].reshape(-1, 28, 28)
    noisy = test + NOISE * rng.standard_normal(test.shape, np.float32)
    some = train[:500]
    spoilt = some + NOISE * rng.standard_normal(some.shape, np.float32)

    def error(found, truth):
        return float(np.square(found - truth).mean())

    def blur(x, width):
        return gaussian_filter(x, (0, width, width))

    mean = train.reshape(-1, 784).mean(axis=0)
    directions = np.linalg.svd(train.reshape(-1, 784) - mean, full_matrices=False)[2]

    def projected(x, count):
        kept = directions[:count]
        return (mean + (x.reshape(-1, 784) - mean) @ kept.T @ kept).reshape(x.shape)

    width = min(BLURS, key=lambda width: error(blur(spoilt, width), some))
    count = min(COUNTS, key=lambda count: error(projected(spoilt, count), some))
    epochs, x = 1 if small else EPOCHS, train[..., None]
    falling = fn.Adam(fn.Cosine(RATE, steps=epochs * -(-len(x) // BATCH)))
    net = network((2, 3)) if small else network()
    experiment = fn.Experiment(net, fn.MeanSquaredError(), falling, batch_size=BATCH, epochs=epochs)
    run = fn.train(experiment, (x, x), progress=False, devices=jax.devices()[:1])
    made = {
        "noisy": noisy,
        "mean image": np.broadcast_to(mean.reshape(28, 28), test.shape),
        "Gaussian blur": blur(noisy, width),
        "principal components": projected(noisy, count),
        "auto-encoder": run.predict(noisy[..., None])[..., 0],
    }
    numbers = {
        "errors": {name: error(found, test) for name, found in made.items()},
        "chosen": {"blur": width, "components": count},
        "loss": run.history["train_loss"],
    }
    if small:
        return numbers
    first = [int(np.flatnonzero(parts.test[1][:1000] == kind)[0]) for kind in range(10)]
    shown = {"clean": test, **{name: made[name] for name in ("noisy", *METHODS[2:])}}
    return numbers | {
        "shown": {
            name: np.rint(255 * np.clip(found[first], 0, 1)).astype(np.uint8).tobytes().hex()
            for name, found in shown.items()
        }
    }


def tables(numbers):
    """Show errors."""
    words = {
        "Gaussian blur": f"deviation {numbers['chosen']['blur']:g} pixels",
        "principal components": f"{numbers['chosen']['components']} of 784",
    }
    rows = [(name, words.get(name, "–"), f"{numbers['errors'][name]:.5f}") for name in METHODS]
    header = ("method", "chosen on training images", "squared error of a pixel")
    return [Table("Mean squared error of a pixel, 1,000 test images with noise of deviation 0.4.", header, rows)]


def draw(numbers):
    """Draw ten test images, with noise, and what each method makes of them."""
    from funcnet.figures import figure_of

    figure, axis = figure_of(9, 4.5)
    rows = []
    for text in numbers["shown"].values():
        array = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(10, 28, 28)
        rows.append(np.hstack([np.pad(image, 1) for image in array]))
    axis.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=255)
    axis.set_yticks(30 * np.arange(len(rows)) + 14.5, list(numbers["shown"]))
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_title("Test images, one of each kind; noise of deviation 0.4")
    return figure


def verdict(numbers):
    """Say what follows."""
    errors = numbers["errors"]
    own, others = errors["auto-encoder"], {name: errors[name] for name in METHODS[1:4]}
    best = min(others, key=others.get)
    assert own < others[best]
    return (
        f"**The convolutions leave {100 * own / others[best]:.0f} % of the error that the best baseline leaves.** That "
        f"is {100 * own / errors['noisy']:.0f} % of what the noise put in ({own:.4f} a pixel squared; {best}: "
        f"{others[best]:.4f}; noise: {errors['noisy']:.4f}). A blur takes noise and edges away "
        "alike; principal components know what clothes look like on the whole, and "
        "let the noise along their own directions pass; the convolutions decide at every place by its surroundings."
    )
