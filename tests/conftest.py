"""The strict environment of the suite: 64-bit references, no silent promotion of dtype or rank."""

import atexit
import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
import threading

# Nearly all of the suite's time is compiling, and most programs run once: little is optimised. What a user's process
# does is run by the pages of the documentation that need one of their own, by two tests of bits, and by the main job.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1",
)
# The worker processes of one run share what they compile: the first process makes a folder, all others inherit it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="funcnet-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A shell starts what it runs in the background deaf to Ctrl-C, and with it all of its processes: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)  # a sweep spreads over devices; all else stays on the first


def share_contexts():
    """Let the programs of a thread share what the compiler's text lives in: making it anew is most of lowering.

    This reaches into JAX. Where a later version has it otherwise, nothing is shared, and the suite is slower.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from jax._src.interpreters import mlir

        make, local = mlir.make_ir_context, threading.local()

        def shared():
            local.used = getattr(local, "used", 0) + 1
            if local.used % 500 == 1:  # constants are never freed in it
                local.context = make()
            return local.context

        mlir.make_ir_context = shared


share_contexts()


def pytest_terminal_summary(terminalreporter):
    """Write the names of the tests that were skipped to a file, for a second run that has what they need."""
    if "FUNCNET_SKIPPED" in os.environ:
        names = [report.nodeid for report in terminalreporter.stats.get("skipped", [])]
        pathlib.Path(os.environ["FUNCNET_SKIPPED"]).write_text("\n".join(names))


def pytest_collection_modifyitems(config, items):
    """Keep what a first run has left: what it skipped, tests or files named in a file, and what is marked `every`."""
    if "FUNCNET_AGAIN" in os.environ:
        names = set(pathlib.Path(os.environ["FUNCNET_AGAIN"]).read_text().splitlines())
        left = [i for i in items if names & {i.nodeid, i.nodeid.split("::")[0]} or i.get_closest_marker("every")]
        config.hook.pytest_deselected(items=list(set(items) - set(left)))
        items[:] = left


@pytest.fixture
def as_users_run_it():
    """JAX as it is out of the box: 32-bit, with its usual promotions; an example may move the cache of programs."""
    from funcnet import use_compilation_cache

    kept = jax.config.jax_compilation_cache_dir
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
    if jax.config.jax_compilation_cache_dir != kept:
        use_compilation_cache(kept)  # JAX else stays with the example's folder


@pytest.fixture
def rng():
    """A NumPy generator with a fixed seed."""
    return np.random.default_rng(20240229)
