"""`.. concepts:: funcnet.losses` shows every class of a registry: a concept that joins the registry joins its page."""

import importlib

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import funcnet
from funcnet.registry import concepts


def entries(package: str) -> list[str]:
    """Return the lines that show the concepts of a package, by the shortest name that leads to each."""
    importlib.import_module(package)
    lines = []
    for name, cls in concepts(package).items():
        home = "funcnet" if vars(funcnet).get(name) is cls else package
        lines += [f".. autoclass:: {home}.{name}", ""]
    return lines


class Concepts(SphinxDirective):
    """Entries of all concepts of a package."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return their nodes."""
        return self.parse_text_to_nodes("\n".join(entries(self.arguments[0])))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect."""
    app.add_directive("concepts", Concepts)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
