r"""The devices that a sweep runs on."""

import math
import os
from collections.abc import Iterable
from typing import Any

import jax

from funcnet.errors import describe, raise_error, whole_number


def use_cores(count: int | None = None) -> int:
    """Give JAX one CPU device a core, so that a sweep keeps all cores busy; to be called before JAX computes anything.

    Args:
        count: the number of cores; None for all that this process may use.

    Returns:
        The number of CPU devices.

    Raises:
        RuntimeError: when JAX has started already, with another number.

    >>> import funcnet as fn
    >>> fn.use_cores(2)  # at the top of a script; without a number: all cores
    2

    """
    wanted = available_cores() if count is None else whole_number(count, "count", 1)
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:
        found = jax.local_device_count("cpu")
        if found != wanted:
            raise_error(
                "the number of CPU devices must be set before JAX computes anything",
                f"JAX has started with {found}",
                f"fn.use_cores() at the top of the script, or JAX_NUM_CPU_DEVICES={wanted} in the environment",
                RuntimeError,
            )
    return wanted


def available_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system lets a process keep to some cores
        return os.cpu_count() or 1


def checked_devices(devices: Any) -> tuple[jax.Device, ...]:
    """Return the devices to work on: all local ones for None, each of a list once.

    >>> import jax
    >>> len(checked_devices(jax.local_devices()[0]))
    1
    """
    if devices is None:
        return tuple(jax.local_devices())
    given = [devices] if isinstance(devices, jax.Device) else devices
    if isinstance(given, str) or not isinstance(given, Iterable):
        must = "devices must be a list of JAX's devices"
        raise_error(must, f"got {describe(devices)}", "devices=jax.local_devices(), or None", TypeError)
    found = tuple(given)
    if not found or not all(isinstance(device, jax.Device) for device in found):
        arrived = "the list is empty" if not found else "something else is among them"
        raise_error("devices must be JAX's devices, one or more", arrived, "jax.local_devices()", TypeError)
    if len(set(found)) < len(found):
        raise_error("devices must be different ones", "one is there twice", "jax.local_devices()")
    return found


def idle_lanes_hint(trials: int, lanes: int, devices: int) -> str:
    """Say so when most lanes of a program would stay idle, and how many would be enough; empty otherwise."""
    if 2 * trials > lanes:
        return ""
    enough = 2 ** max(0, math.ceil(math.log2(trials / devices)))
    return f"{trials} trials in {lanes} lanes leave most of them idle; lanes={enough} would be faster"


def idle_cores_hint(devices: tuple[jax.Device, ...]) -> str:
    """Say so when a CPU's cores would stay idle; empty otherwise."""
    cores = available_cores()
    if devices[0].platform != "cpu" or len(devices) >= cores:
        return ""
    return f"{len(devices)} of {cores} cores in use: fn.use_cores() before JAX computes anything uses all"
