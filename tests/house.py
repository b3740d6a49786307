"""What the sources of a package say about its architecture, read from their syntax trees; nothing is imported."""

import ast
import dataclasses
import functools
import pathlib
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Import:
    """One import of a module of the package by another."""

    by: str
    of: str
    names: tuple[str, ...]  # what is taken out of it, () for the module itself
    lazy: bool  # inside a function


class Sources:
    """The modules of a package by name, as text and as syntax trees."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.paths = {self._name(path): path for path in sorted(folder.rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text()) for name, path in self.paths.items()}

    def _name(self, path: pathlib.Path) -> str:
        parts = (self.folder.name, *path.relative_to(self.folder).with_suffix("").parts)
        return ".".join(part for part in parts if part != "__init__")

    @functools.cached_property
    def imports(self) -> list[Import]:
        """Every import within the package, without those for annotations alone."""
        return [found for name, tree in self.trees.items() for found in self._imports(name, tree, False)]

    def _imports(self, by: str, node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import):
                yield from (Import(by, alias.name, (), lazy) for alias in child.names if alias.name in self.paths)
            elif isinstance(child, ast.ImportFrom) and child.module in self.paths:
                names = [alias.name for alias in child.names]
                modules = [name for name in names if f"{child.module}.{name}" in self.paths]
                yield from (Import(by, f"{child.module}.{name}", (), lazy) for name in modules)
                if rest := tuple(name for name in names if name not in modules):
                    yield Import(by, child.module, rest, lazy)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from self._imports(by, child, lazy or inside)

    def circles(self) -> list[list[str]]:
        """List the groups of modules that import one another, directly or through others, when they are loaded."""
        edges: dict[str, set[str]] = {name: set() for name in self.paths}
        for found in self.imports:
            if not found.lazy:
                edges[found.by].add(found.of)

        def reached(start: str) -> set[str]:
            seen, ahead = set(), [start]
            while ahead:
                for name in edges[ahead.pop()] - seen:
                    seen.add(name)
                    ahead.append(name)
            return seen

        reach = {name: reached(name) for name in self.paths}
        groups = {frozenset(b for b in reach[a] if a in reach[b]) for a in self.paths if a in reach[a]}
        return sorted(map(sorted, groups))

    def private(self) -> list[str]:
        """List the private names that one module takes from another."""
        found = [f"{i.by}: {i.of}.{name}" for i in self.imports for name in i.names if _is_private(name)]
        for name, tree in self.trees.items():
            modules = {i.of.rsplit(".", 1)[-1] for i in self.imports if i.by == name and not i.names}
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node.value) in modules:
                    found.append(f"{name}: {ast.unparse(node)}")
        return sorted(found)

    def twins(self) -> dict[str, list[str]]:
        """Return the public classes that several modules define, by name."""
        homes: dict[str, list[str]] = {}
        for name, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(name)
        return {name: where for name, where in homes.items() if len(where) > 1}

    def functions(self) -> dict[str, int]:
        """Return the lines of code of each function, those in functions too; docstring, comments and gaps left out."""
        found = {}
        for name, tree in self.trees.items():
            lines = self.paths[name].read_text().splitlines()
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    inside = set(range(node.lineno, (node.end_lineno or 0) + 1))
                    first = node.body[0]
                    if ast.get_docstring(node) is not None:
                        inside -= set(range(first.lineno, (first.end_lineno or 0) + 1))
                    texts = [lines[i - 1].strip() for i in inside]
                    found[f"{name}.{node.name}:{node.lineno}"] = sum(bool(t) and t[0] != "#" for t in texts)
        return found

    def lengths(self) -> dict[str, int]:
        """Return the lines of each file."""
        return {name: len(path.read_text().splitlines()) for name, path in self.paths.items()}

    def calls(self, *names: str) -> list[str]:
        """List the calls of functions by their bare name."""
        return [
            f"{module}:{node.lineno}"
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
        ]

    def suppressions(self) -> list[str]:
        """List the lines on which the type checker is told to be silent."""
        return [
            f"{name}:{number}: {line.split('#', 1)[1].strip()}"
            for name, path in self.paths.items()
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if "# type: ignore" in line
        ]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
