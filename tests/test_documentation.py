"""What the documentation shows is what happens: every example of a docstring and of a page."""

import ast
import doctest
import importlib.util
import os
import pathlib
import pkgutil
import re
import signal
import subprocess
import sys
import tomllib
import warnings

import pytest

import funcnet
from tests import pages

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [
    "README.md",
    *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts),
]
# Pages whose code needs more than the extra for tests: they are run where it is there.
NEEDS = {
    "README.md": ("matplotlib",),
    "docs/gallery.md": ("matplotlib",),
    "docs/index.md": ("matplotlib",),
    "docs/guides/deploying.md": ("onnx", "onnxruntime", "flatbuffers"),
    "docs/guides/optuna.md": ("optuna",),
    "docs/recipes/csv.md": ("joblib",),
    "docs/recipes/hdf5.md": ("h5py",),
    "docs/recipes/mlflow.md": ("mlflow", "sqlalchemy"),
    "docs/recipes/plot.md": ("matplotlib",),
    "docs/recipes/tensorboard.md": ("tensorboardX",),
}
LOUD = ("docs/recipes/mlflow.md",)  # another package warns of itself
MODULES = ["funcnet"] + [
    module.name
    for module in pkgutil.walk_packages(funcnet.__path__, "funcnet.")
    if not module.name.endswith("__main__")
    and (not module.name.startswith("funcnet.sklearn") or importlib.util.find_spec("sklearn") is not None)
]


@pytest.mark.every
@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name, as_users_run_it):
    """Run the examples of one module; those that import what is not there are named as skipped."""
    runner, absent = doctest.DocTestRunner(), []
    for example in doctest.DocTestFinder().find(importlib.import_module(name)):
        if missing := {module for module in imported(example) if importlib.util.find_spec(module) is None}:
            absent.append(f"{example.name} needs {', '.join(sorted(missing))}")
        else:
            assert runner.run(example).failed == 0
    if absent:
        pytest.skip("; ".join(absent))


def imported(example):
    """Return the packages that the code of a docstring imports."""
    nodes = ast.walk(ast.parse("".join(line.source for line in example.examples)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in names}


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


@pytest.mark.every
@pytest.mark.parametrize("page", [page for page in PAGES if pages.runs(page)])
def test_code_of_pages_runs(page, tmp_path, monkeypatch, as_users_run_it):
    """The Python blocks of a page run one after the other, as a reader would paste them, and print what it shows."""
    for module in NEEDS.get(page, ()):
        pytest.importorskip(module)
    if page in LOUD:
        warnings.simplefilter("ignore")  # pytest sets the filters back
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; a page presses Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as for a script in that folder, which may import a module beside it
    text = (ROOT / page).read_text()
    for name in ("sklearn", "pandas", "PIL"):
        if re.search(rf"^(?:import|from) {name}\b", text, re.M):
            pytest.importorskip(name)
    if "use_cores(" not in text and page != "README.md":
        pages.run(page, text)
        return
    # Cores are counted before JAX computes anything: these pages need a process of their own.
    users = page == "README.md"  # the others need not be optimised
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS" or not users}
    shared_cache = "ignore:Error reading persistent compilation cache entry"  # as in pyproject.toml
    code = [sys.executable, "-W", "error", "-W", shared_cache, ROOT / "tests" / "pages.py", page]
    done = subprocess.run(code, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if page == "README.md":
        (shown,) = (code for language, _, code in pages.blocks(text) if language == "text")
        assert pages.alike(shown, done.stdout), done.stdout


def test_a_wrong_output_is_seen():
    """A page that shows another output, or code that fails, is rejected; a rounding error more or less is not."""
    pages.run(
        "page",
        "```python\nx = 2\n```\n\n```pycon\n>>> x + 1\n3\n>>> print('worst 3.1e-16 relative')\nbit for bit\n```\n",
    )
    with pytest.raises(AssertionError, match="Expected"):
        pages.run("page", "```pycon\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(ZeroDivisionError):
        pages.run("page", "```python\n1 / 0\n```\n")


def test_outputs_are_compared_word_by_word():
    """Numbers may differ a little, and lines may stand in another order; words may not."""
    assert pages.alike("accuracy 0.97\nloss  1.5\n", "loss 1.6\naccuracy 0.975\n")
    assert not pages.alike("accuracy 0.97\n", "accuracy 0.97\nloss 1.6\n")
    assert not pages.alike("accuracy 0.97\n", "recall 0.97\n")
    assert not pages.alike("loss 1.5\n", "loss 15\n")


def test_the_numbers_of_the_readme_stand_on_their_pages():
    """A row of its table says where its numbers were measured, and they are found there."""
    section = re.search(r"^## Numbers$(.*?)^## ", (ROOT / "README.md").read_text(), re.S | re.M)[1]
    rows = re.findall(r"^\| ([\d.]+).*?\| (.*?) \| \[.*?\]\(([^)#]+).*?\) \|$", section, re.M)
    assert len(rows) >= 10
    for first, what, page in rows:
        there = set(re.findall(r"\d[\d,]*(?:\.\d+)?", (ROOT / page).read_text()))
        assert {first, *re.findall(r"\d+\.\d+", what)} <= there, what


def test_troubleshooting_quotes_twenty_messages():
    """Each is quoted as it is raised: the code of the page is run, and compared."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert len(re.findall(r"^(?:\w+Error|UserWarning): .+\. Try: .+", text, re.M)) >= 20


@pytest.mark.parametrize("page", PAGES)
def test_all_code_is_run(page):
    """Examples stand in fenced blocks, and what their languages are called is known."""
    text = (ROOT / page).read_text()
    found = pages.blocks(text)
    known = {"python", "pycon", "sh", "console", "toctree", "eval-rst", "math", "text", "../CHANGELOG.md"}
    assert {language for language, _, _ in found} <= known
    prompts = sum(code.count(">>> ") for language, _, code in found if language == "pycon")
    assert text.count(">>> ") == prompts, "an example stands outside of the blocks that are run"


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_pages_exist(page):
    """Modules, scripts, extras and folders that the shell blocks name are there."""
    shell = [code for language, _, code in pages.blocks((ROOT / page).read_text()) if language in ("sh", "console")]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for code in shell:
        for module in re.findall(r"python3? -m ([\w.]+)", code):
            assert module in ("pip", "pytest", "sphinx", "venv") or importlib.util.find_spec(module), module
        for names in re.findall(r"\[([\w,]+)\]", code):
            assert set(names.split(",")) <= set(extras), names
        for path in re.findall(r"(?<![\w.])(?:experiments|tests|docs(?!/_build)|funcnet)/[\w/.]+", code):
            assert (ROOT / path).exists(), path


def test_the_files_of_the_techniques_exist():
    text = (ROOT / "docs" / "techniques.md").read_text()
    named = re.findall(r"`([\w/]+(?:\.py|/))`", text)
    assert len(named) > 40
    folders = ("", "funcnet", "tests")
    assert [name for name in named if not any((ROOT / folder / name).exists() for folder in folders)] == []


@pytest.mark.parametrize("page", PAGES)
def test_local_links_and_named_tests_exist(page):
    """Every relative link of a page leads to a file, and every test that a page names exists."""
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for file, name in re.findall(r"(?:tests/)?(test_\w+\.py)(?:::(\w+))?", text):
        assert (ROOT / "tests" / file).exists(), file
        if name:
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), name
