"""The house as drawn: floors, no circle, no hidden module, one name a type, small files and functions.

Each rule is shown to fail on a small package that breaks it.
"""

import importlib.util
import pathlib
import pkgutil
import sys
import types

import pytest
from house import Import, Sources

import funcnet

# From the ground up: a file imports from its own floor and from those below. `funcnet` itself is the roof.
FLOORS = (
    "errors trees keys protocols cases fields records arrays targets text registry files outlines io interrupts"
    " status extras figures caching spreading",
    "activations losses metrics regularizers optimizers schedules layers data",
    "objective fused presets",
    "training",
    "results",
    "sweeps",
    "checking tracing costs operations memory linear stepping generation torch onnx sklearn optuna",
)
# Imports inside functions: by whom, of what, and why they are worth it.
LAZY: set[tuple[str, str]] = set()
# Types of one name on purpose: the protocol of a kind has the name of its base.
PROTOCOLS = {name for name, value in vars(funcnet.protocols).items() if isinstance(value, type)}
TWINS: set[str] = set()
LONG_FUNCTIONS: set[str] = set()
LONG_FILES: set[str] = set()
SKLEARN = importlib.util.find_spec("sklearn") is not None  # what funcnet.sklearn needs
GUESSES = 30  # calls of hasattr and getattr
SUPPRESSIONS = 8


@pytest.fixture(scope="module")
def sources():
    return Sources(pathlib.Path(funcnet.__file__).parent)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Write files of a package named `bad`, and return its sources."""

    def build(**files):
        for name, text in {"__init__": "", **files}.items():
            path = tmp_path / "bad" / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in [name for name in sys.modules if name.split(".")[0] == "bad"]:
            del sys.modules[name]
        return Sources(tmp_path / "bad")

    yield build
    for name in [name for name in sys.modules if name.split(".")[0] == "bad"]:
        del sys.modules[name]


def too_high(sources, floors):
    """List the imports of a module from a floor above."""
    level = {name: number for number, names in enumerate(floors) for name in names.split()}
    roof = len(floors)

    def floor(module):
        return level[module.split(".")[1]] if "." in module else roof

    return [found for found in sources.imports if floor(found.of) > floor(found.by)]


def hidden(package):
    """List the modules that their package does not show by their own name, since a function or another has it."""
    found = []
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__") and (SKLEARN or "sklearn" not in module.name):
            parent, name = module.name.rsplit(".", 1)
            importlib.import_module(module.name)
            if not isinstance(getattr(sys.modules[parent], name), types.ModuleType):
                found.append(module.name)
    return found


def test_imports_run_in_no_circle(sources, built):
    assert sources.circles() == []
    bad = built(a="from bad.b import f", b="import bad.c", c="def g():\n    pass\n\n\nfrom bad.a import f")
    assert bad.circles() == [["bad.a", "bad.b", "bad.c"]]
    through_the_package = built(a="from bad import c", b="", c="from bad.b import x\nfrom bad import VERSION")
    assert through_the_package.circles() == []
    through_the_package = built(__init__="from bad.c import f", a="", c="from bad import VERSION")
    assert through_the_package.circles() == [["bad", "bad.c"]]
    allowed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bad.b import T\n"
    assert built(a=allowed, b="from bad.a import x", c="").circles() == []
    assert built(a="def f():\n    from bad.b import x\n", b="from bad.a import f").circles() == []


def test_files_import_from_floors_below(sources, built):
    assert too_high(sources, FLOORS) == []
    bad = built(a="from bad.b import x", b="", c="from bad.a import y")
    assert too_high(bad, ("a", "b c")) == [Import("bad.a", "bad.b", ("x",), False)]
    assert too_high(built(a="def f():\n    import bad.b"), ("a", "b c"))[0].lazy


def test_imports_inside_functions_are_listed(sources, built):
    assert {(found.by, found.of) for found in sources.imports if found.lazy} <= LAZY
    bad = built(a="class A:\n    def f(self):\n        from bad import b", b="")
    assert [(found.by, found.of) for found in bad.imports if found.lazy] == [("bad.a", "bad.b")]


def test_private_names_stay_at_home(sources, built):
    assert sources.private() == []
    assert built(a="from bad.b import _x, y", b="").private() == ["bad.a: bad.b._x"]
    assert built(a="from bad import b\nb._x()\nb.__doc__\nself._x", b="").private() == ["bad.a: b._x"]


def test_a_type_has_its_name_alone(sources, built):
    assert set(sources.twins()) - PROTOCOLS <= TWINS
    assert built(a="class Step: ...\nclass _Own: ...", b="class Step: ...\nclass _Own: ...").twins() == {
        "Step": ["bad.a", "bad.b"]
    }


def test_no_module_is_hidden_by_what_has_its_name(built):
    assert hidden(funcnet) == []
    built(__init__="from bad.train import train", train="def train(): ...", b="")
    assert hidden(importlib.import_module("bad")) == ["bad.train"]


def test_functions_are_short(sources, built):
    """At most 60 lines of code, docstrings, comments and gaps left out."""
    long = {name.split(":")[0] for name, lines in sources.functions().items() if lines > 60}
    assert long <= LONG_FUNCTIONS
    text = 'def f():\n    """A.\n\n    B.\n    """\n    # why\n\n' + "    x = 1\n" * 60
    (lines,) = built(a=text).functions().values()
    assert lines == 61


def test_files_are_short(sources, built):
    """At most 300 lines."""
    assert {name for name, lines in sources.lengths().items() if lines > 300} <= LONG_FILES
    assert built(a="x = 1\n" * 301).lengths()["bad.a"] == 301


def test_kinds_are_asked_by_their_protocols(sources, built):
    """Few questions after attributes are left: what a thing can do is stated by its protocol."""
    assert len(sources.calls("hasattr", "getattr")) <= GUESSES
    assert built(a="if hasattr(x, 'f'):\n    y = getattr(x, 'g', 0)").calls("hasattr", "getattr") == [
        "bad.a:1",
        "bad.a:2",
    ]


def test_the_type_checker_is_told_to_be_silent_on_few_lines(sources, built):
    assert len(sources.suppressions()) <= SUPPRESSIONS
    assert built(a="x = f()  # type: ignore[misc]").suppressions() == ["bad.a:1: type: ignore[misc]"]
