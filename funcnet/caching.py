r"""Compiled programs kept between processes: JAX's persistent cache, on by default, in a folder of the user's.

The folder    `FUNCNET_CACHE` names one, or is `off`; else the system's folder for caches, with `funcnet` below it
              ($XDG_CACHE_HOME or ~/.cache; ~/Library/Caches; %LOCALAPPDATA%), and below that one for each version of
              jaxlib and each kind of processor: a program holds instructions that another processor may not have
When          the first `fn.train`, `fn.sweep` or `fn.plan`; importing changes nothing. A cache that the user has set
              up, or turned off, by JAX's own settings stays as it is
What          all programs of the process that take longer than `LEAST_SECONDS` to compile, those of others included
Room          at most `LARGEST` bytes when a process begins; the oldest programs go first

A program from the folder is the machine code that compiling gave: it computes the same bits.
"""

import hashlib
import os
import pathlib
import platform
import sys
import threading
from importlib.metadata import version

import jax
from jax.experimental.compilation_cache import compilation_cache

LEAST_SECONDS = 0.1
LARGEST = 1 << 30


def use_compilation_cache(folder: str | os.PathLike[str] | None) -> None:
    r"""Keep compiled programs in a folder of one's own choice, or keep none.

    Without this call `fn.train`, `fn.sweep` and `fn.plan` keep what takes long to compile in the user's folder for
    caches, so that a new process starts the same sweep without compiling again. Processes may share a folder. JAX does
    not lock it: a process that reads a program while another writes it warns
    `Error reading persistent compilation cache entry` and compiles that program itself.

    Args:
        folder: where the programs are kept; it is made if it is not there. None keeps none, as the environment
            variable `FUNCNET_CACHE=off` does.

    Raises:
        OSError: when the folder cannot be made.

    >>> import tempfile, funcnet as fn
    >>> fn.use_compilation_cache(tempfile.mkdtemp())  # or a folder that stays, such as "~/programs"

    """
    if folder is not None:
        pathlib.Path(folder).expanduser().mkdir(parents=True, exist_ok=True)
        folder = str(pathlib.Path(folder).expanduser())
    _decided.set()
    _set(folder, 0.0)


_decided = threading.Event()  # once in a process


def keep_programs() -> None:
    """Turn the cache on, unless that has been decided already."""
    if _decided.is_set():
        return
    _decided.set()
    wanted = os.environ.get("FUNCNET_CACHE", "")
    values = jax.config.values
    taken = values["jax_compilation_cache_dir"] is not None or not values["jax_enable_compilation_cache"]
    if taken or wanted.lower() in ("off", "0", "no", "false"):
        return
    folder = (pathlib.Path(wanted).expanduser() if wanted else user_folder()) / kind_of_machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_room(folder.parent, LARGEST)
    except OSError:  # a home that cannot be written to: nothing is kept
        return
    _set(str(folder), LEAST_SECONDS)


def _set(folder: str | None, least: float) -> None:
    jax.config.update("jax_compilation_cache_dir", folder)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)
    if "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES" not in os.environ:
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # JAX else stays with the folder that it saw first


def user_folder() -> pathlib.Path:
    """Return the system's folder for what may be thrown away, with ours below it."""
    if sys.platform == "win32":
        base = pathlib.Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = pathlib.Path("~/Library/Caches")
    else:
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "funcnet"


def kind_of_machine() -> str:
    """Return a name for programs that may run here: jaxlib's version, and a digest of what the processor can do."""
    words = platform.machine() + platform.processor()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(errors="replace").splitlines()
        words += "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
    return f"jaxlib-{version('jaxlib')}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def make_room(folder: pathlib.Path, largest: int) -> None:
    """Delete the oldest programs below a folder until the rest have at most so many bytes; nothing else is touched."""
    found = [(entry, entry.stat()) for entry in folder.glob("jaxlib-*/*-cache") if entry.is_file()]
    left = sum(status.st_size for _, status in found)
    for entry, status in sorted(found, key=lambda pair: pair[1].st_mtime):
        if left <= largest:
            return
        entry.unlink(missing_ok=True)
        left -= status.st_size
