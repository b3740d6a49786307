r"""Compilations, counted: what a promise such as 'one program for every number' is held to."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """List the programs that JAX compiles, or takes from its cache on disk, while a block runs: one name for each.

    >>> import jax, jax.numpy as jnp
    >>> double, x = jax.jit(lambda x: x + x), jnp.ones(3)
    >>> with compilations() as first:
    ...     y = double(x)
    >>> with compilations() as second:
    ...     y = double(y)
    >>> print(first, second)
    ['jit(<lambda>)'] []
    """
    names: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: Any) -> None:
        if event == _EVENT:
            names.append(kwargs.get("fun_name", ""))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
