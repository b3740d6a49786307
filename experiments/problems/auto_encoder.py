r"""An auto-encoder: learning without labels.

Article B2 distinguishes supervised from unsupervised learning and shows the first alone. An auto-encoder is a network
like all others whose target is its own input: it is trained to return x after squeezing it through a layer of c
numbers, the *code*. Here 64 pixels → 64 ReLU → c → 64 ReLU → 64 pixels, on the digits that ship with funcnet. No label
takes part.

The honest baseline is principal component analysis, which is the best that linear maps can do at any code size (Eckart
& Young 1936). An auto-encoder without activations can at best equal it (Baldi & Hornik 1989): it is trained as well, as
a check. All see the same 1,077 training images; the 360 validation images choose the learning rate of Adam (0.001,
0.003 or 0.01, by the mean over the seeds) and the epoch (of 200; batches of 32), of which PCA has neither; the 360 test
images judge. The error is the mean squared error of a pixel (0 white to 1 black); in tables also the share of the
variance of the test images that is left, with the mean image of the training part as 100 %.

For the code of two numbers there is a question that no training answered: do images of a digit lie together? It is put
by the accuracy of the 5 nearest neighbours in the plane, from the training images' codes to the test images'.
"""

import numpy as np

import funcnet as fn
from experiments.problems._baselines import spread
from experiments.study import Table

CODES = (1, 2, 4, 8, 16, 32)
RATES = (0.001, 0.003, 0.01)
KINDS = {"auto-encoder": fn.relu, "linear auto-encoder": fn.identity}
SHOWN = 4  # the code size of the reconstructions in the picture


def auto_encoder(code, activation):
    """Return the network, whose first three layers encode and whose last three decode."""
    return fn.Chain(fn.Dense(64), activation, fn.Dense(code), fn.Dense(64), activation, fn.Dense(64))


def encode(network, params, x):
    """Return the codes of images."""
    return np.asarray(fn.Chain(*network.layers[:3]).apply(params[:3], x))


def principal(x, code):
    """Return the mean and the first principal directions of x as columns, by the singular value decomposition."""
    mean = x.mean(axis=0)
    directions = np.linalg.svd(x - mean, full_matrices=False)[2][:code].T
    # The sign of a direction means nothing: let its largest part be positive.
    return mean, directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(code)])


def trained(code, activation, seeds, epochs, digits):
    """Train at each rate; return the test errors at the chosen one, the network, and the parameters of its seeds."""
    network = auto_encoder(code, activation)
    base = fn.Experiment(network, fn.MeanSquaredError(), fn.Adam(), batch_size=32, epochs=epochs)
    trials = fn.grid(base, {"optimizer.learning_rate": RATES, "seed": range(seeds)})
    parts = [(x, x) for x, _ in digits]
    results = fn.sweep(trials, *parts, progress=False)
    validation, test = (results.table()[f"{part}_loss"].reshape(len(RATES), seeds) for part in ("validation", "test"))
    best = int(np.argmin(validation.mean(axis=1)))
    params = [results.params(best * seeds + seed) for seed in range(seeds)]
    return {"rate": RATES[best], "errors": test[best]}, network, params


def neighbours(codes, digits):
    """Return the accuracy of the 5 nearest neighbours on the test images, from codes of training and test images."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(5).fit(codes[0], digits.train[1])
    return float(model.score(codes[1], digits.test[1]))


def measure(small):
    """Return reconstruction errors by code size and seed, some reconstructions, and the codes of two numbers."""
    digits = fn.data.digits()
    x, seen = digits.train[0], digits.test[0]
    codes, seeds, epochs = ((2,), 2, 3) if small else (CODES, 5, 200)
    numbers = {"codes": codes, "mean image": float(np.square(seen - x.mean(axis=0)).mean()), "PCA": []}
    numbers |= {kind: [] for kind in KINDS}
    examples = [int(np.flatnonzero(digits.test[1] == digit)[0]) for digit in range(10)]
    for code in codes:
        mean, directions = principal(x, code)
        back = mean + (seen - mean) @ directions @ directions.T
        numbers["PCA"].append(float(np.square(seen - back).mean()))
        for kind, activation in KINDS.items():
            found, network, params = trained(code, activation, seeds, epochs, digits)
            numbers[kind].append(found)
            if kind != "auto-encoder" or small:
                continue
            if code == SHOWN:
                seen_again = np.asarray(network.apply(params[0], seen[examples]))
                numbers["examples"] = {
                    name: (255 * np.clip(images, 0, 1)).round().astype(np.uint8).tobytes().hex()
                    for name, images in {
                        "original": seen[examples],
                        "auto-encoder": seen_again,
                        "PCA": back[examples],
                    }.items()
                }
            if code == 2:
                planes = {
                    "auto-encoder": [[encode(network, p, part) for part in (x, seen)] for p in params],
                    "PCA": [[(part - mean) @ directions for part in (x, seen)]],
                }
                numbers["plane"] = {name: np.round(pairs[0][1], 3) for name, pairs in planes.items()}
                numbers["neighbours"] = {
                    name: [neighbours(pair, digits) for pair in pairs] for name, pairs in planes.items()
                }
    return numbers if small else numbers | {"digits": digits.test[1]}


def tables(numbers):
    """Show errors by code size."""
    rows = []
    for i, code in enumerate(numbers["codes"]):
        cells = [f"{numbers['PCA'][i]:.5f}"]
        for kind in KINDS:
            errors = numbers[kind][i]["errors"]
            cells.append(f"{np.mean(errors):.5f} ± {np.std(errors, ddof=1):.5f}")
        left = [100 * numbers["PCA"][i] / numbers["mean image"]]
        left.append(100 * float(np.mean(numbers["auto-encoder"][i]["errors"])) / numbers["mean image"])
        rows.append((code, *cells, *(f"{value:.1f}" for value in left), numbers["auto-encoder"][i]["rate"]))
    return [
        Table(
            "Mean squared error of a pixel, test images: mean ± standard deviation over 5 seeds; what is left of the "
            f"variance of the images around the mean image ({numbers['mean image']:.4f}); and the rate chosen.",
            ("code", "PCA", *KINDS, "left by PCA, %", "left by the auto-encoder, %", "rate"),
            rows,
        ),
        Table(
            "Accuracy of 5 nearest neighbours in the code of two numbers, test images; mean ± standard deviation.",
            ("code", "accuracy, %"),
            [
                ("auto-encoder, 5 seeds", spread(numbers["neighbours"]["auto-encoder"])),
                ("PCA", f"{100 * numbers['neighbours']['PCA'][0]:.2f}"),
            ],
        ),
    ]


def draw(numbers):
    """Draw errors, reconstructions and the codes of two numbers."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 8.2))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    first, second = top.subfigures(1, 2, width_ratios=(1, 1.25))
    axis = first.subplots()
    axis.loglog(numbers["codes"], numbers["PCA"], "s-", color=COLOURS[1], label="PCA")
    for kind, colour, line in (("auto-encoder", COLOURS[0], "o-"), ("linear auto-encoder", COLOURS[2], "x--")):
        errors = np.asarray([found["errors"] for found in numbers[kind]])
        axis.plot(numbers["codes"], errors.mean(axis=1), line, color=colour, label=kind)
        axis.fill_between(numbers["codes"], errors.min(axis=1), errors.max(axis=1), color=colour, alpha=0.25, lw=0)
    axis.set_xticks(numbers["codes"], map(str, numbers["codes"]))
    axis.set_yticks(ticks := (0.002, 0.005, 0.01, 0.02, 0.05), map(str, ticks))
    axis.minorticks_off()
    axis.set(xlabel="numbers in the code", ylabel="squared error of a test pixel", title="Reconstruction, 5 seeds")
    axis.legend()
    axis, rows = second.subplots(), []
    for half in (slice(0, 5), slice(5, 10)):
        for text in numbers["examples"].values():
            images = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(10, 8, 8)[half]
            rows.append(np.hstack([np.pad(image, 1) for image in images]))
    axis.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=255)
    axis.set_yticks(np.arange(6) * 10 + 4.5, 2 * list(numbers["examples"]))
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_title(f"Test images from a code of {SHOWN} numbers", loc="center")
    for axis, (name, plane) in zip(bottom.subplots(1, 2), numbers["plane"].items(), strict=True):
        points = np.asarray(plane)
        for digit in range(10):
            own = points[np.asarray(numbers["digits"]) == digit]
            axis.scatter(*own.T, s=0)
            for point in own:
                axis.text(*point, str(digit), color=f"C{digit}", fontsize=7, ha="center", va="center")
        axis.set(xlabel="first number of the code", ylabel="second number of the code")
        axis.set_title(f"{name}, code of two numbers: test images")
    return figure


def verdict(numbers):
    """Say what follows."""
    left = {
        kind: [100 * float(np.mean(found["errors"])) / numbers["mean image"] for found in numbers[kind]]
        for kind in KINDS
    }
    left["PCA"] = [100 * error / numbers["mean image"] for error in numbers["PCA"]]
    worst = [max(found["errors"]) for found in numbers["auto-encoder"]]
    assert all(error < pca for error, pca in zip(worst, numbers["PCA"], strict=True))
    excess = [linear / pca - 1 for linear, pca in zip(left["linear auto-encoder"], left["PCA"], strict=True)]
    assert -0.002 < min(excess) <= max(excess) < 0.05
    four = numbers["codes"].index(SHOWN)
    accuracy, linear = numbers["neighbours"]["auto-encoder"], numbers["neighbours"]["PCA"][0]
    assert min(accuracy) > linear + 0.1
    gain = [1 - own / pca for own, pca in zip(left["auto-encoder"], left["PCA"], strict=True)]
    return (
        "**With as many numbers in the code, the auto-encoder loses less of an unseen digit than principal component "
        f"analysis, at every size and with every seed.** Of the variance of the test images {SHOWN} numbers leave "
        f"{left['auto-encoder'][four]:.0f} % unexplained instead of {left['PCA'][four]:.0f} %. The error is smaller by "
        f"{100 * min(gain):.0f} to {100 * max(gain):.0f} %. Without activations the auto-encoder does what PCA does, "
        f"within {100 * max(excess):.1f} %, and nothing more: it is the activations that help.\n\n"
        "Two numbers put digits of a kind together, though no label was seen: nearest neighbours in the plane get "
        f"{100 * np.mean(accuracy):.0f} % of the test images right, against {100 * linear:.0f} % in the plane of PCA, "
        "and 10 % by chance. PCA is one decomposition with nothing to choose; the auto-encoder has many more "
        "parameters, and must be trained, at three rates."
    )
