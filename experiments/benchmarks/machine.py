"""The machine's own limits: how fast products and memory are, and the floor that both give for an update."""

import os
import platform
import threading
import time
from typing import Any

import numpy as np

from experiments.benchmarks.processes import ONE_THREAD, fresh
from experiments.benchmarks.timing import Probe, timed

PACKAGES = ("jax", "numpy", "optax", "equinox", "torch", "keras", "scikit-learn")


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of what is installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe() -> dict[str, Any]:
    """Return what numbers were measured on and when."""
    model = platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            text = file.read()
        names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
        model = (names or [model])[0] + (" with AVX-512" if "avx512f" in text else "")
    load = os.getloadavg()[0]
    return {"machine": model, "cores": cores(), "load": load, "date": time.strftime("%Y-%m-%d"), "versions": versions()}


def limits(sizes: list[int], quick: bool = False) -> dict[str, Any]:
    """Measure the rates in a fresh process whose products use one thread each; sizes are in bytes."""
    return measured(sizes, quick) if quick else fresh(measured, sizes, quick, environment=ONE_THREAD)


def measured(sizes: list[int], quick: bool) -> dict[str, Any]:
    """Return operations a second of large products, and bytes a second of loops over arrays of these sizes."""
    count, width = cores(), 128 if quick else 768
    a = np.random.default_rng(0).standard_normal((width, width), np.float32)

    def products() -> float:
        # The mean of many: one product alone says what the clock allows for a moment.
        start = time.perf_counter()
        for _ in range(30):
            a @ a
        return 30 * 2 * width**3 / (time.perf_counter() - start)

    turns = 2 if quick else 9
    alone = [products() for _ in range(turns)]
    together = [sum(at_once(products, count)) for _ in range(turns)]
    # The best of the turns: a limit is what the machine does undisturbed.
    return {
        "flops_one_core": max(alone),
        "flops_all_cores": max(together),
        "bytes_a_second": {str(size): _bandwidth(size, count, turns) for size in sizes},
    }


def probe(width: int = 1024) -> Probe:
    """Return what tells a slow phase of the machine: a product of squares on all cores, some 10 ms."""
    import jax
    import jax.numpy as jnp

    a = jnp.full((width, width), 1e-3)
    program = jax.jit(jnp.matmul)
    found = Probe(timed(lambda: jax.block_until_ready(program(a, a))))
    for _ in range(5):
        found()
    return found


def at_once(function: Any, count: int) -> list[float]:
    """Run a function in several threads at once, and return what each says."""
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.append(function())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _bandwidth(size: int, count: int, turns: int) -> float:
    """Return bytes a second, read and written, of c = a + b, the three arrays together of a size, on all cores."""
    elements = max(size // 12 // count, 1024)
    repeats = max(1, int(2e7) // (12 * elements))

    def additions() -> float:
        a, b, c = (np.full(elements, value, np.float32) for value in (1.0, 2.0, 0.0))
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(repeats):
                np.add(a, b, out=c)
            rates.append(repeats * 12 * elements / (time.perf_counter() - start))
        return float(np.median(rates))

    if size < 1 << 20:  # in the caches of a core: short calls would wait for the interpreter's lock
        return count * max(additions() for _ in range(turns))
    return max(sum(at_once(additions, count)) for _ in range(turns))


def floor(cost: Any, rates: dict[str, Any], size: int) -> dict[str, float]:
    """Return the seconds that an update takes at least.

    Its products at the rate of large ones on all cores, and the optimizer's traffic at the bandwidth: parameters,
    gradient and state are read, parameters and state written.
    """
    products = (cost.forward.products + cost.backward.products) / rates["flops_all_cores"]
    traffic = 2 * cost.parameter_bytes + cost.gradient_bytes + 2 * cost.optimizer_bytes
    update = traffic / rates["bytes_a_second"][str(size)]
    return {"products": products, "optimizer": update, "seconds": products + update}
