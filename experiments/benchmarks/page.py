"""The record and its two pages: what was measured last in each group, and the text around it."""

import importlib
import json
from typing import Any

from experiments.benchmarks import choosing, machine
from experiments.benchmarks.timing import Aim, say
from experiments.benchmarks.why import why
from experiments.benchmarks.words import prose
from experiments.study import DOCS, Table, plain, show

GROUPS = (
    "training",
    "layers",
    "models",
    "language",
    "backward",
    "elementwise",
    "compiling",
    "sweep",
    "linear",
    "search",
)
RECORD, PAGE = DOCS / "records" / "benchmarks.json", DOCS / "benchmarks-in-detail.md"
CHOOSING = DOCS / "benchmarks.md"
CHART, BARS = DOCS / "images" / "by-hand-pays.png", DOCS / "images" / "benchmarks.png"

HEAD = """
# Benchmarks in detail

The page for developers behind [the one for whoever chooses](benchmarks.md). An *aim* is a goal that we set ourselves
before measuring; [what falls short](#what-falls-short-and-why) is listed at the end.

**How it is measured.** `python -m experiments.benchmarks` (with the `bench` extra) measures everything on this page
side by side in one run and writes it; `--only GROUP` measures a group again. Contestants take turns after a warm-up; a
time is a median, a ratio the median of the ratios within a turn, above 1 where the other is slower. Times are of one
machine and say little by themselves. Nothing in the test suite asserts a time.
"""


def group(name: str) -> Any:
    """Import a group: measure, show, aims."""
    return importlib.import_module(f"experiments.benchmarks.{name}")


def measure(names: list[str], toy: bool = False) -> dict[str, Any]:
    """Measure groups, and return what the record says of each."""
    found = {}
    for name in names:
        say(name)
        found[name] = plain(machine.describe() | {"numbers": group(name).measure(toy)})
    return found


def read() -> dict[str, Any]:
    """Return the record, empty if there is none."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def keep(record: dict[str, Any]) -> None:
    """Keep a record, after each group: a run takes a quarter of an hour."""
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write(record: dict[str, Any]) -> None:
    """Keep a record and write its page."""
    keep(record)
    PAGE.write_text(page(record))
    CHOOSING.write_text(choosing.page(record, aims_of(record)))
    choosing.draw(record, BARS)
    if "layers" in record:
        group("layers").draw(record["layers"]["numbers"], CHART)
    if "models" in record:
        show("reproductions/characters")  # its page has a time from here


def aims_of(record: dict[str, Any]) -> list[Aim]:
    """Return what was aimed at in the groups of a record."""
    return [aim for name in GROUPS if name in record for aim in group(name).aims(record[name]["numbers"])]


def page(record: dict[str, Any]) -> str:
    """Return the detailed page that a record makes."""
    names = [name for name in GROUPS if name in record]
    parts = [prose(HEAD), *_machines({name: record[name] for name in names})]
    parts += [group(name).show(record[name]["numbers"]) for name in names]
    aims = aims_of(record)
    missed = [aim for aim in aims if not aim.met]
    parts.append(f"## What falls short, and why\n\nOf {len(aims)} aims {len(aims) - len(missed)} are met.")
    if missed:
        rows = [[aim.what, f"{aim.measured:.3g}", aim.bound] for aim in missed]
        parts.append(Table("These are not:", ("what", "measured", "aim"), rows).markdown())
    if words := why({name: record[name] for name in names}):
        parts.append(words)
    return "\n\n".join(parts) + "\n"


def _machines(record: dict[str, Any]) -> list[str]:
    """Say what the groups were measured on; groups of one machine, date and versions together."""
    found: dict[str, list[str]] = {}
    for name, entry in record.items():
        versions = ", ".join(f"{package} {version}" for package, version in entry["versions"].items())
        found.setdefault(f"{entry['machine']}, {entry['cores']} cores; {versions}; {entry['date']}", []).append(name)
    if len(found) == 1:
        return [f"Machine: {words}." for words in found]
    return ["\n".join(f"- {', '.join(names)}: {words}." for words, names in found.items())] if found else []
