"""Docstrings of funcnet as reStructuredText: what is aligned stays as it stands, and formulas come with their class.

The docstrings are plain text with Unicode mathematics. Aligned paragraphs become literal blocks; characters
that reStructuredText would read as markup are escaped; sections of arguments and errors are left to napoleon. The first
class of a module that is shown brings the module's docstring, in which a concept's formulas and derivation stand.
"""

import importlib
import inspect
import re
import sys
import textwrap
from typing import Any

import sphinx.util.inspect
from docutils import nodes
from entries import lacking, with_parameters
from formulas import BELOW, LABELS, typeset
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import funcnet

LOGGER = logging.getLogger(__name__)

SECTION = re.compile(r"\s*(Args|Raises|Returns|Attributes|Yields):?\s*(\n\s*-+)?$")
RULE = re.compile(r"=+(\s+=+)+\s*")
WIDTH = 116  # of preformatted text, in characters
SMALL = {letter: small for small, letter in BELOW.items()}
LEAD = re.compile(r"^([A-Z][\w-]*(?: \w+)?)\. (?=\S)")
LABELLED = re.compile(r"([A-Z][\w-]*(?: \w+)?|[A-Z][\w-]{9,}) {2,}(?=\S)|(Convention) ")
CODE = re.compile(r"(`[^`]+`)")
NESTED = r"[^(){}]*(?:[({][^(){}]*[)}][^(){}]*)*"
RAISED = re.compile(rf"\^(?:\(({NESTED})\)|{{({NESTED})}}|([−-]?\w+))")
LOWERED = re.compile(r"(?<![\w.])((?:d|∂)?[^\W\d_]′?)_(?:{([^{}]*)}|([^\W_]+))(?![\w(])")
ENTRY = re.compile(r'- |"\w+": ')  # one of several things beside a label, on a line of its own


def escaped(text: str) -> str:
    """Escape markup outside of code marks, where e^x and y_k become what is raised and lowered."""
    parts = CODE.split(text)
    parts[::2] = [set_upright(part) for part in parts[::2]]
    parts[1::2] = [part.replace("\\", "\\\\") for part in parts[1::2]]
    parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]  # `code`s
    return "".join(parts)


def set_upright(text: str) -> str:
    r"""Return a sentence with its markup escaped, exponents raised and indices lowered, and arrows for ->.

    >>> set_upright("e^(z_k) of y_j *")
    'e\\ :sup:`zₖ`\\  of y\\ :sub:`j`\\  \\*'
    """
    marks: list[str] = []

    def mark(role: str, inside: str) -> str:
        inside = re.sub(r"(?<=\w)_([aehijklmnoprstuvx])\b", lambda index: SMALL[index[1]], inside)
        marks.append(f"\\ :{role}:`{inside}`\\ ")
        return f"\0{len(marks) - 1}\0"

    text = RAISED.sub(lambda found: mark("sup", found[1] or found[2] or found[3]), text.replace(" -> ", " → "))
    text = LOWERED.sub(lambda found: found[1] + mark("sub", found[2] or found[3]), text)
    text = re.sub(r"([\\*|])|(?<=\w)(_)(?!\w)", r"\\\1\2", text)
    return re.sub("\0(\\d+)\0", lambda found: marks[int(found[1])], text)


def aligned(lines: list[str]) -> bool:
    """Tell whether a paragraph is set in columns, or indented."""
    return any(re.search(r"\S {2,}\S", line) for line in lines) or all(line.startswith("  ") for line in lines)


def table(lines: list[str]) -> list[str]:
    """Return a table between rules of = with its cells escaped; a row without a first cell goes on with the last."""
    columns = [match.span() for match in re.finditer("=+", lines[0])]
    columns[-1] = (columns[-1][0], 999)
    rows: list[list[str]] = []
    for line in lines[1:-1]:
        cells = [escaped(line[start:end].strip()) for start, end in columns]
        if set(line) <= {"=", " "}:
            continue
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {more}".strip() for old, more in zip(rows[-1], cells, strict=True)]
    out = [".. list-table::", f"   :header-rows: {1 if set(lines[2]) <= {'=', ' '} else 0}", ""]
    return out + [f"   {'* -' if i == 0 else '  -'} {cell}".rstrip() for row in rows for i, cell in enumerate(row)]


def arguments(lines: list[str]) -> list[str]:
    """Turn lines `name : text` into a section that napoleon reads."""
    named = [re.sub(r"^(\w+) : ", r"\1: ", line) for line in lines]
    return ["Args:", *("    " + argument(line) for line in named)]


def wrapped(lines: list[str]) -> list[str]:
    """Return a paragraph in columns without code marks, its last column filled anew within WIDTH."""
    lines = textwrap.dedent("\n".join(lines).replace("`", "")).splitlines()
    if max(map(len, lines)) <= WIDTH:
        return lines
    filled: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        indent = len(line) - len(line.lstrip())
        if len(before) > WIDTH - 15 and indent > 0:  # the line before was full: the sentence goes on
            filled[-1] += " " + line.strip()
        else:
            filled.append(line)
    out = []
    for line in filled:
        column = max([match.end() for match in re.finditer(r"^ +|(?<=\S) {2,}", line)], default=0)
        out += textwrap.wrap(line, WIDTH, subsequent_indent=" " * column, replace_whitespace=False) or [""]
    return out


def google(lines: list[str]) -> list[str]:
    """Return a section that is underlined, as in NumPy's docstrings, in the style of Google's, which ends by itself."""
    if len(lines) < 2 or set(lines[1].strip()) != {"-"}:
        return lines
    out = [f"{lines[0]}:"]
    for line in lines[2:]:
        if line.startswith(" "):
            out[-1] += " " + line.strip()
        else:
            out.append(f"    {line}:")
    return out


def labelled(lines: list[str]) -> list[str]:
    """Return rows of a label and what stands beside it as a table: formulas as mathematics, the rest as sentences."""
    rows: list[tuple[str, list[str]]] = []
    full = False
    for line in lines:
        match = LABELLED.match(line)
        text = line[match.end() :] if match else line.strip()
        if match:
            rows.append((line[: match.end()].strip(), [text]))
        elif ENTRY.match(text):
            rows[-1][1].append(re.sub("^- ", "• ", text))
            full = True
            continue
        elif full and rows[-1][0] not in LABELS:
            rows[-1][1][-1] += " " + text
        else:
            rows[-1][1].append(text)
        full = len(line) > WIDTH - 25 and not line.endswith((".", ";", ","))
        full |= rows[-1][0] in ("Kink", "Extremes", "Source", "State", "Convention", "Erratum", "Forms", "Rows")
    out = [".. list-table::", "   :class: labelled", ""]
    for label, said in rows:
        shown = [
            typeset(text, escaped) if label in LABELS else escaped(re.sub(" {3,}", "\u2003", text)) for text in said
        ]
        out += [f"   * - {label}", *(f"{'     - ' if i == 0 else '       '}| {text}" for i, text in enumerate(shown))]
    return out


def restructured(text: str) -> list[str]:
    """Return a docstring, or a part of one, without its indentation, as lines of reStructuredText."""
    out: list[str] = []
    section = literal = False
    for paragraph in filter(None, re.split(r"\n\s*\n", text)):
        lines = paragraph.splitlines()
        header = SECTION.match("\n".join(lines[:2]) if len(lines) > 1 and set(lines[1].strip()) == {"-"} else lines[0])
        if lines[0].lstrip().startswith(">>>"):
            section, block = False, lines
        elif header or (section and lines[0].startswith(" ")):
            section, block = True, [argument(line) for line in google(lines)]
        elif RULE.fullmatch(lines[0]):
            section, block = False, table(lines)
        elif re.match(r"\w+ : ", lines[0]):
            section, block = False, arguments(lines)
        elif LABELLED.match(lines[0]):
            section, block = False, labelled(lines)
        elif aligned(lines):
            section, block = False, [*([] if literal else ["::", ""]), *("    " + line for line in wrapped(lines))]
        else:
            prose = escaped(" ".join(line.strip() for line in lines))
            section, block = False, [LEAD.sub(r"**\1.** ", prose)]
        literal = not section and block[-1].startswith("    ") and (block[0] == "::" or literal) and block[0][0] != "."
        out += [*block, ""]
    return out


def argument(line: str) -> str:
    """Escape a line of a section, except for the name that napoleon reads."""
    match = re.match(r"(\s*\*{0,2}\w+:)( .*)", line)
    return match[1] + escaped(match[2]) if match else escaped(line)


def instance_of(cls: type) -> str:
    """Return the public name of the instance of a class that stands ready, or nothing."""
    return next((name for name in funcnet.__all__ if type(getattr(funcnet, name)) is cls), "")


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite one docstring: what a class is, the formulas of its module, then arguments and examples."""
    text = "\n".join(lines)
    if what == "class":
        text = with_parameters(obj, text)
    for lack in lacking(what, obj, text):
        LOGGER.warning("%s has %s", name, lack, location=app.env.docname)
    first, _, rest = text.partition("\n\n")
    new = restructured(first)
    if what == "class":
        module = sys.modules[obj.__module__]
        if module.__name__.count(".") == 2 and shown(app.env).setdefault(module.__name__, name) == name:
            _, _, formulas = inspect.cleandoc(module.__doc__ or "").split("\n\n>>>")[0].partition("\n\n")
            if formulas:
                new += [".. container:: formulas", "", *("    " + line for line in restructured(formulas))]
        if ready := instance_of(obj):
            new += [f"``fn.{ready}`` stands ready: it is ``{getattr(funcnet, ready)!r}``.", ""]
    if what == "property":  # napoleon takes what stands before a colon for a type
        new[0] = new[0].replace(": ", " – ", 1)
    lines[:] = new + restructured(rest)


def plain_defaults(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write defaults that stand under private names as what they are: `activation=fn.relu`."""

    def value(found: re.Match[str]) -> str:
        held = getattr(sys.modules[obj.__module__], found[1], None)
        ready = instance_of(type(held))
        return f"=fn.{ready}" if ready else f"={held!r}"

    return re.sub(r"=(_[A-Z]\w*)", value, signature or "").replace("=<factory>", "={}") or signature, returned


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, of which Python says no more than their numbers."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def shown(environment: Any) -> dict[str, str]:
    """Return by which entry each module's docstring is shown."""
    found: dict[str, str] = environment.__dict__.setdefault("funcnet_modules", {})
    return found


class Docstring(SphinxDirective):
    """`.. docstring:: funcnet.training.loop` shows the docstring of a module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return its nodes."""
        text = inspect.cleandoc(importlib.import_module(self.arguments[0]).__doc__ or "")
        shown(self.env)[self.arguments[0]] = "docstring"
        return self.parse_text_to_nodes("\n".join(restructured(text)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect, before napoleon."""
    app.add_directive("docstring", Docstring)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", plain_defaults)
    sphinx.util.inspect.is_singledispatch_function = lambda obj: False  # all kinds have the same arguments
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
