"""What an entry of the reference must say: each parameter with range and default, an example that pastes, a source.

Words come from the docstring, of a base where the class itself has none; ranges and defaults from a record's fields.
"""

import ast
import builtins
import dataclasses
import doctest
import inspect
import re
import sys
from typing import Any

from funcnet.records import is_record, is_record_class


def told(text: str) -> dict[str, str]:
    """Return what a docstring says of each argument or attribute; several names may share a line."""
    found: dict[str, str] = {}
    for section in re.findall(r"^(?:Args|Attributes):\n((?: +.*\n?)+)", text, re.M):
        for names, said in re.findall(r"^ {4}(\*{0,2}\w+(?:, \w+)*): (.+(?:\n {5,}.*)*)", section, re.M):
            found |= {name.strip("* "): " ".join(said.split()) for name in names.split(",")}
    return found


def arguments_of(obj: Any) -> list[str]:
    """Return the names of the arguments that a user gives a class or a function."""
    try:
        given = inspect.signature(obj).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in given if p.name != "self" and not p.name.startswith("_")]


def allowed(cls: type) -> dict[str, str]:
    """Return what the field of a record may hold, and what it holds unless told, in words."""
    found = {}
    for field in dataclasses.fields(cls) if is_record_class(cls) else ():
        bounds = field.metadata["bounds"]
        words = {"number": "a number", "integer": "a whole number", "part": ""}.get(bounds.role, "")
        if bounds.role in ("number", "integer") and bounds.words() != "finite":
            words += " " + bounds.words().replace(" and at most 2.14748e+09", "").replace("at least", "of at least", 1)
        if bounds.options == (False, True):
            words = "True or False"
        elif bounds.options == (True,):
            words = "always True"
        elif bounds.options:
            words = "one of " + ", ".join(f'"{option}"' for option in bounds.options if option is not None)
        elif bounds.role == "choice" and bounds.at_least is not None:
            words = f"a whole number of at least {bounds.at_least}"
        words += ", or a schedule" if bounds.schedule is not None else ""
        words += ", or a list of such numbers" if bounds.vector else ""
        words += ", or None" if words and bounds.optional else ""
        if field.default is not dataclasses.MISSING:
            words += f"{'; ' if words else ''}{shortly(field.default)} by default"
        found[field.name] = words
    return found


def shortly(value: Any) -> str:
    """Return a default as one writes it."""
    if value == ():
        return "none"
    return f"`{value!r}`" if is_record(value) else f'"{value}"' if isinstance(value, str) else f"{value}"


def with_parameters(cls: type, text: str) -> str:
    """Return the docstring of a record with all its fields in its section of arguments, inherited ones included."""
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        said |= told(inspect.cleandoc(base.__doc__ or ""))
    ranges = allowed(cls)
    lines = []
    for name in arguments_of(cls):
        if name in said and name in ranges:
            range_of = f" ({ranges[name][:1].upper()}{ranges[name][1:]}.)" if ranges[name] else ""
            end = "" if said[name].endswith((".", ".)")) else "."
            lines.append(f"    {name}: {said[name]}{end}{range_of}")
    if len(lines) < len(arguments_of(cls)) or not lines:
        return text
    section = "\n".join(["Args:", *lines])
    text = re.sub(r"^Args:\n(?: +.*\n?)+", "", text, flags=re.M)
    before, mark, after = text.partition("Raises:\n") if "Raises:\n" in text else text.partition(">>> ")
    return f"{before.rstrip()}\n\n{section}\n\n{mark}{after}"


def lacking(what: str, obj: Any, text: str) -> list[str]:
    """Return what the entry of a name lacks, in words."""
    if what not in ("class", "exception", "function", "method") or not inspect.getdoc(obj):
        return []
    concept = what == "class" and "CASES" in vars(sys.modules[obj.__module__])
    found = []
    said = told(text)
    if what in ("class", "function"):
        found += [f"no words on the parameter {arg}" for arg in arguments_of(obj) if arg not in said]
    if what != "method" and ">>> " not in text:
        found.append("no example")
    if concept and not re.search(r"^Source ", sys.modules[obj.__module__].__doc__ or "", re.M):
        found.append("no source")
    missing = unknown(text)
    return found + ([f"an example that does not paste: {', '.join(sorted(missing))}"] if missing else [])


def unknown(text: str) -> set[str]:
    r"""Return the names that the examples of a docstring use and neither make, nor import, nor find at `fn`.

    >>> sorted(unknown(">>> x = np.ones(3)\\n>>> fn.relu(x).sum()\\n"))
    ['np']
    """
    code = "".join(example.source for example in doctest.DocTestParser().get_examples(text))
    known, used = {"fn", *dir(builtins)}, set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (known if isinstance(node.ctx, ast.Store) else used).add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(item.asname or item.name).split(".")[0] for item in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            known.add(node.name)
    return used - known
