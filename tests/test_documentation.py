"""What the documentation shows is what happens: every example of a docstring, and the README's."""

import doctest
import importlib
import os
import pathlib
import pkgutil
import re
import subprocess
import sys

import jax
import pytest

import funcnet

ROOT = pathlib.Path(__file__).parent.parent
MODULES = ["funcnet"] + [
    module.name
    for module in pkgutil.walk_packages(funcnet.__path__, "funcnet.")
    if not module.name.endswith("__main__")
]


@pytest.fixture
def as_users_run_it():
    """JAX as it is out of the box: 32-bit, with its usual promotions."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name, as_users_run_it):
    """Run the examples of one module."""
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_there_are_many_examples(as_users_run_it):
    """The loop above finds examples, in the rules and elsewhere."""
    finder = doctest.DocTestFinder()
    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) >= 50


def test_public_names_have_docstrings():
    """Every public name is documented, and every record says what its fields or its formula are."""
    for name in funcnet.__all__:
        value = getattr(funcnet, name)
        assert (value.__doc__ or "").strip(), name


def test_quick_start_has_two_commands():
    """The README's Quick start holds exactly two fenced commands."""
    section = re.search(r"^## Quick start$(.*?)^## ", (ROOT / "README.md").read_text(), re.S | re.M)[1]
    assert len(re.findall(r"^```", section, re.M)) == 4


@pytest.mark.parametrize("page", ["README.md", "docs/sweeps.md"])
def test_code_of_pages_runs(page, tmp_path):
    """The Python blocks of a page run one after the other, as a reader would paste them."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.S | re.M)
    assert blocks, page
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    code = [sys.executable, "-W", "error", "-c", "".join(blocks)]
    done = subprocess.run(code, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_local_links_and_named_tests_exist(page):
    """Every relative link of a page leads to a file, and every test that a page names exists."""
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for file, name in re.findall(r"(?:tests/)?(test_\w+\.py)(?:::(\w+))?", text):
        assert (ROOT / "tests" / file).exists(), file
        if name:
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), name
