"""Concepts that the package does not have, one of each kind, registered as a contributor would: a file and one line.

`python -m pytest -p tests.new_concepts …` registers all of them before tests are collected, so that the loops of the
suite meet them as they would meet a new file of the package. The activation is that of `docs/guides/concept.md`.
"""

import importlib
import pathlib
import re
import sys
import types

FOLDER = pathlib.Path(__file__).parent / "concepts"
GUIDE = FOLDER.parents[1] / "docs" / "guides" / "concept.md"


def sources():
    """Return the text of each new file by (kind, name of the module)."""
    found = {(path.parent.name, path.stem): path.read_text() for path in sorted(FOLDER.glob("*/*.py"))}
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.S | re.M)
    last = [block for block in blocks if "class Softsign" in block][-1]
    (cases,) = [block for block in blocks if "CASES" in block]
    imports = blocks[0].split("@fn.record")[0]
    formula = '"""Softsign.\n\nForward    y = z / (1 + |z|)\n"""\n\n'
    text = "\n".join([formula, imports, "@fn.record" + last.split("@fn.record")[1], cases])
    return {("activations", "softsign"): text} | found


def register(kind, name, text, patch):
    """Do what a new file and its line in the folder's `__init__` do, through a monkeypatch; return the module."""
    from funcnet.registry import registry

    package = importlib.import_module(f"funcnet.{kind}")
    module = types.ModuleType(f"{package.__name__}.{name}", (FOLDER / kind / f"{name}.py").as_posix())
    patch.setitem(sys.modules, module.__name__, module)
    patch.setattr(package, name, module, raising=False)
    exec(compile(text, f"{kind}/{name}.py", "exec"), vars(module))
    module.__doc__ = vars(module)["__doc__"]
    concept = type(vars(module)["CASES"][0].rule)
    # The line: from funcnet.losses.log_cosh import LogCosh as LogCosh
    patch.setattr(package, concept.__name__, concept, raising=False)
    patch.setattr(package, "REGISTRY", registry(package.__name__))
    return module


def pytest_configure(config):
    """Register every new concept, for the whole run."""
    import pytest

    config.concepts = pytest.MonkeyPatch()
    for (kind, name), text in sources().items():
        register(kind, name, text, config.concepts)
