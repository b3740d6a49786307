"""Fresh processes: for what is measured from its start, and for contestants that need settings of their own."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

LOST = {"missing": "its process ended, by the error above"}


def serve(pipe: Any, contestant: Callable[..., Any], options: Any) -> None:
    """Prepare a contestant, then run it as often as asked: the body of its process."""
    try:
        compiling, run = contestant(options)
        pipe.send({"compile": compiling})
    except ImportError as error:
        pipe.send({"missing": str(error)})
        return
    while (arguments := pipe.recv()) is not None:
        pipe.send(run(*arguments))


def answer(pipe: Any, function: Callable[..., Any], arguments: Any) -> None:
    """Call a function once: the body of a process that measures one thing."""
    try:
        pipe.send(function(*arguments))
    except ImportError as error:
        pipe.send({"missing": str(error)})


class Process:
    """A process of its own for one contestant or one measurement."""

    def __init__(self, body: Callable[..., Any], function: Callable[..., Any], options: Any) -> None:
        # A fresh interpreter: a forked one would share the threads and the memory of this one.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=body, args=(theirs, function, options), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, *arguments: Any) -> Any:
        """Let a contestant run once."""
        try:
            self.pipe.send(arguments)
        except BrokenPipeError:
            return LOST
        return self.hear()

    def hear(self) -> Any:
        """Wait for what the process says."""
        try:
            return self.pipe.recv()
        except EOFError:
            return LOST

    def end(self) -> None:
        """Let the process end."""
        if self.process.is_alive():
            self.pipe.send(None)
        self.process.join()


# Loops on one thread use one, as do the products by which rates are measured; XLA has threads of its own. Programs
# that another process has compiled are not taken from a folder.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# One device alone runs the loops of a program on a pool of threads, one a core, unless XLA is told that there is one.
ONE_CORE = ONE_THREAD | {"NPROC": "1"}


@contextlib.contextmanager
def surroundings(environment: dict[str, str]) -> Iterator[None]:
    """Give the processes that are started here an environment that differs in some variables."""
    kept = dict(os.environ)
    os.environ |= environment
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= kept


def fresh(function: Callable[..., Any], *arguments: Any, environment: dict[str, str] | None = None) -> Any:
    """Return what a function says in a fresh process."""
    with surroundings(environment or {}):
        process = Process(answer, function, arguments)
    found = process.hear()
    process.process.join()
    if found is LOST:
        sys.exit(f"{function.__name__}: {LOST['missing']}")
    return found
