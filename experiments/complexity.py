r"""The cost of training, measured.

> The memory complexity of the model would be O(Nd) … The time complexity of the forward propagation would be O(Nd), and
> the time complexity of the backward propagation would be O(LdNd) (B3.9)

N is the number of outputs, d that of features, L that of hidden layers. Here a training step (back-propagation and a
step of SGD on softmax cross-entropy, float32) is timed while one thing grows: the width of the hidden layers, their
number, the batch, the features; and an epoch while the data grow. Each setting is compiled, repeated inside the program
until a call takes about 20 ms, and called in turn with all others; the time is the median over the rounds.

An exponent is the slope of log seconds against log size, by least squares over the upper or the lower half of the
sizes, with its standard error; beside it stands the same slope of the operations that [the cost model](cost.md) counts,
and what the article's formulas say. One law is then fitted to all steps at once: a time for each layer, one for each
operation of a matrix product, one for each elementwise operation. At the end predicted bytes stand beside those of the
compiled step and beside the growth of the process that runs it.
"""

import statistics
import time

import numpy as np

import funcnet as fn
from experiments.study import Table

OUTPUTS = 10
BASE = {"width": 64, "depth": 3, "batch": 64, "features": 64, "samples": 64}
# The base of each series is such that the series shows its own growth.
SERIES = {
    "width": ({}, (8, 16, 32, 64, 128, 256, 512, 1024)),
    "depth": ({"width": 256}, (1, 2, 4, 8, 16, 32)),
    "batch": ({"width": 256}, (1, 4, 16, 64, 256, 1024, 4096)),
    "features": ({}, (16, 64, 256, 1024, 4096, 16384)),
    "samples": ({}, (64, 256, 1024, 4096, 16384, 65536)),
}
# What the article's two formulas say of the exponent: of N d, and of L d N d.
ARTICLE = {"width": (0, 0), "depth": (0, 1), "batch": (None, None), "features": (1, 2), "samples": (None, None)}
TERMS = ("layers", "products", "elementwise")
LARGE = {
    "784-4096-4096-10, batch 256, Adam": ((4096, 4096), 256),
    "784-1024-1024-1024-1024-10, batch 8192, Adam": ((1024,) * 4, 8192),
}


def network_of(setting):
    return fn.mlp(*[setting["width"]] * setting["depth"], OUTPUTS)


def counted(setting, steps):
    """Return what the cost model counts for so many steps."""
    loss, shape = fn.SoftmaxCrossEntropy(), (setting["features"],)
    cost = fn.cost(network_of(setting), shape, setting["batch"], loss=loss, optimizer=fn.SGD(0.01))
    both = cost.forward + cost.backward + cost.update
    return {
        "forward": cost.forward.products * steps,
        "backward": cost.backward.products * steps,
        "products": both.products * steps,
        "elementwise": both.elementwise * steps,
        "layers": (setting["depth"] + 1) * steps,
        "peak_bytes": cost.peak_bytes,
    }


def data_of(setting, samples):
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples, setting["features"])).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(rng.integers(0, OUTPUTS, samples).astype(np.int32))


def stepper(setting, times, forward_only=False):
    """Return a function that runs so many steps, or forward passes, of one batch in one compiled program."""
    import jax
    import jax.numpy as jnp

    network, loss, optimizer = network_of(setting), fn.SoftmaxCrossEntropy(), fn.SGD(0.01)
    x, y = data_of(setting, setting["batch"])
    params = network.init(jax.random.key(0), x.shape[1:], x.dtype)

    def step(carry, _):
        params, state, x = carry
        if forward_only:
            # The next pass waits for this one.
            return (params, state, x + 0.0 * network.apply(params, x)[0, 0]), None
        _, gradient = fn.backprop(network, loss, params, x, y)
        updates, state = optimizer.update(gradient, state, params)
        return (jax.tree.map(jnp.add, params, updates), state, x), None

    program = jax.jit(lambda *carry: jax.lax.scan(step, carry, None, length=times)[0])
    arguments = (params, optimizer.init(params), x)
    return lambda: jax.block_until_ready(program(*arguments))


def epoch(setting, times):
    """Return a function that trains for so many epochs in one compiled program."""
    import jax

    from funcnet.training.preparing import prepare
    from funcnet.training.runners import Memory

    loss, size = fn.SoftmaxCrossEntropy(), setting["batch"]
    experiment = fn.Experiment(network_of(setting), loss, fn.SGD(0.01), batch_size=size, epochs=times)
    experiment, data = prepare(experiment, data_of(setting, setting["samples"]))
    runner = Memory(experiment, data, tuple(jax.local_devices()[:1]))
    return lambda: jax.block_until_ready(runner.advance(runner.begin(None), times, 2**30).params)


def measure(small):
    """Return counts and seconds by series, and predicted, compiled and resident bytes of two large steps."""
    settings, runs = {}, {}
    for name, (base, sizes) in SERIES.items():
        for size in sizes[:1] if small else sizes:
            setting = BASE | base | {name: size}
            counts = counted(setting, size // setting["batch"] if name == "samples" else 1)
            settings.setdefault(name, []).append({"size": size, **counts})
            # About 20 ms a call, at 50 GFLOP/s and 2 µs a layer.
            seconds = counts["products"] / 5e10 + 2e-6 * counts["layers"]
            times = 1 if small else max(1, int(0.02 / seconds))
            if name == "samples":
                runs[name, size] = epoch(setting, times), times
            else:
                runs[name, size] = stepper(setting, times), times
            if name == "depth":
                runs["forward", size] = stepper(setting, 3 * times, forward_only=True), 3 * times
    for run, _ in runs.values():
        run()
    rounds = {key: [] for key in runs}
    for _ in range(1 if small else 9):
        for key, (run, times) in runs.items():
            started = time.perf_counter()
            run()
            rounds[key].append((time.perf_counter() - started) / times)
    seconds = {name: [statistics.median(rounds[name, row["size"]]) for row in settings[name]] for name in SERIES}
    spread = {
        name: [list(np.quantile(rounds[name, row["size"]], [0.25, 0.75])) for row in settings[name]] for name in SERIES
    }
    ahead = [statistics.median(rounds["forward", row["size"]]) for row in settings["depth"]]
    numbers = {"series": settings, "seconds": seconds, "seconds_quartiles": spread, "seconds_forward": ahead}
    if not small:
        numbers["seconds_law"] = law(settings, seconds)
        numbers["memory"] = {name: memory(*case) for name, case in LARGE.items()}
    return numbers


def law(settings, seconds):
    """Fit seconds = a layers + products / p + elementwise / e to all steps: relative least squares, none below 0."""
    series = [name for name in SERIES if name != "samples"]
    rows = [(row, t) for name in series for row, t in zip(settings[name], seconds[name], strict=True)]
    counts = np.asarray([[row[term] for term in TERMS] for row, _ in rows], float)
    times = np.asarray([t for _, t in rows])
    scale, found, kept = counts.max(axis=0), np.zeros(len(TERMS)), list(range(len(TERMS)))
    while True:
        part = np.linalg.lstsq((counts / scale)[:, kept] / times[:, None], np.ones(len(times)), rcond=None)[0]
        if (part >= 0).all():
            break
        del kept[part.argmin()]
    found[kept] = part / scale[kept]
    errors = np.abs(counts @ found / times - 1)
    return dict(zip(TERMS, found, strict=True)) | {"error": np.median(errors), "worst": errors.max()}


def memory(widths, batch):
    """Return predicted, compiled and resident bytes of one step of Adam, run in a process of its own."""
    import concurrent.futures
    import multiprocessing

    network = fn.mlp(*widths, OUTPUTS)
    predicted = fn.cost(network, (784,), batch, loss=fn.SoftmaxCrossEntropy(), optimizer=fn.Adam(0.001)).peak_bytes
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as alone:
        compiled, resident = alone.submit(resident_bytes, widths, batch).result()
    return {"predicted": predicted, "compiled": compiled, "resident": resident}


def resident_bytes(widths, batch):
    """Return the bytes of a compiled step, and by how much its process grows, from before its data are there."""
    import pathlib

    import jax
    import jax.numpy as jnp

    network, loss, optimizer = fn.mlp(*widths, OUTPUTS), fn.SoftmaxCrossEntropy(), fn.Adam(0.001)

    def begin(key):
        params = network.init(key, (784,), jnp.float32)
        return params, optimizer.init(params), jax.random.normal(key, (batch, 784)), jnp.zeros(batch, jnp.int32)

    def step(params, state, x, y):
        _, gradient = fn.backprop(network, loss, params, x, y)
        updates, state = optimizer.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    def resident(field):
        (line,) = [s for s in pathlib.Path("/proc/self/status").read_text().splitlines() if s.startswith(field)]
        return 1024 * int(line.split()[1])

    key = jax.random.key(0)
    shapes = jax.eval_shape(begin, key)
    starting = jax.jit(begin).lower(key).compile()
    program = jax.jit(step, donate_argnums=(0, 1)).lower(*shapes).compile()
    before = resident("VmRSS")
    params, state, x, y = jax.block_until_ready(starting(key))
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # from here on the peak is counted anew
    for _ in range(3):
        params, state = jax.block_until_ready(program(params, state, x, y))
    sizes = program.memory_analysis()
    compiled = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    return compiled - sizes.alias_size_in_bytes, resident("VmHWM") - before


def slope(sizes, values):
    """Return the slope of log values against log sizes, and its standard error."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float))
    x = x - x.mean()
    found = x @ y / (x @ x)
    rest = y - y.mean() - found * x
    return float(found), float(np.sqrt(rest @ rest / (len(x) - 2) / (x @ x)))


def exponents(numbers, name, upper):
    """Return the exponents of half of a series: counted operations, and seconds with their standard error."""
    rows, half = numbers["series"][name], len(numbers["series"][name]) // 2
    part = slice(half, None) if upper else slice(None, max(half, 3))
    sizes = [row["size"] for row in rows][part]
    counted_slope, _ = slope(sizes, [row["products"] for row in rows][part])
    return sizes, counted_slope, *slope(sizes, numbers["seconds"][name][part])


def tables(numbers):
    """Show the exponents, all settings, both passes by depth, the law and the bytes."""
    fitted = []
    for name in SERIES:
        for upper in (False, True):
            sizes, counted_slope, found, error = exponents(numbers, name, upper)
            article = "–" if ARTICLE[name][0] is None else f"{ARTICLE[name][0]} and {ARTICLE[name][1]}"
            fitted.append(
                (name, f"{sizes[0]:,} to {sizes[-1]:,}", article, f"{counted_slope:.2f}", f"{found:.2f} ± {error:.2f}")
            )
    every = [
        (name, row["size"], row["products"], row["elementwise"], 1e6 * t, row["products"] / t / 1e9)
        for name in SERIES
        for row, t in zip(numbers["series"][name], numbers["seconds"][name], strict=True)
    ]
    passes = [
        (row["size"], row["backward"] / row["forward"], (t - ahead) / ahead, row["size"] * BASE["features"])
        for row, t, ahead in zip(
            numbers["series"]["depth"], numbers["seconds"]["depth"], numbers["seconds_forward"], strict=True
        )
    ]
    sizes = [
        (name, m["predicted"] / 2**20, m["compiled"] / 2**20, m["resident"] / 2**20)
        for name, m in numbers["memory"].items()
    ]
    return [
        Table(
            "Exponents: of the article's O(Nd) and O(LdNd), of the operations counted, of the time (± standard error).",
            ("what grows", "range", "article", "operations", "seconds"),
            fitted,
        ),
        Table(
            "Backward pass, with loss and update, in units of the forward pass: 256 units a layer, batch 64.",
            ("hidden layers", "operations", "seconds", "article: L d"),
            passes,
        ),
        Table(
            "Bytes of a training step, in MiB.",
            ("step", "predicted", "compiled", "growth of the process"),
            sizes,
        ),
        Table(
            "All settings: one step, and for samples one epoch.",
            ("what grows", "size", "operations of products", "elementwise", "µs", "GFLOP/s"),
            every,
        ),
    ]


def draw(numbers):
    """Draw seconds against size with the law and the article's growth, and the ratio of the passes."""
    from matplotlib.figure import Figure

    from funcnet.figures import COLOURS

    figure = Figure(figsize=(9, 5.6))
    axes = figure.subplots(2, 3).flat
    units = {
        "width": "hidden units a layer",
        "depth": "hidden layers",
        "batch": "batch (samples)",
        "features": "features",
        "samples": "samples",
    }
    found = numbers["seconds_law"]
    for axis, name in zip(axes, SERIES, strict=False):
        rows, times = numbers["series"][name], np.asarray(numbers["seconds"][name])
        sizes = np.asarray([row["size"] for row in rows])
        predicted = [sum(found[term] * row[term] for term in TERMS) for row in rows]
        spread = np.abs(np.asarray(numbers["seconds_quartiles"][name]).T - times)
        axis.errorbar(sizes, times, spread, fmt="o", color=COLOURS[0], markersize=4, label="measured")
        axis.plot(sizes, predicted, color=COLOURS[0], linewidth=1.2, label="cost model, one law for all")
        if ARTICLE[name][1] is not None:
            middle = len(sizes) // 2
            grown = times[middle] * (sizes / sizes[middle]) ** ARTICLE[name][1]
            axis.plot(sizes, grown, "--", color=COLOURS[1], linewidth=1.2, label="growth of O(LdNd)")
        axis.set(xscale="log", yscale="log", xlabel=units[name])
        axis.set_ylabel("seconds an epoch" if name == "samples" else "seconds a step")
    axes[0].legend(fontsize=7.5)
    last, rows = axes[5], numbers["series"]["depth"]
    sizes, ahead = [row["size"] for row in rows], np.asarray(numbers["seconds_forward"])
    last.plot(sizes, np.asarray(numbers["seconds"]["depth"]) / ahead - 1, "o", color=COLOURS[0], markersize=4)
    last.plot(sizes, [row["backward"] / row["forward"] for row in rows], color=COLOURS[0], linewidth=1.2)
    last.set(xscale="log", xlabel="hidden layers", ylabel="backward / forward", ylim=(0, None))
    figure.suptitle("Time of a training step (random data, ReLU networks, SGD, float32; medians and quartiles of 9)")
    return figure


def verdict(numbers):
    """Say where the article's formulas go wrong."""
    seconds, series, found = numbers["seconds"], numbers["series"], numbers["seconds_law"]
    _, counted_width, width, width_error = exponents(numbers, "width", True)
    _, _, small, _ = exponents(numbers, "width", False)
    _, _, features, features_error = exponents(numbers, "features", True)
    _, _, samples, samples_error = exponents(numbers, "samples", True)
    _, counted_depth, depth, depth_error = exponents(numbers, "depth", True)
    doubled = seconds["width"][-1] / seconds["width"][-2]
    ratios = [t / ahead - 1 for t, ahead in zip(seconds["depth"], numbers["seconds_forward"], strict=True)]
    grown = series["width"][3]["products"] / series["width"][0]["products"]
    slower = seconds["width"][3] / seconds["width"][0]
    memory_errors = [abs(m["predicted"] / m[kind] - 1) for m in numbers["memory"].values() for kind in list(m)[1:]]
    assert width - 2 * width_error > 1.3
    assert 3 < doubled < 5
    assert all(1 < ratio < 3.2 for ratio in ratios)
    assert features + 2 * features_error < 1.5
    assert abs(samples - 1) < 0.15
    assert 0.9 < depth < 1.6
    assert small < 1 < counted_width
    assert slower < grown / 3
    assert found["error"] < 0.25 > max(memory_errors)
    return (
        "**Does not hold.** Neither formula contains the width of the hidden layers, on which the cost depends most: "
        f"from 128 to 1,024 units the operations grow with exponent {counted_width:.2f} and the time with {width:.2f} "
        f"± {width_error:.2f}, and the last doubling takes {doubled:.1f} times as long, while N d and L d N d stay as "
        f"they are. The backward pass is no L d times the forward pass, which would be {BASE['features']} to "
        f"{32 * BASE['features']:,} here, but {min(ratios):.1f} to {max(ratios):.1f} times at every depth. In the "
        f"features the time grows with exponent {features:.2f} ± {features_error:.2f}, where O(LdNd) has 2. What "
        f"does hold: time is proportional to the data ({samples:.2f} ± {samples_error:.2f}), and about so to the depth "
        f"({depth:.2f} ± {depth_error:.2f} for {counted_depth:.2f} in operations; the deepest may outgrow a cache).\n\n"
        "Operations are time only where products are large. From 8 to 64 units they grow "
        f"{grown:.0f}-fold and the time {slower:.1f}-fold. One law covers all steps with a median error of "
        f"{found['error']:.0%} (at worst {found['worst']:.0%}): {1e6 * found['layers']:.1f} µs for each layer, "
        f"whatever its size, products at {1e-9 / found['products']:.0f} GFLOP/s, and "
        f"{1e9 * found['elementwise']:.2f} ns for each elementwise operation. The bytes that the cost model predicts "
        "are within "
        f"{max(memory_errors):.0%} of the compiled steps and of what the processes take."
    )
