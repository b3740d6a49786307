"""Compiled programs are kept by default, in a folder that is stated, and not where somebody has decided otherwise."""

import os
import pathlib
import subprocess
import sys
import threading

import jax
import pytest

from funcnet import caching

_SCRIPT = """
import numpy as np, jax, funcnet as fn
{before}
compiled = []
jax.monitoring.register_event_listener(lambda event, **words: compiled.append(event))
x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
line = fn.Experiment(fn.Dense(1), fn.MeanSquaredError(), fn.SGD(0.5), batch_size=None, epochs=3)
assert jax.config.jax_compilation_cache_dir is None or {before!r}, "importing changes nothing"
run = fn.train(line, (x, x), progress=False)
hits = compiled.count("/jax/compilation_cache/cache_hits")
print(jax.config.jax_compilation_cache_dir, hits, run.history["train_loss"])
"""


def printed(environment, before=""):
    """Return what a fresh process prints: the folder, how many programs it found in it, and what it computed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XDG_", "FUNCNET_"))}
    command = [sys.executable, "-W", "error", "-c", _SCRIPT.format(before=before)]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(maxsplit=2)


@pytest.mark.every
def test_a_second_process_finds_its_programs(tmp_path):
    """By default in the user's folder; the bits are those that were compiled; `off` and None keep nothing."""
    home = {"XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "HOME": str(tmp_path)}
    first, second = printed(home), printed(home)
    assert (int(first[1]), int(second[1]) > 0) == (0, True)
    assert first[2] == second[2]
    assert pathlib.Path(first[0]).is_relative_to(tmp_path)
    assert pathlib.Path(first[0]).name == caching.kind_of_machine()
    named = printed({"FUNCNET_CACHE": str(tmp_path / "mine")})
    assert pathlib.Path(named[0]).parent == tmp_path / "mine"
    assert printed(home | {"FUNCNET_CACHE": "off"})[:2] == ["None", "0"]
    assert printed(home, "fn.use_compilation_cache(None)")[:2] == ["None", "0"]
    assert printed(home, "jax.config.update('jax_enable_compilation_cache', False)")[0] == "None"
    own = str(tmp_path / "own")
    assert printed(home, f"fn.use_compilation_cache({own!r})")[0] == own
    assert list(pathlib.Path(own).iterdir())


def test_the_oldest_programs_make_room(tmp_path):
    """Until what is left is no larger than allowed; others stay."""
    (tmp_path / "thesis-cache").write_bytes(b"x" * 1000)  # the user's, in a folder that FUNCNET_CACHE names
    for age, name in enumerate(["old-cache", "middle-cache", "new-cache", "notes"]):
        path = tmp_path / "jaxlib-1" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 + age, 1000 + age))
    caching.make_room(tmp_path, 300)
    assert len(list(tmp_path.rglob("*"))) == 6
    caching.make_room(tmp_path, 250)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["middle-cache", "new-cache", "notes", "thesis-cache"]


def test_a_home_that_cannot_be_written_to_keeps_nothing(tmp_path, monkeypatch):
    """And is no error."""
    asked, own = [], jax.config.jax_compilation_cache_dir
    monkeypatch.setattr(caching, "_set", lambda folder, least: asked.append(folder))
    (tmp_path / "file").write_text("no folder")
    jax.config.update("jax_compilation_cache_dir", None)  # the suite has one
    try:
        for name in ("file", "folder"):
            monkeypatch.setattr(caching, "_decided", threading.Event())
            monkeypatch.setenv("FUNCNET_CACHE", str(tmp_path / name))
            caching.keep_programs()
    finally:
        jax.config.update("jax_compilation_cache_dir", own)
    assert asked == [str(tmp_path / "folder" / caching.kind_of_machine())]
