r"""What a study is: a module that measures something, and the page that shows what it found.

A study is a module of `experiments` whose docstring is a title, a blank line, then MyST text: the claim as a quotation,
if there is one, and what is measured and how. It holds four functions of its numbers:

    measure(small) -> numbers      a dict that JSON can hold, the same at every call; seconds stand under names that
                                   start with "seconds", since no two runs agree on them
    tables(numbers) -> [Table]     what the page shows of them
    draw(numbers) -> figure        the picture, or None
    verdict(numbers) -> text       what follows, starting with a verdict in bold; an assertion guards each statement,
                                   so that numbers that no longer bear it out stop the study

`python -m experiments NAME` measures at full and at small size, keeps both in docs/records/NAME.json, and writes the
page docs/NAME.md, the picture docs/images/NAME.png and the index of its group, whose top is the docstring of the
package. The tests require that every page is what its record makes, that the record was made by the code as it stands,
and that measuring at small size finds the recorded numbers again.
"""

import ast
import hashlib
import importlib
import inspect
import io
import itertools
import json
import math
import pathlib
import pkgutil
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
GROUPS = ("claims", "problems", "reproductions")
SHOWN = ("tables", "draw", "verdict")  # functions that only show numbers: the record outlives a change of theirs

# Another processor sums in another order, and training amplifies the last bit: small runs agree within this, and where
# both are next to nothing within LEAST; a study may state its own.
TOLERANCE, LEAST = 0.02, 1e-6


class Missing(Exception):
    """Data that a study needs are not on this machine; the message says how to get them."""


class Table(NamedTuple):
    """A table of a page; cells are text, or numbers that `cell` writes."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self) -> str:
        """Return the table in Markdown, numbers to the right."""
        numeric = [all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.header))]
        rule = ["---:" if number else "---" for number in numeric]
        lines = [self.header, rule, *([cell(value) for value in row] for row in self.rows)]
        escaped = [[text.replace("|", "\\|") for text in line] for line in lines]  # a bar would end its cell
        return f"{self.caption}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def cell(value: Any) -> str:
    """Write a number with four digits, and text as it is."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{float(f'{value:.4g}'):,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def printed(text: str) -> str:
    """Write numbers as they are printed; code and formulas stay.

    The hyphen before a number becomes the minus that it means, at which no line ends; 34% is 34 %, 1.52e+03 is 1,520.
    """
    pieces = re.split(r"(```.*?```|`[^`]*`|\$[^$]*\$)", text, flags=re.S)
    for i, piece in enumerate(pieces[::2]):
        piece = re.sub(r"\d(?:\.\d+)?e\+0[1-5]\b", lambda number: f"{float(number[0]):,.0f}", piece)
        piece = re.sub(r"(?<=\d)%", " %", piece)
        pieces[2 * i] = re.sub(r"(?<=\de)-(?=\d)|(?<=[ (±])-(?=[\d.])", "−", piece)
    return "".join(pieces)


def names() -> list[str]:
    """List the studies by name: `claims/k01_activations`, …, `complexity`."""
    found = []
    for group in GROUPS:
        folder = pathlib.Path(__file__).parent / group
        found += [f"{group}/{m.name}" for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_")]
    return [*sorted(found), *(["complexity"] if (ROOT / "experiments" / "complexity.py").exists() else [])]


def load(name: str) -> Any:
    """Import a study."""
    return importlib.import_module("experiments." + name.replace("/", "."))


def fingerprint(study: Any) -> str:
    """Hash the code that measures: the syntax tree without docstrings and without the functions that only show.

    What it imports from the studies' folders, shared helpers and other studies, is hashed with it.
    """
    return _hash(inspect.getsource(study))


def _hash(source: str) -> str:
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in SHOWN)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    found = hashlib.sha256(ast.dump(tree).encode())
    for name in sorted(set(_imported(tree))):
        found.update(_hash((ROOT / f"{name.replace('.', '/')}.py").read_text()).encode())
    return found.hexdigest()[:16]


def _imported(tree: ast.AST) -> list[str]:
    """List the modules in the folders of the studies that a module imports from."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {f"experiments.{group}" for group in GROUPS}:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            tuple(f"experiments.{group}." for group in GROUPS)
        ):
            found.append(node.module)
    return found


def plain(value: Any) -> Any:
    """Return numbers as JSON gives them back, to the nine digits float32 needs; what is not finite becomes text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else str(value)
    return value


def record_of(name: str) -> dict[str, Any]:
    """Read the record of a study."""
    record: dict[str, Any] = json.loads((DOCS / "records" / f"{name}.json").read_text())
    return record


def page(name: str, study: Any, record: dict[str, Any]) -> str:
    """Return the page of a study: the claim, the verdict, the picture; then findings, numbers, and how they were made.

    The claim is what the docstring quotes first, the verdict the first words in bold.
    """
    numbers, depth = record["full"], "../" * name.count("/")
    title, _, text = inspect.cleandoc(study.__doc__).partition("\n")
    lines = text.strip().splitlines(keepends=True)
    claim = "".join(itertools.takewhile(lambda line: line.startswith(">"), lines))
    _, verdict, found = study.verdict(numbers).split("**", 2)
    parts = [f"# {title.rstrip('.')}", claim.strip(), f"**{verdict}**"]
    if (DOCS / "images" / f"{name}.png").exists():
        parts.append(f"![{title.rstrip('.')}]({depth}images/{name}.png)")
    parts += ["## What was found", found.strip()] if found.strip() else []
    parts += ["## Numbers", *(table.markdown().strip() for table in study.tables(numbers))]
    parts += ["## How it was measured", text.strip()[len(claim) :].strip()]
    source = f"experiments/{name}.py"
    parts.append(
        f"Made by `python -m experiments {name}` ([{source}]({depth}../{source})), {record['seconds']:.0f} s on "
        f"{record['machine']}; numbers in [{name}.json]({depth}records/{name}.json)."
    )
    return printed("\n\n".join(filter(None, parts))) + "\n"


def index(group: str) -> str:
    """Return the index of a group: the docstring of its package, and what its pages say in bold."""
    title, _, text = inspect.cleandoc(load(group).__doc__).partition("\n")
    pages = [name for name in names() if name.startswith(f"{group}/") and (DOCS / f"{name}.md").exists()]
    rows = []
    for name in pages:
        heading, *rest = (DOCS / f"{name}.md").read_text().split("\n\n")
        result = next(part for part in rest if part.startswith("**"))
        rows.append((f"[{heading.removeprefix('# ')}]({name}.md)", result.replace("\n", " ")))
    parts = [f"# {title.rstrip('.')}", text.strip()]
    if pages:
        table = Table("", ("study", "result"), rows).markdown().strip()
        parts += [table, "\n".join(["```{toctree}", ":hidden:", "", *pages, "```"])]
    return "\n\n".join(parts) + "\n"


def measure(name: str) -> None:
    """Measure a study at both sizes, and keep the record."""
    study, started = load(name), time.perf_counter()
    full = plain(study.measure(small=False))
    seconds = time.perf_counter() - started
    record = {
        "code": fingerprint(study),
        "machine": machine(),
        "seconds": round(seconds),
        "small": plain(study.measure(small=True)),
        "full": full,
    }
    path = DOCS / "records" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def show(name: str) -> None:
    """Write the page and the picture of a study from its record."""
    from PIL import Image

    from funcnet.figures import style

    study, record = load(name), record_of(name)
    with style():
        figure = study.draw(record["full"])
        if figure is not None:
            path = DOCS / "images" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = io.BytesIO()
            figure.savefig(drawn, dpi=110)
            # A palette of 256 colours takes a third of the space.
            Image.open(drawn).convert("RGB").quantize(256).save(path, optimize=True)
    path = DOCS / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(name, study, record))
    if "/" in name:
        group = name.split("/")[0]
        (DOCS / f"{group}.md").write_text(index(group))


def machine() -> str:
    """Say what machine and what versions numbers come from."""
    import os
    import platform

    import jax
    import numpy

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"Python {platform.python_version()}, jax {jax.__version__}, NumPy {numpy.__version__}"
    return f"{cores} cores ({platform.machine()}), {versions}"


def differences(recorded: Any, found: Any, tolerance: float, least: float = LEAST, path: str = "") -> list[str]:
    """List where two sets of numbers differ by more than a tolerance; seconds are left out.

    Numbers differ if |a − b| > tolerance · max(|a|, |b|) and |a − b| > least.
    """
    if path.rsplit(".", 1)[-1].startswith("seconds"):
        return []
    if isinstance(recorded, dict) and isinstance(found, dict) and recorded.keys() == found.keys():
        pairs = ((key, recorded[key], found[key]) for key in recorded)
        return [d for key, a, b in pairs for d in differences(a, b, tolerance, least, f"{path}.{key}")]
    if isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        pairs = ((i, a, b) for i, (a, b) in enumerate(zip(recorded, found, strict=True)))
        return [d for i, a, b in pairs for d in differences(a, b, tolerance, least, f"{path}.{i}")]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (recorded, found))
    if numbers and abs(recorded - found) <= max(tolerance * max(abs(recorded), abs(found)), least):
        return []
    return [] if recorded == found else [f"{path}: {recorded!r} was recorded, {found!r} found"]
