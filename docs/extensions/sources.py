"""Pages of source files: what a page names or links outside of docs is shown inside the site.

A link such as [k12](../../experiments/claims/k12_limits.py), and a file or test named in code marks, lead to a page
with the highlighted source, at the function or class that was named. So the site needs no other server, and every link
can be checked.
"""

import ast
import functools
import importlib
import inspect
import pathlib
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

import funcnet

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("", "funcnet/", "tests/")  # where a file named in code marks is looked for
NAMED = re.compile(r"([\w./-]+\.(?:py|json|md))(?:::(\w+))?")


@functools.cache
def files() -> frozenset[str]:
    """Return the files that have a page, relative to the root of the repository."""
    found = [path for folder in ("funcnet", "experiments", "tests") for path in (ROOT / folder).rglob("*.py")]
    found += [*ROOT.glob("*.md"), *ROOT.glob("funcnet/**/*.md"), *ROOT.glob("tests/recorded/*.json"), ROOT / "LICENSE"]
    return frozenset(str(path.relative_to(ROOT)) for path in found)


@functools.cache
def definitions(file: str) -> dict[str, int]:
    """Return the line of each function, class and method of a Python file, by qualified name."""
    found: dict[str, int] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                found[prefix + child.name] = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                visit(child, f"{prefix}{child.name}.")

    if file.endswith(".py"):
        visit(ast.parse((ROOT / file).read_text()), "")
    return found


def page_of_object(module: str, name: str, up: str) -> str | None:
    """Return the address of the source of a class or function, or None."""
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    try:
        value = inspect.unwrap(value)
        file = str(pathlib.Path(inspect.getsourcefile(value) or "").relative_to(ROOT))
    except (TypeError, ValueError):
        return None
    anchor = f"#{value.__qualname__}" if value.__qualname__ in definitions(file) else ""
    return f"{up}files/{file}.html{anchor}"


class Links(SphinxTransform):
    """Turn links to files outside of docs, and files named in code marks, into links to their pages."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        """Replace the nodes of one document."""
        folder = posixpath.join("docs", posixpath.dirname(self.env.docname))
        for node in list(self.document.findall(addnodes.download_reference)):
            file = posixpath.normpath(posixpath.join(folder, node["reftarget"]))
            if file in files():
                node.replace_self(self.link(file, "", node.children))
        for node in list(self.document.findall(nodes.literal)):
            match = NAMED.fullmatch(re.sub("/$", "/__init__.py", node.astext()))
            if match and not isinstance(node.parent, nodes.reference):
                file, name = match[1], match[2] or ""
                known = [
                    f + file for f in FOLDERS if f + file in files() and (not name or name in definitions(f + file))
                ]
                if known:
                    node.replace_self(self.link(known[0], name, [node.deepcopy()]))
            elif (file := self.referred(node)) in files():
                node.replace_self(self.link(file, "", [node.deepcopy()]))

    def referred(self, node: nodes.literal) -> str:
        """Return the file that "see `recurring`" means on a page of the reference, or nothing."""
        at = node.parent.index(node)
        if at == 0 or not re.search(r"\b[Ss]ee $", node.parent[at - 1].astext()):
            return ""
        page = posixpath.basename(self.env.docname)
        folder = {"scikit-learn": "sklearn", "pytorch": "torch"}.get(page, page)
        places = (f"funcnet/{folder}/{node.astext()}.py", f"funcnet/{node.astext()}.py")
        return next((file for file in places if file in files()), "")

    def link(self, file: str, name: str, children: list[Any]) -> nodes.reference:
        """Return a reference to the page of a file."""
        uri = self.app.builder.get_relative_uri(self.env.docname, f"files/{file}") if self.app.builder else ""
        return nodes.reference("", "", *children, internal=True, refuri=uri + (f"#{name}" if name else ""))


class Names(SphinxPostTransform):
    """Lead from a public name in code marks, such as `fn.sweep` or `fn.mlp(…)`, to its entry in the reference.

    In the reference itself a class may stand without `fn`, and so may a function of the page whose name has a `_`.
    """

    default_priority = 20

    def run(self, **kwargs: Any) -> None:
        """Replace the nodes of one document."""
        objects = self.env.domains["py"].objects  # type: ignore[attr-defined]
        by_name: dict[str, list[Any]] = {}
        for name, entry in objects.items():
            if not entry.aliased and (entry.objtype in ("class", "exception") or entry.docname == self.env.docname):
                by_name.setdefault(name.rpartition(".")[2], []).append(entry)
        for node in list(self.document.findall(nodes.literal)):
            match = re.fullmatch(r"(fn\.|funcnet\.)?([A-Za-z][\w.]*)(\(.*\))?", node.astext(), re.S)
            if match is None or not (match[1] or self.env.docname.startswith("reference/")):
                continue
            kind = type(getattr(funcnet, match[2], None)).__name__  # fn.relu is a ReLU
            found = None
            if match[1] or match[2][0].isupper():
                found = objects.get(f"funcnet.{match[2]}") or objects.get(f"funcnet.{kind}")
            alike = by_name.get(match[2], [])
            if not (found or match[1]) and len(alike) == 1:
                wanted = ("class", "exception") if match[2][0].isupper() else ("function",) if "_" in match[2] else ()
                found = alike[0] if alike[0].objtype in wanted else None
            inside = (nodes.reference, nodes.title, addnodes.pending_xref)
            if found and not isinstance(node.parent, inside):
                node.replace_self(
                    make_refnode(self.app.builder, self.env.docname, found.docname, found.node_id, node.deepcopy())
                )


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make the page of each source file."""
    for file in sorted(files()):
        text = (ROOT / file).read_text()
        language = {".py": "python", ".json": "json", ".md": "markdown"}.get(pathlib.Path(file).suffix, "none")
        lines = app.builder.highlighter.highlight_block(text, language).splitlines()
        offset = len(lines) - len(text.rstrip("\n").splitlines()) - 1 if language == "python" else 0
        for name, line in definitions(file).items():
            at = line - 1 + max(offset, 0)
            lines[at] = f'<span id="{name}"></span>{lines[at]}'
        yield f"files/{file}", {"title": file, "body": f"<h1>{file}</h1>\n" + "\n".join(lines)}, "page.html"


def navigate(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let the source pages of one folder depth share their navigation: it is dear, and the same for all of them."""
    if page.startswith("files/"):
        own, depth = context["toctree"], page.count("/")

        def shared(**options: Any) -> str:
            key = depth, *sorted(options.items())
            if key not in _NAVIGATION:
                _NAVIGATION[key] = own(**options)
            return _NAVIGATION[key]

        context["toctree"] = shared


_NAVIGATION: dict[Any, str] = {}


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect."""
    app.add_transform(Links)
    app.add_post_transform(Names)
    app.connect("html-collect-pages", pages)
    app.connect("html-page-context", navigate, priority=400)  # before the theme asks
    return {"parallel_read_safe": True, "parallel_write_safe": True}
