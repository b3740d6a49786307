"""The record and the page: what was measured last in each group, and the text around it."""

import importlib
import json
from typing import Any

from experiments.benchmarks import machine
from experiments.benchmarks.timing import say
from experiments.benchmarks.why import why
from experiments.benchmarks.words import prose
from experiments.study import DOCS, Table, plain, show

GROUPS = ("training", "layers", "models", "backward", "elementwise", "compiling", "sweep", "linear", "search")
RECORD, PAGE = DOCS / "records" / "benchmarks.json", DOCS / "benchmarks.md"
CHART = DOCS / "images" / "by-hand-pays.png"

HEAD = """
# Benchmarks

**For whoever chooses.** Many small networks side by side are where funcnet is fast: [the sweep](#the-sweep). A single
network trains about as fast as Optax in one compiled loop, faster than a loop in Python where the network is small,
and no faster where its products are large: [training](#training). [By hand pays](#by-hand-pays) shows layer by layer,
in one chart, where a derived backward pass saves time and memory, and where it does not. An *aim* is a goal that we set
ourselves before measuring; [what falls short](#what-falls-short-and-why) is listed at the end.

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
    if "layers" in record:
        group("layers").draw(record["layers"]["numbers"], CHART)
    if "models" in record:
        show("reproductions/characters")  # its page has a time from here


def page(record: dict[str, Any]) -> str:
    """Return the page that a record makes."""
    names = [name for name in GROUPS if name in record]
    parts = [prose(HEAD), *_machines({name: record[name] for name in names})]
    parts += [group(name).show(record[name]["numbers"]) for name in names]
    missed = [aim for name in names for aim in group(name).aims(record[name]["numbers"]) if not aim.met]
    met = sum(len(group(name).aims(record[name]["numbers"])) for name in names) - len(missed)
    parts.append(f"## What falls short, and why\n\nOf {met + len(missed)} aims {met} are met.")
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
